"""The hash of one value, as the module's words have it, a byte at a time."""

import hashlib
import struct

SEEDS = (
    (0x9E3779B185EBCA87, 0x165667B19E3779F9),
    (0xC2B2AE3D27D4EB4F, 0x27D4EB2F165667C5),
)
STEPS = (
    (0x9E3779B185EBCA87, 31, 0xC2B2AE3D27D4EB4F),
    (0x165667B19E3779F9, 29, 0x27D4EB2F165667C5),
)


def hash_by_the_book(content):
    if len(content) > 512:
        return struct.unpack("<QQ", hashlib.blake2b(content, digest_size=16).digest())
    words = []
    for (factor, added), (taken, shift, spread) in zip(SEEDS, STEPS, strict=True):
        state = (len(content) * factor + added) % 2**64
        for at in range(0, len(content), 8):
            word = int.from_bytes(content[at : at + 8], "little") * taken % 2**64
            word ^= word >> shift
            state = (state ^ word) * spread % 2**64
            state ^= state >> 32
        words.append(state)
    return tuple(words)
