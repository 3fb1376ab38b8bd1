# SPDX-License-Identifier: Apache-2.0
"""One training loop for every stage that learns.

The same state, data, settings and generator give the same weights on the same machine. Batch order comes from the
generator; dropout can only draw from torch's global generators, so those are seeded for the length of the loop and put
back as they were; so is the number of threads. Masked weights are zero after every step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

import torch
from edgectl_protos.errors import CompileError, EdgectlError, UsageError
from torch.fx import GraphModule
from torch.utils import _pytree as pytree

from edgectl.compress.carrier import set_training
from edgectl.compress.data.example import Example
from edgectl.compress.data.feeds import Batch, TrainingFeed
from edgectl.compress.data.running import run_batch
from edgectl.compress.mac_count import macs
from edgectl.compress.named_places import check_places, is_chosen
from edgectl.compress.quantize import training_graph, write_back
from edgectl.compress.reasons import first_line
from edgectl.compress.stages import Distill, Finetune, Sparsify
from edgectl.compress.state import Edit, ModelState
from edgectl.compress.training.device import place, training_device
from edgectl.cores import NEVER_PAUSED, Work

_SGD_MOMENTUM = 0.9
SMALL_STEP_MACS = 500_000_000


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """How to train: the learning rate falls to zero on half a cosine over all steps (Loshchilov, Hutter 2017).

    `targets` and `exclude` choose the parameters that learn.
    """

    epochs: int
    learning_rate: float
    batch_size: int
    optimizer: str = "adamw"
    weight_decay: float = 0.0001
    targets: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


def settings_of(parameters: Finetune | Distill | Sparsify) -> TrainingSettings:
    """The settings in the parameters of a stage that learns."""
    chosen = () if isinstance(parameters, Sparsify) else parameters.targets
    excluded = () if isinstance(parameters, Sparsify) else parameters.exclude
    return TrainingSettings(
        epochs=parameters.epochs,
        learning_rate=parameters.learning_rate,
        batch_size=parameters.batch_size,
        optimizer=parameters.optimizer,
        weight_decay=parameters.weight_decay,
        targets=chosen,
        exclude=excluded,
    )


class BatchLoss(Protocol):
    """What a stage minimises."""

    def __call__(self, outputs: Any, batch: Batch, /) -> torch.Tensor:
        """The mean loss of a batch, from the model's outputs on it."""
        ...


class TrainingHook(Protocol):
    """Takes part in every step; both are called with gradients there, and must not keep the graph."""

    def before_step(self, graph: GraphModule, share: float) -> None:
        """Gradients are there, weights are those they belong to; `share` of the training is done."""
        ...

    def after_step(self, graph: GraphModule, share: float) -> None:
        """The optimizer has moved the weights."""
        ...


def train(
    state: ModelState,
    feed: TrainingFeed,
    *,
    settings: TrainingSettings,
    loss: BatchLoss,
    generator: torch.Generator,
    progress: Callable[[float], None],
    hooks: Sequence[TrainingHook] = (),
    work: Work = NEVER_PAUSED,
) -> ModelState:
    """A state with trained weights; `progress` gets the loss after every step, and `work` breathes before it.

    A quantized state is trained through fake quantization.

    Raises:
        CompileError: the loss is no longer finite, or the graph cannot be trained.
        UsageError: no parameter is left to learn, or a target is unknown.
    """
    device = training_device()
    graph = trainable_graph(state)
    place(graph, device)
    kept = KeptMasks(state.masks)
    with work.working("training"), _global_seed(generator), _threads_for(macs(state) * settings.batch_size):
        _optimize(
            graph,
            feed,
            example=Example.of(state),
            settings=settings,
            loss=loss,
            generator=generator,
            progress=progress,
            hooks=(*hooks, kept),
            work=work,
        )
    place(graph, torch.device("cpu"))
    summary = f"train {settings.epochs} epochs, {settings.optimizer}, rate {settings.learning_rate:g}"
    return trained_state(state, graph, Edit("train", pytree.tree_map(_plain, asdict(settings)), summary))


def trainable_graph(state: ModelState) -> GraphModule:
    """A copy of the graph in training mode, through fake quantization where the state is quantized.

    Raises:
        CompileError: the state's ranges are void.
    """
    graph = training_graph(state)
    set_training(graph, training=True)
    return graph


def trained_state(state: ModelState, graph: GraphModule, edit: Edit) -> ModelState:
    """The state with the weights, and the ranges where it is quantized, of a graph from `trainable_graph`."""
    set_training(graph, training=False)
    graph.requires_grad_(requires_grad=False)
    if state.quantization is None:
        return replace(state.edited(graph, edit), batch_norm_dirty=False)
    written = write_back(state, graph)
    return replace(written.edited(written.graph, edit), batch_norm_dirty=False)


class KeptMasks:
    """A `TrainingHook`: what is masked stays zero. Without masks it does nothing."""

    def __init__(self, masks: Mapping[str, torch.Tensor]) -> None:
        self._masks = dict(masks)

    def before_step(self, graph: GraphModule, share: float) -> None:
        """Do nothing."""

    def after_step(self, graph: GraphModule, share: float) -> None:  # noqa: ARG002
        if self._masks:
            apply_masks(graph, self._masks)


def apply_masks(graph: torch.nn.Module, masks: Mapping[str, torch.Tensor]) -> None:
    """Put zeros where a mask (by parameter name, bool of its shape) is False, in place."""
    parameters = dict(graph.named_parameters())
    with torch.no_grad():
        for name, mask in masks.items():
            parameters[name].mul_(mask.to(parameters[name].device))


def _optimize(
    graph: GraphModule,
    feed: TrainingFeed,
    *,
    example: Example,
    settings: TrainingSettings,
    loss: BatchLoss,
    generator: torch.Generator,
    progress: Callable[[float], None],
    hooks: Sequence[TrainingHook],
    work: Work,
) -> None:
    device = training_device()
    optimizer = _optimizer(graph, settings)
    each = feed.steps(settings.batch_size)
    step = 0
    for epoch in range(settings.epochs):
        for batch in feed.epoch(settings.batch_size, generator):
            work.breathe()
            share = step / (settings.epochs * each) if each else epoch / settings.epochs
            for group in optimizer.param_groups:
                group["lr"] = settings.learning_rate * 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))
            optimizer.zero_grad()
            value = _batch_loss(graph, batch, example, loss, device)
            for hook in hooks:
                hook.before_step(graph, share)
            optimizer.step()
            step += 1
            for hook in hooks:
                hook.after_step(graph, share)
            if not math.isfinite(value):
                raise CompileError(f"the loss is {value} at step {step}", action="train with a smaller learning_rate")
            progress(value)
    if not step:
        raise CompileError("the training data gave no batch", expected="one or more")


def _batch_loss(graph: GraphModule, batch: Batch, example: Example, loss: BatchLoss, device: torch.device) -> float:
    moved = Batch(*(pytree.tree_map(lambda leaf: _moved(leaf, device), part) for part in (batch.inputs, batch.targets)))
    moved = Batch(moved.inputs, moved.targets, batch.rows)
    try:
        outputs = run_batch(graph, moved.inputs, example, chunk=1 << 30)
        value = loss(outputs, moved)
        value.backward()  # type: ignore[no-untyped-call]
    except EdgectlError:
        raise
    except Exception as error:
        raise CompileError(
            f"a training step failed: {first_line(error)}", action="check the training data and the loss by themselves"
        ) from error
    return float(value.detach())


def _optimizer(graph: GraphModule, settings: TrainingSettings) -> torch.optim.Optimizer:
    named = dict(graph.named_parameters())
    for field in ("targets", "exclude"):
        check_places(getattr(settings, field), named, what=field)
    parameters = []
    for name, parameter in named.items():
        learns = parameter.is_floating_point() and is_chosen(name, targets=settings.targets, exclude=settings.exclude)
        parameter.requires_grad = learns
        if learns:
            parameters.append(parameter)
    if not parameters:
        raise UsageError("no parameter is left to learn", expected="targets that hold one")
    if settings.optimizer == "sgd":
        return torch.optim.SGD(
            parameters, lr=settings.learning_rate, momentum=_SGD_MOMENTUM, weight_decay=settings.weight_decay
        )
    return torch.optim.AdamW(parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay)


def _moved(leaf: Any, device: torch.device) -> Any:
    return leaf.to(device) if isinstance(leaf, torch.Tensor) else leaf


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


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
