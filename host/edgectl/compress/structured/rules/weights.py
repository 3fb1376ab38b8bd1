# SPDX-License-Identifier: Apache-2.0
"""Rules of the operators that hold weights: convolutions, linear layers, embeddings, norms."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.fx import Node

from edgectl.compress.structured.analysis import BESIDE, COLUMNS, ROWS, Operand, Work
from edgectl.compress.structured.rewrites import CountRewrite
from edgectl.compress.structured.rules.arguments import Axes, along, argument, without
from edgectl.compress.structured.trace import ChannelTrace, Refusal, Rule

_GROUPS = 6  # the position of `groups` among the arguments of every convolution
_COMPUTED = "its weights are computed, so they cannot be cut"


def _convolution(trace: ChannelTrace, node: Node, output: torch.Tensor) -> Any:
    return _convolved(trace, node, output, transposed=False)


def _transposed_convolution(trace: ChannelTrace, node: Node, output: torch.Tensor) -> Any:
    return _convolved(trace, node, output, transposed=True)


def _convolved(trace: ChannelTrace, node: Node, output: torch.Tensor, *, transposed: bool) -> Any:
    source, weight, bias = node.args[0], node.args[1], argument(node, 2, "bias")
    inputs = trace.value(source)
    if not _own(trace, weight) or not _own(trace, bias, optional=True):
        return Refusal(_COMPUTED, told=True)
    if inputs.ndim != trace.value(weight).ndim:
        return Refusal("it convolves an item without a batch")
    axes = trace.axes(source)
    for vector in axes[2:]:
        trace.keep(node, vector, "a convolution runs along them")
    groups = int(argument(node, _GROUPS, "groups", 1))
    incoming = along(axes[1], inputs.shape[1])
    trace.consumed.append(Operand(node.name, str(source), 1, incoming))
    outgoing = _filters(trace, node, incoming, channels=output.shape[1], groups=groups, transposed=transposed)
    if bias is not None:
        trace.bind(bias, 0, outgoing, BESIDE)
    positions = math.prod((inputs if transposed else output).shape[2:])
    trace.work.append(Work(positions, trace.tensor_name(weight), (along(axes[0], inputs.shape[0]),)))
    return trace.space.product([axes[0], outgoing, *[None] * (output.ndim - 2)], output.shape)


def _filters(
    trace: ChannelTrace, node: Node, incoming: torch.Tensor, *, channels: int, groups: int, transposed: bool
) -> torch.Tensor:
    """Bind a weight [out, in / groups, ...] ([in, out / groups, ...] if transposed); the labels of its outputs."""
    weight = node.args[1]
    assert isinstance(weight, Node)  # noqa: S101 - the caller has looked
    if groups == 1:
        outgoing = trace.space.fresh(channels)
        trace.bind(weight, 0 if transposed else 1, incoming, COLUMNS)
        trace.bind(weight, 1 if transposed else 0, outgoing, ROWS)
        return outgoing
    # Whole groups may go, and within the groups that stay the same places in each.
    sets, within = trace.space.axes(incoming.reshape(groups, -1))
    leaders = along(sets, groups)
    trace.rewrites.append(CountRewrite(node.name, _GROUPS, leaders))
    width = channels // groups
    places = trace.space.fresh(width) if width > 1 else None
    outgoing = trace.space.product([leaders, places], (groups, width)).reshape(-1)
    if places is not None:
        trace.space.inner.append(places)
    if transposed:
        trace.bind(weight, 0, incoming, COLUMNS if within is not None else BESIDE)
        trace.bind(weight, 1, along(places, width), ROWS)
        return outgoing
    if within is not None:
        trace.bind(weight, 1, within, COLUMNS)
    trace.bind(weight, 0, outgoing, ROWS if places is not None else BESIDE)
    return outgoing


def _linear(trace: ChannelTrace, node: Node, output: torch.Tensor) -> Any:
    source, weight, bias = node.args[0], node.args[1], argument(node, 2, "bias")
    if not _own(trace, weight) or not _own(trace, bias, optional=True):
        return Refusal(_COMPUTED, told=True)
    axes = trace.axes(source)
    assert isinstance(weight, Node)  # noqa: S101 - it is a parameter
    incoming = along(axes[-1], trace.value(source).shape[-1])
    outgoing = trace.space.fresh(trace.value(weight).shape[0])
    return affine(
        trace,
        node,
        output,
        source=source,
        weight=weight,
        bias=bias,
        leading=axes[:-1],
        columns=(1, incoming),
        rows=(0, outgoing),
    )


def affine(
    trace: ChannelTrace,
    node: Node,
    output: torch.Tensor,
    *,
    source: Any,
    weight: Node,
    bias: Node | None,
    leading: Axes,
    columns: tuple[int, torch.Tensor],
    rows: tuple[int, torch.Tensor],
) -> torch.Tensor:
    """Bind a matrix that is applied to the last dimension; `columns` and `rows` are (dimension of it, labels)."""
    trace.bind(weight, *columns, COLUMNS)
    trace.consumed.append(Operand(node.name, str(source), len(leading), columns[1]))
    trace.bind(weight, *rows, ROWS)
    if bias is not None and trace.value(bias).numel() > 1:
        trace.bind(bias, trace.value(bias).ndim - 1, rows[1], BESIDE)
    still = math.prod(size for size, vector in zip(output.shape, leading, strict=False) if vector is None)
    extents = tuple(vector for vector in leading if vector is not None)
    trace.work.append(Work(still, trace.tensor_name(weight), extents))
    return trace.space.product([*leading, rows[1]], output.shape)


def _embedding(trace: ChannelTrace, node: Node, output: torch.Tensor) -> Any:
    weight, indices = node.args[0], node.args[1]
    if not _own(trace, weight) or not isinstance(weight, Node):
        return Refusal(_COMPUTED, told=True)
    if isinstance(indices, Node):
        trace.freeze(indices)
    outgoing = trace.space.fresh(output.shape[-1])
    trace.bind(weight, 1, outgoing, ROWS)
    return trace.space.product([*[None] * (output.ndim - 1), outgoing], output.shape)


def _norm_per_channel(trace: ChannelTrace, node: Node, output: torch.Tensor) -> Any:
    """Batch norm, instance norm, PReLU: every parameter has one element per channel."""
    parameters = [one for one in node.args[1:] if isinstance(one, Node)]
    if not all(_own(trace, parameter) for parameter in parameters):
        return Refusal(_COMPUTED, told=True)
    axes = trace.axes(node.args[0])
    if "instance" in str(node.target):
        for vector in axes[2:]:
            trace.keep(node, vector, "it normalises over them")
        axes = without(axes, range(2, len(axes)))
    channel = min(1, len(axes) - 1)
    for parameter in parameters:
        if trace.value(parameter).numel() > 1:
            trace.bind(parameter, 0, along(axes[channel], output.shape[channel]), BESIDE)
    return trace.space.product(axes, output.shape)


def _group_norm(trace: ChannelTrace, node: Node, output: torch.Tensor) -> Any:
    """The statistics of a group are those of all its channels: whole groups may go, nothing within one."""
    parameters = [one for one in (argument(node, 2, "weight"), argument(node, 3, "bias")) if one is not None]
    if not all(_own(trace, parameter) for parameter in parameters):
        return Refusal(_COMPUTED, told=True)
    axes, groups = trace.axes(node.args[0]), int(argument(node, 1))
    for vector in axes[2:]:
        trace.keep(node, vector, "it normalises over them")
    channels = along(axes[1], output.shape[1])
    sets, within = trace.space.axes(channels.reshape(groups, -1))
    trace.keep(node, within, "it normalises over them: without some, the others would change")
    for parameter in parameters:
        trace.bind(parameter, 0, channels, BESIDE)
    if groups > 1:
        trace.rewrites.append(CountRewrite(node.name, 1, along(sets, groups)))
    return trace.space.product([axes[0], channels, *[None] * (output.ndim - 2)], output.shape)


def _layer_norm(trace: ChannelTrace, node: Node, output: torch.Tensor) -> Any:
    """Layer and root-mean-square norms: the normalised dimensions keep their channels, the others do as they like."""
    axes = trace.axes(node.args[0])
    first = output.ndim - len(argument(node, 1))
    for vector in axes[first:]:
        trace.keep(node, vector, "it normalises over them: without some, the others would change")
    return trace.space.product(without(axes, range(first, output.ndim)), output.shape)


def _own(trace: ChannelTrace, given: Any, *, optional: bool = False) -> bool:
    return (optional and given is None) or trace.tensor_name(given) is not None


RULES: dict[str, Rule] = {
    **dict.fromkeys(("conv1d", "conv2d", "conv3d"), _convolution),
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), _transposed_convolution),
    **dict.fromkeys(("batch_norm", "instance_norm", "prelu"), _norm_per_channel),
    **dict.fromkeys(("layer_norm", "rms_norm"), _layer_norm),
    "embedding": _embedding,
    "group_norm": _group_norm,
    "linear": _linear,
}
