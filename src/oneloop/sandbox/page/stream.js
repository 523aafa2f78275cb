// The connection with the sandbox: its controls, and the stream of what changes.

const SHORTEST_WAIT = 250;
const LONGEST_WAIT = 5000;
// The sandbox sends something at least every 15 seconds; otherwise the connection is dead.
const LONGEST_SILENCE = 40_000;

// The sandbox does not accept the token.
export class Refused extends Error {}

// EventSource cannot send a token, so that the stream is fetched as any other control.
export function control(token, method, path, body, signal) {
  const headers = { Authorization: `Bearer ${token}` };
  if (body) headers["Content-Type"] = "application/json";
  return fetch(`/_sandbox/${path}`, { method, headers, body: body && JSON.stringify(body), signal, cache: "no-store" });
}

export async function reason(answer) {
  const { error } = await answer.json().catch(() => ({}));
  return error?.message ?? `the sandbox answered ${answer.status}`;
}

// Parses server-sent events as HTML defines them. Returns a function that takes the text piece by piece.
export function eventParser(receive) {
  let [rest, type, data, afterReturn] = ["", "", [], false];
  const takeLine = (line) => {
    if (line === "") {
      if (data.length) receive(type || "message", data.join("\n"));
      [type, data] = ["", []];
      return;
    }
    const [, name, value] = /^([^:]*)(?:: ?)?([^]*)$/.exec(line);
    if (name === "event") type = value;
    if (name === "data") data.push(value);
  };
  return (text) => {
    if (text === "") return;
    const lines = (afterReturn && text.startsWith("\n") ? text.slice(1) : text).split(/\r\n|\r|\n/);
    afterReturn = text.endsWith("\r");
    lines[0] = rest + lines[0];
    rest = lines.pop();
    lines.forEach(takeLine);
  };
}

// Reads one stream until it breaks off.
async function read(token, opened, receive) {
  const controller = new AbortController();
  let silence;
  const heard = () => {
    clearTimeout(silence);
    silence = setTimeout(() => controller.abort(), LONGEST_SILENCE);
  };
  heard();
  try {
    const answer = await control(token, "GET", "events", null, controller.signal);
    if (answer.status === 401 || answer.status === 403) throw new Refused(await reason(answer));
    if (!answer.ok) throw new Error(await reason(answer));
    opened();
    const take = eventParser(receive);
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      heard();
      take(part.value);
    }
  } finally {
    clearTimeout(silence);
    controller.abort();
  }
}

// Reads the stream, and reads it again whenever it has broken off. Ends only by throwing Refused.
export async function follow(token, { opened, receive, lost }) {
  let wait = 0;
  const begun = () => {
    wait = 0;
    opened();
  };
  for (;;) {
    try {
      await read(token, begun, receive);
    } catch (error) {
      if (error instanceof Refused) throw error;
    }
    lost();
    await new Promise((resolve) => setTimeout(resolve, wait));
    wait = Math.min(LONGEST_WAIT, wait * 2 || SHORTEST_WAIT);
  }
}
