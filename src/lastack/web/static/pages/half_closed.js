import { $, ask, count, duration, endpoint, go, h, instant, link, size, state, which } from "../lib/core.js";
import { ccdf, lines, palette } from "../lib/chart.js";
import { page } from "../lib/shell.js";
import { groupedTable } from "../lib/table.js";

const BY = { application: "app", port: "port", "client zone": "client.zone", "server zone": "server.zone" };

page(async () => {
  const now = state(), by = BY[now.by] ? now.by : "application";
  $("keys").replaceChildren(...Object.keys(BY).map((name) => h("button", { type: "button", "aria-pressed": String(name === by), onclick: () => go({ by: name }) }, name)));
  const [found, level] = await Promise.all([ask("/half-closed", which({ by: BY[by] })), ask("/level", which())]);
  ccdf($("spread"), found.spread, { marks: found.timers, label: "share of half-closed sessions that lasted longer" });
  $("legend").replaceChildren(...Object.keys(found.spread.counts).map((name, place) => h("span.chip", {}, h("span.dot", { style: { background: `var(--${palette(place)})` } }), name)));
  $("timers").replaceChildren(h("tbody", {}, ...found.timers.map((timer) => h("tr", {}, h("td", {}, timer.text), h("td.t", {}, timer.boxes.join("; "))))));
  lines($("level"), level, { range: now, label: "half-closed sessions over time", colours: () => "half", fill: true });
  $("table").replaceChildren(groupedTable(found.table));
  $("waiting").replaceChildren(found.waiting.length ? h("table", {}, h("thead", {}, h("tr", {}, h("th.l", {}, "waits since (UTC)"), h("th", {}, "for"), h("th.l", {}, "closed by"), h("th.l", {}, "client"), h("th.l", {}, "server"), h("th.l", {}, "app"), h("th", {}, "sent since"), h("th.l", { "aria-label": "link to the session" }, ""))),
    h("tbody", {}, ...found.waiting.map((row) => h("tr", {}, h("td.l", {}, instant(row.first_fin_ns)), h("td", {}, duration(row.age_ns)), h("td.l", {}, row.half_closed_by), h("td.l", {}, endpoint(row.client_ip, row.client_port)), h("td.l", {}, endpoint(row.server_ip, row.server_port)), h("td.l", {}, row.app), h("td", {}, row.half_closed_bytes ? size(row.half_closed_bytes) : "-"), h("td.l", {}, h("a", { href: link(`/session/${row.session_id}`, { at: row.start_ns }) }, "open")))))) : h("p.none", {}, "no session waits"));
  const waits = found.table.total.half_closed_backlog + found.open_now;
  $("waits").textContent = waits ? `${count(waits)}, the oldest first${found.open_now ? `; ${count(found.open_now)} of them stand in the watch's table` : ""}` : "";
});
