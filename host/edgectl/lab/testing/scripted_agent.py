# SPDX-License-Identifier: Apache-2.0
"""An agent that does what a script says, for faults that a real one does not show on demand.

It speaks real gRPC on a loopback port, in this process; only its answers are made up.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, NoReturn, Self

import grpc
from edgectl_protos import PROTOCOL_VERSION
from edgectl_protos.metrics import TelemetryRecord, record_to_message
from edgectl_protos.v1 import agent_pb2, agent_pb2_grpc, telemetry_pb2
from edgectl_protos.wire import ERROR_METADATA

_MEMORY = {"program_bytes": 1_000, "planned_bytes": 2_000, "load_rss_bytes": 3_000, "peak_rss_bytes": 4_000}
_FOREVER_SECONDS = 1e9  # where there is no deadline, gRPC tells the end of its clock

ScriptedCall = tuple[str, str, float, tuple[tuple[str, float], ...]]
"""Kind, name, microseconds, and operators with theirs."""

RpcName = str
"""Of the service's methods: "Hello", "PutBundle"..."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A call's failure; without `code` no detail goes with it, as when gRPC itself fails."""

    status: grpc.StatusCode
    code: str = ""
    seen: str = ""
    expected: str = ""
    action: str = ""
    detail: bytes | None = None  # sent as it is, instead of the detail made of the above


@dataclass(frozen=True, slots=True)
class Script:
    """What the agent answers.

    `counts` are instructions in a short and a long process, which go with the unit "insn".
    Calls named in `hangs` wait until the agent is stopped, those in `failures` fail; `stops_after` blocks of a
    benchmark the agent is gone.
    """

    protocol: int = PROTOCOL_VERSION
    device: str = "scripted"
    memory_bytes: int = 0
    failures: Mapping[RpcName, Failure] = field(default_factory=dict)
    hangs: frozenset[RpcName] = frozenset()
    already_present: bool = False
    blocks: tuple[tuple[float, ...], ...] = ((1.0, 1.0), (1.0, 1.0))
    reference: tuple[tuple[float, ...], ...] = ()
    reasons: tuple[str, ...] = ()
    chosen: int = 0
    sends_result: bool = True
    unit: str = "ms"
    emulator: str = ""
    counts: tuple[tuple[int, int], ...] = ()
    load_ms: float = 1.5
    memory: Mapping[str, int] = field(default_factory=lambda: dict(_MEMORY))
    stops_after: int | None = None
    digest: str = "a" * 64
    execute_us: float = 10.0
    calls: tuple[ScriptedCall, ...] = (("delegate", "XnnpackBackend", 10.0, (("Convolution", 8.0),)),)
    outputs: tuple[tuple[str, tuple[int, ...], bytes], ...] = ()
    records: tuple[TelemetryRecord, ...] = ()
    records_then_hang: bool = False


class ScriptedAgent:
    """A context manager.

    `calls` lists the methods that were called, `requests` holds their last messages, `seconds_left` what their
    deadlines left (None: no deadline), `uploaded` the last bundle.
    """

    def __init__(self, script: Script, *, credentials: grpc.ServerCredentials | None = None) -> None:
        self.calls: list[RpcName] = []
        self.requests: dict[RpcName, Any] = {}
        self.seconds_left: dict[RpcName, float | None] = {}
        self.uploaded = b""
        self.blocks_sent = threading.Event()
        self._servicer = _Servicer(script, self)
        self._server = grpc.server(ThreadPoolExecutor(max_workers=8))
        agent_pb2_grpc.add_AgentServicer_to_server(self._servicer, self._server)  # type: ignore[no-untyped-call]
        if credentials is None:
            self._port = self._server.add_insecure_port("127.0.0.1:0")
        else:
            self._port = self._server.add_secure_port("127.0.0.1:0", credentials)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Be gone: connections are cut, not finished."""
        self._servicer.released.set()
        self._server.stop(grace=None).wait()

    def vanish(self) -> None:
        """As `stop`, from within a call, which cannot wait for its own end."""
        self._server.stop(grace=None)


class _Servicer(agent_pb2_grpc.AgentServicer):
    def __init__(self, script: Script, agent: ScriptedAgent) -> None:
        self.released = threading.Event()
        self._script = script
        self._agent = agent

    def Hello(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._begin("Hello", request, context)
        return agent_pb2.HelloReply(
            protocol=self._script.protocol,
            agent_version="0.0.0",
            device=self._script.device,
            architecture="x86_64",
            runtime="executorch 1.5.1",
            emulator=self._script.emulator,
            memory_bytes=self._script.memory_bytes,
        )

    def PutBundle(self, request_iterator: Any, context: Any) -> Any:  # noqa: N802
        self._begin("PutBundle", None, context)
        header = next(request_iterator).header
        if not self._script.already_present:
            self._agent.uploaded = b"".join(chunk.data for chunk in request_iterator)
        return agent_pb2.PutBundleReply(
            name="model", version="1", digest=header.digest, already_present=self._script.already_present
        )

    def Activate(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._begin("Activate", request, context)
        return agent_pb2.ActivateReply(name=request.name, digest=request.digest)

    def Rollback(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._begin("Rollback", request, context)
        return agent_pb2.RollbackReply(name=request.name, digest="b" * 64, rolled_back_digest="a" * 64)

    def Benchmark(self, request: Any, context: Any) -> Iterator[Any]:  # noqa: N802
        self._begin("Benchmark", request, context)
        for count in self._counts():
            yield agent_pb2.BenchmarkEvent(count=count)
        for index, samples in enumerate(self._script.blocks):
            if index == self._script.stops_after:
                self._agent.vanish()
                self.released.wait()
                return
            yield agent_pb2.BenchmarkEvent(block=agent_pb2.BenchmarkBlock(index=index, samples_ms=samples))
        self._agent.blocks_sent.set()
        if self._script.sends_result:
            yield agent_pb2.BenchmarkEvent(result=self._result())

    def _counts(self) -> list[agent_pb2.InstructionCount]:
        return [
            agent_pb2.InstructionCount(index=index, short_instructions=short, long_instructions=long)
            for index, (short, long) in enumerate(self._script.counts)
        ]

    def _result(self) -> agent_pb2.BenchmarkResult:
        script = self._script
        result = agent_pb2.BenchmarkResult(
            unit=script.unit, chosen=script.chosen, load_ms=[script.load_ms], threads=1, cpus=[0], counts=self._counts()
        )
        attempt = result.attempts.add(reasons=script.reasons)
        for samples in script.blocks:
            attempt.candidate.add(samples_ms=samples)
        for samples in script.reference:
            attempt.reference.add(samples_ms=samples)
        result.memory.CopyFrom(agent_pb2.Memory(**script.memory))
        result.evidence.add(name="bundle_digest", value=script.digest)
        result.evidence.add(name="governor.before", value="performance")
        result.evidence.add(name="temperature_celsius.before", unavailable="no sensor")
        return result

    def Profile(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._begin("Profile", request, context)
        reply = agent_pb2.ProfileReply(runs=request.runs, threads=1, execute_p50_us=self._script.execute_us)
        for index, (kind, name, p50_us, operators) in enumerate(self._script.calls):
            call = reply.calls.add(index=index, kind=kind, name=name, p50_us=p50_us)
            for operator, operator_us in operators:
                call.operators.add(name=operator, p50_us=operator_us)
        reply.evidence.add(name="bundle_digest", value=self._script.digest)
        return reply

    def RunPeriodic(self, request: Any, context: Any) -> Iterator[Any]:  # noqa: N802
        self._begin("RunPeriodic", request, context)
        yield agent_pb2.PeriodicEvent(window=agent_pb2.PeriodicWindow(releases=1, response_p50_ms=1.0))
        if self._script.sends_result:
            times = agent_pb2.Distribution(p50=1.0, p90=1.0, max=1.0)
            result = agent_pb2.PeriodicResult(
                releases=1, executed=1, response_ms=times, execute_ms=times, lateness_ms=times
            )
            result.longest_gap_ms = result.load_ms = 1.0
            result.memory.CopyFrom(agent_pb2.Memory(**self._script.memory))
            yield agent_pb2.PeriodicEvent(result=result)

    def Infer(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._begin("Infer", request, context)
        reply = agent_pb2.InferReply(digest="a" * 64, execute_us=12.5)
        for dtype, shape, data in self._script.outputs:
            reply.outputs.add(dtype=dtype, shape=shape, data=data)
        return reply

    def StreamTelemetry(self, request: Any, context: Any) -> Iterator[telemetry_pb2.TelemetryRecord]:  # noqa: N802
        self._begin("StreamTelemetry", request, context)
        yield from map(record_to_message, self._script.records)
        if self._script.records_then_hang:
            self.released.wait()

    def _begin(self, name: RpcName, request: Any, context: Any) -> None:
        self._agent.calls.append(name)
        self._agent.requests[name] = request
        left = context.time_remaining()
        self._agent.seconds_left[name] = left if left < _FOREVER_SECONDS else None
        if name in self._script.hangs:
            self.released.wait()
        if name in self._script.failures:
            _fail(self._script.failures[name], context)


def _fail(failure: Failure, context: Any) -> NoReturn:
    detail = failure.detail
    if detail is None and failure.code:
        detail = agent_pb2.ErrorDetail(
            code=failure.code, seen=failure.seen, expected=failure.expected, action=failure.action
        ).SerializeToString()
    if detail is not None:
        context.set_trailing_metadata(((ERROR_METADATA, detail),))
    context.abort(failure.status, "as scripted")
    raise AssertionError
