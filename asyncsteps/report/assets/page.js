"use strict";
// The data: one entry a submission of a step ("span"), sorted by the segments of the names, so that whatever lies
// below a name is a range of spans. Times are milliseconds since the run began.
const data = JSON.parse(document.getElementById("data").textContent);
const STATUSES = ["completed", "failed", "cancelled", "skipped", "scheduled"];
const SHOWN = ["completed", "forced", "failed", "cancelled", "skipped", "scheduled"];
const COUNT = data.queued.length;
const NAMES_WIDTH = 300;
// In the overview and the filters what needs a look comes first.
const IN_ORDER = ["failed", "cancelled", "scheduled", "completed", "forced", "skipped"];
const ROW = 20;
const GUTTER = 8;
const $ = (id) => document.getElementById(id);

const names = decodeNames(data.names);
const queued = Float64Array.from(data.queued);
const ended = new Float64Array(COUNT);
const started = new Float64Array(COUNT); // NaN where nothing ran
const kind = new Uint8Array(COUNT); // an index of SHOWN
for (let i = 0; i < COUNT; i++) {
  const waited = data.waited[i];
  started[i] = waited === null ? NaN : queued[i] + waited;
  ended[i] = (waited === null ? queued[i] : started[i]) + data.lasted[i];
  const status = STATUSES[data.status[i]];
  kind[i] = SHOWN.indexOf(status === "completed" && data.forced[i] === "1" ? "forced" : status);
}
const LONGEST = Math.max(data.run.seconds * 1000, ended.reduce((a, b) => Math.max(a, b), 0), 1);

const state = { hidden: new Set(), find: "", from: 0, to: LONGEST, selected: null, rows: [], open: new Set() };
let mask = new Uint8Array(COUNT);
let shownBefore = new Uint32Array(COUNT + 1); // how many spans before each are shown
const ranBefore = new Float64Array(COUNT + 1); // how long all spans before each ran
const failedBefore = new Uint32Array(COUNT + 1); // how many of them failed
for (let i = 0; i < COUNT; i++) failedBefore[i + 1] = failedBefore[i] + (SHOWN[kind[i]] === "failed" ? 1 : 0);
for (let i = 0; i < COUNT; i++) ranBefore[i + 1] = ranBefore[i] + (isNaN(started[i]) ? 0 : ended[i] - started[i]);
const root = buildTree();
const byName = new Map();
(function index(node) { byName.set(node.name, node); node.children.forEach(index); })(root);

function decodeNames(coded) {
  const decoded = [];
  for (let i = 0, before = ""; i < coded.length; i += 2) {
    before = before.slice(0, coded[i]) + coded[i + 1];
    decoded.push(before);
  }
  return decoded;
}

// The hierarchy of names. A node that only leads to one other is shown with it, as "a.b".
function buildTree() {
  const top = { name: "", label: "", depth: -1, first: 0, end: COUNT, own: 0, children: [], parent: null };
  const path = [top];
  let segments = [];
  for (let i = 0; i < COUNT; i++) {
    const mine = names[i].split(".");
    let shared = 0;
    while (shared < segments.length && shared < mine.length && segments[shared] === mine[shared]) shared++;
    while (path.length > shared + 1) path.pop().end = i;
    for (let level = shared; level < mine.length; level++) {
      const parent = path[path.length - 1];
      const node = { name: mine.slice(0, level + 1).join("."), label: mine[level], depth: level, first: i, end: COUNT,
                     own: 0, children: [], parent };
      parent.children.push(node);
      path.push(node);
    }
    path[path.length - 1].own++;
    segments = mine;
  }
  (function merge(node, depth) {
    node.depth = depth;
    node.children = node.children.map((child) => {
      let last = child, label = child.label;
      while (last.own === 0 && last.children.length === 1) { last = last.children[0]; label += "." + last.label; }
      last.label = label;
      last.parent = node;
      return last;
    });
    node.children.forEach((child) => merge(child, depth + 1));
  })(top, -1);
  return top;
}

const shownIn = (node) => shownBefore[node.end] - shownBefore[node.first];

// Filters, and the rows that they leave.

function filter() {
  const wanted = state.find.toLowerCase();
  const found = wanted ? data.reasons.map((each) => each.some((reason) => reason.toLowerCase().includes(wanted))) : [];
  for (let i = 0; i < COUNT; i++) {
    let shown = !state.hidden.has(SHOWN[kind[i]]) && ended[i] >= state.from && queued[i] <= state.to;
    if (shown && wanted)
      shown = names[i].toLowerCase().includes(wanted) || found[data.why[i]] ||
        (data.errors[i] || "").toLowerCase().includes(wanted);
    mask[i] = shown ? 1 : 0;
    shownBefore[i + 1] = shownBefore[i] + mask[i];
  }
  $("shown").textContent = `${number(shownBefore[COUNT])} of ${number(COUNT)} shown`;
  $("whole").disabled = state.from === 0 && state.to === LONGEST;
  layout();
}

function layout() {
  const rows = [];
  (function walk(node) {
    for (const child of node.children) {
      if (!shownIn(child)) continue;
      rows.push(child);
      if (child.children.length && state.open.has(child.name)) walk(child);
    }
  })(root);
  state.rows = rows;
  $("spacer").style.height = rows.length * ROW + "px";
  $("rows").setAttribute("aria-rowcount", rows.length);
  draw();
}

// Open level by level, as long as it stays easy to see.
function openEvenly(most) {
  state.open.clear();
  let level = root.children, count = level.length;
  while (level.length) {
    const next = level.flatMap((node) => node.children);
    if (!next.length || count + next.length > most) break;
    level.forEach((node) => node.children.length && state.open.add(node.name));
    count += next.length;
    level = next;
  }
}

// Drawing.

let colours = {};
function readColours() {
  const style = getComputedStyle(document.documentElement);
  for (const name of [...SHOWN, "queued", "text", "faint", "line", "back", "selected", "accent"])
    colours[name] = style.getPropertyValue("--" + name).trim();
}

function context(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  canvas.style.width = width + "px";
  canvas.style.height = height + "px";
  const drawing = canvas.getContext("2d");
  drawing.scale(ratio, ratio);
  drawing.font = "11px system-ui, sans-serif";
  return drawing;
}

let scheduled = false;
function draw() {
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(() => { scheduled = false; drawLoad(); drawAxis(); drawRows(); });
}

// The average number of spans under way in each pixel: those in part of it count in part.
function coverage(begins, ends, width, from, to, chosen) {
  const steps = new Float64Array(width + 2), part = new Float64Array(width + 1);
  const scale = width / (to - from);
  for (let i = 0; i < COUNT; i++) {
    if (!chosen(i)) continue;
    const a = Math.max(0, (begins[i] - from) * scale), b = Math.min(width, (ends[i] - from) * scale);
    if (!(b > a)) continue;
    const first = Math.floor(a), last = Math.floor(b);
    if (first === last) { part[first] += b - a; continue; }
    part[first] += first + 1 - a;
    part[last] += b - last;
    steps[first + 1]++;
    steps[last]--;
  }
  const heights = new Float64Array(width);
  for (let x = 0, level = 0; x < width; x++) { level += steps[x]; heights[x] = level + part[x]; }
  return heights;
}

let load = null;
function drawLoad() {
  const canvas = $("load"), width = canvas.parentElement.clientWidth - 2, height = 82;
  const drawing = context(canvas, width, height);
  const plot = Math.max(10, width - NAMES_WIDTH - GUTTER);
  if (!load || load.running.length !== plot) {
    const ran = (i) => !isNaN(started[i]);
    load = { running: coverage(started, ended, plot, 0, LONGEST, ran), queued: coverage(queued, started, plot, 0, LONGEST, ran) };
    load.most = load.running.reduce((a, b) => Math.max(a, b), 0);
    load.mostQueued = load.queued.reduce((a, b) => Math.max(a, b), 0);
  }
  const curve = (heights, most) => {
    drawing.beginPath();
    drawing.moveTo(NAMES_WIDTH, height);
    heights.forEach((value, x) => drawing.lineTo(NAMES_WIDTH + x, height - (value / (most || 1)) * (height - 16)));
    drawing.lineTo(NAMES_WIDTH + plot, height);
  };
  curve(load.running, load.most);
  drawing.fillStyle = colours.accent;
  drawing.globalAlpha = 0.6;
  drawing.fill();
  drawing.globalAlpha = 1;
  if (load.mostQueued > 0) {
    curve(load.queued, load.mostQueued);
    drawing.strokeStyle = colours.faint;
    drawing.setLineDash([4, 3]);
    drawing.stroke();
    drawing.setLineDash([]);
  }
  drawing.fillStyle = colours.accent;
  const told = (value) => (value < 10 ? value.toFixed(1).replace(".0", "") : number(Math.round(value)));
  drawing.fillText(`running: up to ${told(load.most)}`, 10, 24);
  drawing.fillStyle = colours.faint;
  drawing.fillText(`queued: up to ${told(load.mostQueued)}`, 10, 42);
  drawing.fillText(`${duration(LONGEST)} in all`, 10, 60);
  if (state.from > 0 || state.to < LONGEST) {
    const x = (t) => NAMES_WIDTH + (t / LONGEST) * plot;
    drawing.globalAlpha = 0.65;
    drawing.fillStyle = colours.back;
    drawing.fillRect(NAMES_WIDTH, 0, x(state.from) - NAMES_WIDTH, height);
    drawing.fillRect(x(state.to), 0, NAMES_WIDTH + plot - x(state.to), height);
    drawing.globalAlpha = 1;
    drawing.strokeStyle = colours.accent;
    drawing.strokeRect(x(state.from), 0.5, Math.max(1, x(state.to) - x(state.from)), height - 1);
  }
}

function plotWidth() { return Math.max(10, $("rows").clientWidth - NAMES_WIDTH - GUTTER); }

function drawAxis() {
  const width = $("timeline").clientWidth, drawing = context($("axis"), width, 21), plot = plotWidth();
  const span = state.to - state.from, rough = span / Math.max(2, plot / 110);
  const unit = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 15e3, 3e4, 6e4, 12e4, 3e5, 6e5, 9e5, 18e5, 36e5,
                72e5, 144e5, 288e5, 864e5].find((each) => each >= rough) || Math.ceil(rough / 864e5) * 864e5;
  drawing.fillStyle = colours.faint;
  drawing.strokeStyle = colours.line;
  for (let t = Math.ceil(state.from / unit) * unit; t <= state.to; t += unit) {
    const x = NAMES_WIDTH + ((t - state.from) / span) * plot;
    drawing.beginPath(); drawing.moveTo(x, 14); drawing.lineTo(x, 21); drawing.stroke();
    const label = duration(t);
    drawing.fillText(label, Math.min(x + 3, width - drawing.measureText(label).width - 4), 12);
  }
}

function drawRows() {
  const rows = $("rows"), top = rows.scrollTop, height = rows.clientHeight, plot = plotWidth();
  const first = Math.floor(top / ROW), last = Math.min(state.rows.length, Math.ceil((top + height) / ROW));
  const drawing = context($("bars"), rows.clientWidth, height);
  const elements = [];
  for (let r = first; r < last; r++) {
    const node = state.rows[r], y = r * ROW - top;
    if (node === state.selected) {
      drawing.fillStyle = colours.selected;
      drawing.fillRect(NAMES_WIDTH, y, plot + GUTTER, ROW);
    }
    if (node.own && !(node.children.length && !state.open.has(node.name))) drawSpans(drawing, node, y, plot);
    else drawGroup(drawing, node, y, plot);
    elements.push(nameOf(node, r, y));
  }
  $("names").replaceChildren(...elements);
  $("names").style.height = height + "px";
  const active = state.selected && elements.find((each) => each.dataset.name === state.selected.name);
  if (active) rows.setAttribute("aria-activedescendant", active.id);
  else rows.removeAttribute("aria-activedescendant");
}

function drawSpans(drawing, node, y, plot) {
  const scale = plot / (state.to - state.from), limit = NAMES_WIDTH + plot;
  const x = (t) => Math.min(limit, Math.max(NAMES_WIDTH, NAMES_WIDTH + (t - state.from) * scale));
  for (let i = node.first; i < node.first + node.own; i++) {
    if (!mask[i]) continue;
    const ran = !isNaN(started[i]), begin = ran ? started[i] : queued[i];
    if (ran && x(begin) - x(queued[i]) > 0.5) {
      drawing.fillStyle = colours.queued;
      drawing.fillRect(x(queued[i]), y + 8, x(begin) - x(queued[i]), 4);
    }
    drawing.fillStyle = colours[SHOWN[kind[i]]];
    if (ran) drawing.fillRect(x(begin), y + 4, Math.max(2, x(ended[i]) - x(begin)), ROW - 8);
    else { drawing.beginPath(); drawing.arc(x(begin) + 3, y + ROW / 2, 3, 0, 7); drawing.fill(); }
    drawing.fillStyle = colours.back;
    for (const attempt of data.attempts[i] || []) drawing.fillRect(x(attempt) - 1, y + 4, 2, ROW - 8);
  }
}

// A closed group: how much of it ran when, and where something failed.
function drawGroup(drawing, node, y, plot) {
  const scale = plot / (state.to - state.from);
  const steps = new Float64Array(plot + 2), bad = new Uint8Array(plot + 1), still = new Uint8Array(plot + 1);
  for (let i = node.first; i < node.end; i++) {
    if (!mask[i]) continue;
    const ran = !isNaN(started[i]);
    const a = Math.floor(((ran ? started[i] : queued[i]) - state.from) * scale);
    const b = Math.floor((ended[i] - state.from) * scale);
    const from = Math.max(0, Math.min(plot, a)), to = Math.max(0, Math.min(plot, b));
    if (!ran) { still[from] = 1; continue; }
    steps[from]++;
    steps[to + 1]--;
    if (SHOWN[kind[i]] === "failed") bad[to] = 1;
  }
  let most = 0;
  for (let x = 0, level = 0; x < plot; x++) { level += steps[x]; most = Math.max(most, level); }
  drawing.fillStyle = colours.completed;
  for (let x = 0, level = 0; x < plot; x++) {
    level += steps[x];
    if (level > 0) {
      drawing.globalAlpha = 0.3 + 0.7 * (level / most);
      drawing.fillRect(NAMES_WIDTH + x, y + 5, 1, ROW - 10);
    }
  }
  drawing.globalAlpha = 1;
  drawing.fillStyle = colours.skipped;
  for (let x = 0; x <= plot; x++) if (still[x]) drawing.fillRect(NAMES_WIDTH + x, y + ROW - 5, 2, 2);
  drawing.fillStyle = colours.failed;
  for (let x = 0; x <= plot; x++) if (bad[x]) drawing.fillRect(NAMES_WIDTH + x - 1, y + 2, 3, ROW - 4);
}

function nameOf(node, index, y) {
  const element = document.createElement("div");
  element.id = "row-" + index;
  element.dataset.name = node.name;
  element.setAttribute("role", "row");
  element.setAttribute("aria-level", node.depth + 1);
  element.setAttribute("aria-rowindex", index + 1);
  element.setAttribute("aria-selected", node === state.selected);
  if (node.children.length) element.setAttribute("aria-expanded", state.open.has(node.name));
  element.style.top = y + "px";
  element.style.paddingLeft = 6 + Math.min(node.depth, 8) * 14 + "px";
  element.title = node.name;
  const twist = document.createElement("span");
  twist.className = "twist";
  twist.textContent = node.children.length ? (state.open.has(node.name) ? "▾" : "▸") : "";
  element.append(twist);
  if (node.own) {
    const dot = document.createElement("span");
    dot.className = "dot";
    dot.style.setProperty("--of", `var(--${SHOWN[kind[node.first + node.own - 1]]})`);
    element.append(dot);
  }
  const cell = document.createElement("span");
  cell.setAttribute("role", "rowheader");
  cell.textContent = node.label;
  element.append(cell);
  if (node.own) cell.append(make("span", ", " + wordOf(kind[node.first + node.own - 1]), "unseen"));
  if (node.children.length) {
    element.append(make("span", number(shownIn(node)), "count"));
    const failed = failedBefore[node.end] - failedBefore[node.first];
    if (failed) element.append(make("span", `${number(failed)} failed`, "bad"));
  }
  return element;
}

// Selecting, opening, moving.

function toggle(node, open = !state.open.has(node.name)) {
  if (!node.children.length) return;
  if (open) state.open.add(node.name); else state.open.delete(node.name);
  layout();
}

function select(node, { show = false } = {}) {
  state.selected = node;
  const index = state.rows.indexOf(node), rows = $("rows");
  if (index >= 0) {
    if (index * ROW < rows.scrollTop) rows.scrollTop = index * ROW;
    const below = (index + 1) * ROW - rows.clientHeight;
    if (below > rows.scrollTop) rows.scrollTop = below;
  }
  if (show) detail(node); else $("detail").hidden = true;
  draw();
}

function reveal(name) {
  const node = byName.get(name);
  if (!node) return;
  if (!shownIn(node)) { clearFilters(); }
  for (let above = node.parent; above && above !== root; above = above.parent) state.open.add(above.name);
  layout();
  select(node, { show: true });
  $("rows").scrollIntoView({ block: "center" });
  $("rows").focus({ preventScroll: true });
}

function detail(node) {
  const panel = $("detail");
  panel.replaceChildren(make("h3", node.name));
  if (node.own) {
    for (let i = node.first; i < Math.min(node.first + node.own, node.first + 20); i++) panel.append(facts(i));
    if (node.own > 20) panel.append(make("p", `and ${number(node.own - 20)} more submissions`));
  }
  if (node.children.length) {
    const counts = new Map();
    for (let i = node.first; i < node.end; i++) counts.set(kind[i], (counts.get(kind[i]) || 0) + 1);
    const told = [...counts].sort().map(([each, count]) => `${number(count)} ${SHOWN[each]}`).join(", ");
    panel.append(make("p", `${number(node.end - node.first)} steps: ${told}; ${duration(ranBefore[node.end] - ranBefore[node.first])} of running in all`));
  }
  panel.hidden = false;
}

function facts(i) {
  const list = make("dl");
  const add = (name, value) => list.append(make("dt", name), value instanceof Node ? inside("dd", value) : make("dd", value));
  add("status", wordOf(kind[i]) + (data.forced[i] === "1" && SHOWN[kind[i]] !== "forced" ? ", forced" : ""));
  const why = data.why[i];
  if (data.reasons[why].length) add("because", data.reasons[why].join(", ") +
    (data.more[why] ? ` and ${number(data.more[why])} more` : ""));
  add("submitted", `after ${duration(queued[i])}, at ${clock(queued[i])}`);
  if (!isNaN(started[i])) {
    add("waited for a slot", duration(started[i] - queued[i]));
    add("ran", duration(ended[i] - started[i]));
  }
  if (data.again[i]) add("attempts", String(data.again[i] + 1));
  if (data.errors[i]) add("error", make("pre", data.errors[i]));
  return list;
}

// Tables.

function stepButton(name) {
  const button = make("button", name);
  button.type = "button";
  button.addEventListener("click", () => reveal(name));
  return button;
}

function table(place, heads, rows, none) {
  if (!rows.length) { $(place).replaceChildren(inside("p", make("span", none), "none")); return; }
  const shown = make("table"), head = make("tr");
  heads.forEach(([text, isNumber]) => { const th = make("th", text, isNumber ? "number" : ""); th.scope = "col"; head.append(th); });
  shown.append(inside("thead", head));
  const body = make("tbody");
  for (const row of rows) {
    const line = make("tr");
    row.forEach((cell, c) => {
      const kindOf = heads[c][1] ? "number" : "";
      line.append(cell instanceof Node ? inside("td", cell, kindOf) : make("td", cell, kindOf));
    });
    body.append(line);
  }
  shown.append(body);
  $(place).replaceChildren(shown);
}

function tables() {
  const failed = [], ran = [];
  for (let i = 0; i < COUNT; i++) {
    if (SHOWN[kind[i]] === "failed") failed.push(i);
    if (!isNaN(started[i])) ran.push(i);
  }
  const told = failed.slice(0, 100).map((i) => [stepButton(names[i]), make("pre", data.errors[i] || "")]);
  if (failed.length > 100) told.push([make("span", `and ${number(failed.length - 100)} more`), ""]);
  table("failures", [["step"], ["error"]], told, "Nothing failed.");
  ran.sort((a, b) => ended[b] - started[b] - (ended[a] - started[a]));
  table("slow", [["step"], ["ran", true], ["waited", true]], ran.slice(0, 15).map((i) =>
    [stepButton(names[i]), duration(ended[i] - started[i]), duration(started[i] - queued[i])]), "Nothing ran.");
  const groups = [...byName.values()].filter((node) => node !== root && node.children.length)
    .map((node) => [node, ranBefore[node.end] - ranBefore[node.first]]).filter((each) => each[1] > 0)
    .sort((a, b) => b[1] - a[1]).slice(0, 15);
  table("groups", [["group"], ["steps", true], ["ran in all", true]], groups.map(([node, time]) =>
    [stepButton(node.name), number(node.end - node.first), duration(time)]), "There are no groups.");
  table("causes", [["cause"], ["forced steps", true]], data.causes.map((each) => {
    const cell = make("details"), summary = make("summary");
    summary.textContent = each.step ? `${each.cause} was played` : each.cause;
    cell.append(summary);
    each.steps.forEach((step) => cell.append(inside("div", stepButton(step))));
    if (each.count > each.steps.length) cell.append(make("div", `and ${number(each.count - each.steps.length)} more`));
    return [cell, number(each.count)];
  }), "Nothing was forced.");
}

// Words and elements.

function make(tag, text = "", kindOf = "") {
  const element = document.createElement(tag);
  if (text) element.textContent = text;
  if (kindOf) element.className = kindOf;
  return element;
}
function inside(tag, child, kindOf = "") { const element = make(tag, "", kindOf); element.append(child); return element; }
function number(value) { return value.toLocaleString("en"); }
function duration(millis) {
  if (millis < 0.05) return "0 s";
  if (millis < 1000) return `${millis < 10 ? millis.toFixed(1) : Math.round(millis)} ms`;
  if (millis < 60000) return `${(millis / 1000).toFixed(millis < 10000 ? 1 : 0).replace(/\.0$/, "")} s`;
  const seconds = Math.round(millis / 1000);
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min${seconds % 60 ? ` ${seconds % 60} s` : ""}`;
  const minutes = Math.round(seconds / 60);
  return `${Math.floor(minutes / 60)} h${minutes % 60 ? ` ${minutes % 60} min` : ""}`;
}
function wordOf(each) { return { forced: "forced, completed", scheduled: "no end known" }[SHOWN[each]] || SHOWN[each]; }
function clock(millis) {
  const at = Date.parse(data.run.began) + millis;
  return isNaN(at) ? "an unknown time" : new Date(at).toISOString().slice(11, 19) + " UTC";
}
function flat(value) { return typeof value === "object" ? JSON.stringify(value) : String(value); }

// The top of the page.

function overview() {
  const { run } = data;
  $("title").textContent = run.workflow || run.run;
  const how = make("b", run.outcome || "no end recorded");
  how.style.setProperty("--of", `var(--${{ completed: "completed", failed: "failed" }[run.outcome] || "cancelled"})`);
  $("subtitle").append(`run ${run.run} · began ${run.began.replace("T", " ").slice(0, 19)} UTC · ${duration(LONGEST)} · `, how);
  const counts = new Array(SHOWN.length).fill(0);
  for (let i = 0; i < COUNT; i++) counts[kind[i]]++;
  IN_ORDER.forEach((status) => {
    const each = SHOWN.indexOf(status);
    if (!counts[each]) return;
    const item = make("li"), label = wordOf(each);
    item.style.setProperty("--of", `var(--${status})`);
    item.append(make("b", number(counts[each])), " " + label);
    $("counts").append(item);
    const button = make("button", label);
    button.type = "button";
    button.style.setProperty("--of", `var(--${status})`);
    button.setAttribute("aria-pressed", "true");
    button.dataset.status = status;
    button.addEventListener("click", () => {
      const hidden = state.hidden.delete(status) ? false : Boolean(state.hidden.add(status));
      button.setAttribute("aria-pressed", String(!hidden));
      filter();
    });
    $("statuses").append(button);
  });
  for (const note of run.notes) { $("notes").append(make("li", note)); $("notes").hidden = false; }
  alarms();
  const about = Object.entries(run.about);
  $("about").hidden = !about.length;
  for (const [name, value] of about) $("about").querySelector("dl").append(make("dt", name), make("dd", flat(value)));
}

// Failures that read alike are told in one, the most frequent first.
function alarms() {
  const alike = new Map();
  for (let i = 0; i < COUNT; i++) {
    if (SHOWN[kind[i]] !== "failed") continue;
    const error = data.errors[i] || "no error is told";
    if (!alike.has(error)) alike.set(error, []);
    alike.get(error).push(i);
  }
  const told = [...alike].sort((a, b) => b[1].length - a[1].length);
  for (const [error, steps] of told.slice(0, 3)) {
    const item = make("li"), shown = error.length > 200 ? error.slice(0, 200) + "…" : error;
    item.append(make("b", steps.length === 1 ? "1 step failed: " : `${number(steps.length)} steps failed: `), `${shown} · `);
    steps.slice(0, 3).forEach((i, at) => item.append(at ? ", " : "", stepButton(names[i])));
    if (steps.length > 3) item.append(` and ${number(steps.length - 3)} more`);
    $("alarms").append(item);
  }
  if (told.length > 3) $("alarms").append(make("li", `${number(told.length - 3)} other errors: see Failures below`));
  $("alarms").hidden = !told.length;
}

function clearFilters() {
  state.find = $("find").value = "";
  state.hidden.clear();
  document.querySelectorAll("#statuses button").forEach((each) => each.setAttribute("aria-pressed", "true"));
  showTime(0, LONGEST);
}

function showTime(from, to) {
  const least = LONGEST / 100000;
  state.from = Math.max(0, Math.min(from, LONGEST - least));
  state.to = Math.min(LONGEST, Math.max(to, state.from + least));
  filter();
}

// What people do.

function brush(canvas, timeAt) {
  let begin = null;
  canvas.addEventListener("pointerdown", (event) => { begin = timeAt(event); canvas.setPointerCapture(event.pointerId); });
  canvas.addEventListener("pointerup", (event) => {
    if (begin === null) return;
    const end = timeAt(event), enough = Math.abs(end - begin) > (state.to - state.from) / 200;
    if (enough) showTime(Math.min(begin, end), Math.max(begin, end));
    begin = null;
  });
}

function listen() {
  const place = (event) => event.clientX - event.currentTarget.getBoundingClientRect().left - NAMES_WIDTH;
  brush($("load"), (event) => (place(event) / (load ? load.running.length : 1)) * LONGEST);
  brush($("axis"), (event) => state.from + (place(event) / plotWidth()) * (state.to - state.from));
  $("load").addEventListener("keydown", (event) => {
    const span = state.to - state.from, middle = (state.from + state.to) / 2;
    if (event.key === "ArrowLeft") showTime(Math.max(0, state.from - span / 10), Math.max(span, state.to - span / 10));
    else if (event.key === "ArrowRight") showTime(Math.min(LONGEST - span, state.from + span / 10), state.to + span / 10);
    else if (event.key === "+") showTime(middle - span / 4, middle + span / 4);
    else if (event.key === "-") showTime(middle - span, middle + span);
    else return;
    event.preventDefault();
  });
  let timer = 0;
  $("find").addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => { state.find = $("find").value.trim(); filter(); }, 80);
  });
  $("whole").addEventListener("click", () => showTime(0, LONGEST));
  $("open-all").addEventListener("click", () => { byName.forEach((node) => node.children.length && state.open.add(node.name)); layout(); });
  $("close-all").addEventListener("click", () => { state.open.clear(); layout(); });
  $("theme").addEventListener("click", changeTheme);
  $("rows").addEventListener("scroll", draw, { passive: true });
  $("rows").addEventListener("click", (event) => {
    const index = Math.floor((event.clientY - $("rows").getBoundingClientRect().top + $("rows").scrollTop) / ROW);
    const node = state.rows[index];
    if (!node) return;
    if (event.target.className === "twist") toggle(node);
    select(node, { show: event.target.className !== "twist" });
  });
  $("rows").addEventListener("dblclick", () => state.selected && toggle(state.selected));
  $("rows").addEventListener("keydown", walk);
  document.addEventListener("keydown", (event) => {
    const writing = event.target instanceof HTMLInputElement;
    if (event.key === "Escape") { clearFilters(); $("detail").hidden = true; if (writing) $("rows").focus(); }
    else if (writing || event.ctrlKey || event.metaKey || event.altKey) return;
    else if (event.key === "/") { event.preventDefault(); $("find").focus(); }
    else if (event.key === "t") changeTheme();
  });
  window.addEventListener("resize", draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { readColours(); draw(); });
}

function walk(event) {
  const rows = state.rows, at = Math.max(0, rows.indexOf(state.selected)), node = state.selected;
  const page = Math.max(1, Math.floor($("rows").clientHeight / ROW) - 1);
  const moves = { ArrowDown: node ? 1 : 0, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -at, End: rows.length };
  if (event.key in moves && rows.length) {
    select(rows[Math.max(0, Math.min(rows.length - 1, at + moves[event.key]))]);
  } else if (event.key === "ArrowRight" && node) {
    if (node.children.length && !state.open.has(node.name)) toggle(node, true);
    else if (node.children.length) select(rows[at + 1] || node);
  } else if (event.key === "ArrowLeft" && node) {
    if (node.children.length && state.open.has(node.name)) toggle(node, false);
    else if (node.parent && node.parent !== root) select(node.parent);
  } else if (event.key === "Enter" && node) detail(node);
  else return;
  event.preventDefault();
}

function changeTheme() {
  const now = document.documentElement.dataset.theme ||
    (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  document.documentElement.dataset.theme = now === "dark" ? "light" : "dark";
  readColours();
  draw();
}

readColours();
overview();
openEvenly(60);
filter();
tables();
listen();
