"""A session's packets as a ladder: two lifelines with the state of each end, an arrow for each packet, idle time.

The layout is chosen once from the widest cell of each column: full names of states if they fit, short ones (as in
RFC 9293, figure 5) if not; then the window gives way, then the TTL. Sequence numbers stay.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from lastack.model.batch import FIN, RST, SYN
from lastack.model.enums import EndpointState
from lastack.model.units import NS_PER_S, format_duration, format_size
from lastack.tracking.ladder import Fold, Rung
from lastack.view.cells import plural

#: A silence from here on gets a line of its own.
IDLE_NS = NS_PER_S
_SHORT = {
    EndpointState.SYN_RECEIVED: "SYN_RCVD",
    EndpointState.ESTABLISHED: "ESTAB",
    EndpointState.UNKNOWN: "",
}
_LEAST_ARROW, _MOST_ARROW = 15, 40
_LONG_LABEL = 20  # labels beyond this may be cut: they must not cost others their columns
_MEASURED = 2_000  # packets at each end of a long ladder that decide its widths
_LETTERS = "FSRPAUEC"
_RED, _GREEN, _YELLOW, _DIM, _BOLD, _PLAIN = (
    "\x1b[31m",
    "\x1b[32m",
    "\x1b[33m",
    "\x1b[2m",
    "\x1b[1m",
    "\x1b[0m",
)
_ICMP_ERRORS = {
    (3, 0): "net unreachable",
    (3, 1): "host unreachable",
    (3, 2): "protocol unreachable",
    (3, 3): "port unreachable",
    (3, 4): "too big",
    (3, 9): "net prohibited",
    (3, 10): "host prohibited",
    (3, 13): "prohibited",
    (11, 0): "TTL exceeded",
    (1, 0): "no route",
    (1, 1): "prohibited",
    (1, 3): "address unreachable",
    (1, 4): "port unreachable",
}


@dataclass(frozen=True, slots=True)
class _Cells:
    """One line of the ladder before its widths are known; an arrow points right, left or nowhere."""

    number: str = ""
    time: str = ""
    clt: str = ""
    srv: str = ""
    label: str = ""
    arrow: str = ""
    seq: str = ""
    ack: str = ""
    window: str = ""
    ttl: str = ""
    style: str = ""


def render_ladder(
    steps: Sequence[Rung | Fold],
    width: int = 80,
    colour: bool = False,
    proof: Collection[int] = (),
    captures: Sequence[str] = (),
) -> str:
    """Return the ladder as lines of text.

    Args:
        steps: Packets and folded stretches, in order.
        width: Characters of a line.
        colour: Show colours.
        proof: Numbers of packets that prove the verdict; they get a mark.
        captures: Captures that the packets are from; with several, each packet says from which.
    """
    return "".join(line + "\n" for line in ladder_lines(steps, width, colour, proof, captures))


def ladder_lines(
    steps: Sequence[Rung | Fold],
    width: int = 80,
    colour: bool = False,
    proof: Collection[int] = (),
    captures: Sequence[str] = (),
) -> Iterator[str]:
    """Yield the lines of `render_ladder`."""
    layout = _fitted(steps, width, proof, len(captures) > 1)
    cells = list(_all_cells(steps, layout, proof, len(captures) > 1))
    yield _styled(layout.line(layout.head()), _DIM, colour)
    for cell in cells:
        yield _styled(layout.line(cell), cell.style, colour)


def _styled(text: str, style: str, colour: bool) -> str:
    return f"{style}{text}{_PLAIN}" if colour and style else text


@dataclass(slots=True)
class _Layout:
    """Widths, and which columns are there.

    Attributes:
        full_names: States have their full names.
        digits: Digits of a second.
        columns: Columns at the right.
        short: PSH is not named.
        plain: Numbers have no thousands separators.
    """

    full_names: bool
    digits: int
    columns: tuple[str, ...]
    short: bool = False
    plain: bool = False
    number: int = 0
    time: int = 0
    state: int = 0
    arrow: int = _LEAST_ARROW
    widths: dict[str, int] | None = None
    width: int = 80

    def head(self) -> _Cells:
        """Return the line of titles."""
        return _Cells(
            "packet" if self.full_names else "no.",
            "time s",
            "client",
            "server",
            "",
            "",
            "seq",
            "ack",
            "window",
            "ttl",
        )

    def total(self) -> int:
        """Return the characters of a line."""
        rest = sum(2 + (self.widths or {})[name] for name in self.columns)
        return self.number + 2 + self.time + 2 + self.state + 1 + self.arrow + 1 + self.state + rest

    def line(self, cells: _Cells) -> str:
        """Return one line."""
        parts = [cells.number.rjust(self.number), "  ", cells.time.rjust(self.time), "  "]
        parts += [cells.clt.rjust(self.state), " ", _arrow(cells, self.arrow), " "]
        if cells.arrow == "fold":
            return self._fold(cells.label)
        parts.append(cells.srv.ljust(self.state))
        for name in self.columns:
            parts += ["  ", str(getattr(cells, name)).rjust((self.widths or {})[name])]
        return "".join(parts).rstrip()

    def _fold(self, text: str) -> str:
        """Return the line of a folded stretch, which begins at the lifeline if it can, and drops what does not fit."""
        indent = self.number + 2 + self.time + 2 + self.state + 1
        if indent + len(text) > self.width:
            indent = self.number + 2
        while indent + len(text) > self.width and ", " in text:
            text = text.rpartition(", ")[0]
        return " " * indent + text


def _arrow(cells: _Cells, width: int) -> str:
    """Return the part between the lifelines, lifelines included."""
    inner = width - 2
    room = inner - 2 if cells.arrow == "idle" else inner - 4
    label = cells.label if len(cells.label) <= room else f"{cells.label[: room - 1]}…"
    label = f" {label} " if label else ""
    match cells.arrow:
        case ">":
            return "├─" + label + "─" * (inner - 2 - len(label)) + "►│"
        case "<":
            return "│◄" + "─" * (inner - 2 - len(label)) + label + "─┤"
        case "icmp>":  # an error comes back from somewhere on the way, to the end whose segment it quotes
            return "│" + "╌" * 2 + label + "╌" * (inner - 3 - len(label)) + "►│"
        case "icmp<":
            return "│◄" + "╌" * (inner - 3 - len(label)) + label + "╌╌│"
        case "idle":
            return "┊" + label.center(inner, "·" if label else " ") + "┊"
        case "fold":
            return ""
    return " " * width


def _fitted(steps: Sequence[Rung | Fold], width: int, proof: Collection[int], several: bool) -> _Layout:
    rungs = _telling([step for step in steps if isinstance(step, Rung)])
    longest = max((abs(rung.since_ns) for rung in rungs), default=0)
    digits = 6 if longest < 1000 * NS_PER_S else 3 if longest < 1_000_000 * NS_PER_S else 0
    everything = ("seq", "ack", "window", "ttl")
    layout = _Layout(True, digits, everything)
    for full_names, short, plain, columns in (
        (True, False, False, everything),
        (False, False, False, everything),
        (False, True, False, everything),
        (False, True, False, ("seq", "ack", "ttl")),
        (False, True, False, ("seq", "ack")),
        (False, True, True, ("seq", "ack")),
        (False, True, True, ("seq",)),
        (False, True, True, ()),
    ):
        layout = _measured(_Layout(full_names, digits, columns, short, plain), rungs, proof, several)
        if layout.total() <= width:
            break
    layout.width, spare = width, width - layout.total()
    layout.arrow = max(8, min(_MOST_ARROW, layout.arrow + spare))
    return layout


def _telling(rungs: list[Rung]) -> list[Rung]:
    """Return the packets that decide widths: of very many those at the ends and those with the largest numbers."""
    if len(rungs) <= 2 * _MEASURED:
        return rungs
    keys: tuple[Callable[[Rung], int], ...] = (
        lambda rung: rung.packet,
        lambda rung: abs(rung.since_ns),
        lambda rung: abs(rung.seq),
        lambda rung: abs(rung.ack or 0),
        lambda rung: rung.window or 0,
        lambda rung: rung.payload,
    )
    return [*rungs[:_MEASURED], *rungs[-_MEASURED:], *(max(rungs, key=key) for key in keys)]


def _measured(layout: _Layout, rungs: list[Rung], proof: Collection[int], several: bool) -> _Layout:
    cells = [layout.head(), *_all_cells(rungs, layout, proof, several)]
    layout.number = max(len(cell.number) for cell in cells)
    layout.time = max(len(cell.time) for cell in cells)
    layout.state = max(len(text) for cell in cells for text in (cell.clt, cell.srv))
    longest = max(len(cell.label) for cell in cells if cell.arrow != "idle")
    layout.arrow = max(_LEAST_ARROW, min(longest, _LONG_LABEL) + 6)
    layout.widths = {name: max(len(str(getattr(cell, name))) for cell in cells) for name in layout.columns}
    return layout


def _all_cells(
    steps: Sequence[Rung | Fold], layout: _Layout, proof: Collection[int], several: bool
) -> Iterator[_Cells]:
    """Yield the cells of every line; a state is named where it changes."""
    states: tuple[Any, Any] = (EndpointState.UNKNOWN, EndpointState.UNKNOWN)
    latest = 0
    for step in steps:
        if isinstance(step, Fold):
            yield _Cells(label=_fold_text(step), arrow="fold", style=_DIM)
            continue
        if step.silence_ns >= IDLE_NS:
            yield _Cells(label=f"{format_duration(step.silence_ns)} idle", arrow="idle", style=_DIM)
        if latest - step.since_ns >= IDLE_NS:
            back = format_duration(latest - step.since_ns)
            yield _Cells(label=f"clock -{back}", arrow="idle", style=_DIM)
        latest = step.since_ns
        now = (step.state_clt, step.state_srv)
        clt, srv = ("" if a == b else _state(b, layout) for a, b in zip(states, now, strict=True))
        states = now
        yield _rung_cells(step, clt, srv, layout, proof, several)


def _rung_cells(
    rung: Rung, clt: str, srv: str, layout: _Layout, proof: Collection[int], several: bool
) -> _Cells:
    number = rung.packet
    text = f"{number:,}" if not several else f"{chr(65 + rung.capture % 26)}:{number:,}"
    comma = "" if layout.plain else ","
    proves = number in proof
    time = f"{rung.since_ns / NS_PER_S:.{layout.digits}f}"
    if rung.icmp is not None:
        what = _ICMP_ERRORS.get(rung.icmp, f"type {rung.icmp[0]} code {rung.icmp[1]}")
        label = f"ICMP {what}"
        arrow = "icmp<" if rung.from_client else "icmp>"
    else:
        label, arrow = _label(rung, layout.short), ">" if rung.from_client else "<"
    window = "" if rung.window is None else f"{rung.window:,}{'' if rung.scaled or not rung.window else '?'}"
    return _Cells(
        ("● " if proves else "") + text,
        time,
        clt,
        srv,
        label,
        arrow,
        f"{rung.seq:{comma}}",
        "" if rung.ack is None else f"{rung.ack:{comma}}",
        window,
        str(rung.ttl) if rung.icmp is None else "",
        _style(rung),
    )


def _label(rung: Rung, short: bool) -> str:
    names = [name for name in rung.flag_names if not (short and name == "PSH")]
    flags = " ".join(names) or "no flag"
    if len(names) > 3:
        flags = "".join(letter for bit, letter in enumerate(_LETTERS) if rung.flags >> bit & 1)
    payload = f" {rung.payload:,}" if rung.payload else ""
    marks = f" {', '.join(rung.marks)}" if rung.marks else ""
    return f"{flags}{payload}{marks}"


def _style(rung: Rung) -> str:
    if rung.icmp is not None or rung.flags & RST:
        return _RED
    if rung.flags & FIN:
        return _YELLOW
    if rung.flags & SYN:
        return _GREEN
    return ""


def _state(state: EndpointState, layout: _Layout) -> str:
    if state is EndpointState.UNKNOWN:
        return ""
    return state.name if layout.full_names else _SHORT.get(state, state.name)


def _fold_text(fold: Fold) -> str:
    parts = [f"{plural(fold.packets, 'packet')} in {format_duration(fold.lasted_ns)}"]
    if fold.bytes_clt:
        parts.append(f"{format_size(fold.bytes_clt)} →")
    if fold.bytes_srv:
        parts.append(f"{format_size(fold.bytes_srv)} ←")
    if fold.retx:
        parts.append(f"{fold.retx:,} again")
    if fold.keepalives:
        parts.append(plural(fold.keepalives, "keepalive"))
    if fold.silence_ns >= IDLE_NS:
        parts.append(f"idle up to {format_duration(fold.silence_ns)}")
    return f"⋮  {', '.join(parts)}"
