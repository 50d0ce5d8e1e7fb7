import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_dagster.stores.hashes import LONG, hash_each, hex_digests, read_digests
from tests.stores.by_the_book import hash_by_the_book

EDGES = [b"", b"a", b"a\0", b"1234567", b"12345678", b"123456789", b"x" * LONG, b"x" * (LONG + 1)]


@settings(deadline=None, max_examples=60)
@given(values=st.lists(st.binary(max_size=40) | st.sampled_from(EDGES)))
def test_each_value_is_hashed_as_it_is_documented(values):
    found = [tuple(one) for one in hash_each(pa.array(values, pa.binary())).tolist()]
    assert found == [hash_by_the_book(one) for one in values]


def test_the_hash_is_fixed():
    assert hex_digests(pa.array(["", "a", "é" * 100, "x" * 600])).to_pylist() == [
        "f979379eb1675616c56756162febd427",
        "41ffeb73a1070ee7783aedc72aae0969",
        "3a17a60c607a2f206967de04a0adb84d",
        "dedbd85b39d010398f521b688167210a",
    ]


@pytest.mark.parametrize("count", [8_191, 8_192, 20_000])
def test_many_values_in_pieces_and_slices_hash_as_each_alone(count):
    texts = [f"{number:x}" * (number % 9) for number in range(count)]
    whole = hash_each(pa.array(texts, pa.string()))
    pieces = pa.chunked_array([texts[:5], texts[5:]])
    assert (hash_each(pieces) == whole).all()
    assert (hash_each(pa.array(["before", *texts]).slice(1)) == whole).all()
    assert tuple(whole[-1].tolist()) == hash_by_the_book(texts[-1].encode())


def test_a_hundred_thousand_texts_that_are_alike_do_not_meet():
    texts = pa.array([f"{number:032b}" for number in range(100_000)])
    hashes = hash_each(texts)
    for lane in (0, 1):
        assert len(set(hashes[:, lane].tolist())) == len(texts)


def test_written_digests_read_back():
    texts = pa.array(["", "a", "é" * 100])
    assert (read_digests(hex_digests(texts)) == hash_each(texts)).all()
    assert hex_digests(pa.array([], pa.string())).to_pylist() == []
