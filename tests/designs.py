"""Tables to screen, in which it is known which columns depend on the target: one shape of dependence each.

The numbers of true columns, samples and the strengths are such that no method finds all of them. Where the shape
allows, a column is drawn given the target, with a strength of its own, so that true columns depend on one another
through the target alone. `auto` was settled on the first three groups. Those held out were drawn up and sized, by
other methods' scores alone, before it was settled, and measured after.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Floats = NDArray[np.float64]
Rng = np.random.Generator
Shape = Callable[[Rng, Floats, float], Floats]

SIMULATION, DEVELOPMENT, REVIEWED, HELD_OUT = "simulation", "development", "reviewed", "held out"  # groups of designs


@dataclass(frozen=True)
class Screen:
    """A table: features of shape (n_features, n_samples), a target, and which features are true."""

    features: Floats
    target: Floats
    truth: NDArray[np.bool_]
    discrete: NDArray[np.bool_]  # which features have levels
    nominal: NDArray[np.bool_]  # and which of these levels are labels without an order


@dataclass(frozen=True)
class Design:
    """How to draw a table, whether its target is one of classes, and to which group of designs it belongs."""

    draw: Callable[[Rng], Screen]
    target_discrete: bool = False
    group: str = DEVELOPMENT

    def sample(self, seed: int) -> Screen:
        """A table; the same for the same seed."""
        return self.draw(np.random.default_rng(seed))


def auroc(scores: Floats, truth: NDArray[np.bool_]) -> float:
    """Probability that a true feature scores higher than another, ties counting half; NaN counts as lowest."""
    ranks = rankdata(np.where(np.isnan(scores), -np.inf, scores))
    n_true = np.count_nonzero(truth)
    n_false = len(truth) - n_true
    return float((ranks[truth].sum() - n_true * (n_true + 1) / 2) / (n_true * n_false))


# ---- a target made of many correlated columns ---------------------------------------------------------------


def _sum_of_columns(rng: Rng, shape: str, n_true: int, classes: bool) -> Screen:
    """1,050 samples of 1,200 columns, correlated as neighbours are and by a few factors; some make up the target."""
    n, p = 1050, 1200
    noise = rng.standard_normal((p, n))
    features = np.empty((p, n))
    features[0] = noise[0]
    for j in range(1, p):
        features[j] = 0.4 * features[j - 1] + 0.9 * noise[j]
    features += 0.15 * rng.standard_normal((p, 5)) @ rng.standard_normal((5, n))
    features /= features.std(axis=1, keepdims=True)
    truth = np.zeros(p, bool)
    truth[rng.choice(p, n_true, replace=False)] = True
    weights = rng.uniform(0.5, 1.0, n_true) * rng.choice((-1.0, 1.0), n_true)
    parts = features[truth] if shape == "linear" else features[truth] ** 2
    signal = weights @ parts
    signal = (signal - signal.mean()) / signal.std()
    if classes:
        target = (rng.random(n) < 1 / (1 + np.exp(-2.5 * signal))).astype(np.float64)
    else:
        target = signal + 0.6 * rng.standard_normal(n)
    none = np.zeros(p, bool)
    return Screen(features, target, truth, none, none)


# ---- columns drawn given the target -------------------------------------------------------------------------


def _given_target(
    rng: Rng,
    shape: Shape,
    target: Callable[[Rng, int], Floats],
    n: int = 600,
    strengths: tuple[float, float] = (0.3, 1.0),
    *,
    p: int = 1000,
    discrete: bool = False,
    nominal: bool = False,
    missing: float = 0.0,
) -> Screen:
    """A tenth of the columns are true, each of its own strength; the others are drawn given a shuffled target.

    So the margins of true and other columns are the same, and nothing but the dependence tells them apart.
    """
    y = target(rng, n)
    truth = np.zeros(p, bool)
    truth[rng.choice(p, p // 10, replace=False)] = True
    features = np.empty((p, n))
    for j in range(p):
        features[j] = shape(rng, y if truth[j] else rng.permutation(y), rng.uniform(*strengths))
        if missing > 0.0:
            features[j, rng.random(n) < rng.uniform(0.05, missing)] = np.nan
    return Screen(features, y, truth, np.full(p, discrete), np.full(p, nominal))


def _normal(rng: Rng, n: int) -> Floats:
    return rng.standard_normal(n)


def _uniform(rng: Rng, n: int) -> Floats:
    return rng.uniform(-1.0, 1.0, n)


def _classes(*shares: float) -> Callable[[Rng, int], Floats]:
    return lambda rng, n: rng.choice(len(shares), n, p=shares).astype(np.float64)


def _linear(rng: Rng, y: Floats, strength: float) -> Floats:
    return strength * y + rng.standard_normal(len(y))


def _heavy_tailed(rng: Rng, y: Floats, strength: float) -> Floats:
    return strength * y + rng.standard_t(1.5, len(y))


def _quadratic(rng: Rng, y: Floats, strength: float) -> Floats:
    return strength * y**2 + rng.standard_normal(len(y))


def _oscillating(periods: float) -> Shape:
    """A sine over a target that is uniform from -1 to 1."""
    return lambda rng, y, strength: (
        strength * np.sin(np.pi * periods * (y + rng.choice((0.0, 0.25)))) + rng.standard_normal(len(y))
    )


def _circular(rng: Rng, y: Floats, strength: float) -> Floats:
    """On a circle with a target uniform from -1 to 1, above or below by chance."""
    return strength * rng.choice((-1.0, 1.0), len(y)) * np.sqrt(1 - y**2) + 0.5 * rng.standard_normal(len(y))


def _heteroscedastic(rng: Rng, y: Floats, strength: float) -> Floats:
    return np.exp(strength * y) * rng.standard_normal(len(y))


def _zeros(rng: Rng, y: Floats, strength: float) -> Floats:
    """A positive amount that is more often zero where the target is low, and larger where it is high."""
    seen = rng.random(len(y)) < 1 / (1 + np.exp(0.5 - strength * y))
    return np.where(seen, np.exp(0.5 * strength * y + rng.standard_normal(len(y))), 0.0)


def _counts(rng: Rng, y: Floats, strength: float) -> Floats:
    return rng.poisson(np.exp(0.3 + strength * y)).astype(np.float64)


def _steps(rng: Rng, y: Floats, strength: float) -> Floats:
    """Whole standard deviations."""
    return np.round(_linear(rng, y, strength))


def _genotypes(rng: Rng, y: Floats, strength: float) -> Floats:
    """Two alleles, whose frequency follows the target."""
    frequency = 1 / (1 + np.exp(-(rng.uniform(-2.0, 0.5) + strength * y)))
    return rng.binomial(2, frequency).astype(np.float64)


def _labels(rng: Rng, y: Floats, strength: float) -> Floats:
    """Five labels without an order, preferred at different values of the target."""
    preference = strength * np.outer(rng.permutation(np.linspace(-1, 1, 5)), y) + rng.gumbel(size=(5, len(y)))
    return np.argmax(preference, axis=0).astype(np.float64)


def _shift(rng: Rng, y: Floats, strength: float) -> Floats:
    """Each class has a centre of its own."""
    return strength * rng.standard_normal(int(y.max()) + 1)[y.astype(int)] + rng.standard_normal(len(y))


def _spread(rng: Rng, y: Floats, strength: float) -> Floats:
    """One class is wider than the other."""
    return (1 + strength * y) * rng.standard_normal(len(y))


def _mixed_kinds(rng: Rng, target: Callable[[Rng, int], Floats]) -> Screen:
    """Linear, zero-inflated, tied, counted, labelled and incomplete columns in one table, true and null of each."""
    y = target(rng, 600)
    sorts = [
        _given_target(rng, shape, lambda rng, n: y, strengths=strengths, p=300, **more)
        for shape, strengths, more in (
            (_linear, (0.02, 0.25), {}),
            (_quadratic, (0.05, 0.3), {}),
            (_linear, (0.02, 0.25), {"missing": 0.4}),
            (_zeros, (0.02, 0.3), {}),
            (_counts, (0.02, 0.25), {}),
            (_steps, (0.02, 0.25), {}),
            (_genotypes, (0.02, 0.35), {"discrete": True}),
            (_labels, (0.05, 0.6), {"discrete": True, "nominal": True}),
        )
    ]
    features, truth, discrete, nominal = (
        np.concatenate([getattr(s, name) for s in sorts]) for name in ("features", "truth", "discrete", "nominal")
    )
    return Screen(features, y, truth, discrete, nominal)


# ---- reviewed: held out from an earlier `auto`, and then looked at ------------------------------------------


def _threshold(rng: Rng, y: Floats, strength: float) -> Floats:
    """A step at a value of the target."""
    return strength * (y > rng.uniform(-1.0, 1.0)) + rng.standard_normal(len(y))


def _one_tail(rng: Rng, y: Floats, strength: float) -> Floats:
    """Follows the target where it is high, and nowhere else."""
    return strength * np.maximum(y - 0.8, 0.0) + rng.standard_normal(len(y))


def _crossed(rng: Rng, y: Floats, strength: float) -> Floats:
    """Rises with the target in one half of the samples and falls in the other."""
    return strength * rng.choice((-1.0, 1.0), len(y)) * y + rng.standard_normal(len(y))


def _checkerboard(rng: Rng, y: Floats, strength: float) -> Floats:
    """Squares of three by three in the plane, for a target uniform from -1 to 1, and some noise anywhere."""
    square = np.minimum(np.floor(1.5 * (y + 1)), 2)
    x = 2 * rng.integers(0, 2, len(y)) * (square % 2 == 0) + (square % 2 == 1) + rng.random(len(y))
    return np.where(rng.random(len(y)) < strength, x, rng.uniform(0.0, 3.0, len(y)))


def _two_modes(rng: Rng, y: Floats, strength: float) -> Floats:
    """One class about the centre, the other on both of its sides, of the same mean and spread."""
    apart = rng.choice((-1.0, 1.0), len(y)) * strength + np.sqrt(1 - strength**2) * rng.standard_normal(len(y))
    return np.where(y > 0, apart, rng.standard_normal(len(y)))


def _inflated_where_middle(rng: Rng, y: Floats, strength: float) -> Floats:
    """Zero more often where the target is far from its centre on either side."""
    seen = rng.random(len(y)) < 1 / (1 + np.exp(-0.5 + strength * (y**2 - 1)))
    return np.where(seen, rng.exponential(size=len(y)), 0.0)


def _lognormal(rng: Rng, n: int) -> Floats:
    return rng.lognormal(size=n)


def _saturating(rng: Rng, y: Floats, strength: float) -> Floats:
    """A Hill curve over a positive dose, half of its height at a dose of its own, with skewed noise."""
    dose = (y / np.exp(rng.uniform(-1.5, 1.5))) ** 3
    return strength * dose / (1 + dose) + rng.gamma(2.0, size=len(y))


def _third_responds(rng: Rng, y: Floats, strength: float) -> Floats:
    """Follows the target in a third of the samples, others in each column, and not at all in the rest."""
    responds = rng.random(len(y)) < 1 / 3
    return np.where(responds, strength * y, 0.0) + rng.standard_normal(len(y))


def _detection_limit(rng: Rng, y: Floats, strength: float) -> Floats:
    """A concentration multiplied by the target's effect; what is below the detection limit is put at the limit."""
    concentration = np.exp(strength * y + rng.standard_normal(len(y)))
    return np.maximum(concentration, np.quantile(concentration, rng.uniform(0.3, 0.8)))


def _daily_peak(rng: Rng, y: Floats, strength: float) -> Floats:
    """A peak of some hours a day, for a phase uniform from -1 to 1, that multiplies a skewed amount."""
    peak = np.exp(4.0 * (np.cos(np.pi * (y - rng.uniform(-1.0, 1.0))) - 1))
    return np.exp(strength * peak) * rng.gamma(2.0, size=len(y))


def _out_of_range(rng: Rng, y: Floats, strength: float) -> Floats:
    """Some of one class are beyond either end of a normal range, not as often at both ends."""
    beyond = np.where(rng.random(len(y)) < rng.uniform(0.3, 0.7), -1.3, 1.8) * (1 + rng.exponential(0.3, len(y)))
    return np.where((y > 0) & (rng.random(len(y)) < strength), beyond, rng.standard_normal(len(y)))


def _methylation(rng: Rng, y: Floats, strength: float) -> Floats:
    """Shares from 0 to 1, nearly all or nearly none in most columns; the middle of three stages is unlike both ends."""
    logit = rng.choice((-2.5, 0.0, 2.5)) + rng.choice((-1.0, 1.0)) * strength * (y == 1)
    mean, precision = 1 / (1 + np.exp(-logit)), rng.uniform(5.0, 20.0)
    return rng.beta(mean * precision, (1 - mean) * precision)


def _skewed(rng: Rng, y: Floats, strength: float) -> Floats:
    """Some are skewed to one side or the other, as the target's sign says, of the same mean and spread as the rest."""
    skewed = np.sign(y) * (rng.gamma(2.0, size=len(y)) - 2) / np.sqrt(2)
    return np.where((rng.random(len(y)) < strength) & (y != 0), skewed, rng.standard_normal(len(y)))


def _bent(rng: Rng, y: Floats, strength: float) -> Floats:
    """Up, down and up again along what the target tells only the side of."""
    along = np.sign(y) * np.abs(rng.standard_normal(len(y)))
    return strength * (along**3 - 2.2 * along) + rng.standard_normal(len(y))


def _often_in_the_middle(rng: Rng, y: Floats, strength: float) -> Floats:
    """Counts of a rate that is higher for the middle half of the target."""
    return rng.poisson(1 + strength * (np.abs(y) < 0.674)).astype(np.float64)


# ---- held out -----------------------------------------------------------------------------------------------


def _switch(rng: Rng, y: Floats, strength: float) -> Floats:
    """On or off, a mode each, and on more often where the target is high."""
    on = rng.random(len(y)) < 1 / (1 + np.exp(rng.uniform(-1.0, 1.0) - strength * y))
    return 2.5 * on + rng.standard_normal(len(y))


def _clipped(rng: Rng, y: Floats, strength: float) -> Floats:
    """A sensor that follows the target and saturates at either end of its range."""
    return np.clip(strength * y + rng.standard_normal(len(y)), -rng.uniform(0.3, 1.5), rng.uniform(0.3, 1.5))


def _opposed(rng: Rng, y: Floats, strength: float) -> Floats:
    """Rises with the target in three of four samples and falls in the others."""
    return strength * np.where(rng.random(len(y)) < 0.75, y, -y) + rng.standard_normal(len(y))


def _optimum(rng: Rng, y: Floats, strength: float) -> Floats:
    """Counts that are highest at a value of the target of the column's own."""
    return rng.poisson(np.exp(1.0 + strength * np.exp(-2.0 * (y - rng.uniform(-1.0, 1.0)) ** 2))).astype(np.float64)


def _whole(rng: Rng, n: int) -> Floats:
    """A score from 0 to some 10, such as of symptoms."""
    return rng.poisson(np.exp(0.8 + 0.5 * rng.standard_normal(n))).astype(np.float64)


def _steadier(rng: Rng, y: Floats, strength: float) -> Floats:
    """Heavy-tailed noise that shrinks as the target rises."""
    return rng.standard_t(3, len(y)) / (1 + strength * np.exp(y))


def _heavy_shift(rng: Rng, y: Floats, strength: float) -> Floats:
    """Classes that differ in their centre under heavy-tailed noise."""
    return strength * rng.standard_normal(int(y.max()) + 1)[y.astype(int)] + rng.standard_t(2, len(y))


def _some_elevated(rng: Rng, y: Floats, strength: float) -> Floats:
    """A part of one class has more of a skewed amount, as in outlier expression."""
    raised = (y == 1) & (rng.random(len(y)) < strength)
    return rng.lognormal(size=len(y)) * np.where(raised, 5.0, 1.0)


def _copies(rng: Rng, y: Floats, strength: float) -> Floats:
    """Copies of a gene, lost or gained more often in one class than in the other."""
    change = rng.random(len(y)) < np.where(y == 1, 0.1 + strength, 0.1)
    return 2.0 + change * rng.choice((-1.0, 1.0, 2.0), len(y))


def _designs() -> dict[str, Design]:
    designs = {
        f"{shape}, {'binary' if classes else 'continuous'}, {n_true} true": Design(
            partial(_sum_of_columns, shape=shape, n_true=n_true, classes=classes), classes, SIMULATION
        )
        for shape in ("linear", "quadratic")
        for classes in (False, True)
        for n_true in (40, 80, 120)
    }

    def add(name: str, shape: Shape, target: Callable[[Rng, int], Floats], low: float, high: float, **more: object):
        kind = {k: more.pop(k) for k in ("target_discrete", "group") if k in more}
        designs[name] = Design(
            partial(_given_target, shape=shape, target=target, strengths=(low, high), **more), **kind
        )

    classes = {"target_discrete": True}
    reviewed, held_out = {"group": REVIEWED}, {"group": HELD_OUT}
    add("line", _linear, _normal, 0.02, 0.25)
    add("line, heavy tails", _heavy_tailed, _normal, 0.02, 0.3)
    add("parabola", _quadratic, _normal, 0.02, 0.25)
    add("sine, 2 periods", _oscillating(2), _uniform, 0.1, 0.6)
    add("sine, 4 periods", _oscillating(4), _uniform, 0.2, 0.9)
    add("circle", _circular, _uniform, 0.2, 1.0)
    add("spread along the target", _heteroscedastic, _normal, 0.02, 0.3)
    add("line, 5 to 40 % missing", _linear, _normal, 0.02, 0.25, missing=0.4)
    add("parabola, 5 to 40 % missing", _quadratic, _normal, 0.02, 0.25, missing=0.4)
    add("zero-inflated", _zeros, _normal, 0.02, 0.3)
    add("whole numbers", _steps, _normal, 0.02, 0.25)
    add("genotypes", _genotypes, _normal, 0.02, 0.35, discrete=True)
    add("labels", _labels, _normal, 0.05, 0.6, discrete=True, nominal=True)
    add("two classes shifted", _shift, _classes(0.5, 0.5), 0.05, 0.4, **classes)
    add("uneven classes shifted", _shift, _classes(0.1, 0.9), 0.05, 0.5, **classes)
    add("four classes shifted", _shift, _classes(0.4, 0.3, 0.2, 0.1), 0.05, 0.4, **classes)
    add("two classes of unlike spread", _spread, _classes(0.5, 0.5), 0.05, 0.5, **classes)
    add("zero-inflated, two classes", _zeros, _classes(0.5, 0.5), 0.05, 0.7, **classes)
    add("genotypes, two classes", _genotypes, _classes(0.5, 0.5), 0.05, 0.7, discrete=True, **classes)
    add("two classes shifted, 5 to 40 % missing", _shift, _classes(0.5, 0.5), 0.05, 0.4, missing=0.4, **classes)
    add("counts against counts", lambda r, y, s: _counts(r, (y - 3) / 2, s), lambda r, n: r.poisson(3.0, n) * 1.0, 0.02,
        0.25)  # fmt: skip
    designs["all kinds of columns"] = Design(partial(_mixed_kinds, target=_normal))
    designs["all kinds of columns, two classes"] = Design(partial(_mixed_kinds, target=_classes(0.5, 0.5)), True)

    add("threshold", _threshold, _normal, 0.05, 0.5, **reviewed)
    add("one tail", _one_tail, _normal, 0.1, 1.0, **reviewed)
    add("cross", _crossed, _normal, 0.1, 1.0, **reviewed)
    add("checkerboard", _checkerboard, _uniform, 0.05, 0.5, **reviewed)
    add("sine, 3 periods, 300 samples", _oscillating(3), _uniform, 0.2, 0.9, n=300, **reviewed)
    add("counts", _counts, _normal, 0.02, 0.25, **reviewed)
    add("zeros away from the centre", _inflated_where_middle, _normal, 0.05, 0.4, **reviewed)
    add("cross, 5 to 40 % missing, whole numbers", lambda r, y, s: np.round(_crossed(r, y, s)), _normal, 0.1, 1.0,
        missing=0.4, **reviewed)  # fmt: skip
    add("two modes against one", _two_modes, _classes(0.5, 0.5), 0.3, 0.9, **classes, **reviewed)
    add("three classes, unlike spread", _spread, _classes(0.5, 0.3, 0.2), 0.02, 0.3, **classes, **reviewed)
    add("counts, three classes", _counts, _classes(0.5, 0.3, 0.2), 0.02, 0.3, **classes, **reviewed)
    add("labels, four classes", _labels, _classes(0.4, 0.3, 0.2, 0.1), 0.05, 0.6, discrete=True, nominal=True,
        **classes, **reviewed)  # fmt: skip
    add("saturating, skewed noise", _saturating, _lognormal, 0.05, 0.7, **reviewed)
    add("a third responds", _third_responds, _normal, 0.05, 0.7, **reviewed)
    add("detection limit, 5 to 20 % missing", _detection_limit, _normal, 0.02, 0.25, missing=0.2, **reviewed)
    add("daily peak", _daily_peak, _uniform, 0.05, 0.6, **reviewed)
    add("out of range, two classes", _out_of_range, _classes(0.7, 0.3), 0.02, 0.3, **classes, **reviewed)
    add("methylation, three stages", _methylation, _classes(0.4, 0.3, 0.3), 0.02, 0.4, **classes, **reviewed)
    sides, three = lambda r, n: r.choice((-1.0, 1.0), n), lambda r, n: r.choice((-1.0, 0.0, 1.0), n)
    add("skewed along the target", _skewed, _normal, 0.1, 0.7, **reviewed)
    add("two classes skewed apart", _skewed, sides, 0.1, 0.7, **classes, **reviewed)
    add("three classes skewed apart", _skewed, three, 0.1, 0.8, **classes, **reviewed)
    add("bent, two classes", _bent, sides, 0.02, 0.3, **classes, **reviewed)
    add("counts, more in the middle", _often_in_the_middle, _normal, 0.05, 0.5, **reviewed)

    add("switch", _switch, _normal, 0.05, 0.6, **held_out)
    add("sensor that saturates", _clipped, _normal, 0.02, 0.25, **held_out)
    add("a quarter opposed", _opposed, _normal, 0.05, 0.5, **held_out)
    add("counts, highest in between", _optimum, _normal, 0.03, 0.3, **held_out)
    add("target of whole numbers", _linear, _whole, 0.02, 0.15, **held_out)
    add("steadier along the target, 400 samples", _steadier, _normal, 0.02, 0.5, n=400, **held_out)
    add("two classes shifted, heavy tails", _heavy_shift, _classes(0.6, 0.4), 0.05, 0.6, **classes, **held_out)
    add("some elevated, 5 to 20 % missing", _some_elevated, _classes(0.7, 0.3), 0.02, 0.3, missing=0.2, **classes,
        **held_out)  # fmt: skip
    add("copies lost or gained, two classes", _copies, _classes(0.5, 0.5), 0.01, 0.15, discrete=True, **classes,
        **held_out)  # fmt: skip
    return designs


DESIGNS = _designs()
