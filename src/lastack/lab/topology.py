"""Labs: a client, a server, and nothing or a box between them, each with a kernel TCP of its own.

    with Lab("nat", timers={"half_closed": 2}) as lab:
        listener = lab.server.socket()
        listener.bind((lab.server.address(), 8080))
        …
        print(lab.client.run(["ip", "route"]).stdout)

Nothing of it has a name on the system, two labs never meet, and all of it goes with the process that built it.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Mapping, Sequence
from types import TracebackType

from lastack.lab import cabling, netns, registry
from lastack.lab.box import BoxRules, make_firewall, make_nat, make_router
from lastack.lab.cabling import INSIDE, OUTSIDE, SHARED, Port
from lastack.lab.host import Host
from lastack.lab.netns import LabError
from lastack.lab.reaper import Reaper
from lastack.lab.waiting import wait_until
from lastack.model.errors import AccessError, UsageError

#: Name -> what is between client and server.
TOPOLOGIES: dict[str, str] = {
    "direct": "one cable",
    "router": "a Linux router that keeps no state",
    "firewall": "a Linux firewall: conntrack with timers of your choice, and no NAT",
    "nat": "a Linux NAT: masquerade, and conntrack with timers of your choice",
    "emulator": "an empty box with interfaces `inside` and `outside`, in which you run what stands there",
}
_STATEFUL = ("firewall", "nat")
_MACS = {"client": "02:00:00:00:00:01", "server": "02:00:00:00:00:02",
         "inside": "02:00:00:00:00:11", "outside": "02:00:00:00:00:12"}  # fmt: skip
_SERIAL = itertools.count(1)


class Lab:
    """A lab of one of the `TOPOLOGIES`; a context manager that builds it and takes all of it away again.

    Client and server each have an interface `eth0`, the box has `inside` (to the client) and `outside`. Both ends
    send everything to the other side of their cable, so any further address works once a host has it.
    In the topology `emulator` the box has no addresses and forwards nothing unless `routed`: client and server believe
    that they share a cable, and what runs in the box must pass frames from one interface to the other.

    Args:
        topology: How it is built.
        timers: Seconds of conntrack's timers, as `BoxRules.timers` (firewall and nat).
        expired: What answers a packet of a forgotten session: `silent` or `reset` (firewall and nat).
        half_closed_life_ms: An absolute timer from the first FIN on, as `BoxRules` (firewall and nat); 0 for none.
        loose: Whether mid-stream packets make new entries (firewall and nat).
        forwards: Ports of the outside address that lead to the client (nat).
        routed: Whether the box of an `emulator` has addresses and routes of its own, as a TUN driver needs.
        name: Name for `lastack lab list`; made up when empty.

    Attributes:
        topology: As given.
        client: The host inside.
        server: The host outside.
        middle: The box, None in `direct`.
        folder: Folder for files that go with the lab.

    Raises:
        AccessError: The process may not build one; see `netns.become_root_of_namespaces`.
        UsageError: No such topology, or it does not take these options.
        LabError: It could not be built.
    """

    def __init__(
        self,
        topology: str = "direct",
        *,
        timers: Mapping[str, int] | None = None,
        expired: str = "silent",
        half_closed_life_ms: int = 0,
        loose: bool = False,
        forwards: Sequence[int] = (),
        routed: bool = False,
        name: str = "",
    ) -> None:
        if topology not in TOPOLOGIES:
            raise UsageError(f"no topology {topology!r}; there are {', '.join(TOPOLOGIES)}")
        if topology not in _STATEFUL and (timers or loose or half_closed_life_ms or expired != "silent"):
            raise UsageError(
                f"topology {topology} keeps no sessions, so it takes no timers; use nat or firewall"
            )
        if forwards and topology != "nat":
            raise UsageError(f"topology {topology} hides nobody, so it forwards no ports; use nat")
        if routed and topology != "emulator":
            raise UsageError("routed is for the topology emulator")
        self.topology = topology
        self.rules = BoxRules(dict(timers or {}), expired, half_closed_life_ms, loose, tuple(forwards))
        self.rules.check()
        self.routed = routed or topology in ("router", "firewall", "nat")
        self.name = name or f"{topology}-{os.getpid()}-{next(_SERIAL)}"
        self.hosts: dict[str, Host] = {}
        self._reaper: Reaper | None = None
        self._devices: set[str] = set()

    @property
    def client(self) -> Host:
        """The host inside."""
        return self.hosts["client"]

    @property
    def server(self) -> Host:
        """The host outside."""
        return self.hosts["server"]

    @property
    def middle(self) -> Host | None:
        """The box, None in `direct`."""
        return self.hosts.get("box")

    @property
    def box(self) -> Host:
        """The box.

        Raises:
            UsageError: There is none in `direct`.
        """
        if "box" not in self.hosts:
            raise UsageError(f"topology {self.topology} has no box")
        return self.hosts["box"]

    def await_box(self, deadline_s: float = 15.0) -> None:
        """Return once a program in the box of an `emulator` has taken both of its interfaces.

        That is when each has a packet socket, or a device of another kind (a TUN) has appeared in the box.

        Raises:
            LabError: The deadline has passed, or every program in the box has ended.
        """
        box = self.box

        def taken() -> bool:
            if box.processes and all(process.poll() is not None for process in box.processes):
                raise LabError("what was to run in the box has ended")
            devices = box.interfaces()
            watched = {devices.get(number) for number in box.packet_sockets()}
            return watched >= {"inside", "outside"} or set(devices.values()) > self._devices

        wait_until(taken, "the program in the box to take both interfaces", deadline_s)

    def build(self) -> None:
        """Build it; `close` takes it away again. Used by `with`."""
        if reason := netns.missing():
            raise AccessError(reason)
        self.folder = registry.claim(self.name)
        try:
            started = time.time_ns()
            self._record(started)
            names = ("client", "server") if self.topology == "direct" else ("client", "box", "server")
            for name in names:
                self.hosts[name] = Host(name, {"LASTACK_LAB": self.name})
            self._reaper = Reaper([host.namespace.fd for host in self.hosts.values()], str(self.folder))
            for host in self.hosts.values():
                cabling.wake(host)
            if self.topology == "direct":
                self._join_directly()
            else:
                self._join_through_box()
            self._tell_addresses()
            if self.middle is not None:
                self._devices = set(self.middle.interfaces().values())
            self._record(started)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End every process in it and take it away; safe to call twice."""
        for host in self.hosts.values():
            host.end_processes()
        if self._reaper is not None:
            self._reaper.finish()
            self._reaper = None
        else:
            registry.remove(self.folder)
        for host in self.hosts.values():
            host.namespace.close()

    def __enter__(self) -> Lab:
        self.build()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _join_directly(self) -> None:
        client = Port(self.client, "eth0", _MACS["client"], 1)
        server = Port(self.server, "eth0", _MACS["server"], 2)
        cabling.plug(client, server, SHARED)
        for mine, peer in ((client, server), (server, client)):
            cabling.introduce(mine, peer, SHARED)
            cabling.route(mine, peer.number, SHARED)
        self._addresses(SHARED, 1, SHARED, 2)

    def _join_through_box(self) -> None:
        box = self.hosts["box"]
        if not self.routed:
            client, server = (Port(self.hosts[name], "eth0", _MACS[name], number)
                              for name, number in (("client", 1), ("server", 2)))  # fmt: skip
            cabling.plug(client, Port(box, "inside", _MACS["inside"]), SHARED)
            cabling.plug(server, Port(box, "outside", _MACS["outside"]), SHARED)
            for mine, peer in ((client, server), (server, client)):
                cabling.introduce(mine, peer, SHARED)
                cabling.route(mine, peer.number, SHARED)
            self._addresses(SHARED, 1, SHARED, 2)
            return
        for name, device, prefix in (("client", "inside", INSIDE), ("server", "outside", OUTSIDE)):
            end = Port(self.hosts[name], "eth0", _MACS[name], 2)
            port = Port(box, device, _MACS[device], 1)
            cabling.plug(end, port, prefix)
            cabling.introduce(end, port, prefix)
            cabling.introduce(port, end, prefix)
            cabling.route(end, 1, prefix)
        self._addresses(INSIDE, 2, OUTSIDE, 2)
        box.addresses = {version: f"{start}1" for version, start in OUTSIDE.items()}
        if self.topology == "nat":
            make_nat(box, self.rules, self.client.addresses)
        elif self.topology == "firewall":
            make_firewall(box, self.rules)
        elif self.topology == "router":
            make_router(box)

    def _addresses(
        self, client: Mapping[int, str], client_number: int, server: Mapping[int, str], server_number: int
    ) -> None:
        self.client.addresses = {version: f"{start}{client_number}" for version, start in client.items()}
        self.server.addresses = {version: f"{start}{server_number}" for version, start in server.items()}

    def _tell_addresses(self) -> None:
        told = {}
        for name, host in self.hosts.items():
            for version, address in host.addresses.items():
                told[f"LAB_{name.upper()}{'6' if version == 6 else ''}"] = address
        for host in self.hosts.values():
            host.environment.update(told)

    def _record(self, started_ns: int) -> None:
        pid = os.getpid()
        hosts = {name: host.namespace.fd for name, host in self.hosts.items()}
        addresses = {
            name: {str(version): address for version, address in host.addresses.items()}
            for name, host in self.hosts.items()
        }
        start = registry.process_start(pid)
        registry.write(
            self.folder, registry.Running(self.name, self.topology, pid, start, started_ns, hosts, addresses)
        )
