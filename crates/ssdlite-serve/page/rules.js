// Rules: an object of a class is above a score for so many seconds.

import { GAP } from "./crossing.js";

// A score that falls for less than this, in seconds, has not fallen.
const GRACE = 0.5;

// Seconds after which an object that is not seen has no number any more.
const PATIENCE = 1.5;

// Watches for rules frame by frame.
export function createRuleWatch() {
  // By rule and object: since when it holds, until when, and whether it was told.
  let held = new Map();
  let told = new Map();
  let last;

  // Of a time without frames nothing is known but who was told of before.
  function begin(time, isOther) {
    const before = isOther ? [] : [...held].filter(([, { fired }]) => fired);
    held = new Map(before.map(([key, state]) => [key, { ...state, until: time }]));
  }

  // `before` is the time of the frame before this one.
  function hold(key, time, before) {
    const state = held.get(key);
    if (state && (state.fired || state.until === before || time - state.until <= GRACE)) {
      state.until = time;
      return state;
    }
    const begun = { since: time, until: time, fired: false };
    held.set(key, begun);
    return begun;
  }

  return {
    // Takes the detections that are shown of a frame at a time in seconds, and gives
    // the rules that fire: { rule, found }. Each fires once for an object, and not
    // before its pause is over.
    update({ detections, connection, time, rules }) {
      const isOther = last?.connection !== connection;
      if (!last || isOther || time - last.time > GAP) begin(time, isOther);
      const before = last?.time;
      last = { connection, time };
      const fired = [];
      for (const rule of rules) {
        for (const found of detections) {
          if (found.track === undefined || found.class !== rule.class) continue;
          const key = `${rule.id}/${found.track}`;
          if (found.score < rule.score) {
            // Who was told of is the same while it is there.
            if (held.get(key)?.fired) held.get(key).until = time;
            continue;
          }
          const state = hold(key, time, before);
          const isPaused = time - (told.get(rule.id) ?? -Infinity) < rule.pause;
          if (state.fired || isPaused || time - state.since < rule.seconds) continue;
          state.fired = true;
          told.set(rule.id, time);
          fired.push({ rule, found });
        }
      }
      for (const [key, { until }] of held) {
        if (time - until > PATIENCE) held.delete(key);
      }
      return fired;
    },
    forgetRule(id) {
      told.delete(id);
      for (const key of held.keys()) if (key.startsWith(`${id}/`)) held.delete(key);
    },
  };
}
