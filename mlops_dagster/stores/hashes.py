"""128-bit hashes of many texts or bytes, by arithmetic on whole columns.

A hash is two 64-bit words, of little-endian integers modulo 2**64. Each starts from the length in bytes,
times its first factor, plus its first sum. Then eight bytes at a time (the last ones padded with zeros) are
taken in: times the second factor, xor-ed with itself shifted right; the state is xor-ed with that, times the
third factor, xor-ed with itself shifted right by 32. Of what is longer than 512 bytes the two halves of its
blake2b-128 are the hash.

Each step is a permutation of the state, so texts of one length that differ in one place never meet; others
do with a chance of about 2**-128. It resists accidents, not an adversary who chooses texts to collide.
"""

import hashlib
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

Words: TypeAlias = np.ndarray[Any, np.dtype[np.uint64]]
Places: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]

LONG = 512
_AT_ONCE = 8_192
_SAMPLE = 256
_WORD = 8
_SEEDS = (
    (np.uint64(0x9E3779B185EBCA87), np.uint64(0x165667B19E3779F9)),
    (np.uint64(0xC2B2AE3D27D4EB4F), np.uint64(0x27D4EB2F165667C5)),
)
_STEPS = (
    (np.uint64(0x9E3779B185EBCA87), np.uint64(31), np.uint64(0xC2B2AE3D27D4EB4F)),
    (np.uint64(0x165667B19E3779F9), np.uint64(29), np.uint64(0x27D4EB2F165667C5)),
)
_SHIFT = np.uint64(32)
_ZEROS = pa.array([bytes(count) for count in range(_WORD)], pa.large_binary())
_BLAKE = hashlib.blake2b(digest_size=16)
_NOTHING = pa.scalar(b"", pa.large_binary())


def hash_each(values: pa.Array | pa.ChunkedArray) -> Words:
    """Hash each value, none of them null: a row of two words for each."""
    column = values.cast(pa.large_binary())  # first, since the offsets of text end at 2 GiB
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    lengths = pc.binary_length(column).to_numpy()
    hashes = np.empty((len(column), 2), np.uint64)
    for at in range(0, len(column), _AT_ONCE):
        hashes[at : at + _AT_ONCE] = _hashed(
            column.slice(at, _AT_ONCE), lengths[at : at + _AT_ONCE]
        )
    long = np.flatnonzero(lengths > LONG)
    if len(long):
        hashes[long] = blake_each(column.take(pa.array(long)))
    return hashes


def blake_each(values: pa.Array | pa.ChunkedArray) -> Words:
    """Hash each value, none of them null, by blake2b-128: for what must stay as it was once told."""
    contents = values.cast(pa.large_binary()).to_pylist()
    return np.frombuffer(b"".join(map(_blake, contents)), "<u8").reshape(-1, 2)


def _blake(content: bytes) -> bytes:
    state = _BLAKE.copy()  # in half the time that making one takes
    state.update(content)
    return state.digest()


def hex_digests(values: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Write the hash of each value, none of them null, as 32 hexadecimal digits."""
    return in_hex(hash_each(values))


def in_hex(hashes: Words) -> pa.Array:
    """Write each hash as 32 hexadecimal digits."""
    told = hashes.astype("<u8", copy=False).tobytes().hex().encode()
    ends = np.arange(0, len(told) + 1, 32, dtype=np.int32)
    return pa.StringArray.from_buffers(len(hashes), pa.py_buffer(ends), pa.py_buffer(told))


def read_digests(digits: pa.Array) -> Words:
    """Read what `hex_digests` wrote."""
    told = bytes.fromhex("".join(digits.to_pylist()))
    return np.frombuffer(told, "<u8").reshape(-1, 2)


def mostly_differ(values: pa.Array | pa.ChunkedArray) -> bool:
    """Tell by the first values whether hardly any comes twice, so that looking for equal ones is in vain."""
    first = values.slice(0, _SAMPLE)
    return len(first) == _SAMPLE and len(pc.unique(first)) > 0.9 * _SAMPLE


def _hashed(column: pa.Array, lengths: Places) -> Words:
    """Hash values together: the first words of all, then the second ones of those that have them."""
    states = [lengths.astype(np.uint64) * factor + sum_ for factor, sum_ in _SEEDS]
    if (long := lengths > LONG).any():
        column = pc.if_else(pa.array(long), _NOTHING, column)  # nobody copies what is not read
        lengths = np.where(long, 0, lengths)
    counts = -(-lengths // _WORD)
    words, places = _words(column, lengths)
    shared = int(counts.min())
    scratch = np.empty((2, len(lengths)), np.uint64)
    for _ in range(shared):
        taken = words.take(places)
        for lane, state in enumerate(states):
            _take_in(state, taken, lane, scratch)
        places += 1
    for at in range(shared, int(counts.max())):
        live = np.flatnonzero(counts > at)
        taken = words.take(places[live])
        places += 1
        for lane, state in enumerate(states):
            longer = state[live]
            _take_in(longer, taken, lane, scratch[:, : len(live)])
            state[live] = longer
    return np.stack(states, axis=1)


def _words(column: pa.Array, lengths: Places) -> tuple[Words, Places]:
    """Give the words of all values, and the place of each one's first; zeros fill up its last one.

    A copy, since words that start at any byte are gathered twice as slowly.
    """
    zeros = _ZEROS.take(pa.array(-lengths % _WORD))
    padded = pc.binary_join_element_wise(column, zeros, _NOTHING)
    _, ends, content = padded.buffers()
    words = np.frombuffer(content or b"", "<u8")
    return words, np.frombuffer(ends, np.int64)[: len(padded)] // _WORD


def _take_in(state: Words, taken: Words, lane: int, scratch: Words) -> None:
    factor, shift, spread = _STEPS[lane]
    word, shifted = scratch
    np.multiply(taken, factor, out=word)
    word ^= np.right_shift(word, shift, out=shifted)
    word ^= state
    word *= spread
    np.bitwise_xor(word, np.right_shift(word, _SHIFT, out=shifted), out=state)
