// Saves what is shown: for the person, or for training.

import { keepFrame } from "./api.js";

// Puts an image into the browser's downloads; tells what was done.
export function download(image) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(image);
  link.download = `ssdlite-${new Date().toISOString().replace(/[:.]/g, "-")}.png`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  return `Saved ${link.download} to your downloads.`;
}

// Puts the image and its boxes into the server's folder; tells what was done.
export async function keepForTraining(model, { image, width, height }, detections) {
  const kept = await keepFrame(model, image, { width, height, detections });
  const objects = `${detections.length} ${detections.length === 1 ? "object" : "objects"}`;
  const unlisted = kept.listed ? "" : " The folder has no lists to add it to.";
  return `Kept ${kept.id} with ${objects} in ${kept.folder}.${unlisted}`;
}
