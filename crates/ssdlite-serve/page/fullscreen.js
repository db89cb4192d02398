// The stage alone on the screen; where a browser has no full screen for it, as
// on some phones, alone in the window.

export function createFullScreen(stage, button, onChange) {
  const isOn = () => stage.classList.contains("full");

  function set(on) {
    stage.classList.toggle("full", on);
    button.setAttribute("aria-pressed", String(on));
    button.querySelector("span").textContent = on ? "Leave full screen" : "Full screen";
    onChange();
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
