# SPDX-License-Identifier: Apache-2.0
"""SmoothQuant (Xiao et al. 2023, equation 4 with alpha 0.5): outlier channels move from a norm into the weights behind.

The activation between a layer norm and the linear layers that read it has one range for all channels; a channel that
reaches 50 times as far as the others leaves them a few levels. Dividing it there and multiplying the columns that read
it changes nothing in float.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import fx
from torch.fx import GraphModule

from edgectl.compress.data.example import Inputs
from edgectl.compress.quantize.layers import LINEAR, is_call, put_tensor, tensor_at, weight_name
from edgectl.compress.quantize.passes.watching import watch
from edgectl.cores import NEVER_PAUSED, Work

aten = torch.ops.aten

_NORM = frozenset({aten.layer_norm.default})
_STRENGTH = 0.5
_SMALLEST = 1e-5


def smooth(graph: GraphModule, items: Sequence[Inputs], *, work: Work = NEVER_PAUSED) -> int:
    """Smooth every layer norm that only linear layers read, in place; return how many."""
    readers = _smoothable(graph)
    reach: dict[fx.Node, torch.Tensor] = {}

    def see(node: fx.Node, _arguments: tuple[Any, ...], output: torch.Tensor) -> None:
        largest = output.detach().abs().reshape(-1, output.shape[-1]).amax(0)
        reach[node] = torch.maximum(reach[node], largest) if node in reach else largest

    watch(graph, set(readers), items, see, work=work)
    for norm, layers in readers.items():
        _smooth(graph, norm, layers, reach[norm])
    return len(readers)


def _smoothable(graph: GraphModule) -> dict[fx.Node, list[fx.Node]]:
    uses: dict[str, int] = {}
    for node in graph.graph.nodes:
        if node.op == "get_attr":
            uses[str(node.target)] = uses.get(str(node.target), 0) + len(node.users)
    found = {}
    for node in graph.graph.nodes:
        if not is_call(node, _NORM) or len(node.args) < 4 or len(node.args[1]) != 1:
            continue
        held = [str(one.target) for one in node.args[2:4] if isinstance(one, fx.Node) and one.op == "get_attr"]
        layers = list(node.users)
        fitting = all(is_call(user, LINEAR) and user.args[0] is node and weight_name(user) for user in layers)
        names = [*held, *(str(weight_name(user)) for user in layers if fitting)]
        if len(held) == 2 and layers and fitting and all(uses[name] == 1 for name in names):
            found[node] = layers
    return found


def _smooth(graph: GraphModule, norm: fx.Node, layers: list[fx.Node], reach: torch.Tensor) -> None:
    columns = torch.stack([tensor_at(graph, str(weight_name(one))).detach().abs().amax(0) for one in layers]).amax(0)
    factor = reach.clamp(min=_SMALLEST) ** _STRENGTH / columns.clamp(min=_SMALLEST) ** (1 - _STRENGTH)
    factor = factor.clamp(min=_SMALLEST)
    for argument in norm.args[2:4]:
        name = str(argument.target)  # type: ignore[union-attr]
        put_tensor(graph, name, tensor_at(graph, name).detach() / factor)
    for layer in layers:
        name = str(weight_name(layer))
        put_tensor(graph, name, tensor_at(graph, name).detach() * factor)
