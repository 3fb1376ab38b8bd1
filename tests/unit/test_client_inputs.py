# SPDX-License-Identifier: Apache-2.0
"""What the local client makes of the objects an application gives it."""

from __future__ import annotations

import array
import ctypes
from typing import Any

import numpy as np
import pytest
from edgectl_agent.client.inputs import as_tensors
from edgectl_protos.errors import InputError
from edgectl_protos.tensors import DTYPES, TensorSpec

_WANTED = (TensorSpec("float32", (1, 3)),)


def _one(value: object, wanted: tuple[TensorSpec, ...] = _WANTED) -> tuple[TensorSpec, bytes]:
    ((spec, data),) = as_tensors([value], wanted)
    assert (data.format, data.ndim) == ("B", 1)
    return spec, bytes(data)


@pytest.mark.parametrize("dtype", list(DTYPES))
@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (2, 0), (1, 2, 1, 2)])
def test_an_array_goes_as_it_is(dtype: str, shape: tuple[int, ...]) -> None:
    values = np.arange(np.prod(shape, dtype=int), dtype=np.int64).reshape(shape).astype(dtype)
    assert _one(values) == (TensorSpec(dtype, shape), values.tobytes())


def test_contiguous_memory_is_not_copied() -> None:
    values = np.ones((1, 3), np.float32)
    ((_, data),) = as_tensors([values], _WANTED)
    values[0, 1] = 7
    assert bytes(data) == values.tobytes()


@pytest.mark.parametrize(
    "values",
    [
        np.arange(12, dtype=np.float32).reshape(3, 4).T,
        np.arange(12, dtype=np.float32).reshape(3, 4)[::2, ::-1],
        np.asfortranarray(np.arange(12, dtype=np.int16).reshape(3, 4)),
    ],
    ids=["transposed", "strided", "fortran"],
)
def test_scattered_memory_goes_row_by_row(values: np.typing.NDArray[Any]) -> None:
    assert _one(values) == (TensorSpec(str(values.dtype), values.shape), np.ascontiguousarray(values).tobytes())


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_plain_bytes_of_the_right_length_are_the_input(kind: type[Any]) -> None:
    data = np.arange(3, dtype=np.float32).tobytes()
    assert _one(kind(data)) == (_WANTED[0], data)
    assert _one(kind(data[:-1])) == (TensorSpec("uint8", (11,)), data[:-1])


def test_an_array_of_bytes_stays_one_whatever_its_length() -> None:
    assert _one(np.zeros(12, np.uint8))[0] == TensorSpec("uint8", (12,))


def test_other_buffers_are_tensors_too() -> None:
    assert _one(array.array("f", [1, 2]))[0] == TensorSpec("float32", (2,))
    assert _one((ctypes.c_float * 3)(1, 2, 3)) == (
        TensorSpec("float32", (3,)),
        np.array([1, 2, 3], np.float32).tobytes(),
    )
    shaped = memoryview(bytes(24)).cast("q", (1, 3))
    assert _one(shaped)[0] == TensorSpec("int64", (1, 3))


@pytest.mark.parametrize(
    "value",
    [
        [1.0, 2.0],
        "text",
        None,
        np.zeros(2, np.uint16),
        np.zeros(2, np.complex64),
        np.zeros(2, ">f4"),
        np.zeros(2, "U3"),
        np.zeros(2, [("a", "f4"), ("b", "i4")]),
        np.array([object()]),
        np.zeros(2, "M8[s]"),
        np.zeros((1,) * 17, np.float32),
    ],
    ids=["list", "text", "none", "uint16", "complex", "big-endian", "unicode", "record", "object", "time", "rank"],
)
def test_what_no_program_takes_is_an_input_error(value: object) -> None:
    with pytest.raises(InputError):
        as_tensors([value], _WANTED)


def test_the_number_of_inputs_is_bounded() -> None:
    with pytest.raises(InputError, match="at most 256"):
        as_tensors([b""] * 257, ())
