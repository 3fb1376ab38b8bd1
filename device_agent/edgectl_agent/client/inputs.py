# SPDX-License-Identifier: Apache-2.0
"""Any object with the buffer protocol as a tensor: pure, without a copy where the memory is contiguous."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from edgectl_protos.errors import InputError
from edgectl_protos.tensors import DTYPES, TensorSpec

from edgectl_agent.runner.frames import MAX_TENSORS

Tensor = tuple[TensorSpec, memoryview]

_SIGNED = {1: "int8", 2: "int16", 4: "int32", 8: "int64"}
_DTYPES = {"B": "uint8", "c": "uint8", "e": "float16", "f": "float32", "d": "float64", "?": "bool"}
_NATIVE = "@=<"
_RAW = (bytes, bytearray, memoryview)


def as_tensors(values: Sequence[object], wanted: Sequence[TensorSpec]) -> list[Tensor]:
    """Each value's specification and bytes.

    A buffer that knows its shape and dtype (a numpy array, an `array.array`, a shaped memoryview) goes as it is.
    `bytes`, `bytearray` and a memoryview of plain bytes are taken as the data of the input in `wanted` at their place,
    row-major, where their length fits it.

    Raises:
        InputError: a value has no buffer, or one of a dtype that no program takes.
    """
    if len(values) > MAX_TENSORS:
        raise InputError(f"{len(values)} input tensors", expected=f"at most {MAX_TENSORS}")
    return [
        _as_tensor(value, index, wanted[index] if index < len(wanted) else None) for index, value in enumerate(values)
    ]


def _as_tensor(value: object, index: int, wanted: TensorSpec | None) -> Tensor:
    try:
        view = memoryview(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, BufferError) as error:
        raise InputError(
            f"input {index} is of type {type(value).__name__} ({error})",
            expected="an object with the buffer protocol",
            action="give a numpy array, or bytes",
        ) from error
    if wanted is not None and isinstance(value, _RAW) and _is_data_of(wanted, view):
        return wanted, _plain_bytes(view)
    spec = _spec(view.format, view.itemsize, view.shape or ())
    if spec is None:
        raise InputError(
            f"input {index} has items of format {view.format!r}",
            expected=f"one of {', '.join(DTYPES)}, little-endian",
            action="convert it",
        )
    return spec, _plain_bytes(view)


def _is_data_of(wanted: TensorSpec, view: memoryview) -> bool:
    return view.format == "B" and view.ndim == 1 and view.nbytes == wanted.nbytes


@lru_cache(maxsize=64)  # call after call brings the same
def _spec(item_format: str, item_bytes: int, shape: tuple[int, ...]) -> TensorSpec | None:
    code = item_format.lstrip(_NATIVE)
    dtype = _SIGNED.get(item_bytes) if code in {"b", "h", "i", "l", "q", "n"} else _DTYPES.get(code)
    return TensorSpec(dtype, shape) if dtype else None


def _plain_bytes(view: memoryview) -> memoryview:
    if view.nbytes == 0:
        return memoryview(b"")
    if view.c_contiguous and view.format[0] not in "=<":
        return view.cast("B")
    return memoryview(view.tobytes())
