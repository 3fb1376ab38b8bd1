# SPDX-License-Identifier: Apache-2.0
"""Rules of the operators that compute values in place: element-wise ones, reductions, pools, softmax, gates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.fx import Node

from edgectl.compress.structured.analysis import BESIDE
from edgectl.compress.structured.rules.arguments import Axes, along, argument, dimensions, without
from edgectl.compress.structured.trace import ChannelTrace, Refusal, Rule

_ELEMENTWISE = (
    "abs acos add alias alpha_dropout asin atan atan2 bernoulli bitwise_and bitwise_not bitwise_or ceil celu clamp "
    "clamp_max clamp_min clone contiguous cos deg2rad detach div dropout elu empty_like eq erf erfc exp expand_as "
    "expm1 feature_alpha_dropout feature_dropout floor floor_divide fmod full_like ge gelu gt hardshrink hardsigmoid "
    "hardswish hardtanh isinf isnan le leaky_relu lerp lift_fresh_copy log log10 log1p log2 log_sigmoid logical_and "
    "logical_not logical_or logical_xor logit lt masked_fill maximum minimum mish mul ne neg nan_to_num ones_like pow "
    "rad2deg rand_like randn_like reciprocal relu relu6 remainder round rrelu rsqrt rsub selu sigmoid sign silu sin "
    "sinh softplus softshrink softsign sqrt square sub tan tanh threshold to trunc type_as where zeros_like xlogy "
    "_to_copy addcmul addcdiv float_power true_divide tanhshrink positive heaviside"
)
_SPATIAL = (
    "adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d avg_pool1d "
    "avg_pool2d avg_pool3d max_pool1d max_pool2d max_pool3d max_pool2d_with_indices upsample_bicubic2d "
    "upsample_bilinear2d upsample_linear1d upsample_nearest1d upsample_nearest2d upsample_nearest3d "
    "upsample_trilinear3d _upsample_nearest_exact1d _upsample_nearest_exact2d lp_pool2d"
)


def _elementwise(trace: ChannelTrace, node: Node, output: torch.Tensor) -> Any:
    sources = [source for source in node.all_input_nodes if isinstance(trace.value(source), torch.Tensor)]
    computed = [source for source in sources if trace.tensor_name(source) is None]
    if not computed:
        computed, sources = sources[:1], sources[1:]
    if not computed or not isinstance(output, torch.Tensor):
        return Refusal("it combines no tensors")
    axes: Axes = [None] * output.ndim
    sizes = [1] * output.ndim
    for source in computed:
        value = trace.value(source)
        axes = merged(trace, axes, sizes, trace.axes(source), value.shape)
        sizes = [max(pair) for pair in zip(sizes, _padded(value.shape, output.ndim), strict=True)]
    for source in sources:
        if trace.tensor_name(source) is not None and source not in computed:
            _bind_broadcast(trace, source, axes)
    return trace.space.product(axes, output.shape)


def merged(trace: ChannelTrace, left: Axes, sizes: Sequence[int], right: Axes, other_sizes: Sequence[int]) -> Axes:
    """The axes of two broadcast operands' result; one of size 1 along a dimension has no say in it."""
    rank = max(len(left), len(right))
    mine, theirs = (_aligned(side, rank) for side in (left, right))
    found: Axes = []
    for dim, (size, other) in enumerate(zip(_padded(sizes, rank), _padded(other_sizes, rank), strict=True)):
        one, two = mine[dim], theirs[dim]
        if size > 1 and other > 1 and not (one is None and two is None):
            trace.space.unite(along(one, size), along(two, other))
        found.append(one if size > 1 else two)
    return found


def _aligned(axes: Axes, rank: int) -> Axes:
    return [*[None] * (rank - len(axes)), *axes]


def _padded(sizes: Sequence[int], rank: int) -> list[int]:
    return [1] * (rank - len(sizes)) + list(sizes)


def _bind_broadcast(trace: ChannelTrace, parameter: Node, axes: Axes) -> None:
    """Tie a parameter that is added or multiplied to the channels it lies along."""
    shape = trace.value(parameter).shape
    for dim, vector in enumerate(axes):
        own = dim - (len(axes) - len(shape))
        if vector is not None and own >= 0 and shape[own] > 1:
            trace.bind(parameter, own, vector, BESIDE)


def _spatial(trace: ChannelTrace, node: Node, output: Any) -> Any:
    """Operators that treat every channel alike and alone; channels are dimension 1."""
    axes = trace.axes(node.args[0])
    first = output[0] if isinstance(output, tuple | list) else output
    if first.ndim != len(axes):
        return Refusal("it changes the number of dimensions")
    for vector in axes[2:]:
        trace.keep(node, vector, "it mixes neighbours along them")
    axes = without(axes, range(2, len(axes)))
    if isinstance(output, tuple | list):
        return [trace.space.product(axes, one.shape) for one in output]
    return trace.space.product(axes, output.shape)


def _pad(trace: ChannelTrace, node: Node, output: torch.Tensor) -> Any:
    axes, pads = trace.axes(node.args[0]), argument(node, 1, "pad", ())
    padded = [output.ndim - 1 - index // 2 for index, pad in enumerate(pads) if isinstance(pad, Node) or pad != 0]
    for dim in padded:
        trace.keep(node, axes[dim], "it pads along them")
    return trace.space.product(without(axes, padded), output.shape)


def _reduction(trace: ChannelTrace, node: Node, output: Any) -> Any:
    if isinstance(argument(node, 1, "other"), Node):
        return _elementwise(trace, node, output)  # the larger of two
    return _reduced(trace, node, output, position=1, keepdim=2)


def _variance(trace: ChannelTrace, node: Node, output: Any) -> Any:
    position = 1 if isinstance(argument(node, 1, "dim"), list | tuple) else 9
    return _reduced(trace, node, output, position=position, keepdim=3)


def _vector_norm(trace: ChannelTrace, node: Node, output: Any) -> Any:
    return _reduced(trace, node, output, position=2, keepdim=3)


def _reduced(trace: ChannelTrace, node: Node, output: Any, *, position: int, keepdim: int) -> Any:
    axes = trace.axes(node.args[0])
    reduced = dimensions(argument(node, position, "dim"), len(axes))
    for dim in reduced:
        trace.keep(node, axes[dim], "it reduces over them")
    kept = bool(argument(node, keepdim, "keepdim", default=False))
    left = without(axes, reduced) if kept else [axes[dim] for dim in range(len(axes)) if dim not in reduced]
    outputs = output if isinstance(output, tuple | list) else [output]
    if any(one.ndim != len(left) for one in outputs):
        return Refusal("it reduces in a way of its own")
    found = [trace.space.product(left, one.shape) for one in outputs]
    return found if isinstance(output, tuple | list) else found[0]


def _over_one_dimension(trace: ChannelTrace, node: Node, output: torch.Tensor) -> Any:
    """Softmax and the like: values along `dim` depend on each other."""
    axes = trace.axes(node.args[0])
    dims = dimensions(argument(node, 1, "dim", -1), len(axes))
    for dim in dims:
        trace.keep(node, axes[dim], "it runs along them")
    return trace.space.product(without(axes, dims), output.shape)


def _gate(trace: ChannelTrace, node: Node, output: torch.Tensor) -> Any:
    """A gated linear unit: the first half times the sigmoid of the second."""
    axes = trace.axes(node.args[0])
    dim = dimensions(argument(node, 1, "dim", -1), len(axes))[0]
    vector = axes[dim]
    if vector is not None:
        half = len(vector) // 2
        trace.space.unite(vector[:half], vector[half:])
        axes[dim] = vector[:half]
    return trace.space.product(axes, output.shape)


RULES: dict[str, Rule] = {
    **dict.fromkeys(_ELEMENTWISE.split(), _elementwise),
    **{f"{name}_": _elementwise for name in _ELEMENTWISE.split()},
    **dict.fromkeys(_SPATIAL.split(), _spatial),
    **dict.fromkeys(("amax", "amin", "mean", "sum", "logsumexp", "all", "any", "prod", "argmax", "argmin"), _reduction),
    **dict.fromkeys(("var", "std", "var_mean", "std_mean"), _variance),
    **dict.fromkeys(("softmax", "log_softmax", "_softmax", "_log_softmax", "softmin", "cumsum"), _over_one_dimension),
    **dict.fromkeys(("pad", "constant_pad_nd"), _pad),
    "glu": _gate,
    "linalg_vector_norm": _vector_norm,
    "max": _reduction,
    "min": _reduction,
}
