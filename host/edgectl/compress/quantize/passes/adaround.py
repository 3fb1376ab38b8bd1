# SPDX-License-Identifier: Apache-2.0
"""AdaRound (Nagel, Amjad, van Baalen, Louizos, Blankevoort 2020): which way each weight is rounded is learned.

Layer by layer, the squared error of a layer's output over calibration inputs is minimised over a soft choice between
floor and ceiling (equations 21 to 25), which a regularizer drives to one of them. The weight is then written back as
the rounded value itself, so that rounding to the nearest finds it again; the largest weight of a channel keeps its
integer, and with it the channel's step. Weights that are zero stay zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import fx
from torch.fx import GraphModule

from edgectl.compress.data.example import Inputs
from edgectl.compress.quantize.layers import (
    TRANSPOSED,
    WEIGHTED,
    is_call,
    place_of,
    put_tensor,
    tensor_at,
    weight_name,
)
from edgectl.compress.quantize.passes.watching import watch
from edgectl.compress.quantize.spec import INT8, INT8_DYNAMIC, QuantizationSpec
from edgectl.cores import NEVER_PAUSED, Work

_STEPS = 300
_RATE = 0.02
_ROWS = 32  # of a layer's inputs, for one step
_KEPT = 128  # rows of a layer's inputs
_STRETCH_LOW, _STRETCH_HIGH = -0.1, 1.1
_WARM_UP = 0.2
_SHARPEST, _SOFTEST = 2.0, 20.0
_REGULARIZATION = 0.01
SMALLEST_STEP = 2**-24


def adaround(
    graph: GraphModule,
    spec: QuantizationSpec,
    items: Sequence[Inputs],
    *,
    generator: torch.Generator,
    work: Work = NEVER_PAUSED,
) -> int:
    """Round the weights of every int8 layer of a folded graph, in place; return how many layers."""
    layers = rounded_layers(graph, spec)
    for node in layers:
        inputs = _inputs_of(graph, node, items, generator, work)
        weight = tensor_at(graph, str(weight_name(node))).detach()
        put_tensor(graph, str(weight_name(node)), _rounded(node, weight, inputs, generator, work))
    return len(layers)


def rounded_layers(graph: GraphModule, spec: QuantizationSpec) -> list[fx.Node]:
    """Layers with int8 weights that are read once, in the graph's order."""
    uses: dict[str, int] = {}
    for node in graph.graph.nodes:
        if node.op == "get_attr":
            uses[str(node.target)] = uses.get(str(node.target), 0) + len(node.users)
    return [
        node
        for node in graph.graph.nodes
        if is_call(node, WEIGHTED)
        and (name := weight_name(node)) is not None
        and uses[name] == 1
        and spec.scheme_of(place_of(node)) in (INT8, INT8_DYNAMIC)
    ]


def channel_steps(weight: torch.Tensor, axis: int) -> torch.Tensor:
    """The step of each output channel, shaped to be multiplied with the weight."""
    dims = [dim for dim in range(weight.ndim) if dim != axis]
    return (weight.abs().amax(dims, keepdim=True) / 127).clamp(min=SMALLEST_STEP)


def output_axis(node: fx.Node) -> int:
    """The dimension of a layer's weight that counts its outputs."""
    return 1 if is_call(node, TRANSPOSED) else 0


def _inputs_of(
    graph: GraphModule, node: fx.Node, items: Sequence[Inputs], generator: torch.Generator, work: Work
) -> torch.Tensor:
    """Some rows of what the layer is given, from calibration: dimension 0 is the row."""
    rows: list[torch.Tensor] = []

    def see(_node: fx.Node, arguments: tuple[Any, ...], _output: torch.Tensor) -> None:
        given = arguments[0]
        rows.append(given.reshape(-1, given.shape[-1]) if weight_rank(node) == 2 else given)

    watch(graph, {node}, items, see, work=work)
    together = torch.cat(rows)
    order = torch.randperm(len(together), generator=generator)[: _KEPT if weight_rank(node) > 2 else 8 * _KEPT]
    return together[order]


def weight_rank(node: fx.Node) -> int:
    """2 for a linear layer, 3 or 4 for a convolution."""
    weight: Any = node.args[1]
    return int(weight.meta["val"].ndim)


def _rounded(
    node: fx.Node, weight: torch.Tensor, inputs: torch.Tensor, generator: torch.Generator, work: Work
) -> torch.Tensor:
    step = channel_steps(weight, output_axis(node))
    scaled = weight / step
    floor = torch.floor(scaled)
    fixed = (scaled - torch.round(scaled)).abs() < 1e-3  # the channel's largest among them, and every zero
    rest = (scaled - floor).clamp(0.01, 0.99)
    choice = torch.log((rest - _STRETCH_LOW) / (_STRETCH_HIGH - rest)).requires_grad_()
    optimizer = torch.optim.Adam([choice], lr=_RATE)
    target: Any = node.target
    others = node.args[3:]
    rows = min(len(inputs), _ROWS if weight.ndim > 2 else 8 * _ROWS)

    def output(kernel: torch.Tensor, given: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = target(given, kernel, None, *others)
        return result

    for index in range(_STEPS):
        work.breathe()
        batch = inputs[torch.randint(len(inputs), (rows,), generator=generator)]
        wanted = output(weight, batch)
        with torch.enable_grad():
            soft = torch.clamp(torch.sigmoid(choice) * (_STRETCH_HIGH - _STRETCH_LOW) + _STRETCH_LOW, 0, 1)
            kernel = torch.clamp(floor + torch.where(fixed, torch.round(scaled) - floor, soft), -127, 127) * step
            loss = (output(kernel, batch) - wanted).square().mean() / wanted.square().mean().clamp(min=1e-12)
            done = index / _STEPS
            if done > _WARM_UP:
                share = (done - _WARM_UP) / (1 - _WARM_UP)
                sharpness = _SHARPEST + (_SOFTEST - _SHARPEST) * (1 - share)
                undecided = 1 - (2 * soft - 1).abs() ** sharpness
                loss = loss + _REGULARIZATION * undecided.mean() * share
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    up = (torch.sigmoid(choice.detach()) >= 0.5).to(weight.dtype)
    learned = torch.clamp(torch.where(fixed, torch.round(scaled), floor + up), -127, 127) * step
    nearest = torch.clamp(torch.round(scaled), -127, 127) * step
    wanted = output(weight, inputs)
    errors = [float((output(kernel, inputs) - wanted).square().sum()) for kernel in (learned, nearest)]
    return learned if errors[0] < errors[1] else nearest
