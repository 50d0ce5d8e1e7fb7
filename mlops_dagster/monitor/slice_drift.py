"""Whether the answers of a slice drifted, over all slices together. Pure."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pyarrow as pa

from mlops_dagster.metrics.limits import per_test
from mlops_dagster.metrics.quality import Scored
from mlops_dagster.monitor.drift import judge_drift
from mlops_dagster.monitor.limits import Limits
from mlops_dagster.monitor.measured import LossVerdict
from mlops_dagster.monitor.spec import DriftSpec, PerformanceSpec
from mlops_dagster.profiles.answers import AnswerReference, GroupLosses, profile_groups
from mlops_dagster.profiles.columns import TableProfile
from mlops_dagster.profiles.reference import as_table


def judge_slice_drift(
    answers: Scored,
    inputs: pd.DataFrame,
    reference: AnswerReference,
    *,
    spec: PerformanceSpec,
    drawn: dict[str, Limits],
) -> list[LossVerdict]:
    """Judge the answers of each value of each slice against the holdout's answers of that value.

    `drawn` keeps the limits of each value from window to window.
    """
    watched = watched_answers(answers)
    pairs = [
        (f"{one.grouping.column}={value}", before[value], now)
        for one in reference.slices
        if one.grouping.column in inputs and one.grouping.column in spec.slices
        for before in (reference.slice_answers.get(one.grouping.column, {}),)
        for value, now in _profiles(one, inputs, watched, before).items()
        if value in before
    ]
    share = 1 - per_test(spec.false_alarms, tests=len(pairs))
    # At least one alarm in a thousand million: a smaller share could not be drawn, nor be declared.
    rule = DriftSpec(window=spec.window, false_alarms=max(share, 1e-9))
    return [
        LossVerdict(
            signal="slice_drift",
            subject=f"{name}: {verdict.column}",
            outcome=verdict.outcome,
            told=f"{name}, {len(pairs)} slices together: {verdict.because}",
            labels=verdict.rows,
            value=verdict.value,
            limit=verdict.limit,
        )
        for name, before, now in pairs
        for verdict in judge_drift(
            before, now, spec=rule, limits=drawn.setdefault(name, Limits(before, rule))
        )
    ]


def _profiles(
    one: GroupLosses, inputs: pd.DataFrame, watched: pa.Table, before: Mapping[str, TableProfile]
) -> dict[str, TableProfile]:
    """Profile each value's answers in the bins that the holdout's were counted in, all alike."""
    edges = next(iter(before.values()), None)
    if edges is None:
        return {}
    return profile_groups(one.grouping, inputs[one.grouping.column], watched, edges)


def watched_answers(answers: Scored) -> pa.Table:
    """Choose what of an answer is watched: the probability of two classes, else the prediction."""
    if len(answers.labels) == 2 and answers.probability is not None:
        share = np.asarray(answers.probability, dtype=np.float64).reshape(-1)
        return as_table(pd.DataFrame({"probability": share}))
    return as_table(pd.DataFrame({"prediction": answers.y_pred}))
