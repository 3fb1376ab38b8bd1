# SPDX-License-Identifier: Apache-2.0
"""What the agent stands on: a real board, a whole emulated machine, or a board of which the runners are emulated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgectl_protos.metrics import Unavailable

from edgectl_agent.board.conditions import BoardConditions
from edgectl_agent.board.facts import BoardFacts, read_board_facts
from edgectl_agent.configuration import AgentConfiguration
from edgectl_agent.runner.command import RunnerCommand, native_command
from edgectl_agent.runner.runtime import RuntimeFacts, find_runner, read_runtime_facts

if TYPE_CHECKING:
    from edgectl_agent.measure.instructions import RunCounter

_NO_COUNTER = Unavailable("instructions are counted on a board whose runner alone is emulated, such as emulated-pi4")


@dataclass(frozen=True, slots=True)
class Platform:
    """The runner and how it is started, what is known of runtime and board, and what cannot be known here.

    `counter` counts instructions, or says why nothing does. `not_here` are the metrics, by name, that this board cannot
    give, each with the reason.
    """

    runner: RunnerCommand
    runtime: RuntimeFacts
    board: BoardFacts
    conditions: BoardConditions
    counter: RunCounter | Unavailable = _NO_COUNTER
    not_here: Mapping[str, Unavailable] = field(default_factory=dict)


async def read_platform(configuration: AgentConfiguration) -> Platform:
    """The platform of this agent.

    Raises:
        UsageError: there is no runner, or the emulator's file is wrong.
        RunnerError: the runner does not run here, or is emulated as another core than the board's.
    """
    runner = find_runner(configuration.runner)
    if configuration.emulator is not None:
        return await _emulated_runner(configuration.emulator, runner)
    if configuration.emulated:
        return await _emulated_machine(configuration.emulated, runner)
    command = native_command(runner)
    return Platform(command, await read_runtime_facts(command), read_board_facts(), BoardConditions())


async def _emulated_runner(file: Path, runner: Path) -> Platform:
    from edgectl_agent.emulation.board import NOT_OF_A_RUNNER, NoConditions, emulated_board_facts
    from edgectl_agent.emulation.counter import probe_counter, read_emulated_runtime
    from edgectl_agent.emulation.emulator import read_emulator

    emulator = read_emulator(file)
    return Platform(
        runner=emulator.command(runner),
        runtime=await read_emulated_runtime(emulator, runner),
        board=emulated_board_facts(emulator, read_board_facts()),
        conditions=NoConditions(),
        counter=await probe_counter(emulator, runner),
        not_here=NOT_OF_A_RUNNER,
    )


async def _emulated_machine(emulated: str, runner: Path) -> Platform:
    from edgectl_agent.emulation.board import NOT_OF_A_MACHINE
    from edgectl_agent.emulation.emulator import PATIENCE

    command = native_command(runner, patience=PATIENCE)
    return Platform(
        runner=command,
        runtime=await read_runtime_facts(command),
        board=replace(read_board_facts(), emulator=emulated),
        conditions=BoardConditions(),
        not_here=NOT_OF_A_MACHINE,
    )
