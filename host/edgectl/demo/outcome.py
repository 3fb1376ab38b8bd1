# SPDX-License-Identifier: Apache-2.0
"""What a run of the demo found, and its JSON document (`report.json`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from edgectl_protos.metrics import MetricName

from edgectl import __version__
from edgectl.demo.cross_validation import PooledStage
from edgectl.demo.digits import FOLDS
from edgectl.demo.witness import Witness
from edgectl.search.front import Front, front_document

if TYPE_CHECKING:
    from edgectl.lab.device_values import DeviceInfo
    from edgectl.lab.measurement import Measurement
    from edgectl.lab.protocol import MeasurementProtocol

GRPC, MQTT = "grpc", "mqtt"
MOST_LOST = 0.01  # of accuracy, by the one-sided 95 % bound
LEAST_INT8_RATIO = 3.5


@dataclass(frozen=True, slots=True)
class DemoStage:
    """One stage of the deployed fold, lowered and timed; accuracy is pooled over all folds."""

    pooled: PooledStage
    parameters: int
    macs: int
    program_bytes: int
    delegated_fraction: float
    measurement: Measurement

    def document(self) -> dict[str, Any]:
        return {
            "name": self.pooled.name,
            "accuracy": self.pooled.accuracy,
            "drop": None if self.pooled.drop is None else self.pooled.drop.drop,
            "drop_bound": None if self.pooled.drop is None else self.pooled.drop.upper_bound,
            "discordant": None if self.pooled.drop is None else self.pooled.drop.discordant,
            "parameters": self.parameters,
            "macs": self.macs,
            "program_bytes": self.program_bytes,
            "p50_ms": self.measurement.p50,
            "delegated_fraction": self.delegated_fraction,
        }


@dataclass(frozen=True, slots=True)
class Deployed:
    """The bundle that answers now, asked about every test scan of its fold; `agreement` counts equal answers."""

    name: str
    digest: str
    golden_max_abs_error: float
    items: int
    agreement: int
    correct: int


@dataclass(frozen=True, slots=True)
class DemoSearch:
    """What the search found, and by which sampler."""

    front: Front
    sampler: str

    def document(self) -> dict[str, Any]:
        return {"sampler": self.sampler, **front_document(self.front)}


@dataclass(frozen=True, slots=True)
class DemoOutcome:
    """Everything a run found; `started` is ISO 8601 in UTC, `seconds` the whole run."""

    started: str
    seconds: float
    device: DeviceInfo
    recipe: dict[str, Any]
    versions: dict[str, str]
    folds: int
    items: int
    stages: tuple[DemoStage, ...]
    int8_same_architecture_bytes: int
    deployed: Deployed
    bundle: bytes
    protocol: MeasurementProtocol
    search: DemoSearch
    candidates: int
    heard: Witness
    agent_pss_bytes: int | None

    def document(self) -> dict[str, Any]:
        """`report.json`."""
        baseline, compressed = self.stages[0], self.stages[-1]
        return {
            "schema_version": 1,
            "edgectl": __version__,
            "started": self.started,
            "seconds": self.seconds,
            "demo": {"model": self.recipe["model"], "data": "1,797 handwritten digits of scikit-learn, real scans"},
            "device": {"name": self.device.name, **self.device.document()},
            "recipe": self.recipe,
            "versions": self.versions,
            "cross_validation": {"folds": self.folds, "items": self.items},
            "protocol": asdict(self.protocol),
            "baseline": {**baseline.document(), "measurement": baseline.measurement.document()},
            "compressed": {**compressed.document(), "measurement": compressed.measurement.document()},
            "int8_same_architecture": {"program_bytes": self.int8_same_architecture_bytes},
            "stages": [stage.document() for stage in self.stages],
            "deployed": asdict(self.deployed),
            "search": self.search.document(),
            "telemetry": self._telemetry(),
            "agent": {"pss_bytes": self.agent_pss_bytes},
            "shortfalls": list(self.shortfalls()),
        }

    def shortfalls(self) -> tuple[str, ...]:
        """What the demo is there to show and this run did not, a sentence each.

        Accuracy is judged only over all folds: fewer scans cannot resolve a point.
        """
        baseline, compressed = self.stages[0], self.stages[-1]
        drop = compressed.pooled.drop
        undelegated = [stage.pooled.name for stage in self.stages if stage.delegated_fraction < 1]
        checks = (
            (
                self.folds == FOLDS and drop is not None and drop.upper_bound > MOST_LOST,
                "more than a point may be lost",
            ),
            (baseline.program_bytes < LEAST_INT8_RATIO * self.int8_same_architecture_bytes, "int8 is not 3.5x smaller"),
            (compressed.program_bytes >= self.int8_same_architecture_bytes, "the recipe is no smaller than int8 alone"),
            (bool(undelegated), f"operators outside the delegate: {', '.join(undelegated)}"),
            (bool(self.search.front.failed), f"{len(self.search.front.failed)} candidates of the search failed"),
            (len(self.search.front.complete) < self.candidates, "fewer candidates were measured than asked for"),
        )
        silent = [
            f"no telemetry came over {name}" for name, channel in self.heard.channels.items() if not channel.records
        ]
        return (*(said for wrong, said in checks if wrong), *silent)

    def _telemetry(self) -> dict[str, Any]:
        channels = self.heard.channels
        return {
            "grpc_records": len(channels[GRPC].records),
            "mqtt_records": len(channels[MQTT].records),
            "failures": {name: channel.failure for name, channel in channels.items() if channel.failure},
            "unavailable": self.heard.never_available(channel=GRPC),
        }


def memory_series(heard: Witness) -> Sequence[tuple[str, tuple[tuple[float, float], ...]]]:
    """(name, (seconds, MiB)) of the agent's and the runner's memory over the run."""
    names = (("agent, PSS", MetricName.AGENT_PSS), ("runner, resident", MetricName.RUNNER_RSS))
    return [
        (title, tuple((second, value / 2**20) for second, value in heard.series(name, channel=GRPC)))
        for title, name in names
    ]
