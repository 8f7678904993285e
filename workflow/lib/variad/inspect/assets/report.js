"use strict";

// Photographs as cards, one page of them at a time, and one enlarged. What comes from data is set as text or as a number.

const about = JSON.parse(document.getElementById("about").textContent);
const entries = JSON.parse(document.getElementById("entries").textContent);
document.getElementById("entries").remove();
const PAGE_SIZE = 60;
const STRONGEST = 0.7; // as in heat maps: share of the map's colour at the end of its scale
const ANSWERS = { bad: "✕ bad", look: "? look at it", good: "✓ good", none: "– no threshold" };
const kind = (entry) => entry.answer || "none";
const ORDERS = {
  worst: ["worst first", (a, b) => b.score - a.score],
  best: ["best first", (a, b) => a.score - b.score],
  given: ["as they came", null],
};
const state = { answer: "", words: "", order: "worst", page: 0, list: [], at: 0 };
const USUAL = { answer: "", find: "", order: "worst", page: 1, photograph: "" }; // of the address, which leaves these out

const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
const picture = (data, alt) => el("img", { src: `data:image/jpeg;base64,${data}`, alt });
const badge = (entry) => el("span", { className: `badge ${kind(entry)}` }, ANSWERS[kind(entry)]);
const headline = (entry) => (entry.multiple === null ? digits(entry.score) : `${digits(entry.multiple, 3)} × threshold`);
const colours = about.colours.map((text) => [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16)));

function heat(entry) {
  const { rows, columns, levels } = entry.map;
  const canvas = el("canvas", { width: columns, height: rows, "aria-hidden": "true" });
  const context = canvas.getContext("2d");
  const image = context.createImageData(columns, rows);
  bytes(levels).forEach((level, at) => image.data.set([...colours[level], STRONGEST * Math.sqrt(level / 255) * 255], 4 * at));
  context.putImageData(image, 0, 0);
  return canvas;
}

function boxes(entry) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", `0 0 ${entry.width} ${entry.height}`);
  svg.setAttribute("preserveAspectRatio", "none");
  for (const box of entry.boxes) {
    const rect = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    for (const [name, key] of [["x", "left"], ["y", "top"], ["width", "width"], ["height", "height"]]) rect.setAttribute(name, box[key]);
    svg.append(rect);
  }
  return svg;
}

function photo(width, height, ...layers) {
  const frame = el("div", { className: "frame" }, ...layers);
  frame.style.aspectRatio = `${width} / ${height}`;
  frame.style[width >= height ? "width" : "height"] = "100%";
  return el("div", { className: "photo" }, frame);
}

function card(entry, at) {
  const button = el("button", { type: "button", className: "card" },
    photo(entry.width, entry.height, picture(entry.picture, ""), heat(entry)),
    el("span", { className: "text" }, badge(entry), el("span", { className: "score" }, headline(entry)),
      el("span", { title: entry.path }, entry.path.split("/").pop()), entry.remark ? el("span", { className: "faint" }, entry.remark) : null));
  button.addEventListener("click", () => enlarge(at));
  return el("li", {}, button);
}

function refresh(page) {
  const words = state.words.toLowerCase();
  const kept = entries.filter((entry) => (state.answer === "" || kind(entry) === state.answer) && entry.path.toLowerCase().includes(words));
  const compare = ORDERS[state.order][1];
  state.list = compare ? kept.sort(compare) : kept;
  const pages = Math.max(1, Math.ceil(state.list.length / PAGE_SIZE));
  state.page = Math.min(Math.max(page, 0), pages - 1);
  const first = state.page * PAGE_SIZE;
  const cards = state.list.slice(first, first + PAGE_SIZE).map((entry, at) => card(entry, first + at));
  byId("cards").replaceChildren(...(cards.length ? cards : [el("li", { className: "empty" }, "No photograph is like that.")]));
  const turn = (name, to, possible) => {
    const button = el("button", { type: "button", disabled: !possible }, name);
    button.addEventListener("click", () => { refresh(to); byId("cards").scrollIntoView(); });
    return button;
  };
  byId("pages").replaceChildren(turn("← previous", state.page - 1, state.page > 0),
    el("span", {}, `page ${state.page + 1} of ${pages}, ${state.list.length} photographs`), turn("next →", state.page + 1, state.page + 1 < pages));
  for (const button of byId("answers").children) button.setAttribute("aria-pressed", String(button.value === state.answer));
  tellState();
}

function tellState() {
  const photograph = byId("viewer").open ? state.list[state.at].path : "";
  const now = { answer: state.answer, find: state.words, order: state.order, page: state.page + 1, photograph };
  tell(addressOf("", Object.entries(now).filter(([key, value]) => value !== USUAL[key])));
}

// Show what the address says: of a page that was reloaded, or whose address somebody sent.
function follow() {
  const { values } = readAddress();
  const among = (key, known) => (Object.hasOwn(known, values.get(key)) ? values.get(key) : USUAL[key]);
  state.answer = among("answer", ANSWERS);
  state.order = among("order", ORDERS);
  state.words = values.get("find") ?? USUAL.find;
  byId("order").value = state.order;
  byId("search").value = state.words;
  byId("viewer").close();
  refresh(parseInt(values.get("page") ?? USUAL.page, 10) - 1 || 0);
  const path = values.get("photograph"), at = state.list.findIndex((entry) => entry.path === path);
  byId("notice").hidden = path === undefined || at >= 0;
  byId("notice").textContent = `The address names photograph “${path}”, which is not among these.`;
  if (at >= 0) enlarge(at);
}

// Where all photographs' scores lie about the threshold, and where this one's does.
function thresholdLine({ score, threshold }) {
  const of = (above) => entries.map((entry) => entry.score).filter((one) => (one > threshold) === above);
  return scoreLine({ upper: { name: "above the threshold", scores: of(true) }, lower: { name: "not above it", scores: of(false) }, limit: threshold, value: score });
}

function enlarge(at) {
  state.at = Math.min(Math.max(at, 0), state.list.length - 1);
  const entry = state.list[state.at], map = heat(entry);
  const slider = el("input", { type: "range", min: 0, max: 100, value: 100, "aria-label": "Strength of the anomaly map" });
  slider.addEventListener("input", () => { map.style.opacity = slider.value / 100; });
  const panel = (title, ...content) => el("figure", {}, el("figcaption", {}, title), ...content);
  const panels = [
    panel("Photograph", photo(entry.width, entry.height, picture(entry.picture, entry.path))),
    panel("Map and regions", photo(entry.width, entry.height, picture(entry.picture, "The photograph under its anomaly map"), map, boxes(entry)), slider),
  ];
  if (entry.nearest !== null && about.good[entry.nearest]) {
    const good = about.good[entry.nearest];
    panels.push(panel(`Nearest good photograph: ${good.name}`, photo(entry.width, entry.height, picture(good.picture, good.name))));
  }
  const facts = [["photograph", entry.path], ["answer", badge(entry)], ["score", digits(entry.score, 6)],
    ["threshold", digits(entry.threshold, 6)], ["multiple of the threshold", digits(entry.multiple, 4)],
    ["good ones that score less", entry.calibrated === null ? "–" : `${digits(100 * entry.calibrated, 4)} %`],
    ["size", `${entry.width} × ${entry.height} pixels`]];
  if (entry.remark) facts.push(["remark", entry.remark]);
  const heads = ["left", "top", "width", "height", "area", "peak"];
  const table = entry.boxes.length ? el("div", { className: "scroll" }, el("table", {},
    el("thead", {}, el("tr", {}, ...heads.map((name) => el("th", { scope: "col", className: "number" }, name === "peak" ? name : `${name}, pixels`)))),
    el("tbody", {}, ...entry.boxes.map((box) => el("tr", {}, ...heads.map((name) => el("td", { className: "number" }, digits(box[name], 6)))))))) : null;
  byId("detail").replaceChildren(el("div", { className: "panels" }, ...panels), ...(entry.threshold === null ? [] : [thresholdLine(entry)]),
    el("dl", {}, ...facts.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)])),
    ...(table ? [el("h3", {}, `Regions (${entry.boxes.length})`), table] : []));
  byId("place").textContent = `${state.at + 1} of ${state.list.length}`;
  byId("back").disabled = state.at === 0;
  byId("next").disabled = state.at + 1 === state.list.length;
  if (!byId("viewer").open) byId("viewer").showModal();
  tellState();
}

function begin() {
  const counts = new Map(Object.keys(ANSWERS).map((name) => [name, entries.filter((entry) => kind(entry) === name).length]));
  const choices = [["", `all ${entries.length}`], ...[...counts].filter(([name, count]) => count || name !== "none").map(([name, count]) => [name, `${ANSWERS[name]} ${count}`])];
  byId("answers").append(...choices.map(([value, name]) => {
    const button = el("button", { type: "button", value }, name);
    button.addEventListener("click", () => { state.answer = value; refresh(0); });
    return button;
  }));
  byId("order").append(...Object.entries(ORDERS).map(([value, [name]]) => new Option(name, value)));
  byId("order").addEventListener("change", (event) => { state.order = event.target.value; refresh(0); });
  byId("search").addEventListener("input", (event) => { state.words = event.target.value; refresh(0); });
  byId("low").textContent = digits(about.low, 3);
  byId("high").textContent = digits(about.high, 3);
  byId("unread").hidden = !about.unread.length;
  byId("unread").querySelector("ul").append(...about.unread.map((one) => el("li", {}, one.reason.includes(one.path) ? one.reason : `${one.path}: ${one.reason}`)));
  byId("back").addEventListener("click", () => enlarge(state.at - 1));
  byId("next").addEventListener("click", () => enlarge(state.at + 1));
  byId("viewer").querySelector("[data-close]").addEventListener("click", () => byId("viewer").close());
  byId("viewer").addEventListener("close", tellState);
  byId("viewer").addEventListener("keydown", (event) => {
    if (event.target.type === "range") return;
    if (event.key === "ArrowLeft") enlarge(state.at - 1);
    if (event.key === "ArrowRight") enlarge(state.at + 1);
  });
  follow();
  window.addEventListener("hashchange", follow);
}

begin();
