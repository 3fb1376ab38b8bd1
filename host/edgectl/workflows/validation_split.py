# SPDX-License-Identifier: Apache-2.0
"""Items to choose by. Whoever chooses a candidate by its accuracy on the test items has no test items left."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from edgectl_protos.errors import DatasetError

if TYPE_CHECKING:
    from edgectl.compress.data import DataSplits


def split_indices(targets: Sequence[int], *, fraction: float, seed: int) -> tuple[list[int], list[int]]:
    """Indices to train on and to validate on: disjoint, ascending, together all; every class in the same proportion.

    Args:
        targets: the class of each item.
        fraction: part of each class to validate on, rounded, above 0 and below 1.
        seed: equal seeds give equal splits.

    Raises:
        DatasetError: one of the two would be empty.
    """
    rng = random.Random(seed)
    by_class: dict[int, list[int]] = {}
    for index, target in enumerate(targets):
        by_class.setdefault(target, []).append(index)
    validation = {
        index for _, items in sorted(by_class.items()) for index in rng.sample(items, round(fraction * len(items)))
    }
    if not 0 < len(validation) < len(targets):
        raise DatasetError(
            f"{len(targets)} training items leave {len(validation)} to validate on at a fraction of {fraction}",
            expected="some to train on and some to validate on",
            action="give more items or another fraction",
        )
    return [index for index in range(len(targets)) if index not in validation], sorted(validation)


def for_validation(data: DataSplits, *, fraction: float, seed: int) -> DataSplits:
    """Splits whose test items are taken from the training items; the test items of `data` are not in them."""
    train, validation = split_indices(data.train_targets.tolist(), fraction=fraction, seed=seed)
    return replace(
        data,
        train_inputs=data.train_inputs[train],
        train_targets=data.train_targets[train],
        test_inputs=data.train_inputs[validation],
        test_targets=data.train_targets[validation],
    )
