"""The distributions with known mutual information: samplers and numbers agree."""

from __future__ import annotations

import math

import numpy as np
import pytest
from cases import SHAPES


@pytest.mark.parametrize("name", SHAPES)
def test_information_is_the_mean_log_ratio_of_densities(name: str) -> None:
    """Monte Carlo alone: the density of y is the mean of its conditional one over other samples of x."""
    case = SHAPES[name]
    x, y = case.sample(1, 1000)
    others, _ = case.sample(2, 2000)
    density = np.array([case.conditional(others, np.full(len(others), v)).mean() for v in y])
    ratio = np.log(case.conditional(x, y) / density)
    error = math.hypot(ratio.std() / math.sqrt(len(ratio)), 1 / len(others))
    assert abs(ratio.mean() - case.mi) <= 4 * error


def test_there_are_enough_of_every_kind() -> None:
    informative = [c for c in SHAPES.values() if c.mi > 0.05]
    assert len(informative) >= 20
    assert {(c.x_kind, c.y_kind) for c in informative} == {
        (x, y) for x in ("continuous", "discrete") for y in ("continuous", "discrete")
    }
    assert max(c.mi for c in informative) > 1.2
