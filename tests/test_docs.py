"""What the pages show is what happens: their commands are run, and every option has its line.

A ``console`` block holds commands after ``$`` and what they print on a terminal (``...`` stands for anything); an
``sh`` block is run as a script, a ``python`` block as a program. Blocks of a page share a directory with the
samples, and Python names. A comment ``<!-- not run: why -->`` before a block leaves it out.
"""

from __future__ import annotations

import doctest
import os
import pty
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from miscreen.cli import application

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", ROOT / "data/samples/README.md", *(ROOT / "docs").glob("*.md")])
BLOCK = re.compile(r"(<!-- not run: .+ -->\n)?^```(console|sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^\$ ((?:.*\\\n)*.*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)
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
    shown = written.decode().replace("\r\n", "\n") + errors.read_text()
    assert code == 0, f"{command}\nended with {code}:\n{shown}"
    return shown


def run_console(text: str, directory: Path) -> None:
    for command, expected in COMMAND.findall(text):
        shown = run_on_terminal(command, directory)
        if expected.strip():
            matches = doctest.OutputChecker().check_output(expected, shown, CHECK)
            assert matches, f"$ {command}\nprinted\n{shown}\nbut the page says\n{expected}"


def run_script(text: str, directory: Path) -> None:
    command = ["bash", "-euo", "pipefail", "-c", text]
    done = subprocess.run(command, cwd=directory, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{text}\nended with {done.returncode}:\n{done.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_blocks_of_a_page_do_what_they_show(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    shutil.copytree(ROOT / "data/samples", tmp_path / "data/samples")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for skipped, language, text in BLOCK.findall(page.read_text()):
        if skipped:
            continue
        if language == "python":
            exec(compile(text, f"{page.name}, python block", "exec"), names)
        else:
            {"console": run_console, "sh": run_script}[language](text, tmp_path)


def options_of(verb: str) -> set[str]:
    command = typer.main.get_command(application).commands[verb]  # type: ignore[attr-defined]
    return {max(parameter.opts, key=len) for parameter in command.params if parameter.opts[0].startswith("-")}


@pytest.mark.parametrize("verb", ["rank", "select", "describe", "convert"])
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
    from miscreen.estimators import ESTIMATORS

    text = (ROOT / "docs/methods.md").read_text()
    headings = set(re.findall(r"^## (\w+)", text, re.MULTILINE))
    assert set(ESTIMATORS) <= headings


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target
