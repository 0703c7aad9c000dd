"""What this host's own TCP does with closing connections: its settings, and what each of them means."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

_ROOT = "/proc/sys/net/ipv4/"
#: TIME_WAIT is a constant of the kernel (include/net/tcp.h, TCP_TIMEWAIT_LEN).
TIMEWAIT_S = 60
_FIN_TIMEOUT_LINEAR_S = 60


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of this host.

    Attributes:
        name: The sysctl, or the constant.
        value: As the kernel gives it; None if it could not be read.
        seconds: What it comes to, None where it is no time.
        meaning: In a sentence.
        warning: What is unusual, empty if nothing is.
    """

    name: str
    value: int | None
    seconds: float | None
    meaning: str
    warning: str = ""


Read = Callable[[str], int | None]


def read_sysctl(name: str) -> int | None:
    """Return the number in `/proc/sys/net/ipv4/NAME`, None if there is none."""
    try:
        with open(_ROOT + name, encoding="ascii") as stream:  # noqa: PTH123  (proc files have no size)
            return int(stream.read().split()[0])
    except (OSError, ValueError, IndexError):
        return None


def fin_wait2_seconds(fin_timeout: int) -> int:
    """Return how long Linux really keeps an orphaned FIN_WAIT2 for a `tcp_fin_timeout`.

    Up to 60 s it is the value; above, the socket waits for value - 60 and its timewait remainder for value - 60
    again (net/ipv4/tcp.c, tcp_close and tcp_time_wait; measured: 61 -> 2 s, 90 -> 61 s, 120 -> 123 s).
    """
    if fin_timeout <= _FIN_TIMEOUT_LINEAR_S:
        return fin_timeout
    return 2 * (fin_timeout - _FIN_TIMEOUT_LINEAR_S)


def settings(read: Read = read_sysctl) -> list[Setting]:
    """Return the settings that decide how long this host keeps closing, idle and opening connections.

    Args:
        read: Gives the value of a sysctl under `net.ipv4`, None if it is not known.
    """
    fin, keep, interval, probes = (
        read(name)
        for name in ("tcp_fin_timeout", "tcp_keepalive_time", "tcp_keepalive_intvl", "tcp_keepalive_probes")
    )
    syn, synack, retries, orphans = (
        read(name) for name in ("tcp_syn_retries", "tcp_synack_retries", "tcp_retries2", "tcp_orphan_retries")
    )
    out = [_fin_timeout(fin)]
    out.append(
        Setting(
            "shutdown(SHUT_WR)",
            None,
            None,
            "a half-closed socket that the application still holds has no limit at all",
        )
    )
    out.append(
        Setting(
            "TCP_LINGER2",
            None,
            None,
            "per socket: overrides tcp_fin_timeout up to 120 s; negative leaves FIN_WAIT2 out",
        )
    )
    out.append(
        Setting(
            "TIME_WAIT", TIMEWAIT_S, float(TIMEWAIT_S), "after both FINs, at the end that closed first; fixed"
        )
    )
    out.append(
        Setting(
            "tcp_keepalive_time",
            keep,
            keep,
            "silence after which a socket with SO_KEEPALIVE sends its first probe",
            ""
            if keep is None or keep <= 300
            else "later than many boxes forget idle connections (AWS 350 s, Azure 240 s): see TCP_KEEPIDLE",
        )
    )
    if None not in (keep, interval, probes):
        assert keep is not None
        assert interval is not None
        assert probes is not None
        total = keep + interval * probes
        out.append(
            Setting(
                "tcp_keepalive_intvl, _probes",
                interval,
                float(total),
                f"{probes} probes {interval} s apart: a dead peer is noticed after {total:,} s",
            )
        )
    out += [
        Setting(
            "tcp_syn_retries",
            syn,
            None,
            "SYN sent again so often before connect() fails (6: about 2 minutes)",
        ),
        Setting(
            "tcp_synack_retries",
            synack,
            None,
            "SYN-ACK sent again so often: how long a half-open session is held",
        ),
        Setting(
            "tcp_retries2", retries, None, "data sent again so often before ETIMEDOUT (15: 15 to 30 minutes)"
        ),
        Setting(
            "tcp_orphan_retries",
            orphans,
            None,
            "FIN sent again so often after close() (0 counts as 8: about 100 s)",
        ),
        Setting(
            "tcp_tw_reuse",
            read("tcp_tw_reuse"),
            None,
            "1 lets new connections reuse TIME_WAIT ports; 2 on loopback only",
        ),
        Setting("tcp_rfc1337", read("tcp_rfc1337"), None, "1 keeps a RST from ending TIME_WAIT"),
        Setting(
            "tcp_max_orphans",
            read("tcp_max_orphans"),
            None,
            "more closed sockets than this are reset at once",
        ),
    ]
    return out


def _fin_timeout(value: int | None) -> Setting:
    meaning = "FIN_WAIT2 of a connection that was close()d: how long the other end may take to close too"
    if value is None:
        return Setting("tcp_fin_timeout", None, None, meaning, "could not be read: not Linux, or hidden")
    real = fin_wait2_seconds(value)
    warning = ""
    if value > _FIN_TIMEOUT_LINEAR_S:
        warning = f"above 60 Linux computes 2 x (value - 60): {value} lasts about {real} s"
    elif value < 10:
        warning = "an end that takes longer to answer the FIN is reset when its data comes"
    return Setting("tcp_fin_timeout", value, float(real), meaning, warning)


def contradictions(found: list[Setting], half_closed_s: float | None, idle_s: float | None) -> list[str]:
    """Return where this host and a path disagree.

    Args:
        found: This host's settings.
        half_closed_s: How long the path keeps half-closed connections, None if not known.
        idle_s: How long it keeps idle ones, None if not known.
    """
    by_name = {setting.name: setting for setting in found}
    out = []
    fin = by_name["tcp_fin_timeout"]
    if half_closed_s is not None and fin.seconds is not None and fin.seconds > half_closed_s:
        out.append(
            f"this host waits {fin.seconds:g} s in FIN_WAIT2 for the other end's FIN, the path forgets after "
            f"{half_closed_s:g} s: late data and FINs never arrive, and the socket stays until its own time is over"
        )
    keep = by_name["tcp_keepalive_time"]
    if idle_s is not None and keep.value is not None and keep.value >= idle_s:
        out.append(
            f"keepalives begin after {keep.value:,} s, the path forgets idle connections after {idle_s:g} s: "
            "they come too late; set tcp_keepalive_time or TCP_KEEPIDLE below it"
        )
    return out
