// Keys for the whole page, wherever the focus is.
//
// A text field keeps all its keys; a slider, a box to tick and a menu keep the
// arrows. Space works a button, a menu or a box to tick that the focus was
// brought to by the keyboard, and does nothing else then. One that was clicked
// only happens to have the focus: there Space pauses, as anywhere else.

const NO_TEXT = ["button", "checkbox", "color", "file", "radio", "range", "reset", "submit"];

export function takesText(element) {
  if (element.isContentEditable || element.matches("textarea")) return true;
  return element.matches("input") && !NO_TEXT.includes(element.type);
}

// `actions` are by the key's name; `letters()` is whether letters are heard.
export function listenToKeys(actions, letters) {
  let pointed = false;
  let clicked = null;
  let taken = false;

  addEventListener("pointerdown", () => { pointed = true; }, true);
  addEventListener("focusin", ({ target }) => { clicked = pointed ? target : null; });

  function actionOf({ key, target, ctrlKey, metaKey, altKey, isComposing }) {
    if (ctrlKey || metaKey || altKey || isComposing || takesText(target)) return undefined;
    if (key === " " && target !== clicked && target.closest("button, select, summary, [type=checkbox]")) {
      return undefined;
    }
    if (key.startsWith("Arrow") && target.closest("input, select")) return undefined;
    if (/^[a-z]$/i.test(key) && !letters()) return undefined;
    return actions.get(key.toLowerCase());
  }

  addEventListener("keydown", (event) => {
    pointed = false;
    const action = event.target instanceof Element ? actionOf(event) : undefined;
    taken = Boolean(action);
    if (!action) return;
    event.preventDefault();
    if (!event.repeat) action();
  });
  // Some browsers click a button when Space is let go.
  addEventListener("keyup", (event) => {
    if (event.key === " " && taken) event.preventDefault();
    taken = false;
  });
}
