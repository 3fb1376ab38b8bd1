# SPDX-License-Identifier: Apache-2.0
"""Looks at what the agent speaks through: the port it listens on, and the broker it dials."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import time
from pathlib import Path
from typing import Any

from edgectl_protos.address import Address

from edgectl_agent.configuration import MqttSettings
from edgectl_agent.doctor.facts import BrokerFacts, PortFacts
from edgectl_agent.resident import without_urllib_request

RESOLVE, CONNECT, TRUST, SIGN_IN, FILES = "resolve", "connect", "trust", "sign in", "files"
"""The steps to a broker, by which the rule says what to do."""

_LISTENING = "0A"
_PORT = re.compile(r":([0-9A-Fa-f]{4})\Z")
_BROKER_SECONDS = 5.0


def read_port(listen: Address | None, state: Path, *, proc: Path = Path("/proc")) -> PortFacts:
    """Whether somebody listens on the port, and whether an agent holds the state folder."""
    return PortFacts(
        listen=listen,
        listening=listen is not None and listen.port in listening_ports(_sockets(proc)),
        agent_running=_holds(state / "owner.lock", _text(proc / "locks")),
    )


def listening_ports(tables: str) -> set[int]:
    """The ports in state LISTEN in /proc/net/tcp and tcp6."""
    rows = (line.split() for line in tables.splitlines())
    found = (_PORT.search(row[1]) for row in rows if len(row) > 3 and row[3] == _LISTENING)
    return {int(match[1], 16) for match in found if match is not None}


def ask_broker(settings: MqttSettings | None, device: str) -> BrokerFacts:
    """Connect as the agent would, under a name of its own, and go again."""
    if settings is None:
        return BrokerFacts(None, encrypted=False, failure="")
    step, failure = CONNECT, ""
    try:
        _reach(settings)
        failure, step = _sign_in(settings, device)
    except socket.gaierror as error:
        step, failure = RESOLVE, error.strerror or "no such host"
    except ssl.SSLError as error:
        step, failure = TRUST, getattr(error, "verify_message", "") or error.reason or str(error)
    except TimeoutError:
        failure = f"no answer within {_BROKER_SECONDS:g} s"
    except OSError as error:
        failure = error.strerror or str(error)
    return BrokerFacts(settings.broker, encrypted=settings.authority is not None, failure=failure, step=step)


def _reach(settings: MqttSettings) -> None:
    """Open a connection, and over TLS where there is an authority, and close it. Raises OSError."""
    where = (settings.broker.host, settings.broker.port)
    with socket.create_connection(where, timeout=_BROKER_SECONDS) as connection:
        if settings.authority is not None and settings.authority.exists():
            context = ssl.create_default_context(cafile=settings.authority)
            with context.wrap_socket(connection, server_hostname=settings.broker.host):
                pass


def _sign_in(settings: MqttSettings, device: str) -> tuple[str, str]:
    """Why the broker does not take us ("": it does), and at which step."""
    with without_urllib_request():
        import paho.mqtt.client as mqtt
        from paho.mqtt.enums import CallbackAPIVersion

    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=f"edgectl-{device}-doctor")
    client.connect_timeout = _BROKER_SECONDS
    try:
        if settings.user is not None:
            password = settings.password_file.read_text().rstrip("\n") if settings.password_file else None
            client.username_pw_set(settings.user, password)
        if settings.authority is not None:
            client.tls_set(ca_certs=str(settings.authority), tls_version=ssl.PROTOCOL_TLS_CLIENT)
    except (OSError, ValueError) as error:
        return f"{getattr(error, 'filename', None) or settings.authority}: {error}", FILES
    answers: list[str] = []

    def answered(_client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        answers.append(str(reason) if reason.is_failure else "")

    client.on_connect = answered
    client.connect(settings.broker.host, settings.broker.port, keepalive=10)
    deadline = time.monotonic() + _BROKER_SECONDS
    while not answers and client.loop(timeout=0.2) == mqtt.MQTT_ERR_SUCCESS and time.monotonic() < deadline:
        pass
    with contextlib.suppress(OSError, ValueError):
        client.disconnect()
    return answers[0] if answers else "it closed the connection, or kept silent", SIGN_IN


def _sockets(proc: Path) -> str:
    return _text(proc / "net/tcp") + _text(proc / "net/tcp6")


def _holds(lock: Path, locks: str) -> bool | None:
    """Whether a process holds the lock file; None where that cannot be told."""
    try:
        inode = lock.stat().st_ino
    except FileNotFoundError:
        return False
    except OSError:
        return None
    places = (line.split() for line in locks.splitlines() if " FLOCK " in line)
    return any(len(words) > 5 and words[5].rpartition(":")[2] == str(inode) for words in places)


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
