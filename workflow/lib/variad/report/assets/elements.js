"use strict";

// Elements and words of the page. What comes from data reaches it as text or as a number in an address, never as markup.

const data = window.VARIAD;
const SCENARIOS = { one_shot: "One-shot", few_shot: "Few-shot", full_shot: "Full-shot" };
const LABELS = { 0: "normal", 1: "anomalous" };

const number = (value, digits = 3) => (value === null || value === undefined ? "–" : value.toFixed(digits));
const score = (value) => digits(value);
const scenarioName = (name) => SCENARIOS[name] || name;
const labelName = (label) => LABELS[label] || "unlabelled";
const imageName = (index) => data.images.id[index];
const picture = (address, alt) => el("img", { loading: "lazy", decoding: "async", alt, src: address });
const real = (index, alt = imageName(index)) => picture(`images/${index}.jpg`, alt);
const badge = (good, text) => el("span", { className: good ? "badge good" : "badge bad" }, text);
const verdict = (accepted) => badge(accepted, accepted ? "✓ accepted" : "✕ rejected");
const label = (value) => (value === null ? el("span", { className: "faint" }, "unlabelled") : badge(value === 0, labelName(value)));
const link = (address, ...content) => el("a", { href: address }, ...content);
