# SPDX-License-Identifier: Apache-2.0
"""`edgectl telemetry tail --mqtt` on the embedded broker, with records that come from elsewhere."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from edgectl.cli.main import run
from edgectl.fleet.broker import EmbeddedBroker
from edgectl_protos.metrics import Metric, TelemetryRecord, record_to_message
from edgectl_protos.topics import Channel, Topic
from edgectl_protos.v1 import telemetry_pb2
from paho.mqtt.client import Client, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion


def _record(device: str, sequence: int) -> bytes:
    metrics = (Metric("board.cpu", "percent", 3.0),)
    record = TelemetryRecord(device, "boot", sequence, sequence, sequence, metrics)
    return record_to_message(record).SerializeToString()


def _block(device: str, *, p50_ms: float = 4.25) -> bytes:
    message = telemetry_pb2.MeasurementBlock(
        device=device,
        model="cnn",
        digest="a" * 64,
        index=2,
        runs=1,
        samples_ms=[4.25],
        p50_ms=p50_ms,
        rss_bytes=1 << 20,
    )
    return message.SerializeToString()


@contextmanager
def _publishing(broker: EmbeddedBroker) -> Iterator[None]:
    """A board that came online, and records of it and of another, ten times a second, one of them damaged.

    Between its records the board sends the same block of a measurement again and again, and one that cannot be.
    """
    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv311)
    client.connect(broker.host, broker.port)
    client.loop_start()
    status = telemetry_pb2.DeviceStatus(device="pi4", online=True, boot_id="boot", agent_version="0.1.0")
    client.publish(str(Topic("pi4", Channel.STATUS)), status.SerializeToString(), qos=1, retain=True)
    done = threading.Event()

    def publish() -> None:
        sequence = 0
        while not done.wait(0.1):
            sequence += 1
            client.publish(
                str(Topic("pi4", Channel.TELEMETRY)), b"\xff\xff" if sequence == 1 else _record("pi4", sequence)
            )
            client.publish(str(Topic("pi4", Channel.MEASUREMENT)), _block("pi4", p50_ms=-1 if sequence == 1 else 4.25))
            client.publish(str(Topic("pi5", Channel.TELEMETRY)), _record("pi5", sequence))

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        client.disconnect()
        client.loop_stop()


def test_tail_of_a_broker_shows_status_and_records_of_one_device(capsys: pytest.CaptureFixture[str]) -> None:
    with EmbeddedBroker() as broker, _publishing(broker):
        words = ["telemetry", "tail", "--mqtt", f"{broker.host}:{broker.port}", "--count", "3", "--seconds", "30"]
        assert run([*words, "--device", "pi4", "-o", "json"], environ=os.environ) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [event["device"] for event in events if event["kind"] == "status"] == ["pi4"]
    records = [event for event in events if event["kind"] == "record"]
    assert len(records) == 3
    assert {record["device"] for record in records} == {"pi4"}


def test_tail_of_a_broker_without_a_device_shows_all(capsys: pytest.CaptureFixture[str]) -> None:
    with EmbeddedBroker() as broker, _publishing(broker):
        words = ["telemetry", "tail", "--mqtt", f"{broker.host}:{broker.port}", "--count", "6", "--seconds", "30"]
        assert run(words, environ=os.environ) == 0
    out = capsys.readouterr().out
    assert "pi4 #" in out
    assert "pi5 #" in out
    assert "pi4 online, agent 0.1.0" in out


def test_blocks_of_a_measurement_are_shown_each_time_and_not_counted(capsys: pytest.CaptureFixture[str]) -> None:
    with EmbeddedBroker() as broker, _publishing(broker):
        words = ["telemetry", "tail", "--mqtt", f"{broker.host}:{broker.port}", "--count", "4", "--seconds", "30"]
        assert run([*words, "--device", "pi4", "-o", "json"], environ=os.environ) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    kinds = [event["kind"] for event in events]
    assert kinds.count("record") == 4
    blocks = [event for event in events if event["kind"] == "block"]
    assert len(blocks) >= 3  # alike as they are
    assert (blocks[0]["device"], blocks[0]["index"], blocks[0]["samples_ms"]) == ("pi4", 2, [4.25])


def test_a_block_is_a_line_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    with EmbeddedBroker() as broker, _publishing(broker):
        words = ["telemetry", "tail", "--mqtt", f"{broker.host}:{broker.port}", "--count", "4", "--seconds", "30"]
        assert run(words, environ=os.environ) == 0
    assert "pi4 cnn attempt 1 block 3: p50 4.250 ms over 1 runs, 1.0 MiB\n" in capsys.readouterr().out
