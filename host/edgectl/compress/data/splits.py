# SPDX-License-Identifier: Apache-2.0
"""A user's data, checked once: after `check_splits` shapes, dtypes and ranges are trusted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from edgectl_protos.errors import DatasetError, UsageError

from edgectl.compress.entry_points import call_entry_point, load_entry_point

FOLDER = "folder:"
_KEYS = ("train_inputs", "train_targets", "test_inputs", "test_targets", "labels")
_EXPECTED = f"a DataSplits or a mapping with {', '.join(_KEYS)}"


@dataclass(frozen=True, slots=True, eq=False)
class DataSplits:
    """Train and test items: inputs float32 [N, ...], targets int64 [N] indexing `labels`."""

    train_inputs: torch.Tensor
    train_targets: torch.Tensor
    test_inputs: torch.Tensor
    test_targets: torch.Tensor
    labels: tuple[str, ...]


def load_splits(spec: str) -> DataSplits:
    """Call a data entry point, or read a folder, and check what it yields.

    Raises:
        DatasetError: the entry point is missing or fails, or its value is not what `check_splits` accepts.
    """
    if spec.startswith(FOLDER):
        from edgectl.compress.data.folders import load_folder_splits

        return load_folder_splits(Path(spec.removeprefix(FOLDER)))
    try:
        function = load_entry_point(spec)
    except UsageError as error:
        raise DatasetError(f"data: {error.seen}", expected=error.expected, action=error.action) from error
    return check_splits(call_entry_point(function, spec, {}, failure=DatasetError), source=spec)


def check_splits(value: object, *, source: str) -> DataSplits:
    """Turn what an entry point returned into trusted splits; numpy arrays and tensors are accepted.

    Raises:
        DatasetError: something is missing, empty, of the wrong shape or dtype, not finite or out of range.
    """
    if isinstance(value, DataSplits):
        value = {key: getattr(value, key) for key in _KEYS}
    if not isinstance(value, Mapping):
        raise DatasetError(f"{source} returned a {type(value).__name__}", expected=_EXPECTED)
    missing = [key for key in _KEYS if key not in value]
    if missing:
        raise DatasetError(f"{source} returned no {', '.join(missing)}", expected=_EXPECTED)
    labels = _labels(value["labels"], source)
    train_inputs, train_targets = _split("train", value, source, classes=len(labels))
    test_inputs, test_targets = _split("test", value, source, classes=len(labels))
    if train_inputs.shape[1:] != test_inputs.shape[1:]:
        raise DatasetError(
            f"{source}: train items are {list(train_inputs.shape[1:])} and test items {list(test_inputs.shape[1:])}",
            expected="one shape for both",
        )
    return DataSplits(train_inputs, train_targets, test_inputs, test_targets, labels)


def _split(part: str, value: Mapping[str, object], source: str, *, classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    inputs = _tensor(value[f"{part}_inputs"], f"{source}: {part}_inputs")
    targets = _tensor(value[f"{part}_targets"], f"{source}: {part}_targets")
    if inputs.dtype != torch.float32:
        raise DatasetError(f"{source}: {part}_inputs are {inputs.dtype}", expected="torch.float32")
    if targets.dtype != torch.int64:
        raise DatasetError(f"{source}: {part}_targets are {targets.dtype}", expected="torch.int64")
    if inputs.ndim < 2 or 0 in inputs.shape:
        seen = f"{source}: {part}_inputs have shape {list(inputs.shape)}"
        raise DatasetError(seen, expected="[items, ...], not empty")
    if targets.shape != inputs.shape[:1]:
        raise DatasetError(
            f"{source}: {part}_targets have shape {list(targets.shape)}", expected=f"[{inputs.shape[0]}], one per item"
        )
    if not bool(torch.isfinite(inputs).all()):
        raise DatasetError(f"{source}: {part}_inputs hold NaN or infinity", expected="finite numbers")
    low, high = int(targets.min()), int(targets.max())
    if low < 0 or high >= classes:
        raise DatasetError(
            f"{source}: {part}_targets run from {low} to {high}", expected=f"0 to {classes - 1} (labels)"
        )
    return inputs, targets


def _tensor(value: object, name: str) -> torch.Tensor:
    if isinstance(value, torch.Tensor):
        return value.detach().cpu().contiguous()
    if isinstance(value, np.ndarray):
        try:
            return torch.from_numpy(np.ascontiguousarray(value))
        except TypeError as error:
            raise DatasetError(f"{name} is an array of {value.dtype}", expected="float32 or int64") from error
    raise DatasetError(f"{name} is a {type(value).__name__}", expected="a numpy array or a torch tensor")


def _labels(value: object, source: str) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not value or not all(isinstance(label, str) for label in value):
        raise DatasetError(f"{source}: labels are {value!r:.60}", expected="a list of texts, one per class")
    return tuple(value)
