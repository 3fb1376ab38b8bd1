# SPDX-License-Identifier: Apache-2.0
"""Two measurements against each other: the ratio of their medians, and what else than the program differs. Pure.

Both are taken as the JSON that `edgectl bench` writes, so that one may be a file of last month.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgectl_protos.errors import UsageError

from edgectl.lab.circumstances import found_at, in_words, is_shallow

_MAX_BYTES = 256 << 20
_MOST_FIGURE = 1e15

_CIRCUMSTANCES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("the unit", ("unit",)),
    ("the device", ("device",)),
    ("the processor", ("provenance", "device", "cpu_model")),
    ("the emulator", ("provenance", "device", "emulator")),
    ("the architecture", ("provenance", "device", "architecture")),
    ("the runtime", ("provenance", "device", "runtime")),
    ("the kernel", ("provenance", "device", "kernel")),
    ("edgectl", ("provenance", "host_version")),
    ("the agent", ("provenance", "device", "agent_version")),
    ("the protocol", ("provenance", "protocol")),
    ("the number of threads", ("provenance", "threads")),
    ("the processors it ran on", ("provenance", "cpus")),
    ("how the runner was started", ("provenance", "runner")),
    ("the governor", ("provenance", "evidence", "governor.before")),
    ("the reference model", ("reference", "digest")),
    ("operators outside the delegate", ("provenance", "undelegated")),
)


@dataclass(frozen=True, slots=True)
class Comparison:
    """`ratio` is this p50 over the earlier one's; `relative` the same of their ratios to the reference model.

    `distinct` says that the intervals of the medians do not overlap. `warnings` name the circumstances that differ.
    """

    ratio: float
    relative: float | None
    distinct: bool
    warnings: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "ratio": self.ratio,
            "relative": self.relative,
            "distinct": self.distinct,
            "warnings": list(self.warnings),
        }


def compare(current: Mapping[str, Any], earlier: Mapping[str, Any]) -> Comparison:
    """The current measurement over the earlier one.

    Raises:
        UsageError: their units differ: such figures have no ratio.
    """
    check_unit(current["unit"], earlier)
    relative = None
    now, before = current["reference"], earlier["reference"]
    if now and before and now["digest"] == before["digest"]:
        relative = now["ratio"] / before["ratio"]
    (low, high), (before_low, before_high) = current["p50_interval"], earlier["p50_interval"]
    return Comparison(
        ratio=current["p50"] / earlier["p50"],
        relative=relative,
        distinct=high < before_low or before_high < low,
        warnings=(*circumstances_that_differ(current, earlier), *_degraded(current, earlier)),
    )


def check_unit(unit: str, earlier: Mapping[str, Any]) -> None:
    """Raises `UsageError` where the earlier measurement is in another unit: milliseconds and instructions never mix."""
    if unit != earlier["unit"]:
        raise UsageError(
            f"a measurement in {in_words(earlier['unit'])!r}",
            expected=f"one in {unit!r}",
            action="measure both in the same unit",
        )


def circumstances_that_differ(current: Mapping[str, Any], earlier: Mapping[str, Any]) -> tuple[str, ...]:
    """What two figures depend on and do not share, one line each."""
    lines = []
    for what, path in _CIRCUMSTANCES:
        now, before = found_at(current, path), found_at(earlier, path)
        if now != before:
            lines.append(f"{what} differs: {in_words(now)} now, {in_words(before)} before")
    return tuple(lines)


def read_measurement(path: Path) -> dict[str, Any]:
    """A measurement that `edgectl bench -o json` wrote.

    Raises:
        UsageError: the file cannot be read, or holds something else.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(
            f"{path}: {error.strerror}", expected="the JSON of an earlier `edgectl bench`", action="correct the path"
        ) from error
    if len(data) > _MAX_BYTES:
        raise _no_measurement(path, f"more than {_MAX_BYTES} bytes")
    try:
        document: Any = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _no_measurement(path, "no JSON") from error
    if not _is_measurement(document):
        raise _no_measurement(path, "JSON of something else")
    return dict(document)


def _is_measurement(document: Any) -> bool:
    try:
        low, high = document["p50_interval"]
        figures = [document["p50"], low, high]
        reference = document["reference"]
        if reference is not None:
            figures.append(reference["ratio"])
            str(reference["digest"])
        named = isinstance(document["unit"], str) and isinstance(document["provenance"], dict) and is_shallow(document)
        return named and all(_positive(figure) for figure in figures) and "quality" in document
    except (KeyError, TypeError, ValueError):
        return False


def _positive(figure: Any) -> bool:
    return isinstance(figure, int | float) and 0 < figure < _MOST_FIGURE


def _no_measurement(path: Path, seen: str) -> UsageError:
    return UsageError(
        f"{path} holds {seen}",
        expected="what `edgectl bench -o json` writes",
        action="save one with: edgectl bench MODEL --on DEVICE -o json > FILE",
    )


def _degraded(current: Mapping[str, Any], earlier: Mapping[str, Any]) -> list[str]:
    named = (("this", current), ("the earlier", earlier))
    return [f"{which} measurement is degraded" for which, one in named if one["quality"] != "ok"]
