# SPDX-License-Identifier: Apache-2.0
"""Starting an emulated board: the core that its runner recognises, and whether instructions can be counted."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from edgectl_protos.errors import EdgectlError, RunnerError
from edgectl_protos.metrics import Unavailable

from edgectl_agent.emulation.emulator import Emulator
from edgectl_agent.runner.command import RunnerCommand
from edgectl_agent.runner.options import RunnerOptions
from edgectl_agent.runner.process import run_once, running
from edgectl_agent.runner.repeat import CountedRuns, count_runs
from edgectl_agent.runner.runtime import RuntimeFacts, read_runtime_facts

_PROBE_SECONDS = 30.0
_COUNTS = "counts"
_RUNNER, _PROGRAM = Path("edge-runner"), Path("model.pte")


@dataclass(frozen=True, slots=True)
class InstructionCounter:
    """Counts what a program executes under the emulator; `version` is the emulator's own word."""

    emulator: Emulator
    runner: Path
    version: str

    async def count(self, program: Path, options: RunnerOptions, *, runs: int) -> CountedRuns:
        """Instructions of `runs` runs in a fresh process; raises as `count_runs`.

        Runner and program are called by names that are the same everywhere: the length of a path moves the stack and
        the heap, and with them what a copy of memory takes.
        """
        with tempfile.TemporaryDirectory(prefix="edge-agent-") as made:
            folder = Path(made)
            for name, path in ((_RUNNER, self.runner), (_PROGRAM, program)):
                (folder / name).symlink_to(path.absolute())
            command = self.emulator.counting_command(_RUNNER, folder / _COUNTS, folder=folder)
            return await count_runs(command, _PROGRAM, options, runs=runs, counts=folder / _COUNTS)


async def read_emulated_runtime(emulator: Emulator, runner: Path) -> RuntimeFacts:
    """What the runner says of itself on the emulated board.

    Raises:
        RunnerError: it does not run, or takes the processor for another one: it would choose another's kernels.
    """
    facts = await read_runtime_facts(emulator.command(runner))
    if facts.core != emulator.core:
        raise RunnerError(
            f"the runtime takes the emulated processor for {facts.core or 'none it knows'!r}",
            expected=f"{emulator.core!r}",
            action="check the sysroot's proc/cpuinfo and sys/devices/system/cpu, and the runner's version",
        )
    return facts


async def probe_counter(emulator: Emulator, runner: Path) -> InstructionCounter | Unavailable:
    """The counter, tried out; or why this machine's emulator counts nothing."""
    if not emulator.plugin:
        return Unavailable(emulator.plugin_missing or "no plugin was given")
    with tempfile.TemporaryDirectory(prefix="edge-agent-") as folder:
        counts = Path(folder) / _COUNTS
        try:
            status, _, stderr = await run_once(
                emulator.counting_command(runner, counts), "info", "--json", seconds=_PROBE_SECONDS
            )
        except EdgectlError as error:
            return Unavailable(error.message)
        if status != 0 or not counts.is_file() or not counts.read_bytes().strip().isdigit():
            return Unavailable(_refusal(stderr, status))
    return InstructionCounter(emulator, runner, await _version(emulator))


def _refusal(stderr: str, status: int) -> str:
    """The emulator's own words: a static one knows no plugins, a newer one wants another version of them."""
    lines = [" ".join(line.split()) for line in stderr.splitlines() if line.strip()]
    told = lines[-1][:300] if lines else f"it ended with {status} and counted nothing"
    return f"this machine's qemu-user takes no plugin of ours ({told}); Debian 12's qemu-user 7.2 does"


async def _version(emulator: Emulator) -> str:
    """The first line that it prints of itself."""
    async with running(RunnerCommand((emulator.program,)), "--version") as process:
        return (await process.line()).decode(errors="replace").strip()[:200]
