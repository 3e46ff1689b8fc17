// The example of a leaderboard: three pages, one region lost and back.

import assert from "node:assert/strict";

import { freePortsInARow, looks, shot, startProgram, test, until } from "./support.mjs";

await test("a leaderboard in three regions survives the loss of one", async (folder, { page, troubles }) => {
  const service = startProgram("leaderboard", folder, String(await freePortsInARow(3)));
  const urls = await until("it says where", () => {
    const found = service.said.match(/http:\S+/g);
    return found?.length === 3 && found;
  });
  const [us, eu, ap] = await Promise.all(urls.map((url) => page(url)));
  const text = (seen, selector) => seen.locator(selector).innerText();
  const count = async (seen, player, points, answer) => {
    await seen.getByLabel("Player").fill(player);
    await seen.getByLabel("Points").fill(String(points));
    await seen.keyboard.press("Enter");
    await until(`${answer} is answered`, async () => (await text(seen, "#said")).includes(answer));
  };
  const shows = (seen, ...rows) => until(`it shows ${rows}`, async () =>
    (await text(seen, "#top")).replace(/\s+/g, " ").trim() === rows.join(" "));

  await count(us, "Ada", 10, "Ada has 10, safe in us-east-1");
  await count(eu, "Ada <b>", 5, "Ada <b> has 5, safe in eu-west-1");
  await count(eu, "Bea", 12, "Bea has 12");
  for (const seen of [us, eu, ap]) await shows(seen, "1. Bea 12", "2. Ada 10", "3. Ada <b> 5");
  await count(ap, "Cyd", 2_000_000, "2,000,000");
  for (const seen of [us, eu, ap]) await shows(seen, "1. Cyd 2,000,000", "2. Bea 12", "3. Ada 10", "4. Ada <b> 5");
  await count(ap, "Cyd", -1_999_999, "Cyd has 1,");
  assert.deepEqual(troubles, []);

  // A region is lost. The others go on, and whoever looked at it goes on with them.
  await us.getByRole("button", { name: "Lose us-east-1" }).click();
  await until("its page follows another region", async () =>
    (await text(us, "#shown")) === "us-east-1 is lost. Live from eu-west-1 meanwhile.");
  await count(ap, "Bea", 20, "Bea has 32");
  await count(us, "Dov", 31, "Dov has 31, safe in eu-west-1");
  for (const seen of [us, eu, ap]) await shows(seen, "1. Bea 32", "2. Dov 31", "3. Ada 10", "4. Ada <b> 5", "5. Cyd 1");
  await until("the others know", async () => (await text(ap, "#regions")).includes("lost"));
  await shot(us, "leaderboard-lost");

  // It is back, with what it had and with what the others took.
  await us.getByRole("button", { name: "Bring us-east-1 back" }).click();
  await until("its page is back", async () => (await text(us, "#shown")) === "Live from us-east-1");
  await shows(us, "1. Bea 32", "2. Dov 31", "3. Ada 10", "4. Ada <b> 5", "5. Cyd 1");
  await count(us, "Ada", 100, "Ada has 110, safe in us-east-1");
  for (const seen of [us, eu, ap]) await shows(seen, "1. Ada 110", "2. Bea 32", "3. Dov 31", "4. Ada <b> 5", "5. Cyd 1");

  const refused = await fetch(new URL(`/score/${"x".repeat(2_000)}/1`, urls[0]), { method: "POST" });
  assert.equal(refused.status, 400, await refused.text());
  await looks(ap, "leaderboard");
  service.kill("SIGINT");
  assert.equal(await service.ended, 0, service.complained);
});
