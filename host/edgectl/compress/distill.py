# SPDX-License-Identifier: Apache-2.0
"""The `distill` stage: training against a larger model's softened outputs (Hinton, Vinyals, Dean 2015, section 2)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn import functional

from edgectl.compress.data import DataSplits
from edgectl.compress.materialize import predict
from edgectl.compress.stages import Distill
from edgectl.compress.state import ModelState
from edgectl.compress.training import settings_of, train
from edgectl.cores import NEVER_PAUSED, Work


class DistillationLoss:
    """alpha * T^2 * KL(teacher || student), both softened by T, plus (1 - alpha) * cross entropy with the labels.

    Args:
        teacher_logits: float32 [N, classes], one row per train item.
    """

    def __init__(self, teacher_logits: torch.Tensor, *, temperature: float, alpha: float) -> None:
        self._soft = functional.log_softmax(teacher_logits / temperature, dim=1)
        self._temperature = temperature
        self._alpha = alpha

    def __call__(self, logits: torch.Tensor, targets: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        if self._soft.device != logits.device:
            self._soft = self._soft.to(logits.device)
        student = functional.log_softmax(logits / self._temperature, dim=1)
        divergence = functional.kl_div(student, self._soft[rows], reduction="batchmean", log_target=True)
        # T^2 keeps the gradient's size independent of the temperature (Hinton et al., section 2).
        soft = self._alpha * self._temperature**2 * divergence
        return soft + (1 - self._alpha) * functional.cross_entropy(logits, targets)


def distill(
    state: ModelState,
    data: DataSplits,
    parameters: Distill,
    *,
    teacher: ModelState,
    generator: torch.Generator,
    progress: Callable[[float], None],
    work: Work = NEVER_PAUSED,
) -> ModelState:
    """The state trained against `teacher`, whose outputs are computed once: nothing augments the inputs."""
    taught = predict(teacher, data.train_inputs, work=work)
    loss = DistillationLoss(taught, temperature=parameters.temperature, alpha=parameters.alpha)
    settings = settings_of(parameters)
    return train(state, data, settings=settings, loss=loss, generator=generator, progress=progress, work=work)
