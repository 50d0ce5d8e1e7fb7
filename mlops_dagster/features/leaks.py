"""Find features that say the target itself."""

from typing import Any

import numpy as np
import pandas as pd

from mlops_dagster.records import Check, Outcome

NAME = "no_leaked_target"
SEPARATES = 0.999
FOLLOWS = 0.9999
_ROWS = 20_000
_FEWEST = 10
_MOST_VALUES = 100


def judge_leaks(features: pd.DataFrame, target: "pd.Series[Any]") -> Check:
    """Refuse features that alone order the target (almost) perfectly.

    At most 20 000 rows are looked at. A class with fewer than ten rows says nothing either way.
    """
    step = max(1, len(target) // _ROWS)
    some = target.iloc[::step].reset_index(drop=True)
    if not pd.api.types.is_numeric_dtype(some):
        some = pd.Series(pd.factorize(some, sort=True)[0])
    numbers = some.astype("float64")
    leaking = [
        str(name)
        for name in features
        if tells_target(features[name].iloc[::step].reset_index(drop=True), numbers)
    ]
    if leaking:
        because = (
            f"{', '.join(leaking)}: alone says the target (ROC AUC >= {SEPARATES} of two classes, else "
            f"rank correlation >= {FOLLOWS}). It is hardly known when the model is asked. Exclude it "
            "(features.exclude)."
        )
        return Check(name=NAME, outcome=Outcome.REFUSED, because=because)
    because = f"None of {features.shape[1]} features says the target alone."
    return Check(name=NAME, outcome=Outcome.PASSED, because=because)


def tells_target(feature: "pd.Series[Any]", target: "pd.Series[float]") -> bool:
    """Tell whether a feature's values, or where they are missing, order the target."""
    missing = feature.isna().astype("float64")
    return any(_orders(one, target) for one in (_as_numbers(feature, target), missing))


def _as_numbers(feature: "pd.Series[Any]", target: "pd.Series[float]") -> "pd.Series[float]":
    """Write a feature as numbers: one of few values as the mean target beside each of them."""
    codes, values = pd.factorize(feature)
    if len(values) <= min(_MOST_VALUES, len(feature) / _FEWEST):
        known = pd.Series(codes).where(feature.notna())
        return target.groupby(known).transform("mean")
    if pd.api.types.is_numeric_dtype(feature):
        return feature.astype("float64")
    return pd.Series(np.nan, index=feature.index)


def _orders(numbers: "pd.Series[float]", target: "pd.Series[float]") -> bool:
    both = pd.DataFrame({"feature": numbers, "target": target}).dropna()
    if both["feature"].nunique() < 2 or both["target"].nunique() < 2:
        return False
    if both["target"].nunique() == 2:
        return separation(both) >= SEPARATES
    if len(both) < 2 * _FEWEST:
        return False
    ranks = both.rank()
    return bool(abs(np.corrcoef(ranks["feature"], ranks["target"])[0, 1]) >= FOLLOWS)


def separation(both: pd.DataFrame) -> float:
    """Measure the ROC AUC of one feature, folded to at least one half; 0.5 for too few of a class."""
    positive = both["target"] == both["target"].max()
    ranks = both["feature"].rank()
    ones, rest = int(positive.sum()), int((~positive).sum())
    if min(ones, rest) < _FEWEST:
        return 0.5
    area = (float(ranks[positive].sum()) - ones * (ones + 1) / 2) / (ones * rest)
    return max(area, 1 - area)
