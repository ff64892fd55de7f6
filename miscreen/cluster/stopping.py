"""Signals that ask a run to stop after the partition in hand."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


@contextmanager
def stop_on_signals() -> Iterator[threading.Event]:
    """An event that SIGTERM and SIGUSR1 set: batch systems send one of them some time before they kill.

    A second one of the same ends the process as it would have before. Outside the main thread, where signals
    cannot be caught, the event is never set.
    """
    event = threading.Event()
    before: dict[int, Any] = {}

    def ask(number: int, frame: FrameType | None) -> None:
        event.set()
        signal.signal(number, before[number])

    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGUSR1") if hasattr(signal, name)]
    if threading.current_thread() is threading.main_thread():
        for number in numbers:
            handler = signal.getsignal(number)
            if handler not in (signal.SIG_IGN, None):  # None: not from Python, which could not put it back
                before[number] = handler
                signal.signal(number, ask)
    try:
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
