"""Decimal text to float64: the same bits as Python's ``float``, for every input."""

import io
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from miscreen.errors import DataError
from miscreen.kernels import decimal
from miscreen.kernels._jit import has_wide_vectors, kernel, read_eight_numbers
from miscreen.model import ColumnType
from miscreen.resources import Resources
from miscreen.tables.delimited import DelimitedSource, ReadOptions
from miscreen.tables.labels import read_number

nearest_float64 = kernel(decimal.nearest_float64.py_func)  # a piece of kernels, made to be called from here
TENS, FIVES, FIVE_TO_0 = decimal.TENS, decimal.FIVES, decimal.FIVE_TO_0
EDGES = [
    "4.9406564584124654e-324",
    "2.4703282292062327e-324",
    "2.4703282292062328e-324",
    "2.2250738585072011e-308",
    "2.2250738585072012e-308",
    "2.2250738585072014e-308",
    "1.7976931348623157e308",
    "1.7976931348623158e308",
    "1.7976931348623159e308",
    "1e308",
    "1e309",
    "1e-400",
    "1e400",
    "-1e400",
    "0e99999999999999999999",
    "1e99999999999999999999",
    "1e-99999999999999999999",
    "-0",
    "-0.0",
    "0",
    "00000",
    "1e23",
    "9007199254740993",
    "9007199254740992.5",
    "9007199254740993.0",
    "1.5e00007",
    "1.5e-000000012",
    "15e+00000000000000000000003",
]


@kernel
def read_together(text, cells, words, into):
    """`read_eight_numbers` of cells that end in a comma; -1 where there are no vectors for it."""
    if not has_wide_vectors():
        return -1
    tens, fives = TENS.ctypes.data, FIVES.ctypes.data + 16 * FIVE_TO_0
    last = text.ctypes.data + len(text)
    return read_eight_numbers(cells.ctypes.data, last, 44, words, tens, fives, into.ctypes.data)


def parse(literals, folder):
    """What the reader makes of a column of numbers."""
    text = "x\n" + "\n".join(literals) + "\n"
    with DelimitedSource(io.BytesIO(text.encode()), "numbers", ReadOptions(), Resources(2, 1 << 28, folder)) as table:
        assert table.types[0] in (ColumnType.FLOAT, ColumnType.INTEGER)
        return table.values(np.arange(1))[0]


def check(literals, folder):
    expected = np.array([float(literal) for literal in literals])
    found = parse(literals, folder)
    wrong = np.flatnonzero(found.view(np.uint64) != expected.view(np.uint64))
    assert not len(wrong), [(literals[i], found[i], expected[i]) for i in wrong[:5]]


def random_floats(rng, count):
    values = rng.integers(0, 2**64, count, dtype=np.uint64, endpoint=False).view(np.float64)
    return values[np.isfinite(values)].tolist()


def test_random_bit_patterns(tmp_path):
    values = random_floats(np.random.default_rng(1), 400_000)
    check([repr(v) for v in values], tmp_path)


def test_ordinary_numbers(tmp_path):
    rng = np.random.default_rng(2)
    literals = [f"{v:.6f}" for v in rng.normal(size=150_000)]
    literals += [repr(v) for v in rng.normal(scale=1e3, size=150_000).tolist()]
    literals += [f"{v:.4g}" for v in rng.lognormal(sigma=20, size=100_000)]
    literals += [str(v) for v in rng.integers(-(2**62), 2**62, 50_000).tolist()]
    literals += [f"{v:.{places}f}" for v in rng.normal(scale=1e3, size=10_000) for places in range(20)]
    literals += [f"{v:.18e}" for v in rng.lognormal(sigma=30, size=100_000)]
    check(literals, tmp_path)


def test_random_digits_points_and_exponents(tmp_path):
    rng = np.random.default_rng(3)
    literals = []
    for _ in range(150_000):
        digits = "".join(map(str, rng.integers(0, 10, rng.integers(1, 30)).tolist()))
        point = int(rng.integers(0, len(digits) + 1))
        number = digits[:point] + "." + digits[point:]
        exponent = f"{'eE'[rng.integers(2)]}{('', '+', '-')[rng.integers(3)]}{rng.integers(0, 360)}"
        literals.append(("", "+", "-")[rng.integers(3)] + number + (exponent if rng.integers(2) else ""))
    check(literals, tmp_path)


def test_halfway_between_neighbours_and_next_to_it(tmp_path):
    rng = np.random.default_rng(4)
    literals = []
    for value in random_floats(rng, 6_000):
        value = abs(value)
        middle = (Fraction(value) + Fraction(math.nextafter(value, math.inf))) / 2 if value < 1e308 else Fraction(1)
        # An exact decimal expansion: the denominator is a power of two.
        places = middle.denominator.bit_length() - 1
        digits = str(middle.numerator * 5**places)
        literals += [f"{digits}e-{places}", f"{digits}1e-{places + 1}", f"{int(digits) - 1}e-{places}"]
    check(literals, tmp_path)


def test_halfway_in_few_digits(tmp_path):
    rng = np.random.default_rng(5)
    literals = []
    for exponent in range(-30, 60):
        for mantissa in rng.integers(2**52, 2**53, 200).tolist():
            middle = Fraction(2 * mantissa + 1) * Fraction(2) ** (exponent - 1)
            places = middle.denominator.bit_length() - 1
            literals.append(f"{middle.numerator * 5**places}e-{places}")
    check(literals, tmp_path)


def test_halfway_with_one_digit_before_the_point(tmp_path):
    rng = np.random.default_rng(8)
    odd = 2 * rng.integers(2**52, 2**53, 20_000) + 1  # of 54 bits
    literals = []
    for number in odd.tolist():
        for places in range(4):  # of what is left when it is halved so often
            digits = str(number * 5**places)
            literals.append(f"{digits[0]}.{digits[1:]}e{len(digits) - 1 - places}")
    check(literals, tmp_path)


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("0", 2),
        ("-1234567", 2),
        (".5", 2),
        ("-12.", 2),
        ("0.1234567890123", 2),
        ("-0.123456789012", 2),
        ("-0.1234567890123", 3),
        ("0.12345678901234", 3),
        ("-0.12345678901234567", 3),
        ("123456.789012345678", 3),
        ("123456789012345", 2),
        ("-12345678", 2),
        ("1234567890123456", 3),
        ("9007199254740992", 3),
        ("1e5", 4),
        ("-1.5E-0290", 4),
        ("1.234567890123456789e+01", 4),
    ],
)
@pytest.mark.parametrize("begin", [2, 3, 4])
def test_eight_numbers_are_read_together(cell, words, begin):
    text = np.frombuffer((8 * f"{cell}," + 40 * "x").encode(), np.uint8).copy()
    starts = np.arange(8) * (len(cell) + 1) + text.ctypes.data
    cells, into = starts.copy(), np.empty(8)
    found = read_together(text, cells, begin, into)
    if found == -1:
        pytest.skip("this processor has no wide vectors")
    assert found & 255 == 0
    assert found >> 8 & 255 == (0 if cell.lstrip("-").isdigit() else 255)
    assert words <= found >> 16 <= max(words, begin - 1)  # to begin with the next time
    assert into.tolist() == 8 * [float(cell)]
    assert (cells - starts).tolist() == 8 * [len(cell) + 1]


CELLS = [
    lambda rng: f"{rng.normal():.6g}",
    lambda rng: repr(float(rng.normal())),
    lambda rng: f"{rng.normal():.18e}",
    lambda rng: str(rng.integers(-(10**6), 10**6)),
    lambda rng: f"{rng.integers(0, 10**18)}{rng.integers(0, 10**6):06}",
    lambda rng: f"+{rng.random():.3f}",
    lambda rng: f" {rng.random():.17f}",
    lambda rng: f"{10 ** rng.uniform(-330, 300):.9E}",
    lambda rng: ["-0", ".5", "-7.", "0e0", "1e5", "-1E-05", "1e-0007", "00012.50", "inf", "-Infinity"][
        rng.integers(10)
    ],
    lambda rng: str(rng.integers(2**53 - 3, 2**53 + 4)),
    lambda rng: str(rng.integers(0, 10 ** rng.integers(7, 18))),
    lambda rng: f"{rng.integers(10**7, 10**10)}.{rng.integers(0, 10**5)}",
    lambda rng: "",
    lambda rng: " NA",
    lambda rng: repr(-abs(float(rng.normal()))),
    lambda rng: f"-0.{rng.integers(10**12, 10**13)}",
]


@pytest.mark.parametrize("seed", range(40))
def test_rows_that_are_taken_apart_side_by_side(seed, tmp_path):
    rng = np.random.default_rng(seed)
    n_rows, n_columns = int(rng.integers(1, 150)), int(rng.integers(1, 40))
    usual, strange = rng.integers(0, len(CELLS), (2, n_columns))
    share = rng.choice([0.0, 0.02, 0.5])
    kinds = np.where(rng.random((n_rows, n_columns)) < share, strange, usual)
    cells = [[CELLS[kind](rng) for kind in row] for row in kinds.tolist()]
    lines = [",".join(f"x{i}" for i in range(n_columns)), *map(",".join, cells)]
    end = ["\n", "\r\n"][rng.integers(2)]
    text = (end.join(lines) + end).replace(f"{end}{end}", f'{end}""{end}')  # a row of one empty cell is no blank line
    with DelimitedSource(io.BytesIO(text.encode()), "numbers", ReadOptions(), Resources(2, 1 << 28, tmp_path)) as table:
        found = table.values(np.arange(n_columns))
        whole = table.types == ColumnType.INTEGER
    numbers = np.array([[float(cell.replace("NA", "").strip() or "nan") for cell in row] for row in cells]).T
    assert np.array_equal(found, numbers, equal_nan=True)
    assert np.array_equal(np.signbit(found), np.signbit(numbers) & ~np.isnan(numbers))
    for column, literals in enumerate(zip(*cells, strict=True)):
        present = [literal.strip() for literal in literals if literal.strip() not in ("", "NA")]
        is_whole = [literal.lstrip("+-").isdigit() and abs(int(literal)) <= 2**53 for literal in present]
        assert whole[column] == (all(is_whole) and len(present) > 0), (column, present)


def test_subnormals_and_the_edges_of_the_range(tmp_path):
    rng = np.random.default_rng(6)
    literals = [repr(v) for v in rng.integers(0, 2**52, 50_000, dtype=np.uint64).view(np.float64).tolist()]
    literals += [f"{rng.integers(1, 10**18)}e{-e}" for e in range(300, 360) for _ in range(200)]
    literals += [f"{rng.integers(1, 10**18)}e{e}" for e in range(280, 330) for _ in range(200)]
    literals += EDGES
    literals += ["0" * 400 + "1", "0." + "0" * 400 + "1e400", "1" + "0" * 400 + "e-400", "0." + "0" * 2000 + "1"]
    literals += ["9007199254740993" + "0" * 100 + "1e-101", "9" * 800, "." + "9" * 800, "1." + "0" * 900 + "1"]
    check(literals, tmp_path)


@settings(max_examples=300, deadline=None)
@given(
    literals=st.lists(
        st.one_of(
            st.floats(allow_nan=False).map(repr),
            st.from_regex(r"[+-]?([0-9]{1,40}(\.[0-9]{0,40})?|\.[0-9]{1,40})([eE][+-]?[0-9]{1,4})?", fullmatch=True),
        ),
        min_size=1,
        max_size=30,
    ),
    spaces=st.sampled_from(["", " ", "\t", "  \t"]),
)
def test_any_literal_among_spaces(literals, spaces, tmp_path_factory):
    check([literal + spaces for literal in literals], tmp_path_factory.getbasetemp())
    check([spaces + literal for literal in literals], tmp_path_factory.getbasetemp())


def test_digits_up_to_the_last_byte_of_the_text(tmp_path):
    for n_digits in range(26):
        digits = "1234567890" * 3
        for literal in (digits[: n_digits + 1], f"1.{digits[:n_digits]}", f"-0.{digits[:n_digits]}e-3"):
            table = io.BytesIO(f"x,y\n1,{literal}".encode())
            with DelimitedSource(table, "numbers", ReadOptions(), Resources(1, 1 << 24, tmp_path)) as source:
                assert source.values(np.arange(2)).tolist() == [[1.0], [float(literal)]]


@pytest.mark.parametrize("byte", [b for b in range(1, 256) if chr(b) not in '0123456789eE,"\t\n\r '])
def test_no_other_byte_is_a_digit(byte, tmp_path):
    text = b"x,y\n1,0.1234" + bytes([byte]) + b"567,12345678\n"  # in the middle of eight that are looked at together
    with pytest.raises(DataError, match="cells, but"):
        DelimitedSource(io.BytesIO(text), "numbers", ReadOptions(), Resources(1, 1 << 24, tmp_path))
    for before in (1, 8):  # alone, and among eight that are read side by side
        text = b"x\n" + before * b"0.5\n" + b"0.1234" + bytes([byte]) + b"567\n" + 8 * b"0.5\n"
        with pytest.raises(DataError, match=r"in a column of numbers|not UTF-8"):
            DelimitedSource(io.BytesIO(text), "numbers", ReadOptions(), Resources(1, 1 << 24, tmp_path))


@pytest.mark.parametrize("word", ["inf", "-inf", "+Infinity", "INFINITY", "iNf"])
def test_infinities(word, tmp_path):
    assert parse([word, "1"], tmp_path)[0] == float(word)


def test_integers_are_told_up_to_where_doubles_hold_all():
    for text, is_integer in (
        ("9007199254740992", True), ("-0009007199254740992", True), ("9007199254740993", False),
        ("90071992547409920", False), ("1.", False), ("1e3", False),
    ):  # fmt: skip
        assert read_number(text) == (float(text), is_integer), text


@pytest.mark.parametrize(
    "text", ["1_000", "0x10", "1e", "e5", ".", "+", "-.e1", "1e+", "1.2.3", "1 2", "--1", "1f", "١", "in", "infinit"]
)
def test_what_python_or_c_might_take_is_no_number(text, tmp_path):
    assert read_number(text) is None
    source = io.BytesIO(f"x\n{text}\n".encode())
    with DelimitedSource(source, "labels", ReadOptions(), Resources(1, 1 << 24, tmp_path)) as table:
        assert table.types[0] == ColumnType.TEXT
        assert table.table(np.arange(1)).column(0).to_pylist() == [text]


def test_an_integer_times_a_power_of_ten():
    rng = np.random.default_rng(7)
    for _ in range(20_000):
        w, q = int(rng.integers(0, 2**64, dtype=np.uint64)), int(rng.integers(-360, 330))
        assert nearest_float64(np.uint64(w), q) == float(f"{w}e{q}")
