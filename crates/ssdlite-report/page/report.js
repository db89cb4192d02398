// Filters of the images, and the large view. Without this the page says the same.
"use strict";

const one = (selector, root = document) => root.querySelector(selector);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];

// Filters

// A mistake is written as kind:class or kind:class:other class, all of them numbers.
function matches(mistake, kind, name) {
  const [ofKind, ...classes] = mistake.split(":");
  return (kind === "" || kind === ofKind) && (name === "" || classes.includes(name));
}

function filter() {
  const form = one("#filters");
  const kind = one("input[name=kind]:checked", form).value;
  const name = one("#class-filter", form).value;
  const worse = one("#worse-filter", form)?.value ?? "";
  const gallery = one("#gallery");
  const shots = all(".shot", gallery);
  let shown = 0;
  for (const shot of shots) {
    const mistakes = shot.dataset.mistakes.split(" ").filter(Boolean);
    const isMeant = mistakes.some((mistake) => matches(mistake, kind, name));
    shot.hidden = !isMeant || (worse !== "" && shot.dataset.worse !== worse);
    shown += shot.hidden ? 0 : 1;
    for (const element of all("[data-mistake]", shot)) {
      element.classList.toggle("faded", !matches(element.dataset.mistake, kind, name));
    }
  }
  one("#shown-count").textContent = `${shown} of ${shots.length} images`;
  for (const [box, hidden] of [
    ["#show-labels", "no-labels"],
    ["#show-detections", "no-detections"],
    ["#show-right", "no-right"],
  ]) {
    for (const place of [gallery, one("#viewer")]) {
      place.classList.toggle(hidden, !one(box).checked);
    }
  }
}

// Large view

const viewer = one("#viewer");
let pictures = [];
let place = 0;

function show(next) {
  place = next;
  const picture = pictures[place];
  const image = one("svg", picture);
  const large = document.createElement("div");
  large.className = "large";
  const { width, height } = image.viewBox.baseVal;
  large.style.setProperty("--shape", `${width} / ${height}`);
  // As wide as an image of this shape can be in the window's height.
  large.style.setProperty("--width", `calc((100dvh - 140px) * ${width / height})`);
  large.append(image.cloneNode(true));
  one("#viewer-image").replaceChildren(large);
  const title = picture.getAttribute("aria-label").replace(/, larger$/, "");
  one("#viewer-title").textContent = `${title} (${place + 1} of ${pictures.length})`;
  one("#viewer-previous").disabled = place === 0;
  one("#viewer-next").disabled = place === pictures.length - 1;
}

function step(by) {
  const next = place + by;
  if (next >= 0 && next < pictures.length) show(next);
}

function open(picture) {
  pictures = all(".picture", picture.closest(".gallery")).filter((other) => other.checkVisibility());
  show(pictures.indexOf(picture));
  viewer.showModal();
}

for (const picture of all(".picture")) picture.addEventListener("click", () => open(picture));
one("#viewer-close").addEventListener("click", () => viewer.close());
one("#viewer-previous").addEventListener("click", () => step(-1));
one("#viewer-next").addEventListener("click", () => step(1));
viewer.addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey) return;
  if (event.key === "ArrowLeft") step(-1);
  if (event.key === "ArrowRight") step(1);
});
// Where the reader was, at the image that was seen last.
viewer.addEventListener("close", () => {
  pictures[place]?.focus();
  one("#viewer-image").replaceChildren();
});

const filters = one("#filters");
filters.hidden = false;
filters.addEventListener("change", filter);
filters.addEventListener("submit", (event) => event.preventDefault());
filter();
