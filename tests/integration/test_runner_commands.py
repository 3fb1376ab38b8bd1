# SPDX-License-Identifier: Apache-2.0
"""`edge-runner info` and `run` on real programs, against what eager torch computed."""

from __future__ import annotations

import platform
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

from tests import programs
from tests.runner_client import run_command

ALL_PROGRAMS = ["small_cnn", "two_input", "portable", "embedding", "dynamic_batch", "channels_last", "unplanned"]


@pytest.mark.parametrize("name", ALL_PROGRAMS)
def test_outputs_equal_eager_torch(edge_runner: Path, program_directory: Path, tmp_path: Path, name: str) -> None:
    program = getattr(programs, f"{name}_program")(program_directory)
    expected = programs.golden_outputs(program)
    outcome = run_command(
        edge_runner, "run", program, "--json", "--output-dir", tmp_path / "out", "--atol", "1e-5", "--rtol", "1e-4",
        "--input", *programs.golden_inputs(program), "--expect", *expected,
    )  # fmt: skip
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.report["mismatched"] == 0
    for index, path in enumerate(expected):
        golden = np.load(path)
        written = np.load(tmp_path / "out" / f"output{index}.npy")
        np.testing.assert_allclose(written, golden, atol=1e-5, rtol=1e-4)
        assert outcome.report["outputs"][index] == {"dtype": golden.dtype.name, "shape": list(golden.shape)}


def test_info_describes_the_delegated_program(edge_runner: Path, program_directory: Path) -> None:
    report = run_command(edge_runner, "info", programs.small_cnn_program(program_directory), "--json").report
    assert report["runtime"] == f"executorch {version('executorch').split('+')[0]}"
    assert report["architecture"] == platform.machine()
    assert "XnnpackBackend" in report["backends"]
    (method,) = report["methods"]
    assert method["name"] == "forward"
    assert method["inputs"] == [{"name": "", "dtype": "float32", "shape": [1, 1, 8, 8]}]
    assert method["outputs"] == [{"name": "", "dtype": "float32", "shape": [1, 10]}]
    assert method["delegates"] == ["XnnpackBackend"]
    assert method["instructions"] == 1
    assert method["planned_bytes"] >= 4 * (64 + 10)


def test_info_shows_that_nothing_is_delegated(edge_runner: Path, program_directory: Path) -> None:
    report = run_command(edge_runner, "info", programs.portable_program(program_directory), "--json").report
    assert report["methods"][0]["delegates"] == []
    assert report["methods"][0]["instructions"] >= 2


def test_info_without_a_program_stays_within_six_megabytes(edge_runner: Path) -> None:
    report = run_command(edge_runner, "info", "--json").report
    assert "methods" not in report
    assert report["kernels"] > 100
    assert 0 < report["start_rss_bytes"] <= 6_000_000


def test_a_batch_smaller_than_the_bound_runs_and_a_larger_one_is_refused(
    edge_runner: Path, program_directory: Path, tmp_path: Path
) -> None:
    program = programs.dynamic_batch_program(program_directory)
    for batch, code in ((1, 0), (4, 0), (5, 11)):
        np.save(tmp_path / "in.npy", np.ones((batch, 6), np.float32))
        outcome = run_command(edge_runner, "run", program, "--json", "--input", tmp_path / "in.npy")
        assert outcome.code == code
        if code == 0:
            assert outcome.report["outputs"] == [{"dtype": "float32", "shape": [batch, 2]}]


def test_npz_in_and_out(edge_runner: Path, program_directory: Path, tmp_path: Path) -> None:
    program = programs.two_input_program(program_directory)
    left, right = (np.load(path) for path in programs.golden_inputs(program))
    np.savez(tmp_path / "in.npz", left, right)
    outcome = run_command(edge_runner, "run", program, "--input", tmp_path / "in.npz", "--output", tmp_path / "out.npz")
    assert (outcome.code, outcome.err) == (0, "")
    with np.load(tmp_path / "out.npz") as archive:
        assert archive.files == ["arr_0", "arr_1"]
        np.testing.assert_allclose(archive["arr_0"], left + right, rtol=1e-6)
        np.testing.assert_allclose(archive["arr_1"], left * right, rtol=1e-6)


def test_raw_in_and_out(edge_runner: Path, program_directory: Path, tmp_path: Path) -> None:
    program = programs.portable_program(program_directory)
    values = np.load(programs.golden_inputs(program)[0])
    (tmp_path / "in.bin").write_bytes(values.tobytes())
    outcome = run_command(
        edge_runner, "run", program, "--raw", "--input", tmp_path / "in.bin", "--output", tmp_path / "out.bin"
    )
    assert outcome.code == 0
    written = np.frombuffer((tmp_path / "out.bin").read_bytes(), np.float32)
    np.testing.assert_allclose(written, np.cumsum(np.sin(values), 1)[0], atol=1e-5)


def test_an_output_out_of_tolerance_is_a_mismatch_with_its_size(
    edge_runner: Path, program_directory: Path, tmp_path: Path
) -> None:
    program = programs.two_input_program(program_directory)
    total, product = (np.load(path) for path in programs.golden_outputs(program))
    total[0, 0] += 0.5
    np.save(tmp_path / "sum.npy", total)
    np.save(tmp_path / "product.npy", product)
    outcome = run_command(
        edge_runner, "run", program, "--json", "--input", *programs.golden_inputs(program),
        "--expect", tmp_path / "sum.npy", tmp_path / "product.npy", "--atol", "1e-3", "--rtol", "0",
    )  # fmt: skip
    assert outcome.code == 14
    assert outcome.report["mismatched"] == 1
    assert outcome.report["max_abs_error"] == pytest.approx(0.5, abs=1e-5)
    assert outcome.report["error"]["code"] == "mismatch"
    assert outcome.err.count("\n") == 1


def test_nan_where_a_number_is_expected_is_a_mismatch(
    edge_runner: Path, program_directory: Path, tmp_path: Path
) -> None:
    program = programs.portable_program(program_directory)
    np.save(tmp_path / "nan.npy", np.full((1, 8), np.nan, np.float32))
    golden = programs.golden_outputs(program)[0]
    against_number = run_command(
        edge_runner, "run", program, "--input", tmp_path / "nan.npy", "--expect", golden, "--atol", "1e9"
    )
    assert against_number.code == 14
    against_nan = run_command(
        edge_runner, "run", program, "--input", tmp_path / "nan.npy", "--expect", tmp_path / "nan.npy"
    )
    assert against_nan.code == 0


def test_what_is_expected_is_read_before_an_output_takes_its_place(
    edge_runner: Path, program_directory: Path, tmp_path: Path
) -> None:
    program = programs.portable_program(program_directory)
    np.save(tmp_path / "golden.npy", np.load(programs.golden_outputs(program)[0]) + 1)
    outcome = run_command(
        edge_runner, "run", program, "--input", *programs.golden_inputs(program),
        "--expect", tmp_path / "golden.npy", "--output", tmp_path / "golden.npy",
    )  # fmt: skip
    assert outcome.code == 14
    np.testing.assert_allclose(
        np.load(tmp_path / "golden.npy"), np.load(programs.golden_outputs(program)[0]), atol=1e-5
    )


def test_an_expected_file_that_cannot_be_read_leaves_no_output(
    edge_runner: Path, program_directory: Path, tmp_path: Path
) -> None:
    program = programs.portable_program(program_directory)
    outcome = run_command(
        edge_runner, "run", program, "--input", *programs.golden_inputs(program),
        "--expect", tmp_path / "absent.npy", "--output-dir", tmp_path / "out",
    )  # fmt: skip
    assert outcome.code == 11
    assert list(tmp_path.iterdir()) == []
