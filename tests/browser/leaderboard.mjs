// The example of a leaderboard: three pages, one region lost and back.

import assert from "node:assert/strict";
import { join } from "node:path";

import { shot, start, test, until } from "./support.mjs";

await test("a leaderboard in three regions survives the loss of one", async (folder, { page, troubles }) => {
  const service = start(folder, { command: process.env.LEADERBOARD }, join(folder, "buckets"));
  const urls = await until("it says where", () => {
    const found = service.said.match(/http:\S+/g);
    return found?.length === 3 && found;
  });
  const [us, eu, ap] = await Promise.all(urls.map((url) => page(url)));
  const count = async (seen, player, points) => {
    await seen.getByLabel("Player").fill(player);
    await seen.getByLabel("Points").fill(String(points));
    await seen.keyboard.press("Enter");
    await until("it is answered", async () => (await seen.locator("#said").innerText()).includes(player));
  };
  const shows = (seen, ...rows) => until(`it shows ${rows}`, async () => (await seen.locator("#top").innerText()).replace(/\s+/g, " ") === rows.join(" "));
  await count(us, "Ada", 10);
  await count(eu, "Ada", 5);
  await count(eu, "Bea", 12);
  for (const seen of [us, eu, ap]) await shows(seen, "1. Ada 15", "2. Bea 12");
  await us.getByRole("button", { name: "Lose it" }).click();
  await until("it is lost", async () => (await us.locator("#state").innerText()) === "lost");
  assert.deepEqual(troubles, []);
  await count(ap, "Bea", 20);
  for (const seen of [eu, ap]) await shows(seen, "1. Bea 32", "2. Ada 15");
  await us.getByRole("button", { name: "Bring it back" }).click();
  await shows(us, "1. Bea 32", "2. Ada 15");
  await count(us, "Ada", 100);
  for (const seen of [us, eu, ap]) await shows(seen, "1. Ada 115", "2. Bea 32");
  await shot(ap, "leaderboard");
  service.kill("SIGINT");
  assert.equal(await service.ended, 0, service.complained);
});
