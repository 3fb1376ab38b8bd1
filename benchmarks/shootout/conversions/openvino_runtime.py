# SPDX-License-Identifier: Apache-2.0
"""OpenVINO's own representation, and static int8 by NNCF, its quantizer: ASSETS FOLDER PRECISION."""

from __future__ import annotations

import sys
from pathlib import Path

import nncf
import numpy as np
import openvino


def main() -> None:
    assets, folder, precision = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    model = openvino.convert_model(assets / "fp32.onnx")
    if precision == "int8":
        items = np.load(assets / "calibration.npy")
        transformer = any("softmax" in node.get_type_name().lower() for node in model.get_ops())
        model = nncf.quantize(
            model,
            nncf.Dataset([item[None] for item in items]),
            subset_size=len(items),
            model_type=nncf.ModelType.TRANSFORMER if transformer else None,
        )
    openvino.save_model(model, folder / f"{precision}.xml", compress_to_fp16=False)


if __name__ == "__main__":
    main()
