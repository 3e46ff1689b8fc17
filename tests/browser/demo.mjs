// `archipelago demo --serve`, as a new user would try it.

import assert from "node:assert/strict";

import { shot, start, test, until } from "./support.mjs";

await test("the demonstration has a page for each region", async (folder, { page, troubles }) => {
  const demo = start(folder, "demo", "--serve", "--port", "0", "--json");
  const { urls } = JSON.parse(await until("it says where", () => demo.said.includes("\n") && demo.said));
  assert.equal(urls.length, 3);
  const pages = [];
  for (const url of urls) pages.push(await page(url));
  for (const seen of pages) {
    await until("the page is ready", async () => (await seen.locator("#ready").innerText()) === "ready");
    await until("there is a board", async () => (await seen.locator("#board li").count()) === 10);
    await until("every pair is met", async () => (await seen.locator("#matrix td.good, #matrix td.warn").count()) === 6);
  }
  const board = () => pages[2].locator("#board").innerText();
  const before = await board();
  await until("the board moves", async () => (await board()) !== before);
  // A conflict waits for somebody, and is decided on one page for all.
  const dispute = (seen) => seen.locator(".conflict", { hasText: "dispute/motto" });
  for (const seen of pages) await until("the dispute is shown", async () => (await dispute(seen).locator(".candidate").count()) === 3);
  if (process.env.PICTURE) {
    // The picture of the README shows a region that has been cut off for a while.
    await until("a region is cut off", () => pages[2].locator("#alarms").isVisible());
    await new Promise((done) => setTimeout(done, 15_000));
  }
  await shot(pages[2], "demo");
  await dispute(pages[0]).getByRole("button").first().click();
  for (const seen of pages) await until("it is decided", async () => (await dispute(seen).count()) === 0);
  assert.deepEqual(troubles, []);
  demo.kill("SIGINT");
  assert.equal(await demo.ended, 130, demo.complained);
});
