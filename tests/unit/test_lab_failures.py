# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import dataclasses
from typing import Any

import grpc
import pytest
from edgectl.lab.failures import STATUS_TABLE, Peer, translate, translated
from edgectl_protos.errors import (
    CODE_TABLE,
    AuthenticationError,
    DeadlineError,
    EdgectlError,
    ErrorCode,
    GateError,
    InternalError,
    UnreachableError,
)
from edgectl_protos.v1 import agent_pb2

PLAIN = Peer("pi4:50051", secure=False)
SECURE = Peer("pi4:50051", secure=True, device="pi4")


class Raised(grpc.RpcError, grpc.Call):
    """What gRPC raises, with the parts that are read."""

    def __init__(self, status: grpc.StatusCode, details: str = "", metadata: tuple[tuple[str, Any], ...] = ()) -> None:
        self._parts = (status, details, metadata)

    def code(self) -> grpc.StatusCode:
        return self._parts[0]

    def details(self) -> str:
        return self._parts[1]

    def trailing_metadata(self) -> Any:
        return self._parts[2]

    def initial_metadata(self) -> Any:
        return ()

    def is_active(self) -> bool:
        return False

    def time_remaining(self) -> float:
        return 0.0

    def cancel(self) -> bool:
        return False

    def add_callback(self, callback: Any) -> bool:
        return not callback


def test_every_status_of_grpc_has_a_meaning() -> None:
    assert set(STATUS_TABLE) == set(grpc.StatusCode)
    for status in grpc.StatusCode:
        error = translate(Raised(status, "why"), PLAIN)
        assert type(error) is STATUS_TABLE[status].kind
        assert "pi4:50051" in error.seen
        assert error.action


def test_every_status_an_agent_uses_falls_back_to_an_error_of_that_status() -> None:
    """The detail may be lost on the way; the exit code must not become another's for want of it."""
    for status, kind in ((status, entry.kind) for status, entry in STATUS_TABLE.items()):
        codes = [code for code, entry in CODE_TABLE.items() if entry.grpc_status == status.name]
        assert not codes or kind.code in codes


@pytest.mark.parametrize("code", list(ErrorCode))
def test_what_the_agent_says_itself_wins_over_the_status(code: ErrorCode) -> None:
    detail = agent_pb2.ErrorDetail(code=code, seen="a", expected="b", action="c").SerializeToString()
    error = translate(Raised(grpc.StatusCode.UNKNOWN, "x", (("edgectl-error-bin", detail),)), PLAIN)
    assert error.code == code
    assert (error.seen, error.expected, error.action) == ("a", "b", "c")
    assert type(error).code == code


def test_a_gate_failure_keeps_its_class() -> None:
    detail = agent_pb2.ErrorDetail(code="gate_failed", seen="off by 1").SerializeToString()
    metadata = (("other", "x"), ("edgectl-error-bin", detail))
    assert isinstance(translate(Raised(grpc.StatusCode.FAILED_PRECONDITION, "", metadata), PLAIN), GateError)


def test_a_code_of_a_later_version_is_named() -> None:
    detail = agent_pb2.ErrorDetail(code="too_hot", seen="90 C").SerializeToString()
    error = translate(Raised(grpc.StatusCode.ABORTED, "", (("edgectl-error-bin", detail),)), PLAIN)
    assert isinstance(error, InternalError)
    assert "too_hot" in error.message


def test_an_absent_agent_asks_whether_one_runs() -> None:
    error = translate(
        Raised(
            grpc.StatusCode.UNAVAILABLE,
            "failed to connect; last error: UNKNOWN: ipv4:10.0.0.4:50051: Connection refused",
        ),
        SECURE,
    )
    assert isinstance(error, UnreachableError)
    assert "pi4:50051 (Connection refused)" in error.seen
    assert error.action == "is edge-agent running there?"


@pytest.mark.parametrize(
    "details",
    [
        "Tls handshake failed (TSI_PROTOCOL_FAILURE): CERTIFICATE_VERIFY_FAILED",
        "Custom verification check failed with error: UNAUTHENTICATED: Hostname Verification Check failed.",
        "Peer name pi5 is not in peer certificate",
    ],
)
def test_a_failed_handshake_is_a_matter_of_trust(details: str) -> None:
    assert isinstance(translate(Raised(grpc.StatusCode.UNAVAILABLE, details), SECURE), AuthenticationError)
    assert isinstance(translate(Raised(grpc.StatusCode.UNAVAILABLE, details), PLAIN), UnreachableError)


def test_another_devices_certificate_is_named_as_that() -> None:
    details = "Custom verification check failed with error: UNAUTHENTICATED: Hostname Verification Check failed."
    error = translate(Raised(grpc.StatusCode.UNAVAILABLE, details), SECURE)
    assert type(error) is AuthenticationError
    assert error.seen == "the agent at pi4:50051 shows the certificate of another device"
    assert error.expected == "that of 'pi4'"
    assert "--identity" in error.action


@pytest.mark.parametrize("details", ["Socket closed", "recvmsg:Connection reset by peer", "sendmsg: Broken pipe"])
def test_a_first_call_that_is_cut_off_over_tls_is_a_refused_certificate(details: str) -> None:
    """TLS 1.3 tells a client in no other way."""
    error = translate(Raised(grpc.StatusCode.UNAVAILABLE, details), SECURE)
    assert type(error) is AuthenticationError
    assert "it does not trust the certificate" in error.action
    assert "or it stopped in that moment" in error.action


def test_a_cut_connection_is_no_matter_of_trust_once_the_agent_has_answered_or_without_tls() -> None:
    plain = translate(Raised(grpc.StatusCode.UNAVAILABLE, "Socket closed"), PLAIN)
    known = translate(Raised(grpc.StatusCode.UNAVAILABLE, "Socket closed"), dataclasses.replace(SECURE, answered=True))
    assert type(plain) is type(known) is UnreachableError
    assert "want mutual TLS" in plain.action
    assert known.action == "it may have stopped: see its log"


def test_the_context_manager_translates_and_keeps_the_cause() -> None:
    cause = Raised(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")
    with pytest.raises(DeadlineError, match="did not answer in time") as caught, translated(PLAIN):
        raise cause
    assert caught.value.__cause__ is cause


def test_an_rpc_error_without_a_status_is_still_one_of_ours() -> None:
    assert isinstance(translate(grpc.RpcError("odd"), PLAIN), EdgectlError)
