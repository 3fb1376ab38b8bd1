# SPDX-License-Identifier: Apache-2.0
"""Telemetry as it arrives at an MQTT broker: subscribe, decode, leave out what came twice."""

from __future__ import annotations

import queue
import ssl
import threading
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgectl_protos.address import Address
from edgectl_protos.errors import AuthenticationError, EdgectlError, UnreachableError, UsageError
from edgectl_protos.topics import Channel, check_name, subscription

from edgectl.fleet.payloads import MAX_PAYLOAD_BYTES, DeviceStatus, MeasurementBlock, Payload, parse_payload

if TYPE_CHECKING:
    from paho.mqtt.client import Client

_CONNECT_SECONDS = 5.0
_POLL_SECONDS = 0.1
_QUEUE_MESSAGES = 1_000  # of at most MAX_PAYLOAD_BYTES: 256 MB at the very worst
_REMEMBERED = 4_096


@dataclass(frozen=True, slots=True)
class Malformed:
    """A message that was left out: why, and how many there have been since the tail began."""

    reason: str
    count: int


@dataclass(frozen=True, slots=True)
class BrokerAccess:
    """How to get in: an account where the broker has them, and the PEM file of the authority behind its certificate."""

    user: str | None = None
    password: str | None = field(default=None, repr=False)
    authority: Path | None = None


TailEvent = Payload | Malformed


def tail_mqtt(
    host: str,
    port: int,
    *,
    stop: threading.Event,
    device: str | None = None,
    access: BrokerAccess | None = None,
    on_subscribed: Callable[[], object] | None = None,
) -> Generator[tuple[str, TailEvent], None, None]:
    """(topic, event) for every message, until `stop` is set. paho connects again by itself after an interruption.

    With `device`, only its messages. `on_subscribed` is called once the broker has confirmed the subscriptions: what
    is published from then on is seen.

    Raises:
        UnreachableError: no broker answers there.
        AuthenticationError: the broker refuses this client, or is not the one that `access` trusts.
        UsageError: `device` is no valid name, or the broker is elsewhere and `access` names no authority.
    """
    if device is not None:
        check_name(device, what="device name")
    given = access or BrokerAccess()
    if given.authority is None and not Address(host, port).loopback:
        raise UsageError(
            f"the MQTT broker {Address(host, port)} without an authority",
            expected="TLS with every broker that is not on this machine",
            action="give the PEM file of the authority that signed the broker's certificate",
        )
    inbox = _Inbox()
    client = _client(device, inbox)
    _secure(client, given)
    try:
        _connect(client, host, port)
        client.loop_start()
        _await_subscription(inbox, f"{host}:{port}")
        if on_subscribed is not None:
            on_subscribed()
        yield from _events(inbox, stop)
    finally:
        client.disconnect()
        client.loop_stop()


class _Inbox:
    """What paho's thread hands over. It never waits: beyond the bounds, messages are dropped and counted."""

    def __init__(self) -> None:
        self.messages: queue.Queue[tuple[str, bytes]] = queue.Queue(_QUEUE_MESSAGES)
        self.dropped = 0
        self.oversize = 0
        self.answered = threading.Event()
        self.refusal = ""

    def put(self, topic: str, payload: bytes) -> None:
        if len(payload) > MAX_PAYLOAD_BYTES:
            self.oversize += 1
            return
        try:
            self.messages.put_nowait((topic, payload))
        except queue.Full:
            self.dropped += 1


def _client(device: str | None, inbox: _Inbox) -> Client:
    from paho.mqtt.client import Client, MQTTv311
    from paho.mqtt.enums import CallbackAPIVersion

    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv311)
    client.connect_timeout = _CONNECT_SECONDS
    filters = [(subscription(channel, device=device), 1) for channel in Channel]

    def connected(client: Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            inbox.refusal = str(reason)
            inbox.answered.set()
        else:
            client.subscribe(filters)

    def subscribed(_client: Client, _data: Any, _message: int, reasons: list[Any], _properties: Any) -> None:
        refused = [str(reason) for reason in reasons if reason.is_failure]
        inbox.refusal = refused[0] if refused else ""
        inbox.answered.set()

    def received(_client: Client, _data: Any, message: Any) -> None:
        inbox.put(message.topic, message.payload)

    client.on_connect = connected
    client.on_subscribe = subscribed
    client.on_message = received
    return client


def _secure(client: Client, access: BrokerAccess) -> None:
    if access.user is not None:
        client.username_pw_set(access.user, access.password)
    if access.authority is None:
        return
    try:
        client.tls_set(ca_certs=str(access.authority))
    except OSError as error:
        raise UsageError(
            f"{access.authority} cannot be used ({error})",
            expected="a PEM file with the certificate of the broker's authority",
            action="correct the path",
        ) from error


def _connect(client: Client, host: str, port: int) -> None:
    try:
        client.connect(host, port)
    except ssl.SSLError as error:
        raise AuthenticationError(
            f"no trust in the MQTT broker at {host}:{port} ({error.reason or error})",
            expected="a certificate for that name, signed by the authority given",
            action="correct the authority or the broker's name, and check that the port speaks TLS",
        ) from error
    except (OSError, ValueError) as error:
        raise UnreachableError(
            f"no MQTT broker at {host}:{port} ({error})",
            expected="a broker that listens there",
            action="start one, or correct the address",
        ) from error


def _await_subscription(inbox: _Inbox, where: str) -> None:
    if not inbox.answered.wait(_CONNECT_SECONDS):
        raise UnreachableError(
            f"{where} accepts connections and does not answer MQTT",
            expected=f"an answer within {_CONNECT_SECONDS:g} s",
            action="check that this is the broker's plain MQTT port",
        )
    if inbox.refusal:
        raise AuthenticationError(
            f"the MQTT broker at {where} refuses the subscription ({inbox.refusal})",
            expected="read access to edgectl/v1/#",
            action="correct the broker's access rules",
        )


def _events(inbox: _Inbox, stop: threading.Event) -> Iterator[tuple[str, TailEvent]]:
    seen = _Seen()
    malformed = 0
    dropped = 0
    oversize = 0
    while not stop.is_set():
        if inbox.dropped > dropped:
            malformed += inbox.dropped - dropped
            dropped = inbox.dropped
            yield "", Malformed("the reader is too slow: messages were dropped", malformed)
        if inbox.oversize > oversize:
            malformed += inbox.oversize - oversize
            oversize = inbox.oversize
            yield "", Malformed(f"longer than {MAX_PAYLOAD_BYTES} bytes", malformed)
        try:
            topic, payload = inbox.messages.get(timeout=_POLL_SECONDS)
        except queue.Empty:
            continue
        try:
            _, value = parse_payload(topic, payload)
        except EdgectlError as error:
            malformed += 1
            yield topic, Malformed(error.message, malformed)
            continue
        if seen.is_new(value):
            yield topic, value


class _Seen:
    """Leaves out repeats: QoS 1 may deliver twice, and some brokers send a retained message twice.

    Blocks of a measurement come with QoS 0, and nothing names one for good.
    """

    def __init__(self) -> None:
        self._records: dict[tuple[str, str, int], None] = {}
        self._statuses: dict[str, DeviceStatus] = {}

    def is_new(self, value: Payload) -> bool:
        if isinstance(value, MeasurementBlock):
            return True
        if isinstance(value, DeviceStatus):
            known = self._statuses.pop(value.device, None) == value
            self._statuses[value.device] = value
            _forget_oldest(self._statuses)
            return not known
        key = (value.device, value.boot_id, value.sequence)
        known = key in self._records
        self._records[key] = None
        _forget_oldest(self._records)
        return not known


def _forget_oldest(entries: dict[Any, Any]) -> None:
    """Keep memory bounded, whatever names are published."""
    if len(entries) > _REMEMBERED:
        del entries[next(iter(entries))]
