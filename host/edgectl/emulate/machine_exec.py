# SPDX-License-Identifier: Apache-2.0
"""Commands in a machine through QEMU's guest agent (QEMU Guest Agent Protocol Reference, version 7.2).

The agent listens on a virtio port that QEMU gives the host as a socket: no network and no key are needed. QEMU serves
one connection at a time, so each question is a connection of its own, and a long command keeps nobody out.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import secrets
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgectl_protos.errors import ProtocolError, RunnerError, UnreachableError, UsageError

from edgectl.emulate.machine import Machine

MAXIMUM_INPUT_BYTES = 8 << 20
"""Of standard input."""

_MAXIMUM_ANSWER = 64 << 20
_ANSWER_SECONDS = 15.0
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.05, 0.5
_ENVIRONMENT = (
    "PATH=/opt/edgectl/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin",
    "HOME=/root",
    "LANG=C.UTF-8",
    "TERM=dumb",
)
_SIGNAL_EXIT = 128
_HIGHEST_EXIT = 255


@dataclass(frozen=True, slots=True)
class CommandResult:
    """`exit_code` is 128 and the signal's number where a signal ended it; output past 16 MiB is `truncated`."""

    exit_code: int
    stdout: bytes
    stderr: bytes
    truncated: bool = False


def run_command(machine: Machine, command: Sequence[str], *, stdin: bytes = b"") -> CommandResult:
    """Run a command as root in a machine and wait for its end; an interruption here ends it there.

    Raises:
        UsageError: no command, or too much standard input.
        UnreachableError: the machine's guest agent does not answer.
        RunnerError: the machine cannot run it; the message is the guest agent's.
    """
    if not command or len(stdin) > MAXIMUM_INPUT_BYTES:
        seen = f"{len(stdin)} bytes of standard input" if command else "no command"
        raise UsageError(seen, expected=f"a command, and at most {MAXIMUM_INPUT_BYTES} bytes of standard input")
    arguments: dict[str, Any] = {
        "path": command[0],
        "arg": list(command[1:]),
        "env": list(_ENVIRONMENT),
        "capture-output": True,
    }
    if stdin:
        arguments["input-data"] = base64.b64encode(stdin).decode()
    pid = _number(ask(machine, "guest-exec", arguments), "pid")
    try:
        return _result(_await_end(machine, pid))
    except BaseException:
        with contextlib.suppress(Exception):
            kill = {"path": "kill", "arg": [str(pid)], "env": list(_ENVIRONMENT)}
            ask(machine, "guest-exec", kill)
        raise


def shut_down(machine: Machine) -> None:
    """Ask the machine to stop its services and switch itself off.

    Raises:
        UnreachableError: its guest agent does not answer.
    """
    # It may be gone before it has answered.
    ask(machine, "guest-exec", {"path": "systemctl", "arg": ["poweroff"], "env": list(_ENVIRONMENT)})


def ask(machine: Machine, command: str, arguments: dict[str, Any] | None = None) -> Any:
    """One question to the guest agent, and what it returns.

    Raises:
        UnreachableError: nobody answers in time.
        RunnerError: the guest agent refuses; ProtocolError: its answer is none.
    """
    try:
        with _connected(machine) as connection:
            connection.settimeout(_ANSWER_SECONDS)
            _synchronize(connection)
            request: dict[str, Any] = {"execute": command}
            if arguments is not None:
                request["arguments"] = arguments
            connection.sendall(json.dumps(request).encode() + b"\n")
            answer = _parsed(_read_line(connection))
    except OSError as error:
        raise UnreachableError(
            f"{machine.name} does not answer commands ({error})",
            expected="its guest agent, which starts within seconds of the machine",
            action=f"see `edgectl qemu logs {machine.name}`",
        ) from error
    failure = answer.get("error")
    if failure is not None:
        described = failure.get("desc") if isinstance(failure, dict) else failure
        raise RunnerError(f"{machine.name}: {str(described)[:300]}", action="check the command")
    return answer.get("return")


def _connected(machine: Machine) -> socket.socket:
    """A connection by the folder's descriptor: the path itself may be longer than a socket's address can be."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        folder = os.open(machine.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            connection.settimeout(_ANSWER_SECONDS)
            connection.connect(f"/proc/self/fd/{folder}/{machine.command_socket.name}")
        finally:
            os.close(folder)
    except BaseException:
        connection.close()
        raise
    return connection


def _synchronize(connection: socket.socket) -> None:
    """Have what an earlier client left behind thrown away: the byte 255 resets the agent's parser and marks ours."""
    mark = secrets.randbelow(1 << 31)
    request = {"execute": "guest-sync-delimited", "arguments": {"id": mark}}
    connection.sendall(b"\xff" + json.dumps(request).encode() + b"\n")
    deadline = time.monotonic() + _ANSWER_SECONDS
    while time.monotonic() < deadline:
        line = _read_line(connection)
        _, delimiter, rest = line.rpartition(b"\xff")
        if delimiter and _parsed(rest).get("return") == mark:
            return
    raise TimeoutError("no answer to our mark")


def _read_line(connection: socket.socket) -> bytes:
    parts: list[bytes] = []
    size = 0
    while not (parts and parts[-1].endswith(b"\n")):
        part = connection.recv(1 << 16)
        if not part:
            raise ConnectionError("the connection was closed")
        parts.append(part)
        size += len(part)
        if size > _MAXIMUM_ANSWER:
            raise ProtocolError(f"an answer of more than {_MAXIMUM_ANSWER} bytes from the guest agent")
    return b"".join(parts)


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"the guest agent answers {line[:80]!r}", expected="JSON") from error
    if not isinstance(answer, dict):
        raise ProtocolError(f"the guest agent answers {line[:80]!r}", expected="an object")
    return answer


def _await_end(machine: Machine, pid: int) -> dict[str, Any]:
    pause = _SHORTEST_PAUSE
    while True:
        status = ask(machine, "guest-exec-status", {"pid": pid})
        if not isinstance(status, dict):
            raise ProtocolError(f"the guest agent's status is {str(status)[:80]!r}", expected="an object")
        if status.get("exited"):
            return status
        time.sleep(pause)
        pause = min(_LONGEST_PAUSE, pause * 1.5)


def _result(status: dict[str, Any]) -> CommandResult:
    ended_by = status.get("signal")
    exit_code = _number(status, "exitcode") if ended_by is None else _SIGNAL_EXIT + _number(status, "signal")
    if not 0 <= exit_code <= _HIGHEST_EXIT:
        raise ProtocolError(f"the guest agent's exit code is {str(exit_code)[:80]}", expected=f"0 to {_HIGHEST_EXIT}")
    return CommandResult(
        exit_code=exit_code,
        stdout=_bytes(status, "out-data"),
        stderr=_bytes(status, "err-data"),
        truncated=bool(status.get("out-truncated") or status.get("err-truncated")),
    )


def _bytes(status: dict[str, Any], key: str) -> bytes:
    try:
        return base64.b64decode(status.get(key, ""), validate=True)
    except (ValueError, TypeError) as error:
        raise ProtocolError(f"the guest agent's {key} is no base64") from error


def _number(answer: Any, key: str) -> int:
    value = answer.get(key) if isinstance(answer, dict) else None
    if not isinstance(value, int):
        raise ProtocolError(f"the guest agent's {key} is {str(value)[:80]!r}", expected="a number")
    return value
