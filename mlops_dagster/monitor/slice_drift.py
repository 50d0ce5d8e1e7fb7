"""Whether the answers of a slice drifted, over all slices together. Pure."""

import numpy as np
import pandas as pd
import pyarrow as pa

from mlops_dagster.metrics.limits import per_test
from mlops_dagster.metrics.quality import Scored
from mlops_dagster.monitor.drift import ColumnVerdict, judge_drift
from mlops_dagster.monitor.measured import LossVerdict
from mlops_dagster.monitor.slice_limits import LimitsNow, SlicesLimits
from mlops_dagster.monitor.spec import DriftSpec, PerformanceSpec
from mlops_dagster.profiles.alike import Beside, parts_beside
from mlops_dagster.profiles.answers import AnswerReference, GroupLosses, profile_groups
from mlops_dagster.profiles.reference import as_table
from mlops_dagster.records import Outcome


def judge_slice_drift(
    answers: Scored,
    inputs: pd.DataFrame,
    reference: AnswerReference,
    *,
    spec: PerformanceSpec,
    limits: SlicesLimits,
) -> list[LossVerdict]:
    """Judge whether the answers of each value of each slice moved otherwise than all other answers.

    What all moved by is the whole's drift. `limits` keeps the limits from window to window.
    """
    watched = watched_answers(answers)
    plain = DriftSpec(window=spec.window)
    judged = [
        (f"{one.grouping.column}={value}", known[value].against(now))
        for one in reference.slices
        if one.grouping.column in inputs and one.grouping.column in spec.slices
        for known in (limits.of(one.grouping.column, plain),)
        for value, now in _profiles(one, inputs, watched, reference).items()
        if value in known
    ]
    share = 1 - per_test(spec.false_alarms, tests=len(judged))
    # At least one alarm in a thousand million: a smaller share could not be drawn, nor be declared.
    rule = plain.model_copy(update={"false_alarms": max(share, 1e-9)})
    return [
        LossVerdict(
            signal="slice_drift",
            subject=f"{name}: {verdict.column}",
            outcome=verdict.outcome,
            told=f"{name}, {len(judged)} slices together: {_told(verdict, known)}",
            labels=verdict.rows,
            value=verdict.value,
            limit=verdict.limit,
        )
        for name, known in judged
        for verdict in judge_drift(known.expected, known.now.own, spec=rule, limits=known)
    ]


def _told(verdict: ColumnVerdict, limits: LimitsNow) -> str:
    if verdict.outcome is Outcome.NOT_APPLICABLE:
        return verdict.because
    return f"{verdict.told} {limits.told(verdict.column)}"


def _profiles(
    one: GroupLosses, inputs: pd.DataFrame, watched: pa.Table, reference: AnswerReference
) -> dict[str, Beside]:
    """Profile each value's answers in the bins that the holdout's were counted in, all alike."""
    column = one.grouping.column
    edges = next(iter(reference.slice_answers.get(column, {}).values()), None)
    if edges is None:
        return {}
    return parts_beside(profile_groups(one.grouping, inputs[column], watched, edges))


def watched_answers(answers: Scored) -> pa.Table:
    """Choose what of an answer is watched: the probability of two classes, else the prediction."""
    if len(answers.labels) == 2 and answers.probability is not None:
        share = np.asarray(answers.probability, dtype=np.float64).reshape(-1)
        return as_table(pd.DataFrame({"probability": share}))
    return as_table(pd.DataFrame({"prediction": answers.y_pred}))
