// The newest events, and their text as CSV.

export const MOST_EVENTS = 500;

const COLUMNS = ["time", "source", "model", "event", "where", "class", "score", "track", "x1", "y1", "x2", "y2"];

export function createLog(most = MOST_EVENTS) {
  let entries = [];
  let total = 0;
  return {
    // The newest first.
    entries: () => entries,
    // How many there were since the log was cleared.
    total: () => total,
    add(entry) {
      total += 1;
      entries = [entry, ...entries.slice(0, most - 1)];
    },
    clear() {
      entries = [];
      total = 0;
    },
  };
}

// A field as RFC 4180 has it. A text that a spreadsheet would take for a formula gets an
// apostrophe before it.
function field(value) {
  if (typeof value === "number") return String(value);
  const text = String(value ?? "");
  const harmless = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
}

// A heading and a line an event, the oldest first. Times are UTC by ISO 8601.
export function csvFrom(entries) {
  const lines = [...entries].reverse().map((entry) => [
    entry.time.toISOString(),
    entry.source,
    entry.model,
    entry.event,
    entry.where,
    entry.class,
    Number(entry.score.toFixed(3)),
    entry.track,
    ...entry.box.map((side) => Number(side.toFixed(1))),
  ]);
  return [COLUMNS, ...lines].map((line) => `${line.map(field).join(",")}\r\n`).join("");
}
