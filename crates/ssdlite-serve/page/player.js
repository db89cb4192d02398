// The source that runs and the frame that is shown of it.

import { createFreshness } from "./freshness.js";
import { createStats } from "./stats.js";
import { createStatus } from "./status.js";
import { createView } from "./view.js";

// The page's next repaint; one that nobody sees, or sees no more, is not repainted.
function repaint() {
  return new Promise((done) => {
    if (document.hidden) return done();
    const end = () => {
      document.removeEventListener("visibilitychange", end);
      done();
    };
    document.addEventListener("visibilitychange", end);
    requestAnimationFrame(end);
  });
}

// `events` counts what is shown; `names()` are the model's and the source's for people; `changed()` is called
// when the source, the frame or whether it is paused may be another.
export function createPlayer({ panel, events, names, changed }) {
  const element = (id) => document.querySelector(`#${id}`);
  const canvas = element("image");
  const view = createView(canvas, panel.colorsOf);
  const stats = createStats();
  const status = createStatus();
  const freshness = createFreshness(() => {
    if (freshness.isOld) emptyNumbers();
    redraw();
    showStatus();
  });
  let running = null;
  let started = 0;
  let frame = null;
  let isMoving = false;
  let paused = false;
  let said = { kind: "idle", text: "Idle" };

  function setState(kind, text) {
    said = { kind, text };
    if (kind === "bad" && !paused) freshness.lost();
    showStatus();
  }

  function showStatus() {
    status.show({ said, paused, isOld: freshness.isOld, last: freshness.last, ...names() });
    element("numbers-of").textContent = paused ? "of the held image" : freshness.isOld ? "no frames" : "";
  }

  function emptyNumbers() {
    stats.reset();
    element("objects").textContent = "–";
    element("overlay-counts").textContent = "";
    panel.setCounts(null);
  }

  function redraw() {
    if (!frame) return;
    const detections = panel.shown(frame.detections);
    view.draw(frame, detections);
    events.show(frame, freshness.isOld ? null : detections);
    const seen = detections.length ? `with ${detections.map((found) => found.class).join(", ")}` : "without objects";
    const held = paused ? "Held image" : freshness.isOld ? "Old image" : "Image";
    canvas.setAttribute("aria-label", `${held} ${seen}`);
    // What was found in an old image is not counted as if it were there now.
    if (freshness.isOld) return;
    element("objects").textContent = detections.length;
    element("overlay-counts").textContent = panel.setCounts(detections);
  }

  // Shows a frame with the next repaint of the page.
  async function show(next, isCurrent) {
    const isHeld = () => paused && isMoving;
    if (!isHeld()) await repaint();
    if (isHeld() || !isCurrent()) return next.bitmap.close();
    frame?.bitmap.close();
    frame = next;
    events.add(frame);
    element("empty").hidden = true;
    if (isMoving) freshness.seen();
    redraw();
    stats.add(next);
    changed();
  }

  function clear(title, text) {
    frame?.bitmap.close();
    frame = null;
    element("empty").hidden = false;
    element("empty-title").textContent = title;
    element("empty-text").textContent = text;
    canvas.setAttribute("aria-label", "No image yet");
    events.show(null, null);
    emptyNumbers();
  }

  function setPaused(value) {
    paused = value;
    if (paused) {
      freshness.rest();
      stats.reset();
    } else if (isMoving) {
      freshness.resume();
      if (said.kind === "bad") freshness.lost();
    }
    running?.setPaused(paused);
    redraw();
    showStatus();
    changed();
  }

  function stop() {
    started += 1;
    running?.stop();
    running = null;
    isMoving = false;
    freshness.begin();
    freshness.rest();
    setPaused(false);
  }

  // Without a source, these words stand in the image's place.
  function rest(kind, text, title, words) {
    stop();
    clear(title, words);
    setState(kind, text);
    changed();
  }

  return {
    get frame() { return frame; },
    get detections() { return panel.shown(frame.detections); },
    get isMoving() { return Boolean(running) && isMoving; },
    get isPaused() { return paused; },
    redraw,
    setPaused,
    showStatus,
    rest,
    // Ends the running source and begins another; `open` makes it, of frames
    // that come or of an image that stays. Gives the error where it can't, and
    // `left` where another was begun meanwhile.
    async start(open, { moves }) {
      stop();
      clear("One moment", "Waiting for the first frame.");
      events.begin(names());
      isMoving = moves;
      if (moves) freshness.begin();
      const turn = started;
      const isCurrent = () => turn === started;
      try {
        const source = await open({
          show: (next) => show(next, isCurrent),
          // What a source that was left has still to say is not heard.
          state: (kind, text) => isCurrent() && setState(kind, text),
        });
        if (!isCurrent()) {
          source.stop();
          return { left: true };
        }
        running = source;
        changed();
        return {};
      } catch (error) {
        if (!isCurrent()) return { left: true };
        rest("bad", "No image", "That did not work", error.message);
        return { error };
      }
    },
    snapshot: () => view.snapshot(frame, panel.shown(frame.detections)),
  };
}
