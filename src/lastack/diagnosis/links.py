"""Ties a failed attempt to the earlier session on the same ports that was in its way.

The evidence of that lies in the earlier session's row (a challenge ACK answers the new SYN, and belongs to the old
session). Of two sessions on the same ports the earlier row is written first, or in the same batch; so one set of ids,
kept while rows go by, is enough, and the result does not depend on how they are cut into batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lastack.diagnosis.columns import Columns
from lastack.diagnosis.engine import rejudge
from lastack.diagnosis.facts import is_code
from lastack.model.enums import Ending

MOST = 1 << 20  #: ids kept; those beyond are not remembered, and what they explain stays unanswered


class Links:
    """The sessions that answered a SYN which was not theirs, so far."""

    def __init__(self) -> None:
        self._ids: set[int] = set()

    def resolve(self, batch: Any, sizes: Sequence[int] = ()) -> Any:
        """Return a record batch of judged rows with the verdicts that need an earlier row; to be called in order.

        Args:
            batch: The next rows, in the order in which they are written.
            sizes: How many of them left at a time, in order, if not all did: what leaves later is not known to a row.
        """
        cols = Columns(batch)
        groups = np.repeat(np.arange(len(sizes)), sizes) if sizes else np.zeros(batch.num_rows, np.int64)
        new = self._new(cols, groups)
        if not (new or self._ids):
            return batch
        later = np.flatnonzero(cols.present("previous_id") & is_code(cols, "ending", Ending.never_opened))
        if len(later):
            earlier = (int(session) for session in cols.number("previous_id")[later])
            known = [
                session in self._ids or new.get(session, len(groups)) <= group
                for session, group in zip(earlier, groups[later], strict=True)
            ]
            later = later[known]
        self._ids.update(new)
        return rejudge(batch, later, challenged=True) if len(later) else batch

    def _new(self, cols: Columns, groups: Any) -> dict[int, int]:
        """Return the sessions that are to be remembered, and the group that each left in."""
        rows = cols.with_evidence("challenge_packet")[: max(MOST - len(self._ids), 0)]
        if not len(rows):
            return {}
        found = zip(cols.number("session_id")[rows].tolist(), groups[rows].tolist(), strict=True)
        return dict(reversed(list(found)))
