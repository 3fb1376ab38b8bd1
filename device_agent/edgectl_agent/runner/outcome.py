# SPDX-License-Identifier: Apache-2.0
"""What a runner's exit means; docs/runner-exit-codes.md has the codes."""

from __future__ import annotations

import signal

from edgectl_protos.errors import BundleError, EdgectlError, InputError, RunnerError, UsageError

USAGE = 2
MISMATCH = 14
OUT_OF_MEMORY = 16

_NAMES = {
    USAGE: "usage",
    10: "bad_program",
    11: "bad_input",
    12: "missing_kernel",
    13: "execution_failed",
    MISMATCH: "mismatch",
    15: "io",
    OUT_OF_MEMORY: "out_of_memory",
}
_MAX_LINE = 500


def describe_exit(returncode: int, stderr: str) -> str:
    """One line: the signal that ended it, or the code's name and the runner's own last line."""
    if returncode < 0:
        try:
            return f"crashed: {signal.Signals(-returncode).name}"
        except ValueError:
            return f"crashed: signal {-returncode}"
    name = _NAMES.get(returncode, "unknown")
    return f"exit {returncode} ({name}): {_last_line(name, stderr)}"


def runner_failure(returncode: int, stderr: str) -> EdgectlError:
    """The error for a runner that did not end with 0."""
    if returncode == OUT_OF_MEMORY:
        told = _last_line(_NAMES[OUT_OF_MEMORY], stderr).partition("; ")[0]
        return RunnerError(told, expected="to stay within the memory limit", action="raise it, or use a smaller model")
    seen = f"edge-runner {describe_exit(returncode, stderr)}"
    if returncode == USAGE:
        return UsageError(_last_line(_NAMES[USAGE], stderr))
    if returncode == 10:
        return BundleError(seen, expected="a program this runner can load", action="build the bundle again")
    if returncode == 11:
        return InputError(seen, expected="tensors that fit the program")
    return RunnerError(seen, expected="exit 0", action="see docs/runner-exit-codes.md")


def _last_line(name: str, stderr: str) -> str:
    lines = [line for line in stderr.splitlines() if line.strip()]
    return lines[-1].removeprefix("edge-runner: ").removeprefix(f"{name}: ")[:_MAX_LINE] if lines else "no message"
