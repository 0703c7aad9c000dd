// The ladder of a session's packets: arrows between two lifelines, a lane of states at each end, silences as bars.
import { count, duration, s, size } from "./core.js";

const ROW = 25, TOP = 46, LANE = 108;
const CLASS = { CLOSED: 4, LISTEN: 0, SYN_SENT: 1, SYN_RECEIVED: 1, ESTABLISHED: 2, FIN_WAIT_1: 3, FIN_WAIT_2: 3, CLOSE_WAIT: 3, CLOSING: 3, LAST_ACK: 3, TIME_WAIT: 4 };
const LONG_NS = 1e9;

const text = (x, y, content, attributes = {}) => s("text", { x, y, ...attributes }, content);
const clip = (content, most) => (content.length > most ? `${content.slice(0, most - 1)}…` : content);

/** Draw a ladder. `proof` holds numbers of packets that prove the verdict, `timers` [{ns, text}] of known boxes. */
export function ladder(box, steps, { proof = new Set(), client, server, timers = [], onPacket = () => {} }) {
  const width = Math.max(980, box.clientWidth);
  const left = 225 + LANE, right = width - 300 - LANE;
  let y = TOP;
  const drawn = [], lanes = { client: [], server: [] };
  const now = { client: null, server: null };
  for (const step of steps) {
    if (step.kind !== "fold" && step.silence_ns >= LONG_NS) { drawn.push(silence(step, y, left, right, timers)); y += 34; }
    const height = ROW;
    if (step.kind === "fold") drawn.push(fold(step, y, left, right));
    else drawn.push(packet(step, y, left, right, width, proof, onPacket));
    for (const end of ["client", "server"]) {
      const state = step.kind === "fold" ? now[end] : step[`state_${end}`];
      if (state !== now[end]) { lanes[end].push({ state, y: y + 3 }); now[end] = state; }
    }
    y += height;
  }
  const bottom = y + 8;
  const picture = s("svg", { class: "ladder", viewBox: `0 0 ${width} ${bottom + 6}`, height: bottom + 6, role: "img", "aria-label": `Packets between ${client} and ${server}` },
    s("line", { class: "life", x1: left, x2: left, y1: TOP - 8, y2: bottom }), s("line", { class: "life", x1: right, x2: right, y1: TOP - 8, y2: bottom }),
    text(left, 18, client, { "text-anchor": "middle", class: "flag" }), text(left, 33, "client", { "text-anchor": "middle", class: "soft" }),
    text(right, 18, server, { "text-anchor": "middle", class: "flag" }), text(right, 33, "server", { "text-anchor": "middle", class: "soft" }),
    text(8, 33, "time", { class: "soft" }), text(92, 33, "packet", { class: "soft" }), text(width - 300 + 14, 33, "seq  ack  window  ttl", { class: "soft" }),
    ...lane(lanes.client, left - LANE - 8, bottom, "end", left), ...lane(lanes.server, right + 8, bottom, "start", right), ...drawn);
  box.replaceChildren(picture);
}

function lane(parts, x, bottom, anchor) {
  return parts.flatMap((part, place) => {
    if (!part.state) return [];
    const end = parts[place + 1]?.y ?? bottom;
    const edge = anchor === "end" ? x + LANE - 6 : x;
    const short = part.state.replaceAll("_", "-").toLowerCase();
    return [
      s("rect", { class: `lane st${CLASS[part.state] ?? 0}`, x: edge, y: part.y, width: 6, height: Math.max(3, end - part.y - 2) }, s("title", {}, `${part.state} for ${place + 1 < parts.length ? "a while" : "the rest"}`)),
      end - part.y > 14 ? text(anchor === "end" ? edge - 6 : edge + 12, part.y + 12, short, { class: "soft", "text-anchor": anchor }) : null,
    ].filter(Boolean);
  });
}

function packet(step, y, left, right, width, proof, onPacket) {
  const middle = y + ROW / 2, icmp = step.kind === "icmp";
  const fromClient = icmp ? step.quotes !== "client" : step.from === "client";
  const [from, to] = fromClient ? [left, right] : [right, left];
  const kind = icmp ? "i" : fromClient ? "c" : "s";
  const sense = fromClient ? -1 : 1;
  const flags = icmp ? `ICMP ${step.type}/${step.code}` : step.flags.join(" ") || "no flags";
  const marks = [...(step.marks ?? [])];
  const what = [step.payload ? size(step.payload) : "", marks.join(", ")].filter(Boolean).join(" · ");
  const again = marks.includes("again") || marks.includes("keepalive");
  const proves = proof.has(step.packet);
  const details = icmp ? "" : [`seq ${count(step.seq)}`, step.ack === null ? "" : `ack ${count(step.ack)}`, step.window === null ? "" : `win ${count(step.window)}${step.window_scaled ? "" : "?"}`, `ttl ${step.ttl}`].filter(Boolean).join("  ");
  const group = s("g", { "data-packet": step.packet, tabindex: proves ? 0 : null },
    proves ? s("rect", { class: "proofbg", x: 0, y: y + 1, width, height: ROW - 2, rx: 4 }) : null,
    text(8, middle + 4, `+${duration(step.since_ns)}`, { class: "soft" }),
    text(92, middle + 4, `${proves ? "● " : ""}${count(step.packet)}`, { class: proves ? "flag" : "soft" }),
    s("line", { class: `arrow ${kind}${again ? " again" : ""}`, x1: from, x2: to + sense * 7, y1: middle + 4, y2: middle + 4 }),
    s("path", { class: `head${kind}`, d: `M${to} ${middle + 4}l${sense * 9} -4.500v9z` }),
    s("text", { x: (left + right) / 2, y: middle - 1, "text-anchor": "middle" }, s("tspan", { class: "flag" }, flags), what ? s("tspan", { class: "soft", dx: 8 }, what) : null),
    text(width - 300 + 14 + 0, middle + 4, clip(details, 46), { class: "soft mono" }),
    s("title", {}, `packet ${step.packet}${step.capture ? ` of ${step.capture}` : ""}\n${flags} ${what}\n${details}${step.ipid === null || step.ipid === undefined ? "" : `  IP-ID ${step.ipid}`}\nphase ${step.phase ?? ""}`));
  group.addEventListener("click", () => onPacket(step));
  return group;
}

function fold(step, y, left, right) {
  const middle = y + ROW / 2 + 4;
  const packets = step.packets_client + step.packets_server;
  const more = [step.again ? `${step.again} again` : "", step.keepalives ? `${step.keepalives} keepalives` : "", step.longest_silence_ns >= LONG_NS ? `silent for up to ${duration(step.longest_silence_ns)}` : ""].filter(Boolean);
  return s("g", {}, text((left + right) / 2, middle, `⋮  ${count(packets)} packets, ${size(step.bytes_client)} → , ← ${size(step.bytes_server)}${more.length ? `, ${more.join(", ")}` : ""}, in ${duration(step.lasted_ns)}  ⋮`, { "text-anchor": "middle", class: "soft" }));
}

/** A silence is a bar; what timers of known boxes had expired in it stands at its foot, as long as they are. */
function silence(step, y, left, right, timers) {
  const expired = timers.filter((timer) => timer.ns <= step.silence_ns && step.phase !== "established");
  const wide = right - left - 60, x = left + 30;
  const marks = expired.slice(-4).map((timer) => {
    const at = x + (wide * timer.ns) / step.silence_ns;
    return s("g", {}, s("line", { class: "timer", x1: at, x2: at, y1: y + 5, y2: y + 19 }), s("title", {}, `${timer.text}: ${timer.boxes.join(", ")} would have forgotten it here`));
  });
  const note = expired.length ? ` · past ${expired.at(-1).text} (${clip(expired.at(-1).boxes.join(", "), 40)})` : "";
  return s("g", {}, s("rect", { class: "timerfill", x, y: y + 8, width: wide, height: 8, rx: 4 }), ...marks,
    text((left + right) / 2, y + 30, `silent for ${duration(step.silence_ns)}${note}`, { "text-anchor": "middle", class: "soft" }));
}
