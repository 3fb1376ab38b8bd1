# SPDX-License-Identifier: Apache-2.0
"""Tensor specifications: dtypes agree with numpy, sizes are checked, mismatches name the first tensor that differs."""

from __future__ import annotations

import numpy as np
import pytest
from edgectl_protos.errors import InputError
from edgectl_protos.tensors import DTYPES, TensorData, TensorSpec, check_inputs

IMAGE = TensorSpec("float32", (1, 1, 8, 8))
TOKENS = TensorSpec("int64", (1, 3))


@pytest.mark.parametrize("name", sorted(DTYPES))
def test_dtype_is_numpys(name: str) -> None:
    assert np.dtype(name).itemsize == DTYPES[name].item_bytes
    assert DTYPES[name].name == name


def test_type_codes_are_distinct() -> None:
    assert len({entry.code for entry in DTYPES.values()}) == len(DTYPES)


@pytest.mark.parametrize(("shape", "size"), [((), 4), ((0,), 0), ((2, 3), 24), ((1, 1, 8, 8), 256)])
def test_bytes_of_a_tensor(shape: tuple[int, ...], size: int) -> None:
    assert TensorSpec("float32", shape).nbytes == size


@pytest.mark.parametrize(("dtype", "shape"), [("float8", ()), ("", ()), ("float32", (-1,)), ("float32", (1,) * 17)])
def test_impossible_specification_is_refused(dtype: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError):
        TensorSpec(dtype, shape)


@pytest.mark.parametrize("length", [0, 23, 25])
def test_data_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(InputError, match=f"{length} bytes of data for float32"):
        TensorData(TensorSpec("float32", (2, 3)), b"\0" * length)


def test_equal_inputs_pass() -> None:
    check_inputs((IMAGE, TOKENS), (IMAGE, TOKENS))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((), "0 input tensors; expected 2"),
        ((IMAGE,), "1 input tensors; expected 2"),
        ((IMAGE, IMAGE), "input 1 is float32[1, 1, 8, 8]; expected int64[1, 3]"),
        ((TensorSpec("float64", (1, 1, 8, 8)), TOKENS), "input 0 is float64[1, 1, 8, 8]; expected float32[1, 1, 8, 8]"),
        ((TensorSpec("float32", (1, 8, 8)), TOKENS), "input 0 is float32[1, 8, 8]; expected float32[1, 1, 8, 8]"),
    ],
)
def test_first_input_that_differs_is_named(given: tuple[TensorSpec, ...], said: str) -> None:
    with pytest.raises(InputError) as caught:
        check_inputs(given, (IMAGE, TOKENS))
    assert caught.value.message.startswith(said)
