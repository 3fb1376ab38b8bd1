# SPDX-License-Identifier: Apache-2.0
"""How a model is called, and the example that every batch is held against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from edgectl_protos.errors import UsageError
from torch.utils import _pytree as pytree

from edgectl.compress.state import ModelState

Inputs: TypeAlias = tuple[torch.Tensor, ...]


@dataclass(frozen=True, slots=True)
class Signature:
    """How a model is called: positional arguments by number, keyword arguments by name, each a pytree of tensors."""

    positional: int
    keywords: tuple[str, ...] = ()

    def flatten(self, arguments: Sequence[Any], keywords: Mapping[str, Any] | None = None) -> Inputs:
        """The tensors of a call, in the order in which the exported graph takes them; what is no tensor is left out.

        A keyword may be given by position, after the positional ones.
        """
        given = dict(keywords or {})
        named = dict(zip(self.keywords, arguments[self.positional :], strict=False)) | given
        ordered = {name: named[name] for name in self.keywords if name in named}
        surplus = tuple(arguments[self.positional + len(self.keywords) :])  # counted, so that it is refused
        leaves = pytree.tree_leaves((tuple(arguments[: self.positional]), ordered, surplus))
        return tuple(leaf for leaf in leaves if isinstance(leaf, torch.Tensor))


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """What every batch is held against: the tensors of one call, batch 1 where the batch may have any size."""

    tensors: Inputs
    signature: Signature
    dynamic_batch: bool = True

    @property
    def batched(self) -> tuple[bool, ...]:
        """Which tensors have the batch as their dimension 0: those that agree with the first that has one."""
        size = next((tensor.shape[0] for tensor in self.tensors if tensor.ndim), 0)
        return tuple(tensor.ndim > 0 and tensor.shape[0] == size for tensor in self.tensors)

    @property
    def batch_size(self) -> int:
        """The size of the example's own batch."""
        return next((int(tensor.shape[0]) for tensor in self.tensors if tensor.ndim), 1)

    @classmethod
    def of(cls, state: ModelState, signature: Signature | None = None) -> Example:
        """The example of a state; without a signature its tensors are the positional arguments."""
        call = signature or Signature(len(state.example_inputs))
        return cls(state.example_inputs, call, state.dynamic_batch)


def example_arguments(given: Sequence[Any] | torch.Tensor | Any) -> tuple[Any, ...]:
    """The positional arguments: a bare tensor is a tuple of one.

    Raises:
        UsageError: a mapping or a text.
    """
    if isinstance(given, str | bytes | Mapping):
        raise UsageError(
            f"example_inputs is a {type(given).__name__}",
            expected="a tuple of the model's positional arguments",
            action="give keyword arguments as example_kwargs",
        )
    return tuple(given) if isinstance(given, tuple | list) else (given,)
