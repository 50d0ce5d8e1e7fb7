"""What a person sees of a table, and the one version of a table and its second tables."""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mlops_dagster.errors import redact
from mlops_dagster.records import JSON, Shown, TableRef
from mlops_dagster.stores.tables import BATCH, TableStore, TableVersion

SAMPLE_ROWS = 5
_CELL = 60


def grouped(number: int) -> str:
    """Write a count as people do: 28,034."""
    return f"{number:,}"


def moment(instant: datetime | None) -> str:
    """Write an instant to the minute."""
    return instant.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC") if instant else "unknown"


def sample(rows: pa.Table) -> str:
    """Draw the last rows as a markdown table."""
    names = [name for name in rows.column_names if name != BATCH]
    last = rows.select(names).slice(max(0, rows.num_rows - SAMPLE_ROWS)).to_pylist()
    lines = [_line(names), _line(["---"] * len(names))]
    return "\n".join([*lines, *(_line([_cell(row[name]) for name in names]) for row in last)])


def column_types(schema: pa.Schema) -> dict[str, str]:
    """List the columns that are the source's own, with their types."""
    return {field.name: str(field.type) for field in schema if field.name != BATCH}


def about_table(table: TableVersion, *, lookups: dict[str, TableRef]) -> dict[str, Shown]:
    """Say which rows these are: version, digest, place, columns, second tables."""
    told = {
        "dagster/row_count": Shown(kind="integer", value=table.ref.rows),
        "dagster/column_schema": Shown(kind="columns", value={**column_types(table.schema)}),
        "dagster/uri": Shown(kind="path", value=redact(table.uri)),
        "table_version": Shown(kind="integer", value=table.ref.version),
        "digest": Shown(kind="text", value=table.ref.digest),
    }
    if lookups:
        listed: dict[str, JSON] = {
            name: {"rows": ref.rows, "version": ref.version, "digest": ref.digest}
            for name, ref in lookups.items()
        }
        told["lookups"] = Shown(kind="json", value=listed)
    return told


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(value: Any) -> str:
    text = "" if value is None else str(value)
    short = text if len(text) <= _CELL else text[: _CELL - 1] + "…"
    return short.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")


def combined_version(table: TableRef, lookups: Mapping[str, TableRef]) -> str:
    """Digest a table and its second tables into one data version."""
    told = [table.digest, sorted((name, ref.digest) for name, ref in lookups.items())]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def time_span(
    tables: TableStore, table: TableVersion, column: str | None
) -> tuple[datetime | None, datetime | None]:
    """Find the first and last instant of a column."""
    if column is None or column not in table.schema.names:
        return None, None
    ends: list[datetime] = []
    for batch in tables.batches(table.ref.name, version=table.ref.version, columns=[column]):
        both = pc.min_max(batch.column(0)).as_py()
        ends += [one for one in both.values() if isinstance(one, datetime)]
    return (min(ends), max(ends)) if ends else (None, None)
