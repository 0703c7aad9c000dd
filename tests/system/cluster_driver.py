"""A run on a Dask cluster in a process of its own: `ADDRESS WORK ROWS DEED CAPTURE…`.

Dask leaves sockets to the collector when its scheduler is killed, which pytest would take for a fault of a test.
A deed is `none`, `kill-worker`, `kill:PROCESS`, `run:COMMAND` (all after the first capture is mapped), `version` (claim
another one) or `nobody` (do not wait long for an answer).
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from lastack.app import jobs_dask
from lastack.app.cluster import ClusterRun
from lastack.app.cluster_reduce import write_batches
from lastack.app.jobs import Outcome
from lastack.app.options import TrackOptions
from lastack.model.errors import LastackError


class Deed(jobs_dask.DaskCluster):
    """A cluster to which something happens when the first task is done."""

    deed = "none"

    def run(self, tasks: Any, told: Any) -> None:
        def tell(outcome: Outcome) -> None:
            told(outcome)
            deed, self.deed = self.deed, "none"
            if deed == "kill-worker":
                os.kill(int(outcome.where.rsplit(":", 1)[1]), signal.SIGKILL)
            elif deed.startswith("kill:"):
                os.kill(int(deed[5:]), signal.SIGKILL)
            elif deed.startswith("run:"):
                subprocess.run(shlex.split(deed[4:]), check=True)

        super().run(tasks, tell)


def main(address: str, work: str, rows: str, deed: str, *captures: str) -> int:
    if deed == "version":
        mine = jobs_dask.about_this_worker()
        jobs_dask._mine = lambda: {**mine, "lastack": "9.9/9"}
    jobs_dask._CONNECT_S = 1.0 if deed == "nobody" else 10.0
    try:
        engine = Deed(address)
        engine.deed = deed
        batches: list[Any] = []
        run = ClusterRun(engine, Path(work))
        run.track(captures, TrackOptions(threads=1), batches.append)
        left = len(engine._client.nthreads())
        engine.close()
        write_batches(Path(rows), batches)
    except LastackError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(engine.workers, left, len(run.missing))
    print(*(f"{stage.name} {stage.seconds:.1f} s" for stage in run.stages), file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
