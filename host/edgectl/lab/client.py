# SPDX-License-Identifier: Apache-2.0
"""A device's agent over gRPC, called and waited for. One client serves one thread at a time.

Every failure is an `EdgectlError`, and every call but the endless stream of telemetry has a deadline. The first call
says Hello, so an agent that speaks another version is never asked for anything else.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import grpc
from edgectl_protos.errors import EdgectlError, RunnerError, UsageError
from edgectl_protos.metrics import TelemetryRecord
from edgectl_protos.v1 import agent_pb2_grpc
from edgectl_protos.wire import MAX_MESSAGE_BYTES

import edgectl
from edgectl.fleet.names import device_server_name
from edgectl.lab import convert, convert_measure, results
from edgectl.lab.device_values import (
    Activation,
    BenchmarkResult,
    DeviceInfo,
    Inference,
    Installed,
    InstructionResult,
    PeriodicAnswer,
    RolledBack,
)
from edgectl.lab.failures import Peer, translated
from edgectl.lab.measurement import Measurement
from edgectl.lab.periodic import PeriodicLoad, PeriodicRun, PeriodicWindow
from edgectl.lab.profile import Profile
from edgectl.lab.protocol import AnyProtocol, InstructionProtocol
from edgectl.lab.runner_choice import RunnerChoice
from edgectl.lab.upload import BundleUpload, Progress

if TYPE_CHECKING:
    from edgectl.fleet.authority import HostCredentials
    from edgectl.lab.device_values import Array

_AGENTS_SHARE = 0.9
"""Of a measurement's deadline here. Past it the agent makes no other attempt, and what it has still arrives in time."""

_Whole = TypeVar("_Whole")

_OPTIONS: tuple[tuple[str, Any], ...] = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.keepalive_time_ms", 30_000),  # a board that lost its power is noticed in the middle of a long call
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),  # otherwise a stream that only receives is soon pinged once a minute
    ("grpc.enable_http_proxy", 0),  # boards are on the desk's network, not behind the proxy of the environment
    ("grpc.enable_retries", 0),
)


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Seconds each call may take. `benchmark` comes on top of what the protocol takes at least."""

    hello: float = 10.0
    put_bundle: float = 600.0
    activate: float = 120.0
    rollback: float = 60.0
    benchmark: float = 900.0
    infer: float = 120.0


EMULATED_DEADLINES = Deadlines(activate=1_800.0, benchmark=7_200.0, infer=1_800.0)
"""For a board that is emulated, and some hundred times slower, where the caller chose none."""


@dataclass(frozen=True, slots=True)
class Security:
    """Mutual TLS: what this host shows and trusts, and the device it insists on."""

    credentials: HostCredentials = field(repr=False)
    device: str


class AgentClient:
    """A connection to the agent at `address` (HOST:PORT), made by the first call; plain text without `security`."""

    def __init__(self, address: str, *, security: Security | None = None, deadlines: Deadlines | None = None) -> None:
        self.address = address
        self._chosen_deadlines = deadlines
        self._deadlines = deadlines or Deadlines()
        self._peer = Peer(address, secure=security is not None, device=security.device if security else "")
        self._channel = _channel(address, security)
        self._stub: Any = agent_pb2_grpc.AgentStub(self._channel)  # type: ignore[no-untyped-call]
        self._info: DeviceInfo | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._channel.close()

    @property
    def info(self) -> DeviceInfo:
        """What the first Hello told; it is said where it has not been."""
        return self._info or self.hello()

    def hello(self) -> DeviceInfo:
        """Ask the agent who and what it is.

        Raises:
            UnreachableError: no agent answers at the address.
            AuthenticationError: the certificates do not fit.
            ProtocolError: the agent speaks another version.
        """
        request = convert.hello_request(edgectl.__version__)
        with translated(self._peer):
            reply = self._stub.Hello(request, timeout=self._deadlines.hello)
        self._peer = replace(self._peer, answered=True)
        self._info = convert.device_info(reply, address=self.address)
        if self._info.emulator and self._chosen_deadlines is None:
            self._deadlines = EMULATED_DEADLINES
        return self._info

    def put_bundle(self, path: Path, *, progress: Progress | None = None) -> Installed:
        """Send a bundle; nothing is active yet. An agent that has it already is not sent it again.

        Raises:
            UsageError: there is no such file.
            BundleError: it is damaged, here or on arrival.
            IncompatibleBundleError: the device cannot run it.
        """
        self._greet()
        upload = BundleUpload(path, progress)
        try:
            with translated(self._peer):
                reply = self._stub.PutBundle(upload.messages(), timeout=self._deadlines.put_bundle)
        except EdgectlError as error:
            if upload.failure is not None:
                raise upload.failure from error
            raise
        finally:
            upload.close()
        return convert.installed(reply)

    def activate(self, name: str, digest: str) -> Activation:
        """Make a bundle that is on the device the one that answers, if its golden outputs are right.

        Raises:
            GateError: they are not; the one before stays active.
            StateError: the device has no such bundle.
        """
        self._greet()
        with translated(self._peer):
            reply = self._stub.Activate(convert.activate_request(name, digest), timeout=self._deadlines.activate)
        return convert.activation(reply)

    def rollback(self, name: str) -> RolledBack:
        """Make the bundle before the active one answer again.

        Raises:
            StateError: there is none.
        """
        self._greet()
        with translated(self._peer):
            reply = self._stub.Rollback(convert.rollback_request(name), timeout=self._deadlines.rollback)
        return convert.rolled_back(reply)

    def benchmark(
        self,
        name: str,
        digest: str,
        protocol: AnyProtocol,
        *,
        choice: RunnerChoice = RunnerChoice(),  # noqa: B008 - frozen
        on_block: Callable[[Any], object] | None = None,
    ) -> Measurement:
        """Measure a bundle on the device in fresh processes; an empty `digest` is the active bundle.

        The protocol decides the unit: milliseconds, or on an emulated board instructions; then `on_block` gets each
        `InstructionCount` in place of each `BenchmarkBlock`.

        Samples arrive a block at a time, after the block has been timed. A host that is too slow for them, or an
        `on_block` that is, misses blocks and slows nothing: the result has every sample.

        Raises:
            UndelegatedError: operators run outside a delegate, and `choice` does not allow that.
            RunnerError: the program failed, or the device gave no usable samples.
            StateError: the device has no such bundle, or is busy, or counts no instructions.
            UsageError: an emulated board is asked for milliseconds.
        """
        if isinstance(protocol, InstructionProtocol):
            return self._count(name, digest, protocol, choice, on_block)
        info = self._greet()
        deadline = self._deadlines.benchmark + (protocol.time_limit_seconds or protocol.least_seconds)
        limit = protocol.time_limit_seconds or _AGENTS_SHARE * deadline
        request = convert_measure.benchmark_request(name, digest, replace(protocol, time_limit_seconds=limit), choice)
        with self._stream(self._stub.Benchmark, request, deadline) as messages:
            result = _last(map(convert_measure.benchmark_event, messages), BenchmarkResult, on_block)
        return results.benchmark_measurement(result, info, protocol, choice)

    def _count(
        self,
        name: str,
        digest: str,
        protocol: InstructionProtocol,
        choice: RunnerChoice,
        on_count: Callable[[Any], object] | None,
    ) -> Measurement:
        info = self._greet()
        deadline = protocol.time_limit_seconds or self._deadlines.benchmark
        limited = replace(protocol, time_limit_seconds=protocol.time_limit_seconds or _AGENTS_SHARE * deadline)
        request = convert_measure.count_request(name, digest, limited, choice)
        with self._stream(self._stub.Benchmark, request, self._deadlines.benchmark + deadline) as messages:
            result = _last(map(convert_measure.count_event, messages), InstructionResult, on_count)
        return results.counted_measurement(result, info, protocol, choice)

    def profile(
        self,
        name: str,
        digest: str,
        *,
        runs: int = 20,
        etdump: bool = False,
        choice: RunnerChoice = RunnerChoice(),  # noqa: B008 - frozen
    ) -> Profile:
        """The time of each operator, in a run of its own; an empty `digest` is the active bundle.

        Raises:
            RunnerError: the program failed.
            StateError: the device has no such bundle, or is busy.
        """
        info = self._greet()
        request = convert_measure.profile_request(name, digest, choice, runs=runs, etdump=etdump)
        with translated(self._peer):
            reply = self._stub.Profile(request, timeout=self._deadlines.benchmark)
            answer = convert_measure.profile_answer(reply)
        return results.profile_of(answer, info, choice)

    def run_periodic(
        self,
        name: str,
        digest: str,
        load: PeriodicLoad,
        *,
        choice: RunnerChoice = RunnerChoice(),  # noqa: B008 - frozen
        on_window: Callable[[PeriodicWindow], object] | None = None,
    ) -> PeriodicRun:
        """Drive a program at a fixed rate; an empty `digest` is the active bundle.

        Raises:
            EdgectlError: as `benchmark`.
        """
        info = self._greet()
        request = convert_measure.periodic_request(name, digest, load, choice)
        with self._stream(self._stub.RunPeriodic, request, self._deadlines.benchmark + load.seconds) as messages:
            result = _last(map(convert_measure.periodic_event, messages), PeriodicAnswer, on_window)
        return results.periodic_run(result, info, load, choice)

    def infer(self, name: str, inputs: Sequence[Array]) -> Inference:
        """Run the active program of a model once.

        Raises:
            InputError: number, dtype or shape of the inputs is wrong.
            StateError: no such model is active.
        """
        self._greet()
        request = convert.infer_request(name, inputs)
        with translated(self._peer):
            reply = self._stub.Infer(request, timeout=self._deadlines.infer)
        return convert.inference(reply)

    def telemetry(self, *, interval: float = 0.0) -> Iterator[TelemetryRecord]:
        """Records as the agent takes them (`interval` 0) or every `interval` seconds, until the iterator is closed.

        It has no deadline: a link that is dead is noticed by the connection's keepalive.

        Raises:
            UsageError: `interval` is negative or no number.
            UnreachableError: the agent stopped, or its link is dead.
        """
        if not 0 <= interval <= 86_400:
            raise UsageError(f"a telemetry interval of {interval} s", expected="0 to 86400 s", action="change it")
        self._greet()
        request = convert.telemetry_request(interval)
        with self._stream(self._stub.StreamTelemetry, request, None) as messages:
            yield from map(convert.telemetry_record, messages)

    def _greet(self) -> DeviceInfo:
        return self.info

    @contextlib.contextmanager
    def _stream(self, method: Any, request: Any, deadline: float | None) -> Iterator[Iterator[Any]]:
        """A server's stream that is cancelled when the caller leaves, for whatever reason."""
        with translated(self._peer):
            call = method(request, timeout=deadline)
            try:
                yield call
            finally:
                call.cancel()


def _channel(address: str, security: Security | None) -> grpc.Channel:
    if security is None:
        return grpc.insecure_channel(address, options=_OPTIONS)
    shown = security.credentials
    credentials = grpc.ssl_channel_credentials(
        root_certificates=shown.authority, private_key=shown.key, certificate_chain=shown.certificate
    )
    name = ("grpc.ssl_target_name_override", device_server_name(security.device))
    return grpc.secure_channel(address, credentials, options=(*_OPTIONS, name))


def _last(events: Iterator[Any], kind: type[_Whole], on_part: Callable[[Any], object] | None) -> _Whole:
    """The event of that kind, which ends the stream; those before it go to `on_part`."""
    parts = 0
    for event in events:
        if isinstance(event, kind):
            return event
        if event is None:
            continue
        parts += 1
        if on_part is not None:
            on_part(event)
    raise RunnerError(
        f"the agent's answer ended after {parts} parts without a result",
        expected="a result",
        action="measure again; see the agent's log on the device",
    )
