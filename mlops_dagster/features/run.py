"""Make the table of features from accepted rows with a known target."""

import hashlib
import json
from collections.abc import Mapping

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mlops_dagster.declaration import LookupJoin
from mlops_dagster.errors import DataNotFitError
from mlops_dagster.features.leaks import judge_leaks
from mlops_dagster.features.making import Made, make_features
from mlops_dagster.features.spec import FeaturesSpec
from mlops_dagster.records import FeatureSet, Outcome, Shown, Snapshot
from mlops_dagster.scoring.feature_rows import PREFIX
from mlops_dagster.scoring.functions import code_digest, resolve_function
from mlops_dagster.scoring.inputs import as_given, join_lookups
from mlops_dagster.stores.content import digest_of_table
from mlops_dagster.stores.described import about_table, sample
from mlops_dagster.stores.tables import TableVersion, is_unknown
from mlops_dagster.workbench import StepContext


def run(
    context: StepContext,
    spec: FeaturesSpec,
    validated: Snapshot,
    *,
    joins: Mapping[str, LookupJoin],
) -> FeatureSet:
    """Join, run the functions, refuse what leaks, and keep the table.

    Raises: DataNotFitError when no row has a known target, or a function does not keep to its rows.
    """
    rows = labelled_rows(context, validated)
    joined = join_lookups(
        rows,
        tables=context.bench.tables,
        compute=context.bench.compute,
        lookups=validated.lookups,
        joins=joins,
        at=context.model.event_time,
    )
    given = joined.drop_columns([context.model.target])
    functions = [resolve_function(path) for path in spec.functions]
    made = make_features(context.model, spec, as_given(given), functions=functions)
    check = judge_leaks(made.frame, rows[context.model.target].to_pandas())
    table = keep(context, joined, made)
    code = code_digest(spec.functions)
    return FeatureSet(
        **context.stamp(),
        data_version=version_of(table, made, code),
        outcome=check.outcome,
        because=check.because
        if check.outcome is Outcome.REFUSED
        else counted(made, table) + told_infinite(context, validated, given),
        checks=(check,),
        shown={
            **about_table(table, lookups=validated.lookups),
            "features": Shown(kind="integer", value=len(made.columns)),
            "columns": Shown(kind="json", value=list(made.columns)),
            "nulls": Shown(kind="markdown", value=nulls(made.frame)),
            "sample": Shown(kind="markdown", value=sample(joined)),
            "code digest": Shown(kind="text", value=code),
        },
        table=table.ref,
        source=validated.table,
        lookups=dict(validated.lookups),
        inputs=tuple(given.column_names),
        columns=made.columns,
        code_digest=code,
    )


def labelled_rows(context: StepContext, validated: Snapshot) -> pa.Table:
    """Read the accepted rows whose target is known. Raises: DataNotFitError when there are none."""
    source = context.bench.tables.dataset(validated.table.name, version=validated.table.version)
    names = [name for name in source.schema.names if not name.startswith("_")]
    rows = source.to_table(columns=names, filter=~is_unknown(source.schema, context.model.target))
    if not rows.num_rows:
        message = (
            f"{context.model.address}/features: none of {validated.table.rows:,} accepted rows has a "
            f"known {context.model.target!r}. There is nothing to learn from yet."
        )
        raise DataNotFitError(message)
    return in_order(context, rows)


def in_order(context: StepContext, rows: pa.Table) -> pa.Table:
    """Sort rows by time and key: files come in any order, and an estimator sees the order of rows."""
    model = context.model
    names = [*([model.event_time] if model.event_time else []), *model.key]
    return rows.sort_by([(name, "ascending") for name in names]) if names else rows


def keep(context: StepContext, joined: pa.Table, made: Made) -> TableVersion:
    """Write inputs and features side by side; the same content makes no new version."""
    frame = as_columns(context, made)
    table = joined
    for name in made.columns:
        table = table.append_column(PREFIX + name, frame[name])
    place = context.table("features")
    with context.lock("features"):
        latest = context.bench.tables.latest(place)
        same_size = latest is not None and latest.ref.rows == table.num_rows
        if latest and same_size and latest.ref.digest == digest_of_table(table):
            return latest
        return context.bench.tables.overwrite(place, table)


def as_columns(context: StepContext, made: Made) -> pa.Table:
    """Turn features into columns. Raises: DataNotFitError for one whose values have no common type."""
    try:
        return pa.Table.from_pandas(made.frame, preserve_index=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        message = (
            f"{context.model.address}/features: a feature cannot be kept: {'; '.join(error.args)}. "
            "Give every feature column one type: numbers, or text."
        )
        raise DataNotFitError(message) from error


def version_of(table: TableVersion, made: Made, code: str) -> str:
    """Digest the rows, what of them is a feature, and the code that made it."""
    told = json.dumps([table.ref.digest, made.columns, code])
    return f"v1:{hashlib.sha256(told.encode()).hexdigest()[:32]}"


def counted(made: Made, table: TableVersion) -> str:
    """Say how much there is."""
    return f"{table.ref.rows:,} labelled rows, {len(made.columns)} features."


def told_infinite(context: StepContext, validated: Snapshot, given: pa.Table) -> str:
    """Count infinite numbers: they are null where they are given, and no outcome as a target."""
    told = [
        f" {name!r}: {count:,} infinite, given as null."
        for name in given.column_names
        if (count := _infinite(given[name]))
    ]
    target, source = context.model.target, validated.table
    values = context.bench.tables.read(source.name, version=source.version, columns=[target])
    if count := _infinite(values[target]):
        told.append(f" {count:,} rows have an infinite {target!r} and count as not labelled.")
    return "".join(told)


def _infinite(values: pa.ChunkedArray) -> int:
    if not pa.types.is_floating(values.type):
        return 0
    count: int = pc.sum(pc.is_inf(values)).as_py() or 0
    return count


def nulls(frame: pd.DataFrame) -> str:
    """Draw the features with their types and null shares."""
    shares = frame.isna().mean()
    lines = [f"| {name} | {frame[name].dtype} | {shares[name]:.1%} |" for name in shares.index]
    return "\n".join(["| feature | type | null |", "|---|---|---|", *lines])
