# SPDX-License-Identifier: Apache-2.0
"""Times each operator of a program in an `edge-runner profile` process of its own, never in a timed one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgectl_agent.runner.answers import read_answer
from edgectl_agent.runner.command import RunnerCommand
from edgectl_agent.runner.options import RunnerOptions
from edgectl_agent.runner.outcome import runner_failure
from edgectl_agent.runner.process import run_once, tied_to_agent

_BOOKKEEPING = "executorch_prim::"


@dataclass(frozen=True, slots=True)
class ProfiledOperator:
    """An operator inside a delegate; the median over the runs in microseconds."""

    name: str
    p50_us: float


@dataclass(frozen=True, slots=True)
class ProfiledCall:
    """One call of the program's chain, in its order: a "delegate" with its operators, or a "kernel"."""

    index: int
    kind: str
    name: str
    p50_us: float
    operators: tuple[ProfiledOperator, ...]


@dataclass(frozen=True, slots=True)
class Profile:
    """A program's calls; `execute_p50_us` is the whole run with the tracer at work."""

    runs: int
    threads: int
    execute_p50_us: float
    calls: tuple[ProfiledCall, ...]

    def undelegated(self) -> tuple[tuple[str, float], ...]:
        """Kernels that ran outside a delegate, by name, with their share (0 to 1) of the time; the largest first."""
        total = sum(call.p50_us for call in self.calls)
        shares: dict[str, float] = {}
        for call in self.calls:
            if call.kind == "kernel" and not call.name.startswith(_BOOKKEEPING):
                shares[call.name] = shares.get(call.name, 0.0) + (call.p50_us / total if total else 0.0)
        return tuple(sorted(shares.items(), key=lambda entry: (-entry[1], entry[0])))


async def profile(
    runner: RunnerCommand,
    program: Path,
    options: RunnerOptions,
    *,
    runs: int,
    warmup_runs: int,
    seconds: float,
    etdump: Path | None = None,
) -> Profile:
    """The operators of `program`; an ETDump file of the same runs is written to `etdump`.

    Raises:
        EdgectlError: the process failed, or took longer than `seconds`.
    """
    arguments = ["profile", str(program), "--json", "--runs", str(runs), "--warmup-runs", str(warmup_runs)]
    if etdump is not None:
        arguments += ["--etdump", str(etdump)]
    arguments += [*options.arguments(), *tied_to_agent()]
    returncode, answer, stderr = await run_once(runner, *arguments, seconds=seconds)
    if returncode != 0:
        raise runner_failure(returncode, stderr)
    return read_answer(answer, "profile", parse_profile)


def parse_profile(document: Any) -> Profile:
    """The profile in what `edge-runner profile --json` prints."""
    return Profile(
        runs=int(document["runs"]),
        threads=int(document["threads"]),
        execute_p50_us=float(document["execute"]["p50"]),
        calls=tuple(
            ProfiledCall(
                index=int(call["index"]),
                kind=str(call["kind"]),
                name=str(call["name"]),
                p50_us=float(call["p50"]),
                operators=tuple(ProfiledOperator(str(one["name"]), float(one["p50"])) for one in call["operators"]),
            )
            for call in document["calls"]
        ),
    )
