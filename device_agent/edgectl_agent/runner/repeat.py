# SPDX-License-Identifier: Apache-2.0
"""An `edge-runner repeat` process under a counter of instructions: what its thread executed between two marks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgectl_protos.errors import RunnerError

from edgectl_agent.runner.answers import read_answer
from edgectl_agent.runner.command import RunnerCommand
from edgectl_agent.runner.options import RunnerOptions
from edgectl_agent.runner.outcome import runner_failure
from edgectl_agent.runner.process import run_once, tied_to_agent

_SECONDS = 3600.0
_PID_DIGITS = 10
_MARKS = 3
"""Lines that `repeat` prints: before the first run, after the last, and its report."""


@dataclass(frozen=True, slots=True)
class RepeatReport:
    """What the process says at its end; bytes of the program's file and of its planned arenas."""

    threads: int
    program_bytes: int
    planned_bytes: int


@dataclass(frozen=True, slots=True)
class CountedRuns:
    """Instructions between the line before the first run and the line after the last, and the process's report."""

    instructions: int
    report: RepeatReport


async def count_runs(
    command: RunnerCommand, program: Path, options: RunnerOptions, *, runs: int, counts: Path
) -> CountedRuns:
    """Execute the program `runs` times in a fresh process whose `command` writes its counts to the new file `counts`.

    The words it is given are as long whoever starts it: they lie on its stack, and shift what lies beside them.

    Raises:
        EdgectlError: the process crashed or failed, or the counts are not those of such a process.
    """
    arguments = ["repeat", str(program), "--json", "--runs", str(runs), *options.arguments()]
    arguments += tied_to_agent(digits=_PID_DIGITS)
    returncode, answer, stderr = await run_once(command, *arguments, seconds=_SECONDS)
    if returncode != 0:
        raise runner_failure(returncode, stderr)
    report = read_answer(answer, "repeat", parse_repeat_report)
    return CountedRuns(between_marks(_content(counts)), report)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def parse_repeat_report(document: Any) -> RepeatReport:
    """The report in the last line that `edge-runner repeat` prints."""
    return RepeatReport(
        threads=int(document["threads"]),
        program_bytes=int(document["program_bytes"]),
        planned_bytes=int(document["planned_bytes"]),
    )


def between_marks(counts: bytes) -> int:
    """The growth from the first count to the second, of the three that the plugin writes.

    Raises:
        RunnerError: there are not three numbers, or they do not grow.
    """
    lines = counts.split()
    if len(lines) != _MARKS or not all(line.isdigit() for line in lines):
        raise RunnerError(
            f"the instruction counter wrote {counts[:80]!r}",
            expected="three counts",
            action="build the plugin again: make insn",
        )
    first, second, _ = (int(line) for line in lines)
    if second <= first:
        raise RunnerError(f"{second - first} instructions counted", expected="some", action="build the plugin again")
    return second - first
