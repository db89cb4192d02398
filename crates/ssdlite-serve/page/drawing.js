// The layer over the image on which lines and zones are shown and drawn.

import { MOST_POINTS, arePoints } from "./shapes.js";

// In pixels of the page.
const LETTERS = 13;
// Around a name, so that it is read over the names of boxes.
const NAME_RIM = 8;
const ARROW = 16;
const DOT = 5;
const CLOSING_DISTANCE = 14;

const MIDDLE = {
  line: [{ x: 0.1, y: 0.5 }, { x: 0.9, y: 0.5 }],
  zone: [{ x: 0.25, y: 0.25 }, { x: 0.75, y: 0.25 }, { x: 0.75, y: 0.75 }, { x: 0.25, y: 0.75 }],
};

const HINTS = {
  line: ["Click or tap where the line begins.", "Now where it ends."],
  zone: ["Click or tap the zone’s corners, one after the other.", "The next corner.", "The next corner, or the first again to end."],
};

function node(name, attributes, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

// `drawn(kind, points)` is called with a line or zone when it is done, in shares of the
// image; `cancelled(kind)` when it is none.
export function createDrawing({ drawn, cancelled }) {
  const element = (id) => document.querySelector(`#${id}`);
  const layer = element("shapes-layer");
  const tools = element("drawing");
  let size;
  let shapes = [];
  let kind;
  let points = [];
  let pointer;

  const pixels = ({ x, y }) => ({ x: x * size.width, y: y * size.height });

  // How many pixels of the image one of the page's shows.
  function scale() {
    const box = layer.getBoundingClientRect();
    return 1 / (Math.min(box.width / size.width, box.height / size.height) || 1);
  }

  // A point of the page as shares of the image.
  function shareOf({ clientX, clientY }) {
    const { x, y } = new DOMPoint(clientX, clientY).matrixTransform(layer.getScreenCTM().inverse());
    const share = (value, whole) => Math.min(1, Math.max(0, value / whole));
    return { x: share(x, size.width), y: share(y, size.height) };
  }

  const path = (corners, isClosed) =>
    `M${corners.map(pixels).map(({ x, y }) => `${x} ${y}`).join("L")}${isClosed ? "Z" : ""}`;

  // Points to the right hand of one who goes from a to b.
  function arrow([a, b], unit) {
    const [from, to] = [pixels(a), pixels(b)];
    const length = Math.hypot(to.x - from.x, to.y - from.y) || 1;
    const along = { x: (to.x - from.x) / length, y: (to.y - from.y) / length };
    const [x, y] = [(from.x + to.x) / 2, (from.y + to.y) / 2];
    const tip = { x: x - along.y * ARROW * unit, y: y + along.x * ARROW * unit };
    const half = { x: along.x * ARROW * unit * 0.5, y: along.y * ARROW * unit * 0.5 };
    return `M${x - half.x} ${y - half.y}L${tip.x} ${tip.y}L${x + half.x} ${y + half.y}Z`;
  }

  function outline(corners, isClosed) {
    const d = path(corners, isClosed);
    return [node("path", { d, class: "rim" }), node("path", { d, class: isClosed ? "edge filled" : "edge" })];
  }

  function shapeNodes({ kind: shapeKind, name, points: corners }, unit) {
    const isZone = shapeKind === "zone";
    const { x, y } = pixels(corners[0]);
    const letters = {
      x: Math.min(Math.max(x, 4 * unit), size.width * 0.8),
      y: Math.max(y - 7 * unit, (LETTERS + NAME_RIM / 2) * unit),
      "font-size": LETTERS * unit,
      "stroke-width": NAME_RIM * unit,
    };
    const arrows = isZone ? [] : [node("path", { d: arrow(corners, unit), class: "arrow" })];
    return [...outline(corners, isZone), ...arrows, node("text", letters, name)];
  }

  function begunNodes(unit) {
    const dots = points.map(pixels).map(({ x, y }) => node("circle", { cx: x, cy: y, r: DOT * unit, class: "dot" }));
    const way = pointer ? [...points, pointer] : points;
    return way.length > 1 ? [...outline(way, kind === "zone"), ...dots] : dots;
  }

  function redraw() {
    layer.toggleAttribute("hidden", !size);
    if (!size) return;
    layer.setAttribute("viewBox", `0 0 ${size.width} ${size.height}`);
    const unit = scale();
    layer.replaceChildren(
      ...shapes.flatMap((shape) => shapeNodes(shape, unit)),
      ...(kind ? begunNodes(unit) : []),
    );
  }

  function write() {
    tools.hidden = !kind;
    layer.classList.toggle("drawing", Boolean(kind));
    if (kind) {
      element("drawing-hint").textContent = HINTS[kind][Math.min(points.length, HINTS[kind].length - 1)];
      element("drawing-done").hidden = kind === "line";
      element("drawing-done").disabled = !arePoints(kind, points);
    }
    redraw();
  }

  function stop() {
    [kind, points, pointer] = [undefined, [], undefined];
    write();
  }

  function cancel() {
    const begun = kind;
    stop();
    cancelled(begun);
  }

  function finish(corners) {
    if (!arePoints(kind, corners)) return;
    const done = kind;
    stop();
    drawn(done, corners);
  }

  const isFirst = (point) => {
    const [first, there] = [points[0], point].map(pixels);
    return Math.hypot(first.x - there.x, first.y - there.y) < CLOSING_DISTANCE * scale();
  };

  function add(point) {
    if (kind === "zone" && points.length > 2 && isFirst(point)) return finish(points);
    points.push(point);
    pointer = undefined;
    const isFull = points.length === (kind === "line" ? 2 : MOST_POINTS);
    if (isFull && arePoints(kind, points)) return finish(points);
    // Twice the same place is a slip of the hand.
    if (isFull) points.pop();
    write();
  }

  layer.addEventListener("pointerdown", (event) => {
    if (!kind || event.button !== 0) return;
    event.preventDefault();
    add(shareOf(event));
  });
  layer.addEventListener("pointermove", (event) => {
    if (!kind || !points.length || event.pointerType === "touch") return;
    pointer = shareOf(event);
    redraw();
  });
  element("drawing-done").addEventListener("click", () => finish(points));
  element("drawing-middle").addEventListener("click", () => finish(MIDDLE[kind]));
  element("drawing-cancel").addEventListener("click", cancel);
  addEventListener("keydown", (event) => {
    if (kind && event.key === "Escape") cancel();
  });

  return {
    // Shows these on an image of this size.
    show(nextSize, nextShapes) {
      [size, shapes] = [nextSize, nextShapes];
      redraw();
    },
    // There is no image.
    clear() {
      size = undefined;
      stop();
    },
    begin(next) {
      if (!size) return;
      stop();
      kind = next;
      write();
      element("drawing-middle").focus({ preventScroll: true });
      layer.scrollIntoView({ block: "nearest" });
    },
  };
}
