// The card with the rules, and what they do.

import { ruleSettings, saveRules, whenStoredElsewhere } from "./settings.js";
import { MOST_PAUSE, MOST_RULES, MOST_SECONDS, nextId, ruleFrom, textOfRule } from "./shapes.js";
import { allowSound } from "./sound.js";

// `forget(id)` is called for a rule that is gone.
export function createRuleList({ forget }) {
  const element = (id) => document.querySelector(`#${id}`);
  const [list, form, menu] = ["rules", "rule-form", "rule-class"].map(element);
  let rules = ruleSettings();
  let server = { keep: null, webhook: false };
  let classes = [];

  function actionsOf({ class: name, keep, sound, webhook }) {
    if (!classes.includes(name)) return "waits: this model has no such class";
    const texts = [
      keep && (server.keep ? "keeps the frame" : "can’t keep the frame: the server has no folder"),
      sound && "plays a sound",
      webhook && (server.webhook ? "calls the webhook" : "can’t call the webhook: the server has none"),
    ].filter(Boolean);
    return texts.length ? texts.join(", ") : "is told below";
  }

  function rebuild() {
    list.replaceChildren(...rules.map((rule) => {
      const item = document.createElement("li");
      const text = document.createElement("span");
      text.append(Object.assign(document.createElement("b"), { textContent: textOfRule(rule) }), ` ${actionsOf(rule)}`);
      const away = Object.assign(document.createElement("button"), { type: "button", className: "quiet", textContent: "Remove" });
      away.setAttribute("aria-label", `Remove the rule ${textOfRule(rule)}`);
      away.addEventListener("click", () => {
        forget(rule.id);
        set(rules.filter(({ id }) => id !== rule.id));
        element("rule-more").querySelector("summary").focus();
      });
      item.append(text, away);
      return item;
    }));
    const isFull = rules.length >= MOST_RULES;
    element("rule-add").disabled = isFull;
    element("rule-full").hidden = !isFull;
    element("rule-full").textContent = `There are at most ${MOST_RULES} rules.`;
    for (const [id, is] of [["rule-keep", server.keep], ["rule-webhook", server.webhook]]) {
      element(id).disabled = !is;
      if (!is) element(id).checked = false;
    }
  }

  function set(next) {
    rules = next;
    saveRules(rules);
    rebuild();
  }

  // A list of this tab's own would remove what was added in another.
  whenStoredElsewhere(() => {
    const next = ruleSettings();
    if (JSON.stringify(next) === JSON.stringify(rules)) return;
    const kept = new Set(next.map(({ id }) => id));
    for (const { id } of rules) if (!kept.has(id)) forget(id);
    rules = next;
    rebuild();
  });

  element("rule-seconds").max = MOST_SECONDS;
  element("rule-pause").max = MOST_PAUSE;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const number = (id) => element(id).valueAsNumber;
    const rule = ruleFrom({
      id: nextId(rules),
      class: menu.value,
      score: number("rule-score") / 100,
      seconds: number("rule-seconds"),
      pause: number("rule-pause"),
      keep: element("rule-keep").checked,
      sound: element("rule-sound").checked,
      webhook: element("rule-webhook").checked,
    });
    if (rule && rules.length < MOST_RULES) set([...rules, rule]);
  });
  // A page that was opened anew has to be clicked once before it can be heard.
  for (const kind of ["pointerdown", "keydown"]) {
    addEventListener(kind, () => rules.some(({ sound }) => sound) && allowSound(), true);
  }
  element("rule-sound").addEventListener("change", allowSound);

  return {
    rules: () => rules,
    setServer(next) {
      server = next;
      rebuild();
    },
    setModel(model) {
      ({ classes } = model);
      const chosen = menu.value;
      menu.replaceChildren(...classes.map((name) => new Option(name, name)));
      if (classes.includes(chosen)) menu.value = chosen;
      rebuild();
    },
  };
}
