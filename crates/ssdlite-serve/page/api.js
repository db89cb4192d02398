// Requests to the server.

// A server that is asked for what it has answers at once.
const ANSWER_MS = 10_000;

let connections = 0;

// A refusal's error has the answer's `status`.
export async function answered(request) {
  const response = await request;
  const body = await response.json().catch(() => ({}));
  if (!response.ok) {
    const error = new Error(body.error ?? `the server answered ${response.status}`);
    throw Object.assign(error, { status: response.status });
  }
  return body;
}

// What the server has: { models, sources, keep, webhook }.
export async function askServer() {
  const signal = AbortSignal.timeout(ANSWER_MS);
  const answers = ["/v1/models", "/v1/sources"].map((path) => answered(fetch(path, { signal })));
  const [{ models }, { sources, keep, webhook }] = await Promise.all(answers);
  return { models, sources, keep, webhook };
}

// All detections of an image file; the page filters them by score.
export function detect(model, image) {
  const query = new URLSearchParams({ model, score: 0.05 });
  return answered(fetch(`/v1/detect?${query}`, { method: "POST", body: image }));
}

// Saves an image with its boxes as training data.
export function keepFrame(model, image, frame) {
  const form = new FormData();
  form.append("image", image, "frame");
  form.append("frame", JSON.stringify(frame));
  const query = new URLSearchParams({ model });
  return answered(fetch(`/v1/keep?${query}`, { method: "POST", body: form }));
}

// Has the server call its webhook for a rule that fired.
export function tellWebhook(model, event) {
  const query = new URLSearchParams({ model });
  const headers = { "Content-Type": "application/json" };
  return answered(fetch(`/v1/webhook?${query}`, { method: "POST", headers, body: JSON.stringify(event) }));
}

export function socketTo(path, parameters) {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const socket = new WebSocket(
    `${scheme}://${location.host}${path}?${new URLSearchParams(parameters)}`,
  );
  socket.binaryType = "arraybuffer";
  // Numbers of objects are those of one connection.
  socket.connection = ++connections;
  return socket;
}
