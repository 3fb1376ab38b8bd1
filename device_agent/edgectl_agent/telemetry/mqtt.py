# SPDX-License-Identifier: Apache-2.0
"""Telemetry over MQTT 3.1.1: a retained status that is true even when the agent is not there, and the records.

Status: QoS 1, retained; `online` at every connection, `offline` on a clean end, and the same as last will. Records go
with QoS 1, so that a broker's restart loses none of the `QUEUE_RECORDS` that paho holds in memory; a reader sees a
repeated record by its sequence. MQTT is transport, not durability: what does not fit the queue is dropped, and shows
as a gap in the sequence.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import ssl
import time
from typing import TYPE_CHECKING, Any

from edgectl_protos.errors import UsageError
from edgectl_protos.metrics import TelemetryRecord, record_to_message
from edgectl_protos.topics import Channel, Topic
from edgectl_protos.v1 import telemetry_pb2

from edgectl_agent.clock import Clock
from edgectl_agent.configuration import MqttSettings
from edgectl_agent.measure.acceptance import median
from edgectl_agent.resident import without_urllib_request

if TYPE_CHECKING:
    from edgectl_agent.measure.session import MeasuredBlock

with without_urllib_request():
    import paho.mqtt.client as mqtt
    from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

QUEUE_RECORDS = 600
KEEPALIVE_SECONDS = 20
_LONGEST_RECONNECT_SECONDS = 30
_GOODBYE_SECONDS = 2.0
_MAX_SAMPLES = 4096
_log = logging.getLogger(__name__)


class MqttSink:
    """A connection to the broker, kept by paho's own thread, which connects again by itself.

    `publish` may be called from any thread and never waits.
    """

    def __init__(self, settings: MqttSettings, *, device: str, boot_id: str, version: str, clock: Clock) -> None:
        """Prepare; `start` connects.

        Raises:
            UsageError: the password or the certificate authority cannot be read.
        """
        self._settings = settings
        self._device = device
        self._boot_id = boot_id
        self._version = version
        self._clock = clock
        self._status_topic = str(Topic(device, Channel.STATUS))
        self._telemetry_topic = str(Topic(device, Channel.TELEMETRY))
        self._measurement_topic = str(Topic(device, Channel.MEASUREMENT))
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=f"edgectl-{device}", protocol=MQTTProtocolVersion.MQTTv311
        )
        self._client.max_queued_messages_set(QUEUE_RECORDS)
        self._client.reconnect_delay_set(1, _LONGEST_RECONNECT_SECONDS)
        self._client.will_set(self._status_topic, self._status(online=False), qos=1, retain=True)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._authenticate()

    def start(self) -> None:
        """Connect in the background; a broker that is not there yet is tried again."""
        self._client.connect_async(self._settings.broker.host, self._settings.broker.port, keepalive=KEEPALIVE_SECONDS)
        self._client.loop_start()

    def publish(self, record: TelemetryRecord) -> None:
        payload = record_to_message(record).SerializeToString()
        result = self._client.publish(self._telemetry_topic, payload, qos=1)
        if result.rc == mqtt.MQTT_ERR_QUEUE_SIZE:
            _log.warning("telemetry record %d dropped: the queue to the broker is full", record.sequence)

    def publish_block(self, model: str, digest: str, block: MeasuredBlock) -> None:
        """Pass on a block of a measurement under way; one that the broker does not take is left out."""
        message = telemetry_pb2.MeasurementBlock(
            device=self._device,
            boot_id=self._boot_id,
            model=model,
            digest=digest,
            attempt=block.attempt,
            index=block.index,
            reference=block.reference,
            runs=len(block.samples_ms),
            samples_ms=block.samples_ms[:_MAX_SAMPLES],
            p50_ms=median(block.samples_ms),
            rss_bytes=block.rss_bytes,
            wall_ns=self._clock.wall_ns(),
        )
        self._client.publish(self._measurement_topic, message.SerializeToString(), qos=0)

    def close(self) -> None:
        """Say offline, wait shortly for the broker to have it, and disconnect. Blocks: call it in a thread.

        A broker discards the last will of a client that disconnects in due form. Where it has not acknowledged the
        goodbye, the connection is dropped instead, and the will says it.
        """
        if not self._client.is_connected() or self._say_offline():
            self._client.disconnect()
        else:
            self._drop()
        self._client.loop_stop()

    def _say_offline(self) -> bool:
        """Whether the broker acknowledged it in time."""
        goodbye = self._client.publish(self._status_topic, self._status(online=False), qos=1, retain=True)
        deadline = time.monotonic() + _GOODBYE_SECONDS
        while not goodbye.is_published() and self._client.is_connected() and time.monotonic() < deadline:
            time.sleep(0.01)
        return goodbye.is_published()

    def _drop(self) -> None:
        """Cut the connection. paho waits before it connects again, and `loop_stop` ends it meanwhile."""
        connection = self._client.socket()
        if connection is not None:
            # Through a second descriptor: paho's thread is still at work with its own, perhaps inside TLS.
            with contextlib.suppress(OSError), socket.socket(fileno=os.dup(connection.fileno())) as twin:
                twin.shutdown(socket.SHUT_RDWR)

    def _authenticate(self) -> None:
        settings = self._settings
        try:
            if settings.user is not None:
                password = settings.password_file.read_text().rstrip("\n") if settings.password_file else None
                self._client.username_pw_set(settings.user, password)
            if settings.authority is not None:
                self._client.tls_set(ca_certs=str(settings.authority), tls_version=ssl.PROTOCOL_TLS_CLIENT)
        except (OSError, ValueError) as error:
            raise UsageError(f"MQTT credentials cannot be read ({error})", action="check the files given") from error

    def _status(self, *, online: bool) -> bytes:
        status = telemetry_pb2.DeviceStatus(
            device=self._device,
            online=online,
            boot_id=self._boot_id,
            agent_version=self._version,
            wall_ns=self._clock.wall_ns(),
        )
        return status.SerializeToString()

    def _on_connect(self, client: mqtt.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            _log.warning("the MQTT broker refuses: %s", reason)
            return
        client.publish(self._status_topic, self._status(online=True), qos=1, retain=True)

    def _on_disconnect(self, _client: mqtt.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            _log.warning("the MQTT broker is gone: %s", reason)
