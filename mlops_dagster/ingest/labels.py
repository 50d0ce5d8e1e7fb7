"""Mirrors what a declared source says of outcomes, whole each time it is read."""

import pyarrow as pa

from mlops_dagster.declaration import LabelJoin, ModelIdentity
from mlops_dagster.errors import DataNotFitError
from mlops_dagster.ingest import sources
from mlops_dagster.ingest.columns import need_columns
from mlops_dagster.ingest.spec import LabelsSpec
from mlops_dagster.records import Shown, Snapshot
from mlops_dagster.stores.content import digest_of_table
from mlops_dagster.stores.described import grouped
from mlops_dagster.stores.tables import TableVersion
from mlops_dagster.workbench import StepContext

NOUN = "labels"
ARRIVAL = "_arrival"


def take_labels(context: StepContext, spec: LabelsSpec, *, source_rows: object = None) -> Snapshot:
    """Mirror the source; the same labels again commit nothing.

    Raises: DataNotFitError when a declared column is missing; the table is then as it was.
    """
    tables, name = context.bench.tables, context.table(NOUN)
    with context.lock(NOUN):
        before = tables.latest(name)
        given = sources.read_whole(
            spec.source,
            since=None,
            stored=_texts(before.schema) if before else None,
            where=name,
            value=source_rows,
        )
        rows = _declared_columns(context.model, spec, given, where=name)
        if before is None or before.ref.digest != digest_of_table(rows):
            after = tables.overwrite(name, rows)
        else:
            after = before
    return _snapshot(context, spec, before=before, after=after)


def _texts(schema: pa.Schema) -> pa.Schema:
    """Leave the columns of text: other types may change, since all rows do."""
    return pa.schema([one for one in schema if pa.types.is_string(one.type)])


def label_columns(model: ModelIdentity, join: LabelJoin) -> tuple[str, ...]:
    """List the columns that are read of the source."""
    ids = (join.prediction_id,) if join.prediction_id else (join.key or model.key)
    times = (join.label_time,) if join.label_time else ()
    return tuple(dict.fromkeys((*ids, join.label, *times)))


def _declared_columns(
    model: ModelIdentity, spec: LabelsSpec, given: pa.Table, *, where: str
) -> pa.Table:
    wanted = label_columns(model, spec)
    if not given.num_columns:
        message = (
            f"{where}: the source gave no columns; needed are {list(wanted)}, with no row while no "
            "label is known."
        )
        raise DataNotFitError(message)
    need_columns(wanted, given.column_names, where=where)
    # A column of nothing but nulls has no type of its own yet.
    columns = [given[name] for name in wanted]
    typed = [one.cast(pa.string()) if pa.types.is_null(one.type) else one for one in columns]
    order = pa.array(range(given.num_rows), pa.int64())
    return pa.table([*typed, order], names=[*wanted, ARRIVAL])


def _snapshot(
    context: StepContext, spec: LabelsSpec, *, before: TableVersion | None, after: TableVersion
) -> Snapshot:
    grown = after.ref.rows - (before.ref.rows if before else 0)
    same = before is not None and before.ref.version == after.ref.version
    because = (
        f"No label changed: {grouped(after.ref.rows)} rows."
        if same
        else f"{grouped(after.ref.rows)} rows of labels, {grown:+,} since the last read."
    )
    place = sources.place(spec.source, where=after.ref.name)
    return Snapshot(
        **context.stamp(),
        data_version=after.ref.digest,
        because=because,
        shown={
            "dagster/row_count": Shown(kind="integer", value=after.ref.rows),
            "dagster/uri": Shown(kind="text", value=after.uri),
            "source": Shown(kind="text", value=place),
        },
        table=after.ref,
        new_rows=max(grown, 0),
        through=after.ref.version,
    )
