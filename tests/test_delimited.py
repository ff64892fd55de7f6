"""Delimited text: right values and types however it is cut, and a clear word about what is wrong."""

import csv
import datetime as dt
import gzip
import io
import itertools
import os
import re
import subprocess

import numpy as np
import polars
import pyarrow as pa
import pyarrow.csv
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from miscreen.errors import DataError, InputError, MiscreenError, ResourceError
from miscreen.model import ColumnType
from miscreen.resources import Resources
from miscreen.tables import open_table
from miscreen.tables.columns import is_named
from miscreen.tables.delimited import DelimitedSource, ReadOptions
from miscreen.tables.loading import Loader

MEMORY = 64 << 20


def read(text, folder, *, threads=2, memory=MEMORY, block_bytes=None, captured=(), **options):
    """A source of that text (str or bytes)."""
    data = text.encode() if isinstance(text, str) else text
    resources = Resources(threads, memory, folder)
    return DelimitedSource(
        io.BytesIO(data), "t.csv", ReadOptions(**options), resources, is_named(captured), block_bytes=block_bytes
    )


def everything(text, folder, **how):
    """Names, types, bits of all values, and the Arrow table; or the error's message."""
    try:
        with read(text, folder, **how) as table:
            columns = np.arange(len(table.names))
            return table.names, table.types.tolist(), table.values(columns).tobytes(), table.table(columns)
    except MiscreenError as error:
        return type(error), str(error)


def column(text, folder, **how):
    """Type and cells of the only column, or the last."""
    with read(text, folder, **how) as table:
        last = np.array([len(table.names) - 1])
        return ColumnType(table.types[-1]).label, table.table(last).column(0).to_pylist()


def fails(text, folder, **how):
    with pytest.raises(DataError) as caught:
        read(text, folder, **how).close()
    return str(caught.value)


# ---- the same, however it is cut ----------------------------------------------------------------------------

CELLS = ["", "NA", "nan", "0", "-7", " 12 ", "1.5", ".5", "1e300", "inf", "-0", "9007199254740993", '"3"', '"NA"', "x"]
CELLS += ["0.1000000000000000055511151231257827021181583404541015625", "true", "2020-01-01", '"a,b"', '"say ""hi"""']
CELLS += ['"two\nlines"', "é", "a b", '"x"y', '"', 'q"q', "\r"]


@settings(max_examples=250, deadline=None)
@given(data=st.data())
def test_cutting_changes_nothing(data, tmp_path_factory):
    folder = tmp_path_factory.getbasetemp()
    n_columns = data.draw(st.integers(1, 4))
    # Few kinds of cells a table, so that many tables are sound.
    cells = st.sampled_from(data.draw(st.lists(st.sampled_from(CELLS), min_size=1, max_size=4)))
    rows = data.draw(st.lists(st.lists(cells, min_size=n_columns, max_size=n_columns), max_size=12))
    if data.draw(st.integers(0, 9)) == 0:
        rows.append(["1"] * data.draw(st.integers(1, 6)))
    ends = data.draw(st.sampled_from(["\n", "\r\n", "\n\n"]))
    text = ",".join(f"c{i}" for i in range(n_columns)) + ends + ends.join(map(",".join, rows))
    text += data.draw(st.sampled_from(["", ends]))
    how = {
        "captured": data.draw(st.sets(st.sampled_from(["c0", "c1"]))),
        "null_values": data.draw(st.sampled_from([(), ("-7.0",)])),
    }
    whole = everything(text, folder, threads=1, **how)
    for threads, block_bytes in [(1, 1), (3, 1), (2, 7), (2, 30), (4, 64)]:
        assert everything(text, folder, threads=threads, block_bytes=block_bytes, **how) == whole


def test_scratch_space_changes_nothing(tmp_path):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(300, 200)).round(3)
    text = ",".join(f"c{i}" for i in range(200)) + "\n" + "".join(",".join(map(repr, r)) + "\n" for r in rows.tolist())
    in_memory = everything(text, tmp_path)
    with read(text, tmp_path, memory=100_000) as table:
        assert 0 < table.held_bytes <= 75_000
        assert list(tmp_path.iterdir()) == []
        np.testing.assert_array_equal(table.values(np.arange(200)), rows.T)
    assert everything(text, tmp_path, memory=100_000) == in_memory


def test_tall_and_wide_tables_agree_with_numpy(tmp_path):
    rng = np.random.default_rng(1)
    for shape in [(5000, 3), (1, 5000), (3, 5000), (65, 129), (200, 70)]:
        values = rng.normal(size=shape)
        text = ",".join(f"c{i}" for i in range(shape[1])) + "\n"
        text += "\r\n".join(",".join(map(repr, row)) for row in values.tolist())
        for block_bytes in (None, 3000):
            with read(text, tmp_path, block_bytes=block_bytes) as table:
                assert table.n_samples == shape[0]
                np.testing.assert_array_equal(table.values(np.arange(shape[1])), values.T)
                some = rng.permutation(shape[1])[:50]
                np.testing.assert_array_equal(table.values(some), values.T[some])


# ---- the same as other readers ------------------------------------------------------------------------------


@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
def test_polars_and_pyarrow_read_the_same(delimiter, quoting, tmp_path):
    rng = np.random.default_rng(2)
    n = 400
    labels = ["red", "two\nlines", 'say "hi"', "a,b;c|d\te", "é ü 字", " padded ", "12 monkeys"]
    columns = {
        "float": [None if k % 7 == 3 else v for k, v in enumerate(rng.normal(size=n).tolist())],
        "int": [None if k % 5 == 1 else v for k, v in enumerate(rng.integers(-(2**53), 2**53, n).tolist())],
        "a name, with\nall": [None if k % 6 == 2 else labels[k % 7] for k in range(n)],
        "bool": [bool(k % 3) for k in range(n)],
        "day": [dt.date(1969, 12, 25) + dt.timedelta(k) for k in range(n)],
        "moment": [dt.datetime(1970, 1, 1, 12, 30, k % 60) + dt.timedelta(k) for k in range(n)],
    }
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, quoting=quoting)
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    data = out.getvalue().encode()
    with read(data, tmp_path, block_bytes=500) as table:
        found = table.table(np.arange(len(columns)))
    assert found.to_pydict() == columns
    types = {"float": polars.Float64, "int": polars.Int64}
    frame = polars.read_csv(data, separator=delimiter, try_parse_dates=True, null_values=[""], schema_overrides=types)
    by_polars = frame.to_dict(as_series=False)
    by_polars["bool"] = [v if isinstance(v, bool) else v == "True" for v in by_polars["bool"]]
    assert by_polars == columns
    how = pa.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
    convert = pa.csv.ConvertOptions(strings_can_be_null=True, timestamp_parsers=["%Y-%m-%d %H:%M:%S"])
    assert pa.csv.read_csv(io.BytesIO(data), parse_options=how, convert_options=convert).to_pydict() == columns


def test_arrow_tables_of_the_same_cells_give_the_same_numbers(tmp_path):
    text = (
        "i,f,b,t,day,clock,moment,zoned\n"
        "1,0.5,true,x,1969-12-31,00:00:01,2001-02-03T04:05:06.789,2001-02-03T04:05:06+02:00\n"
        ",,,,,,,\n"
        "-3,inf,FALSE,y,2024-02-29,23:59,2262-04-11 00:00,1900-01-01 00:00Z\n"
    )
    with read(text, tmp_path) as table:
        arrow = table.table(np.arange(8))
        values = table.values(np.arange(8))
        types = table.types.tolist()
    assert [str(t) for t in arrow.schema.types] == (
        ["int64", "double", "bool", "string", "date32[day]", "time64[us]", "timestamp[us]", "timestamp[us, tz=UTC]"]
    )
    assert all(c.null_count == 1 for c in arrow.columns)
    resources = Resources(1, MEMORY, tmp_path)
    with open_table(arrow, resources=resources) as again:
        assert again.types.tolist() == types
        np.testing.assert_array_equal(again.values(np.arange(8)), values)


@pytest.mark.parametrize("compression", ["", ".gz", ".zst"])
def test_files_and_progress(compression, tmp_path):
    text = b"x\ty,z\n" + b"".join(b"%d\t%d\n" % (k, k * k) for k in range(50_000))
    path = tmp_path / f"t.tsv{compression}"
    if compression:
        with pa.CompressedOutputStream(str(path), {".gz": "gzip", ".zst": "zstd"}[compression]) as out:
            out.write(text)
    else:
        path.write_bytes(text)
    seen = []
    resources = Resources(1, 1 << 20, tmp_path)
    with open_table(str(path), resources=resources, on_progress=lambda *report: seen.append(report)) as table:
        assert table.names == ["x", "y,z"]
        np.testing.assert_array_equal(table.values(np.array([1]))[0], np.arange(50_000.0) ** 2)
    size = path.stat().st_size
    assert {verb for verb, _, _ in seen} == {"read"} and {total for _, _, total in seen} == {size}
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen) and seen[-1][1] == size


def test_members_of_a_gzip_file_follow_each_other(tmp_path):
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(b"x\n1\n") + gzip.compress(b"2\n"))
    with open_table(str(path), resources=Resources(1, MEMORY, tmp_path)) as table:
        assert table.values(np.array([0])).tolist() == [[1.0, 2.0]]


def test_zeros_behind_a_gzip_file_are_padding(tmp_path):
    path = tmp_path / "t.csv.gz"
    for text in (b"x\n1\n2\n", b"x\n1\n2\n" + b"\n" * (1 << 16)):
        path.write_bytes(gzip.compress(text) + bytes(512))
        with open_table(str(path), resources=Resources(1, MEMORY, tmp_path)) as table:
            assert table.values(np.array([0])).tolist() == [[1.0, 2.0]]
    path.write_bytes(gzip.compress(text)[:-9] + bytes(512))
    with pytest.raises(DataError, match=r"compressed stream of .*t\.csv\.gz ends early or is damaged"):
        open_table(str(path), resources=Resources(1, MEMORY, tmp_path))


# ---- names, delimiters, missing cells -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "names"),
    [
        ("a,b;c", ["a", "b;c"]),
        ('"a,b"\tc', ["a,b", "c"]),
        ("a;b|c;d", ["a", "b|c", "d"]),
        ("only", ["only"]),
        ('"two\nlines",b', ["two\nlines", "b"]),
        ('"say ""hi""",b', ['say "hi"', "b"]),
        (",x,,", ["column_1", "x", "column_3", "column_4"]),
        ("\ufeffa,é ", ["a", "é "]),
        ('5",b', ['5"', "b"]),
    ],
)
@pytest.mark.parametrize("block_bytes", [1, None])
def test_names(header, names, block_bytes, tmp_path):
    delimiter = next((d for d in ",\t;|" if d in header.replace('"a,b"', "")), ",")
    mark = "\ufeff" * header.startswith("\ufeff")
    text = f"{mark}\n{header.removeprefix(mark)}\r\n\r\n" + delimiter.join("1" * len(names)) + "\n"
    with read(text, tmp_path, block_bytes=block_bytes) as table:
        assert table.names == names
        assert table.n_samples == 1


def test_without_header(tmp_path):
    with read("1;x\n2;y\n", tmp_path, header=False) as table:
        assert table.names == ["column_1", "column_2"]
        assert table.values(np.arange(2)).tolist() == [[1, 2], [0, 1]]


def test_bytes_that_are_no_text_cannot_mean_missing():
    with pytest.raises(InputError, match="no UTF-8 text"):
        ReadOptions(null_values=("NA", os.fsdecode(b"n\xe9ant")))


@pytest.mark.parametrize("given", ["NA", (1,), ("NA", None), 5, None, iter(["NA"])])
def test_what_means_missing_is_a_list_of_text(given):
    with pytest.raises(InputError, match="null_values must be a list of text, not "):
        ReadOptions(null_values=given)


def test_a_header_is_there_or_not():
    with pytest.raises(InputError, match="header must be True or False, not 'no'"):  # which is no less true than "yes"
        ReadOptions(header="no")
    assert ReadOptions(header=np.False_) == ReadOptions(header=False)


@pytest.mark.parametrize("delimiter", [5, "ab", "", "5", "e", ".", "-", '"', "\n", "é"])
def test_impossible_delimiters(delimiter):
    with pytest.raises(InputError, match="cannot be a delimiter"):
        ReadOptions(delimiter=delimiter)


@pytest.mark.parametrize("block_bytes", [1, 7, None])
@pytest.mark.parametrize(
    ("quote", "text", "columns"),
    [
        (
            "'",
            "'a,''b'';',\"c\n'x''y,\nz',1\n'',' 2 '\n\"q,'NA'\n",
            {"a,'b';": ["x'y,\nz", None, '"q'], '"c': [1, 2, None]},
        ),
        ("|", "|a,||b|||,c\n|x||y|,1\n", {"a,|b|": ["x|y"], "c": [1]}),
        ("|", "|a|\n|1|\n", {"a": [1]}),
        ("\\", "\\\\\\a\\\tb\n\\x\ty\\\t\\5\\\n", {"\\a": ["x\ty"], "b": [5]}),
        (
            "",
            '"a";b,c\'\n"x;"2"\n"x";3\ny"";\n\'z\';""\n',
            {'"a"': ['"x', '"x"', 'y""', "'z'"], "b,c'": ['"2"', "3", None, '""']},
        ),
        ("", 'a;b\n"1;2\n', {"a": ['"1'], "b": [2]}),
    ],
)
def test_any_character_quotes(quote, text, columns, block_bytes, tmp_path):
    delimiter = ";" if quote == "" else None
    with read(text, tmp_path, quote=quote, delimiter=delimiter, block_bytes=block_bytes) as table:
        found = table.table(np.arange(len(table.names)))
    assert found.to_pydict() == columns


@pytest.mark.parametrize("quote", ["'", "|", "~"])
def test_the_character_of_quotes_changes_nothing_else(quote, tmp_path):
    text = 'k,"a ""b"", c"\n1,x\n"2","y ""z"", 5"\n" 3 ","NA"\n4,"two\nlines"\n"5",""\n6,"""q"\n7,x\n' * 3
    expected = everything(text.replace("k,", "i,", 1).replace("k,", "8,"), tmp_path)
    other = text.replace("k,", "i,", 1).replace("k,", "8,").replace('"', quote)
    for block_bytes in (1, 20, None):
        names, types, values, table = everything(other, tmp_path, quote=quote, block_bytes=block_bytes)
        assert [name.replace(quote, '"') for name in names] == expected[0]
        assert (types, values) == expected[1:3]
        cells = [cell and cell.replace(quote, '"') for cell in table.column(1).to_pylist()]
        assert cells == expected[3].column(1).to_pylist()


@pytest.mark.parametrize("quote", ["ab", "5", "e", ".", "-", ",", " ", "\t", "\n", "é", ";"])
def test_impossible_quotes(quote):
    with pytest.raises(InputError, match="cannot be the quote"):
        ReadOptions(quote=quote, delimiter=";")


def test_wrong_quotes_are_complained_of(tmp_path):
    message = fails("a,b\n1,'x\n2,y\n", tmp_path, quote="'")
    assert "line 2: a quote opens here" in message and "ReadOptions(quote='')" in message
    message = fails("a,b\n1,'x'y\n", tmp_path, quote="'")
    assert "cell 2: text after a closing quote" in message and "ReadOptions(quote='')" in message
    assert "line 1: the header" in fails("a,'b'c\n1,2\n", tmp_path, quote="'")
    assert "line 2: 3 cells" in fails('a,b\n"1,2",3\n', tmp_path, quote="")


@pytest.mark.parametrize("last", ["1", "1\n", "1\r\n", "1\r", "1\n\n\r\n"])
def test_ends_of_file(last, tmp_path):
    assert column(f"a,b\n0,1\r\n0,{last}", tmp_path) == ("integer", [1, 1])


def test_missing_cells(tmp_path):
    cells = ["", "NA", "-9", " NA ", '"NA"', "nAn", "-nan", "#N/A", '""', "1.5", "-9.0", ' "', "?"]
    text = "k,x\n" + "".join(f"0,{cell}\n" for cell in cells[:-2])
    assert column(text, tmp_path, null_values=("-9",)) == ("float", [None] * 9 + [1.5, None])
    text = "x,k\n" + "".join(f"{cell},0\n" for cell in ["?", "1", '"?"', "7"])
    assert everything(text, tmp_path, null_values=("?",))[3].column("x").to_pylist() == [None, 1, None, 7]
    assert column("k,x\n0,1\n0, not seen \n0,7\n", tmp_path, null_values=(" not seen ",))[1] == [1, None, 7]
    with pytest.raises(InputError, match="too long"):
        ReadOptions(null_values=("x" * 300,))


@pytest.mark.parametrize("token", ["-9", "-9.0", " -0.9e1 "])
def test_a_number_means_missing_however_it_is_spelled(token, tmp_path):
    cells = ["-9.0", "1", "-9", '"-9.000"', " -0.9e1 ", "-9." + 40 * "0", "-9.5", "-9.0"]
    text = "k,x\n" + "".join(f"0,{cell}\n" for cell in cells)
    assert column(text, tmp_path, null_values=(token,)) == ("float", [None, 1.0, None, None, None, None, -9.5, None])
    text = "k,x\n0,-9.0\n0,1\n0,-9\n0,2\n"  # no fraction is present
    assert column(text, tmp_path, null_values=(token,)) == ("integer", [None, 1, None, 2])
    labels = ("k,x\n0,-9.0\n0,b\n0,-9\n0,-9.00\n0,-9x\n0,b\n0,-9.0\n", [None, "b", None, None, "-9x", "b", None])
    for captured in ({}, {"x"}):
        assert column(labels[0], tmp_path, captured=captured, null_values=(token,)) == ("text", labels[1])


def test_numbers_that_mean_missing_are_as_missing_as_empty_cells(tmp_path):
    """Among numbers that are read eight at a time, where the others decide the type of a column."""
    rng = np.random.default_rng(4)
    cells = rng.choice(["-9", "-9.0", "7", "12", "-90", "1.5", "x"], (203, 40), p=[0.2, 0.2, 0.2, 0.2, 0.1, 0.05, 0.05])
    cells[:, :20] = np.where(np.isin(cells[:, :20], ["x", "1.5"]), "-9.0", cells[:, :20])  # whole numbers but for those
    cells[cells == "x"] = "0.25"
    lines = [",".join(f"c{j}" for j in range(40)), *(",".join(row) for row in cells.tolist())]
    text = "\n".join(lines) + "\n"
    found = everything(text, tmp_path, null_values=("-9",))
    expected = everything(re.sub(r"(?<=[,\n])-9(\.0)?(?=[,\n])", "", text), tmp_path)
    assert found[3].equals(expected[3])
    assert np.isnan(found[3].column("c0").to_numpy()).sum() == np.isin(cells[:, 0], ["-9", "-9.0"]).sum() > 80


def test_a_null_token_of_text(tmp_path):
    assert column("k,x\n0,a\n0,none\n0,NA\n0,nan\n0,a \n", tmp_path) == ("text", ["a", None, None, None, "a "])


# ---- types --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1", "2"], ("integer", [1, 2])),
        (["1", "2.0"], ("float", [1.0, 2.0])),
        (["007", "-0", "+5"], ("integer", [7, 0, 5])),
        (["9007199254740992"], ("integer", [2**53])),
        (["9007199254740993"], ("float", [2.0**53])),
        (["000000000000000000000000012"], ("integer", [12])),
        (["1", "inf"], ("float", [1.0, float("inf")])),
        (["NA", ""], ("float", [None, None])),
        (["NA", "a", "1"], ("text", [None, "a", "1"])),
        (["True", "NA", "FALSE"], ("boolean", [True, None, False])),
        (["true", "maybe"], ("text", ["true", "maybe"])),
        (["2024-02-29", "2023-02-29"], ("text", ["2024-02-29", "2023-02-29"])),
        (["2024-02-29", "20240229"], ("text", ["2024-02-29", "20240229"])),
        (["2024-02-29", "10:30"], ("text", ["2024-02-29", "10:30"])),
        (["12:30", "25:00"], ("text", ["12:30", "25:00"])),
        (["10:30", "10:30:01.5"], ("temporal", [dt.time(10, 30), dt.time(10, 30, 1, 500_000)])),
        (["2024-02-29", "2024-03-01 01:00"], ("temporal", [dt.datetime(2024, 2, 29), dt.datetime(2024, 3, 1, 1)])),
        (["2024-02-29T00:00:00.1234567890"], ("text", ["2024-02-29T00:00:00.1234567890"])),
    ],
)
def test_types(cells, expected, tmp_path):
    text = "k,x\n" + "".join(f"0,{cell}\n" for cell in cells)
    for block_bytes in (1, None):
        assert column(text, tmp_path, block_bytes=block_bytes) == expected


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1", "x", "2"], ("text", ["1", "x", "2"])),
        (["1", "NA", "2", "1"], ("integer", [1, None, 2, 1])),
        (["1", "2.5", "0x1"], ("text", ["1", "2.5", "0x1"])),
        (["1", "1.0", " 2.5 ", "inf"], ("float", [1.0, 1.0, 2.5, float("inf")])),
        (["NA"], ("float", [None])),
        (["9007199254740993"], ("text", ["9007199254740993"])),
        (["10", "007"], ("text", ["10", "007"])),
        (["1E5", "10E4"], ("text", ["1E5", "10E4"])),
        (["1", "+5"], ("text", ["1", "+5"])),
        (["0", "-0", "0.50", "1e-05"], ("float", [0.0, -0.0, 0.5, 1e-5])),
    ],
)
def test_columns_taken_as_labels(cells, expected, tmp_path):
    text = "k,x\n" + "".join(f"0,{cell}\n" for cell in cells)
    for block_bytes in (1, None):
        assert column(text, tmp_path, block_bytes=block_bytes, captured={"x"}) == expected


def test_codes_are_numbered_by_first_appearance(tmp_path):
    text = "x\n" + "".join(f"{label}\n" for label in ["b", '"b"', "NA", "a", '"a ""q"""', "b", "c"])
    for block_bytes in (1, None):
        with read(text, tmp_path, block_bytes=block_bytes) as table:
            codes = table.values(np.array([0]))[0]
        np.testing.assert_array_equal(codes, [0, 0, np.nan, 1, 2, 0, 3])


@pytest.mark.parametrize("quoted", [False, True])
def test_labels_cost_little_once_they_are_known(quoted, tmp_path, monkeypatch):
    labels = np.random.default_rng(3).choice(["AA", "a b", "TT", "-9.0"], (500, 40))
    labels[0] = "AA"
    shown = np.char.add(np.char.add('"', labels), '"') if quoted else labels
    text = "\n".join([",".join(f"x{i}" for i in range(40)), *map(",".join, shown), ""])
    looked_at, content = [], Loader._content
    monkeypatch.setattr(Loader, "_content", lambda *args: looked_at.append(args) or content(*args))
    with read(text, tmp_path, null_values=("-9",)) as table:
        found = table.table(np.arange(40)).to_pydict()
    assert found == {f"x{i}": [None if x == "-9.0" else x for x in labels[:, i].tolist()] for i in range(40)}
    assert len(looked_at) < 1000  # of 20,000 cells


@pytest.mark.parametrize("block_bytes", [None, 5000])
def test_many_and_long_labels_are_told_apart_by_what_they_say(block_bytes, tmp_path, monkeypatch):
    rng = np.random.default_rng(3)
    words = [*(f"diagnosis {k}" for k in range(30)), "diagnosis 1 ", "été", "a,b", 'so "called"', "NA", "heterozygous"]
    labels = rng.choice(words, (300, 40))
    written = io.StringIO()
    csv.writer(written).writerows([[f"x{i}" for i in range(40)], ["diagnosis 1"] * 40, *labels.tolist()])
    looked_at, content = [], Loader._content
    monkeypatch.setattr(Loader, "_content", lambda *args: looked_at.append(args) or content(*args))
    with read(written.getvalue(), tmp_path, block_bytes=block_bytes) as table:
        found = table.table(np.arange(40)).to_pydict()
    expected = np.vstack([["diagnosis 1"] * 40, labels])
    assert found == {f"x{i}": [None if x == "NA" else x for x in expected[:, i].tolist()] for i in range(40)}
    assert block_bytes or len(looked_at) < 5000  # of 12,000 cells
    numbers = "\n".join(
        [",".join(f"x{i}" for i in range(60)), *[",".join(["1"] * 60)] * 50, *[",".join(["?"] * 60)] * 50]
    )
    assert "line 52, column 'x0': '?' in a column of numbers" in fails(numbers + "\n", tmp_path)


def test_text_that_appears_late_is_found(tmp_path):
    rng = np.random.default_rng(3)
    first = rng.integers(0, 200, 40).tolist()
    rows = [[f"L{row}" if row >= first[k] else "NA" for k in range(40)] + [str(row)] for row in range(200)]
    text = ",".join(f"c{k}" for k in range(41)) + "\n" + "".join(",".join(row) + "\n" for row in rows)
    expected = [[None if cell == "NA" else cell for cell in cells] for cells in zip(*rows, strict=True)]
    with read(text, tmp_path, block_bytes=1000, threads=4) as table:
        found = table.table(np.arange(41))
    assert [c.to_pylist() for c in found.columns[:40]] == expected[:40]
    assert found.column(40).to_pylist() == list(range(200))


@pytest.mark.parametrize(
    ("cells", "noted"),
    [
        (["1,5", "-2", "+0,25", "NA"], "decimal"),
        ([" 1,5 ", "2,5e-3"], "decimal"),
        (["1,234", "0,234"], "decimal"),
        (["1,234", "1,2345"], "decimal"),
        (["1,234", "1234,567"], "decimal"),
        (["1,234", "-2,345", "NA"], "either"),
        (["3,316", " 12", "+1,234"], "either"),
        (["1,234", "-2,345,678", "NA"], "thousands"),
        ([" 1,234", "1,234,567", "12", "+1,234.5"], "thousands"),
        (["1,234", "2"], None),
        (["1,5", "2"], None),
        (["1,5", "1,5"], None),
        (["1,5", "2,5", "x"], None),
        (["1,5", "1,2,3", "2,5"], None),
        (["1,234", "2,345.5", "2,5"], None),
        (["a", "b"], None),
        (["1.5", "2.5"], None),
    ],
)
def test_commas_in_numbers_are_noted(cells, noted, tmp_path, caplog):
    caplog.set_level("INFO", "miscreen")
    text = "k;x\n" + "".join(f"0;{cell}\n" for cell in cells)
    assert column(text, tmp_path)[0] == ("float" if "1.5" in cells else "text")
    told = {
        "decimal": "a decimal comma; it is taken as text: replace the commas by points",
        "thousands": "commas between thousands; it is taken as text: remove the commas",
        "either": "commas between thousands or a decimal comma; it is taken as text: remove the commas, or replace "
        "them by points where they are decimal ones",
    }
    assert caplog.messages == [f"t.csv: column 'x' looks like numbers with {told.get(noted)}"] * (noted is not None)


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ([".", "1.5", "2", "."], ["'.'"]),
        (["NA", "#DIV/0!", "1", "#NUM!", "2", "3", "4", "#NUM!"], ["'#DIV/0!'", "'#NUM!'"]),
        (["X", "Y", "Z", "1", "2", "3", "4", "5"], None),
        (["unknown", "1", "1"], None),
        (["1,5", "1", "2", "3"], None),
        (["3+" + 40 * "x", "1", "2"], None),
        (["a", "b"], None),
    ],
)
def test_numbers_beside_a_word_are_noted(cells, words, tmp_path, caplog):
    caplog.set_level("INFO", "miscreen")
    text = "k;x;w\n" + "".join(f"0;{cell};{cell}\n" for cell in cells)
    with read(text, tmp_path, captured={"w"}):
        pass
    told = words and f"holds numbers beside {', '.join(words)}; it is taken as text: if that means missing, add "
    assert caplog.messages == ([f"t.csv: column 'x' {told}--null {' --null '.join(words)}"] if words else [])
    if words:
        caplog.clear()
        assert column(text, tmp_path, null_values=[word.strip("'") for word in words])[0] in ("float", "integer")
        assert not caplog.messages


def test_of_many_words_beside_numbers_those_beside_most_are_noted(tmp_path, caplog):
    caplog.set_level("INFO", "miscreen")
    first = {"chromosome": ["X", "Y"], "stage": ["1a", "1b"], "gene": ["."], "site": ["."], "dose": ["#DIV/0!"]}
    columns = [w + [f"{i % 7}" if len(w) > 1 else f"{i}.5" for i in range(20 - len(w))] for w in first.values()]
    rows = [",".join(first), *map(",".join, zip(*columns, strict=True)), ""]
    with read("\n".join(rows), tmp_path):
        pass
    assert "beside '.', '#DIV/0!', 'X'; it is taken" in caplog.text
    assert "add --null '.' --null '#DIV/0!' --null 'X'" in caplog.text


def test_nanoseconds_are_those_of_parquet(tmp_path):
    ticks = np.append(np.random.default_rng(0).integers(-(10**18), 2 * 10**18, 60), [-1, 1000, 10**18])
    made = polars.DataFrame(
        {"t": polars.Series(ticks).cast(polars.Datetime("ns")), "c": polars.Series(ticks % 86400).cast(polars.Time)}
    )
    made.write_parquet(tmp_path / "t.parquet")
    resources = Resources(2, MEMORY, tmp_path)
    both = np.arange(2)
    with (
        read(made.write_csv(), tmp_path) as text,
        open_table(tmp_path / "t.parquet", resources=resources) as parquet,
    ):
        assert text.types.tolist() == parquet.types.tolist() == [ColumnType.TEMPORAL] * 2
        assert text.values(both).tobytes() == parquet.values(both).tobytes()
        assert polars.from_arrow(text.table(both)).equals(made)
    assert column("x\n1500-01-01T00:00:00.000000001\n", tmp_path)[0] == "text"
    assert column("x\n2000-01-01T00:00:00.0000000001\n", tmp_path)[0] == "text"


def test_decimal_commas_are_noted_once(tmp_path, caplog):
    caplog.set_level("INFO", "miscreen")
    with read("a;b;c;d\nx;NA;1,5;1,5\ny;1,5;2;0,5\nz;2,5;2,5;7\n", tmp_path, captured={"d"}, block_bytes=1):
        pass
    assert [message.split(" looks")[0] for message in caplog.messages] == ["t.csv: column 'b' (and 1 more)"]
    assert "replace the commas by points; if it means missing" in fails("x;y\n2;1\n1,5;1\n", tmp_path)
    assert "If commas stand between thousands, remove them; if it" in fails("x;y\n2;1\n1,234,567.5;1\n", tmp_path)
    assert "commas" not in fails("x;y\n2;1\n1,5,2;1\n", tmp_path)
    both = fails("x;y\n2;1\n3,316;1\n", tmp_path)
    assert "replace the commas by points; if commas stand between thousands, remove them; if it" in both


@pytest.mark.parametrize(
    ("cells", "noted"),
    [
        (["9007199254740993", "NA"], True),
        (["7", "-9007199254740993"], True),
        (["9007199254740992", "1"], False),
        (["9007199254740993", "0.5"], False),
        (["1.0", "inf"], False),
    ],
)
def test_whole_numbers_that_are_written_rounded_are_noted(cells, noted, tmp_path, caplog):
    caplog.set_level("INFO", "miscreen")
    text = "k,x\n" + "".join(f"0,{cell}\n" for cell in cells)
    column(text, tmp_path)
    told = [message.split(" beyond")[0] for message in caplog.messages]
    assert told == ["t.csv: column 'x' holds whole numbers"] * noted
    assert "--discrete" in "".join(caplog.messages) or not noted
    caplog.clear()
    kept = [None if cell == "NA" else cell for cell in cells]
    if noted:
        assert column(text, tmp_path, captured={"x"}) == ("text", kept)
    assert not caplog.messages


def test_identifiers_that_are_written_as_numbers_are_noted(tmp_path, caplog):
    caplog.set_level("INFO", "miscreen")
    text = "x,id,well,y\n7,007,1E5,0.5\n8,008,2E5,1e-5\n"
    with read(text, tmp_path) as table:
        assert not caplog.messages
        table.table(np.arange(4))
    assert [m.split(" such as")[0] for m in caplog.messages] == ["t.csv: column 'id' (and 1 more) holds numbers"]
    caplog.clear()
    with read(text, tmp_path, captured={"id", "well"}) as table:
        assert table.table(np.arange(4)).to_pydict()["id"] == ["007", "008"]
    assert not caplog.messages


# ---- what is wrong ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block_bytes", [1, 16, None])
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["t.csv is empty"]),
        ("\n\r\n\n", ["t.csv is empty"]),
        ("a,b\n", ["a header and no rows"]),
        ("a,b\n\n\n", ["a header and no rows"]),
        ("a,b\n1,2\n\n3\n4,5\n", ["line 4: 1 cells, but 2 were expected", "ReadOptions(delimiter=...)"]),
        ("a,b\n1,2\n3,4,5\n", ["line 3: 3 cells", "Check that line"]),
        ("a,b\n1,2,3\n3,4,5\n", ["line 2: 3 cells", "lacks a name"]),
        ("a,b\n1,2\n3,4,5,6\n", ["line 3: 4 cells", "Check that line"]),
        ("a,b\n1,2,3\n4,5,6\n", ["line 2: 3 cells", "sed '1s/^/row,/'"]),
        ("a\tb\nr1\t2\t3\n", ["line 2: 3 cells", "sed '1s/^/row\\t/'"]),
        ("a;b\r\n1;2;\r\n", ["line 2: 3 cells", "Rows end in a delimiter", "sed 's/;\\r*$//'"]),
        ("# made today\n# by us\na,b\n1,2\n", ["line 3: 2 cells", "if the first line is a comment", "grep -v '^#'"]),
        ("!of\t1\n!at\t2\nid\ta\tb\n", ["line 3: 3 cells", "grep -v '^!'"]),
        ("#made by x\na,b\n1,2\n", ["line 2: 2 cells", "if the first line is a comment", "grep -v '^#'"]),
        ("#CHROM\tPOS\n1\t2\t\n", ["line 2: 3 cells", "Rows end in a delimiter"]),
        ("#id,y\nr1,1,2\n", ["line 2: 3 cells", "lacks a name", "if the first line is a comment"]),
        ("sep=;\na;b;c\n1;2;3\n", ["the first line is 'sep=;'", "for spreadsheets alone", "tail -n +2"]),
        ("sep=,\r\na,b\r\n1,2\r\n", ["the first line is 'sep=,'", "tail -n +2"]),
        ('a,b\n"1\n2",x\n3\n', ["line 4: 1 cells"]),
        ("a,b\n1,2\n1,x\n1,2,3\n", ["line 3, column 'b': 'x' in a column of numbers", "discrete='b'", "exclude='b'"]),
        ("a,b\n1,2\n1,2,3\n1,x\n", ["line 3: 3 cells"]),
        ("a,b\n1,2\ny,1\nz,x\n", ["line 3, column 'a': 'y'"]),
        ("a,b\n1,2\n1,z\ny,1\n", ["line 3, column 'b': 'z'"]),
        ("a\n1\n" + "y" * 90, ["'" + "y" * 37 + "...'"]),
        ("a\n1\n2\r3\n", ["line 3, column 'a': '2\\r3'"]),
        ('a,b\n1,2\n"x,3\n4,5\n', ["line 3: a quote opens here and is never closed"]),
        ('a,"b\n1,2\n', ["line 1: a quote opens here"]),
        ('a,b\n1,2\n1\n1,2\n1,"2\n', ["line 3: 1 cells"]),
        ('a,b\n1,2\n1,x\n1,2\n1,"2\n', ["line 3, column 'b'"]),
        ('a,b\n1,"x"y\n', ["line 2, cell 2: text after a closing quote"]),
        ('a,"b"c\n1,2\n', ["line 1: the header cannot be taken apart"]),
        ("a,b,a,c,b\n1,2,3,4,5\n", ["same name", "'a' (columns 1 and 3)", "'b' (columns 2 and 5)"]),
        (",".join(["a" * 10_000] * 2) + "\n1,2\n", ["same name: '" + 57 * "a" + "...' (columns 1 and 2)"]),
        (b"a,\xff\n1,2\n", ["line 1, column 2", "not UTF-8", "iconv"]),
        (b"a,b\n1,x\n2,\xe9\n", ["line 3, column 'b'", "not UTF-8"]),
        (b"a,b\n1,2\n2,\xe9\n", ["line 3, column 'b'", "not UTF-8"]),
        ("a,b\n1,2\n".encode("utf-16"), ["UTF-16", "iconv"]),
        ("a,b\n1,2\n".encode("utf-16-le"), ["UTF-16", "iconv"]),
        ("a,b\n1,2\n".encode("utf-32"), ["UTF-32", "iconv -f UTF-32"]),
        ("a,b\n1,2\n".encode("utf-32-be"), ["UTF-32", "iconv -f UTF-32"]),
        ("a,b\r1,2\r3,4\r", ["lone carriage return"]),
        ("a,b\n1," + "x" * (1 << 20) + "\n", ["line 2: a cell of more than 1.0 MB"]),
    ],
)
def test_bad_tables(text, words, block_bytes, tmp_path):
    if len(text) > 1000 and block_bytes is not None:
        block_bytes *= 1000
    message = fails(text, tmp_path, block_bytes=block_bytes)
    for word in ["t.csv", *words]:
        assert word in message


def test_the_line_counts_lines_inside_cells_and_blank_ones(tmp_path):
    text = "\n\na,b\r\n" + '\r\n"1\n\n1",2\n' * 50 + "1,2\n" * 100 + "1,2,3\n"
    for block_bytes in (5, 100, None):
        assert "line 304: 3 cells" in fails(text, tmp_path, block_bytes=block_bytes)


@pytest.mark.parametrize("short", [b"", b"1,", b"\n"])
def test_many_short_rows_take_no_memory(short, tmp_path):
    header = ",".join(f"c{k}" for k in range(5000)).encode()
    text = header + b"\n" + b",".join([b"1"] * 5000) + b"\n" + (short + b"\n") * 400_000 + b"1\n"
    assert "cells, but 5,000 were expected" in fails(text, tmp_path)


def test_a_row_longer_than_memory(tmp_path):
    with pytest.raises(ResourceError, match=r"row that starts on line 3 has more than .* memory"):
        read("a,b\n1,2\n" + "1" * 300_000, tmp_path, memory=1 << 20)
    with pytest.raises(ResourceError, match="A quote opens on line 3"):
        read('a,b\n1,2\n1,"' + "1,1\n" * 100_000, tmp_path, memory=1 << 20)
    with pytest.raises(ResourceError, match="one row of 60,000 columns"):
        read("," * 59_999 + "\n", tmp_path, memory=1 << 20)


def test_a_stream_that_breaks_off(tmp_path):
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(b"x\n" + b"1\n2\n" * 10_000)[:-20])
    with pytest.raises(DataError, match=r"compressed stream of .*t\.csv\.gz ends early or is damaged"):
        open_table(str(path), resources=Resources(1, MEMORY, tmp_path))
    broken = bytearray(gzip.compress(np.random.default_rng(0).bytes(5000).hex().encode()))
    broken[2000:2100] = bytes(100)
    path.write_bytes(bytes(broken))
    with pytest.raises(DataError, match="ends early or is damaged"):
        open_table(str(path), resources=Resources(1, MEMORY, tmp_path))


def test_a_stream_that_cannot_be_read(tmp_path):
    class Broken(io.RawIOBase):
        def readinto(self, buffer):
            raise OSError(5, "Input/output error")

    with pytest.raises(DataError, match=r"cannot read t\.csv: Input/output error"):
        DelimitedSource(Broken(), "t.csv", ReadOptions(), Resources(1, MEMORY, tmp_path))


def test_a_stream_that_gives_little_at_a_time(tmp_path):
    class Dripping(io.BytesIO):
        sizes = itertools.cycle([1, 2, 3])

        def readinto(self, buffer):
            return super().readinto(memoryview(buffer)[: next(self.sizes)])

    class Plain:
        def __init__(self, text):
            self.read = io.BytesIO(text).read

    text = b"a,b\n" + b"1.25,x\n" * 5000
    for stream in (Dripping(text), Plain(text)):
        with DelimitedSource(stream, "t.csv", ReadOptions(), Resources(2, MEMORY, tmp_path), block_bytes=99) as table:
            assert table.n_samples == 5000
            assert table.values(np.arange(2)).sum() == 6250


def test_a_stream_that_does_not_wait(tmp_path):
    class Empty(io.RawIOBase):
        def readinto(self, buffer):
            return None

    with pytest.raises(DataError, match=r"cannot read t\.csv: "):
        DelimitedSource(Empty(), "t.csv", ReadOptions(), Resources(1, MEMORY, tmp_path))


@pytest.mark.parametrize("cell", ["nothing", "it's", "a\\b 'c'", "\xa05", "x\u200b\\'", "\U000e0041x", "$(touch x)"])
def test_the_advice_about_a_cell_can_be_followed_in_a_shell(cell, tmp_path):
    with pytest.raises(DataError) as error:
        read(f"a,it's\n1,2\n2,{cell}\n", tmp_path)
    told = r"add (--null .*); if the column holds labels, add (.*); to leave it out, add (.*)"
    advice = re.search(told, error.value.hint)
    assert advice is not None
    shell = ["bash", "-c", f"printf '%s\\0' {' '.join(advice.groups())}"]
    told = subprocess.run(shell, env={**os.environ, "LC_ALL": "C.UTF-8"}, capture_output=True, check=True).stdout
    assert told.decode().split("\0") == ["--null", cell, "--discrete", "it's", "--exclude", "it's", ""]


def test_no_text_is_advised_that_cannot_be_given(tmp_path):
    for cell in ("x" * 41, "x\0"):
        with pytest.raises(DataError, match="in a column of numbers") as error:
            read(f"a,b\n1,2\n2,{cell}\n", tmp_path)
        assert error.value.hint.startswith("If the column holds labels, add --discrete 'b'; ")
