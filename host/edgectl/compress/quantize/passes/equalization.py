# SPDX-License-Identifier: Apache-2.0
"""Cross-layer equalization (Nagel, van Baalen, Blankevoort, Welling 2019, section 4.1).

A channel between two layers may be scaled down in the first and up in the second, if what lies between scales along
(ReLU, pooling). Chosen so that both layers' weights reach equally far in that channel, no channel of the activation in
between is drowned by another's range.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import fx
from torch.fx import GraphModule

from edgectl.compress.quantize.layers import (
    CONVOLUTIONS,
    LINEAR,
    bias_name,
    is_call,
    put_tensor,
    tensor_at,
    weight_name,
)

aten = torch.ops.aten

_HOMOGENEOUS = frozenset(
    {
        aten.relu.default,
        aten.relu_.default,
        aten.leaky_relu.default,
        aten.leaky_relu_.default,
        aten.max_pool2d.default,
        aten.avg_pool2d.default,
        aten.adaptive_avg_pool2d.default,
        aten.dropout.default,
        aten.dropout_.default,
        aten.clone.default,
        aten.contiguous.default,
    }
)
_ROUNDS = 20
_SETTLED = 1e-3
_LARGEST_FACTOR = 1e4


@dataclass(frozen=True, slots=True)
class Pair:
    """Two layers with one channel after the other between them."""

    first: fx.Node
    second: fx.Node


def equalize(graph: GraphModule) -> int:
    """Equalize every pair of layers of a folded graph, in place, until nothing moves; return how many pairs."""
    pairs = find_pairs(graph)
    for _ in range(_ROUNDS):
        if max((_equalize_pair(graph, pair) for pair in pairs), default=0.0) < _SETTLED:
            break
    return len(pairs)


def find_pairs(graph: GraphModule) -> list[Pair]:
    """Pairs of layers whose weights nobody else reads, joined by operators that scale along with their input."""
    readers: dict[str, int] = {}
    for node in graph.graph.nodes:
        if node.op == "get_attr":
            readers[str(node.target)] = readers.get(str(node.target), 0) + len(node.users)
    pairs = []
    for node in graph.graph.nodes:
        if not is_call(node, CONVOLUTIONS | LINEAR) or not _alone(node, readers):
            continue
        user: fx.Node = node
        while len(user.users) == 1 and is_call(next(iter(user.users)), _HOMOGENEOUS):
            user = next(iter(user.users))
        second = next(iter(user.users)) if len(user.users) == 1 else None
        kind = CONVOLUTIONS if is_call(node, CONVOLUTIONS) else LINEAR
        if second is None or not is_call(second, kind) or second.args[0] is not user or not _alone(second, readers):
            continue
        groups = _groups(second)
        if groups == 1 or groups == tensor_at(graph, str(weight_name(second))).shape[0]:
            pairs.append(Pair(node, second))
    return pairs


def _alone(node: fx.Node, readers: dict[str, int]) -> bool:
    weight, bias = weight_name(node), bias_name(node)
    has_bias = len(node.args) > 2 and node.args[2] is not None
    return weight is not None and readers[weight] == 1 and (not has_bias or (bias is not None and readers[bias] == 1))


def _groups(node: fx.Node) -> int:
    groups: Any = node.args[6] if len(node.args) > 6 else 1
    return int(groups)


def _equalize_pair(graph: GraphModule, pair: Pair) -> float:
    """Scale one pair; the largest change of a factor, as its distance from 1."""
    first, second = (str(weight_name(node)) for node in (pair.first, pair.second))
    ahead, behind = tensor_at(graph, first).detach(), tensor_at(graph, second).detach()
    depthwise = _groups(pair.second) > 1
    inward = behind.flatten(1) if depthwise else behind.transpose(0, 1).flatten(1)
    reach, other = ahead.flatten(1).abs().amax(1), inward.abs().amax(1)
    factor = torch.sqrt(reach * other) / other
    usable = (reach > 0) & (other > 0) & torch.isfinite(factor)
    factor = torch.where(usable, factor, torch.ones_like(factor)).clamp(1 / _LARGEST_FACTOR, _LARGEST_FACTOR)

    def along(tensor: torch.Tensor, dim: int) -> torch.Tensor:
        return factor.reshape([-1 if index == dim else 1 for index in range(tensor.ndim)])

    put_tensor(graph, first, ahead / along(ahead, 0))
    put_tensor(graph, second, behind * along(behind, 0 if depthwise else 1))
    bias = bias_name(pair.first)
    if bias is not None:
        put_tensor(graph, bias, tensor_at(graph, bias).detach() / factor)
    return float((factor - 1).abs().max())
