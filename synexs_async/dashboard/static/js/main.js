/* Which page is shown: the address's part behind "#" says it, so that the server may be mounted anywhere. */

import { h } from "./dom.js";
import { Refused, showLink } from "./server.js";
import { missionPage } from "./mission-page.js";
import { runPage } from "./run-page.js";
import { runsPage } from "./runs-page.js";

const main = document.getElementById("main");
let leaving = new AbortController();
let shown = null;

function pageOf(parts, query) {
  if (parts[0] === "run" && parts[2] === "mission") return [missionPage, parts[1], parts[3]];
  if (parts[0] === "run" && parts[1]) return [runPage, parts[1], query];
  return [runsPage];
}

async function show() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  if (path === shown) return;
  const isFirst = shown === null;
  shown = path;
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  const [page, ...parameters] = pageOf(path.split("/").map(decodeURIComponent), new URLSearchParams(query));
  let content;
  try {
    content = await page(signal, ...parameters);
  } catch (error) {
    if (signal.aborted) return;
    content = failurePage(error);
    if (error instanceof Refused) showLink("live", "Connected");
    if (!(error instanceof Refused)) {
      showLink("lost", "No connection");
      const again = setTimeout(() => { shown = null; show(); }, 2000);
      signal.addEventListener("abort", () => clearTimeout(again));
    }
  }
  if (signal.aborted) return;
  main.replaceChildren(...content);
  const heading = main.querySelector("h1");
  heading.tabIndex = -1;
  document.title = `${heading.textContent} · synexs`;
  if (!isFirst) {
    scrollTo(0, 0);
    heading.focus({ preventScroll: true });
  }
  dispatchEvent(new Event("pageshown"));
}

function failurePage(error) {
  const isRefused = error instanceof Refused;
  return [
    h("div", { class: "head" }, h("h1", null, isRefused ? "Not here" : "The server does not answer")),
    h("p", { class: "notice", data: { tone: "failure" } }, isRefused ? error.message : "It is asked again until it does."),
    h("p", null, h("a", { href: "#/" }, "All runs")),
  ];
}

/* The token has become a cookie; it need not stay in the address. */
const address = new URL(location.href);
if (address.searchParams.has("token")) {
  address.searchParams.delete("token");
  history.replaceState(null, "", address);
}
addEventListener("hashchange", show);
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();  // the part behind "#" is the page's name
  main.focus();
});
show();
