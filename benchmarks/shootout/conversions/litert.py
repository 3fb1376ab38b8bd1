# SPDX-License-Identifier: Apache-2.0
"""torch to .tflite by litert-torch, and int8 by the AI Edge quantizer: ASSETS FOLDER PRECISION."""

from __future__ import annotations

import sys
from pathlib import Path

import litert_torch
import numpy as np
import torch
from ai_edge_litert.interpreter import Interpreter
from ai_edge_quantizer import quantizer, recipe
from ai_edge_quantizer.algorithm_manager import AlgorithmName
from ai_edge_quantizer.qtyping import TFLOperationName

from shootout.models import load

IMAGES_RANK = 4


def main() -> None:
    assets, folder, precision = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    module: torch.nn.Module = load(assets)
    item = torch.from_numpy(np.load(assets / "input.npy"))
    if (
        item.ndim == IMAGES_RANK
    ):  # images lie channels last there: the worker turns the input around, outside the timed region
        module = litert_torch.to_channel_last_io(module, args=[0])
        item = item.permute(0, 2, 3, 1).contiguous()
    float_path = folder / "fp32.tflite"
    litert_torch.convert(module, (item,)).export(str(float_path))
    if precision == "int8":
        quantize(float_path, np.load(assets / "calibration.npy"), folder / "int8.tflite")
        float_path.unlink()


def quantize(source: Path, items: np.typing.NDArray[np.float32], target: Path) -> None:
    """Static int8 between float inputs and outputs, as in every other runtime; a transformer dynamic, which is the
    faster there (1.6 ms against 5.2)."""
    if items.ndim != IMAGES_RANK:
        quantizer.Quantizer(str(source), recipe.dynamic_wi8_afp32()).quantize().export_model(str(target))
        target.with_suffix(".note").write_text("dynamic int8\n")
        return
    interpreter = Interpreter(str(source))
    signature = next(iter(interpreter.get_signature_list()))
    name = next(iter(interpreter.get_signature_runner(signature).get_input_details()))
    turned = np.ascontiguousarray(items.transpose(0, 2, 3, 1))
    work = quantizer.Quantizer(str(source), recipe.static_wi8_ai8())
    for end in (TFLOperationName.INPUT, TFLOperationName.OUTPUT):
        work.update_quantization_recipe(".*", end, algorithm_key=AlgorithmName.NO_QUANTIZE)
    ranges = work.calibrate({signature: [{name: item[None]} for item in turned]})
    work.quantize(ranges).export_model(str(target))


if __name__ == "__main__":
    main()
