# SPDX-License-Identifier: Apache-2.0
"""The `distill` stage: training against a larger model's softened outputs (Hinton, Vinyals, Dean 2015, section 2)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.fx import GraphModule
from torch.nn import functional

from edgectl.compress.data.example import Example
from edgectl.compress.data.feeds import Batch, TrainingFeed, main_output
from edgectl.compress.data.running import run_batch
from edgectl.compress.quantize import runnable
from edgectl.compress.stages import Distill
from edgectl.compress.state import ModelState
from edgectl.compress.training.device import place, training_device
from edgectl.compress.training.optimize import settings_of, train
from edgectl.cores import NEVER_PAUSED, Work


class Teacher:
    """Gives the main output of a fixed model for each batch; for data that is held whole, computed once.

    Args:
        state: the model; it is not changed.
        feed: what the student will see.
        work: breathes between chunks.
    """

    def __init__(self, state: ModelState, feed: TrainingFeed, *, work: Work = NEVER_PAUSED) -> None:
        self._example = Example.of(state)
        self._graph: GraphModule = runnable(state, work=work)
        self._known: torch.Tensor | None = None
        whole = feed.whole()
        if whole is not None:
            with work.working("evaluation"), torch.no_grad():
                self._known = main_output(run_batch(self._graph, whole, self._example))
        elif training_device().type != "cpu":
            self._graph = state.copied_graph() if state.quantization is None else self._graph
            place(self._graph, training_device())

    def output(self, batch: Batch) -> torch.Tensor:
        """The teacher's main output for a batch, on the device of its inputs."""
        if self._known is not None and batch.rows is not None:
            return self._known[batch.rows].to(batch.inputs[0].device)
        with torch.no_grad():
            return main_output(run_batch(self._graph, batch.inputs, self._example))


class DistillationLoss:
    """alpha * T^2 * KL(teacher || student), both softened by T, plus (1 - alpha) * the feed's own loss.

    Where targets are floating, the first term is the squared difference of the outputs instead.
    """

    def __init__(self, teacher: Teacher, feed: TrainingFeed, *, temperature: float, alpha: float) -> None:
        self._teacher, self._feed = teacher, feed
        self._temperature = temperature
        self._alpha = alpha

    def __call__(self, outputs: object, batch: Batch) -> torch.Tensor:
        own = self._feed.loss(outputs, batch.targets) if self._alpha < 1 else torch.zeros(())
        taught = self._teacher.output(batch)
        floating = isinstance(batch.targets, torch.Tensor) and batch.targets.is_floating_point()
        student = main_output(outputs)
        soft = functional.mse_loss(student, taught) if floating else softened(student, taught, self._temperature)
        return self._alpha * soft + (1 - self._alpha) * own.to(student.device)


def softened(student: torch.Tensor, teacher: torch.Tensor, temperature: float) -> torch.Tensor:
    """T^2 * KL of two logits [B, classes, ...] or [B, tokens, classes], softened by T: the mean over all but classes.

    T^2 keeps the gradient's size independent of the temperature (Hinton et al., section 2).
    """
    dim = 1 if student.ndim != 3 else 2
    wanted = functional.log_softmax(teacher / temperature, dim=dim)
    given = functional.log_softmax(student / temperature, dim=dim)
    divergence = functional.kl_div(given, wanted, reduction="none", log_target=True).sum(dim)
    return temperature**2 * divergence.mean()


def distill(
    state: ModelState,
    feed: TrainingFeed,
    parameters: Distill,
    *,
    teacher: ModelState,
    generator: torch.Generator,
    progress: Callable[[float], None],
    work: Work = NEVER_PAUSED,
) -> ModelState:
    """The state trained against `teacher`."""
    loss = DistillationLoss(
        Teacher(teacher, feed, work=work), feed, temperature=parameters.temperature, alpha=parameters.alpha
    )
    return train(
        state,
        feed,
        settings=settings_of(parameters),
        loss=loss,
        generator=generator,
        progress=progress,
        work=work,
    )
