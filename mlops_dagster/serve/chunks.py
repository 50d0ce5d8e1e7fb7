"""Scoring the waiting rows chunk by chunk on threads, and writing them in larger pieces."""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads

from mlops_dagster.compute.local import Compute
from mlops_dagster.serve.answers import Scorer
from mlops_dagster.serve.known import Known, is_done, is_known
from mlops_dagster.stores.streams import stream
from mlops_dagster.stores.tables import TableStore, is_unknown

HASHED: Mapping[str, str] = {"inputs": "input_digest"}
ROWS_OF_A_WRITE = 131_072
_WORKERS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """What was made of one chunk: `fresh` predictions, and those `again` that replace an older one."""

    waiting: int
    fresh: pa.Table | None = None
    again: pa.Table | None = None

    @property
    def made(self) -> int:
        """The predictions that were made now."""
        return sum(one.num_rows for one in (self.fresh, self.again) if one)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkScorer:
    """Scores a chunk's rows that have no prediction yet, or those of the window `only`."""

    scorer: Scorer
    known: Known
    join: Callable[[pa.Table], pa.Table]
    only: str = ""
    users_code: threading.Lock = field(default_factory=threading.Lock)

    def each(self, compute: Compute, chunks: Iterable[pa.Table]) -> Iterator[Chunk]:
        """Score chunk after chunk, in order, ahead of who takes them."""
        # Equal rows without a key are counted in the order of the table.
        workers = _WORKERS if self.scorer.model.key else 1
        for done in compute.map_tasks(self.score, chunks, workers=workers):
            yield done.value()

    def score(self, rows: pa.Table) -> Chunk:
        """Score one chunk."""
        asked = self.scorer.asked(self.join(rows))
        if self.only:
            asked = asked.only(pc.equal(asked.named["window"], self.only))
        known = self.known.marks(asked)
        if known.num_rows and not self.only:
            done = is_done(asked, known, version=self.scorer.champion.version)
            asked = asked.only(pc.invert(done))
        if not asked.named.num_rows:
            return Chunk(waiting=rows.num_rows)
        made = self.scorer.answered(asked, alone=self.users_code)
        if not known.num_rows:
            return Chunk(waiting=rows.num_rows, fresh=made)
        old = is_known(made, known)
        return Chunk(
            waiting=rows.num_rows, fresh=made.filter(pc.invert(old)), again=made.filter(old)
        )


@dataclass(slots=True, kw_only=True)
class PieceWriter:
    """Holds predictions until they are worth a commit of their own: few files are opened faster."""

    tables: TableStore
    name: str
    fresh: list[pa.Table] = field(default_factory=list)
    again: list[pa.Table] = field(default_factory=list)

    def put(self, chunk: Chunk) -> None:
        """Take a chunk, and write what is enough."""
        self.fresh.extend(filter(None, [chunk.fresh]))
        self.again.extend(filter(None, [chunk.again]))
        self._write(at_least=ROWS_OF_A_WRITE)

    def finish(self) -> None:
        """Write what is left."""
        self._write(at_least=1)

    def _write(self, *, at_least: int) -> None:
        if sum(one.num_rows for one in self.fresh) >= at_least:
            # A prediction's id names its window, and none of these is there: no key is to be compared.
            self.tables.append(self.name, _together(self.fresh), hashed=HASHED)
            self.fresh.clear()
        if sum(one.num_rows for one in self.again) >= at_least:
            # An id is in one window only: naming that as well leaves files of other windows alone.
            again = _together(self.again)
            self.tables.upsert(self.name, again, key=["window", "prediction_id"])
            self.again.clear()


def _together(pieces: list[pa.Table]) -> pa.Table:
    """Put chunks under one another: a model may answer with whole numbers in one, and not in the next."""
    return pa.concat_tables(pieces, promote_options="permissive")


def waiting_rows(source: pads.Dataset, *, target: str, chunk_rows: int) -> Iterator[pa.Table]:
    """Stream the rows whose target is null, in chunks; a table of many files gives few."""
    held, count = [], 0
    for batch in stream(source, where=is_unknown(source.schema, target), rows=chunk_rows):
        held.append(batch)
        count += batch.num_rows
        if count >= chunk_rows:
            rows = pa.Table.from_batches(held)
            yield rows.slice(0, chunk_rows)
            held, count = rows.slice(chunk_rows).to_batches(), count - chunk_rows
    if count:
        yield pa.Table.from_batches(held)
