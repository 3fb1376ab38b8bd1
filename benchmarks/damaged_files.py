# SPDX-License-Identifier: Apache-2.0
"""Files damaged on purpose: truncated, with bits flipped, with a word overwritten, or random from end to end."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

MOST_FLIPS = 8
WORD_BYTES = 8


def truncated(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data))]


def flipped(data: bytes, rng: random.Random) -> bytes:
    """One to eight bits of it, anywhere."""
    damaged = bytearray(data)
    for _ in range(rng.randint(1, MOST_FLIPS)):
        damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
    return bytes(damaged)


def overwritten(data: bytes, rng: random.Random) -> bytes:
    """A word of zeros, of ones, or of anything: offsets and sizes are made of such."""
    damaged = bytearray(data)
    at = rng.randrange(len(damaged) - WORD_BYTES)
    damaged[at : at + WORD_BYTES] = rng.choice([bytes(WORD_BYTES), b"\xff" * WORD_BYTES, rng.randbytes(WORD_BYTES)])
    return bytes(damaged)


def randomized(data: bytes, rng: random.Random) -> bytes:
    """Random bytes; every second time after the head of the real file, which is what a reader looks at first."""
    head = data[: rng.choice([0, 64])]
    return head + rng.randbytes(len(data) - len(head))


DAMAGES: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "truncated": truncated,
    "flipped": flipped,
    "overwritten": overwritten,
    "random": randomized,
}


def damaged_files(data: bytes, rng: random.Random) -> Iterator[tuple[str, bytes]]:
    """The kinds of damage in turn, without end, as (kind, bytes); the bytes always differ from `data`."""
    while True:
        for kind, damage in DAMAGES.items():
            damaged = damage(data, rng)
            while damaged == data:
                damaged = damage(data, rng)
            yield kind, damaged
