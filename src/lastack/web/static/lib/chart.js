// Charts on uPlot: stacked bars over time with brush to zoom, lines, and curves on logarithmic axes.
import uPlot from "../vendor/uPlot.esm.js";
import { css, duration, go, h, instant, isoTime, measured, short, size, words } from "./core.js";

const alive = new Map();

function draw(box, options, data) {
  alive.get(box)?.plot.destroy();
  box.replaceChildren();
  const make = () => {
    const plot = new uPlot({ width: box.clientWidth, height: box.clientHeight || 240, ...options() }, data, box);
    return plot;
  };
  const entry = { plot: make() };
  alive.set(box, entry);
  entry.again = () => {
    if (!box.isConnected || alive.get(box) !== entry) return;
    entry.plot.destroy();
    box.replaceChildren();
    entry.plot = make();
  };
  return entry;
}
const again = () => { for (const entry of alive.values()) entry.again(); };
addEventListener("themechange", again);
let pending = 0;
addEventListener("resize", () => { clearTimeout(pending); pending = setTimeout(again, 120); });

function axes(format, time = true, left = 58) {
  const common = { stroke: css("soft"), grid: { stroke: css("grid"), width: 1 }, ticks: { stroke: css("grid"), width: 1, size: 4 }, font: "12px system-ui, sans-serif" };
  const whole = format === short ? [1, 2, 5].flatMap((digit) => Array.from({ length: 13 }, (_, power) => digit * 10 ** power)).sort((a, b) => a - b) : undefined;
  const bottom = time ? { ...common, grid: { show: false }, values: timeTicks, space: 90 } : { ...common };
  return [bottom, { ...common, size: left, incrs: whole, values: (_, values) => values.map((value) => (value === null ? "" : format(value))) }];
}

function timeTicks(plot, values) {
  const span = plot.scales.x.max - plot.scales.x.min;
  let day = "";
  return values.map((value) => {
    const text = new Date(value * 1000).toISOString();
    const clock = span > 4 * 86400 ? "" : span > 600 ? text.slice(11, 16) : span > 8 ? text.slice(11, 19) : text.slice(14, 23);
    const date = text.slice(0, 10);
    const shown = date !== day ? (clock ? `${clock}\n${date}` : date) : clock || date;
    day = date;
    return shown;
  });
}

function tooltip(box, rows) {
  const tip = h("div.tip", { hidden: true });
  return {
    hooks: {
      ready: [(plot) => { plot.over.append(tip); plot.over.addEventListener("mouseleave", () => { tip.hidden = true; }); }],
      setCursor: [(plot) => {
        const { left, top, idx } = plot.cursor;
        const content = idx === null || idx === undefined || left < 0 ? null : rows(idx, plot);
        tip.hidden = !content;
        if (!content) return;
        tip.replaceChildren(...content);
        const right = left > plot.over.clientWidth / 2;
        tip.style.left = right ? "" : `${left + 14}px`;
        tip.style.right = right ? `${plot.over.clientWidth - left + 14}px` : "";
        tip.style.top = `${Math.max(0, Math.min(top - 20, plot.over.clientHeight - tip.offsetHeight))}px`;
      }],
    },
  };
}

const line = (colour, name, value) => h("div", {}, h("span.dot", { style: { background: colour } }), words(name), h("em", {}, value));
const NOTHING = "no session here";

/** Zoom into the time that was dragged over; a double click shows all again. */
function brush() {
  return {
    hooks: {
      ready: [(plot) => plot.over.addEventListener("dblclick", () => go({ from: null, to: null }))],
      setSelect: [(plot) => {
        const { left, width } = plot.select;
        if (width < 4) return;
        const [from, to] = [left, left + width].map((x) => plot.posToVal(x, "x") * 1e9);
        go({ from: isoTime(from), to: isoTime(to) });
      }],
    },
  };
}
const cursor = { drag: { x: true, y: false, setScale: false }, points: { show: false }, y: false };

function limits(chart, range) {
  const width = chart.width_ns / 1e9;
  const first = range?.from ? Date.parse(range.from) / 1e3 : chart.starts_ns[0] / 1e9;
  const last = range?.to ? Date.parse(range.to) / 1e3 : chart.starts_ns.at(-1) / 1e9 + width;
  return [Number.isFinite(first) ? first : chart.starts_ns[0] / 1e9, Number.isFinite(last) ? last : chart.starts_ns.at(-1) / 1e9 + width];
}

/** Draw stacked bars over time. `colours` gives the name of a CSS variable for each line. */
export function stacked(box, chart, { colours, range, label, only = null }) {
  if (!chart.starts_ns.length) { box.replaceChildren(h("p.none", {}, NOTHING)); return; }
  const width = chart.width_ns / 1e9;
  const starts = chart.starts_ns.map((ns) => ns / 1e9);
  const shown = chart.series.filter((one) => !only || one.name === only);
  const sums = starts.map(() => 0);
  const tops = shown.map((one) => one.values.map((value, place) => (sums[place] += value ?? 0)));
  const most = Math.max(1, ...sums);
  const bars = (plot, first, last) => {
    const { ctx } = plot;
    ctx.save();
    ctx.beginPath();
    ctx.rect(plot.bbox.left, plot.bbox.top, plot.bbox.width, plot.bbox.height);
    ctx.clip();
    const step = plot.valToPos(starts[0] + width, "x", true) - plot.valToPos(starts[0], "x", true);
    const gap = Math.min(2 * devicePixelRatio, step * 0.14);
    const zero = plot.valToPos(0, "y", true);
    for (let one = shown.length - 1; one >= 0; one--) {
      ctx.fillStyle = css(colours(shown[one], chart.series.indexOf(shown[one])));
      for (let place = 0; place < starts.length; place++) {
        if (!shown[one].values[place]) continue;
        const left = plot.valToPos(starts[place], "x", true);
        const top = plot.valToPos(tops[one][place], "y", true);
        const below = one ? plot.valToPos(tops[one - 1][place], "y", true) : zero;
        ctx.fillRect(left + gap / 2, Math.min(top, below - devicePixelRatio), Math.max(step - gap, devicePixelRatio), Math.max(below - top, devicePixelRatio));
      }
    }
    ctx.restore();
  };
  const rows = (idx, plot) => {
    const at = Math.floor((plot.posToVal(plot.cursor.left, "x") - starts[0]) / width);
    if (at < 0 || at >= starts.length) return null;
    const lines = shown.filter((one) => one.values[at]).reverse();
    return [h("b", {}, `${instant(chart.starts_ns[at], width < 1 ? 3 : 0)} · ${duration(chart.width_ns)}`), ...(lines.length ? lines.map((one) => line(css(colours(one, chart.series.indexOf(one))), one.name, measured(one.values[at], one.unit))) : [NOTHING])];
  };
  const [first, last] = limits(chart, range);
  draw(box, () => ({
    padding: [10, 8, 0, 0],
    cursor,
    legend: { show: false },
    scales: { x: { time: true, range: [first, last] }, y: { range: [0, most * 1.06] } },
    axes: axes(short),
    series: [{}, { paths: () => null, points: { show: false } }],
    plugins: [brush(), tooltip(box, rows), { hooks: { draw: [bars] } }],
  }), [starts, sums]);
  box.setAttribute("role", "img");
  box.setAttribute("aria-label", `${label}: ${shown.map((one) => `${words(one.name)} ${short(one.values.reduce((sum, value) => sum + (value ?? 0), 0))}`).join(", ")}`);
}

const PALETTE = ["accent", "warn", "good", "half", "srv", "lost", "failed", "bad", "idle", "fine"];
export const palette = (place) => PALETTE[place % PALETTE.length];

/** Draw lines over time. */
export function lines(box, chart, { colours = (_, place) => palette(place), range, label, fill = false }) {
  if (!chart.starts_ns.length) { box.replaceChildren(h("p.none", {}, NOTHING)); return; }
  const starts = chart.starts_ns.map((ns) => ns / 1e9);
  const values = chart.series.map((one) => one.values.map((value) => (value === "Infinity" ? null : value)));
  const unit = chart.series[0]?.unit, percent = chart.series[0]?.percent;
  const rows = (idx) => [h("b", {}, instant(chart.starts_ns[idx], 0)), ...chart.series.map((one, place) => line(css(colours(one, place)), one.name, measured(one.values[idx], one.unit, one.percent)))];
  const [first, last] = limits(chart, range);
  draw(box, () => ({
    padding: [10, 8, 0, 0],
    cursor: { ...cursor, points: { show: true, size: 6 } },
    legend: { show: false },
    scales: { x: { time: true, range: [first, last] }, y: { range: (_, low, high) => [Math.min(0, low ?? 0), (high || 1) * 1.06] } },
    axes: axes((value) => (unit === "count" ? short(value) : measured(value, unit, percent)), true, 68),
    series: [{}, ...chart.series.map((one, place) => ({ stroke: css(colours(one, place)), width: 1.8, spanGaps: false, points: { show: chart.starts_ns.length < 3 }, fill: fill ? `${css(colours(one, place))}30` : undefined }))],
    plugins: [brush(), tooltip(box, rows)],
  }), [starts, ...values]);
  box.setAttribute("role", "img");
  box.setAttribute("aria-label", label);
}

const decades = (_, __, low, high) => {
  const found = [];
  for (let power = Math.ceil(Math.log10(low) - 1e-9); power <= Math.log10(high) + 1e-9; power++) found.push(+`1e${power}`);
  return found;
};
const all = (_, values) => values;
/** Those of some values that stand far enough apart on a logarithmic axis for their names. */
const apart = (plot, values) => {
  const { min, max } = plot.scales.x, wide = plot.bbox.width / devicePixelRatio / Math.log10(max / min);
  let before = 0;
  return values.filter((value) => { const far = !before || Math.log10(value / before) * wide >= 46; if (far) before = value; return far; });
};
const KNOWN_S = [1, 5, 10, 30, 60, 300, 600, 1800, 3600, 6 * 3600, 86400];

/** Draw the share of sessions above each size (CCDF) on logarithmic axes, with marks across. */
export function ccdf(box, found, { marks = [], label }) {
  const names = Object.keys(found.counts);
  const sums = names.map((name) => found.counts[name].reduce((sum, value) => sum + value, 0));
  if (!found.up_to.length || !sums.some(Boolean)) { box.replaceChildren(h("p.none", {}, "no session with a known value")); return; }
  const edges = found.up_to.map((edge) => Math.max(edge, 1));
  const curves = names.map((name, which) => {
    let above = sums[which];
    return found.up_to.map((_, place) => { above -= found.counts[name][place] ?? 0; return above > 0 ? above / sums[which] : null; });
  });
  // From the left edge on, all of them last longer.
  const begin = edges[0] / 1.3;
  const x = [begin, ...edges];
  const y = curves.map((curve) => [1, ...curve]);
  const least = Math.min(...y.flat().filter(Boolean)) / 1.5;
  const format = found.unit === "ns" ? duration : found.unit === "bytes" ? size : short;
  const high = Math.max(edges.at(-1) * 1.2, ...marks.filter((mark) => mark.ns < edges.at(-1) * 20).map((mark) => mark.ns * 1.3));
  const acrosses = (plot) => {
    const { ctx } = plot, scale = devicePixelRatio;
    ctx.save();
    ctx.font = `${11.5 * scale}px system-ui, sans-serif`;
    const shown = marks.filter((mark) => mark.ns >= begin && mark.ns <= high).map((mark) => ({ ...mark, at: plot.valToPos(mark.ns, "x", true) }));
    ctx.strokeStyle = css("soft");
    ctx.setLineDash([3 * scale, 3 * scale]);
    for (const { at } of shown) {
      ctx.beginPath();
      ctx.moveTo(at, plot.bbox.top);
      ctx.lineTo(at, plot.bbox.top + plot.bbox.height);
      ctx.stroke();
    }
    // Names come after all lines, with an edge of the card's colour: a line through a name makes it unreadable.
    ctx.setLineDash([]);
    ctx.strokeStyle = css("card");
    ctx.lineWidth = 5 * scale;
    ctx.lineJoin = "round";
    let before = -1e9;
    for (const mark of shown) {
      const { at } = mark;
      if (at - before < 16 * scale) continue;
      before = at;
      const name = mark.boxes[0].split(",")[0];
      const text = `${mark.text.replace(/ 0 s$/, "")} · ${name.length > 30 ? `${name.slice(0, 29)}…` : name}${mark.boxes.length > 1 ? ` +${mark.boxes.length - 1}` : ""}`;
      ctx.save();
      ctx.translate(at - 6 * scale, plot.bbox.top + 4 * scale);
      ctx.rotate(-Math.PI / 2);
      ctx.textAlign = "right";
      ctx.fillStyle = css("soft");
      ctx.strokeText(text, 0, 0);
      ctx.fillText(text, 0, 0);
      ctx.restore();
    }
    ctx.restore();
  };
  const rows = (idx) => [h("b", {}, `longer than ${format(x[idx])}`), ...names.map((name, which) => line(css(palette(which)), name, y[which][idx] === null ? "none" : `${(100 * y[which][idx]).toPrecision(3)} %`))];
  draw(box, () => ({
    padding: [10, 14, 0, 0],
    cursor: { drag: { x: false, y: false }, y: false, points: { size: 6 } },
    legend: { show: false },
    scales: { x: { time: false, distr: 3, range: [begin, high] }, y: { distr: 3, range: [least, 1.3] } },
    axes: (() => {
      const [bottom, left] = axes((value) => `${+(value * 100).toPrecision(3)} %`, false, 64);
      const steps = found.unit === "ns" ? (...given) => [...decades(...given).filter((ns) => ns <= 10e9), ...KNOWN_S.filter((seconds) => [60, 600, 3600, 86400].includes(seconds)).map((seconds) => seconds * 1e9).filter((ns) => ns <= given[3])] : decades;
      return [{ ...bottom, splits: steps, filter: all, values: (_, values) => values.map(format) }, { ...left, splits: decades, filter: all }];
    })(),
    series: [{}, ...names.map((_, which) => ({ stroke: css(palette(which)), width: 2, points: { show: false }, paths: uPlot.paths.stepped({ align: 1 }) }))],
    plugins: [tooltip(box, rows), { hooks: { drawAxes: [acrosses] } }],
  }), [x, ...y]);
  box.setAttribute("role", "img");
  box.setAttribute("aria-label", label);
}

/** Draw curves over a quantity on a logarithmic axis; `mark` stands at the present value. */
export function curves(box, x, series, { unit = "ns", mark = null, label, onPick = null }) {
  const format = unit === "ns" ? duration : short;
  const across = (plot) => {
    if (!mark) return;
    const { ctx } = plot, at = plot.valToPos(mark, "x", true);
    ctx.save();
    ctx.strokeStyle = css("accent");
    ctx.lineWidth = 1.5 * devicePixelRatio;
    ctx.setLineDash([4, 4]);
    ctx.beginPath();
    ctx.moveTo(at, plot.bbox.top);
    ctx.lineTo(at, plot.bbox.top + plot.bbox.height);
    ctx.stroke();
    ctx.restore();
  };
  const rows = (idx) => [h("b", {}, format(x[idx])), ...series.map((one) => line(css(one.colour), one.name, (one.format ?? short)(one.values[idx])))];
  draw(box, () => ({
    padding: [10, 14, 0, 0],
    cursor: { drag: { x: false, y: false }, y: false, points: { size: 6 } },
    legend: { show: false },
    scales: { x: { time: false, distr: 3 }, y: { range: (_, low, high) => [0, (high || 1) * 1.08] } },
    axes: (() => { const [bottom, left] = axes(short, false, 62); return [{ ...bottom, filter: all, splits: unit === "ns" ? (plot, __, low, high) => apart(plot, KNOWN_S.map((seconds) => seconds * 1e9).filter((ns) => ns >= low * 0.99 && ns <= high * 1.01)) : undefined, values: (_, values) => values.map((value) => (value === null ? "" : format(value))) }, left]; })(),
    series: [{}, ...series.map((one) => ({ stroke: css(one.colour), width: 2, dash: one.dash, points: { show: false }, fill: one.fill ? `${css(one.colour)}28` : undefined }))],
    plugins: [tooltip(box, rows), { hooks: { draw: [across], ready: [(plot) => { if (onPick) plot.over.addEventListener("click", () => { if (plot.cursor.idx !== null) onPick(plot.cursor.idx); }); }] } }],
  }), [x, ...series.map((one) => one.values)]);
  box.setAttribute("role", "img");
  box.setAttribute("aria-label", label);
}
