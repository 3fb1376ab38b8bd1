# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from edgectl.config import Paths
from edgectl.fleet.authority import Authority, HostCredentials, utc_now
from edgectl.fleet.inventory import Device, inventory_of
from edgectl.lab.client import AgentClient, Security
from edgectl.lab.devices import open_device
from edgectl_protos.errors import AuthenticationError, EdgectlError, UnreachableError
from edgectl_protos.v1 import agent_pb2, agent_pb2_grpc

from tests.agents import RunningAgent, free_port, running_agent


@dataclasses.dataclass(frozen=True)
class Lab:
    """A real agent that demands mutual TLS, and the authority that made its identity."""

    paths: Paths
    authority: Authority
    identity: Path
    agent: RunningAgent

    def client(self, credentials: HostCredentials, *, device: str = "board") -> AgentClient:
        return AgentClient(self.agent.address, security=Security(credentials, device))


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    root = tmp_path_factory.mktemp("lab")
    paths = Paths(root / "config", root / "state", root / "cache")
    authority = Authority.open_or_create(paths.config / "authority", utc_now)
    identity = authority.issue_device("board", paths.config / "identities")
    with running_agent(root / "agent", "--identity", str(identity), device="board") as agent:
        inventory_of(paths).add(Device("board", agent.address, identity=identity))
        yield Lab(paths, authority, identity, agent)


@contextlib.contextmanager
def refused() -> Iterator[None]:
    """One clear error of trust, and the agent is asked nothing."""
    with pytest.raises(AuthenticationError, match="certificate") as caught:
        yield
    assert type(caught.value) is AuthenticationError
    assert "127.0.0.1:" in caught.value.message


def test_the_host_that_added_the_device_opens_it_by_name(lab: Lab) -> None:
    with open_device("board", paths=lab.paths) as client:
        assert client.info.name == "board"


def test_plain_text_is_refused(lab: Lab) -> None:
    with AgentClient(lab.agent.address) as client, pytest.raises(UnreachableError, match="want mutual TLS"):
        client.hello()


def test_nobody_at_the_address_is_unreachable_and_no_matter_of_trust(lab: Lab) -> None:
    security = Security(lab.authority.host_credentials(), "board")
    with (
        AgentClient(f"127.0.0.1:{free_port()}", security=security) as client,
        pytest.raises(UnreachableError, match="is edge-agent running"),
    ):
        client.hello()


def test_a_trusted_agent_that_stops_later_is_unreachable(lab: Lab, tmp_path: Path) -> None:
    with running_agent(tmp_path / "agent", "--identity", str(lab.identity), device="board") as agent:
        security = Security(lab.authority.host_credentials(), "board")
        with AgentClient(agent.address, security=security) as client:
            records = client.telemetry()
            next(records)
            agent.kill()
            with pytest.raises(UnreachableError):
                list(records)


def test_a_client_without_a_certificate_is_refused(lab: Lab) -> None:
    """Straight gRPC, since our client cannot be made without one."""
    credentials = grpc.ssl_channel_credentials(lab.authority.host_credentials().authority)
    options = (("grpc.ssl_target_name_override", "board.device.edgectl"),)
    with grpc.secure_channel(lab.agent.address, credentials, options=options) as channel:
        stub = agent_pb2_grpc.AgentStub(channel)  # type: ignore[no-untyped-call]
        with pytest.raises(grpc.RpcError) as caught:
            stub.Hello(agent_pb2.HelloRequest(protocol=1), timeout=10)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


def test_a_certificate_of_another_authority_is_refused(lab: Lab, tmp_path: Path) -> None:
    other = Authority.open_or_create(tmp_path / "other", utc_now).host_credentials()
    ours = lab.authority.host_credentials().authority
    with lab.client(dataclasses.replace(other, authority=ours)) as client, refused():
        client.hello()


def test_a_device_of_another_authority_is_not_trusted(lab: Lab, tmp_path: Path) -> None:
    other = Authority.open_or_create(tmp_path / "other", utc_now).host_credentials()
    with lab.client(other) as client, pytest.raises(AuthenticationError, match="no mutual trust"):
        client.hello()


def test_a_devices_own_certificate_commands_nobody(lab: Lab) -> None:
    """A stolen board must not be a key to the others."""
    stolen = HostCredentials(
        authority=(lab.identity / "ca.pem").read_bytes(),
        certificate=(lab.identity / "device.pem").read_bytes(),
        key=(lab.identity / "device.key").read_bytes(),
    )
    with lab.client(stolen) as client, refused():
        client.hello()


def test_another_device_at_the_address_is_not_taken_for_the_one_meant(lab: Lab) -> None:
    with (
        lab.client(lab.authority.host_credentials(), device="board2") as client,
        pytest.raises(AuthenticationError, match="shows the certificate of another device; expected that of 'board2'"),
    ):
        client.hello()


def test_the_command_lines_one_error_is_all_that_is_said(lab: Lab, tmp_path: Path) -> None:
    """gRPC logs a refused handshake on stderr by itself."""
    paths = Paths(tmp_path / "config", tmp_path / "state", tmp_path / "cache")
    Authority.open_or_create(paths.config / "authority", utc_now)
    inventory_of(paths).add(Device("board", lab.agent.address, identity=lab.identity))
    command = [sys.executable, "-c", "import sys; from edgectl.cli.main import main; sys.exit(main())"]
    environ = os.environ | {"EDGECTL_HOME": str(tmp_path)}
    shown = subprocess.run(
        [*command, "device", "show", "board"], capture_output=True, text=True, env=environ, timeout=60, check=False
    )
    assert (shown.returncode, shown.stdout) == (4, "")
    assert shown.stderr.startswith(f"error: no mutual trust with the agent at {lab.agent.address}")
    assert len(shown.stderr.splitlines()) == 1


def test_a_certificate_that_has_run_out_is_refused(lab: Lab, tmp_path: Path) -> None:
    def long_ago() -> dt.datetime:
        return utc_now() - dt.timedelta(days=400)

    directory = tmp_path / "authority"
    directory.mkdir()
    for name in ("ca.pem", "ca.key"):
        (directory / name).write_bytes((lab.paths.config / "authority" / name).read_bytes())
    expired = Authority.open(directory, long_ago).host_credentials()
    with lab.client(expired) as client, refused():
        client.hello()


def test_a_device_elsewhere_without_a_certificate_is_never_dialled(tmp_path: Path) -> None:
    paths = Paths(tmp_path / "config", tmp_path / "state", tmp_path / "cache")
    inventory_of(paths).add(Device("pi4", "192.0.2.1:50051"))
    with (
        pytest.raises(AuthenticationError, match="has no certificate; expected mutual TLS"),
        open_device("pi4", paths=paths),
    ):
        pass


def test_the_refused_leave_the_agent_answering(lab: Lab) -> None:
    with AgentClient(lab.agent.address) as client, contextlib.suppress(EdgectlError):
        client.hello()
    with open_device("board", paths=lab.paths) as client:
        assert client.hello().name == "board"
