"""What must be found in a capture: the pattern's claims, plain counts, and the kernels' own states."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from lastack.lab.closes.pattern import Expected, Pattern
from lastack.lab.closes.stage import PORT, Stage
from lastack.lab.closes.talk import kernel_states
from lastack.lab.closes.verdicts import RIGHT, WRAPPED
from lastack.lab.netns import LabError
from lastack.lab.packet import ACK, FIN, RST, SYN, Segment

_Key = tuple[str, int, str, int]
#: Ports below this one count from the stage's first port.
_OFFSETS = 1000


@dataclass(frozen=True, slots=True)
class Label:
    """What is true of one played pattern.

    Attributes:
        about: What happened.
        tcp_packets: TCP packets in the capture.
        sessions: Each session, in the order of their first packets: fields of the session record, and
            `kernel_clt`, `kernel_srv`: the state that each host's own kernel was in at the end.
        causes: Verdicts that are right, as `verdicts.RIGHT`.
    """

    about: str
    tcp_packets: int
    sessions: list[Expected]
    causes: tuple[str, ...]


def label(pattern: Pattern, stage: Stage, segments: list[Segment]) -> Label:
    """Return the label of a capture.

    Counts per side are added only where the four-tuple is used once: what belongs to which of two sessions on
    one key is the pattern's claim to make.

    Raises:
        LabError: What was captured is not what the pattern claims.
    """
    sessions = [_with_ends(claim, pattern, stage) for claim in pattern.sessions]
    keys = [_key(session) for session in sessions]
    counts = _counts(segments, set(keys))
    states = kernel_states(stage, "clt"), kernel_states(stage, "srv")
    for session, key in zip(sessions, keys, strict=True):
        if keys.count(key) == 1:
            for name, value in counts[key].items():
                if session.setdefault(name, value) != value:
                    raise LabError(f"{pattern.name}: {name} is {value}, the pattern says {session[name]}")
            session["kernel_clt"] = states[0].get((key[1], key[3]), "CLOSED")
            session["kernel_srv"] = states[1].get((key[3], key[1]), "CLOSED")
    return Label(pattern.about, len(segments), sessions, RIGHT.get(pattern.name, WRAPPED))


def _with_ends(claim: Expected, pattern: Pattern, stage: Stage) -> Expected:
    port = claim.get("client_port", 0)
    assert isinstance(port, int)
    ends: Expected = {
        "client_ip": stage.shown[pattern.version], "client_port": 0,
        "server_ip": stage.server[pattern.version], "server_port": PORT,
    }  # fmt: skip
    return ends | claim | {"client_port": stage.clt_port + port if port < _OFFSETS else port}


def _key(session: Expected) -> _Key:
    return (
        str(session["client_ip"]), int(session["client_port"]),
        str(session["server_ip"]), int(session["server_port"]),
    )  # fmt: skip


def _counts(segments: list[Segment], keys: set[_Key]) -> dict[_Key, dict[str, int]]:
    found: dict[_Key, dict[str, int]] = defaultdict(dict)
    for key in keys:
        for name in ("packets", "bytes", "syn", "synack", "fin", "rst"):
            for side in ("clt", "srv"):
                found[key][f"{name}_{side}"] = 0
    for segment in segments:
        key, side = (segment.src, segment.sport, segment.dst, segment.dport), "clt"
        if key not in keys:
            key, side = (segment.dst, segment.dport, segment.src, segment.sport), "srv"
        if key not in keys:
            raise LabError(f"no session is claimed for {segment}")
        count = found[key]
        count[f"packets_{side}"] += 1
        count[f"bytes_{side}"] += 0 if segment.flags & RST else segment.payload
        count[f"syn_{side}"] += segment.flags & (SYN | ACK) == SYN
        count[f"synack_{side}"] += segment.flags & (SYN | ACK) == SYN | ACK
        count[f"fin_{side}"] += bool(segment.flags & FIN)
        count[f"rst_{side}"] += bool(segment.flags & RST)
    return found


def to_toml(labels: dict[str, Label], note: str) -> str:
    """Return labels as TOML: one table a pattern, one line a field; `note` becomes the comment at the top."""
    lines = [*(f"# {line}".rstrip() for line in note.splitlines()), ""]
    for name, entry in sorted(labels.items()):
        lines += [f"[{name}]", f"about = {_value(entry.about)}", f"tcp_packets = {entry.tcp_packets}"]
        if entry.causes:
            lines.append(f"causes = [{', '.join(_value(cause) for cause in entry.causes)}]")
        for session in entry.sessions:
            lines += ["", f"[[{name}.sessions]]"]
            lines += [f"{key} = {_value(value)}" for key, value in session.items()]
        lines.append("")
    return "\n".join(lines)


def from_toml(document: dict[str, Any]) -> dict[str, Label]:
    """Return the labels of a TOML document.

    Raises:
        LabError: It holds something else.
    """
    try:
        return {
            name: Label(
                entry["about"], entry["tcp_packets"], entry["sessions"], tuple(entry.get("causes", ()))
            )
            for name, entry in document.items()
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise LabError(f"not a file of labels: {error}") from error


def _value(value: object) -> str:
    if isinstance(value, int):
        return str(value)
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'
