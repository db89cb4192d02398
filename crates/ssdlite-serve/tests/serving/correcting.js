// What the modules promise with which boxes are corrected, without a page. Given the
// modules' address, it throws where something is not so.

async ({ from }) => {
  const { boxBetween, handlesOf, moved, resized, smallestAt } = await import(`${from}/boxes.js`);
  const { createCorrections } = await import(`${from}/corrections.js`);

  function equal(found, expected, what) {
    const [a, b] = [found, expected].map((value) => JSON.stringify(value));
    if (a !== b) throw new Error(`${what}: expected ${b}, found ${a}`);
  }

  // Not square, so that a swap of the axes is seen.
  const SIZE = { width: 97, height: 61 };

  equal(boxBetween([8.4, 40], [40, 16.6], SIZE), [8, 17, 40, 40], "corners in any order");
  equal(boxBetween([-9, -9], [200, 200], SIZE), [0, 0, 97, 61], "no box leaves the image");
  equal(boxBetween([5, 5], [5.4, 30], SIZE), undefined, "a box has a pixel at least");
  equal(boxBetween([99, 5], [120, 30], SIZE), undefined, "a box beside the image");
  equal(moved([8, 16, 40, 32], [-20, 99], SIZE), [0, 45, 32, 61], "a moved box keeps its size");
  equal(moved([8, 16, 40, 32], [1.4, -0.6], SIZE), [9, 15, 41, 31], "whole pixels");
  equal(resized([8, 16, 40, 32], [-1, 0], [2, 9], SIZE), [10, 16, 40, 32], "a left handle");
  equal(resized([8, 16, 40, 32], [1, 1], [60, 60], SIZE), [8, 16, 97, 61], "a corner");
  equal(resized([8, 16, 40, 32], [1, 0], [-40, 0], SIZE), [0, 16, 8, 32], "beyond the other edge");
  equal(handlesOf([8, 16, 40, 32]).length, 8, "handles");
  equal(handlesOf([8, 16, 40, 32])[0], { handle: [-1, -1], at: [8, 16] }, "the first handle");
  const nested = [{ key: 1, box: [0, 0, 50, 50] }, { key: 2, box: [10, 10, 20, 20] }, { key: 3, box: null }];
  equal(smallestAt(nested, [15, 15]).key, 2, "the inner box");
  equal(smallestAt(nested, [30, 15]).key, 1, "the outer box");
  equal(smallestAt(nested, [60, 15]), undefined, "no box");

  const TOLD = [
    { class: "red", box: [8, 16, 40, 32], difficult: false },
    { class: "green", box: [48, 40, 80, 56], difficult: true },
    { class: "x", box: null, difficult: false, fixed: "found a <polygon>" },
  ];
  const NOTHING = { changed: [], added: [], deleted: [] };
  const begun = () => {
    const made = createCorrections();
    made.load(TOLD);
    return made;
  };
  const keys = (made) => made.objects.map(({ key }) => key);
  // What a server's file holds after corrections, as it does it.
  const applied = (told, { changed, added, deleted }) => {
    const next = told.map((object, index) => ({ ...object, ...changed.find((change) => change.index === index) }));
    const left = next.map(({ index, ...object }) => object).filter((_, index) => !deleted.includes(index));
    return [...left, ...added];
  };

  const made = begun();
  const [red, green, fixed] = keys(made);
  equal([made.isChanged, made.canUndo, made.canRedo], [false, false, false], "nothing yet");
  equal(made.corrections().body, NOTHING, "nothing to correct");
  made.change(red, { class: "blue" });
  made.change(red, { box: [9, 16, 41, 32] }, "nudge");
  made.change(red, { box: [10, 16, 42, 32] }, "nudge");
  made.change(fixed, { class: "y" });
  const blue = made.add("blue", [1, 2, 3, 4]);
  made.remove(green);
  equal(made.corrections().body, {
    changed: [{ index: 0, class: "blue", box: [10, 16, 42, 32] }],
    added: [{ class: "blue", box: [1, 2, 3, 4] }],
    deleted: [1],
  }, "what is corrected");
  equal(made.corrections().keys, [red, fixed, blue], "the keys afterwards");
  for (let step = 0; step < 4; step++) made.undo();
  equal([made.isChanged, made.canUndo, made.canRedo], [false, false, true], "all undone");
  for (let step = 0; step < 9; step++) made.redo();
  equal([made.isChanged, made.canRedo], [true, false], "all done again");

  // Saved, while a person goes on.
  const sent = made.objects;
  const { body, keys: sentKeys } = made.corrections();
  const more = made.add("red", [5, 6, 7, 8]);
  made.change(blue, { class: "red" });
  const filed = applied(TOLD, body);
  made.saved(filed, { keys: sentKeys, sent });
  equal(made.corrections().body, {
    changed: [{ index: 2, class: "red" }],
    added: [{ class: "red", box: [5, 6, 7, 8] }],
    deleted: [],
  }, "what is left to save");
  equal(made.find(more).class, "red", "it is still there");
  // What was deleted and saved comes back as a new object.
  for (let step = 0; step < 3; step++) made.undo();
  equal(made.corrections().body.added, [{ class: "green", box: [48, 40, 80, 56] }], "back again");

  // Whatever is done, the server's file becomes what is shown.
  let state = 7;
  const random = (most) => {
    state = (state * 1103515245 + 12345) % 2147483648;
    return state % most;
  };
  const bare = (objects) => objects.map(({ class: name, box }) => `${name} ${box}`).sort();
  const other = createCorrections();
  let file = TOLD;
  other.load(file);
  for (let round = 0; round < 300; round++) {
    const key = other.objects[random(other.objects.length || 1)]?.key;
    const box = boxBetween([random(97), random(61)], [random(97), random(61)], SIZE) ?? [0, 0, 9, 9];
    const actions = [
      () => other.add("abc"[random(3)], box),
      () => other.change(key, { box }),
      () => other.change(key, { class: "abc"[random(3)] }),
      () => other.remove(key),
      other.undo,
      other.redo,
    ];
    actions[random(actions.length)]();
    if (random(4)) continue;
    const step = { sent: other.objects, ...other.corrections() };
    file = applied(file, step.body);
    other.saved(file, step);
    equal(bare(file), bare(other.objects), `round ${round}`);
    equal(other.isChanged, false, `all saved in round ${round}`);
  }

  // Another has changed the file: mine take its place, and what it left is not new.
  const mine = begun();
  const [mineRed] = keys(mine);
  mine.change(mineRed, { class: "mine" });
  const theirs = [TOLD[0], { ...TOLD[1], class: "theirs" }, TOLD[2]];
  mine.rebase(theirs);
  equal(mine.corrections().body, {
    changed: [{ index: 0, class: "mine" }],
    added: [{ class: "green", box: [48, 40, 80, 56] }],
    deleted: [1],
  }, "mine over theirs");
  return "done";
};
