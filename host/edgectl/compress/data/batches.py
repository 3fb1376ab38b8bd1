# SPDX-License-Identifier: Apache-2.0
"""What a user gives as inputs, made into tuples of tensors that fit the example, or refused in one message."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from edgectl_protos.errors import DatasetError
from torch.utils import _pytree as pytree

from edgectl.compress.data.example import Example, Inputs
from edgectl.compress.reasons import first_line

KEPT_BYTES = 1 << 30
_RANGE_FACTOR = 16.0


def inputs_of(item: object, example: Example, *, what: str) -> Inputs:
    """One item of an iterable as the model's tensors: a tensor, an array, a tuple of them, or a mapping of keywords.

    Args:
        item: float tensors of another float dtype, and integers of another width, are converted.
        example: what the model was exported with.
        what: names the item in messages: "calibration batch 3".

    Raises:
        DatasetError: it has another number of tensors, another shape or dtype than the example, or is not finite.
    """
    converted = pytree.tree_map(_tensor, item)
    if isinstance(converted, Mapping):
        known = set(example.signature.keywords)
        tensors = (
            example.signature.flatten((), converted)
            if known and set(converted) <= known
            else tuple(leaf for leaf in pytree.tree_leaves(converted) if isinstance(leaf, torch.Tensor))
        )
    else:
        arguments = converted if isinstance(converted, tuple | list) else (converted,)
        tensors = example.signature.flatten(arguments)
    if len(tensors) != len(example.tensors):
        raise DatasetError(
            f"{what} holds {len(tensors)} tensors",
            expected=f"{len(example.tensors)}, as the example inputs",
            action="give tuples of the model's inputs",
        )
    checked = tuple(
        _checked(tensor, wanted, batched=batched, what=f"{what}, input {index}")
        for index, (tensor, wanted, batched) in enumerate(zip(tensors, example.tensors, example.batched, strict=True))
    )
    sizes = {tensor.shape[0] for tensor, batched in zip(checked, example.batched, strict=True) if batched}
    if len(sizes) > 1:
        raise DatasetError(f"{what} has inputs of {sorted(sizes)} items", expected="one size of batch for all of them")
    return checked


def kept_batches(items: Iterable[Any], example: Example, *, most: int | None, what: str) -> tuple[list[Inputs], int]:
    """The batches of an iterable, consumed once, up to `most` items and a bound on memory; and how many items.

    Raises:
        DatasetError: see `inputs_of`; there are none; or the iterable itself fails.
    """
    kept: list[Inputs] = []
    count = size = 0
    iterator = iterate(items, what=what)
    for index, item in enumerate(iterator):
        batch = inputs_of(item, example, what=f"{what} batch {index}")
        kept.append(batch)
        count += items_in(batch, example)
        size += sum(tensor.numel() * tensor.element_size() for tensor in batch)
        if (most is not None and count >= most) or size >= KEPT_BYTES:
            break
    if not kept:
        raise DatasetError(f"{what} data holds no batch", expected="one or more")
    return kept, count


def iterate(items: Any, *, what: str) -> Iterable[Any]:
    """The items, one by one; what the user's own iterable raises comes out as one message.

    Raises:
        DatasetError: it is not iterable, or raises.
    """
    if isinstance(items, str | bytes | torch.Tensor | np.ndarray) or not isinstance(items, Iterable):
        kind = type(items).__name__
        raise DatasetError(f"{what} data is a {kind}", expected="a list, a loader or a generator of batches")
    iterator = iter(items)
    while True:
        try:
            item = next(iterator)
        except StopIteration:
            return
        except Exception as error:
            raise DatasetError(f"{what} data raised {first_line(error)}", action="iterate over it alone") from error
        yield item


def items_in(batch: Inputs, example: Example) -> int:
    """How many items a batch has: dimension 0 where the model takes any batch, else its own."""
    for tensor, batched in zip(batch, example.batched, strict=True):
        if batched:
            return int(tensor.shape[0])
    return 1


def range_note(batches: Sequence[Inputs], example: Example, *, what: str) -> str:
    """A line where the data lies far outside of the example's range, as pixels of 0..255 do beside 0..1; else empty."""
    for index, wanted in enumerate(example.tensors):
        if not wanted.is_floating_point() or not wanted.numel():
            continue
        seen = max(float(batch[index].abs().max()) for batch in batches if batch[index].numel())
        shown = float(wanted.abs().max())
        if shown > 0 and seen > 0 and not 1 / _RANGE_FACTOR <= seen / shown <= _RANGE_FACTOR:
            return (
                f"{what} data reaches {seen:.3g} in input {index} where the example inputs reach {shown:.3g}: "
                "is it scaled as the model expects?"
            )
    return ""


def say_loudly(note: str) -> None:
    """Something a caller from Python is to see although the run goes on."""
    warnings.warn(note, UserWarning, stacklevel=3)


def _tensor(leaf: Any) -> Any:
    if isinstance(leaf, np.ndarray):
        try:
            return torch.from_numpy(np.ascontiguousarray(leaf))
        except TypeError as error:
            raise DatasetError(f"an array of {leaf.dtype}", expected="numbers") from error
    return leaf.detach().cpu() if isinstance(leaf, torch.Tensor) else leaf


def _checked(tensor: torch.Tensor, wanted: torch.Tensor, *, batched: bool, what: str) -> torch.Tensor:
    if tensor.ndim == wanted.ndim - 1 and batched and tensor.shape == wanted.shape[1:]:
        tensor = tensor[None]
    item, expected = (tensor.shape[1:], wanted.shape[1:]) if batched else (tensor.shape, wanted.shape)
    if tensor.ndim != wanted.ndim or item != expected:
        form = f"[N, {', '.join(map(str, expected))}]" if batched else str(list(expected))
        raise DatasetError(f"{what} has shape {list(tensor.shape)}", expected=f"{form}, as the example inputs")
    if batched and not tensor.shape[0]:
        raise DatasetError(f"{what} has no items", expected="one or more")
    if tensor.dtype != wanted.dtype:
        alike = tensor.is_floating_point() == wanted.is_floating_point() and tensor.is_complex() == wanted.is_complex()
        if not alike or torch.bool in (tensor.dtype, wanted.dtype):
            raise DatasetError(f"{what} is {tensor.dtype}", expected=f"{wanted.dtype}, as the example inputs")
        tensor = tensor.to(wanted.dtype)
    if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
        raise DatasetError(f"{what} holds NaN or infinity", expected="finite numbers")
    return tensor
