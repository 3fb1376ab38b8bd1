# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import datetime as dt
import subprocess
import threading
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID
from edgectl.fleet import certificates
from edgectl.fleet.authority import utc_now
from edgectl.fleet.payloads import DeviceStatus, MeasurementBlock
from edgectl.fleet.telemetry_tail import BrokerAccess, tail_mqtt
from edgectl.lab.client import AgentClient
from edgectl.lab.local import LocalAgent
from edgectl.lab.protocol import SHORT
from edgectl_protos.errors import AuthenticationError, UsageError
from edgectl_protos.metrics import TelemetryRecord

from tests.agents import eventually, running_agent, running_broker
from tests.program_bundles import make_bundle, program_directory
from tests.programs import small_cnn_program


def test_birth_records_and_last_will_of_a_real_agent_through_mosquitto(tmp_path: Path) -> None:
    stop = threading.Event()
    seen: list[str] = []
    with (
        running_broker(tmp_path / "broker") as port,
        running_agent(
            tmp_path / "board", "--mqtt", f"127.0.0.1:{port}", "--telemetry-interval", "0.2", device="pi4"
        ) as agent,
    ):
        for topic, event in tail_mqtt("127.0.0.1", port, stop=stop):
            assert topic.startswith("edgectl/v1/pi4/")
            if isinstance(event, DeviceStatus):
                seen.append("online" if event.online else "offline")
            elif isinstance(event, TelemetryRecord) and seen[-1] != "record":
                seen.append("record")
                agent.kill()
            if seen[-1] == "offline":
                stop.set()
    assert seen == ["online", "record", "offline"]


def test_only_the_device_asked_for_is_heard(tmp_path: Path) -> None:
    stop = threading.Event()
    with (
        running_broker(tmp_path / "broker") as port,
        LocalAgent(tmp_path / "a", device="pi4", mqtt=("127.0.0.1", port), telemetry_interval=0.2),
        LocalAgent(tmp_path / "b", device="pi5", mqtt=("127.0.0.1", port), telemetry_interval=0.2),
    ):
        heard = set()
        for count, (_, event) in enumerate(tail_mqtt("127.0.0.1", port, stop=stop, device="pi5")):
            assert isinstance(event, TelemetryRecord | DeviceStatus)
            heard.add(event.device)
            if count == 5:
                stop.set()
    assert heard == {"pi5"}


def test_a_broker_with_accounts_refuses_a_stranger(tmp_path: Path) -> None:
    with (
        running_broker(tmp_path / "broker", lines=["allow_anonymous false"]) as port,
        pytest.raises(AuthenticationError, match="refuses the subscription"),
    ):
        next(tail_mqtt("127.0.0.1", port, stop=threading.Event()))


def broker_certificate(directory: Path) -> Path:
    """A self-signed certificate for 127.0.0.1, with its key beside it."""
    key = certificates.new_key()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "broker")])
    now = utc_now()
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now - dt.timedelta(days=1), now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (directory / "broker.key").write_bytes(certificates.key_pem(key))
    (directory / "broker.pem").write_bytes(certificates.certificate_pem(certificate))
    return directory / "broker.pem"


# paho leaves the socket of a failed handshake to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_account_over_tls_is_let_in_and_only_with_the_right_authority(tmp_path: Path) -> None:
    authority = broker_certificate(tmp_path)
    passwords = tmp_path / "passwords"
    subprocess.run(["mosquitto_passwd", "-b", "-c", str(passwords), "edgectl", "secret"], check=True)
    lines = [
        "allow_anonymous false",
        f"password_file {passwords}",
        f"certfile {authority}",
        f"keyfile {tmp_path / 'broker.key'}",
    ]
    subscribed = threading.Event()
    with running_broker(tmp_path / "broker", lines=lines) as port:

        def tail(access: BrokerAccess) -> None:
            stop = threading.Event()

            def leave() -> None:
                subscribed.set()
                stop.set()

            assert list(tail_mqtt("127.0.0.1", port, stop=stop, access=access, on_subscribed=leave)) == []

        tail(BrokerAccess("edgectl", "secret", authority))
        assert subscribed.is_set()
        with pytest.raises(AuthenticationError, match="refuses the subscription"):
            tail(BrokerAccess("edgectl", "wrong", authority))
        stranger = tmp_path / "stranger"
        stranger.mkdir()
        with pytest.raises(AuthenticationError, match="no trust in the MQTT broker"):
            tail(BrokerAccess("edgectl", "secret", broker_certificate(stranger)))
        with pytest.raises(UsageError, match="cannot be used"):
            tail(BrokerAccess("edgectl", "secret", tmp_path / "none.pem"))


def test_a_broker_elsewhere_is_never_dialled_in_plain_text() -> None:
    with pytest.raises(UsageError, match="expected TLS"):
        next(tail_mqtt("192.0.2.1", 1883, stop=threading.Event()))


def test_blocks_of_a_real_benchmark_come_through_mosquitto_while_it_runs(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path, small_cnn_program(program_directory()), name="cnn")
    stop, subscribed = threading.Event(), threading.Event()
    heard: list[MeasurementBlock] = []

    def listen(port: int) -> None:
        for topic, event in tail_mqtt("127.0.0.1", port, stop=stop, device="pi4", on_subscribed=subscribed.set):
            if isinstance(event, MeasurementBlock):
                assert topic == "edgectl/v1/pi4/measurement"
                heard.append(event)

    with (
        running_broker(tmp_path / "broker") as port,
        LocalAgent(tmp_path / "board", device="pi4", mqtt=("127.0.0.1", port)) as agent,
        AgentClient(agent.address) as client,
    ):
        listener = threading.Thread(target=listen, args=(port,))
        listener.start()
        try:
            assert subscribed.wait(10)
            placed = client.put_bundle(bundle.path)
            waiting: list[int] = []
            measured = client.benchmark("cnn", placed.digest, SHORT, on_block=lambda _: waiting.append(len(heard)))
            eventually(lambda: len(heard) >= len(waiting))
        finally:
            stop.set()
            listener.join()
    assert waiting[-1] > 0  # the first were there before the last was timed
    chosen = [block for block in heard if not block.reference and block.attempt == len(measured.attempts) - 1]
    assert [block.index for block in chosen] == list(range(SHORT.blocks))
    assert {(block.model, block.digest) for block in heard} == {("cnn", placed.digest)}
    assert all(block.rss_bytes for block in heard)
    if measured.quality == "ok":  # otherwise an attempt before the last may be the one that was chosen
        assert [block.runs for block in chosen] == list(measured.block_sizes)
        assert measured.samples[: chosen[0].runs][:4096] == chosen[0].samples_ms
