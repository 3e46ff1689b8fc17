// What the tests in a browser share: processes, pages, waiting.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createServer } from "node:net";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const { chromium } = await import(process.env.PLAYWRIGHT);

const running = new Set();

// The command, going on. It is stopped with the test, however that ends.
export const start = (folder, ...args) => startProgram("archipelago", folder, ...args);

// Any program of this repository.
export function startProgram(name, folder, ...args) {
  const child = spawn(join(process.env.PROGRAMS, name), args, { cwd: folder, stdio: ["ignore", "pipe", "pipe"] });
  running.add(child);
  child.said = "";
  child.complained = "";
  child.stdout.on("data", (data) => { child.said += data; });
  child.stderr.on("data", (data) => { child.complained += data; });
  child.ended = new Promise((done) => child.on("exit", (code, signal) => { running.delete(child); done(code ?? signal); }));
  return child;
}

// A command that ends well.
export async function run(folder, ...args) {
  const child = start(folder, ...args);
  assert.equal(await child.ended, 0, child.complained);
  return child.said;
}

export async function temporary() {
  const folder = await mkdtemp(join(tmpdir(), "archipelago-browser-"));
  return { folder, remove: () => rm(folder, { recursive: true, force: true }) };
}

export async function freePorts(count) {
  const servers = await Promise.all(Array.from({ length: count }, () => new Promise((done) => {
    const server = createServer().listen(0, "127.0.0.1", () => done(server));
  })));
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
  return ports;
}

// As many ports beside each other, of which the first is given.
export async function freePortsInARow(count) {
  for (;;) {
    const [first] = await freePorts(1);
    const servers = await Promise.allSettled(Array.from({ length: count }, (_, number) => new Promise((done, failed) => {
      const server = createServer().on("error", failed).listen(first + number, "127.0.0.1", () => done(server));
    })));
    await Promise.all(servers.map(({ value }) => value && new Promise((done) => value.close(done))));
    if (servers.every(({ value }) => value)) return first;
  }
}

// How long something is waited for that should come at once, or in some seconds. A busy machine takes longer, and no test is about
// how long it takes; in the demonstration a region may be cut off for half a minute just then.
const PATIENCE = 120_000;

export async function until(what, ask) {
  const end = Date.now() + PATIENCE;
  let last;
  for (;;) {
    try {
      const answer = await ask();
      if (answer) return answer;
    } catch (error) {
      last = error;
    }
    if (Date.now() > end) throw new Error(`it has not come to pass: ${what}${last ? `: ${last.message}` : ""}`);
    await new Promise((done) => setTimeout(done, 50));
  }
}

// A browser that calls this machine alone. `troubles` fills with what a page complains of, and what it asks of anybody else.
export async function open() {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM,
    args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run",
      "--disable-background-networking", "--disable-component-update", "--disable-sync"],
    timeout: PATIENCE,
  });
  const troubles = [];
  const page = async (url, options = {}) => {
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
    context.setDefaultTimeout(PATIENCE);
    const page = await context.newPage();
    page.on("console", (message) => { if (["error", "warning"].includes(message.type())) troubles.push(message.text()); });
    page.on("pageerror", (error) => troubles.push(String(error)));
    page.on("request", (request) => {
      if (!new URL(request.url()).hostname.startsWith("127.")) troubles.push(`asks for ${request.url()}`);
    });
    await page.goto(url);
    return page;
  };
  return { browser, page, troubles };
}

export const shot = (page, name) => page.screenshot({ path: join(process.env.SCREENSHOTS, `${name}.png`), fullPage: true });

// How a page looks: light, dark, and on a telephone, where nothing may stick out.
export async function looks(page, name) {
  await shot(page, `${name}-light`);
  await page.emulateMedia({ colorScheme: "dark" });
  await shot(page, `${name}-dark`);
  const size = page.viewportSize();
  await page.setViewportSize({ width: 380, height: 800 });
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.ok(overflow <= 0, `it is ${overflow} too wide`);
  await shot(page, `${name}-narrow`);
  await page.setViewportSize(size);
  await page.emulateMedia({ colorScheme: "light" });
}

// Runs a test, and leaves nothing behind.
export async function test(name, body) {
  const { folder, remove } = await temporary();
  const window = await open();
  try {
    await body(folder, window);
    console.log(`ok: ${name}`);
  } catch (error) {
    console.error(`FAILED: ${name}`);
    for (const child of running) console.error(child.said, child.complained);
    throw error;
  } finally {
    await window.browser.close();
    for (const child of running) child.kill("SIGKILL");
    await remove();
  }
}
