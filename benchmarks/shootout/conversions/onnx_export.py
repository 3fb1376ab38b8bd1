# SPDX-License-Identifier: Apache-2.0
"""torch to ONNX, the common road to most peers: ASSETS FOLDER."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

from shootout.models import load


def main() -> None:
    assets, folder = Path(sys.argv[1]), Path(sys.argv[2])
    example = (torch.from_numpy(np.load(assets / "input.npy")),)
    torch.onnx.export(
        load(assets),
        example,
        folder / "fp32.onnx",
        input_names=["input"],
        output_names=["output"],
        external_data=False,
        verbose=False,
    )


if __name__ == "__main__":
    main()
