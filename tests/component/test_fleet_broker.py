# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable

import paho.mqtt.client as mqtt
import pytest
from amqtt.broker import Broker
from edgectl.fleet.broker import EmbeddedBroker
from edgectl.fleet.payloads import MAX_PAYLOAD_BYTES, DeviceStatus
from edgectl.fleet.telemetry_tail import Malformed, TailEvent, _Inbox, tail_mqtt
from edgectl_protos.errors import AuthenticationError, UnreachableError, UsageError
from edgectl_protos.metrics import Metric, TelemetryRecord, record_to_message
from edgectl_protos.v1 import telemetry_pb2
from paho.mqtt.enums import CallbackAPIVersion


def record(sequence: int, device: str = "pi4") -> TelemetryRecord:
    return TelemetryRecord(device, "boot", sequence, 1, 2, (Metric("agent.rss", "bytes", 5.0),))


def status(*, online: bool) -> bytes:
    return bytes(telemetry_pb2.DeviceStatus(device="pi4", online=online, boot_id="boot").SerializeToString())


def publisher(broker: EmbeddedBroker, *, will: bytes | None = None) -> mqtt.Client:
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv311)
    if will is not None:
        client.will_set("edgectl/v1/pi4/status", will, qos=1, retain=True)
    client.connect(broker.host, broker.port)
    client.loop_start()
    return client


def tail(
    broker: EmbeddedBroker, count: int, *, publish: Callable[[], object], device: str | None = None
) -> list[tuple[str, TailEvent]]:
    """The next `count` events after `publish` was called with the subscription in place."""
    stop = threading.Event()
    events = []
    for event in tail_mqtt(broker.host, broker.port, stop=stop, device=device, on_subscribed=publish):
        events.append(event)
        if len(events) == count:
            stop.set()
    return events


def test_records_arrive_once_and_rubbish_is_counted() -> None:
    with EmbeddedBroker() as broker:
        client = publisher(broker)

        def publish() -> None:
            for payload in (record(1), record(1), record(2)):
                client.publish("edgectl/v1/pi4/telemetry", record_to_message(payload).SerializeToString(), qos=1)
            client.publish("edgectl/v1/pi4/telemetry", b"\xff\xff", qos=1)
            client.publish("edgectl/v1/pi5/telemetry", record_to_message(record(3)).SerializeToString(), qos=1)
            client.publish("edgectl/v1/pi4/telemetry", record_to_message(record(4)).SerializeToString(), qos=1)

        events = [event for _, event in tail(broker, 5, publish=publish)]
        client.disconnect()
        client.loop_stop()
    assert [event for event in events if isinstance(event, TelemetryRecord)] == [record(1), record(2), record(4)]
    malformed = [event for event in events if isinstance(event, Malformed)]
    assert [event.count for event in malformed] == [1, 2]
    assert "cannot be decoded" in malformed[0].reason


def test_a_payload_that_is_too_long_is_counted_and_never_queued() -> None:
    inbox = _Inbox()
    for _ in range(2):
        inbox.put("edgectl/v1/pi4/telemetry", bytes(MAX_PAYLOAD_BYTES + 1))
    assert inbox.messages.empty()
    inbox.put("edgectl/v1/pi4/telemetry", bytes(MAX_PAYLOAD_BYTES))
    assert inbox.messages.qsize() == 1
    with EmbeddedBroker() as broker:
        client = publisher(broker)

        def publish() -> None:
            client.publish("edgectl/v1/pi4/telemetry", bytes(MAX_PAYLOAD_BYTES + 1), qos=1)
            client.publish("edgectl/v1/pi4/telemetry", record_to_message(record(1)).SerializeToString(), qos=1)

        events = [event for _, event in tail(broker, 2, publish=publish)]
        client.disconnect()
        client.loop_stop()
    assert Malformed(f"longer than {MAX_PAYLOAD_BYTES} bytes", 1) in events
    assert record(1) in events


def test_the_birth_message_is_retained_and_the_will_follows_a_death() -> None:
    stop = threading.Event()
    seen: list[bool] = []
    with EmbeddedBroker() as broker:
        client = publisher(broker, will=status(online=False))
        client.publish("edgectl/v1/pi4/status", status(online=True), qos=1, retain=True).wait_for_publish(5)
        client.loop_stop()
        with client.socket() as connection:  # type: ignore[union-attr]
            for topic, event in tail_mqtt(broker.host, broker.port, stop=stop, device="pi4"):
                assert topic == "edgectl/v1/pi4/status"
                assert isinstance(event, DeviceStatus)
                seen.append(event.online)
                if event.online:
                    connection.shutdown(socket.SHUT_RDWR)  # without DISCONNECT, as a board that loses its power
                else:
                    stop.set()
    assert seen == [True, False]


def test_leaving_with_a_client_connected_leaves_no_thread_and_no_listener() -> None:
    with EmbeddedBroker() as broker:
        assert "edgectl-mqtt" in {thread.name for thread in threading.enumerate()}
        client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv311)
        client.connect(broker.host, broker.port)
    assert "edgectl-mqtt" not in {thread.name for thread in threading.enumerate()}
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((broker.host, broker.port), timeout=5).close()
    client.disconnect()


def test_it_listens_on_loopback_only() -> None:
    with EmbeddedBroker() as broker:
        assert broker.host == "127.0.0.1"
        other = socket.socket()
        with other:
            other.bind(("127.0.0.2", broker.port))  # taken, if it listened on every address


def test_a_taken_port_is_one_clear_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UnreachableError, match=f"cannot listen on 127.0.0.1:{port}"):
            EmbeddedBroker(port=port).__enter__()


@pytest.mark.parametrize("failure", [ValueError("odd"), RuntimeError("odd"), asyncio.CancelledError("odd")])
def test_whatever_keeps_it_from_starting_is_one_clear_error(
    monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    async def fail(_broker: Broker) -> None:
        raise failure

    monkeypatch.setattr(Broker, "start", fail)
    broker = EmbeddedBroker()
    with pytest.raises(UnreachableError, match=rf"cannot start \({type(failure).__name__}: odd\)"):
        broker.__enter__()
    assert broker.port == 0
    assert "edgectl-mqtt" not in {thread.name for thread in threading.enumerate() if thread.is_alive()}
    monkeypatch.undo()
    with broker:
        assert broker.port


def test_without_amqtt_it_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "amqtt", None)
    monkeypatch.setitem(__import__("sys").modules, "amqtt.broker", None)
    with pytest.raises(UsageError, match=r"pip install \"edgectl\[demo\]\""):
        EmbeddedBroker().__enter__()


def test_no_broker_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(UnreachableError, match=f"no MQTT broker at 127.0.0.1:{port}"):
        next(tail_mqtt("127.0.0.1", port, stop=threading.Event()))


def test_a_broker_that_refuses_is_a_matter_of_access() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def refuse() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1024)
                connection.sendall(bytes([0x20, 2, 0, 5]))  # CONNACK: not authorized
                connection.recv(1024)

        thread = threading.Thread(target=refuse)
        thread.start()
        with pytest.raises(AuthenticationError, match="refuses the subscription"):
            next(tail_mqtt("127.0.0.1", server.getsockname()[1], stop=threading.Event()))
        thread.join()
