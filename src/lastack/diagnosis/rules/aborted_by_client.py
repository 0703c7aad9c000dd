"""The client reset it in mid-session."""

from __future__ import annotations

from lastack.diagnosis.abort import abort_rule
from lastack.model.enums import Actor, Cause, Closer

RULE = abort_rule(Cause.aborted_by_client, Closer.client, Actor.client)
