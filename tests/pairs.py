"""A target and features as estimators receive them."""

from __future__ import annotations

from typing import Any

import numpy as np

from miscreen.model import Batch, Kind, Target


def target_of(values: Any, kind: Kind = Kind.CONTINUOUS, *, nominal: bool = False) -> Target:
    """A target that is present in all samples."""
    values = np.asarray(values, dtype=np.float64)
    return Target("y", values, kind, nominal, np.arange(len(values)))


def batch_of(features: Any, kind: Kind = Kind.CONTINUOUS, *, nominal: bool = False) -> Batch:
    """One feature or several, one a row."""
    features = np.atleast_2d(np.asarray(features, dtype=np.float64))
    return Batch(np.ascontiguousarray(features), kind, np.full(len(features), nominal))
