// Draws a frame with its boxes.

const LINE = 2.5;
// A dark rim around a box, on which it is seen before any image.
const RIM = 2;
const RIM_COLOR = "rgb(0 0 0 / 40%)";
const FONT = 14;
// On an image narrower than this the letters are smaller.
const NARROW = 500;
const SMALL_FONT = 11;
// Around a name, which may be written from right to left; the numbers stay in order.
const [FIRST_STRONG_ISOLATE, POP_ISOLATE] = ["\u2068", "\u2069"];

// `colorsOf(name)` are a class's { box, label }, as CSS colours.
export function createView(canvas, colorsOf) {
  const context = canvas.getContext("2d");

  // `scale` is how many image pixels one pixel of the page shows, so that
  // lines and letters look the same whatever the image's size.
  function drawOn(target, scale, frame, detections) {
    const font = frame.width / scale < NARROW ? SMALL_FONT : FONT;
    target.drawImage(frame.bitmap, 0, 0, frame.width, frame.height);
    target.lineJoin = "round";
    target.textBaseline = "middle";
    target.font = `600 ${font * scale}px system-ui, "DejaVu Sans", sans-serif`;
    // The best is drawn last, over the others.
    const fromWorst = [...detections].reverse();
    for (const { class: name, box: [x1, y1, x2, y2] } of fromWorst) {
      target.lineWidth = (LINE + RIM) * scale;
      target.strokeStyle = RIM_COLOR;
      target.strokeRect(x1, y1, x2 - x1, y2 - y1);
      target.lineWidth = LINE * scale;
      target.strokeStyle = colorsOf(name).box;
      target.strokeRect(x1, y1, x2 - x1, y2 - y1);
    }
    for (const { class: name, score, track, box: [x1, y1] } of fromWorst) {
      const number = track === undefined ? "" : `#${track} `;
      const text = `${number}${FIRST_STRONG_ISOLATE}${name}${POP_ISOLATE} ${Math.round(score * 100)}`;
      const width = target.measureText(text).width + 10 * scale;
      const height = (font + 7) * scale;
      const left = Math.max(0, Math.min(x1 - (LINE / 2) * scale, frame.width - width));
      const top = y1 >= height ? y1 - height : y1;
      const { box, label } = colorsOf(name);
      target.fillStyle = box;
      target.fillRect(left, top, width, height);
      target.fillStyle = label;
      target.fillText(text, left + 5 * scale, top + height / 2 + scale);
    }
  }

  return {
    draw(frame, detections) {
      const shown = canvas.getBoundingClientRect();
      const fit = Math.min(shown.width / frame.width, shown.height / frame.height) || 1;
      // A small image is drawn larger, so that lines and letters are sharp.
      const larger = Math.max(1, Math.ceil(fit * devicePixelRatio));
      const [width, height] = [frame.width * larger, frame.height * larger];
      if (canvas.width !== width || canvas.height !== height) {
        canvas.width = width;
        canvas.height = height;
      }
      context.setTransform(larger, 0, 0, larger, 0, 0);
      drawOn(context, 1 / fit, frame, detections);
    },
    // The image with its boxes as a PNG.
    snapshot(frame, detections) {
      const copy = document.createElement("canvas");
      copy.width = frame.width;
      copy.height = frame.height;
      drawOn(copy.getContext("2d"), Math.max(1, frame.width / 1000), frame, detections);
      return new Promise((done) => copy.toBlob(done, "image/png"));
    },
  };
}
