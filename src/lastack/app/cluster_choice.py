"""Where a run is tracked when it is not in this process: which engine, which work folder, and what is said after it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lastack.app.cluster import ClusterRun, Stage
from lastack.app.jobs import Engine
from lastack.app.jobs_dask import Certificates, DaskCluster
from lastack.app.jobs_pool import ProcessPool
from lastack.model.errors import UsageError
from lastack.model.units import format_size
from lastack.store.s3 import S3Folder, root_of


@contextmanager
def cluster_run(
    workers: int | None,
    cluster: str | None,
    work: str | None,
    output: str | None,
    say: Callable[[str], None],
    certificates: Certificates | None = None,
) -> Iterator[ClusterRun]:
    """Yield a run on processes of this machine or on a cluster; what lies between the stages goes when all is done.

    Args:
        workers: Processes of this machine, None for a cluster.
        cluster: Address of a Dask scheduler, None for processes.
        work: Work folder, None for one beside the dataset.
        output: The dataset, None if none is kept.
        say: Told what the stages did, and what is missing.
        certificates: For a cluster that speaks TLS, None for those of Dask's configuration.

    Raises:
        UsageError: Both engines were asked for, or no work folder is known that a cluster would see.
        LastackError: The engine cannot be had.
    """
    if workers is not None and cluster is not None:
        raise UsageError("--workers and --cluster exclude each other")
    if work is None and output is not None:
        work = _beside(output)
    if work is None and cluster is not None:
        raise UsageError("--cluster needs a folder that all workers see: -o DATASET or --work FOLDER there")
    with tempfile.TemporaryDirectory(prefix="lastack-") as temporary:
        engine: Engine
        if cluster is not None:
            engine = DaskCluster(cluster, certificates=certificates)
        else:
            engine = ProcessPool(workers or 1)
        try:
            run = ClusterRun(engine, root_of(work if work is not None else Path(temporary) / "work"))
            yield run
        finally:
            engine.close()
        for stage in run.stages:
            say(_line(stage))
        if not run.missing:
            run.clean()
        else:
            kept = (
                f"{work} is kept, so that a second run"
                if work is not None
                else "a second run, with -o or --work,"
            )
            say(f"{len(run.missing)} captures are not in the result; {kept} reads only these")


def _beside(output: str) -> str:
    """Return the name of a work folder beside a dataset."""
    folder = root_of(output)
    if isinstance(folder, S3Folder):
        return str(folder.sibling(f"{folder.key}.work"))
    return f"{output.rstrip('/')}.work"


def _line(stage: Stage) -> str:
    tasks = f"{stage.tasks} tasks" + (f", {stage.skipped} of them done before" if stage.skipped else "")
    failed = f", {stage.failed} failed" if stage.failed else ""
    written = format_size(stage.written)
    return f"{stage.name}: {tasks}{failed}; {stage.cpu_s:.1f} s of processors, {written} written, {stage.seconds:.1f} s"
