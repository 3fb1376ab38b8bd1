# SPDX-License-Identifier: Apache-2.0
"""Whether what a model is judged by is apart from what it learned from."""

from __future__ import annotations

import hashlib

import torch

from edgectl.compress.data.splits import DataSplits

_RANGE_FACTOR = 4.0


def split_notes(data: DataSplits) -> tuple[str, ...]:
    """Lines on test items that are training items too, and on test inputs of another range; none where all is well."""
    notes = []
    known = set(item_digests(data.train_inputs))
    shared = sum(digest in known for digest in item_digests(data.test_inputs))
    if shared:
        notes.append(f"{shared} of {len(data.test_inputs)} test items are training items too: keep them apart")
    learned, judged = (float(part.abs().max()) for part in (data.train_inputs, data.test_inputs))
    if learned and judged and not 1 / _RANGE_FACTOR <= judged / learned <= _RANGE_FACTOR:
        notes.append(f"test inputs reach {judged:.3g} and training inputs {learned:.3g}: are both scaled alike?")
    return tuple(notes)


def item_digests(inputs: torch.Tensor) -> list[bytes]:
    """A digest of the content of each item of [N, ...]."""
    flat = inputs.contiguous().reshape(len(inputs), -1).numpy()
    return [hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in flat]
