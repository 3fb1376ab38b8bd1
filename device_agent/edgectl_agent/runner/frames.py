# SPDX-License-Identifier: Apache-2.0
"""The client side of docs/runner-frames.md as pure encoding and decoding; whoever holds a socket brings its own I/O."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import Any, NamedTuple

from edgectl_protos.errors import EdgectlError, InputError, RunnerError
from edgectl_protos.tensors import DTYPES, MAX_RANK, TensorData, TensorSpec

_HEADER = struct.Struct("<4sBBHQQQQ")
HEADER_BYTES = _HEADER.size
_COUNT = struct.Struct("<II")
_TENSOR = struct.Struct("<BBHI")
_MAGIC = b"EDGR"
_VERSION = 1
MAX_TENSORS = 256
MAX_TEXT_BYTES = 1 << 20

_DTYPE_BY_CODE = {entry.code: entry for entry in DTYPES.values()}


class Kind(IntEnum):
    INFER = 1
    STATS = 2
    RESULT = 129
    STATS_RESULT = 130
    ERROR = 255


class Status(IntEnum):
    """Of an ERROR frame; the connection is closed after the first and stays open after the others."""

    BAD_FRAME = 1
    BAD_INPUT = 2
    EXECUTION_FAILED = 3
    BUSY = 4


class BusyError(RunnerError):
    """The runner refused at once: its queue, or the number of its clients, is at its bound. Nothing was run."""


class Header(NamedTuple):
    kind: int
    status: int
    request: int
    execute_ns: int
    payload_bytes: int


@dataclass(frozen=True, slots=True)
class RunnerStats:
    """What a runner tells of itself; `latencies_us` since the previous time it was asked, memory in bytes."""

    inferences: int
    errors: int
    rejected: int
    clients: int
    rss_bytes: int
    anon_bytes: int
    peak_rss_bytes: int
    latencies_us: tuple[float, ...]
    latencies_dropped: int


def encode_header(kind: Kind, request: int, payload_bytes: int) -> bytes:
    """The header of a request frame."""
    return _HEADER.pack(_MAGIC, _VERSION, kind, 0, request, 0, payload_bytes, 0)


def encode_frame(kind: Kind, request: int, payload: bytes) -> bytes:
    """A request frame."""
    return encode_header(kind, request, len(payload)) + payload


def decode_header(data: bytes | memoryview) -> Header:
    """The header in 40 bytes.

    Raises:
        RunnerError: another magic or version.
    """
    magic, version, kind, status, request, execute_ns, payload_bytes, _ = _HEADER.unpack(data)
    if magic != _MAGIC or version != _VERSION:
        raise RunnerError(f"a frame that begins with {bytes(data[:5])!r}", expected="the runner's format, version 1")
    return Header(kind, status, request, execute_ns, payload_bytes)


def tensor_pieces(tensors: Sequence[tuple[TensorSpec, bytes | memoryview]]) -> list[bytes | memoryview]:
    """The payload of an INFER or RESULT frame in pieces that follow each other; the data itself is not copied.

    Each tensor's data is as long in bytes as its specification says.
    """
    pieces: list[bytes | memoryview] = []
    head = _COUNT.pack(len(tensors), 0)
    for spec, data in tensors:
        length = len(data)
        head += _TENSOR.pack(DTYPES[spec.dtype].code, len(spec.shape), 0, 0)
        head += struct.pack(f"<{len(spec.shape)}QQ", *spec.shape, length)
        pieces += (head, data)
        head = bytes(-length % 8)
    if head:
        pieces.append(head)
    return pieces


def encode_tensors(tensors: tuple[TensorData, ...]) -> bytes:
    """The payload of an INFER or RESULT frame."""
    return b"".join(tensor_pieces([(tensor.spec, tensor.data) for tensor in tensors]))


def decode_tensors(payload: bytes) -> tuple[TensorData, ...]:
    """The tensors in a payload.

    Raises:
        RunnerError: it is shorter or longer than it says, or names an unknown dtype.
    """
    return tuple(TensorData(spec, bytes(data)) for spec, data in split_tensors(memoryview(payload)))


def split_tensors(payload: memoryview) -> list[tuple[TensorSpec, memoryview]]:
    """The tensors in a payload of bytes, as views into it.

    Raises:
        RunnerError: as `decode_tensors`.
    """
    try:
        count, _ = _COUNT.unpack_from(payload, 0)
        if count > MAX_TENSORS:
            raise RunnerError(f"{count} tensors in a frame", expected=f"at most {MAX_TENSORS}")
        offset = _COUNT.size
        tensors = []
        for _ in range(count):
            spec, data, offset = _split_tensor(payload, offset)
            tensors.append((spec, data))
    except (struct.error, KeyError, InputError) as error:
        raise RunnerError(f"a damaged frame ({error})", expected="whole tensors", action="restart the agent") from error
    if offset != len(payload):
        raise RunnerError(f"{len(payload) - offset} bytes behind the tensors of a frame", expected="none")
    return tensors


def _split_tensor(payload: memoryview, offset: int) -> tuple[TensorSpec, memoryview, int]:
    code, rank, _, _ = _TENSOR.unpack_from(payload, offset)
    if rank > MAX_RANK:
        raise RunnerError(f"a tensor of rank {rank}", expected=f"at most {MAX_RANK}")
    sizes = struct.unpack_from(f"<{rank}QQ", payload, offset + _TENSOR.size)
    begin = offset + _TENSOR.size + 8 * (rank + 1)
    end = begin + sizes[-1]
    spec = _spec(code, sizes[:-1])
    data = payload[begin:end]
    if len(data) != sizes[-1] or len(data) != spec.nbytes:
        raise RunnerError(f"{len(data)} bytes of data for {spec} in a frame", expected=f"{spec.nbytes}")
    return spec, data, end + (-sizes[-1] % 8)


@lru_cache(maxsize=64)  # frame after frame has the same
def _spec(code: int, shape: tuple[int, ...]) -> TensorSpec:
    return TensorSpec(_DTYPE_BY_CODE[code].name, shape)


def decode_stats(payload: bytes) -> RunnerStats:
    """The figures in a STATS_RESULT."""
    try:
        document: Any = json.loads(payload)
        return RunnerStats(
            inferences=int(document["inferences"]),
            errors=int(document["errors"]),
            rejected=int(document["rejected"]),
            clients=int(document["clients"]),
            rss_bytes=int(document["rss_bytes"]),
            anon_bytes=int(document["anon_bytes"]),
            peak_rss_bytes=int(document["peak_rss_bytes"]),
            latencies_us=tuple(float(value) for value in document["latencies_us"]),
            latencies_dropped=int(document["latencies_dropped"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise RunnerError(f"the runner's figures are {payload[:80]!r}", expected="docs/runner-frames.md") from error


def error_from_status(status: int, text: str) -> EdgectlError:
    """The error an ERROR frame stands for."""
    if status == Status.BAD_INPUT:
        return InputError(text, action="convert or reshape the input")
    if status == Status.BUSY:
        return BusyError(f"the runner is busy: {text}", action="ask again later, or less often")
    name = Status(status).name.lower() if status in list(Status) else f"status {status}"
    return RunnerError(f"{name}: {text}")
