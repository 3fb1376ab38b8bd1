# SPDX-License-Identifier: Apache-2.0
"""Which operators of a graph become int8, told to PT2E: XNNPACK's own patterns, filtered by the schemes of a spec.

What differs from `XNNPACKQuantizer`: layers are chosen by place; batch norm is folded before and its patterns are not
searched for (4 of 5 s for MobileNetV2); what is no float32 tensor is never observed; a step of a weight may be smaller
than 2^-12, which cuts the levels of small weights.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import get_symmetric_quantization_config
from executorch.backends.xnnpack.quantizer.xnnpack_quantizer_utils import (
    OP_TO_ANNOTATOR,
    QuantizationConfig,
    propagate_annotation,
)
from torch import fx
from torch.fx import GraphModule
from torchao.quantization.pt2e.observer import PerChannelMinMaxObserver
from torchao.quantization.pt2e.quantizer import QuantizationSpec as TensorSpec
from torchao.quantization.pt2e.quantizer import Quantizer
from torchao.quantization.pt2e.quantizer.quantizer import Q_ANNOTATION_KEY

from edgectl.compress.quantize.layers import WEIGHTED, WEIGHTLESS, is_call, is_float_tensor, place_of, weight_name
from edgectl.compress.quantize.observers import OBSERVERS, SMALLEST_STEP
from edgectl.compress.quantize.spec import INT8, INT8_DYNAMIC, QuantizationSpec

SMALLEST_WEIGHT_STEP = 2**-24

_STATIC_PATTERNS = (
    "linear_relu",
    "linear",
    "conv",
    "conv_transpose",
    "conv_relu",
    "conv_transpose_relu",
    "adaptive_avg_pool2d",
    "add_relu",
    "add",
    "mul_relu",
    "mul",
    "cat",
)
_DYNAMIC_PATTERNS = ("linear",)
_SCALAR_OPERATORS = frozenset({torch.ops.aten.add.Tensor, torch.ops.aten.mul.Tensor})


class PlaceQuantizer(Quantizer):  # type: ignore[misc]
    """Annotates a graph whose batch norms are folded, by the schemes of `spec`."""

    def __init__(self, spec: QuantizationSpec) -> None:
        self._spec = spec

    def transform_for_annotation(self, model: GraphModule) -> GraphModule:
        _scalars_to_tensors(model)
        return model

    def annotate(self, model: GraphModule) -> GraphModule:
        self._annotate(model, _DYNAMIC_PATTERNS, get_dynamic_config(), INT8_DYNAMIC)
        self._annotate(model, _STATIC_PATTERNS, get_static_config(self._spec.observer), INT8)
        _drop_what_is_no_float(model)
        propagate_annotation(model)
        _drop_what_is_no_float(model)
        return model

    def validate(self, model: GraphModule) -> None:
        """Nothing more to check."""

    def _annotate(self, model: GraphModule, patterns: tuple[str, ...], config: QuantizationConfig, scheme: str) -> None:
        chosen = self._chosen(scheme)
        if not any(chosen(node) for node in model.graph.nodes if is_call(node, WEIGHTED | WEIGHTLESS)):
            return
        before = {node: dict(node.meta) for node in model.graph.nodes if is_call(node, WEIGHTLESS)}
        for pattern in patterns:
            OP_TO_ANNOTATOR[pattern](model, config, chosen)
        for node, meta in before.items():  # one annotator (cat) asks no filter
            if not chosen(node):
                node.meta = meta

    def _chosen(self, scheme: str) -> Callable[[fx.Node], bool]:
        def chosen(node: fx.Node) -> bool:
            if is_call(node, WEIGHTED):
                return weight_name(node) is not None and self._spec.scheme_of(place_of(node)) == scheme
            if is_call(node, WEIGHTLESS):
                return is_float_tensor(node) and self._spec.scheme_of(place_of(node)) == scheme
            return True  # weights, activations that go along with a layer

        return chosen


def _scalars_to_tensors(model: GraphModule) -> None:
    """Numbers in float additions and products as tensors, which the delegate takes; those beside integers stay.

    XNNPACK's own makes every one a float32: positions that an index is computed from would no longer be integers.
    """
    for node in list(model.graph.nodes):
        if not is_call(node, _SCALAR_OPERATORS) or not is_float_tensor(node):
            continue
        for place, value in enumerate(node.args):
            if not isinstance(value, bool | int | float):
                continue
            name, constant = f"_scalar_{node.name}_{place}", torch.tensor(float(value))
            model.register_buffer(name, constant)
            with model.graph.inserting_before(node):
                read = model.graph.get_attr(name)
            read.meta["val"] = node.meta["val"].fake_mode.from_tensor(constant, static_shapes=True)
            node.update_arg(place, read)
    model.recompile()


def get_static_config(observer: str) -> QuantizationConfig:
    """XNNPACK's static int8: weights per output channel, activations affine with the ranges of `observer`."""
    activation = TensorSpec(
        dtype=torch.int8,
        quant_min=-128,
        quant_max=127,
        qscheme=torch.per_tensor_affine,
        is_dynamic=False,
        observer_or_fake_quant_ctr=OBSERVERS[observer].with_args(eps=SMALLEST_STEP),
    )
    return QuantizationConfig(activation, activation, _weights(), None, is_qat=False)


def get_dynamic_config() -> QuantizationConfig:
    """XNNPACK's dynamic int8: weights per output channel, the range of the activations found as it runs."""
    stock = get_symmetric_quantization_config(is_per_channel=True, is_dynamic=True)
    return QuantizationConfig(stock.input_activation, None, _weights(), None, is_qat=False)


def _weights() -> TensorSpec:
    return TensorSpec(
        dtype=torch.int8,
        quant_min=-127,
        quant_max=127,
        qscheme=torch.per_channel_symmetric,
        ch_axis=0,
        is_dynamic=False,
        observer_or_fake_quant_ctr=PerChannelMinMaxObserver.with_args(eps=SMALLEST_WEIGHT_STEP),
    )


def _drop_what_is_no_float(model: GraphModule) -> None:
    """Without this, an observer meets integers (positions that are concatenated) and dies."""
    for node in model.graph.nodes:
        annotation = node.meta.get(Q_ANNOTATION_KEY)
        if annotation is None or node.op != "call_function":
            continue
        observed = [*annotation.input_qspec_map, *([node] if annotation.output_qspec is not None else [])]
        if not all(is_float_tensor(other) for other in observed):
            del node.meta[Q_ANNOTATION_KEY]
