# SPDX-License-Identifier: Apache-2.0
"""`edge-runner serve`: results, order, several clients, counters, and how it ends."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import programs
from tests.runner_client import (
    BAD_INPUT,
    ERROR,
    EXECUTION_FAILED,
    INFER,
    RESULT,
    STATS,
    STATS_RESULT,
    connected,
    read_answer,
    read_tensors,
    request,
    run_command,
    serving,
    tensors_payload,
)


def stats_of(client: socket.socket) -> dict[str, Any]:
    client.sendall(request(STATS))
    answer = read_answer(client)
    assert answer.kind == STATS_RESULT
    report: dict[str, Any] = json.loads(answer.payload)
    return report


@pytest.mark.parametrize("name", ["two_input", "embedding", "dynamic_batch", "channels_last", "unplanned"])
def test_results_equal_eager_torch(edge_runner: Path, program_directory: Path, tmp_path: Path, name: str) -> None:
    program = getattr(programs, f"{name}_program")(program_directory)
    inputs = [np.load(path) for path in programs.golden_inputs(program)]
    expected = [np.load(path) for path in programs.golden_outputs(program)]
    with serving(edge_runner, program, tmp_path / "s"), connected(tmp_path / "s") as client:
        for repeat in range(3):
            client.sendall(request(INFER, tensors_payload(inputs), request_id=2**63 + repeat))
            answer = read_answer(client)
            assert (answer.kind, answer.status, answer.request) == (RESULT, 0, 2**63 + repeat)
            assert answer.nanoseconds > 0
            for got, golden in zip(read_tensors(answer.payload), expected, strict=True):
                assert got.dtype == golden.dtype
                np.testing.assert_allclose(got, golden, atol=1e-5, rtol=1e-4)


def test_wrong_tensors_leave_the_connection_open(edge_runner: Path, program_directory: Path, tmp_path: Path) -> None:
    program = programs.embedding_program(program_directory)
    wrong = [
        ([np.array([[0, 1]])], BAD_INPUT),
        ([np.array([[0, 1, 2]], np.int32)], BAD_INPUT),
        ([], BAD_INPUT),
        ([np.array([[0, 1, 99]])], EXECUTION_FAILED),
        ([np.array([[0, 1, -1]])], EXECUTION_FAILED),
    ]
    with serving(edge_runner, program, tmp_path / "s"), connected(tmp_path / "s") as client:
        for arrays, status in wrong:
            client.sendall(request(INFER, tensors_payload(arrays), request_id=5))
            answer = read_answer(client)
            assert (answer.kind, answer.status, answer.request) == (ERROR, status, 5)
            assert b"; " in answer.payload
        client.sendall(request(INFER, tensors_payload([np.array([[0, 1, 2]])])))
        assert read_answer(client).kind == RESULT
        report = stats_of(client)
    assert (report["inferences"], report["errors"], report["rejected"]) == (1, len(wrong), 0)


def test_clients_are_served_side_by_side(edge_runner: Path, program_directory: Path, tmp_path: Path) -> None:
    program = programs.portable_program(program_directory)
    with (
        serving(edge_runner, program, tmp_path / "s"),
        connected(tmp_path / "s") as first,
        connected(tmp_path / "s") as second,
    ):
        for value in range(20):
            for client, scale in ((first, 0.01), (second, 0.02)):
                client.sendall(request(INFER, tensors_payload([np.full((1, 8), value * scale, np.float32)])))
            for client, scale in ((first, 0.01), (second, 0.02)):
                (result,) = read_tensors(read_answer(client).payload)
                expected = np.cumsum(np.full((1, 8), np.sin(value * scale)), 1)
                np.testing.assert_allclose(result, expected, atol=1e-5)
        assert stats_of(first)["clients"] == 2
        second.close()
        deadline = time.monotonic() + 10
        while (report := stats_of(first))["clients"] != 1:
            assert time.monotonic() < deadline, report


def test_stats_report_each_latency_once(edge_runner: Path, program_directory: Path, tmp_path: Path) -> None:
    program = programs.small_cnn_program(program_directory)
    frame = request(INFER, tensors_payload([np.zeros((1, 1, 8, 8), np.float32)]))
    with serving(edge_runner, program, tmp_path / "s"), connected(tmp_path / "s") as client:
        spent = []
        for _ in range(1030):
            client.sendall(frame)
            spent.append(read_answer(client).nanoseconds / 1e3)
        report = stats_of(client)
        assert report["latencies_us"] == pytest.approx(spent[-1024:])
        assert (report["inferences"], report["latencies_dropped"]) == (1030, 6)
        assert 0 < report["anon_bytes"] < report["rss_bytes"] <= report["peak_rss_bytes"]
        again = stats_of(client)
        assert (again["latencies_us"], again["latencies_dropped"], again["inferences"]) == ([], 0, 1030)


def test_a_request_in_pieces_is_whole_in_the_end(edge_runner: Path, program_directory: Path, tmp_path: Path) -> None:
    program = programs.small_cnn_program(program_directory)
    frame = request(INFER, tensors_payload([np.zeros((1, 1, 8, 8), np.float32)]))
    with serving(edge_runner, program, tmp_path / "s"), connected(tmp_path / "s") as client:
        for at in range(0, len(frame), 7):
            client.sendall(frame[at : at + 7])
        client.shutdown(socket.SHUT_WR)
        assert read_answer(client).kind == RESULT
        assert client.recv(1) == b""


def test_terminating_answers_what_arrived_and_removes_the_socket(
    edge_runner: Path, program_directory: Path, tmp_path: Path
) -> None:
    program = programs.small_cnn_program(program_directory)
    frame = request(INFER, tensors_payload([np.zeros((1, 1, 8, 8), np.float32)]))
    with serving(edge_runner, program, tmp_path / "s") as process, connected(tmp_path / "s") as client:
        assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o600
        client.sendall(frame)
        assert read_answer(client).kind == RESULT
        process.send_signal(signal.SIGTERM)
        assert client.recv(1) == b""
        assert process.wait(timeout=20) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert not (tmp_path / "s").exists()


def test_a_stale_socket_file_is_replaced(edge_runner: Path, program_directory: Path, tmp_path: Path) -> None:
    program = programs.small_cnn_program(program_directory)
    with serving(edge_runner, program, tmp_path / "s") as process:
        process.kill()
        process.wait()
    assert (tmp_path / "s").exists()
    with serving(edge_runner, program, tmp_path / "s"), connected(tmp_path / "s") as client:
        assert stats_of(client)["clients"] == 1


def test_an_inherited_socket_outlives_the_runner(edge_runner: Path, program_directory: Path, tmp_path: Path) -> None:
    program = programs.small_cnn_program(program_directory)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        for _ in range(2):
            descriptor = listener.fileno()
            command: list[str | Path] = [edge_runner, "serve", program, "--listen-fd", str(descriptor)]
            with subprocess.Popen(command, pass_fds=[descriptor], stdout=subprocess.PIPE) as process:
                with connected(tmp_path / "s") as client:
                    assert stats_of(client)["clients"] == 1
                process.send_signal(signal.SIGTERM)
                assert process.wait(timeout=20) == 0
    assert (tmp_path / "s").exists()


PARENT = """
import subprocess, sys, time
child = subprocess.Popen([*sys.argv[1:], "--die-with-parent"], stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(60)
"""


def test_a_runner_dies_with_its_parent(edge_runner: Path, program_directory: Path, tmp_path: Path) -> None:
    program = programs.small_cnn_program(program_directory)
    command: list[str | Path] = [
        sys.executable,
        "-c",
        PARENT,
        edge_runner,
        "serve",
        program,
        "--socket",
        tmp_path / "s",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        runner = int(parent.stdout.readline())
        try:
            with connected(tmp_path / "s") as client:
                assert stats_of(client)["clients"] == 1
                parent.kill()
                # The kernel closes a dead process's sockets: this is its death, whoever reaps it.
                assert client.recv(1) == b""
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(runner, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while is_alive(runner):
        assert time.monotonic() < deadline


def is_alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in {"Z", "X"}


def test_a_runner_whose_parent_is_gone_already_does_not_start(
    edge_runner: Path, program_directory: Path, tmp_path: Path
) -> None:
    program = programs.small_cnn_program(program_directory)
    outcome = run_command(edge_runner, "serve", program, "--socket", tmp_path / "s", "--parent-pid", str(os.getppid()))
    assert outcome.code == 15
    assert not (tmp_path / "s").exists()
