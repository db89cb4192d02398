// The lines, zones and rules that a person has set, kept in the browser from one
// visit to the next. What is stored and not as expected is taken as not there.

import { MOST_RULES, MOST_SHAPES, listFrom, ruleFrom, shapeFrom } from "./shapes.js";

const KEY = "ssdlite-watched";
const MOST_SOURCES = 20;

function read() {
  try {
    const { sources, rules } = JSON.parse(localStorage.getItem(KEY)) ?? {};
    const isSource = (entry) => typeof entry?.title === "string";
    return { sources: Array.isArray(sources) ? sources.filter(isSource) : [], rules };
  } catch {
    return { sources: [] };
  }
}

function write(stored) {
  try {
    localStorage.setItem(KEY, JSON.stringify(stored));
  } catch {
    // A browser that stores nothing counts all the same.
  }
}

// The lines and zones of a source.
export function storedShapes(title) {
  const entry = read().sources.find((source) => source.title === title);
  return listFrom(entry?.shapes, shapeFrom, MOST_SHAPES);
}

export function storeShapes(title, shapes) {
  const stored = read();
  const others = stored.sources.filter((source) => source.title !== title);
  const changed = shapes.length ? [{ title, shapes }] : [];
  write({ ...stored, sources: [...changed, ...others].slice(0, MOST_SOURCES) });
}

export const storedRules = () => listFrom(read().rules, ruleFrom, MOST_RULES);

export function storeRules(rules) {
  write({ ...read(), rules });
}
