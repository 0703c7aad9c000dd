"""LastACK sees how every TCP session opened and closed, and says why it ended.

`sessions = lastack.track("x.pcap")` gives an object whose `table` is a pyarrow Table with one row a session;
`sessions["half_closed_ns"]` is one column as a NumPy array. `lastack fields` explains the columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lastack.app.api import Sessions, track

__version__ = "0.1.0"
__all__ = ["Sessions", "__version__", "track"]


def __getattr__(name: str) -> Any:
    """Load the engine when it is asked for: `import lastack` alone stays light."""
    if name in ("track", "Sessions"):
        from lastack.app import api

        return getattr(api, name)
    raise AttributeError(f"module 'lastack' has no attribute {name!r}")
