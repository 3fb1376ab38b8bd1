# SPDX-License-Identifier: Apache-2.0
"""Running a graph on batches of any size, also one whose export fixed the batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch.utils import _pytree as pytree

from edgectl.compress.data.batches import items_in
from edgectl.compress.data.example import Example, Inputs
from edgectl.cores import NEVER_PAUSED, Work

CHUNK = 512


def run_batch(graph: Callable[..., Any], batch: Inputs, example: Example, *, chunk: int = CHUNK) -> Any:
    """The outputs for a batch: in chunks of at most `chunk` items, or of the example's own batch where it is fixed.

    The last chunk of a fixed batch is filled up by repeating its last item, and cut again.
    """
    count = items_in(batch, example)
    size = chunk if example.dynamic_batch else example.batch_size
    if not any(example.batched) or (count <= size and (example.dynamic_batch or count == size)):
        return graph(*batch)
    outputs = [graph(*piece) for piece in pieces(batch, example, size)]
    return pytree.tree_map(lambda *parts: _joined(parts, size, count), *outputs)


def pieces(batch: Inputs, example: Example, size: int) -> Iterator[Inputs]:
    """Parts of a batch: of at most `size` items, or of exactly `size` where the example's batch is fixed."""
    count = items_in(batch, example)
    for low in range(0, count, size):
        rows = torch.arange(low, low + size if not example.dynamic_batch else min(count, low + size))
        rows = rows.clamp(max=count - 1)
        yield tuple(
            tensor[rows.to(tensor.device)] if batched else tensor
            for tensor, batched in zip(batch, example.batched, strict=True)
        )


def predictions(
    graph: Callable[..., Any], batches: Sequence[Inputs], example: Example, *, work: Work = NEVER_PAUSED
) -> Iterator[Any]:
    """The outputs of each batch, without gradients; `work` breathes between two."""
    with torch.no_grad():
        for batch in batches:
            work.breathe()
            yield run_batch(graph, batch, example)


def _joined(parts: Sequence[Any], size: int, count: int) -> Any:
    first = parts[0]
    if not isinstance(first, torch.Tensor):
        return first
    if first.ndim and first.shape[0] == size:
        return torch.cat(list(parts))[:count]
    return first
