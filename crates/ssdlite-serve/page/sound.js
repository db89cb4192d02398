// A short sound. Browsers play none before a person has clicked or pressed a key.

const SECONDS = 0.35;
const HERTZ = 880;
const LOUDNESS = 0.25;

let context;

function awake() {
  context ??= new AudioContext();
  return context.resume();
}

// To be called while the page answers to a click or a key.
export function allowSound() {
  void awake().catch(() => {});
}

// Says whether it can be heard.
export function playSound() {
  if (context?.state !== "running") return false;
  const [tone, volume, now] = [context.createOscillator(), context.createGain(), context.currentTime];
  tone.frequency.value = HERTZ;
  volume.gain.setValueAtTime(LOUDNESS, now);
  volume.gain.exponentialRampToValueAtTime(0.001, now + SECONDS);
  tone.connect(volume).connect(context.destination);
  tone.start(now);
  tone.stop(now + SECONDS);
  return true;
}
