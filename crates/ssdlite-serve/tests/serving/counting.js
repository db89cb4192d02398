// What the page's modules without a page promise. Given the modules' address, it throws
// where something is not so.

async ({ from }) => {
  const { createCounter, countInside, isInside } = await import(`${from}/crossing.js`);
  const { createRuleWatch } = await import(`${from}/rules.js`);
  const { MOST_EVENTS, createLog, csvFrom } = await import(`${from}/eventlog.js`);
  const { MOST_SHAPES, arePoints, listFrom, ruleFrom, shapeFrom } = await import(`${from}/shapes.js`);

  function equal(found, expected, what) {
    const [a, b] = [found, expected].map((value) => JSON.stringify(value));
    if (a !== b) throw new Error(`${what}: expected ${b}, found ${a}`);
  }

  // Not square, so that a swap of the axes is seen.
  const SIZE = { width: 640, height: 360 };
  const FRAME = 0.04;
  const everything = () => true;

  let state = 7;
  function random() {
    state = (state * 1103515245 + 12345) % 2147483648;
    return state / 2147483648;
  }

  // A detection whose middle is at these shares of the image.
  const at = (x, y, { track = 1, name = "red", score = 0.9 } = {}) => {
    const [left, top] = [x * SIZE.width - 20, y * SIZE.height - 30];
    return { track, class: name, score, box: [left, top, left + 40, top + 60] };
  };
  const line = (x1, y1, x2, y2) => ({ id: 1, kind: "line", name: "L", points: [{ x: x1, y: y1 }, { x: x2, y: y2 }] });
  const zone = (...points) => ({ id: 2, kind: "zone", name: "Z", points: points.map(([x, y]) => ({ x, y })) });
  const SQUARE = zone([0.4, 0.4], [0.6, 0.4], [0.6, 0.6], [0.4, 0.6]);

  // Shows frames, each a list of detections, and gives what happened.
  function run(counter, shapes, frames, options = {}) {
    const { start = 0, least = 0.3, isShown = everything, connection = 1 } = options;
    return frames.flatMap((detections, index) => counter
      .update({ frame: { ...SIZE, detections, connection }, time: start + index * FRAME, shapes, least, isShown })
      .map(({ happened }) => happened));
  }

  const walk = (from_, to, steps, options) => Array.from({ length: steps }, (_, step) => {
    const share = step / (steps - 1);
    return [at(from_[0] + share * (to[0] - from_[0]), from_[1] + share * (to[1] - from_[1]), options)];
  });

  // Lines.
  const upright = line(0.5, 0.1, 0.5, 0.9);
  equal(run(createCounter(), [upright], walk([0.2, 0.5], [0.8, 0.5], 30)), ["out"], "to the left hand");
  equal(run(createCounter(), [upright], walk([0.8, 0.5], [0.2, 0.5], 30)), ["in"], "to the right hand");
  const turned = { ...upright, points: [...upright.points].reverse() };
  equal(run(createCounter(), [turned], walk([0.2, 0.5], [0.8, 0.5], 30)), ["in"], "the line turned round");
  const level = line(0.1, 0.5, 0.9, 0.5);
  equal(run(createCounter(), [level], walk([0.5, 0.2], [0.5, 0.8], 30)), ["in"], "down over a line to the right");
  equal(run(createCounter(), [upright], walk([0.2, 0.95], [0.8, 0.95], 30)), [], "past the line's end");
  equal(run(createCounter(), [upright], [[at(0.2, 0.5)], [at(0.8, 0.5)]]), ["out"], "in one leap");
  equal(run(createCounter(), [upright], [...walk([0.2, 0.5], [0.6, 0.5], 9), ...walk([0.6, 0.5], [0.2, 0.5], 9)]),
    ["out", "in"], "there and back");
  const trembling = (x) => [at(x + (random() - 0.5) * 0.018, 0.5 + (random() - 0.5) * 0.018)];
  equal(run(createCounter(), [upright], Array.from({ length: 500 }, () => trembling(0.5))), [], "on the line");
  equal(run(createCounter(), [upright], Array.from({ length: 500 }, (_, step) => trembling(0.45 + step * 2e-4))),
    ["out"], "slowly, trembling");
  // Each crossing is to the other side than the last.
  for (let round = 0; round < 50; round += 1) {
    const slanted = line(random(), 0, random(), 1);
    const frames = Array.from({ length: 60 }, () => [at(random(), random())]);
    const happened = run(createCounter(), [slanted], frames);
    happened.forEach((what, index) => index && equal(what !== happened[index - 1], true, "sides alternate"));
  }

  // Zones.
  equal(run(createCounter(), [SQUARE], walk([0.1, 0.5], [0.9, 0.5], 40)), ["entered", "left"], "through a zone");
  equal(run(createCounter(), [SQUARE], walk([0.1, 0.1], [0.9, 0.1], 40)), [], "past a zone");
  const edge = Array.from({ length: 300 }, () => trembling(0.4));
  equal(run(createCounter(), [SQUARE], [[at(0.1, 0.5)], ...edge]).length <= 1, true, "on a zone's edge");
  equal(run(createCounter(), [SQUARE], [[at(0.5, 0.5)], [at(0.5, 0.5)]]), [], "who was there has not come");
  equal(run(createCounter(), [SQUARE], [[], [at(0.5, 0.5)], ...Array(60).fill([])]), ["appeared", "vanished"], "from nowhere");
  const small = zone([0.5, 0.5], [0.515, 0.5], [0.515, 0.53], [0.5, 0.53]);
  equal(run(createCounter(), [small], [[at(0.4, 0.5)], [at(0.5075, 0.515)], [at(0.4, 0.5)]]), ["entered", "left"], "a small zone");
  const bent = zone([0, 0], [1, 0], [1, 1], [0.5, 0.5], [0, 1]);
  equal([isInside({ x: 0.5, y: 0.4 }, bent.points), isInside({ x: 0.5, y: 0.6 }, bent.points)], [true, false], "a bent zone");
  const inside = countInside([at(0.5, 0.5), at(0.45, 0.5), at(0.1, 0.5), at(0.5, 0.5, { name: "green" })], SQUARE, SIZE);
  equal([...inside], [["red", 2], ["green", 1]], "how many are inside");
  // Who is inside at the end was there at first, or came in and did not go out.
  for (let round = 0; round < 30; round += 1) {
    const counter = createCounter();
    const places = new Map(Array.from({ length: 6 }, (_, index) => [index + 1, { x: random(), y: random() }]));
    const first = [...places].map(([track, { x, y }]) => at(x, y, { track }));
    const before = first.filter(({ box }) => countInside([{ class: "a", box }], SQUARE, SIZE).size).length;
    run(counter, [SQUARE], [first]);
    let next = 7;
    for (let step = 1; step < 200; step += 1) {
      for (const [track, place] of places) {
        place.x = Math.min(1, Math.max(0, place.x + (random() - 0.5) * 0.2));
        place.y = Math.min(1, Math.max(0, place.y + (random() - 0.5) * 0.2));
        if (random() < 0.02) places.delete(track);
      }
      if (random() < 0.1) places.set(next++, { x: random(), y: random() });
      run(counter, [SQUARE], [[...places].map(([track, { x, y }]) => at(x, y, { track }))], { start: step * 0.2 });
    }
    // All are far outside, and who is gone is forgotten.
    const away = () => [...places.keys()].map((track) => at(0.05, 0.05, { track }));
    for (let step = 0; step < 20; step += 1) run(counter, [SQUARE], [away()], { start: 40 + step * 0.2 });
    const { in: came, out: went } = counter.countsOf(SQUARE).get("red");
    equal(before + came - went, 0, "before + in - out = inside");
    equal(counter.seen().get("red"), next - 1, "each object is counted once");
  }

  // What is not shown is not counted, and a break counts nothing.
  const crossing = () => walk([0.2, 0.5], [0.8, 0.5], 30);
  equal(run(createCounter(), [upright], crossing(), { isShown: (name) => name !== "red" }), [], "hidden");
  equal(run(createCounter(), [upright], crossing(), { least: 0.95 }), [], "below the least score");
  const unsure = crossing();
  unsure.slice(1).forEach(([found]) => { found.score = 0.15; });
  equal(run(createCounter(), [upright], unsure), ["out"], "followed below the least score");
  const unknown = crossing();
  unknown.forEach(([found]) => { delete found.track; });
  equal(run(createCounter(), [upright], unknown), [], "without a number");
  {
    const counter = createCounter();
    run(counter, [SQUARE, upright], [[at(0.45, 0.5)]]);
    equal(run(counter, [SQUARE, upright], [[at(0.9, 0.5)]], { start: 60 }), [], "after a break");
    equal(counter.seen().get("red"), 1, "the same number after a break");
    equal(run(counter, [SQUARE, upright], [[at(0.45, 0.5)]], { start: 60.1, connection: 2 }), [], "another connection");
    equal(counter.seen().get("red"), 2, "the same number over another connection");
    let shown = true;
    run(counter, [SQUARE], [[at(0.5, 0.5)]], { start: 60.2, connection: 2, isShown: () => shown });
    shown = false;
    equal(run(counter, [SQUARE], [[at(0.5, 0.5), at(0.5, 0.5, { track: 9 })]], { start: 60.3, connection: 2, isShown: () => shown }), [], "hidden while inside");
    shown = true;
    equal(run(counter, [SQUARE], [[at(0.5, 0.5), at(0.5, 0.5, { track: 9 })]], { start: 60.4, connection: 2, isShown: () => shown }), [], "shown while inside");
    equal(counter.seen().get("red"), 3, "who was hidden is the same");
  }
  {
    // A frame every 4 s.
    const counter = createCounter();
    const slowly = [0.1, 0.5, 0.5, 0.9].flatMap((x, index) => run(counter, [SQUARE], [[at(x, 0.5)]], { start: index * 4 }));
    equal(slowly, ["entered", "left"], "a slow source");
  }
  {
    const counter = createCounter();
    run(counter, [SQUARE], walk([0.1, 0.5], [0.5, 0.5], 20));
    counter.forgetShape(SQUARE.id);
    equal([...counter.countsOf(SQUARE)], [], "a changed zone begins anew");
    equal(run(counter, [SQUARE], [[at(0.5, 0.5)]], { start: 0.9 }), [], "who is in a changed zone has not come");
  }

  // Rules.
  const RULE = { id: 1, class: "red", score: 0.6, seconds: 1, pause: 0, keep: false, sound: false, webhook: false };
  function times(watch, scores, { rule = RULE, start = 0, step = 0.1, track = 1, connection = 1 } = {}) {
    return scores.flatMap((score, index) => {
      const detections = score === undefined ? [] : [at(0.5, 0.5, { score, track })];
      const time = start + index * step;
      return watch.update({ detections, connection, time, rules: [rule] }).map(() => Number(time.toFixed(2)));
    });
  }
  const always = (score, length) => Array(length).fill(score);
  equal(times(createRuleWatch(), always(0.7, 100)), [1], "once for an object");
  equal(times(createRuleWatch(), always(0.59, 100)), [], "below the score");
  equal(times(createRuleWatch(), always(0.7, 10)), [], "too short");
  equal(times(createRuleWatch(), always(0.7, 3), { rule: { ...RULE, seconds: 0 } }), [0], "at once");
  equal(times(createRuleWatch(), [...always(0.7, 8), ...always(0.2, 3), ...always(0.7, 9)]), [1.1], "a short dip");
  equal(times(createRuleWatch(), [...always(0.7, 8), ...always(0.2, 7), ...always(0.7, 12)]), [2.5], "a long dip");
  equal(times(createRuleWatch(), [...always(0.7, 12), ...always(0.2, 40), ...always(0.7, 20)]), [1], "the same object again");
  equal(times(createRuleWatch(), always(0.7, 9), { step: 4 }), [4], "a slow source");
  equal(times(createRuleWatch(), always(0.7, 40), { rule: { ...RULE, class: "green" } }), [], "another class");
  {
    const watch = createRuleWatch();
    const rule = { ...RULE, pause: 5 };
    equal(times(watch, always(0.7, 20), { rule }), [1], "the first object");
    equal(times(watch, always(0.7, 60), { rule, start: 2, track: 2 }), [6], "the next after the pause");
    equal(times(watch, always(0.7, 20), { start: 60, track: 2, rule }), [], "the same object after a break");
    equal(times(watch, always(0.7, 20), { start: 70, track: 2, rule, connection: 2 }), [71], "another connection");
  }
  {
    const pair = [at(0.2, 0.5, { track: 1 }), at(0.8, 0.5, { track: 2 })];
    const watch = createRuleWatch();
    const told = [0, 0.5, 1, 1.5].flatMap((time) => watch.update({ detections: pair, connection: 1, time, rules: [RULE] }));
    equal(told.map(({ found }) => found.track), [1, 2], "each object");
  }

  // The log.
  const log = createLog();
  for (let number = 1; number <= MOST_EVENTS + 3; number += 1) log.add(number);
  equal([log.entries().length, log.entries()[0], log.entries().at(-1), log.total()], [500, 503, 4, 503], "the newest stay");
  log.clear();
  equal([log.entries().length, log.total()], [0, 0], "cleared");
  const entry = (where) => ({
    time: new Date(Date.UTC(2026, 0, 31, 12, 34, 56, 789)), source: "s", model: "m", event: "left", where,
    class: "red", score: 0.91234, track: 3, box: [-1.25, 2, 3.04, 4],
  });
  equal(csvFrom([entry("b"), entry("a")]),
    "time,source,model,event,where,class,score,track,x1,y1,x2,y2\r\n"
    + "2026-01-31T12:34:56.789Z,s,m,left,a,red,0.912,3,-1.3,2,3,4\r\n"
    + "2026-01-31T12:34:56.789Z,s,m,left,b,red,0.912,3,-1.3,2,3,4\r\n", "the oldest first");
  for (const [text, written] of [
    ["a,b", '"a,b"'], ['a"b', '"a""b"'], ["a\nb", '"a\nb"'], ["=1+1", "'=1+1"], ["+1", "'+1"], ["-1", "'-1"],
    ["@SUM(A1)", "'@SUM(A1)"], ['=HYPERLINK("x")', `"'=HYPERLINK(""x"")"`], ["\tx", "'\tx"], ["a=b", "a=b"],
  ]) {
    equal(csvFrom([entry(text)]).split("left,")[1].split(",red,")[0], written, text);
  }

  // What is stored may be anything.
  const good = { id: 1, kind: "line", name: "L", points: [{ x: 0, y: 0.5 }, { x: 1, y: 0.5 }] };
  for (const bad of [
    null, 7, "line", {}, { ...good, id: "1" }, { ...good, kind: "constructor" }, { ...good, name: "" }, { ...good, name: "x".repeat(41) },
    { ...good, points: [] }, { ...good, points: good.points.slice(1) }, { ...good, points: [good.points[0], good.points[0]] },
    { ...good, points: [...good.points, { x: 0, y: 0 }] }, { ...good, points: [{ x: -0.1, y: 0 }, { x: 1, y: 1 }] },
    { ...good, points: [{ x: "0", y: 0 }, { x: 1, y: 1 }] }, { ...good, points: [null, null] }, { ...good, points: [{ x: NaN, y: 0 }, { x: 1, y: 1 }] },
    { ...good, kind: "zone" }, { ...good, kind: "zone", points: Array(13).fill({ x: 0, y: 0 }) },
  ]) {
    equal(listFrom([bad, good], shapeFrom, 8), [good], `${JSON.stringify(bad)} is no shape`);
  }
  equal(listFrom({ length: 3 }, shapeFrom, 8), [], "no list");
  equal(listFrom([good, good], shapeFrom, 8), [good], "the same id twice");
  const many = Array.from({ length: 20 }, (_, id) => ({ ...good, id }));
  equal(listFrom(many, shapeFrom, MOST_SHAPES).length, MOST_SHAPES, "too many");
  equal(arePoints("zone", [{ x: 0, y: 0 }, { x: 0.5, y: 0 }, { x: 1, y: 0 }]), false, "a zone without width");
  for (const bad of [null, {}, { ...RULE, score: 1.5 }, { ...RULE, seconds: -1 }, { ...RULE, seconds: NaN }, { ...RULE, class: 7 }, { ...RULE, pause: "1" }]) {
    equal(listFrom([bad, RULE], ruleFrom, 8), [RULE], `${JSON.stringify(bad)} is no rule`);
  }
  return "done";
}
