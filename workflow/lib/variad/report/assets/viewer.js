"use strict";

// The enlarged view: an image beside its parent, or beside ground truth and map.

const viewer = document.getElementById("viewer");
const detail = document.getElementById("detail");
const place = document.getElementById("place");
let shown = { list: [], at: 0 };

const panel = (title, content) => el("figure", {}, el("figcaption", {}, title), content);
const facts = (pairs) => el("dl", {}, ...pairs.flatMap(([key, value]) => [el("dt", {}, key), el("dd", {}, ...[value].flat())]));
const none = (text) => el("div", { className: "none" }, text);

function overlay(item) {
  const map = mapPicture(item, "");
  map.style.opacity = 0.55;
  const slider = el("input", { type: "range", min: 0, max: 100, value: 55, "aria-label": "Opacity of the anomaly map" });
  slider.addEventListener("input", () => { map.style.opacity = slider.value / 100; });
  return panel("Overlay", el("div", {}, el("div", { className: "stack" }, real(item.image, "Anomaly map over the image"), map), slider));
}

function legend(cell) {
  return el("div", { className: "legend" }, el("span", {}, score(cell.low)), el("i", { "aria-hidden": "true" }),
    el("span", {}, score(cell.high)), el("span", {}, "anomaly map, one scale per cell"));
}

// What a recipe accepts an added image by.
function limitsOf(item) {
  const { max_distance: farthest, min_similarity_gain: gain } = item.set.recipe;
  const limits = [farthest === null || farthest === undefined ? null : `a distance of at most ${digits(farthest)} (it has ${digits(item.distance)})`,
    gain === null || gain === undefined ? null : `a similarity that rose by ${digits(gain)} or more`].filter((limit) => limit !== null);
  return limits.length ? `the recipe asks for ${limits.join(" and ")}` : "the recipe sets no limit";
}

const recipeOf = (item) => el("details", {}, el("summary", {}, item.set.recipe.method || "all settings"), el("code", {}, JSON.stringify(item.set.recipe)));
const sizeOf = (image) => `${data.images.width[image]} × ${data.images.height[image]} pixels`;

function shotDetail(item) {
  const children = added.filter((other) => other.parent === item.image && other.run === item.run && other.scenario === item.scenario);
  return [el("div", { className: "panels two" }, panel("Shot", real(item.image))),
    facts([["image", imageName(item.image)], ["scenario", scenarioName(item.scenario)], ["run", item.run],
      ["original size", sizeOf(item.image)], ["score", "none: it is trained on, so it lies on no side of a threshold"], ["images added from it", children.length]]),
    ...strip("Images added from this shot", children, addedCard)];
}

function addedDetail(item) {
  const siblings = added.filter((other) => other.number === item.number && other.run === item.run && other.parent === item.parent && other !== item);
  return [el("div", { className: "panels two" }, panel("Parent", real(item.parent)),
    panel("Added image", addedPicture(item, `Added image ${item.index}`))),
    facts([["verdict", [verdict(item.accepted), `, ${limitsOf(item)}`, word("accepted", "?")]], ["prompt", item.prompt || "not guided by a prompt"],
      ["similarity to the prompt", number(item.similarity, 4)], ["distance to the parent", number(item.distance, 4)],
      ["training set", `${item.trainingSet}, image ${item.index}`], ["scenario", scenarioName(item.scenario)], ["run", item.run],
      ["parent", imageName(item.parent)], ["seed", item.seed],
      ["recipe", recipeOf(item)]]),
    ...strip("Others of the same parent", siblings, addedCard)];
}

function unlabelledDetail(item) {
  const others = unlabelled.filter((other) => other.image === item.image && other !== item);
  const known = data.images.label[item.image];
  const { kept, rest, limit } = item.pile;
  return [el("div", { className: "panels two" }, panel("Unlabelled photograph", real(item.image)),
    panel("Scores of this pile", scoreLine({ upper: { name: "left out", scores: rest.map((one) => one.score) },
      lower: { name: "taken as good", scores: kept.map((one) => one.score) }, limit, value: item.score, limitName: "limit" }))),
    facts([["verdict", badge(item.accepted, BANDS[item.band])], ["score", `${score(item.score)} (lower is more normal)`],
      ["rank", `${item.rank} of ${item.of} (1 is most normal)`], ...(known === null ? [] : [["label, not used", label(known)]]),
      ["image", imageName(item.image)], ["original size", sizeOf(item.image)], ["training set", item.trainingSet],
      ["scenario", scenarioName(item.scenario)], ["run", item.run], ["recipe", recipeOf(item)]]),
    objection(), ...strip("The same photograph elsewhere", others, unlabelledCard)];
}

function testDetail(item) {
  const truth = data.images.mask[item.image] ? picture(`masks/${item.image}.png`, "Mask of the defect") : none(item.label === 0 ? "normal" : "no mask");
  const panels = [panel("Image", real(item.image)), panel("Ground truth", truth)];
  if (item.cell.maps) panels.push(panel("Anomaly map", mapPicture(item, "Anomaly map")), overlay(item));
  const threshold = item.cell.threshold;
  const others = tests.filter((other) => other.image === item.image && other !== item && other.detector === item.detector && other.scenario === item.scenario);
  const line = [cellLine(item.cell, item.score), threshold === null ? el("p", { className: "faint" }, withoutThreshold(item.cell)) : null];
  const verdict = item.verdict === null ? null : el("p", { className: "headline" }, side(item), el("span", {}, `score ${score(item.score)}, threshold ${score(threshold)}`));
  return [verdict, el("div", { className: "panels four" }, ...panels), item.cell.maps ? legend(item.cell) : null, ...line,
    facts([["score", score(item.score)], ["rank", `${item.rank} of ${item.cell.image.length} (1 is most anomalous)`],
      ...(threshold === null ? [] : [["threshold", [`${score(threshold)} `, word("threshold", "?")]], ["verdict", side(item)]]),
      ...(item.was ? [["against original", `${FILTERS.change[1](item.change)}; there: ${VERDICTS[item.was.verdict].slice(2)}, score ${score(item.was.score)}`]] : []),
      ["label", label(item.label)], ["defect", item.defect], ["image", imageName(item.image)], ["original size", sizeOf(item.image)],
      ["training set", item.trainingSet], ["detector", item.detector], ["scenario", scenarioName(item.scenario)], ["run", item.run]]),
    ...strip("The same image with other training sets", others, otherCellCard)];
}

const withoutThreshold = (cell) => (cell.label.every((one) => one === null) ? "There is no threshold: no good photograph was held out to set one by."
  : "There is no threshold: it takes test images with defects and good ones, and here are only one kind.");

const CARDS = { shot: shotCard, added: addedCard, unlabelled: unlabelledCard, test: testCard };
const DETAILS = { shot: shotDetail, added: addedDetail, unlabelled: unlabelledDetail, test: testDetail };

function strip(title, items, card) {
  if (!items.length) return [];
  const few = items.slice(0, 24);
  const more = items.length > few.length ? ` (${few.length} of ${items.length})` : "";
  return [el("h3", {}, title + more), el("div", { className: "strip" }, ...few.map((item) => cardButton(item, card, () => show(items, items.indexOf(item)))))];
}

function show(list, at) {
  shown = { list, at };
  const item = list[at];
  detail.replaceChildren(...DETAILS[item.kind](item).filter((node) => node !== null));
  place.textContent = `${at + 1} of ${list.length}`;
  const address = addressTo(item);
  tell(address);
  byId("link").href = address;
  viewer.querySelector('[data-step="-1"]').disabled = at === 0;
  viewer.querySelector('[data-step="1"]').disabled = at === list.length - 1;
  if (!viewer.open) viewer.showModal();
  viewer.scrollTop = 0;
}

function step(by) {
  const at = shown.at + by;
  if (at >= 0 && at < shown.list.length) show(shown.list, at);
}

viewer.addEventListener("close", () => { if (!viewer.open) tell(addressNow()); });
viewer.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (event.target === viewer || (button && "close" in button.dataset)) viewer.close();
  else if (button && button.dataset.step) step(Number(button.dataset.step));
});
viewer.addEventListener("keydown", (event) => {
  if (event.target.type === "range") return;
  if (event.key === "ArrowLeft") step(-1);
  if (event.key === "ArrowRight") step(1);
});

function cardButton(item, card, open) {
  const button = el("button", { type: "button", className: "card" }, ...card(item));
  button.addEventListener("click", open);
  return button;
}
