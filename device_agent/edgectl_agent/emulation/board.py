# SPDX-License-Identifier: Apache-2.0
"""What an emulated board is and what it is going through, as far as there is an answer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from edgectl_protos.metrics import MetricName, Unavailable

from edgectl_agent.board.conditions import BoardConditions
from edgectl_agent.board.facts import BoardFacts, read_board_facts
from edgectl_agent.emulation.emulator import Emulator

_TIME = Unavailable("an emulated board's times say nothing of the board")
_RUNNER_MEMORY = Unavailable("the memory of an emulated runner is the emulator's; a whole emulated machine has figures")
_BOARD = Unavailable("only the board's programs are emulated, on a host that is not the board")

_TIMES = (MetricName.INFERENCE_P50, MetricName.INFERENCE_P95, MetricName.INFERENCE_MAX)
_MEMORY = (MetricName.RUNNER_RSS, MetricName.RUNNER_ANONYMOUS, MetricName.RUNNER_PEAK_RSS)
_OF_THE_BOARD = (
    MetricName.BOARD_CPU,
    MetricName.BOARD_MEMORY_AVAILABLE,
    MetricName.BOARD_TEMPERATURE,
    MetricName.BOARD_THROTTLED,
)

NOT_OF_A_MACHINE: dict[str, Unavailable] = dict.fromkeys(_TIMES, _TIME)
"""Metrics that a whole emulated machine cannot give, and why."""

NOT_OF_A_RUNNER: dict[str, Unavailable] = {
    **NOT_OF_A_MACHINE,
    **dict.fromkeys(_MEMORY, _RUNNER_MEMORY),
    **dict.fromkeys(_OF_THE_BOARD, _BOARD),
}
"""Metrics that a board cannot give of which only the runner is emulated, and why."""


def emulated_board_facts(emulator: Emulator, host: BoardFacts) -> BoardFacts:
    """The facts of the board in the emulator's sysroot; kernel and boot are those of the host that runs it."""
    proc = Path(emulator.sysroot) / "proc"
    return replace(
        read_board_facts(proc),
        machine="aarch64",
        kernel=f"{host.kernel} (of the host)",
        cpu_count=_processors(proc / "cpuinfo"),
        boot_id=host.boot_id,
        emulator=emulator.name,
    )


def _processors(cpuinfo: Path) -> int:
    try:
        lines = cpuinfo.read_text(errors="replace").splitlines()
    except OSError:
        return 1
    return sum(line.partition(":")[0].strip() == "processor" for line in lines) or 1


class NoConditions(BoardConditions):
    """Those of a board of which only the runner is emulated: what could be read here is the host's."""

    def temperature(self) -> float | Unavailable:
        return _BOARD

    async def throttled(self) -> float | Unavailable:
        return _BOARD

    def under_voltage_alarm(self) -> str | Unavailable:
        return _BOARD

    def governor(self) -> str | Unavailable:
        return _BOARD

    def frequency_khz(self) -> str | Unavailable:
        return _BOARD

    def load_average(self) -> str | Unavailable:
        return _BOARD
