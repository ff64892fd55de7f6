"""Which part of the program may import which, read from the sources."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import miscreen

PACKAGE = Path(miscreen.__file__).parent
SAMPLES = Path(__file__).parents[1] / "data" / "samples"
FILES = sorted(PACKAGE.rglob("*.py"))


def imports(path: Path) -> set[str]:
    """Modules that a file imports, and what it imports from modules."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def uses(path: Path, module: str) -> bool:
    return any(m == module or m.startswith(module + ".") for m in imports(path))


def part(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def offenders(module: str, *, allowed: tuple[str, ...] = (), inside: tuple[str, ...] = ()) -> list[str]:
    found = [p for p in FILES if uses(p, module) and part(p) not in allowed and (not inside or part(p) in inside)]
    return [str(p.relative_to(PACKAGE)) for p in found]


def test_only_what_compiles_imports_the_compiler() -> None:
    assert [p.name for p in FILES if uses(p, "numba")] == ["_compile.py", "_instructions.py"]


def test_kernels_know_arrays_only() -> None:
    for file in FILES:
        if part(file) == "kernels":
            ours = {m for m in imports(file) if m.startswith("miscreen")}
            assert all(m.startswith(("miscreen.kernels", "miscreen._version")) for m in ours), (file, ours)


def test_tables_know_no_estimators_and_estimators_no_files() -> None:
    assert offenders("miscreen.estimators", inside=("tables", "ranking", "kernels", "model", "resources")) == []
    assert offenders("miscreen.tables", inside=("estimators", "kernels", "model", "resources")) == []
    assert offenders("miscreen.resources", inside=("estimators", "kernels", "model", "ranking")) == []
    assert offenders("miscreen.screening", inside=("tables", "estimators", "kernels", "ranking")) == []


def test_only_the_command_line_talks() -> None:
    for library in ("typer", "rich"):
        assert offenders(library, allowed=("cli",)) == []
    for file in FILES:
        if part(file) == "cli" or file.name == "__main__.py":
            continue
        calls = [n.func for n in ast.walk(ast.parse(file.read_text())) if isinstance(n, ast.Call)]
        named = {f.id for f in calls if isinstance(f, ast.Name)}
        assert not named & {"print", "exit", "quit", "input"}, file
    assert offenders("miscreen.cli", allowed=("cli", "__main__")) == []


def test_only_the_cluster_part_knows_dask() -> None:
    assert offenders("dask", allowed=("cluster",)) == offenders("distributed", allowed=("cluster",)) == []


def test_only_what_builds_on_scikit_learn_knows_it() -> None:
    assert offenders("sklearn", allowed=("sklearn", "evaluation")) == []
    assert offenders("matplotlib", allowed=("evaluation",)) == []
    assert offenders("miscreen.evaluation", allowed=("evaluation", "cli", "__init__")) == []
    assert offenders("miscreen.sklearn") == []


def test_no_room_for_odds_and_ends() -> None:
    names = {p.stem for p in FILES} | {p.parent.name for p in FILES}
    assert not names & {"utils", "util", "helpers", "common", "misc"}


@pytest.mark.parametrize(
    ("statement", "forbidden"),
    [
        ("import miscreen", ["numpy", "numba", "scipy", "polars", "pyarrow", "typer"]),
        ("import miscreen.cli", ["numpy", "numba", "scipy", "polars", "pyarrow"]),
        ("from miscreen import rank", ["numba", "scipy", "polars"]),
    ],
)
def test_heavy_libraries_wait_until_they_are_needed(statement: str, forbidden: list[str]) -> None:
    code = f"import sys; {statement}; print([m for m in {forbidden} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_ranking_needs_neither_scipy_nor_once_it_is_compiled_numba() -> None:
    code = (
        "import sys, miscreen\n"
        f"for table in ('{SAMPLES}/pbmc.csv', '{SAMPLES}/pbmc.parquet'):\n"
        "    for method in ('auto', 'bin', 'ksg', 'pearson', 'copula'):\n"
        "        ranking = miscreen.rank(table, 'cell_type', method)\n"
        "        ranking.scored().top(3).to_arrow().to_pydict()  # what a terminal shows\n"
        "print([m for m in ('scipy', 'numba', 'KDEpy', 'polars', 'pandas') if m in sys.modules])\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)  # compiles what is missing
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
