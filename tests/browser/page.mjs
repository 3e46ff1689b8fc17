// The page: three regions, written through two of them, seen on the third; one cut off; a conflict resolved; all by keyboard where
// a person would.

import assert from "node:assert/strict";
import { rename, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { freePorts, looks, run, shot, start, test, until } from "./support.mjs";

const REGIONS = ["us-east-1", "eu-west-1", "ap-southeast-1"];

async function serve(folder) {
  await run(folder, "init");
  const ports = await freePorts(REGIONS.length);
  const at = Object.fromEntries(REGIONS.map((region, index) => [region, `http://127.0.0.1:${ports[index]}`]));
  const servers = {};
  for (const region of REGIONS) {
    const siblings = REGIONS.filter((other) => other !== region).flatMap((other) => ["--sibling", `${other}=${at[other]}`]);
    servers[region] = start(folder, "serve", "--region", region, "--listen", at[region].slice("http://".length), ...siblings);
  }
  for (const region of REGIONS) await until(`${region} is ready`, async () => (await fetch(`${at[region]}/readyz`)).ok);
  const post = async (region, ...operations) => {
    const response = await fetch(`${at[region]}/v1/ops`, {
      method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(operations),
    });
    assert.equal(response.status, 200, await response.text());
  };
  return { at, servers, post };
}

// How far the regions have read each other, as the page shows it.
const cells = (page) => page.locator("#matrix td").allInnerTexts();

const add = (path, by) => ({ op: "add", kind: "pn_counter", path, by });
const text = (page, selector) => page.locator(selector).innerText();

await test("three regions and their pages", async (folder, { page, troubles }) => {
  const { at, servers, post } = await serve(folder);
  const [us, eu, ap] = REGIONS;
  const seen = await page(`${at[ap]}/`);
  await until("the page is ready", async () => (await text(seen, "#ready")) === "ready");
  assert.equal(await seen.title(), `${ap} - Archipelago`);
  assert.equal(await text(seen, "#region"), ap);

  // What two regions write arrives on the page of the third, as text whatever it looks like.
  await post(us, add("goals/Marta", 3), { op: "set", kind: "lww_register", path: "html", value: "<img src=x onerror=alert(1)>" });
  await post(eu, add("goals/Marta", 4), add("goals/Pele", 5), add("<b>bold</b>", 1));
  const objects = () => text(seen, "#objects");
  await until("both counts arrive", async () => /goals\/Marta\s+pn_counter\s+7/.test(await objects()));
  await until("the other arrives", async () => /goals\/Pele\s+pn_counter\s+5/.test(await objects()));
  for (const shown of ["<b>bold</b>", "<img src=x onerror=alert(1)>"]) await until(shown, async () => (await objects()).includes(shown));
  assert.equal(await seen.locator("#objects img, #objects b").count(), 0);

  // There are more of them than are shown at first.
  await post(us, ...Array.from({ length: 250 }, (_, number) => add(`many/${String(number).padStart(3, "0")}`, 1)));
  await until("some are shown", async () => /200 of 25\d shown/.test(await text(seen, "#objects-note")));
  assert.ok(!(await objects()).includes("many/249"));
  await seen.getByRole("button", { name: "Show more" }).click();
  await until("the others are shown", async () => (await objects()).includes("many/249"));
  assert.ok(await seen.locator("#more").isHidden());

  // The board moves as it happens.
  const first = () => seen.locator("#board li").first().innerText();
  await until("the first is shown", async () => /goals\/Marta\s+7/.test(await first()));
  await post(us, add("goals/Pele", 10));
  await until("the first has changed", async () => /goals\/Pele\s+15/.test(await first()));

  // Looking for some, with the keyboard alone.
  await seen.locator("#prefix").focus();
  await seen.keyboard.type("goals/P");
  await seen.keyboard.press("Enter");
  await until("only those are shown", async () => !(await objects()).includes("Marta") && (await objects()).includes("Pele"));
  assert.equal(await seen.evaluate(() => location.hash), "#goals%2FP", "the address says what is looked for");
  await seen.locator("#prefix").fill("");
  await seen.keyboard.press("Enter");
  await until("all are shown", async () => (await objects()).includes("Marta"));
  // Everything that can be used can be reached.
  await seen.locator("body").click({ position: { x: 1, y: 1 } });
  const reached = new Set();
  for (let step = 0; step < 20; step += 1) {
    await seen.keyboard.press("Tab");
    reached.add(await seen.evaluate(() => document.activeElement?.id || document.activeElement?.textContent));
  }
  for (const name of ["prefix", "Look", eu, us, "The API"]) assert.ok(reached.has(name), `${name}: ${[...reached].join(" | ")}`);

  // Each region sees each other one.
  await until("every pair is up to date", async () =>
    (await seen.locator("#matrix td.good").count()) === 6 && (await text(seen, "#matrix")).includes("up to date"));
  await until("no alarm is raised", () => seen.locator("#alarms").isHidden());
  // What each replica did last, this one first.
  const peers = () => seen.locator("#peers tbody tr").allInnerTexts();
  await until("all replicas are told of", async () => (await peers()).length === 3);
  const [own, ...others] = await peers();
  assert.match(own, new RegExp(`^${ap}\\s+this one\\s`));
  for (const other of others) assert.match(other, /up to date\s+[\d.]+ (s|min) ago\s+[0-9a-f]{8}\/[0-9a-f]{8}/);
  assert.ok(await seen.locator("#access").isHidden(), "no token is asked for where none is needed");
  await until("there are lines", async () => (await seen.locator("#lines polyline").count()) === 6);
  await until("it costs something", async () => /\$0\.\d+/.test(await text(seen, "#here")));

  // A region is cut off: its bucket is gone. It goes on, the others are told, and both say what to do.
  await rename(join(folder, "buckets", eu), join(folder, "gone"));
  await post(eu, { op: "set", kind: "lww_register", path: "motto", value: "of eu" });
  await post(us, { op: "set", kind: "lww_register", path: "motto", value: "of us" });
  await until("the alarm is raised", async () => (await text(seen, "#alarms")).includes(eu));
  await until("it says what to do", async () => /Mend what the bucket says/.test(await text(seen, "#alarms")));
  await until("the matrix shows it", async () => /unheard for \d/.test(await text(seen, "#matrix")));
  await until("it is not ready", async () => (await (await fetch(`${at[eu]}/readyz`)).json()).not_ready.includes("bucket"));
  await shot(seen, "cut-off");
  await rename(join(folder, "gone"), join(folder, "buckets", eu));
  await until("the alarm is over", async () => seen.locator("#alarms").isHidden());

  // Both wrote while apart. One of the values is kept, with the keyboard.
  await until("the conflict is shown", async () => (await seen.locator(".candidate").count()) === 2);
  await shot(seen, "conflict");
  const keep = seen.getByRole("button", { name: 'Keep "of us" at motto' });
  await keep.focus();
  await seen.keyboard.press("Enter");
  await until("it is resolved", async () => (await text(seen, "#conflicts")).includes("There is none"));
  for (const region of REGIONS) {
    await until(`${region} has it`, async () => {
      const found = await (await fetch(`${at[region]}/v1/objects/motto`)).json();
      return found.values[0].value === "of us";
    });
  }

  await looks(seen, "page");
  assert.deepEqual(troubles, []);

  // A server that is gone is told too. (The browser complains of that by itself.)
  servers[us].kill("SIGTERM");
  assert.equal(await servers[us].ended, 0, servers[us].complained);
  await until("it is told", async () => (await text(seen, "#alarms")).includes("does not answer"));
  // When its own is gone too, the third still answers.
  servers[ap].kill("SIGTERM");
  assert.equal(await servers[ap].ended, 0, servers[ap].complained);
  await until("the page says so", async () => (await text(seen, "#ready")).includes("no answer"));
  await until("both are named", async () => (await text(seen, "#alarms")).includes(`${ap}: its server does not answer`));
  assert.ok(!(await text(seen, "#alarms")).includes(`${eu}: its server`), await text(seen, "#alarms"));
  servers[eu].kill("SIGTERM");
  assert.equal(await servers[eu].ended, 0, servers[eu].complained);
});

await test("a page that takes a token", async (folder, { page, troubles }) => {
  await run(folder, "init");
  await writeFile(join(folder, "tokens"), "ann read aaaaaaaaaaaaaaaa\nbob write bbbbbbbbbbbbbbbb\n");
  const [port] = await freePorts(1);
  const at = `http://127.0.0.1:${port}`;
  start(folder, "serve", "--region", REGIONS[0], "--listen", at.slice("http://".length), "--tokens", "tokens");
  await until("it is ready", async () => (await fetch(`${at}/readyz`)).ok);
  const response = await fetch(`${at}/v1/ops`, {
    method: "POST", headers: { "content-type": "application/json", authorization: "Bearer bbbbbbbbbbbbbbbb" },
    body: JSON.stringify(add("goals/Marta", 3)),
  });
  assert.equal(response.status, 200, await response.text());

  const seen = await page(`${at}/`);
  await until("a token is asked for", () => seen.locator("#access").isVisible());
  const give = async (token) => {
    await seen.locator("#token").fill(token);
    await seen.keyboard.press("Enter");
  };
  assert.ok(!(await text(seen, "#objects")).includes("Marta"), "nothing is shown before");
  const isTried = (answer) => answer.status() === 401 && answer.request().headers().authorization === "Bearer wrongwrongwrongwrong";
  const tried = ["/v1/status", "/v1/watch"].map((of) => seen.waitForResponse((answer) => answer.url().includes(of) && isTried(answer)));
  await give("wrongwrongwrongwrong");
  await Promise.all(tried);
  assert.ok(await seen.locator("#access").isVisible());
  assert.ok(!(await text(seen, "#objects")).includes("Marta"), "nor with a wrong one");
  await give("aaaaaaaaaaaaaaaa");
  await until("it is let in", async () => (await text(seen, "#objects")).includes("Marta"));
  await until("no more is asked for", () => seen.locator("#access").isHidden());
  assert.equal(await seen.locator("#token").inputValue(), "", "it is not left on the page");
  await seen.reload();
  await until("the tab remembers it", async () => (await text(seen, "#objects")).includes("Marta"));
  const another = await page(`${at}/`);
  await until("nobody else has it", () => another.locator("#access").isVisible());
  // The browser complains of each refusal, and of nothing else.
  assert.deepEqual(troubles.filter((trouble) => !trouble.includes("401")), []);
});

await test("a page that knows of no other server, and one that shows its token to them", async (folder, { page, troubles }) => {
  await writeFile(join(folder, "tokens"), "ann read aaaaaaaaaaaaaaaa\nbob write bbbbbbbbbbbbbbbb\n");
  const [us, eu, ap] = REGIONS;
  await run(folder, "init");
  const ports = await freePorts(REGIONS.length);
  const at = Object.fromEntries(REGIONS.map((region, index) => [region, `http://127.0.0.1:${ports[index]}`]));
  const more = { [us]: ["--cors", at[ap]], [eu]: [], [ap]: ["--sibling", `${us}=${at[us]}`] };
  const servers = REGIONS.map((region) =>
    start(folder, "serve", "--region", region, "--listen", at[region].slice("http://".length), "--tokens", "tokens", ...more[region]));
  for (const region of REGIONS) await until(`${region} is ready`, async () => (await fetch(`${at[region]}/readyz`)).ok);
  for (const region of [...REGIONS, ...REGIONS]) {
    const response = await fetch(`${at[region]}/v1/ops?durable=true`, {
      method: "POST", headers: { "content-type": "application/json", authorization: "Bearer bbbbbbbbbbbbbbbb" }, body: JSON.stringify(add("a", 1)),
    });
    assert.equal(response.status, 200, await response.text());
  }
  const enter = async (region) => {
    const seen = await page(`${at[region]}/`);
    await until("a token is asked for", () => seen.locator("#access").isVisible());
    await seen.locator("#token").fill("aaaaaaaaaaaaaaaa");
    await seen.keyboard.press("Enter");
    await until("it is let in", async () => (await text(seen, "#ready")) === "ready");
    return seen;
  };

  // It shows its own column, and in those of the others what they have told its server.
  const alone = await enter(eu);
  await until("every pair is shown", async () => (await cells(alone)).filter((cell) => /^(had all|lacked \d+), /.test(cell)).length === 4);
  assert.equal((await cells(alone)).filter((cell) => /up to date|behind/.test(cell)).length, 2, (await cells(alone)).join(" | "));
  await shot(alone, "alone");

  // With the token that it was given it asks a server of another origin, which lets it, and shows what that one says itself.
  const seen = await enter(ap);
  await until("both columns are known", async () =>
    (await cells(seen)).filter((cell) => /up to date|behind/.test(cell)).length === 4);
  assert.equal((await cells(seen)).filter((cell) => /^(had all|lacked \d+), /.test(cell)).length, 2, (await cells(seen)).join(" | "));
  assert.deepEqual(troubles.filter((trouble) => !trouble.includes("401")), []);
  for (const server of servers) {
    server.kill("SIGTERM");
    assert.equal(await server.ended, 0, server.complained);
  }
});
