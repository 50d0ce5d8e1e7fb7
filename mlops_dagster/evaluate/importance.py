"""Permutation importance: by how much a metric falls when one feature's values are shuffled."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from mlops_dagster.evaluate.scoring import answers_of, quality
from mlops_dagster.metrics.quality import METRICS

_ROWS = 2_000


def importances(
    artifact: Any, features: pd.DataFrame, truth: np.ndarray, *, metric: str, labels: Sequence[Any]
) -> dict[str, float]:
    """Shuffle each feature once on at most 2 000 rows and measure; larger is more important.

    Source: Breiman, Random Forests (2001), section 10, on held-out rows instead of out-of-bag ones.
    """
    step = max(1, len(features) // _ROWS)
    some, known = features.iloc[::step].reset_index(drop=True), truth[::step]
    chance = np.random.default_rng(0)
    # One call for all features: a call costs more than its rows.
    stacked = pd.concat(
        [some, *(_shuffled(some, name, chance) for name in some)], ignore_index=True
    )
    answers = answers_of(artifact.score(stacked))
    scores = [
        quality([metric], known, answers.of(np.arange(len(some)) + at * len(some)), labels)[metric]
        for at in range(len(some.columns) + 1)
    ]
    sign = 1 if METRICS[metric].greater_is_better else -1
    losses = {
        str(name): sign * (scores[0] - one) for name, one in zip(some, scores[1:], strict=True)
    }
    return {name: loss for name, loss in losses.items() if np.isfinite(loss)}


def _shuffled(rows: pd.DataFrame, name: str, chance: np.random.Generator) -> pd.DataFrame:
    mixed = rows[name].take(chance.permutation(len(rows))).reset_index(drop=True)
    return rows.assign(**{name: mixed})
