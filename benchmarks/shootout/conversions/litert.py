# SPDX-License-Identifier: Apache-2.0
"""torch to .tflite by litert-torch, and static int8 by Google's quantizer: ASSETS FOLDER PRECISION."""

from __future__ import annotations

import sys
from pathlib import Path

import litert_torch
import numpy as np
import torch
from ai_edge_quantizer import quantizer, recipe

from shootout.models import load


def main() -> None:
    assets, folder, precision = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    module: torch.nn.Module = load(assets)
    item = torch.from_numpy(np.load(assets / "input.npy"))
    if item.ndim == 4:  # images lie channels last there: the worker turns the input around, outside the timed region
        module = litert_torch.to_channel_last_io(module, args=[0])
        item = item.permute(0, 2, 3, 1).contiguous()
    float_path = folder / "fp32.tflite"
    litert_torch.convert(module, (item,)).export(str(float_path))
    if precision == "int8":
        quantize(float_path, np.load(assets / "calibration.npy"), folder / "int8.tflite")
        float_path.unlink()


def quantize(source: Path, items: np.typing.NDArray[np.float32], target: Path) -> None:
    import ai_edge_litert.interpreter

    signature, runner = next(
        (name, ai_edge_litert.interpreter.Interpreter(str(source)).get_signature_runner(name))
        for name in ai_edge_litert.interpreter.Interpreter(str(source)).get_signature_list()
    )
    name = next(iter(runner.get_input_details()))
    if items.ndim == 4:
        items = np.ascontiguousarray(items.transpose(0, 2, 3, 1))
    work = quantizer.Quantizer(str(source), recipe.static_wi8_ai8())
    ranges = work.calibrate({signature: [{name: item[None]} for item in items]})
    work.quantize(ranges).export_model(str(target))


if __name__ == "__main__":
    main()
