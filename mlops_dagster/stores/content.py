"""The digest of a table's content: what "the same rows" means. This encoding is fixed as `v2`.

Two tables have the same digest when they hold the same multiset of rows under the same columns,
whatever the order of rows and columns, the files and the chunks.

**Columns.** A column whose name starts with `_` takes no part. Each other one counts as its name and
its logical type. These are one type each: string, large, view and dictionary-encoded string (binary
alike); date32 and date64; timestamps of any unit (with a time zone they are another type than without);
times of any unit; list, large and fixed-size list. `int32` and `int64` are two types.

**Values.** Each value becomes a 64-bit word in each of two lanes:
integers and booleans as they are; dates as days; times, durations and timestamps (in UTC) as whole
microseconds; floats as the bits of the float64, all NaN alike, -0.0 unlike 0.0; strings and bytes as the
two words of their hash (`stores.hashes`); decimals as text and nested values as JSON text (sorted keys), then
like strings. The word is xor-ed with a seed of its column and lane (the two halves of the blake2b-128,
personalised "mlops_dagster", of type, a zero byte and name) and mixed by the finaliser of splitmix64 in
the first lane and of murmur3 in the second. A null adds nothing, so a column of nulls may come later
without touching what was summed. Halves are read as little-endian.

**Rows.** A row is the sum of its mixed words and a constant, mixed again; a table is the sum of its rows;
all modulo 2**64 and for each lane alone, with the number of rows beside it. Sums can be added and taken
away, so a table that grows is never read again to know its digest.

**Digest.** `v2:` and the first 32 hexadecimal digits of sha256 over the JSON of format, columns and sums.

It resists accidents (two different tables meet with a chance of about 2**-128), not an adversary who
chooses rows to collide: file digests guard what must not be forged.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlops_dagster.stores.hashes import Words, blake_each, hash_each, mostly_differ, read_digests
from mlops_dagster.stores.logical_types import is_bytes, is_text, type_name

Hashing: TypeAlias = Callable[[pa.Array], Words]
Hashed: TypeAlias = Mapping[str, str]
"""A column of text, and the one that has what `hex_digests` writes of each of its values."""

FORMAT = "v2"
NOTHING: Hashed = {}
CHUNK_ROWS = 32_768
"""Rows hashed at once: what fits a processor's cache."""

_WRAP = 2**64
_CANONICAL_NAN = np.uint64(0x7FF8000000000000)
_ROW = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F))
_MIX = (
    (30, np.uint64(0xBF58476D1CE4E5B9), 27, np.uint64(0x94D049BB133111EB), 31),
    (33, np.uint64(0xFF51AFD7ED558CCD), 33, np.uint64(0xC4CEB9FE1A85EC53), 33),
)


@dataclass(frozen=True, slots=True)
class ContentSum:
    """The sum of a multiset of rows: adding tables adds their sums."""

    first: int = 0
    second: int = 0
    rows: int = 0

    def __add__(self, other: "ContentSum") -> "ContentSum":
        return ContentSum(
            (self.first + other.first) % _WRAP,
            (self.second + other.second) % _WRAP,
            self.rows + other.rows,
        )

    def __sub__(self, other: "ContentSum") -> "ContentSum":
        return ContentSum(
            (self.first - other.first) % _WRAP,
            (self.second - other.second) % _WRAP,
            self.rows - other.rows,
        )

    def __str__(self) -> str:
        return f"{self.first:016x}.{self.second:016x}.{self.rows}"

    @classmethod
    def parse(cls, text: str) -> "ContentSum":
        """Read what `str` wrote."""
        first, second, rows = text.split(".")
        return cls(int(first, 16), int(second, 16), int(rows))


def digest_of(schema: pa.Schema, content: ContentSum) -> str:
    """Name the content of a table: `v2:` and 32 hexadecimal digits."""
    columns = sorted([field.name, type_name(field.type)] for field in counted(schema))
    told = json.dumps([FORMAT, columns, content.first, content.second, content.rows])
    return f"{FORMAT}:{hashlib.sha256(told.encode()).hexdigest()[:32]}"


def digest_of_table(table: pa.Table) -> str:
    """Name the content of a table that is in memory."""
    return digest_of(table.schema, content_sum(table))


def content_sum(table: pa.Table, *, hashed: Hashed = NOTHING) -> ContentSum:
    """Sum the rows of a table."""
    names = [field.name for field in counted(table.schema)]
    if not names:
        return ContentSum(rows=table.num_rows)
    batches = table.select(names).to_batches(max_chunksize=CHUNK_ROWS)
    return sum_batches(batches, hashed=hashed)


def sum_batches(batches: Iterable[pa.RecordBatch], *, hashed: Hashed = NOTHING) -> ContentSum:
    """Sum the rows of a stream, in flat memory."""
    total = ContentSum()
    for batch in batches:
        for start in range(0, batch.num_rows, CHUNK_ROWS):
            total += _sum_batch(batch.slice(start, CHUNK_ROWS), hashed)
    return total


def is_current(digest: str) -> bool:
    """Tell whether a digest is of this encoding, so that its sums can be added to."""
    return digest.startswith(f"{FORMAT}:")


def counted(schema: pa.Schema) -> list[pa.Field]:
    """List the columns that a digest depends on."""
    return [field for field in schema if not field.name.startswith("_")]


def row_marks(table: pa.Table, *, seed: int = 0) -> Words:
    """Mark each row with 64 evenly spread bits of its content: the first lane, with a seed mixed in.

    Equal rows have equal marks, whatever stands before or after them.
    """
    salt = _lanes(str(seed).encode(), person=b"row_marks")[0]
    scratch = np.empty(CHUNK_ROWS, np.uint64)
    parts = [
        _mix(_row_sums(part, hashing=blake_each)[0] + _ROW[0] + salt, 0, scratch[: part.num_rows])
        for part in table.to_batches(max_chunksize=CHUNK_ROWS)
    ]
    return np.concatenate(parts) if parts else np.empty(0, np.uint64)


def _sum_batch(batch: pa.RecordBatch, hashed: Hashed) -> ContentSum:
    own = batch.select([field.name for field in counted(batch.schema)])
    scratch = np.empty(batch.num_rows, np.uint64)
    totals = [
        int(_mix(row_sums + _ROW[lane], lane, scratch).sum(dtype=np.uint64))
        for lane, row_sums in enumerate(_row_sums(own, hashed))
    ]
    return ContentSum(totals[0], totals[1], batch.num_rows)


def _row_sums(
    batch: pa.RecordBatch, hashed: Hashed = NOTHING, *, hashing: Hashing = hash_each
) -> list[Words]:
    sums = [np.zeros(batch.num_rows, np.uint64), np.zeros(batch.num_rows, np.uint64)]
    scratch = np.empty(batch.num_rows, np.uint64)
    for field, column in zip(batch.schema, batch.columns, strict=True):
        if column.null_count == len(column):
            continue
        present = column.is_valid().to_numpy(zero_copy_only=False) if column.null_count else None
        seeds = _seeds(field)
        told = hashed.get(field.name)
        both = _lanes_of(read_digests(batch[told])) if told else _words(column, hashing)
        for lane, words in enumerate(both):
            mixed = _mix(words ^ seeds[lane], lane, scratch)
            if present is not None:
                mixed *= present
            sums[lane] += mixed
    return sums


def _mix(words: Words, lane: int, scratch: Words) -> Words:
    """Spread every bit of each word over all of it, in place."""
    shift_1, factor_1, shift_2, factor_2, shift_3 = _MIX[lane]
    np.right_shift(words, shift_1, out=scratch)
    words ^= scratch
    words *= factor_1
    np.right_shift(words, shift_2, out=scratch)
    words ^= scratch
    words *= factor_2
    np.right_shift(words, shift_3, out=scratch)
    words ^= scratch
    return words


def _seeds(field: pa.Field) -> Words:
    text = f"{type_name(field.type)}\0{field.name}"
    return _lanes(text.encode(), person=b"mlops_dagster")


def _lanes(content: bytes, *, person: bytes = b"") -> Words:
    return np.frombuffer(hashlib.blake2b(content, digest_size=16, person=person).digest(), "<u8")


def _words(column: pa.Array, hashing: Hashing) -> tuple[Words, Words]:
    """Turn values into words, one array for each lane; what stands for a null is arbitrary."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _words(column.dictionary_decode(), hashing)
    if isinstance(column, pa.ExtensionArray):
        return _words(column.storage, hashing)
    if pa.types.is_floating(kind):
        return _float_words(column)
    if (texts := _as_text(column)) is not None:
        return _encoded_words(texts, hashing)
    words = _integers(column).fill_null(0).to_numpy(zero_copy_only=False).view(np.uint64)
    return words, words


def _as_text(column: pa.Array) -> pa.Array | None:
    """Write what is no number as text or bytes."""
    kind = column.type
    if is_text(kind) or is_bytes(kind):
        return column
    if pa.types.is_decimal(kind):
        return column.cast(pa.string())
    if pa.types.is_nested(kind):
        return pa.array([_json(value) for value in column.to_pylist()], pa.string())
    return None


def _integers(column: pa.Array) -> pa.Array:
    kind = column.type
    if pa.types.is_timestamp(kind):
        return column.cast(pa.timestamp("us", kind.tz), safe=False).view(pa.int64())
    if pa.types.is_time(kind):
        return column.cast(pa.time64("us"), safe=False).view(pa.int64())
    if pa.types.is_duration(kind):
        return column.cast(pa.duration("us"), safe=False).view(pa.int64())
    if pa.types.is_date(kind):
        return column.cast(pa.date32()).view(pa.int32()).cast(pa.int64())
    return column if kind == pa.uint64() else column.cast(pa.int64())


def _float_words(column: pa.Array) -> tuple[Words, Words]:
    values = column.cast(pa.float64()).fill_null(0.0).to_numpy(zero_copy_only=False)
    words = values.view(np.uint64)
    missing = np.isnan(values)
    if missing.any():
        words = np.where(missing, _CANONICAL_NAN, words)
    return words, words


def _encoded_words(column: pa.Array, hashing: Hashing) -> tuple[Words, Words]:
    """Hash each different value once."""
    plain = column.cast(pa.large_string() if is_text(column.type) else pa.large_binary())
    if not plain.null_count and mostly_differ(plain):
        return _lanes_of(hashing(plain))
    encoded = pc.dictionary_encode(plain)
    first, second = _lanes_of(hashing(encoded.dictionary))
    indices = encoded.indices.fill_null(0).to_numpy(zero_copy_only=False)
    return first[indices], second[indices]


def _lanes_of(hashes: Words) -> tuple[Words, Words]:
    return hashes[:, 0], hashes[:, 1]


def _json(value: object) -> str | None:
    return None if value is None else json.dumps(value, sort_keys=True, default=str)
