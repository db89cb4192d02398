// The card with the lines and zones of a source, and what crossed them.

import { countInside } from "./crossing.js";
import { createDrawing } from "./drawing.js";
import { saveShapes, shapeSettings, whenStoredElsewhere } from "./settings.js";
import { MOST_NAME, MOST_SHAPES, arePoints, nextId } from "./shapes.js";

function made(name, properties, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}

function button(text, label, action) {
  const element = made("button", { type: "button", className: "quiet", textContent: text });
  element.setAttribute("aria-label", label);
  element.addEventListener("click", action);
  return element;
}

// A table of numbers by class. `columns` are names of [class, ...numbers].
function table(caption, columns) {
  const body = made("tbody");
  let written;
  return {
    element: made("table", { className: "counts" },
      made("caption", { textContent: caption }),
      made("thead", {}, made("tr", {}, ...columns.map((text) => made("th", { scope: "col", textContent: text })))),
      body),
    // `rows` are [class, ...numbers].
    write(rows) {
      const text = JSON.stringify(rows);
      if (text === written) return;
      written = text;
      const nothing = made("tr", {}, made("td", { className: "soft", colSpan: columns.length, textContent: "Nothing yet" }));
      body.replaceChildren(...(rows.length ? rows.map(([name, ...numbers]) =>
        made("tr", {},
          made("th", { scope: "row", textContent: name }),
          ...numbers.map((number) => made("td", { textContent: number })))) : [nothing]));
    },
  };
}

const names = (...maps) => [...new Set(maps.flatMap((map) => [...map.keys()]))].sort();

// `counter` counts; `note(kind, text)` tells a person.
export function createCounting({ counter, note }) {
  const element = (id) => document.querySelector(`#${id}`);
  const list = element("shapes");
  const whole = table("Whole image", ["Class", "Now", "So far"]);
  let source = "";
  let shapes = [];
  let items = new Map();
  let shown = { frame: null, detections: null };
  element("totals").replaceWith(whole.element);

  const drawing = createDrawing({
    drawn(kind, points) {
      const id = nextId(shapes);
      set([...shapes, { id, kind, name: `${kind === "line" ? "Line" : "Zone"} ${id}`, points }]);
      items.get(id).name.focus({ preventScroll: true });
    },
    cancelled: (kind) => element(`add-${kind}`).focus({ preventScroll: true }),
  });

  function set(next) {
    shapes = next;
    saveShapes(source, shapes);
    rebuild();
  }

  // The shape is another: what was counted for it says nothing any more.
  function change(id, changed) {
    counter.forgetShape(id);
    shapes = shapes.map((shape) => (shape.id === id ? { ...shape, ...changed } : shape));
    saveShapes(source, shapes);
    write();
  }

  function remove(id) {
    counter.forgetShape(id);
    set(shapes.filter((shape) => shape.id !== id));
    element("add-line").focus();
  }

  // A field for one number of a point, in hundredths of the image.
  function coordinate(id, index, axis) {
    const { name, points } = shapes.find((shape) => shape.id === id);
    const input = made("input", { type: "number", min: 0, max: 100, step: 0.1, value: (points[index][axis] * 100).toFixed(1) });
    input.setAttribute("aria-label", `${name}: point ${index + 1}, ${axis} in percent`);
    input.addEventListener("change", () => {
      const { kind, points: before } = shapes.find((shape) => shape.id === id);
      const value = input.value === "" ? NaN : input.valueAsNumber / 100;
      const after = before.map((point, at) => (at === index ? { ...point, [axis]: value } : point));
      if (arePoints(kind, after)) {
        change(id, { points: after });
      } else {
        note("bad", `A ${kind}’s points are 0 to 100 % of the image, and lie apart.`);
        input.value = (before[index][axis] * 100).toFixed(1);
      }
    });
    return input;
  }

  function item({ id, kind, name, points }) {
    const isLine = kind === "line";
    const counts = table(isLine ? "Crossed" : "Inside",
      isLine ? ["Class", "In", "Out"] : ["Class", "Now", "In", "Out"]);
    const input = made("input", { type: "text", className: "shape-name", value: name, maxLength: MOST_NAME });
    input.setAttribute("aria-label", `Name of ${name}`);
    input.addEventListener("change", () => {
      const text = input.value.trim();
      if (!text) input.value = name;
      else set(shapes.map((shape) => (shape.id === id ? { ...shape, name: text } : shape)));
    });
    const turn = button("Turn", `Turn ${name} round`, () => {
      change(id, { points: [...shapes.find((shape) => shape.id === id).points].reverse() });
      rebuild();
    });
    const away = button("Remove", `Remove ${name}`, () => remove(id));
    const fields = points.map((_, index) =>
      made("li", {}, `${index + 1}`, coordinate(id, index, "x"), coordinate(id, index, "y")));
    return {
      name: input,
      counts,
      element: made("li", { className: "shape" },
        made("div", { className: "shape-head" }, input, ...(isLine ? [turn] : []), away),
        counts.element,
        made("details", {}, made("summary", { textContent: "Points" }),
          made("ol", { className: "points" }, made("li", { className: "soft" }, "", made("span", { textContent: "x %" }), made("span", { textContent: "y %" })), ...fields))),
    };
  }

  function rebuild() {
    const open = new Set([...items].filter(([, { element: old }]) => old.querySelector("details").open).map(([id]) => id));
    items = new Map(shapes.map((shape) => [shape.id, item(shape)]));
    for (const [id, { element: one }] of items) one.querySelector("details").open = open.has(id);
    list.replaceChildren(...[...items.values()].map((one) => one.element));
    write();
  }

  function write() {
    const { frame, detections } = shown;
    const isFull = shapes.length >= MOST_SHAPES;
    for (const id of ["add-line", "add-zone"]) {
      element(id).disabled = !frame || isFull;
      element(id).title = isFull ? `There are at most ${MOST_SHAPES} lines and zones.` : "";
    }
    const now = new Map();
    for (const { class: name } of detections ?? []) now.set(name, (now.get(name) ?? 0) + 1);
    const told = (counts, name) => (detections ? counts.get(name) ?? 0 : "–");
    const seen = counter.seen();
    whole.write(names(now, seen).map((name) => [name, told(now, name), seen.get(name) ?? 0]));
    for (const shape of shapes) {
      const counts = counter.countsOf(shape);
      const inside = shape.kind === "zone" ? countInside(detections ?? [], shape, frame ?? {}) : new Map();
      items.get(shape.id).counts.write(names(counts, inside).map((name) => {
        const { in: came, out: went } = counts.get(name) ?? { in: 0, out: 0 };
        return shape.kind === "zone" ? [name, told(inside, name), came, went] : [name, came, went];
      }));
    }
    if (frame) drawing.show({ width: frame.width, height: frame.height }, shapes);
  }

  // A list of this tab's own would remove what was added in another.
  whenStoredElsewhere(() => {
    const next = shapeSettings(source);
    if (JSON.stringify(next) === JSON.stringify(shapes)) return;
    const pointsOf = (list, wanted) => JSON.stringify(list.find(({ id }) => id === wanted)?.points);
    for (const { id } of shapes) if (pointsOf(next, id) !== pointsOf(shapes, id)) counter.forgetShape(id);
    shapes = next;
    rebuild();
  });

  for (const kind of ["line", "zone"]) {
    element(`add-${kind}`).addEventListener("click", () => drawing.begin(kind));
  }
  element("reset-counts").addEventListener("click", () => {
    counter.reset();
    write();
  });

  return {
    shapes: () => shapes,
    // Another source, or another model: what was counted is of no use.
    begin(title) {
      source = title;
      shapes = shapeSettings(source);
      counter.reset();
      rebuild();
    },
    // Shows numbers and shapes on a frame, null where there is none; `detections` are
    // those that are shown, null where the image is not what the source shows now.
    show(frame, detections) {
      shown = { frame, detections };
      if (!frame) drawing.clear();
      write();
    },
  };
}
