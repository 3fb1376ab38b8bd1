# SPDX-License-Identifier: Apache-2.0
"""A state's graph to be trained through fake quantization, and what was trained written back to the float master.

Batch norm stays an operator and goes on learning: the kernel is scaled by its scale over the running deviation before
it is rounded and the result scaled back, so that it is rounded as it will be once folded (Krishnamoorthi 2018,
section 3.2.2).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from edgectl_protos.errors import CompileError
from torch import fx, nn
from torch.fx import GraphModule

from edgectl.compress.quantize.conversion import observations, prepare
from edgectl.compress.quantize.fake import FakeActivation, FakeDynamicActivation, FakeInt4Weight, FakeWeight
from edgectl.compress.quantize.folding import batch_norm_after
from edgectl.compress.quantize.int4 import int4_obstacle
from edgectl.compress.quantize.layers import (
    LINEAR,
    TRANSPOSED,
    WEIGHTED,
    is_call,
    place_of,
    weight_name,
)
from edgectl.compress.quantize.spec import FP16, INT4_WEIGHTS, INT8, INT8_DYNAMIC, QuantizationSpec
from edgectl.compress.state import ModelState

aten = torch.ops.aten

_MODULES = "_fake_quantization"
_EPSILON = 7


def training_graph(state: ModelState) -> GraphModule:
    """A copy of the state's graph, with fake quantization where the state is quantized; parameters keep their names.

    In eval mode; the caller switches it. `fp16` trains in float32.

    Raises:
        CompileError: the ranges are void.
    """
    graph = state.copied_graph()
    spec: QuantizationSpec | None = state.quantization
    if spec is None or spec.scheme == FP16:
        return graph
    if not spec.calibrated:
        raise CompileError(
            "the ranges of the activations are void: the model was cut after it was quantized",
            action="calibrate it again before training",
        )
    graph.add_module(_MODULES, nn.Module())
    _fake_weights(graph, spec)
    _fake_activations(graph, state, spec)
    graph.graph.lint()
    graph.recompile()
    return graph


def write_back(state: ModelState, trained: GraphModule) -> ModelState:
    """The state with the parameters, buffers and ranges of a graph that `training_graph` made of it.

    Raises:
        CompileError: the graph has not the state's parameters.
    """
    graph = state.copied_graph()
    given = dict(trained.named_parameters()) | dict(trained.named_buffers())
    with torch.no_grad():
        for name, tensor in (*graph.named_parameters(), *graph.named_buffers()):
            if name not in given or given[name].shape != tensor.shape:
                raise CompileError(f"the trained graph has no {name} of shape {list(tensor.shape)}")
            tensor.copy_(given[name].detach().to(tensor.device))
    spec: QuantizationSpec | None = state.quantization
    if spec is not None and spec.ranges:
        ranges = dict(spec.ranges)
        for module in trained.modules():
            if isinstance(module, FakeActivation):
                ranges |= dict.fromkeys(module.sources, module.steps)
        spec = spec.with_ranges(ranges)
    return replace(state, graph=graph, quantization=spec, cache={})


def _fake_weights(graph: GraphModule, spec: QuantizationSpec) -> None:
    for node in list(graph.graph.nodes):
        if not is_call(node, WEIGHTED) or weight_name(node) is None:
            continue
        scheme = spec.scheme_of(place_of(node))
        if scheme == INT8 or (scheme == INT8_DYNAMIC and is_call(node, LINEAR)):
            _fake_kernel(graph, node, FakeWeight(1 if is_call(node, TRANSPOSED) else 0))
        elif scheme == INT4_WEIGHTS and int4_obstacle(graph, node) is None:
            _fake_kernel(graph, node, FakeInt4Weight())
        if scheme in (INT8_DYNAMIC, INT4_WEIGHTS) and is_call(node, LINEAR):
            activation: Any = node.args[0]
            faked = _call(graph, node, FakeDynamicActivation(per_token=scheme == INT4_WEIGHTS), activation)
            node.args = (faked, *node.args[1:])


def _fake_kernel(graph: GraphModule, node: fx.Node, fake: nn.Module) -> None:
    norm = batch_norm_after(node)
    weight: Any = node.args[1]
    if norm is None or norm.args[1] is None or is_call(node, TRANSPOSED):
        node.args = (node.args[0], _call(graph, node, fake, weight), *node.args[2:])
        return
    gamma, _, _, variance = norm.args[1:5]
    bias = node.args[2] if len(node.args) > 2 else None
    rank = weight.meta["val"].ndim
    with graph.graph.inserting_before(node):

        def call(target: Any, *arguments: Any) -> fx.Node:
            return graph.graph.call_function(target, arguments)

        # Before the layer: torch's own order of nodes has them only before the norm.
        held = [graph.graph.get_attr(str(one.target)) for one in (gamma, variance) if isinstance(one, fx.Node)]
        deviation = call(aten.rsqrt.default, call(aten.add.Tensor, held[1], norm.args[_EPSILON]))
        scale = call(aten.mul.Tensor, held[0], deviation)
        # A scale near zero would blow the inverse up; such a channel is all but gone.
        safe = call(aten.where.ScalarOther, call(aten.gt.Scalar, call(aten.abs.default, scale), 1e-7), scale, 1e-7)
        shape = [-1, *[1] * (rank - 1)]
        scaled = call(aten.mul.Tensor, weight, call(aten.reshape.default, safe, shape))
    faked = _call(graph, node, fake, scaled)
    arguments = [node.args[0], faked, None, *node.args[3:]]
    node.args = tuple(arguments)
    with graph.graph.inserting_after(node):
        inverse = graph.graph.call_function(aten.reshape.default, (safe, [1, *shape] if rank > 2 else [1, -1]))
    if rank > 2:
        inverse.args = (safe, [1, -1, *[1] * (rank - 2)])
    with graph.graph.inserting_after(inverse):
        back = graph.graph.call_function(aten.div.Tensor, (node, inverse))
    last = back
    if bias is not None:
        with graph.graph.inserting_after(back):
            shaped = graph.graph.call_function(aten.reshape.default, (bias, inverse.args[1]))
        with graph.graph.inserting_after(shaped):
            last = graph.graph.call_function(aten.add.Tensor, (back, shaped))
    norm.args = (last, *norm.args[1:])


def _fake_activations(graph: GraphModule, state: ModelState, spec: QuantizationSpec) -> None:
    ranges = spec.ranges or {}
    nodes = {node.name: node for node in graph.graph.nodes}
    shared: dict[str, tuple[str, FakeActivation]] = {}
    with torch.no_grad():
        planned = observations(prepare(state, spec))
    for item in planned:
        source = nodes.get(item.source.partition("#")[0])
        if source is None or item.source not in ranges:
            continue
        if item.observer not in shared:
            module = FakeActivation(ranges[item.source])
            name = f"{_MODULES}.activation_{len(shared)}"
            graph.add_submodule(name, module)
            shared[item.observer] = (name, module)
        name, module = shared[item.observer]
        module.sources.append(item.source)
        _insert(graph, source, name, item.consumers)


def _insert(graph: GraphModule, source: fx.Node, name: str, consumers: tuple[str, ...] | None) -> None:
    users = [user for user in source.users if consumers is None or user.name in consumers]
    with graph.graph.inserting_after(source):
        faked = graph.graph.call_module(name, (source,))
    for user in users:
        user.replace_input_with(source, faked)


def _call(graph: GraphModule, before: fx.Node, module: nn.Module, value: fx.Node) -> fx.Node:
    name = f"{_MODULES}.weight_{before.name}_{type(module).__name__}"
    graph.add_submodule(name, module)
    with graph.graph.inserting_before(before):
        return graph.graph.call_module(name, (value,))
