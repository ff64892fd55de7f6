"""The ranking: order, parts, and the way to a file and back."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

import miscreen
from miscreen.errors import DataError, InputError
from miscreen.ranking import Ranking, ranking_order

NAMES = ["plain", "007", 'say "hi", all', "line\nend", "é 列", "null"]


def ranking(target: str | None = None, scores: tuple[float, ...] = (0.3, -0.2, np.nan, 0.3, 0.5, np.inf)) -> Ranking:
    statuses = np.isnan(scores).astype(np.uint8)
    return Ranking.from_scores(
        NAMES,
        target,
        scores=np.array(scores),
        mi=np.array(scores) / 2,
        n=np.arange(6) + 100,
        kinds=np.array([0, 1, 0, 1, 0, 0], dtype=np.uint8),
        methods=["kde", "bin", "", "kde", "ksg", "kde"],
        statuses=statuses,
        extras={"r": np.array([0.1, np.nan, 1, 2, 3, 4])},
        metadata={"version": "1", "target": [target or "y"]},
    )


def test_order_against_a_sort_of_tuples() -> None:
    rng = np.random.default_rng(0)
    scores = rng.choice([0.0, -0.0, 0.5, -0.5, np.inf, 0.1], 500)
    statuses = rng.choice([0, 0, 0, 1, 5], 500).astype(np.uint8)
    naive = sorted(range(500), key=lambda i: (statuses[i] != 0, -scores[i] if statuses[i] == 0 else 0, i))
    assert ranking_order(scores, statuses).tolist() == naive


def test_columns() -> None:
    frame = ranking().to_polars()
    assert frame["feature"].to_list() == ["null", "é 列", "plain", "line\nend", "007", 'say "hi", all']
    assert frame["rank"].to_list() == [1, 2, 3, 4, 5, 6]
    assert frame["score"].to_list() == [np.inf, 0.5, 0.3, 0.3, -0.2, None]
    assert frame["mi_nats"].to_list()[1:] == [0.25, 0.15, 0.15, -0.1, None]
    assert frame["n"].to_list() == [105, 104, 100, 103, 101, 102]
    assert frame["kind"].to_list() == ["continuous"] * 3 + ["discrete"] * 2 + ["continuous"]
    assert frame["status"].to_list() == ["ok"] * 5 + ["constant"]
    assert frame["r"].to_list() == [4, 3, 0.1, 2, None, 1]


def test_by_another_column() -> None:
    p = np.array([0.5, 0.01, np.nan, 0.01, 0.2, 0.3])
    made = ranking()
    found = Ranking(made.to_arrow().append_column("p_value", pa.array(p, from_pandas=True)), made.metadata).by(
        "p_value"
    )
    assert found.names == ["é 列", "line\nend", "007", 'say "hi", all', "null", "plain"]
    assert found.to_polars()["rank"].to_list() == [1, 2, 3, 4, 5, 6]
    assert made.by("score").to_polars().equals(made.to_polars())
    assert found.by("score").names == ["null", "é 列", "line\nend", "plain", "007", 'say "hi", all']
    for column in ("n", "mi_nats", "feature", "none"):
        with pytest.raises(InputError, match=f"no order by '{column}'. Choose one of score, p_value"):
            found.by(column)
    with pytest.raises(DataError, match="no column q_value"):
        found.by("q_value")
    with pytest.raises(DataError, match=r"no column p_fwer\. Rank the table again with max_t=1000"):
        found.by("p_fwer")


def test_parts() -> None:
    whole = ranking()
    assert whole.top(2).names == ["null", "é 列"]
    assert whole.above(0.15).names == ["null", "é 列", "plain", "line\nend"]
    for given in ("x", None, np.nan):
        with pytest.raises(InputError, match="min_mi must be a number, not"):
            whole.above(given)  # type: ignore[arg-type]
        with pytest.raises(InputError, match="fdr must be a number, not"):
            whole.within_fdr(given)  # type: ignore[arg-type]
    assert whole.scored().names == whole.names[:-1]
    assert whole.top(10**20).to_arrow().equals(whole.to_arrow())
    both = Ranking.concat([ranking("a"), ranking("b", (1, 2, 3, 4, 5, 6))], {})
    assert both.targets == ["a", "b"]
    assert both.top(1).names == ["null", "null"]
    assert both.for_target("b").names == NAMES[::-1]
    with pytest.raises(InputError, match="no target 'c'") as error:
        both.for_target("c")
    assert "a, b" in error.value.hint
    with pytest.raises(InputError, match="no target 'c'"):
        whole.for_target("c")


@pytest.mark.parametrize("suffix", ["csv", "tsv", "parquet", "arrow", "ndjson", "json"])
def test_to_a_file_and_back(suffix: str, tmp_path: Path) -> None:
    finite = (0.3, -0.2, np.nan, 0.3, 0.5, 0.1)
    for made in (ranking(scores=finite), Ranking.concat([ranking("007", finite), ranking("b", finite)], {"n": 1})):
        path = tmp_path / f"r.{suffix}"
        made.write(path, force=True)
        read = Ranking.read(path)
        assert read.to_polars().equals(made.to_polars()), suffix
        assert read.metadata == made.metadata
        assert read.targets == made.targets


def test_infinite_and_missing_scores_come_back(tmp_path: Path) -> None:
    for suffix in ("csv", "tsv", "parquet", "arrow", "ndjson", "json"):
        path = tmp_path / f"r.{suffix}"
        for made in (ranking(), ranking(scores=(np.nan,) * 6), ranking(scores=(np.inf, *(np.nan,) * 5))):
            made.write(path, force=True)
            read = Ranking.read(path)
            assert read.scored().names == made.scored().names, suffix
            assert read.to_polars()["score"].equals(made.to_polars()["score"]), suffix
            assert read.above(0.1).names == made.above(0.1).names


def test_to_a_stream() -> None:
    stream = io.BytesIO()
    ranking().top(2).write_to(stream)
    assert stream.getvalue().decode() == (
        "rank,feature,score,mi_nats,n,kind,method,status,r\n"
        "1,null,inf,inf,105,continuous,kde,ok,4.0\n"
        "2,é 列,0.5,0.25,104,continuous,ksg,ok,3.0\n"
    )
    stream = io.BytesIO()
    ranking().write_to(stream, "ndjson")
    assert [json.loads(line)["feature"] for line in stream.getvalue().splitlines()] == ranking().names


def test_standard_input_has_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "miscreen")
    monkeypatch.chdir(tmp_path)
    stream = io.BytesIO()
    ranking().write_to(stream)
    Path("-.meta.json").write_text('{"method": "kde"}')
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stream.getvalue())))
    read = Ranking.read("-")
    assert read.names == ranking().names
    assert read.metadata == {}
    assert caplog.messages == []


def test_what_is_no_ranking(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no ranking"):
        Ranking.read(tmp_path / "none.csv")
    pl.DataFrame({"a": [1]}).write_csv(tmp_path / "t.csv")
    with pytest.raises(DataError, match="lacks one of the columns rank, feature, score and status"):
        Ranking.read(tmp_path / "t.csv")
    for name in ("t.parquet", "t.arrow", "t.json", "t.ndjson"):
        (tmp_path / name).write_bytes(b"nonsense \xff")
        with pytest.raises(DataError, match="cannot be read as a ranking"):
            Ranking.read(tmp_path / name)


def test_a_wide_ranking_is_small_enough(tmp_path: Path) -> None:
    names = [f"x{i}" for i in range(50_000)]
    scores = np.random.default_rng(0).standard_normal(50_000)
    made = Ranking.from_scores(
        names,
        None,
        scores=scores,
        mi=scores,
        n=np.full(50_000, 10),
        kinds=np.zeros(50_000, np.uint8),
        methods=["kde"] * 50_000,
        statuses=np.zeros(50_000, np.uint8),
        extras={},
        metadata={},
    )
    assert made.to_arrow().nbytes < 50_000 * 100
    best = names[int(np.argmax(scores))]
    assert made.names[0] == best
    assert repr(made) == f"<Ranking of 50,000 rows: {', '.join(made.names[:3])}, ...>"


def test_public_names_are_all_there() -> None:
    for name in miscreen.__all__:
        assert getattr(miscreen, name) is not None
    assert dir(miscreen) == miscreen.__all__
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = miscreen.nothing
    assert isinstance(ranking().to_arrow(), pa.Table)


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet", "json"])
def test_a_ranking_is_read_in_the_order_of_its_ranks(ending: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    table = pl.DataFrame({name: rng.standard_normal(30) for name in "abcdyz"})
    ranking = miscreen.rank(table, ["y", "z"], "pearson")
    shuffled = ranking.to_polars().sample(fraction=1.0, shuffle=True, seed=1)
    path = tmp_path / f"ranked.{ending}"
    Ranking(shuffled.to_arrow(), {}).write(path)
    read = Ranking.read(path)
    for target in ("y", "z"):
        assert read.for_target(target).names == ranking.for_target(target).names


def test_metadata_are_those_of_the_very_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "miscreen")
    rng = np.random.default_rng(3)
    table = pl.DataFrame({name: rng.standard_normal(30) for name in "abcyz"})
    ranking = miscreen.rank(table, "y", "pearson")
    path = tmp_path / "ranked.csv"
    ranking.write(path)
    assert Ranking.read(path).metadata == ranking.metadata
    with path.open("wb") as file:
        miscreen.rank(table, "z", "pearson").write_to(file)
    assert Ranking.read(path).metadata == {}
    assert "was written with another ranked.csv" in caplog.text
    path.unlink()
    ranking.write(path)  # in place of metadata that belong to nothing
    assert Ranking.read(path).metadata == ranking.metadata
    path.with_name("other.csv.meta.json").write_text("{}")
    with pytest.raises(InputError, match="exists already"):
        ranking.write(tmp_path / "other.csv")
    path.with_name("ranked.csv.meta.json").write_text("null")
    assert Ranking.read(path).metadata == {}


def test_rows_of_no_feature_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "ranked.csv"
    path.write_text("rank,feature,score,status\n1,,0.5,ok\n")
    with pytest.raises(DataError, match="a row has no feature"):
        Ranking.read(path)


def test_a_feature_has_one_row_for_each_target(tmp_path: Path) -> None:
    path = tmp_path / "ranked.csv"
    path.write_text("target,rank,feature,score,status\ny,1,a,0.5,ok\nz,1,a,0.5,ok\n")
    assert len(Ranking.read(path)) == 2
    path.write_text("target,rank,feature,score,status\ny,1,a,0.5,ok\ny,2,b,0.4,ok\ny,3,b,0.4,ok\n")
    with pytest.raises(DataError, match="ranks 'b' more than once"):
        Ranking.read(path)


def test_no_fewer_than_no_features() -> None:
    ranking = miscreen.rank(np.random.default_rng(0).standard_normal((20, 3)), "y", "pearson", names=["a", "b", "y"])
    assert len(ranking.top(0)) == 0
    with pytest.raises(InputError, match="k must be a whole number of at least 0, not -1"):
        ranking.top(-1)
