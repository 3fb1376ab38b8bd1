# SPDX-License-Identifier: Apache-2.0
"""The agent's side of the runner's frame format, against bytes that are right and bytes that are not."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from edgectl_agent.runner.frames import (
    BusyError,
    Kind,
    decode_header,
    decode_stats,
    decode_tensors,
    encode_frame,
    encode_tensors,
    error_from_status,
)
from edgectl_protos.errors import EdgectlError, InputError, RunnerError
from edgectl_protos.tensors import DTYPES, TensorData, TensorSpec

_SAMPLE = (
    TensorData(TensorSpec("float32", (1, 3)), np.arange(3, dtype=np.float32).tobytes()),
    TensorData(TensorSpec("uint8", (5,)), b"abcde"),
    TensorData(TensorSpec("int64", ()), struct.pack("<q", -4)),
    TensorData(TensorSpec("bool", (0, 7)), b""),
)


def test_tensors_survive_the_round_trip() -> None:
    assert decode_tensors(encode_tensors(_SAMPLE)) == _SAMPLE


@pytest.mark.parametrize("dtype", list(DTYPES))
def test_every_dtype_has_its_documented_code(dtype: str) -> None:
    item = bytes(DTYPES[dtype].item_bytes)
    payload = encode_tensors((TensorData(TensorSpec(dtype, (1,)), item),))
    assert payload[8] == DTYPES[dtype].code
    assert len(payload) % 8 == 0


def test_the_header_is_as_documented() -> None:
    frame = encode_frame(Kind.INFER, 7, b"12345678")
    assert frame[:8] == b"EDGR\x01\x01\x00\x00"
    assert struct.unpack_from("<QQQQ", frame, 8) == (7, 0, 8, 0)
    assert decode_header(frame[:40]).payload_bytes == 8


def test_every_truncation_is_refused() -> None:
    payload = encode_tensors(_SAMPLE)
    for length in range(len(payload)):
        with pytest.raises(RunnerError):
            decode_tensors(payload[:length])


@pytest.mark.parametrize(
    "payload",
    [
        struct.pack("<II", 2**32 - 1, 0),
        struct.pack("<IIBBHI", 1, 0, 6, 255, 0, 0) + bytes(8 * 300),
        struct.pack("<IIBBHIQ", 1, 0, 10, 0, 0, 0, 0),
        struct.pack("<IIBBHIQQ", 1, 0, 6, 1, 0, 0, 2**62, 2**64 - 1),
        encode_tensors(_SAMPLE) + bytes(8),
    ],
    ids=["count", "rank", "dtype", "sizes", "trailing"],
)
def test_a_frame_that_lies_is_refused(payload: bytes) -> None:
    with pytest.raises(RunnerError):
        decode_tensors(payload)


def test_another_magic_or_version_is_refused() -> None:
    for begin in (b"EDGX\x01", b"EDGR\x02"):
        with pytest.raises(RunnerError, match="version 1"):
            decode_header(begin + bytes(35))


@pytest.mark.parametrize("payload", [b"", b"[]", b"{}", b'{"inferences": "x"}', b"\xff"])
def test_figures_that_are_none_are_refused(payload: bytes) -> None:
    with pytest.raises(RunnerError):
        decode_stats(payload)


@pytest.mark.parametrize(
    ("status", "kind", "text"),
    [
        (1, RunnerError, "bad_frame"),
        (2, InputError, "why"),
        (3, RunnerError, "execution_failed"),
        (4, BusyError, "busy"),
        (99, RunnerError, "status 99"),
    ],
)
def test_each_error_status_has_its_error(status: int, kind: type[EdgectlError], text: str) -> None:
    error = error_from_status(status, "why")
    assert type(error) is kind
    assert text in error.message
