# SPDX-License-Identifier: Apache-2.0
"""The `finetune` stage: training against the labels."""

from __future__ import annotations

from collections.abc import Callable

import torch

from edgectl.compress.data.feeds import TrainingFeed
from edgectl.compress.stages import Finetune
from edgectl.compress.state import ModelState
from edgectl.compress.training.optimize import settings_of, train
from edgectl.cores import NEVER_PAUSED, Work


def finetune(
    state: ModelState,
    feed: TrainingFeed,
    parameters: Finetune,
    *,
    generator: torch.Generator,
    progress: Callable[[float], None],
    work: Work = NEVER_PAUSED,
) -> ModelState:
    """The state trained with the feed's own loss."""
    return train(
        state,
        feed,
        settings=settings_of(parameters),
        loss=lambda outputs, batch: feed.loss(outputs, batch.targets),
        generator=generator,
        progress=progress,
        work=work,
    )
