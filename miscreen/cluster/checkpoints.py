"""Finished partitions kept in a directory, so that a run that was killed can go on."""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from miscreen.cluster.identity import Identity
from miscreen.cluster.part import Part
from miscreen.errors import DataError, InputError, ResourceError
from miscreen.partition import Partition
from miscreen.tables.aside import HIDDEN, aside, write_error

_LOG = logging.getLogger("miscreen")
_RUN = "run.json"
_OUTPUT = "output"  # beside that: the run has come as far as writing its result
_NAME = re.compile(r"\d+-\d+\.parquet")


class Checkpoints:
    """The finished partitions of one run. Use it in a ``with`` statement.

    Parameters
    ----------
    directory : Path
        Made when it is missing; its parent must exist.
    identity : Identity
        Of the run.

    Raises
    ------
    InputError
        When the directory belongs to a run of another input or other options (says what differs), or another
        process is at work in it.
    ResourceError
        When it cannot be written.

    Notes
    -----
    A process that ends, however it ends, leaves the directory fit for the next: every file in it is complete.
    """

    def __init__(self, directory: Path, identity: Identity) -> None:
        self.directory = directory
        self._digest = identity.digest
        self._lock: int | None = None
        if directory.exists() and not directory.is_dir():
            raise InputError(
                f"{str(directory)!r} is to be a directory for what is finished, but is a file",
                "Move it away, or choose another name for the output",
            )
        try:
            directory.mkdir(exist_ok=True)
            self._lock_directory()
            self._settle(identity)
        except OSError as error:
            self.close()
            raise write_error(directory, error) from error
        except BaseException:
            self.close()
            raise

    def _lock_directory(self) -> None:
        import fcntl

        self._lock = os.open(self.directory, os.O_RDONLY)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                raise InputError(
                    f"another process is at work on {str(self.directory)!r}",
                    "Wait for it, or choose another name for the output",
                ) from error
            # Some network file systems know no locks, others tell no other host of them: two runs do the same twice.

    def _settle(self, identity: Identity) -> None:
        """Note whose directory this is, or see that it is this run's."""
        path = self.directory / _RUN
        if not path.exists():
            (self.directory / _OUTPUT).unlink(missing_ok=True)  # of one that was removed halfway
            strangers = [p.name for p in self.directory.iterdir() if not HIDDEN.fullmatch(p.name)]
            if strangers:
                raise InputError(
                    f"{str(self.directory)!r} is to keep what is finished, but holds {sorted(strangers)[0]!r}",
                    "Move it away, or choose another name for the output",
                )
            with aside(path, force=False) as file:
                file.write(json.dumps(identity.to_json(), sort_keys=True).encode())
            return
        try:
            other = Identity.from_json(json.loads(path.read_bytes()))
        except (ValueError, LookupError, TypeError) as error:
            raise DataError(f"{str(path)!r} is damaged", "Remove the directory, and start anew") from error
        if difference := identity.difference(other):
            raise InputError(
                f"{str(self.directory)!r} holds partitions of another run: {difference}",
                "Give that input and those options again, or remove the directory to start anew",
            )

    def load(self) -> list[Partition]:
        """What is finished, apart and in order of the features; what is damaged is removed, to be computed again."""
        found: list[Partition] = []
        for path in self.directory.iterdir():
            if not _NAME.fullmatch(path.name):
                continue
            try:
                part = Part.read(path)
                if part.about != {"run": self._digest} or path.name != _file_name(part.partitions[0]):
                    raise DataError(f"{str(path)!r} is not what its name says")
            except DataError as error:
                _LOG.info("%s; computed again", error.message)
                path.unlink()
                continue
            found += part.partitions
        found.sort(key=lambda p: (p.first, -len(p.names)))
        apart: list[Partition] = []
        for partition in found:  # of two runs at once, each cut the columns at its own pace
            if not apart or apart[-1].first + len(apart[-1].names) <= partition.first:
                apart.append(partition)
        return apart

    def keep(self, partition: Partition) -> None:
        """Put a finished partition on disk; `ResourceError` when the disk is full or fails."""
        try:
            Part([partition], {"run": self._digest}).write(self.directory / _file_name(partition))
        except ResourceError as error:
            raise ResourceError(
                error.message, "Mend that, then run the same command again: what is finished is kept"
            ) from error

    def close(self) -> None:
        """Let others work here."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> Checkpoints:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _file_name(partition: Partition) -> str:
    return f"{partition.first}-{partition.first + len(partition.names)}.parquet"


@contextmanager
def noting_output(directory: Path) -> Iterator[None]:
    """Note that the run writes its result, so that one that is there when it is killed is known as its own."""
    path = directory / _OUTPUT
    try:
        path.touch()
    except OSError as error:
        raise write_error(path, error) from error
    try:
        yield
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def has_output(directory: Path) -> bool:
    """Whether a run that keeps there what is finished has begun to write its result, and may go on to replace it."""
    # Without the note of whose it is, the directory is being removed: that result is complete, and stays.
    return all((directory / name).is_file() for name in (_RUN, _OUTPUT))


def remove_checkpoints(directory: Path) -> None:
    """Remove a directory of checkpoints once the result is written; what others put there stays.

    The notes go last, so that a directory that is removed halfway is still recognised.
    """
    for path in directory.iterdir():
        if _NAME.fullmatch(path.name) or HIDDEN.fullmatch(path.name):
            path.unlink(missing_ok=True)
    (directory / _RUN).unlink(missing_ok=True)
    (directory / _OUTPUT).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        directory.rmdir()
