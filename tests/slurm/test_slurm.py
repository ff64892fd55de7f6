"""Job arrays and Dask on a real Slurm, which is started on this machine for it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import miscreen

pytestmark = pytest.mark.slurm
ROOT = Path(__file__).parents[2]
TOOL = Path(__file__).parent / "slurm.sh"
NOT_RUN = re.compile(r"^<!-- not run: needs Slurm -->\n```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("slurm")
    started = subprocess.run([TOOL, "up", folder], capture_output=True, text=True, check=False)
    try:
        if started.returncode == 77:
            pytest.skip(started.stderr.strip())
        assert started.returncode == 0, started.stderr
        name, _, value = (folder / "environment").read_text().strip().partition("=")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(name, value)
            patch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
            yield
    finally:
        subprocess.run([TOOL, "down", folder], check=False, capture_output=True)


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A table in a directory of its own, from which jobs are submitted."""
    monkeypatch.chdir(tmp_path)
    values = np.random.default_rng(0).standard_normal((1000, 4001))
    pq.write_table(pa.table({"y" if i == 0 else f"x{i}": values[:, i] for i in range(4001)}), "table.parquet")
    return tmp_path / "table.parquet"


def run(*words: object) -> str:
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def command(*words: object) -> str:
    return run(sys.executable, "-m", "miscreen", *words)


def wait(until: Callable[[], object], seconds: float = 180.0) -> None:
    deadline = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < deadline, run("squeue", "-t", "all") + "".join(
            f"{log}:\n{log.read_text()}" for log in Path.cwd().rglob("*.log")
        )
        time.sleep(0.2)


def idle() -> bool:
    return run("squeue", "-h").strip() == ""


def whole(source: Path, *, method: str = "pearson", **options: int) -> bytes:
    miscreen.rank(source, "y", method, **options).write("whole.parquet")
    return Path("whole.parquet").read_bytes()


def parts(name: str = "") -> Path:
    """Something in the directory of the one run that was submitted."""
    (directory,) = Path().glob("ranked.*.parts")
    return directory / name


def submit(*words: object) -> None:
    command("slurm", "table.parquet", "-t", "y", "--cpus", 1, "--memory", "1GB", "--submit", *words)


@pytest.mark.usefixtures("slurm")
def test_an_array_and_its_merge(source: Path) -> None:
    submit("--method", "pearson", "--shards", 4, "--time", 10)
    wait(Path("ranked.parquet").exists)
    assert Path("ranked.parquet").read_bytes() == whole(source)
    assert {p.name for p in parts().glob("*.parquet")} == {f"ranked.{k}-of-4.parquet" for k in range(1, 5)}


@pytest.mark.usefixtures("slurm")
def test_a_cancelled_element_is_computed_again(source: Path) -> None:
    submit("--method", "pearson", "--shards", 4, "--sbatch=--begin=now+4")
    array = run("squeue", "-h", "-o", "%F %K").split("\n")
    job = next(line.split()[0] for line in array if "1-4" in line)
    run("scancel", f"{job}_3")
    log = parts("merge.log")
    wait(lambda: log.exists() and "error" in log.read_text())
    wait(idle)
    text = log.read_text()
    assert "error: 1 of 4 parts are missing: 3" in text
    again = re.search(r"sbatch --array=3 \S+$", text, re.MULTILINE)
    assert again and not Path("ranked.parquet").exists()
    run(*again[0].split())
    wait(parts("ranked.3-of-4.parquet").exists)
    run("sbatch", parts("merge.sh"))
    wait(Path("ranked.parquet").exists)
    assert Path("ranked.parquet").read_bytes() == whole(source)


@pytest.mark.usefixtures("slurm")
def test_a_warning_stops_a_shard_that_then_goes_on(source: Path) -> None:
    slow = ["--method", "spearman", "--max-t", "240"]  # several partitions of ten seconds
    submit(*slow, "--shards", 1, "--time", 10)
    part, log = parts("ranked.1-of-1.parquet"), parts("1.log")
    partial = part.with_name(f"{part.name}.partial")
    wait(lambda: list(partial.glob("*-*.parquet")))
    job = run("squeue", "-h", "-t", "RUNNING", "-o", "%F").split()[0]
    run("scancel", "--batch", "--signal=USR1", f"{job}_1")
    wait(lambda: "stopped by a signal" in log.read_text())
    wait(idle)
    assert partial.exists() and not part.exists()
    run("sbatch", parts("array.sh"))
    wait(part.exists)
    assert "columns are finished already" in log.read_text()
    run("sbatch", parts("merge.sh"))
    wait(Path("ranked.parquet").exists)
    assert Path("ranked.parquet").read_bytes() == whole(source, method="spearman", max_t=240)


@pytest.mark.usefixtures("slurm")
def test_the_page_on_clusters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands for Slurm, one after another, in the directory of the project's samples."""
    (tmp_path / "data").symlink_to(ROOT / "data")
    monkeypatch.chdir(tmp_path)
    blocks = NOT_RUN.findall((ROOT / "docs/cluster.md").read_text())
    assert len(blocks) >= 2
    for block in blocks:
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", block], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{block}\n{done.stderr}"
        wait(idle)
    miscreen.rank("data/samples/pbmc.parquet", "cell_type").write("whole.parquet")
    for made in ("ranked.parquet", "far.parquet"):
        assert Path(made).read_bytes() == Path("whole.parquet").read_bytes()
