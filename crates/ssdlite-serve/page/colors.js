// A colour for each class, the same in list, boxes and images.

// The golden angle puts neighbours in the list far apart on the wheel.
const GOLDEN_ANGLE = 137.508;
const FIRST_HUE = 172;

export function classColor(index) {
  const hue = (FIRST_HUE + index * GOLDEN_ANGLE) % 360;
  // One lightness for all hues, on which white letters can be read.
  return `oklch(0.56 0.17 ${hue.toFixed(1)})`;
}
