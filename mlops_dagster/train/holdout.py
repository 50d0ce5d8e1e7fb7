"""What is kept with a model of the rows that were held out: how its answers did there."""

from collections.abc import Sequence
from datetime import timedelta

import numpy as np
import pandas as pd
import pyarrow as pa

from mlops_dagster.declaration import ModelIdentity
from mlops_dagster.metrics.business import RowValues
from mlops_dagster.metrics.quality import Scored
from mlops_dagster.profiles.answers import AnswerReference, answer_reference
from mlops_dagster.profiles.past import Every, number_windows
from mlops_dagster.profiles.reference import ReferenceProfile, as_table
from mlops_dagster.train.fitting import probability_of
from mlops_dagster.train.learning import Lesson, judged_answers


def answered_holdout(
    model: ModelIdentity,
    lesson: Lesson,
    profile: ReferenceProfile,
    *,
    slices: Sequence[str],
    window: timedelta,
    worth: RowValues | None = None,
) -> AnswerReference:
    """Describe the candidate's answers on the holdout; a slice that is no column is left to evaluate."""
    held_out = lesson.rows.table.take(pa.array(lesson.parts.holdout))
    sliced = [name for name in slices if name in held_out.column_names]
    features = lesson.features.iloc[lesson.parts.holdout].reset_index(drop=True)
    answers = lesson.fitted.answers
    return answer_reference(
        model.task,
        _scored(model, lesson, held_out, answers),
        metrics=lesson.fitted.metrics,
        slices=held_out.select(sliced).to_pandas(),
        features=features,
        every=_every(model, lesson, window, sliced),
        answers=(as_table(judged_answers(answers)), profile.predictions),
        worth=worth,
    )


def _every(
    model: ModelIdentity, lesson: Lesson, window: timedelta, slices: Sequence[str]
) -> Every | None:
    if lesson.times is None:
        return None
    table = lesson.rows.table
    held_out = np.zeros(table.num_rows, dtype=bool)
    held_out[lesson.parts.holdout] = True
    return Every(
        scored=_scored(model, lesson, table, lesson.answers),
        held_out=held_out,
        windows=number_windows(lesson.times, length=window),
        slices=table.select(slices).to_pandas(),
        answers=as_table(judged_answers(lesson.answers)),
    )


def _scored(model: ModelIdentity, lesson: Lesson, rows: pa.Table, answers: pd.DataFrame) -> Scored:
    return Scored(
        y_true=rows[model.target].to_pandas().to_numpy(),
        y_pred=answers["prediction"].to_numpy(),
        probability=probability_of(answers),
        labels=tuple(lesson.fitted.labels),
    )
