"""Labs with a capture: what is played or run in one is written as pcapng, and held against what must be found in it."""

from __future__ import annotations

import contextlib
import ipaddress
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lastack.capture.writer import PcapngWriter
from lastack.lab.closes import Label, Played, from_toml, to_toml
from lastack.lab.netns import LabError
from lastack.lab.sniffer import Frame, Recorder, Sniffer
from lastack.lab.topology import Lab
from lastack.model.errors import InputError

_NOTE = """\
What must be found in {capture}, made by `lastack lab close` with real kernels. The words are those of the session
record (`lastack fields`); `kernel_*` is the state that each host's own kernel reported at the end, `causes` are the
verdicts that are right. `lastack lab close --check {capture}` compares."""
#: Fields that a comment in the capture tells, if the label has them.
_TOLD = ("opening", "ending", "close_order", "first_closer", "half_closed_by", "conn_state")


@contextlib.contextmanager
def recording(lab: Lab, path: str, hosts: Sequence[str], snaplen: int = 0) -> Iterator[list[int]]:
    """Capture at hosts of a lab while the context lasts; the file has its name when it is complete.

    Args:
        lab: The lab, built.
        path: The pcapng to write.
        hosts: Where to capture; the box is captured at both of its interfaces.
        snaplen: Bytes kept of each packet, 0 for all.

    Yields:
        A list that holds packets and packets lost when the context has ended.

    Raises:
        UsageError: The lab has no such host.
        InputError: The file cannot be written.
    """
    counts: list[int] = []
    with PcapngWriter(path, "lastack lab", f"lab {lab.topology}") as out:
        sniffers: list[Sniffer] = []
        for name in hosts:
            host = lab.box if name == "box" else lab.hosts[name]
            for device in ("inside", "outside") if name == "box" else ("eth0",):
                sniffer = Sniffer(host, device)
                sniffers.append(sniffer)
                out.add_interface(sniffer.link, snaplen, sniffer.name)

        def keep(number: int, frame: Frame) -> None:
            out.write(
                frame.ts_ns, frame.data[:snaplen] if snaplen else frame.data, frame.wirelen, interface=number
            )

        recorder = Recorder(sniffers, keep)
        try:
            yield counts
        finally:
            lost = recorder.close()
            counts += [out.packets, lost]


def labels_path(capture: str) -> Path:
    """Return where the labels of a capture stand: beside it."""
    return Path(f"{capture}.labels.toml")


def write_patterns(played: Sequence[Played], path: str) -> int:
    """Write played patterns into one pcapng, an interface a pattern, and their labels beside it.

    The first packet of a pattern carries a comment that says what happened and what must be found.

    Args:
        played: The patterns; those that failed are left out.
        path: The pcapng.

    Returns:
        Packets written.

    Raises:
        InputError: The file cannot be written.
    """
    good = [each for each in played if each.label is not None]
    frames: list[tuple[int, int, Frame, str]] = []
    with PcapngWriter(path, "lastack lab close") as out:
        for number, each in enumerate(good):
            out.add_interface(each.link, each.pattern.snaplen, each.pattern.name, each.pattern.about)
            comments = [_comment(each), *[""] * len(each.frames)]
            frames += [
                (f.ts_ns, number, f, comment) for f, comment in zip(each.frames, comments, strict=False)
            ]
        for ts_ns, number, frame, comment in sorted(frames, key=lambda row: row[:2]):
            out.write(ts_ns, frame.data, frame.wirelen, interface=number, comment=comment)
    labels = {each.pattern.name: each.label for each in good if each.label is not None}
    if path != "-":
        target = labels_path(path)
        part = target.with_name(f".{target.name}.{os.getpid()}.part")
        part.write_text(to_toml(labels, _NOTE.format(capture=Path(path).name)), encoding="utf-8")
        part.replace(target)
    return len(frames)


def _comment(played: Played) -> str:
    assert played.label is not None
    lines = [f"{played.pattern.name}: {played.label.about}"]
    for session in played.label.sessions[:5]:
        told = ", ".join(f"{name} {session[name]}" for name in _TOLD if session.get(name) not in (None, ""))
        client, server = (
            f"{session[f'{end}_ip']} port {session[f'{end}_port']}" for end in ("client", "server")
        )
        lines.append(f"to be found: {client} to {server}: {told}")
    if len(played.label.sessions) > 5:
        lines.append(f"and {len(played.label.sessions) - 5} sessions more")
    lines.append(f"right verdicts: {', '.join(played.label.causes)}")
    return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that was found otherwise than the label says.

    Attributes:
        pattern: Name of the pattern.
        session: Which session of it, from 1; 0 for the pattern as a whole.
        field: Name of the field.
        found: What was found.
        expected: What the label says.
    """

    pattern: str
    session: int
    field: str
    found: Any
    expected: Any


@dataclass(frozen=True, slots=True)
class Checked:
    """A capture held against its labels.

    Attributes:
        patterns: How many patterns it holds.
        sessions: How many sessions they have.
        values: How many values were compared.
        differences: Where they differ.
        named: How many sessions were given the verdict that is true.
        unknown: How many were given none.
    """

    patterns: int
    sessions: int
    values: int
    differences: list[Difference]
    named: int
    unknown: int


def read_labels(capture: str, path: str = "") -> dict[str, Label]:
    """Return the labels of a capture.

    Args:
        capture: The capture.
        path: Where the labels are; beside the capture when empty.

    Raises:
        InputError: There are none, or they cannot be read.
    """
    import tomllib

    source = Path(path) if path else labels_path(capture)
    try:
        return from_toml(tomllib.loads(source.read_text(encoding="utf-8")))
    except OSError as error:
        raise InputError(
            f"{source}: {error.strerror}; `lastack lab close` writes labels beside the capture"
        ) from error
    except (ValueError, LabError) as error:
        raise InputError(f"{source}: {error}") from error


def check_labels(capture: str, labels: dict[str, Label]) -> Checked:
    """Track a capture as `lastack analyze` does and hold each session against its label.

    Args:
        capture: The capture.
        labels: What must be found in it.

    Raises:
        InputError: The capture cannot be read.
    """
    from lastack.app.api import track

    found: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    rows = track(capture).table.to_pylist()
    for row in sorted(rows, key=lambda row: int(row["first_packet"])):
        for name in ("client_ip", "server_ip"):
            address = ipaddress.IPv6Address(row[name])
            row[name] = str(address.ipv4_mapped or address)
        found.setdefault(_key(row), []).append(row)
    differences: list[Difference] = []
    values = named = unknown = sessions = 0
    for pattern, label in labels.items():
        packets = 0
        for number, session in enumerate(label.sessions, 1):
            sessions += 1
            queue = found.get(_key(session))
            if not queue:
                differences.append(Difference(pattern, number, "session", "not found", _text(session)))
                continue
            row = queue.pop(0)
            packets += row["packets_clt"] + row["packets_srv"]
            for name, expected in session.items():
                if not name.startswith("kernel_"):
                    values += 1
                    if row[name] != expected:
                        differences.append(Difference(pattern, number, name, row[name], expected))
            cause = row["cause"]
            named += bool(label.causes) and cause == label.causes[0]
            unknown += cause == "unknown"
            if label.causes and cause not in (*label.causes, "unknown"):
                differences.append(Difference(pattern, number, "cause", cause, " or ".join(label.causes)))
        if packets != label.tcp_packets:
            differences.append(Difference(pattern, 0, "tcp_packets", packets, label.tcp_packets))
    for queue in found.values():
        differences += [Difference("", 0, "session", _text(row), "not there") for row in queue]
    return Checked(len(labels), sessions, values, differences, named, unknown)


def _key(row: dict[str, Any]) -> tuple[Any, ...]:
    ends = ((row["client_ip"], row["client_port"]), (row["server_ip"], row["server_port"]))
    return tuple(sorted(ends))


def _text(row: dict[str, Any]) -> str:
    return f"{row['client_ip']} port {row['client_port']} to {row['server_ip']} port {row['server_port']}"
