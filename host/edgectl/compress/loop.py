# SPDX-License-Identifier: Apache-2.0
"""A technique inside a training loop that is the user's own: prepare, step, report, finalize.

loop = prepare(model, Sparsify(sparsity=0.9, epochs=1), (x,), steps=1000)
optimizer = torch.optim.SGD(loop.module.parameters(), lr=0.01)
for inputs, targets in batches:
optimizer.zero_grad()
loss(loop.module(inputs), targets).backward()
optimizer.step()
if loop.step():  # other parameters now: channels are gone
optimizer = torch.optim.SGD(loop.module.parameters(), lr=0.01)
result = loop.finalize()
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

import torch
from edgectl_protos.errors import StateError, UsageError
from torch import nn
from torch.fx import GraphModule

from edgectl.compress.carrier import set_training
from edgectl.compress.data.batches import kept_batches
from edgectl.compress.data.example import Example, Inputs, example_arguments
from edgectl.compress.evaluation.user_module import UserModule
from edgectl.compress.mac_count import macs
from edgectl.compress.pipeline.initial import exported_state
from edgectl.compress.pipeline.run import check_targets, counted
from edgectl.compress.quantize import calibrate
from edgectl.compress.result import Result, stage_row
from edgectl.compress.sparse.schedule import GradualSparsity
from edgectl.compress.sparse.sparsify import sparse_names
from edgectl.compress.stages import Prune, Quantize, Sparsify, kind_of, name_stages, stage_document
from edgectl.compress.state import Edit, ModelState, nonzero_count, parameter_count
from edgectl.compress.structured import Evidence, prune
from edgectl.compress.training.device import place
from edgectl.compress.training.optimize import KeptMasks, trainable_graph, trained_state


class LoopModule(UserModule):
    """What the user trains: called as their model is; `train()` and `eval()` switch dropout and batch norm."""

    def train(self, mode: bool = True) -> Self:  # noqa: FBT001, FBT002 - torch's signature
        """Switch the graph."""
        self.training = mode
        set_training(self.graph, training=mode)
        return self


class Loop:
    """A technique at work; made by `prepare`.

    Attributes:
        module: what is trained; after a `step` that says so, its parameters are others.
    """

    def __init__(self, state: ModelState, example: Example, stage: Prune | Sparsify | Quantize, *, steps: int) -> None:
        self._first = self._state = state
        self._example = example
        self._stage = stage
        self._steps = steps
        self._done = 0
        self._finished = False
        graph = trainable_graph(state)
        graph.requires_grad_(requires_grad=True)
        self.module = LoopModule(graph, example)
        self.module.training = True

    @property
    def graph(self) -> GraphModule:
        """The graph behind the module."""
        return self.module.graph

    def step(self) -> bool:
        """To be called after each step of the optimizer, with its gradients still there.

        Returns:
            Whether the module has other parameters now, so that an optimizer has to be made anew.

        Raises:
            StateError: `finalize` was called before.
        """
        if self._finished:
            raise StateError("the loop is finalized", expected="no steps after it", action="prepare another")
        self._done += 1
        return self._after_step(min(1.0, self._done / self._steps))

    def report(self) -> dict[str, Any]:
        """Steps done and planned; parameters that are left, those that are not zero, and MACs of one item."""
        state = replace(self._state, graph=self.graph, cache={})
        return {
            "step": self._done,
            "steps": self._steps,
            "parameters": parameter_count(state),
            "nonzeros": nonzero_count(state),
            "macs": macs(self._state),
        }

    def finalize(self) -> Result:
        """The result, as a pipeline with this one stage leaves it; what the schedule has not reached yet is done now.

        Raises:
            StateError: it was called before.
        """
        if self._finished:
            raise StateError("the loop is finalized", expected="one call of finalize")
        if self._done < self._steps:
            self._after_step(1.0)
        self._finished = True
        place(self.graph, torch.device("cpu"))
        state = self._final(self._taken())
        kind = kind_of(self._stage)
        rows = [stage_row(counted(self._first, "baseline")), stage_row(counted(state, kind))]
        recipe = {"seed": 0, "stages": [{kind: stage_document(self._stage)}]}
        return Result(state, Example.of(state, self._example.signature), tuple(rows), recipe)

    def _after_step(self, share: float) -> bool:  # noqa: ARG002
        KeptMasks(self._state.masks).after_step(self.graph, 1.0)
        return False

    def _taken(self) -> ModelState:
        """The state with what was trained."""
        summary = f"train {self._done} steps in a loop of the user's"
        return trained_state(self._state, self.graph, Edit("train", {"steps": self._done}, summary))

    def _final(self, state: ModelState) -> ModelState:
        return state


class SparsifyLoop(Loop):
    """Sparsity rises along the stage's ramp."""

    def __init__(self, state: ModelState, example: Example, stage: Sparsify, *, steps: int) -> None:
        super().__init__(state, example, stage, steps=steps)
        names, frozen = sparse_names(state, stage)
        self._state = replace(state, frozen=(*state.frozen, *frozen))
        self._gradual = GradualSparsity(stage, names, state.masks)

    def _after_step(self, share: float) -> bool:
        self._gradual.before_step(self.graph, share)
        self._gradual.after_step(self.graph, share)
        return False

    def _final(self, state: ModelState) -> ModelState:
        graph = state.copied_graph()
        self._gradual.update(graph, 1.0)
        edit = Edit("sparsify", stage_document(self._stage), "sparsify in a loop of the user's")
        return replace(state.edited(graph, edit), masks=self._gradual.masks)


class PruneLoop(Loop):
    """Channels go in the stage's `steps` parts, at even distances, the last one at three quarters of the training."""

    def __init__(
        self, state: ModelState, example: Example, stage: Prune, *, steps: int, evidence: Evidence, seed: int
    ) -> None:
        super().__init__(state, example, stage, steps=steps)
        self._prune = stage
        self._evidence = evidence
        self._generator = torch.Generator().manual_seed(seed)
        self._parts = 0

    def _after_step(self, share: float) -> bool:
        due = min(self._prune.steps, int(share / 0.75 * self._prune.steps))
        if due <= self._parts:
            return super()._after_step(share)
        unit, whole = self._prune.budget
        before, after = (whole * part / self._prune.steps for part in (self._parts, due))
        self._parts = due
        part: dict[str, Any] = {**stage_document(self._prune), "steps": 1, unit: (after - before) / (1 - before)}
        training = self.module.training
        self._state = prune(self._taken(), Prune(**part), evidence=self._evidence, generator=self._generator).state
        self.module.graph = trainable_graph(self._state)
        self.module.graph.requires_grad_(requires_grad=True)
        self.module.train(training)
        return True


def prepare(
    model: nn.Module | Result,
    stage: Prune | Sparsify | Quantize,
    example_inputs: Sequence[Any] | torch.Tensor = (),
    example_kwargs: Mapping[str, Any] | None = None,
    *,
    steps: int,
    calibration: Iterable[Any] | None = None,
    seed: int = 0,
) -> Loop:
    """Make a model ready to be trained by the caller while a technique works on it.

    Args:
        model: any module that `torch.export` takes, or a result to go on from; it is left alone.
        stage: `Sparsify` (gradual), `Prune` (iterative, a share) or `Quantize` (trained through fake quantization).
        example_inputs: see `Pipeline.run`.
        example_kwargs: see there.
        steps: how many steps the training will take.
        calibration: inputs for `Quantize`, and for batch norm after `Prune`; without, the example alone.
        seed: what random choices are drawn from.

    Raises:
        UsageError: another kind of stage, a budget in milliseconds, fewer than one step, or an unknown target.
        CompileError: see `Pipeline.run`.
        DatasetError: calibration data that do not fit.
    """
    if not isinstance(stage, Prune | Sparsify | Quantize):
        raise UsageError(f"a {type(stage).__name__} for a loop", expected="Prune, Sparsify or Quantize")
    if steps < 1:
        raise UsageError(f"{steps} steps", expected="1 or more")
    state, example, _ = exported_state(model, example_arguments(example_inputs), example_kwargs)
    check_targets(name_stages([stage]), state)
    batches: list[Inputs] = [state.example_inputs]
    if calibration is not None:
        batches, _ = kept_batches(calibration, example, most=65_536, what="calibration")
    if isinstance(stage, Sparsify):
        return SparsifyLoop(state, example, stage, steps=steps)
    if isinstance(stage, Quantize):
        generator = torch.Generator().manual_seed(seed)
        return Loop(calibrate(state, stage, batches, generator=generator), example, stage, steps=steps)
    if stage.p95_ms is not None or stage.importance in ("taylor", "hessian"):
        raise UsageError("a budget or an importance that needs a device or a loss", expected="a share, by weights")
    evidence = Evidence(calibration=(lambda: batches) if calibration is not None else None)
    return PruneLoop(state, example, stage, steps=steps, evidence=evidence, seed=seed)
