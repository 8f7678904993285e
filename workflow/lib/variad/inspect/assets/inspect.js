"use strict";

// Sends photographs one after the other and shows what comes back. What a user or a file names is set as text, never as markup.

const KINDS = { bad: "Bad", look: "Look at it", good: "Good", none: "No threshold" };
const SHAPES = { // told apart without colour: an octagon with a cross, a triangle with an exclamation mark, a circle with a tick
  bad: ["M8 3h8l5 5v8l-5 5H8l-5-5V8z", "M8.5 8.5l7 7m0-7l-7 7"],
  look: ["M12 3l10 18H2z", "M12 9.5v5.5m0 2.6v.2"],
  good: ["M12 2.5a9.5 9.5 0 1 0 0 19a9.5 9.5 0 1 0 0-19z", "M7.5 12.5l3 3l6-6.5"],
  none: ["M4 4h16v16H4z", "M8 12h8"],
};
const MOST_REGIONS = 50; // drawn and listed; the highest peaks come first
const state = { about: null, results: [], shown: null, answer: "", order: "newest", waiting: [], sent: 0, busy: false };

function drawn(tag, attributes, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

const kind = (result) => result.answer || "none";
const headline = (result) => (result.multiple === null ? `score ${digits(result.score)}` : `${digits(result.multiple, 3)} × threshold`);
const address = (result, name) => `/results/${result.number}/${name}`;

function shape(name) {
  const [outline, sign] = SHAPES[name];
  const line = { fill: "none", "stroke-width": 2.4, "stroke-linecap": "round", "stroke-linejoin": "round" };
  return drawn("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" }, drawn("path", { d: outline, fill: "currentColor" }),
    drawn("path", { d: sign, stroke: "var(--card)", ...line }));
}

// --- one result -------------------------------------------------------------------------------------------------------

function show(result) {
  state.shown = result;
  byId("result").hidden = false;
  const [height, width] = result.pixels, stage = byId("stage");
  stage.style.aspectRatio = `${width} / ${height}`;
  stage.style.width = `min(100%, 70vh * ${width / height})`;
  byId("photo").src = address(result, "photo.jpg");
  byId("photo").alt = `The photograph ${result.path}`;
  byId("heat").src = address(result, "map.png");
  const listed = result.boxes.slice(0, MOST_REGIONS);
  drawBoxes(listed, width, height);
  byId("answer").className = `answer is-${kind(result)}`;
  byId("answer").replaceChildren(shape(kind(result)), KINDS[kind(result)]);
  byId("multiple").textContent = headline(result);
  byId("words").textContent = result.words;
  const facts = [["photograph", result.path], ["score", digits(result.score, 6)],
    ["look at it above", digits(result.look, 6)], ["bad above", digits(result.threshold, 6)],
    ["size", `${width} × ${height} pixels`], ["took", `${digits(result.seconds, 2)} s`]];
  if (result.remark) facts.unshift(["remark", result.remark]);
  byId("facts").replaceChildren(...facts.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
  const count = result.boxes.length, some = count > MOST_REGIONS ? `, the first ${MOST_REGIONS}` : "";
  byId("counted").textContent = count ? `Regions above the map's threshold: ${count}${some}` : "No region above the map's threshold";
  byId("regions").replaceChildren(...listed.map(regionItem));
  for (const card of byId("cards").querySelectorAll("button")) card.setAttribute("aria-current", String(Number(card.value) === result.number));
}

function drawBoxes(boxes, width, height) {
  byId("boxes").setAttribute("viewBox", `0 0 ${width} ${height}`);
  byId("boxes").replaceChildren(...boxes.map((box) => {
    const place = { x: box.left, y: box.top, width: box.width, height: box.height };
    return drawn("g", {}, drawn("rect", { class: "under", ...place }), drawn("rect", { class: "edge", ...place }));
  }));
  for (const tag of byId("stage").querySelectorAll(".tag")) tag.remove();
  byId("stage").append(...boxes.map((box, at) => {
    const tag = el("span", { className: "tag", "aria-hidden": "true" }, String(at + 1));
    tag.style.left = `${(100 * box.left) / width}%`;
    tag.style.top = `${(100 * box.top) / height}%`;
    return tag;
  }));
  frame();
}

function regionItem(box, at) {
  const place = `${box.width} × ${box.height} pixels at ${box.left}, ${box.top}; area ${box.area.toLocaleString("en")} pixels, peak ${digits(box.peak)}`;
  const button = el("button", { type: "button", "aria-pressed": "false" }, el("b", {}, String(at + 1)), place);
  const mark = (on) => byId("boxes").children[at].classList.toggle("chosen", on || button.getAttribute("aria-pressed") === "true");
  button.addEventListener("click", () => {
    button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true"));
    mark(false);
  });
  for (const [event, on] of [["mouseenter", true], ["mouseleave", false], ["focus", true], ["blur", false]]) button.addEventListener(event, () => mark(on));
  return el("li", {}, button);
}

function frame() {
  const hidden = !byId("framed").checked;
  byId("boxes").style.display = hidden ? "none" : "";
  for (const tag of byId("stage").querySelectorAll(".tag")) tag.hidden = hidden;
}

function strengthen() {
  byId("heat").style.opacity = byId("opacity").value / 100;
  byId("strength").textContent = `${byId("opacity").value} %`;
}

// --- the last results -------------------------------------------------------------------------------------------------

function listed() {
  const kept = state.results.filter((result) => state.answer === "" || kind(result) === state.answer);
  return state.order === "worst" ? kept.sort((a, b) => b.score - a.score) : kept.sort((a, b) => b.number - a.number);
}

function card(result) {
  const button = el("button", { type: "button", className: "card", value: result.number, "aria-current": String(result === state.shown) },
    el("img", { src: address(result, "photo.jpg"), alt: "", loading: "lazy" }),
    el("span", { className: "text" }, el("span", { className: `badge is-${kind(result)}` }, shape(kind(result)), KINDS[kind(result)]),
      el("span", { className: "score" }, headline(result)), el("span", { title: result.path }, result.path)));
  button.addEventListener("click", () => {
    show(result);
    byId("result").scrollIntoView({ block: "nearest" });
  });
  return el("li", {}, button);
}

function list() {
  byId("results").hidden = !state.results.length;
  const many = state.results.length === 1 ? "1 result" : `${state.results.length} results`;
  byId("title").textContent = state.results.length < state.about.kept ? many : `The last ${state.about.kept} results`;
  const counts = Object.keys(KINDS).map((name) => [name, state.results.filter((result) => kind(result) === name).length]);
  const choices = [["", `All ${state.results.length}`], ...counts.filter(([name, count]) => count || name !== "none").map(([name, count]) => [name, `${KINDS[name]} ${count}`])];
  renew("answers", ...choices.map(([value, text]) => {
    const button = el("button", { type: "button", value, "aria-pressed": String(state.answer === value) }, text);
    button.addEventListener("click", () => { state.answer = value; list(); });
    return button;
  }));
  const cards = listed().map(card);
  renew("cards", ...(cards.length ? cards : [el("li", { className: "empty" }, "No result is like that.")]));
}

function renew(id, ...children) { // whoever is on one of the buttons stays on it
  const focused = byId(id).contains(document.activeElement) ? document.activeElement.value : null;
  byId(id).replaceChildren(...children);
  if (focused !== null) [...byId(id).querySelectorAll("button")].find((button) => button.value === focused)?.focus({ preventScroll: true });
}

function move(step) { // from a card to the one beside it
  const cards = [...byId("cards").querySelectorAll("button")];
  const to = cards[cards.indexOf(document.activeElement) + step];
  if (to) { to.focus(); to.click(); }
}

// --- sending ----------------------------------------------------------------------------------------------------------

function refuse(reason) {
  byId("refused").hidden = false;
  byId("refused").querySelector("ul").append(el("li", {}, reason));
}

function add(files) {
  state.waiting.push(...files);
  if (!state.busy) sendAll();
}

async function sendAll() { // one at a time: the inspector has one photograph in memory
  state.busy = true;
  let said = "", failed = 0;
  for (let file; (file = state.waiting.shift());) {
    state.sent += 1;
    const all = state.sent + state.waiting.length;
    byId("status").textContent = `Inspecting ${file.name}${all > 1 ? ` (${state.sent} of ${all})` : ""} …`;
    try {
      const result = await send(file);
      said = `${result.path}: ${KINDS[kind(result)].toLowerCase()}, ${headline(result)}.`;
    } catch (error) {
      refuse(error.message);
      failed += 1;
    }
  }
  if (state.sent > 1) said = `${state.sent - failed} of ${state.sent} files were inspected.`;
  byId("status").textContent = failed && state.sent === 1 ? "The file was not inspected." : said;
  [state.busy, state.sent] = [false, 0];
}

async function send(file) {
  const name = file.name || "photograph", mebibytes = (size) => `${(size / 2 ** 20).toFixed(1)} MiB`;
  if (file.size > state.about.largest) throw new Error(`${name}: expected a file of at most ${mebibytes(state.about.largest)}, found ${mebibytes(file.size)}.`);
  let response;
  try {
    response = await fetch("/inspect", { method: "POST", body: file, headers: { "X-File-Name": encodeURIComponent(name.toWellFormed ? name.toWellFormed() : name) } });
  } catch {
    throw new Error(`${name}: it could not be sent; is it a file, and does the inspector still run?`);
  }
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
  state.results = [answer, ...state.results].slice(0, state.about.kept);
  show(answer);
  list();
  return answer;
}

function begin(about) {
  Object.assign(state, { about, results: about.results });
  document.title = `${about.class_name} – Variad`;
  byId("product").textContent = about.class_name;
  byId("about").textContent = `${about.product}, ${about.method}. ${about.promise}`;
  byId("legend").hidden = !about.scale;
  if (about.scale) [byId("low").textContent, byId("high").textContent] = about.scale.map((value) => digits(value, 3));
  list();
  if (state.results.length) show(state.results[0]);
  strengthen();
  byId("choose").addEventListener("click", () => byId("file").click());
  byId("file").addEventListener("change", () => { add(byId("file").files); byId("file").value = ""; });
  byId("opacity").addEventListener("input", strengthen);
  byId("framed").addEventListener("change", frame);
  byId("order").addEventListener("change", () => { state.order = byId("order").value; list(); });
  byId("forget").addEventListener("click", () => { byId("refused").hidden = true; byId("refused").querySelector("ul").replaceChildren(); byId("choose").focus(); });
  byId("cards").addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step) { event.preventDefault(); move(step); }
  });
  document.addEventListener("paste", (event) => add(event.clipboardData.files));
  const carriesFiles = (event) => event.dataTransfer && [...event.dataTransfer.types].includes("Files");
  document.addEventListener("dragover", (event) => { if (carriesFiles(event)) { event.preventDefault(); byId("over").hidden = false; } });
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) byId("over").hidden = true; });
  document.addEventListener("drop", (event) => {
    byId("over").hidden = true;
    if (carriesFiles(event)) { event.preventDefault(); add(event.dataTransfer.files); }
  });
}

fetch("/results").then((response) => response.json()).then(begin)
  .catch((error) => { byId("status").textContent = `The inspector does not answer: ${error.message}`; });
