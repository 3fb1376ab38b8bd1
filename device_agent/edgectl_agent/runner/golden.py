# SPDX-License-Identifier: Apache-2.0
"""The gate before activation: the bundle's golden inputs must give its golden outputs on this very device."""

from __future__ import annotations

import json
import math

from edgectl_protos.errors import DeadlineError, EdgectlError, GateError
from edgectl_protos.manifest import GoldenCase, Tolerance

from edgectl_agent.runner.command import RunnerCommand
from edgectl_agent.runner.outcome import MISMATCH, describe_exit
from edgectl_agent.runner.process import run_once, tied_to_agent
from edgectl_agent.store.slots import Slot

_CASE_SECONDS = 60.0


async def check_golden(runner: RunnerCommand, slot: Slot) -> float:
    """Run every golden case in a fresh process; the largest absolute error seen.

    Raises:
        GateError: there is no case, an output lies outside the tolerance, or the program failed or hung.
    """
    manifest = slot.manifest
    if not manifest.golden:
        raise GateError(
            f"{manifest.name} {manifest.version} carries no golden case",
            expected="at least one",
            action="build the bundle again with edgectl",
        )
    errors = [
        await _check_case(runner, slot, case, manifest.tolerance, index=index)
        for index, case in enumerate(manifest.golden)
    ]
    return max(errors)


async def _check_case(
    runner: RunnerCommand, slot: Slot, case: GoldenCase, tolerance: Tolerance, *, index: int
) -> float:
    what = f"golden check of {slot.manifest.name} {slot.manifest.version}"
    arguments = ["run", str(slot.program), "--json", *tied_to_agent()]
    for option, paths in (("--input", case.inputs), ("--expect", case.outputs)):
        if paths:
            arguments += [option, *(str(slot.directory / path) for path in paths)]
    arguments += ["--atol", repr(tolerance.absolute), "--rtol", repr(tolerance.relative)]
    try:
        returncode, answer, stderr = await run_once(runner, *arguments, seconds=_CASE_SECONDS)
    except DeadlineError as error:
        raise GateError(f"{what}: {error.seen}", expected=error.expected) from error
    except EdgectlError as error:
        raise GateError(f"{what}: {error.message}") from error
    if returncode == MISMATCH:
        outputs = "output 0 is" if len(case.outputs) == 1 else f"the {len(case.outputs)} outputs are"
        raise GateError(
            f"{what}, case {index}: {outputs} {_distance(answer, what)}",
            expected=f"at most {tolerance.absolute:g} + {tolerance.relative:g} * |golden value|",
            action="build the bundle again from the model for this device",
        )
    if returncode != 0:
        raise GateError(f"{what}: edge-runner {describe_exit(returncode, stderr)}")
    return _max_error(answer, what)


def _distance(answer: bytes, what: str) -> str:
    """How far off the outputs are; the runner writes null for an error that is not finite."""
    try:
        report = json.loads(answer)
        elements, error = int(report["mismatched"]), report["max_abs_error"]
        by = "without bound (NaN or infinite)" if error is None else f"by up to {float(error):.3g}"
    except (ValueError, KeyError, TypeError) as problem:
        raise GateError(f"{what}: edge-runner answered {answer[:80]!r}", expected="its JSON report") from problem
    return f"off {by} in {elements} element{'s' if elements != 1 else ''}"


def _max_error(answer: bytes, what: str) -> float:
    try:
        error = float(json.loads(answer)["max_abs_error"])
    except (ValueError, KeyError, TypeError) as problem:
        raise GateError(f"{what}: edge-runner answered {answer[:80]!r}", expected="its JSON report") from problem
    if not math.isfinite(error):
        raise GateError(f"{what}: the largest error is {error}", expected="a finite number")
    return error
