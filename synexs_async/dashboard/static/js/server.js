/* What the server is asked, by addresses relative to the page: it may be mounted anywhere. */

export class Refused extends Error {}  // asking again leads nowhere
export class Unreachable extends Error {}  // it passes

const SILENCE = 40_000;  // milliseconds; a stream that has nothing to tell says so every 15 seconds

/* A whole number that JavaScript can't hold: reckoned with as near as may be, written as it came. */
class Exact extends Number {
  #digits;

  constructor(digits) {
    super(digits);
    this.#digits = digits;
  }

  toString() { return this.#digits; }

  toJSON() { return JSON.rawJSON(this.#digits); }
}

/* Browsers that don't show the source of a number (Firefox before 135, Safari before 18.4) round it. */
const parse = (text) => JSON.parse(text, (_, value, context) =>
  (typeof value === "number" && Math.abs(value) > Number.MAX_SAFE_INTEGER && /^-?\d+$/.test(context?.source) ? new Exact(context.source) : value));

export async function ask(path, parameters, signal) {
  const query = new URLSearchParams(Object.entries(parameters).filter(([, value]) => value !== "" && value !== null && value !== undefined));
  let response;
  let text;
  try {
    response = await fetch(`${path}${query.size ? `?${query}` : ""}`, { signal, headers: { Accept: "application/json" } });
    text = await response.text();
  } catch {
    throw new Unreachable("The server does not answer");
  }
  if (response.ok) return parse(text);
  let problem = text.trim();
  try { problem = JSON.parse(text).error; } catch { /* it is told as plain text */ }
  throw new (response.status < 500 ? Refused : Unreachable)(problem || `The server answers ${response.status}`);
}

/* Wait, and for as long as nobody sees the page. */
export async function pause(milliseconds) {
  do await new Promise((resolve) => setTimeout(resolve, milliseconds)); while (document.hidden);
}

/* One question at a time: what changes meanwhile is asked for once, afterwards; what failed, after a pause;
   what was refused, when it changes. */
export function asking(question, onAnswer, onFailure, signal) {
  let isBusy = false;
  let isStale = false;
  return async () => {
    isStale = true;
    if (isBusy) return;
    isBusy = true;
    try {
      while (isStale && !signal.aborted) {
        isStale = false;
        let failure = null;
        const answer = await question().catch((error) => { failure = error; });
        if (answer) onAnswer(answer);
        else {
          if (!signal.aborted) onFailure(failure);
          if (failure instanceof Refused) continue;
          isStale = true;
          await pause(5000);
        }
      }
    } finally {
      isBusy = false;
    }
  };
}

export const runPath = (id) => `api/runs/${encodeURIComponent(id)}`;

const link = document.getElementById("link");
const linkText = document.getElementById("link-text");

export function showLink(state, text) {
  link.dataset.state = state;
  if (linkText.textContent !== text) linkText.textContent = text;
}

/* Listen to an event stream until `signal` ends it. A page that nobody sees lets go of its stream:
   browsers allow only six connections to a server, over all tabs. */
export function listen(path, event, onState, signal) {
  const events = path === "api/runs" ? "api/events" : `${path}/events`;
  let source = null;
  let timer = 0;
  const later = (what, milliseconds) => {
    clearTimeout(timer);
    timer = setTimeout(what, milliseconds);
  };
  const close = () => {
    clearTimeout(timer);
    source?.close();
    source = null;
  };
  const heard = () => {
    showLink("live", "Live");
    later(lost, SILENCE);
  };
  const lost = () => {
    showLink("lost", "Reconnecting…");
    close();
    later(knock, 1500);
  };
  const open = () => {
    close();
    if (signal.aborted || document.hidden) return;
    source = new EventSource(events);
    source.addEventListener(event, (message) => {
      heard();
      onState(parse(message.data));
    });
    source.addEventListener("alive", heard);
    source.onopen = heard;
    source.onerror = lost;  // a peer that vanished raises none: hence the sign of life
  };
  /* Why a stream was refused is not told to a page, so it is asked for its head first. */
  const knock = async () => {
    const status = await fetch(events, { method: "HEAD", signal: AbortSignal.timeout(10_000) }).then((response) => response.status, () => 0);
    if (status === 200) { open(); return; }
    if (signal.aborted || document.hidden) return;
    showLink("lost", { 401: "The token is needed", 404: "The run is gone", 503: "Too many pages are open" }[status] ?? "Reconnecting…");
    later(knock, status ? 5000 : 1500);
  };
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()), { signal });
  signal.addEventListener("abort", close);
  open();
}
