// The card with the newest events.

import { createLog, csvFrom } from "./eventlog.js";

const THUMBNAIL = { width: 96, height: 72 };
const QUALITY = 0.7;
// How much around an object is shown, as a share of its longer side.
const AROUND = 0.25;

const canvas = Object.assign(document.createElement("canvas"), THUMBNAIL);

// A small image of a box and what is around it.
function thumbnailOf({ bitmap }, [x1, y1, x2, y2]) {
  const context = canvas.getContext("2d");
  const side = (1 + 2 * AROUND) * Math.max(x2 - x1, (y2 - y1) * (THUMBNAIL.width / THUMBNAIL.height), 16);
  const scale = THUMBNAIL.width / side;
  const [left, top] = [(x1 + x2 - side) / 2, (y1 + y2) / 2 - THUMBNAIL.height / scale / 2];
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.fillStyle = "#101615";
  context.fillRect(0, 0, THUMBNAIL.width, THUMBNAIL.height);
  context.setTransform(scale, 0, 0, scale, -left * scale, -top * scale);
  context.drawImage(bitmap, 0, 0);
  context.lineWidth = 2 / scale;
  context.strokeStyle = "#ffffff";
  context.strokeRect(x1, y1, x2 - x1, y2 - y1);
  return canvas.toDataURL("image/jpeg", QUALITY);
}

// Date and clock of the browser's time zone, as ISO 8601 orders them.
const momentOf = (time) =>
  `${time.toLocaleDateString("sv-SE")} ${time.toLocaleTimeString("en-GB")}`;

// Of names that are written from right to left, the words around them stay in order.
const isolated = (text) => Object.assign(document.createElement("bdi"), { textContent: text });

function wordsOf({ event, where, class: name, score, track }) {
  const words = document.createElement("span");
  words.append(isolated(name), ` #${track} ${Math.round(score * 100)}: ${event} `, isolated(where));
  return words;
}

export function createEventList() {
  const element = (id) => document.querySelector(`#${id}`);
  const list = element("events");
  const log = createLog();

  function write() {
    const [kept, total] = [log.entries().length, log.total()];
    while (list.children.length > kept) list.lastElementChild.remove();
    element("no-events").hidden = kept > 0;
    for (const id of ["events-csv", "events-clear"]) element(id).disabled = kept === 0;
    const all = total === 0 ? "" : `${total} ${total === 1 ? "event" : "events"}`;
    element("events-count").textContent =
      kept < total ? `The newest ${kept} of ${total}; older ones are gone.` : all;
  }

  element("events-clear").addEventListener("click", () => {
    log.clear();
    write();
  });
  element("events-csv").addEventListener("click", () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([csvFrom(log.entries())], { type: "text/csv" }));
    link.download = `ssdlite-events-${new Date().toISOString().replace(/[:.]/g, "-")}.csv`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  });
  write();

  return {
    // What happened to an object, { event, where, source, model, found }, in a frame.
    add({ event, where, source, model, found }, frame) {
      const { class: name, score, track, box } = found;
      const entry = { time: new Date(), source, model, event, where, class: name, score, track, box };
      log.add(entry);
      const image = Object.assign(new Image(), { ...THUMBNAIL, alt: "", src: thumbnailOf(frame, box) });
      const time = document.createElement("time");
      time.dateTime = entry.time.toISOString();
      time.textContent = momentOf(entry.time);
      const words = Object.assign(document.createElement("div"), { className: "event-words" });
      const item = document.createElement("li");
      words.append(wordsOf(entry), time);
      item.append(image, words);
      list.prepend(item);
      write();
    },
  };
}
