// The page of the sandbox. Everything that it shows was sent by somebody, so it is only ever set as text.

import { Refused, control, follow, reason } from "./stream.js";
import { curl, cut, drawn, duration, expiryText, grouped, indented, limits, moment, orderText, scopeText } from "./texts.js";

const SHOWN_REQUESTS = 200;
const SHOWN_ORDERS = 50;
const SHOWN_SCOPES = 8;
const MESSAGE_SECONDS = 8;

const page = {
  token: "",
  requests: new Map(), // by number: the last ones that the sandbox has reported
  count: 0, // of all requests since the last reset
  seen: 0, // the same when the page was paused
  isPaused: false,
  isNew: false, // whether the connection is new, so that what it reports replaces what there is
  clock: null, // when the sandbox last said what time it is
  timer: null, // removes the message
};

const $ = (id) => document.getElementById(id);

// ---- Elements

function made(template) {
  return $(template).content.firstElementChild.cloneNode(true);
}

// Leaves an equal text alone, so that a selection in it survives.
function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function fill(element, texts) {
  for (const [field, text] of Object.entries(texts)) {
    const target = element.querySelector(`[data-field="${field}"]`);
    write(target, cut(text));
    if (target.matches(".cut")) target.title = cut(text, 2000);
  }
}

// Returns a function that gives a list one row for each item. Rows that stay in order are not moved, so that they keep
// the focus, the selection, and whether they are open.
function rowsOf(list, template, keyOf, update) {
  let rows = new Map();
  return (items) => {
    const before = rows;
    rows = new Map(items.map((item) => [keyOf(item), before.get(keyOf(item)) ?? made(template)]));
    for (const [key, row] of before) if (!rows.has(key)) row.remove();
    let next = list.firstElementChild;
    for (const item of items) {
      const row = rows.get(keyOf(item));
      if (row === next) next = next.nextElementSibling;
      else list.insertBefore(row, next);
      update(row, item);
    }
  };
}

function say(text, isError = false) {
  $("message").textContent = cut(text, 1000);
  $("message").classList.toggle("error", isError);
  clearTimeout(page.timer);
  if (!isError) page.timer = setTimeout(() => write($("message"), ""), MESSAGE_SECONDS * 1000);
}

function showCount(element, shown, all, what) {
  write(element, shown < all ? `${grouped(all)} · the ${shown} that ${what} last` : grouped(all));
}

// ---- Meters and keys

function put(element, place, width) {
  element.hidden = place === null;
  element.style.left = `${place ?? 0}%`;
  if (width !== undefined) element.style.width = `${width}%`;
}

function updateMeter(row, meter) {
  const at = drawn(meter);
  const used = `${grouped(meter.usedCredits)} of ${grouped(meter.totalCredits)} used`;
  fill(row, {
    meter: meter.externalMeterId || "(no name)",
    workspace: meter.workspaceId || "(no name)",
    state: at.isUsedUp ? "used up" : "",
    left: at.left,
    used,
    limit: limits(meter),
  });
  row.classList.toggle("is-over", at.isOver);
  const bar = row.querySelector(".bar");
  bar.ariaLabel = cut(meter.externalMeterId);
  bar.ariaValueNow = String(at.reached);
  bar.ariaValueText = used;
  put(bar.querySelector(".used"), 0, at.used);
  put(bar.querySelector(".over"), at.used, at.over);
  put(bar.querySelector(".total"), at.total);
  put(bar.querySelector(".cap"), at.cap);
}

function updateKey(row, key) {
  fill(row, {
    name: key.name || "(no name)",
    masked: key.maskedKey,
    status: key.status.toLowerCase(),
    expires: expiryText(key.expiresAt),
    customer: key.customerId || "no customer",
    meter: key.externalMeterId === null ? "no meter" : `meter ${key.externalMeterId}`,
    used: key.lastUsedAt === null ? "never" : moment(key.lastUsedAt),
  });
  const scopes = key.scopes.slice(0, SHOWN_SCOPES).map(scopeText);
  if (key.scopes.length > SHOWN_SCOPES) scopes.push(`and ${key.scopes.length - SHOWN_SCOPES} more`);
  write(row.querySelector(".scopes"), scopes.join("\n") || "no scopes");
  row.querySelector(".tag").dataset.status = key.status;
}

const meterKey = (meter) => JSON.stringify([meter.workspaceId, meter.externalMeterId]);
const showMeters = rowsOf($("meters"), "meter", meterKey, updateMeter);
const showKeys = rowsOf($("keys"), "key", (key) => key.id, updateKey);

// ---- Requests

function effect({ applied, pending }) {
  return pending ? "pending" : applied ? "applied" : "no change";
}

function updateRequest(row, request) {
  const { status } = request;
  fill(row, {
    time: request.time.slice(11, 19),
    method: request.method,
    operation: request.operation ?? "",
    path: request.path,
    fault: request.fault ?? "",
    effect: effect(request),
    status: status === null ? "no answer" : String(status),
  });
  row.querySelector("time").dateTime = request.time;
  row.querySelector(".effect").classList.toggle("applied", request.applied);
  row.querySelector(".status").dataset.kind = status === null ? "none" : String(status)[0];
  row.querySelector("details").ontoggle = () => showDetail(row, request);
}

function showDetail(row, request) {
  if (row.querySelector("dt")) return;
  const notKept = "Not kept, because it is not JSON or has more than 16,384 characters.";
  const body = request.body === null ? notKept : indented(request.body) || "There was no body.";
  const show = (field, text) => write(row.querySelector(`[data-field="${field}"]`), cut(text, 100_000));
  show("target", `${request.method} ${request.path}`);
  show("received", `Request ${grouped(request.number)}, received ${moment(request.time)}`);
  show("body", body);
  for (const [name, value] of Object.entries(request.headers)) {
    const [term, description] = [document.createElement("dt"), document.createElement("dd")];
    term.textContent = name;
    description.textContent = cut(value, 4000);
    row.querySelector("dl").append(term, description);
  }
}

const requestKey = ({ number, time }) => `${number} ${time}`;
const showRequestRows = rowsOf($("requests"), "request", requestKey, updateRequest);

function matches(request, wanted) {
  const { method, path, operation, status, fault, body } = request;
  const texts = [method, path, operation, status ?? "no answer", fault, body, effect(request)];
  return texts.some((text) => String(text ?? "").toLowerCase().includes(wanted));
}

function showRequests() {
  $("pause").ariaPressed = String(page.isPaused);
  write($("pause"), page.isPaused ? `Go on (${grouped(Math.max(0, page.count - page.seen))} new)` : "Pause");
  if (page.isPaused) return;
  const all = Array.from(page.requests.values()).sort((a, b) => b.number - a.number);
  const wanted = $("filter").value.trim().toLowerCase();
  const found = all.filter((request) => matches(request, wanted));
  showRequestRows(found);
  $("requests").parentElement.hidden = found.length === 0;
  $("no-requests").hidden = all.length > 0;
  $("no-matches").hidden = all.length === 0 || found.length > 0;
  if (wanted) write($("request-count"), `${found.length} of ${all.length} match`);
  else showCount($("request-count"), all.length, page.count, "came");
}

function pause() {
  page.isPaused = !page.isPaused;
  page.seen = page.count;
  showRequests();
}

// ---- Faults

function showFaults({ faults, late }) {
  const lines = faults.slice(0, SHOWN_ORDERS).map(orderText);
  if (faults.length > SHOWN_ORDERS) lines.push(`and ${grouped(faults.length - SHOWN_ORDERS)} more`);
  const list = $("queue");
  while (list.childElementCount > lines.length) list.lastElementChild.remove();
  while (list.childElementCount < lines.length) list.append(document.createElement("li"));
  lines.forEach((line, index) => write(list.children[index], line));
  write($("queue-state"), lines.length ? "Queued, the next one first:" : "No fault is queued. Click one to queue it.");
  const calls = late === 1 ? "1 call is" : `${grouped(late)} calls are`;
  write($("late-state"), late ? `${calls} still to happen.` : "No late call is waiting.");
  // Only looks disabled: a button that is disabled when it was pressed loses the focus.
  $("clear").classList.toggle("idle", lines.length === 0);
  $("apply-late").classList.toggle("idle", late === 0);
}

function faultButton({ name, what, parameters }) {
  const row = made("fault");
  fill(row, { name });
  what.split("`").forEach((part, index) => {
    const element = document.createElement(index % 2 ? "code" : "span");
    element.textContent = part;
    row.querySelector('[data-field="what"]').append(element);
  });
  row.querySelector("button").onclick = () => queue(name, parameters.includes("seconds"));
  return row;
}

function faultGroup(title, faults) {
  const [heading, list] = [document.createElement("h3"), document.createElement("ul")];
  heading.textContent = title;
  list.append(...faults.map(faultButton));
  return [heading, list];
}

function buildFaults({ names, operations }) {
  $("faults").replaceChildren(
    ...faultGroup("The call is carried out late", names.filter((one) => one.late)),
    ...faultGroup("The call is carried out", names.filter((one) => one.applies)),
    ...faultGroup("The call is not carried out", names.filter((one) => !one.applies && !one.late)),
  );
  $("operation").append(...operations.map((name) => new Option(`calls of ${name}`, name)));
}

function isRandom() {
  return document.querySelector('input[name="mode"]:checked').value === "rate";
}

function chooseMode() {
  $("times").disabled = isRandom();
  $("rate").disabled = $("seed").disabled = !isRandom();
}

async function queue(fault, takesSeconds = false) {
  if (!$("fault-form").reportValidity()) return;
  const order = { fault };
  const operation = $("operation").value;
  if (operation) order.operation = operation;
  if (!isRandom()) order.times = Number($("times").value);
  else order.rate = Number($("rate").value) / 100;
  if (isRandom() && $("seed").value) order.seed = Number($("seed").value);
  if (takesSeconds && $("delay").value) order.seconds = Number($("delay").value);
  if (await ask("POST", "misbehave", order)) say(`Queued ${fault} for ${operation || "any operation"}.`);
}

// ---- Clock

function showClock({ now, ahead }) {
  const time = Date.parse(now);
  // A clock that a test has stopped must not seem to run.
  const runs = Math.abs(time - ahead * 1000 - Date.now()) < 120_000;
  page.clock = { time, runs, heard: performance.now() };
  write($("ahead"), ahead ? `moved ahead by ${duration(ahead)}` : "not moved");
  tick();
}

function tick() {
  if (!page.clock) return;
  const { time, runs, heard } = page.clock;
  const iso = new Date(time + (runs ? performance.now() - heard : 0)).toISOString();
  write($("now"), moment(iso));
  $("now").dateTime = iso;
}

async function advance(seconds) {
  if (await ask("POST", "advance", { seconds })) say(`The clock was moved by ${duration(seconds)}.`);
}

// ---- What the sandbox reports

const receivers = {
  overview(overview) {
    const { meters, meterCount, keys, keyCount, requestCount } = overview;
    // By now, another sandbox may serve here. If it has no requests, it reports none.
    if (page.isNew && requestCount === 0) page.requests.clear();
    page.count = requestCount;
    showMeters(meters);
    showCount($("meter-count"), meters.length, meterCount, "changed");
    $("meters").parentElement.hidden = meterCount === 0;
    $("no-meters").hidden = meterCount > 0;
    showKeys(keys);
    showCount($("key-count"), keys.length, keyCount, "changed");
    $("key-table").hidden = keyCount === 0;
    $("no-keys").hidden = keyCount > 0;
    showFaults(overview);
    showClock(overview);
    showRequests();
  },
  requests({ requests }) {
    if (page.isNew) page.requests.clear();
    page.isNew = false;
    for (const request of requests) page.requests.set(request.number, request);
    const numbers = Array.from(page.requests.keys());
    for (const number of numbers.slice(0, -SHOWN_REQUESTS)) page.requests.delete(number);
    showRequests();
  },
  reset() {
    page.requests.clear();
  },
};

function receive(type, data) {
  try {
    receivers[type]?.(JSON.parse(data));
  } catch (error) {
    reportError(error); // a mistake of this page, and no reason to connect again
  }
}

// ---- The connection

// Returns what a control answered, or null after a failure, which is shown.
async function ask(method, path, body) {
  try {
    const answer = await control(page.token, method, path, body);
    if (answer.ok) return await answer.json();
    say(await reason(answer), true);
  } catch {
    say("The sandbox cannot be reached.", true);
  }
  return null;
}

function showConnection(state, text) {
  $("connection").dataset.state = state;
  write($("connection"), text);
  if (state === "lost") return;
  const isOpen = state === "open";
  // The field for the token is about to be hidden, and the focus with it.
  if (isOpen && !$("entry").hidden) $("content").focus();
  $("panels").hidden = $("parts").hidden = $("reset").hidden = !isOpen;
  $("entry").hidden = isOpen;
}

async function opened() {
  page.isNew = true;
  showConnection("open", "Connected");
  showCommands();
  const answer = await ask("GET", "misbehave");
  if (answer && !$("faults").childElementCount) buildFaults(answer.known);
}

function showCommands() {
  const names = { workspaceId: "ws_1", externalMeterId: "acme" };
  const scope = { representation: "files", create: false, read: true, update: false, del: false };
  const key = { name: "first", workspaceId: "ws_1", customerId: "carol", enabled: true, scopes: [scope] };
  const show = (id, path, body) => write($(id), curl(page.token, location.origin + path, body));
  show("first-meter", "/_sandbox/meters", { ...names, totalCredits: "1000" });
  show("first-request", "/api/v1/customer-billing/refill", { ...names, refill: 500 });
  show("first-key", "/api/v1/api-key", key);
}

function askToken(text) {
  showConnection("refused", "Not connected");
  write($("refusal"), text);
  $("token").focus();
}

async function connect(token) {
  page.token = token;
  sessionStorage.setItem("token", token);
  // fetch() cannot send other characters in a header.
  if (!/^[!-~]+$/.test(token)) return askToken("A token consists of visible ASCII characters.");
  const lost = () => showConnection("lost", "Connection lost, trying again …");
  try {
    return await follow(token, { opened, receive, lost });
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return askToken(`The sandbox refused the token: ${error.message}.`);
  }
}

// A token in the address goes into the session, so that neither a bookmark nor a picture of the screen shows it.
function takeToken() {
  const given = location.hash.slice(1);
  if (!given || $(given)) return sessionStorage.getItem("token") ?? "sdk_sandbox";
  history.replaceState(null, "", location.pathname + location.search);
  try {
    return decodeURIComponent(given);
  } catch {
    return given;
  }
}

// ---- What people do

async function clear() {
  const answer = await ask("DELETE", "misbehave");
  if (answer) say(`Removed from the queue of faults: ${grouped(answer.cleared)}.`);
}

async function applyLate() {
  const answer = await ask("POST", "apply-late");
  if (answer) say(`Late calls that have happened now: ${grouped(answer.applied)}.`);
}

async function reset() {
  $("reset-dialog").close();
  if (await ask("POST", "reset")) say("Everything was reset.");
}

function onSubmit(form, act) {
  $(form).onsubmit = (event) => {
    event.preventDefault();
    act();
  };
}

function start() {
  write($("address"), location.origin);
  onSubmit("token-form", () => connect($("token").value.trim()));
  onSubmit("fault-form", () => {});
  onSubmit("status-form", () => queue($("status").value));
  onSubmit("clock-form", () => advance(Number($("seconds").value)));
  $("fault-form").onchange = chooseMode;
  $("filter").oninput = showRequests;
  $("pause").onclick = pause;
  $("clear").onclick = clear;
  $("apply-late").onclick = applyLate;
  $("reset").onclick = () => $("reset-dialog").showModal();
  $("reset-no").onclick = () => $("reset-dialog").close();
  $("reset-yes").onclick = reset;
  for (const button of document.querySelectorAll("[data-seconds]")) {
    button.onclick = () => advance(Number(button.dataset.seconds));
  }
  chooseMode();
  setInterval(tick, 1000);
  // Somebody has opened an address with a token where the page was open already.
  window.onhashchange = () => $(location.hash.slice(1)) || location.reload();
  connect(takeToken());
}

start();
