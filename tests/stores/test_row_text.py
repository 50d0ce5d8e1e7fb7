"""A part of a row that was written as text is what that part would be alone."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import pyarrow as pa

from mlops_dagster.stores.row_text import parts_of, to_text


def test_parts_of_written_rows_are_as_they_would_be_written_alone():
    rows = pa.table(
        {
            "at": pa.array([datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC), None]),
            "day": [date(2026, 1, 2), date(2026, 1, 3)],
            "hour": [time(4, 5), None],
            "took": [timedelta(seconds=1.5), None],
            "price": [Decimal("1.10"), None],
            "ratio": [1.0, 0.1],
            "name": ["Zoë", None],
            "bytes": [b"\x00", None],
        }
    )
    for names in (["at"], ["price", "name"], ["ratio", "day", "bytes"], rows.column_names):
        assert parts_of(to_text(rows), names) == to_text(rows.select(names))
