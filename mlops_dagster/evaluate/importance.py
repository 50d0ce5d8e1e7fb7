"""Permutation importance: by how much a metric falls when one feature's values are shuffled."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from mlops_dagster.evaluate.scoring import answers_of, quality
from mlops_dagster.metrics.quality import greater_is_better

_ROWS = 2_000
_CELLS = 4_000_000


def importances(
    artifact: Any, features: pd.DataFrame, truth: np.ndarray, *, metric: str, labels: Sequence[Any]
) -> dict[str, float]:
    """Shuffle each feature once on at most 2 000 rows and measure; larger is more important.

    Source: Breiman, Random Forests (2001), section 10, on held-out rows instead of out-of-bag ones.
    """
    step = max(1, len(features) // _ROWS)
    some, known = features.iloc[::step].reset_index(drop=True), truth[::step]
    chance = np.random.default_rng(0)
    variants = [some, *(_shuffled(some, str(name), chance) for name in some)]
    # Many variants in one call, since a call costs more than its rows; not all of a wide table.
    at_once = max(1, _CELLS // max(some.size, 1))
    scores: list[float] = []
    for first in range(0, len(variants), at_once):
        part = variants[first : first + at_once]
        answers = answers_of(artifact.score(pd.concat(part, ignore_index=True)))
        for at in range(len(part)):
            own = answers.of(np.arange(len(some)) + at * len(some))
            scores.append(quality([metric], known, own, labels)[metric])
    sign = 1 if greater_is_better(metric) else -1
    losses = {
        str(name): sign * (scores[0] - one) for name, one in zip(some, scores[1:], strict=True)
    }
    return {name: loss for name, loss in losses.items() if np.isfinite(loss)}


def _shuffled(rows: pd.DataFrame, name: str, chance: np.random.Generator) -> pd.DataFrame:
    mixed = rows[name].take(chance.permutation(len(rows))).reset_index(drop=True)
    return rows.assign(**{name: mixed})
