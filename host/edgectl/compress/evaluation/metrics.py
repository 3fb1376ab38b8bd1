# SPDX-License-Identifier: Apache-2.0
"""Metrics over a whole test set: outputs and targets come in batch by batch, numbers by name come out.

`evaluate(metric, batches)` makes the `evaluation` of a pipeline: `Pipeline.run(..., evaluation=evaluate(Accuracy(),
batches))`. A metric of one's own is any class with the two methods of `Metric`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import torch
from edgectl_protos.errors import DatasetError
from torch import nn

from edgectl.compress.data.feeds import main_output


class Metric(Protocol):
    """Gathers what it needs of each batch; a fresh one is made for each evaluation."""

    def update(self, outputs: Any, targets: Any) -> None:
        """One batch: what the model gave, and what was wanted."""
        ...

    def compute(self) -> Mapping[str, float]:
        """The numbers by name."""
        ...


def evaluate(
    make: Callable[[], Metric], batches: Iterable[tuple[Any, Any]]
) -> Callable[[nn.Module], Mapping[str, float]]:
    """A function from a model to a metric's numbers over (inputs, targets); `batches` is gone through each time."""
    held = list(batches) if iter(batches) is batches else batches

    def judged(model: nn.Module) -> Mapping[str, float]:
        metric = make()
        count = 0
        for inputs, targets in held:
            arguments = inputs if isinstance(inputs, tuple | list) else (inputs,)
            metric.update(model(*arguments), targets)
            count += 1
        if not count:
            raise DatasetError("the evaluation data hold no batch", expected="one or more")
        return metric.compute()

    return judged


class Accuracy:
    """Share of items whose highest logit is the target; `top` of them count where it is above 1, and each class."""

    def __init__(self, *, top: int = 1, labels: Sequence[str] = ()) -> None:
        self._top, self._labels = top, tuple(labels)
        self._right: dict[int, list[int]] = {}

    def update(self, outputs: Any, targets: torch.Tensor) -> None:
        """Logits [B, classes] and int64 [B]."""
        best = main_output(outputs).topk(self._top, dim=1).indices
        for right, target in zip((best == targets[:, None]).any(1).tolist(), targets.tolist(), strict=True):
            self._right.setdefault(target, []).append(int(right))

    def compute(self) -> dict[str, float]:
        """`accuracy` (`top5_accuracy`), and `accuracy.LABEL` for each label where labels were given."""
        everything = [right for one in self._right.values() for right in one]
        name = "accuracy" if self._top == 1 else f"top{self._top}_accuracy"
        found = {name: sum(everything) / max(1, len(everything))}
        known = {index: label for index, label in enumerate(self._labels) if index in self._right}
        return found | {f"{name}.{label}": _mean(self._right[index]) for index, label in known.items()}


class Verification:
    """Whether embeddings of one identity lie closer together than those of two: cosine over all pairs.

    EER is where as many pairs of one identity are refused as pairs of two are taken; TAR@FAR the share taken of the
    first while at most `false_accepts` of the second are.
    """

    def __init__(self, *, false_accepts: float = 0.01) -> None:
        self._false_accepts = false_accepts
        self._embeddings: list[torch.Tensor] = []
        self._identities: list[torch.Tensor] = []

    def update(self, outputs: Any, targets: torch.Tensor) -> None:
        """Embeddings [B, size] and identities int64 [B]."""
        self._embeddings.append(nn.functional.normalize(main_output(outputs).flatten(1), dim=1))
        self._identities.append(targets)

    def compute(self) -> dict[str, float]:
        """`eer` and `tar`.

        Raises:
            DatasetError: there are no two items of one identity, or no two identities.
        """
        embeddings, identities = torch.cat(self._embeddings), torch.cat(self._identities)
        first, second = torch.triu_indices(len(embeddings), len(embeddings), offset=1)
        scores = (embeddings[first] * embeddings[second]).sum(1)
        alike = identities[first] == identities[second]
        if not bool(alike.any()) or bool(alike.all()):
            raise DatasetError("no pairs to verify", expected="several items of several identities")
        genuine, impostor = scores[alike].sort().values, scores[~alike].sort().values
        thresholds = scores.unique()  # type: ignore[no-untyped-call]
        refused = torch.searchsorted(genuine, thresholds).double() / len(genuine)
        taken = 1 - torch.searchsorted(impostor, thresholds).double() / len(impostor)
        at = int((refused - taken).abs().argmin())
        within = taken <= self._false_accepts
        accepted = float((1 - refused[within]).max()) if bool(within.any()) else 0.0
        return {"eer": float((refused[at] + taken[at]) / 2), "tar": accepted}


class MeanIou:
    """Mean intersection over union of segmentation; classes that occur in neither are left out."""

    def __init__(self, *, classes: int, ignore: int = 255) -> None:
        self._classes, self._ignore = classes, ignore
        self._confusion = torch.zeros(classes * classes, dtype=torch.int64)

    def update(self, outputs: Any, targets: torch.Tensor) -> None:
        """Logits [B, classes, H, W] and int64 [B, H, W]."""
        guessed = main_output(outputs).argmax(1)
        counted = targets != self._ignore
        pairs = targets[counted] * self._classes + guessed[counted]
        self._confusion += torch.bincount(pairs, minlength=self._classes**2)

    def compute(self) -> dict[str, float]:
        """`mean_iou`."""
        table = self._confusion.view(self._classes, self._classes).double()
        union = table.sum(0) + table.sum(1) - table.diag()
        seen = union > 0
        return {"mean_iou": float((table.diag()[seen] / union[seen]).mean()) if bool(seen.any()) else 0.0}


class Regression:
    """Coefficient of determination and mean absolute error over all numbers."""

    def __init__(self) -> None:
        self._given: list[torch.Tensor] = []
        self._wanted: list[torch.Tensor] = []

    def update(self, outputs: Any, targets: torch.Tensor) -> None:
        """Two floating tensors of as many elements."""
        self._given.append(main_output(outputs).double().flatten())
        self._wanted.append(targets.double().flatten())

    def compute(self) -> dict[str, float]:
        """`r2` and `error`."""
        given, wanted = torch.cat(self._given), torch.cat(self._wanted)
        spread = float((wanted - wanted.mean()).square().sum())
        left = float((wanted - given).square().sum())
        return {"r2": 1 - left / spread if spread else 0.0, "error": float((wanted - given).abs().mean())}


class TextError:
    """Character and word error rate: edits over the length of what was wanted.

    Args:
        decode: from a model's outputs to a text for each item.
    """

    def __init__(self, decode: Callable[[Any], Sequence[str]]) -> None:
        self._decode = decode
        self._edits = {"character_error": [0, 0], "word_error": [0, 0]}

    def update(self, outputs: Any, targets: Sequence[str]) -> None:
        """What the model gave, and the texts that were wanted."""
        for given, wanted in zip(self._decode(outputs), targets, strict=True):
            for name, one, other in (
                ("character_error", list(given), list(wanted)),
                ("word_error", given.split(), wanted.split()),
            ):
                self._edits[name][0] += edit_distance(one, other)
                self._edits[name][1] += len(other)

    def compute(self) -> dict[str, float]:
        """`character_error` and `word_error`."""
        return {name: edits / max(1, length) for name, (edits, length) in self._edits.items()}


def edit_distance(given: Sequence[str], wanted: Sequence[str]) -> int:
    """Insertions, deletions and substitutions from one sequence to the other (Levenshtein 1966)."""
    row = list(range(len(wanted) + 1))
    for index, one in enumerate(given, start=1):
        before, row[0] = row[0], index
        for place, other in enumerate(wanted, start=1):
            before, row[place] = row[place], min(row[place] + 1, row[place - 1] + 1, before + (one != other))
    return row[-1]


def _mean(values: Sequence[int]) -> float:
    return sum(values) / len(values)
