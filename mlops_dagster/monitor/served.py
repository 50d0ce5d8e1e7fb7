"""Reads what was answered live, and finds the row of the lake that each answer is of."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads

from mlops_dagster.declaration import ModelIdentity
from mlops_dagster.monitor.champion import Load
from mlops_dagster.monitor.evidence import PREDICTIONS
from mlops_dagster.monitor.skew import Plain, plain
from mlops_dagster.records import SERVING_TAG, Snapshot
from mlops_dagster.stores.registry import ModelVersion
from mlops_dagster.stores.schemas import as_kind
from mlops_dagster.workbench import Workbench

ROLES = ("live", "canary")
_KEPT = ("prediction_id", "inputs", "model_version", "role", "scored_at")
Join: TypeAlias = Callable[[pa.Table], pa.Table]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lake:
    """The accepted rows, and how second tables are joined to them as known at a row's own time."""

    bench: Workbench
    model: ModelIdentity
    validated: Snapshot
    join: Join
    load: Load


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """Answers beside their lake rows: `rows` in the order of `places`."""

    places: Sequence[int]
    rows: pa.Table


def newest_answers(lake: Lake, *, newest: int, since: datetime | None) -> pa.Table | None:
    """Read the newest answers of the endpoint's callers; what was scored in shadow is the same rows."""
    name = f"{lake.model.address}/{PREDICTIONS}"
    if lake.bench.tables.latest(name) is None:
        return None
    rows = lake.bench.tables.dataset(name)
    if not set(_KEPT) <= set(rows.schema.names):
        return None
    wanted = pc.field("role").isin(ROLES) & pc.field("inputs").is_valid()
    if since is not None:
        wanted &= pc.field("scored_at") >= pa.scalar(since, rows.schema.field("scored_at").type)
    # The inputs are most of the table: they are read once it is known from when on.
    times = rows.to_table(columns=["scored_at"], filter=wanted)["scored_at"]
    if len(times) > newest:
        last = pc.select_k_unstable(times, k=newest, sort_keys=[("scored_at", "descending")])
        wanted &= pc.field("scored_at") >= times[last[newest - 1].as_py()]
    kept = [*_KEPT, *(one for one in lake.model.key if one in rows.schema.names)]
    order = [("scored_at", "descending"), ("prediction_id", "ascending")]
    return rows.to_table(columns=list(dict.fromkeys(kept)), filter=wanted).sort_by(order)[:newest]


def redacted_by(versions: Iterable[ModelVersion]) -> frozenset[str]:
    """Name the columns that any version was served without in the log."""
    served = [json.loads(one.tags[SERVING_TAG]) for one in versions if SERVING_TAG in one.tags]
    return frozenset(name for one in served for name in one.get("endpoint", {}).get("redact", ()))


# --- WHICH ROW OF THE LAKE AN ANSWER IS OF ---


def keys_of(
    model: ModelIdentity, answers: pa.Table, inputs: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Give each answer's key as its caller gave it, null where it was left out."""
    named = {
        name: answers[name].to_pylist() if name in answers.column_names else [None] * len(inputs)
        for name in model.key
    }
    return [
        {name: row[name] if row.get(name) is not None else named[name][at] for name in model.key}
        for at, row in enumerate(inputs)
    ]


def match(
    lake: Lake, keys: Sequence[Mapping[str, Any]], redacted: frozenset[str]
) -> tuple[Counter[str], Matched]:
    """Find the lake's row of each key, with what second tables knew; count those that have none."""
    table = lake.validated.table
    rows = lake.bench.tables.dataset(table.name, version=table.version)
    names = list(lake.model.key)
    typed = {
        name: as_kind([one[name] for one in keys], rows.schema.field(name).type) for name in names
    }
    there = rows_of_keys(rows, names, typed)
    place_of = {
        key: at
        for at, key in enumerate(zip(*(there[name].to_pylist() for name in names), strict=True))
    }
    why: Counter[str] = Counter()
    places: list[int] = []
    found: list[int] = []
    for at, key in enumerate(zip(*(typed[name].to_pylist() for name in names), strict=True)):
        if any(one is None for one in keys[at].values()):
            hidden = redacted.intersection(names)
            why["the key is redacted" if hidden else "no key in the inputs"] += 1
        elif key not in place_of:
            why["the key is not in the lake"] += 1
        else:
            places.append(at)
            found.append(place_of[key])
    chosen = there.take(pa.array(found, pa.int64()))
    return why, Matched(places=places, rows=lake.join(chosen) if found else chosen)


def rows_of_keys(
    rows: pads.Dataset, names: Sequence[str], typed: Mapping[str, pa.Array]
) -> pa.Table:
    """Read the accepted rows whose key columns have the values asked for."""
    wanted = pc.scalar(True)  # noqa: FBT003 - Arrow's own way to begin
    for name in names:
        wanted &= pc.field(name).isin(pc.unique(typed[name].drop_null()))
    return rows.to_table(filter=wanted)


def key_told(key: Mapping[str, Any]) -> dict[str, Plain]:
    """Write a key as JSON holds it."""
    return {name: plain(value) for name, value in key.items()}
