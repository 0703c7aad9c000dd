"""The front door: finds the command, runs it, and turns errors into one line and an exit code.

Commands are loaded when they are run, so that `lastack --help` imports nothing heavy. Exit codes: 0 done, 1 a
finding when asked to fail (or an error of our own), 2 wrong usage, 3 unreadable input, 4 missing privilege.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module

import click

from lastack import __version__
from lastack.model.errors import LastackError

# NumPy would start a thread for each processor that nothing here uses.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

#: Verb -> module (in lastack.cli) and the line that `lastack --help` shows.
COMMANDS: dict[str, tuple[str, str]] = {
    "analyze": ("analyze", "Overview of captures: how sessions opened, how they ended, what stands out."),
    "sessions": ("sessions", "One row for each session of captures or datasets, filtered, in any format."),
    "show": ("show", "Everything about one session."),
    "info": ("info", "What is in a capture: interfaces, link types, times, damage."),
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


class LazyGroup(click.Group):
    """A group that knows its commands' names and imports one only to run it or to print its help."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs, in the order people need them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of a verb and return its command."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"lastack.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of verbs without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb, or suggest the nearest."""
        import difflib

        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            near = difflib.get_close_matches(name, COMMANDS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"the commands are {', '.join(COMMANDS)}"
            ctx.fail(f"no command is called {name!r}: {hint}")
        return super().resolve_command(ctx, args)


@click.group(cls=LazyGroup, help=_HELP, context_settings={"help_option_names": ["-h", "--help"]})
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


def main() -> None:
    """Run the process's command line and exit."""
    sys.exit(run())


if __name__ == "__main__":
    main()
