"""`lastack serve`: the web pages and the JSON API over datasets."""

from __future__ import annotations

import contextlib
import secrets
import socket
import sys
from pathlib import Path

import click

from lastack.cli.common import PositiveCount, Reading, reading_options, tell

_EPILOG = """\b
Examples:
  lastack serve dataset                            then open http://127.0.0.1:8011
  lastack serve trace.pcap                         the same for a capture, kept nowhere
  lastack serve monday tuesday --listen '[::1]:9000'
  lastack serve dataset --captures /srv/pcap       where the packets are now
  lastack serve clickhouse://HOST/DATABASE         sessions in ClickHouse
  lastack serve dataset --listen 0.0.0.0:8011 --token auto --tls-cert c.pem --tls-key k.pem
  curl 'http://127.0.0.1:8011/api/v1/table?by=service&metrics=rst.srv/connection'
"""


@click.command("serve", epilog=_EPILOG)
@click.argument("inputs", nargs=-1, required=True, metavar="DATASET|CAPTURE...")
@click.option(
    "--listen",
    default="127.0.0.1:8011",
    show_default=True,
    metavar="HOST:PORT",
    help="Where; port 0 takes any.",
)
@click.option(
    "--token",
    envvar="LASTACK_TOKEN",
    help="What askers must know; `auto` makes one. Also from $LASTACK_TOKEN, which other users cannot see.",
)
@click.option("--no-token", is_flag=True, help="Let everybody in on an address that is not loopback.")
@click.option("--tls-cert", type=click.Path(dir_okay=False), help="Certificate chain, PEM.")
@click.option("--tls-key", type=click.Path(dir_okay=False), help="Its private key, PEM.")
@click.option(
    "--captures", multiple=True, metavar="FILE|FOLDER", help="Where captures are now, if they were moved."
)
@click.option("--no-packets", is_flag=True, help="Never read packets again: records and verdicts only.")
@click.option(
    "--timeout", type=click.FloatRange(1, 3600), default=60, show_default=True, help="Seconds per question."
)
@click.option(
    "--at-once", type=PositiveCount(), default=4, show_default=True, help="Questions that run at a time."
)
@reading_options
def command(
    inputs: tuple[str, ...],
    listen: str,
    token: str | None,
    no_token: bool,
    tls_cert: str | None,
    tls_key: str | None,
    captures: tuple[str, ...],
    no_packets: bool,
    timeout: float,
    at_once: int,
    reading: Reading,
) -> None:
    """Show datasets in a browser, and answer programs by JSON.

    While `lastack watch` or `analyze` writes to a dataset, the pages follow. Nothing is written, nothing is loaded
    from elsewhere, and no request can read more than the datasets and the captures that they name.
    """
    if (tls_cert is None) != (tls_key is None):
        raise click.UsageError("--tls-cert and --tls-key go together")
    # Imported late: parsing a command line must not wait for Arrow.
    from lastack.app.grouped import open_source
    from lastack.cli.progress import shown_progress
    from lastack.store.place import is_database, place_of
    from lastack.store.s3 import is_s3
    from lastack.web.endpoint import Settings
    from lastack.web.jobs import Limits
    from lastack.web.security import is_loopback
    from lastack.web.server import make_app
    from lastack.web.tls import check_pair

    if tls_cert is not None and tls_key is not None:
        check_pair(tls_cert, tls_key)
    host, port = _split(listen)
    if not is_loopback(host) and not token and not no_token:
        raise click.UsageError(f"{host} can be reached from elsewhere: give --token auto (or --no-token)")
    secret = secrets.token_urlsafe(24) if token == "auto" else token or ""
    if far := [name for name in inputs if is_s3(name)]:
        raise click.UsageError(
            f"{far[0]}: serve reads folders and ClickHouse; copy the dataset to a folder, or push it to a database"
        )
    folders = [name for name in inputs if name != "-" and (is_database(name) or Path(name).is_dir())]
    names = [place_of(n).last if is_database(n) else Path(n).resolve().name for n in folders]
    with contextlib.ExitStack() as stack:
        taken = [name for name in inputs if name not in folders]
        if taken:
            with shown_progress(reading, taken) as progress:
                source = stack.enter_context(open_source(taken, reading.track_options, progress))
            folders += [part.name for part in source.stored.parts]
            names.append(", ".join(Path(name).name for name in taken))
            tell(source.notes, reading)
        app = make_app(
            folders,
            settings=Settings(tuple(names), captures, not no_packets),
            limits=Limits(at_once=at_once, seconds=timeout),
            token=secret,
            loopback_only=is_loopback(host),
            secure=tls_cert is not None,
            threads=reading.threads,
            prepare=True,
        )
        listening = stack.enter_context(_bound(host, port))
        scheme = "https" if tls_cert is not None else "http"
        port = listening.getsockname()[1]
        shown = f"[{host}]" if ":" in host else host
        link = f"{scheme}://{shown}:{port}/" + (f"?token={secret}" if token == "auto" else "")
        if not reading.quiet:
            click.echo(f"lastack: {link}   Ctrl-C ends it", err=True)
            sys.stderr.flush()
        _run(app, listening, tls_cert, tls_key)


def _run(app: object, listening: socket.socket, cert: str | None, key: str | None) -> None:
    import uvicorn

    config = uvicorn.Config(
        app,  # type: ignore[arg-type]  # an ASGI application
        log_level="warning",
        access_log=False,
        server_header=False,
        lifespan="off",
        timeout_graceful_shutdown=2,
        limit_concurrency=500,
        h11_max_incomplete_event_size=64 * 1024,
        ssl_certfile=cert,
        ssl_keyfile=key,
    )
    uvicorn.Server(config).run(sockets=[listening])


def _split(text: str) -> tuple[str, int]:
    """Return host and port of `host:port`, `[::1]:port`, or `:port` (loopback)."""
    host, colon, port = text.rpartition(":")
    if not colon or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise click.UsageError(f"--listen {text}: write HOST:PORT, such as 127.0.0.1:8011 or [::1]:8011")
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        raise click.UsageError(f"--listen {text}: put an IPv6 address in brackets")
    return host.strip("[]") or "127.0.0.1", int(port)


def _bound(host: str, port: int) -> socket.socket:
    """Return a socket that listens."""
    from lastack.model.errors import AccessError, UsageError

    found: socket.socket | None = None
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        found = socket.socket(family, socket.SOCK_STREAM)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((host, port))
        found.listen(128)
    except OSError as reason:
        if found is not None:
            found.close()
        if isinstance(reason, PermissionError):
            raise AccessError(
                f"--listen {host}:{port}: no permission for this port; take one above 1023"
            ) from None
        raise UsageError(f"--listen {host}:{port}: {reason.strerror or reason}") from None
    return found
