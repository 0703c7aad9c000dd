import { $, ask, count, go, h, sessionsLink, share, state, which, words } from "../lib/core.js";
import { lines } from "../lib/chart.js";
import { filterMenu, page } from "../lib/shell.js";
import { groupedTable } from "../lib/table.js";

/** When in a session the first RST came: title, filter, what it usually means. */
const WHEN = [
  ["refusing a SYN", "opening = refused", "nobody listens on that port, or a firewall rejects"],
  ["while opening", "opening = aborted", "scans and monitors that only knock; harmless as a rule"],
  ["after both FINs", "ending = closed_rst", "both ends had closed: harmless"],
  ["after one FIN", "ending = fin_rst", "one end had closed while the other still sent: a cancelled download, or lost data"],
  ["in mid-session", "ending = rst", "no FIN before it: an abort, an application that always ends so, or a box on the path"],
];
const SIDES = [["client", "rst.clt > 0 and rst.srv = 0"], ["server", "rst.srv > 0 and rst.clt = 0"], ["both", "rst.clt > 0 and rst.srv > 0"]];
const FITS = [
  ["fits its sender", "rst > 0 and rst_ttl_delta = 0", "the TTL is that of the other packets of its sender"],
  ["another TTL", "rst > 0 and rst_ttl_delta != 0", "made by another machine, or on another path"],
  ["outside the window", "rst > 0 and rst_seq = outside", "a correct receiver ignores it (RFC 5961)"],
  ["consistent with injection", "cause = injected_reset", "two independent signs that its sender is not who it says"],
];

function matrix(found) {
  const of = (name) => found.total[name];
  const largest = Math.max(1, ...Object.values(found.total));
  const cell = (name, only) => h("td", {}, h("button.cellbtn", { type: "button", style: { background: of(name) ? `color-mix(in srgb, var(--half) ${8 + 44 * Math.sqrt(of(name) / largest)}%, transparent)` : "" }, onclick: (event) => filterMenu(event.currentTarget, only, `not (${only})`, [["Its sessions", () => { location.href = sessionsLink(only); }]]) }, of(name) ? count(of(name)) : "·"));
  return h("table.matrix", {}, h("thead", {}, h("tr", {}, h("th.l", {}, "when"), ...SIDES.map(([side]) => h("th", {}, side === "both" ? "both sent one" : `only the ${side}`)), h("th", {}, "took harm"), h("th.l", {}, "usually"))),
    h("tbody", {}, ...WHEN.map(([title, filter, meaning]) => h("tr", {}, h("td.l", {}, title), ...SIDES.map(([, side]) => cell(`count(${filter} and ${side})`, `${filter} and ${side}`)), cell(`count(${filter} and rst > 0 and harm in {open_failed, data_lost, close_lost, stalled})`, `${filter} and rst > 0 and harm in {open_failed, data_lost, close_lost, stalled}`), h("td.t", {}, meaning)))));
}

page(async () => {
  const now = state(), sort = now.sort ?? "resets";
  const cells = WHEN.flatMap(([, filter]) => [...SIDES.map(([, side]) => `count(${filter} and ${side})`), `count(${filter} and rst > 0 and harm in {open_failed, data_lost, close_lost, stalled})`]);
  const only = which().filter ? `(${which().filter}) and rst > 0` : "rst > 0";
  const [counts, fits, chart, table, causes] = await Promise.all([
    ask("/table", which({ metrics: cells.join(",") }), "cells"),
    ask("/table", which({ metrics: `resets,${FITS.map(([, filter]) => `count(${filter})`).join(",")}` }), "fits"),
    ask("/series", which({ metrics: "rst.clt,rst.srv" })),
    ask("/table", which({ filter: only, metrics: "resets,resets.clt,resets.srv,rst.clt/connection,rst.srv/connection,cut,harmed", by: "service", sort, top: 15 }), "services"),
    ask("/table", which({ filter: only, metrics: "resets,harmed", by: "cause", top: 30 }), "causes"),
  ]);
  $("matrix").replaceChildren(matrix(counts));
  lines($("chart"), chart, { range: now, label: "RSTs over time by sender", colours: (one) => (one.name === "rst.clt" ? "clt" : "srv"), fill: true });
  $("fits").replaceChildren(h("tbody", {}, ...FITS.map(([title, filter, meaning]) => { const n = fits.total[`count(${filter})`]; return h("tr", {}, h("td.l", {}, h("a", { href: sessionsLink(filter) }, title)), h("td", {}, count(n)), h("td", {}, share(fits.total.resets ? n / fits.total.resets : null)), h("td.t", {}, meaning)); })));
  $("causes").replaceChildren(h("tbody", {}, ...causes.rows.map((row) => h("tr", {}, h("td.l", {}, h("a", { href: sessionsLink(`cause = ${row.cause} and rst > 0`) }, words(row.cause))), h("td", {}, count(row.resets)), h("td.l", {}, row.harmed ? h("span.pill.alert", {}, `${count(row.harmed)} took harm`) : h("span.pill.ok", {}, "no harm"))))));
  $("services").replaceChildren(groupedTable(table, { sort, onSort: (name) => go({ sort: name }) }));
});
