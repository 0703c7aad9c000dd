"""The peers: one small adapter each, run only where installed, on a slice of the capture when slow.

A peer is timed as its users run it: the whole process, text or binary records to nowhere. A row in the tables says
what it was asked for, because no two of them tell the same about a session.
"""

from __future__ import annotations

import importlib.util
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import ROOT, process


@dataclass(frozen=True)
class Peer:
    """One program that makes records of sessions or flows from a capture.

    Attributes:
        name: As it is known.
        needs: Programs, or a Python package after `python:`.
        shell: The command for a capture, for `sh -c`.
        most_packets: Slice of the capture that it gets; a slow one gets less.
        gives: What it tells of a session.
    """

    name: str
    needs: tuple[str, ...]
    shell: Callable[[str], str]
    most_packets: int
    gives: str

    def missing(self) -> str:
        """Return what has to be installed, or an empty text."""
        absent = [need for need in self.needs if not _there(need)]
        return ", ".join(need.removeprefix("python:") for need in absent)

    def seconds(self, path: Path) -> float:
        """Return the wall time on a capture.

        Raises:
            MeasurementError: It failed on it.
        """
        with tempfile.TemporaryDirectory(prefix="lastack-peer-") as folder:
            # what is piped must not hide a failure of the first program
            script = f"set -o pipefail; {self.shell(shlex.quote(str(path)))}"
            paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
            return process(["bash", "-c", script], Path(folder), {"PYTHONPATH": paths})


def _there(need: str) -> bool:
    if need.startswith("python:"):
        return importlib.util.find_spec(need.removeprefix("python:")) is not None
    return shutil.which(need) is not None


def _python(module: str) -> Callable[[str], str]:
    return lambda path: f"{shlex.quote(sys.executable)} -m benchmarks.{module} {path}"


PEERS = (
    Peer(
        "yaf", ("yaf", "yafscii"), lambda path: f"yaf --in {path} --out - | yafscii --in - --out -",
        1_000_000, "flags per direction",
    ),
    Peer(
        "Argus", ("argus", "racluster"), lambda path: f"argus -F /dev/null -r {path} -w - | racluster -n -r -",
        1_000_000, "flag letters per direction",
    ),
    Peer("tcptrace", ("tcptrace",), lambda path: f"tcptrace -n {path}", 1_000_000, "complete or reset"),
    Peer(
        "Zeek, conn.log only", ("zeek",), lambda path: f"zeek -C -b -r {path} base/protocols/conn",
        500_000, "conn_state, history",
    ),
    Peer("nfstream, no DPI", ("python:nfstream",), _python("peer_nfstream"), 200_000, "flag counts"),
    Peer("dpkt loop", ("python:dpkt",), _python("peer_dpkt"), 200_000, "flag counts"),
    Peer(
        "tshark -z conv,tcp", ("tshark",), lambda path: f"tshark -n -q -r {path} -z conv,tcp",
        100_000, "packets, bytes",
    ),
)  # fmt: skip
