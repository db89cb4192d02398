// A WebSocket that is opened again when it closes, or when what was expected over
// it has not come for so long that it must be dead.

import { socketTo } from "./api.js";

const RECONNECT_MS = [500, 1000, 2000, 4000, 8000];
// The server answers within 30 s, if only to say that it can't.
const SILENCE_MS = 35_000;

// `opening()` and `opened()` are called for each connection, `received(data, socket)`
// for each message, `lost(reason, seconds)` when it is opened again in that time, and
// `again()` before that, which may end it.
export function openLine(path, parameters, { opening, opened, received, lost, again }) {
  let socket;
  let tries = 0;
  let hasEnded = false;
  let timer;
  let silence;

  // A dead connection takes long to agree to its end: nobody waits for that.
  function drop() {
    clearTimeout(timer);
    clearTimeout(silence);
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  function connect() {
    opening();
    socket = socketTo(path, parameters);
    const from = socket;
    socket.onopen = opened;
    socket.onmessage = ({ data }) => {
      clearTimeout(silence);
      received(data, from);
    };
    socket.onclose = () => connectAgain("Connection lost");
  }

  function connectAgain(reason) {
    drop();
    const pause = RECONNECT_MS[Math.min(tries++, RECONNECT_MS.length - 1)];
    timer = setTimeout(reconnect, pause);
    lost(reason, pause / 1000);
  }

  async function reconnect() {
    await again();
    if (!hasEnded) connect();
  }

  connect();
  return {
    get socket() { return socket; },
    get isOpen() { return socket.readyState === WebSocket.OPEN; },
    // It does what it should: after a loss the next try comes soon.
    works() { tries = 0; },
    // The server owes a message.
    expect() {
      clearTimeout(silence);
      silence = setTimeout(connectAgain, SILENCE_MS, "The server says nothing");
    },
    expectNothing() { clearTimeout(silence); },
    end() {
      hasEnded = true;
      drop();
    },
  };
}
