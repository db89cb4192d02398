// What a person has chosen, kept in the browser from one visit to the next.
//
// Anything in the store may be of another version or of another page under the
// same address: what is not as expected is taken as not there. The classes and
// the model's own score are stored beside what was chosen for a model, since
// another model may come under its name.

import { MOST_RULES, MOST_SHAPES, listFrom, ruleFrom, shapeFrom } from "./shapes.js";

const KEY = "ssdlite";
const MOST_MODELS = 20;
const MOST_SOURCES = 20;

function read() {
  try {
    const stored = JSON.parse(localStorage.getItem(KEY));
    return stored && typeof stored === "object" && !Array.isArray(stored) ? stored : {};
  } catch {
    return {};
  }
}

function write(stored) {
  try {
    localStorage.setItem(KEY, JSON.stringify(stored));
  } catch {
    // A browser that stores nothing shows the page all the same.
  }
}

// Calls `changed()` when another tab of the browser has stored something.
export function whenStoredElsewhere(changed) {
  addEventListener("storage", ({ key }) => (key === KEY || key === null) && changed());
}

const isText = (value) => typeof value === "string";
const textOf = (value) => (isText(value) ? value : undefined);
const listOf = (value) => (Array.isArray(value) ? value : []);

function modelsOf(stored) {
  return listOf(stored.models).filter((entry) => isText(entry?.name));
}

function isOf(entry, { name, score, classes }) {
  return entry.name === name && entry.score === score
    && JSON.stringify(entry.classes) === JSON.stringify(classes);
}

// The page's choices: { model, source, given, panel, letters }. `given` is the
// title of the source that the server was started with when `source` was chosen.
export function pageSettings() {
  const { model, source, given, panel, letters } = read();
  return {
    model: textOf(model),
    source: textOf(source),
    given: textOf(given),
    panel: panel !== false,
    letters: letters !== false,
  };
}

export function savePageSettings(changed) {
  write({ ...read(), ...changed });
}

// A model's choices: { threshold, hidden }, the threshold undefined where it is
// the model's own.
export function modelSettings(model) {
  const entry = modelsOf(read()).find((known) => isOf(known, model));
  const { threshold } = entry ?? {};
  const isScore = Number.isFinite(threshold) && threshold >= 0.05 && threshold <= 1;
  return {
    threshold: isScore ? threshold : undefined,
    hidden: new Set(listOf(entry?.hidden).filter((name) => model.classes.includes(name))),
  };
}

export function saveModelSettings({ name, score, classes }, { threshold, hidden }) {
  const stored = read();
  const others = modelsOf(stored).filter((entry) => entry.name !== name);
  const entry = { name, score, classes, threshold, hidden: [...hidden] };
  write({ ...stored, models: [entry, ...others].slice(0, MOST_MODELS) });
}

const watchedSources = (stored) => listOf(stored.watched).filter((entry) => isText(entry?.source));

// The lines and zones of a source, by its title.
export function shapeSettings(source) {
  const entry = watchedSources(read()).find((known) => known.source === source);
  return listFrom(entry?.shapes, shapeFrom, MOST_SHAPES);
}

export function saveShapes(source, shapes) {
  const stored = read();
  const others = watchedSources(stored).filter((entry) => entry.source !== source);
  const changed = shapes.length ? [{ source, shapes }] : [];
  write({ ...stored, watched: [...changed, ...others].slice(0, MOST_SOURCES) });
}

export const ruleSettings = () => listFrom(read().rules, ruleFrom, MOST_RULES);

export function saveRules(rules) {
  write({ ...read(), rules });
}
