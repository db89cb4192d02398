// The threshold and the list of classes.

// A search field is shown from this many classes on.
const MANY_CLASSES = 12;

// Of what is no class of the model.
const NO_CLASS = { box: "#64748b", label: "#ffffff" };

const percent = (score) => `${Math.round(score * 100)} %`;

// `changed()` is called when other detections are to be shown, `save(chosen)`
// when a person has changed { threshold, hidden }.
export function createPanel({ changed, save }) {
  const threshold = document.querySelector("#threshold");
  const thresholdValue = document.querySelector("#threshold-value");
  const list = document.querySelector("#classes");
  const search = document.querySelector("#class-search");
  const all = document.querySelector("#all-classes");
  const own = document.querySelector("#own-threshold");
  let rows = new Map();
  // The least score of the model itself, and the one chosen instead.
  let ownScore = 0;
  let chosenScore;

  const leastScore = () => chosenScore ?? ownScore;

  function update() {
    thresholdValue.textContent = percent(leastScore());
    own.hidden = chosenScore === undefined;
    own.textContent = `Model’s own: ${percent(ownScore)}`;
    all.textContent = [...rows.values()].some((row) => row.box.checked) ? "Hide all" : "Show all";
    changed();
  }

  function updateAndSave() {
    update();
    const hidden = [...rows].filter(([, row]) => !row.box.checked).map(([name]) => name);
    save({ threshold: chosenScore, hidden });
  }

  threshold.addEventListener("input", () => {
    chosenScore = threshold.value / 100;
    updateAndSave();
  });
  own.addEventListener("click", () => {
    chosenScore = undefined;
    threshold.value = Math.round(ownScore * 100);
    updateAndSave();
    threshold.focus();
  });
  list.addEventListener("change", updateAndSave);
  search.addEventListener("input", () => {
    const wanted = search.value.trim().toLowerCase();
    for (const [name, row] of rows) row.item.hidden = !name.toLowerCase().includes(wanted);
  });
  all.addEventListener("click", () => {
    const show = all.textContent === "Show all";
    for (const row of rows.values()) row.box.checked = show;
    updateAndSave();
  });

  return {
    setModel({ classes, colors, score }, chosen) {
      ownScore = score;
      chosenScore = chosen.threshold;
      threshold.value = Math.round(leastScore() * 100);
      rows = new Map(classes.map((name, index) => {
        const item = document.createElement("li");
        const label = document.createElement("label");
        const box = Object.assign(document.createElement("input"), { type: "checkbox", checked: !chosen.hidden.has(name) });
        const title = Object.assign(document.createElement("span"), { className: "name", textContent: name, title: name });
        const count = Object.assign(document.createElement("span"), { className: "count", textContent: "–" });
        label.style.setProperty("--swatch", colors[index].box);
        label.append(box, title, count);
        item.append(label);
        return [name, { item, box, label, count, color: colors[index] }];
      }));
      list.replaceChildren(...[...rows.values()].map((row) => row.item));
      search.hidden = classes.length < MANY_CLASSES;
      search.value = "";
      update();
    },
    leastScore,
    isClassShown: (name) => Boolean(rows.get(name)?.box.checked),
    colorsOf: (name) => rows.get(name)?.color ?? NO_CLASS,
    // The detections that the settings let through.
    shown: (detections) => detections.filter(
      ({ class: name, score }) => score >= leastScore() && rows.get(name)?.box.checked,
    ),
    // Writes how often each class is there, and gives it in words; null where
    // nobody knows.
    setCounts(detections) {
      const counts = new Map();
      for (const { class: name } of detections ?? []) counts.set(name, (counts.get(name) ?? 0) + 1);
      for (const [name, row] of rows) {
        const count = counts.get(name) ?? 0;
        row.count.textContent = detections ? count : "–";
        row.label.classList.toggle("found", count > 0);
      }
      return [...rows.keys()].filter((name) => counts.has(name))
        .map((name) => `${name} ${counts.get(name)}`).join(" · ");
    },
  };
}
