# SPDX-License-Identifier: Apache-2.0
"""What stages learn from: batches of inputs and targets, an epoch at a time, with the loss that belongs to them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import torch
from edgectl_protos.errors import DatasetError
from torch.nn import functional
from torch.utils import _pytree as pytree

from edgectl.compress.data.batches import KEPT_BYTES, inputs_of, iterate
from edgectl.compress.data.example import Example, Inputs
from edgectl.compress.data.splits import DataSplits

Loss: TypeAlias = Callable[[Any, Any], torch.Tensor]
"""From a model's outputs and a batch's targets to a scalar."""


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """One step's items; `rows` int64 [B] are their places in data that is held whole, None where it is not."""

    inputs: Inputs
    targets: Any
    rows: torch.Tensor | None = None


class TrainingFeed(Protocol):
    """What a stage learns from."""

    def steps(self, batch_size: int) -> int:
        """The batches of one epoch; 0 where that is not known before it is over."""
        ...

    def epoch(self, batch_size: int, generator: torch.Generator) -> Iterator[Batch]:
        """The batches of one epoch, in an order drawn from `generator` where the feed has a say in it."""
        ...

    def loss(self, outputs: Any, targets: Any) -> torch.Tensor:
        """The mean loss of a batch."""
        ...

    def whole(self) -> Inputs | None:
        """All items in the order of their rows, where they are held."""
        ...


class SplitFeed:
    """Items that are held whole: each epoch is a new order of them, in batches of near-equal size."""

    def __init__(self, data: DataSplits, loss: Loss | None = None) -> None:
        self._data = data
        self._loss = loss or default_loss

    def steps(self, batch_size: int) -> int:
        return len(batch_bounds(len(self._data.train_inputs), batch_size))

    def epoch(self, batch_size: int, generator: torch.Generator) -> Iterator[Batch]:
        inputs, targets = self._data.train_inputs, self._data.train_targets
        order = torch.randperm(len(inputs), generator=generator)
        for low, high in batch_bounds(len(inputs), batch_size):
            rows = order[low:high]
            yield Batch((inputs[rows],), targets[rows], rows)

    def loss(self, outputs: Any, targets: Any) -> torch.Tensor:
        return self._loss(outputs, targets)

    def whole(self) -> Inputs | None:
        return (self._data.train_inputs,)


class LoaderFeed:
    """A user's iterable of (inputs, targets), gone through once an epoch; a generator is kept, up to a bound."""

    def __init__(self, items: Iterable[Any], example: Example, loss: Loss | None = None) -> None:
        self._once = iter(items) is items if isinstance(items, Iterable) else False
        self._items: Iterable[Any] = _bounded(items) if self._once else items
        self._example = example
        self._loss = loss or default_loss

    def steps(self, batch_size: int) -> int:  # noqa: ARG002 - the loader decides on its batches
        try:
            return len(self._items)  # type: ignore[arg-type]
        except TypeError:
            return 0

    def epoch(self, batch_size: int, generator: torch.Generator) -> Iterator[Batch]:  # noqa: ARG002
        for index, item in enumerate(iterate(self._items, what="training")):
            what = f"training batch {index}"
            if not isinstance(item, tuple | list) or len(item) != 2:
                raise DatasetError(f"{what} is a {type(item).__name__}", expected="a pair of inputs and targets")
            yield Batch(inputs_of(item[0], self._example, what=what), pytree.tree_map(_on_cpu, item[1]))

    def loss(self, outputs: Any, targets: Any) -> torch.Tensor:
        return self._loss(outputs, targets)

    def whole(self) -> Inputs | None:
        return None


def default_loss(outputs: Any, targets: Any) -> torch.Tensor:
    """Cross entropy for whole targets (class indices), mean squared error for floating ones.

    Args:
        outputs: what the model gives; of several outputs, `main_output`.
        targets: int64 of the logits' shape without the classes, or floating of the output's shape.

    Raises:
        DatasetError: targets that are neither, or do not fit.
    """
    output = main_output(outputs)
    if not isinstance(targets, torch.Tensor):
        raise DatasetError(f"targets are a {type(targets).__name__}", expected="a tensor, or a loss of your own")
    try:
        if targets.is_floating_point():
            return functional.mse_loss(output, targets.reshape(output.shape))
        if output.ndim > 2 and output.shape[:-1] == targets.shape:  # a class for each token
            return functional.cross_entropy(output.flatten(0, -2), targets.flatten().long())
        return functional.cross_entropy(output, targets.long())
    except (RuntimeError, IndexError, ValueError) as error:
        shapes = f"targets {list(targets.shape)} for outputs {list(output.shape)}"
        raise DatasetError(shapes, expected="class indices or numbers that fit, or a loss of your own") from error


def main_output(outputs: Any) -> torch.Tensor:
    """The output that targets are about: the one called `logits`, else the first floating tensor.

    Raises:
        DatasetError: there is none.
    """
    if isinstance(outputs, torch.Tensor):
        return outputs
    if isinstance(outputs, dict) and isinstance(outputs.get("logits"), torch.Tensor):
        found: torch.Tensor = outputs["logits"]
        return found
    for leaf in pytree.tree_leaves(outputs):
        if isinstance(leaf, torch.Tensor) and leaf.is_floating_point():
            return leaf
    raise DatasetError("the model gives no floating tensor", expected="logits, or a loss of your own")


def batch_bounds(items: int, batch_size: int) -> list[tuple[int, int]]:
    """Batches of near-equal size, at most `batch_size`: a last batch of one would break batch norm."""
    count = max(1, math.ceil(items / batch_size))
    return [(items * index // count, items * (index + 1) // count) for index in range(count)]


def _bounded(items: Iterable[Any]) -> list[Any]:
    kept, size = [], 0
    for item in iterate(items, what="training"):
        kept.append(item)
        size += sum(leaf.numel() * leaf.element_size() for leaf in pytree.tree_leaves(item) if torch.is_tensor(leaf))
        if size >= KEPT_BYTES:
            break
    return kept


def _on_cpu(leaf: Any) -> Any:
    import numpy as np

    if isinstance(leaf, np.ndarray):
        return torch.from_numpy(np.ascontiguousarray(leaf))
    return leaf.detach().cpu() if isinstance(leaf, torch.Tensor) else leaf
