"""`lastack policy export nftables`: a policy for a Linux firewall."""

from __future__ import annotations

import click

_EPILOG = """\b
Examples:
  lastack policy export nftables policy.toml
  lastack policy export nftables policy.toml -o timers.nft && nft -f timers.nft
  lastack policy export nftables policy.toml --apply --netns lab
"""


@click.command("nftables", epilog=_EPILOG)
@click.argument("file", metavar="POLICY")
@click.option(
    "-o", "--output", default=None, metavar="FILE", help="Where to; standard output unless --apply."
)
@click.option(
    "--apply", "load", is_flag=True, help="Load it into this host's kernel (as root), and read it back."
)
@click.option("--netns", metavar="NAME|PATH", help="With --apply: into this network namespace.")
@click.option("--table", default="lastack_timers", show_default=True, help="Name of the nftables table.")
@click.option(
    "--hz",
    type=click.IntRange(100, 10_000),
    default=1000,
    show_default=True,
    help="CONFIG_HZ of the kernel that will run it; times above 2^32/HZ seconds are cut.",
)
@click.option("-q", "--quiet", is_flag=True, help="Do not say what Linux cannot express.")
def command(
    file: str, output: str | None, load: bool, netns: str | None, table: str, hz: int, quiet: bool
) -> None:
    """Write a policy as nftables `ct timeout` objects and rules, with what Linux cannot express.

    New sessions get the times of the first rule that matches; those under way keep theirs. The text can be loaded
    again and again, and after a change: objects are named after their values.
    """
    from lastack.app.policies import load_policy
    from lastack.export.nftables import ruleset
    from lastack.store.target import Target

    if netns is not None and not load:
        raise click.UsageError("--netns says where --apply loads it: give both")
    rules = ruleset(*load_policy(file), table, hz)
    if not quiet:
        for line in rules.cannot:
            click.echo(f"lastack: different on Linux: {line}", err=True)
    if load:
        from lastack.app.nftables import apply_ruleset

        done = apply_ruleset(rules, netns)
        place = f"namespace {netns}" if netns else "this host"
        kept = f"; {len(done.older)} older kept for their sessions" if done.older else ""
        click.echo(
            f"lastack: {place}: {done.objects} ct timeout objects, {done.rules} rules, read back{kept}",
            err=True,
        )
    if output is not None or not load:
        target = Target(output or "-")
        try:
            target.stream.write(rules.text().encode())
            target.commit()
        finally:
            target.discard()
