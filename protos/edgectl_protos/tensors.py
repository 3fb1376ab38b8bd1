# SPDX-License-Identifier: Apache-2.0
"""Tensors as both ends name them: numpy's dtype names, ExecuTorch's type codes, row-major little-endian bytes."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from edgectl_protos.errors import InputError

MAX_RANK = 16


@dataclass(frozen=True, slots=True)
class DType:
    """A dtype: numpy's name, ExecuTorch's scalar type code, bytes of one item."""

    name: str
    code: int
    item_bytes: int


DTYPES: dict[str, DType] = {
    entry.name: entry
    for entry in (
        DType("uint8", 0, 1),
        DType("int8", 1, 1),
        DType("int16", 2, 2),
        DType("int32", 3, 4),
        DType("int64", 4, 8),
        DType("float16", 5, 2),
        DType("float32", 6, 4),
        DType("float64", 7, 8),
        DType("bool", 11, 1),
    )
}


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Dtype (numpy's name) and shape of one input or output."""

    dtype: str
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise InputError(
                f"dtype {self.dtype!r}", expected=f"one of {', '.join(DTYPES)}", action="convert the tensor"
            )
        if len(self.shape) > MAX_RANK or any(size < 0 for size in self.shape):
            raise InputError(f"shape {self.shape}", expected=f"at most {MAX_RANK} sizes, none negative")

    @property
    def nbytes(self) -> int:
        return prod(self.shape) * DTYPES[self.dtype].item_bytes

    def __str__(self) -> str:
        return f"{self.dtype}[{', '.join(map(str, self.shape))}]"


@dataclass(frozen=True, slots=True)
class TensorData:
    """A tensor's specification and its bytes, whose length is checked on construction."""

    spec: TensorSpec
    data: bytes

    def __post_init__(self) -> None:
        if len(self.data) != self.spec.nbytes:
            raise InputError(f"{len(self.data)} bytes of data for {self.spec}", expected=f"{self.spec.nbytes} bytes")


def check_inputs(given: tuple[TensorSpec, ...], wanted: tuple[TensorSpec, ...]) -> None:
    """Compare what a caller gives with what a program takes.

    Raises:
        InputError: number, dtype or shape differ; it names the first that does.
    """
    if len(given) != len(wanted):
        raise InputError(f"{len(given)} input tensors", expected=f"{len(wanted)}: {', '.join(map(str, wanted))}")
    for index, (have, want) in enumerate(zip(given, wanted, strict=True)):
        if have != want:
            raise InputError(f"input {index} is {have}", expected=str(want), action="convert or reshape the input")
