"""The command line: it turns arguments into one call of the library, and every outcome into an exit code."""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

import typer

from miscreen.cli.convert import convert
from miscreen.cli.describe import describe
from miscreen.cli.evaluate import evaluate
from miscreen.cli.flat import flat
from miscreen.cli.merge import merge
from miscreen.cli.options import Version
from miscreen.cli.rank import rank
from miscreen.cli.select import select
from miscreen.cli.slurm import slurm
from miscreen.cli.terminal import say
from miscreen.cli.warmup import warmup
from miscreen.errors import MiscreenError
from miscreen.tables.formats import known_suffixes

INTERNAL_ERROR = 70  # EX_SOFTWARE of sysexits.h

_HELP = f"""Rank every column of a very wide table by its mutual information with a target.

\b
miscreen rank data.parquet --target y
miscreen select data.parquet --target y --top 500 -o chosen.parquet
miscreen evaluate data.parquet --target y --k 10,50,200
miscreen describe data.parquet
miscreen convert data.csv data.arrow
miscreen merge parts/ -o ranked.parquet
miscreen slurm data.parquet --target y --shards 16 --time 30 --cpus 4 --submit
miscreen warmup

SOURCE is a file ({", ".join(known_suffixes())}; text also as .gz and .zst),
a directory or a quoted glob of such files, or - for standard input.
"""
_EPILOG = """\b
Exit codes:
  0    done; also when the reader of a pipe has seen enough
  1    the data, the memory or the disk do not allow it
  2    the request is not understood: an option, a name, a path
  70   a bug in miscreen
  75   stopped by SIGTERM or SIGUSR1, and can go on (--resume, --shard)
  130  interrupted; 129, 138 and 143: hung up, SIGUSR1, terminated
"""


# Plain help: drawing it with rich doubles the time that --help takes.
application = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
for _verb in (rank, select, evaluate, describe, convert, merge, slurm, warmup):
    application.command(epilog=_EPILOG)(flat(_verb))


@application.callback(help=_HELP, epilog=_EPILOG)
def miscreen(version: Version = False) -> None:
    """The whole program, of which `_HELP` tells."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; nothing but data goes to standard output.

    Parameters
    ----------
    arguments : sequence of str, optional
        What follows the program's name; the process's own arguments by default.

    Returns
    -------
    int
        0 for success, 1 for data and resources, 2 for a request that is not understood, 70 for a bug, 75 when
        stopped and to be resumed, 130 when interrupted.

    Examples
    --------
    >>> main(["--version"])
    miscreen ...
    0
    """
    if sys.stderr is None:  # closed by whoever started us
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115  (open for good)
    if sys.stdout is None:
        refusing = os.open(os.devnull, os.O_RDONLY)  # whatever is written to it
        sys.stdout = io.TextIOWrapper(io.BufferedWriter(io.FileIO(refusing, "w")))
    try:
        _run(sys.argv[1:] if arguments is None else list(arguments))
        sys.stdout.flush()  # here, where a broken pipe can still be met, and not at interpreter shutdown
    except typer.Exit as done:
        return done.exit_code
    except BrokenPipeError:
        _abandon_stdout()
        return 0
    except KeyboardInterrupt:
        say("error", "interrupted")
        return 128 + signal.SIGINT
    except BaseException as error:
        if os.environ.get("MISCREEN_DEBUG"):
            traceback.print_exc()
        return _report(error)
    return 0


def _run(arguments: list[str]) -> None:
    command = typer.main.get_command(application)
    with command.make_context("miscreen", arguments or ["--help"]) as context:
        command.invoke(context)


def _report(error: BaseException) -> int:
    """Say what went wrong and how to go on; return the exit code."""
    if isinstance(error, MiscreenError):
        say("error", error.message, error.hint)
        return error.exit_code
    if isinstance(error, typer.TyperException):
        context = getattr(error, "ctx", None)
        told = error.format_message()
        hint = f"See {context.command_path} --help" if context else ""
        if told.startswith("Got unexpected extra argument"):  # as the shell makes of a pattern
            hint = f"Quote a pattern that means several files, such as 'data/*.csv'. {hint}"
        say("error", told, hint)
        return error.exit_code
    if isinstance(error, MemoryError):
        say(
            "error",
            "the machine has no memory left for this run",
            "Give a smaller --memory or fewer --threads",
        )
        return 1
    if isinstance(error, OSError) and error.errno == errno.EBADF:
        say("error", "standard output is closed", "Name a file with -o")
        return 1
    if isinstance(error, OSError) and error.strerror:
        say("error", f"{error.strerror}: {error.filename}" if error.filename else error.strerror)
        return 1
    say(
        "error",
        "\n".join([f"internal error: {type(error).__name__}: {error}", *getattr(error, "__notes__", [])]),
        "This is a bug in miscreen. Set MISCREEN_DEBUG=1 and run again to see where",
    )
    return INTERNAL_ERROR


def _abandon_stdout() -> None:
    """Point standard output at nothing, so that the interpreter's last flush cannot fail."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, sys.stdout.fileno())
    os.close(nothing)
