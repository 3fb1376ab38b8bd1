# SPDX-License-Identifier: Apache-2.0
"""Linear layers with 4-bit weights in groups of 32 and 8-bit activations quantized per token as it runs (8da4w)."""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import fx
from torch.fx import GraphModule

from edgectl.compress.quantize.layers import (
    LINEAR,
    is_call,
    is_float_tensor,
    place_of,
    put_tensor,
    tensor_at,
    weight_name,
)
from edgectl.compress.quantize.spec import INT4_GROUP, INT4_WEIGHTS, QuantizationSpec

_LOW, _HIGH = -8, 7


def int4_obstacle(graph: GraphModule, node: fx.Node) -> str | None:
    """Why a layer cannot have 4-bit weights; None where it can."""
    if not is_call(node, LINEAR):
        return "4-bit weights are for linear layers"
    name = weight_name(node)
    if name is None:
        return "its weight is computed"
    if not is_float_tensor(node.args[0]):
        return "its input is not float32"
    inputs = tensor_at(graph, name).shape[1]
    if inputs % INT4_GROUP:
        return f"4-bit weights come in groups of {INT4_GROUP}, and it has {inputs} inputs"
    return None


def quantize_linear_to_int4(graph: GraphModule, spec: QuantizationSpec) -> int:
    """Rewrite, in place, every linear layer that the spec gives 4-bit weights; return how many."""
    from torch.ao.quantization.fx import _decomposed  # noqa: F401 - registers the operators

    count = 0
    for node in list(graph.graph.nodes):
        if not is_call(node, LINEAR) or weight_name(node) is None:
            continue
        if spec.scheme_of(place_of(node)) == INT4_WEIGHTS and int4_obstacle(graph, node) is None:
            _rewrite(graph, node)
            count += 1
    if count:
        graph.graph.eliminate_dead_code()
        graph.recompile()
    return count


def int4_weight(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Integers int8 [outputs, inputs] from -8 to 7, and scales float32 [outputs, inputs / 32], for the least clipping.

    Of 20 scales from the largest weight over 8 down, each group takes the one with the least squared error.
    """
    outputs, inputs = weight.shape
    groups = weight.detach().reshape(outputs, inputs // INT4_GROUP, INT4_GROUP)
    largest = groups.abs().amax(-1, keepdim=True).clamp(min=1e-9)
    best = torch.full_like(largest, float("inf"))
    scale = largest / -_LOW
    for share in torch.linspace(1.1, 0.7, 20).tolist():
        candidate = largest * share / -_LOW
        error = (groups - torch.clamp(torch.round(groups / candidate), _LOW, _HIGH) * candidate).square()
        total = error.sum(-1, keepdim=True)
        scale = torch.where(total < best, candidate, scale)
        best = torch.minimum(best, total)
    integers = torch.clamp(torch.round(groups / scale), _LOW, _HIGH).to(torch.int8)
    return integers.reshape(outputs, inputs), scale.squeeze(-1)


def _rewrite(graph: GraphModule, node: fx.Node) -> None:
    quantized = torch.ops.quantized_decomposed
    name = str(weight_name(node))
    integers, scales = int4_weight(tensor_at(graph, name))
    tensors = {"int4": integers, "int4_scales": scales, "int4_zeros": torch.zeros_like(scales, dtype=torch.int32)}
    stem = name.replace(".", "_")
    for suffix, tensor in tensors.items():
        put_tensor(graph, f"_{stem}_{suffix}", tensor)
    activation = node.args[0]
    limits = (-128, 127, torch.int8)
    with graph.graph.inserting_before(node):

        def call(target: Any, *arguments: Any) -> fx.Node:
            return graph.graph.call_function(target, arguments)

        chosen = call(quantized.choose_qparams_per_token_asymmetric.default, activation, torch.int8)
        scale, zero = call(operator.getitem, chosen, 0), call(operator.getitem, chosen, 1)
        eighth = call(quantized.quantize_per_token.default, activation, scale, zero, *limits)
        given = call(quantized.dequantize_per_token.default, eighth, scale, zero, *limits, torch.float32)
        held = [graph.graph.get_attr(f"_{stem}_{suffix}") for suffix in tensors]
        kernel = call(
            quantized.dequantize_per_channel_group.default, *held, _LOW, _HIGH, torch.int8, INT4_GROUP, torch.float32
        )
    node.args = (given, kernel, *node.args[2:])
