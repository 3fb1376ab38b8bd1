# SPDX-License-Identifier: Apache-2.0
"""Rules of products of two tensors: matrix products, einsum, attention. Each is read as an index equation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.fx import Node

from edgectl.compress.structured.analysis import BESIDE, COLUMNS, ROWS, Operand, Work
from edgectl.compress.structured.rewrites import ScaleRewrite
from edgectl.compress.structured.rules.arguments import along, argument
from edgectl.compress.structured.rules.values import merged
from edgectl.compress.structured.trace import ChannelTrace, Refusal, Rule

_BATCH = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def _matmul(trace: ChannelTrace, node: Node, output: torch.Tensor) -> Any:
    return _multiplied(trace, node, output, operands=(0, 1))


def _addmm(trace: ChannelTrace, node: Node, output: torch.Tensor) -> Any:
    """A bias plus a product; the bias may be a parameter or an activation."""
    labels = _multiplied(trace, node, output, operands=(1, 2))
    bias = node.args[0]
    if isinstance(labels, Refusal) or not isinstance(bias, Node):
        return labels
    axes = trace.space.axes(labels)
    shape = trace.value(bias).shape
    if trace.tensor_name(bias) is None:
        merged(trace, axes, output.shape, trace.axes(bias), shape)
        return labels
    for dim, vector in enumerate(axes):
        own = dim - (len(axes) - len(shape))
        if vector is not None and own >= 0 and shape[own] > 1:
            trace.bind(bias, own, vector, BESIDE)
    return labels


def _multiplied(trace: ChannelTrace, node: Node, output: torch.Tensor, *, operands: tuple[int, int]) -> Any:
    left, right = (trace.value(node.args[index]).ndim for index in operands)
    if not left or not right:
        return Refusal("it multiplies by a number")
    terms = [_BATCH[-(left - 2) :] if left > 2 else "", _BATCH[-(right - 2) :] if right > 2 else ""]
    first = terms[0] + ("mk" if left > 1 else "k")
    second = terms[1] + ("kn" if right > 1 else "k")
    batch = max(terms, key=len)
    result = batch + ("m" if left > 1 else "") + ("n" if right > 1 else "")
    return _equation(trace, node, output, operands=operands, terms=(first, second), result=result)


def _einsum(trace: ChannelTrace, node: Node, output: torch.Tensor) -> Any:
    equation, operands = str(node.args[0]).replace(" ", ""), node.args[1]
    terms = equation.split("->")[0].split(",")
    plain = "->" in equation and "." not in equation and all(len(set(term)) == len(term) for term in terms)
    if not plain or not isinstance(operands, list | tuple) or len(terms) > 2:
        return Refusal("an equation of another form than `ab,bc->ac`")
    return _equation(
        trace, node, output, operands=range(len(terms)), terms=terms, result=equation.split("->")[1], sources=operands
    )


@dataclass(slots=True)
class _Indices:
    """What is known of the indices of an equation: labels along them, where an activation has any, and their sizes."""

    result: str
    vectors: dict[str, torch.Tensor] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)


def _equation(
    trace: ChannelTrace,
    node: Node,
    output: torch.Tensor,
    *,
    operands: Sequence[int],
    terms: Sequence[str],
    result: str,
    sources: Sequence[Any] | None = None,
) -> Any:
    """Unite what has one index; an index that is summed over is a contraction, or the columns of a parameter."""
    given = [node.args[index] for index in operands] if sources is None else list(sources)
    own = [trace.tensor_name(source) is not None for source in given]
    indices = _Indices(result)
    for source, term, is_parameter in zip(given, terms, own, strict=True):
        _read_operand(trace, source, term, indices, is_parameter=is_parameter)
    for source, term, is_parameter in zip(given, terms, own, strict=True):
        if is_parameter:
            _bind_operand(trace, source, term, indices)
    if not any(own):
        for index in sorted(indices.vectors.keys() - set(result)):
            place = next(place for place, term in enumerate(terms) if index in term)
            dim = terms[place].index(index)
            trace.contractions.append(Operand(node.name, str(given[place]), dim, indices.vectors[index]))
    if len(terms) > 1:
        still = math.prod(size for index, size in indices.sizes.items() if index not in indices.vectors)
        trace.work.append(Work(still, None, tuple(indices.vectors.values())))
    found = [trace.space.axes(indices.vectors[index])[0] if index in indices.vectors else None for index in result]
    return trace.space.product(found, output.shape)


def _read_operand(trace: ChannelTrace, source: Any, term: str, indices: _Indices, *, is_parameter: bool) -> None:
    shape = trace.value(source).shape
    axes = [None] * len(shape) if is_parameter else trace.axes(source)
    for index, vector, size in zip(term, axes, shape, strict=True):
        if is_parameter or size == 1:
            indices.sizes.setdefault(index, size)
            continue
        line = along(vector, size)
        if index in indices.vectors:
            trace.space.unite(indices.vectors[index], line)
        indices.vectors.setdefault(index, line)
        indices.sizes[index] = size


def _bind_operand(trace: ChannelTrace, parameter: Any, term: str, indices: _Indices) -> None:
    for dim, (index, size) in enumerate(zip(term, trace.value(parameter).shape, strict=True)):
        if size == 1:
            continue
        if index in indices.vectors:
            trace.bind(parameter, dim, indices.vectors[index], BESIDE if index in indices.result else COLUMNS)
        elif index in indices.result:
            indices.vectors[index] = trace.space.fresh(size)
            indices.sizes[index] = size
            trace.bind(parameter, dim, indices.vectors[index], ROWS)


def _attention(trace: ChannelTrace, node: Node, output: torch.Tensor) -> Any:
    """Query, key [..., heads, tokens, width], value [..., heads, tokens, value width]."""
    sources = node.args[:3]
    if any(trace.tensor_name(source) is not None for source in sources):
        return Refusal("a parameter takes part in attention directly")
    query, key, value = (trace.axes(source) for source in sources)
    shapes = [trace.value(source).shape for source in sources]
    if argument(node, 7, "enable_gqa", default=False) and shapes[0][-3] != shapes[1][-3]:
        query = _grouped_queries(trace, query, key, shapes)
    for axes in (query, key, value):
        trace.keep(node, axes[-2], "attention runs along them")
    leading = (
        merged(trace, query[:-2], shapes[0][:-2], key[:-2], shapes[1][:-2])
        if shapes[0][:-2] == shapes[1][:-2]
        else query[:-2]
    )
    if shapes[1][:-2] == shapes[2][:-2]:
        merged(trace, key[:-2], shapes[1][:-2], value[:-2], shapes[2][:-2])
    width = shapes[0][-1]
    if query[-1] is not None or key[-1] is not None:
        line = along(query[-1], width)
        trace.space.unite(line, along(key[-1], width))
        trace.contractions.append(Operand(node.name, str(sources[0]), len(query) - 1, line))
        if argument(node, 6, "scale") is None:
            trace.rewrites.append(ScaleRewrite(node.name, 1.0 / math.sqrt(width)))
    mask = argument(node, 3, "attn_mask")
    if isinstance(mask, Node):
        _mask(trace, node, mask, leading, output)
    _attention_work(trace, leading, shapes, query, value)
    return trace.space.product([*leading, None, value[-1]], output.shape)


def _mask(trace: ChannelTrace, node: Node, mask: Node, leading: list[Any], output: torch.Tensor) -> None:
    shape = trace.value(mask).shape
    if trace.tensor_name(mask) is None:
        axes = trace.axes(mask)
        for vector in axes[-2:]:
            trace.keep(node, vector, "attention runs along them")
        merged(trace, leading, output.shape[:-2], axes[:-2], shape[:-2])
        return
    for dim, vector in enumerate(leading):
        own = dim - (len(leading) + 2 - len(shape))
        if vector is not None and own >= 0 and shape[own] > 1:
            trace.bind(mask, own, vector, BESIDE)


def _grouped_queries(
    trace: ChannelTrace, query: list[Any], key: list[Any], shapes: Sequence[Sequence[int]]
) -> list[Any]:
    times = shapes[0][-3] // shapes[1][-3]
    shared = along(key[-3], shapes[1][-3]).repeat_interleave(times)
    trace.space.unite(along(query[-3], shapes[0][-3]), shared)
    return [*query[:-3], shared, *query[-2:]]


def _attention_work(
    trace: ChannelTrace, leading: list[Any], shapes: Sequence[Sequence[int]], query: list[Any], value: list[Any]
) -> None:
    still = math.prod(size for size, vector in zip(shapes[0][:-2], leading, strict=True) if vector is None)
    tokens = shapes[0][-2] * shapes[1][-2] * still
    heads = tuple(vector for vector in leading if vector is not None)
    for axes, shape in ((query, shapes[0]), (value, shapes[2])):
        width = axes[-1]
        times, extents = (tokens * shape[-1], heads) if width is None else (tokens, (*heads, width))
        trace.work.append(Work(times, None, extents))


RULES: dict[str, Rule] = {
    **dict.fromkeys(("matmul", "bmm", "mm", "mv", "dot"), _matmul),
    **dict.fromkeys(("addmm", "baddbmm", "addmv"), _addmm),
    "einsum": _einsum,
    "scaled_dot_product_attention": _attention,
}
