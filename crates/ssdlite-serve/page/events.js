// Counting, rules and the log of events, frame by frame.

import { tellWebhook } from "./api.js";
import { createCounting } from "./counting.js";
import { createCounter } from "./crossing.js";
import { createEventList } from "./eventlist.js";
import { createRuleList } from "./rulelist.js";
import { createRuleWatch } from "./rules.js";
import { textOfRule } from "./shapes.js";
import { playSound } from "./sound.js";

const WORDS = {
  in: "went in over",
  out: "went out over",
  entered: "entered",
  appeared: "appeared in",
  left: "left",
  vanished: "vanished in",
};

// `panel` says what is shown; `keep(frame, detections)` keeps a frame and tells what it
// did; `note(kind, text)` tells a person.
export function createEvents({ panel, keep, note }) {
  const counter = createCounter();
  const watch = createRuleWatch();
  const counting = createCounting({ counter, note });
  const rules = createRuleList({ forget: watch.forgetRule });
  const list = createEventList();
  let of = { source: "", model: "" };

  const add = (event, where, found, frame) => list.add({ event, where, found, ...of }, frame);

  async function act({ rule, found }, frame, detections) {
    const text = textOfRule(rule);
    const { class: name, score, box, track } = found;
    const { width, height } = frame;
    const fail = (what) => (error) => note("bad", `${text}: ${what}: ${error.message}`);
    add("rule", text, found, frame);
    note("good", `${text}: #${track}`);
    if (rule.sound && !playSound()) {
      note("bad", `${text}: the browser plays no sound before this page was clicked.`);
    }
    if (rule.keep) await keep(frame, detections).then((told) => note("good", `${text}: ${told}`), fail("not kept"));
    if (rule.webhook) {
      const told = { source: of.source, rule: text, class: name, score, box, width, height, track };
      await tellWebhook(of.model, told).catch(fail("the webhook was not called"));
    }
  }

  return {
    setServer: rules.setServer,
    setModel: rules.setModel,
    // From now on frames are of this source and model.
    begin({ source, model }) {
      of = { source, model };
      counting.begin(source);
    },
    // Takes a new frame.
    add(frame) {
      const time = performance.now() / 1000;
      const { detections: all, connection } = frame;
      const happened = counter.update({
        frame,
        time,
        shapes: counting.shapes(),
        least: panel.leastScore(),
        isShown: panel.isClassShown,
      });
      for (const { happened: what, shape, found } of happened) add(WORDS[what], shape.name, found, frame);
      const detections = panel.shown(all);
      const fired = watch.update({ detections, connection, time, rules: rules.rules() });
      for (const one of fired) void act(one, frame, detections);
    },
    show: counting.show,
  };
}
