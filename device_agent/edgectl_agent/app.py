# SPDX-License-Identifier: Apache-2.0
"""The composition root: builds the agent from its configuration, runs it until a signal, takes it down in order.

It alone knows every part. grpc is imported only where the gRPC side is on, paho only where MQTT is.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgectl_protos.address import Address
from edgectl_protos.errors import StateError, UsageError

from edgectl_agent import __version__
from edgectl_agent.background import Background
from edgectl_agent.clock import Clock, SystemClock
from edgectl_agent.configuration import AgentConfiguration, MqttSettings
from edgectl_agent.platform import Platform, read_platform
from edgectl_agent.resident import give_back_pages
from edgectl_agent.runner.models import ServedModels
from edgectl_agent.runner.serving import ServeCommand
from edgectl_agent.runner.sockets import SocketFolder
from edgectl_agent.service import ServiceManager
from edgectl_agent.store.slots import ModelStore
from edgectl_agent.telemetry.broadcast import Broadcast
from edgectl_agent.telemetry.process import MachineReadings
from edgectl_agent.telemetry.sampler import RecordSink, Sampler

if TYPE_CHECKING:
    from edgectl_agent.measure.instrument import ObserveBlock
    from edgectl_agent.rpc.server import AgentServer
    from edgectl_agent.telemetry.mqtt import MqttSink

_SETTLE_SECONDS = (1.0, 10.0, 60.0)
"""After the ready line: the broker is connected and the first record is out, on a slow board somewhat later."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What both ways in share."""

    configuration: AgentConfiguration
    boot_id: str
    clock: Clock
    background: Background
    platform: Platform
    store: ModelStore
    models: ServedModels
    broadcast: Broadcast


async def run_agent(configuration: AgentConfiguration, manager: ServiceManager) -> None:
    """Run until SIGTERM or SIGINT; afterwards no process of ours is left. `manager` learns how it goes.

    Raises:
        EdgectlError: it could not start, or something it does in the background failed.
    """
    background = Background()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, background.end)
    if configuration.die_with_parent:
        _die_with_parent()
    with _sole_owner(configuration.state):
        async with agent(configuration, background) as endpoint:
            _say_ready(configuration, endpoint)
            manager.ready(f"listening on {endpoint}" if endpoint else "MQTT alone")
            background.start(manager.keep_alive())
            background.start(_settle())
            try:
                await background.over()
            finally:
                manager.stopping()


@asynccontextmanager
async def agent(configuration: AgentConfiguration, background: Background) -> AsyncIterator[Address | None]:
    """A running agent; yields where its gRPC side listens."""
    async with AsyncExitStack() as stack:
        parts = await _build(configuration, SystemClock(), background)
        stack.push_async_callback(parts.models.close)
        active = {name: model.active for name, model in parts.store.models().items() if model.active is not None}
        boot = stack.enter_async_context
        await boot(_running(background, parts.models.serve_all(active)))
        sinks: list[RecordSink] = [parts.broadcast]
        observers: list[ObserveBlock] = []
        if configuration.mqtt is not None:
            mqtt = await boot(_mqtt(parts, configuration.mqtt))
            sinks.append(mqtt)
            observers.append(mqtt.publish_block)
        server = None
        if configuration.listen is not None:
            server = await boot(_grpc(parts, configuration.listen, tuple(observers)))
        await boot(_running(background, _sampler(parts, sinks).run(configuration.telemetry_interval)))
        yield server.endpoint if server else None


async def _build(configuration: AgentConfiguration, clock: Clock, background: Background) -> Parts:
    platform = await read_platform(configuration)
    state = configuration.state
    store = ModelStore(state / "models")
    sockets = SocketFolder(configuration.sockets, group=configuration.sockets_group)
    command = ServeCommand(platform.runner, configuration.threads)
    models = ServedModels(sockets, command=command, clock=clock, background=background)
    return Parts(
        configuration=configuration,
        boot_id=f"{platform.board.boot_id or 'unknown'}.{clock.monotonic_ns() // 1_000_000}",
        clock=clock,
        background=background,
        platform=platform,
        store=store,
        models=models,
        broadcast=Broadcast(),
    )


async def _settle() -> None:
    waited = 0.0
    for seconds in _SETTLE_SECONDS:
        await asyncio.sleep(seconds - waited)
        waited = seconds
        give_back_pages()


def _sampler(parts: Parts, sinks: list[RecordSink]) -> Sampler:
    return Sampler(
        device=parts.configuration.device,
        boot_id=parts.boot_id,
        clock=parts.clock,
        models=parts.models,
        machine=MachineReadings(parts.clock),
        conditions=parts.platform.conditions,
        sinks=sinks,
        not_here=parts.platform.not_here,
    )


@asynccontextmanager
async def _mqtt(parts: Parts, settings: MqttSettings) -> AsyncIterator[MqttSink]:
    from edgectl_agent.telemetry.mqtt import MqttSink

    sink = MqttSink(
        settings,
        device=parts.configuration.device,
        boot_id=parts.boot_id,
        version=__version__,
        clock=parts.clock,
    )
    sink.start()
    try:
        yield sink
    finally:
        await asyncio.to_thread(sink.close)


@asynccontextmanager
async def _grpc(parts: Parts, listen: Address, observers: tuple[ObserveBlock, ...]) -> AsyncIterator[AgentServer]:
    # Children are started by vfork and exec at once: gRPC's fork handlers would only stall it.
    os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
    from edgectl_agent.installation import Installation
    from edgectl_agent.measure.instrument import Instrument
    from edgectl_agent.rpc.server import AgentServer
    from edgectl_agent.rpc.servicer import AgentParts
    from edgectl_agent.store.uploads import UploadArea

    configuration, platform = parts.configuration, parts.platform
    installation = Installation(
        store=parts.store,
        uploads=UploadArea(configuration.state / "incoming", max_bytes=configuration.max_bundle_bytes),
        models=parts.models,
        runner=platform.runner,
        runtime=platform.runtime,
    )
    instrument = Instrument(
        installation=installation,
        runner=platform.runner,
        runtime=platform.runtime,
        board=platform.board,
        conditions=platform.conditions,
        threads=configuration.threads,
        counter=platform.counter,
        observers=observers,
    )
    service = AgentParts(
        device=configuration.device,
        boot_id=parts.boot_id,
        board=platform.board,
        runtime=platform.runtime,
        store=parts.store,
        installation=installation,
        models=parts.models,
        instrument=instrument,
        broadcast=parts.broadcast,
    )
    server = AgentServer(service, listen=listen, identity=configuration.identity)
    await server.start()
    try:
        yield server
    finally:
        parts.broadcast.close()
        await server.stop()
        await installation.finish()


@asynccontextmanager
async def _running(background: Background, work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    task = background.start(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


@contextmanager
def _sole_owner(state: Path) -> Iterator[None]:
    """Hold the state folder; a second agent on it would tear at the same slots."""
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (state / "owner.lock").open("w")
    except OSError as error:
        raise UsageError(
            f"--state {state}: {error.strerror}", expected="a folder to write in", action="choose another"
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StateError(
                f"another agent uses {state}", expected="one agent for each state folder", action="stop it first"
            ) from error
        yield


def _die_with_parent() -> None:
    """Have the kernel end this process when the one that started it ends.

    The kernel watches the parent's *thread*: start the agent from one that lives as long as it should.
    """
    import ctypes

    pr_set_pdeathsig = 1
    parent = os.getppid()
    if ctypes.CDLL(None, use_errno=True).prctl(pr_set_pdeathsig, signal.SIGTERM) != 0:
        raise UsageError("--die-with-parent is refused by this kernel", expected="Linux")
    if os.getppid() != parent or parent == 1:
        os.kill(os.getpid(), signal.SIGTERM)


def _say_ready(configuration: AgentConfiguration, endpoint: Address | None) -> None:
    ready = {
        "ready": True,
        "listen": str(endpoint) if endpoint else None,
        "device": configuration.device,
        "pid": os.getpid(),
    }
    sys.stdout.write(json.dumps(ready) + "\n")
    sys.stdout.flush()
