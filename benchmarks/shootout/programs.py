# SPDX-License-Identifier: Apache-2.0
"""A model's .pte through edgectl's own path, as `edgectl compress run` lowers it: ASSETS FOLDER PRECISION."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from edgectl.compress.carrier import export_model
from edgectl.compress.quantize import calibrate
from edgectl.compress.stages import Quantize
from edgectl.compress.state import ModelState
from edgectl.lower.program import lower

from shootout.models import load


def main() -> None:
    assets, folder, precision = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    example = (torch.from_numpy(np.load(assets / "input.npy")),)
    state = ModelState(export_model(load(assets), example).graph, example)
    if precision == "int8":
        calibration = torch.from_numpy(np.load(assets / "calibration.npy"))
        state = calibrate(state, Quantize("int8"), [calibration], generator=torch.Generator().manual_seed(0))
    program = lower(state)
    (folder / f"{precision}.pte").write_bytes(program.data)
    outside = program.delegation.undelegated
    if outside:
        listed = ", ".join(f"{count} {name}" for name, count in outside.items())
        (folder / f"{precision}.note").write_text(f"outside the delegate: {listed}\n")


if __name__ == "__main__":
    main()
