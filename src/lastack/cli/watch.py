"""`lastack watch`: sessions as they happen, kept in a dataset for as long as it runs."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from lastack.cli.common import Count, Duration, PositiveCount

if TYPE_CHECKING:
    from lastack.app.watch_options import WatchOptions

_FAREWELL_S = 20.0  # for what is still to be sent when the watch ends

_EPILOG = """\b
Examples:
  lastack watch eth0 -o sessions                       until Ctrl-C; go on later with the same line
  lastack watch eth0 -o sessions --keep-age 30d --keep-size 50GB
  lastack watch any -o sessions --listen 127.0.0.1:9116     /metrics for Prometheus
  lastack watch eth0 --to clickhouse://db.example.net/flows      sent on; kept here for an hour
  tcpdump -i eth0 -U -s 256 -w - | lastack watch - -o sessions
  lastack watch eth0 -o sessions --settings watch.toml      timeouts and alerts; SIGHUP reads it again
  lastack watch --settings watch.toml --check-alerts -o sessions    what each rule says now
\b
watch.toml:
  [watch]
  roll = "10s"
  keep_age = "30d"
  half_closed_idle = "24h"
  [[alert]]
  name = "web servers reset"
  metric = "rst.srv/connection"
  filter = "server.port = 443"
  above = 0.2
  clear = 0.1
  window = "5m"
  minimum = 50
  exec = ["/usr/local/bin/page"]       # or log = FILE, webhook = URL
"""


class Size(click.ParamType[int]):
    """Bytes with a unit: `500MB`, `50GiB`."""

    name = "SIZE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return bytes."""
        from lastack.model.units import parse_size

        if isinstance(value, int):
            return value
        try:
            return parse_size(str(value))
        except (ValueError, OverflowError) as reason:
            self.fail(str(reason), param, ctx)


class DurationOrNever(Duration):
    """A duration, or 0s for never."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return nanoseconds."""
        return 0 if value in ("0", "0s") else super().convert(value, param, ctx)


@click.command("watch", epilog=_EPILOG)
@click.argument("interface", required=False, metavar="INTERFACE|-")
@click.option(
    "-o", "--output", metavar="DATASET", help="Keep sessions in this folder; one that is there grows."
)
@click.option(
    "--to",
    metavar="clickhouse://HOST/DATABASE",
    help="Send sessions there too; they wait on disk while it is away.",
)
@click.option("--spool-size", type=Size(), help="Let so much wait for --to at most (4GiB).")
@click.option("--roll", type=Duration(), help="Write finished sessions this often (10s).")
@click.option("--roll-rows", type=PositiveCount(), help="Or as soon as there are so many (100k).")
@click.option(
    "--snapshot", type=DurationOrNever(), help="Write the open sessions this often (10s); 0s for never."
)
@click.option("--established-idle", type=Duration(), help="Silence that ends an established session (24h).")
@click.option("--half-open-idle", type=Duration(), help="Silence that ends one that never opened (3m).")
@click.option("--half-closed-idle", type=Duration(), help="Silence that ends a half-closed one (24h).")
@click.option("--closed-linger", type=Duration(), help="Wait for late packets of one that is over (30s).")
@click.option(
    "--max-sessions", type=PositiveCount(), help="Sessions held at once (what half the memory holds)."
)
@click.option("--keep-age", type=Duration(), help="Let segments go when they are older.")
@click.option("--keep-size", type=Size(), help="Let the oldest segments go beyond this size.")
@click.option("--listen", metavar="ADDRESS:PORT", help="Serve /metrics, /status and /alerts.")
@click.option("--settings", metavar="FILE", help="TOML with [watch] and [[alert]]; options here come first.")
@click.option("--config", metavar="FILE", help="Zones and applications (default: as in `lastack analyze`).")
@click.option("--check-alerts", is_flag=True, help="Say what each rule says of the dataset now, and stop.")
@click.option("--snaplen", type=Count(), default=256, show_default=True, help="Bytes kept of a packet.")
@click.option(
    "--ring", type=Size(), default="64MiB", show_default=True, help="Memory shared with the kernel."
)
@click.option("--no-promiscuous", is_flag=True, help="Only packets for this machine.")
@click.option("-q", "--quiet", is_flag=True, help="Nothing on standard error but errors.")
@click.option("--no-screen", is_flag=True, help="No terminal view.")
def command(
    interface: str | None,
    output: str | None,
    to: str | None,
    spool_size: int | None,
    listen: str | None,
    settings: str | None,
    config: str | None,
    check_alerts: bool,
    snaplen: int,
    ring: int,
    no_promiscuous: bool,
    quiet: bool,
    no_screen: bool,
    **values: int | None,
) -> int:
    """Follow the TCP sessions of an interface for as long as it runs, and keep them in a dataset.

    INTERFACE is a network interface, `any`, or - for a capture on standard input. Sessions are written as they end;
    one that is open is in the dataset's open.parquet. Needs CAP_NET_RAW, and gives everything else up.
    """
    if output is None and to is not None and interface is not None:
        from lastack.app.watch_to import KEEP_NS, usual_folder

        output = usual_folder(interface)
        values["keep_age"] = values["keep_age"] or KEEP_NS
    if output is None:
        raise click.UsageError(
            "name the dataset: -o DATASET (or the database: --to clickhouse://HOST/DATABASE)"
        )
    options = _options(settings, config, values)()
    if check_alerts:
        return _check_alerts(options, output)
    if interface is None:
        raise click.UsageError("name an interface (`ip link` lists them), any, or - for standard input")
    from lastack.app.watch_rights import drop_privileges
    from lastack.capture.live import LiveCapture
    from lastack.store.roll import RollingStore

    def warn(line: str) -> None:
        if not quiet:
            click.echo(f"lastack: {line}", err=True)

    capture = None
    if interface != "-":
        capture = LiveCapture(interface, snaplen, ring, not no_promiscuous)
    shipper = None
    if to is not None:
        from lastack.app.watch_to import shipper_to

        shipper = shipper_to(to, output, spool_size, warn)
    made = shipper.offer if shipper is not None else None
    store = RollingStore(output, retention=options.retention, made=made)
    rights = drop_privileges()
    from lastack.app.prepare import ensure_live

    ensure_live(warn)
    if capture is not None:
        capture.restart()  # what came while the program got ready did not fit anyway
    from lastack.app.watch import Watch, serve_metrics
    from lastack.app.watch_http import screen_row, status_row
    from lastack.app.watch_source import PipeSource, RingSource
    from lastack.view.watch import WatchScreen, timeout_words

    words = timeout_words(
        {
            "established": options.timeouts.established_ns,
            "half-open": options.timeouts.half_open_ns,
            "half-closed": options.timeouts.half_closed_ns,
            "closed": options.timeouts.closed_ns,
        }
    )
    if store.resumed:
        warn(
            f"{output}: the run before was cut off; its {store.row_count:,} sessions are kept, "
            f"{store.recovered:,} of them as they stood open, and it goes on"
        )
    if capture is not None:
        warn(f"{interface}: a ring of {capture.ring_bytes >> 20} MiB; {rights} kept")
    source = RingSource(capture) if capture is not None else PipeSource()
    watch = Watch(source, store, options, warn, _options(settings, config, values))
    watch.take_signals()
    warn(words)  # scripts wait for this line before they send signals
    if shipper is not None:
        watch.metrics.registry.register(shipper)
        shipper.start(lambda: store.run)
    stop = serve_metrics(listen, watch, warn) if listen else None
    try:
        if sys.stderr.isatty() and not quiet and not no_screen:
            from rich.console import Console
            from rich.live import Live

            screen = WatchScreen(words)
            with Live(console=Console(stderr=True), auto_refresh=False, transient=True) as live:
                watch.show = lambda state: live.update(
                    screen.render({**status_row(state), **screen_row(state)}), refresh=True
                )
                watch.run()
        else:
            watch.run()
    finally:
        if stop is not None:
            stop()
    state = watch.state
    left = shipper.finish(_FAREWELL_S) if shipper is not None else 0
    if left:
        warn(f"{left} segments wait in {output}: the next watch --to sends them, or `lastack dataset push`")
    warn(
        f"{state.packets:,} packets, {state.drops:,} dropped by the kernel; {state.rows:,} sessions kept in {output}"
    )
    return 1 if state.trouble or state.lost or left else 0


def _options(
    settings: str | None, config: str | None, values: dict[str, int | None]
) -> Callable[[], WatchOptions]:
    """Return what reads the options, now and at each SIGHUP."""

    def read() -> WatchOptions:
        from dataclasses import replace

        from lastack.app.config import load_classes
        from lastack.app.config_place import find_config
        from lastack.app.watch_options import WatchOptions, load_settings, with_values

        options = WatchOptions()
        if settings is not None:
            told, alerts = load_settings(settings)
            options = replace(with_values(options, told), alerts=alerts)
        path = find_config(config)
        classes = load_classes(path) if path is not None else None
        return replace(with_values(options, values), classes=classes)

    return read


def _check_alerts(options: WatchOptions, output: str) -> int:
    """Print what each rule says of a dataset; 1 if one would fire."""
    import time

    from lastack.app.alerts_ask import ask_alert
    from lastack.store.dataset import Dataset

    if not options.alerts:
        raise click.UsageError("there is no rule: give --settings FILE with [[alert]]")
    dataset = Dataset.open(output, partial=True)
    found = 0
    for rule in options.alerts:
        value, sessions = ask_alert(dataset, rule, time.time_ns())
        if value is None or sessions < rule.minimum:
            word = f"says nothing: {sessions:,} sessions, {rule.minimum:,} needed"
        elif rule.beyond(value):
            word, found = "fires", 1
        else:
            word = "is quiet"
        shown = "-" if value is None else f"{value:.6g}"
        sign = ">" if rule.rising else "<"
        click.echo(
            f"{rule.name}: {rule.metric} = {shown} ({sign} {rule.threshold:g}, {sessions:,} sessions): {word}"
        )
    return found
