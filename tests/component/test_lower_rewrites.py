# SPDX-License-Identifier: Apache-2.0
"""Rewrites for the delegate change the spelling and not one bit of the output; near misses are left alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from edgectl.lower.rewrites import rewrite_for_delegate
from torch import Tensor, nn

IMAGE = (1, 3, 5, 7)


class Call(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, inputs: Tensor) -> Tensor:
        return self.function(inputs)


def graph_of(function: Callable[[Tensor], Tensor], shape: tuple[int, ...]) -> Any:
    return torch.export.export(Call(function), (torch.zeros(shape),)).module()


@pytest.mark.parametrize("dims", [[2, 3], [-1, -2], [3, 2], [2, -1]])
def test_mean_over_the_plane_becomes_what_the_delegate_takes(dims: list[int]) -> None:
    graph = graph_of(lambda image: image.mean(dims) * 2, IMAGE)
    inputs = torch.randn(IMAGE, generator=torch.Generator().manual_seed(0))
    before = graph(inputs)
    assert rewrite_for_delegate(graph) == 1
    assert torch.equal(graph(inputs), before)
    (mean,) = [node for node in graph.graph.nodes if node.target is torch.ops.aten.mean.dim]
    assert list(mean.args[1:]) == [[-1, -2], True]


@pytest.mark.parametrize(
    ("function", "shape"),
    [
        (lambda image: image.mean([2, 3], keepdim=True), IMAGE),
        (lambda image: image.mean([1, 2]), IMAGE),
        (lambda image: image.mean([3]), IMAGE),
        (lambda image: image.mean([2, 3], dtype=torch.float64), IMAGE),
        (lambda image: image.mean([0, 1]), (4, 5)),
        (lambda image: image.mean([2, 3]), (1, 2, 3, 4, 5)),
    ],
)
def test_other_means_stay_as_they_are(function: Callable[[Tensor], Tensor], shape: tuple[int, ...]) -> None:
    graph = graph_of(function, shape)
    before = str(graph.graph)
    assert rewrite_for_delegate(graph) == 0
    assert str(graph.graph) == before
