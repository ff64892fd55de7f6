"""``python -m miscreen``, and the entry point of the ``miscreen`` command."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from types import FrameType
from typing import NoReturn


def _end(number: int, frame: FrameType | None) -> None:
    """End the run here and now.

    An exception could be swallowed by whatever callback the interpreter is in, or have to wait for a kernel.
    Scratch and outputs in the making are unnamed files that go with the process; where the file system has none,
    the writer knows their names.
    """
    writer = sys.modules.get("miscreen.tables.write")
    if writer is not None:
        writer.discard_unfinished()
    show_cursor = "\x1b[?25h\n" if os.isatty(2) else ""  # a progress bar hides it
    word = "interrupted" if number == signal.SIGINT else "terminated"
    try:
        os.write(2, f"{show_cursor}error: {word}\n".encode())
    finally:
        os._exit(128 + number)


def main() -> NoReturn:
    """Run the command line and end the process with its exit code; signals end it with 128 and their number.

    The interpreter is left without being taken down: Arrow's threads may still be giving back buffers to it.
    """
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:  # nohup stays nohup
            signal.signal(number, _end)
    from miscreen.cli import main as run

    code = run()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
