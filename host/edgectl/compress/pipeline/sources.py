# SPDX-License-Identifier: Apache-2.0
"""What a run has beside the model: data to learn from, to set ranges by and to judge by."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import nn

from edgectl.compress.data.batches import items_in, kept_batches, range_note, say_loudly
from edgectl.compress.data.example import Example, Inputs
from edgectl.compress.data.feeds import LoaderFeed, Loss, SplitFeed, TrainingFeed
from edgectl.compress.data.overlap import split_notes
from edgectl.compress.data.splits import DataSplits
from edgectl.compress.evaluation.judging import Evaluation, FunctionEvaluation, SplitEvaluation
from edgectl.compress.legality import Fact

MAXIMUM_CALIBRATION_ITEMS = 65_536


class CalibrationFeed(Protocol):
    """Inputs that set activation ranges."""

    def batches(self, items: int, generator: torch.Generator) -> list[Inputs]:
        """Batches that hold `items` items, or all there are."""
        ...


class SplitCalibration:
    """A random draw of training items, since files are often sorted."""

    def __init__(self, data: DataSplits) -> None:
        self._data = data

    def batches(self, items: int, generator: torch.Generator) -> list[Inputs]:
        order = torch.randperm(len(self._data.train_inputs), generator=generator)[:items]
        return [(chunk,) for chunk in torch.split(self._data.train_inputs[order].contiguous(), 512)]


class KeptCalibration:
    """Batches that were read once, in their order."""

    def __init__(self, batches: list[Inputs], example: Example) -> None:
        self._batches = batches
        self._example = example

    def batches(self, items: int, generator: torch.Generator) -> list[Inputs]:  # noqa: ARG002
        taken: list[Inputs] = []
        count = 0
        for batch in self._batches:
            if count >= items:
                break
            taken.append(self._cut(batch, items - count))
            count += items_in(taken[-1], self._example)
        return taken

    def _cut(self, batch: Inputs, most: int) -> Inputs:
        if not self._example.dynamic_batch or items_in(batch, self._example) <= most:
            return batch
        return tuple(
            tensor[:most] if batched else tensor for tensor, batched in zip(batch, self._example.batched, strict=True)
        )


@dataclass(frozen=True, slots=True, eq=False)
class Sources:
    """What there is; `digest` names the content of all of it, None where that cannot be known."""

    training: TrainingFeed | None = None
    calibration: CalibrationFeed | None = None
    evaluation: Evaluation | None = None
    digest: str | None = None
    notes: tuple[str, ...] = ()

    def facts(self) -> tuple[Fact, ...]:
        """What legality asks of a run."""
        held = {
            Fact.TRAINING_DATA: self.training,
            Fact.CALIBRATION_DATA: self.calibration,
            Fact.EVALUATION: self.evaluation,
        }
        return tuple(fact for fact, source in held.items() if source is not None)


def split_sources(data: DataSplits) -> Sources:
    """Labelled items that are held whole, for everything."""
    tensors = (data.train_inputs, data.train_targets, data.test_inputs, data.test_targets)
    digest = tensors_digest(tensors, extra=repr(data.labels))
    return Sources(SplitFeed(data), SplitCalibration(data), SplitEvaluation(data), digest, split_notes(data))


def user_sources(
    example: Example,
    *,
    calibration: Iterable[Any] | None,
    training: Iterable[Any] | None,
    evaluation: Callable[[nn.Module], Any] | None,
    loss: Loss | None,
    notes: tuple[str, ...] = (),
) -> Sources:
    """What a caller from Python gave. Calibration data is read at once and kept, up to a bound.

    Raises:
        DatasetError: calibration data that does not fit the example.
    """
    said = list(notes)
    kept: KeptCalibration | None = None
    digest: str | None = tensors_digest(())
    if calibration is not None:
        batches, _ = kept_batches(calibration, example, most=MAXIMUM_CALIBRATION_ITEMS, what="calibration")
        kept = KeptCalibration(batches, example)
        note = range_note(batches, example, what="calibration")
        if note:
            say_loudly(note)
            said.append(note)
        digest = tensors_digest([tensor for batch in batches for tensor in batch])
    return Sources(
        LoaderFeed(training, example, loss) if training is not None else None,
        kept,
        FunctionEvaluation(evaluation, example.signature) if evaluation is not None else None,
        # A loader's content is known only by going through it, and what a function computes not at all.
        digest if training is None and evaluation is None else None,
        tuple(said),
    )


def tensors_digest(tensors: Iterable[torch.Tensor], *, extra: str = "") -> str:
    """SHA-256 of dtypes, shapes and contents."""
    digest = hashlib.sha256(extra.encode())
    for tensor in tensors:
        digest.update(f"{tensor.dtype}{list(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
