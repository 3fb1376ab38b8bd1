# SPDX-License-Identifier: Apache-2.0
"""The stage as the pipeline of splits calls it: calibrated with training items."""

from __future__ import annotations

import torch

from edgectl.compress.data.splits import DataSplits
from edgectl.compress.quantize.calibration import calibrate
from edgectl.compress.stages import Quantize
from edgectl.compress.state import ModelState
from edgectl.cores import NEVER_PAUSED, Work


def quantize(
    state: ModelState,
    data: DataSplits,
    parameters: Quantize,
    *,
    generator: torch.Generator,
    work: Work = NEVER_PAUSED,
) -> ModelState:
    """The state to be lowered quantized; a random draw of training items calibrates, since files are often sorted.

    Raises:
        CompileError: see `calibrate`.
    """
    order = torch.randperm(len(data.train_inputs), generator=generator)[: parameters.calibration_items]
    return calibrate(state, parameters, [(data.train_inputs[order].contiguous(),)], generator=generator, work=work)
