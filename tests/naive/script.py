"""Timelines that a network engineer reads (`tests/scripts/*.pkts`), turned into packets and expectations.

A line is a packet, an `expect`, a setting or a comment (`#`):

    ends 10.0.0.1:40000 10.0.0.2:80      the first end (`>`) and the second (`<`); these are the defaults
    isn > 1000                           first sequence number of an end (100 and 500)
    0.000 > S                            time, direction, flags (S A F R P U E C, `-` for none)
    +0.5  < PA 100 win=0                 time after the packet before; 100 bytes; a window
    1.000 > A seq=-1 ack=+5 len=1        relative to what the end would say; without a sign: as written
    1.000 > PA 60000 times=9 every=0.001 nine segments in a row
    1.000 > PA 100 lost                  the other end does not get it, so it will not acknowledge it
    2.000 < ICMP type=3 code=1           an ICMP error that quotes the other end's SYN
    expect opening=refused ending=never_opened
    expect 2 previous=1                  the second row, when there are several; `expect rows=2` counts them
    verdict cause=refused actor=server   what the rules say at the end of the script; `a|b` allows either

An `expect` speaks of the packets above it, as if the capture ended there. Numbers continue by themselves: seq is what
the end has sent, ack what it got. More settings of a packet: `port=` (port of the first end, with numbers of its own),
`isn=` (a SYN with a new first number), `ttl=`, `ipid=`, `wscale=`. Times in expectations: durations `1.5s`, moments
`@0.030`. `evidence=0` counts entries, `evidence.rst_by=client` looks into the one; gaps are
`phase@start+length/bytes/bytes/packets/packets` (packets may be left out), marks
`from-age/bytes/bytes/packets/packets`, retries `kind@moment/by` with `/answered` after a SYN-ACK.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.naive.engines import Engine
from tests.naive.packets import ACK, FIN, SYN, Icmp, Packet
from tests.naive.rows import Row

from lastack.model.fields import BY_NAME, EVIDENCE_MEMBERS
from lastack.model.units import parse_duration_ns

MOD = 1 << 32
BASE_NS = 1_700_000_000_000_000_000
LETTERS = {"F": 1, "S": 2, "R": 4, "P": 8, "A": 16, "U": 32, "E": 64, "C": 128, "-": 0}
PACKET_WORDS = {
    "seq",
    "ack",
    "len",
    "win",
    "ttl",
    "ipid",
    "wscale",
    "port",
    "isn",
    "times",
    "every",
    "type",
    "code",
}


class ScriptError(Exception):
    """A line of a script cannot be read; the text names file and line."""


@dataclass(slots=True)
class End:
    """One end of one four-tuple while the script is read."""

    isn: int
    nxt: int
    got: int
    window: int = 65535


@dataclass(frozen=True, slots=True)
class Expectation:
    """What the rows must say after the first `packets` packets."""

    line: int
    packets: int
    row: int | None
    values: dict[str, str]


@dataclass(slots=True)
class Script:
    """A script as read."""

    packets: list[Packet] = field(default_factory=list)
    expectations: list[Expectation] = field(default_factory=list)
    verdicts: list[Expectation] = field(default_factory=list)


class Reader:
    """Reads the lines of one script."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.script = Script()
        self.ends = [("10.0.0.1", 40000), ("10.0.0.2", 80)]
        self.isns = [100, 500]
        self.talks: dict[int, tuple[End, End]] = {}
        self.now_ns = 0
        self.line = 0

    def read(self, text: str) -> Script:
        """Return the script."""
        for self.line, raw in enumerate(text.splitlines(), 1):
            words = raw.split("#", 1)[0].split()
            try:
                self._line(words)
            except (ValueError, KeyError, IndexError) as error:
                raise ScriptError(f"{self.name}:{self.line}: cannot read {raw.strip()!r}: {error}") from error
        return self.script

    def _line(self, words: list[str]) -> None:
        if not words:
            return
        if words[0] == "ends":
            self.ends = [_end(word) for word in words[1:3]]
        elif words[0] == "isn":
            self.isns["><".index(words[1])] = int(words[2]) % MOD
        elif words[0] == "expect":
            self.script.expectations.append(self._expectation(words[1:]))
        elif words[0] == "verdict":
            self.script.verdicts.append(self._expectation(words[1:]))
        else:
            self._packet(words)

    def _expectation(self, words: list[str]) -> Expectation:
        row = int(words.pop(0)) if "=" not in words[0] else None
        values = dict(word.split("=", 1) for word in words)
        members = {f"evidence.{member.name}" for member in EVIDENCE_MEMBERS}
        known = {*BY_NAME, *members, "rows", "previous"}
        unknown = [name for name in values if name not in known]
        if unknown:
            raise ValueError(f"no field {unknown[0]}")
        return Expectation(self.line, len(self.script.packets), row, values)

    def _packet(self, words: list[str]) -> None:
        time, arrow, letters, *rest = words
        seconds = round(float(time) * 1e9)
        self.now_ns = self.now_ns + seconds if time[0] == "+" else seconds
        options = {"len": rest.pop(0)} if rest and rest[0].isdigit() else {}
        options |= dict(word.split("=", 1) for word in rest if word != "lost")
        if not options.keys() <= PACKET_WORDS:
            raise ValueError(f"no option {min(options.keys() - PACKET_WORDS)}")
        who = "><".index(arrow)
        pair = self._talk(int(options.get("port", self.ends[0][1])))
        if letters == "ICMP":
            self._quote(who, pair, options)
            return
        flags = sum(LETTERS[letter] for letter in letters)
        every_ns = round(float(options.get("every", "0")) * 1e9)
        for i in range(int(options.get("times", "1"))):
            self.now_ns += every_ns if i else 0
            self._segment(who, pair, flags, options, "lost" in rest)

    def _talk(self, port: int) -> tuple[int, tuple[End, End]]:
        if port not in self.talks:
            first, second = self.isns
            self.talks[port] = (End(first, first, second), End(second, second, first))
        return port, self.talks[port]

    def _addresses(self, who: int, port: int) -> tuple[str, int, str, int]:
        first, second = (self.ends[0][0], port), self.ends[1]
        return (*first, *second) if who == 0 else (*second, *first)

    def _segment(
        self, who: int, pair: tuple[int, tuple[End, End]], flags: int, options: dict[str, str], lost: bool
    ) -> None:
        port, ends = pair
        me, other = ends[who], ends[1 - who]
        if "isn" in options:
            me.isn = me.nxt = int(options["isn"]) % MOD
        me.window = int(options.get("win", me.window))
        length = int(options.get("len", "0"))
        seq = _number(options.get("seq"), me.isn if flags & SYN else me.nxt)
        ack = _number(options.get("ack"), me.got if flags & ACK else 0)
        src, sport, dst, dport = self._addresses(who, port)
        packets = self.script.packets
        packets.append(
            Packet(
                BASE_NS + self.now_ns, src, sport, dst, dport, seq, ack, flags, length, me.window,
                int(options["wscale"]) if "wscale" in options else None, int(options.get("ttl", "64")),
                None if ":" in src else int(options.get("ipid", "0")), number=len(packets) + 1,
            )
        )  # fmt: skip
        if flags & LETTERS["R"]:
            return
        end = (seq + bool(flags & SYN) + length + bool(flags & FIN)) % MOD
        if flags & SYN or (end - me.nxt) % MOD < MOD // 2:
            me.nxt = end
        if not lost:
            other.got = me.nxt

    def _quote(self, who: int, pair: tuple[int, tuple[End, End]], options: dict[str, str]) -> None:
        port, ends = pair
        src, sport, dst, dport = self._addresses(1 - who, port)
        seq = _number(options.get("seq"), ends[1 - who].isn)
        icmp = Icmp(":" in src, int(options["type"]), int(options.get("code", "0")))
        packets = self.script.packets
        packets.append(
            Packet(
                BASE_NS + self.now_ns, src, sport, dst, dport, seq, 0, 0, number=len(packets) + 1, icmp=icmp
            )
        )


def _end(word: str) -> tuple[str, int]:
    address, port = word.rsplit(":", 1)
    return address.strip("[]"), int(port)


def _number(text: str | None, default: int) -> int:
    if text is None:
        return default
    return (default + int(text)) % MOD if text[0] in "+-" else int(text) % MOD


def read_script(path: Path) -> Script:
    """Return a script file as packets and expectations."""
    return Reader(path.name).read(path.read_text(encoding="utf-8"))


def wanted(name: str, text: str) -> Any:
    """Return the value that the text of an expectation names, in the form of a row."""
    if name in ("rows", "previous", "evidence") or text == "null":
        return None if text == "null" else int(text)
    member = name.removeprefix("evidence.")
    field = next(f for f in EVIDENCE_MEMBERS if f.name == member) if member != name else BY_NAME[name]
    kind, unit = field.type, field.unit
    if kind == "list":
        one_of = {"gaps": _gap, "marks": _mark, "retries": _retry}
        return [one_of[name](one) for one in text.split(",") if one not in ("", "none")]
    if kind == "bool":
        return {"yes": True, "no": False}[text]
    if kind in ("enum", "string", "address"):
        return "" if text == "''" else text
    if unit.startswith("ns"):
        return _moment(text) if text.startswith("@") else parse_duration_ns(text)
    return int(text)


def _moment(text: str) -> int:
    return BASE_NS + round(float(text[1:]) * 1e9)


def _gap(text: str) -> tuple[Any, ...]:
    phase, rest = text.split("@")
    start, rest = rest.split("+")
    length, *sent = rest.split("/")
    return phase, _moment("@" + start), parse_duration_ns(length), *map(int, sent)


def _mark(text: str) -> tuple[int, ...]:
    since, rest = text.split("-")
    age, *sent = rest.split("/")
    return parse_duration_ns(since), parse_duration_ns(age), *map(int, sent)


def _retry(text: str) -> tuple[Any, ...]:
    kind, rest = text.split("@")
    ns, by, *answered = rest.split("/")
    return _moment("@" + ns), by, kind, bool(answered)


def run_script(path: Path, engine: Engine) -> list[str]:
    """Return what an engine's rows say otherwise than a script expects, one line each, empty if nothing."""
    script = read_script(path)
    found: list[str] = []
    known: dict[int, list[Row]] = {}
    for expectation in script.expectations:
        if expectation.packets not in known:
            known[expectation.packets] = ordered(engine(script.packets[: expectation.packets]))
        rows = known[expectation.packets]
        found += [f"{path.name}:{expectation.line}: {text}" for text in check(rows, expectation)]
    return found


def ordered(rows: Sequence[Row]) -> list[Row]:
    """Return rows in the order of their first packets, `previous` as the number of a row from 1."""
    order = sorted(range(len(rows)), key=lambda i: rows[i]["first_packet"])
    numbers = {old: new for new, old in enumerate(order, 1)}
    return [
        rows[i] | {"previous": None if rows[i]["previous"] is None else numbers[rows[i]["previous"]]}
        for i in order
    ]


def check(rows: list[Row], expectation: Expectation) -> list[str]:
    """Return what rows say otherwise than one expectation."""
    values = dict(expectation.values)
    count = int(values.pop("rows", len(rows) if expectation.row else 1))
    if len(rows) != count:
        return [f"{len(rows)} rows, expected {count}"]
    if not values:
        return []
    if expectation.row is None and len(rows) > 1:
        return ["several rows: say which one"]
    row = rows[(expectation.row or 1) - 1]
    found = []
    for name, text in values.items():
        value, expected = value_of(row, name), wanted(name, text)
        if name == "gaps" and len(value) == len(expected):
            # packets need not be told
            value = [gap[: len(other)] for gap, other in zip(value, expected, strict=True)]
        if value != expected:
            found.append(f"{name} is {value!r}, expected {expected!r}")
    return found


def value_of(row: Row, name: str) -> Any:
    """Return a field of a row, or a member of its evidence (`evidence` itself: how many entries there are)."""
    if name == "evidence":
        return len(row["evidence"])
    if name.startswith("evidence."):
        return row["evidence"][0][name.removeprefix("evidence.")] if row["evidence"] else "no evidence"
    return row[name]
