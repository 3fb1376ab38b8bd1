# SPDX-License-Identifier: Apache-2.0
"""Telemetry of a real agent over gRPC, and over a real mosquitto: birth, records, last will, a broker that restarts."""

from __future__ import annotations

import base64
import hashlib
import itertools
import os
import queue
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

import grpc
import numpy as np
import paho.mqtt.client as mqtt
import pytest
from edgectl_agent.clock import SystemClock
from edgectl_agent.configuration import MqttSettings
from edgectl_agent.telemetry.mqtt import MqttSink
from edgectl_protos.address import Address
from edgectl_protos.errors import RunnerError, UsageError
from edgectl_protos.metrics import MetricName, TelemetryRecord, Unavailable, record_from_message
from edgectl_protos.topics import Channel, subscription
from edgectl_protos.v1 import agent_pb2, telemetry_pb2
from paho.mqtt.enums import CallbackAPIVersion

from tests.agents import deploy, error_of, free_port, hello, infer, log_of, running_agent, running_broker
from tests.program_bundles import make_bundle, program_directory
from tests.programs import golden_inputs, small_cnn_program

_WAIT_SECONDS = 30


class Listener:
    """What arrives at a subscriber, by channel."""

    def __init__(self) -> None:
        self.statuses: queue.SimpleQueue[tuple[telemetry_pb2.DeviceStatus, bool]] = queue.SimpleQueue()
        self.records: queue.SimpleQueue[TelemetryRecord] = queue.SimpleQueue()

    def take(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        if message.topic.endswith(Channel.STATUS):
            self.statuses.put((telemetry_pb2.DeviceStatus.FromString(bytes(message.payload)), message.retain))
        else:
            self.records.put(record_from_message(telemetry_pb2.TelemetryRecord.FromString(bytes(message.payload))))

    def status(self) -> telemetry_pb2.DeviceStatus:
        return self.statuses.get(timeout=_WAIT_SECONDS)[0]

    def record(self) -> TelemetryRecord:
        return self.records.get(timeout=_WAIT_SECONDS)


def _subscribe(client: mqtt.Client, _data: Any, _flags: Any, _reason: Any, _properties: Any) -> None:
    client.subscribe([(subscription(channel), 1) for channel in Channel])


@contextmanager
def _listening(
    port: int, *, session: str | None = None, user: str | None = None, password: str | None = None
) -> Iterator[Listener]:
    listener = Listener()
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=session, clean_session=session is None)
    client.reconnect_delay_set(1, 1)
    client.on_message = listener.take
    client.on_connect = _subscribe
    if user is not None:
        client.username_pw_set(user, password)
    client.connect("127.0.0.1", port)
    client.loop_start()
    try:
        yield listener
    finally:
        client.disconnect()
        client.loop_stop()


def test_records_tell_what_is_known_and_why_the_rest_is_not(tmp_path: Path) -> None:
    program = small_cnn_program(program_directory())
    inputs = [np.load(path) for path in golden_inputs(program)]
    with running_agent(tmp_path / "state", "--telemetry-interval", "0.2") as agent, agent.stub() as stub:
        stream = stub.StreamTelemetry(agent_pb2.StreamTelemetryRequest(), timeout=60)
        first = record_from_message(next(stream))
        assert first.reading(MetricName.RUNNER_RSS) is None
        deploy(stub, make_bundle(tmp_path, program, name="digits"))
        for _ in range(25):
            infer(stub, "digits", *inputs)
        records = [record_from_message(next(stream))]
        while records[-1].reading(MetricName.INFERENCES, model="digits") != 25.0:
            records.append(record_from_message(next(stream)))
        busy = records[-1]
        idle = record_from_message(next(stream))
        boot_id = hello(stub).boot_id
    assert {record.boot_id for record in records} == {boot_id}
    sequences = [first.sequence, *(record.sequence for record in records), idle.sequence]
    assert sequences == list(range(sequences[0], sequences[0] + len(sequences)))
    assert idle.monotonic_ns > busy.monotonic_ns > 0
    median, most = busy.reading(MetricName.INFERENCE_P50), busy.reading(MetricName.INFERENCE_MAX)
    assert isinstance(median, float)
    assert isinstance(most, float)
    assert 0 < median <= most
    for name in (MetricName.RUNNER_RSS, MetricName.RUNNER_ANONYMOUS, MetricName.RUNNER_PEAK_RSS, MetricName.AGENT_RSS):
        reading = busy.reading(name)
        assert isinstance(reading, float)
        assert reading > 100_000
    assert (busy.reading(MetricName.RUNNER_STARTS), busy.reading(MetricName.INFERENCE_DROPPED)) == (1.0, 0.0)
    assert idle.reading(MetricName.INFERENCES) == 25.0
    assert idle.reading(MetricName.INFERENCE_P50) == Unavailable("no inference since the last sample")
    for name in (MetricName.BOARD_TEMPERATURE, MetricName.BOARD_THROTTLED):
        reading = busy.reading(name)
        assert reading is not None
        assert isinstance(reading, float) or reading.reason


def test_the_count_goes_on_after_a_missed_answer_and_begins_again_with_a_runner(tmp_path: Path) -> None:
    program = small_cnn_program(program_directory())
    inputs = [np.load(path) for path in golden_inputs(program)]
    with running_agent(tmp_path / "state", "--telemetry-interval", "0.1") as agent, agent.stub() as stub:
        deploy(stub, make_bundle(tmp_path, program, name="digits"))
        records = map(record_from_message, stub.StreamTelemetry(agent_pb2.StreamTelemetryRequest(), timeout=60))
        for _ in range(3):
            infer(stub, "digits", *inputs)
        _await_reading(records, MetricName.INFERENCES, 3.0)
        (runner,) = agent.runner_pids()
        os.kill(runner, signal.SIGSTOP)
        _await_reading(records, MetricName.INFERENCES, Unavailable("the runner gave no figures for 2 s"))
        os.kill(runner, signal.SIGCONT)
        for _ in range(2):
            infer(stub, "digits", *inputs)
        seen = _await_reading(records, MetricName.INFERENCES, 5.0)
        assert {reading for reading in seen if isinstance(reading, float)} <= {3.0, 4.0, 5.0}
        os.kill(runner, signal.SIGKILL)
        _await_reading(records, MetricName.RUNNER_STARTS, 2.0)
        for _ in range(7):
            infer(stub, "digits", *inputs)
        _await_reading(records, MetricName.INFERENCES, 7.0)


def test_a_runner_that_cannot_be_reached_is_told_and_records_go_on(tmp_path: Path) -> None:
    program = small_cnn_program(program_directory())
    with running_agent(tmp_path / "state", "--telemetry-interval", "0.1") as agent, agent.stub() as stub:
        deploy(stub, make_bundle(tmp_path, program, name="digits"))
        records = map(record_from_message, stub.StreamTelemetry(agent_pb2.StreamTelemetryRequest(), timeout=60))
        _await_reading(records, MetricName.INFERENCES, 0.0)
        (runner,) = agent.runner_pids()
        (agent.state / "run/digits.sock").unlink()
        os.kill(runner, signal.SIGKILL)  # with its connections
        reason = Unavailable("the runner cannot be reached at digits.sock (No such file or directory)")
        _await_reading(records, MetricName.INFERENCES, reason)
        _await_reading(records, MetricName.INFERENCES, reason)
        with pytest.raises(grpc.RpcError) as failed:
            infer(stub, "digits", *(np.load(path) for path in golden_inputs(program)))
        assert isinstance(error_of(failed.value), RunnerError)


def _await_reading(
    records: Iterator[TelemetryRecord], name: MetricName, wanted: float | Unavailable
) -> list[float | Unavailable | None]:
    """What the records say until one says `wanted`; the stream's deadline ends the wait."""
    seen: list[float | Unavailable | None] = []
    while not seen or seen[-1] != wanted:
        seen.append(next(records).reading(name, model="digits"))
    return seen


def test_a_longer_interval_thins_the_stream(tmp_path: Path) -> None:
    with running_agent(tmp_path / "state", "--telemetry-interval", "0.1") as agent, agent.stub() as stub:
        stream = stub.StreamTelemetry(agent_pb2.StreamTelemetryRequest(interval_seconds=0.5), timeout=60)
        times = [next(stream).monotonic_ns for _ in range(3)]
        with pytest.raises(grpc.RpcError) as refused:
            next(stub.StreamTelemetry(agent_pb2.StreamTelemetryRequest(interval_seconds=-1.0), timeout=60))
    assert all(later - earlier >= 0.47e9 for earlier, later in itertools.pairwise(times))
    assert isinstance(error_of(refused.value), UsageError)


def test_mqtt_says_online_reports_and_says_offline(tmp_path: Path) -> None:
    with running_broker(tmp_path) as port, _listening(port) as listener:
        with running_agent(tmp_path / "state", "--mqtt", f"127.0.0.1:{port}", "--telemetry-interval", "0.1") as agent:
            birth = listener.status()
            assert (birth.device, birth.online) == ("board", True)
            records = [listener.record() for _ in range(3)]
            assert [record.sequence for record in records] == [1, 2, 3]
            assert {(record.device, record.boot_id) for record in records} == {("board", birth.boot_id)}
            with _listening(port) as late:
                status, retained = late.statuses.get(timeout=_WAIT_SECONDS)
                assert (status.online, retained) == (True, True)
            assert agent.terminate() == 0
        assert not listener.status().online
        with _listening(port) as late:
            status, retained = late.statuses.get(timeout=_WAIT_SECONDS)
            assert (status.online, retained, status.boot_id) == (False, True, birth.boot_id)


def test_the_last_will_says_that_a_killed_agent_is_offline(tmp_path: Path) -> None:
    with running_broker(tmp_path) as port, _listening(port) as listener:
        with running_agent(tmp_path / "state", "--mqtt", f"127.0.0.1:{port}") as agent:
            birth = listener.status()
            assert birth.online
            agent.kill()
        will = listener.status()
        assert (will.device, will.online, will.boot_id) == ("board", False, birth.boot_id)


def test_a_goodbye_that_nobody_acknowledges_leaves_the_last_will() -> None:
    """A broker discards the will of a client that sends DISCONNECT; only a cut connection publishes it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        settings = MqttSettings(
            Address("127.0.0.1", listener.getsockname()[1]), user=None, password_file=None, authority=None
        )
        sink = MqttSink(settings, device="board", boot_id="boot", version="0", clock=SystemClock())
        sink.start()
        connection, _ = listener.accept()
        connection.settimeout(_WAIT_SECONDS)
        with connection, connection.makefile("rb") as stream:
            assert _packet_kind(stream) == _CONNECT
            connection.sendall(bytes([_CONNACK << 4, 2, 0, 0]))
            assert _packet_kind(stream) == _PUBLISH  # online
            sink.close()
            kinds = list(iter(lambda: _packet_kind(stream), None))
    assert kinds == [_PUBLISH]  # offline; then the end, without DISCONNECT


_CONNECT, _CONNACK, _PUBLISH = 1, 2, 3


def _packet_kind(stream: IO[bytes]) -> int | None:
    """The type of the next MQTT packet (MQTT 3.1.1, section 2.2), None at the end of the connection."""
    head = stream.read(1)
    if not head:
        return None
    length, shift, more = 0, 0, True
    while more:
        byte = stream.read(1)[0]
        length |= (byte & 127) << shift
        shift, more = shift + 7, bool(byte & 128)
    stream.read(length)
    return head[0] >> 4


def test_a_broker_that_restarts_loses_no_record(tmp_path: Path) -> None:
    port = free_port()
    # The subscriber's session outlives the broker on disk, so only the agent could lose a record.
    lines = ["allow_anonymous true", "persistence true", f"persistence_location {tmp_path}/"]
    arguments = ["--mqtt", f"127.0.0.1:{port}", "--telemetry-interval", "0.2"]
    with running_agent(tmp_path / "state", *arguments) as agent, agent.stub() as stub, ExitStack() as stack:
        with running_broker(tmp_path, port=port, lines=lines):
            listener = stack.enter_context(_listening(port, session="tail"))
            assert listener.status().online
            first = listener.record().sequence
        stream = stub.StreamTelemetry(agent_pb2.StreamTelemetryRequest(), timeout=60)
        away = [next(stream).sequence for _ in range(5)]
        with running_broker(tmp_path, port=port, lines=lines):
            seen = {first}
            while max(seen) < away[-1] + 5:
                seen.add(listener.record().sequence)
    assert first < away[0]
    assert seen == set(range(first, max(seen) + 1))


def test_a_password_is_read_from_a_file(tmp_path: Path) -> None:
    passwords = tmp_path / "passwords"
    passwords.write_text(_password_line("board", "secret"))
    (tmp_path / "secret").write_text("secret\n")
    lines = ["allow_anonymous false", f"password_file {passwords}"]
    with running_broker(tmp_path, lines=lines) as port, _listening(port, user="board", password="secret") as listener:
        arguments = ["--mqtt", f"127.0.0.1:{port}", "--mqtt-user", "board"]
        with running_agent(tmp_path / "state", *arguments, "--mqtt-password-file", str(tmp_path / "secret")):
            assert listener.status().online


def test_mqtt_alone_needs_no_grpc(tmp_path: Path) -> None:
    with running_broker(tmp_path) as port, _listening(port) as listener:
        with running_agent(tmp_path / "state", "--mqtt", f"127.0.0.1:{port}", listen=None) as agent:
            assert agent.address == "None"
            assert listener.status().online
            assert listener.record().sequence >= 1
            mapped = Path(f"/proc/{agent.pid}/maps").read_text()
            assert "grpc" not in mapped
        assert not listener.status().online
    assert "Traceback" not in log_of(tmp_path / "state").read_text()


def _password_line(user: str, password: str) -> str:
    """A line of mosquitto's password file: PBKDF2 with SHA-512."""
    salt = b"0123456789ab"
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, 101)
    return f"{user}:$7$101${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}\n"
