# SPDX-License-Identifier: Apache-2.0
"""Instructions for one inference on an emulated board, by the difference of two run lengths, as often as is asked.

    delegation check -> (short process, long process) -> (short process, long process) -> ...

What loading, the first runs and the marks themselves cost is in both lengths, and goes away with the difference.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edgectl_protos.errors import UsageError

from edgectl_agent.measure.session import check_delegation
from edgectl_agent.runner.command import RunnerCommand
from edgectl_agent.runner.options import RunnerOptions
from edgectl_agent.runner.repeat import CountedRuns, RepeatReport

MOST_COUNTS = 100
MOST_RUNS = 100_000


class RunCounter(Protocol):
    """Counts the instructions of a number of runs in a fresh process; `version` is the emulator's own word."""

    @property
    def version(self) -> str: ...

    async def count(self, program: Path, options: RunnerOptions, *, runs: int) -> CountedRuns: ...


@dataclass(frozen=True, slots=True)
class InstructionProtocol:
    """`counts` differences of a process of `long_runs` and one of `short_runs`; the limit is for all of it, in seconds.

    `time_limit_seconds` 0 leaves it to the agent.
    """

    name: str
    counts: int
    short_runs: int
    long_runs: int
    time_limit_seconds: float = 0.0

    def __post_init__(self) -> None:
        for what, value, lowest, highest in (
            ("counts", self.counts, 1, MOST_COUNTS),
            ("short_runs", self.short_runs, 1, MOST_RUNS - 1),
            ("long_runs", self.long_runs, self.short_runs + 1, MOST_RUNS),
            ("time_limit_seconds", self.time_limit_seconds, 0, 7200),
        ):
            if not lowest <= value <= highest:
                raise UsageError(
                    f"{what} {value:g}", expected=f"{lowest} to {highest}", action="ask for another protocol"
                )


@dataclass(frozen=True, slots=True)
class InstructionCount:
    """What the program's thread executed in the process of each length."""

    index: int
    short_instructions: int
    long_instructions: int


@dataclass(frozen=True, slots=True)
class Counted:
    """Every count, what the processes said of themselves, and the operators outside a delegate."""

    counts: tuple[InstructionCount, ...]
    report: RepeatReport
    undelegated: tuple[str, ...]


async def count_instructions(
    counter: RunCounter,
    checking: RunnerCommand,
    program: Path,
    protocol: InstructionProtocol,
    options: RunnerOptions,
    *,
    on_count: Callable[[InstructionCount], None],
    allow_undelegated: bool,
) -> Counted:
    """Count; `checking` runs the program to see what is outside its delegate. `on_count` neither waits nor raises.

    Raises:
        UndelegatedError: operators run outside a delegate, and that is not allowed.
        EdgectlError: a process crashed or failed, or counted nothing.
    """
    undelegated = await check_delegation(checking, program, options, allow=allow_undelegated, shares=False)
    counts: list[InstructionCount] = []
    for index in range(protocol.counts):
        short = await counter.count(program, options, runs=protocol.short_runs)
        long = await counter.count(program, options, runs=protocol.long_runs)
        counts.append(InstructionCount(index, short.instructions, long.instructions))
        on_count(counts[-1])
    return Counted(tuple(counts), long.report, undelegated)
