# SPDX-License-Identifier: Apache-2.0
"""The Agent service: each call is converted, done by the part that knows how, and converted back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from edgectl_protos import PROTOCOL_VERSION
from edgectl_protos.errors import ProtocolError, UsageError
from edgectl_protos.metrics import record_to_message
from edgectl_protos.topics import check_name
from edgectl_protos.v1 import agent_pb2, agent_pb2_grpc, telemetry_pb2

from edgectl_agent import convert, convert_measure
from edgectl_agent.board.facts import BoardFacts
from edgectl_agent.installation import Installation
from edgectl_agent.measure.instrument import Instrument
from edgectl_agent.runner.models import ServedModels
from edgectl_agent.runner.runtime import RuntimeFacts
from edgectl_agent.store.slots import ModelStore
from edgectl_agent.telemetry.broadcast import Broadcast
from edgectl_agent.telemetry.process import own_memory


@dataclass(frozen=True, slots=True)
class AgentParts:
    """What the service speaks for."""

    device: str
    boot_id: str
    board: BoardFacts
    runtime: RuntimeFacts
    store: ModelStore
    installation: Installation
    models: ServedModels
    instrument: Instrument
    broadcast: Broadcast


class AgentServicer(agent_pb2_grpc.AgentServicer):
    """Errors leave as `EdgectlError`; the interceptor turns them into statuses."""

    def __init__(self, parts: AgentParts) -> None:
        self._parts = parts

    async def Hello(self, request: agent_pb2.HelloRequest, _context: Any) -> agent_pb2.HelloReply:  # noqa: N802
        """Answers any version: only the host can tell its user which side to update."""
        parts = self._parts
        if request.protocol == 0:
            raise ProtocolError("a Hello without a protocol version", expected=str(PROTOCOL_VERSION))
        return convert.hello_reply(
            device=parts.device,
            boot_id=parts.boot_id,
            runtime=parts.runtime,
            board=parts.board,
            models=parts.store.models(),
            pss_bytes=own_memory().get("Pss", 0),
            counts_instructions=parts.instrument.counts_instructions,
        )

    async def PutBundle(  # noqa: N802
        self, request_iterator: AsyncIterator[agent_pb2.BundleChunk], _context: Any
    ) -> agent_pb2.PutBundleReply:
        first = await anext(request_iterator, None)
        if first is None or first.WhichOneof("part") != "header":
            raise UsageError("an upload that does not begin with its header", expected="the header, then the data")
        header = first.header
        result = await self._parts.installation.put(header.digest, header.bytes, _data(request_iterator))
        return convert.put_reply(result)

    async def Activate(self, request: agent_pb2.ActivateRequest, _context: Any) -> agent_pb2.ActivateReply:  # noqa: N802
        activation = await self._parts.installation.activate(request.name, request.digest)
        return convert.activate_reply(activation, emulator=self._parts.board.emulator)

    async def Rollback(self, request: agent_pb2.RollbackRequest, _context: Any) -> agent_pb2.RollbackReply:  # noqa: N802
        return convert.rollback_reply(await self._parts.installation.rollback(request.name))

    async def Benchmark(  # noqa: N802
        self, request: agent_pb2.BenchmarkRequest, _context: Any
    ) -> AsyncIterator[agent_pb2.BenchmarkEvent]:
        job, instrument = convert_measure.job(request), self._parts.instrument
        counting = convert_measure.instruction_protocol(request)
        async with aclosing(
            instrument.benchmark(job, convert_measure.measurement_protocol(request))
            if counting is None
            else instrument.count(job, counting)
        ) as events:
            async for event in events:
                yield convert_measure.benchmark_event(event)

    async def Profile(self, request: agent_pb2.ProfileRequest, _context: Any) -> agent_pb2.ProfileReply:  # noqa: N802
        runs = convert_measure.profile_runs(request)
        result = await self._parts.instrument.profile(convert_measure.job(request), runs=runs, etdump=request.etdump)
        return convert_measure.profile_reply(result)

    async def RunPeriodic(  # noqa: N802
        self, request: agent_pb2.PeriodicRequest, _context: Any
    ) -> AsyncIterator[agent_pb2.PeriodicEvent]:
        load = convert_measure.periodic_load(request)
        driven = self._parts.instrument.run_periodic(convert_measure.job(request), load)
        async with aclosing(driven) as events:
            async for event in events:
                yield convert_measure.periodic_event(event)

    async def Infer(self, request: agent_pb2.InferRequest, _context: Any) -> agent_pb2.InferReply:  # noqa: N802
        name = check_name(request.name, what="model name")
        inference = await self._parts.models.infer(name, convert.tensors(request.inputs))
        return convert.infer_reply(inference, emulator=self._parts.board.emulator)

    async def StreamTelemetry(  # noqa: N802
        self, request: agent_pb2.StreamTelemetryRequest, _context: Any
    ) -> AsyncIterator[telemetry_pb2.TelemetryRecord]:
        interval_ns = convert.stream_interval(request) * 1e9
        due_ns = 0.0
        with self._parts.broadcast.subscribe() as records:
            async for record in records:
                # A record that comes a little early is still the one that was asked for.
                if record.monotonic_ns >= due_ns:
                    due_ns = record.monotonic_ns + interval_ns * 0.95
                    yield record_to_message(record)


async def _data(chunks: AsyncIterator[agent_pb2.BundleChunk]) -> AsyncIterator[bytes]:
    async for chunk in chunks:
        if chunk.WhichOneof("part") != "data":
            raise UsageError("a second header in an upload", expected="data alone after the first chunk")
        yield chunk.data
