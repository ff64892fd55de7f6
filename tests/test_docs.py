"""What the pages show is what happens: their commands are run, and every option has its line.

A ``console`` block holds commands after ``$`` and what they print on a terminal (``...`` stands for anything); an
``sh`` block is run as a script, a ``python`` block as a program. Blocks of a page share a directory with the
samples, and Python names. A comment ``<!-- not run: why -->`` before a block leaves it out. Run as a program, this
file writes what is printed now into the pages.
"""

from __future__ import annotations

import contextlib
import doctest
import os
import pty
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import typer

import miscreen
from miscreen.cli import application
from miscreen.cli.progress import TOLD
from miscreen.estimators import ESTIMATORS, estimator_class

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", ROOT / "data/samples/README.md", *(ROOT / "docs").rglob("*.md")])
BLOCK = re.compile(r"(<!-- not run: .+ -->\n)?^```(console|sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^\$ ((?:.*\\\n)*.*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)
METHODS = tuple(ESTIMATORS)
CHECK = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE

ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith("MISCREEN_DEBUG")},
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    "COLUMNS": "100",
    "NO_COLOR": "1",
    "TERM": "dumb",
}


def run_on_terminal(command: str, directory: Path) -> str:
    """What a command writes when standard output is a terminal: that first, then standard error."""
    master, slave = pty.openpty()
    errors = directory / ".stderr"
    with errors.open("wb") as stderr:
        process = subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=directory, env=ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=slave, stderr=stderr,
        )  # fmt: skip
    os.close(slave)
    written = b""
    while True:
        try:
            piece = os.read(master, 1 << 16)
        except OSError:  # how a terminal says that its last writer is gone
            break
        if not piece:
            break
        written += piece
    os.close(master)
    code = process.wait()
    progress = re.compile(  # while kernels are compiled, or others use the machine
        rf"^(({'|'.join(told for told, _ in TOLD.values())}) \d|note: compiling ).*\n", re.MULTILINE
    )
    shown = written.decode().replace("\r\n", "\n") + progress.sub("", errors.read_text())
    assert code == 0, f"{command}\nended with {code}:\n{shown}"
    return shown


def fits(expected: str, shown: str) -> bool:
    return not expected.strip() or doctest.OutputChecker().check_output(expected, shown, CHECK)


def run_console(text: str, directory: Path) -> str:
    """Run the commands of a block; return it with what they print now wherever that does not fit."""
    mended = text
    for command, expected in COMMAND.findall(text):
        shown = run_on_terminal(command, directory)
        if not fits(expected, shown):
            tidy = "".join(line.rstrip() + "\n" for line in shown.strip("\n").splitlines())
            mended = mended.replace(f"$ {command}\n{expected}", f"$ {command}\n{tidy}")
    return mended


def run_script(text: str, directory: Path) -> None:
    command = ["bash", "-euo", "pipefail", "-c", text]
    done = subprocess.run(command, cwd=directory, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{text}\nended with {done.returncode}:\n{done.stderr}"


def run_page(text: str, directory: Path) -> str:
    """Run the blocks of a page in a directory of their own; return the page as it ought to be."""
    shutil.copytree(ROOT / "data/samples", directory / "data/samples")
    names: dict[str, Any] = {}
    mended = text
    for skipped, language, block in BLOCK.findall(text):
        if skipped:
            continue
        if language == "console":
            mended = mended.replace(block, run_console(block, directory))
        elif language == "sh":
            run_script(block, directory)
        else:
            with contextlib.chdir(directory):
                exec(compile(block, "python block", "exec"), names)
    return mended


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_blocks_of_a_page_do_what_they_show(page: Path, tmp_path: Path) -> None:
    text = page.read_text()
    assert run_page(text, tmp_path) == text, "refresh the pages with: python tests/test_docs.py"


def test_pages_write_files_of_their_own() -> None:
    """So that whoever tries one page after another meets no file that exists, nor the ranking of another target."""
    output = re.compile(r"(?:(?:-o|--plot) |\.(?:write|plot)\(\"|convert \S+ )([\w./-]+\.\w+)")
    pages: dict[str, set[str]] = {}
    for page in PAGES:
        for skipped, _, block in BLOCK.findall(page.read_text()):
            for name in output.findall("" if skipped else block):
                pages.setdefault(name, set()).add(page.name)
    assert pages
    assert {name: found for name, found in pages.items() if len(found) > 1} == {}


def options_of(verb: str) -> set[str]:
    command = typer.main.get_command(application).commands[verb]  # type: ignore[attr-defined]
    return {max(parameter.opts, key=len) for parameter in command.params if parameter.opts[0].startswith("-")}


@pytest.mark.parametrize("verb", ["rank", "select", "evaluate", "describe", "convert", "merge", "slurm", "warmup"])
def test_every_option_has_its_line(verb: str) -> None:
    """Options stand in the first column of the tables of a verb's section, or of a section it points to."""
    sections = dict(
        re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", (ROOT / "docs/cli.md").read_text(), re.MULTILINE | re.DOTALL)
    )
    text = sections[verb] + "".join(sections[title] for title in re.findall(r"\[([^]]+)\]\(#", sections[verb]))
    documented = {
        option
        for row in re.findall(r"^\| (`-.*?) \|", text, re.MULTILINE)
        for option in re.findall(r"`(?:-\w, )?(--[a-z-]+)", row)
    }
    assert documented == options_of(verb) - {"--help"}


def test_methods_are_documented() -> None:
    text = (ROOT / "docs/methods.md").read_text()
    headings = set(re.findall(r"^## (\w+)", text, re.MULTILINE))
    assert set(METHODS) <= headings
    assert set(METHODS) <= set(re.findall(r"^\| `(\w+)` \|", (ROOT / "README.md").read_text(), re.MULTILINE))
    told = set(re.findall(r"``(\w+)``", str(miscreen.rank.__doc__)))
    options = {field.name for method in METHODS for field in fields(estimator_class(method).Options)}
    assert set(METHODS) | options | set(TOLD) <= told


def test_costs_at_any_size_follow_from_those_of_a_column() -> None:
    """10 million columns x 100,000 rows of float32, nodes of 32 cores and 1 GB/s, 20 GB/s together."""
    text = (ROOT / "docs/cluster.md").read_text()
    nodes = np.array([1, 16, 256])
    reading = 4e12 / np.minimum(nodes * 1e9, 20e9) / 60  # minutes
    for method in ("pearson", "kde", "auto"):
        cost = re.search(rf"`{method}` ([\d.]+)(?: ms)?[\s,]", text)
        row = re.search(rf"^\| `{method}`, ([\d.]+) core hours \| (.+) \|$", text, re.MULTILINE)
        whole = re.search(rf"^\| all, `{method}` \| (.+) \|$", text, re.MULTILINE)
        assert cost and row
        minutes = float(cost[1]) * 1e4 / 60 / 32 / nodes
        assert float(row[1]) == pytest.approx(float(cost[1]) * 1e4 / 3600, rel=0.02)
        assert in_minutes(row[2]) == pytest.approx(minutes, rel=0.1)
        if whole:
            assert in_minutes(whole[1]) == pytest.approx(np.maximum(minutes, reading) + 50 / 60, rel=0.1)
        if method == "auto":
            full = re.search(r"from (\d+) on `auto`\s+waits for it too", text)
            assert full and float(full[1]) == pytest.approx(minutes[0] / reading[-1], rel=0.1)
            assert re.search(rf"little to gain beyond {full[1]}", text)


def in_minutes(cells: str) -> list[float]:
    found = [cell.split() for cell in cells.split(" | ")]
    return [float(number) / (60 if unit == "s" else 1) for number, unit in found]


def test_help_names_the_columns_of_results() -> None:
    rng = np.random.default_rng(0)
    table = pl.DataFrame(rng.standard_normal((60, 4)), schema=list("abcd")).with_columns(y=pl.Series(["u", "v"] * 30))
    ranking = miscreen.rank(table, "y", "pearson", extra=["normalized"], fdr=0.1, max_t=19, ci=0.9)
    several = miscreen.rank(table, ["y", "a"], unit="bits")
    told = set(re.findall(r"``(\w+)``", str(miscreen.Ranking.__doc__)))
    assert {*ranking.to_arrow().column_names, *several.to_arrow().column_names} <= told


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target


if __name__ == "__main__":
    for page in PAGES:
        with tempfile.TemporaryDirectory() as directory:
            page.write_text(run_page(page.read_text(), Path(directory)))
