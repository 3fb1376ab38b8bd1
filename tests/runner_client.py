# SPDX-License-Identifier: Apache-2.0
"""The runner from a test's side: commands with their outcome, a serving process, and frames made by hand.

Frames are written here from docs/runner-frames.md and not with the agent's client, so that a misreading of the format
that both shared would show.
"""

from __future__ import annotations

import json
import socket
import struct
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

HEADER = struct.Struct("<4sBBHQQQQ")
INFER, STATS, RESULT, STATS_RESULT, ERROR = 1, 2, 129, 130, 255
BAD_FRAME, BAD_INPUT, EXECUTION_FAILED, BUSY = 1, 2, 3, 4
DTYPES = {
    "uint8": 0,
    "int8": 1,
    "int16": 2,
    "int32": 3,
    "int64": 4,
    "float16": 5,
    "float32": 6,
    "float64": 7,
    "bool": 11,
}

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def report(self) -> dict[str, Any]:
        parsed: dict[str, Any] = json.loads(self.out)
        return parsed


@dataclass(frozen=True, slots=True)
class Answer:
    """One frame from the runner."""

    kind: int
    status: int
    request: int
    nanoseconds: int
    payload: bytes


def run_command(runner: Path, *words: str | Path, timeout: float = 60) -> Outcome:
    done = subprocess.run([runner, *words], check=False, capture_output=True, text=True, timeout=timeout)
    return Outcome(done.returncode, done.stdout, done.stderr)


@contextmanager
def serving(runner: Path, program: Path, path: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """A runner that serves `program` at `path` and has said that it is ready."""
    command: list[str | Path] = [runner, "serve", program, "--socket", path, *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert json.loads(process.stdout.readline())["ready"] is True
            yield process
        finally:
            process.kill()


@contextmanager
def connected(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(30)
        client.connect(str(path))
        yield client


def request(kind: int, payload: bytes = b"", *, request_id: int = 1, claimed: int | None = None) -> bytes:
    """A frame; `claimed` is a payload length other than the true one."""
    return HEADER.pack(b"EDGR", 1, kind, 0, request_id, 0, len(payload) if claimed is None else claimed, 0) + payload


def tensors_payload(arrays: Sequence[Array]) -> bytes:
    payload = struct.pack("<II", len(arrays), 0)
    for array in arrays:
        payload += struct.pack("<BBHI", DTYPES[array.dtype.name], array.ndim, 0, 0)
        payload += struct.pack(f"<{array.ndim}QQ", *array.shape, array.nbytes)
        payload += array.tobytes() + bytes(-array.nbytes % 8)
    return payload


def read_tensors(payload: bytes) -> list[Array]:
    names = {code: name for name, code in DTYPES.items()}
    count, at = struct.unpack_from("<I", payload)[0], 8
    arrays: list[Array] = []
    for _ in range(count):
        dtype, rank = struct.unpack_from("<BB", payload, at)
        *shape, size = struct.unpack_from(f"<{rank}QQ", payload, at + 8)
        at += 8 + 8 * rank + 8
        arrays.append(np.frombuffer(payload[at : at + size], names[dtype]).reshape(shape))
        at += size + -size % 8
    assert at == len(payload)
    return arrays


def read_answer(client: socket.socket) -> Answer:
    magic, version, kind, status, request_id, nanoseconds, length, reserved = HEADER.unpack(_exactly(client, 40))
    assert (magic, version, reserved) == (b"EDGR", 1, 0)
    return Answer(kind, status, request_id, nanoseconds, _exactly(client, length))


def _exactly(client: socket.socket, length: int) -> bytes:
    data = bytearray()
    while len(data) < length:
        piece = client.recv(length - len(data))
        assert piece, "the runner closed the connection"
        data += piece
    return bytes(data)
