"""Tails that fall off exponentially."""

from __future__ import annotations

import math

import numpy as np

from miscreen.model import Floats

_MOST_SPREAD = 1.35  # standard deviation of exceedances in units of their mean; 1 when exponential


def exponential_shares(exceedances: Floats, beyond: Floats, margin: float = 1.0) -> Floats:
    """The share of exceedances over a threshold that lie so far beyond it, by an exponential tail; NaN if it is none.

    margin: on their mean. By the exponential of C, since NumPy's differs among processors.
    """
    mean = exceedances.mean()
    if not mean > 0.0 or exceedances.std() > _MOST_SPREAD * mean:
        return np.full(len(beyond), np.nan)
    exponents = (-beyond / (margin * mean)).tolist()
    return np.array([math.exp(min(x, 0.0)) for x in exponents])
