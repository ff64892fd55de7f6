"""What a run may use: every limit is found, the least binds, and all pools are held to it."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import miscreen
from miscreen import Ranking, limits, rank_shard
from miscreen.cli import main
from miscreen.errors import InputError, ResourceError
from miscreen.limits import ADDRESS_SPACE, Limit, Limits, control_group_files, least, positive
from miscreen.resources import (
    FLOOR_BYTES,
    MAPPED_BYTES,
    MAPPED_PER_THREAD,
    MIB,
    Resources,
    enough_memory,
    library_threads,
    parse_bytes,
    plan_blocks,
)

SAMPLE = Path(__file__).parents[1] / "data" / "samples" / "pbmc.parquet"
VARIABLES = ("SLURM_", "PBS_", "NCPUS", "LSB_", "NSLOTS", "NUMBA_NUM_THREADS", "OMP_", "MISCREEN_", "OPENBLAS_", "MKL_")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A node of 64 processors and 256 GB, on which nothing else limits a process."""
    for name in [n for n in os.environ if n.startswith(VARIABLES)]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))
    sizes = {"SC_PHYS_PAGES": 1 << 26, "SC_PAGE_SIZE": 4096}
    monkeypatch.setattr(os, "sysconf", sizes.__getitem__)
    monkeypatch.setattr(limits, "control_group_files", lambda *_: [])
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    return monkeypatch


@pytest.mark.parametrize(
    ("variables", "threads"),
    [
        ({}, 64),
        ({"SLURM_CPUS_PER_TASK": "8", "SLURM_CPUS_ON_NODE": "32"}, 8),
        ({"SLURM_CPUS_ON_NODE": "32", "SLURM_TASKS_PER_NODE": "4(x3),2"}, 8),
        ({"SLURM_CPUS_ON_NODE": "32", "SLURM_STEP_TASKS_PER_NODE": "1", "SLURM_TASKS_PER_NODE": "16"}, 32),
        ({"SLURM_CPUS_ON_NODE": "2", "SLURM_TASKS_PER_NODE": "5"}, 1),
        ({"NCPUS": "6"}, 6),
        ({"LSB_DJOB_NUMPROC": "5"}, 5),
        ({"NSLOTS": "3"}, 3),
        ({"NSLOTS": "100"}, 64),
        ({"OMP_NUM_THREADS": "4,2", "SLURM_CPUS_PER_TASK": "8"}, 4),
        ({"NUMBA_NUM_THREADS": "2", "OMP_NUM_THREADS": "4"}, 2),
        ({"OMP_NUM_THREADS": "nonsense", "NSLOTS": "", "NCPUS": "0"}, 64),
        ({"MISCREEN_THREADS": "70", "OMP_NUM_THREADS": "4"}, 70),
    ],
)
def test_threads(variables: dict[str, str], threads: int, machine: pytest.MonkeyPatch) -> None:
    for name, value in variables.items():
        machine.setenv(name, value)
    assert Resources.detect().threads == threads
    assert Resources.detect(threads=9).threads == 9


@pytest.mark.parametrize("text", ["", "0", "-1", "two", "1.5", "9" * 30])
def test_a_senseless_number_of_threads_is_told(text: str, machine: pytest.MonkeyPatch) -> None:
    machine.setenv("MISCREEN_THREADS", text)
    with pytest.raises(InputError, match="MISCREEN_THREADS is"):
        Resources.detect()


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"SLURM_MEM_PER_NODE": "8192"}, 8192 * MIB),
        ({"SLURM_MEM_PER_NODE": "0"}, 256 << 30),  # all of the node
        ({"SLURM_MEM_PER_NODE": "8192", "SLURM_STEP_TASKS_PER_NODE": "4"}, 2048 * MIB),
        ({"SLURM_MEM_PER_CPU": "1000", "SLURM_CPUS_PER_TASK": "8"}, 8000 * MIB),
    ],
)
def test_memory_granted_by_slurm(variables: dict[str, str], expected: int, machine: pytest.MonkeyPatch) -> None:
    for name, value in variables.items():
        machine.setenv(name, value)
    assert least(Limits.detect().memory).value == expected
    assert Resources.detect().memory_bytes == expected // 2


def limited(machine: pytest.MonkeyPatch, **soft: int) -> None:
    by_number = {getattr(resource, name): size for name, size in soft.items()}
    machine.setattr(resource, "getrlimit", lambda n: (by_number.get(n, resource.RLIM_INFINITY), -1))


def test_resource_limits(machine: pytest.MonkeyPatch) -> None:
    limited(machine, RLIMIT_RSS=6 << 30, RLIMIT_AS=20 << 30, RLIMIT_DATA=5 << 30)
    found = Limits.detect()
    assert found.memory[1:] == (Limit("RLIMIT_RSS", 6 << 30), Limit("RLIMIT_DATA", 5 << 30))
    assert found.address_space == 20 << 30
    machine.setenv("SLURM_STEP_TASKS_PER_NODE", "2")
    assert Limit("RLIMIT_RSS / 2 tasks", 3 << 30) in Limits.detect().memory


def test_too_little_memory_is_told_before_anything_is_loaded(machine: pytest.MonkeyPatch) -> None:
    limited(machine, RLIMIT_RSS=FLOOR_BYTES)
    with pytest.raises(ResourceError, match=r"RLIMIT_RSS limits memory to 350.0 MB, but a run needs 366.0 MB"):
        Resources.detect()
    assert Resources.detect(memory="1GB").memory_bytes == 1 << 30  # the user knows better
    floor = MAPPED_BYTES + 2 * MAPPED_PER_THREAD
    limited(machine, RLIMIT_AS=floor + 100 * MIB)
    assert Resources.detect(threads=2).memory_bytes == 100 * MIB
    assert Resources.detect(threads=2, memory="100MB").memory_bytes == 100 * MIB
    for asked, threads in (({"memory": "101MB"}, 2), ({}, 3)):
        with pytest.raises(ResourceError, match=r"address space is limited to 2.1 GB \(ulimit -v\), but a run with"):
            Resources.detect(threads=threads, **asked)  # type: ignore[arg-type]


def write(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root / "self"


def test_control_groups_of_version_2(tmp_path: Path) -> None:
    mount = tmp_path / "sys fs"
    escaped = str(mount).replace(" ", "\\040")
    process = write(
        tmp_path,
        {
            "self/cgroup": "0::/system.slice/job_1/step_2\n",
            "self/mountinfo": f"20 1 0:1 / /proc rw - proc proc rw\n"
            f"31 23 0:28 / {escaped} rw,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate\n",
            "sys fs/system.slice/job_1/step_2/cpu.max": "max 100000",
            "sys fs/system.slice/job_1/cpu.max": "250000 100000",
            "sys fs/cpu.max": "max 100000",
            "sys fs/other/cpu.max": "100000 100000",
        },
    )
    found = control_group_files("cpu", "cpu.cfs_quota_us", "cpu.max", process)
    group = mount / "system.slice" / "job_1"
    assert found == [group / "step_2" / "cpu.max", group / "cpu.max", mount / "cpu.max"]


@pytest.mark.parametrize("group", ["/docker/abc/own", "/own"])  # with and without a name space of its own
def test_control_groups_of_version_1_in_a_container(group: str, tmp_path: Path) -> None:
    root = "/docker/abc" if group.startswith("/docker") else "/"
    process = write(
        tmp_path,
        {
            "self/cgroup": f"3:cpuacct,cpu:{group}\n2:memory:/..\n1:name=systemd:/\n0::/\n",
            "self/mountinfo": f"1 0 0:1 {root} {tmp_path}/cpu rw - cgroup cgroup rw,cpuacct,cpu\n"
            f"2 0 0:2 / {tmp_path}/memory rw - cgroup cgroup rw,memory\n"
            f"3 0 0:3 / {tmp_path}/unified rw - cgroup2 cgroup2 rw\n",
            "cpu/own/cpu.cfs_quota_us": "-1",
            "cpu/cpu.cfs_quota_us": "300000",
            "memory/memory.limit_in_bytes": "9223372036854771712",
            "unified/cgroup.procs": "",
        },
    )
    found = control_group_files("cpu", "cpu.cfs_quota_us", "cpu.max", process)
    assert found == [tmp_path / "cpu" / "own" / "cpu.cfs_quota_us", tmp_path / "cpu" / "cpu.cfs_quota_us"]
    found = control_group_files("memory", "memory.limit_in_bytes", "memory.max", process)
    assert found == [tmp_path / "memory" / "memory.limit_in_bytes"]
    assert control_group_files("cpu", "cpu.cfs_quota_us", "cpu.max", tmp_path / "nobody") == []


def test_quotas_and_limits_of_control_groups(tmp_path: Path, machine: pytest.MonkeyPatch) -> None:
    write(
        tmp_path,
        {
            "a/cpu.max": "250000 100000", "b/cpu.max": "max 100000", "c/cpu.max": "50000 100000", "d/cpu.max": "x",
            "e/cpu.cfs_quota_us": "400000", "e/cpu.cfs_period_us": "100000", "f/cpu.cfs_quota_us": "-1",
            "f/cpu.cfs_period_us": "100000", "a/memory.max": "max", "b/memory.max": f"{5 << 30}",
            "c/memory.max": "9223372036854771712", "b/memory.high": f"{4 << 30}",
        },
    )  # fmt: skip
    machine.setattr(limits, "control_group_files", lambda _, v1, v2: [*tmp_path.glob(f"?/{v2}"), *_glob(tmp_path, v1)])
    found = {Path(x.source).relative_to(tmp_path).as_posix(): x.value for x in Limits.detect().threads[1:]}
    assert found == {"a/cpu.max": 2, "c/cpu.max": 1, "e/cpu.cfs_quota_us": 4}
    assert {x.value for x in Limits.detect().memory[1:]} == {5 << 30, 4 << 30}


def _glob(root: Path, name: str) -> list[Path]:
    return list(root.glob(f"?/{name}")) if name else []


@pytest.mark.parametrize(
    ("text", "number"), [("4", 4), (" 4 ", 4), ("4(x2),3", 4), ("0", None), ("-3", None), (None, None), ("x", None)]
)
def test_the_number_a_variable_begins_with(text: str | None, number: int | None) -> None:
    assert positive(text) == number


# ---- the command -------------------------------------------------------------------------------------------


def run(*arguments: Any, shell: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {n: v for n, v in os.environ.items() if not n.startswith(VARIABLES)}
    command = [sys.executable, "-m", "miscreen", *map(str, arguments)]
    whole = ["bash", "-c", f'{shell} exec "$@"', "-", *command] if shell else command
    return subprocess.run(whole, capture_output=True, text=True, env=environment | variables)


def test_describe_shows_what_binds() -> None:
    done = run("describe", "--resources", OMP_NUM_THREADS="1", SLURM_MEM_PER_NODE="1024")
    assert done.returncode == 0
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["threads", "1", "by", "OMP_NUM_THREADS"] in lines or os.sched_getaffinity(0) == {0}
    assert ["memory", "512.0", "MB", "by", "SLURM_MEM_PER_NODE"] in lines
    assert ["SLURM_MEM_PER_NODE", "1.0", "GB", "<-", "binds"] in lines
    done = run("describe", "--resources", "--json", "--threads", "3", "--memory", "2GB", MISCREEN_THREADS="5")
    found = json.loads(done.stdout)
    assert found["threads"]["used"] == 3
    assert found["threads"]["by"] == "--threads"
    assert found["threads"]["limits"]["MISCREEN_THREADS"] == 5
    assert found["memory_bytes"]["used"] == 2 << 30
    assert found["memory_bytes"]["limits"]["physical"] > 0


def test_the_limit_that_the_budget_follows_from_is_told(monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    group = Limit("memory.max", 600 * MIB)
    for address_space, by in (
        (64 << 30, "memory.max"),
        (MAPPED_BYTES + 300 * MIB, ADDRESS_SPACE),
        (MIB, ADDRESS_SPACE),
    ):
        found = Limits((Limit("affinity", 1),), (group,), address_space)
        monkeypatch.setattr(Limits, "detect", classmethod(lambda cls, found=found: found))
        assert main(["describe", "--resources", "--json"]) == (1 if address_space == MIB else 0)
        assert json.loads(capfd.readouterr().out)["memory_bytes"]["by"] == by


def test_describe_shows_limits_that_do_not_suffice() -> None:
    done = run("describe", "--resources", "--threads", "2", shell="ulimit -v 1000000;")
    assert done.returncode == 1
    assert "RLIMIT_AS" in done.stdout
    assert done.stderr.startswith("error: the address space is limited to 976.6 MB (ulimit -v), but a run with 2")


def test_describe_wants_a_table_or_resources() -> None:
    for arguments, words in ((["describe"], "a table is missing"), (["describe", SAMPLE, "--resources"], "not of a")):
        done = run(*arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert words in done.stderr


@pytest.mark.parametrize("megabytes", [300, 2000, 2400])
def test_a_limited_address_space_ends_in_a_ranking_or_a_clear_word(megabytes: int, tmp_path: Path) -> None:
    output = tmp_path / "r.csv"
    done = run(
        "rank", SAMPLE, "-t", "cell_type", "-m", "pearson", "--threads", 2, "--memory", "64MB", "-o", output,
        shell=f"ulimit -v {megabytes * 1024};",
    )  # fmt: skip
    if megabytes < 2100:
        assert done.returncode == 1
        assert done.stderr.startswith(f"error: the address space is limited to {megabytes / 1024:.1f} GB") or (
            done.stderr.startswith(f"error: the address space is limited to {megabytes}.0 MB")
        )
        assert "needs 2.1 GB" in done.stderr
        assert list(tmp_path.iterdir()) == []
    else:
        assert (done.returncode, output.exists()) == (0, True), done.stderr


@pytest.mark.parametrize("megabytes", [300, 1000, 2400])
def test_merging_in_a_limited_address_space(megabytes: int, tmp_path: Path) -> None:
    rank_shard(SAMPLE, "cell_type", "1/1", tmp_path / "r.parquet", method="pearson")
    done = run("merge", tmp_path, "--top", "1", shell=f"ulimit -v {megabytes * 1024};", OMP_NUM_THREADS="2")
    if megabytes < 2100:
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("error: the address space is limited to ")
    else:
        assert (done.returncode, done.stdout.count("\n")) == (0, 2), done.stderr


_POOLS = """
import json, sys
from miscreen.cli import main
from miscreen.cli.options import Running

start = Running.start

def spied(running):
    keywords = start(running)  # before this no library may have been imported
    import miscreen.screening as screening
    whole = screening.run_blocks

    def spy(*arguments, **more):
        import numba, polars, pyarrow
        from threadpoolctl import threadpool_info
        whole(*arguments, **more)
        pools = {f"blas {p['prefix']}": p["num_threads"] for p in threadpool_info()}
        pools |= {"numba": numba.config.NUMBA_NUM_THREADS, "polars": polars.thread_pool_size()}
        pools |= {"arrow": pyarrow.cpu_count(), "arrow io": pyarrow.io_thread_count()}
        print(json.dumps(pools))

    screening.run_blocks = spy
    return keywords

Running.start = spied
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("threads", [1, 3])
def test_every_pool_is_held_to_the_threads_of_the_run(threads: int, tmp_path: Path) -> None:
    arguments = ["rank", SAMPLE, "-t", "cell_type", "-m", "pearson", "--threads", threads, "-o", tmp_path / "r.csv"]
    environment = {n: v for n, v in os.environ.items() if not n.startswith(VARIABLES)}
    done = subprocess.run(
        [sys.executable, "-c", _POOLS, *map(str, arguments)], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    pools = json.loads(done.stdout)
    assert len(pools) >= 5
    assert max(pools.values()) == threads, pools  # BLAS takes no more than there are processors


@pytest.mark.parametrize("size", [1, 1024, 1025, 1_100_000_000, 2**30, 2**30 + 1, 123_456_789, 10**14])
def test_the_memory_that_is_asked_for_is_enough(size: int) -> None:
    assert size <= parse_bytes(enough_memory(size)) <= 1.1 * size + 1024


def test_a_block_fits_into_what_the_error_asks_for() -> None:
    with pytest.raises(ResourceError) as refused:
        plan_blocks(5, 40_000_000, 8, 10**9)
    asked = refused.value.hint.removeprefix("Give at least --memory ")
    assert plan_blocks(5, 40_000_000, 8, parse_bytes(asked)) == 1


def test_of_runs_at_once_the_last_gives_the_pools_back() -> None:
    before = pa.cpu_count(), pa.io_thread_count()
    begun, ended = threading.Event(), threading.Event()

    def other() -> None:
        with library_threads(before[0] + 2):
            begun.set()
            assert ended.wait(60)

    with ThreadPoolExecutor(1) as pool:
        with library_threads(before[0] + 1):
            running = pool.submit(other)
            assert begun.wait(60)
        assert pa.cpu_count() == before[0] + 2
        ended.set()
        running.result()
    assert (pa.cpu_count(), pa.io_thread_count()) == before


@pytest.mark.parametrize(
    ("option", "given"),
    [
        *(("threads", wrong) for wrong in ("2", 2.0, True, 0)),
        *(("memory", wrong) for wrong in ([1], True, float("nan"), 0)),
        ("scratch_dir", 5),
        ("strata", ["x1"]),
        ("on_progress", 3),
        ("p_values", "no"),
    ],
)
def test_options_of_a_wrong_type_are_told(option: str, given: Any) -> None:
    with pytest.raises(InputError, match=f"^{option} (in bytes )?must be "):
        miscreen.rank(SAMPLE, "phase", **{option: given})


def test_paths_of_a_wrong_type_are_told() -> None:
    ranking = miscreen.rank(SAMPLE, "percent_mito", "pearson")
    for ask in (lambda: ranking.write(3), lambda: Ranking.read(7), lambda: miscreen.convert(SAMPLE, 5)):
        with pytest.raises(InputError, match=r"^path must be a path, not "):
            ask()
