"""Rows that a version was not fitted on, to try it with."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.dataset as pads


def spread_rows(held_out: pads.Dataset, *, columns: Sequence[str], most: int) -> pa.Table:
    """Take at most so many rows, from all over a holdout."""
    count = held_out.count_rows()
    places = np.linspace(0, count - 1, min(most, count)).astype(int)
    return held_out.take(pa.array(places), columns=list(columns))
