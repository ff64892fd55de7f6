"""What is asked about chance."""

from __future__ import annotations

from dataclasses import dataclass

from miscreen.errors import InputError, check_choice, real_number, truth_value, whole_number

FDR_METHODS = ("bh", "by")


@dataclass(frozen=True)
class Inference:
    """Which p-values and intervals a ranking holds.

    Attributes
    ----------
    p_values : bool
        ``p_value``, ``q_value`` and ``p_method``; implied by `fdr`.
    fdr : float, optional
        Marks features of at most this q-value as ``selected``.
    fdr_method : str
        ``bh`` or ``by``: see `miscreen.inference.multiple.q_values`.
    strata : str, optional
        Column within whose levels values are permuted.
    max_t : int, optional
        Permutations of the target for family-wise p-values, ``p_fwer``.
    ci : float, optional
        Level of intervals, ``ci_low`` and ``ci_high``.
    bootstrap : int, optional
        Half-samples from which the intervals' standard error is taken.

    Raises
    ------
    InputError
        When a number is out of range, or something asked for would have no effect.

    Examples
    --------
    >>> Inference(fdr=0.05).p_values
    True
    """

    p_values: bool = False
    fdr: float | None = None
    fdr_method: str = "bh"
    strata: str | None = None
    max_t: int | None = None
    ci: float | None = None
    bootstrap: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "p_values", truth_value("p_values", self.p_values))
        if not isinstance(self.strata, str | None):
            raise InputError(f"strata must be the name of one column, not {self.strata!r}")
        if self.fdr is not None:
            object.__setattr__(self, "fdr", real_number("fdr", self.fdr, 0, 1))
            object.__setattr__(self, "p_values", True)
        check_choice("FDR method", self.fdr_method, FDR_METHODS)
        if self.max_t is not None:
            object.__setattr__(self, "max_t", whole_number("max_t", self.max_t, 19, 1_000_000))
        if self.ci is not None:
            object.__setattr__(self, "ci", real_number("ci", self.ci, 0, 1))
        if self.bootstrap is not None:
            object.__setattr__(self, "bootstrap", whole_number("bootstrap", self.bootstrap, 20, 1_000_000))
            if self.ci is None:
                raise InputError("--bootstrap has no effect without intervals", "Give --ci 0.95 as well")
        if not self.p_values and self.fdr_method != FDR_METHODS[0]:
            raise InputError("--fdr-method has no effect without p-values", "Give --p-values or --fdr as well")
        if self.strata is not None and not self.p_values and self.max_t is None:
            raise InputError("strata have no effect without p-values", "Give --p-values, --fdr or --max-t as well")
