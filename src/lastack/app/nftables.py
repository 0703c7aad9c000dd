"""Loads an nftables ruleset of timers into a network namespace or this host, and reads back what the kernel has."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lastack.export.nftables import DEFAULTS, Ruleset
from lastack.model.errors import AccessError, LastackError, UsageError

_SECONDS = 30  # nft answers in milliseconds; longer is a kernel in trouble


class ApplyError(LastackError):
    """The kernel refused a ruleset, or has another one than was loaded."""


@dataclass(frozen=True, slots=True)
class Applied:
    """What was loaded and found again.

    Attributes:
        objects: `ct timeout` objects of this policy.
        rules: Rules that choose one.
        older: Objects of earlier policies, kept for the sessions that run on them.
    """

    objects: int
    rules: int
    older: tuple[str, ...]


def apply_ruleset(rules: Ruleset, netns: str | None = None) -> Applied:
    """Load a ruleset in one transaction and return what the kernel has, which is compared value by value.

    Args:
        rules: The ruleset.
        netns: Name of a network namespace (`ip netns`), or its path (`/proc/PID/ns/net`); this host's own when None.

    Raises:
        AccessError: There is no privilege, or no nft.
        UsageError: There is no such namespace.
        ApplyError: The kernel refused it, or does not have what was loaded.
    """
    _run(["nft", "-f", "-"], netns, rules.text())
    listing = json.loads(_run(["nft", "-j", "list", "table", "inet", rules.table], netns))
    return compare(rules, listing["nftables"])


def compare(rules: Ruleset, listing: list[dict[str, Any]]) -> Applied:
    """Return what a listing has of a ruleset; a listing leaves out values that are nft's defaults.

    Raises:
        ApplyError: It has not the same objects, values or rules.
    """
    found = {
        item["ct timeout"]["name"]: {**DEFAULTS, **(item["ct timeout"].get("policy") or {})}
        for item in listing
        if "ct timeout" in item
    }
    for item in rules.objects:
        if item.name not in found:
            raise ApplyError(f"nftables: {item.name} was loaded and is not there")
        for state, seconds in item.seconds.items():
            if found[item.name][state] != seconds:
                raise ApplyError(
                    f"nftables: {item.name}: {state} is {found[item.name][state]} s in the kernel, not {seconds} s"
                )
    chosen = [_chosen(item["rule"]) for item in listing if item.get("rule", {}).get("chain") == "assign"]
    wanted = [rule.split('"')[1] for rule in rules.rules]
    if chosen != wanted:
        raise ApplyError(f"nftables: the chain assign chooses {chosen}, not {wanted}")
    older = sorted(set(found) - {item.name for item in rules.objects})
    return Applied(len(rules.objects), len(chosen), tuple(older))


def _chosen(rule: dict[str, Any]) -> str:
    return next((str(part["ct timeout"]) for part in rule["expr"] if "ct timeout" in part), "")


def _run(command: list[str], netns: str | None, text: str = "") -> str:
    """Run nft, in a namespace when one is named, and return what it prints."""
    if shutil.which(command[0]) is None:
        raise AccessError(
            "nftables: there is no nft here; install the package nftables, or write a file with -o"
        )
    if os.geteuid() != 0:
        raise AccessError(
            "nftables: only root may load rules; write a file with -o and load it with sudo nft -f"
        )
    if netns is not None:
        path = Path(netns) if "/" in netns else Path("/run/netns") / netns
        if not path.exists():
            raise UsageError(
                f"--netns {netns}: no such network namespace; `ip netns list` shows those that have a name"
            )
        command = ["nsenter", f"--net={path}", *command]
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=_SECONDS, check=False)
    if done.returncode != 0:
        raise ApplyError(f"nftables: nft refuses it: {done.stderr.strip() or done.returncode}")
    return done.stdout
