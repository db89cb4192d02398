// Lines, zones and rules as people set them: their limits, and what of a text in
// storage is one.

export const MOST_SHAPES = 8;
export const MOST_POINTS = 12;
export const MOST_RULES = 8;
export const MOST_NAME = 40;
// Seconds that an object has to be there for a rule, and between two calls of it.
export const MOST_SECONDS = 3600;
export const MOST_PAUSE = 86_400;

// A line or zone that is smaller, in shares of the image, is a slip of the hand.
const LEAST_EXTENT = 0.01;
const LEAST_POINTS = { line: 2, zone: 3 };
const POINTS = { line: 2, zone: MOST_POINTS };

const within = (value, least, most) => typeof value === "number" && value >= least && value <= most;
const isText = (value, most) => typeof value === "string" && value.length >= 1 && value.length <= most;
const extent = (values) => Math.max(...values) - Math.min(...values);

// Whether these are the points of a line or of a zone, in shares of the image.
export function arePoints(kind, points) {
  if (!(kind in POINTS) || !Array.isArray(points)) return false;
  if (!within(points.length, LEAST_POINTS[kind], POINTS[kind])) return false;
  if (!points.every((point) => within(point?.x, 0, 1) && within(point?.y, 0, 1))) return false;
  const sides = [extent(points.map(({ x }) => x)), extent(points.map(({ y }) => y))];
  return kind === "line"
    ? Math.max(...sides) >= LEAST_EXTENT
    : Math.min(...sides) >= LEAST_EXTENT;
}

// A line, { id, kind: "line", name, points: [{ x, y }, { x, y }] }, or a zone, whose
// points are its corners; undefined for anything else.
export function shapeFrom(value) {
  const { id, kind, name, points } = value ?? {};
  if (!Number.isSafeInteger(id) || !isText(name, MOST_NAME) || !arePoints(kind, points)) return undefined;
  return { id, kind, name, points: points.map(({ x, y }) => ({ x, y })) };
}

// A rule, { id, class, score, seconds, pause, keep, sound, webhook }; undefined for
// anything else.
export function ruleFrom(value) {
  const { id, class: name, score, seconds, pause } = value ?? {};
  if (!Number.isSafeInteger(id) || !isText(name, 1000) || !within(score, 0, 1)) return undefined;
  if (!within(seconds, 0, MOST_SECONDS) || !within(pause, 0, MOST_PAUSE)) return undefined;
  const [keep, sound, webhook] = [value.keep, value.sound, value.webhook].map(Boolean);
  return { id, class: name, score, seconds, pause, keep, sound, webhook };
}

// What of a list is good, with ids that differ, and no more than so many.
export function listFrom(values, oneFrom, most) {
  const good = (Array.isArray(values) ? values : []).map(oneFrom).filter(Boolean);
  const isFirst = ({ id }, index) => good.findIndex((other) => other.id === id) === index;
  return good.filter(isFirst).slice(0, most);
}

export const nextId = (list) => Math.max(0, ...list.map(({ id }) => id)) + 1;

// The rule in words.
export const textOfRule = ({ class: name, score, seconds }) =>
  `${name} above ${Math.round(score * 100)} % for ${seconds} s`;
