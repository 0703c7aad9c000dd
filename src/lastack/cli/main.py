"""The front door: finds the command, runs it, and turns errors into one line and an exit code.

Commands are loaded when they are run, so that `lastack --help` imports nothing heavy. Exit codes: 0 done, 1 a
finding when asked to fail (or an error of our own), 2 wrong usage, 3 unreadable input, 4 missing privilege.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from lastack import __version__
from lastack.cli.lazy import LazyGroup
from lastack.model.errors import LastackError

# NumPy would start a thread for each processor that nothing here uses.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

#: Verb -> module (in lastack.cli) and the line that `lastack --help` shows.
COMMANDS: dict[str, tuple[str, str]] = {
    "analyze": ("analyze", "Overview of captures: how sessions opened, how they ended, what stands out."),
    "sessions": ("sessions", "One row for each session of captures or datasets, filtered, in any format."),
    "top": ("top", "Servers, clients, zones, ports ... with most of a metric, the others and the total."),
    "table": ("table", "Any metrics of sessions by any keys."),
    "graph": ("graph", "Metrics over time, or how a quantity is spread: in the terminal, PNG, SVG, CSV."),
    "compare": ("compare", "What changed between two inputs or two periods, ranked."),
    "report": ("report", "One HTML page to read and to mail: ledger, endings over time, causes, top lists."),
    "serve": ("serve", "Datasets in the browser, and a JSON API over them."),
    "dataset": ("dataset", "Datasets in ClickHouse: bring sessions there, print the schema."),
    "show": ("show", "Everything about one session."),
    "probe": ("probe", "Test a real path: does half-close survive it, and for how long?"),
    "lab": ("lab", "Client, box and server of real kernels on this machine; every way to close; traffic."),
    "monitor": ("monitor", "Watch whether targets accept connections, without opening one; metrics, hooks."),
    "emulate": ("emulate", "A box between two interfaces that forgets sessions as a real firewall does."),
    "emulator": ("emulator", "Ask a running box: counters, sessions, clear, reload, stop."),
    "watch": ("watch", "Sessions of an interface as they happen, kept for days; metrics, alerts."),
    "info": ("info", "What is in a capture: interfaces, link types, times, damage."),
    "whatif": ("whatif", "What a firewall's timers would have broken, and what its table would have held."),
    "replay": ("replay", "What a firewall or NAT would have done to each packet of captures."),
    "recommend": ("recommend", "The smallest timers that break at most a share of the sessions."),
    "timers": ("timers", "Hidden timers on the path, from sessions that died and those that lived."),
    "profiles": ("profiles", "What is known of firewalls, NATs and hosts: timers, sources, open questions."),
    "policy": ("policy", "Check a timer policy, compare it with the running one, export it to Linux."),
    "config": ("config", "Zones and applications: check them, show them, explain who gets which."),
    "fields": ("fields", "Names that filters and columns use, with type, unit and meaning."),
}

_HELP = """LastACK sees how every TCP session opened and how it ended.

\b
Examples:
  lastack analyze trace.pcap                 what happened, what stands out
  lastack analyze *.pcap.gz -o dataset       the same, and keep the sessions
  lastack sessions dataset -f 'rst.count > 0 and fin.count = 0'
  lastack COMMAND --help                     more examples
"""


@click.group(
    cls=LazyGroup, verbs=COMMANDS, help=_HELP, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, "-V", "--version", prog_name="lastack", message="%(prog)s %(version)s")
def cli() -> None:
    """Hold the commands; the help text is above."""


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code; nothing that a user can cause ends in a traceback.

    Args:
        arguments: Words after `lastack`; those of the process by default.
    """
    try:
        result = cli.main(args=arguments, prog_name="lastack", standalone_mode=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except LastackError as error:
        click.echo(f"lastack: {error}", err=True)
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("lastack: interrupted", err=True)
        return 130
    except BrokenPipeError:
        # The reader has what it wanted (`| head`). Keep the interpreter from complaining at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except MemoryError:
        click.echo("lastack: out of memory; give a smaller --max-sessions", err=True)
        return 1
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        click.echo(f"lastack: {place}{error.strerror or error}", err=True)
        return 4 if isinstance(error, PermissionError) else 1


class _WithoutPandas:
    """Hides pandas: where it is installed, pyarrow imports it for the first array, most of a second for nothing."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name == "pandas":
            raise ModuleNotFoundError("the command line does not use pandas", name=name)


def main() -> None:
    """Run the process's command line and exit."""
    sys.meta_path.insert(0, _WithoutPandas())
    sys.exit(run())


if __name__ == "__main__":
    main()
