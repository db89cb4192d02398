// Where frames come from. A source calls
//   show({ image, bitmap, width, height, detections, stages, delay, skipped, connection })
// for each frame, `image` being a Blob of the image as it was detected in and
// `connection` a number that tells whose objects have the numbers in `detections`,
// and state(kind, text) with "live", "wait", "bad" or "idle"; those that need a connection
// await again() before they open it anew.
// It has stop() and setPaused(paused). An image stays, all others move.

import { detect } from "./api.js";
import { openLine } from "./line.js";

const FRAME_QUALITY = 0.85;
const LONGEST_SIDE = 1280;
const LOOK_AGAIN_MS = 40;

// One of the server's sources: notes and JPEGs over a WebSocket.
export function serverSource({ id, model, again, show, state }) {
  let stopped = false;
  let paused = false;
  // The connections that a frame came from which was not drawn, each time.
  let owed = [];
  let failure;

  const line = openLine("/v1/live", { source: id, model }, {
    opening() {
      state("wait", "Connecting…");
      owed = [];
      failure = undefined;
    },
    received: (data, from) =>
      (typeof data === "string" ? onStatus(JSON.parse(data)) : onFrame(data, from)),
    opened() {},
    lost: (reason, seconds) => state("bad", `${failure ?? reason}; trying again in ${seconds} s`),
    again,
  });

  function answer(from) {
    if (from.readyState === WebSocket.OPEN) from.send("drawn");
  }

  function onStatus(status) {
    if (status.state === "playing") {
      line.expect();
      state("live", "Live");
    }
    if (status.state === "opening") state("wait", "Opening the source…");
    if (status.state === "lost") {
      state("bad", `${status.reason}; trying again in ${status.retry_seconds} s`);
    }
    // The server closes the connection after that.
    if (status.state === "failed") failure = status.reason;
  }

  async function onFrame(data, from) {
    line.works();
    if (!paused) line.expect();
    const arrived = performance.now();
    const length = new DataView(data).getUint32(0, true);
    const note = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
    const image = new Blob([new Uint8Array(data, 4 + length)], { type: "image/jpeg" });
    const bitmap = await createImageBitmap(image);
    if (stopped) return bitmap.close();
    const { wait, detect, encode } = note.milliseconds;
    const draw = show({
      image,
      bitmap,
      width: note.width,
      height: note.height,
      detections: note.detections,
      skipped: note.skipped,
      connection: from.connection,
      stages: { wait, detect, encode, draw: performance.now() - arrived },
      delay: wait + detect + encode + performance.now() - arrived,
    });
    await draw;
    if (paused) owed.push(from);
    else answer(from);
  }

  return {
    setPaused(value) {
      paused = value;
      if (paused) return line.expectNothing();
      if (owed.length) line.expect();
      owed.splice(0).forEach(answer);
    },
    stop() {
      stopped = true;
      line.end();
    },
  };
}

// A playing <video> in the page, of the camera or a file: its frames go to the
// server one by one, the next when the answer to the last has come.
function videoSource({ video, model, again, show, state, onStop, isLive }) {
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d");
  let stopped = false;
  let paused = false;
  let timer;
  let sent;
  let seen = 0;

  const line = openLine("/v1/camera", { model }, {
    opening() {},
    opened() {
      line.works();
      state("live", isLive ? "Live" : "Playing");
      sendSoon();
    },
    received: (data) => onAnswer(JSON.parse(data)),
    lost(reason, seconds) {
      sent = undefined;
      state("bad", `${reason}; trying again in ${seconds} s`);
    },
    again,
  });

  // Frames that the video has had so far: it moves when there are more.
  const frames = () => video.getVideoPlaybackQuality().totalVideoFrames;

  // Waits for a frame that is newer than the last one sent.
  function sendSoon() {
    if (stopped || paused || sent) return;
    // A page that nobody sees is not called for a frame.
    if (video.requestVideoFrameCallback && !document.hidden) {
      video.requestVideoFrameCallback(() => void sendFrame());
    } else {
      timer = setTimeout(() => (frames() > seen ? sendFrame() : sendSoon()), LOOK_AGAIN_MS);
    }
  }

  async function sendFrame() {
    if (stopped || paused || sent || !line.isOpen) return;
    if (!video.videoWidth) return sendSoon();
    const start = performance.now();
    const scale = Math.min(1, LONGEST_SIDE / Math.max(video.videoWidth, video.videoHeight));
    canvas.width = Math.round(video.videoWidth * scale);
    canvas.height = Math.round(video.videoHeight * scale);
    context.drawImage(video, 0, 0, canvas.width, canvas.height);
    seen = frames();
    sent = { start };
    const [image, bitmap] = await Promise.all([
      new Promise((done) => canvas.toBlob(done, "image/jpeg", FRAME_QUALITY)),
      createImageBitmap(canvas),
    ]);
    if (stopped || !image || !line.isOpen) {
      bitmap.close();
      sent = undefined;
      return;
    }
    sent = { start, image, bitmap, encoded: performance.now() };
    line.socket.send(image);
    line.expect();
  }

  function onAnswer(answer) {
    const frame = sent;
    sent = undefined;
    if (!frame || stopped) return;
    if (answer.error) {
      frame.bitmap.close();
      state("wait", answer.error);
      timer = setTimeout(sendSoon, 500);
      return;
    }
    state("live", isLive ? "Live" : "Playing");
    const { wait, decode, detect } = answer.milliseconds;
    const now = performance.now();
    const travel = Math.max(0, now - frame.encoded - wait - decode - detect);
    show({
      image: frame.image,
      bitmap: frame.bitmap,
      width: answer.width,
      height: answer.height,
      detections: answer.detections,
      connection: line.socket.connection,
      stages: { encode: frame.encoded - frame.start, travel, wait, decode, detect },
      delay: now - frame.start,
    });
    sendSoon();
  }

  document.addEventListener("visibilitychange", sendSoon);
  return {
    setPaused(value) {
      paused = value;
      if (!isLive) value ? video.pause() : void video.play();
      if (!paused) sendSoon();
    },
    stop() {
      stopped = true;
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", sendSoon);
      line.end();
      video.pause();
      onStop();
    },
  };
}

// The browser's own camera.
export async function cameraSource(options) {
  if (!navigator.mediaDevices?.getUserMedia) {
    throw new Error("The browser gives its camera only to pages of localhost or https.");
  }
  options.state("wait", "Waiting for the camera…");
  const stream = await navigator.mediaDevices.getUserMedia({
    video: { facingMode: "environment", width: { ideal: LONGEST_SIDE } },
  });
  const video = document.createElement("video");
  video.playsInline = true;
  video.muted = true;
  video.srcObject = stream;
  await video.play();
  stream.getTracks()[0].addEventListener("ended", () => options.state("bad", "The camera has stopped"));
  const onStop = () => stream.getTracks().forEach((track) => track.stop());
  return videoSource({ ...options, video, onStop, isLive: true });
}

// A video file that was dropped or opened. At its end it begins again, unless
// `ended()` says that another file follows.
export async function videoFileSource({ file, ended, ...options }) {
  const address = URL.createObjectURL(file);
  const video = document.createElement("video");
  video.playsInline = true;
  video.muted = true;
  video.src = address;
  try {
    await video.play();
  } catch {
    URL.revokeObjectURL(address);
    throw new Error(`${file.name}: the browser can’t play this video.`);
  }
  video.addEventListener("ended", () => {
    if (!ended()) void video.play();
  });
  const onStop = () => URL.revokeObjectURL(address);
  return videoSource({ ...options, video, onStop, isLive: false });
}

// An image file that was dropped or opened.
export async function imageSource({ file, model, show, state }) {
  state("wait", "Detecting…");
  const start = performance.now();
  const answer = await detect(model, file);
  const bitmap = await createImageBitmap(file);
  const { wait, decode, detect: detected } = answer.milliseconds;
  const delay = performance.now() - start;
  await show({
    image: file,
    bitmap,
    width: answer.width,
    height: answer.height,
    detections: answer.detections,
    stages: { travel: Math.max(0, delay - wait - decode - detected), wait, decode, detect: detected },
    delay,
  });
  state("idle", file.name);
  return { setPaused() {}, stop() {} };
}
