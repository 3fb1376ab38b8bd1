# SPDX-License-Identifier: Apache-2.0
"""Milliseconds and instructions never mix: which device measures what, and what becomes of counts."""

from __future__ import annotations

import pytest
from edgectl.lab.comparison import check_unit, compare
from edgectl.lab.device_values import DeviceInfo, InstructionCount, InstructionResult
from edgectl.lab.protocol import COUNTED, STANDARD, InstructionProtocol
from edgectl.lab.results import counted_measurement
from edgectl.lab.runner_choice import RunnerChoice
from edgectl.lab.units import Unit, choose_unit, protocol_for
from edgectl_protos.errors import RunnerError, UsageError

REAL, RUNNER, MACHINE = "", "qemu-user cortex-a72", "qemu-system cortex-a72"
PROTOCOL = InstructionProtocol("counted", counts=2, short_runs=2, long_runs=4)


def info(emulator: str) -> DeviceInfo:
    return DeviceInfo(
        name="board",
        agent_version="0",
        boot_id="b",
        architecture="aarch64",
        runtime="executorch 1.5.1",
        delegates=(),
        capabilities=(),
        kernel="Linux",
        cpu_model="",
        cpu_features=(),
        cpu_count=4,
        memory_bytes=1,
        models=(),
        agent_pss_bytes=None,
        emulator=emulator,
        core="cortex-a72",
    )


def result(*counts: tuple[int, int]) -> InstructionResult:
    return InstructionResult(
        counts=tuple(InstructionCount(index, *count) for index, count in enumerate(counts)),
        program_bytes=1_000,
        planned_bytes=2_000,
        threads=1,
        evidence={"bundle_digest": "a" * 64},
        dropped_counts=0,
        undelegated=(),
    )


@pytest.mark.parametrize(("emulator", "unit"), [(REAL, "ms"), (RUNNER, "insn")])
def test_a_device_measures_in_its_own_unit(emulator: str, unit: Unit) -> None:
    assert choose_unit(info(emulator), None) == unit
    assert choose_unit(info(emulator), unit) == unit


@pytest.mark.parametrize(
    ("emulator", "wanted", "said"),
    [
        (REAL, "insn", "no emulated board"),
        (RUNNER, "ms", "an emulator's milliseconds say nothing"),
        (MACHINE, "ms", "neither times nor instruction counts"),
        (MACHINE, "insn", "--on emulated-pi4 --unit insn"),
        (MACHINE, None, "neither times nor instruction counts"),
    ],
)
def test_another_unit_is_refused(emulator: str, wanted: Unit | None, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        choose_unit(info(emulator), wanted)


def test_a_protocol_of_times_is_refused_for_counts() -> None:
    assert protocol_for("insn", None, default="standard") is COUNTED
    assert protocol_for("ms", None, default="standard") is STANDARD
    with pytest.raises(UsageError, match="it says how programs are timed"):
        protocol_for("insn", "short", default="standard")


def test_counts_become_instructions_for_one_inference() -> None:
    measured = counted_measurement(result((300, 500), (300, 500)), info(RUNNER), PROTOCOL, RunnerChoice())
    assert (measured.unit, measured.samples, measured.p50, measured.quality) == ("insn", (100.0, 100.0), 100.0, "ok")
    document = measured.document()
    assert document["samples"] == [100, 100]
    assert isinstance(document["p50"], int)
    assert document["memory"] == {
        "program_bytes": 1_000,
        "planned_bytes": 2_000,
        "load_rss_bytes": None,
        "peak_rss_bytes": None,
    }
    assert (document["load_ms"], document["reference"], document["p50_interval"]) == (None, None, [100, 100])
    assert document["provenance"]["counts"] == [[300, 500], [300, 500]]
    assert document["provenance"]["device"]["emulator"] == RUNNER


def test_counts_that_differ_are_degraded_and_say_how_far() -> None:
    measured = counted_measurement(result((300, 500), (300, 503)), info(RUNNER), PROTOCOL, RunnerChoice())
    assert (measured.quality, measured.quality_reason) == (
        "degraded",
        "the counts are not alike: 100.0 to 101.5 instructions",
    )
    assert measured.document()["samples"] == [100, 101.5]


@pytest.mark.parametrize("counts", [[], [(300, 500)], [(300, 300), (300, 500)], [(300, 200), (300, 500)], [(0, 9)] * 2])
def test_counts_that_no_program_has_are_refused(counts: list[tuple[int, int]]) -> None:
    with pytest.raises(RunnerError):
        counted_measurement(result(*counts), info(RUNNER), PROTOCOL, RunnerChoice())


@pytest.mark.parametrize(
    "figures", [{"counts": 0}, {"short_runs": 0}, {"long_runs": 2}, {"long_runs": 1_000_000}, {"counts": 1_000}]
)
def test_a_protocol_that_counts_nothing_is_refused(figures: dict[str, int]) -> None:
    with pytest.raises(UsageError):
        InstructionProtocol(**({"name": "x", "counts": 2, "short_runs": 2, "long_runs": 4} | figures))  # type: ignore[arg-type]


def test_times_and_counts_have_no_ratio() -> None:
    counted = counted_measurement(result((300, 500), (300, 500)), info(RUNNER), PROTOCOL, RunnerChoice()).document()
    with pytest.raises(UsageError, match="'ms'; expected one in 'insn'"):
        compare(counted, counted | {"unit": "ms"})
    with pytest.raises(UsageError, match="same unit"):
        check_unit("ms", counted)
    assert compare(counted, counted).ratio == 1.0
