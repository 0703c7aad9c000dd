"""Ties a failed attempt to the earlier session on the same ports that was in its way.

The evidence of that lies in the earlier session's row (a challenge ACK answers the new SYN, and belongs to the old
session). Of two sessions on the same ports the earlier row is written first, or in the same batch; so one set of ids,
kept while rows go by, is enough, and the result does not depend on how they are cut into batches.
"""

from __future__ import annotations

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

    def resolve(self, batch: Any) -> Any:
        """Return a record batch of judged rows with the verdicts that need an earlier row; to be called in order.

        Args:
            batch: The next rows, in the order in which they are written.
        """
        cols = Columns(batch)
        if not (self._remember(cols) or self._ids):
            return batch
        later = np.flatnonzero(cols.present("previous_id") & is_code(cols, "ending", Ending.never_opened))
        if not len(later):
            return batch
        earlier = cols.number("previous_id")[later]
        rows = later[[int(session) in self._ids for session in earlier]]
        return rejudge(batch, rows, challenged=True) if len(rows) else batch

    def _remember(self, cols: Columns) -> bool:
        if not cols.any_evidence("challenge_packet"):
            return False
        rows = np.flatnonzero(cols.evidence("challenge_packet") > 0)
        room = MOST - len(self._ids)
        self._ids.update(int(session) for session in cols.number("session_id")[rows[: max(room, 0)]])
        return True
