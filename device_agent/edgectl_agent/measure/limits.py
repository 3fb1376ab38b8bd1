# SPDX-License-Identifier: Apache-2.0
"""What an emulated board is not asked: durations, and fences that would hold the emulator instead of the program."""

from __future__ import annotations

from edgectl_protos.errors import UsageError

from edgectl_agent.runner.options import RunnerOptions

_COUNT_INSTEAD = "measure on a real board, or count instructions: --on emulated-pi4 --unit insn"


def check_tells_time(emulator: str, what: str) -> None:
    """Refuse `what`, which takes the time of a program, where the board is emulated.

    Raises:
        UsageError: it is.
    """
    if emulator:
        raise UsageError(
            f"{what} on a board that {emulator} emulates",
            expected="a real board: an emulator's milliseconds say nothing of it",
            action=_COUNT_INSTEAD,
        )


def counting_options(options: RunnerOptions) -> RunnerOptions:
    """How a runner is started whose instructions are counted: at one thread, and nothing else chosen.

    Raises:
        UsageError: something else was chosen.
    """
    if options.threads > 1:
        raise UsageError(
            f"instructions counted at {options.threads} threads",
            expected="1: with more, their waiting for each other is counted too, and no two counts are alike",
            action="leave --threads out",
        )
    for chosen, flag, reason in (
        (options.cpus, "--cpus", "the emulator runs on the host's processors"),
        (options.nice, "--priority", "it changes when instructions run, not how many"),
        (options.memory_limit_bytes, "--memory-limit", "it would limit the emulator; a whole emulated machine has one"),
    ):
        if chosen:
            raise UsageError(f"{flag} on an emulated board", expected=f"none: {reason}", action=f"leave {flag} out")
    return RunnerOptions(threads=1)
