# SPDX-License-Identifier: Apache-2.0
"""Rewrites for the delegate change the spelling and not the output; near misses are left alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from edgectl.lower.program import lower_graph
from edgectl.lower.rewrites import rewrite_for_delegate
from torch import Tensor, nn
from torch.nn import functional

aten = torch.ops.aten
IMAGE = (1, 3, 5, 7)
TOKENS = (1, 6, 8)
HEADS = (1, 2, 6, 4)
WEIGHT, BIAS = torch.arange(8.0), torch.arange(8.0) - 4


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


def attention(tokens: Tensor, **options: Any) -> Tensor:
    return functional.scaled_dot_product_attention(tokens, 2.0 * tokens, tokens + 1.0, **options)


def layer_norm(tokens: Tensor, *, weighted: bool = True, epsilon: float = 1e-5) -> Tensor:
    weight, bias = (WEIGHT, BIAS) if weighted else (None, None)
    return functional.layer_norm(tokens, (8,), weight, bias, epsilon)


REWRITTEN: dict[str, tuple[Callable[[Tensor], Tensor], tuple[int, ...], Any]] = {
    "chunk": (
        lambda image: torch.cat([part * 2.0 for part in image.chunk(2, 1)[::-1]], 1),
        (1, 6, 4, 4),
        aten.chunk.default,
    ),
    "split of uneven parts": (
        lambda tokens: torch.split(tokens, [2, 5, 1], -1)[1],
        TOKENS,
        aten.split_with_sizes.default,
    ),
    "select of a token": (lambda tokens: tokens[:, -1], TOKENS, aten.select.int),
    "expand to the same shape": (lambda tokens: tokens.expand(1, -1, -1), TOKENS, aten.expand.default),
    "mean over tokens": (lambda tokens: tokens.mean(1), TOKENS, None),
    "mean over tokens of a batch": (lambda tokens: tokens.mean(-2), (3, 6, 8), None),
    "layer norm": (layer_norm, TOKENS, aten.layer_norm.default),
    "layer norm of a batch": (layer_norm, (3, 2, 6, 8), aten.layer_norm.default),
    "layer norm without weights": (lambda tokens: layer_norm(tokens, weighted=False), TOKENS, aten.layer_norm.default),
    "layer norm, wide epsilon": (lambda tokens: layer_norm(tokens, epsilon=0.5), TOKENS, aten.layer_norm.default),
    "attention": (attention, HEADS, aten.scaled_dot_product_attention.default),
    "attention in a batch": (attention, (3, *HEADS[1:]), aten.scaled_dot_product_attention.default),
    "attention, other scale": (
        lambda tokens: attention(tokens, scale=0.1),
        HEADS,
        aten.scaled_dot_product_attention.default,
    ),
    "hard sigmoid": (functional.hardsigmoid, IMAGE, aten.hardsigmoid.default),
}


@pytest.mark.parametrize("name", REWRITTEN)
def test_what_was_outside_the_delegate_is_in_it_and_gives_the_same(name: str) -> None:
    function, shape, gone = REWRITTEN[name]
    graph = graph_of(lambda inputs: function(inputs + 1.0) * 2.0, shape)
    inputs = 3 * torch.randn(shape, generator=torch.Generator().manual_seed(0))
    before = graph(inputs)
    assert lower_graph(graph, (inputs,)).delegation.undelegated == {}
    assert rewrite_for_delegate(graph) == 1
    assert gone not in [node.target for node in graph.graph.nodes]
    torch.testing.assert_close(graph(inputs), before, rtol=1e-5, atol=1e-5)


def test_a_rewrite_finds_its_input_already_rewritten() -> None:
    graph = graph_of(lambda tokens: layer_norm(tokens).mean(1), TOKENS)
    before = graph(torch.ones(TOKENS).cumsum(2))
    assert rewrite_for_delegate(graph) == 2
    torch.testing.assert_close(graph(torch.ones(TOKENS).cumsum(2)), before, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("function", "shape"),
    [
        (lambda heads: attention(heads, is_causal=True), HEADS),
        (lambda heads: attention(heads, attn_mask=torch.ones(6, 6).tril().bool()), HEADS),
        (attention, (2, 6, 4)),
        (lambda tokens: functional.layer_norm(tokens, (6, 8)), TOKENS),
        (lambda tokens: tokens.mean(1, keepdim=True), TOKENS),
        (lambda tokens: tokens.mean(2), TOKENS),
    ],
)
def test_near_misses_of_tokens_stay_as_they_are(function: Callable[[Tensor], Tensor], shape: tuple[int, ...]) -> None:
    graph = graph_of(function, shape)
    before = str(graph.graph)
    assert rewrite_for_delegate(graph) == 0
    assert str(graph.graph) == before


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
