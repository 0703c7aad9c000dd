"""Reads the sessions that a what-if is about, in batches, with the group (application) that each belongs to."""

from __future__ import annotations

import itertools
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from lastack.app.grouped import Source
from lastack.firewall.application import WELL_KNOWN
from lastack.query.ast import Node
from lastack.query.columns import column, numbers
from lastack.replay.holding import Window
from lastack.replay.past import Past
from lastack.replay.recorded import COLUMNS, past_of
from lastack.replay.scopes import COLUMNS as SCOPE_COLUMNS

T = TypeVar("T")
_UNCLASSIFIED = "unclassified"
_OTHERS = "others"
_SERVICES = {port: name for name, port in reversed(list(WELL_KNOWN.items()))}
_AHEAD = 4  # batches in the hands of the threads: enough to keep them busy, few enough for the memory


class Groups:
    """Names of applications, most sessions first, and the rest as `others`.

    An application is what the record says, else the name of the server's port.

    Args:
        counts: Sessions by application and server port.
        most: Groups to tell apart, the others not counted.
    """

    def __init__(self, counts: Counter[tuple[str, int]], most: int) -> None:
        sums: Counter[str] = Counter()
        for key, count in counts.items():
            sums[_name(*key)] += count
        names = [name for name, _ in sums.most_common(most)]
        self.names = (*names, _OTHERS) if len(sums) > most else tuple(names)
        self._place = {name: place for place, name in enumerate(names)}

    def of(self, batch: Any) -> NDArray[np.int64]:
        """Return the group of each session of a batch that has `app` and `server_port`."""
        apps = column(batch, "app")
        ports = numbers(column(batch, "server_port")).astype(np.int64)
        codes, words = numbers(apps.indices).astype(np.int64), apps.dictionary.to_pylist()
        keys, which = np.unique(codes << 16 | ports, return_inverse=True)
        last = len(self.names) - 1
        groups = [self._place.get(_name(words[key >> 16], key & 0xFFFF), last) for key in keys.tolist()]
        return np.array(groups, np.int64)[which]


def _name(app: str, port: int) -> str:
    return app if app != _UNCLASSIFIED else _SERVICES.get(port) or f"port {port}"


def groups_of(source: Source, where: Node | None, most: int = 12) -> Groups:
    """Return the applications of the sessions that pass a filter."""
    counts: Counter[tuple[str, int]] = Counter()
    for batch in source.scan(where, ("app", "server_port")):
        apps, ports = column(batch, "app"), numbers(column(batch, "server_port")).astype(np.int64)
        words = apps.dictionary.to_pylist()
        keys, sums = np.unique(numbers(apps.indices).astype(np.int64) << 16 | ports, return_counts=True)
        for key, count in zip(keys.tolist(), sums.tolist(), strict=True):
            counts[words[key >> 16], key & 0xFFFF] += count
    return Groups(counts, most)


def window_of(source: Source) -> Window:
    """Return the time from the first to the last packet of the input."""
    return Window(source.run.first_ns or 0, source.run.last_ns or 0)


def each_past(
    source: Source, where: Node | None, work: Callable[[Any, Past], T], columns: tuple[str, ...] = ()
) -> Iterator[T]:
    """Yield what `work` makes of each batch and its sessions' past, in order, on as many threads as are allowed.

    Args:
        source: The sessions.
        where: Filter.
        work: Called with the batch (strays left out) and the past; from several threads at a time.
        columns: Columns that `work` needs beside those of a past.
    """
    wanted = tuple(dict.fromkeys((*COLUMNS, *SCOPE_COLUMNS, "app", *columns)))
    used = source.used_ports()
    batches = source.scan(where, wanted)

    def one(batch: Any) -> T:
        batch = without_strays(batch)
        return work(batch, past_of(batch, used))

    with ThreadPoolExecutor(max_workers=source.threads or 2) as pool:
        waiting: deque[Future[T]] = deque(pool.submit(one, b) for b in itertools.islice(batches, _AHEAD))
        while waiting:
            done = waiting.popleft().result()
            waiting.extend(pool.submit(one, b) for b in itertools.islice(batches, 1))
            yield done


def without_strays(batch: Any) -> Any:
    """Return the rows of a batch that are sessions."""
    import pyarrow as pa

    opening = column(batch, "opening")
    words = opening.dictionary.to_pylist()
    if "stray" not in words:
        return batch
    stray = numbers(opening.indices) == words.index("stray")
    return batch.filter(pa.array(~stray)) if stray.any() else batch
