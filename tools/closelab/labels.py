"""What must be found in a capture: the recipe's claims, plain counts, and the kernels' own states."""

from __future__ import annotations

from collections import defaultdict

from closelab.lab import Lab
from closelab.packet import ACK, FIN, RST, SYN, Segment
from closelab.recipe import Expected, Recipe
from closelab.talk import CLIENT_PORT, PORT, kernel_states

_Key = tuple[str, int, str, int]


def label(recipe: Recipe, lab: Lab, segments: list[Segment]) -> dict[str, object]:
    """Return the label of one capture: about, TCP packets, and its sessions with every field that is known.

    Counts per side are added only where the four-tuple is used once: what belongs to which of two sessions on
    one key is the recipe's claim to make.
    """
    sessions: list[Expected] = []
    keys: list[_Key] = []
    for claim in recipe.sessions:
        ends: Expected = {
            "client_ip": lab.client[recipe.version], "client_port": CLIENT_PORT,
            "server_ip": lab.server[recipe.version], "server_port": PORT,
        }  # fmt: skip
        session = ends | claim
        sessions.append(session)
        keys.append(tuple(session[name] for name in ends))  # type: ignore[arg-type]
    counts = _counts(segments, set(keys))
    states = kernel_states(lab, "clt"), kernel_states(lab, "srv")
    for session, key in zip(sessions, keys, strict=True):
        if keys.count(key) == 1:
            for name, value in counts[key].items():
                if session.setdefault(name, value) != value:
                    raise AssertionError(f"{recipe.name}: {name} is {value}, the recipe says {session[name]}")
            session["kernel_clt"] = states[0].get((key[1], key[3]), "CLOSED")
            session["kernel_srv"] = states[1].get((key[3], key[1]), "CLOSED")
    return {"about": recipe.about, "tcp_packets": len(segments), "sessions": sessions}


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
            raise AssertionError(f"no session is claimed for {segment}")
        count = found[key]
        count[f"packets_{side}"] += 1
        count[f"bytes_{side}"] += 0 if segment.flags & RST else segment.payload
        count[f"syn_{side}"] += segment.flags & (SYN | ACK) == SYN
        count[f"synack_{side}"] += segment.flags & (SYN | ACK) == SYN | ACK
        count[f"fin_{side}"] += bool(segment.flags & FIN)
        count[f"rst_{side}"] += bool(segment.flags & RST)
    return found


def as_toml(labels: dict[str, dict[str, object]]) -> str:
    """Return the labels as TOML: one table a capture, one line a session field."""
    lines = [
        "# Written by tools/make_captures.py together with the captures; the words are those of",
        "# docs/reference/definitions.md. `kernel_*` is the state that the host's own kernel reported.",
        "",
    ]
    for name, entry in sorted(labels.items()):
        lines.append(f"[{name}]")
        sessions = entry["sessions"]
        assert isinstance(sessions, list)
        lines += [f"{key} = {_value(value)}" for key, value in entry.items() if key != "sessions"]
        for session in sessions:
            lines += ["", f"[[{name}.sessions]]"]
            lines += [f"{key} = {_value(value)}" for key, value in session.items()]
        lines.append("")
    return "\n".join(lines)


def _value(value: object) -> str:
    if isinstance(value, int):
        return str(value)
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'
