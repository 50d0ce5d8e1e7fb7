"""Reading a dataset as a stream, in memory that does not grow with its rows."""

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads


def stream(
    dataset: pads.Dataset,
    *,
    columns: Sequence[str] | None = None,
    where: pc.Expression | None = None,
    rows: int = 131_072,
) -> Iterator[pa.RecordBatch]:
    """Give the rows in batches of at most `rows`; those that are empty are left out.

    Row group after row group, since Arrow's scanner of a whole dataset reads a gigabyte ahead of who
    takes its batches. Groups that cannot hold what is asked for, by their footer, are not read.
    """
    asked = {
        "schema": dataset.schema,
        "columns": columns and list(columns),
        "filter": where,
        "batch_size": rows,
    }
    for file in dataset.get_fragments():
        for group in file.split_by_row_group(where, schema=dataset.schema):
            yield from (batch for batch in group.to_batches(**asked) if batch.num_rows)
