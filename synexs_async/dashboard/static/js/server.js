/* What the server is asked, by addresses relative to the page: it may be mounted anywhere. */

export class Refused extends Error {}

export async function ask(path, parameters = {}, signal) {
  const query = new URLSearchParams(Object.entries(parameters).filter(([, value]) => value !== "" && value !== null && value !== undefined));
  const response = await fetch(`${path}${query.size ? `?${query}` : ""}`, { signal, headers: { Accept: "application/json" } });
  if (response.ok) return response.json();
  const text = await response.text();
  let problem = text.trim();
  try { problem = JSON.parse(text).error; } catch { /* it is told as plain text */ }
  throw new Refused(problem || `the server answers ${response.status}`);
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
  const close = () => {
    clearTimeout(timer);
    source?.close();
    source = null;
  };
  const open = () => {
    close();
    if (signal.aborted || document.hidden) return;
    source = new EventSource(events);
    source.addEventListener(event, (message) => {
      showLink("live", "Live");
      onState(JSON.parse(message.data));
    });
    source.onopen = () => showLink("live", "Live");
    source.onerror = () => {
      showLink("lost", "Reconnecting…");
      close();
      timer = setTimeout(knock, 1500);
    };
  };
  /* Why a stream was refused is not told to a page, so what it stands beside is asked first. */
  const knock = async () => {
    const status = await fetch(path, { method: "HEAD", signal }).then((response) => response.status, () => 0);
    if (status === 200) { open(); return; }
    if (signal.aborted || document.hidden) return;
    showLink("lost", { 401: "The token is needed", 404: "The run is gone" }[status] ?? "Reconnecting…");
    timer = setTimeout(knock, status ? 5000 : 1500);
  };
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()), { signal });
  signal.addEventListener("abort", close);
  open();
}
