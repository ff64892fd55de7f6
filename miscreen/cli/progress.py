"""Progress on standard error: a bar on a terminal, a line now and then otherwise."""

from __future__ import annotations

import contextlib
import time
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

from miscreen.resources import format_bytes

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

BAR_AFTER = 0.5  # seconds; a run that is over by then needs no bar
LINE_EVERY = 10.0  # seconds
TOLD = {  # of each phase: what was done to what
    "read": ("read", ""),
    "score": ("scored", " columns"),
    "gather": ("gathered", " columns"),
    "code": ("coded", " columns"),
    "compare": ("compared", " columns"),
    "subsample": ("chosen from", " subsamples"),
    "fit": ("fitted", " models"),
}


class Progress:
    """A callback that tells how far a run is; use it in a ``with`` statement.

    Parameters
    ----------
    stream : text stream
        Where to tell; a bar is drawn when it is a terminal.
    quiet : bool
        Tell nothing.
    """

    def __init__(self, stream: TextIO, *, quiet: bool = False) -> None:
        self._stream = stream
        self._quiet = quiet
        self._phase = ""
        self._began, self._first = 0.0, 0
        self._next = time.monotonic() + (BAR_AFTER if stream.isatty() else LINE_EVERY)
        self._bar: Bar | None = None

    def __call__(self, phase: str, done: int, total: int | None) -> None:
        """Take note of `done` of `total` bytes (phase ``read``) or of what `TOLD` says."""
        now = time.monotonic()
        if phase != self._phase:  # speed is counted from its first news, when kernels are compiled
            self._phase, self._began, self._first = phase, now, done
        if self._quiet or now < self._next:
            return
        elapsed = now - self._began
        text = describe(phase, done, total, (done - self._first) / elapsed if elapsed else 0.0)
        with contextlib.suppress(OSError):  # nobody may be there to hear it
            if self._stream.isatty():
                self._draw(text, done, total)
            else:
                self._next = now + LINE_EVERY
                self._stream.write(text + "\n")
                self._stream.flush()

    def _draw(self, text: str, done: int, total: int | None) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as Bar

        if self._bar is None:
            console = Console(file=self._stream, highlight=False)
            self._bar = Bar(
                BarColumn(), TextColumn("{task.description}"), console=console, transient=True, auto_refresh=False
            )
            self._bar.add_task("")
            self._bar.start()
        self._bar.update(self._bar.task_ids[0], description=text, completed=done, total=total, refresh=True)

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            with contextlib.suppress(OSError):
                self._bar.stop()


def describe(phase: str, done: int, total: int | None, rate: float) -> str:
    """A line that says how far a phase is, how fast it goes and when it will end.

    Examples
    --------
    >>> describe("score", 40_000, 150_000, 10_000.0)
    'scored 40,000 of 150,000 columns, 10,000/s, 11 s left'
    >>> describe("read", 3 << 20, None, 1.5 * (1 << 20))
    'read 3.0 MB, 1.5 MB/s'
    >>> describe("fit", 9, 30, 0.3)
    'fitted 9 of 30 models, 70 s left'
    """

    def amount(number: float) -> str:
        return format_bytes(number) if phase == "read" else f"{number:,.0f}"

    verb, things = TOLD.get(phase, (phase, ""))
    text = f"{verb} {amount(done)}"
    if total is not None:
        text += f" of {amount(total)}"
    text += things
    if rate >= 1:
        text += f", {amount(rate)}/s"
    if rate > 0 and total is not None:
        text += f", {_duration((total - done) / rate)} left"
    return text


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
