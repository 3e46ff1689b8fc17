// The example of a shared list: three pages, one region cut off and back, and what was done apart is merged.

import assert from "node:assert/strict";

import { freePortsInARow, looks, shot, startProgram, test, until } from "./support.mjs";

await test("a list of three regions merges what was done apart", async (folder, { page, troubles }) => {
  const service = startProgram("todo", folder, String(await freePortsInARow(3)));
  const urls = await until("it says where", () => {
    const found = service.said.match(/http:\S+/g);
    return found?.length === 3 && found;
  });
  const pages = await Promise.all(urls.map((url) => page(url)));
  const [us, eu, ap] = pages;
  const add = async (seen, title) => {
    await seen.getByLabel("What is to be done").fill(title);
    await seen.keyboard.press("Enter");
    await until(`${title} is there`, async () => (await titles(seen)).includes(title));
  };
  const values = (seen, selector) => seen.locator(selector).evaluateAll((inputs) => inputs.map((input) => input.value));
  const titles = (seen) => values(seen, "#items .title");
  const shows = (seen, ...wanted) => until(`it shows ${wanted}`, async () =>
    (await titles(seen)).join() === wanted.join());
  // By what it is called there.
  const item = async (seen, title) => seen.locator("#items > li").nth((await titles(seen)).indexOf(title));
  const write = async (seen, title, label, text) => {
    await (await item(seen, title)).getByLabel(label).fill(text);
    await seen.keyboard.press("Enter");
  };
  const notes = async (seen, title) => (await item(seen, title)).getByLabel("Note").inputValue();

  await add(us, "Buy <b>bread</b>");
  await add(eu, "Water the plants");
  await add(ap, "Call Marta");
  const all = ["Buy <b>bread</b>", "Water the plants", "Call Marta"];
  for (const seen of pages) await shows(seen, ...all);
  await (await item(eu, all[0])).getByLabel("Done").check();
  await write(eu, all[1], "Note", "twice a week");
  for (const seen of pages) {
    await until("it is done everywhere", async () => (await item(seen, all[0])).getByLabel("Done").isChecked());
    await until("the note is everywhere", async () => (await notes(seen, all[1])) === "twice a week");
  }

  // One region is cut off. Each side goes on alone, and they contradict each other in every way there is.
  await us.getByRole("button", { name: "Cut us-east-1 off" }).click();
  await until("it says so", async () => (await us.locator("#state").innerText()).includes("is cut off"));
  await add(us, "Written offline");
  await write(us, all[1], "Note", "only on Sundays");
  await write(us, all[2], "Title", "Call Marta and Pele");
  await (await item(us, all[0])).getByRole("button", { name: "Remove" }).click();
  await write(eu, all[1], "Note", "every day");
  await (await item(eu, all[2])).getByRole("button", { name: "Remove" }).click();
  await add(ap, "Written elsewhere");
  await shows(us, "Water the plants", "Call Marta and Pele", "Written offline");
  for (const seen of [eu, ap]) await shows(seen, "Buy <b>bread</b>", "Water the plants", "Written elsewhere");
  await shot(us, "todo-cut-off");

  // It is back: both additions are there, a removal stands, and does not where somebody else went on with it.
  await us.getByRole("button", { name: "Let us-east-1 reach the others" }).click();
  for (const seen of pages) {
    await shows(seen, "Water the plants", "Call Marta and Pele", "Written offline", "Written elsewhere");
    // Both notes stand beside each other.
    await until("the conflict is shown", async () => (await seen.locator(".conflict:visible li").count()) === 3);
    const conflict = await seen.locator(".conflict:visible").innerText();
    assert.ok(conflict.includes("only on Sundays") && conflict.includes("every day"), conflict);
  }
  await looks(eu, "todo");
  await eu.locator(".conflict:visible li", { hasText: "only on Sundays" }).getByRole("button", { name: "Keep this" }).first().click();
  for (const seen of pages) {
    await until("it is decided", async () => (await seen.locator(".conflict:visible").count()) === 0);
    await until("that note stays", async () => (await notes(seen, "Water the plants")) === "only on Sundays");
  }

  // Whoever writes over something that he has not seen is told.
  const { items } = JSON.parse(await firstEvent(new URL("/list", urls[0])));
  const refused = await fetch(new URL(`/items/${items[0].id}`, urls[0]), {
    method: "PUT", headers: { "content-type": "application/json" }, body: JSON.stringify({ note: ["unseen", ["every day"]] }),
  });
  assert.equal(refused.status, 409);
  assert.deepEqual(troubles, []);
  service.kill("SIGINT");
  assert.equal(await service.ended, 0, service.complained);
});

async function firstEvent(url) {
  const stop = new AbortController();
  let text = "";
  for await (const chunk of (await fetch(url, { signal: stop.signal })).body) {
    text += Buffer.from(chunk);
    const event = text.match(/^data: ?(.*)\n\n/);
    if (event) return event[1];
  }
  throw new Error("it has ended");
}
