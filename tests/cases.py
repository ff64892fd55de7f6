"""Joint distributions whose mutual information is known, and how to draw from them by a seed."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Sampler = Callable[[np.random.Generator, int], tuple[Floats, Floats]]


@dataclass(frozen=True)
class Case:
    """A feature x and a target y: `mi` nats, and whether each is ``continuous`` or ``discrete``."""

    mi: float
    draw: Sampler
    x_kind: str = "continuous"
    y_kind: str = "continuous"

    def sample(self, seed: int, n: int) -> tuple[Floats, Floats]:
        """n samples of x and y, float64; the same for the same seed."""
        return self.draw(np.random.default_rng(seed), n)


def _integral(values: Floats, step: float) -> float:
    return float(np.sum(values) * step)


def _entropy(density: Floats, step: float) -> float:
    positive = density[density > 0]
    return -_integral(positive * np.log(positive), step)


def _normal_density(t: Floats) -> Floats:
    return np.exp(-0.5 * t * t) / math.sqrt(2 * math.pi)


def _gaussian(r: float) -> Case:
    def draw(rng: np.random.Generator, n: int) -> tuple[Floats, Floats]:
        y = rng.normal(size=n)
        return r * y + math.sqrt(1 - r * r) * rng.normal(size=n), y

    return Case(-0.5 * math.log(1 - r * r), draw)


def _skewed(r: float) -> Case:
    """The Gaussian copula with a lognormal feature and a cubed target."""
    plain = _gaussian(r)

    def draw(rng: np.random.Generator, n: int) -> tuple[Floats, Floats]:
        x, y = plain.draw(rng, n)
        return np.exp(x), y**3

    return Case(plain.mi, draw)


def _uniform_sum(rng: np.random.Generator, n: int) -> tuple[Floats, Floats]:
    """x uniform, y = x + uniform: h(y) = 1/2, h(y | x) = 0."""
    x = rng.random(n)
    return x, x + rng.random(n)


def _quadratic(noise: float) -> Case:
    """x normal, y = x^2 + normal noise: h(y) by quadrature less h(noise)."""

    def draw(rng: np.random.Generator, n: int) -> tuple[Floats, Floats]:
        x = rng.normal(size=n)
        return x, x * x + noise * rng.normal(size=n)

    x_grid, step = np.linspace(-8, 8, 1601, retstep=True)
    y_grid, y_step = np.linspace(-8 * noise, 40, 4001, retstep=True)
    density = np.array(
        [
            _integral(_normal_density(x_grid) * _normal_density((y - x_grid**2) / noise) / noise, float(step))
            for y in y_grid
        ]
    )
    return Case(_entropy(density, float(y_step)) - 0.5 * math.log(2 * math.pi * math.e * noise**2), draw)


def _classes(centers: tuple[float, ...], shares: tuple[float, ...]) -> Case:
    """x normal about a centre for each class y: entropy of the mixture less that of a component."""

    def draw(rng: np.random.Generator, n: int) -> tuple[Floats, Floats]:
        y = rng.choice(len(centers), size=n, p=shares)
        return np.asarray(centers)[y] + rng.normal(size=n), y.astype(np.float64)

    grid, step = np.linspace(min(centers) - 9, max(centers) + 9, 4001, retstep=True)
    mixture = sum((p * _normal_density(grid - c) for c, p in zip(centers, shares, strict=True)), np.zeros(4001))
    mi = _entropy(mixture, float(step)) - 0.5 * math.log(2 * math.pi * math.e)
    return Case(mi if len(set(centers)) > 1 else 0.0, draw, y_kind="discrete")


def _swapped(case: Case) -> Case:
    def draw(rng: np.random.Generator, n: int) -> tuple[Floats, Floats]:
        x, y = case.draw(rng, n)
        return y, x

    return Case(case.mi, draw, case.y_kind, case.x_kind)


def _zero_inflated(r: float, zeros: float) -> Case:
    """x is 0 by chance, whatever y, else Gaussian with it: the information of the rest, in proportion."""
    plain = _gaussian(r)

    def draw(rng: np.random.Generator, n: int) -> tuple[Floats, Floats]:
        x, y = plain.draw(rng, n)
        return np.where(rng.random(n) < zeros, 0.0, x), y

    return Case((1 - zeros) * plain.mi, draw)


def _staircase(levels: int) -> Case:
    """x uniform on 0 to levels - 1, y uniform on x to x + 2: Gao et al. (2017), experiment II."""

    def draw(rng: np.random.Generator, n: int) -> tuple[Floats, Floats]:
        x = rng.integers(0, levels, n).astype(np.float64)
        return x, x + 2 * rng.random(n)

    return Case(math.log(levels) - (levels - 1) / levels * math.log(2), draw)


def _zero_inflated_poisson(zeros: float) -> Case:
    """x exponential, y Poisson of mean x or, by chance, 0, which cannot be told from a count of 0."""

    def draw(rng: np.random.Generator, n: int) -> tuple[Floats, Floats]:
        x = rng.exponential(size=n)
        return x, np.where(rng.random(n) < zeros, 0, rng.poisson(x)).astype(np.float64)

    x_grid, step = np.linspace(0.0005, 40, 40001, retstep=True)
    weight = np.exp(-x_grid) * float(step)
    weight /= weight.sum()
    mi, probability = 0.0, np.exp(-x_grid)
    for count in range(120):
        likelihood = (1 - zeros) * probability + (zeros if count == 0 else 0.0)
        marginal = float(np.sum(weight * likelihood))
        seen = likelihood > 0
        if marginal > 0:
            mi += float(np.sum((weight * likelihood)[seen] * np.log(likelihood[seen] / marginal)))
        probability = probability * x_grid / (count + 1)
    return Case(mi, draw)


def _table(probabilities: tuple[tuple[float, ...], ...]) -> Case:
    """Two discrete columns with the given joint probabilities."""
    p = np.asarray(probabilities)

    def draw(rng: np.random.Generator, n: int) -> tuple[Floats, Floats]:
        cell = rng.choice(p.size, size=n, p=p.ravel())
        return (cell // p.shape[1]).astype(np.float64), (cell % p.shape[1]).astype(np.float64)

    product = p.sum(axis=1, keepdims=True) * p.sum(axis=0, keepdims=True)
    return Case(float(np.sum(p * np.log(p / product))), draw, "discrete", "discrete")


CASES: dict[str, Case] = {
    "gaussian, r = 0": _gaussian(0.0),
    "gaussian, r = 0.3": _gaussian(0.3),
    "gaussian, r = -0.6": _gaussian(-0.6),
    "gaussian, r = 0.9": _gaussian(0.9),
    "skewed, r = 0.6": _skewed(0.6),
    "sum of uniforms": Case(0.5, _uniform_sum),
    "quadratic": _quadratic(0.5),
    "two classes": _classes((-0.7, 0.7), (0.5, 0.5)),
    "three uneven classes": _classes((-1.0, 0.0, 1.5), (0.2, 0.5, 0.3)),
    "classes without effect": _classes((0.0, 0.0), (0.3, 0.7)),
    "class feature": _swapped(_classes((-0.7, 0.7), (0.5, 0.5))),
    "class feature without effect": _swapped(_classes((0.0, 0.0, 0.0), (0.2, 0.3, 0.5))),
    "zero-inflated, r = 0": _zero_inflated(0.0, 0.5),
    "zero-inflated, r = 0.8": _zero_inflated(0.8, 0.3),
    "staircase": _staircase(5),
    "zero-inflated Poisson": _zero_inflated_poisson(0.15),
    "table": _table(((0.2, 0.1), (0.05, 0.25), (0.1, 0.3))),
    "table without effect": _table(((0.12, 0.28), (0.18, 0.42))),
}
