# SPDX-License-Identifier: Apache-2.0
"""One root, one table of codes.

Every error that leaves a module is an `EdgectlError`. It carries what was seen, what was expected and what to do next
as data; the table maps each code to its gRPC status and to the exit code of the command line. Codes are stable: scripts
match on them.

EdgectlError
 +-- UsageError            a flag, a recipe, a file or a name the user gave is wrong
 +-- BundleError           a bundle is damaged
 |    +-- IncompatibleBundleError   it is whole, and made for another runtime or board
 +-- InputError            a tensor does not fit the program
 +-- CompileError          a model cannot be exported, pruned, quantized or lowered
 +-- DatasetError          a data entry point is missing or yields the wrong thing
 +-- RunnerError           the native runner refused, failed or died
 +-- UndelegatedError      operators run outside the delegate, and timing them was not asked for
 +-- GateError             a bundle failed its golden check; the previous one stays
 +-- UnreachableError      the agent cannot be reached or stopped answering
 +-- AuthenticationError   a certificate is missing or not trusted
 +-- ProtocolError         the other end speaks another version
 +-- DeadlineError         it took longer than it was given
 +-- StateError            the operation does not fit the present state (nothing to roll back to)
 +-- InternalError         a defect of ours
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """Exit codes of `edgectl` (design, "The CLI")."""

    DONE = 0
    ERROR = 1
    USAGE = 2
    TIMEOUT = 3
    AUTHENTICATION = 4
    PARTIAL = 5
    GATE_FAILED = 6
    INTERRUPTED = 130


class ErrorCode(StrEnum):
    """Stable names of what can go wrong."""

    USAGE = "usage"
    BUNDLE_DAMAGED = "bundle_damaged"
    BUNDLE_INCOMPATIBLE = "bundle_incompatible"
    INPUT_MISMATCH = "input_mismatch"
    COMPILE_FAILED = "compile_failed"
    DATASET_INVALID = "dataset_invalid"
    RUNNER_FAILED = "runner_failed"
    UNDELEGATED = "undelegated"
    GATE_FAILED = "gate_failed"
    UNREACHABLE = "unreachable"
    UNAUTHENTICATED = "unauthenticated"
    PROTOCOL_MISMATCH = "protocol_mismatch"
    DEADLINE = "deadline"
    STATE = "state"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class CodeEntry:
    """What a code means at the two edges."""

    grpc_status: str
    exit_code: ExitCode


CODE_TABLE: dict[ErrorCode, CodeEntry] = {
    ErrorCode.USAGE: CodeEntry("INVALID_ARGUMENT", ExitCode.USAGE),
    ErrorCode.BUNDLE_DAMAGED: CodeEntry("DATA_LOSS", ExitCode.ERROR),
    ErrorCode.BUNDLE_INCOMPATIBLE: CodeEntry("FAILED_PRECONDITION", ExitCode.ERROR),
    ErrorCode.INPUT_MISMATCH: CodeEntry("INVALID_ARGUMENT", ExitCode.ERROR),
    ErrorCode.COMPILE_FAILED: CodeEntry("FAILED_PRECONDITION", ExitCode.ERROR),
    ErrorCode.DATASET_INVALID: CodeEntry("INVALID_ARGUMENT", ExitCode.ERROR),
    ErrorCode.RUNNER_FAILED: CodeEntry("ABORTED", ExitCode.ERROR),
    ErrorCode.UNDELEGATED: CodeEntry("FAILED_PRECONDITION", ExitCode.ERROR),
    ErrorCode.GATE_FAILED: CodeEntry("FAILED_PRECONDITION", ExitCode.GATE_FAILED),
    ErrorCode.UNREACHABLE: CodeEntry("UNAVAILABLE", ExitCode.ERROR),
    ErrorCode.UNAUTHENTICATED: CodeEntry("UNAUTHENTICATED", ExitCode.AUTHENTICATION),
    ErrorCode.PROTOCOL_MISMATCH: CodeEntry("FAILED_PRECONDITION", ExitCode.ERROR),
    ErrorCode.DEADLINE: CodeEntry("DEADLINE_EXCEEDED", ExitCode.TIMEOUT),
    ErrorCode.STATE: CodeEntry("FAILED_PRECONDITION", ExitCode.ERROR),
    ErrorCode.INTERNAL: CodeEntry("INTERNAL", ExitCode.ERROR),
}


class EdgectlError(Exception):
    """Root of all errors.

    Args:
        seen: what was met, with its value.
        expected: what would have been right.
        action: what the reader can do next.
    """

    code: ErrorCode = ErrorCode.INTERNAL
    _by_code: ClassVar[dict[ErrorCode, type[EdgectlError]]] = {}

    def __init_subclass__(cls) -> None:
        EdgectlError._by_code.setdefault(cls.code, cls)

    def __init__(self, seen: str, *, expected: str = "", action: str = "", code: ErrorCode | None = None) -> None:
        self.code = code or type(self).code
        self.seen = seen
        self.expected = expected
        self.action = action
        super().__init__(self.message)

    @property
    def message(self) -> str:
        """One line: seen; expected; what to do."""
        parts = [self.seen]
        if self.expected:
            parts.append(f"expected {self.expected}")
        if self.action:
            parts.append(self.action)
        return "; ".join(parts)

    @property
    def exit_code(self) -> ExitCode:
        return CODE_TABLE[self.code].exit_code

    @property
    def grpc_status(self) -> str:
        return CODE_TABLE[self.code].grpc_status

    @staticmethod
    def from_wire(code: str, *, seen: str, expected: str, action: str) -> EdgectlError:
        """The error another process reported; a code this version does not know becomes `InternalError` naming it."""
        try:
            known = ErrorCode(code)
        except ValueError:
            return InternalError(f"{seen} (error code {code!r} of another version)", expected=expected, action=action)
        return EdgectlError._by_code[known](seen, expected=expected, action=action, code=known)


class UsageError(EdgectlError):
    code = ErrorCode.USAGE


class BundleError(EdgectlError):
    code = ErrorCode.BUNDLE_DAMAGED


class IncompatibleBundleError(BundleError):
    code = ErrorCode.BUNDLE_INCOMPATIBLE


class InputError(EdgectlError):
    code = ErrorCode.INPUT_MISMATCH


class CompileError(EdgectlError):
    code = ErrorCode.COMPILE_FAILED


class DatasetError(EdgectlError):
    code = ErrorCode.DATASET_INVALID


class RunnerError(EdgectlError):
    code = ErrorCode.RUNNER_FAILED


class UndelegatedError(EdgectlError):
    code = ErrorCode.UNDELEGATED


class GateError(EdgectlError):
    code = ErrorCode.GATE_FAILED


class UnreachableError(EdgectlError):
    code = ErrorCode.UNREACHABLE


class AuthenticationError(EdgectlError):
    code = ErrorCode.UNAUTHENTICATED


class ProtocolError(EdgectlError):
    code = ErrorCode.PROTOCOL_MISMATCH


class DeadlineError(EdgectlError):
    code = ErrorCode.DEADLINE


class StateError(EdgectlError):
    code = ErrorCode.STATE


class InternalError(EdgectlError):
    code = ErrorCode.INTERNAL
