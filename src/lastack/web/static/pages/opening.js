import { $, ask, boot, count, go, h, plural, sessionsLink, share, state, which, words } from "../lib/core.js";
import { stacked } from "../lib/chart.js";
import { page } from "../lib/shell.js";
import { groupedTable } from "../lib/table.js";

const KINDS = ["refused", "unanswered", "half_open", "aborted"];
const METRICS = "failed,attempts,failed_share,refused,unanswered,half_open,aborted,syn/attempt,distinct(client.ip)";

page(async () => {
  const now = state(), sort = now.sort ?? "failed";
  const [chart, servers, clients, floods] = await Promise.all([
    ask("/series", which({ metrics: KINDS.join(",") })),
    ask("/table", which({ metrics: METRICS, by: "service", having: "failed > 0", sort, top: 15 }), "servers"),
    ask("/table", which({ metrics: "failed,attempts,failed_share,refused,unanswered,half_open,aborted,distinct(server.ip),distinct(server.port)", by: "client", having: "failed > 0", sort: "failed", top: 15 }), "clients"),
    ask("/table", which({ metrics: "sessions,distinct(client.ip),distinct(server.ip)", by: "cause", filter: which().filter ? `(${which().filter}) and cause in {syn_flood, probe, half_open_client_gone, refused, refused_icmp, unanswered, port_reuse_conflict}` : "cause in {syn_flood, probe, half_open_client_gone, refused, refused_icmp, unanswered, port_reuse_conflict}" }), "causes"),
  ]);
  stacked($("chart"), chart, { range: now, label: "failed attempts", colours: (one) => boot.classes.opening[one.name] });
  $("legend").replaceChildren(...KINDS.map((name) => h("a.chip", { href: sessionsLink(name === "refused" ? "opening in {refused, refused_icmp}" : `opening = ${name}`) }, h(`span.dot.${boot.classes.opening[name]}`), words(name), " ")));
  const alarm = (name, value) => name === "failed_share" && value >= 0.2;
  $("servers").replaceChildren(groupedTable(servers, { sort, onSort: (name) => go({ sort: name }), alarm }));
  $("clients").replaceChildren(groupedTable(clients, { alarm }));
  $("causes").replaceChildren(h("tbody", {}, ...floods.rows.map((row) => h("tr", {}, h("td.l", {}, h("a", { href: sessionsLink(`cause = ${row.cause}`) }, words(row.cause))), h("td", {}, count(row.sessions)), h("td.t", {}, `${plural(row["distinct(client.ip)"], "client")}, ${plural(row["distinct(server.ip)"], "server")}`)))));
  $("share").textContent = `${count(servers.total.failed)} of ${count(servers.total.attempts)} attempts failed (${share(servers.total.failed_share)})`;
});
