# SPDX-License-Identifier: Apache-2.0
"""Rules of the operators that move values: they run on the labels themselves, and their literals are noted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.fx import Node
from torch.fx.node import map_arg

from edgectl.compress.structured.rewrites import SizeRewrite, SliceRewrite, SplitRewrite
from edgectl.compress.structured.rules.arguments import Axes, along, argument, dimensions
from edgectl.compress.structured.trace import ChannelTrace, Refusal, Rule

aten = torch.ops.aten

_MOVING = (
    "flatten flip movedim moveaxis permute squeeze swapaxes swapdims t transpose unsqueeze numpy_T matrix_H mT adjoint"
)
_ALONG_ONE = {  # operator -> (position of its dimension, its default): a literal or an index counts along it
    "select": (1, 0),
    "unbind": (1, 0),
    "index_select": (1, 0),
    "narrow": (1, 0),
    "gather": (1, 0),
    "tensor_split": (2, 0),
    "diff": (2, -1),
}


def _shape(trace: ChannelTrace, node: Node, _output: torch.Tensor) -> Any:
    return _on_labels(trace, node)


def _along_one(trace: ChannelTrace, node: Node, _output: Any) -> Any:
    position, default = _ALONG_ONE[str(node.target.overloadpacket).removeprefix("aten.")]  # type: ignore[union-attr]
    axes = trace.axes(node.args[0])
    for dim in dimensions(argument(node, position, "dim", default), len(axes)):
        if any(vector is not None for other, vector in enumerate(axes) if other != dim):
            trace.space.freeze(along(axes[dim], 1))  # queries, keys and values of one weight: nothing to tell
        trace.keep(node, axes[dim], "it takes some of them by their number")
    outputs = _on_labels(trace, node)
    return list(outputs) if isinstance(outputs, tuple | list) else outputs


def _roll(trace: ChannelTrace, node: Node, _output: Any) -> Any:
    axes = trace.axes(node.args[0])
    for dim in dimensions(argument(node, 2, "dims"), len(axes)):
        trace.keep(node, axes[dim], "it shifts along them")
    return _on_labels(trace, node)


def _index(trace: ChannelTrace, node: Node, _output: Any) -> Any:
    """A lookup by index tensors: along the dimensions that are looked up, every place stays."""
    axes = trace.axes(node.args[0])
    indices: Any = argument(node, 1)
    for dim, given in enumerate(indices):
        if given is not None:
            trace.keep(node, axes[dim], "it looks them up by their number")
            trace.freeze(given)
    source, *_ = node.args
    found: Any = aten.index.Tensor(trace.activation(source), [trace.value(given) for given in indices])
    return found


def _cat(trace: ChannelTrace, node: Node, output: torch.Tensor) -> Any:
    parts: Any = [part for part in node.args[0] if trace.value(part).numel()]  # type: ignore[union-attr]
    dim = dimensions(argument(node, 1, "dim", 0), output.ndim)[0]
    sizes = [trace.value(part).shape for part in parts]
    every = [trace.axes(part) for part in parts]
    axes = _united(trace, every, sizes, range(output.ndim), leave=dim)
    if any(one[dim] is not None for one in every):
        axes[dim] = torch.cat([along(one[dim], size[dim]) for one, size in zip(every, sizes, strict=True)])
    return trace.space.product(axes, output.shape)


def _stack(trace: ChannelTrace, node: Node, output: torch.Tensor) -> Any:
    parts: Any = node.args[0]
    dim = dimensions(argument(node, 1, "dim", 0), output.ndim)[0]
    every = [trace.axes(part) for part in parts]
    axes = _united(trace, every, [trace.value(part).shape for part in parts], range(output.ndim - 1), leave=-1)
    return trace.space.product([*axes[:dim], None, *axes[dim:]], output.shape)


def _united(
    trace: ChannelTrace, every: list[Axes], sizes: Sequence[Sequence[int]], dims: Sequence[int], *, leave: int
) -> Axes:
    """The axes of several tensors that lie side by side, united along all dimensions but one."""
    found: Axes = []
    for dim in dims:
        vectors = [axes[dim] for axes in every]
        if dim == leave or all(vector is None for vector in vectors):
            found.append(None)
            continue
        lines = [along(vector, size[dim]) for vector, size in zip(vectors, sizes, strict=True)]
        for line in lines[1:]:
            trace.space.unite(lines[0], line)
        found.append(lines[0])
    return found


def _view(trace: ChannelTrace, node: Node, output: torch.Tensor) -> Any:
    return _resized(trace, node, output, argument_index=1, offset=0)


def _unflatten(trace: ChannelTrace, node: Node, output: torch.Tensor) -> Any:
    rank = trace.value(node.args[0]).ndim
    return _resized(trace, node, output, argument_index=2, offset=dimensions(argument(node, 1), rank)[0])


def _resized(trace: ChannelTrace, node: Node, output: torch.Tensor, *, argument_index: int, offset: int) -> Any:
    """A view to given sizes; the size that counts channels follows them, where it is a literal."""
    sizes = argument(node, argument_index)
    if not isinstance(sizes, list | tuple):
        return Refusal("it reads the values as another type")
    axes = trace.space.axes(_on_labels(trace, node))
    for dim, vector in enumerate(axes):
        position = dim - offset
        if vector is None or not 0 <= position < len(sizes) or sizes[position] == -1:
            continue
        if isinstance(sizes[position], Node) and -1 in sizes:
            return Refusal("it computes their number together with that of other dimensions")
        trace.rewrites.append(SizeRewrite(node.name, argument_index, position, vector))
    return trace.space.product(axes, output.shape)


def _expand(trace: ChannelTrace, node: Node, output: torch.Tensor) -> Any:
    sizes: Any = argument(node, 1, "size")
    source = trace.value(node.args[0])
    grown = output.ndim - source.ndim
    axes: Axes = [*[None] * grown, *trace.axes(node.args[0])]
    for dim, vector in enumerate(axes):
        if vector is not None and sizes[dim] != -1:
            trace.rewrites.append(SizeRewrite(node.name, 1, dim, vector))
    return trace.space.product(axes, output.shape)


def _repeat(trace: ChannelTrace, node: Node, output: torch.Tensor) -> Any:
    source = trace.value(node.args[0])
    grown = output.ndim - source.ndim
    axes: Axes = [*[None] * grown, *trace.axes(node.args[0])]
    shape = [1] * grown + list(source.shape)
    found: Axes = []
    for vector, size, total in zip(axes, shape, output.shape, strict=True):
        found.append(None if vector is None else vector.repeat(total // size))
    return trace.space.product(found, output.shape)


def _repeat_interleave(trace: ChannelTrace, node: Node, output: torch.Tensor) -> Any:
    axes = trace.axes(node.args[0])
    dim, times = argument(node, 2, "dim"), argument(node, 1, "repeats")
    if dim is None or not isinstance(times, int):
        return Refusal("it repeats each as often as the graph computes")
    place = dimensions(dim, len(axes))[0]
    vector = axes[place]
    axes[place] = None if vector is None else vector.repeat_interleave(times)
    return trace.space.product(axes, output.shape)


def _slice(trace: ChannelTrace, node: Node, _output: torch.Tensor) -> Any:
    axes = trace.axes(node.args[0])
    dim = dimensions(argument(node, 1, "dim", 0), len(axes))[0]
    vector = axes[dim]
    if vector is not None:
        bounds = (argument(node, 2, "start"), argument(node, 3, "end"), argument(node, 4, "step", 1))
        if any(isinstance(bound, Node) for bound in bounds) or bounds[2] != 1:
            trace.keep(node, vector, "it takes some of them by their number")
        else:
            start, end, _ = slice(bounds[0], bounds[1]).indices(len(vector))
            trace.rewrites.append(SliceRewrite(node.name, start, end, vector))
    return _on_labels(trace, node)


def _split(trace: ChannelTrace, node: Node, output: Any) -> Any:
    axes = trace.axes(node.args[0])
    dim = dimensions(argument(node, 2, "dim", 0), len(axes))[0]
    vector = axes[dim]
    lines: list[torch.Tensor | None] = [None] * len(output)
    if vector is not None:
        parts = list(torch.split(vector, [part.shape[dim] for part in output]))
        trace.rewrites.append(SplitRewrite(node.name, dim, parts))
        lines = [*parts]
    return [
        trace.space.product([*axes[:dim], line, *axes[dim + 1 :]], part.shape)
        for line, part in zip(lines, output, strict=True)
    ]


def _pixel_shuffle(trace: ChannelTrace, node: Node, output: torch.Tensor) -> Any:
    """Groups of neighbouring channels become one: they go together."""
    axes = trace.axes(node.args[0])
    channels = trace.value(node.args[0]).shape[-3]
    return _regrouped(trace, node, axes, output, times=channels // output.shape[-3])


def _channel_shuffle(trace: ChannelTrace, node: Node, output: torch.Tensor) -> Any:
    """Groups x places become places x groups: whole groups could not go, for their number is a literal."""
    axes = trace.axes(node.args[0])
    channels, groups = axes[1], int(argument(node, 1, "groups"))
    if channels is not None:
        sets, places = trace.space.axes(channels.reshape(groups, -1))
        trace.space.freeze(along(sets, groups))
        axes[1] = trace.space.product([places, None], (len(channels) // groups, groups)).reshape(-1)
    return trace.space.product(axes, output.shape)


def _fold(trace: ChannelTrace, node: Node, output: torch.Tensor) -> Any:
    axes = trace.axes(node.args[0])
    trace.keep(node, axes[-1], "it places them by their number")
    lines = _lines(trace, along(axes[-2], trace.value(node.args[0]).shape[-2]), output.shape[-3])
    return trace.space.product([*axes[:-2], lines, None, None], output.shape)


def _regrouped(trace: ChannelTrace, node: Node, axes: Axes, output: torch.Tensor, *, times: int) -> Any:
    for vector in axes[-2:]:
        trace.keep(node, vector, "it places them by their number")
    channels = axes[-3]
    if channels is not None:
        channels = _lines(trace, channels, len(channels) // times)
    return trace.space.product([*axes[:-3], channels, None, None], output.shape)


def _lines(trace: ChannelTrace, channels: torch.Tensor, count: int) -> torch.Tensor:
    rows = channels.reshape(count, -1)
    trace.space.unite(rows, rows[:, :1])
    return rows[:, 0]


def _pixel_unshuffle(trace: ChannelTrace, node: Node, output: torch.Tensor) -> Any:
    axes = trace.axes(node.args[0])
    for vector in axes[-2:]:
        trace.keep(node, vector, "it places them by their number")
    channels = axes[-3]
    if channels is not None:
        channels = channels.repeat_interleave(output.shape[-3] // len(channels))
    return trace.space.product([*axes[:-3], channels, None, None], output.shape)


def _unfold(trace: ChannelTrace, node: Node, output: torch.Tensor) -> Any:
    """Patches side by side (im2col): [N, C, H, W] to [N, C x patch, positions]."""
    axes = trace.axes(node.args[0])
    for vector in axes[-2:]:
        trace.keep(node, vector, "it places them by their number")
    channels = axes[1]
    if channels is not None:
        channels = channels.repeat_interleave(output.shape[1] // len(channels))
    return trace.space.product([axes[0], channels, None], output.shape)


def _getitem(trace: ChannelTrace, node: Node, _output: torch.Tensor) -> Any:
    sources = trace.labels.get(node.args[0])  # type: ignore[arg-type]
    return sources[int(str(node.args[1]))] if isinstance(sources, list) else Refusal("it takes one of several results")


def _on_labels(trace: ChannelTrace, node: Node) -> Any:
    """Run the operator itself with labels in place of activations."""

    def substitute(source: Node) -> Any:
        value = trace.value(source)
        return trace.activation(source) if isinstance(value, torch.Tensor) and value.is_floating_point() else value

    first = node.args[0]
    labels = trace.activation(first) if isinstance(first, Node) else None
    arguments: Any = (labels, *map_arg(node.args[1:], substitute))
    keywords: Any = map_arg(node.kwargs, substitute)
    # Labels are expanded, so what is a view of an activation may need a copy of them.
    function: Any = aten.reshape.default if node.target is aten.view.default else node.target
    return function(*arguments, **keywords)


RULES: dict[str, Rule] = {
    **dict.fromkeys(_MOVING.split(), _shape),
    **dict.fromkeys(_ALONG_ONE, _along_one),
    **dict.fromkeys(("cat", "concat", "concatenate"), _cat),
    **dict.fromkeys(("view", "reshape", "_unsafe_view"), _view),
    **dict.fromkeys(("split", "split_with_sizes", "chunk"), _split),
    **dict.fromkeys(("index", "_unsafe_index"), _index),
    "channel_shuffle": _channel_shuffle,
    "col2im": _fold,
    "expand": _expand,
    "getitem": _getitem,
    "im2col": _unfold,
    "pixel_shuffle": _pixel_shuffle,
    "pixel_unshuffle": _pixel_unshuffle,
    "repeat": _repeat,
    "repeat_interleave": _repeat_interleave,
    "native_channel_shuffle": _channel_shuffle,
    "roll": _roll,
    "slice": _slice,
    "stack": _stack,
    "unflatten": _unflatten,
}
