// The stage alone on the screen; where a browser has no full screen for it, as
// on some phones, alone in the window.

// `others` is what is not seen then, and can't be reached; `changed()` is called
// when the stage has another size.
export function createFullScreen({ stage, button, others, changed }) {
  const isOn = () => stage.classList.contains("full");

  function set(on) {
    stage.classList.toggle("full", on);
    for (const other of others) other.inert = on;
    button.querySelector("span").textContent = on ? "Leave full screen" : "Full screen";
    changed();
  }

  document.addEventListener("fullscreenchange", () => set(document.fullscreenElement === stage));

  function leave() {
    if (document.fullscreenElement) void document.exitFullscreen();
    else if (isOn()) set(false);
  }

  async function enter() {
    try {
      await stage.requestFullscreen();
    } catch {
      set(true);
    }
  }

  return { leave, toggle: () => (isOn() ? leave() : enter()) };
}
