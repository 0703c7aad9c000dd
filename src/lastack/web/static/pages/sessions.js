import { $, ask, boot, count, duration, endpoint, equals, go, h, instant, link, size, state, which, words } from "../lib/core.js";
import { filterMenu, page, showProblem } from "../lib/shell.js";

const PAGE = 200, HEIGHT = 30, AROUND = 12;
const ends = (end) => ({
  text: (row) => endpoint(row[`${end}_ip`], row[`${end}_port`]),
  only: (row) => equals(`${end}.ip`, row[`${end}_ip`]) + (end === "server" ? ` and ${equals("server.port", row.server_port)}` : ""),
});
const plain = (name) => ({ text: (row) => words(row[name]) || "-", only: (row) => equals(name, row[name]) });
const pair = (name) => ({ text: (row) => `${count(row[`${name}_clt`])} / ${count(row[`${name}_srv`])}` });
/** Columns: title, width, sort name, how a cell is made. */
const COLUMNS = [
  { title: "last packet (UTC)", wide: "190px", sort: "end", text: (row) => instant(row.end_ns), help: "by which sessions stand in time" },
  { title: "client", wide: "178px", sort: "client.ip", ...ends("client") },
  { title: "server", wide: "178px", sort: "server.ip", ...ends("server") },
  { title: "app", wide: "100px", sort: "app", ...plain("app") },
  { title: "opened", wide: "104px", sort: "opening", ...plain("opening") },
  { title: "ending", wide: "146px", sort: "ending", ...plain("ending"), dot: (row) => boot.classes.ending[row.ending] },
  { title: "order", wide: "62px", sort: "close_order", text: (row) => row.close_order || "-", only: (row) => equals("close_order", row.close_order), mono: true, help: "order of the first FIN and RST: F R client, f r server" },
  { title: "verdict", wide: "236px", sort: "cause", ...plain("cause"), harm: true },
  { title: "lasted", wide: "82px", sort: "duration", r: true, text: (row) => duration(Number(BigInt(row.end_ns) - BigInt(row.start_ns))) },
  { title: "handshake", wide: "94px", sort: "ct", r: true, text: (row) => duration(row.ct_ns) },
  { title: "half-closed", wide: "98px", sort: "half_closed", r: true, text: (row) => duration(row.half_closed_ns) },
  { title: "FIN c/s", wide: "66px", sort: "fin", r: true, ...pair("fin") },
  { title: "RST c/s", wide: "66px", sort: "rst", r: true, ...pair("rst") },
  { title: "packets", wide: "96px", sort: "packets", r: true, ...pair("packets") },
  { title: "bytes", wide: "82px", sort: "bytes", r: true, text: (row) => size(row.bytes_clt + row.bytes_srv) },
  { title: "after own FIN", wide: "100px", sort: "bytes_after_fin", r: true, text: (row) => (row.bytes_after_fin_clt + row.bytes_after_fin_srv ? size(row.bytes_after_fin_clt + row.bytes_after_fin_srv) : "-") },
];
const HARMED = new Set(["open_failed", "data_lost", "close_lost", "stalled"]);

let rows = new Map(), total = 0, reachable = 0, asked = new Set(), at = -1, round = 0, frame = 0;
const open = (row) => { location.href = link(`/session/${row.session_id}`, { at: row.start_ns }); };

function head(sort) {
  const now = sort.replace(/^[+-]/, "");
  return h("div.vhead", { role: "row" }, ...COLUMNS.map((one) => h(`div${one.r ? ".r" : ""}`, { role: "columnheader", title: one.help ?? "", "aria-sort": one.sort === now ? (sort.startsWith("-") ? "descending" : "ascending") : null },
    h("button.sort", { type: "button", onclick: () => go({ sort: one.sort === now && sort.startsWith("-") ? one.sort : `-${one.sort}` }) }, one.title))));
}

function made(place, row) {
  const line = h(`div.vrow${place === at ? ".at" : ""}`, { role: "row", "aria-rowindex": place + 2, style: { top: `${32 + place * HEIGHT}px` }, "data-place": place });
  if (!row) { line.append(h("div", {}, "…")); return line; }
  for (const one of COLUMNS) {
    const cell = h(`div${one.r ? ".r" : ""}${one.mono ? ".mono" : ""}`, { role: "cell" });
    if (one.dot) cell.append(h(`span.dot.${one.dot(row) ?? "idle"}`));
    const text = one.text(row);
    cell.append(one.only ? h("button.cellbtn", { type: "button", tabindex: -1, title: text, onclick: (event) => { event.stopPropagation(); const only = one.only(row); filterMenu(event.currentTarget, only, `not (${only})`, [["Open this session", () => open(row)]]); } }, text) : text);
    if (one.harm && HARMED.has(row.harm)) cell.append(" ", h("span.pill.alert", { title: "what it cost" }, words(row.harm)));
    line.append(cell);
  }
  line.addEventListener("click", () => open(row));
  return line;
}

function draw() {
  const box = $("rows");
  const first = Math.max(0, Math.floor(box.scrollTop / HEIGHT) - AROUND);
  const last = Math.min(reachable, Math.ceil((box.scrollTop + box.clientHeight) / HEIGHT) + AROUND);
  const body = box.querySelector(".vbody");
  body.replaceChildren();
  for (let place = first; place < last; place++) {
    const number = Math.floor(place / PAGE);
    if (!rows.has(place) && !asked.has(number)) fetchPage(number).catch((error) => { if (error.name !== "AbortError") showProblem(error); });
    body.append(made(place, rows.get(place)));
  }
}
const soon = () => { cancelAnimationFrame(frame); frame = requestAnimationFrame(draw); };

async function fetchPage(number) {
  asked.add(number);
  const mine = round;
  const found = await ask("/sessions", which({ sort: state().sort ?? "-end", offset: number * PAGE, limit: PAGE }), `sessions ${number}`);
  if (mine !== round) return;
  found.rows.forEach((row, place) => rows.set(number * PAGE + place, row));
  total = found.total;
  reachable = found.reachable;
  soon();
}

function keys(event) {
  const box = $("rows");
  const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 15, PageUp: -15 }[event.key];
  if (step) {
    event.preventDefault();
    at = Math.max(0, Math.min(reachable - 1, at + step));
    const top = at * HEIGHT;
    if (top < box.scrollTop) box.scrollTop = top;
    if (top + HEIGHT + 40 > box.scrollTop + box.clientHeight) box.scrollTop = top + HEIGHT + 40 - box.clientHeight;
    draw();
  } else if (event.key === "Enter" && event.target === box && rows.get(at)) open(rows.get(at));
}

$("rows").addEventListener("scroll", soon);
$("rows").addEventListener("keydown", keys);
addEventListener("resize", soon);

page(async () => {
  round++;
  rows = new Map();
  asked = new Set();
  at = -1;
  const box = $("rows"), sort = state().sort ?? "-end";
  const keep = box.scrollTop;
  box.style.setProperty("--cols", COLUMNS.map((one) => one.wide).join(" "));
  await fetchPage(0);
  box.replaceChildren(head(sort), h("div.vbody", { role: "rowgroup" }), h("div", { style: { height: `${reachable * HEIGHT}px`, minWidth: "1px" } }));
  box.setAttribute("aria-rowcount", reachable + 1);
  $("total").textContent = `${count(total)} ${total === 1 ? "session" : "sessions"}`;
  $("reach").textContent = total > reachable ? `the first ${count(reachable)} of this order can be scrolled to; a filter, a time or another order shows others` : "";
  const query = (format) => `${boot.api}/sessions/all?${new URLSearchParams(Object.entries(which({ format })).filter(([, value]) => value))}`;
  $("csv").href = query("csv");
  $("arrow").href = query("arrow");
  box.scrollTop = Math.min(keep, reachable * HEIGHT);
  draw();
});
