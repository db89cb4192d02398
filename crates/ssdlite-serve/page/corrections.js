// The objects of a frame while a person corrects them, with what can be undone,
// without the document.
//
// An object is { key, class, box, fixed }: `box` is [x1, y1, x2, y2] in pixels, null
// for one that is `fixed`, which says why it can only be deleted. Objects are never
// changed but replaced, so that a step back is the list that was before.

const MOST_STEPS = 200;

const isSame = (one, other) => one.class === other.class && one.fixed === other.fixed
  && JSON.stringify(one.box) === JSON.stringify(other.box);

export function createCorrections() {
  // As the server's file has them, in its order.
  let filed = [];
  let objects = [];
  let past = [];
  let future = [];
  // Steps of one tag are one step.
  let lastTag;
  let lastKey = 0;

  const withKey = ({ class: name, box, fixed }, key = ++lastKey) => ({ key, class: name, box, fixed });

  function step(next, tag) {
    if (tag === undefined || tag !== lastTag) {
      past.push(objects);
      past = past.slice(-MOST_STEPS);
    }
    lastTag = tag;
    future = [];
    objects = next;
  }

  function go(from, to) {
    if (!from.length) return;
    to.push(objects);
    objects = from.pop();
    lastTag = undefined;
  }

  // What the server is to do: { changed, added, deleted }, and the keys that the
  // objects of its file will have then, in its order.
  function corrections() {
    const now = new Map(objects.map((object) => [object.key, object]));
    const [changed, deleted, keys] = [[], [], []];
    filed.forEach((before, index) => {
      const object = now.get(before.key);
      if (!object) return deleted.push(index);
      now.delete(before.key);
      keys.push(before.key);
      if (isSame(object, before)) return;
      const change = { index };
      if (object.class !== before.class) change.class = object.class;
      if (JSON.stringify(object.box) !== JSON.stringify(before.box)) change.box = object.box;
      changed.push(change);
    });
    const others = [...now.values()];
    const added = others.map(({ class: name, box }) => ({ class: name, box }));
    keys.push(...others.map(({ key }) => key));
    return { body: { changed, added, deleted }, keys };
  }

  return {
    get objects() { return objects; },
    get canUndo() { return past.length > 0; },
    get canRedo() { return future.length > 0; },
    get isChanged() {
      return Object.values(corrections().body).some((list) => list.length > 0);
    },
    find: (key) => objects.find((object) => object.key === key),
    corrections,

    // Begins with a frame's objects as the server tells them.
    load(told) {
      filed = told.map((object) => withKey(object));
      objects = filed;
      [past, future, lastTag] = [[], [], undefined];
    },
    add(name, box) {
      const object = withKey({ class: name, box });
      step([...objects, object]);
      return object.key;
    },
    // Gives an object another class or box.
    change(key, changed, tag) {
      const object = objects.find((known) => known.key === key);
      if (!object || object.fixed || isSame(object, { ...object, ...changed })) return;
      step(objects.map((known) => (known === object ? { ...object, ...changed } : known)), tag);
    },
    remove(key) {
      step(objects.filter((object) => object.key !== key));
    },
    undo() { go(past, future); },
    redo() { go(future, past); },

    // The server has done what corrections() said when the objects were `sent`, and
    // tells how its file is now. What a person did meanwhile stays.
    saved(told, { keys, sent }) {
      filed = told.map((object, index) => withKey(object, keys[index]));
      const byKey = new Map(filed.map((object) => [object.key, object]));
      // The server rounds, clips and trims.
      objects = objects.map((object) => (sent.includes(object) ? byKey.get(object.key) ?? object : object));
    },
    // The server's file has changed otherwise, and a person wants these objects in it
    // all the same. One that is there as it was is still the same one.
    rebase(told) {
      const before = filed;
      filed = told.map((object, index) => {
        const is = before[index] && isSame(before[index], withKey(object, 0));
        return withKey(object, is ? before[index].key : undefined);
      });
    },
  };
}
