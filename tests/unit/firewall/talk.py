"""Timelines in short: `0 >S 0 <SA 0 >A 1 >F 1 <A 31 <D` as packets, and what a box does to each."""

from __future__ import annotations

from dataclasses import dataclass

from tests.naive.packets import ACK, FIN, PSH, RST, SYN, Packet
from tests.naive.segments import to_segments

from lastack.app.profiles import load_profile
from lastack.firewall.compile import compile_box
from lastack.firewall.table import PHASE_CODE, Box, Ct
from lastack.replay.evaluate import evaluation
from lastack.replay.outcome import Action, Fate, Reason

S = 1_000_000_000
MOD = 1 << 32
ENDS = (("10.0.0.1", 40_000), ("10.0.0.2", 443))
HANDSHAKE = "0 >S 0 <SA 0 >A "
#: Both FINs, both acknowledged, at one second.
CLOSED = HANDSHAKE + "1 >F 1 <F 1 >A "
_FLAGS = {
    "S": SYN, "SA": SYN | ACK, "A": ACK, "D": PSH | ACK, "F": FIN | ACK, "R": RST, "RW": RST, "RO": RST,
    "FR": FIN | ACK, "N": SYN,
}  # fmt: skip
_PHASES = {code: phase.value for phase, code in PHASE_CODE.items()}


def talk(text: str, ends: tuple[tuple[str, int], tuple[str, int]] = ENDS) -> list[Packet]:
    """Return packets of a timeline: time in seconds and `>` or `<` with what the end sends.

    S SYN, SA SYN-ACK, A ACK, D 100 bytes, F FIN, FR the last FIN again, N a SYN with a new number; R a RST that is
    exact, RW one in the window, RO one outside of it.
    """
    words = text.split()
    isn = [1000, 5000]
    sent, got = [isn[0], isn[1]], [0, 0]
    packets = []
    for time, what in zip(words[::2], words[1::2], strict=True):
        me = 0 if what[0] == ">" else 1
        kind = what[1:]
        flags, payload = _FLAGS[kind], 100 if kind == "D" else 0
        if kind in ("S", "SA"):
            seq = isn[me]
        elif kind == "N":
            isn = [(number + 1_000_000) % MOD for number in isn]
            sent, seq = list(isn), isn[me]
        else:
            seq = sent[me] + {"RW": 7, "RO": -100_000}.get(kind, 0) - (kind == "FR")
        packets.append(
            Packet(
                round(float(time) * S), *ends[me], *ends[1 - me], seq % MOD, got[me] if flags & ACK else 0, flags,
                payload, number=len(packets) + 1,
            )
        )  # fmt: skip
        end = seq + payload + bool(flags & SYN) + bool(flags & FIN)
        if not flags & RST and end > sent[me]:
            sent[me] = end
        got[1 - me] = sent[me]
    return packets


@dataclass(frozen=True, slots=True)
class Seen:
    """What a box did: one letter a packet (`+` forward, `-` drop, `R` reset), the last phase, the session's fate."""

    verdicts: str
    reasons: tuple[Reason, ...]
    phases: tuple[str, ...]
    fates: tuple[Fate, ...]

    @property
    def last(self) -> str:
        """Verdict on the last packet."""
        return self.verdicts[-1]

    @property
    def gone_s(self) -> float | None:
        """When the last entry ended, in seconds; None if it did not."""
        gone = self.fates[-1].lives[-1].gone_ns
        return None if gone is None else gone / S


def box_of(name: str, **readings: str) -> Box:
    """Return a shipped profile as a box."""
    return compile_box(load_profile(name), None, readings or None)


def watch(box: Box | str, text: str, **readings: str) -> Seen:
    """Return what a box, or the profile of a name, does to a timeline."""
    box = box_of(box, **readings) if isinstance(box, str) else box
    fates, answers, _ = evaluation(to_segments(talk(text)), box)
    numbers = [int(answer) for answer in answers]
    linux = box.tables[0].linux is not None
    phases = [n >> 8 for n in numbers]
    return Seen(
        "".join("+-R"[Action(n & 15)] for n in numbers),
        tuple(Reason(n >> 4 & 15) for n in numbers),
        tuple((Ct(p).name if linux else _PHASES.get(p, "")) for p in phases),
        tuple(fates),
    )
