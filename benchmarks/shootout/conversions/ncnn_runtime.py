# SPDX-License-Identifier: Apache-2.0
"""TorchScript to ncnn by pnnx, its converter, in float32: ASSETS FOLDER PRECISION."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pnnx
import torch

from shootout.models import load


def main() -> None:
    assets, folder, precision = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    if precision == "int8":
        sys.exit("ncnn's packages hold no quantization tool (ncnn2table, ncnn2int8)")
    item = torch.from_numpy(np.load(assets / "input.npy"))
    with tempfile.TemporaryDirectory() as temporary:
        traced = Path(temporary) / "fp32.pt"
        script: Any = torch.jit.trace(load(assets), item)  # type: ignore[no-untyped-call]
        script.save(str(traced))
        shape = ",".join(map(str, item.shape))
        converter = Path(pnnx.__file__).parent / "pnnx"
        subprocess.run([converter, traced, f"inputshape=[{shape}]", "fp16=0"], check=True, cwd=temporary)
        for suffix in ("param", "bin"):
            (folder / f"fp32.ncnn.{suffix}").write_bytes((Path(temporary) / f"fp32.ncnn.{suffix}").read_bytes())


if __name__ == "__main__":
    main()
