"""The three families of errors that LastACK raises on purpose; anything else is a bug.

Odd traffic never raises: it is counted with a reason (see `lastack.model.drops`).
"""

from __future__ import annotations


class LastackError(Exception):
    """Base of every error that LastACK raises on purpose.

    Attributes:
        exit_code: What the command line exits with when this error reaches it.
    """

    exit_code = 1


class UsageError(LastackError):
    """The caller asked for something that cannot be asked (a wrong field, value or option)."""

    exit_code = 2


class InputError(LastackError):
    """Nothing useful could be read from an input; the message names file, place and remedy."""

    exit_code = 3


class AccessError(LastackError):
    """A privilege or a permission is missing; the message says which and how to get it."""

    exit_code = 4
