"""`lastack policy`: the configuration of a box's timers."""

from __future__ import annotations

import click

from lastack.cli.lazy import LazyGroup

VERBS: dict[str, tuple[str, str]] = {
    "new": ("policy_new", "Write a policy file to start from."),
    "check": ("policy_check", "The commit step: errors, warnings, effective times, what changes."),
    "export": ("policy_export", "Write a policy as the configuration of a real box."),
}
_EPILOG = """\b
Examples:
  lastack policy new panos -o policy.toml
  lastack policy check policy.toml --running running.toml
  lastack policy export nftables policy.toml -o timers.nft
"""


@click.group("policy", cls=LazyGroup, verbs=VERBS, epilog=_EPILOG)
def command() -> None:
    """Check a timer policy, compare it with the running one, export it to Linux."""
