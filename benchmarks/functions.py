"""Function beside function in one process, one thread each: the table of `tests/peers.py`, timed."""

from __future__ import annotations

import statistics
from collections.abc import Callable

import numpy as np
from measure import Part, Row, compared, number, race, seconds
from numpy.typing import NDArray
from peers import COMPARISONS, Comparison, batches, estimate, largest_difference

from miscreen.model import codes_by_appearance

Floats = NDArray[np.float64]
BUFFER_VALUES = 20_000_000  # 160 MB: columns come from memory, not from the cache
CHECKED = 20  # columns whose values are compared

# What is aimed at, by method and function: how many times faster, and further numbers of samples.
REACH = {
    ("bin, 16 x 16", "binning"): (180, ()),
    ("bin, Birge-Rozenholc", "binning"): (12, ()),
    ("kde, rank scale", "KDE, 300 x 300"): (450, ()),
    ("kde, raw scale", "KDE, 300 x 300"): (200, ()),
    ("kde, binary target", "binary target"): (20, ()),
    ("ksg, k = 3", "mutual_info_regression"): (20, (10_000, 100_000)),
    ("ksg, k = 3", "estimate_mi"): (12, ()),
    ("ksg, k = 3, binary target", "mutual_info_classif"): (60, ()),
    ("pearson", "f_regression"): (1, ()),
    ("spearman", "rankdata and a product"): (1, ()),
}
REACH_LARGE = 15  # of ksg at the further numbers of samples
UNTIMED = ("number of bins, Birge-Rozenholc",)  # checked only


def columns(n_samples: int, values: int = BUFFER_VALUES) -> tuple[Floats, Floats]:
    """Features of normal noise, every tenth with the target or its square added; and the target."""
    rng = np.random.default_rng(7)
    target = rng.standard_normal(n_samples)
    features = rng.standard_normal((values // n_samples, n_samples))
    features[::20] += target
    features[10::20] += target**2
    return features, target


def classes(target: Floats) -> Floats:
    """The target in two classes."""
    return codes_by_appearance(target > 0).astype(np.float64)


def first(function: Callable[[Floats, Floats], object], features: Floats, target: Floats) -> Callable[[int], object]:
    """The function, called with so many of the features."""
    return lambda count: function(features[:count], target)


def sorting(features: Floats) -> float:
    """Seconds a column that ordering the samples takes."""
    few = features[: max(1, len(features) // 10)]
    return min(seconds(lambda: [batch.order for batch in batches(few)]) for _ in range(3)) / len(few)


def where_time_goes(comparison: Comparison, ours: float, sort: float) -> str:
    """Sorting and the rest, for methods that sort."""
    if comparison.method.startswith(("pearson", "bin, 16")):
        return "one pass over the column; no sorting"
    return f"sorting {number(1e6 * sort)} us, the rest {number(1e6 * (ours - sort))} us"


def check(comparison: Comparison, features: Floats, target: Floats) -> str:
    """Compare values where both claim to compute the same; say what was found."""
    if not comparison.agrees:
        return f"not the same numbers: {comparison.note}"
    difference = largest_difference(comparison, features[:CHECKED], target)
    return f"{comparison.note}; {CHECKED} columns checked, largest difference {difference:.1g}"


def measure(*, quick: bool) -> Part:
    """Time every comparison at 1,000 samples, and those of nearest neighbours at more."""
    part = Part(
        "Functions",
        "One thread against one thread, in the same process, turn by turn, with 1,000 samples unless said otherwise. "
        "The ratio is the median of the turns; the range of the turns stands beside it.",
    )
    features, target = columns(1000, BUFFER_VALUES // 4 if quick else BUFFER_VALUES)
    repeats, at_least = (3, 0.05) if quick else (7, 0.3)
    reading = statistics.median(seconds(features.sum) for _ in range(9)) / len(features)
    sort = sorting(features)
    for comparison in COMPARISONS:
        y = classes(target) if comparison.classes else target
        note = check(comparison, features, y)
        if comparison.method in UNTIMED:
            part.add(Row(comparison.method, named(comparison), 1.0, unit="checked", note=note))
            continue
        sides = [first(side, features, y) for side in (comparison.ours, comparison.theirs)]
        times = race(*sides, len(features), at_least, repeats)
        reach, _ = REACH.get((comparison.method, comparison.function), (None, ()))
        row = compared(comparison.method, named(comparison), *times, reach=reach, note=note)
        row.where = where_time_goes(comparison, row.ours, sort)
        part.add(row)
        if comparison.library == "numpy":
            part.add(
                Row(
                    comparison.method,
                    "reading the column from memory",
                    row.ours / reading,
                    ours=row.ours,
                    theirs=reading,
                    note=f"the ratio of our time to a sum over the same columns, {8000 / reading / 1e9:.1f} GB/s",
                )
            )
    for what, most, options in (("auto", 6, {}), ("auto --no-mi", 3, {"mi": False})):
        sides = [
            first(estimate(method, **chosen), features, target) for method, chosen in (("auto", options), ("kde", {}))
        ]
        times = race(*sides, len(features), at_least, repeats)
        part.add(compared(what, "miscreen: kde", *times, reach=most, sense="most", rival=False))
    del features
    larger(part, quick=quick)
    return part


def larger(part: Part, *, quick: bool) -> None:
    """The comparisons that are also asked for at more samples."""
    for comparison in COMPARISONS:
        _, sizes = REACH.get((comparison.method, comparison.function), (None, ()))
        for n_samples in sizes[:1] if quick else sizes:
            features, target = columns(n_samples)
            sides = [first(side, features, target) for side in (comparison.ours, comparison.theirs)]
            times = race(*sides, len(features), 0.05 if quick else 0.3, 3 if quick else 5)
            what = f"{comparison.method}, n = {n_samples:,}"
            row = compared(what, named(comparison), *times, reach=REACH_LARGE, note=comparison.note)
            row.where = where_time_goes(comparison, row.ours, sorting(features))
            part.add(row)


def named(comparison: Comparison) -> str:
    """Package and function, as the page calls them."""
    library = {"sklearn": "scikit-learn", "numpy": "NumPy", "scipy": "SciPy"}.get(comparison.library)
    return f"{library or comparison.library}: {comparison.function}"
