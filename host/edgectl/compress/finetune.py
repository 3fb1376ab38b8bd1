# SPDX-License-Identifier: Apache-2.0
"""The `finetune` stage: training against the labels."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn import functional

from edgectl.compress.data import DataSplits
from edgectl.compress.stages import Finetune
from edgectl.compress.state import ModelState
from edgectl.compress.training import settings_of, train
from edgectl.cores import NEVER_PAUSED, Work


def finetune(
    state: ModelState,
    data: DataSplits,
    parameters: Finetune,
    *,
    generator: torch.Generator,
    progress: Callable[[float], None],
    work: Work = NEVER_PAUSED,
) -> ModelState:
    """The state trained with cross entropy."""
    return train(
        state,
        data,
        settings=settings_of(parameters),
        loss=_cross_entropy,
        generator=generator,
        progress=progress,
        work=work,
    )


def _cross_entropy(logits: torch.Tensor, targets: torch.Tensor, _rows: torch.Tensor) -> torch.Tensor:
    return functional.cross_entropy(logits, targets)
