// Tells when frames stop coming, and when they come again.

const PATIENCE_MS = 2000;

export function createFreshness(onChange) {
  let last = null;
  let isOld = false;
  let timer;

  function set(value) {
    if (isOld === value) return;
    isOld = value;
    onChange();
  }

  function wait() {
    clearTimeout(timer);
    timer = setTimeout(set, PATIENCE_MS, true);
  }

  return {
    get isOld() { return isOld; },
    // When the last frame was shown, a Date; null before the first.
    get last() { return last; },
    // From now on frames are awaited, of another source.
    begin() {
      last = null;
      set(false);
      wait();
    },
    seen() {
      last = new Date();
      set(false);
      wait();
    },
    // The source says that none will come.
    lost() {
      clearTimeout(timer);
      set(true);
    },
    // No frame is awaited, until one is seen or `resume`.
    rest() {
      clearTimeout(timer);
      set(false);
    },
    resume: wait,
  };
}
