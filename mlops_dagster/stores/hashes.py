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
_FIRST_BYTES = np.array([256**count - 1 for count in range(_WORD + 1)], np.uint64)


def hash_each(values: pa.Array | pa.ChunkedArray) -> Words:
    """Hash each value, none of them null: a row of two words for each."""
    column = values.cast(pa.large_binary())  # first, since the offsets of text end at 2 GiB
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    hashes = np.empty((len(column), 2), np.uint64)
    if not len(column):
        return hashes
    _, ends, content = column.buffers()
    bounds = np.frombuffer(ends, np.int64)[column.offset : column.offset + len(column) + 1]
    words = _words_at(content, *bounds[[0, -1]].tolist())
    for at in range(0, len(column), _AT_ONCE):
        starts, lengths = (
            bounds[at : at + _AT_ONCE] - bounds[0],
            np.diff(bounds[at : at + _AT_ONCE + 1]),
        )
        hashes[at : at + _AT_ONCE] = _hashed(words, starts[: len(lengths)], lengths)
    long = np.flatnonzero(np.diff(bounds) > LONG)
    if len(long):
        hashes[long] = blake_each(column.take(pa.array(long)))
    return hashes


def blake_each(values: pa.Array | pa.ChunkedArray) -> Words:
    """Hash each value, none of them null, by blake2b-128: for what must stay as it was once told."""
    contents = values.cast(pa.large_binary()).to_pylist()
    told = b"".join(hashlib.blake2b(one, digest_size=16).digest() for one in contents)
    return np.frombuffer(told, "<u8").reshape(-1, 2)


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


def _words_at(content: pa.Buffer | None, first_byte: int, end: int) -> Words:
    """Give the word that starts at each byte, with zeros behind the last one."""
    size = end - first_byte
    padded = np.zeros(size + _WORD, np.uint8)
    if content is not None:
        padded[:size] = np.frombuffer(content, np.uint8)[first_byte:end]
    first = padded[:_WORD].view("<u8")
    return np.lib.stride_tricks.as_strided(first, shape=(size + 1,), strides=(1,), writeable=False)


def _hashed(words: Words, starts: Places, lengths: Places) -> Words:
    states = [lengths.astype(np.uint64) * factor + sum_ for factor, sum_ in _SEEDS]
    lengths = np.where(lengths > LONG, 0, lengths)
    whole = int(lengths.min()) // _WORD * _WORD
    for at in range(0, whole, _WORD):
        taken = words[starts + at]
        states = [_taken_in(state, taken, lane) for lane, state in enumerate(states)]
    for at in range(whole, int(lengths.max()), _WORD):
        live = np.flatnonzero(lengths > at)
        taken = words[starts[live] + at] & _FIRST_BYTES[np.minimum(lengths[live] - at, _WORD)]
        for lane, state in enumerate(states):
            state[live] = _taken_in(state[live], taken, lane)
    return np.stack(states, axis=1)


def _taken_in(state: Words, taken: Words, lane: int) -> Words:
    factor, shift, spread = _STEPS[lane]
    word = taken * factor
    word ^= word >> shift
    word ^= state
    word *= spread
    word ^= word >> _SHIFT
    return word
