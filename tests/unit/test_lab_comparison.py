# SPDX-License-Identifier: Apache-2.0
"""Two measurements against each other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from edgectl.lab.comparison import compare, read_measurement
from edgectl_protos.errors import UsageError


def _document(p50: float = 1.0, *, width: float = 0.01, **changes: Any) -> dict[str, Any]:
    return {
        "unit": "ms",
        "p50": p50,
        "p50_interval": [p50 - width, p50 + width],
        "reference": {"p50": 0.5, "ratio": p50 / 0.5, "digest": "r"},
        "quality": "ok",
        "device": "pi4",
        "provenance": {"device": {"cpu_model": "A72", "runtime": "executorch 1.5.1"}, "threads": 1},
    } | changes


def test_measurements_of_one_kind_are_compared_without_a_warning() -> None:
    found = compare(_document(2.0), _document(1.0))
    assert (found.ratio, found.relative, found.distinct, found.warnings) == (2.0, 2.0, True, ())


def test_overlapping_intervals_are_no_difference() -> None:
    assert not compare(_document(1.005), _document(1.0)).distinct


@pytest.mark.parametrize(
    ("provenance", "named"),
    [
        ({"device": {"cpu_model": "A76", "runtime": "executorch 1.5.1"}, "threads": 1}, "the processor differs"),
        ({"device": {"cpu_model": "A72", "runtime": "executorch 1.4.0"}, "threads": 1}, "the runtime differs"),
        (
            {"device": {"cpu_model": "A72", "runtime": "executorch 1.5.1"}, "threads": 4},
            "the number of threads differs",
        ),
        (
            {
                "device": {"cpu_model": "A72", "runtime": "executorch 1.5.1"},
                "threads": 1,
                "evidence": {"governor.before": "powersave"},
            },
            "the governor differs",
        ),
    ],
)
def test_a_provenance_that_differs_is_a_warning_with_both_sides(provenance: dict[str, Any], named: str) -> None:
    (warning,) = compare(_document(), _document(provenance=provenance)).warnings
    assert warning.startswith(named)
    assert " now, " in warning


def test_what_a_file_says_cannot_steer_the_terminal() -> None:
    warning, *_ = compare(_document(), _document(device="\x9b2J\u202e")).warnings
    assert warning.startswith("the device differs: pi4 now, ")
    assert warning.isprintable()


def test_ratios_to_different_reference_models_are_not_set_against_each_other() -> None:
    found = compare(_document(), _document(reference={"p50": 1.0, "ratio": 1.0, "digest": "other"}))
    assert found.relative is None
    assert any(warning.startswith("the reference model differs") for warning in found.warnings)


def test_a_degraded_side_is_said() -> None:
    warnings = compare(_document(quality="degraded"), _document()).warnings
    assert warnings == ("this measurement is degraded",)


def test_another_unit_has_no_ratio() -> None:
    with pytest.raises(UsageError, match="in 'insn'; expected one in 'ms'"):
        compare(_document(), _document(unit="insn"))


def test_a_saved_measurement_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "earlier.json"
    path.write_text(json.dumps(_document()))
    assert read_measurement(path) == _document()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"unit": "ms", "p50": 1}',
        json.dumps(_document(p50_interval=[1])).encode(),
        json.dumps(_document() | {"p50": -1.0}).encode(),
        json.dumps(_document() | {"p50": 10**400}).encode(),
        json.dumps(_document(device=[[[[[[[0]]]]]]])).encode(),
        json.dumps(_document() | {"p50": "1"}).encode(),
        json.dumps(_document(reference={})).encode(),
        json.dumps(_document(provenance=3)).encode(),
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "earlier.json"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"holds .*expected what `edgectl bench -o json` writes"):
        read_measurement(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.json: No such file"):
        read_measurement(tmp_path / "none.json")
