# SPDX-License-Identifier: Apache-2.0
"""Hostile clients: the runner refuses them by the format's rules and goes on serving the others."""

from __future__ import annotations

import random
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from tests import programs
from tests.runner_client import (
    BAD_FRAME,
    BAD_INPUT,
    BUSY,
    ERROR,
    HEADER,
    INFER,
    RESULT,
    STATS,
    connected,
    read_answer,
    request,
    serving,
    tensors_payload,
)

IMAGE = np.zeros((1, 1, 8, 8), np.float32)
GOOD = request(INFER, tensors_payload([IMAGE]))


@pytest.fixture
def socket_path(edge_runner: Path, program_directory: Path, tmp_path: Path) -> Iterator[Path]:
    """A serving runner, which must be alive and answering when the test is over."""
    with serving(edge_runner, programs.small_cnn_program(program_directory), tmp_path / "s") as process:
        yield tmp_path / "s"
        assert process.poll() is None
        deadline = time.monotonic() + 20
        while (answer := first_answer(tmp_path / "s")) != (RESULT, 0):
            # Clients that have just gone may still count, and their requests wait.
            assert answer == (ERROR, BUSY)
            assert time.monotonic() < deadline


def first_answer(path: Path) -> tuple[int, int]:
    with connected(path) as client:
        client.sendall(GOOD)
        answer = read_answer(client)
        return answer.kind, answer.status


BAD_HEADERS = {
    "magic": HEADER.pack(b"RGDE", 1, INFER, 0, 7, 0, 0, 0),
    "version": HEADER.pack(b"EDGR", 2, INFER, 0, 7, 0, 0, 0),
    "kind": HEADER.pack(b"EDGR", 1, 77, 0, 7, 0, 0, 0),
    "result kind": HEADER.pack(b"EDGR", 1, RESULT, 0, 7, 0, 0, 0),
    "long": request(INFER, request_id=7, claimed=2**20),
    "absurd": request(INFER, request_id=7, claimed=2**64 - 1),
    "stats with payload": request(STATS, request_id=7, claimed=8),
}


@pytest.mark.parametrize("name", BAD_HEADERS)
def test_a_bad_header_is_answered_and_the_connection_closed(socket_path: Path, name: str) -> None:
    with connected(socket_path) as client:
        client.sendall(GOOD + BAD_HEADERS[name])
        assert read_answer(client).kind == RESULT
        answer = read_answer(client)
        assert (answer.kind, answer.status) == (ERROR, BAD_FRAME)
        assert answer.request == (0 if name == "magic" else 7)
        assert client.recv(1) == b""


def bad_payloads() -> dict[str, bytes]:
    shape = struct.pack("<4Q", 1, 1, 8, 8)
    head = struct.pack("<IIBBHI", 1, 0, 6, 4, 0, 0)
    data = struct.pack("<Q", 256) + bytes(256)
    return {
        "empty": b"",
        "count only": struct.pack("<II", 1, 0),
        "false count": struct.pack("<II", 2**32 - 1, 0),
        "unknown dtype": struct.pack("<IIBBHI", 1, 0, 200, 4, 0, 0) + shape + data,
        "rank 255": struct.pack("<IIBBHI", 1, 0, 6, 255, 0, 0) + bytes(100),
        "negative size": head + struct.pack("<4Q", 1, 1, 2**64 - 8, 8) + data,
        "overflowing size": head + struct.pack("<4Q", 2**32, 2**32, 2**32, 2**32) + data,
        "more data than sizes": head + struct.pack("<4Q", 1, 1, 8, 4) + data,
        "data beyond the end": head + shape + struct.pack("<Q", 256) + bytes(8),
        "huge data": head + shape + struct.pack("<Q", 2**64 - 1),
        "trailing bytes": struct.pack("<II", 0, 0) + bytes(8),
        "zero size": head + struct.pack("<4QQ", 1, 1, 0, 8, 0),
    }


@pytest.mark.parametrize("name", bad_payloads())
def test_bad_tensors_are_refused_and_the_connection_goes_on(socket_path: Path, name: str) -> None:
    with connected(socket_path) as client:
        client.sendall(request(INFER, bad_payloads()[name], request_id=3))
        answer = read_answer(client)
        assert (answer.kind, answer.status, answer.request) == (ERROR, BAD_INPUT, 3)
        client.sendall(GOOD)
        assert read_answer(client).kind == RESULT


def test_random_bytes_and_damaged_frames_never_stop_the_runner(socket_path: Path) -> None:
    rng = random.Random(11)
    for _ in range(300):
        frame = bytearray(GOOD * 2)
        for _ in range(rng.randint(1, 6)):
            frame[rng.randrange(len(frame))] = rng.randrange(256)
        data = rng.randbytes(rng.randrange(200)) if rng.random() < 0.3 else bytes(frame)
        with connected(socket_path) as client:
            client.sendall(data[: rng.randrange(1, len(data) + 1)] if data else b"E")
            if rng.random() < 0.5:
                client.shutdown(socket.SHUT_WR)
                drain(client)


def drain(client: socket.socket) -> None:
    try:
        while client.recv(65536):
            pass
    except ConnectionResetError:
        pass


def test_requests_beyond_the_queue_are_refused_in_order(
    edge_runner: Path, program_directory: Path, tmp_path: Path
) -> None:
    program = programs.small_cnn_program(program_directory)
    frames = b"".join(request(INFER, tensors_payload([IMAGE]), request_id=index) for index in range(40))
    with serving(edge_runner, program, tmp_path / "s", "--queue", "4"), connected(tmp_path / "s") as client:
        client.sendall(frames)
        answers = [read_answer(client) for _ in range(40)]
        assert [answer.request for answer in answers] == list(range(40))
        outcomes = {(answer.kind, answer.status) for answer in answers}
        assert outcomes == {(RESULT, 0), (ERROR, BUSY)}
        refused = next(answer for answer in answers if answer.kind == ERROR)
        assert b"4 requests are waiting" in refused.payload
        client.sendall(GOOD)
        assert read_answer(client).kind == RESULT


def test_a_client_that_never_reads_holds_up_nobody_and_holds_little(socket_path: Path) -> None:
    with connected(socket_path) as greedy, connected(socket_path) as other:
        greedy.settimeout(2)
        with pytest.raises(TimeoutError):  # the runner stops reading from it
            greedy.sendall(GOOD * 20_000)
        for _ in range(50):
            other.sendall(GOOD)
            answer = read_answer(other)
            assert (answer.kind, answer.status) in {(RESULT, 0), (ERROR, BUSY)}
        other.sendall(request(STATS))
        assert read_answer(other).payload.startswith(b"{")


def test_clients_beyond_the_limit_are_told_so(socket_path: Path) -> None:
    with ExitStack() as stack:
        clients = [stack.enter_context(connected(socket_path)) for _ in range(64)]
        for client in clients:
            client.sendall(GOOD)
            assert read_answer(client).kind == RESULT
        refused = stack.enter_context(connected(socket_path))
        answer = read_answer(refused)
        assert (answer.kind, answer.status) == (ERROR, BUSY)
        assert refused.recv(1) == b""


def test_a_client_that_leaves_before_its_answer_is_forgotten(socket_path: Path) -> None:
    for _ in range(50):
        with connected(socket_path) as client:
            client.sendall(GOOD * 10 + GOOD[:50])
