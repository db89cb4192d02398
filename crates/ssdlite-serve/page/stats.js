// Frames a second, delay and the time of each stage, smoothed.

const STAGES = {
  wait: ["Wait", "#94a3b8"],
  encode: ["Encode", "#6366f1"],
  travel: ["Network", "#0ea5e9"],
  decode: ["Decode", "#f59e0b"],
  detect: ["Detect", "#14b8a6"],
  draw: ["Draw", "#ec4899"],
};

// The share of the newest frame in a shown number.
const NEWEST = 0.15;
const FPS_WINDOW_MS = 2000;

const milliseconds = (value) => `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;

export function createStats() {
  const element = (id) => document.querySelector(`#${id}`);
  let smooth = {};
  let times = [];
  let written = 0;

  function write(frame) {
    const span = times.at(-1) - times[0];
    element("fps").textContent = span > 0 ? (((times.length - 1) * 1000) / span).toFixed(1) : "–";
    element("delay").textContent = milliseconds(smooth.delay);
    element("skipped").textContent = frame.skipped ?? "–";
    const stages = Object.keys(STAGES).filter((stage) => stage in frame.stages);
    const total = stages.reduce((sum, stage) => sum + smooth[stage], 0) || 1;
    element("stages").replaceChildren(...stages.map((stage) => {
      const part = document.createElement("span");
      part.style.width = `${(smooth[stage] / total) * 100}%`;
      part.style.background = STAGES[stage][1];
      return part;
    }));
    element("stage-list").replaceChildren(...stages.map((stage) => {
      const [name, color] = STAGES[stage];
      const item = document.createElement("li");
      const swatch = document.createElement("i");
      swatch.style.background = color;
      const value = Object.assign(document.createElement("b"), { textContent: milliseconds(smooth[stage]) });
      item.append(swatch, name, value);
      return item;
    }));
    element("stages").setAttribute("aria-label", stages
      .map((stage) => `${STAGES[stage][0]} ${milliseconds(smooth[stage])}`).join(", "));
  }

  return {
    reset() {
      smooth = {};
      times = [];
      for (const id of ["fps", "delay", "skipped"]) element(id).textContent = "–";
      element("stages").replaceChildren();
      element("stages").setAttribute("aria-label", "Time of each stage");
      element("stage-list").replaceChildren();
    },
    add(frame) {
      const now = performance.now();
      times = times.filter((time) => now - time < FPS_WINDOW_MS);
      times.push(now);
      for (const [name, value] of Object.entries({ ...frame.stages, delay: frame.delay })) {
        smooth[name] = name in smooth ? smooth[name] + NEWEST * (value - smooth[name]) : value;
      }
      // Numbers that change with every frame can't be read.
      if (now - written > 250 || times.length === 1) {
        written = now;
        write(frame);
      }
    },
  };
}
