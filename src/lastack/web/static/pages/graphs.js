import { $, ask, go, h, link, state, which } from "../lib/core.js";
import { ccdf, lines, palette, stacked } from "../lib/chart.js";
import { page, store, stored, vocabulary } from "../lib/shell.js";
import { groupedTable } from "../lib/table.js";

const KINDS = { time: "over time", spread: "spread (CCDF)", table: "table" };
const EXAMPLES = [["RST per connection by server", "metrics=rst.srv/connection&by=service"], ["handshake time, median and 99 %", "metrics=p50(ct),p99(ct)"], ["refused share by client zone", "metrics=refused_share&by=client.zone"], ["sessions by verdict", "metrics=sessions&by=cause"], ["handshake time by application", "kind=spread&metrics=ct&by=app"], ["bytes of sessions", "kind=spread&metrics=bytes"]];

function saved() {
  const own = stored("graphs");
  $("kept").replaceChildren(...[...own, ...EXAMPLES].map(([name, query], place) => h("span.pill", {}, h("a", { href: link("/graphs", Object.fromEntries(new URLSearchParams(query))) }, name), place < own.length ? h("button.cellbtn", { type: "button", "aria-label": `forget ${name}`, onclick: () => { store("graphs", own.filter((_, other) => other !== place)); saved(); } }, " ×") : null)));
}

page(async () => {
  const now = state(), kind = KINDS[now.kind] ? now.kind : "time";
  const metrics = now.metrics ?? (kind === "spread" ? "ct" : "sessions"), by = now.by ?? "";
  $("metrics").value = metrics;
  $("by").value = by;
  $("every").value = now.every ?? "";
  $("kinds").replaceChildren(...Object.entries(KINDS).map(([name, text]) => h("button", { type: "button", "aria-pressed": String(name === kind), onclick: () => go({ kind: name, metrics: name === "spread" || kind === "spread" ? null : now.metrics }) }, text)));
  $("ask").onsubmit = (event) => { event.preventDefault(); go({ metrics: $("metrics").value.trim(), by: $("by").value.trim(), every: $("every").value.trim() }); };
  $("keep").onclick = () => { const query = new URLSearchParams({ kind, metrics, by, every: now.every ?? "" }).toString(); store("graphs", [...stored("graphs"), [`${metrics}${by ? ` by ${by}` : ""}`, query]]); saved(); };
  saved();
  const words = await vocabulary();
  const names = kind === "spread" ? words.filters.filter((one) => ["duration", "size", "whole number"].includes(one.kind)) : [...words.metrics, ...Object.entries(words.calls).map(([name, help]) => ({ name, help }))];
  $("metriclist").replaceChildren(...names.map((one) => h("option", { value: one.name }, one.help)));
  $("keylist").replaceChildren(...words.keys.map((name) => h("option", { value: name })));
  $("legend").replaceChildren();
  const legend = (series) => $("legend").replaceChildren(...series.map((name, place) => h("span.chip", {}, h("span.dot", { style: { background: `var(--${palette(place)})` } }), name)));
  const box = $("chart");
  if (kind === "spread") {
    const found = await ask("/distribution", which({ metric: metrics, by }));
    legend(Object.keys(found.counts));
    ccdf(box, found, { label: metrics });
  } else if (kind === "table") {
    const found = await ask("/table", which({ metrics, by: by || "service", top: 50, sort: now.sort }));
    box.replaceChildren(groupedTable(found, { sort: now.sort ?? "", onSort: (name) => go({ sort: name }) }));
  } else {
    const found = await ask("/series", which({ metrics, by, every: now.every }));
    legend(found.series.map((one) => one.name));
    if (found.total && found.series.length > 1) stacked(box, found, { range: now, label: metrics, colours: (_, place) => palette(place) });
    else lines(box, found, { range: now, label: metrics });
  }
});
