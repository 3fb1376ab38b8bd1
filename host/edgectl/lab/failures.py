# SPDX-License-Identifier: Apache-2.0
"""gRPC's failures as ours. The only place that reads a `grpc.RpcError`.

An agent that can, says what went wrong itself (`edgectl-error-bin`); the table is for when it could not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from edgectl_protos.errors import (
    AuthenticationError,
    BundleError,
    DeadlineError,
    EdgectlError,
    InternalError,
    ProtocolError,
    RunnerError,
    StateError,
    UnreachableError,
    UsageError,
)
from edgectl_protos.wire import ERROR_METADATA

from edgectl.lab import convert

_LOG = "see the agent's log on the device"


@dataclass(frozen=True, slots=True)
class Peer:
    """Whom a call was made to; `answered` once it has answered a call, so that it is known to trust this host.

    `device` is whose certificate it must show ("" without TLS).
    """

    address: str
    secure: bool
    answered: bool = False
    device: str = ""


@dataclass(frozen=True, slots=True)
class Fallback:
    """What a bare gRPC status means here."""

    kind: type[EdgectlError]
    action: str


STATUS_TABLE: dict[grpc.StatusCode, Fallback] = {
    grpc.StatusCode.OK: Fallback(InternalError, "report this"),
    grpc.StatusCode.CANCELLED: Fallback(UnreachableError, "run it again: the call was cut off"),
    grpc.StatusCode.UNKNOWN: Fallback(InternalError, _LOG),
    grpc.StatusCode.INVALID_ARGUMENT: Fallback(UsageError, _LOG),
    grpc.StatusCode.DEADLINE_EXCEEDED: Fallback(DeadlineError, "check the device and its network, or allow more time"),
    grpc.StatusCode.NOT_FOUND: Fallback(StateError, "run `edgectl deploy` first"),
    grpc.StatusCode.ALREADY_EXISTS: Fallback(StateError, _LOG),
    grpc.StatusCode.PERMISSION_DENIED: Fallback(AuthenticationError, "use the host that added the device"),
    grpc.StatusCode.RESOURCE_EXHAUSTED: Fallback(StateError, "send less at once, or try again later"),
    grpc.StatusCode.FAILED_PRECONDITION: Fallback(StateError, _LOG),
    grpc.StatusCode.ABORTED: Fallback(RunnerError, _LOG),
    grpc.StatusCode.OUT_OF_RANGE: Fallback(UsageError, _LOG),
    grpc.StatusCode.UNIMPLEMENTED: Fallback(ProtocolError, "update edgectl-agent on the device"),
    grpc.StatusCode.INTERNAL: Fallback(InternalError, _LOG),
    grpc.StatusCode.UNAVAILABLE: Fallback(UnreachableError, "is edge-agent running there?"),
    grpc.StatusCode.DATA_LOSS: Fallback(BundleError, "copy or build the bundle again"),
    grpc.StatusCode.UNAUTHENTICATED: Fallback(AuthenticationError, "use the host that added the device"),
}

_PREFIX = re.compile(r"^[A-Z_]+: (ipv[46]:\S+: )?")
_OTHER_NAME_SIGNS = ("peer name", "hostname verification")
_HANDSHAKE_SIGNS = ("handshake", "certificate", "ssl", "tls")
_CUT_SIGNS = ("socket closed", "connection reset", "broken pipe", "recvmsg")


@contextmanager
def translated(peer: Peer) -> Iterator[None]:
    """Raise what goes wrong in a call to `peer` as an `EdgectlError`."""
    try:
        yield
    except grpc.RpcError as error:
        raise translate(error, peer) from error


def translate(error: grpc.RpcError, peer: Peer) -> EdgectlError:
    """The `EdgectlError` for what gRPC raised."""
    call: Any = error
    if not isinstance(call, grpc.Call):
        return InternalError(f"gRPC failed ({error})", action="report this")
    told = _told(call)
    if told is not None:
        return told
    status = call.code()
    details = _cause(convert.printable(call.details() or ""))
    if status is grpc.StatusCode.UNAVAILABLE:
        return _unavailable(details, peer)
    fallback = STATUS_TABLE[status]
    if status is grpc.StatusCode.DEADLINE_EXCEEDED:
        return DeadlineError(
            f"the agent at {peer.address} did not answer in time", expected="an answer", action=fallback.action
        )
    return fallback.kind(
        f"the agent at {peer.address} failed with {status.name}" + (f" ({details})" if details else ""),
        action=fallback.action,
    )


def _cause(details: str) -> str:
    """The last of what gRPC strings together, without the address, which the message names already."""
    return _PREFIX.sub("", details.rpartition("last error: ")[2])


def _told(call: grpc.Call) -> EdgectlError | None:
    for key, value in call.trailing_metadata() or ():
        if key == ERROR_METADATA and isinstance(value, bytes):
            return convert.error_from_detail(value)
    return None


def _unavailable(details: str, peer: Peer) -> EdgectlError:
    """Nobody there, or no trust.

    In TLS 1.3 a client's part of the handshake ends with the message that holds its certificate (RFC 8446, section 2,
    figure 1). It learns of a refusal by the connection's end: its first call is cut off, as by an agent that stops in
    that moment.
    """
    lowered = details.lower()
    refused = "refused" in lowered
    cut = not refused and any(sign in lowered for sign in _CUT_SIGNS)
    if peer.secure and any(sign in lowered for sign in _OTHER_NAME_SIGNS):
        return AuthenticationError(
            f"the agent at {peer.address} shows the certificate of another device",
            expected=f"that of {peer.device!r}",
            action="correct the address of one of them (`edgectl device list`), or start the agent with the"
            f" --identity that `edgectl device add {peer.device}` made",
        )
    if peer.secure and not refused and any(sign in lowered for sign in _HANDSHAKE_SIGNS):
        return AuthenticationError(
            f"no mutual trust with the agent at {peer.address} ({details})",
            expected="certificates of one lab authority on both sides",
            action="copy the folder that `edgectl device add` made to the device, and check the clock of both",
        )
    if cut and peer.secure and not peer.answered:
        return AuthenticationError(
            f"the agent at {peer.address} took the connection and closed it before it answered ({details})",
            expected="an agent that trusts this host's certificate",
            action="it does not trust the certificate, which may be of another authority or have run out,"
            " or it stopped in that moment: see its log (with EDGECTL_DEBUG=1 it has the reason of a refusal)",
        )
    action = STATUS_TABLE[grpc.StatusCode.UNAVAILABLE].action
    if cut:
        also = "" if peer.secure else ", or want mutual TLS"
        action = f"it may have stopped{also}: see its log"
    return UnreachableError(
        f"cannot reach the agent at {peer.address}" + (f" ({details})" if details else ""),
        expected="an agent that answers",
        action=action,
    )
