# SPDX-License-Identifier: Apache-2.0
"""A compressed graph behind the signature of the user's own model."""

from __future__ import annotations

from typing import Any, Self

from edgectl_protos.errors import InputError
from torch import nn
from torch.fx import GraphModule

from edgectl.compress.data.example import Example
from edgectl.compress.data.running import run_batch


class UserModule(nn.Module):
    """Takes what the user's model takes and gives what it gives, for inference in eager torch.

    Any batch is taken, also where the export fixed the batch: the graph then runs piece by piece.
    """

    def __init__(self, graph: GraphModule, example: Example) -> None:
        super().__init__()
        self.graph = graph
        self._example = example

    def forward(self, *arguments: Any, **keywords: Any) -> Any:
        """The outputs.

        Raises:
            InputError: another number of tensors, another shape or dtype than the example's.
        """
        example = self._example
        tensors = example.signature.flatten(arguments, keywords)
        if len(tensors) != len(example.tensors):
            raise InputError(f"{len(tensors)} tensors", expected=f"{len(example.tensors)}, as the example inputs")
        for index, (tensor, wanted, batched) in enumerate(zip(tensors, example.tensors, example.batched, strict=True)):
            shape, expected = (tensor.shape[1:], wanted.shape[1:]) if batched else (tensor.shape, wanted.shape)
            if tensor.ndim != wanted.ndim or shape != expected or tensor.dtype != wanted.dtype:
                raise InputError(
                    f"input {index} is {tensor.dtype} {list(tensor.shape)}",
                    expected=f"{wanted.dtype} {[*(['N'] if batched else []), *expected]}",
                )
        return run_batch(self.graph, tensors, example, chunk=1 << 30)

    def train(self, mode: bool = True) -> Self:  # noqa: ARG002, FBT001, FBT002 - torch's signature
        """Nothing: an exported graph is in eval mode; `edgectl.compress.loop` trains one."""
        self.training = False
        return self
