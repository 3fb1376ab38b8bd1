# SPDX-License-Identifier: Apache-2.0
"""The installed `edgectl` against a real local agent and runner: one bundle's way from file to rollback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import pytest

from tests.program_bundles import make_bundle
from tests.programs import golden_inputs, golden_outputs, small_cnn_program

COMMAND = [sys.executable, "-c", "import sys; from edgectl.cli.main import main; sys.exit(main())"]


@dataclass(frozen=True, slots=True)
class Host:
    """A home of its own, and two versions of one model."""

    home: Path
    program: Path
    first: Path
    second: Path

    @property
    def environ(self) -> dict[str, str]:
        return os.environ | {"EDGECTL_HOME": str(self.home)}

    def edgectl(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *words], capture_output=True, text=True, env=self.environ, timeout=120, check=False
        )

    def json(self, *words: str) -> dict[str, object]:
        result = self.edgectl(*words, "-o", "json")
        assert result.returncode == 0, result.stderr
        document = json.loads(result.stdout)
        assert isinstance(document, dict)
        return document


@pytest.fixture
def host(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Host:
    program = small_cnn_program(tmp_path_factory.getbasetemp() / "programs")
    labels = tuple("0123456789")
    first, second = (make_bundle(tmp_path, program, name="cnn", version=v, labels=labels).path for v in ("1", "2"))
    return Host(tmp_path / "home", program, first, second)


def test_bundle_goes_from_file_to_rollback(host: Host, tmp_path: Path) -> None:
    first = host.json("deploy", str(host.first), "--on", "local")
    second = host.json("deploy", str(host.second), "--on", "local")
    assert second["previous_digest"] == first["digest"]

    measured = host.json("bench", "cnn", "--on", "local", "--protocol", "short")
    assert (measured["bundle_digest"], measured["unit"]) == (second["digest"], "ms")
    assert {"samples", "p50", "p90", "p95", "p99", "memory", "quality", "device", "provenance"} <= set(measured)

    given = str(golden_inputs(host.program)[0])
    inferred = host.json("infer", "cnn", "--on", "local", "--input", given, "--output-dir", str(tmp_path / "outputs"))
    assert inferred["digest"] == second["digest"]
    expected = np.load(golden_outputs(host.program)[0])
    np.testing.assert_allclose(np.load(tmp_path / "outputs" / "output0.npy"), expected, rtol=1e-3, atol=1e-4)

    back = host.json("rollback", "cnn", "--on", "local")
    assert (back["digest"], back["rolled_back_digest"]) == (first["digest"], second["digest"])
    shown = host.edgectl("device", "show", "local")
    assert "cnn    1        " in shown.stdout
    assert host.edgectl("rollback", "cnn", "--on", "local").returncode == 1


def test_labels_come_from_the_bundle_given(host: Host) -> None:
    given = str(golden_inputs(host.program)[0])
    inferred = host.json("infer", str(host.first), "--on", "local", "--input", given)
    best = int(np.load(golden_outputs(host.program)[0]).argmax())
    top = inferred["top"]
    assert isinstance(top, list)
    assert top[0]["label"] == str(best)


def test_input_of_the_wrong_shape_is_refused_by_the_device(host: Host) -> None:
    host.json("deploy", str(host.first), "--on", "local")
    wrong = str(golden_outputs(host.program)[0])
    result = host.edgectl("infer", "cnn", "--on", "local", "--input", wrong, "-o", "json")
    assert result.returncode == 1
    assert json.loads(result.stdout)["error"]["code"] == "input_mismatch"
    assert "expected float32[1, 1, 8, 8]" in result.stderr


def test_bundle_whose_golden_outputs_are_wrong_exits_6_and_leaves_the_first_active(host: Host, tmp_path: Path) -> None:
    first = host.json("deploy", str(host.first), "--on", "local")
    golden = {f"golden/{path.name}": path.read_bytes() for path in golden_outputs(host.program)}
    damaged = {name: data[:-4] + b"\0\0\x80\x42" for name, data in golden.items()}  # the last output becomes 64
    bad = make_bundle(tmp_path / "bad", host.program, name="cnn", version="3", members=damaged)
    result = host.edgectl("deploy", str(bad.path), "--on", "local")
    assert result.returncode == 6
    assert result.stderr.splitlines()[-1].startswith("error: ")
    models = host.json("device", "show", "local")["models"]
    assert isinstance(models, list)
    assert [model["digest"] for model in models if model["active"]] == [first["digest"]]


def test_damaged_file_of_a_bundle_the_device_has_is_refused_here(host: Host) -> None:
    host.json("deploy", str(host.first), "--on", "local")
    data = bytearray(host.first.read_bytes())
    data[len(data) // 2] ^= 1
    host.first.write_bytes(data)
    for command in ("deploy", "bench"):
        assert host.edgectl(command, str(host.first), "--on", "local").returncode == 1


def test_bundle_with_a_flipped_byte_is_refused_and_not_kept(host: Host) -> None:
    data = bytearray(host.first.read_bytes())
    data[len(data) // 2] ^= 1
    host.first.write_bytes(data)
    result = host.edgectl("deploy", str(host.first), "--on", "local", "-o", "json")
    assert result.returncode == 1
    assert json.loads(result.stdout)["error"]["code"] == "bundle_damaged"
    assert host.json("device", "show", "local")["models"] == []


def test_telemetry_of_the_local_agent_is_read(host: Host) -> None:
    result = host.edgectl("telemetry", "tail", "--on", "local", "--count", "1", "-o", "json")
    assert result.returncode == 0, result.stderr
    record = json.loads(result.stdout)
    assert (record["kind"], record["device"]) == ("record", "local")
    names = {metric["name"] for metric in record["metrics"] if "value" in metric or metric["unavailable"]}
    assert {"agent.rss", "board.temperature"} <= names


def test_interruption_is_130_and_leaves_no_agent(host: Host) -> None:
    process = subprocess.Popen(
        [*COMMAND, "telemetry", "tail", "--on", "local"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=host.environ,
    )
    assert process.stdout is not None
    assert process.stdout.readline()
    children = psutil.Process(process.pid).children(recursive=True)
    assert children
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.split() == ["interrupted"]
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []


def test_reader_that_goes_away_ends_the_tail_quietly(host: Host) -> None:
    process = subprocess.Popen(
        [*COMMAND, "telemetry", "tail", "--on", "local"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=host.environ,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=60) == 1
    assert process.stderr.read() == ""
    process.stderr.close()


def test_second_edgectl_on_the_local_agent_is_told_to_wait(host: Host) -> None:
    first = subprocess.Popen(
        [*COMMAND, "telemetry", "tail", "--on", "local"], stdout=subprocess.PIPE, text=True, env=host.environ
    )
    assert first.stdout is not None
    assert first.stdout.readline()
    result = host.edgectl("device", "show", "local")
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=60)
    assert result.returncode == 1
    assert "one at a time" in result.stderr
    deadline = time.monotonic() + 10
    while host.edgectl("device", "show", "local").returncode and time.monotonic() < deadline:
        time.sleep(0.1)
    assert host.edgectl("device", "show", "local").returncode == 0
