// Puts the page together: the chosen source, the image, the buttons.

import { getModels, getSources, keepFrame } from "./api.js";
import { createEvents } from "./events.js";
import { createPanel } from "./panel.js";
import { cameraSource, imageSource, serverSource, videoFileSource } from "./sources.js";
import { createStats } from "./stats.js";
import { createView } from "./view.js";

const element = (id) => document.querySelector(`#${id}`);
const [sourceMenu, modelMenu, screen, pauseButton, keepButton, snapshotButton] =
  ["source", "model", "screen", "pause", "keep", "snapshot"].map(element);

let models = [];
let keepFolder = null;
let running = null;
let started = 0;
let frame = null;
let file = null;
let paused = false;

const panel = createPanel(redraw);
const view = createView(element("image"), panel.colorOf);
const stats = createStats();
const events = createEvents({ panel, keep: keepShown, note: setNote });

function setState(kind, text) {
  element("state").dataset.kind = kind;
  element("state").textContent = text;
}

function setNote(kind, text) {
  element("note").dataset.kind = kind;
  element("note").textContent = text;
}

function redraw() {
  if (!frame) return;
  const detections = panel.shown(frame.detections);
  view.draw(frame, detections);
  events.show(frame, detections);
  panel.setCounts(detections);
  element("objects").textContent = detections.length;
  element("image").setAttribute("aria-label", detections.length
    ? `Image with ${detections.map((found) => found.class).join(", ")}`
    : "Image without objects");
}

// Shows a frame with the next repaint of the page.
function show(next) {
  if (paused) return next.bitmap.close();
  return new Promise((done) => requestAnimationFrame(() => {
    if (paused) return done(next.bitmap.close());
    frame?.bitmap.close();
    frame = next;
    element("empty").hidden = true;
    events.add(frame);
    redraw();
    stats.add(next);
    updateButtons();
    done();
  }));
}

function setPaused(value) {
  paused = value;
  pauseButton.setAttribute("aria-pressed", String(paused));
  pauseButton.querySelector("span").textContent = paused ? "Go on" : "Pause";
  running?.setPaused(paused);
}

function updateButtons() {
  pauseButton.disabled = !running;
  snapshotButton.disabled = !frame;
  keepButton.disabled = !frame || !keepFolder;
  keepButton.title = keepFolder ? `Saves into ${keepFolder}` : "The server was started without a folder to keep frames in";
}

function clear(title, text) {
  frame?.bitmap.close();
  frame = null;
  element("empty").hidden = false;
  element("empty-title").textContent = title;
  element("empty-text").textContent = text;
  stats.reset();
  panel.setCounts([]);
  updateButtons();
}

// Ends the running source and begins another; `open` makes it.
async function start(open) {
  const turn = ++started;
  running?.stop();
  running = null;
  setPaused(false);
  setNote("", "");
  clear("One moment", "Waiting for the first frame.");
  events.begin(sourceMenu.selectedOptions[0].textContent, modelMenu.value);
  // What a source that was left has still to say is not heard.
  const current = (action) => (...rest) => (turn === started ? action(...rest) : undefined);
  try {
    const source = await open({
      model: modelMenu.value,
      show: current(show),
      state: current(setState),
    });
    if (turn !== started) return source.stop();
    running = source;
  } catch (error) {
    if (turn !== started) return;
    setState("bad", "No image");
    clear("That did not work", error.message);
  }
  updateButtons();
}

function startChosen() {
  const chosen = sourceMenu.value;
  if (chosen === "browser") return start(cameraSource);
  if (chosen === "file") return openFile(file);
  if (chosen.startsWith("server:")) {
    const id = chosen.slice("server:".length);
    return start(async (options) => serverSource({ id, ...options }));
  }
  clear("Choose a source", "Start your camera, or drop an image or a video here.");
  setState("idle", "Idle");
}

function openFile(chosen) {
  if (!chosen) return;
  file = chosen;
  let entry = sourceMenu.querySelector("[value=file]");
  if (!entry) sourceMenu.append((entry = option("file", "")));
  entry.textContent = file.name;
  sourceMenu.value = "file";
  const open = file.type.startsWith("video/") ? videoFileSource : imageSource;
  return start((options) => open({ file, ...options }));
}

async function snapshot() {
  if (!frame) return;
  const image = await view.snapshot(frame, panel.shown(frame.detections));
  const link = document.createElement("a");
  link.href = URL.createObjectURL(image);
  link.download = `ssdlite-${new Date().toISOString().replace(/[:.]/g, "-")}.png`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  setNote("good", `Saved ${link.download} to your downloads.`);
}

async function keepShown({ image, width, height }, detections) {
  const kept = await keepFrame(modelMenu.value, image, { width, height, detections });
  const objects = `${detections.length} ${detections.length === 1 ? "object" : "objects"}`;
  const unlisted = kept.listed ? "" : " The folder has no lists to add it to.";
  return `Kept ${kept.id} with ${objects} in ${kept.folder}.${unlisted}`;
}

async function keep() {
  if (!frame || !keepFolder) return;
  try {
    setNote("good", await keepShown(frame, panel.shown(frame.detections)));
  } catch (error) {
    setNote("bad", `Not kept: ${error.message}`);
  }
}

function option(value, text) {
  return Object.assign(document.createElement("option"), { value, textContent: text });
}

function listen() {
  sourceMenu.addEventListener("change", startChosen);
  modelMenu.addEventListener("change", () => {
    const model = models.find(({ name }) => name === modelMenu.value);
    panel.setModel(model);
    events.setModel(model);
    startChosen();
  });
  pauseButton.addEventListener("click", () => setPaused(!paused));
  snapshotButton.addEventListener("click", snapshot);
  keepButton.addEventListener("click", keep);
  element("start-camera").addEventListener("click", () => {
    sourceMenu.value = "browser";
    startChosen();
  });
  for (const id of ["open-file", "open-other"]) {
    element(id).addEventListener("click", () => element("file").click());
  }
  element("file").addEventListener("change", ({ target }) => {
    openFile(target.files[0]);
    target.value = "";
  });
  addEventListener("resize", redraw);
  addEventListener("keydown", (event) => {
    if (event.target.closest("input, select, button") || event.ctrlKey || event.metaKey || event.altKey) return;
    const action = { " ": () => running && setPaused(!paused), s: snapshot, k: keep }[event.key.toLowerCase()];
    if (!action) return;
    event.preventDefault();
    action();
  });
  addEventListener("dragover", (event) => {
    event.preventDefault();
    screen.classList.add("dragging");
  });
  addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) screen.classList.remove("dragging");
  });
  addEventListener("drop", (event) => {
    event.preventDefault();
    screen.classList.remove("dragging");
    openFile(event.dataTransfer.files[0]);
  });
}

async function begin() {
  listen();
  updateButtons();
  try {
    const [listed, { sources, keep: folder, webhook }] = await Promise.all([getModels(), getSources()]);
    models = listed.models;
    keepFolder = folder;
    modelMenu.append(...models.map(({ name }) => option(name, name)));
    element("model-pick").hidden = models.length < 2;
    panel.setModel(models[0]);
    events.setModel(models[0]);
    events.setServer({ keep: folder, webhook });
    sourceMenu.append(
      option("", "Choose…"),
      ...sources.map(({ id, title }) => option(`server:${id}`, title)),
      option("browser", "This browser’s camera"),
    );
    if (sources[0]?.id === "given") {
      sourceMenu.value = "server:given";
      startChosen();
    }
    updateButtons();
  } catch (error) {
    setState("bad", "No server");
    clear("The server does not answer", error.message);
  }
}

begin();
