"""The configuration of a monitor: TOML to targets and modules, with the place of every mistake."""

from __future__ import annotations

import difflib
import ipaddress
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lastack.model.errors import AccessError, InputError
from lastack.model.units import parse_duration_ns
from lastack.prober.health import Schedule
from lastack.prober.monitor import Watched
from lastack.prober.talk import Exchange, Script

_MOST_BYTES = 16 << 20
_SCHEDULE = ("interval", "up_interval", "timeout", "up_after", "down_after")
_TARGET = ("name", "host", "hosts", "port", "ports", "group", "module", "family", "source", *_SCHEDULE)
_MODULE = ("kind", "send", "half_close", "expect", "query_response", "timeout")
_EXCHANGE = ("expect", "send")
_TOP = ("defaults", "target", "module", "monitor")
_MONITOR = ("listen", "source4", "source6", "on_change", "log", "allow")
KINDS = ("syn", "connect", "talk")


@dataclass(frozen=True, slots=True)
class Module:
    """A way to ask.

    Attributes:
        name: How targets and `/probe?module=` call it.
        kind: `syn`, `connect` or `talk`.
        script: Of `talk`.
        timeout_ns: For `/probe` without a timeout of its own.
    """

    name: str
    kind: str
    script: Script = field(default_factory=Script)
    timeout_ns: int = 5_000_000_000


@dataclass(frozen=True, slots=True)
class MonitorConfig:
    """All that a monitor is told.

    Attributes:
        targets: What to ask.
        modules: How, by name; `syn` and `connect` are always there.
        listen: `address:port` of the HTTP endpoint, empty for none.
        source4: Local IPv4 address.
        source6: Local IPv6 address.
        on_change: Command that is run at each change of state, empty for none.
        allow: Networks that `/probe` may ask; empty allows the configured targets only.
    """

    targets: tuple[Watched, ...]
    modules: Mapping[str, Module]
    listen: str = ""
    source4: str = ""
    source6: str = ""
    on_change: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()


class _Reader:
    """Collects mistakes with their key paths."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.problems: list[str] = []

    def problem(self, key: str, text: str) -> None:
        self.problems.append(f"{self.path}: {key}: {text}")

    def keys(self, table: Mapping[str, Any], known: tuple[str, ...], place: str) -> None:
        for key in table:
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1)
                hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
                self.problem(f"{place}.{key}" if place else key, f"not known: {hint}")

    def table(self, parent: Mapping[str, Any], key: str, place: str) -> Mapping[str, Any]:
        value = parent.get(key, {})
        if isinstance(value, dict):
            return value
        self.problem(place, "must be a table")
        return {}

    def text(self, table: Mapping[str, Any], key: str, default: str, place: str) -> str:
        value = table.get(key, default)
        if isinstance(value, str):
            return value
        self.problem(f"{place}.{key}", f"must be text, not {value!r}")
        return default

    def number(
        self, table: Mapping[str, Any], key: str, default: int, low: int, high: int, place: str
    ) -> int:
        value = table.get(key, default)
        if type(value) is int and low <= value <= high:
            return value
        self.problem(f"{place}.{key}", f"must be a whole number from {low} to {high}, not {value!r}")
        return default

    def duration(self, table: Mapping[str, Any], key: str, default: int, place: str) -> int:
        value = table.get(key)
        if value is None:
            return default
        try:
            ns = parse_duration_ns(value) if isinstance(value, str) else -1
        except (ValueError, OverflowError) as error:
            self.problem(f"{place}.{key}", str(error))
            return default
        if ns < 0:
            self.problem(f"{place}.{key}", f'must be a duration such as "5s", not {value!r}')
            return default
        return ns

    def address(self, table: Mapping[str, Any], key: str, place: str) -> str:
        value = self.text(table, key, "", place)
        if value:
            try:
                ipaddress.ip_address(value)
            except ValueError as error:
                self.problem(f"{place}.{key}", str(error))
        return value

    def texts(self, table: Mapping[str, Any], key: str, place: str) -> tuple[str, ...]:
        value = table.get(key, [])
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return tuple(value)
        self.problem(f"{place}.{key}", "must be a list of texts")
        return ()


def load_monitor(path: str) -> MonitorConfig:
    """Return the configuration in a file.

    Raises:
        InputError: It is missing, no TOML, or wrong; the message has every mistake with its place.
        AccessError: It must not be read.
    """
    try:
        with Path(path).open("rb") as stream:
            raw = stream.read(_MOST_BYTES)
    except PermissionError as error:
        raise AccessError(f"{path}: {error.strerror}") from error
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    try:
        document = tomllib.loads(raw.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: {error}") from error
    reader = _Reader(path)
    config = _config(reader, document)
    if reader.problems:
        raise InputError("\n  ".join(reader.problems))
    return config


def _config(reader: _Reader, document: dict[str, Any]) -> MonitorConfig:
    reader.keys(document, _TOP, "")
    modules = builtin_modules()
    for name, body in reader.table(document, "module", "module").items():
        modules[name] = _module(reader, name, body)
    defaults = reader.table(document, "defaults", "defaults")
    reader.keys(defaults, _TARGET, "defaults")
    listed = document.get("target", [])
    if not isinstance(listed, list):
        reader.problem("target", "write each target as [[target]]")
        listed = []
    targets: list[Watched] = []
    for number, body in enumerate(listed, 1):
        place = f"target {number}"
        if not isinstance(body, dict):
            reader.problem(place, "must be a table")
            continue
        reader.keys(body, _TARGET, place)
        targets += _targets(reader, {**defaults, **body}, place, modules)
    _names_differ(reader, targets)
    general = reader.table(document, "monitor", "monitor")
    reader.keys(general, _MONITOR, "monitor")
    for number, network in enumerate(reader.texts(general, "allow", "monitor"), 1):
        try:
            ipaddress.ip_network(network, strict=False)
        except ValueError as error:
            reader.problem(f"monitor.allow {number}", str(error))
    return MonitorConfig(
        targets=tuple(targets),
        modules=modules,
        listen=reader.text(general, "listen", "", "monitor"),
        source4=reader.address(general, "source4", "monitor"),
        source6=reader.address(general, "source6", "monitor"),
        on_change=reader.texts(general, "on_change", "monitor"),
        allow=reader.texts(general, "allow", "monitor"),
    )


def builtin_modules() -> dict[str, Module]:
    """Return the modules that need no configuration."""
    return {
        "syn": Module("syn", "syn"),
        "connect": Module("connect", "connect"),
        "tcp_connect": Module(
            "tcp_connect", "connect"
        ),  # blackbox_exporter's example configuration calls it so
        "half_close": Module("half_close", "talk", Script(half_close=True)),
    }


def _module(reader: _Reader, name: str, body: Any) -> Module:
    place = f"module.{name}"
    if not isinstance(body, dict):
        reader.problem(place, "must be a table")
        return Module(name, "syn")
    reader.keys(body, _MODULE, place)
    kind = reader.text(body, "kind", "talk", place)
    if kind not in KINDS:
        reader.problem(f"{place}.kind", f"{kind!r} is none of {', '.join(KINDS)}")
    pattern = _pattern(reader, body, place)
    half_close = body.get("half_close", False)
    if not isinstance(half_close, bool):
        reader.problem(f"{place}.half_close", "must be true or false")
    exchanges = _exchanges(reader, body, place)
    if exchanges and (pattern is not None or half_close or body.get("send")):
        reader.problem(f"{place}.query_response", "stands for itself: leave send, expect and half_close out")
    script = Script(reader.text(body, "send", "", place).encode(), bool(half_close), pattern, exchanges)
    return Module(name, kind, script, reader.duration(body, "timeout", 5_000_000_000, place))


def _pattern(reader: _Reader, body: Mapping[str, Any], place: str) -> re.Pattern[bytes] | None:
    expect = body.get("expect")
    if expect is None:
        return None
    try:
        return re.compile(str(expect).encode())
    except re.error as error:
        reader.problem(f"{place}.expect", f"no regular expression: {error}")
        return None


def _exchanges(reader: _Reader, body: Mapping[str, Any], place: str) -> tuple[Exchange, ...]:
    """Return the steps of a `query_response`, which blackbox_exporter's modules have too."""
    listed = body.get("query_response", [])
    if not isinstance(listed, list) or not all(isinstance(step, dict) for step in listed):
        reader.problem(f"{place}.query_response", 'must be a list such as [{ expect = "^220 " }]')
        return ()
    out = []
    for number, step in enumerate(listed, 1):
        where = f"{place}.query_response {number}"
        reader.keys(step, _EXCHANGE, where)
        out.append(Exchange(_pattern(reader, step, where), reader.text(step, "send", "", where).encode()))
    return tuple(out)


def _schedule(reader: _Reader, body: Mapping[str, Any], place: str) -> Schedule:
    usual = Schedule()
    return Schedule(
        interval_ns=max(reader.duration(body, "interval", usual.interval_ns, place), 10_000_000),
        up_interval_ns=reader.duration(body, "up_interval", usual.up_interval_ns, place),
        timeout_ns=max(reader.duration(body, "timeout", usual.timeout_ns, place), 1_000_000),
        up_after=reader.number(body, "up_after", usual.up_after, 1, 1000, place),
        down_after=reader.number(body, "down_after", usual.down_after, 1, 1000, place),
    )


def _targets(
    reader: _Reader, body: Mapping[str, Any], place: str, modules: Mapping[str, Module]
) -> list[Watched]:
    hosts = reader.texts(body, "hosts", place) if "hosts" in body else (reader.text(body, "host", "", place),)
    if not any(hosts):
        reader.problem(f"{place}.host", "is missing: a name or an address")
        return []
    ports = body.get("ports", [body.get("port")])
    if not isinstance(ports, list) or not ports or not all(type(p) is int and 0 < p < 65536 for p in ports):
        reader.problem(f"{place}.port", "must be a port from 1 to 65535 (or ports, a list of them)")
        return []
    module = reader.text(body, "module", "syn", place)
    if module not in modules:
        near = difflib.get_close_matches(module, modules, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(modules)}"
        reader.problem(f"{place}.module", f"no module {module!r}: {hint}")
    family = reader.text(body, "family", "any", place)
    versions = {"any": 0, "ipv4": 4, "ipv6": 6}
    if family not in versions:
        reader.problem(f"{place}.family", f"{family!r} is none of {', '.join(versions)}")
    schedule = _schedule(reader, body, place)
    source = reader.address(body, "source", place)
    name = reader.text(body, "name", "", place)
    several = len(hosts) * len(ports) > 1
    out = []
    for host in hosts:
        for port in ports:
            ends = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            label = ends if not name else f"{name} {ends}" if several else name
            group = reader.text(body, "group", "", place)
            out.append(Watched(label, host, port, group, module, versions.get(family, 0), schedule, source))
    return out


def _names_differ(reader: _Reader, targets: list[Watched]) -> None:
    seen: set[str] = set()
    for target in targets:
        if target.name in seen:
            reader.problem("target", f"{target.name!r} is there twice: give each a name of its own")
        seen.add(target.name)
