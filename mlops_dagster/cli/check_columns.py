"""Whether the columns that a declaration names are there: the first rows of the source are read."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops_dagster.errors import DataNotFitError, StoreError, nearest

if TYPE_CHECKING:
    import pyarrow as pa

    from mlops_dagster.spec import LifecycleSpec
    from mlops_dagster.validate.spec import ExpectationSpec
    from mlops_dagster.workbench import Workbench

ROWS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The columns of the source, and those that the feature functions made of its first rows.

    `made` is None where functions read second tables, which only a run joins.
    """

    source: tuple[str, ...]
    made: tuple[str, ...] | None


Wrong = tuple[str, str]
"""Where a column is named, and what is wrong with it."""


def stored_columns(bench: "Workbench", spec: "LifecycleSpec") -> "pa.Schema | None":
    """Read which columns the rows that were taken so far have; None where that cannot be told."""
    try:
        table = bench.tables.latest(f"{spec.identity.address}/raw_data")
    except StoreError:  # the line of the lake says it
        return None
    return table.schema if table else None


def look_at_rows(spec: "LifecycleSpec", stored: "pa.Schema | None" = None) -> "pa.Table":
    """Read the first rows of a source, with the types and the columns that ingest gives them.

    A `stored` column that is left at the source (ingest.without) is null, as it is in new rows.
    Raises: DataNotFitError, StoreError or SpecError when it cannot be read, or has no rows.
    """
    import pyarrow as pa

    from mlops_dagster.ingest import sources
    from mlops_dagster.ingest.columns import fit, together

    where = f"{spec.identity.address}/raw_data"
    parts = sources.read(spec.ingest.source, since=None, stored=stored, where=where)
    first = next((part for part in parts if part.num_rows), None)
    if first is None:
        message = f"{where}: the source has no rows, so its columns cannot be compared."
        raise DataNotFitError(message)
    rows = together([first], where=where).slice(0, ROWS)
    without = spec.ingest.without
    rows = rows.drop_columns([one for one in without if one in rows.column_names])
    times = [spec.event_time] if spec.event_time and spec.event_time in rows.column_names else []
    taken = fit(rows, stored=None, times=times, untyped={}, where=where).rows
    kept = stored if stored is not None and (spec.key or spec.ingest.cursor) else ()
    for one in kept:
        if one.name in without:
            taken = taken.append_column(one, pa.nulls(taken.num_rows, one.type))
    return taken


def make_columns(spec: "LifecycleSpec", rows: "pa.Table") -> tuple[str, ...] | None:
    """Run the feature functions on some rows. Raises: DataNotFitError when one does not hold."""
    from mlops_dagster.features.making import apply_all
    from mlops_dagster.scoring.functions import resolve_function
    from mlops_dagster.scoring.inputs import as_given

    if spec.ingest.lookups:
        return None
    inputs = rows.drop_columns([spec.target] if spec.target in rows.column_names else [])
    functions = [resolve_function(path) for path in spec.features.functions]
    return tuple(map(str, apply_all(spec.identity, as_given(inputs), functions).columns))


def wrong_columns(
    spec: "LifecycleSpec", seen: Seen, expectations: "Sequence[ExpectationSpec]"
) -> list[Wrong]:
    """List the named columns that are not there, each with the nearest that is."""
    told = [*named_of_source(spec), *named_by(expectations)]
    wrong = [
        (where, f"{name!r} is no column of the source. {nearest(name, seen.source)}")
        for where, name in told
        if name not in seen.source
    ]
    if seen.made is None:
        return wrong
    known = sorted({*seen.source, *seen.made})
    return wrong + [
        (
            where,
            f"{name!r} is no column of the source, nor made by a function. {nearest(name, known)}",
        )
        for where, name in named_of_features(spec)
        if name not in known
    ]


def named_of_source(spec: "LifecycleSpec") -> Iterator[Wrong]:
    """List the columns that the source itself must have."""
    yield "target", spec.target
    for index, name in enumerate(spec.key):
        yield f"key[{index}]", name
    if spec.event_time:
        yield "event_time", spec.event_time
    if spec.ingest.cursor:
        yield "ingest.cursor", spec.ingest.cursor
    for name, lookup in spec.ingest.lookups.items():
        for column in lookup.key:
            yield f"ingest.lookups.{name}.key", column


def named_by(expectations: "Sequence[ExpectationSpec]") -> Iterator[Wrong]:
    """List the columns that expectations are about."""
    for index, one in enumerate(expectations):
        for column in columns_of(one.kwargs):
            yield f"validate.expectations[{index}]", column


def columns_of(arguments: Mapping[str, object]) -> list[str]:
    """List the columns among an expectation's arguments, as Great Expectations names them."""
    single = [arguments.get(name) for name in ("column", "column_A", "column_B")]
    several = arguments.get("column_list")
    listed = several if isinstance(several, list) else []
    return [one for one in (*single, *listed) if isinstance(one, str)]


def named_of_features(spec: "LifecycleSpec") -> Iterator[Wrong]:
    """List the columns that may also be made by a feature function."""
    for index, name in enumerate(spec.features.columns or ()):
        yield f"features.columns[{index}]", name
    for index, name in enumerate(spec.features.exclude):
        if name not in spec.ingest.without:
            yield f"features.exclude[{index}]", name
    for index, name in enumerate(spec.evaluate.slices):
        yield f"evaluate.slices[{index}]", name
    for index, gate in enumerate(spec.evaluate.gates or ()):
        if gate.kind == "threshold" and gate.slice:
            yield f"evaluate.gates[{index}].slice", gate.slice
    if spec.train.split is not None and spec.train.split.kind == "group":
        yield "train.split.column", spec.train.split.column
