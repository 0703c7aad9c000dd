"""`lastack policy export`: a policy as the configuration of a real box."""

from __future__ import annotations

import click

from lastack.cli.lazy import LazyGroup

VERBS: dict[str, tuple[str, str]] = {
    "nftables": ("policy_export_nftables", "ct timeout objects and rules for Linux."),
}
_EPILOG = """\b
Examples:
  lastack policy export nftables policy.toml -o timers.nft
"""


@click.group("export", cls=LazyGroup, verbs=VERBS, epilog=_EPILOG)
def command() -> None:
    """Write a policy as the configuration of a real box."""
