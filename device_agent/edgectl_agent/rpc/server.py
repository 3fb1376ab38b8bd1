# SPDX-License-Identifier: Apache-2.0
"""The gRPC server: mutual TLS with an identity, plain text on loopback without."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
from edgectl_protos.address import Address
from edgectl_protos.errors import UsageError
from edgectl_protos.v1 import agent_pb2_grpc
from edgectl_protos.wire import MAX_MESSAGE_BYTES

from edgectl_agent.rpc.errors import ErrorInterceptor
from edgectl_agent.rpc.servicer import AgentParts, AgentServicer

_GRACE_SECONDS = 1.0

_OPTIONS = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.so_reuseport", 0),  # otherwise a second agent on the same port starts, and takes half the calls
    # The host pings every 30 s to notice a dead link. gRPC's default takes that for abuse while a call is silent, as a
    # slow benchmark is, and cuts it off after two minutes.
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
)


class AgentServer:
    """The service on one address."""

    def __init__(self, parts: AgentParts, *, listen: Address, identity: Path | None) -> None:
        """Bind; `endpoint` tells the port.

        Raises:
            UsageError: the address is taken or wrong, or the identity cannot be read.
        """
        self._server = grpc.aio.server(interceptors=(ErrorInterceptor(),), options=_OPTIONS, maximum_concurrent_rpcs=64)
        agent_pb2_grpc.add_AgentServicer_to_server(AgentServicer(parts), self._server)  # type: ignore[no-untyped-call]
        try:
            if identity is None:
                port = self._server.add_insecure_port(str(listen))
            else:
                port = self._server.add_secure_port(str(listen), _credentials(identity))
        except RuntimeError as error:
            raise _unusable(listen) from error
        self.endpoint = Address(listen.host, port)

    async def start(self) -> None:
        await self._server.start()

    async def stop(self) -> None:
        """Refuse new calls, give the present ones a moment, then cancel them."""
        await self._server.stop(_GRACE_SECONDS)


def _unusable(listen: Address) -> UsageError:
    """Why an address cannot be bound: gRPC tells only its log, so the system is asked again."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            listen.host, listen.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except socket.gaierror as error:
        return UsageError(
            f"--listen {listen}: no such host ({error.strerror})",
            expected="an address of this machine",
            action="give one, or 0.0.0.0 for all of them",
        )
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return UsageError(
                f"--listen {listen}: address already in use",
                expected="a free port",
                action="choose another, or stop the program that listens there",
            )
        if error.errno == errno.EADDRNOTAVAIL:
            return UsageError(
                f"--listen {listen}: {listen.host} is not an address of this machine",
                expected="one that is",
                action="give one, or 0.0.0.0 for all of them",
            )
        return UsageError(
            f"--listen {listen}: {error.strerror}", expected="an address that can be used", action="choose another"
        )
    return UsageError(f"--listen {listen} cannot be used", expected="a free address", action="choose another port")


def _credentials(identity: Path) -> grpc.ServerCredentials:
    """The device's certificate, and the authority whose clients alone are let in.

    The TLS library checks a client's certificate for the purpose clientAuth, so another device's does not do.
    """
    try:
        authority, certificate, key = (
            (identity / name).read_bytes() for name in ("ca.pem", "device.pem", "device.key")
        )
    except OSError as error:
        raise UsageError(
            f"identity {identity}: {error}",
            expected="ca.pem, device.pem and device.key",
            action="copy the folder that `edgectl device add` made",
        ) from error
    _check_identity(identity)
    return grpc.ssl_server_credentials([(key, certificate)], authority, require_client_auth=True)


def _check_identity(identity: Path) -> None:
    """Have each file parsed: gRPC says nothing of a broken one but in its log, and then answers nobody.

    Raises:
        UsageError: it names the file.
    """
    certificate, key = identity / "device.pem", identity / "device.key"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    for path in (identity / "ca.pem", certificate):
        with _damage_named(path, "certificates in PEM"):
            context.load_verify_locations(path)
    with _damage_named(key, f"the private key that belongs to {certificate.name}"):
        context.load_cert_chain(certificate, key, password="")  # without one, OpenSSL would ask the terminal


@contextmanager
def _damage_named(path: Path, expected: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise UsageError(
            f"{path} is damaged, or another file",
            expected=expected,
            action="copy the folder that `edgectl device add` made again",
        ) from error
