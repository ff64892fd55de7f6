"""The files that a path means, and what to tell of one that cannot be read."""

from __future__ import annotations

import errno
import fnmatch
import glob
import os
from pathlib import Path

from miscreen.errors import DataError, InputError, MiscreenError, ResourceError
from miscreen.tables.formats import COMPRESSIONS, SNIFF, known_suffixes, recognise, suffix_of

_TOO_MANY_FILES = (errno.EMFILE, errno.ENFILE)  # are open, in the process or on the machine


def files_of(source: str) -> list[Path]:
    """The files meant by a path: itself, what a directory holds, or what a glob matches; in order of name."""
    if not source:
        raise InputError("the source is an empty text", "Name a file; a variable of the shell may not be set")
    try:
        return _files_of(source)
    except OSError as error:  # such as of a directory that may not be listed
        raise open_error(source, error) from error


def _files_of(source: str) -> list[Path]:
    path = Path(source)
    if path.is_dir():
        found = sorted(p for p in path.iterdir() if p.is_file() and _is_listed(p))
        if not found:
            below = "; files of directories below it take a quoted glob, such as 'data/*/*.parquet'"
            advice = f"Known: {', '.join(known_suffixes())}{below if any(p.is_dir() for p in path.iterdir()) else ''}"
            raise InputError(f"the directory {source!r} holds no table", advice)
        return found
    if path.exists():
        return [path]
    if glob.has_magic(source):
        found = sorted(Path(p) for p in glob.glob(source) if Path(p).is_file())  # noqa: PTH207
        if found:
            return found
        raise InputError(f"no file matches {source!r}", "Check the pattern and the directory")
    parent = path.parent
    if not parent.is_dir():
        raise InputError(f"there is no file {source!r}: the directory {str(parent)!r} does not exist", "Check the path")
    import difflib

    near = difflib.get_close_matches(path.name, [p.name for p in parent.iterdir()], n=3)
    raise InputError(f"there is no file {source!r}", f"Did you mean {' or '.join(near)}?" if near else "Check the path")


def _is_listed(path: Path) -> bool:
    """Whether a file is part of the table that its directory is."""
    return path.name[0] not in "._" and suffix_of(path) in known_suffixes()


def check_apart(source: str | os.PathLike[str], output: Path) -> None:
    """`InputError` when a directory or glob would mean an output, too, once it is written."""
    folder, pattern = os.path.split(source)
    within = False
    if Path(source).is_dir():
        within = _is_listed(output) and output.parent.samefile(source)
    elif not Path(source).exists() and glob.has_magic(str(source)) and fnmatch.fnmatchcase(output.name, pattern):
        within = any(output.parent.samefile(found) for found in glob.glob(folder or "."))  # noqa: PTH207
    if within:
        raise InputError(
            f"the output {str(output)!r} would lie among the files of the table, and be one of them from then on",
            "Write it to another directory",
        )


def streams(source: str | os.PathLike[str]) -> bool:
    """Whether any file of a source is of a format that streams, so that reading one column takes reading all."""
    for path in files_of(str(source)):
        try:
            with path.open("rb") as file:
                head = file.read(SNIFF)
        except OSError as error:
            raise open_error(str(path), error) from error
        compressed = any(head.startswith(magic) for magic in COMPRESSIONS)
        if head and recognise(head, suffix_of(path), str(path), compressed=compressed).streams:
            return True
    return False


def open_error(label: str, error: OSError) -> MiscreenError:
    """What to tell of a file that cannot be opened."""
    if error.errno in _TOO_MANY_FILES:
        return ResourceError(f"cannot open {label!r}: too many files are open", "Raise the limit with ulimit -n")
    return InputError(f"cannot open {label!r}: {error.strerror}", "Check the path and its permissions")


def damaged(label: str, what: str, error: Exception) -> MiscreenError:
    """What to tell of a file that is to be of some format and cannot be read."""
    if isinstance(error, OSError) and error.errno in _TOO_MANY_FILES:
        return open_error(label, error)
    return DataError(
        f"{label} cannot be read as {what}: {str(error).splitlines()[0]}",
        "The file is damaged or was not written to its end; write or copy it again",
    )
