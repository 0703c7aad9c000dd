import { $, ask, count, duration, endpoint, go, h, instant, link, share, state, which, words } from "../lib/core.js";
import { curves } from "../lib/chart.js";
import { page } from "../lib/shell.js";

const LOW = 1, HIGH = 86400, STEPS = 1000;
const toSeconds = (place) => Math.round(LOW * (HIGH / LOW) ** (place / STEPS));
const toPlace = (seconds) => Math.round((STEPS * Math.log(Math.min(HIGH, Math.max(LOW, seconds)) / LOW)) / Math.log(HIGH / LOW));
const parse = (text) => Object.fromEntries((text ?? "").split(",").filter(Boolean).map((part) => part.split("=")));
const join = (values) => Object.entries(values).map(([name, value]) => `${name}=${value}`).join(",");

let known = null;

function sliders(profile, now, swept) {
  const sets = parse(now.set), apps = parse(now.apps);
  const one = (title, seconds, changed, onset, name) => {
    const output = h("output", {}, duration(seconds * 1e9));
    const input = h("input", { type: "range", min: 0, max: STEPS, value: toPlace(seconds), "aria-label": title, oninput: () => { output.textContent = duration(toSeconds(+input.value) * 1e9); }, onchange: () => onset(toSeconds(+input.value)) });
    return h("div.slider", {}, h("label", {}, h("button.cellbtn", { type: "button", title: "draw the curves over this timer", onclick: () => go({ timer: name }) }, `${name === swept ? "▸ " : ""}${title}`), output), input, changed ? h("button.cellbtn.reset", { type: "button", onclick: () => onset(null) }, "back to the default") : null);
  };
  const set = (values, key, parameter) => (seconds) => { const next = { ...values }; if (seconds === null) delete next[key]; else next[key] = `${seconds}s`; go({ [parameter]: join(next) }); };
  const found = profile.timers.filter((timer) => timer.seconds !== null).map((timer) => one(words(timer.name), timer.name in sets ? parseFloat(sets[timer.name]) : timer.seconds, timer.name in sets, set(sets, timer.name, "set"), timer.name));
  for (const [key, value] of Object.entries(apps)) found.push(one(`${key.replace(".", ": ")}`, parseFloat(value), true, set(apps, key, "apps"), key.split(".")[1]));
  return found;
}

page(async () => {
  known ??= (await ask("/profiles")).profiles;
  const now = state();
  const profile = known.find((one) => one.name === now.profile) ?? known.find((one) => one.name === "panos") ?? known[0];
  const names = profile.timers.filter((timer) => timer.seconds !== null).map((timer) => timer.name);
  const timer = names.includes(now.timer) ? now.timer : (names.find((name) => /half.?closed|half_close|fin/.test(name)) ?? names[0]);
  $("profile").replaceChildren(...known.map((one) => h("option", { value: one.name, selected: one === profile }, one.title)));
  $("profile").onchange = () => go({ profile: $("profile").value, set: null, apps: null, timer: null });
  $("timer").replaceChildren(...names.map((name) => h("option", { value: name, selected: name === timer }, words(name))));
  $("timer").onchange = () => go({ timer: $("timer").value });
  $("sliders").replaceChildren(...sliders(profile, now, timer));
  const apply = () => { const app = $("app").value.trim(); if (app) go({ apps: join({ ...parse(now.apps), [`${app}.${timer}`]: "60s" }) }); };
  $("addapp").onclick = apply;
  if (!$("says").textContent) $("says").textContent = "Playing every session through the box; with millions of them that takes minutes …";
  const box = { profile: profile.name, set: now.set, apps: now.apps };
  const [whole, list] = await Promise.all([ask("/whatif", which({ ...box, sweep: `${timer}=1s..1d/25` })), ask("/whatif/sessions", which({ ...box, limit: 100 }), "broken")]);
  const [present, swept] = whole.answers;
  const setting = present.settings[0];
  const at = (parse(now.set)[timer] ? parseFloat(parse(now.set)[timer]) : profile.timers.find((one) => one.name === timer).seconds) * 1e9;
  const x = swept.settings.map((row) => row.seconds * 1e9);
  const pick = (place) => go({ set: join({ ...parse(now.set), [timer]: `${Math.round(x[place] / 1e9)}s` }) });
  curves($("broken"), x, [{ name: "at most", colour: "half", dash: [5, 4], values: swept.settings.map((row) => row.broken_most), format: count }, { name: "at least", colour: "half", fill: true, values: swept.settings.map((row) => row.broken_least), format: count }], { mark: at, label: "broken sessions over the timer", onPick: pick });
  curves($("entries"), x, [{ name: "peak", colour: "clt", dash: [5, 4], values: swept.settings.map((row) => row.peak_entries) }, { name: "mean", colour: "clt", fill: true, values: swept.settings.map((row) => row.mean_entries) }], { mark: at, label: "table entries over the timer", onPick: pick });
  for (const place of document.querySelectorAll(".timername")) place.textContent = words(timer);
  const most = setting.broken_most, least = setting.broken_least;
  $("says").replaceChildren(h("b", {}, least === most ? count(least) : `${count(least)} to ${count(most)}`), ` of ${count(present.sessions)} sessions (${share(present.sessions ? most / present.sessions : null)}) would have broken on ${profile.title} as set; its table would have held ${count(Math.round(setting.mean_entries))} entries on average, ${setting.peak_entries === null ? "an unknown number" : count(Math.round(setting.peak_entries))} at most.`);
  $("notes").textContent = [...present.not_exact, ...whole.notes].join("; ");
  const apps = present.by_application.filter((one) => one.broken_most[0]);
  $("apps").replaceChildren(apps.length ? h("table", {}, h("thead", {}, h("tr", {}, h("th.l", {}, "application"), h("th", {}, "sessions"), h("th", {}, "broken, least"), h("th", {}, "most"), h("th", {}, "mean entries"))), h("tbody", {}, ...apps.map((one) => h("tr", {}, h("td.l", {}, one.application), h("td", {}, count(one.sessions)), h("td", {}, count(one.broken_least[0])), h("td", {}, count(one.broken_most[0])), h("td", {}, one.mean_entries[0].toPrecision(3)))))) : h("p.none", {}, "no application breaks"));
  $("list").replaceChildren(list.rows.length ? h("table", {}, h("thead", {}, h("tr", {}, h("th.l", {}, "began (UTC)"), h("th.l", {}, "client"), h("th.l", {}, "server"), h("th.l", {}, "forgotten while"), h("th.l", {}, "costs"), h("th.l", {}, "sure"), h("th.l", { "aria-label": "link to the session" }, ""))), h("tbody", {}, ...list.rows.map((row) => h("tr", {}, h("td.l", {}, instant(row.start_ns)), h("td.l", {}, endpoint(row.client_ip, row.client_port)), h("td.l", {}, endpoint(row.server_ip, row.server_port)), h("td.l", {}, words(row.stage)), h("td.l", {}, words(row.loss)), h("td.l", {}, row.surely ? "yes" : "possibly"), h("td.l", {}, h("a", { href: link(`/session/${row.session_id}`, { at: row.start_ns }) }, "open")))))) : h("p.none", {}, "no session breaks"));
  $("listed").textContent = list.broken > list.rows.length ? `${count(list.rows.length)} of ${count(list.broken)}` : "";
});
