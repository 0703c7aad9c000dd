import { $, ask, count, duration, go, h, isoTime, link, state, withFilter } from "../lib/core.js";
import { page } from "../lib/shell.js";

const FIELDS = ["before_from", "before_to", "after_from", "after_to"];

page(async () => {
  const now = state(), status = await ask("/status", {}, "span");
  const middle = (status.first_ns + status.last_ns) / 2;
  const usual = { before_from: isoTime(status.first_ns), before_to: isoTime(middle), after_from: isoTime(middle), after_to: isoTime(status.last_ns + 1e6) };
  if (now.from && now.to && !now.after_from) {
    const length = Date.parse(now.to) - Date.parse(now.from);
    Object.assign(usual, { after_from: now.from, after_to: now.to, before_from: new Date(Date.parse(now.from) - length).toISOString(), before_to: now.from });
  }
  for (const name of FIELDS) $(name).value = now[name] ?? usual[name];
  $("by").value = now.by ?? "";
  $("periods").onsubmit = (event) => { event.preventDefault(); go({ ...Object.fromEntries(FIELDS.map((name) => [name, $(name).value.trim()])), by: $("by").value }); };
  $("halves").onclick = () => go({ ...Object.fromEntries(FIELDS.map((name) => [name, null])), from: null, to: null });
  const found = await ask("/compare", { filter: now.f, by: $("by").value, ...Object.fromEntries(FIELDS.map((name) => [name, $(name).value.trim()])) });
  $("summary").replaceChildren(h("thead", {}, h("tr", {}, h("th.l", { "aria-label": "metric" }, ""), h("th", {}, "before"), h("th", {}, "after"))), h("tbody", {}, h("tr", {}, h("td.l", {}, "lasted"), ...found.seconds.map((seconds) => h("td", {}, duration(seconds * 1e9)))), ...found.summary.map((row) => h("tr", { title: row.help }, h("td.l", {}, row.metric.replaceAll("_", " ")), h("td", {}, row.before), h("td", {}, row.after)))));
  $("found").textContent = `${count(found.changed)} changes in ${count(found.comparisons)} comparisons`;
  $("changes").replaceChildren(found.changes.length ? h("table", {}, h("thead", {}, h("tr", {}, h("th.l", {}, "what"), h("th.l", {}, "where"), h("th", {}, "before"), h("th", {}, "after"), h("th", {}, "change"), h("th", {}, "surely"), h("th", {}, "sessions"))), h("tbody", {}, ...found.changes.map((row) => h("tr", {}, h("td.l", {}, row.what.replaceAll("_", " ")), h("td.l", {}, row.filter ? h("a", { href: link("/sessions", { f: withFilter(row.filter), from: $("after_from").value, to: $("after_to").value }) }, row.place) : row.place), h("td", {}, row.before_text), h("td", {}, row.after_text), h("td", {}, row.ratio_text), h("td", {}, row.surely_text), h("td", {}, `${row.sessions > 0 ? "+" : ""}${count(Math.round(row.sessions))}`))))) : h("p.none", {}, "Nothing changed by more than chance explains."));
});
