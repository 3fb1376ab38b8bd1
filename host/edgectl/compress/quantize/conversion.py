# SPDX-License-Identifier: Apache-2.0
"""From a float graph and a spec to the graph that the device computes, with quantize and dequantize inside."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from edgectl_protos.errors import CompileError
from torch import fx
from torch.fx import GraphModule

from edgectl.compress.quantize.folding import fold_batch_norms, source_of
from edgectl.compress.quantize.layers import WEIGHTED, is_call, put_tensor, tensor_at
from edgectl.compress.quantize.spec import FP16, INT4_WEIGHTS, QuantizationSpec, Steps
from edgectl.compress.quantize.splitting import split_into_slices
from edgectl.compress.state import ModelState

_WEIGHT_SCHEMES = (torch.per_channel_symmetric, torch.per_tensor_symmetric)


@dataclass(frozen=True, slots=True)
class Observation:
    """An activation that is int8: which operator gives it, who reads it so, and with whom it shares its steps.

    `consumers` are names of the float graph's operators; None means everybody who reads it.
    """

    source: str
    consumers: tuple[str, ...] | None
    observer: str


def prepare(state: ModelState, spec: QuantizationSpec) -> GraphModule:
    """A folded copy of the state's graph with observers in it.

    Raises:
        Exception: whatever torchao raises for a layer it cannot annotate.
    """
    from torchao.quantization.pt2e.quantize_pt2e import prepare_pt2e

    from edgectl.compress.quantize.annotation import PlaceQuantizer

    graph = state.copied_graph()
    fold_batch_norms(graph)
    split_into_slices(graph)
    _one_reader_each(graph)
    with quiet_libraries():
        prepared: GraphModule = prepare_pt2e(graph, PlaceQuantizer(spec))
    return prepared


def _one_reader_each(graph: GraphModule) -> None:
    """A node per use of each weight, and a tensor per use of each bias.

    XNNPACK's annotators pass over a layer whose weight another has been given; and its serializer gives a bias that two
    layers share the integers of the first, though they depend on the layer's input (outputs 18 dB off).
    """
    for node in list(graph.graph.nodes):
        if node.op != "get_attr":
            continue
        for index, user in enumerate(list(node.users)[1:]):
            name = str(node.target)
            if is_call(user, WEIGHTED) and len(user.args) > 2 and user.args[2] is node:
                name = f"_{name.replace('.', '_')}_again_{index}"
                put_tensor(graph, name, tensor_at(graph, str(node.target)).detach().clone(), parameter=True)
            with graph.graph.inserting_before(user):
                own = graph.graph.get_attr(name)
            own.meta = dict(node.meta)
            user.replace_input_with(node, own)


def observed_ranges(prepared: GraphModule) -> dict[str, Steps]:
    """The steps of every activation observer that has seen values, by the operator it watches."""
    from edgectl.compress.quantize.observers import steps_of

    return {key: steps_of(observer) for key, _, observer in _activation_observers(prepared) if not observer.is_dynamic}


def observations(prepared: GraphModule) -> list[Observation]:
    """What a prepared graph observes, in its order: for training through fake quantization."""
    found = []
    for key, node, observer in _activation_observers(prepared):
        if observer.is_dynamic:
            continue
        watched: Any = node.args[0]
        others = [user for user in watched.users if user is not node and not _is_observer(prepared, user)]
        consumers = None if not others else tuple(source_of(user) for user in node.users)
        found.append(Observation(key, consumers, str(node.target)))
    return found


def convert(prepared: GraphModule, ranges: Mapping[str, Steps]) -> GraphModule:
    """The quantized graph of a prepared one that need not have seen any values: `ranges` say what they are.

    Raises:
        CompileError: an activation has no range.
    """
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e

    from edgectl.compress.quantize.observers import KnownSteps

    for key, node, observer in list(_activation_observers(prepared)):
        if observer.is_dynamic:
            continue
        if key not in ranges:
            raise CompileError(f"no range is known for the output of {key}", action="calibrate again")
        prepared.add_submodule(str(node.target), KnownSteps(ranges[key], observer))
    _observe_weights(prepared)
    with quiet_libraries():
        converted: GraphModule = convert_pt2e(prepared)
    return converted


def quantized_graph(state: ModelState, spec: QuantizationSpec) -> GraphModule:
    """What the device computes for a state, by a spec that is calibrated; a batch of any size where the state's is.

    Raises:
        CompileError: a range is missing.
        Exception: whatever torchao raises for a layer it cannot convert.
    """
    from edgectl.compress.quantize.half import to_half

    if spec.scheme == FP16:
        return to_half(state)
    return finished(prepare(state, spec), spec)


def finished(prepared: GraphModule, spec: QuantizationSpec) -> GraphModule:
    """The quantized graph of a prepared one, by a spec that is calibrated; `prepared` is used up.

    Raises:
        CompileError: a range is missing.
    """
    from edgectl.compress.quantize.int4 import quantize_linear_to_int4

    converted = convert(prepared, spec.ranges or {})
    if INT4_WEIGHTS in (spec.scheme, *spec.overrides.values()):
        quantize_linear_to_int4(converted, spec)
    return converted


def _activation_observers(prepared: GraphModule) -> Iterator[tuple[str, fx.Node, Any]]:
    """Key, node and observer of each activation; a second observer of the same operator is called NAME#2."""
    seen: dict[str, int] = {}
    modules = dict(prepared.named_modules(remove_duplicate=False))
    for node in prepared.graph.nodes:
        if not _is_observer(prepared, node):
            continue
        observer = modules[str(node.target)]
        watched = node.args[0]
        while _is_observer(prepared, watched):
            watched = watched.args[0]
        if watched.op == "get_attr" and observer.qscheme in _WEIGHT_SCHEMES:
            continue
        name = source_of(watched)
        seen[name] = seen.get(name, 0) + 1
        yield name if seen[name] == 1 else f"{name}#{seen[name]}", node, observer


def _observe_weights(prepared: GraphModule) -> None:
    for node in prepared.graph.nodes:
        if not _is_observer(prepared, node) or node.args[0].op != "get_attr":
            continue
        observer: Any = prepared.get_submodule(str(node.target))
        if observer.qscheme in _WEIGHT_SCHEMES:
            owner, _, attribute = str(node.args[0].target).rpartition(".")
            with torch.no_grad():
                observer(getattr(prepared.get_submodule(owner), attribute))


def _is_observer(prepared: GraphModule, node: Any) -> bool:
    from torchao.quantization.pt2e.observer import ObserverBase

    if not isinstance(node, fx.Node) or node.op != "call_module":
        return False
    return isinstance(prepared.get_submodule(str(node.target)), ObserverBase)


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Warnings of the quantizer's libraries are about their own insides (extensions for GPUs, deprecations)."""
    loggers = [logging.getLogger(name) for name in ("torchao", "torch.utils._pytree")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
