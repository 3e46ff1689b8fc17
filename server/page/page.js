// The page: asks its server and those of the other regions how they are doing, and watches what changes.
// Whatever comes from a server is put in as text, never as markup.

const LOOK_MS = 1000, KEPT_MS = 5 * 60_000, SHOWN = 200, BEHIND_S = 5, LATE_S = 60;
const COLOURS = ["#2aa596", "#d08a1d", "#7a6bd0", "#c2527b", "#4d8ed6", "#7f8f2a", "#9a5c2e", "#5b7083", "#b04ab0"];
const DASHES = ["none", "6 3", "2 2", "8 3 2 3"]; // Of lines of one colour.

const by = (id) => document.getElementById(id);
const make = (name, attributes = {}, ...children) => {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
};
const drawn = (name, attributes, text) => {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  return node;
};
const store = {
  get token() { return sessionStorage.getItem("token") ?? ""; },
  set token(token) { sessionStorage.setItem("token", token); },
};

// --- Asking.

const headers = (more = {}) => (store.token ? { authorization: `Bearer ${store.token}`, ...more } : more);

async function ask(target, options = {}, origin = "") {
  const response = await fetch(origin + target, {
    ...options, headers: headers(options.headers), cache: "no-store", signal: options.signal ?? AbortSignal.timeout(8000),
  });
  if (response.status === 401 && !origin) by("access").hidden = false;
  const answer = await response.json();
  if (!response.ok) throw new Error(`${answer.detail}. ${answer.advice}`);
  return answer;
}

// --- Words.

const seconds = (s) => s < 0.05 ? "0 s" : s < 10 ? `${s.toFixed(1)} s` : s < 120 ? `${Math.round(s)} s`
  : s < 7200 ? `${Math.round(s / 60)} min` : `${Math.round(s / 3600)} h`;
const bytes = (b) => b < 1e4 ? `${b} B` : b < 1e7 ? `${Math.round(b / 1e3)} kB` : `${Math.round(b / 1e6)} MB`;
const number = (n) => n.toLocaleString("en-US");
const shown = (value) => value === undefined ? "too large to show" : JSON.stringify(value);
const short = (text, length = 300) => text.length > length ? `${text.slice(0, length)}…` : text;
const since = (moment, now) => moment ? `${seconds(Math.max(0, (Date.parse(now) - Date.parse(moment)) / 1000))} ago` : "never";

// --- How the regions are doing.

const regions = new Map(); // by name: { origin, status, failed }
let siblings = [];
const history = new Map(); // by "from→to": [{ at, lag }]

async function look() {
  const own = await ask("/v1/status").catch((error) => ({ error }));
  if (own.error) {
    state(`no answer: ${own.error.message}`, "bad");
    for (const region of regions.values()) region.failed ||= region.origin === "";
  } else {
    by("region").textContent = own.region;
    document.title = `${own.region} - Archipelago`;
    by("access").hidden = true;
    regions.set(own.region, { origin: "", status: own, failed: false });
    siblings = own.siblings;
  }
  await Promise.all(siblings.map(async ({ region, origin }) => {
    const status = await ask("/v1/status", { signal: AbortSignal.timeout(2000) }, origin).catch(() => null);
    const known = regions.get(region);
    regions.set(region, { origin, status: status ?? known?.status ?? null, failed: !status });
  }));
  if (!own.error) {
    state(own.not_ready.length ? `not ready: ${own.not_ready.join(", ")}` : "ready", own.not_ready.length ? "warn" : "good");
    showSiblings(own);
    showHere(own);
    showPeers(own);
  }
  remember();
  showMatrix();
  showLines();
  showAlarms();
}

function state(text, level) {
  by("ready").textContent = text;
  by("ready").className = `badge ${level}`;
}

function showSiblings(own) {
  const links = own.siblings.map(({ region, origin }) => make("a", { href: `${origin}/` }, region));
  if (by("siblings").children.length !== links.length) by("siblings").replaceChildren(...links);
}

// Which region a replica is in: its server says so, and else its name does.
function regionOf(replica) {
  for (const [name, { status }] of regions) if (status?.replica === replica) return name;
  return replica;
}

function remember() {
  const at = Date.now();
  for (const [key, points] of history) {
    const kept = points.filter((point) => at - point.at < KEPT_MS);
    kept.length ? history.set(key, kept) : history.delete(key);
  }
  for (const [to, { status, failed }] of regions) {
    for (const peer of status?.peers ?? []) {
      if (peer.state === "evicted") continue;
      const key = `${regionOf(peer.replica)}→${to}`;
      if (!history.has(key)) history.set(key, []);
      history.get(key).push({ at, lag: failed ? null : lagOf(status, peer) });
    }
  }
}

// A bucket that does not answer hides how far its log goes on: then the lag may be as long as that.
const isUnheard = (status, peer) => status.alarms.some(({ place, kind }) => place === `log ${peer.replica}` && kind === "store");
function lagOf(status, peer) {
  if (isUnheard(status, peer)) return Math.max(peer.answered_seconds ?? 0, peer.lag_seconds ?? 0);
  return peer.lag_seconds;
}

function showMatrix() {
  const names = [...regions.keys()].sort();
  const others = new Set();
  for (const { status } of regions.values()) for (const peer of status?.peers ?? []) others.add(regionOf(peer.replica));
  const told = pairs();
  const rows = [...new Set([...names, ...[...others].sort()])];
  const silent = [...others].filter((to) => !regions.has(to)).sort();
  names.push(...silent);
  const head = make("tr", {}, make("th", { scope: "col" }, "from \\ to"), ...names.map((name) => make("th", { scope: "col" }, name)));
  by("matrix").tHead.replaceChildren(head);
  by("matrix").tBodies[0].replaceChildren(...rows.map((from) => make("tr", {}, make("th", { scope: "row" }, from),
    ...names.map((to) => regions.has(to) ? cell(from, to) : toldCell(told.get(to)?.get(from))))));
}

// How far those have read whose servers nobody has named: what they have told the own replica, by reader and log.
function pairs() {
  const told = new Map();
  const own = [...regions.values()].find(({ origin }) => origin === "");
  for (const pair of (own?.failed ? null : own?.status?.pairs) ?? []) {
    const to = regionOf(pair.to);
    if (!told.has(to)) told.set(to, new Map());
    told.get(to).set(regionOf(pair.from), pair);
  }
  return told;
}

function toldCell(pair) {
  if (!pair) return make("td", { class: "unknown" }, "-");
  if (pair.told_seconds === null) return make("td", { class: "unknown" }, "not told");
  const says = pair.segments === 0 ? "had all" : `lacked ${number(pair.segments)}`;
  return make("td", { class: "unknown" }, `${says}, ${seconds(pair.told_seconds)} ago`);
}

function cell(from, to) {
  if (from === to) return make("td", { class: "unknown" }, "-");
  const { status, failed } = regions.get(to);
  const peer = status?.peers.find((peer) => regionOf(peer.replica) === from);
  if (failed) return make("td", { class: "bad" }, "no answer");
  if (!peer) return make("td", { class: "unknown" }, "not met");
  if (peer.state === "evicted") return make("td", { class: "unknown" }, "evicted");
  const lag = lagOf(status, peer);
  if (lag === null) return make("td", { class: "warn" }, peer.state);
  const level = lag > LATE_S ? "bad" : lag > BEHIND_S ? "warn" : "good";
  if (isUnheard(status, peer)) return make("td", { class: lag > LATE_S ? "bad" : "warn" }, `unheard for ${seconds(lag)}`);
  return make("td", { class: level }, lag === 0 ? "up to date" : `${seconds(lag)} behind`);
}

function showLines() {
  const [width, height, left, bottom] = [600, 160, 44, 18];
  const now = Date.now();
  const keys = [...history.keys()].sort();
  const most = Math.max(1, ...keys.flatMap((key) => history.get(key).map((point) => point.lag ?? 0)));
  const x = (at) => left + (width - left) * (1 - (now - at) / KEPT_MS);
  const y = (lag) => (height - bottom) * (1 - lag / most) + 2;
  const nodes = [];
  for (const part of [0, 0.5, 1]) {
    const at = y(most * part);
    nodes.push(drawn("line", { class: "axis", x1: left, x2: width, y1: at, y2: at }));
    nodes.push(drawn("text", { x: 0, y: at + (part === 1 ? 9 : 4) }, seconds(most * part)));
  }
  nodes.push(drawn("text", { x: left, y: height - 2 }, "5 minutes ago"));
  nodes.push(drawn("text", { x: width - 24, y: height - 2 }, "now"));
  keys.forEach((key, index) => {
    // A gap is left where nothing is known.
    let points = [];
    const line = () => {
      const dashes = DASHES[Math.floor(index / COLOURS.length) % DASHES.length];
      const stroke = { stroke: COLOURS[index % COLOURS.length], "stroke-dasharray": dashes };
      if (points.length) nodes.push(drawn("polyline", { points: points.join(" "), ...stroke }));
      points = [];
    };
    for (const { at, lag } of history.get(key)) lag === null ? line() : points.push(`${x(at).toFixed(1)},${y(lag).toFixed(1)}`);
    line();
  });
  by("lines").replaceChildren(...nodes);
  by("legend").replaceChildren(...keys.map((key, index) => {
    const mark = make("i");
    mark.style.borderColor = COLOURS[index % COLOURS.length];
    mark.style.borderStyle = index < COLOURS.length ? "solid" : "dashed";
    return make("span", {}, mark, key);
  }));
}

function showHere(own) {
  const requests = own.buckets.map((b) => `${b.region}: ${number(b.puts)} PUT, ${number(b.gets)} GET, ${number(b.lists)} LIST`);
  const rows = [
    ["Name", own.replica], ["Durable up to", own.durable], ["Waits for the bucket", bytes(own.pending_bytes)],
    ["Objects", `${number(own.objects)}, ${bytes(own.memory_bytes)}`], ["Watches", number(own.watches)],
    ["Requests", requests.join("\n")], ["Cost so far", `about $${own.cost_dollars.toFixed(5)}`],
  ];
  by("here").replaceChildren(...rows.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));
}

function showPeers(own) {
  const words = { in_sync: "up to date", behind: "behind", unread: "unread", evicted: "evicted" };
  const rows = own.peers.map((peer) => make("tr", {}, make("td", { class: "path" }, peer.replica),
    make("td", { class: peer.agrees === false ? "bad" : peer.state === "in_sync" ? "good" : "warn" },
      peer.agrees === false ? "differs!" : words[peer.state]),
    make("td", {}, since(peer.written, own.now)), make("td", {}, peer.applied ?? "-")));
  const here = make("tr", {}, make("td", { class: "path" }, own.replica), make("td", { class: own.ended ? "bad" : "good" },
    own.ended ? own.ended.kind : "this one"), make("td", {}, own.pending_bytes ? "now" : "-"), make("td", {}, own.durable));
  by("peers").tBodies[0].replaceChildren(here, ...rows);
}

// What a replica complains of. Of other regions that it does not reach it complains in many ways, and once is enough.
function alarmsOf(status) {
  const unreached = new Map(), alarms = [];
  for (const alarm of status.alarms) {
    const [, what, which] = alarm.place.match(/^(log|region) (.*)$/) ?? [];
    const region = (what === "log" && status.peers.find(({ replica }) => replica === which)?.region) || which;
    if (alarm.kind === "store" && region && region !== status.region) unreached.set(region, unreached.get(region) ?? alarm);
    else alarms.push([`${alarm.place}: ${alarm.says}`, alarm.advice]);
  }
  const [first] = unreached.values();
  if (first) alarms.push([`it does not reach ${[...unreached.keys()].sort().join(" and ")}`, `${first.advice} It says: ${first.says}`]);
  return alarms;
}

function showAlarms() {
  const alarms = [];
  for (const [name, { status, failed, origin }] of regions) {
    if (failed) {
      const advice = origin ? "Look whether its process runs and can be reached from here." : "Look whether the process runs.";
      alarms.push([name, "its server does not answer", advice]);
      continue;
    }
    if (status.ended) alarms.push([name, `it takes no writes: ${status.ended.says}`, status.ended.advice]);
    alarms.push(...alarmsOf(status).map((alarm) => [name, ...alarm]));
    for (const peer of status.peers) {
      const lag = peer.state === "evicted" ? 0 : lagOf(status, peer);
      if (lag > LATE_S) {
        alarms.push([name, `it is ${seconds(lag)} behind ${peer.replica}`,
          "Look at the alarms of both regions; if there is none, whether the other one runs."]);
      }
    }
  }
  const key = JSON.stringify(alarms);
  if (by("alarms").dataset.key === key) return;
  by("alarms").dataset.key = key;
  by("alarms").hidden = alarms.length === 0;
  by("alarms").querySelector("ul").replaceChildren(...alarms.map(([name, says, advice]) =>
    make("li", {}, make("b", {}, name), `: ${says} `, make("br"), make("span", { class: "note" }, advice))));
}

// --- Objects, live.

const objects = new Map(); // by path and kind
let watching = null, changed = new Set(), is_due = false, most = SHOWN;

const keyOf = ({ path, kind }) => `${path}\u0000${kind}`;

async function watch(prefix) {
  watching?.abort();
  const own = watching = new AbortController();
  let last = null;
  while (!own.signal.aborted) {
    try {
      const response = await fetch(`/v1/watch?prefix=${encodeURIComponent(prefix)}`,
        { headers: headers(last ? { "last-event-id": last } : {}), signal: own.signal });
      if (!response.ok) throw new Error((await response.json()).detail);
      note("");
      for await (const { id, event, data } of events(response.body)) {
        if (own.signal.aborted) return;
        take(event, data);
        last = id ?? last;
      }
    } catch (error) {
      if (own.signal.aborted) return;
      note(`not live: ${error.message}`);
    }
    await new Promise((done) => setTimeout(done, 1000));
  }
}

async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    text += value;
    const whole = text.split("\n\n");
    text = whole.pop();
    for (const part of whole) {
      const fields = Object.fromEntries(part.split("\n").filter((line) => !line.startsWith(":"))
        .map((line) => [line.slice(0, line.indexOf(": ")), line.slice(line.indexOf(": ") + 2)]));
      if (fields.data !== undefined) yield { ...fields, data: JSON.parse(fields.data) };
    }
  }
}

function take(event, data) {
  if (event === "snapshot") {
    if (data.part === 0) objects.clear();
    for (const object of data.objects) objects.set(keyOf(object), object);
  } else if (event === "change") {
    data.deleted ? objects.delete(keyOf(data)) : objects.set(keyOf(data), data.omitted ? { ...data, value: undefined } : data);
    changed.add(keyOf(data));
  }
  show();
}

// Soon, and not more often than an eye sees.
function show() {
  if (is_due) return;
  is_due = true;
  setTimeout(() => { is_due = false; showObjects(); showBoard(); changed = new Set(); }, 120);
}

function note(text) { by("objects-note").dataset.says = text; showNote(); }
function showNote() {
  const says = by("objects-note").dataset.says;
  const count = objects.size > most ? `${number(most)} of ${number(objects.size)}` : number(objects.size);
  by("more").hidden = objects.size <= most;
  by("objects-note").textContent = says || `${count} shown, live`;
}

function showObjects() {
  const sorted = [...objects.values()].sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0)).slice(0, most);
  by("objects").tBodies[0].replaceChildren(...sorted.map((object) =>
    make("tr", changed.has(keyOf(object)) ? { class: "new" } : {}, make("td", { class: "path" }, object.path),
      make("td", {}, object.kind), make("td", { class: "value" }, short(shown(object.value))))));
  showNote();
}

function showBoard() {
  const counters = [...objects.values()].filter(({ kind }) => kind.endsWith("_counter"));
  counters.sort((a, b) => b.value - a.value || (a.path < b.path ? -1 : 1));
  const most = Math.max(1, counters[0]?.value ?? 0);
  by("board").replaceChildren(...counters.slice(0, 10).map(({ path, value }, index) => {
    const bar = make("i");
    bar.style.width = `${Math.max(0, Math.min(100, (value / most) * 100))}%`;
    return make("li", {}, bar, make("span", {}, `${index + 1}`), make("span", {}, path), make("span", {}, number(value)));
  }));
  by("board-note").textContent = counters.length ? "The greatest counters of the paths that are looked at." : "There is no counter here.";
}

// --- Conflicts.

async function lookForConflicts() {
  const { conflicts, next } = await ask("/v1/conflicts?limit=50");
  const key = JSON.stringify([conflicts, next]);
  if (by("conflicts").dataset.key === key) return;
  by("conflicts").dataset.key = key;
  by("conflicts").replaceChildren(...(conflicts.length ? conflicts.map(showConflict) : [make("p", { class: "note" }, "There is none.")]));
  if (next) by("conflicts").append(make("p", { class: "note" }, "There are more behind these."));
}

function showConflict({ path, kind, writes }) {
  const seen = writes.map((write) => write.id);
  const candidates = writes.map((write) => {
    const button = make("button", { type: "button", "aria-label": `Keep ${short(shown(write.value), 40)} at ${path}` }, "Keep");
    button.addEventListener("click", () => resolve({ path, kind, keep: write.id, seen }, button));
    return make("div", { class: "candidate" }, button, make("code", {}, short(shown(write.value))),
      make("span", { class: "note" }, [...new Set([write.region, write.replica, write.time])].filter(Boolean).join(", ")));
  });
  return make("div", { class: "conflict" }, make("h3", {}, `${path} (${kind})`), ...candidates);
}

async function resolve(resolution, button) {
  button.disabled = true;
  try {
    await ask("/v1/conflicts/resolve", { method: "POST", body: JSON.stringify(resolution), headers: { "content-type": "application/json" } });
    by("said").textContent = `${resolution.path} is resolved.`;
  } catch (error) {
    by("said").textContent = error.message;
    button.disabled = false;
  }
  await lookForConflicts().catch(() => {});
}

// --- Beginning.

async function forever(action, pause) {
  for (;;) {
    await action().catch(() => {});
    await new Promise((done) => setTimeout(done, pause));
  }
}

by("more").addEventListener("click", () => {
  most += SHOWN;
  show();
});
by("search").addEventListener("submit", (event) => {
  event.preventDefault();
  objects.clear();
  most = SHOWN;
  show();
  window.history.replaceState(null, "", `#${encodeURIComponent(by("prefix").value)}`);
  watch(by("prefix").value);
});
by("access").addEventListener("submit", (event) => {
  event.preventDefault();
  store.token = by("token").value;
  by("token").value = "";
  watch(by("prefix").value);
});

forever(look, LOOK_MS);
forever(lookForConflicts, 2 * LOOK_MS);
// Where there are very many objects, an address with a prefix begins with those below it.
try {
  by("prefix").value = decodeURIComponent(location.hash.slice(1));
} catch { /* It is no prefix. */ }
watch(by("prefix").value);
