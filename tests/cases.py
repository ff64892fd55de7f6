"""Joint distributions whose mutual information is known, and how to draw from them by a seed.

`CASES` are smooth or simple enough for the bounds that methods document. `SHAPES` are these and harder ones, on
which accuracy and intervals are measured. A test holds the information of each to a Monte Carlo average.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Sampler = Callable[[np.random.Generator, int], tuple[Floats, Floats]]
Density = Callable[[Floats, Floats], Floats]


@dataclass(frozen=True)
class Case:
    """A feature x and a target y: `mi` nats, and whether each is ``continuous`` or ``discrete``.

    `conditional` is the density or probability of y given x, up to a factor that depends on y alone.
    """

    mi: float
    draw: Sampler
    conditional: Density
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


def _normal_distribution(t: Floats) -> Floats:
    return 0.5 * (1 + np.vectorize(math.erf)(t / math.sqrt(2)))


def _quadrature(x: Floats, x_weights: Floats, y: Floats, y_weights: Floats, conditional: Density) -> float:
    """Mutual information of x, in so many weighted points, and y given x."""
    shares = x_weights / x_weights.sum()
    density = conditional(x[:, None], y[None, :])
    density /= (density @ y_weights)[:, None]
    mean = shares @ density
    seen = density > 0
    ratio = np.divide(density, mean, where=seen, out=np.ones_like(density))
    return float(shares @ (density * np.log(ratio)) @ y_weights)


def _gaussian(r: float) -> Case:
    width = math.sqrt(1 - r * r)

    def draw(rng: np.random.Generator, n: int) -> tuple[Floats, Floats]:
        y = rng.normal(size=n)
        return r * y + width * rng.normal(size=n), y

    return Case(-0.5 * math.log(1 - r * r), draw, lambda x, y: _normal_density((y - r * x) / width))


def _skewed(r: float) -> Case:
    """The Gaussian copula with a lognormal feature and a cubed target."""
    plain = _gaussian(r)

    def draw(rng: np.random.Generator, n: int) -> tuple[Floats, Floats]:
        x, y = plain.draw(rng, n)
        return np.exp(x), y**3

    return Case(plain.mi, draw, lambda x, y: plain.conditional(np.log(x), np.cbrt(y)))


def _uniform_sum(width: float) -> Case:
    """x uniform, y = x + width times uniform, at most 1: h(y) = width / 2, h(y | x) = log width."""

    def draw(rng: np.random.Generator, n: int) -> tuple[Floats, Floats]:
        x = rng.random(n)
        return x, x + width * rng.random(n)

    def conditional(x: Floats, y: Floats) -> Floats:
        return ((x <= y) & (y <= x + width)).astype(np.float64)

    return Case(width / 2 - math.log(width), draw, conditional)


def _curve(shape: Callable[[Floats], Floats], noise: float, *, uniform: bool = False) -> Case:
    """y = shape(x) + normal noise, x normal or uniform on -1 to 1: h(y) by quadrature less h(noise)."""

    def draw(rng: np.random.Generator, n: int) -> tuple[Floats, Floats]:
        x = 2 * rng.random(n) - 1 if uniform else rng.normal(size=n)
        return x, shape(x) + noise * rng.normal(size=n)

    edges = np.linspace(-1, 1, 2002) if uniform else np.linspace(-8, 8, 2002)
    x_grid = 0.5 * (edges[1:] + edges[:-1])
    weights = np.ones(2001) if uniform else _normal_density(x_grid)
    weights /= weights.sum()
    image = shape(x_grid)
    y_grid, step = np.linspace(image.min() - 8 * noise, min(image.max(), 40) + 8 * noise, 4001, retstep=True)
    density = np.concatenate(
        [_normal_density((part[:, None] - image) / noise) @ weights / noise for part in np.array_split(y_grid, 40)]
    )
    mi = _entropy(density, float(step)) - 0.5 * math.log(2 * math.pi * math.e * noise**2)
    return Case(mi, draw, lambda x, y: _normal_density((y - shape(x)) / noise))


def _student(r: float, freedom: int) -> Case:
    """Bivariate Student: dependent in the tails also where r is 0. Calsaverini & Vicente (2009), eq. 21."""

    def draw(rng: np.random.Generator, n: int) -> tuple[Floats, Floats]:
        x, y = _gaussian(r).draw(rng, n)
        scale = np.sqrt(rng.chisquare(freedom, n) / freedom)
        return x / scale, y / scale

    def conditional(x: Floats, y: Floats) -> Floats:
        spread = (freedom + x * x) / (freedom + 1) * (1 - r * r)
        return (1 + (y - r * x) ** 2 / ((freedom + 1) * spread)) ** (-(freedom + 2) / 2) / np.sqrt(spread)

    # In terms of digamma: log of a ratio of gamma functions, and psi((f + 1) / 2) - psi(f / 2) by its series.
    half = freedom / 2
    beta = math.exp(math.lgamma(half) + math.lgamma(0.5) - math.lgamma(half + 0.5))
    k = np.arange(2_000_000, dtype=np.float64)
    difference = float(np.sum(0.5 / ((k + half) * (k + half + 0.5)))) + 0.5 / len(k)
    tails = 2 * math.log(math.sqrt(half / math.pi) * beta) - (2 + freedom) / freedom + (1 + freedom) * difference
    return Case(-0.5 * math.log(1 - r * r) + tails, draw, conditional)


def _ring(noise: float) -> Case:
    """A circle of radius 1 with normal noise along either axis."""

    def draw(rng: np.random.Generator, n: int) -> tuple[Floats, Floats]:
        angle = 2 * math.pi * rng.random(n)
        return np.cos(angle) + noise * rng.normal(size=n), np.sin(angle) + noise * rng.normal(size=n)

    angles = 2 * math.pi * (np.arange(400) + 0.5) / 400
    grid, step = np.linspace(-1 - 7 * noise, 1 + 7 * noise, 501, retstep=True)
    sides = [_normal_density((grid[:, None] - f(angles)) / noise) / noise for f in (np.cos, np.sin)]
    joint = sides[0] @ sides[1].T / len(angles)
    margins = [side.mean(axis=1) for side in sides]
    mi = sum(_entropy(m, float(step)) for m in margins) - _entropy(joint.ravel(), float(step) ** 2)

    def conditional(x: Floats, y: Floats) -> Floats:
        total, weight = 0.0, 0.0
        for angle in 2 * math.pi * (np.arange(60) + 0.5) / 60:
            here = _normal_density((x - math.cos(angle)) / noise)
            weight = weight + here
            total = total + here * _normal_density((y - math.sin(angle)) / noise)
        return np.asarray(total / weight)

    return Case(mi, draw, conditional)


def _heteroscedastic(slope: float) -> Case:
    """x normal, y normal with standard deviation exp(slope x)."""

    def draw(rng: np.random.Generator, n: int) -> tuple[Floats, Floats]:
        x = rng.normal(size=n)
        return x, np.exp(slope * x) * rng.normal(size=n)

    def conditional(x: Floats, y: Floats) -> Floats:
        width = np.exp(slope * x)
        return _normal_density(y / width) / width

    # y = sinh(t): dense where the density is steep
    x, t = np.linspace(-7, 7, 1001), np.linspace(-9, 9, 3001)
    mi = _quadrature(x, _normal_density(x), np.sinh(t), np.cosh(t) * (t[1] - t[0]), conditional)
    return Case(mi, draw, conditional)


def _random_rate() -> Case:
    """x exponential, y exponential of rate x: h(y) = 2 and h(y | x) = 1 - E log x = 1 + Euler's constant."""

    def draw(rng: np.random.Generator, n: int) -> tuple[Floats, Floats]:
        x = rng.exponential(size=n)
        return x, rng.exponential(size=n) / x

    return Case(1 - 0.5772156649015329, draw, lambda x, y: x * np.exp(-x * y))


def _clusters(noise: float, weight: float) -> Case:
    """Four normal clusters at (-1, -1), (1, 1), which hold `weight`, and (-1, 1), (1, -1)."""

    def draw(rng: np.random.Generator, n: int) -> tuple[Floats, Floats]:
        a = 2.0 * rng.integers(0, 2, n) - 1
        b = np.where(rng.random(n) < weight, a, -a)
        return a + noise * rng.normal(size=n), b + noise * rng.normal(size=n)

    def conditional(x: Floats, y: Floats) -> Floats:
        up, down = (_normal_density((x - c) / noise) for c in (1.0, -1.0))
        share = (weight * up + (1 - weight) * down) / (up + down)
        return share * _normal_density((y - 1) / noise) + (1 - share) * _normal_density((y + 1) / noise)

    grid, step = np.linspace(-1 - 8 * noise, 1 + 8 * noise, 1001, retstep=True)
    margin = _normal_density((grid - 1) / noise) + _normal_density((grid + 1) / noise)
    return Case(_quadrature(grid, margin, grid, np.full(1001, step), conditional), draw, conditional)


def _minority(r: float, weight: float) -> Case:
    """A Gaussian pair in a part of the samples, independent normal columns in the others."""
    width = math.sqrt(1 - r * r)

    def draw(rng: np.random.Generator, n: int) -> tuple[Floats, Floats]:
        x, y = _gaussian(r).draw(rng, n)
        return x, np.where(rng.random(n) < weight, y, rng.normal(size=n))

    def conditional(x: Floats, y: Floats) -> Floats:
        return weight * _normal_density((y - r * x) / width) / width + (1 - weight) * _normal_density(y)

    grid, step = np.linspace(-7, 7, 1501, retstep=True)
    return Case(_quadrature(grid, _normal_density(grid), grid, np.full(1501, step), conditional), draw, conditional)


def _classes(centers: Sequence[float], shares: Sequence[float], widths: Sequence[float] | None = None) -> Case:
    """x normal about a centre for each class y: entropy of the mixture less that of the components."""
    at, share = np.asarray(centers), np.asarray(shares)
    width = np.ones(len(at)) if widths is None else np.asarray(widths)

    def draw(rng: np.random.Generator, n: int) -> tuple[Floats, Floats]:
        y = rng.choice(len(at), size=n, p=share)
        return at[y] + width[y] * rng.normal(size=n), y.astype(np.float64)

    def joint(x: Floats, c: NDArray[np.intp]) -> Floats:
        return share[c] * _normal_density((x - at[c]) / width[c]) / width[c]

    def conditional(x: Floats, y: Floats) -> Floats:
        mixture = sum((joint(x, np.intp(c)) for c in range(len(at))), np.zeros(np.shape(x)))
        return joint(x, y.astype(np.intp)) / mixture

    grid, step = np.linspace(min(at - 9 * width), max(at + 9 * width), 8001, retstep=True)
    mixture = sum((joint(grid, np.intp(c)) for c in range(len(at))), np.zeros(8001))
    mi = _entropy(mixture, float(step)) - 0.5 * math.log(2 * math.pi * math.e) - float(share @ np.log(width))
    alike = len(set(zip(at, width, strict=True))) == 1
    return Case(0.0 if alike else mi, draw, conditional, y_kind="discrete")


def _class_features(centers: Sequence[float], shares: Sequence[float], widths: Sequence[float] | None = None) -> Case:
    """The same with the classes as the feature."""
    case = _classes(centers, shares, widths)
    at, width = np.asarray(centers), np.ones(len(centers)) if widths is None else np.asarray(widths)

    def draw(rng: np.random.Generator, n: int) -> tuple[Floats, Floats]:
        x, y = case.draw(rng, n)
        return y, x

    def conditional(x: Floats, y: Floats) -> Floats:
        c = x.astype(np.intp)
        return _normal_density((y - at[c]) / width[c]) / width[c]

    return Case(case.mi, draw, conditional, x_kind="discrete")


def _zero_inflated(r: float, zeros: float) -> Case:
    """x is 0 by chance, whatever y, else Gaussian with it: the information of the rest, in proportion."""
    plain = _gaussian(r)
    width = math.sqrt(1 - r * r)

    def draw(rng: np.random.Generator, n: int) -> tuple[Floats, Floats]:
        x, y = plain.draw(rng, n)
        return np.where(rng.random(n) < zeros, 0.0, x), y

    def conditional(x: Floats, y: Floats) -> Floats:
        return np.where(x == 0.0, _normal_density(y), _normal_density((y - r * x) / width) / width)

    return Case((1 - zeros) * plain.mi, draw, conditional)


def _dropout(r: float, slope: float) -> Case:
    """A Gaussian pair of which x is 0 with a chance that depends on y, as in counts of single cells."""
    width = math.sqrt(1 - r * r)

    def lost(y: Floats) -> Floats:
        return 1 / (1 + np.exp(slope * y))

    def draw(rng: np.random.Generator, n: int) -> tuple[Floats, Floats]:
        x, y = _gaussian(r).draw(rng, n)
        return np.where(rng.random(n) < lost(y), 0.0, x), y

    kept_x = np.linspace(-8, 8, 801)
    grid = np.linspace(-8, 8, 401)
    kept = (1 - lost(grid)) * _normal_density((grid - r * kept_x[:, None]) / width) / width
    norms = np.sum(kept, axis=1) * (grid[1] - grid[0])

    def conditional(x: Floats, y: Floats) -> Floats:
        seen = (1 - lost(y)) * _normal_density((y - r * x) / width) / width / np.interp(x, kept_x, norms)
        return np.where(x == 0.0, 2 * lost(y) * _normal_density(y), seen)

    # I = I(zero or not; y) + the chance of a value times the information of values, given that there is one
    y, step = np.linspace(-8, 8, 1601, retstep=True)
    p = _normal_density(y) * step
    of_zeros = math.log(2) + float(p @ (lost(y) * np.log(lost(y)) + (1 - lost(y)) * np.log(1 - lost(y))))
    of_values = _quadrature(
        y, p * (1 - lost(y)), y, np.full(1601, step), lambda y, x: _normal_density((x - r * y) / width)
    )
    return Case(of_zeros + 0.5 * of_values, draw, conditional)


def _zeros_by_class(zeros: Sequence[float], center: float) -> Case:
    """Two classes, in which x is 0 with these chances, else normal about 0 or `center`."""
    chance = np.asarray(zeros)
    plain = _classes((0.0, center), (0.5, 0.5))

    def draw(rng: np.random.Generator, n: int) -> tuple[Floats, Floats]:
        x, y = plain.draw(rng, n)
        return np.where(rng.random(n) < chance[y.astype(np.intp)], 0.0, x), y

    def conditional(x: Floats, y: Floats) -> Floats:
        c = y.astype(np.intp)
        of_zero = chance[c] / chance.sum()
        seen = [(1 - chance[k]) * _normal_density(x - m) for k, m in ((0, 0.0), (1, center))]
        return np.where(x == 0.0, of_zero, np.where(c == 0, seen[0], seen[1]) / (seen[0] + seen[1]))

    x, step = np.linspace(-9, center + 9, 4001, retstep=True)
    pieces = np.stack([(1 - chance[k]) * _normal_density(x - m) * step for k, m in ((0, 0.0), (1, center))])
    atoms = np.concatenate((pieces, chance[:, None]), axis=1) / 2
    return Case(float(np.sum(atoms * np.log(2 * atoms / atoms.sum(axis=0)))), draw, conditional, y_kind="discrete")


def _counts_by_class(rates: Sequence[float], shares: Sequence[float]) -> Case:
    """x Poisson, of a mean for each class y, as a column of numbers: ties of a few samples in each class."""
    rate, share = np.asarray(rates), np.asarray(shares)

    def draw(rng: np.random.Generator, n: int) -> tuple[Floats, Floats]:
        y = rng.choice(len(rate), size=n, p=share)
        return rng.poisson(rate[y]).astype(np.float64), y.astype(np.float64)

    def conditional(x: Floats, y: Floats) -> Floats:
        of_class = np.stack([s * _poisson(r, x) for r, s in zip(rate, share, strict=True)])
        c = y.astype(np.intp)
        return share[c] * _poisson(rate[c], x) / of_class.sum(axis=0)

    joint = share[:, None] * _poisson(rate[:, None], np.arange(100.0))
    product = share[:, None] * joint.sum(axis=0)
    mi = float(np.sum(joint * np.log(joint / product)))
    return Case(0.0 if len(set(rates)) == 1 else mi, draw, conditional, y_kind="discrete")


def _rounded(r: float, step: float) -> Case:
    """A Gaussian pair of which x is rounded to multiples of `step`, as ages are to years."""
    width = math.sqrt(1 - r * r)

    def draw(rng: np.random.Generator, n: int) -> tuple[Floats, Floats]:
        x, y = _gaussian(r).draw(rng, n)
        return np.round(x / step) * step, y

    def probability(x: Floats, y: Floats) -> Floats:
        return _normal_distribution((x + step / 2 - r * y) / width) - _normal_distribution(
            (x - step / 2 - r * y) / width
        )

    levels = np.arange(-round(6 / step), round(6 / step) + 1) * step
    chances = _normal_distribution(levels + step / 2) - _normal_distribution(levels - step / 2)

    def conditional(x: Floats, y: Floats) -> Floats:
        """Given x, the density of y over that of y."""
        return probability(x, y) / np.interp(x, levels, chances) * _normal_density(y)

    y, y_step = np.linspace(-7, 7, 701, retstep=True)
    kept = chances > 1e-12
    mi = _quadrature(levels[kept], chances[kept], y, np.full(701, y_step), conditional)
    return Case(mi, draw, conditional)


def _staircase(levels: int) -> Case:
    """x uniform on 0 to levels - 1, y uniform on x to x + 2: Gao et al. (2017), experiment II."""

    def draw(rng: np.random.Generator, n: int) -> tuple[Floats, Floats]:
        x = rng.integers(0, levels, n).astype(np.float64)
        return x, x + 2 * rng.random(n)

    def conditional(x: Floats, y: Floats) -> Floats:
        return ((x <= y) & (y <= x + 2)).astype(np.float64)

    return Case(math.log(levels) - (levels - 1) / levels * math.log(2), draw, conditional)


_LOG_FACTORIALS = np.cumsum(np.log(np.maximum(np.arange(200.0), 1.0)))


def _poisson(rate: Floats, count: Floats) -> Floats:
    """Probability of a whole number below 200."""
    return np.exp(count * np.log(rate) - rate - _LOG_FACTORIALS[count.astype(np.intp)])


def _zero_inflated_poisson(zeros: float) -> Case:
    """x exponential, y Poisson of mean x or, by chance, 0, which cannot be told from a count of 0."""

    def draw(rng: np.random.Generator, n: int) -> tuple[Floats, Floats]:
        x = rng.exponential(size=n)
        return x, np.where(rng.random(n) < zeros, 0, rng.poisson(x)).astype(np.float64)

    def conditional(x: Floats, y: Floats) -> Floats:
        return (1 - zeros) * _poisson(x, y) + zeros * (y == 0)

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
    return Case(mi, draw, conditional)


def _counts(slope: float) -> Case:
    """y normal, x Poisson of mean exp(slope y): a discrete feature of about eight levels."""

    def draw(rng: np.random.Generator, n: int) -> tuple[Floats, Floats]:
        y = rng.normal(size=n)
        return rng.poisson(np.exp(slope * y)).astype(np.float64), y

    grid = np.linspace(-7, 7, 201)
    chance = np.array([_poisson(np.exp(slope * grid), np.array(k)) @ _normal_density(grid) for k in range(200)])
    chance *= grid[1] - grid[0]

    def conditional(x: Floats, y: Floats) -> Floats:
        """Of y given x, by Bayes' rule."""
        return _poisson(np.exp(slope * y), x) * _normal_density(y) / chance[x.astype(np.intp)]

    y = np.linspace(-7, 7, 701)
    mi = _quadrature(y, _normal_density(y), np.arange(200.0), np.ones(200), lambda y, x: _poisson(np.exp(slope * y), x))
    return Case(mi, draw, conditional, x_kind="discrete")


def _table(probabilities: Sequence[Sequence[float]] | Floats) -> Case:
    """Two discrete columns with the given joint probabilities."""
    p = np.asarray(probabilities)

    def draw(rng: np.random.Generator, n: int) -> tuple[Floats, Floats]:
        cell = rng.choice(p.size, size=n, p=p.ravel())
        return (cell // p.shape[1]).astype(np.float64), (cell % p.shape[1]).astype(np.float64)

    def conditional(x: Floats, y: Floats) -> Floats:
        a, b = x.astype(np.intp), y.astype(np.intp)
        return p[a, b] / p.sum(axis=1)[a]

    product = p.sum(axis=1, keepdims=True) * p.sum(axis=0, keepdims=True)
    seen = p > 0
    return Case(float(np.sum(p[seen] * np.log((p / product)[seen]))), draw, conditional, "discrete", "discrete")


def _ladder(levels: int, noise: float) -> Case:
    """Two ordered scales that mostly agree, such as two raters'."""
    distance = np.abs(np.arange(levels)[:, None] - np.arange(levels)[None, :])
    p = np.exp(-distance / noise)
    return _table(p / p.sum())


CASES: dict[str, Case] = {
    "gaussian, r = 0": _gaussian(0.0),
    "gaussian, r = 0.3": _gaussian(0.3),
    "gaussian, r = -0.6": _gaussian(-0.6),
    "gaussian, r = 0.9": _gaussian(0.9),
    "skewed, r = 0.6": _skewed(0.6),
    "sum of uniforms": _uniform_sum(1.0),
    "quadratic": _curve(np.square, 0.5),
    "two classes": _classes((-0.7, 0.7), (0.5, 0.5)),
    "three uneven classes": _classes((-1.0, 0.0, 1.5), (0.2, 0.5, 0.3)),
    "classes without effect": _classes((0.0, 0.0), (0.3, 0.7)),
    "class feature": _class_features((-0.7, 0.7), (0.5, 0.5)),
    "class feature without effect": _class_features((0.0, 0.0, 0.0), (0.2, 0.3, 0.5)),
    "zero-inflated, r = 0": _zero_inflated(0.0, 0.5),
    "zero-inflated, r = 0.8": _zero_inflated(0.8, 0.3),
    "staircase": _staircase(5),
    "zero-inflated Poisson": _zero_inflated_poisson(0.15),
    "table": _table(((0.2, 0.1), (0.05, 0.25), (0.1, 0.3))),
    "table without effect": _table(((0.12, 0.28), (0.18, 0.42))),
}

SHAPES: dict[str, Case] = CASES | {
    "strong Gaussian, r = 0.98": _gaussian(0.98),
    "Student, r = 0, 3 degrees": _student(0.0, 3),
    "Student, r = 0.6, 3 degrees": _student(0.6, 3),
    "narrow band": _uniform_sum(0.25),
    "weak quadratic": _curve(np.square, 2.0),
    "two waves": _curve(lambda x: np.sin(2 * math.pi * x), 0.4, uniform=True),
    "step": _curve(np.sign, 0.7),
    "ring": _ring(0.25),
    "spread grows": _heteroscedastic(0.7),
    "random rate": _random_rate(),
    "four clusters": _clusters(0.4, 0.8),
    "a third dependent": _minority(0.9, 0.35),
    "classes that differ in spread": _classes((0.0, 0.0), (0.5, 0.5), (1.0, 2.5)),
    "rare class": _classes((0.0, 1.5), (0.93, 0.07)),
    "five classes far apart": _classes((-6.0, -3.0, 0.0, 3.0, 6.0), (0.2, 0.2, 0.2, 0.2, 0.2)),
    "ten classes in a row": _classes([0.7 * c for c in range(10)], [0.1] * 10),
    "twenty classes in a row": _classes([0.5 * c for c in range(20)], [0.05] * 20),
    "twenty class features in a row": _class_features([0.5 * c for c in range(20)], [0.05] * 20),
    "zeros by class": _zeros_by_class((0.7, 0.4), 0.8),
    "zeros by class alone": _zeros_by_class((0.8, 0.5), 0.0),
    "zeros without effect on classes": _zeros_by_class((0.6, 0.6), 0.0),
    "counts, rare class": _counts_by_class((3.0, 8.0), (0.97, 0.03)),
    "counts, twenty classes": _counts_by_class(tuple(np.linspace(1.0, 6.0, 20)), (0.05,) * 20),
    "counts, twenty classes without effect": _counts_by_class((3.0,) * 20, (0.05,) * 20),
    "dropout": _dropout(0.6, 1.0),
    "rounded, steps of 0.5": _rounded(0.6, 0.5),
    "count feature": _counts(0.7),
    "spread by class feature": _class_features((0.0, 0.0, 1.0), (0.4, 0.3, 0.3), (0.5, 1.5, 1.0)),
    "two raters": _ladder(6, 0.8),
}
