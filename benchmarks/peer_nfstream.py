"""nfstream with its statistics and without DPI, flows counted and dropped."""

from __future__ import annotations

import sys

from nfstream import NFStreamer


def main() -> None:
    """Count the TCP flows of a capture."""
    streamer = NFStreamer(source=sys.argv[1], n_dissections=0, statistical_analysis=True)
    print(sum(flow.protocol == 6 for flow in streamer))


if __name__ == "__main__":
    main()
