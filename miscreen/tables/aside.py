"""Files that are written aside and named when they are complete, so that nothing half-written is ever seen."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from miscreen.errors import InputError, MiscreenError, ResourceError

HIDDEN = re.compile(r"\.[0-9a-f]{16}\.new")  # names of files that are not complete, or left by a killed writer
_unfinished: set[str] = set()


def check_output(path: Path, force: bool) -> None:
    """`InputError` when a file cannot be written there."""
    if str(path) == "-":  # elsewhere standard input
        raise InputError("the output '-' is no name of a file", "Name one, such as table.csv")
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError) as error:  # a directory that may not be entered, a name too long or with a zero byte
        told = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"cannot write {str(path)!r}: {told}", "Choose another one") from error
    if path.exists() and not path.is_file():
        what = "a directory" if path.is_dir() else "no regular file"
        hint = "Name a file in it" if path.is_dir() else "Name a file, or leave it out: data go to standard output"
        raise InputError(f"the output {str(path)!r} is {what}", hint)
    parent = (path.resolve() if path.is_symlink() else path).parent
    if not parent.is_dir():
        raise InputError(f"the output directory {str(parent)!r} does not exist", "Create it first")
    if not os.access(parent, os.W_OK):
        raise InputError(f"the output directory {str(parent)!r} is not writable", "Choose another one")
    if path.exists() and not force:
        raise InputError(f"{str(path)!r} exists already", "Choose another name, or overwrite with --force")


def write_bytes(path: Path, content: bytes, force: bool) -> None:
    """Write a file that is no table; `ResourceError` when the disk is full or fails."""
    path = path.resolve() if path.is_symlink() else path
    try:
        with aside(path, force) as file:
            file.write(content)
    except OSError as error:
        raise write_error(path, error) from error


def discard_unfinished() -> None:
    """Remove temporary files that still have a name; for a process that is about to end."""
    for name in _unfinished:
        with contextlib.suppress(OSError):
            Path(name).unlink()


@contextmanager
def aside(path: Path, force: bool) -> Iterator[BinaryIO]:
    """A file without a name that gets `path` as its name when all went well.

    Where the file system has unnamed files (Linux), even SIGKILL leaves nothing behind; elsewhere a hidden
    temporary file is removed on every exception.
    """
    mode = 0o666
    temporary: Path | None = None
    try:
        flags = os.O_TMPFILE | os.O_RDWR | getattr(os, "O_CLOEXEC", 0)
        descriptor = os.open(path.parent, flags, mode)
    except (AttributeError, OSError) as error:
        if isinstance(error, OSError) and error.errno not in (
            errno.EOPNOTSUPP,
            errno.EISDIR,
            errno.EINVAL,
            errno.ENOENT,
        ):
            raise
        temporary = _hidden(path)
        descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR | getattr(os, "O_CLOEXEC", 0), mode)
        _unfinished.add(str(temporary))
    try:
        with open(descriptor, "wb", closefd=False) as file:
            yield file
            flush(file)
        if temporary is None:
            _name(descriptor, path, force)
        elif force:
            os.replace(temporary, path)
        else:
            _move(temporary, path)
    finally:
        os.close(descriptor)
        if temporary is not None:
            temporary.unlink(missing_ok=True)
            _unfinished.discard(str(temporary))


def flush(file: BinaryIO) -> None:
    """Have all that was written on the disk, or hear what keeps it from there."""
    file.flush()
    os.fsync(file.fileno())


def _hidden(path: Path) -> Path:
    """A name beside a path that nobody else has: several threads and hosts may write there, and names may be long."""
    return path.with_name(f".{secrets.token_hex(8)}.new")


def _name(descriptor: int, path: Path, force: bool) -> None:
    """Give an unnamed file its name; replacing another one takes a rename."""

    def link(name: Path) -> None:
        # Only with a directory's descriptor does Python call linkat, which follows /proc's link to the file.
        os.link(f"/proc/self/fd/{descriptor}", name, src_dir_fd=descriptor, follow_symlinks=True)

    try:
        link(path)
        return
    except FileExistsError:
        if not force:
            raise
    hidden = _hidden(path)
    _unfinished.add(str(hidden))
    try:
        link(hidden)
        os.replace(hidden, path)
    finally:
        hidden.unlink(missing_ok=True)
        _unfinished.discard(str(hidden))


def _move(hidden: Path, path: Path) -> None:
    """Give a hidden file a name that no other has.

    Where there are no hard links, as on FAT, SMB and many mounts of object stores, nothing but a look tells whether
    another has it: the rename would replace a file that is put there in between.
    """
    try:
        os.link(hidden, path)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS):
            raise
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(hidden), None, str(path)) from error
        hidden.rename(path)


def write_error(path: Path, error: OSError) -> MiscreenError:
    """What to tell of an error while writing to a path."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ResourceError(f"the disk is full: {str(path)!r} could not be written", "Free space or write elsewhere")
    if error.errno == errno.EEXIST:
        return InputError(
            f"{str(path)!r} was written by someone else meanwhile",
            "Choose another name, or overwrite with --force",
        )
    limited = error.errno == errno.EFBIG
    return ResourceError(
        f"cannot write {str(path)!r}: {error.strerror or error}",
        "Raise the limit on the size of a file (ulimit -f)" if limited else "Check the disk and permissions",
    )
