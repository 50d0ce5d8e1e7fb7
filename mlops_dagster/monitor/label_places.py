"""Reads where labels are told: in the rows themselves, by a declared source, as feedback."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mlops_dagster.declaration import LabelJoin
from mlops_dagster.errors import DataNotFitError
from mlops_dagster.monitor.labels import Told, told
from mlops_dagster.records import Snapshot
from mlops_dagster.stores.tables import BATCH
from mlops_dagster.workbench import StepContext

LABELS, FEEDBACK = "labels", "feedback"
ARRIVAL = "_arrival"


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """All labels that are known, place by place."""

    all: tuple[Told, ...]

    @property
    def unreadable(self) -> dict[str, int]:
        """How many labels of each place are no values of the target."""
        return {one.place: one.unreadable for one in self.all if one.unreadable}


def read_places(
    context: StepContext, validated: Snapshot, join: LabelJoin | None, *, labels: Sequence[Any]
) -> Places:
    """Read every label; a declared one whose time has not come by the clock is not known yet.

    `labels` are those that the model knows. Raises: DataNotFitError when a declared column is missing.
    """
    model = context.model
    found: list[Told] = []
    if model.key:
        rows = context.bench.tables.dataset(validated.table.name, version=validated.table.version)
        there = [one for one in (*model.key, model.target, BATCH) if one in rows.schema.names]
        own = rows.to_table(columns=there, filter=pc.field(model.target).is_valid())
        found.append(
            told(
                "the rows",
                own,
                by={name: name for name in model.key},
                label=model.target,
                time=None,
                arrival=BATCH if BATCH in there else None,
                known=(model.task, labels),
            )
        )
    if join is not None and (declared := _latest(context, LABELS)) is not None:
        found.append(_declared(context, join, declared, labels=labels))
    if (feedback := _latest(context, FEEDBACK)) is not None:
        found.append(
            told(
                "feedback",
                feedback,
                by={"prediction_id": "prediction_id"},
                label="value",
                time="time",
                arrival="at",
                known=(model.task, labels),
                as_json=True,
            )
        )
    return Places(all=tuple(found))


def label_versions(context: StepContext) -> dict[str, str]:
    """Digest the labels there are, to see whether any came."""
    tables = context.bench.tables
    known = {noun: tables.latest(context.table(noun)) for noun in (LABELS, FEEDBACK)}
    return {noun: one.ref.digest for noun, one in known.items() if one is not None}


def _declared(
    context: StepContext, join: LabelJoin, rows: pa.Table, *, labels: Sequence[Any]
) -> Told:
    model = context.model
    key = join.key or model.key
    by = {"prediction_id": join.prediction_id} if join.prediction_id else {k: k for k in key}
    needed = [*by.values(), join.label, *([join.label_time] if join.label_time else [])]
    missing = [name for name in needed if name not in rows.column_names]
    if missing:
        where = f"{model.address}/monitor.labels"
        raise DataNotFitError.missing_columns(where, missing, rows.column_names)
    one = told(
        "the label source",
        rows,
        by=by,
        label=join.label,
        time=join.label_time,
        arrival=ARRIVAL if ARRIVAL in rows.column_names else None,
        known=(model.task, labels),
    )
    return _by_now(one, context.at) if join.label_time else one


def _by_now(one: Told, now: datetime) -> Told:
    """Leave out what has not happened yet by the clock, which may be a replay's."""
    known = pc.or_kleene(
        pc.is_null(one.rows["label_time"]),
        pc.less_equal(one.rows["label_time"], pa.scalar(now, pa.timestamp("us", "UTC"))),
    )
    return Told(place=one.place, rows=one.rows.filter(known), by=one.by, unreadable=one.unreadable)


def _latest(context: StepContext, noun: str) -> pa.Table | None:
    name = context.table(noun)
    return context.bench.tables.read(name) if context.bench.tables.latest(name) else None
