"""The scripts for Slurm: what they run, and that no name gets a meaning on its way through shells."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from miscreen.cli import main

# Stands in for sbatch: notes its arguments, and runs the script with the environment of one array element.
SBATCH = """#!/bin/bash
echo "sbatch $*" >> calls
for last; do :; done
SLURM_ARRAY_TASK_ID=2 bash "$last"
echo 17
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory where sbatch is the script above and Python notes the arguments it is given."""
    tools = tmp_path / "tools"
    tools.mkdir()
    work = tmp_path / "work"
    work.mkdir()
    python = tools / "python"
    note = f'for word; do printf "%s\\0" "$word"; done >> {work}/words\nprintf "\\n\\0" >> {work}/words'
    python.write_text(f"#!/bin/bash\n{note}\n")
    (tools / "sbatch").write_text(SBATCH)
    for tool in tools.iterdir():
        tool.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    monkeypatch.chdir(work)
    for table in ("data.parquet", "t.parquet"):
        write(work / table, "y")
    return work


def write(path: Path, target: str) -> None:
    """A table of that target and one feature."""
    pl.DataFrame({target: [0.5, 1.5], "feature": [1.0, 2.0]}).write_parquet(path)


def commands(folder: Path) -> list[list[str]]:
    """The words of each command that ran."""
    found = [part.split("\0") for part in (folder / "words").read_text().split("\0\n\0")]
    return [words for words in found if words != [""]]


@pytest.mark.parametrize("submit", [True, False])
def test_the_scripts_run_an_array_and_a_merge(submit: bool, folder: Path, capfd: Any) -> None:
    line = "slurm data.parquet -t y --shards 16 --time 2:00:00 --cpus 4 --memory 8GB --method bin --bins 8 --fdr 0.1"
    assert main([*shlex.split(line), "--sbatch=--account=x", *(["--submit"] if submit else [])]) == 0
    out, err = capfd.readouterr()
    if submit:
        assert out == "" and err.startswith("done: ")
    else:
        assert not list(folder.glob("*.parts"))
        subprocess.run(["sh"], input=out, text=True, check=True)
    (directory,) = [p.name for p in folder.glob("*.parts")]
    assert re.fullmatch(r"ranked\.[0-9a-f]{8}\.parts", directory)
    parts = f"{directory}/ranked.parquet"
    asked = ["--target=y", "--method=bin", "--bins=8", "--fdr=0.1"]
    assert commands(folder) == [
        ["-m", "miscreen", "rank", "data.parquet", *asked, "--force", "--shard", "2/16", "-o", parts],
        ["-m", "miscreen", "merge", parts, "-o", "ranked.parquet"],
    ]
    calls = (folder / "calls").read_text().splitlines()
    assert calls[0] == f"sbatch --parsable {directory}/array.sh"
    assert calls[1].startswith("sbatch --dependency=afterany:") and calls[1].endswith(f" {directory}/merge.sh")
    script = (folder / directory / "array.sh").read_text().splitlines()
    options = {o.removeprefix("#SBATCH ") for o in script if o.startswith("#SBATCH ")}
    assert options == {
        "--array=1-16", "--cpus-per-task=4", "--job-name=ranked", f"--output={directory}/%a.log", "--time=2:00:00",
        "--mem=8192M", "--account=x", "--signal=B:USR1@60",
    }  # fmt: skip


LINES = "a\ntouch hacked\nEND\ntouch hacked"
NASTY = ["it's", 'a "b"', "$(touch hacked)", "`touch hacked`", "a;touch hacked", LINES, "%a \\n é", "-x", "*"]


@pytest.mark.parametrize("name", NASTY)
def test_names_reach_the_command_as_they_are(name: str, folder: Path, capfd: Any) -> None:
    file, output = f"{name}.parquet", f"{'lines' if name == LINES else name}.csv"
    write(folder / file, name)
    options = [f"--target={name}", f"--exclude={name}", "--shards=3", f"--output={output}"]
    assert main(["slurm", *options, "--", file]) == 0
    subprocess.run(["sh"], input=capfd.readouterr().out, text=True, check=True, capture_output=True)
    first, second = commands(folder)
    assert first[2:6] == ["rank", f"./{file}" if name == "-x" else file, f"--target={name}", f"--exclude={name}"]
    assert second[2] == "merge" and second[-1] == (f"./{output}" if name == "-x" else output)
    (directory,) = folder.glob("*.parts")
    assert directory.name.startswith(f"{output[:-4]}.")
    expected = ["calls", "words", "data.parquet", "t.parquet", file, directory.name]
    assert sorted(p.name for p in folder.iterdir()) == sorted(expected)


@pytest.mark.parametrize("submit", [True, False])
def test_names_of_files_need_not_be_utf8(submit: bool, folder: Path, capfdbinary: Any) -> None:
    file, output = os.fsdecode(b"\xff.parquet"), os.fsdecode(b"\xfe.csv")
    (folder / "t.parquet").rename(folder / file)
    submitted = ["--submit"] if submit else []
    assert main(["slurm", file, "-t", "y", "--shards=3", f"--output={output}", *submitted]) == 0
    if not submit:
        subprocess.run(["sh"], input=capfdbinary.readouterr().out, check=True, capture_output=True)
    words = (folder / "words").read_bytes().split(b"\0")
    assert b"\xff.parquet" in words and b"\xfe.csv" in words


def test_a_limit_of_elements_at_a_time_is_of_the_array_alone(folder: Path, capfd: Any) -> None:
    for option in ("--array=1-8%2", "-a1-8%2", "-a 1-8%2"):
        assert main(["slurm", "t.parquet", "-t", "y", "--shards", "8", f"--sbatch={option}", "--sbatch=--x=1"]) == 0
        lines = capfd.readouterr().out.splitlines()
        assert lines.count(f"#SBATCH {option}") == 1 and lines.count("#SBATCH --x=1") == 2
        assert lines.index("#SBATCH --array=1-8") < lines.index(f"#SBATCH {option}") < lines.index("END")


def test_an_array_whose_merge_is_refused_is_cancelled(folder: Path, capfd: Any) -> None:
    tools = folder.parent / "tools"
    refuses = "case $last in *merge.sh) echo QOSMaxSubmitJobPerUserLimit >&2; exit 1;; esac"
    (tools / "sbatch").write_text(
        SBATCH.replace("done\n", f"done\n{refuses}\n").replace("echo 17", "echo '17;sandbox'")
    )
    (tools / "scancel").write_text('#!/bin/sh\necho "scancel $*" >> calls\n')
    (tools / "scancel").chmod(0o755)
    assert main(["slurm", "t.parquet", "-t", "y", "--shards", "2", "--submit"]) == 1
    assert "Slurm did not take the jobs: QOSMaxSubmitJobPerUserLimit" in capfd.readouterr().err
    assert (folder / "calls").read_text().splitlines()[-1] == "scancel 17"


def test_what_slurm_would_refuse_is_refused_here(folder: Path, capfd: Any) -> None:
    for arguments in (
        ["--time", "soon"],
        ["--time", "1:2:3"],
        ["--sbatch", "long"],
        ["--memory", "100"],
        ["--sbatch=--x=1\nrm"],
        ["-o", f"{LINES}.csv"],
    ):
        assert main(["slurm", "t.parquet", "-t", "y", "--shards", "2", *arguments]) == 2
    for source in ("-", "none.parquet"):
        assert main(["slurm", source, "-t", "y", "--shards", "2"]) == 2
    assert main(["slurm", "t.parquet", "-t", "y", "--shards", "0"]) == 2
    (folder / "ranked.parquet").touch()
    assert main(["slurm", "t.parquet", "-t", "y", "--shards", "2"]) == 2
    out, err = capfd.readouterr()
    assert out == "" and "--force" not in err  # which this command does not have


@pytest.mark.parametrize(
    "asked",
    ["-t IQ", "-t y --exclude age", "-t y --features age", "-t y --discrete age", "-t y --strata age --p-values",
     "-t y --exclude feature"],
)  # fmt: skip
def test_names_that_the_table_lacks_are_told_before_anything_is_submitted(
    asked: str, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for submit in ([], ["--submit"]):
        assert main(["slurm", "t.parquet", *asked.split(), "--shards", "3", *submit]) == 2
        out, told = capfd.readouterr()
        assert out == "" and not (folder / "calls").exists()
    assert main(["rank", "t.parquet", *asked.split()]) == 2
    assert capfd.readouterr().err == told
    (folder / "t.csv").write_text("y,feature\n0.5,1\n")
    assert main(["slurm", "t.csv", *asked.split(), "--shards", "3"]) == 0  # text is parsed by the jobs alone


def test_an_option_of_sbatch_is_one_word_or_as_it_was_quoted(folder: Path, capfd: Any) -> None:
    given = ["--comment=a b's", "--comment=a b", "--comment='c  d'", "-p long", "--account=x"]
    assert main(["slurm", "t.parquet", "-t", "y", "--shards", "2", *(f"--sbatch={o}" for o in given)]) == 0
    lines = [line.removeprefix("#SBATCH ") for line in capfd.readouterr().out.splitlines()]
    expected = ["--comment=a b's", "--comment='a b'", "--comment='c  d'", "-p long", "--account=x"]
    assert [line for line in lines if line in expected] == 2 * expected


def test_short_jobs_get_no_signal_ahead(folder: Path, capfd: Any) -> None:
    for time, wanted in (("0:30", False), ("4", False), ("4:59", False), ("5", True), ("0:30:00", True), ("1-0", True)):
        assert main(["slurm", "t.parquet", "-t", "y", "--shards", "2", "--time", time]) == 0
        out, err = capfd.readouterr()
        assert ("--signal=B:USR1" in out) == wanted
        assert ("less than a minute" in err) == (time == "0:30")


# Runs every element of an array, one after another, and whatever becomes of them what follows it.
SLURM = """#!/bin/bash
for last; do :; done
n=$(sed -n 's/^#SBATCH --array=1-//p' "$last")
for k in $(seq ${n:-1}); do SLURM_ARRAY_TASK_ID=$k bash "$last" 2>>log; done
echo 17
"""


def test_no_run_is_given_the_parts_of_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    (tmp_path / "sbatch").write_text(SLURM)
    (tmp_path / "sbatch").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    monkeypatch.chdir(tmp_path)

    def write(seed: int) -> None:
        rng = np.random.default_rng(seed)
        pl.DataFrame({name: rng.standard_normal(40) for name in ("y", "a", "b", "c")}).write_parquet("t.parquet")

    def script(*options: str) -> str:
        assert main(["slurm", "t.parquet", "-t", "y", "-m", "pearson", "--shards", "2", "-o", "w.csv", *options]) == 0
        return str(capfd.readouterr().out)

    def check(submitted: str, *options: str) -> None:
        subprocess.run(["sh"], input=submitted, text=True, check=True, stdout=subprocess.DEVNULL)
        assert main(["rank", "t.parquet", "-t", "y", "-m", "pearson", *options]) == 0
        assert Path("w.csv").read_text() == capfd.readouterr().out
        for path in tmp_path.glob("w.csv*"):
            path.unlink()

    write(1)
    first = script()
    assert script() == first  # so that what is finished is found again
    check(first)
    check(script("--unit=bits"), "--unit=bits")
    write(2)
    check(script())
    assert len(list(tmp_path.glob("w.*.parts"))) == 3
    check(first)  # a script kept from before: it ranks the table that is there now
