"""Routes that lead what comes from two interfaces through two TUN devices, and everything back to how it was.

What comes from the inside interface goes to the inside device, whose reader decides and writes to the outside device:
there it comes out as if it had arrived on it, and is routed on by the ordinary table. The other way likewise.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from lastack.model.errors import AccessError, UsageError

Address = IPv4Address | IPv6Address
#: Of the rules; the kernel's own for local addresses is 0, that of the main table 32766.
_TO_NAT, _LOCAL, _THROUGH = 10, 20, 30
_QUEUE = 10_000
_FIRST_PORT, _FEW_PORTS = 1024, 256
_SYS = Path("/proc/sys/net")


class Routes:
    """Policy routing of this network namespace around a pair of TUN devices; `close` takes it back.

    Args:
        inside: Interface towards the inside.
        outside: The other.
        tuns: Names of the TUN devices for what comes from the inside and from the outside.
        hidden_behind: Outside addresses of a NAT; packets for them go through the box even where they are addresses
            of this host.
        ports: Lowest and highest port that the NAT hands out; the host's own connections keep off them.

    Raises:
        AccessError: CAP_NET_ADMIN is missing.
        UsageError: An interface does not exist, or `ip` is missing or refuses.
    """

    def __init__(
        self,
        inside: str,
        outside: str,
        tuns: tuple[str, str],
        hidden_behind: Sequence[Address] = (),
        ports: tuple[int, int] = (1, 0),
    ) -> None:
        self._undo: list[tuple[str, ...]] = []
        self._sysctls: list[tuple[Path, str]] = []
        try:
            self._build(inside, outside, tuns, hidden_behind)
            if hidden_behind:
                self._keep_off(*ports)
        except BaseException:
            self.close()
            raise

    def _build(
        self, inside: str, outside: str, tuns: tuple[str, str], hidden_behind: Sequence[Address]
    ) -> None:
        mtu = min(_mtu(inside), _mtu(outside))
        tables = {}
        for device in tuns:
            _run(
                "ip",
                "link",
                "set",
                device,
                "mtu",
                str(mtu),
                "txqueuelen",
                str(_QUEUE),
                "addrgenmode",
                "none",
                "up",
            )
            self._set(f"ipv4/conf/{device}/rp_filter", 0)
            # what a NAT sends has an address of this host
            self._set(f"ipv4/conf/{device}/accept_local", 1)
            tables[device] = str(10_000 + socket.if_nametoindex(device))
        for device in (inside, outside, *tuns):
            self._set(f"ipv4/conf/{device}/forwarding", 1)
        # a router sends redirects when it sees packets leave where they came from: never here
        self._set("ipv6/conf/all/forwarding", 1)
        self._set("ipv4/conf/all/rp_filter", 0)
        for flag in ("-4", "-6"):
            version = int(flag[1])
            if version == 6 and not (_SYS / "ipv6").is_dir():
                continue
            for device in tuns:
                _run("ip", flag, "route", "add", "default", "dev", device, "table", tables[device])
            own = [address for address in hidden_behind if address.version == version]
            if own:
                self._move_local(flag)
            for address in own:
                self._rule(flag, _TO_NAT, "iif", outside, "to", str(address), "lookup", tables[tuns[1]])
            for device, tun in zip((inside, outside), tuns, strict=True):
                self._rule(flag, _THROUGH, "iif", device, "lookup", tables[tun])

    def _move_local(self, flag: str) -> None:
        """Have the addresses of this host looked at after the rules for a NAT's; first the copy, then the original."""
        # A packet that is known to belong to a socket of this host before it is routed is dropped when it is
        # forwarded to the device (ip_forward, skb->sk). IPv6 obeys the same switch.
        self._set("ipv4/ip_early_demux", 0)
        rules = _run("ip", flag, "rule", "show", "pref", "0")
        if "lookup local" not in rules:
            return
        _run("ip", flag, "rule", "add", "pref", str(_LOCAL), "lookup", "local")
        self._undo.append(("ip", flag, "rule", "del", "pref", str(_LOCAL), "lookup", "local"))
        _run("ip", flag, "rule", "del", "pref", "0", "lookup", "local")
        self._undo.append(("ip", flag, "rule", "add", "pref", "0", "lookup", "local"))

    def _keep_off(self, low: int, high: int) -> None:
        """Have the host's own connections take ports below or above those of the NAT, if there are enough."""
        below, above = (_FIRST_PORT, low - 1), (high + 1, 65_535)
        own = max(below, above, key=lambda span: span[1] - span[0])
        if own[1] - own[0] >= _FEW_PORTS:
            self._set("ipv4/ip_local_port_range", f"{own[0]}\t{own[1]}")

    def _rule(self, flag: str, preference: int, *words: str) -> None:
        _run("ip", flag, "rule", "add", "pref", str(preference), *words)
        self._undo.append(("ip", flag, "rule", "del", "pref", str(preference), *words))

    def _set(self, key: str, value: int | str) -> None:
        path = _SYS / key
        if not path.exists():
            return
        before = _read(path)
        if before != str(value):
            try:
                path.write_text(str(value), encoding="ascii")
            except OSError as error:
                raise AccessError(f"{path}: {error.strerror}; a routed box needs CAP_NET_ADMIN") from error
            self._sysctls.append((path, before))

    def close(self) -> None:
        """Remove the rules and give switches their former values; the devices go with their descriptors."""
        while self._undo:
            with contextlib.suppress(UsageError, AccessError):
                _run(*self._undo.pop())
        while self._sysctls:
            path, before = self._sysctls.pop()
            with contextlib.suppress(OSError):
                path.write_text(before, encoding="ascii")


def _read(path: Path) -> str:
    return path.read_text(encoding="ascii").strip()


def _mtu(device: str) -> int:
    # not from /sys: that shows the network namespace in which it was mounted
    words = _run("ip", "-o", "link", "show", "dev", device).split()
    return int(words[words.index("mtu") + 1])


def _run(*words: str) -> str:
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    except FileNotFoundError as error:
        raise UsageError("a routed box needs ip (apt-get install iproute2)") from error
    if done.returncode:
        said = done.stderr.strip().splitlines()
        text = f"{' '.join(words)}: {said[-1] if said else done.returncode}"
        if "not permitted" in text:
            raise AccessError(f"{text}; a routed box needs CAP_NET_ADMIN")
        raise UsageError(text)
    return done.stdout
