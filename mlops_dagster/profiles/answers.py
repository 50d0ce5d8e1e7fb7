"""How good a model's answers were on rows that it had not seen: kept in its folder, held against later.

No row is kept: means, spreads and curves only.
"""

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from mlops_dagster.declaration import Task
from mlops_dagster.errors import StoreError
from mlops_dagster.metrics.business import RowValues
from mlops_dagster.metrics.estimated import Calibrator, fit_calibrator
from mlops_dagster.metrics.losses import LossSketch, row_losses, sketch
from mlops_dagster.metrics.quality import Scored
from mlops_dagster.profiles.columns import TableProfile, dumps, from_json, to_json
from mlops_dagster.profiles.groups import Grouping, group_labels, group_values
from mlops_dagster.profiles.past import (
    Every,
    levelled_losses,
    profile_groups_with_past,
    sketch_groups_with_past,
    sketch_with_past,
)
from mlops_dagster.profiles.tables import profile_windows

ANSWERS_FILE = "answers.json"
FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupLosses:
    """The losses of each group of one column."""

    grouping: Grouping
    losses: Mapping[str, LossSketch]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerReference:
    """The holdout, as a model answered it.

    `slices` are the declared ones, `features` every feature column, both by the losses of their
    groups. `slice_answers` profiles the answers of each value of a slice. Slices have windows of all
    labelled rows, where these have a time. `forgone` is the business value with the sign turned, so
    that more of it is worse.
    """

    loss: LossSketch
    forgone: LossSketch | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    calibrator: Calibrator | None = None
    slices: tuple[GroupLosses, ...] = ()
    features: tuple[GroupLosses, ...] = ()
    slice_answers: Mapping[str, Mapping[str, TableProfile]] = field(default_factory=dict)


def answer_reference(
    task: Task,
    scored: Scored,
    *,
    metrics: Mapping[str, float],
    slices: pd.DataFrame,
    features: pd.DataFrame,
    every: Every | None = None,
    answers: tuple[pa.Table, TableProfile] | None = None,
    worth: RowValues | None = None,
) -> AnswerReference:
    """Describe a holdout: `slices` and `features` have a row for each that was `scored`.

    `every` has all labelled rows; `answers` are what is watched of each answer, with the profile whose
    bins they are counted in. `worth` values each row.
    """
    losses = row_losses(task, scored)
    levelled = levelled_losses(losses, task, every) if every else np.empty(0)
    loss = sketch_with_past(losses, levelled, every.windows) if every else sketch(losses)
    sliced = tuple(_sliced(slices, losses, levelled, every, whole=loss))
    return AnswerReference(
        loss=loss,
        forgone=sketch(-worth(scored)) if worth else None,
        metrics={name: value for name, value in metrics.items() if np.isfinite(value)},
        calibrator=fit_calibrator(scored) if task.is_classification else None,
        slices=sliced,
        features=tuple(
            _grouped(group_values(str(name), features[name]), features[name], losses)
            for name in features
        ),
        slice_answers=dict(_answered(sliced, slices, answers, every)) if answers else {},
    )


def _sliced(
    slices: pd.DataFrame,
    losses: npt.NDArray[np.float64],
    levelled: npt.NDArray[np.float64],
    every: Every | None,
    *,
    whole: LossSketch,
) -> Iterator[GroupLosses]:
    for name in slices:
        one = _grouped(group_labels(str(name), slices[name]), slices[name], losses)
        if every is not None:
            past = sketch_groups_with_past(one.losses, one.grouping, levelled, every, whole=whole)
            one = GroupLosses(grouping=one.grouping, losses=past)
        yield one


def _answered(
    sliced: Iterable[GroupLosses],
    slices: pd.DataFrame,
    answers: tuple[pa.Table, TableProfile],
    every: Every | None,
) -> Iterator[tuple[str, Mapping[str, TableProfile]]]:
    for one in sliced:
        grouping = one.grouping
        found = profile_groups(grouping, slices[grouping.column], *answers)
        past = profile_groups_with_past(found, grouping, every) if every else found
        yield grouping.column, past


def _grouped(
    grouping: Grouping, values: "pd.Series[Any]", losses: npt.NDArray[np.float64]
) -> GroupLosses:
    return GroupLosses(grouping=grouping, losses=group_losses(grouping.of(values), losses))


def group_losses(
    groups: npt.NDArray[np.object_], losses: npt.NDArray[np.float64]
) -> dict[str, LossSketch]:
    """Sketch the losses of each group."""
    return {str(name): sketch(losses[groups == name]) for name in np.unique(groups)}


def profile_groups(
    grouping: Grouping, values: "pd.Series[Any]", answers: pa.Table, edges_from: TableProfile
) -> dict[str, TableProfile]:
    """Profile the answers of each group, in the bins of another profile."""
    names, codes = np.unique(grouping.of(values), return_inverse=True)
    found = profile_windows(answers, window_of=pa.array(codes, pa.int64()), edges_from=edges_from)
    return {str(names[code]): profile for code, profile in found.items()}


# --- JSON ---


def write_answers(folder: Path, reference: AnswerReference) -> Path:
    """Write the reference into a model's folder, the same bytes for the same content."""
    content = {
        "format": FORMAT,
        "loss": dataclasses.asdict(reference.loss),
        "forgone": dataclasses.asdict(reference.forgone) if reference.forgone else None,
        "metrics": dict(reference.metrics),
        "calibrator": dataclasses.asdict(reference.calibrator) if reference.calibrator else None,
        "slices": [_group_json(one) for one in reference.slices],
        "features": [_group_json(one) for one in reference.features],
        "slice_answers": {
            column: {name: to_json(one) for name, one in profiles.items()}
            for column, profiles in reference.slice_answers.items()
        },
    }
    path = folder / ANSWERS_FILE
    path.write_text(dumps(content), encoding="utf-8")
    return path


def read_answers(folder: Path) -> AnswerReference | None:
    """Read the reference of a model; None when the model was made without one.

    Raises: StoreError when a later version of this package wrote it.
    """
    path = folder / ANSWERS_FILE
    if not path.exists():
        return None
    stored = json.loads(path.read_text(encoding="utf-8"))
    if stored["format"] != FORMAT:
        message = (
            f"{path}: the holdout's losses have format {stored['format']}, this version reads "
            f"{FORMAT}. Upgrade mlops-dagster, or train again."
        )
        raise StoreError(message)
    told = stored["calibrator"]
    curves = tuple((tuple(x), tuple(y)) for x, y in told["curves"]) if told else ()
    return AnswerReference(
        loss=_sketch(stored["loss"]),
        forgone=_sketch(stored["forgone"]) if stored["forgone"] else None,
        metrics=stored["metrics"],
        calibrator=Calibrator(curves=curves, rows=told["rows"]) if told else None,
        slices=tuple(map(_group, stored["slices"])),
        features=tuple(map(_group, stored["features"])),
        slice_answers={
            column: {name: from_json(one) for name, one in profiles.items()}
            for column, profiles in stored["slice_answers"].items()
        },
    )


def _group_json(one: GroupLosses) -> dict[str, Any]:
    losses = {name: dataclasses.asdict(sketched) for name, sketched in one.losses.items()}
    return {"grouping": dataclasses.asdict(one.grouping), "losses": losses}


def _group(stored: Mapping[str, Any]) -> GroupLosses:
    told = stored["grouping"]
    grouping = Grouping(
        column=told["column"], names=tuple(told["names"]), edges=tuple(told["edges"])
    )
    losses = {name: _sketch(one) for name, one in stored["losses"].items()}
    return GroupLosses(grouping=grouping, losses=losses)


def _sketch(stored: Mapping[str, Any]) -> LossSketch:
    return LossSketch(**{**stored, "windows": tuple(stored["windows"])})
