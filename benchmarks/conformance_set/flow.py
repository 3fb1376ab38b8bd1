# SPDX-License-Identifier: Apache-2.0
"""The stock flow from torch to a .pte: PT2E or torchao, torch.export, XNNPACK. Nothing of edgectl's own is in it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from conformance_set.cases import SEED, Case, Precision

CALIBRATION_ITEMS = 8
GROUP = 32


def build(case: Case, precision: Precision) -> tuple[bytes, tuple[Tensor, ...], tuple[Tensor, ...]]:
    """The program, its inputs, and what eager torch answers: the quantized model's own answer where it is quantized."""
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.manual_seed(SEED)
        module = case.make().eval()
        generator = torch.Generator().manual_seed(SEED)
        items = [case.draw(generator) for _ in range(CALIBRATION_ITEMS)]
        model = _PREPARED[precision](module, items)
        inputs = items[0]
        answer = model(*inputs)
        outputs = tuple(answer) if isinstance(answer, tuple | list) else (answer,)
        return _lowered(model, inputs, precision), inputs, outputs


def _static(module: nn.Module, items: Sequence[tuple[Tensor, ...]]) -> nn.Module:
    return _pt2e(module, items, is_per_channel=True)


def _dynamic(module: nn.Module, items: Sequence[tuple[Tensor, ...]]) -> nn.Module:
    return _pt2e(module, items, is_per_channel=True, is_dynamic=True)


def _pt2e(module: nn.Module, items: Sequence[tuple[Tensor, ...]], **configuration: bool) -> nn.Module:
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    quantizer = XNNPACKQuantizer().set_global(get_symmetric_quantization_config(**configuration))
    prepared = prepare_pt2e(torch.export.export(module, items[0]).module(), quantizer)
    for item in items:
        prepared(*item)
    converted: nn.Module = convert_pt2e(prepared)
    return converted


def _four_bit(module: nn.Module, _items: Sequence[tuple[Tensor, ...]]) -> nn.Module:
    from torchao.quantization.granularity import PerGroup
    from torchao.quantization.quant_api import Int8DynamicActivationIntxWeightConfig, quantize_

    four_bit = getattr(torch, "int4")  # noqa: B009 - torch's stubs do not know it
    quantize_(module, Int8DynamicActivationIntxWeightConfig(weight_dtype=four_bit, weight_granularity=PerGroup(GROUP)))
    return module


_PREPARED: dict[Precision, Callable[[nn.Module, Sequence[tuple[Tensor, ...]]], nn.Module]] = {
    Precision.FP32: lambda module, _items: module,
    Precision.INT8: _static,
    Precision.DYNAMIC: _dynamic,
    Precision.FOUR_BIT: _four_bit,
}


def _lowered(model: nn.Module, inputs: tuple[Tensor, ...], precision: Precision) -> bytes:
    from executorch.backends.xnnpack.partition.config.xnnpack_config import ConfigPrecisionType
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    partitioners: list[Any] = [XnnpackPartitioner()]
    if precision in (Precision.DYNAMIC, Precision.FOUR_BIT):
        dynamic = XnnpackPartitioner(config_precisions=ConfigPrecisionType.DYNAMIC_QUANT, per_op_mode=True)
        partitioners.insert(0, dynamic)
    edge = to_edge_transform_and_lower(torch.export.export(model, inputs), partitioner=partitioners)
    return bytes(edge.to_executorch().buffer)
