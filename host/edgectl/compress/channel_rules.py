# SPDX-License-Identifier: Apache-2.0
"""What each operator does to the labels of channels: a rule returns the labels of the output, in its shape.

A rule that returns None declines: the operator then freezes what enters it. Every rule assumes batch 1.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch.fx import Node
from torch.fx.node import map_arg

from edgectl.compress.channels import BESIDE, COLUMNS, ROWS, ChannelTrace
from edgectl.compress.label_space import along_dimension, varying_dimensions
from edgectl.compress.rewrites import GroupsRewrite, SizeRewrite, SliceRewrite, SplitRewrite

Rule = Callable[[ChannelTrace, Node, Any], Any]
aten = torch.ops.aten

_ELEMENTWISE = (
    "abs add add_ alias alpha_dropout celu celu_ clamp clamp_ clamp_max clamp_min clone contiguous detach "
    "detach_ div div_ dropout dropout_ elu elu_ exp feature_dropout gelu hardsigmoid hardsigmoid_ hardswish "
    "hardswish_ hardtanh hardtanh_ leaky_relu leaky_relu_ log maximum minimum mish mish_ mul mul_ neg pow "
    "reciprocal relu relu6 relu6_ relu_ rsqrt sigmoid sigmoid_ silu silu_ softplus sqrt square sub sub_ tanh "
    "tanh_ to"
)
_SPATIAL = (
    "adaptive_avg_pool1d adaptive_avg_pool2d adaptive_max_pool2d avg_pool1d avg_pool2d max_pool1d max_pool2d "
    "upsample_bilinear2d upsample_nearest2d"
)
_SHAPE = "cat concat flatten flip permute pixel_shuffle repeat squeeze stack t transpose unsqueeze"
_REDUCTION = "amax amin mean sum"


def rule_of(node: Node) -> Rule | None:
    """The rule of a node's operator, or None."""
    if node.target is operator.getitem:
        return _getitem
    packet = getattr(node.target, "overloadpacket", None)
    return _RULES.get(str(packet).removeprefix("aten.")) if packet is not None else None


def _argument(node: Node, index: int, default: Any = None) -> Any:
    return node.args[index] if len(node.args) > index else default


def _convolution(trace: ChannelTrace, node: Node, output: torch.Tensor) -> Any:
    source, weight, bias = (_argument(node, index) for index in range(3))
    if not _is_parameter(trace, weight) or not _is_parameter(trace, bias, optional=True):
        return None
    incoming = trace.space.along(trace.labels[source], 1)
    groups = int(_argument(node, 6, 1))
    outgoing = _filters(trace, node, incoming, channels=output.shape[1], groups=groups)
    if bias is not None:
        trace.bind(bias, 0, outgoing, BESIDE)
    trace.work.append((output.numel() // output.shape[1], trace.tensor_name(weight) or ""))
    return along_dimension(outgoing, 1, output.shape)


def _filters(trace: ChannelTrace, node: Node, incoming: torch.Tensor, *, channels: int, groups: int) -> torch.Tensor:
    """Bind a convolution's weight [out, in / groups, ...]; returns the labels of its outputs."""
    weight = _argument(node, 1)
    if groups == 1:
        outgoing = trace.space.fresh(channels)
        trace.bind(weight, 1, incoming, COLUMNS)
        trace.bind(weight, 0, outgoing, ROWS)
        return outgoing
    if groups == len(incoming):  # depthwise: each input channel has its own filters, and goes with them
        outgoing = incoming.repeat_interleave(channels // groups)
        trace.bind(weight, 0, outgoing, BESIDE)
        trace.rewrites.append(GroupsRewrite(node.name, 6, incoming))
        return outgoing
    # The groups stay as many and of one size: the same positions go in each.
    columns = incoming.reshape(groups, -1)
    trace.space.unite(columns, columns[:1])
    trace.bind(weight, 1, columns[0], COLUMNS)
    outgoing = trace.space.fresh(channels // groups).repeat(groups)
    trace.bind(weight, 0, outgoing, ROWS)
    return outgoing


def _linear(trace: ChannelTrace, node: Node, output: torch.Tensor) -> Any:
    source, weight, bias = (_argument(node, index) for index in range(3))
    if not _is_parameter(trace, weight) or not _is_parameter(trace, bias, optional=True):
        return None
    labels = trace.labels[source]
    trace.bind(weight, 1, trace.space.along(labels, labels.ndim - 1), COLUMNS)
    outgoing = trace.space.fresh(output.shape[-1])
    trace.bind(weight, 0, outgoing, ROWS)
    if bias is not None:
        trace.bind(bias, 0, outgoing, BESIDE)
    trace.work.append((output.numel() // output.shape[-1], trace.tensor_name(weight) or ""))
    return along_dimension(outgoing, output.ndim - 1, output.shape)


def _norm_per_channel(trace: ChannelTrace, node: Node, output: torch.Tensor) -> Any:
    """Batch norm, instance norm, PReLU: every parameter has one element per channel."""
    parameters = [argument for argument in node.args[1:] if isinstance(argument, Node)]
    if not all(_is_parameter(trace, parameter) for parameter in parameters):
        return None
    channels = trace.space.along(trace.labels[_argument(node, 0)], 1)
    for parameter in parameters:
        if trace.value(parameter).numel() > 1:
            trace.bind(parameter, 0, channels, BESIDE)
    return along_dimension(channels, 1, output.shape)


def _elementwise(trace: ChannelTrace, node: Node, output: torch.Tensor) -> Any:
    labels: torch.Tensor | None = None
    sources = [source for source in node.all_input_nodes if isinstance(trace.value(source), torch.Tensor)]
    for source in sources:
        if trace.tensor_name(source) is None:
            other = trace.labels[source]
            labels = other if labels is None else _united(trace, labels, other)
            if labels is None:
                return None
    if labels is None:
        return None
    labels = labels.expand(output.shape)
    for source in sources:
        if trace.tensor_name(source) is not None:
            _bind_broadcast(trace, source, labels)
    return labels


def _united(trace: ChannelTrace, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor | None:
    """The labels of two operands' result; an operand of size 1 along a dimension has no say in it."""
    rank = max(left.ndim, right.ndim)
    left, right = (side.reshape([1] * (rank - side.ndim) + list(side.shape)) for side in (left, right))
    shape = [max(sizes) for sizes in zip(left.shape, right.shape, strict=True)]
    left_free = all(right.shape[dim] == 1 for dim in varying_dimensions(left))
    right_free = all(left.shape[dim] == 1 for dim in varying_dimensions(right))
    if left_free and right_free and left.shape != right.shape:
        if varying_dimensions(left) and varying_dimensions(right):
            return None  # an outer product of channels
        return (left if varying_dimensions(left) else right).expand(shape)
    trace.space.unite(left.expand(shape), right.expand(shape))
    return trace.space.close(left.expand(shape))


def _bind_broadcast(trace: ChannelTrace, parameter: Node, labels: torch.Tensor) -> None:
    """Tie a parameter that is added or multiplied to the channels it lies along."""
    value = trace.value(parameter)
    for dim in varying_dimensions(labels):
        own = dim - (labels.ndim - value.ndim)
        if own >= 0 and value.shape[own] > 1:
            trace.bind(parameter, own, trace.space.along(labels, dim), BESIDE)


def _spatial(trace: ChannelTrace, node: Node, output: torch.Tensor) -> Any:
    """Operators that treat every channel alike and alone."""
    labels = trace.labels[_argument(node, 0)]
    if not isinstance(output, torch.Tensor) or labels.ndim != output.ndim or output.shape[1] != labels.shape[1]:
        return None
    return along_dimension(trace.space.along(labels, 1), 1, output.shape)


def _pad(trace: ChannelTrace, node: Node, output: torch.Tensor) -> Any:
    pads = _argument(node, 1)
    return _spatial(trace, node, output) if len(pads) <= 2 * (output.ndim - 2) else None


def _reduction(trace: ChannelTrace, node: Node, output: torch.Tensor) -> Any:
    labels = trace.labels[_argument(node, 0)]
    dims = _argument(node, 1)
    if not isinstance(dims, list | tuple) or not dims:
        return None
    reduced = {int(dim) % labels.ndim for dim in dims}
    if reduced & set(varying_dimensions(labels)):
        return None
    return torch.amin(labels, dim=sorted(reduced)).reshape(output.shape)


def _shape(trace: ChannelTrace, node: Node, _output: torch.Tensor) -> Any:
    return _on_labels(trace, node)


def _view(trace: ChannelTrace, node: Node, output: torch.Tensor) -> Any:
    return _resized(trace, node, output, argument=1, offset=0)


def _unflatten(trace: ChannelTrace, node: Node, output: torch.Tensor) -> Any:
    rank = trace.labels[_argument(node, 0)].ndim
    return _resized(trace, node, output, argument=2, offset=int(_argument(node, 1)) % rank)


def _resized(trace: ChannelTrace, node: Node, output: torch.Tensor, *, argument: int, offset: int) -> Any:
    """A view to given sizes; the size that counts channels follows them, where it is a literal."""
    sizes = _argument(node, argument)
    if not isinstance(sizes, list | tuple):
        return None  # a view as another dtype
    labels = trace.space.close(_on_labels(trace, node))
    for dim in varying_dimensions(labels):
        position = dim - offset
        if not 0 <= position < len(sizes) or sizes[position] == -1:
            continue
        if not isinstance(sizes[position], int):
            return None
        vector = trace.space.along(labels, dim)
        trace.rewrites.append(SizeRewrite(node.name, argument, position, vector))
    return labels.expand(output.shape)


def _slice(trace: ChannelTrace, node: Node, _output: torch.Tensor) -> Any:
    labels = trace.labels[_argument(node, 0)]
    dim = int(_argument(node, 1, 0)) % labels.ndim
    if dim in varying_dimensions(labels):
        bounds = (_argument(node, 2), _argument(node, 3), _argument(node, 4, 1))
        if any(isinstance(bound, Node) for bound in bounds) or bounds[2] != 1:
            return None
        start, end, _ = slice(bounds[0], bounds[1]).indices(labels.shape[dim])
        vector = trace.space.along(labels, dim)
        trace.rewrites.append(SliceRewrite(node.name, start, end, vector))
    return _on_labels(trace, node)


def _split(trace: ChannelTrace, node: Node, _output: Any) -> Any:
    labels = trace.labels[_argument(node, 0)]
    dim = int(_argument(node, 2, 0)) % labels.ndim
    parts = list(_on_labels(trace, node))
    if dim in varying_dimensions(labels):
        vectors = [trace.space.along(part, dim) for part in parts]
        trace.rewrites.append(SplitRewrite(node.name, dim, vectors))
    return parts


def _getitem(trace: ChannelTrace, node: Node, _output: torch.Tensor) -> Any:
    sources = trace.labels[_argument(node, 0)]
    return sources[_argument(node, 1)] if isinstance(sources, list) else None


def _on_labels(trace: ChannelTrace, node: Node) -> Any:
    """Run the operator itself with labels in place of activations."""
    for source in node.all_input_nodes:
        if trace.tensor_name(source) is not None:
            trace.freeze(source)

    def substitute(source: Node) -> Any:
        labels = trace.labels[source]
        return trace.value(source) if labels is None else labels

    arguments: Any = map_arg(node.args, substitute)
    keywords: Any = map_arg(node.kwargs, substitute)
    # Labels are expanded, so what is a view of an activation may need a copy of them.
    function: Any = aten.reshape.default if node.target is aten.view.default else node.target
    return function(*arguments, **keywords)


def _is_parameter(trace: ChannelTrace, argument: Any, *, optional: bool = False) -> bool:
    return (optional and argument is None) or trace.tensor_name(argument) is not None


_RULES: dict[str, Rule] = {
    **dict.fromkeys(_ELEMENTWISE.split(), _elementwise),
    **dict.fromkeys(_SPATIAL.split(), _spatial),
    **dict.fromkeys(_SHAPE.split(), _shape),
    **dict.fromkeys(_REDUCTION.split(), _reduction),
    **dict.fromkeys(("conv1d", "conv2d"), _convolution),
    **dict.fromkeys(("batch_norm", "instance_norm", "prelu"), _norm_per_channel),
    **dict.fromkeys(("view", "reshape", "_unsafe_view", "expand"), _view),
    **dict.fromkeys(("split", "split_with_sizes", "chunk"), _split),
    **dict.fromkeys(("pad", "constant_pad_nd"), _pad),
    "linear": _linear,
    "slice": _slice,
    "unflatten": _unflatten,
}
