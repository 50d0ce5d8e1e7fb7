"""What was refused of a model's rows before: it decides what of a new read is news."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from mlops_dagster.stores.held_rows import held_rows, keys_of, refused_batches
from mlops_dagster.stores.tables import BATCH, TableStore, TableVersion


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """`mended` are the texts of source rows that mended ones stand in for.

    `batches` were refused as a whole; `bad` has the key and batch of their rows that broke an
    expectation themselves.
    """

    mended: pa.ChunkedArray = field(default_factory=lambda: pa.chunked_array([], pa.string()))
    batches: tuple[int, ...] = ()
    bad: pa.Table | None = None


def refused_before(
    tables: TableStore, name: str, before: TableVersion, *, key: Sequence[str]
) -> Refused:
    """Read what the quarantine `name` says of the rows in `before`."""
    quarantine = tables.latest(name)
    if quarantine is None:
        return Refused()
    entries = held_rows(tables, name)
    batches = refused_batches(quarantine)
    of_refused = pc.is_in(entries[BATCH], value_set=pa.array(batches, pa.int64()))
    bad = entries.filter(pc.and_kleene(entries["by_row"], of_refused))
    return Refused(
        mended=entries.filter(pc.is_valid(entries["replayed_at"]))["row"],
        batches=tuple(batches),
        bad=keys_of(bad, key, before.schema, where=name),
    )
