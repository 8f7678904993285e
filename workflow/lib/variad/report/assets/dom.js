"use strict";

// What every page of ours makes elements and numbers with. What comes from data is set as text, never as markup.

const byId = (id) => document.getElementById(id);
const digits = (value, count = 4) => (value === null || value === undefined ? "–" : Number(value.toPrecision(count)).toString());

function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (key in node) node[key] = value;
    else node.setAttribute(key, value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}
