// Which objects cross a line, and which enter and leave a zone. An object is where
// the middle of its box is.

// Seconds after which an object that is not seen in a frame is gone. The server gives
// its number up after one.
const PATIENCE = 1.5;

// Seconds without a frame after which it is not known what was missed.
export const GAP = 5;

// A box trembles by less than this share of the image's longer side. Nothing that
// moves by less crosses anything.
const MARGIN = 0.01;

const middleOf = ([x1, y1, x2, y2]) => ({ x: (x1 + x2) / 2, y: (y1 + y2) / 2 });

// How far a point lies to the right hand of one who goes from a to b, where y points
// down; to the left it is negative.
const sideOf = (point, a, b) =>
  ((b.x - a.x) * (point.y - a.y) - (b.y - a.y) * (point.x - a.x)) / Math.hypot(b.x - a.x, b.y - a.y);

const edgesOf = (points) => points.map((point, index) => [point, points[(index + 1) % points.length]]);

// Whether a point lies in a polygon; where that overlaps itself, by the even-odd rule.
export function isInside(point, points) {
  const crossed = edgesOf(points).filter(([a, b]) =>
    (a.y > point.y) !== (b.y > point.y)
    && point.x < a.x + ((point.y - a.y) / (b.y - a.y)) * (b.x - a.x));
  return crossed.length % 2 === 1;
}

function distanceTo(point, [a, b]) {
  const [dx, dy] = [b.x - a.x, b.y - a.y];
  const along = ((point.x - a.x) * dx + (point.y - a.y) * dy) / (dx * dx + dy * dy || 1);
  const share = Math.min(1, Math.max(0, along));
  return Math.hypot(point.x - a.x - share * dx, point.y - a.y - share * dy);
}

const inPixels = (points, { width, height }) => points.map(({ x, y }) => ({ x: x * width, y: y * height }));

const extent = (values) => Math.max(...values) - Math.min(...values);

// Takes an object on to `point`; says "in", which is to the right hand, or "out" when it
// has crossed the line. It is past it when it is sure to be on the other side, and its
// way went between the line's ends.
function moveOverLine(place, point, [a, b], margin) {
  const distance = sideOf(point, a, b);
  if (Math.abs(distance) < margin) return undefined;
  const side = Math.sign(distance);
  const [before, from] = [place.side, place.point];
  Object.assign(place, { side, point });
  if (!before || before === side) return undefined;
  const meets = sideOf(a, from, point) * sideOf(b, from, point) <= 0;
  if (!meets) return undefined;
  return side > 0 ? "in" : "out";
}

// Takes an object on to `point`; says "in" or "out" when it has changed from one to the
// other, and is sure to be there.
function moveInZone(place, point, corners, margin) {
  const inside = isInside(point, corners);
  if (inside === place.inside) return undefined;
  const sides = [extent(corners.map(({ x }) => x)), extent(corners.map(({ y }) => y))];
  // In a small zone there has to be a place that is sure to be inside.
  const sure = Math.min(margin, ...sides.map((side) => side / 4));
  if (Math.min(...edgesOf(corners).map((edge) => distanceTo(point, edge))) < sure) return undefined;
  place.inside = inside;
  return inside ? "in" : "out";
}

const bump = (counts, name, direction) => {
  const count = counts.get(name) ?? { in: 0, out: 0 };
  counts.set(name, { ...count, [direction]: count[direction] + 1 });
};

// Counts objects frame by frame.
export function createCounter() {
  let tracks = new Map();
  // Numbers that were counted before and are looked at anew.
  let known = new Set();
  // Those of the last frame whose class was hidden.
  let hidden = new Set();
  let seen = new Map();
  let totals = new Map();
  let last;

  function countsOf(shape) {
    if (!totals.has(shape.id)) totals.set(shape.id, new Map());
    return totals.get(shape.id);
  }

  function event(happened, shape, found) {
    const direction = ["in", "entered", "appeared"].includes(happened) ? "in" : "out";
    bump(countsOf(shape), found.class, direction);
    return { happened, shape, found };
  }

  // Where an object is when it is first looked at for a shape. Who appears in a zone has
  // come in; who was there when the counting began has not.
  function placeOf(track, shape, point, corners) {
    if (track.places.has(shape.id)) return undefined;
    const inside = shape.kind === "zone" && isInside(point, corners);
    track.places.set(shape.id, { side: 0, point, inside });
    return inside && track.isNew ? "appeared" : undefined;
  }

  function move(track, shape, size) {
    const points = inPixels(shape.points, size);
    const margin = MARGIN * Math.max(size.width, size.height);
    const point = middleOf(track.found.box);
    const appeared = placeOf(track, shape, point, points);
    if (appeared) return appeared;
    const place = track.places.get(shape.id);
    if (shape.kind === "line") return moveOverLine(place, point, points, margin);
    const moved = moveInZone(place, point, points, margin);
    return moved && { in: "entered", out: "left" }[moved];
  }

  // The objects whose numbers are gone, and what they leave.
  function forget(time, shapes, isShown) {
    const events = [];
    for (const [number, track] of tracks) {
      const isHidden = !isShown(track.found.class);
      if (!isHidden && time - track.seen <= PATIENCE) continue;
      tracks.delete(number);
      if (isHidden) known.add(number);
      const left = isHidden ? [] : shapes.filter(({ id }) => track.places.get(id)?.inside);
      events.push(...left.map((shape) => event("vanished", shape, track.found)));
    }
    return events;
  }

  return {
    // Takes a frame of { width, height, detections, connection } at a time in seconds.
    // Objects are counted from when they reach the least score. Gives what happened:
    // { happened, shape, found }, where an object went "in" or "out" over a line, or
    // "entered", "appeared" in, "left" or "vanished" in a zone.
    update({ frame, time, shapes, least, isShown }) {
      const isOther = last?.connection !== frame.connection;
      const begins = !last || isOther || time - last.time > GAP;
      if (begins) {
        // Numbers of another connection say nothing here.
        known = isOther ? new Set() : new Set(tracks.keys());
        tracks = new Map();
      }
      last = { connection: frame.connection, time };
      const events = [];
      const hiddenNow = new Set();
      for (const found of frame.detections) {
        const { track: number, class: name, score } = found;
        if (number === undefined) continue;
        if (!isShown(name)) {
          hiddenNow.add(number);
          continue;
        }
        if (!tracks.has(number)) {
          if (score < least) continue;
          const isKnown = known.delete(number);
          tracks.set(number, { places: new Map(), isNew: !begins && !isKnown && !hidden.has(number) });
          if (!isKnown) seen.set(name, (seen.get(name) ?? 0) + 1);
        }
        const track = tracks.get(number);
        Object.assign(track, { seen: time, found });
        for (const shape of shapes) {
          const happened = move(track, shape, frame);
          if (happened) events.push(event(happened, shape, found));
        }
        track.isNew = false;
      }
      hidden = hiddenNow;
      return [...events, ...forget(time, shapes, isShown)];
    },
    // How many objects of each class went in and out, as a Map of { in, out }.
    countsOf: (shape) => totals.get(shape.id) ?? new Map(),
    // How many objects of each class there were so far.
    seen: () => seen,
    // A shape is another now.
    forgetShape(id) {
      totals.delete(id);
      for (const track of tracks.values()) track.places.delete(id);
    },
    // Counts anew, from the next frame on.
    reset() {
      [tracks, known, hidden, seen] = [new Map(), new Set(), new Set(), new Map()];
      [totals, last] = [new Map(), undefined];
    },
  };
}

// How many of these detections are in a zone, by class.
export function countInside(detections, zone, size) {
  const corners = inPixels(zone.points, size);
  const counts = new Map();
  for (const { class: name, box } of detections) {
    if (isInside(middleOf(box), corners)) counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return counts;
}
