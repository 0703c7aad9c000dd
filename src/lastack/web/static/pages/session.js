import { $, ask, boot, count, duration, endpoint, equals, h, instant, link, share, sessionsLink, size, state, words } from "../lib/core.js";
import { ladder } from "../lib/ladder.js";
import { page } from "../lib/shell.js";

const HARMED = new Set(["open_failed", "data_lost", "close_lost", "stalled"]);
const ACTORS = { client: "by the client", server: "by the server", middlebox: "by something between them", network: "by the network" };
const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1) + (/[.?!]$/.test(text) || !text ? "" : ".");
const here = () => ({ at: state().at });

function verdict(found) {
  const { verdict: v } = found;
  const box = $("verdict");
  box.classList.toggle("harm", HARMED.has(v.harm));
  box.classList.toggle("none", v.harm === "none");
  const told = v.cause === "observer_limit" || v.title.includes(ACTORS[v.actor]);
  const pills = [h("span.pill", {}, v.title), ACTORS[v.actor] && !told ? h("span.pill", {}, ACTORS[v.actor]) : null, v.harm === "unknown" ? null : h(`span.pill${HARMED.has(v.harm) ? ".alert" : ".ok"}`, {}, v.harm === "none" ? "no harm" : words(v.harm)), v.cause === "unknown" ? null : h("span.pill", { title: "how sure the rule is" }, `confidence ${Math.round(100 * v.confidence)} %`)];
  const others = (possible) => v.alternatives.filter((other) => other.possible === possible);
  const list = (title, items, make) => (items.length ? h("div", {}, h("h2", {}, title), h("ul.proofs", {}, ...items.map((item) => h("li", {}, ...make(item))))) : null);
  box.replaceChildren(
    h("div.sechead", {}, h("h2", {}, "Verdict"), ...pills.filter(Boolean)),
    h("p.say", {}, sentence(v.sentence)),
    v.cost ? h("p", {}, sentence(v.cost)) : "",
    h("div.two", {},
      list("Evidence", v.proof, (proof) => [proof.packet ? h("a", { href: `#p${proof.packet}`, onclick: (event) => { event.preventDefault(); jump(proof.packet); } }, `● ${count(proof.packet)}`) : null, proof.since_ns === null ? null : h("span.aside.mono", {}, `+${duration(proof.since_ns)}`), h("span", {}, sentence(proof.shows))]) ?? "",
      h("div", {}, list("Still possible", others(true), (other) => [h("b", {}, words(other.title)), h("span.aside", {}, sentence(other.reason))]) ?? "", list("Less likely", others(false), (other) => [h("b", {}, words(other.title)), h("span.aside", {}, sentence(other.reason))]) ?? "", list("Look at", v.advice, (advice) => [h("span", {}, sentence(advice))]) ?? "")),
    h("details.more", {}, h("summary", {}, "What is this verdict?"), h("p.aside", {}, found.shape), found.limits ? h("p.aside", {}, found.limits) : ""),
  );
}

function jump(packet) {
  const rung = document.querySelector(`g[data-packet="${packet}"]`);
  rung?.scrollIntoView({ block: "center", behavior: "smooth" });
  rung?.focus?.();
}

function facts(row) {
  const fact = (name, value) => (value === null || value === undefined || value === "" || value === "-" ? null : h("div", {}, h("dt", {}, name), h("dd", {}, value)));
  const pair = (stem, format = count) => (row[`${stem}_clt`] || row[`${stem}_srv`] ? `${format(row[`${stem}_clt`])} / ${format(row[`${stem}_srv`])}` : null);
  const lasted = Number(BigInt(row.end_ns) - BigInt(row.start_ns));
  $("facts").replaceChildren(...[
    fact("began", instant(row.start_ns, 6)), fact("lasted", duration(lasted)), fact("opened", words(row.opening)), fact("handshake", duration(row.ct_ns)),
    fact("SYN → SYN-ACK", duration(row.syn_to_synack_ns)), fact("SYN-ACK → ACK", duration(row.synack_to_ack_ns)), fact("ending", words(row.ending)), fact("close order", row.close_order),
    fact("half-closed", row.half_closed_ns ? `${duration(row.half_closed_ns)} by the ${row.half_closed_by}` : null), fact("sent the other way meanwhile", row.half_closed_bytes ? size(row.half_closed_bytes) : null),
    fact("longest silence, established", row.max_idle_ns >= 1e6 ? duration(row.max_idle_ns) : null), fact("silence before the end", row.idle_before_close_ns ? duration(row.idle_before_close_ns) : null),
    fact("states at the end", `${row.state_clt} / ${row.state_srv}`), fact("packets c / s", pair("packets")), fact("payload c / s", pair("bytes", size)), fact("again c / s", pair("retx_packets")),
    fact("keepalives c / s", pair("keepalives")), fact("FIN c / s", pair("fin")), fact("RST c / s", pair("rst")), fact("after own FIN c / s", pair("bytes_after_fin", size)), fact("not acked c / s", pair("unacked_bytes", size)),
    fact("RST in the window", row.rst_clt || row.rst_srv ? words(row.rst_seq) : null), fact("TTL of the RST", row.rst_ttl_delta === null ? null : `${row.rst_ttl_delta >= 0 ? "+" : ""}${row.rst_ttl_delta} hops`),
    fact("Zeek", `${row.conn_state} ${row.history}`), fact("PAN-OS would log", words(row.end_panos)), fact("ASA would log", words(row.end_asa)), fact("FortiGate would log", words(row.end_fortigate)),
    fact("seen", words(row.observed)), fact("zones", row.client_zone || row.server_zone ? `${row.client_zone || "-"} → ${row.server_zone || "-"}` : null), fact("application", row.app), fact("capture", row.sensor.split("/").at(-1)),
  ].filter(Boolean));
}

function title(row) {
  const clt = endpoint(row.client_ip, row.client_port), srv = endpoint(row.server_ip, row.server_port);
  document.title = `${clt} → ${srv} · LastACK`;
  document.querySelector("h1").textContent = `${clt} → ${srv}`;
  const service = `${equals("server.ip", row.server_ip)} and ${equals("server.port", row.server_port)}`;
  $("crumbs").replaceChildren(h("a", { href: sessionsLink("") }, "sessions"), " · ", h("a", { href: link("/sessions", { f: service }) }, "all of this server"), " · ", h("a", { href: link("/sessions", { f: equals("client.ip", row.client_ip) }) }, "all of this client"), " · ", h("a", { href: link("/sessions", { f: `${service} and ${equals("cause", row.cause)}` }) }, "same server, same verdict"),
    row.previous_id ? [" · ", h("a", { href: link(`/session/${row.previous_id}`) }, "the session before on these ports")] : "");
  $("download").href = `${boot.api}/sessions/${boot.session}/packets?at=${row.start_ns}`;
}

function record(found) {
  $("record").replaceChildren(h("tbody", {}, ...Object.entries(found.told).map(([name, value]) => h("tr", {}, h("td.l", {}, h("code", {}, name)), h("td.l", {}, value)))));
}

async function packets(found) {
  const box = $("ladder");
  box.replaceChildren(h("p.none", {}, "reading the packets again from the capture …"));
  try {
    const most = state().most ?? 60;
    const [drawn, known] = await Promise.all([ask(`/sessions/${boot.session}/ladder`, { ...here(), most }, "ladder"), ask("/timers", {}, "timers").catch(() => ({ timers: [] }))]);
    if (drawn.steps === null) {
      box.replaceChildren(h("p.none", {}, `The packets are not here: ${drawn.notes.join("; ")}`));
      $("download").hidden = true;
      document.documentElement.dataset.ladder = "0";
      return;
    }
    const { session: row } = found;
    const proof = new Set(drawn.verdict.proof.map((one) => one.packet).filter(Boolean));
    verdict({ ...found, verdict: drawn.verdict });
    ladder(box, drawn.steps, { proof, timers: known.timers, client: endpoint(row.client_ip, row.client_port), server: endpoint(row.server_ip, row.server_port) });
    $("laddernotes").textContent = drawn.notes.join("; ");
    const folded = drawn.steps.some((step) => step.kind === "fold");
    $("more").hidden = !folded;
    $("more").onclick = () => { location.href = link(location.pathname, { ...state(), most: 5000 }); };
  } catch (error) {
    if (error.name === "AbortError") return;
    box.replaceChildren(h("p.none", {}, `The packets are not here: ${error.message}`));
    $("download").hidden = true;
  }
  document.documentElement.dataset.ladder = "1";
}

page(async () => {
  const found = await ask(`/sessions/${boot.session}`, here());
  title(found.session);
  verdict(found);
  facts(found.session);
  record(found);
  packets(found);
});
