# SPDX-License-Identifier: Apache-2.0
"""ONNX to MNN, and static int8 by MNN's own quantizer: ASSETS FOLDER PRECISION.

Of its methods only EMA leaves integer weights; the others gave a model that computes in floats.

The compiled tools are called directly: the command-line wrappers around them install a package by themselves and
report what they convert to their maker.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import _tools
import numpy as np


def main() -> None:
    assets, folder, precision = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    float_path = folder / "fp32.mnn"
    source, target = str(assets / "fp32.onnx"), str(float_path)
    _tools.mnnconvert(["", "-f", "ONNX", "--modelFile", source, "--MNNModel", target, "--bizCode", "MNN"])
    if not float_path.is_file():
        sys.exit("MNN's converter wrote no model")
    if precision == "int8":
        quantize(float_path, np.load(assets / "calibration.npy"), folder / "int8.mnn")
        float_path.unlink()


def quantize(source: Path, items: np.typing.NDArray[np.float32], target: Path) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        samples = Path(temporary) / "samples"
        inputs = [{"name": "input", "shape": [1, *items.shape[1:]]}]
        for index, item in enumerate(items):
            sample = samples / f"input_{index}"
            sample.mkdir(parents=True)
            (sample / "input.json").write_text(json.dumps({"inputs": inputs}))
            np.savetxt(sample / "input.txt", item.ravel(), fmt="%.6g")
        settings = {
            "path": f"{samples}/",
            "inputs": inputs,
            "used_sample_num": len(items),
            "input_type": "sequence",
            "feature_quantize_method": "EMA",
            "weight_quantize_method": "MAX_ABS",
            "feature_clamp_value": 127,
            "weight_clamp_value": 127,
            "batch_size": 1,
            "quant_bits": 8,
            "debug": False,
        }
        configuration = Path(temporary) / "settings.json"
        configuration.write_text(json.dumps(settings))
        _tools.mnnquant(["", str(source), str(target), str(configuration)])
    if not target.is_file():
        sys.exit("MNN's quantizer wrote no model")


if __name__ == "__main__":
    main()
