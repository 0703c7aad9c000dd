import { $, ask, boot, count, duration, go, h, link, plural, sessionsLink, share, state, which, withFilter, words } from "../lib/core.js";
import { stacked } from "../lib/chart.js";
import { filterMenu, page } from "../lib/shell.js";
import { groupedTable } from "../lib/table.js";

const ENDINGS = boot.classes.ending;
const TOP = { server: "service", client: "client", application: "app", zones: "zones", port: "port" };
const METRICS = "sessions,attempts,failed_share,cut_share,syn/attempt,rst.clt/connection,rst.srv/connection,harmed,bytes";
const SORTS = ["sessions", "harmed", "failed_share", "cut_share", "rst.srv/connection", "rst.clt/connection", "bytes"];
const ALARM = 0.2;

const alarm = (name, value) => (name === "failed_share" || name === "cut_share") && typeof value === "number" && value >= ALARM;

async function chart() {
  const found = await ask("/series", which({ metrics: "sessions", by: "ending" }));
  const ranks = Object.keys(ENDINGS);
  found.series.sort((a, b) => ranks.indexOf(a.name) - ranks.indexOf(b.name));
  const names = new Set(found.series.map((one) => one.name));
  const draw = (only) => stacked($("chart"), found, { colours: (one) => ENDINGS[one.name] ?? "idle", range: state(), label: "sessions by ending", only });
  $("legend").replaceChildren(...ranks.filter((name) => names.has(name)).map((name) => h("button.chip", {
    type: "button",
    title: "click for the choices; hover to see it alone",
    onmouseenter: () => draw(name), onmouseleave: () => draw(null),
    onclick: (event) => filterMenu(event.currentTarget, `ending = ${name}`, `ending != ${name}`, [["Its sessions", () => { location.href = sessionsLink(`ending = ${name}`); }]]),
  }, h(`span.dot.${ENDINGS[name]}`), words(name))));
  draw(null);
}

function cards(found, times) {
  // Percentiles of millions of sessions come later than the rest: their card waits for them alone.
  const card = (name, number, aside, f, alert = false) => h(`${f ? "a" : "div"}.card${alert ? ".alert" : ""}`, f ? { href: sessionsLink(f) } : {}, h("span", {}, name), h("b", {}, number), h("span", {}, aside));
  $("cards").replaceChildren(
    card("sessions", count(found.sessions), plural(found.attempts, "attempt"), ""),
    card("did not open", share(found.attempts ? found.failed / found.attempts : null), `${count(found.failed)} of ${plural(found.attempts, "attempt")}`, "opening in {refused, refused_icmp, unanswered, half_open, aborted}", found.failed > 0),
    card("ended by a RST", share(found.running ? found.cut / found.running : null), `${count(found.cut)} of ${count(found.running)} established`, "ending in {rst, fin_rst}"),
    card("took harm", share(found.sessions ? found.harmed / found.sessions : null), plural(found.harmed, "session"), "harm in {open_failed, data_lost, close_lost, stalled}", found.harmed > 0),
    card("still half-closed", count(found.half_closed), "at their last packet", "ending = half_closed"),
    card("handshake, median", times ? duration(times["p50(ct)"]) : "…", times ? `99 % within ${duration(times["p99(ct)"])}` : "being computed", "ct is not null"),
  );
}

function parts(stack, table, list) {
  stack.replaceChildren(...list.map((part) => h(`i.${part.css}`, { style: { flex: part.share ?? 0 }, title: `${words(part.name)}: ${count(part.sessions)} (${share(part.share)})`, onclick: (event) => filterMenu(event.currentTarget, part.where, `not (${part.where})`) })));
  table.replaceChildren(h("tbody", {}, ...list.map((part) => h("tr", {}, h("td.l", {}, h(`span.dot.${part.css}`), h("button.cellbtn", { type: "button", onclick: (event) => filterMenu(event.currentTarget, part.where, `not (${part.where})`, [["Its sessions", () => { location.href = sessionsLink(part.where); }]]) }, words(part.name))), h("td", {}, count(part.sessions)), h("td", {}, share(part.share)), h("td.t", {}, part.meaning)))));
}

async function ledger() {
  const later = ask("/times", which()).catch((error) => error);
  const found = await ask("/overview", which());
  cards(found, await Promise.race([later.then((times) => (times instanceof Error ? null : times)), new Promise((done) => setTimeout(done, 30, null))]));
  later.then((times) => { if (!(times instanceof Error)) cards(found, times); });
  parts($("openstack"), $("openings"), found.openings);
  parts($("endstack"), $("endings"), found.endings);
  $("openaside").textContent = `${plural(found.attempts, "attempt")}, each counted once${found.residual ? `; residual ${found.residual}: please report this` : ""}`;
  $("endaside").textContent = `${plural(found.established, "session")} established${found.midstream ? ` and ${count(found.midstream)} already running` : ""}`;
  $("causes").replaceChildren(h("tbody", {}, ...found.causes.map((one) => h("tr", {}, h("td.l", {}, h("a", { href: sessionsLink(`cause = ${one.cause}`) }, words(one.cause))), h("td", {}, count(one.sessions)), h("td", {}, share(found.sessions ? one.sessions / found.sessions : null)), h("td.l", {}, one.harmed ? h("span.pill.alert", {}, `${count(one.harmed)} took harm`) : "")))));
}

async function findings() {
  const found = await ask("/findings", which());
  $("findings").replaceChildren(...(found.findings.length ? found.findings.map((one) => h("li", {}, h("span", {}, `${one.text}.`), one.where ? h("a", { href: sessionsLink(one.where), title: one.where }, "its sessions →") : null)) : [h("li", {}, "Nothing: no group of sessions failed or was cut.")]));
}

async function top() {
  const now = state();
  const by = TOP[now.by] ? now.by : "server";
  const sort = now.sort ?? "sessions";
  $("topkeys").replaceChildren(...Object.keys(TOP).map((name) => h("button", { type: "button", "aria-pressed": String(name === by), onclick: () => go({ by: name }) }, name)));
  const select = $("topsort");
  select.replaceChildren(...[...new Set([...SORTS, sort.replace(/^[+-]/, "")])].map((name) => h("option", { value: name, selected: name === sort.replace(/^[+-]/, "") }, name.replaceAll("_", " "))));
  select.onchange = () => go({ sort: select.value });
  const ordered = [sort.replace(/^[+-]/, ""), ...METRICS.split(",")];
  const found = await ask("/table", which({ metrics: [...new Set(ordered)].join(","), by: TOP[by], sort, top: 10 }));
  $("top").replaceChildren(groupedTable(found, { sort, onSort: (name) => go({ sort: name }), alarm }));
}

// The chart is what the eye wants first; what costs most comes last.
page(async () => {
  await Promise.all([chart(), ledger(), top()]);
  findings().catch((error) => { if (error.name !== "AbortError") $("findings").replaceChildren(h("li", {}, error.message)); });
});
