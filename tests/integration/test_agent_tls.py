# SPDX-License-Identifier: Apache-2.0
"""Mutual TLS of a real agent: only a client certificate of the lab's authority gets in."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from edgectl.fleet.authority import Authority
from edgectl.fleet.names import device_server_name
from edgectl_protos import PROTOCOL_VERSION
from edgectl_protos.v1 import agent_pb2, agent_pb2_grpc

from tests.agents import RunningAgent, refused_agent, running_agent


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.open_or_create(tmp_path / "authority", _now)


@pytest.fixture
def agent(tmp_path: Path, authority: Authority) -> Iterator[RunningAgent]:
    identity = authority.issue_device("board", tmp_path / "devices")
    with running_agent(tmp_path / "state", "--identity", str(identity), listen="0.0.0.0:0") as running:
        yield running


def _greet(agent: RunningAgent, credentials: grpc.ChannelCredentials, *, server: str = "board") -> str:
    address = agent.address.replace("0.0.0.0", "127.0.0.1")
    options = [("grpc.ssl_target_name_override", device_server_name(server)), ("grpc.enable_http_proxy", 0)]
    with grpc.secure_channel(address, credentials, options=options) as channel:
        stub = agent_pb2_grpc.AgentStub(channel)  # type: ignore[no-untyped-call]
        return str(stub.Hello(agent_pb2.HelloRequest(protocol=PROTOCOL_VERSION), timeout=20).device)


def _refused(agent: RunningAgent, credentials: grpc.ChannelCredentials, *, server: str = "board") -> None:
    with pytest.raises(grpc.RpcError) as refused:
        _greet(agent, credentials, server=server)
    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
    assert agent.process.poll() is None


def _host_credentials(authority: Authority) -> grpc.ChannelCredentials:
    host = authority.host_credentials()
    return grpc.ssl_channel_credentials(host.authority, host.key, host.certificate)


def test_the_labs_host_gets_in(agent: RunningAgent, authority: Authority) -> None:
    assert _greet(agent, _host_credentials(authority)) == "board"


def test_a_client_without_a_certificate_is_refused(agent: RunningAgent, authority: Authority) -> None:
    _refused(agent, grpc.ssl_channel_credentials(authority.host_credentials().authority))


def test_another_devices_certificate_is_refused(agent: RunningAgent, authority: Authority, tmp_path: Path) -> None:
    folder = authority.issue_device("thief", tmp_path / "devices")
    device = grpc.ssl_channel_credentials(
        *((folder / name).read_bytes() for name in ("ca.pem", "device.key", "device.pem"))
    )
    _refused(agent, device)
    assert _greet(agent, _host_credentials(authority)) == "board"


def test_a_host_of_another_lab_is_refused(agent: RunningAgent, authority: Authority, tmp_path: Path) -> None:
    ours = authority.host_credentials()
    theirs = Authority.open_or_create(tmp_path / "other", _now).host_credentials()
    _refused(agent, grpc.ssl_channel_credentials(ours.authority, theirs.key, theirs.certificate))


def test_an_agent_is_known_by_its_name_alone(agent: RunningAgent, authority: Authority) -> None:
    _refused(agent, _host_credentials(authority), server="another")


@pytest.mark.parametrize("name", ["ca.pem", "device.pem", "device.key"])
@pytest.mark.parametrize("kept", [0, 100])
def test_a_damaged_identity_is_named_in_one_line(tmp_path: Path, authority: Authority, name: str, kept: int) -> None:
    identity = authority.issue_device("board", tmp_path / "devices")
    (identity / name).write_bytes((identity / name).read_bytes()[:kept])
    refused = refused_agent(tmp_path / "state", "--listen", "127.0.0.1:0", "--identity", str(identity))
    assert (refused.returncode, refused.stdout) == (2, "")
    assert f"{identity / name} is damaged" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1


def test_an_address_of_another_machine_is_called_that(tmp_path: Path, authority: Authority) -> None:
    identity = str(authority.issue_device("board", tmp_path / "devices"))
    refused = refused_agent(tmp_path / "state", "--listen", "192.0.2.1:0", "--identity", identity)
    assert refused.returncode == 2
    assert "192.0.2.1 is not an address of this machine" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1


def test_plain_text_is_refused(agent: RunningAgent) -> None:
    with grpc.insecure_channel(agent.address.replace("0.0.0.0", "127.0.0.1")) as channel:
        stub = agent_pb2_grpc.AgentStub(channel)  # type: ignore[no-untyped-call]
        with pytest.raises(grpc.RpcError) as refused:
            stub.Hello(agent_pb2.HelloRequest(protocol=PROTOCOL_VERSION), timeout=20)
    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
