"""``python -m miscreen``, and the entry point of the ``miscreen`` command."""

from __future__ import annotations

import gc
import io
import os
import sys

# Little is imported before signals are caught: until then Ctrl-C ends in a traceback of the interpreter.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import NoReturn


_INTERRUPT = 2  # SIGINT, of whose module nothing is known yet
_OBJECTS = 200_000  # made between looks for cycles: libraries make so many while they are imported, and keep them


def _end(number: int, frame: FrameType | None) -> None:
    """End the run here and now.

    An exception could be swallowed by whatever callback the interpreter is in, or have to wait for a kernel.
    Scratch and outputs in the making are unnamed files that go with the process; where the file system has none,
    the writer knows their names.
    """
    discard = getattr(sys.modules.get("miscreen.tables.aside"), "discard_unfinished", None)
    if discard is not None:  # else the writer is not imported, or not yet to its end
        discard()
    show_cursor = "\x1b[?25h\n" if os.isatty(2) else ""  # a progress bar hides it
    word = "interrupted" if number == _INTERRUPT else "terminated"
    try:
        os.write(2, f"{show_cursor}error: {word}\n".encode())
    finally:
        os._exit(128 + number)


def _catch_signals() -> None:
    import signal

    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:  # nohup stays nohup
            signal.signal(number, _end)


def _buffer_output() -> None:
    """Where PYTHONUNBUFFERED is set, have standard output write all of what it is given, or fail."""
    raw = getattr(sys.stdout, "buffer", None)
    if isinstance(raw, io.RawIOBase):  # which writes as much as a full disk or pipe takes, and tells
        sys.stdout = io.TextIOWrapper(io.BufferedWriter(raw), sys.stdout.encoding, sys.stdout.errors)


def main() -> NoReturn:
    """Run the command line and end the process with its exit code; signals end it with 128 and their number.

    The interpreter is left without being taken down: Arrow's threads may still be giving back buffers to it.
    """
    try:
        _catch_signals()
    except KeyboardInterrupt:
        _end(_INTERRUPT, None)
    gc.set_threshold(_OBJECTS)
    from miscreen.cli import main as run

    _buffer_output()
    code = run()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            continue
    os._exit(code)


if __name__ == "__main__":
    main()
