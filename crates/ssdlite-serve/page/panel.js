// The threshold and the list of classes.

import { classColor } from "./colors.js";

// A search field is shown from this many classes on.
const MANY_CLASSES = 12;

export function createPanel(onChange) {
  const threshold = document.querySelector("#threshold");
  const thresholdValue = document.querySelector("#threshold-value");
  const list = document.querySelector("#classes");
  const search = document.querySelector("#class-search");
  const all = document.querySelector("#all-classes");
  let rows = new Map();

  function update() {
    thresholdValue.textContent = `${threshold.value} %`;
    all.textContent = [...rows.values()].some((row) => row.box.checked) ? "Hide all" : "Show all";
    onChange();
  }

  threshold.addEventListener("input", update);
  list.addEventListener("change", update);
  search.addEventListener("input", () => {
    const wanted = search.value.trim().toLowerCase();
    for (const [name, row] of rows) row.item.hidden = !name.toLowerCase().includes(wanted);
  });
  all.addEventListener("click", () => {
    const show = all.textContent === "Show all";
    for (const row of rows.values()) row.box.checked = show;
    update();
  });

  return {
    setModel({ classes, score }) {
      threshold.value = Math.round(score * 100);
      rows = new Map(classes.map((name, index) => {
        const item = document.createElement("li");
        const label = document.createElement("label");
        const box = Object.assign(document.createElement("input"), { type: "checkbox", checked: true });
        const title = Object.assign(document.createElement("span"), { className: "name", textContent: name, title: name });
        const count = Object.assign(document.createElement("span"), { className: "count", textContent: "0" });
        label.style.setProperty("--swatch", classColor(index));
        label.append(box, title, count);
        item.append(label);
        return [name, { item, box, label, count, color: classColor(index) }];
      }));
      list.replaceChildren(...[...rows.values()].map((row) => row.item));
      search.hidden = classes.length < MANY_CLASSES;
      search.value = "";
      update();
    },
    colorOf: (name) => rows.get(name)?.color ?? "#64748b",
    leastScore: () => threshold.value / 100,
    isClassShown: (name) => Boolean(rows.get(name)?.box.checked),
    // The detections that the settings let through.
    shown: (detections) => detections.filter(
      ({ class: name, score }) => score * 100 >= threshold.value && rows.get(name)?.box.checked,
    ),
    setCounts(detections) {
      const counts = new Map();
      for (const { class: name } of detections) counts.set(name, (counts.get(name) ?? 0) + 1);
      for (const [name, row] of rows) {
        const count = counts.get(name) ?? 0;
        row.count.textContent = count;
        row.label.classList.toggle("found", count > 0);
      }
    },
  };
}
