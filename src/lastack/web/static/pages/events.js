import { $, ask, go, h, state, which } from "../lib/core.js";
import { lines } from "../lib/chart.js";
import { page } from "../lib/shell.js";
import { groupedTable } from "../lib/table.js";

const BY = { "client → server": "client.ip,server.ip,server.port", server: "service", client: "client", application: "app", zones: "zones" };
const METRICS = "sessions,syn.clt,synack.srv,connections,fin.clt,fin.srv,rst.clt,rst.srv,syn/connection,fin/connection,rst.clt/connection,rst.srv/connection,retx/session";

page(async () => {
  const now = state(), by = BY[now.by] ? now.by : "client → server", sort = now.sort ?? "sessions";
  $("keys").replaceChildren(...Object.keys(BY).map((name) => h("button", { type: "button", "aria-pressed": String(name === by), onclick: () => go({ by: name }) }, name)));
  const [chart, table] = await Promise.all([ask("/series", which({ metrics: "syn.clt,connections,fin,rst.clt,rst.srv" })), ask("/table", which({ metrics: METRICS, by: BY[by], sort, top: now.top ?? 50 }))]);
  const colours = { "syn.clt": "idle", connections: "good", fin: "half", "rst.clt": "clt", "rst.srv": "srv" };
  lines($("chart"), chart, { range: now, label: "TCP events over time", colours: (one) => colours[one.name] });
  const names = { "syn.clt": "SYN", connections: "handshakes", fin: "FIN", "rst.clt": "RST by client", "rst.srv": "RST by server" };
  $("legend").replaceChildren(...chart.series.map((one) => h("span.chip", {}, h("span.dot", { style: { background: `var(--${colours[one.name]})` } }), names[one.name])));
  $("table").replaceChildren(groupedTable(table, { sort, onSort: (name) => go({ sort: name }), alarm: (name, value) => name === "syn/connection" && (value === "Infinity" || value > 2) }));
});
