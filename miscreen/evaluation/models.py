"""The models that chosen columns are given to, and how well they predict. Built of scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from miscreen.errors import InputError, installing
from miscreen.model import Floats, Kind

MODELS = ("elasticnet", "ridge", "forest")
_BOUND = 1e30  # on scaled numbers: forests hold them in single precision, up to 3e38
Split = tuple[NDArray[np.intp], NDArray[np.intp]]


def require_scikit_learn() -> None:
    """`InputError` when scikit-learn is missing or too old."""
    hint = installing("sklearn")
    try:
        from sklearn import __version__
    except ImportError as error:
        raise InputError(f"the models of evaluate need scikit-learn: {error}", hint) from error
    if tuple(int(part) for part in __version__.split(".")[:2]) < (1, 8):  # as in pyproject.toml
        raise InputError(f"the models of evaluate need scikit-learn 1.8 or newer, not {__version__}", hint)


@dataclass(frozen=True)
class Trial:
    """Columns, an outcome, and the rows to learn from and to test on.

    Attributes
    ----------
    values : float64 array, shape (n_features, n_samples)
        NaN where missing; text as codes. Of columns that `miscreen.kernels.survey.rescale_extremes` has scaled.
    is_text : bool array, shape (n_features,)
    y : float64 array, shape (n_samples,)
        Numbers, or codes of classes.
    kind : Kind
        Of the outcome.
    train, test : intp arrays
    inner : sequence of splits
        By which the model is tuned; positions among `train`.
    seed : int
    """

    values: Floats
    is_text: NDArray[np.bool_]
    y: Floats
    kind: Kind
    train: NDArray[np.intp]
    test: NDArray[np.intp]
    inner: Sequence[Split]
    seed: int

    def score(self, model: str, chosen: NDArray[np.intp]) -> float:
        """Fit a model to some of the columns and score what it predicts for the test rows.

        Parameters
        ----------
        model : str
            One of `MODELS`.
        chosen : intp array
            Rows of `values`.

        Returns
        -------
        float
            The coefficient of determination R-squared, or for classes the area under the ROC curve, which is the
            mean over classes against the rest when there are more than two.

        Notes
        -----
        Imputing, scaling and coding are learned from the training rows. Runs on one thread.

        An outcome of numbers is scaled too, since elastic nets and the least gain of a tree depend on its unit.
        """
        from sklearn.pipeline import make_pipeline

        x, y = self.values[chosen].T, self.y
        if self.kind == Kind.CONTINUOUS:
            y = y - y[self.train].mean()
            y /= y[self.train].std() or 1.0
        fitted = make_pipeline(_preparation(self.is_text[chosen]), self._model(model))
        fitted.fit(x[self.train], y[self.train])
        truth = y[self.test]
        if self.kind == Kind.CONTINUOUS:
            from sklearn.metrics import r2_score

            return float(r2_score(truth, fitted.predict(x[self.test])))
        return _area(truth, fitted.predict_proba(x[self.test]), fitted.classes_)

    def _model(self, name: str) -> Any:
        from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
        from sklearn.linear_model import ElasticNetCV, LogisticRegressionCV, RidgeCV

        if name == "forest":
            if self.kind == Kind.DISCRETE:
                return RandomForestClassifier(200, random_state=self.seed)
            return RandomForestRegressor(200, max_features=1 / 3, min_samples_leaf=5, random_state=self.seed)
        if self.kind == Kind.DISCRETE:
            return LogisticRegressionCV(
                Cs=np.logspace(-3, 0, 7),
                l1_ratios=(0.5 if name == "elasticnet" else 0.0,),
                solver="saga" if name == "elasticnet" else "lbfgs",
                tol=1e-3,
                max_iter=1000,
                cv=self.inner,
                scoring="neg_log_loss",
                random_state=self.seed,
                use_legacy_attributes=False,
            )
        if name == "elasticnet":
            return ElasticNetCV(l1_ratio=0.5, alphas=50, max_iter=2000, cv=self.inner)
        return RidgeCV(alphas=np.logspace(-1, 5, 25))  # tuned by leave-one-out, which has a closed form


def _preparation(is_text: NDArray[np.bool_]) -> Any:
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

    numbers = make_pipeline(
        SimpleImputer(strategy="median", keep_empty_features=True),
        StandardScaler(),
        FunctionTransformer(np.clip, kw_args={"a_min": -_BOUND, "a_max": _BOUND}),
    )
    if not is_text.any():
        return numbers
    text = make_pipeline(
        SimpleImputer(strategy="most_frequent", keep_empty_features=True),
        OneHotEncoder(handle_unknown="ignore", sparse_output=False),
    )
    return make_column_transformer((numbers, np.flatnonzero(~is_text)), (text, np.flatnonzero(is_text)))


def _area(truth: Floats, probability: Floats, classes: Floats) -> float:
    """Mean area under the ROC curve of each class against the rest; NaN when the test rows are of one class."""
    from sklearn.metrics import roc_auc_score

    if len(classes) == 2:
        classes, probability = classes[1:], probability[:, 1:]
    areas = []
    for i, one in enumerate(classes):
        if 0 < np.count_nonzero(truth == one) < len(truth):
            areas.append(roc_auc_score(truth == one, probability[:, i]))
    return float(np.mean(areas)) if areas else float("nan")
