// Grouped tables: sortable heads, bars behind the first metric, every key a way to filter.
import { count, endpoint, equals, h, isPercent, link, measured, sessionsLink, withFilter } from "./core.js";
import { filterMenu } from "./shell.js";

const TITLES = { "client.ip": "client", "server.ip": "server", "server.port": "port", "client.zone": "client zone", "server.zone": "server zone" };
const HEADS = { "rst.clt/connection": ["RST client", "/ conn"], "rst.srv/connection": ["RST server", "/ conn"], "syn/connection": ["SYN", "/ conn"], "syn/attempt": ["SYN", "/ attempt"], "fin/connection": ["FIN", "/ conn"] };

/** Return the key columns of a row; an address and the port that follows it are one. */
function cells(keys, row) {
  const found = [];
  for (let place = 0; place < keys.length; place++) {
    const key = keys[place], value = row?.[key], end = key.replace(".ip", "");
    if (key.endsWith(".ip") && keys[place + 1] === `${end}.port`) {
      const port = row?.[keys[place + 1]];
      found.push({ title: end, text: row && endpoint(value, port), only: row && `${equals(key, value)} and ${equals(keys[place + 1], port)}`, without: row && `not (${equals(key, value)} and ${equals(keys[place + 1], port)})` });
      place++;
    } else {
      found.push({ title: TITLES[key] ?? key, text: row && (value === null || value === "" ? "-" : String(value)), only: row && equals(key, value), without: row && equals(key, value, true) });
    }
  }
  return found;
}

/** Return the filter that a whole row is. */
export function rowFilter(keys, row) {
  return keys.map((key) => equals(key, row[key])).join(" and ");
}

/** Build a table of a grouped answer.
 *  options: sort (present order), onSort, alarm(metric, value), hide, extra(row) for a last cell. */
export function groupedTable(answer, { sort = "", onSort = null, alarm = () => false, bar = true, hide = [] } = {}) {
  const names = Object.keys(answer.metrics).filter((name) => !hide.includes(name));
  const first = names[0];
  const largest = Math.max(1e-9, ...answer.rows.map((row) => +row[first] || 0));
  const value = (row, name) => measured(row[name], answer.metrics[name].unit, isPercent(name));
  const head = h("tr", {}, ...cells(answer.keys, null).map(({ title }) => h("th.l", { scope: "col" }, title)), ...names.map((name) => {
    const lines = HEADS[name] ?? (name.includes("/") && !name.includes("(") ? [name.split("/")[0], `/ ${name.split("/")[1]}`] : [name.replace("_share", " share").replaceAll("_", " ")]);
    const title = lines.flatMap((line, place) => (place ? [h("br"), line] : [line]));
    const now = sort.replace(/^[+-]/, "") === name;
    return h("th", { scope: "col", title: answer.metrics[name].help, "aria-sort": now ? (sort.startsWith("+") ? "ascending" : "descending") : null },
      onSort ? h("button.sort", { type: "button", onclick: () => onSort(now && !sort.startsWith("+") ? `+${name}` : name) }, ...title) : h("span", {}, ...title));
  }));
  const body = answer.rows.map((row) => h("tr", {}, ...cells(answer.keys, row).map(({ text, only, without }, place) =>
    h(`td.l${place === 0 && bar ? ".barred" : ""}`, { style: place === 0 && bar ? { backgroundSize: `${(100 * (+row[first] || 0)) / largest}% 100%` } : null },
      h("button.cellbtn", { type: "button", onclick: (event) => filterMenu(event.currentTarget, only, without, more(only)) }, text))),
    ...names.map((name) => h(`td${alarm(name, row[name]) ? ".alarm" : ""}`, {}, value(row, name)))));
  const sums = [];
  const wide = { colspan: cells(answer.keys, null).length };
  if (answer.others) sums.push(h("tr.sum", {}, h("td.l", wide, `others (${count(answer.groups - answer.rows.length)})`), ...names.map((name) => h("td", {}, value(answer.others, name)))));
  if (answer.keys.length && answer.rows.length > 1) sums.push(h("tr.total", {}, h("td.l", wide, "total"), ...names.map((name) => h("td", {}, value(answer.total, name)))));
  if (!answer.rows.length) return h("p.none", {}, "no session passes");
  return h("table", {}, h("thead", {}, head), h("tbody", {}, ...body, ...sums));
}

const go = (address) => () => { location.href = address; };
function more(only) {
  return [["Its sessions", go(sessionsLink(only))], ["Its resets", go(link("/resets", { f: withFilter(only) }))], ["Its events by client and server", go(link("/events", { f: withFilter(only) }))]];
}
