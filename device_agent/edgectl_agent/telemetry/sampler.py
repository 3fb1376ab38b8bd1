# SPDX-License-Identifier: Apache-2.0
"""Takes a telemetry record each interval and hands it to every sink.

A record is named by (device, boot id, sequence). The boot id is the kernel's, followed by the milliseconds of the
monotonic clock at which this agent started: within one boot of the board that clock only grows and one state folder
holds one agent, so a restarted agent, whose sequence begins again at 1, never names two records alike. A missing
sequence number is a lost record.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from edgectl_protos.metrics import Metric, MetricName, TelemetryRecord, Unavailable

from edgectl_agent.board.conditions import BoardConditions
from edgectl_agent.clock import Clock
from edgectl_agent.runner.models import ServedModels
from edgectl_agent.telemetry.process import MachineReadings
from edgectl_agent.telemetry.readings import runner_metrics


class RecordSink(Protocol):
    """Takes a record at once; it neither waits nor raises."""

    def publish(self, record: TelemetryRecord) -> None: ...


class Sampler:
    """Collects records for one agent's life.

    `not_here` are the metrics, by name, that this board cannot give whatever is read, each with the reason.
    """

    def __init__(
        self,
        *,
        device: str,
        boot_id: str,
        clock: Clock,
        models: ServedModels,
        machine: MachineReadings,
        conditions: BoardConditions,
        sinks: Sequence[RecordSink],
        not_here: Mapping[str, Unavailable],
    ) -> None:
        self._device = device
        self._boot_id = boot_id
        self._clock = clock
        self._models = models
        self._machine = machine
        self._conditions = conditions
        self._sinks = sinks
        self._not_here = not_here
        self._sequence = 0

    async def run(self, interval: float) -> None:
        """Sample every `interval` seconds until cancelled; a sample that is late does not shift the next."""
        due = self._clock.monotonic_ns()
        while True:
            record = await self.sample()
            for sink in self._sinks:
                sink.publish(record)
            due = max(due + round(interval * 1e9), self._clock.monotonic_ns())
            await asyncio.sleep(max(0.0, (due - self._clock.monotonic_ns()) / 1e9))

    async def sample(self) -> TelemetryRecord:
        """One record, of now."""
        self._sequence += 1
        metrics = [*self._machine.metrics(), *await self._board_metrics(), *await self._runner_metrics()]
        return TelemetryRecord(
            device=self._device,
            boot_id=self._boot_id,
            sequence=self._sequence,
            wall_ns=self._clock.wall_ns(),
            monotonic_ns=self._clock.monotonic_ns(),
            metrics=tuple(self._as_far_as_known(metric) for metric in metrics),
        )

    def _as_far_as_known(self, metric: Metric) -> Metric:
        reason = self._not_here.get(metric.name)
        return metric if reason is None else replace(metric, reading=reason)

    async def _board_metrics(self) -> list[Metric]:
        return [
            Metric(MetricName.BOARD_TEMPERATURE, "celsius", self._conditions.temperature()),
            Metric(MetricName.BOARD_THROTTLED, "flags", await self._conditions.throttled()),
        ]

    async def _runner_metrics(self) -> list[Metric]:
        figures = await self._models.stats()
        return [metric for model, serving in figures.items() for metric in runner_metrics(model, serving)]
