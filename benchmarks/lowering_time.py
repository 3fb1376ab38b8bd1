# SPDX-License-Identifier: Apache-2.0
"""Quantize and lower MobileNetV2 to int8 in one warm process: the stock flow against edgectl's, in turn.

Both begin with the float model as they export it (which is timed beside: edgectl's export takes a batch of any size,
is compared with the module and serves every later stage) and four calibration items, and end with the bytes of the
.pte. The stock flow is the documented one: prepare_pt2e, calibrate, convert_pt2e, export, to_edge_transform_and_lower,
to_executorch.
The programs are compared too: operators in the delegate, distance of the outputs from the float model's, bytes. The
last line is the ratio of the medians of the wall clock; that of the processor's time stands above it, for a machine
that others use too.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

import torch
from edgectl.compress.carrier import export_model
from edgectl.compress.quantize import calibrate, materialize
from edgectl.compress.stages import Quantize
from edgectl.compress.state import ModelState
from edgectl.lower.agreement import least_agreement
from edgectl.lower.delegation import delegation_of
from edgectl.lower.flow import lower_exported
from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import XNNPACKQuantizer, get_symmetric_quantization_config
from executorch.exir import to_edge_transform_and_lower
from executorch.extension.pybindings.portable_lib import _load_for_executorch_from_buffer
from shootout.models import BUILDERS, build, noise
from torch import Tensor, nn
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

ITEMS = 4
Made = tuple[bytes, str]


def export_stock(module: nn.Module, example: Tensor) -> Any:
    """The float model as the documented flow has it."""
    return torch.export.export(module, (example,)).module()


def export_ours(module: nn.Module, example: Tensor) -> Any:
    """The float model as edgectl has it."""
    carrier = export_model(module, (example,))
    return ModelState(carrier.graph, carrier.example_inputs)


def stock(exported_float: Any, items: list[Tensor]) -> Made:
    """The documented flow."""
    example = (items[0],)
    quantizer = XNNPACKQuantizer().set_global(get_symmetric_quantization_config(is_per_channel=True))
    prepared = prepare_pt2e(exported_float, quantizer)
    for item in items:
        prepared(item)
    exported = torch.export.export(convert_pt2e(prepared), example)
    edge = to_edge_transform_and_lower(exported, partitioner=[XnnpackPartitioner()])
    report, _ = delegation_of(edge.exported_program())
    return bytes(edge.to_executorch().buffer), report.lines()[0]


def ours(state: ModelState, items: list[Tensor]) -> Made:
    """edgectl's, to the same end."""
    state = calibrate(state, Quantize("int8"), [(item,) for item in items], generator=torch.Generator().manual_seed(0))
    program = lower_exported(materialize(state))
    return program.data, program.delegation.lines()[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="mobilenet_v2", choices=sorted(BUILDERS))
    parser.add_argument("--pairs", type=int, default=3, help="timed, after one pair to warm up")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    module = build(options.model)
    items = [noise(BUILDERS[options.model].item, 1, seed=index) for index in range(ITEMS)]
    flows: dict[str, tuple[Callable[[nn.Module, Tensor], Any], Callable[[Any, list[Tensor]], Made]]] = {
        "stock": (export_stock, stock),
        "edgectl": (export_ours, ours),
    }
    seconds: dict[str, list[float]] = {name: [] for name in flows}
    processor: dict[str, list[float]] = {name: [] for name in flows}
    for turn in range(options.pairs + 1):
        for name, (export, flow) in flows.items():
            begun = time.perf_counter()
            exported = export(module, items[0])
            exporting = time.perf_counter() - begun
            begun, busy = time.perf_counter(), time.process_time()
            data, delegated = flow(exported, items)
            taken, used = time.perf_counter() - begun, time.process_time() - busy
            kind = "warm-up" if turn == 0 else "timed"
            distance = _distance(data, module, items)
            print(
                f"{name:8} {kind:8} {taken:6.1f} s, {used:6.1f} s of processor (export {exporting:.1f})  "
                f"{len(data)} bytes  {delegated}  "
                f"{distance:.1f} dB over its distance from the float model",
                flush=True,
            )
            if turn:
                seconds[name].append(taken)
                processor[name].append(used)
    used_medians = {name: statistics.median(values) for name, values in processor.items()}
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    print(f"medians of {options.pairs}: " + ", ".join(f"{name} {value:.1f} s" for name, value in medians.items()))
    print(f"ratio of processor time {used_medians['edgectl'] / used_medians['stock']:.2f}")
    print(f"ratio {medians['edgectl'] / medians['stock']:.2f}")


def _distance(data: bytes, module: nn.Module, items: list[Tensor]) -> float:
    program: Any = _load_for_executorch_from_buffer(data)
    with torch.no_grad():
        return min(least_agreement(program.forward([item]), (module(item),)) for item in items)


if __name__ == "__main__":
    main()
