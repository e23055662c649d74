"use strict";
// What pages share: they unpack libraries and data, fill controls and draw charts.

const byId = (id) => document.getElementById(id);
const root = document.documentElement;
const NARROW = 600;
const narrow = () => root.clientWidth < NARROW;

const LETTERS =
  "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%.()*+-;,=>?@^_`{|}~";

// five letters for four bytes; the last group may be shorter
async function unpack(id) {
  const text = byId(id).textContent;
  const digits = new Uint8Array(128);
  for (let k = 0; k < LETTERS.length; k += 1) digits[LETTERS.charCodeAt(k)] = k;
  const bytes = new Uint8Array(Math.ceil(text.length / 5) * 4);
  const view = new DataView(bytes.buffer);
  for (let at = 0; at < text.length; at += 5) {
    let number = 0;
    for (let k = at; k < at + 5; k += 1) {
      number = 85 * number + (k < text.length ? digits[text.charCodeAt(k)] : 84);
    }
    view.setUint32((at / 5) * 4, number);
  }
  const own = bytes.subarray(0, Math.floor((text.length * 4) / 5));
  return new Response(new Blob([own]).stream().pipeThrough(new DecompressionStream("gzip")));
}
const unpackText = async (id) => (await unpack(id)).text();

function run(code) {
  const script = document.createElement("script");
  script.textContent = code;
  document.head.append(script);
  script.remove();
}

let working = 0;
// for tests: whether all that is to be drawn is drawn
async function busy(work) {
  working += 1;
  root.dataset.page = "drawing";
  try {
    return await work();
  } finally {
    working -= 1;
    if (!working) root.dataset.page = "drawn";
  }
}

const element = (name, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
};

// ---- numbers and texts -----------------------------------------------------------------------

const minus = (text) => text.replaceAll("-", "−");
const trimmed = (value, digits) => String(Number(value.toPrecision(digits)));
function shown(value, kind, digits = 4) {
  if (value === null) return "–";
  if (kind === "rate") return minus(`${trimmed(100 * value, digits)}%`);
  if (kind === "points") return minus(`${trimmed(100 * value, digits)} points`);
  return minus(trimmed(value, digits) + (kind === "percent" ? "%" : ""));
}
const listed = (items) =>
  items.length < 2 ? items.join("") : `${items.slice(0, -1).join(", ")} and ${items.at(-1)}`;
const whole = (number) => number.toLocaleString("en");

// ---- controls --------------------------------------------------------------------------------

function options(select, items, value) {
  const groups = new Map();
  select.replaceChildren();
  for (const item of items) {
    const option = element("option", { value: item.value, textContent: item.text });
    option.disabled = Boolean(item.disabled);
    let parent = select;
    if (item.group) {
      if (!groups.has(item.group)) {
        groups.set(item.group, element("optgroup", { label: item.group }));
        select.append(groups.get(item.group));
      }
      parent = groups.get(item.group);
    }
    parent.append(option);
  }
  select.value = value;
  select.disabled = items.length < 2;
}

// the key of an analysis, by its look and its place among all of them
function swatch(look, place) {
  const size = 12;
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "-1.25 -1.25 2.5 2.5");
  svg.setAttribute("width", size);
  svg.setAttribute("height", size);
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  const known = {
    circle: "M-1,0A1,1 0 1 0 1,0A1,1 0 1 0 -1,0Z",
    square: "M-.9,-.9H.9V.9H-.9Z",
    diamond: "M0,-1.1L1.1,0L0,1.1L-1.1,0Z",
    cross: "M-.35,-1H.35V-.35H1V.35H.35V1H-.35V.35H-1V-.35H-.35Z",
    "triangle-up": "M0,-1L1,.85H-1Z",
    "triangle-down": "M0,1L1,-.85H-1Z",
    "triangle-left": "M-1,0L.85,-1V1Z",
    "triangle-right": "M1,0L-.85,-1V1Z",
  };
  path.setAttribute("d", known[look.shape] || look.shape);
  path.setAttribute("fill", `var(--s${place})`);
  svg.append(path);
  return svg;
}

// ---- charts ----------------------------------------------------------------------------------

const drawn = {};

// Vega warns of what has no values at all
function prune(spec) {
  const inner = spec.spec || spec;
  inner.layer = inner.layer.filter((layer) => {
    const rows = spec.datasets[layer.data?.name || "points"] || [];
    return Object.values(layer.encoding).every(
      (it) => it.type !== "quantitative" || rows.some((row) => Number.isFinite(row[it.field])),
    ) && (!layer.encoding.y2 || rows.some((row) => Number.isFinite(row[layer.encoding.y2.field])));
  });
  return spec;
}

async function draw(id, spec) {
  prune(spec);
  drawn[id]?.finalize();
  drawn[id] = await vegaEmbed(byId(id), spec, {
    ...{ actions: false, ast: true, renderer: "svg" },
    tooltip: { theme: "custom" },
  });
  return drawn[id].view;
}

const layersOf = (spec) => (spec.spec || spec).layer;

// give analyses their colours and shapes
function dress(spec, strategies, literal = false) {
  const domain = strategies.map((it) => it.name);
  const colours = strategies.map((it, place) => (literal ? it.light : `var(--s${place})`));
  for (const layer of layersOf(spec)) {
    const { color, shape } = layer.encoding;
    if (color?.scale) color.scale = { domain, range: colours };
    if (shape?.scale) shape.scale = { domain, range: strategies.map((it) => it.shape) };
  }
  return spec;
}

// the estimates of one coefficient with their intervals
async function drawForest(id, spec, strategies, estimates, { term, names, truth, zero = [] }) {
  dress(spec, strategies);
  spec.datasets = { estimates, truth: truth.map((x) => ({ x })), zero: zero.map((x) => ({ x })) };
  const longest = Math.max(...names.map((it) => it.length));
  spec.width = Math.max(100, boxWidth(id) - 40 - 7.5 * longest);
  spec.height = { step: 30 };
  for (const layer of layersOf(spec)) {
    layer.encoding.x.axis = { title: `Coefficient of ${term}` };
    layer.encoding.x.scale = { zero: false };
    if (layer.encoding.y) layer.encoding.y.scale = { domain: names };
  }
  await draw(id, spec);
}

// what a mark of such a chart knows
function estimateOf(analysis, x, low, high) {
  const ends = low === null ? "none" : `${shown(low, "number")} to ${shown(high, "number")}`;
  const value = shown(x, "number");
  return { analysis, x, low, high, ends, value, said: `${analysis}: ${value}, interval ${ends}` };
}

function wrapped(text, width) {
  const lines = [""];
  for (const word of text.split(" ")) {
    if ((lines.at(-1) + word).length > width) lines.push("");
    lines[lines.length - 1] += `${word} `;
  }
  return lines.map((line) => line.trim());
}

const boxWidth = (id) => byId(id).clientWidth || 500;

// ---- theme, copying, printing ----------------------------------------------------------------

function theme() {
  const select = byId("theme");
  const set = (value) => {
    if (value === "system") delete root.dataset.theme;
    else root.dataset.theme = value;
  };
  try {
    select.value = localStorage.getItem("rmsweep-theme") || "system";
  } catch {
    select.value = "system"; // a frame may have no memory
  }
  if (!select.value) select.value = "system";
  set(select.value);
  select.addEventListener("change", () => {
    set(select.value);
    try {
      localStorage.setItem("rmsweep-theme", select.value);
    } catch {
      // as above
    }
  });
}

function copy(text, button) {
  const label = button.dataset.label || button.textContent;
  button.dataset.label = label;
  const say = (said) => {
    button.textContent = said;
    setTimeout(() => (button.textContent = label), 1500);
  };
  const field = element("textarea", { value: text, className: "away", readOnly: true });
  const byHand = () => {
    document.body.append(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    button.focus();
    say(done ? "Copied" : "Not copied: select it by hand");
  };
  if (navigator.clipboard) navigator.clipboard.writeText(text).then(() => say("Copied"), byHand);
  else byHand();
}

for (const button of document.querySelectorAll("button[data-copy]")) {
  button.addEventListener("click", () => copy(byId(button.dataset.copy).textContent, button));
}
addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details.print")) details.open = true;
});

function onNewWidth(work) {
  let timer = 0;
  let width = root.clientWidth;
  addEventListener("resize", () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (root.clientWidth !== width) {
        width = root.clientWidth;
        work();
      }
    }, 200);
  });
}
