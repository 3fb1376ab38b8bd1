# SPDX-License-Identifier: Apache-2.0
"""Each failure: its exit code, one line on stderr, the same in JSON, and nothing written."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tests import programs
from tests.runner_client import Outcome, run_command


def assert_failed(outcome: Outcome, code: int, name: str, *parts: str) -> None:
    assert outcome.code == code
    assert outcome.err.startswith(f"edge-runner: {name}: ")
    assert outcome.err.count("\n") == 1
    for part in parts:
        assert part in outcome.err
    error = outcome.report["error"]
    assert error["code"] == name
    assert outcome.err == f"edge-runner: {name}: {error['message']}\n"
    assert error["message"].count("; ") >= 2


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("nonsense",),
        ("info", "--nonsense"),
        ("bench",),
        ("bench", "x.pte", "--runs"),
        ("bench", "x.pte", "--runs", "0"),
        ("bench", "x.pte", "--runs", "12x"),
        ("bench", "x.pte", "--warmup-seconds", "nan"),
        ("bench", "x.pte", "--blocks", "100000", "--block-runs", "1000"),
        ("run", "x.pte", "y.pte"),
        ("serve", "x.pte", "--queue", "0"),
    ],
)
def test_a_wrong_command_line_is_usage(edge_runner: Path, words: tuple[str, ...]) -> None:
    outcome = run_command(edge_runner, *words)
    assert outcome.code == 2
    assert outcome.err.startswith("edge-runner: usage: ")
    assert outcome.err.count("\n") == 1
    assert outcome.out == ""


def test_a_method_the_program_lacks_is_usage_and_names_those_it_has(edge_runner: Path, program_directory: Path) -> None:
    program = programs.small_cnn_program(program_directory)
    outcome = run_command(edge_runner, "bench", program, "--json", "--method", "backward")
    assert_failed(outcome, 2, "usage", "backward", "forward")


def test_a_file_that_is_no_program_is_a_bad_program(edge_runner: Path, tmp_path: Path) -> None:
    (tmp_path / "text.pte").write_text("not a program, but long enough to hold a header " * 10)
    (tmp_path / "empty.pte").touch()
    (tmp_path / "folder.pte").mkdir()
    os.mkfifo(tmp_path / "pipe.pte")
    for name in ("text", "empty", "folder", "pipe", "absent"):
        path = tmp_path / f"{name}.pte"
        for mode in ("info", "bench", "run"):
            assert_failed(run_command(edge_runner, mode, path, "--json", timeout=20), 10, "bad_program", str(path))


def test_a_name_with_control_characters_stays_in_one_line(edge_runner: Path, tmp_path: Path) -> None:
    outcome = run_command(edge_runner, "info", tmp_path / "a\nedge-runner: ok: \x1b[2J", "--json")
    assert_failed(outcome, 10, "bad_program")
    assert "\x1b" not in outcome.err


def test_a_missing_kernel_is_named(edge_runner: Path, program_directory: Path) -> None:
    program = programs.missing_kernel_program(program_directory)
    outcome = run_command(edge_runner, "bench", program, "--json", "--runs", "1")
    assert_failed(outcome, 12, "missing_kernel", "aten::sort.values")
    assert run_command(edge_runner, "info", program, "--json").code == 0


def test_a_missing_delegate_is_named(edge_runner: Path, program_directory: Path, tmp_path: Path) -> None:
    renamed = programs.small_cnn_program(program_directory).read_bytes().replace(b"XnnpackBackend", b"AbsentDelegate")
    (tmp_path / "renamed.pte").write_bytes(renamed)
    outcome = run_command(edge_runner, "bench", tmp_path / "renamed.pte", "--json", "--runs", "1")
    assert_failed(outcome, 12, "missing_kernel", "AbsentDelegate")


def test_wrong_tensors_are_bad_input_and_leave_no_output(
    edge_runner: Path, program_directory: Path, tmp_path: Path
) -> None:
    program = programs.small_cnn_program(program_directory)
    fitting = np.zeros((1, 1, 8, 8), np.float32)
    wrong: dict[str, npt.NDArray[Any]] = {
        "shape": np.zeros((1, 1, 8, 9), np.float32),
        "rank": np.zeros((1, 8, 8), np.float32),
        "dtype": fitting.astype(np.float64),
        "fortran": np.asfortranarray(np.zeros((1, 1, 8, 8), np.float32) + np.arange(8)),
        "big_endian": fitting.astype(">f4"),
        "complex": fitting.astype(np.complex64),
    }
    for name, array in wrong.items():
        np.save(tmp_path / f"{name}.npy", array)
    np.savez_compressed(tmp_path / "compressed.npz", fitting)
    (tmp_path / "text.npy").write_text("hello")
    for path in sorted([*tmp_path.glob("*.npy"), *tmp_path.glob("*.npz"), tmp_path / "absent.npy"]):
        outcome = run_command(
            edge_runner, "run", program, "--json", "--input", path, "--output", tmp_path / "output.npy"
        )
        assert_failed(outcome, 11, "bad_input")
    assert not list(tmp_path.glob("output*"))


def test_shape_error_says_what_came_and_what_was_wanted(
    edge_runner: Path, program_directory: Path, tmp_path: Path
) -> None:
    np.save(tmp_path / "wide.npy", np.zeros((1, 1, 8, 9), np.float32))
    program = programs.small_cnn_program(program_directory)
    outcome = run_command(edge_runner, "run", program, "--json", "--input", tmp_path / "wide.npy")
    assert_failed(outcome, 11, "bad_input", "float32 [1,1,8,9]", "float32 [1,1,8,8]")


def test_a_wrong_number_of_inputs_is_bad_input(edge_runner: Path, program_directory: Path) -> None:
    program = programs.two_input_program(program_directory)
    inputs = programs.golden_inputs(program)
    assert_failed(run_command(edge_runner, "run", program, "--json"), 11, "bad_input", "0 input tensors", "expected 2")
    one = run_command(edge_runner, "run", program, "--json", "--input", inputs[0])
    assert_failed(one, 11, "bad_input", "1 input tensors")
    raw = run_command(edge_runner, "run", program, "--json", "--raw", "--input", *inputs)
    assert_failed(raw, 11, "bad_input", "expected 24")


def test_an_index_out_of_range_fails_to_execute(edge_runner: Path, program_directory: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "index.npy", np.array([[0, 1, 9]]))
    program = programs.embedding_program(program_directory)
    outcome = run_command(
        edge_runner, "run", program, "--json", "--input", tmp_path / "index.npy", "--output", tmp_path / "output.npy"
    )
    assert_failed(outcome, 13, "execution_failed")
    assert not (tmp_path / "output.npy").exists()


def test_an_output_that_cannot_be_written_is_io(edge_runner: Path, program_directory: Path, tmp_path: Path) -> None:
    program = programs.small_cnn_program(program_directory)
    given: tuple[str | Path, ...] = ("--json", "--input", *programs.golden_inputs(program))
    absent = run_command(edge_runner, "run", program, *given, "--output", tmp_path / "absent" / "o.npy")
    assert_failed(absent, 15, "io", "absent")
    (tmp_path / "file").touch()
    assert_failed(run_command(edge_runner, "run", program, *given, "--output-dir", tmp_path / "file"), 15, "io")


def test_a_socket_that_cannot_be_had_is_io(edge_runner: Path, program_directory: Path, tmp_path: Path) -> None:
    program = programs.small_cnn_program(program_directory)
    (tmp_path / "file").write_text("kept")
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(tmp_path / "live"))
        other.listen()
        for path in (tmp_path / "file", tmp_path / "live", tmp_path / ("long" * 40), tmp_path / "absent" / "socket"):
            assert_failed(run_command(edge_runner, "serve", program, "--json", "--socket", path), 15, "io")
    assert (tmp_path / "file").read_text() == "kept"
    assert_failed(run_command(edge_runner, "serve", program, "--json", "--listen-fd", "0"), 15, "io")
