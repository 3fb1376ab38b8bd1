# SPDX-License-Identifier: Apache-2.0
"""The `quantize` stage: static int8, weights per output channel, activation ranges from training items."""

from __future__ import annotations

import torch

from edgectl.compress.data import DataSplits
from edgectl.compress.materialize import runnable
from edgectl.compress.stages import Quantize, stage_document
from edgectl.compress.state import Edit, ModelState, Quantization
from edgectl.cores import NEVER_PAUSED, Work


def quantize(
    state: ModelState,
    data: DataSplits,
    parameters: Quantize,
    *,
    generator: torch.Generator,
    work: Work = NEVER_PAUSED,
) -> ModelState:
    """The state to be lowered as int8; a random draw of training items calibrates, since files are often sorted.

    Raises:
        CompileError: the graph cannot be quantized.
    """
    order = torch.randperm(len(data.train_inputs), generator=generator)[: parameters.calibration_items]
    calibration = data.train_inputs[order].contiguous()
    summary = f"quantize {parameters.scheme}, {len(calibration)} calibration items"
    edit = Edit("quantize", stage_document(parameters), summary)
    quantized = state.quantized(Quantization(parameters.scheme, calibration), edit)
    runnable(quantized, work=work)  # convert now: a graph that cannot be quantized fails in its own stage
    return quantized
