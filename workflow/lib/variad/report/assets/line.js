"use strict";

// Where scores lie on both sides of a limit, and where one of them does: two histograms over one axis.

const BINS = 48;

// `upper` and `lower` are {name, scores}; `limit` and `value` may be null.
function scoreLine({ upper, lower, limit, value = null, limitName = "threshold" }) {
  const all = [...upper.scores, ...lower.scores, ...[limit, value].filter((one) => one !== null)];
  const [low, high] = all.reduce(([least, most], one) => [Math.min(least, one), Math.max(most, one)], [Infinity, -Infinity]);
  const share = (one) => (high > low ? (one - low) / (high - low) : 0.5);
  const count = (scores) => {
    const bins = new Array(BINS).fill(0);
    for (const one of scores) bins[Math.min(BINS - 1, Math.floor(share(one) * BINS))] += 1;
    return bins;
  };
  const [above, below] = [count(upper.scores), count(lower.scores)];
  const most = Math.max(1, ...above, ...below);
  const bars = (bins, name) => el("div", { className: `bars ${name}` }, ...bins.map((size) => {
    const bar = el("i");
    bar.style.height = size ? `max(2px, ${(100 * size) / most}%)` : "0";
    return bar;
  }));
  const mark = (one, name) => {
    if (one === null) return null;
    const node = el("span", { className: `mark ${name}` });
    node.style.left = `${100 * share(one)}%`;
    return node;
  };
  const side = limit === null || value === null ? "" : `, ${value > limit ? "above" : "not above"} it`;
  const told = [limit === null ? `no ${limitName}` : `${limitName} ${digits(limit)}`, ...(value === null ? [] : [`this image ${digits(value)}${side}`])];
  const parts = [`${upper.scores.length} ${upper.name}`, `${lower.scores.length} ${lower.name}`];
  return el("div", { className: "line" },
    el("div", { className: "plot", role: "img", "aria-label": `Scores from ${digits(low)} to ${digits(high)} of ${parts.join(" and ")}; ${told.join("; ")}.` },
      bars(above, "upper"), bars(below, "lower"), mark(limit, "limit"), mark(value, "value")),
    el("div", { className: "ends" }, el("span", {}, digits(low)), el("span", {}, "score →"), el("span", {}, digits(high))),
    el("div", { className: "keys" }, el("span", { className: "key upper" }, parts[0]), el("span", { className: "key lower" }, parts[1]),
      limit === null ? null : el("span", { className: "key limit" }, told[0]), value === null ? null : el("span", { className: "key value" }, told.at(-1))));
}

// A cell's test images about its threshold.
function cellLine(cell, value = null) {
  const of = (wanted) => cell.score.filter((_, index) => (cell.label[index] === 1) === wanted);
  const known = cell.label.some((one) => one !== null);
  return scoreLine({ upper: { name: "with a defect", scores: of(true) }, lower: { name: known ? "good" : "unlabelled", scores: of(false) },
    limit: cell.threshold, value });
}
