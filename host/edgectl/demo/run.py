# SPDX-License-Identifier: Apache-2.0
"""The demo from end to end: a local agent and a broker of its own, folds, stages on the device, a search, a report.

Nothing outlives the run: the agent, its runners and the broker end with it, whatever ends it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata, resources
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Protocol

from edgectl_protos.metrics import TelemetryRecord

from edgectl.compress.recipe import Recipe, parse_recipe, recipe_document
from edgectl.cores import NEVER_PAUSED, Work
from edgectl.demo.cross_validation import Fold, pool, run_fold
from edgectl.demo.digits import FOLDS, load_fold
from edgectl.demo.outcome import GRPC, MQTT, DemoOutcome, DemoSearch
from edgectl.demo.witness import Witness, witness

if TYPE_CHECKING:
    from edgectl.compress.pipeline import StageResult
    from edgectl.fleet.broker import EmbeddedBroker
    from edgectl.lab.client import AgentClient
    from edgectl.lab.quiet import TimedJob

TELEMETRY_SECONDS = 1.0


class Task(Protocol):
    """One thing that takes a while."""

    def advance(self, amount: float = 1, *, note: str = "") -> None: ...


class Progress(Protocol):
    """Where the demo says how far it is."""

    def task(self, title: str, *, total: float | None = None) -> AbstractContextManager[Task]: ...

    def say(self, text: str) -> None: ...


@dataclass(frozen=True, slots=True)
class DemoSettings:
    """`folds` of the five are run (fewer for a quick look), then `candidates` are searched."""

    folds: int = FOLDS
    candidates: int = 12
    seed: int = 0


def run_demo(
    settings: DemoSettings,
    *,
    progress: Progress,
    work: Work = NEVER_PAUSED,
    timed: TimedJob = nullcontext,
    clock: Callable[[], float] = time.monotonic,
) -> DemoOutcome:
    """Run everything and return what was found. `work` is asked to pause; measurements are made within `timed`.

    Raises:
        EdgectlError: any part failed; nothing is left running.
    """
    from edgectl.demo.deployment import deploy_and_ask, measure_stages
    from edgectl.demo.searching import search_digits
    from edgectl.lab.protocol import SHORT

    begun, started = clock(), datetime.now(UTC).isoformat(timespec="seconds")
    recipe = demo_recipe()
    with TemporaryDirectory(prefix="edgectl-demo-") as folder, ExitStack() as stack:
        workspace = Path(folder)
        client, heard = _start(stack, workspace, progress)
        folds = _cross_validate(recipe, settings, progress, work)
        measured = measure_stages(
            recipe,
            folds[0],
            pool(folds),
            workspace=workspace,
            client=client,
            protocol=SHORT,
            progress=progress,
            work=work,
            timed=timed,
        )
        deployed = deploy_and_ask(measured.bundle, folds[0], client=client, progress=progress)
        front, sampler = search_digits(
            candidates=settings.candidates,
            seed=settings.seed,
            workspace=workspace,
            client=client,
            progress=progress,
            work=work,
            timed=timed,
        )
        info, bundle = client.hello(), measured.bundle.read_bytes()
    return DemoOutcome(
        started=started,
        seconds=clock() - begun,
        device=info,
        recipe=recipe_document(recipe),
        versions={name: metadata.version(name) for name in ("torch", "executorch", "torchao", "numpy")},
        folds=len(folds),
        items=sum(len(fold.data.test_targets) for fold in folds),
        stages=measured.stages,
        int8_same_architecture_bytes=measured.int8_same_architecture_bytes,
        deployed=deployed,
        bundle=bundle,
        protocol=SHORT,
        search=DemoSearch(front, sampler),
        candidates=settings.candidates,
        heard=heard,
        agent_pss_bytes=info.agent_pss_bytes,
    )


def demo_recipe() -> Recipe:
    """The recipe that ships with the demo: its first stage trains the baseline."""
    text = resources.files("edgectl.demo").joinpath("digits.yaml").read_text("utf-8")
    return parse_recipe(text, source="digits.yaml")


def _start(stack: ExitStack, workspace: Path, progress: Progress) -> tuple[AgentClient, Witness]:
    from edgectl.fleet.broker import EmbeddedBroker
    from edgectl.lab.client import AgentClient
    from edgectl.lab.local import LocalAgent

    with progress.task("start a local agent and an MQTT broker"):
        broker = stack.enter_context(EmbeddedBroker())
        agent = LocalAgent(workspace / "agent", mqtt=(broker.host, broker.port), telemetry_interval=TELEMETRY_SECONDS)
        stack.enter_context(agent)
        client = stack.enter_context(AgentClient(agent.address))
        sources = {GRPC: _grpc_source(agent.address), MQTT: _mqtt_source(broker)}
        heard = stack.enter_context(witness(sources))
    progress.say(f"agent {client.info.agent_version} on {client.info.cpu_model}, {client.info.runtime}")
    return client, heard


def _grpc_source(address: str) -> Callable[[threading.Event], Iterator[TelemetryRecord]]:
    def source(stop: threading.Event) -> Iterator[TelemetryRecord]:
        from edgectl.lab.client import AgentClient

        with AgentClient(address) as client:
            for record in client.telemetry():
                yield record
                if stop.is_set():
                    return

    return source


def _mqtt_source(broker: EmbeddedBroker) -> Callable[[threading.Event], Iterator[TelemetryRecord]]:
    def source(stop: threading.Event) -> Iterator[TelemetryRecord]:
        from edgectl.fleet.telemetry_tail import tail_mqtt

        for _, event in tail_mqtt(broker.host, broker.port, stop=stop):
            if isinstance(event, TelemetryRecord):
                yield event

    return source


class _StepCounter:
    """A pipeline observer that moves one bar on with every training step of every fold."""

    def __init__(self, task: Task, fold: str) -> None:
        self._task = task
        self._fold = fold
        self._stage = ""

    def stage_started(self, name: str, steps: int) -> None:  # noqa: ARG002  # the bar's total is that of all stages
        self._stage = name
        self._task.advance(0, note=f"{self._fold}: {name}")

    def stage_advanced(self, loss: float) -> None:
        self._task.advance(note=f"{self._fold}: {self._stage}, loss {loss:.3f}")

    def stage_finished(self, result: StageResult) -> None: ...


def _cross_validate(recipe: Recipe, settings: DemoSettings, progress: Progress, work: Work) -> tuple[Fold, ...]:
    from edgectl.compress.pipeline import split_sources, stage_steps

    data = [load_fold(index, seed=settings.seed) for index in range(settings.folds)]
    steps = sum(stage_steps(stage, sources) for sources in map(split_sources, data) for stage in recipe.stages)
    folds = []
    with progress.task("train and compress", total=steps) as task:
        for number, fold in enumerate(data, start=1):
            counter = _StepCounter(task, f"fold {number} of {len(data)}")
            folds.append(run_fold(recipe, fold, observer=counter, work=work))
    return tuple(folds)
