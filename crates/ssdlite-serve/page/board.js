// The image of a frame with its boxes, which are selected, moved, resized and drawn by
// mouse, pen or fingers. Two fingers or the wheel zoom, one on no box pans.

import { boxBetween, handlesOf, moved, resized, smallestAt } from "./boxes.js";

// In pixels of the page.
const HANDLE = 9;
const REACH = { mouse: 8, pen: 14, touch: 22 };
const LETTERS = 13;
// What moves less is a click.
const SLIP = 3;
// The most pixels of the page that one of the image is shown by.
const LARGEST = 24;
const WHEEL = 0.0015;

function node(name, attributes, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

const minus = ([x, y], [dx, dy]) => [x - dx, y - dy];
const distance = ([x1, y1], [x2, y2]) => Math.hypot(x2 - x1, y2 - y1);
const middle = ([x1, y1], [x2, y2]) => [(x1 + x2) / 2, (y1 + y2) / 2];

// `colorsOf(name)` is a class's { box }. `selected(key)` is called when a person points
// at an object or at none, `changed(key, box)` when one has another box, and
// `drawn(box)` when a new one is drawn, undefined if it is none.
export function createBoard({ svg, colorsOf, selected, changed, drawn }) {
  const [picture, layer] = [node("image", {}), node("g", {})];
  svg.replaceChildren(picture, layer);
  let size;
  let objects = [];
  let selection;
  let isDrawing = false;
  // The image's point at the top left and how many of its pixels one of the page shows.
  let view = { left: 0, top: 0, scale: 1 };
  let isFitted = true;
  // What a pointer is doing.
  let drag;
  const pointers = new Map();

  const shown = () => svg.getBoundingClientRect();

  function pointOf({ clientX, clientY }) {
    const { left, top } = shown();
    return [view.left + (clientX - left) * view.scale, view.top + (clientY - top) * view.scale];
  }

  // A window may have no area for a moment.
  const fitScale = ({ width, height }) => Math.max(size.width / (width || 1), size.height / (height || 1));

  function fit() {
    const window = shown();
    const scale = fitScale(window);
    view = {
      scale,
      left: (size.width - window.width * scale) / 2,
      top: (size.height - window.height * scale) / 2,
    };
    isFitted = true;
  }

  // Shows the image by `scale`, with `point` of it at a place of the window.
  function showAt(point, { clientX, clientY }, scale) {
    const window = shown();
    const largest = fitScale(window);
    const next = Math.min(Math.max(scale, 1 / LARGEST), largest);
    if (next === largest) return fit();
    const [x, y] = [clientX - window.left, clientY - window.top];
    // The window's middle stays on the image.
    const within = (start, length, whole) =>
      Math.min(Math.max(start, -length / 2), whole - length / 2);
    view = {
      scale: next,
      left: within(point[0] - x * next, window.width * next, size.width),
      top: within(point[1] - y * next, window.height * next, size.height),
    };
    isFitted = false;
  }

  function zoom(factor) {
    if (!size) return;
    const { left, top, width, height } = shown();
    const place = { clientX: left + width / 2, clientY: top + height / 2 };
    showAt(pointOf(place), place, view.scale / factor);
    redraw();
  }

  function boxNodes({ key, class: name, box }) {
    const [x1, y1, x2, y2] = box;
    const { scale } = view;
    const place = { x: x1, y: y1, width: x2 - x1, height: y2 - y1 };
    const kind = key === selection ? "box selected" : "box";
    const letters = LETTERS * scale;
    const text = {
      x: Math.max(x1, view.left) + 3 * scale,
      y: Math.max(y1 - 4 * scale, view.top + letters),
      "font-size": letters,
      "stroke-width": 4 * scale,
    };
    return [
      node("rect", { ...place, class: "rim", "stroke-width": 4 * scale }),
      node("rect", { ...place, class: kind, stroke: colorsOf(name).box, "stroke-width": 2 * scale }),
      node("text", text, name),
    ];
  }

  function handleNodes({ box }) {
    const side = HANDLE * view.scale;
    return handlesOf(box).map(({ at: [x, y] }) =>
      node("rect", { x: x - side / 2, y: y - side / 2, width: side, height: side, class: "handle", "stroke-width": view.scale }));
  }

  // The objects with the box of what is going on.
  function present() {
    if (!drag?.box) return objects;
    if (drag.kind === "draw") return [...objects, { key: "new", class: "", box: drag.box }];
    return objects.map((object) => (object.key === drag.key ? { ...object, box: drag.box } : object));
  }

  function redraw() {
    svg.classList.toggle("drawing", isDrawing);
    if (!size) return layer.replaceChildren();
    const { width, height } = shown();
    const { left, top, scale } = view;
    svg.setAttribute("viewBox", `${left} ${top} ${width * scale || 1} ${height * scale || 1}`);
    const placed = present().filter(({ box }) => box);
    const chosen = placed.find(({ key }) => key === selection);
    // The selected one is drawn last, over the others.
    const inOrder = placed.filter((object) => object !== chosen);
    layer.replaceChildren(
      ...inOrder.flatMap(boxNodes),
      ...(chosen ? [...boxNodes(chosen), ...handleNodes(chosen)] : []),
    );
  }

  function handleAt(point, reach) {
    const object = objects.find(({ key }) => key === selection);
    if (!object?.box) return undefined;
    const far = ({ at }) => distance(at, point) / view.scale;
    const nearest = handlesOf(object.box).sort((a, b) => far(a) - far(b))[0];
    return far(nearest) <= reach ? { object, handle: nearest.handle } : undefined;
  }

  function begin(event) {
    const from = pointOf(event);
    if (isDrawing) return { kind: "draw", from };
    const held = handleAt(from, REACH[event.pointerType] ?? REACH.mouse);
    if (held) return { kind: "resize", from, key: held.object.key, start: held.object.box, handle: held.handle };
    const object = smallestAt(objects, from);
    selected(object?.key);
    if (object) return { kind: "move", from, key: object.key, start: object.box };
    return { kind: "pan", from };
  }

  function follow(event) {
    const to = pointOf(event);
    if (drag.kind === "pan") return showAt(drag.from, event, view.scale);
    if (!drag.isMoved && distance(drag.from, to) / view.scale < SLIP) return undefined;
    drag.isMoved = true;
    const by = minus(to, drag.from);
    if (drag.kind === "draw") drag.box = boxBetween(drag.from, to, size);
    if (drag.kind === "move") drag.box = moved(drag.start, by, size);
    if (drag.kind === "resize") drag.box = resized(drag.start, drag.handle, by, size) ?? drag.box;
    return undefined;
  }

  function pinch() {
    const [one, other] = [...pointers.values()];
    const [clientX, clientY] = middle([one.clientX, one.clientY], [other.clientX, other.clientY]);
    const apart = distance([one.clientX, one.clientY], [other.clientX, other.clientY]) || 1;
    return { place: { clientX, clientY }, apart };
  }

  svg.addEventListener("pointerdown", (event) => {
    if (!size || (event.pointerType === "mouse" && event.button !== 0)) return;
    event.preventDefault();
    svg.focus({ preventScroll: true });
    svg.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, event);
    if (pointers.size === 2) {
      const { place, apart } = pinch();
      drag = { kind: "pinch", from: pointOf(place), scale: view.scale * apart };
    } else {
      drag = pointers.size === 1 ? begin(event) : undefined;
    }
    redraw();
  });
  svg.addEventListener("pointermove", (event) => {
    if (!pointers.has(event.pointerId) || !drag || !size) return;
    pointers.set(event.pointerId, event);
    if (drag.kind === "pinch") {
      const { place, apart } = pinch();
      showAt(drag.from, place, drag.scale / apart);
    } else {
      follow(event);
    }
    redraw();
  });
  function release(event) {
    if (!pointers.delete(event.pointerId)) return;
    const done = drag;
    drag = undefined;
    if (event.type === "pointerup" && done) {
      if (done.kind === "draw") drawn(done.box);
      else if (done.box) changed(done.key, done.box);
    }
    redraw();
  }
  svg.addEventListener("pointerup", release);
  svg.addEventListener("pointercancel", release);
  svg.addEventListener("wheel", (event) => {
    if (!size) return;
    event.preventDefault();
    showAt(pointOf(event), event, view.scale * Math.exp(event.deltaY * WHEEL));
    redraw();
  }, { passive: false });
  addEventListener("resize", () => {
    if (size && isFitted) fit();
    redraw();
  });

  return {
    // Shows the image at an address, of this size.
    open(address, nextSize) {
      size = nextSize;
      drag = undefined;
      pointers.clear();
      picture.setAttribute("href", address);
      picture.setAttribute("width", size.width);
      picture.setAttribute("height", size.height);
      fit();
      redraw();
    },
    clear() {
      size = undefined;
      drag = undefined;
      picture.removeAttribute("href");
      redraw();
    },
    show(nextObjects, nextSelection) {
      [objects, selection] = [nextObjects, nextSelection];
      redraw();
    },
    setDrawing(value) {
      isDrawing = value;
      drag = undefined;
      redraw();
    },
    get isDrawing() { return isDrawing; },
    get size() { return size; },
    // A box in the middle of what is seen.
    middleBox() {
      const { width, height } = shown();
      const [x, y] = [view.left + (width * view.scale) / 2, view.top + (height * view.scale) / 2];
      const [across, down] = [(width * view.scale) / 6, (height * view.scale) / 6];
      return boxBetween([x - across, y - down], [x + across, y + down], size);
    },
    zoom,
    fit() {
      if (!size) return;
      fit();
      redraw();
    },
  };
}
