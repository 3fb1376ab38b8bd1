# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import NoReturn

import pytest
from edgectl.cli.checks import Machine, pinned_versions, run_checks
from edgectl.cli.emulation_checks import EmulatingMachine
from edgectl.cli.findings import Check, Outcome
from edgectl.emulate.user_mode import EmulationTools
from edgectl_protos.errors import StateError

REQUIREMENTS = ('torch==2.13.0; extra == "compile"', 'executorch==1.5.1; extra == "compile"',
                'torchao==0.18.0; extra == "compile"', "click>=8.1", 'amqtt==0.12.*; extra == "demo"')  # fmt: skip
VERSIONS = {
    "edgectl": "0.1.0",
    "edgectl-agent": "0.1.4",
    "torch": "2.13.0+cpu",
    "torchao": "0.18.0",
    "executorch": "1.5.1",
    "optuna": "5.0.0",
    "matplotlib": "3.11.2",
    "scikit-learn": "1.9.1",
    "amqtt": "0.12.1",
    "jinja2": "3.1.6",
}
RUNNER = '{"runtime": "executorch 1.5.1", "architecture": "x86_64", "start_rss_bytes": 5000000}'

TOOLS = EmulationTools(Path("/usr/bin/qemu-aarch64"), Path("/usr/aarch64-linux-gnu/lib"), Path("/venv/insn.so"))
EMULATING = EmulatingMachine(
    tools=lambda: TOOLS, plugin_refusal=lambda _tools: "", board_wheel=lambda: Path("/dist/agent.whl")
)

COMPLETE = Machine(
    python=(3, 12),
    architecture="aarch64",
    version_of=VERSIONS.get,
    requirements=REQUIREMENTS,
    find_program=lambda name: Path("/usr/bin") / name,
    output_of=lambda _program, _arguments: RUNNER,
    emulation=EMULATING,
)


def _absent() -> NoReturn:
    raise StateError("not here", expected="it", action="run: sudo apt-get install it")


BARE_EMULATION = EmulatingMachine(tools=_absent, plugin_refusal=lambda _tools: "", board_wheel=_absent)


def _check(machine: Machine, name: str) -> Check:
    return next(check for check in run_checks(machine) if check.name == name)


def _with_versions(**changes: str | None) -> Machine:
    versions = VERSIONS | {name.replace("_", "-"): version for name, version in changes.items()}
    return dataclasses.replace(COMPLETE, version_of=versions.get)


def _with_runner(answer: str | None) -> Machine:
    return dataclasses.replace(COMPLETE, output_of=lambda _program, _arguments: answer)


def test_complete_machine_is_ok_throughout() -> None:
    assert {check.outcome for check in run_checks(COMPLETE)} == {Outcome.OK}


def test_bare_machine_is_told_how_to_fix_each_absence() -> None:
    bare = dataclasses.replace(COMPLETE, version_of=lambda _name: None, find_program=lambda _name: None)
    bare = dataclasses.replace(bare, emulation=BARE_EMULATION)
    checks = [check for check in run_checks(bare) if check.name != "Python"]
    assert {check.outcome for check in checks} == {Outcome.ABSENT}
    assert all(check.fix for check in checks)


def test_missing_torch_names_the_extra() -> None:
    check = _check(_with_versions(torch=None), "torch")
    assert (check.outcome, check.fix) == (Outcome.ABSENT, "pip install 'edgectl[compile]'")


def test_other_torch_than_the_pinned_is_wrong() -> None:
    check = _check(_with_versions(torch="2.14.0+cpu"), "torch")
    assert (check.outcome, check.seen) == (Outcome.WRONG, "2.14.0+cpu, not 2.13.0")
    assert check.fix == "pip install 'torch==2.13.0'"


@pytest.mark.parametrize(
    ("version", "seen"),
    [("2.13.0+cpu", "(CPU build)"), ("2.13.0+cu128", "(cu128 build)"), ("2.13.0", "(build not stated)")],
)
def test_build_of_torch_is_named(version: str, seen: str) -> None:
    check = _check(_with_versions(torch=version), "torch")
    assert check.outcome is Outcome.OK
    assert check.seen.endswith(seen)


@pytest.mark.parametrize("python", [(3, 10), (3, 14)])
def test_python_out_of_range_is_wrong(python: tuple[int, int]) -> None:
    assert _check(dataclasses.replace(COMPLETE, python=python), "Python").outcome is Outcome.WRONG


def test_agent_of_another_minor_version_is_wrong() -> None:
    assert _check(_with_versions(edgectl_agent="0.2.0"), "edge-agent").outcome is Outcome.WRONG


@pytest.mark.parametrize("answer", [None, "", "not json", "[]", "{}", '{"runtime": "executorch 1.5.1"}'])
def test_runner_that_does_not_answer_is_wrong(answer: str | None) -> None:
    check = _check(_with_runner(answer), "edge-runner")
    assert check.outcome is Outcome.WRONG
    assert "does not run" in check.seen


def test_runner_of_another_runtime_is_wrong() -> None:
    check = _check(_with_runner(RUNNER.replace("1.5.1", "1.6.0")), "edge-runner")
    assert (check.outcome, check.fix) == (Outcome.WRONG, "build it against executorch 1.5.1")


def test_runner_over_its_resident_budget_is_wrong() -> None:
    assert _check(_with_runner(RUNNER.replace("5000000", "9000000")), "edge-runner").outcome is Outcome.WRONG


def test_an_emulator_that_is_missing_is_named_with_its_package() -> None:
    check = _check(dataclasses.replace(COMPLETE, emulation=BARE_EMULATION), "qemu-aarch64")
    assert (check.seen, check.fix) == ("not here: no emulated-pi4", "sudo apt-get install it")


@pytest.mark.parametrize(
    ("emulation", "said", "fix"),
    [
        (
            dataclasses.replace(EMULATING, plugin_refusal=lambda _tools: "unknown option 'plugin'"),
            "unknown option",
            "7.2",
        ),
        (
            dataclasses.replace(
                EMULATING, tools=lambda: dataclasses.replace(TOOLS, plugin=None, plugin_missing="not built")
            ),
            "not built",
            "make insn",
        ),
    ],
)
def test_an_emulator_that_counts_nothing_still_runs_programs(emulation: EmulatingMachine, said: str, fix: str) -> None:
    machine = dataclasses.replace(COMPLETE, emulation=emulation)
    assert _check(machine, "qemu-aarch64").outcome is Outcome.OK
    counter = _check(machine, "insn")
    assert counter.outcome is Outcome.ABSENT
    assert said in counter.seen
    assert fix in counter.fix


def test_only_exact_pins_count() -> None:
    assert pinned_versions(REQUIREMENTS) == {
        "torch": "2.13.0",
        "executorch": "1.5.1",
        "torchao": "0.18.0",
        "amqtt": "0.12.*",
    }
