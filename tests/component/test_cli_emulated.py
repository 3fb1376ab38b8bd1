# SPDX-License-Identifier: Apache-2.0
"""Commands and an emulated board: which unit they measure in, what they refuse, and what they say instead of times."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from edgectl.cli.compress import stage_table
from edgectl.cli.main import run
from edgectl.cli.options import complete_device
from edgectl.lab.testing.scripted_agent import Script, ScriptedAgent
from edgectl.lower.delegation import DelegationReport
from edgectl.workflows.stage_figures import StageFigures

from tests.program_bundles import make_bundle
from tests.programs import small_cnn_program

RUNNER, MACHINE = "qemu-user cortex-a72", "qemu-system cortex-a72"
COUNTS = ((300, 500), (300, 500))
Agent = Callable[[Script], contextlib.AbstractContextManager[ScriptedAgent]]


def edgectl(*words: str) -> int:
    return run(words, environ=os.environ)


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Agent:
    """Starts a scripted agent that the inventory knows as `desk`."""
    monkeypatch.setenv("EDGECTL_HOME", str(tmp_path / "home"))

    @contextlib.contextmanager
    def start(script: Script) -> Iterator[ScriptedAgent]:
        with ScriptedAgent(script) as started:
            assert edgectl("device", "add", "desk", started.address) == 0
            capsys.readouterr()
            yield started

    return start


@pytest.fixture
def bundle(tmp_path: Path, program_directory: Path) -> str:
    return str(make_bundle(tmp_path, small_cnn_program(program_directory)).path)


def _emulated(emulator: str = RUNNER) -> Script:
    return Script(device="desk", emulator=emulator, unit="insn", counts=COUNTS)


@pytest.mark.parametrize("words", [(), ("--unit", "insn")])
def test_bench_measures_in_the_devices_unit(
    agent: Agent, bundle: str, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    with agent(_emulated()) as started:
        assert edgectl("bench", bundle, "--on", "desk", *words, "-o", "json") == 0
        request = started.requests["Benchmark"]
        assert (request.instructions.counts, request.blocks, request.runner.threads) == (2, 0, 1)
    out, err = capsys.readouterr()
    measured = json.loads(out)
    assert (measured["unit"], measured["samples"], measured["load_ms"]) == ("insn", [100, 100], None)
    assert "(p50 100 insn over 2 counts)" in err


def test_the_table_of_counts_has_no_times(agent: Agent, bundle: str, capsys: pytest.CaptureFixture[str]) -> None:
    with agent(_emulated()):
        assert edgectl("bench", bundle, "--on", "desk") == 0
    out = capsys.readouterr().out
    assert "instructions an inference  100 insn" in out
    assert "2, all alike" in out
    assert "by qemu-user cortex-a72" in out
    assert "resident at most           unavailable: the emulator's own" in out
    assert " ms" not in out


_REFUSED = [
    (RUNNER, ("--unit", "ms"), "an emulator's milliseconds say nothing of the board"),
    (RUNNER, ("--rate", "10", "--deadline", "5ms"), "an emulator's milliseconds say nothing of the board"),
    (RUNNER, ("--protocol", "short"), "it says how programs are timed"),
    ("", ("--unit", "insn"), "no emulated board"),
    (MACHINE, (), "neither times nor instruction counts"),
    (MACHINE, ("--unit", "insn"), "--on emulated-pi4 --unit insn"),
]


@pytest.mark.parametrize("refused", _REFUSED)
def test_another_unit_is_refused_before_anything_is_sent(
    agent: Agent, bundle: str, capsys: pytest.CaptureFixture[str], refused: tuple[str, tuple[str, ...], str]
) -> None:
    emulator, words, said = refused
    with agent(_emulated(emulator)) as started:
        assert edgectl("bench", bundle, "--on", "desk", *words) == 2
        assert set(started.calls) == {"Hello"}
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [("--unit", "insn", "--protocol", "short"), ("--unit", "insn", "--rate", "10", "--deadline", "5ms")]
)
def test_options_of_times_beside_counts_are_refused_before_a_device_is_asked(
    agent: Agent, bundle: str, words: tuple[str, ...]
) -> None:
    with agent(_emulated()) as started:
        assert edgectl("bench", bundle, "--on", "desk", *words) == 2
        assert started.calls == []


def test_an_earlier_measurement_in_another_unit_is_refused_before_anything_is_sent(
    agent: Agent, bundle: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with agent(Script(device="desk")):
        assert edgectl("bench", bundle, "--on", "desk", "-o", "json") == 0
    (tmp_path / "earlier.json").write_text(capsys.readouterr().out)
    assert edgectl("device", "remove", "desk") == 0
    with agent(_emulated()) as started:
        assert edgectl("bench", bundle, "--on", "desk", "--against", str(tmp_path / "earlier.json")) == 2
        assert set(started.calls) == {"Hello"}
    assert "a measurement in 'ms'; expected one in 'insn'" in capsys.readouterr().err


def test_device_show_says_that_the_board_is_emulated(agent: Agent, capsys: pytest.CaptureFixture[str]) -> None:
    with agent(_emulated()):
        assert edgectl("device", "show", "desk") == 0
        assert "by qemu-user cortex-a72: results are the board's, times are not" in capsys.readouterr().out
        assert edgectl("device", "show", "desk", "-o", "json") == 0
    assert json.loads(capsys.readouterr().out)["emulator"] == RUNNER


@pytest.mark.usefixtures("agent")
def test_the_shell_knows_the_boards_that_can_be_emulated() -> None:
    assert complete_device(None, None, "emulated-pi4") == ["emulated-pi4"]  # type: ignore[arg-type]
    assert "local" in complete_device(None, None, "")  # type: ignore[arg-type]


@pytest.mark.parametrize("command", ["show", "deploy", "profile"])
def test_an_emulated_board_that_does_not_exist_names_the_nearest(
    agent: Agent, bundle: str, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    words = {
        "show": ("device", "show", "emulated-pi44"),
        "deploy": ("deploy", bundle, "--on", "emulated-pi44"),
        "profile": ("profile", bundle, "--on", "desk", "--against", "emulated-pi44"),
    }
    with agent(Script(device="desk")) as started:
        assert edgectl(*words[command]) == 2
        assert started.calls == []
    assert "no emulated board 'emulated-pi44'; expected 'emulated-pi4'" in capsys.readouterr().err


def _stage(*, p50_ms: float | None = None, insn: float | None = None) -> StageFigures:
    return StageFigures(
        name="baseline",
        accuracy=0.9,
        parameters=1,
        macs=2,
        program_bytes=3,
        p50_ms=p50_ms,
        delegation=DelegationReport({}, {}),
        seconds=1.0,
        insn=insn,
    )


def test_a_table_of_stages_is_in_one_unit() -> None:
    timed, counted = stage_table((_stage(p50_ms=1.5),)), stage_table((_stage(insn=12_865_639.0), _stage()))
    assert dict(zip(timed.columns, timed.rows[0], strict=True))[">p50 ms"] == "1.500"
    first, second = (dict(zip(counted.columns, row, strict=True)) for row in counted.rows)
    assert (first[">insn"], second[">insn"]) == ("12,865,639", "-")
    assert ">p50 ms" not in first
    document = _stage(insn=7.0).document()
    assert (document["insn"], document["p50_ms"]) == (7.0, None)
