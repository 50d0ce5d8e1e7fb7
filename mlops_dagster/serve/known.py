"""Which predictions were there before a run, so that each is made once."""

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads

from mlops_dagster.serve.answers import Asked
from mlops_dagster.stores.streams import stream
from mlops_dagster.stores.tables import TableStore

MARKS = ("prediction_id", "input_digest", "model_version")
"""What makes a prediction the same: its id, its inputs, the version that made it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """The predictions of one version of the table. Opened once, since a table of many files is dear to open.

    What a run makes itself is not looked for: accepted rows have each key once, and rows without a key
    are counted, so that no id comes twice in a run.
    """

    stored: pads.Dataset | None

    @classmethod
    def now(cls, tables: TableStore, name: str) -> "Known":
        """Take the predictions that are there now."""
        version = tables.latest(name)
        if version is None:
            return cls(stored=None)
        return cls(stored=tables.dataset(name, version=version.ref.version))

    def marks(self, asked: Asked) -> pa.Table:
        """Read the marks of those predictions that are there already; streams, so memory stays flat."""
        schema = pa.schema([(mark, pa.string()) for mark in MARKS])
        if self.stored is None or not asked.named.num_rows:
            return schema.empty_table()
        ids = asked.named["prediction_id"].combine_chunks()
        found = [
            batch.filter(pc.is_in(batch["prediction_id"], value_set=ids))
            for batch in stream(self.stored, columns=MARKS, where=_inside(asked.named["window"]))
        ]
        return pa.Table.from_batches(found, schema)


def is_done(asked: Asked, known: pa.Table, *, version: str) -> pa.ChunkedArray:
    """Tell of each row whether its prediction is there: same id, same inputs, same version."""
    told = asked.named.select(MARKS[:2])
    same = known.filter(pc.equal(known["model_version"], version))
    return pc.is_in(_joined(told), value_set=_joined(same).combine_chunks())


def is_known(made: pa.Table, known: pa.Table) -> pa.ChunkedArray:
    """Tell of each prediction whether there is an older one in its place."""
    return pc.is_in(made["prediction_id"], value_set=known["prediction_id"].combine_chunks())


def _joined(marks: pa.Table) -> pa.ChunkedArray:
    return pc.binary_join_element_wise(marks[MARKS[0]], marks[MARKS[1]], "/")


def _inside(windows: pa.ChunkedArray) -> pc.Expression:
    """Choose windows; the range lets a file or a part of it be passed over by what its footer says."""
    named, window = pc.unique(windows), pc.field("window")
    ends = pc.min_max(named)
    return (window >= ends["min"]) & (window <= ends["max"]) & window.isin(named)
