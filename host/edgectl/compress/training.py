# SPDX-License-Identifier: Apache-2.0
"""One training loop for every stage that learns.

The same state, data, settings and generator give the same weights on the same machine. Batch order comes from the
generator; dropout can only draw from torch's global generators, so those are seeded for the length of the loop and put
back as they were; so is the number of threads.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Protocol

import torch
from edgectl_protos.errors import CompileError
from torch.fx import GraphModule

from edgectl.compress.carrier import set_training
from edgectl.compress.data import DataSplits
from edgectl.compress.device import place, training_device
from edgectl.compress.mac_count import macs
from edgectl.compress.stages import Distill, Finetune
from edgectl.compress.state import Edit, ModelState
from edgectl.cores import NEVER_PAUSED, Work

_SGD_MOMENTUM = 0.9
SMALL_STEP_MACS = 500_000_000


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """How to train: the learning rate falls to zero on half a cosine over all steps (Loshchilov, Hutter 2017)."""

    epochs: int
    learning_rate: float
    batch_size: int
    optimizer: str = "adamw"
    weight_decay: float = 0.0001


def settings_of(parameters: Finetune | Distill) -> TrainingSettings:
    """The settings in the parameters of a stage that learns."""
    return TrainingSettings(
        epochs=parameters.epochs,
        learning_rate=parameters.learning_rate,
        batch_size=parameters.batch_size,
        optimizer=parameters.optimizer,
        weight_decay=parameters.weight_decay,
    )


class BatchLoss(Protocol):
    """What a stage minimises."""

    def __call__(self, logits: torch.Tensor, targets: torch.Tensor, rows: torch.Tensor, /) -> torch.Tensor:
        """The mean loss of a batch: logits [B, classes], targets int64 [B], rows int64 [B] in the train split."""
        ...


def train(
    state: ModelState,
    data: DataSplits,
    *,
    settings: TrainingSettings,
    loss: BatchLoss,
    generator: torch.Generator,
    progress: Callable[[float], None],
    work: Work = NEVER_PAUSED,
) -> ModelState:
    """A state with trained weights; `progress` gets the loss after every step, and `work` breathes before it.

    Raises:
        CompileError: the loss is no longer finite.
    """
    device = training_device()
    graph = state.copied_graph()
    place(graph, device)
    set_training(graph, training=True)
    with work.working("training"), _global_seed(generator), _threads_for(macs(state) * settings.batch_size):
        _optimize(graph, data, settings=settings, loss=loss, generator=generator, progress=progress, work=work)
    set_training(graph, training=False)
    place(graph, torch.device("cpu"))
    summary = f"train {settings.epochs} epochs, {settings.optimizer}, rate {settings.learning_rate:g}"
    return state.edited(graph, Edit("train", asdict(settings), summary))


def training_steps(items: int, *, epochs: int, batch_size: int) -> int:
    """How many optimizer steps a training takes, so how often `progress` is called."""
    return epochs * len(_batch_bounds(items, batch_size))


def _optimize(
    graph: GraphModule,
    data: DataSplits,
    *,
    settings: TrainingSettings,
    loss: BatchLoss,
    generator: torch.Generator,
    progress: Callable[[float], None],
    work: Work,
) -> None:
    device = training_device()
    inputs, targets = data.train_inputs.to(device), data.train_targets.to(device)
    bounds = _batch_bounds(len(inputs), settings.batch_size)
    steps = settings.epochs * len(bounds)
    optimizer = _optimizer(graph, settings)
    step = 0
    for _ in range(settings.epochs):
        order = torch.randperm(len(inputs), generator=generator).to(device)
        for low, high in bounds:
            work.breathe()
            rows = order[low:high]
            for group in optimizer.param_groups:
                group["lr"] = settings.learning_rate * 0.5 * (1 + math.cos(math.pi * step / steps))
            optimizer.zero_grad()
            value = loss(graph(inputs[rows]), targets[rows], rows)
            value.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            step += 1
            shown = float(value.detach())
            if not math.isfinite(shown):
                raise CompileError(
                    f"the loss is {shown} at step {step} of {steps}", action="train with a smaller learning_rate"
                )
            progress(shown)


def _batch_bounds(items: int, batch_size: int) -> list[tuple[int, int]]:
    """Batches of near-equal size, at most `batch_size`: a last batch of one would break batch norm."""
    count = max(1, math.ceil(items / batch_size))
    return [(items * index // count, items * (index + 1) // count) for index in range(count)]


def _optimizer(graph: GraphModule, settings: TrainingSettings) -> torch.optim.Optimizer:
    parameters = list(graph.parameters())
    for parameter in parameters:
        parameter.requires_grad = True
    if settings.optimizer == "sgd":
        return torch.optim.SGD(
            parameters, lr=settings.learning_rate, momentum=_SGD_MOMENTUM, weight_decay=settings.weight_decay
        )
    return torch.optim.AdamW(parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay)


@contextmanager
def _global_seed(generator: torch.Generator) -> Iterator[None]:
    seed = int(torch.randint(2**62, (), generator=generator))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


@contextmanager
def _threads_for(step_macs: int) -> Iterator[None]:
    """One thread for small steps: on shared cores OpenMP's threads, spinning at every operator, are far slower."""
    before = torch.get_num_threads()
    if step_macs < SMALL_STEP_MACS:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
