// Requests about the frames that were kept.

import { answered } from "./api.js";

const pathOf = (id) => `/v1/kept/${encodeURIComponent(id)}`;

// The frames that there are: { folder, total, left_out, frames }, the last first.
export async function listFrames() {
  const listed = await answered(fetch("/v1/kept"));
  return { ...listed, frames: listed.frames.reverse() };
}

// A frame's annotation: { width, height, annotated, objects, revision }.
export const readFrame = (id) => withRevision(fetch(pathOf(id)));

// The address in this browser under which a frame's image is.
export async function loadImage(id) {
  const response = await fetch(`${pathOf(id)}/image`);
  if (!response.ok) await answered(response);
  const image = new Image();
  image.src = URL.createObjectURL(await response.blob());
  try {
    await image.decode();
  } catch {
    URL.revokeObjectURL(image.src);
    throw new Error("The browser can’t show this image.");
  }
  return image.src;
}

// Corrects the annotation that is of a revision; an error of status 412 says that it
// is of another by now.
export function correctFrame(id, revision, corrections) {
  const headers = { "Content-Type": "application/json", "If-Match": revision };
  return withRevision(fetch(pathOf(id), { method: "PATCH", headers, body: JSON.stringify(corrections) }));
}

async function withRevision(request) {
  const response = await request;
  return { ...await answered(response), revision: response.headers.get("ETag") };
}
