// Files that were opened together: shown one after the other, with a list of
// what became of each. Whoever chooses one by hand is left alone with it.

// How long an image is shown before the next.
const HOLD_MS = 1500;

const objects = (count) => `${count} ${count === 1 ? "object" : "objects"}`;

// `open(file)` shows one; `shown(detections)` are those that the settings let
// through.
export function createQueue({ open, shown }) {
  const element = (id) => document.querySelector(`#${id}`);
  let entries = [];
  let current = 0;
  let isOpen = false;
  let going = false;
  let paused = false;
  let timer;

  function resultOf({ failure, detections, done }) {
    if (failure) return failure;
    if (detections) return objects(shown(detections).length);
    return done ? "Played" : "";
  }

  function write() {
    element("queue").hidden = !isOpen || entries.length < 2;
    element("queue-place").textContent = `File ${current + 1} of ${entries.length}`;
    element("previous").disabled = current === 0;
    element("next").disabled = current >= entries.length - 1;
    entries.forEach((entry, index) => {
      entry.result.textContent = resultOf(entry);
      entry.button.classList.toggle("failed", Boolean(entry.failure));
      if (index === current) entry.button.setAttribute("aria-current", "true");
      else entry.button.removeAttribute("aria-current");
    });
  }

  function go(index) {
    clearTimeout(timer);
    isOpen = true;
    paused = false;
    current = index;
    write();
    const { item } = entries[current];
    item.parentElement.scrollTop = item.offsetTop - item.parentElement.offsetTop;
    return open(entries[current].file);
  }

  function goOn(pause) {
    clearTimeout(timer);
    if (current === entries.length - 1) going = false;
    if (going && !paused) timer = setTimeout(() => go(current + 1), pause);
  }

  function choose(index) {
    if (index < 0 || index >= entries.length) return;
    going = false;
    go(index);
  }

  function entryOf(file, index) {
    const item = document.createElement("li");
    const button = Object.assign(document.createElement("button"), { type: "button" });
    const name = Object.assign(document.createElement("span"), { className: "name", textContent: file.name });
    const result = Object.assign(document.createElement("span"), { className: "result" });
    button.append(name, result);
    button.addEventListener("click", () => choose(index));
    item.append(button);
    return { file, item, button, result };
  }

  element("previous").addEventListener("click", () => choose(current - 1));
  element("next").addEventListener("click", () => choose(current + 1));

  return {
    get isGoing() { return going; },
    // Words for the menu of sources.
    get title() {
      const place = entries.length > 1 ? ` (${current + 1} of ${entries.length})` : "";
      return `${entries[current].file.name}${place}`;
    },
    begin(files) {
      entries = files.map(entryOf);
      element("files").replaceChildren(...entries.map((entry) => entry.item));
      going = entries.length > 1;
      return go(0);
    },
    // Shows the current one again.
    again: () => go(current),
    // Another source is shown.
    leave() {
      clearTimeout(timer);
      going = false;
      isOpen = false;
      write();
    },
    next: () => isOpen && choose(current + 1),
    previous: () => isOpen && choose(current - 1),
    setPaused(value) {
      paused = value;
      if (paused) clearTimeout(timer);
      else if (isOpen && resultOf(entries[current])) goOn(HOLD_MS);
    },
    // The current image was looked at.
    found(detections) {
      Object.assign(entries[current], { detections, failure: undefined });
      write();
      goOn(HOLD_MS);
    },
    // The current video has come to its end; whether another file follows.
    played() {
      entries[current].done = true;
      write();
      goOn(0);
      return going;
    },
    failed(reason) {
      entries[current].failure = reason;
      write();
      goOn(0);
    },
    write,
  };
}
