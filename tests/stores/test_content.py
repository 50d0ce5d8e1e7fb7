"""The digest of content: what is the same, and what is not."""

import datetime as dt
import decimal
import hashlib
import json
import math
import struct

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlops_dagster.stores.content import (
    ContentSum,
    content_sum,
    digest_of,
    digest_of_table,
    row_marks,
)
from mlops_dagster.stores.hashes import hex_digests
from tests.stores.by_the_book import hash_by_the_book

SCHEMA = pa.schema(
    [
        ("i", pa.int64()),
        ("f", pa.float64()),
        ("s", pa.string()),
        ("b", pa.binary()),
        ("t", pa.timestamp("us")),
        ("d", pa.decimal128(10, 2)),
        ("n", pa.list_(pa.int64())),
        ("o", pa.bool_()),
    ]
)
MOMENTS = st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2200, 1, 1))  # noqa: DTZ001 - naive column
CENTS = st.integers(-(10**9), 10**9).map(lambda cents: decimal.Decimal(cents).scaleb(-2))
ROW = st.fixed_dictionaries(
    {
        "i": st.none() | st.integers(-(2**63), 2**63 - 1),
        "f": st.none() | st.floats(),
        "s": st.none() | st.text("aé\0日", max_size=5),
        "b": st.none() | st.binary(max_size=5),
        "t": st.none() | MOMENTS,
        "d": st.none() | CENTS,
        "n": st.none() | st.lists(st.none() | st.integers(0, 9), max_size=3),
        "o": st.none() | st.booleans(),
    }
)

# Busy machines draw slowly; what is tested is not how fast.
relaxed = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])


def table_of(rows):
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def single(value, kind):
    return digest_of_table(pa.table({"x": pa.array([value], kind)}))


@relaxed
@given(rows=st.lists(ROW, max_size=12), data=st.data())
def test_order_of_rows_and_columns_and_chunks_do_not_count(rows, data):
    table = table_of(rows)
    shuffled = table_of(data.draw(st.permutations(rows)))
    columns = data.draw(st.permutations(SCHEMA.names))
    cut = data.draw(st.integers(0, len(rows)))
    chunked = pa.concat_tables([shuffled.slice(cut), shuffled.slice(0, cut)]).select(columns)
    assert digest_of_table(chunked) == digest_of_table(table)


@relaxed
@given(rows=st.lists(ROW, max_size=12), data=st.data())
def test_the_sum_of_parts_is_the_sum_of_the_whole(rows, data):
    cut = data.draw(st.integers(0, len(rows)))
    first, second = content_sum(table_of(rows[:cut])), content_sum(table_of(rows[cut:]))
    whole = content_sum(table_of(rows))
    assert first + second == whole
    assert whole - first == second
    assert ContentSum.parse(str(whole)) == whole


@relaxed
@given(rows=st.lists(ROW, min_size=1, max_size=8), data=st.data())
def test_one_changed_value_changes_the_digest(rows, data):
    at = data.draw(st.integers(0, len(rows) - 1))
    column = data.draw(st.sampled_from(SCHEMA.names))
    changed = [dict(row) for row in rows]
    changed[at][column] = data.draw(ROW)[column]
    before, after = table_of(rows), table_of(changed)
    same = repr(before.to_pylist()) == repr(after.to_pylist())
    assert (digest_of_table(before) == digest_of_table(after)) == same


@relaxed
@given(rows=st.lists(ROW, min_size=1, max_size=8))
def test_a_row_twice_is_not_a_row_once(rows):
    assert digest_of_table(table_of([*rows, rows[0]])) != digest_of_table(table_of(rows))


@relaxed
@given(values=st.lists(st.none() | st.text("aé\0日", max_size=4), max_size=8))
def test_every_kind_of_string_is_the_same_string(values):
    kinds = [
        pa.string(),
        pa.large_string(),
        pa.string_view(),
        pa.dictionary(pa.int32(), pa.string()),
    ]
    assert len({digest_of_table(pa.table({"s": pa.array(values, kind)})) for kind in kinds}) == 1


def test_units_of_a_timestamp_do_not_count_but_a_time_zone_does():
    moment = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
    naive = moment.replace(tzinfo=None)
    units = {single(naive, pa.timestamp(unit)) for unit in ("s", "ms", "us", "ns")}
    zones = {single(moment, pa.timestamp("us", zone)) for zone in ("UTC", "Europe/Berlin")}
    assert len(units) == len(zones) == 1
    assert units != zones


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((1, pa.int32()), (1, pa.int64())),
        ((1, pa.int64()), (1.0, pa.float64())),
        ((1.0, pa.float32()), (1.0, pa.float64())),
        ((True, pa.bool_()), (1, pa.int8())),
        ((None, pa.float64()), (math.nan, pa.float64())),
        ((None, pa.int64()), (0, pa.int64())),
        ((None, pa.string()), ("", pa.string())),
        ((0.0, pa.float64()), (-0.0, pa.float64())),
        (("1", pa.string()), (b"1", pa.binary())),
        (([], pa.list_(pa.int64())), (None, pa.list_(pa.int64()))),
        (([1], pa.list_(pa.int64())), ([1], pa.list_(pa.int32()))),
        ((dt.date(1970, 1, 2), pa.date32()), (1, pa.int32())),
    ],
)
def test_what_is_told_apart(one, other):
    assert single(*one) != single(*other)


def test_every_nan_is_the_same_nan():
    odd = np.array([0x7FF8000000000001, 0xFFF8000000000000], np.uint64).view(np.float64)
    assert single(odd[0], pa.float64()) == single(odd[1], pa.float64())


def test_values_in_the_other_column_are_other_values():
    one = pa.table({"a": [1, None], "b": [None, 2]})
    other = pa.table({"a": [None, 1], "b": [None, 2]})
    swapped = pa.table({"a": [2, None], "b": [None, 1]})
    assert len({digest_of_table(table) for table in (one, other, swapped)}) == 3


def test_a_column_of_nulls_changes_the_schema_but_no_sum():
    table = pa.table({"a": [1, 2]})
    wider = table.append_column("b", pa.nulls(2, pa.float64()))
    assert content_sum(wider) == content_sum(table)
    assert digest_of_table(wider) != digest_of_table(table)


def test_columns_of_ours_take_no_part():
    table = pa.table({"a": [1, 2]})
    assert digest_of_table(table.append_column("_batch", [[1, 2]])) == digest_of_table(table)
    assert content_sum(pa.table({"_batch": [1, 2]})).rows == 2


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.binary()])
def test_texts_that_all_differ_sum_to_what_each_alone_does(kind):
    texts = pa.array([f"é{number}" for number in range(600)]).cast(kind)
    alone = [content_sum(pa.table({"a": texts.slice(at, 1)})) for at in range(600)]
    assert content_sum(pa.table({"a": texts})) == sum(alone, ContentSum())


def test_hashes_that_were_made_before_sum_to_the_same():
    texts = [f"text {number % 7}" for number in range(40_000)]
    told = hex_digests(pa.array(texts))
    table = pa.table({"_batch": [1] * 40_000, "a": texts, "told": told})
    assert content_sum(table, hashed={"a": "told"}) == content_sum(table)


FINALISERS = (
    (30, 0xBF58476D1CE4E5B9, 27, 0x94D049BB133111EB, 31),
    (33, 0xFF51AFD7ED558CCD, 33, 0xC4CEB9FE1A85EC53, 33),
)
ROW_CONSTANTS = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F)


def mixed(word, lane):
    shift_1, factor_1, shift_2, factor_2, shift_3 = FINALISERS[lane]
    word = ((word ^ (word >> shift_1)) * factor_1) % 2**64
    word = ((word ^ (word >> shift_2)) * factor_2) % 2**64
    return word ^ (word >> shift_3)


def halves(content, person=b""):
    both = hashlib.blake2b(content, digest_size=16, person=person).digest()
    return struct.unpack("<QQ", both)


def words(value):
    match value:
        case bool() | int():
            return (value % 2**64,) * 2
        case float():
            bits = (
                0x7FF8000000000000
                if math.isnan(value)
                else struct.unpack("<Q", struct.pack("<d", value))[0]
            )
            return bits, bits
        case str():
            return hash_by_the_book(value.encode())
        case bytes():
            return hash_by_the_book(value)
        case decimal.Decimal():
            return hash_by_the_book(f"{value:.2f}".encode())
        case dt.datetime():
            epoch = dt.datetime(1970, 1, 1)  # noqa: DTZ001 - a column without a zone
            return ((value - epoch) // dt.timedelta(microseconds=1) % 2**64,) * 2
    return hash_by_the_book(json.dumps(value).encode())


def digest_by_the_book(table):
    """Follow the words of the module, a value at a time."""
    kinds = {"i": "int64", "f": "double", "s": "string", "b": "binary", "t": "timestamp"}
    kinds |= {"d": "decimal(10,2)", "n": "list<int64>", "o": "bool"}
    sums = [0, 0]
    for row in table.to_pylist():
        for lane in (0, 1):
            total = ROW_CONSTANTS[lane]
            for name, value in row.items():
                if value is not None:
                    seed = halves(f"{kinds[name]}\0{name}".encode(), b"mlops_dagster")[lane]
                    total += mixed(words(value)[lane] ^ seed, lane)
            sums[lane] = (sums[lane] + mixed(total % 2**64, lane)) % 2**64
    columns = sorted([name, kind] for name, kind in kinds.items())
    told = json.dumps(["v2", columns, *sums, table.num_rows])
    return f"v2:{hashlib.sha256(told.encode()).hexdigest()[:32]}"


@relaxed
@given(rows=st.lists(ROW, max_size=6))
def test_the_encoding_is_as_it_is_documented(rows):
    table = table_of(rows)
    assert digest_of_table(table) == digest_by_the_book(table)


def test_the_encoding_is_fixed():
    table = table_of(
        [
            {"i": -1, "f": 0.5, "s": "é", "b": b"\x00", "o": True, "n": [1, None]},
            {"t": dt.datetime(2026, 3, 1, 12), "d": decimal.Decimal("1.50")},  # noqa: DTZ001
        ]
    )
    assert digest_of_table(table) == "v2:42d65962d1f2998eaa88adad2c0ad1f3"
    assert digest_of(pa.schema([]), ContentSum()) == "v2:cc29f4c1644c6efe8182e99174e1c6cc"


def test_the_marks_of_rows_are_fixed_since_they_part_a_table():
    table = pa.table({"id": ["a", "é1", None], "n": [1, 2, 3]})
    assert row_marks(table, seed=7).tolist() == [
        439151537996267893,
        2882096424582014477,
        17810970739796067899,
    ]
