"""Find features that say the target itself."""

import numpy as np
import pandas as pd

from mlops_dagster.records import Check, Outcome

NAME = "no_leaked_target"
_TOO_GOOD = 0.999
_ROWS = 20_000


def judge_leaks(features: pd.DataFrame, target: pd.Series) -> Check:
    """Refuse features that alone order the target (almost) perfectly."""
    few = slice(None) if len(target) <= _ROWS else slice(0, len(target), len(target) // _ROWS)
    codes = pd.Series(pd.factorize(target.iloc[few], sort=True)[0])
    values = target.iloc[few].reset_index(drop=True)
    numbers = values if pd.api.types.is_numeric_dtype(values) else codes
    leaking = [
        str(name)
        for name in features
        if tells_target(features[name].iloc[few].reset_index(drop=True), numbers)
    ]
    if leaking:
        because = (
            f"{', '.join(leaking)}: alone says the target (rank correlation >= {_TOO_GOOD}). It is "
            "hardly known when the model is asked. Exclude it (features.exclude)."
        )
        return Check(name=NAME, outcome=Outcome.REFUSED, because=because)
    because = f"None of {features.shape[1]} features says the target alone."
    return Check(name=NAME, outcome=Outcome.PASSED, because=because)


def tells_target(feature: pd.Series, target: pd.Series) -> bool:
    """Tell whether a feature separates a two-valued target, or ranks a number, almost perfectly."""
    if pd.api.types.is_numeric_dtype(feature):
        known = feature.astype("float64")
    else:
        known = pd.Series(pd.factorize(feature)[0]).astype("float64")
        if known.nunique() > target.nunique() * 2:
            return False
    both = pd.DataFrame({"feature": known, "target": target.astype("float64")}).dropna()
    if len(both) < 20 or both["feature"].nunique() < 2 or both["target"].nunique() < 2:
        return False
    if both["target"].nunique() == 2:
        return separation(both) >= _TOO_GOOD
    ranks = both.rank()
    return bool(abs(np.corrcoef(ranks["feature"], ranks["target"])[0, 1]) >= _TOO_GOOD)


def separation(both: pd.DataFrame) -> float:
    """Measure the ROC AUC of one feature, folded to at least one half."""
    positive = both["target"] == both["target"].max()
    ranks = both["feature"].rank()
    ones, rest = int(positive.sum()), int((~positive).sum())
    area = (float(ranks[positive].sum()) - ones * (ones + 1) / 2) / (ones * rest)
    return max(area, 1 - area)
