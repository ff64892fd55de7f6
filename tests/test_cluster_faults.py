"""Runs that are killed, stopped or out of space, and clusters that lose their parts: nothing finished is lost."""

from __future__ import annotations

import multiprocessing.spawn
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from miscreen import limits, merge, rank
from miscreen.cluster import run, workers
from miscreen.errors import InputError, ResourceError
from miscreen.resources import Resources

# The command with partitions that are small and take some time, so that there is much to interrupt.
PROGRAM = """
import sys, time
from miscreen.cluster import run, workers
run.PARTITION_SECONDS = workers.TASK_SECONDS = 0.02
from miscreen.screening import Screen
score = Screen.score_partition
def slow(screen, features):
    time.sleep(0.002 * len(features))
    return score(screen, features)
Screen.score_partition = slow
run._FIRST_VALUES = 600
from miscreen.__main__ import main
main()
"""


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-c", PROGRAM, *map(str, arguments)]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)
    values = rng.standard_normal((60, 601))
    path = tmp_path_factory.mktemp("table") / "table.parquet"
    pq.write_table(pa.table({"y" if i == 0 else f"x{i}": values[:, i] for i in range(601)}), path)
    return path


@pytest.fixture(scope="module")
def whole(source: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("whole") / "ranked.parquet"
    rank(source, "y", "pearson").write(path)
    return path.read_bytes()


def resume(source: Path, output: Path) -> list[str]:
    return command("rank", source, "--target", "y", "--method", "pearson", "--resume", "--threads", 1, "-o", output)


def kill_and_resume(source: Path, whole: bytes, folder: Path, kills: int, seed: int) -> int:
    """Kill runs at random moments, going on each time; return how many of them had begun to score."""
    rng = np.random.default_rng(seed)
    output = folder / "ranked.parquet"
    partial = folder / "ranked.parquet.partial"
    for _ in range(2):  # the first may have kernels to compile
        began = time.monotonic()
        subprocess.run(resume(source, output), check=True, capture_output=True)
        duration = time.monotonic() - began
        assert output.read_bytes() == whole
        output.unlink()
    amid = 0
    for _ in range(kills):
        with subprocess.Popen(resume(source, output), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            time.sleep(rng.uniform(0.0, 1.0) * duration)
            process.kill()
            process.communicate(timeout=60)
        amid += partial.exists() and process.returncode == -signal.SIGKILL
        assert {p.name for p in folder.iterdir()} <= {output.name, partial.name}
        if output.exists() and not (partial / "run.json").exists():  # it had come to its end: begin anew
            assert output.read_bytes() == whole
            output.unlink()
    if not output.exists() or (partial / "run.json").exists():
        subprocess.run(resume(source, output), check=True, capture_output=True)
    assert output.read_bytes() == whole
    assert [p.name for p in folder.iterdir()] == [output.name]
    return amid


def test_a_killed_run_goes_on(source: Path, whole: bytes, tmp_path: Path) -> None:
    assert kill_and_resume(source, whole, tmp_path, kills=6, seed=1) >= 1


@pytest.mark.long
def test_fifty_kills(source: Path, whole: bytes, tmp_path: Path) -> None:
    assert kill_and_resume(source, whole, tmp_path, kills=50, seed=2) >= 10


def start_scoring(arguments: list[str], partial: Path, **options: Any) -> subprocess.Popen[bytes]:
    """A run that has kept its first partitions."""
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
    deadline = time.monotonic() + 120
    while len(list(partial.glob("*-*.parquet"))) < 3:
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.01)
    return process


@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1"])
def test_a_signal_stops_after_the_partition_in_hand(name: str, source: Path, whole: bytes, tmp_path: Path) -> None:
    output, partial = tmp_path / "ranked.parquet", tmp_path / "ranked.parquet.partial"
    with start_scoring(resume(source, output), partial) as process:
        process.send_signal(getattr(signal, name))
        out, err = process.communicate(timeout=60)
    assert process.returncode == 75
    assert out == b""
    assert err.startswith(b"error: stopped by a signal with ")
    assert err.endswith(b"of 600 columns finished\nhint: Run the same command again to go on\n")
    done = subprocess.run(resume(source, output), capture_output=True, text=True, check=True)
    assert "of 600 columns are finished already" in done.stderr
    assert output.read_bytes() == whole
    assert [p.name for p in tmp_path.iterdir()] == [output.name]


def test_a_stopped_shard_goes_on(source: Path, whole: bytes, tmp_path: Path) -> None:
    def shard(k: int) -> list[str]:
        output = tmp_path / "parts" / "r.parquet"
        return command("rank", source, "-t", "y", "-m", "pearson", "--shard", f"{k}/2", "-o", output)

    with start_scoring(shard(1), tmp_path / "parts" / "r.1-of-2.parquet.partial") as process:
        process.terminate()
        process.communicate(timeout=60)
    assert process.returncode == 75
    assert not list((tmp_path / "parts").glob("*-of-2.parquet"))
    for k in (1, 2):
        subprocess.run(shard(k), check=True, capture_output=True)
    assert sorted(p.name for p in (tmp_path / "parts").iterdir()) == ["r.1-of-2.parquet", "r.2-of-2.parquet"]
    merge(tmp_path / "parts").write(tmp_path / "merged.parquet")
    assert (tmp_path / "merged.parquet").read_bytes() == whole


def test_a_full_disk_keeps_what_is_finished(source: Path, whole: bytes, small_disk: Callable[[str], Path]) -> None:
    disk = small_disk("64k")
    output, partial = disk / "ranked.parquet", disk / "ranked.parquet.partial"
    done = subprocess.run(resume(source, output), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-2].startswith("error: the disk is full: ")
    assert "what is finished is kept" in done.stderr.splitlines()[-1]
    kept = {p.name: p.read_bytes() for p in partial.glob("*-*.parquet")}
    assert len(kept) >= 3
    assert not output.exists()
    subprocess.run(["mount", "-o", "remount,size=16m", disk], check=True)
    done = subprocess.run(resume(source, output), capture_output=True, text=True, check=True)
    assert "columns are finished already" in done.stderr
    assert output.read_bytes() == whole
    assert [p.name for p in disk.iterdir()] == [output.name]


# ---- Dask --------------------------------------------------------------------------------------------------

distributed = pytest.importorskip("distributed", reason="Dask is not installed")


@pytest.fixture
def small_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "TASK_SECONDS", 0.02)
    monkeypatch.setattr(run, "_FIRST_VALUES", 600)


class Cluster:
    """A scheduler and workers, each a process of its own as on a cluster."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "scheduler.json"
        self._environment = {**os.environ, "DASK_DISTRIBUTED__LOGGING__DISTRIBUTED": "critical"}
        options = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", self.file]
        self.scheduler = self._start("distributed.cli.dask_scheduler", *options)
        deadline = time.monotonic() + 60
        while not self.file.exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        self._folder = folder
        self.workers: list[subprocess.Popen[bytes]] = []

    def add_worker(self) -> None:
        options = ["--no-nanny", "--no-dashboard", "--nthreads", "1", "--local-directory", self._folder / "spill"]
        self.workers.append(self._start("distributed.cli.dask_worker", "--scheduler-file", self.file, *options))

    def _start(self, module: str, *options: object) -> subprocess.Popen[bytes]:
        code = f"from {module} import main; main()"
        return subprocess.Popen(
            [sys.executable, "-c", code, *map(str, options)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=self._environment,
        )  # fmt: skip

    def close(self) -> None:
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    (tmp_path / "dask").mkdir()
    made = Cluster(tmp_path / "dask")
    yield made
    made.close()


def with_dask(source: Path, output: Path, where: object) -> list[str]:
    arguments = ["rank", source, "-t", "y", "-m", "pearson", "--resume", "--dask", where, "-o", output]
    return command(*arguments)


@pytest.mark.usefixtures("small_tasks")
def test_a_local_cluster_gives_the_same_bytes(source: Path, whole: bytes, tmp_path: Path) -> None:
    calls: list[Any] = []
    ranking = rank(source, "y", "pearson", dask="local", workers=2, on_progress=lambda *call: calls.append(call))
    ranking.write(tmp_path / "ranked.parquet")
    assert (tmp_path / "ranked.parquet").read_bytes() == whole
    assert calls[-1] == ("score", 600, 600)
    assert [c[1] for c in calls] == sorted(c[1] for c in calls)


def test_local_workers_are_held_to_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    for pool in limits.POOLS:
        monkeypatch.setenv(pool, "3")
    with workers._local_cluster(1) as made, distributed.Client(made) as client:
        assert set(client.submit(lambda: [os.environ[pool] for pool in limits.POOLS]).result()) == {"1"}
        assert client.submit(pa.cpu_count).result() == 1


def test_a_local_worker_that_ends_before_it_has_started(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multiprocessing.spawn, "get_command_line", lambda **known: [sys.executable, "-c", "exit(9)"])
    with pytest.raises(ResourceError, match="a worker of the local Dask cluster ended before it had started"):
        rank(source, "y", "pearson", dask="local", workers=2)


def test_a_script_that_its_workers_would_run_again_is_told(source: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(f"import miscreen\nmiscreen.rank({str(source)!r}, 'y', 'pearson', dask='local', workers=1)\n")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert "must run what it does under if __name__ == '__main__'" in done.stderr.splitlines()[-1]


def test_a_lost_worker_is_replaced(source: Path, whole: bytes, tmp_path: Path, cluster: Cluster) -> None:
    output = tmp_path / "ranked.parquet"
    cluster.add_worker()
    cluster.add_worker()
    with start_scoring(with_dask(source, output, cluster.file), tmp_path / "ranked.parquet.partial") as process:
        cluster.workers[0].kill()
        out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (0, b""), err
    assert output.read_bytes() == whole


def test_a_lost_scheduler_leaves_what_is_finished(source: Path, whole: bytes, tmp_path: Path, cluster: Cluster) -> None:
    output, partial = tmp_path / "ranked.parquet", tmp_path / "ranked.parquet.partial"
    cluster.add_worker()
    with start_scoring(with_dask(source, output, cluster.file), partial) as process:
        cluster.scheduler.kill()
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1, err
    assert err.splitlines()[-2].startswith(b"error: the Dask scheduler was lost")
    assert b"--resume" in err.splitlines()[-1]
    assert b"Traceback" not in err
    done = subprocess.run(resume(source, output), capture_output=True, text=True, check=True)  # here, without Dask
    assert "columns are finished already" in done.stderr
    assert output.read_bytes() == whole


def test_a_scheduler_is_lost_whatever_the_client_was_about_to_do(
    cluster: Cluster, resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "CONNECT_SECONDS", 1)
    with (
        pytest.raises(ResourceError, match="the Dask scheduler was lost"),
        workers._connected(str(cluster.file), None, resources) as (client, _),
    ):
        cluster.scheduler.kill()
        while client.status == "running":
            time.sleep(0.01)
        client.nthreads()


def test_an_interrupt_of_all_processes_is_one_clear_word(source: Path, whole: bytes, tmp_path: Path) -> None:
    output, partial = tmp_path / "ranked.parquet", tmp_path / "ranked.parquet.partial"
    arguments = [*with_dask(source, output, "local"), "--workers", "1", "--quiet"]
    with start_scoring(arguments, partial, start_new_session=True) as process:
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, b"", b"error: interrupted\n")
    subprocess.run(resume(source, output), check=True, capture_output=True)
    assert output.read_bytes() == whole


def test_a_signal_ends_a_run_that_keeps_nothing(source: Path, tmp_path: Path, cluster: Cluster) -> None:
    cluster.add_worker()
    arguments = [word for word in with_dask(source, tmp_path / "ranked.parquet", cluster.file) if word != "--resume"]
    tell = "run.Pace.took = lambda *arguments: (print('begun', flush=True), time.sleep(0.5))\n"  # the first is back
    arguments[2] = arguments[2].replace("from miscreen.__main__", f"{tell}from miscreen.__main__")
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        process.terminate()
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err.splitlines()[-1]) == (143, b"error: terminated"), err
    assert [p.name for p in tmp_path.iterdir()] == ["dask"]


def test_an_input_that_workers_see_otherwise_is_refused(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from miscreen.cluster.identity import Identity

    seen = Identity.of

    def changed(*arguments: Any) -> Identity:
        found = seen(*arguments)
        return Identity([["table.parquet", 1, 1]], found.columns, found.metadata)

    monkeypatch.setattr(Identity, "of", changed)
    with pytest.raises(InputError, match=r"a worker on .* does not see what the run began with: the input was"):
        rank(source, "y", "pearson", dask="local", workers=1)


def test_where_no_cluster_is(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "CONNECT_SECONDS", 1)
    with pytest.raises(ResourceError, match=r"no Dask scheduler answers at '127.0.0.1:9' within 1 s"):
        rank(source, "y", "pearson", dask="127.0.0.1:9")
    with socket.create_server(("127.0.0.1", 0)) as server:  # of something else

        def answer() -> None:
            with server.accept()[0] as caller:
                caller.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                caller.recv(1 << 16)

        threading.Thread(target=answer).start()
        where = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(ResourceError, match=rf"no Dask scheduler answers at '{where}'"):
            rank(source, "y", "pearson", dask=where)
    with pytest.raises(InputError, match=r"no scheduler file"):
        rank(source, "y", "pearson", dask=str(tmp_path / "none.json"))
    for content in ("", "{}", "[1]", '{"address": 3}'):
        (tmp_path / "odd.json").write_text(content)
        with pytest.raises((InputError, ResourceError), match=r"is no scheduler file|no Dask scheduler answers"):
            rank(source, "y", "pearson", dask=str(tmp_path / "odd.json"))
    with pytest.raises(InputError, match=r"leads to no Dask cluster"):
        rank(source, "y", "pearson", dask="everywhere")
    with pytest.raises(InputError, match=r"workers goes with dask local"):
        rank(source, "y", "pearson", dask="tcp://127.0.0.1:9", workers=3)
    with pytest.raises(InputError, match=r"a table in memory cannot be opened again"):
        rank(pq.read_table(source), "y", "pearson", dask="local")
    text = tmp_path / "t.csv"
    text.write_text("y,x\n1,2\n")
    with pytest.raises(
        InputError, match=r"t\.csv can be read only from its beginning to its end, as every worker would do"
    ):
        rank(text, "y", "pearson", dask="local")


def test_a_slurm_that_takes_no_workers(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("dask_jobqueue", reason="dask-jobqueue is not installed")
    with pytest.raises(InputError, match="asks for as many jobs as there are workers"):
        rank(source, "y", "pearson", dask="slurm")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ResourceError, match="there is no sbatch here"):
        rank(source, "y", "pearson", dask="slurm", workers=1)
    (tmp_path / "sbatch").write_text("#!/bin/sh\necho sbatch: error: invalid account >&2\nexit 1\n")
    (tmp_path / "sbatch").chmod(0o755)
    with pytest.raises(ResourceError, match="Slurm does not take the workers: sbatch: error: invalid account"):
        rank(source, "y", "pearson", dask="slurm", workers=2)
