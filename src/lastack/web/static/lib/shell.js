// The frame around every page: filter, time, menus, keys, theme, and data that grows.
import { $, ApiError, ask, boot, count, duration, go, h, instant, isoTime, keepLinks, onState, state, withFilter } from "./core.js";

let words = null;
let status = null;

/** Run `load` now, when the address changes, and when the data grows; show what goes wrong. */
export function page(load) {
  const run = async () => {
    const begun = performance.now();
    behind = false;
    $("main").classList.add("loading");
    try {
      await load();
      showProblem(null);
    } catch (error) {
      if (error.name !== "AbortError") showProblem(error);
      else return;
    }
    $("main").classList.remove("loading");
    restUntil = performance.now() + REST * (performance.now() - begun);
    document.documentElement.dataset.ready = String(+(document.documentElement.dataset.ready ?? 0) + 1);
  };
  onState(() => { fill(); run(); });
  start(run);
  run();
}

/** Say what went wrong where it can be mended: at the filter, or above the page. */
export function showProblem(error) {
  const box = $("problem"), mistake = $("filtererror");
  box.hidden = true;
  mistake.hidden = true;
  $("filter").removeAttribute("aria-invalid");
  if (!error) return;
  if (error instanceof ApiError && error.error.parameter === "filter") {
    $("filter").setAttribute("aria-invalid", "true");
    mistake.replaceChildren(error.error.message.replace(/^filter: /, ""));
    if (error.error.text !== undefined) {
      const { text, column, width } = error.error;
      const end = column + width;
      mistake.append(h("pre", {}, text.slice(0, column), h("mark", {}, text.slice(column, end) || " "), text.slice(end)));
    }
    mistake.hidden = false;
    return;
  }
  box.replaceChildren(error instanceof ApiError ? error.message : `The server does not answer (${error.message}).`);
  box.hidden = false;
}

// ---- menus -----------------------------------------------------------------------------------------------

/** Open a menu at an element; items are [text, action], "-" a rule, or elements. */
export function menu(anchor, items) {
  const box = $("menu");
  box.replaceChildren(...items.map((item) => {
    if (item === "-") return h("hr");
    if (item instanceof Node) return item;
    const [text, action] = item;
    return h("button", { type: "button", role: "menuitem", title: text, onclick: () => { closeMenu(); action(); } }, text);
  }));
  box.hidden = false;
  const place = anchor.getBoundingClientRect();
  const left = Math.min(place.left, innerWidth - box.offsetWidth - 12);
  box.style.left = `${Math.max(8, left) + scrollX}px`;
  box.style.top = `${place.bottom + scrollY + 4}px`;
  box.dataset.by = anchor.id || "";
  anchor.setAttribute("aria-expanded", "true");
  box.opener = anchor;
  box.querySelector("button, input")?.focus();
}

export function closeMenu() {
  const box = $("menu");
  if (box.hidden) return false;
  box.hidden = true;
  box.opener?.setAttribute("aria-expanded", "false");
  box.opener?.focus?.();
  return true;
}

addEventListener("pointerdown", (event) => {
  const box = $("menu");
  if (!box.hidden && !box.contains(event.target) && !box.opener?.contains(event.target)) closeMenu();
});

/** Offer to filter by a value, to leave it out, or to look at something else of it. */
export function filterMenu(anchor, only, without, more = []) {
  menu(anchor, [
    ["Filter by this", () => go({ f: withFilter(only) })],
    ["Leave this out", () => go({ f: withFilter(without) })],
    ["Only this", () => go({ f: only })],
    ...more,
    "-",
    h("p", {}, h("code", {}, only)),
  ]);
}

// ---- filter ----------------------------------------------------------------------------------------------

function fill() {
  const now = state();
  const input = $("filter");
  if (document.activeElement !== input || !input.value) input.value = now.f ?? "";
  if (document.activeElement !== input) input.value = now.f ?? "";
  input.classList.toggle("on", Boolean(now.f));
  $("range").textContent = rangeText(now);
  $("range").classList.toggle("on", Boolean(now.from || now.to));
}

function rangeText({ from, to }) {
  const clip = (text) => text?.replace("T", " ").replace(/Z$/, "");
  if (!from && !to) return "all time";
  if (from && to && from.slice(0, 10) === to.slice(0, 10)) return `${clip(from)} – ${clip(to).slice(11)}`;
  return `${clip(from) ?? "begin"} – ${clip(to) ?? "now"}`;
}

const stored = (name) => { try { return JSON.parse(localStorage.getItem(`lastack.${name}`) ?? "[]"); } catch { return []; } };
const store = (name, value) => { try { localStorage.setItem(`lastack.${name}`, JSON.stringify(value)); } catch { /* private mode */ } };
export { store, stored };

const USUAL_FILTERS = [
  ["cut sessions: RST, no FIN", "rst.count > 0 and fin.count = 0 and ct.count > 0"],
  ["refused opens", "opening in {refused, refused_icmp}"],
  ["took harm", "harm in {open_failed, data_lost, close_lost, stalled}"],
  ["half-closed for longer than 30 s", "half_closed > 30s"],
  ["sent data the other way while half-closed", "half_closed_bytes > 0"],
  ["sent after its own FIN", "bytes_after_fin > 0"],
];

function savedMenu() {
  const own = stored("filters");
  const name = h("input", { placeholder: "name for the present filter", "aria-label": "name" });
  const save = () => {
    const text = state().f;
    if (text) store("filters", [...own.filter(([old]) => old !== (name.value || text)), [name.value || text, text]]);
    closeMenu();
  };
  name.addEventListener("keydown", (event) => { if (event.key === "Enter") { event.preventDefault(); save(); } });
  menu($("saved"), [
    ...own.map(([title, text]) => [`★ ${title}`, () => go({ f: text })]),
    ...(own.length ? ["-"] : []),
    ...USUAL_FILTERS.map(([title, text]) => [title, () => go({ f: text })]),
    "-",
    ...(state().f ? [h("label", {}, "Keep the present filter in this browser", name), ["Save", save]] : []),
    ...(own.length ? [["Forget my filters", () => store("filters", [])]] : []),
  ]);
}

function rangeMenu() {
  const now = state(), last = status?.last_ns;
  const ends = ["from", "to"].map((which) => h("input", { value: now[which] ?? "", placeholder: "2026-01-31T08:00:00Z", "aria-label": which }));
  const set = () => { closeMenu(); go({ from: ends[0].value.trim(), to: ends[1].value.trim() }); };
  for (const input of ends) input.addEventListener("keydown", (event) => { if (event.key === "Enter") { event.preventDefault(); set(); } });
  const back = (text, seconds) => [text, () => go({ from: isoTime(last - seconds * 1e9), to: null })];
  menu($("range"), [
    ["All time", () => go({ from: null, to: null })],
    ...(last ? [back("Last 5 minutes", 300), back("Last hour", 3600), back("Last 6 hours", 21600), back("Last day", 86400)] : []),
    "-",
    h("label", {}, "from (UTC)", ends[0]), h("label", {}, "to", ends[1]), ["Set", set],
  ]);
}

async function vocabulary() {
  words ??= await ask("/vocabulary");
  return words;
}
export { vocabulary };

let chosen = -1;

async function suggest() {
  const input = $("filter"), list = $("suggest");
  const before = input.value.slice(0, input.selectionStart);
  const known = await vocabulary();
  const value = /([\w.]+)\s*(?:=|!=|in\s*\{(?:[^}]*,)?)\s*([\w]*)$/i.exec(before);
  let found = [], word = "";
  const named = value && known.filters.find((one) => one.name === value[1]);
  if (named?.values.length) {
    word = value[2];
    found = named.values.filter((one) => one.startsWith(word)).map((name) => ({ name, help: "" }));
  } else {
    word = /[\w.]*$/.exec(before)[0];
    if (word) {
      const begins = known.filters.filter((one) => one.name.startsWith(word));
      const holds = known.filters.filter((one) => !one.name.startsWith(word) && one.name.includes(word));
      found = [...begins, ...holds].filter((one) => one.name !== word).slice(0, 12);
    }
  }
  chosen = -1;
  list.replaceChildren(...found.map((one) => h("li", { role: "option", onpointerdown: (event) => { event.preventDefault(); take(one.name, word); } }, h("code", {}, one.name), h("span", {}, one.help))));
  list.hidden = !found.length;
  input.setAttribute("aria-expanded", String(Boolean(found.length)));
  list.dataset.word = word;
}

function take(name, word) {
  const input = $("filter"), at = input.selectionStart;
  input.value = input.value.slice(0, at - word.length) + name + " " + input.value.slice(at);
  input.selectionStart = input.selectionEnd = at - word.length + name.length + 1;
  $("suggest").hidden = true;
  input.focus();
}

function suggestKeys(event) {
  const list = $("suggest"), items = [...list.children];
  if (list.hidden || !items.length) return;
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    event.preventDefault();
    chosen = (chosen + (event.key === "ArrowDown" ? 1 : -1) + items.length) % items.length;
    items.forEach((item, place) => item.setAttribute("aria-selected", String(place === chosen)));
    items[chosen].scrollIntoView({ block: "nearest" });
  } else if ((event.key === "Enter" || event.key === "Tab") && chosen >= 0) {
    event.preventDefault();
    take(items[chosen].querySelector("code").textContent, list.dataset.word);
  } else if (event.key === "Escape") {
    event.stopPropagation();
    list.hidden = true;
  }
}

// ---- start -----------------------------------------------------------------------------------------------

function theme() {
  const now = localStorage.getItem("lastack.theme") ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  document.documentElement.dataset.theme = now;
  return now;
}
theme();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { theme(); dispatchEvent(new Event("themechange")); });

function start(run) {
  const input = $("filter");
  fill();
  keepLinks();
  $("filterbar").addEventListener("submit", (event) => {
    event.preventDefault();
    $("suggest").hidden = true;
    go({ f: input.value.trim() });
  });
  input.addEventListener("input", () => suggest().catch(() => {}));
  input.addEventListener("keydown", suggestKeys);
  input.addEventListener("blur", () => { $("suggest").hidden = true; });
  $("saved").addEventListener("click", () => { if (!closeMenu()) savedMenu(); });
  $("range").addEventListener("click", () => { if (!closeMenu()) rangeMenu(); });
  $("theme").addEventListener("click", () => {
    localStorage.setItem("lastack.theme", theme() === "dark" ? "light" : "dark");
    theme();
    dispatchEvent(new Event("themechange"));
  });
  $("live").addEventListener("click", () => {
    const on = $("live").getAttribute("aria-pressed") !== "true";
    $("live").setAttribute("aria-pressed", String(on));
    if (on) follow(run);
  });
  addEventListener("keydown", keys);
  follow(run);
}

let armed = false;
function keys(event) {
  const typing = event.target.closest?.("input, select, textarea");
  if (event.key === "Escape") { if (!closeMenu()) event.target.blur?.(); return; }
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "/") { event.preventDefault(); $("filter").focus(); $("filter").select(); return; }
  if (event.key === "?") { $("help").showModal(); return; }
  if (armed && boot.keys[event.key]) { location.href = document.querySelector(`nav a[href^="${boot.keys[event.key]}"]`)?.href ?? boot.keys[event.key]; }
  armed = event.key === "g";
  if (armed) setTimeout(() => { armed = false; }, 1500);
}

const EVERY_MS = 3000;
const REST = 4; // a page that followed without rest would keep a server of millions of sessions busy all the time
let timer = 0, restUntil = 0, behind = false;
async function follow(run) {
  clearTimeout(timer);
  try {
    const fresh = await ask("/status");
    const changed = status && fresh.version !== status.version;
    status = fresh;
    showStatus(fresh);
    behind ||= changed;
    const may = $("live").getAttribute("aria-pressed") === "true" && $("menu").hidden && !document.hidden;
    if (behind && may && performance.now() >= restUntil) run();
  } catch (error) {
    if (error.name !== "AbortError") $("status").textContent = "the server does not answer";
  }
  timer = setTimeout(() => follow(run), document.hidden ? 10 * EVERY_MS : EVERY_MS);
}

function showStatus(fresh) {
  $("live").hidden = !fresh.growing;
  const span = fresh.first_ns === null ? "" : ` · ${instant(fresh.first_ns, 0)} – ${instant(fresh.last_ns, 0)} (${duration(fresh.last_ns - fresh.first_ns)})`;
  $("status").textContent = `${count(fresh.sessions)} sessions, ${count(fresh.packets)} packets${span}`;
  $("status").title = fresh.notes.join("\n");
}
