// Puts the page together: menus, buttons, keys and files.

import { askServer } from "./api.js";
import { createEvents } from "./events.js";
import { createFullScreen } from "./fullscreen.js";
import { listenToKeys } from "./keys.js";
import { createPanel } from "./panel.js";
import { createPlayer } from "./player.js";
import { createQueue } from "./queue.js";
import { download, keepForTraining } from "./saving.js";
import { modelSettings, pageSettings, saveModelSettings, savePageSettings } from "./settings.js";
import { cameraSource, imageSource, serverSource, videoFileSource } from "./sources.js";

const element = (id) => document.querySelector(`#${id}`);
const [sourceMenu, modelMenu, screen, pauseButton, keepButton, snapshotButton, panelButton, letters] =
  ["source", "model", "screen", "pause", "keep", "snapshot", "panel-toggle", "letters"].map(element);
const HINT = "Start your camera, or drop images or videos here.";

let models = [];
let model = null;
// The title of the source that the server was started with.
let given;
let keepFolder = null;

const panel = createPanel({
  changed: redraw,
  save: (chosen) => saveModelSettings(model, chosen),
});
const events = createEvents({
  panel,
  keep: (frame, detections) => keepForTraining(model.name, frame, detections),
  note: setNote,
});
const player = createPlayer({
  panel,
  events,
  names: () => ({
    model: model?.name,
    source: sourceMenu.value && sourceMenu.selectedOptions[0].textContent,
  }),
  changed: updateButtons,
});
const queue = createQueue({ open: showFile, shown: panel.shown });
const fullScreen = createFullScreen({
  stage: element("stage"),
  button: element("full-screen"),
  others: [element("bar"), element("panel")],
  changed: redraw,
});

function redraw() {
  player.redraw();
  queue.write();
}

function setNote(kind, text) {
  element("note").dataset.kind = kind;
  element("note").textContent = text;
}

function updateButtons() {
  pauseButton.disabled = !(player.isMoving || queue.isGoing || player.isPaused);
  pauseButton.setAttribute("aria-pressed", String(player.isPaused));
  pauseButton.querySelector("span").textContent = player.isPaused ? "Go on" : "Pause";
  snapshotButton.disabled = !player.frame;
  keepButton.disabled = !player.frame || !keepFolder;
  keepButton.title = keepFolder ? `Saves into ${keepFolder}` : "The server was started without a folder to keep frames in";
}

function togglePaused() {
  if (pauseButton.disabled) return;
  player.setPaused(!player.isPaused);
  queue.setPaused(player.isPaused);
}

function startChosen() {
  const chosen = sourceMenu.value;
  setNote("", "");
  if (chosen === "file") return queue.again();
  queue.leave();
  savePageSettings({ source: chosen, given });
  const { name } = model;
  if (chosen === "browser") {
    return player.start((options) => cameraSource({ model: name, again, ...options }), { moves: true });
  }
  if (chosen.startsWith("server:")) {
    const id = chosen.slice("server:".length);
    return player.start((options) => serverSource({ id, model: name, again, ...options }), { moves: true });
  }
  player.rest("idle", "Idle", "Choose a source", HINT);
}

function openFiles(files) {
  if (!files.length) return;
  setNote("", "");
  if (!sourceMenu.querySelector("[value=file]")) sourceMenu.append(option("file", ""));
  queue.begin([...files]);
}

// Shows one of the queue's files.
async function showFile(file) {
  sourceMenu.querySelector("[value=file]").textContent = queue.title;
  sourceMenu.value = "file";
  const moves = file.type.startsWith("video/");
  const open = moves ? videoFileSource : imageSource;
  const { left, error } = await player.start(
    (options) => open({ file, model: model.name, ended: queue.played, again, ...options }),
    { moves },
  );
  if (left) return;
  if (error) {
    setNote("bad", `${file.name} can’t be shown: ${error.message}`);
    queue.failed(error.message);
  } else if (!moves) {
    queue.found(player.frame.detections);
  }
  updateButtons();
}

async function snapshot() {
  if (player.frame) setNote("good", download(await player.snapshot()));
}

async function keep() {
  if (!player.frame || !keepFolder) return;
  try {
    setNote("good", await keepForTraining(model.name, player.frame, player.detections));
  } catch (error) {
    setNote("bad", `Not kept: ${error.message}`);
  }
}

function showPanel(open) {
  element("main").classList.toggle("no-panel", !open);
  element("panel").hidden = !open;
  panelButton.setAttribute("aria-expanded", String(open));
  redraw();
}

function togglePanel() {
  const open = element("panel").hidden;
  savePageSettings({ panel: open });
  showPanel(open);
}

function setModel(chosen) {
  model = chosen;
  modelMenu.value = model.name;
  element("model-name").textContent = model.name;
  const { backbone, input, classes } = model;
  element("model-facts").textContent =
    `${backbone}, ${input.width}×${input.height}, ${classes.length} ${classes.length === 1 ? "class" : "classes"}`;
  panel.setModel(model, modelSettings(model));
  events.setModel(model);
}

function option(value, text) {
  return Object.assign(document.createElement("option"), { value, textContent: text });
}

function listen() {
  sourceMenu.addEventListener("change", startChosen);
  modelMenu.addEventListener("change", () => {
    setModel(models.find(({ name }) => name === modelMenu.value));
    savePageSettings({ model: model.name });
    startChosen();
  });
  pauseButton.addEventListener("click", togglePaused);
  snapshotButton.addEventListener("click", snapshot);
  keepButton.addEventListener("click", keep);
  panelButton.addEventListener("click", togglePanel);
  element("full-screen").addEventListener("click", fullScreen.toggle);
  letters.addEventListener("change", () => savePageSettings({ letters: letters.checked }));
  element("start-camera").addEventListener("click", () => {
    sourceMenu.value = "browser";
    startChosen();
  });
  for (const id of ["open-file", "open-other"]) {
    element(id).addEventListener("click", () => element("file").click());
  }
  element("file").addEventListener("change", ({ target }) => {
    openFiles(target.files);
    target.value = "";
  });
  addEventListener("resize", redraw);
  listenToKeys(new Map([
    [" ", togglePaused],
    ["s", snapshot],
    ["k", keep],
    ["f", fullScreen.toggle],
    ["p", togglePanel],
    ["escape", fullScreen.leave],
    ["arrowleft", queue.previous],
    ["arrowright", queue.next],
  ]), () => letters.checked);
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
    openFiles(event.dataTransfer.files);
  });
}

// The source to begin with: the one that was chosen last, unless the server was
// started with another since. The browser's camera begins by itself only where
// it may already be used.
async function firstSource(settings) {
  const isThere = [...sourceMenu.options].some(({ value }) => value && value === settings.source);
  if (!isThere || settings.given !== given) return given === undefined ? "" : "server:given";
  if (settings.source !== "browser") return settings.source;
  const permission = await navigator.permissions?.query({ name: "camera" }).catch(() => undefined);
  return permission?.state === "granted" ? "browser" : "";
}

// Takes what the server has; what is chosen stays so, where it is still there.
function receive({ models: listed, sources, keep: folder, webhook }) {
  models = listed;
  keepFolder = folder;
  events.setServer({ keep: folder, webhook });
  given = sources.find(({ id }) => id === "given")?.title;
  modelMenu.replaceChildren(...models.map(({ name }) => option(name, name)));
  if (model) modelMenu.value = model.name;
  element("model-pick").hidden = models.length < 2;
  element("model-one").hidden = models.length > 1;
  const chosen = sourceMenu.value;
  const file = sourceMenu.querySelector("[value=file]");
  sourceMenu.replaceChildren(
    option("", "Choose…"),
    ...sources.map(({ id, title }) => option(`server:${id}`, title)),
    option("browser", "This browser’s camera"),
    ...(file ? [file] : []),
  );
  sourceMenu.value = [...sourceMenu.options].some(({ value }) => value === chosen) ? chosen : "";
  updateButtons();
}

// Looks at a server that was away: it may have been started with another model or
// source, and boxes of a class that the page doesn't know would not be seen.
async function again() {
  let found;
  try {
    found = await askServer();
  } catch (error) {
    // It is still away, unless it wants another token.
    if (error.status === 401) setNote("bad", "The server has another token now: load this page again.");
    return;
  }
  const [before, title] = [model, sourceMenu.selectedOptions[0].textContent];
  receive(found);
  const now = models.find(({ name }) => name === before.name) ?? models[0];
  const isOther = JSON.stringify(now) !== JSON.stringify(before);
  if (isOther) setModel(now);
  if (!sourceMenu.value) {
    player.rest("bad", "No source", "The source is gone", `The server has no “${title}” any more.`);
  } else if (isOther || sourceMenu.selectedOptions[0].textContent !== title) {
    startChosen();
    setNote("", "The server has another model or source now.");
  }
}

async function begin() {
  listen();
  updateButtons();
  const settings = pageSettings();
  letters.checked = settings.letters;
  showPanel(settings.panel);
  try {
    receive(await askServer());
    setModel(models.find(({ name }) => name === settings.model) ?? models[0]);
    sourceMenu.value = await firstSource(settings);
    if (sourceMenu.value) startChosen();
    else player.showStatus();
    updateButtons();
  } catch (error) {
    player.rest("bad", "No server", "The server does not answer", error.message);
  }
}

begin();
