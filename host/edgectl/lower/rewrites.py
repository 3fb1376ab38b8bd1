# SPDX-License-Identifier: Apache-2.0
"""Equal spellings of operators that the delegate would leave out.

Each rewrite changes how a thing is said, never what is computed, but for the order in which floats are rounded; what
does not match exactly stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import fx

_IMAGE_RANK = 4
_IMAGE_PLANE = (2, 3)
_PLANE_KEPT = ([-1, -2], True)
_TOKENS_RANK = 3
_LAYER_NORM_DEFAULTS = (None, None, 1e-5)
_HARD_SIGMOID_SHIFT, _HARD_SIGMOID_SPAN = 3.0, 6.0


def rewrite_for_delegate(graph: fx.GraphModule) -> int:
    """Rewrite `graph`, whose nodes carry `meta["val"]`, in place; return how many operators were replaced."""
    from edgectl.compress.quantize.splitting import split_into_slices

    rewrites: tuple[Callable[[fx.Graph, fx.Node], bool], ...] = (
        _mean_over_the_plane,
        _mean_over_tokens,
        _layer_norm,
        _attention,
        _hard_sigmoid,
        _select,
        _same_expand,
    )
    count = split_into_slices(graph)
    nodes = list(graph.graph.nodes)
    count += sum(any(rewrite(graph.graph, node) for rewrite in rewrites) for node in nodes)
    if count:
        graph.graph.lint()
        graph.recompile()
    return count


def _mean_over_the_plane(graph: fx.Graph, node: fx.Node) -> bool:
    """`mean([2, 3])` of an image to `mean([-1, -2], keepdim=True)` and a reshape: XNNPACK takes only the second."""
    import torch

    if node.op != "call_function" or node.target is not torch.ops.aten.mean.dim or node.kwargs:
        return False
    source, dims, *rest = node.args
    shape = _shape(source)
    if shape is None or len(shape) != _IMAGE_RANK or not isinstance(dims, list | tuple) or any(rest):
        return False
    if tuple(sorted(int(dim) % _IMAGE_RANK for dim in dims)) != _IMAGE_PLANE:  # type: ignore[arg-type]
        return False
    with graph.inserting_before(node):
        kept = graph.call_function(torch.ops.aten.mean.dim, (source, *_PLANE_KEPT))
        flat = graph.call_function(torch.ops.aten.flatten.using_ints, (kept, 1))
    return _replaced(graph, node, flat)


def _mean_over_tokens(graph: fx.Graph, node: fx.Node) -> bool:
    """`mean([1])` of [batch, tokens, features] to the mean over the plane of an image one row high."""
    import torch

    if node.op != "call_function" or node.target is not torch.ops.aten.mean.dim or node.kwargs:
        return False
    source, dims, *rest = node.args
    shape = _static_shape(source)
    if shape is None or len(shape) != _TOKENS_RANK or not isinstance(dims, list | tuple) or any(rest):
        return False
    if [int(dim) % _TOKENS_RANK for dim in dims] != [1]:  # type: ignore[arg-type]
        return False
    aten = torch.ops.aten
    with graph.inserting_before(node):
        turned = graph.call_function(aten.permute.default, (source, [0, 2, 1]))
        image = graph.call_function(aten.reshape.default, (turned, [shape[0], shape[2], 1, shape[1]]))
        kept = graph.call_function(aten.mean.dim, (image, *_PLANE_KEPT))
        flat = graph.call_function(aten.flatten.using_ints, (kept, 1))
    return _replaced(graph, node, flat)


def _layer_norm(graph: fx.Graph, node: fx.Node) -> bool:
    """`layer_norm` over the last dimension, from means over the plane of an image one row high.

    XNNPACK has no such operator; the kernel outside took 46 us for [98, 192] where this took 17, and it splits the
    delegate in two.
    """
    import torch

    aten = torch.ops.aten
    if node.op != "call_function" or node.target is not aten.layer_norm.default or node.kwargs:
        return False
    source, normalized, weight, bias, epsilon = (*node.args, *_LAYER_NORM_DEFAULTS[len(node.args) - 2 :])[:5]
    shape = _static_shape(source)
    if shape is None or not isinstance(normalized, list | tuple) or len(normalized) != 1:
        return False
    with graph.inserting_before(node):

        def call(target: Any, *arguments: Any) -> fx.Node:
            return graph.call_function(target, arguments)

        image = call(aten.reshape.default, source, [1, prod(shape[:-1]), 1, shape[-1]])
        centred = call(aten.sub.Tensor, image, call(aten.mean.dim, image, *_PLANE_KEPT))
        variance = call(aten.mean.dim, call(aten.mul.Tensor, centred, centred), *_PLANE_KEPT)
        inverse = call(aten.rsqrt.default, call(aten.add.Tensor, variance, epsilon))
        given = call(aten.reshape.default, call(aten.mul.Tensor, centred, inverse), list(shape))
        given = given if weight is None else call(aten.mul.Tensor, given, weight)
        given = given if bias is None else call(aten.add.Tensor, given, bias)
    return _replaced(graph, node, given)


def _attention(graph: fx.Graph, node: fx.Node) -> bool:
    """Plain attention (no mask, no dropout) as batched products around a softmax.

    The exporter's own decomposition guards against rows that a mask hides wholly, and expands its operands: none of
    that is in the delegate, and without a mask no row is hidden.
    """
    import torch

    aten = torch.ops.aten
    if node.op != "call_function" or node.target is not aten.scaled_dot_product_attention.default:
        return False
    query, key, value, *options = node.args
    shapes = [_static_shape(operand) for operand in (query, key, value)]
    if any(shape is None or len(shape) != _IMAGE_RANK for shape in shapes) or any(options):
        return False
    if any(option for name, option in node.kwargs.items() if name != "scale"):
        return False
    (*outer, rows, depth), (*key_outer, columns, _), (*value_outer, _, width) = shapes  # type: ignore[misc]
    if not outer == key_outer == value_outer:
        return False
    scale = node.kwargs.get("scale")
    factor = depth**-0.5 if scale is None else scale
    batch = prod(outer)
    with graph.inserting_before(node):

        def call(target: Any, *arguments: Any) -> fx.Node:
            return graph.call_function(target, arguments)

        left = call(aten.reshape.default, query, [batch, rows, depth])
        right = call(aten.permute.default, call(aten.reshape.default, key, [batch, columns, depth]), [0, 2, 1])
        scores = call(aten.bmm.default, call(aten.mul.Tensor, left, factor), right)
        weights = call(aten.softmax.int, scores, -1)
        mixed = call(aten.bmm.default, weights, call(aten.reshape.default, value, [batch, columns, width]))
        shaped = call(aten.reshape.default, mixed, [*outer, rows, width])
    return _replaced(graph, node, shaped)


def _hard_sigmoid(graph: fx.Graph, node: fx.Node) -> bool:
    """`hardsigmoid` by its definition, in floats: the exporter's own takes constants through integers and casts."""
    import torch

    aten = torch.ops.aten
    if node.op != "call_function" or node.target is not aten.hardsigmoid.default:
        return False
    with graph.inserting_before(node):
        shifted = graph.call_function(aten.add.Tensor, (node.args[0], _HARD_SIGMOID_SHIFT))
        clamped = graph.call_function(aten.hardtanh.default, (shifted, 0.0, _HARD_SIGMOID_SPAN))
        divided = graph.call_function(aten.div.Tensor, (clamped, _HARD_SIGMOID_SPAN))
    return _replaced(graph, node, divided)


def _select(graph: fx.Graph, node: fx.Node) -> bool:
    """`select` (a class token, say) as a slice and a reshape: XNNPACK has both, and not the select."""
    import torch

    aten = torch.ops.aten
    if node.op != "call_function" or node.target is not aten.select.int or node.kwargs:
        return False
    source, dim, index = node.args
    shape, given = _static_shape(source), _static_shape(node)
    if shape is None or given is None or not given or not isinstance(dim, int) or not isinstance(index, int):
        return False
    place = index % shape[dim]
    with graph.inserting_before(node):
        kept = graph.call_function(aten.slice.Tensor, (source, dim % len(shape), place, place + 1))
        flat = graph.call_function(aten.reshape.default, (kept, list(given)))
    return _replaced(graph, node, flat)


def _same_expand(graph: fx.Graph, node: fx.Node) -> bool:
    """`expand` to the shape that a tensor has (at batch 1): nothing."""
    import torch

    if node.op != "call_function" or node.target is not torch.ops.aten.expand.default:
        return False
    source = node.args[0]
    shape, given = _static_shape(source), _static_shape(node)
    if shape is None or shape != given:
        return False
    node.replace_all_uses_with(source)  # type: ignore[arg-type]
    graph.erase_node(node)
    return True


def _replaced(graph: fx.Graph, node: fx.Node, by: fx.Node) -> bool:
    by.meta["val"] = node.meta["val"]  # the next rewrite asks for its shape
    node.replace_all_uses_with(by)
    graph.erase_node(node)
    return True


def _shape(source: object) -> tuple[int, ...] | None:
    meta = getattr(source, "meta", None)
    shape = getattr(meta.get("val"), "shape", None) if isinstance(meta, dict) else None
    return None if shape is None else tuple(shape)


def _static_shape(source: object) -> tuple[int, ...] | None:
    """The shape where every size is a number: it is written into the graph."""
    shape = _shape(source)
    return shape if shape is not None and all(type(size) is int for size in shape) else None
