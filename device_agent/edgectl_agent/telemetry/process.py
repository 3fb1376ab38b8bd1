# SPDX-License-Identifier: Apache-2.0
"""What the agent itself and the board's processors and memory look like from here, read from /proc."""

from __future__ import annotations

import time
from pathlib import Path

from edgectl_protos.metrics import Metric, MetricName, Unavailable

from edgectl_agent.board.facts import parse_meminfo
from edgectl_agent.clock import Clock

_NO_INTERVAL = Unavailable("no earlier sample to compare with")


class MachineReadings:
    """Readings of this process and of the board. Percentages are since the previous call; the first has none."""

    def __init__(self, clock: Clock, *, proc: Path = Path("/proc")) -> None:
        self._clock = clock
        self._proc = proc
        self._own: tuple[int, int] | None = None
        self._board: tuple[int, int] | None = None

    def metrics(self) -> tuple[Metric, ...]:
        """Agent memory and CPU (percent of one core), board CPU (percent of all cores) and available memory."""
        own = own_memory(self._proc)
        board = parse_meminfo(_text(self._proc / "meminfo"))
        return (
            Metric(MetricName.AGENT_RSS, "bytes", _size(own, "Rss", "smaps_rollup")),
            Metric(MetricName.AGENT_PSS, "bytes", _size(own, "Pss", "smaps_rollup")),
            Metric(MetricName.AGENT_CPU, "percent", self._agent_cpu()),
            Metric(MetricName.BOARD_CPU, "percent", self._board_cpu()),
            Metric(MetricName.BOARD_MEMORY_AVAILABLE, "bytes", _size(board, "MemAvailable", "meminfo")),
        )

    def _agent_cpu(self) -> float | Unavailable:
        before, self._own = self._own, (time.process_time_ns(), self._clock.monotonic_ns())
        return share(before, self._own)

    def _board_cpu(self) -> float | Unavailable:
        before, self._board = self._board, parse_cpu_times(_text(self._proc / "stat"))
        if self._board is None:
            return Unavailable("the kernel gives no /proc/stat")
        return share(before, self._board)


def own_memory(proc: Path = Path("/proc")) -> dict[str, int]:
    """Bytes by name ("Rss", "Pss", ...) of this process; empty where the kernel does not tell."""
    return parse_meminfo(_text(proc / "self/smaps_rollup"))


def parse_cpu_times(text: str) -> tuple[int, int] | None:
    """Busy and total ticks of all processors since boot, from /proc/stat; waiting for I/O is not busy."""
    words = text.partition("\n")[0].split()
    if len(words) < 9 or words[0] != "cpu":
        return None
    ticks = [int(word) for word in words[1:9]]  # guest time, after these, is counted in user time
    return sum(ticks) - ticks[3] - ticks[4], sum(ticks)


def share(before: tuple[int, int] | None, now: tuple[int, int]) -> float | Unavailable:
    """Percent of the second count's growth that the first grew by."""
    if before is None or now[1] <= before[1]:
        return _NO_INTERVAL
    return 100.0 * (now[0] - before[0]) / (now[1] - before[1])


def _size(sizes: dict[str, int], name: str, source: str) -> float | Unavailable:
    return float(sizes[name]) if name in sizes else Unavailable(f"the kernel gives no {name} in {source}")


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
