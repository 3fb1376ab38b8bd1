# SPDX-License-Identifier: Apache-2.0
"""The error table, both ways: every code has an entry and a class, every class a code, every status exists in gRPC."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest
from edgectl_protos import errors
from edgectl_protos.errors import CODE_TABLE, EdgectlError, ErrorCode, ExitCode, InternalError


def classes() -> Iterator[type[EdgectlError]]:
    for value in vars(errors).values():
        if isinstance(value, type) and issubclass(value, EdgectlError) and value is not EdgectlError:
            yield value


@pytest.mark.parametrize("code", list(ErrorCode))
def test_every_code_has_an_entry_and_one_class_that_says_so(code: ErrorCode) -> None:
    assert code in CODE_TABLE
    assert len([kind for kind in classes() if kind.code is code]) == 1


def test_every_entry_belongs_to_a_code() -> None:
    assert set(CODE_TABLE) == set(ErrorCode)


@pytest.mark.parametrize("kind", list(classes()))
def test_every_class_sets_its_own_code_and_is_in_the_docstring(kind: type[EdgectlError]) -> None:
    assert "code" in vars(kind)
    assert f"-- {kind.__name__} " in (errors.__doc__ or "")


@pytest.mark.parametrize("code", list(ErrorCode))
def test_every_status_is_one_of_grpc_and_never_ok(code: ErrorCode) -> None:
    assert CODE_TABLE[code].grpc_status in grpc.StatusCode.__members__
    assert CODE_TABLE[code].grpc_status != "OK"
    assert CODE_TABLE[code].exit_code not in (ExitCode.DONE, ExitCode.INTERRUPTED)


@pytest.mark.parametrize("kind", list(classes()))
def test_error_crosses_the_wire_whole(kind: type[EdgectlError]) -> None:
    sent = kind("a cat", expected="a dog", action="feed it")
    received = EdgectlError.from_wire(str(sent.code), seen=sent.seen, expected=sent.expected, action=sent.action)
    assert type(received) is kind
    assert received.message == sent.message == "a cat; expected a dog; feed it"
    assert (received.exit_code, received.grpc_status) == (sent.exit_code, sent.grpc_status)


def test_code_of_another_version_becomes_an_internal_error_that_names_it() -> None:
    received = EdgectlError.from_wire("melted", seen="the board is hot", expected="", action="")
    assert type(received) is InternalError
    assert received.message == "the board is hot (error code 'melted' of another version)"


def test_codes_are_what_scripts_match_on() -> None:
    assert {str(code): int(entry.exit_code) for code, entry in CODE_TABLE.items()} == {
        "usage": 2,
        "bundle_damaged": 1,
        "bundle_incompatible": 1,
        "input_mismatch": 1,
        "compile_failed": 1,
        "dataset_invalid": 1,
        "runner_failed": 1,
        "undelegated": 1,
        "gate_failed": 6,
        "unreachable": 1,
        "unauthenticated": 4,
        "protocol_mismatch": 1,
        "deadline": 3,
        "state": 1,
        "internal": 1,
    }
