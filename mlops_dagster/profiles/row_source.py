"""Reads the rows that are profiled: a sample of them, and all of them, batch by batch."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.dataset as pads

Rows: TypeAlias = pa.Table | pads.Dataset | pa.RecordBatchReader
BATCH_ROWS = 32_768
AHEAD = 2


class RowSource:
    """A table, a dataset or a reader, to be read more than once.

    A dataset is streamed with few batches in memory; a reader is loaded, since it can be read once only.
    """

    def __init__(self, rows: Rows) -> None:
        self._rows = rows.read_all() if isinstance(rows, pa.RecordBatchReader) else rows
        self.schema: pa.Schema = self._rows.schema

    def stream(self, columns: Sequence[str]) -> pa.Table | pa.RecordBatchReader:
        """Give all rows of some columns, in order."""
        if isinstance(self._rows, pa.Table):
            return self._rows
        return self._scan(columns).to_reader()

    def sample(self, columns: Sequence[str], most: int) -> pa.Table:
        """Give every n-th row, so that there are at least `most` (if there are) and less than twice that.

        A sample of all rows is kept, so that they are not read again: later only of `columns`.
        """
        rows = self._rows
        total = rows.num_rows if isinstance(rows, pa.Table) else rows.count_rows()
        if not isinstance(rows, pa.Table) and total <= most:
            rows = self._rows = self._scan(columns).to_table()
        step = max(total // most, 1)
        if isinstance(rows, pa.Table):
            chosen = rows.select(columns)
            return chosen if step == 1 else chosen.take(np.arange(0, total, step))
        parts, passed = [], 0
        for batch in self._scan(columns).to_batches():
            parts.append(batch.take(pa.array(np.arange(-passed % step, len(batch), step))))
            passed += len(batch)
        return pa.Table.from_batches(
            parts, schema=pa.schema([self.schema.field(one) for one in columns])
        )

    def _scan(self, columns: Sequence[str]) -> pads.Scanner:
        return self._rows.scanner(
            columns=list(columns),
            batch_size=BATCH_ROWS,
            batch_readahead=AHEAD,
            fragment_readahead=1,
            fragment_scan_options=self._options(),
        )

    def _options(self) -> pads.ParquetFragmentScanOptions | None:
        """Read a Parquet file as it is needed: by itself Arrow holds whole row groups, a third more."""
        parquet = isinstance(getattr(self._rows, "format", None), pads.ParquetFileFormat)
        return pads.ParquetFragmentScanOptions(pre_buffer=False) if parquet else None
