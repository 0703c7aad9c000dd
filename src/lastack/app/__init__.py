"""Puts the parts together: sources, tracker and sinks; the only layer that starts threads."""

from lastack.kernels import cache


def _compile_missing(wanted: bytes) -> bytes:
    from lastack.app.prepare import compile_missing

    return compile_missing(wanted)


cache.compile_missing = _compile_missing
