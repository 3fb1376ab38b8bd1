# SPDX-License-Identifier: Apache-2.0
"""Bias correction (Nagel et al. 2019, section 4.2, the empirical form).

Rounding a layer's weights shifts the mean of its outputs; the shift over calibration inputs is taken off the bias.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import fx
from torch.fx import GraphModule

from edgectl.compress.data.example import Inputs
from edgectl.compress.quantize.layers import LINEAR, bias_name, is_call, place_of, put_tensor, tensor_at
from edgectl.compress.quantize.passes.adaround import channel_steps, output_axis, rounded_layers
from edgectl.compress.quantize.passes.watching import watch
from edgectl.compress.quantize.spec import QuantizationSpec
from edgectl.cores import NEVER_PAUSED, Work


def correct_biases(
    graph: GraphModule, spec: QuantizationSpec, items: Sequence[Inputs], *, work: Work = NEVER_PAUSED
) -> int:
    """Correct the bias of every int8 layer of a folded graph, in place; return how many."""
    sums: dict[fx.Node, torch.Tensor] = {}
    counts: dict[fx.Node, int] = {}

    def see(node: fx.Node, arguments: tuple[Any, ...], _output: torch.Tensor) -> None:
        given, weight = arguments[0], arguments[1].detach()
        step = channel_steps(weight, output_axis(node))
        error = torch.clamp(torch.round(weight / step), -127, 127) * step - weight
        target: Any = node.target
        shift = target(given, error, None, *arguments[3:])
        by_channel = shift.movedim(-1 if is_call(node, LINEAR) else 1, 0).flatten(1)
        sums[node] = sums.get(node, 0) + by_channel.double().sum(1)
        counts[node] = counts.get(node, 0) + by_channel.shape[1]

    layers = rounded_layers(graph, spec)
    watch(graph, set(layers), items, see, work=work)
    for node in layers:
        mean = (sums[node] / counts[node]).float()
        name = bias_name(node)
        if name is not None:
            put_tensor(graph, name, tensor_at(graph, name).detach() - mean)
        elif len(node.args) < 3 or node.args[2] is None:
            _give_bias(graph, node, -mean)
    return len(layers)


def _give_bias(graph: GraphModule, node: fx.Node, bias: torch.Tensor) -> None:
    name = f"{place_of(node)}.bias"
    put_tensor(graph, name, bias, parameter=True)
    with graph.graph.inserting_before(node):
        held = graph.graph.get_attr(name)
    weight: Any = node.args[1]
    value = weight.meta["val"]
    held.meta = {"val": value.new_empty(bias.shape)}
    arguments = list(node.args)
    arguments[2:3] = [held]
    node.args = tuple(arguments)
