# SPDX-License-Identifier: Apache-2.0
"""Batch-norm statistics of a cut model, estimated anew on calibration items.

Channels that went leave the statistics of what follows wrong. One pass in which every norm normalises by its batch and
the batches' means and variances are averaged sets them right, without a gradient.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch.fx import GraphModule, Interpreter, Node

from edgectl.compress.carrier import batched_inputs
from edgectl.cores import Work

aten = torch.ops.aten
_BATCHES = 32
_BATCH_SIZE = 32


def has_batch_norm(graph: GraphModule) -> bool:
    """Whether any statistics are kept."""
    return any(node.target is aten.batch_norm.default and node.args[3] is not None for node in graph.graph.nodes)


def reestimate(
    graph: GraphModule, batches: Iterable[tuple[torch.Tensor, ...]], *, dynamic_batch: bool, work: Work
) -> int:
    """Set the running means and variances of a graph, in place; returns how many batches they come from.

    `batches` are inputs of the graph; with a dynamic batch small ones are put together.
    """
    estimator = _Estimator(graph)
    count = 0
    with torch.no_grad():
        for batch in itertools.islice(_joined(batches) if dynamic_batch else batches, _BATCHES):
            work.breathe()
            estimator.run(*batch)
            count += 1
    estimator.write()
    return count


def _joined(batches: Iterable[tuple[torch.Tensor, ...]]) -> Iterator[tuple[torch.Tensor, ...]]:
    waiting: list[tuple[torch.Tensor, ...]] = []
    for batch in batches:
        alike = not waiting or all(a.shape[1:] == b.shape[1:] for a, b in zip(waiting[0], batch, strict=True))
        if waiting and (not alike or sum(one[0].shape[0] for one in waiting) >= _BATCH_SIZE):
            yield _concatenated(waiting)
            waiting = []
        waiting.append(batch)
    if waiting:
        yield _concatenated(waiting)


def _concatenated(batches: list[tuple[torch.Tensor, ...]]) -> tuple[torch.Tensor, ...]:
    along = batched_inputs(batches[0])
    columns = zip(*batches, strict=True)
    return tuple(torch.cat(column) if batched else column[0] for column, batched in zip(columns, along, strict=True))


class _Estimator(Interpreter):
    """Runs a graph with every batch norm on its batch's statistics, and adds those up."""

    def __init__(self, graph: GraphModule) -> None:
        super().__init__(graph)
        self._sums: dict[str, tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, int]] = {}

    def run_node(self, n: Node) -> Any:
        if n.target is not aten.batch_norm.default:
            return super().run_node(n)
        arguments, _ = self.fetch_args_kwargs_from_env(n)
        inputs, mean, variance = arguments[0], arguments[3], arguments[4]
        if mean is None or inputs.numel() // inputs.shape[1] < 2:
            return super().run_node(n)
        others = [dim for dim in range(inputs.ndim) if dim != 1]
        seen = torch.var_mean(inputs, dim=others)
        _, _, variances, means, count = self._sums.get(
            n.name, (variance, mean, torch.zeros_like(variance), torch.zeros_like(mean), 0)
        )
        self._sums[n.name] = (variance, mean, variances + seen[0], means + seen[1], count + 1)
        weight, bias, epsilon = arguments[1], arguments[2], arguments[7]
        return torch.nn.functional.batch_norm(inputs, None, None, weight, bias, training=True, eps=epsilon)

    def write(self) -> None:
        """Write the averages into the graph's buffers."""
        for variance, mean, variances, means, count in self._sums.values():
            variance.copy_(variances / count)
            mean.copy_(means / count)
