/* Light or dark, before the page is painted: the system's choice until one is made here. */
(() => {
  const key = "synexs-theme";
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const root = document.documentElement;
  let theme = null;
  try { theme = localStorage.getItem(key); } catch { /* it is kept as long as the page is */ }
  const apply = () => {
    if (theme) root.dataset.theme = theme; else delete root.dataset.theme;
    document.getElementById("theme")?.setAttribute("aria-pressed", String((theme ?? (dark.matches ? "dark" : "light")) === "dark"));
    dispatchEvent(new Event("themechange"));
  };
  apply();
  dark.addEventListener("change", apply);
  addEventListener("DOMContentLoaded", () => {
    apply();
    document.getElementById("theme").addEventListener("click", (event) => {
      theme = event.currentTarget.getAttribute("aria-pressed") === "true" ? "light" : "dark";
      try { localStorage.setItem(key, theme); } catch { /* as above */ }
      apply();
    });
  });
})();
