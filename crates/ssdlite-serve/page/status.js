// Says what is shown: in the bar, on the image, over a full screen and in the
// window's title.

const NEW_AGE_MS = 10_000;
const UNITS = [[86_400, "d"], [3600, "h"], [60, "min"]];

const clock = (time) => time.toLocaleTimeString("en-GB");

function age(time) {
  const seconds = (Date.now() - time) / 1000;
  const unit = UNITS.find(([length]) => seconds >= length);
  return unit ? `, ${Math.floor(seconds / unit[0])} ${unit[1]} ago` : "";
}

// A live region is read out at each change, also at one to the same text.
function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function createStatus() {
  const element = (id) => document.querySelector(`#${id}`);
  let shown = {};

  function told({ said, paused, isOld, last }) {
    if (paused) return { kind: "paused", text: "Paused", word: "Paused: " };
    if (!isOld) return { ...said, word: said.kind === "live" ? "● " : said.kind === "bad" ? "No image: " : "" };
    // Why there is none says more, where the source knows.
    const text = last ? `No frame since ${clock(last)}` : "No frame yet";
    return { kind: "bad", text: said.kind === "live" ? text : said.text, word: "No frame: " };
  }

  function markOf({ paused, isOld, last }) {
    if (!last || !(paused || isOld)) return "";
    const frame = `last frame ${clock(last)}${age(last)}`;
    return paused ? `Paused, ${frame}` : frame;
  }

  function writeMark() {
    const mark = markOf(shown);
    element("mark").hidden = !mark;
    write(element("mark"), mark);
  }

  setInterval(writeMark, NEW_AGE_MS);

  return {
    // `said` is the source's own { kind, text }; `model` and `source` are names,
    // the source's empty where none is chosen.
    show(next) {
      shown = next;
      const { kind, text, word } = told(shown);
      for (const id of ["state", "overlay-state"]) {
        element(id).dataset.kind = kind;
        write(element(id), text);
      }
      element("screen").classList.toggle("old", shown.isOld && !shown.paused);
      writeMark();
      document.title = `${word}${shown.model ?? ""} – ${shown.source || "ssdlite"}`;
    },
  };
}
