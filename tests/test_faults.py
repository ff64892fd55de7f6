"""What a run survives: damaged, shared and missing caches of kernels, full disks, readers that go, early signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import miscreen
from miscreen.kernels import _cache

SAMPLE = Path(__file__).parents[1] / "data" / "samples" / "pbmc.csv"
# One small kernel for two types, so that several processes write side by side without compiling for long.
ONE_KERNEL = """
import sys
import numpy as np
from miscreen.kernels.sorting import argsort_rows
from miscreen.kernels._cache import CACHE_DIR
order, repeats = np.empty((1, 3), np.intp), np.empty((1, 3), bool)
argsort_rows(np.array([[3.0, 1.0, 2.0]]), order, repeats)
print(order.tolist(), CACHE_DIR)
"""


def start(cache: Path, *command: str, shell: str = "", **variables: str) -> subprocess.Popen[str]:
    environment = os.environ | {"MISCREEN_CACHE_DIR": str(cache)} | variables
    whole = [sys.executable, *command]
    if shell:
        whole = ["bash", "-c", f'{shell} exec "$@"', "-", *whole]
    return subprocess.Popen(whole, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def sorts(process: subprocess.Popen[str]) -> str:
    """The directory of kernels of a process that must end well, and silently."""
    out, err = process.communicate(timeout=300)
    assert (process.returncode, err) == (0, ""), err
    found, _, directory = out.strip().partition("] ")
    assert found == "[[1, 2, 0]"
    return directory.removeprefix("] ")


def files(cache: Path) -> list[Path]:
    return sorted(p for p in cache.rglob("*") if p.is_file())


# ---- compiled kernels --------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="no owners")
@pytest.mark.parametrize(
    ("of_parent", "of_leaf", "kept"),
    [
        (0o700, 0o700, True),
        (0o755, 0o755, True),
        (0o1777, 0o700, True),
        (0o777, 0o700, False),
        (0o770, 0o700, False),
        (0o700, 0o770, False),
        (0o700, 0o702, False),
    ],
)
def test_machine_code_is_not_read_from_where_others_write(
    of_parent: int, of_leaf: int, kept: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MISCREEN_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(_cache.tempfile, "tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    leaf = _cache.choose_cache_dir()
    assert leaf is not None and leaf.parent == tmp_path / "home" / "miscreen"
    assert [path.stat().st_mode & 0o777 for path in (leaf, leaf.parent)] == [0o700, 0o700]
    leaf.chmod(of_leaf)
    leaf.parent.chmod(of_parent)
    found = _cache.choose_cache_dir()
    assert found is not None and (found == leaf) == kept
    assert kept or found.parent.parent == tmp_path / "scratch"
    monkeypatch.setenv("MISCREEN_CACHE_DIR", str(leaf.parent))  # who says where knows who may write there
    assert _cache.choose_cache_dir() == leaf


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize("linked", [False, True])
def test_nor_from_where_others_may_put_another_directory(
    linked: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MISCREEN_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(_cache.tempfile, "tempdir", str(tmp_path))
    parent = tmp_path / "home" / "miscreen"
    parent.parent.mkdir()
    if linked:
        (tmp_path / "ours").mkdir()
        parent.symlink_to(tmp_path / "ours")
    else:
        parent.mkdir()
    assert (_cache.choose_cache_dir() or tmp_path).parent == parent
    os.chown(parent, 12345, -1, follow_symlinks=False)
    assert (_cache.choose_cache_dir() or tmp_path).parent != parent


def test_many_processes_start_on_an_empty_cache(tmp_path: Path) -> None:
    running = [start(tmp_path / "kernels", "-c", ONE_KERNEL) for _ in range(5)]
    assert len({sorts(process) for process in running}) == 1
    (kept,) = files(tmp_path / "kernels")  # nothing half-written beside it
    before = kept.stat()
    sorts(start(tmp_path / "kernels", "-c", ONE_KERNEL))
    assert kept.stat().st_mtime_ns == before.st_mtime_ns  # it was used, and not compiled again


COUNTED = """
from numba.core import event
compiled = []
class Listener(event.Listener):
    def on_start(self, event): compiled.append(event)
    def on_end(self, event): pass
event.register("numba:compile", Listener())
"""


def test_of_many_processes_one_compiles(tmp_path: Path) -> None:
    counted = COUNTED + ONE_KERNEL + "print(len(compiled), file=sys.stderr)"
    running = [start(tmp_path, "-c", counted) for _ in range(4)]
    counts = sorted(int(process.communicate(timeout=300)[1]) for process in running)
    assert counts[:3] == [0, 0, 0]
    assert counts[3] > 0


def test_a_process_that_hangs_while_it_compiles_is_not_waited_for_long(tmp_path: Path) -> None:
    hang = "import os, signal; from miscreen.kernels import _cache, _jit\n"
    hang += "_cache.Code.write = lambda code, data: os.kill(os.getpid(), signal.SIGSTOP)\n"
    with start(tmp_path, "-c", hang + ONE_KERNEL) as hanging:
        while not any(tmp_path.rglob("*.lock")):
            time.sleep(0.05)
        impatient = "from miscreen.kernels import _cache; _cache._LONGEST_WAIT = 0.2\n"
        sorts(start(tmp_path, "-c", impatient + ONE_KERNEL))
        hanging.kill()
    assert [path.suffix for path in files(tmp_path)].count(".code") == 1


def test_kernels_compiled_ahead_are_those_that_are_called(tmp_path: Path) -> None:
    """A helper fills the directory, and a run finds all that it needs there."""
    helper = [sys.executable, "-m", "miscreen.kernels._ahead", "pearson"]
    environment = os.environ | {"MISCREEN_CACHE_DIR": str(tmp_path)}
    with subprocess.Popen(helper, stdin=subprocess.PIPE, env=environment) as process:
        assert process.wait(timeout=300) == 0
    before = files(tmp_path)
    assert before
    assert {path.suffix for path in before} == {".code"}
    ranked = "import miscreen, numpy, polars\n" + COUNTED
    ranked += "t = polars.DataFrame({k: numpy.random.default_rng(i).random(60) for i, k in enumerate('abcy')})\n"
    ranked += "miscreen.rank(t, 'y', 'pearson'); print(len(compiled))"
    process = start(tmp_path, "-c", ranked)
    assert process.communicate(timeout=300) == ("0\n", "")
    assert files(tmp_path) == before


def test_a_helper_ends_with_its_parent(tmp_path: Path) -> None:
    helper = [sys.executable, "-m", "miscreen.kernels._ahead", "auto"]
    environment = os.environ | {"MISCREEN_CACHE_DIR": str(tmp_path)}
    with subprocess.Popen(helper, stdin=subprocess.PIPE, env=environment) as process:
        while not any(tmp_path.rglob("*.lock")):  # it is compiling
            time.sleep(0.05)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(timeout=60) == 0
    assert {path.suffix for path in files(tmp_path)} <= {".code"}


def test_damaged_kernels_are_compiled_again(tmp_path: Path) -> None:
    sorts(start(tmp_path, "-c", ONE_KERNEL))
    (kept,) = files(tmp_path)
    whole = kept.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 4  # as like as not in the machine code, which would run
    for damaged in (b"", whole[:-1], bytes(flipped)):
        kept.write_bytes(damaged)
        sorts(start(tmp_path, "-c", ONE_KERNEL))
        assert files(tmp_path) == [kept]
        assert len(kept.read_bytes()) > 1000
        assert kept.read_bytes() != damaged


def test_kernels_that_cannot_be_kept(tmp_path: Path) -> None:
    """Paths below a file can be made by nobody, root or not: neither the explicit, nor the home, nor the scratch."""
    (tmp_path / "file").touch()
    nowhere = str(tmp_path / "file" / "below")
    variables = {"XDG_CACHE_HOME": nowhere, "HOME": nowhere}
    (tmp_path / "scratch").mkdir()
    directory = sorts(start(Path(nowhere), "-c", ONE_KERNEL, TMPDIR=str(tmp_path / "scratch"), **variables))
    assert Path(directory).parents[1] == tmp_path / "scratch"
    nothing = "import tempfile; tempfile.tempdir = " + repr(nowhere) + "\n"
    assert sorts(start(Path(nowhere), "-c", nothing + ONE_KERNEL, **variables)) == "None"


def test_a_disk_that_fills_while_kernels_are_kept(small_disk: Callable[[str], Path]) -> None:
    disk = small_disk("40k")
    (disk / "there").write_bytes(bytes(24 << 10))  # leaves room for the look whether there is any, and no more
    assert Path(sorts(start(disk, "-c", ONE_KERNEL))).parent == disk
    assert files(disk) == [disk / "there"]


def test_a_directory_of_kernels_that_goes_or_is_locked(tmp_path: Path) -> None:
    gone = ONE_KERNEL.replace("order, ", "import shutil; shutil.rmtree(CACHE_DIR); order, ", 1)
    sorts(start(tmp_path / "kernels", "-c", gone))
    assert files(tmp_path) == []


# ---- results -----------------------------------------------------------------------------------------------

RANK = ["-m", "miscreen", "rank", str(SAMPLE), "--target", "cell_type", "--method", "pearson", "--quiet"]


@pytest.fixture(scope="module")
def kernels() -> Path:
    """The directory that the other tests fill."""
    from miscreen.kernels._cache import CACHE_DIR

    return Path(os.environ.get("MISCREEN_CACHE_DIR") or (CACHE_DIR.parent if CACHE_DIR else "/nonexistent"))


@pytest.mark.parametrize("ending", ["csv", "parquet", "arrow", "json"])
def test_a_disk_that_fills_while_the_result_is_written(
    ending: str, small_disk: Callable[[str], Path], kernels: Path
) -> None:
    disk = small_disk("40k")
    (disk / "there").write_bytes(bytes(24 << 10))
    output = disk / f"ranked.{ending}"
    _, err = (process := start(kernels, *RANK, "-o", str(output))).communicate(timeout=300)
    assert process.returncode == 1, err
    assert err.startswith(f"error: the disk is full: {str(output)!r}")
    assert "hint: " in err
    assert [p.name for p in disk.iterdir()] == ["there"]


def test_a_reader_that_has_seen_enough_ends_the_run_quietly(kernels: Path) -> None:
    process = start(kernels, *RANK)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.wait(timeout=300) == 0
    assert process.stderr.read() == ""
    process.stderr.close()


@pytest.mark.parametrize("ending", ["parquet", "arrow"])
def test_more_files_than_may_be_open(ending: str, tmp_path: Path, kernels: Path) -> None:
    for i in range(60):
        values = {"y": np.arange(12.0), f"x{i}": np.arange(12.0) % 5}
        miscreen.convert(np.array([*values.values()]).T, tmp_path / f"{i}.{ending}", names=list(values))
    rank = ["-m", "miscreen", "rank", str(tmp_path), "-t", "y", "-m", "pearson", "--quiet", "--threads", "1"]
    with start(kernels, *rank, shell="ulimit -S -n 50;") as process:  # which the command may raise
        out, err = process.communicate(timeout=300)
    assert (process.returncode, err, len(out.splitlines())) == (0, "", 61)
    with start(kernels, *rank, shell="ulimit -n 50;") as process:
        out, err = process.communicate(timeout=300)
    assert (process.returncode, out) == (1, "")
    assert "too many files are open\nhint: Raise the limit with ulimit -n\n" in err


def test_standard_streams_that_are_closed(kernels: Path, tmp_path: Path) -> None:
    output = tmp_path / "ranked.csv"
    with start(kernels, *RANK, "-o", str(output), shell="exec <&- >&- 2>&-;") as process:
        assert process.communicate(timeout=300) == ("", "")
    assert process.returncode == 0
    assert output.stat().st_size > 1000


def test_an_interrupt_at_any_moment_of_the_start_is_no_traceback(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    ended = []
    for delay in np.append(np.linspace(0.0, 0.1, 16), rng.uniform(0.0, 0.3, 4)):
        command = [sys.executable, *RANK[:2], "rank", "no such file", "--target", "y"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            time.sleep(float(delay))
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
        ended.append(process.returncode)
        assert out == b""
        # Until `main` catches signals the interpreter has the word: it is loading `site`, the package or this module.
        assert b"Traceback" not in err or (b"in _catch_signals" not in err and b"/cli/" not in err), (delay, err)
    assert {2, 130} & set(ended)
