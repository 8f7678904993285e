"use strict";

// One object for every shot, added image and scored image, and the card that shows it.

const shots = data.shots.flatMap((entry) =>
  entry.image.map((image, place) => ({ kind: "shot", scenario: entry.scenario, run: entry.run, image, place })));

const all = data.sets.flatMap((set, number) => set.run.map((run, index) => ({
  kind: "added", set, number, index, run, scenario: set.scenario, trainingSet: set.training_set,
  parent: set.parent[index], prompt: set.prompt[index], seed: set.seed[index],
  similarity: set.similarity[index], distance: set.distance[index], accepted: set.accepted[index],
  score: set.score ? set.score[index] : null, picture: set.picture ? set.picture[index] : index,
})));

const added = all.filter((item) => item.score === null);

// The candidates of a run by their score, and on which side of the limit: borderline are a tenth of them, at most eight, on each side.
const BANDS = { taken: "✓ taken as good", last: "✓ just taken", first: "✕ just left out", left: "✕ left out" };
const byRun = new Map();
for (const item of all.filter((one) => one.score !== null)) {
  const run = `${item.number} ${item.run}`;
  if (!byRun.has(run)) byRun.set(run, []);
  byRun.get(run).push(item);
}
const runsOfCandidates = [...byRun.values()].map((items) => {
  const sorted = items.sort((a, b) => a.score - b.score);
  const kept = sorted.filter((item) => item.accepted), rest = sorted.filter((item) => !item.accepted);
  const near = Math.min(8, Math.ceil(sorted.length / 10));
  kept.forEach((item, place) => { item.band = place >= kept.length - near && rest.length ? "last" : "taken"; });
  rest.forEach((item, place) => { item.band = place < near ? "first" : "left"; });
  sorted.forEach((item, place) => Object.assign(item, { kind: "unlabelled", image: item.parent, rank: place + 1, of: sorted.length }));
  const limit = kept.length && rest.length ? (kept.at(-1).score + rest[0].score) / 2 : null;
  const found = { kept, rest, limit, candidates: sorted };
  sorted.forEach((item) => { item.pile = found; });
  return found;
});
const unlabelled = runsOfCandidates.flatMap((entry) => entry.candidates);

// Which side of the threshold an image lies on, and whether that is the right one.
const VERDICTS = { missed: "✕ missed, below threshold", alarm: "✕ false alarm, above threshold", found: "✓ found, above threshold", passed: "✓ passed, below threshold",
  above: "above threshold", below: "below threshold" };
const CHANGES = { 1: "better", 0: "same", "-1": "worse" };
const isWrong = (item) => item.verdict === "missed" || item.verdict === "alarm";

// One test image in one cell. There are as many as images times cells, so nothing is worked out before it is asked for.
const BASELINE = "original";
class Scored {
  constructor(cell, index) { this.cell = cell; this.index = index; }
  get kind() { return "test"; }
  get number() { return this.cell.number; }
  get image() { return this.cell.image[this.index]; }
  get run() { return this.cell.run; }
  get scenario() { return this.cell.scenario; }
  get trainingSet() { return this.cell.training_set; }
  get detector() { return this.cell.detector; }
  get label() { return this.cell.label[this.index]; }
  get score() { return this.cell.score[this.index]; }
  get rank() { return rankOf(this.cell, this.index); }
  get defect() { return data.images.defect[this.image] || "unlabelled"; }
  get verdict() {
    if (this.cell.threshold === null) return null;
    const above = this.score > this.cell.threshold;
    if (this.label === null) return above ? "above" : "below";
    return this.label === 1 ? (above ? "found" : "missed") : (above ? "alarm" : "passed");
  }
  // How wrong the verdict is: from 1 to 2 on the wrong side of the threshold, from -1 to 0 on the right one.
  get wrong() {
    if (this.cell.threshold === null || this.label === null) return null;
    const margin = Math.abs(this.score - this.cell.threshold) / this.cell.spread;
    return isWrong(this) ? 1 + margin : -margin;
  }
  // What a training set changed: the same image, scored by the same detector trained on the shots alone.
  get was() {
    const before = this.cell.baseline && itemIn(this.cell.baseline, this.image, this.index);
    return before && before.wrong !== null && this.wrong !== null ? before : null;
  }
  get change() { return this.was && CHANGES[Math.sign(isWrong(this.was) - isWrong(this))]; }
  get moved() { return this.was && Math.abs(this.wrong - this.was.wrong); }
}

function rankOf(cell, index) {
  if (!cell.rank) {
    cell.rank = [];
    cell.score.map((_, at) => at).sort((a, b) => cell.score[b] - cell.score[a]).forEach((at, place) => { cell.rank[at] = place + 1; });
  }
  return cell.rank[index];
}

// The item of an image in a cell, which mostly stands at the same place in all cells.
function itemIn(cell, image, near) {
  const at = cell.image[near] === image ? near : cell.image.indexOf(image);
  return at < 0 ? null : cell.items[at];
}

data.cells.forEach((cell, number) => {
  const ends = cell.score.reduce(([low, high], one) => [Math.min(low, one), Math.max(high, one)], [Infinity, -Infinity]);
  const baseline = data.cells.find((one) => one.training_set === BASELINE && one.scenario === cell.scenario && one.detector === cell.detector);
  Object.assign(cell, { number, spread: ends[1] - ends[0] || 1, baseline: baseline === cell ? undefined : baseline });
  cell.items = cell.image.map((_, index) => new Scored(cell, index));
});
const tests = data.cells.flatMap((cell) => cell.items);

// How an address names an image: by its name, or its number in its training set; and where, if that is not clear from the filters.
const TABS = { test: "tests", added: "added", unlabelled: "unlabelled", shot: "shots" };
const nameOf = (item) => (item.kind === "added" ? String(item.index) : imageName(item.image));
const placeOf = (item) => [item.scenario, item.trainingSet, item.detector, ...(item.kind === "shot" || item.kind === "unlabelled" ? [`run_${item.run}`] : [])]
  .filter((part) => part !== undefined).join("/");

const side = (item) => (item.verdict === null ? null : badge(!isWrong(item) && item.verdict !== "above", VERDICTS[item.verdict]));
const addedPicture = (item, alt) => picture(`added/${item.number}/${item.picture}.jpg`, alt);
const mapPicture = (item, alt) => picture(`maps/${item.number}/${item.index}.jpg`, alt);


function shotCard(item) {
  return [el("span", { className: "pair" }, real(item.image)), el("span", { className: "text" },
    el("span", {}, imageName(item.image)),
    el("span", { className: "faint" }, `${scenarioName(item.scenario)}, run ${item.run}`))];
}

function addedCard(item) {
  const guided = item.similarity !== null;
  return [el("span", { className: "pair" }, addedPicture(item, `Added image ${item.index} of ${item.trainingSet}`)),
    el("span", { className: "text" },
      verdict(item.accepted),
      el("span", {}, item.trainingSet),
      el("span", { className: "faint" }, `${scenarioName(item.scenario)}, run ${item.run}`),
      el("span", { className: "faint" }, guided ? `similarity ${number(item.similarity)}` : `distance ${number(item.distance)}`))];
}

function unlabelledCard(item) {
  const known = data.images.label[item.image];
  return [el("span", { className: "pair" }, real(item.image)),
    el("span", { className: "text" },
      badge(item.accepted, BANDS[item.band]),
      el("span", { className: "split" }, el("span", { className: "score" }, score(item.score)), el("span", { className: "faint" }, `${item.rank} of ${item.of}`)),
      el("span", {}, imageName(item.image).replace(/^unlabelled\//, "")),
      el("span", { className: "faint" }, `${item.trainingSet}, run ${item.run}`),
      known === null ? null : el("span", { className: "faint" }, `labelled ${labelName(known)}`))];
}

function otherCellCard(item) {
  const map = item.cell.maps ? el("span", { className: "pair" }, mapPicture(item, `Anomaly map with ${item.trainingSet}`)) : null;
  return [map, el("span", { className: "text" }, el("span", { className: "score" }, score(item.score)), side(item), el("span", {}, item.trainingSet),
    el("span", { className: "faint" }, `rank ${item.rank} of ${item.cell.image.length}`))].filter((node) => node !== null);
}

function testCard(item) {
  const name = imageName(item.image);
  const map = item.cell.maps ? mapPicture(item, `Anomaly map of ${name}`) : null;
  return [el("span", { className: "pair" }, real(item.image), map),
    el("span", { className: "text" },
      el("span", { className: "split" }, el("span", { className: "score" }, score(item.score)), el("span", {}, labelName(item.label))),
      side(item),
      item.was && item.change !== "same" ? el("span", {}, `${item.change}: was ${VERDICTS[item.was.verdict].slice(2).split(",")[0]} with ${BASELINE}`) : null,
      el("span", {}, name),
      el("span", { className: "faint" }, `${item.trainingSet} · ${item.detector}`),
      el("span", { className: "faint" }, `${scenarioName(item.scenario)}, rank ${item.rank} of ${item.cell.image.length}`))];
}
