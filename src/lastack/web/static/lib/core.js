// What every page needs: the address as state, questions to the API, elements, and values as people read them.

export const boot = JSON.parse(document.getElementById("boot").textContent);

const KEPT = ["f", "from", "to"];
const listeners = new Set();

/** Return the parameters of the address. */
export function state() {
  return Object.fromEntries(new URLSearchParams(location.search));
}

/** Change parameters of the address; null takes one away. Listeners are told unless `quiet`. */
export function go(changes, { replace = false, quiet = false } = {}) {
  const params = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === undefined || value === "") params.delete(name);
    else params.set(name, value);
  }
  const text = params.toString();
  history[replace ? "replaceState" : "pushState"](null, "", location.pathname + (text ? `?${text}` : ""));
  if (!quiet) tell();
}

/** Call `listener` when the address changes. */
export function onState(listener) {
  listeners.add(listener);
}

function tell() {
  keepLinks();
  for (const listener of listeners) listener();
}
addEventListener("popstate", tell);

/** Return the address of another view with filter and time kept. */
export function link(path, more = {}) {
  const params = new URLSearchParams();
  const now = { ...state() };
  for (const name of KEPT) if (now[name]) params.set(name, now[name]);
  for (const [name, value] of Object.entries(more)) {
    if (value === null || value === undefined || value === "") params.delete(name);
    else params.set(name, value);
  }
  const text = params.toString();
  return path + (text ? `?${text}` : "");
}

/** Give all links that keep filter and time their present address. */
export function keepLinks() {
  for (const anchor of document.querySelectorAll("a[data-keep]")) {
    anchor.setAttribute("href", link(new URL(anchor.href).pathname));
  }
}

/** Return the filter joined with another one. */
export function withFilter(text, base = state().f) {
  if (!base) return text;
  if (!text) return base;
  const wrap = (part) => (/\bor\b|\|\|/i.test(part) ? `(${part})` : part);
  return `${wrap(base)} and ${wrap(text)}`;
}

/** Return the address of the sessions that a filter adds to. */
export function sessionsLink(text) {
  return link("/sessions", { f: withFilter(text) });
}

export class ApiError extends Error {
  constructor(status, error) {
    super(error.message);
    this.status = status;
    this.error = error;
  }
}

const running = new Map();

/** Ask the API; a newer question of the same slot takes the place of the older one. */
export async function ask(path, params = {}, slot = path) {
  running.get(slot)?.abort();
  const control = new AbortController();
  running.set(slot, control);
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    if (value !== null && value !== undefined && value !== "") query.set(name, value);
  }
  const text = query.toString();
  const response = await fetch(`${boot.api}${path}${text ? `?${text}` : ""}`, { signal: control.signal });
  const content = await response.json();
  if (!response.ok) throw new ApiError(response.status, content.error ?? { message: response.statusText });
  return content;
}

/** Return the parameters of the API for the filter and the time in the address. */
export function which(more = {}) {
  const { f, from, to } = state();
  return { filter: f, from, to, ...more };
}

/** Make an element: `h("td.l", {title: "x"}, "text", child)`. */
export function h(name, attributes = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  const element = document.createElement(tag);
  if (classes.length) element.className = classes.join(" ");
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "style") Object.assign(element.style, value);
    else if (key === "class") element.className += ` ${value}`;
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Make an SVG element. */
export function s(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) element.setAttribute(key, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export const $ = (id) => document.getElementById(id);
export const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
export const words = (text) => (/^[a-z0-9_]+$/.test(text ?? "") ? text.replaceAll("_", " ") : (text ?? ""));

// ---- values ----------------------------------------------------------------------------------------------

const grouped = new Intl.NumberFormat("en-US");
export const count = (number) => (number === null || number === undefined ? "-" : grouped.format(number));
export const plural = (number, one, many = `${one}s`) => `${count(number)} ${number === 1 ? one : many}`;

export function short(number) {
  if (number === null || number === undefined) return "-";
  for (const [unit, scale] of [["G", 1e9], ["M", 1e6], ["k", 1e3]]) {
    if (Math.abs(number) >= scale) return `${+(number / scale).toPrecision(3)} ${unit}`;
  }
  return `${+(+number).toPrecision(3)}`;
}

export function share(part) {
  if (part === null || part === undefined) return "-";
  const percent = 100 * part;
  if (percent > 0 && percent < 0.1) return "<0.1 %";
  if (percent < 100 && percent > 99.9) return ">99.9 %";
  return percent >= 10 || percent === 0 ? `${percent.toFixed(0)} %` : `${percent.toFixed(1)} %`;
}

export function duration(ns) {
  if (ns === null || ns === undefined) return "-";
  const value = Math.abs(+ns);
  if (value === 0) return "0 s";
  const sign = +ns < 0 ? "-" : "";
  for (const [unit, scale] of [["s", 1e9], ["ms", 1e6], ["µs", 1e3]]) {
    if (value >= scale) {
      if (unit === "s" && value >= 120e9) return sign + long(value / 1e9);
      return `${sign}${+(value / scale).toPrecision(3)} ${unit}`;
    }
  }
  return `${sign}${value} ns`;
}

function long(seconds) {
  const whole = Math.round(seconds);
  const parts = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const first = parts.findIndex(([size]) => whole >= size);
  const [size, unit] = parts[first];
  const rest = parts[first + 1] ? Math.floor((whole % size) / parts[first + 1][0]) : 0;
  return `${Math.floor(whole / size)} ${unit}${rest ? ` ${rest} ${parts[first + 1][1]}` : ""}`;
}

export function size(bytes) {
  if (bytes === null || bytes === undefined) return "-";
  for (const [unit, scale] of [["GB", 1e9], ["MB", 1e6], ["kB", 1e3]]) {
    if (bytes >= scale) return `${+(bytes / scale).toPrecision(3)} ${unit}`;
  }
  return `${Math.round(bytes)} B`;
}

/** Return a time of day in UTC; `digits` of a second. */
export function instant(ns, digits = 3, date = true) {
  if (ns === null || ns === undefined) return "-";
  const whole = BigInt(typeof ns === "number" ? Math.round(ns) : ns);
  const text = new Date(Number(whole / 1000000n)).toISOString();
  const fraction = String(whole % 1000000000n).padStart(9, "0").slice(0, digits);
  const clock = text.slice(11, 19) + (digits ? `.${fraction}` : "");
  return date ? `${text.slice(0, 10)} ${clock}` : clock;
}

export const isoTime = (ns) => new Date(ns / 1e6).toISOString().replace(/\.000Z$/, "Z");
export const endpoint = (ip, port) => (ip?.includes(":") ? `[${ip}]:${port}` : `${ip}:${port}`);

/** Return the value of a metric by its unit. */
export function measured(value, unit, percent = false) {
  if (value === null || value === undefined) return "-";
  if (value === "Infinity") return "∞";
  if (unit === "ns") return duration(value);
  if (unit === "bytes") return size(value);
  if (unit === "ns since epoch") return instant(value);
  if (unit === "ratio") return percent ? share(value) : value === 0 ? "0" : value >= 1000 ? count(Math.round(value)) : value >= 0.01 ? value.toFixed(2) : value.toPrecision(2);
  if (unit === "session id") return String(value);
  return typeof value === "number" && !Number.isInteger(value) ? value.toFixed(2) : count(value);
}

export const isPercent = (name) => /_share$|^share\(/.test(name);

/** Return a filter for a value of a key. */
export function equals(name, value, not = false) {
  if (value === null || value === undefined) return `${name} is ${not ? "not " : ""}null`;
  const plain = /^[\w.:/-]+$/.test(String(value)) ? value : `"${String(value).replace(/["\\]/g, "\\$&")}"`;
  return `${name} ${not ? "!=" : "="} ${plain}`;
}
