// Values as texts and as places on a bar, without any element of the page.

const LONGEST_TEXT = 300;
const LONGEST_AMOUNT = 60;
const DEEPEST_INDENT = 40;

export function cut(text, most = LONGEST_TEXT) {
  return text.length > most ? `${text.slice(0, most)}…` : text;
}

export function grouped(number) {
  const digits = String(number);
  if (digits.length > LONGEST_AMOUNT) return `${grouped(digits.slice(0, 9))}… (${grouped(digits.length)} digits)`;
  return digits.replace(/\B(?=(\d{3})+$)/g, ",");
}

export function duration(seconds) {
  let left = Math.round(seconds);
  const parts = [[86_400, "d"], [3600, "h"], [60, "min"], [1, "s"]].map(([size, unit]) => {
    const number = Math.floor(left / size);
    left -= number * size;
    return number ? `${grouped(number)} ${unit}` : "";
  });
  return parts.filter(Boolean).join(" ") || "0 s";
}

export function moment(iso) {
  return `${iso.slice(0, 10)} ${iso.slice(11, 19)} UTC`;
}

// Lays out compact JSON as text. JSON.parse would round long integers.
export function indented(json) {
  let depth = 0;
  const newLine = () => `\n${"  ".repeat(Math.min(depth, DEEPEST_INDENT))}`;
  return json.replace(/"(?:[^"\\]|\\.)*"|\[\]|\{\}|[[\]{},:]/g, (part) => {
    if (part === ",") return part + newLine();
    if (part === ":") return ": ";
    if (part === "[" || part === "{") {
      depth += 1;
      return part + newLine();
    }
    if (part === "]" || part === "}") {
      depth -= 1;
      return newLine() + part;
    }
    return part;
  });
}

// A command for a POSIX shell that sends a body of JSON.
export function curl(token, url, body) {
  const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
  const lines = [
    `curl -H ${quoted(`Authorization: Bearer ${token}`)}`,
    "-H 'Content-Type: application/json'",
    `-d ${quoted(JSON.stringify(body))}`,
    url,
  ];
  return lines.join(" \\\n  ");
}

// How a meter is drawn: places from 0 to 100 on a bar that reaches to the largest of its amounts.
export function drawn(meter) {
  const [total, used] = [BigInt(meter.totalCredits), BigInt(meter.usedCredits)];
  const cap = meter.spendCap === null ? null : BigInt(meter.spendCap);
  const whole = [total, used, cap ?? 0n, 1n].reduce((a, b) => (a > b ? a : b));
  const place = (amount) => Number((amount * 10_000n) / whole) / 100;
  const limit = meter.allowOverages ? cap : total;
  const isOver = used > total;
  return {
    used: place(isOver ? total : used),
    over: isOver ? place(used) - place(total) : 0,
    total: total > 0n && total < whole ? place(total) : null,
    cap: cap === null ? null : place(cap),
    reached: place(used),
    left: isOver ? `${grouped(used - total)} over` : `${grouped(total - used)} left`,
    isOver,
    isUsedUp: limit !== null && used >= limit,
  };
}

export function limits({ spendCap, allowOverages }) {
  const cap = spendCap === null ? "" : grouped(spendCap);
  if (allowOverages) return cap ? `overages up to ${cap}` : "overages without a cap";
  return cap && `no overages, cap ${cap}`;
}

export function scopeText(scope) {
  const rights = { create: scope.create, read: scope.read, update: scope.update, delete: scope.del };
  const granted = Object.keys(rights).filter((name) => rights[name]);
  return `${cut(scope.representation, 40)}: ${granted.join(", ") || "nothing"}`;
}

export function expiryText(seconds) {
  if (seconds === null) return "no expiry";
  const date = new Date(seconds * 1000);
  return Number.isNaN(date.getTime()) ? `expires at ${seconds}` : `expires ${moment(date.toISOString())}`;
}

export function orderText({ faults, operation, rate, seed, times }) {
  const names = faults.slice(0, 3).join(", then ") + (faults.length > 3 ? " …" : "");
  const calls = operation ?? "any operation";
  const taken = rate === null ? calls : `${Number((rate * 100).toPrecision(6))} % of ${calls}`;
  const often = times === null ? "" : rate === null ? `next ${grouped(times)}` : `at most ${grouped(times)}`;
  return [names, taken, often, seed === null ? "" : `seed ${seed}`].filter(Boolean).join(" · ");
}
