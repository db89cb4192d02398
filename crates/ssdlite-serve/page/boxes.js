// Boxes as people move them: whole pixels, inside of the image.

const LEAST_SIDE = 1;

const clamp = (value, least, most) => Math.min(Math.max(value, least), most);

// A box between two corners, wherever they are; undefined if nothing is left of it.
export function boxBetween([x1, y1], [x2, y2], { width, height }) {
  const [left, right] = [x1, x2].sort((a, b) => a - b).map((x) => clamp(Math.round(x), 0, width));
  const [top, bottom] = [y1, y2].sort((a, b) => a - b).map((y) => clamp(Math.round(y), 0, height));
  const isThere = right - left >= LEAST_SIDE && bottom - top >= LEAST_SIDE;
  return isThere ? [left, top, right, bottom] : undefined;
}

// A box moved by so many pixels, as far as the image goes. It keeps its size.
export function moved([x1, y1, x2, y2], [dx, dy], { width, height }) {
  const right = clamp(Math.round(dx), -x1, width - x2);
  const down = clamp(Math.round(dy), -y1, height - y2);
  return [x1 + right, y1 + down, x2 + right, y2 + down];
}

// A box one of whose handles, [-1, 0 or 1 across, -1, 0 or 1 down], was moved.
export function resized([x1, y1, x2, y2], [across, down], [dx, dy], size) {
  const first = [x1 + (across < 0 ? dx : 0), y1 + (down < 0 ? dy : 0)];
  const second = [x2 + (across > 0 ? dx : 0), y2 + (down > 0 ? dy : 0)];
  return boxBetween(first, second, size);
}

// The handles of a box, with where they are.
export function handlesOf([x1, y1, x2, y2]) {
  const [x, y] = [(x1 + x2) / 2, (y1 + y2) / 2];
  const across = [[-1, x1], [0, x], [1, x2]];
  const down = [[-1, y1], [0, y], [1, y2]];
  return across.flatMap(([i, left]) => down.map(([j, top]) => ({ handle: [i, j], at: [left, top] })))
    .filter(({ handle: [i, j] }) => i !== 0 || j !== 0);
}

// The smallest box that a point is in, of a list of { box }; undefined if there is none.
export function smallestAt(objects, [x, y]) {
  const isIn = ({ box }) => box && box[0] <= x && x <= box[2] && box[1] <= y && y <= box[3];
  const area = ({ box: [x1, y1, x2, y2] }) => (x2 - x1) * (y2 - y1);
  return objects.filter(isIn).sort((a, b) => area(a) - area(b))[0];
}
