"""Partitions scored by the workers of Dask, which open the input themselves."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from miscreen.cluster.checkpoints import Checkpoints
from miscreen.cluster.identity import Identity, stamps
from miscreen.cluster.run import Collected, Counted
from miscreen.cluster.stopping import stop_on_signals
from miscreen.errors import DataError, InputError, MiscreenError, ResourceError, installing
from miscreen.limits import POOLS
from miscreen.partition import Partition
from miscreen.request import Request
from miscreen.resources import Resources
from miscreen.screening import Screen

if TYPE_CHECKING:
    from distributed import Client

CONNECT_SECONDS = 5
TASK_SECONDS = 2.0  # of work: hundreds of times what Dask takes for a task
_QUEUED = 2  # tasks for each thread of a worker: one at work, one waiting
_LOG = logging.getLogger("miscreen")


@dataclass(frozen=True)
class Job:
    """What a worker must know to score any range: the input, what is asked, and whose run it is.

    `memory_bytes` is for each task; None leaves it to what the worker may use.
    """

    source: str
    request: Request
    identity: Identity
    memory_bytes: int | None


def score_with_dask(
    source: Any,
    request: Request,
    identity: Identity,
    features: range,
    kept: Checkpoints | None,
    counted: Counted,
    unchanged: Callable[[], None],
    where: str,
    workers: int | None,
) -> list[Partition]:
    """Score features on the workers of a Dask cluster, leaving out those that are kept already.

    Raises
    ------
    InputError
        When Dask is not installed, or `where` is nothing that leads to a cluster.
    ResourceError
        When the scheduler cannot be reached or is lost, or a task ended several workers.
    StoppedError
        With `kept`, when a signal asked for it; what the workers have in hand is finished and kept.
    """
    collected = Collected(features, identity.metadata["n_samples"], kept, counted, unchanged, TASK_SECONDS)
    if collected.complete:
        return collected.partitions
    with _connected(where, workers, request.resources) as (client, memory_bytes):
        from distributed import as_completed

        # A task rather than data sent out, which would be lost with the worker that holds them.
        job = client.submit(
            Job, str(Path(source).absolute()), replace(request, on_progress=None), identity, memory_bytes, pure=False
        )
        if not client.nthreads():
            _LOG.info("waiting for the first worker of the Dask cluster")
            client.wait_for_workers(1)
        further = collected.pieces()
        running = as_completed([])
        in_flight = 0
        # Where nothing is kept, a signal ends the run as it does any other.
        with nullcontext(threading.Event()) if kept is None else stop_on_signals() as stop:
            while True:
                room = 0 if stop.is_set() else _QUEUED * sum(client.nthreads().values()) - in_flight
                for _ in range(max(room, int(in_flight == 0 and not stop.is_set()))):
                    piece = next(further, None)
                    if piece is None:
                        break
                    running.add(client.submit(_score, job, piece.start, piece.stop, pure=False))
                    in_flight += 1
                if in_flight == 0:
                    break
                collected.add(*next(running).result())
                in_flight -= 1
                counted("score", 0, None)
            collected.check_stop(stop)
    return collected.partitions


# ---- in the worker -----------------------------------------------------------------------------------------

_of_thread = threading.local()


def _score(job: Job, start: int, stop: int) -> tuple[Partition, float]:
    """Score a range with the table that this thread opened before, or opens now."""
    if getattr(_of_thread, "digest", None) != job.identity.digest:
        _open(job)
    began = time.monotonic()
    partition = _of_thread.screen.score_partition(range(start, stop))
    return partition, time.monotonic() - began


def _open(job: Job) -> None:
    if hasattr(_of_thread, "stack"):
        _of_thread.digest = None
        with suppress(DataError):  # of the table before, which may have changed since
            _of_thread.stack.close()
    memory = job.memory_bytes or _share_of_worker()
    request = replace(job.request, resources=Resources.detect(1, memory))
    stack, files = ExitStack(), stamps(job.source)
    table = stack.enter_context(request.open(job.source))
    screen = Screen(table, request)
    if difference := job.identity.difference(Identity.of(files, table, screen)):
        stack.close()
        raise InputError(
            f"a worker on {socket.gethostname()} does not see what the run began with: {difference}",
            "Give all machines the same file and the same version of miscreen",
        )
    _of_thread.stack, _of_thread.screen, _of_thread.digest = stack, screen, job.identity.digest


def _share_of_worker() -> int | None:
    """Half of what a task of this worker may use, in bytes."""
    from distributed import get_worker

    worker = get_worker()
    limit = worker.memory_manager.memory_limit
    return int(limit) // (2 * worker.state.nthreads) if limit else None


# ---- the cluster -------------------------------------------------------------------------------------------


@contextmanager
def _connected(where: str, workers: int | None, resources: Resources) -> Iterator[tuple[Client, int | None]]:
    """A client of the cluster that `where` leads to, and the memory of a task if that is ours to say."""
    if workers is not None and where not in ("local", "slurm"):
        raise InputError("--workers goes with --dask local and --dask slurm", "Leave it out: the cluster has its own")
    try:
        from distributed import Client, KilledWorker
        from distributed.comm.core import CommClosedError
    except ImportError as error:
        raise InputError("Dask is not installed", installing("dask")) from error
    from concurrent.futures import CancelledError

    for name in list(logging.root.manager.loggerDict):
        if name.split(".")[0] in ("distributed", "tornado"):
            logging.getLogger(name).setLevel(logging.CRITICAL)  # what matters is told in our words
    with ExitStack() as stack:
        memory_bytes = None
        if where == "local":
            count = workers or resources.threads
            memory_bytes = max(1, resources.memory_bytes // count)
            cluster = stack.enter_context(_local_cluster(count))
            client = stack.enter_context(Client(cluster))
        elif where == "slurm":
            client = stack.enter_context(Client(stack.enter_context(_slurm_cluster(workers, resources))))
        else:
            address = _address(where)
            try:
                client = stack.enter_context(Client(address, timeout=CONNECT_SECONDS))
            # A server of something else sends words that Dask takes for a size in memory.
            except (OSError, TimeoutError, ValueError, MemoryError) as error:
                raise ResourceError(
                    f"no Dask scheduler answers at {where!r} within {CONNECT_SECONDS} s",
                    "Check that it runs (dask scheduler), that the address is the one it printed, and that this "
                    "machine may reach it",
                ) from error
        try:
            yield client, memory_bytes
        except KilledWorker as error:
            raise ResourceError(
                f"several workers ended while they scored the same columns: {error}",
                "They may have run out of memory: give workers more of it, or fewer threads",
            ) from error
        except ModuleNotFoundError as error:
            raise ResourceError(
                f"a worker lacks a package: {error}", "Install miscreen where the workers run"
            ) from error
        except MiscreenError:
            raise
        except Exception as error:
            # A lost scheduler shows itself in many ways, by what the client was about to do.
            if client.status == "running" and not isinstance(error, CancelledError | CommClosedError):
                raise
            raise ResourceError(
                f"the Dask scheduler was lost ({type(error).__name__})",
                "Start it again, and repeat the run with --resume, which goes on with what is finished",
            ) from error


def _address(where: str) -> str:
    """Where the scheduler listens."""
    if "://" in where:
        return where
    if Path(where).is_file():
        try:
            return str(json.loads(Path(where).read_bytes())["address"])
        except (ValueError, LookupError, TypeError) as error:
            raise InputError(
                f"{where!r} is no scheduler file", "Give the one that was named to dask scheduler --scheduler-file"
            ) from error
    if where.endswith(".json"):
        raise InputError(f"there is no scheduler file {where!r}", "Start one: dask scheduler --scheduler-file FILE")
    if re.fullmatch(r"[\w.-]+:\d+", where):
        return f"tcp://{where}"
    raise InputError(
        f"{where!r} leads to no Dask cluster",
        "Give local, slurm, an address such as tcp://head:8786, or a scheduler file",
    )


def _local_cluster(workers: int) -> Any:
    from multiprocessing import resource_tracker

    from distributed import LocalCluster

    # Workers, those that replace others too, inherit what is blocked here: Ctrl-C and warnings of batch systems, which
    # go to all processes of a group, are for this one alone, which then ends the workers.
    # Python's tracker of resources, which lets them through again when it starts, starts first, and tidies up in
    # silence after a run that is interrupted.
    warned = os.environ.get("PYTHONWARNINGS")
    os.environ["PYTHONWARNINGS"] = ",".join(filter(None, [warned, "ignore:resource_tracker:UserWarning"]))
    try:
        resource_tracker.ensure_running()
    finally:
        del os.environ["PYTHONWARNINGS"]
        if warned is not None:
            os.environ["PYTHONWARNINGS"] = warned
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGUSR1})
    try:
        return LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            env=dict.fromkeys(POOLS, "1"),
            dashboard_address=None,
            scheduler_kwargs={"dashboard_address": "localhost:0"},  # even without one, a port that may be taken
            silence_logs=logging.CRITICAL,
        )
    except RuntimeError as error:
        raise ResourceError(
            "a worker of the local Dask cluster ended before it had started",
            "Give fewer --workers if memory ran out; a script of yours, which every worker imports, "
            "must run what it does under if __name__ == '__main__'",
        ) from error
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _slurm_cluster(workers: int | None, resources: Resources) -> Iterator[Any]:
    if workers is None:
        raise InputError("--dask slurm asks for as many jobs as there are workers", "Give --workers N")
    try:
        import dask
        from dask_jobqueue.slurm import SLURMCluster
    except ImportError as error:
        raise InputError("dask-jobqueue is not installed", installing("slurm")) from error
    if shutil.which("sbatch") is None:
        raise ResourceError("there is no sbatch here", "Run this where Slurm is")
    given: dict[str, Any] = {}
    if not dask.config.get("jobqueue.slurm.cores", None):
        given["cores"] = resources.threads
    if not dask.config.get("jobqueue.slurm.memory", None):
        given["memory"] = f"{2 * resources.threads}GiB"
    with SLURMCluster(processes=1, python=sys.executable, silence_logs="error", **given) as cluster:
        # Asked ahead: the cluster keeps to itself that a job was refused, and submits it again and again.
        asked = subprocess.run(
            ["sbatch", "--test-only"], input=cluster.job_script(), capture_output=True, text=True, check=False
        )
        if asked.returncode:
            raise ResourceError(
                f"Slurm does not take the workers: {asked.stderr.strip()}",
                "Set account, partition and the like in ~/.config/dask/jobqueue.yaml",
            )
        cluster.adapt(minimum=workers, maximum=workers)  # replaces those that are lost
        yield cluster
