// Which frame is open, how it is read and saved, and what happens when another tab or
// program has changed it meanwhile.

import { correctFrame, listFrames, loadImage, readFrame } from "./kept.js";

const CHANGED = 412;

// `corrections` are the objects that a person works on. `opened(frame)` is called with
// { address, size } when a frame is there, `failed(id, error)` when it can't be
// opened, and `changed()` when anything else is to be shown.
export function createFrames({ corrections, opened, failed, changed }) {
  let listed = { frames: [], total: 0, left_out: 0 };
  let index = -1;
  let revision;
  let annotated = true;
  let isOpen = false;
  let conflict = false;
  let saving;
  // Of the image.
  let address;
  // Counts the frames that were asked for: an answer for an older one is late.
  let asked = 0;

  async function open(next) {
    index = next;
    const [id, turn] = [listed.frames[next], ++asked];
    [isOpen, conflict] = [false, false];
    changed();
    try {
      const [frame, loaded] = await Promise.all([readFrame(id), loadImage(id)]);
      if (turn !== asked) return URL.revokeObjectURL(loaded);
      URL.revokeObjectURL(address);
      address = loaded;
      take(frame);
      corrections.load(frame.objects);
      isOpen = true;
      opened({ address, size: { width: frame.width, height: frame.height } });
    } catch (error) {
      if (turn === asked) failed(id, error);
    }
    return changed();
  }

  function take(frame) {
    [revision, annotated, conflict] = [frame.revision, frame.annotated, false];
  }

  // Whether there is anything to save: an image without an annotation gets one.
  const isUnsaved = () => isOpen && (corrections.isChanged || !annotated);

  async function saveNow() {
    const id = listed.frames[index];
    const sent = corrections.objects;
    const { body, keys } = corrections.corrections();
    const frame = await correctFrame(id, revision, body);
    take(frame);
    corrections.saved(frame.objects, { keys, sent });
  }

  // Saves what a person has changed. Tells whether nothing is left to save.
  async function save() {
    await saving?.catch(() => {});
    if (!isUnsaved()) return true;
    if (conflict) return false;
    saving = saveNow();
    changed();
    try {
      await saving;
      return true;
    } catch (error) {
      if (error.status !== CHANGED) throw error;
      conflict = true;
      return false;
    } finally {
      saving = undefined;
      changed();
    }
  }

  // Opens the frame of an index, once this one is saved. Tells whether it is.
  async function go(next) {
    if (next < 0 || next >= listed.frames.length || next === index) return false;
    if (isOpen && corrections.isChanged && !(await save())) return false;
    await open(next);
    return true;
  }

  return {
    get listed() { return listed; },
    get index() { return index; },
    get isOpen() { return isOpen; },
    get isSaving() { return Boolean(saving); },
    get isUnsaved() { return isUnsaved(); },
    get isAnnotated() { return annotated; },
    get hasConflict() { return conflict; },
    async begin() {
      listed = await listFrames();
      if (listed.frames.length) await open(0);
    },
    go,
    save,
    // What the server has now takes the place of what a person has made.
    takeTheirs: () => open(index),
    // What a person has made takes the place of what the server has now.
    async keepMine() {
      const frame = await readFrame(listed.frames[index]);
      take(frame);
      corrections.rebase(frame.objects);
      return save();
    },
  };
}
