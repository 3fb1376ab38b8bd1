# SPDX-License-Identifier: Apache-2.0
"""A part of the conformance set: the boards' runner under qemu-user answers as eager torch and this machine's do."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from edgectl.config import Paths

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
SUBSET = {
    "conv3x3_relu6": ("fp32", "int8"),
    "depthwise3x3": ("int8",),
    "average2x2": ("int8",),
    "linear_tokens": ("fp32", "int8_dynamic", "8da4w"),
    "batched_matmul": ("fp32",),
    "softmax": ("fp32",),
    "hardswish": ("fp32",),
    "concatenate": ("int8",),
    "cumulative_sum": ("fp32",),
    "bilinear": ("fp32",),
    "embedding": ("fp32",),
}


@pytest.fixture(scope="module")
def _set_importable() -> Iterator[None]:
    sys.path.insert(0, str(BENCHMARKS))
    yield
    sys.path.remove(str(BENCHMARKS))


@pytest.fixture(scope="module")
def programs(_set_importable: None, program_directory: Path) -> Any:
    from conformance_set.assets import assets

    return assets(program_directory / "conformance", lambda case, _family, made: made in SUBSET.get(case, ()))


@pytest.fixture(scope="module")
def findings(programs: Any, tmp_path_factory: pytest.TempPathFactory, board_wheel: Path) -> Any:
    from conformance import findings_of
    from conformance_set.places import Runner, emulated_runners

    folder = tmp_path_factory.mktemp("home")
    paths = Paths(folder / "config", folder / "state", folder / "cache")
    environ = dict(os.environ) | {"EDGECTL_BOARD_WHEEL": str(board_wheel)}
    emulated = emulated_runners(paths, environ, wanted=lambda core: core != "cortex-a53")
    native = Runner(platform.machine(), [str(Path(sys.prefix, "bin", "edge-runner"))])
    return findings_of(programs, native, emulated)


def test_every_program_of_the_part_ran_on_this_machine_and_on_both_processors(programs: Any, findings: Any) -> None:
    assert len(programs) == sum(map(len, SUBSET.values()))
    assert {finding.place for finding in findings} == {platform.machine(), "cortex-a72", "cortex-a76"}
    assert len(findings) == 3 * len(programs)
    assert [finding.failure for finding in findings if finding.failure] == []


def test_every_answer_is_within_tolerance(findings: Any) -> None:
    assert [finding.document() for finding in findings if not finding.within] == []


def test_program_that_cannot_run_is_a_finding_with_its_reason(programs: Any, tmp_path: Path) -> None:
    from dataclasses import replace

    from conformance import findings_of
    from conformance_set.places import Runner

    damaged = replace(programs[0], program=tmp_path / "damaged.pte")
    damaged.program.write_bytes(b"no program")
    native = Runner("here", [str(Path(sys.prefix, "bin", "edge-runner"))])
    (finding,) = findings_of((damaged,), native, [])
    assert "damaged.pte" in finding.failure
    assert not finding.within
