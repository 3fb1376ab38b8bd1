# SPDX-License-Identifier: Apache-2.0
"""The agent's part in emulated boards, as far as no emulator is needed."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from edgectl_agent.budgets import UncheckedBudget, unchecked_budgets
from edgectl_agent.configuration import Settings, configure
from edgectl_agent.emulation.emulator import parse_emulator, read_emulator
from edgectl_agent.measure.instructions import InstructionProtocol
from edgectl_agent.measure.limits import check_tells_time, counting_options
from edgectl_agent.runner.answers import read_answer
from edgectl_agent.runner.options import RunnerOptions
from edgectl_agent.runner.repeat import RepeatReport, between_marks, parse_repeat_report
from edgectl_protos.errors import RunnerError, UsageError
from edgectl_protos.manifest import Budgets

SETTINGS = Settings(listen="127.0.0.1:0", state="/tmp/state", device="board")


def _configured(*, emulated: str, emulator: str | None = None) -> Settings:
    return dataclasses.replace(SETTINGS, emulated=emulated, emulator=emulator)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({}, "no program"),
        ({"program": "/q", "core": "cortex-a72"}, "no sysroot"),
        ({"program": "/q", "core": "", "sysroot": "/s"}, "no core"),
        ({"program": "/q", "core": "cortex-a72", "sysroot": 7}, "sysroot is 7"),
        ({"program": "/q", "core": "cortex-a72", "sysrot": "/s"}, "expected 'sysroot'"),
    ],
)
def test_an_emulators_file_is_checked(document: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_emulator(document, source="emulator.toml")


@pytest.mark.parametrize("content", [b"program = ", b"\xff\xfe", None])
def test_an_emulators_file_that_cannot_be_read_is_refused(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "emulator.toml").write_bytes(content)
    with pytest.raises(UsageError, match="check --emulator"):
        read_emulator(tmp_path / "emulator.toml")


def test_a_machine_says_what_emulates_it() -> None:
    assert configure(_configured(emulated="qemu-system cortex-a72")).emulated == "qemu-system cortex-a72"
    assert configure(SETTINGS).emulated == ""


@pytest.mark.parametrize("text", ["qemu", "qemu-user cortex-a72", "qemu-system ", "qemu-system A\n", "qemu-system a b"])
def test_another_word_for_an_emulated_machine_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="qemu-system CORE"):
        configure(_configured(emulated=text))


def test_a_board_is_emulated_in_one_way_only() -> None:
    with pytest.raises(UsageError, match="expected one of them"):
        configure(_configured(emulated="qemu-system cortex-a72", emulator="/e.toml"))


def test_a_real_board_takes_time_and_an_emulated_one_does_not() -> None:
    check_tells_time("", "milliseconds")
    with pytest.raises(UsageError, match="say nothing of it"):
        check_tells_time("qemu-system cortex-a72", "milliseconds")


def test_counting_is_at_one_thread() -> None:
    assert counting_options(RunnerOptions()) == counting_options(RunnerOptions(threads=1)) == RunnerOptions(threads=1)


@pytest.mark.parametrize(
    "figures",
    [
        {"counts": 0},
        {"counts": 101},
        {"short_runs": 0},
        {"long_runs": 2},
        {"long_runs": 1},
        {"long_runs": 100_001},
        {"time_limit_seconds": -1.0},
        {"time_limit_seconds": float("nan")},
    ],
)
def test_a_protocol_of_counts_is_checked(figures: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        InstructionProtocol(**({"name": "p", "counts": 2, "short_runs": 2, "long_runs": 4} | figures))  # type: ignore[arg-type]


def test_instructions_are_those_between_the_first_two_marks() -> None:
    assert between_marks(b"100\n350\n400\n") == 250


@pytest.mark.parametrize(
    "counts", [b"", b"1\n2\n", b"1\n2\n3\n4\n", b"1\nx\n3\n", b"-1\n2\n3\n", b"5\n5\n6\n", b"9\n5\n6\n"]
)
def test_counts_that_are_none_are_refused(counts: bytes) -> None:
    with pytest.raises(RunnerError):
        between_marks(counts)


def test_the_report_of_repeated_runs() -> None:
    line = b'{"runs": 2, "threads": 1, "program_bytes": 5, "planned_bytes": 0, "runtime": "executorch 1.5.1"}'
    assert read_answer(line, "repeat", parse_repeat_report) == RepeatReport(1, 5, 0)
    with pytest.raises(RunnerError):
        read_answer(b'{"done": true}', "repeat", parse_repeat_report)


def test_budgets_that_nothing_was_checked_against() -> None:
    both = Budgets(p95_ms=20.0, peak_rss_bytes=1)
    assert unchecked_budgets(Budgets(), "qemu-user cortex-a72") == ()
    reasons = {emulator: unchecked_budgets(both, emulator) for emulator in ("", "qemu-user x", "qemu-system x")}
    assert all([entry.budget for entry in found] == ["p95_ms", "peak_rss_bytes"] for found in reasons.values())
    time, memory = reasons["qemu-system x"]
    assert "milliseconds" in time.reason
    assert memory == UncheckedBudget("peak_rss_bytes", reasons[""][1].reason)
    assert "the emulator's" in reasons["qemu-user x"][1].reason
