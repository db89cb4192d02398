// Puts the page together on which kept frames are labelled: the board, the list of
// objects, the form of the chosen one, buttons and keys.

import { askServer } from "./api.js";
import { createBoard } from "./board.js";
import { boxBetween, moved } from "./boxes.js";
import { createCorrections } from "./corrections.js";
import { createFrames } from "./frames.js";
import { takesText } from "./keys.js";
import { pageSettings, savePageSettings } from "./settings.js";

const element = (id) => document.querySelector(`#${id}`);
const ZOOM_STEP = 1.4;
const FAR = 10;
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const EDGES = ["left", "top", "right", "bottom"];
const NO_COLORS = { box: "#e5e7eb" };

// The classes that are offered, the model's first, and their colours.
let classes = [];
const colors = new Map();
let lastClass;
let chosen;

const corrections = createCorrections();
const board = createBoard({
  svg: element("board"),
  colorsOf: (name) => colors.get(name) ?? NO_COLORS,
  selected: choose,
  changed: (key, box) => {
    corrections.change(key, { box });
    write();
  },
  drawn: add,
});
const frames = createFrames({
  corrections,
  opened({ address, size }) {
    corrections.objects.forEach(({ class: name }) => learnClass(name));
    board.open(address, size);
    chosen = undefined;
    element("empty").hidden = true;
    setNote("", "");
  },
  failed(id, error) {
    showEmpty(`${id} can’t be corrected here`, error.message);
  },
  changed: write,
});

function showEmpty(title, text) {
  element("empty-title").textContent = title;
  element("empty-text").textContent = text;
  element("empty").hidden = false;
}

function setNote(kind, text) {
  element("note").dataset.kind = kind;
  element("note").textContent = text;
}

function learnClass(name) {
  if (!name || classes.includes(name)) return;
  classes = [...classes, name];
  element("classes").replaceChildren(...classes.map((known) =>
    Object.assign(document.createElement("option"), { value: known })));
}

function choose(key) {
  chosen = key;
  write();
}

function add(box) {
  if (!box) return setNote("", "Drag from one corner of the new box to the other.");
  setDrawing(false);
  chosen = corrections.add(lastClass ?? classes[0] ?? "object", box);
  write();
  return undefined;
}

function setDrawing(value) {
  board.setDrawing(value && frames.isOpen);
  element("draw").setAttribute("aria-pressed", String(board.isDrawing));
  setNote("", board.isDrawing ? "Drag from one corner of the new box to the other." : "");
}

function remove() {
  if (chosen === undefined) return;
  corrections.remove(chosen);
  choose(undefined);
}

function rename(name) {
  const trimmed = name.trim();
  if (chosen === undefined || !trimmed) return;
  learnClass(trimmed);
  lastClass = trimmed;
  corrections.change(chosen, { class: trimmed });
  write();
}

function undo() {
  corrections.undo();
  write();
}

function redo() {
  corrections.redo();
  write();
}

// Chooses the object after the chosen one.
function chooseNext() {
  const { objects } = corrections;
  const place = objects.findIndex(({ key }) => key === chosen);
  if (objects.length) choose(objects[(place + 1) % objects.length].key);
}

function nudge(by, isEdge) {
  const object = corrections.find(chosen);
  if (!object?.box) return;
  const [x1, y1, x2, y2] = object.box;
  const box = isEdge
    ? boxBetween([x1, y1], [Math.max(x2 + by[0], x1 + 1), Math.max(y2 + by[1], y1 + 1)], board.size)
    : moved(object.box, by, board.size);
  if (box) corrections.change(chosen, { box }, `nudge ${chosen} ${isEdge}`);
  write();
}

// What a person wrote into the form of the chosen box.
function takeEdges() {
  const object = corrections.find(chosen);
  const [left, top, right, bottom] = EDGES.map((id) => element(id).valueAsNumber);
  const box = [left, top, right, bottom].every(Number.isFinite) && left < right && top < bottom
    ? boxBetween([left, top], [right, bottom], board.size)
    : undefined;
  if (!object?.box) return;
  if (box) corrections.change(chosen, { box });
  else setNote("bad", "A box needs its left edge before the right one, and its top before the bottom.");
  write();
}

// Runs what asks the server; tells of what fails.
async function attempt(work) {
  try {
    return await work();
  } catch (error) {
    setNote("bad", `Not saved: ${error.message}`);
    return false;
  }
}

// A class or an edge that is being written counts.
function endWriting() {
  const { activeElement } = document;
  if (activeElement && takesText(activeElement)) activeElement.blur();
}

async function saveBy(work) {
  endWriting();
  if (await attempt(work)) setNote("good", "Saved.");
}

const save = () => saveBy(frames.save);

async function go(next) {
  endWriting();
  setDrawing(false);
  await attempt(() => frames.go(next));
  write();
}

function writeState() {
  const state = element("state");
  const [kind, text] = stateOf();
  state.dataset.kind = kind;
  state.textContent = text;
}

function stateOf() {
  if (frames.isSaving) return ["wait", "Saving…"];
  if (frames.hasConflict) return ["bad", "Changed elsewhere"];
  if (!frames.isOpen) return ["idle", frames.index < 0 ? "No frame" : "Not open"];
  if (!frames.isAnnotated) return ["wait", "Not labelled yet"];
  return frames.isUnsaved ? ["wait", "Not saved"] : ["live", "Saved"];
}

function writeFrames() {
  const { frames: ids, total, left_out: others, folder } = frames.listed;
  const menu = element("frame");
  if (menu.options.length !== ids.length) {
    menu.replaceChildren(...ids.map((id, value) =>
      Object.assign(document.createElement("option"), { value, textContent: id })));
  }
  menu.value = String(frames.index);
  menu.disabled = !ids.length;
  const left = others ? `; ${others} ${others === 1 ? "entry" : "entries"} of JPEGImages can’t be shown here` : "";
  element("place").textContent = ids.length ? `${frames.index + 1} of ${total}, newest first${left}` : "";
  element("place").title = folder ?? "";
  document.title = ids.length ? `${ids[frames.index] ?? ""} – ssdlite: kept frames` : "ssdlite: kept frames";
}

const part = (tag, className, textContent) =>
  Object.assign(document.createElement(tag), { className, textContent });

function swatchOf(name) {
  const swatch = part("i", "", "");
  swatch.style.background = (colors.get(name) ?? NO_COLORS).box;
  return swatch;
}

function objectItem({ key, class: name, box, fixed }) {
  const button = Object.assign(document.createElement("button"), { type: "button" });
  button.setAttribute("aria-pressed", String(key === chosen));
  const size = fixed ? "can’t be changed" : `${box[2] - box[0]} × ${box[3] - box[1]}`;
  button.append(swatchOf(name), part("span", "name", name ?? "without a class"), part("span", "size", size));
  button.addEventListener("click", () => choose(key));
  const item = document.createElement("li");
  item.append(button);
  return item;
}

// Scrolls a list, and nothing around it, to where an item of it is seen.
function reveal(list, item) {
  const above = item.offsetTop - list.scrollTop;
  const below = above + item.offsetHeight - list.clientHeight;
  if (above < 0) list.scrollTop += above;
  else if (below > 0) list.scrollTop += below;
}

function writeObjects() {
  const { objects } = corrections;
  const list = element("objects");
  const focused = [...list.children].findIndex((item) => item.contains(document.activeElement));
  list.replaceChildren(...(frames.isOpen ? objects.map(objectItem) : []));
  list.children[focused]?.firstChild.focus({ preventScroll: true });
  const pressed = list.querySelector("[aria-pressed=true]");
  if (pressed) reveal(list, pressed.parentElement);
  element("count").textContent = frames.isOpen && objects.length ? String(objects.length) : "";
  element("no-objects").hidden = !frames.isOpen || objects.length > 0;
}

function classButton(name, index) {
  const button = Object.assign(document.createElement("button"), { type: "button" });
  button.append(swatchOf(name), part("span", "name", name));
  if (index < 9) button.append(part("kbd", "", index + 1));
  button.addEventListener("click", () => rename(name));
  return button;
}

// A class at a touch; classes come and never go.
function writeKnown(current) {
  const group = element("known");
  const others = classes.slice(group.children.length);
  group.append(...others.map((name, index) => classButton(name, classes.length - others.length + index)));
  [...group.children].forEach((button, index) =>
    button.setAttribute("aria-pressed", String(classes[index] === current)));
}

function writeChosen() {
  const object = frames.isOpen ? corrections.find(chosen) : undefined;
  element("no-chosen").hidden = Boolean(object);
  element("chosen").hidden = !object?.box;
  element("fixed").hidden = !object?.fixed;
  element("delete").disabled = !object;
  if (object?.fixed) element("fixed").textContent = `This object can only be deleted: ${object.fixed}.`;
  if (!object?.box) return;
  element("class").value = object.class;
  writeKnown(object.class);
  EDGES.forEach((id, index) => {
    const input = element(id);
    input.max = index % 2 ? board.size.height : board.size.width;
    input.value = object.box[index];
  });
}

// Shows everything as it is.
function write() {
  if (!corrections.find(chosen)) chosen = undefined;
  if (frames.isOpen) board.show(corrections.objects, chosen);
  else board.clear();
  writeState();
  writeFrames();
  writeObjects();
  writeChosen();
  const { isOpen, index, listed } = frames;
  const enable = (id, is) => { element(id).disabled = !is; };
  enable("previous", index > 0);
  enable("next", index >= 0 && index < listed.frames.length - 1);
  ["draw", "add-middle", "larger", "smaller", "fit"].forEach((id) => enable(id, isOpen));
  enable("undo", isOpen && corrections.canUndo);
  enable("redo", isOpen && corrections.canRedo);
  enable("save", frames.isUnsaved && !frames.isSaving && !frames.hasConflict);
  element("conflict").hidden = !frames.hasConflict;
}

const LETTERS = new Map([
  ["w", () => setDrawing(!board.isDrawing)],
  ["a", () => go(frames.index - 1)],
  ["d", () => go(frames.index + 1)],
  ["q", chooseNext],
  ["e", () => element("class").focus()],
]);
const KEYS = new Map([
  ["Delete", remove],
  ["Backspace", remove],
  ["Escape", () => (board.isDrawing ? setDrawing(false) : choose(undefined))],
  ["PageUp", () => go(frames.index - 1)],
  ["PageDown", () => go(frames.index + 1)],
  ["+", () => board.zoom(ZOOM_STEP)],
  ["=", () => board.zoom(ZOOM_STEP)],
  ["-", () => board.zoom(1 / ZOOM_STEP)],
  ["0", board.fit],
]);
const WITH_CONTROL = new Map([
  ["z", undo],
  ["Z", redo],
  ["y", redo],
  ["s", save],
]);

function actionOf({ key, target, ctrlKey, metaKey, altKey, shiftKey }) {
  if (ctrlKey || metaKey) {
    // A text field undoes its own letters.
    return key !== "s" && takesText(target) ? undefined : WITH_CONTROL.get(key);
  }
  if (takesText(target) || target.closest("select")) return undefined;
  const arrow = ARROWS[key];
  if (arrow) {
    if (chosen === undefined) return undefined;
    const by = arrow.map((step) => step * (shiftKey ? FAR : 1));
    return () => nudge(by, altKey);
  }
  if (altKey || !frames.isOpen && !["a", "d", "PageUp", "PageDown"].includes(key)) return undefined;
  const isLetter = /^[a-z1-9]$/i.test(key);
  if (isLetter && !element("letters").checked) return undefined;
  if (/^[1-9]$/.test(key)) {
    const name = classes[Number(key) - 1];
    return name && chosen !== undefined ? () => rename(name) : undefined;
  }
  return KEYS.get(key) ?? LETTERS.get(key.toLowerCase());
}

function listen() {
  const on = (id, event, action) => element(id).addEventListener(event, action);
  on("previous", "click", () => go(frames.index - 1));
  on("next", "click", () => go(frames.index + 1));
  on("frame", "change", ({ target }) => go(Number(target.value)));
  on("draw", "click", () => setDrawing(!board.isDrawing));
  on("add-middle", "click", () => add(board.middleBox()));
  on("undo", "click", undo);
  on("redo", "click", redo);
  on("larger", "click", () => board.zoom(ZOOM_STEP));
  on("smaller", "click", () => board.zoom(1 / ZOOM_STEP));
  on("fit", "click", board.fit);
  on("save", "click", save);
  on("delete", "click", remove);
  on("class", "change", ({ target }) => rename(target.value));
  EDGES.forEach((id) => on(id, "change", takeEdges));
  on("chosen", "submit", (event) => event.preventDefault());
  on("take-theirs", "click", () => attempt(frames.takeTheirs));
  on("keep-mine", "click", () => saveBy(frames.keepMine));
  on("letters", "change", ({ target }) => savePageSettings({ letters: target.checked }));
  addEventListener("keydown", (event) => {
    const action = event.target instanceof Element ? actionOf(event) : undefined;
    if (!action) return;
    event.preventDefault();
    action();
  });
  addEventListener("beforeunload", (event) => {
    if (frames.isOpen && corrections.isChanged) event.preventDefault();
  });
}

async function begin() {
  listen();
  element("letters").checked = pageSettings().letters;
  try {
    const { models, keep } = await askServer();
    for (const { classes: names, colors: those } of models) {
      names.forEach((name, index) => {
        learnClass(name);
        if (!colors.has(name)) colors.set(name, those[index]);
      });
    }
    if (!keep) {
      write();
      return showEmpty("No folder for frames", "The server was started without --keep DIR.");
    }
    await frames.begin();
    if (!frames.listed.frames.length) {
      showEmpty("No frames yet", "Keep some while you watch a source: they come here.");
    }
  } catch (error) {
    showEmpty("The frames can’t be shown", error.message);
  }
  return write();
}

begin();
