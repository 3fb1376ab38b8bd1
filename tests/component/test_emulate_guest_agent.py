# SPDX-License-Identifier: Apache-2.0
"""Commands in a machine, against a socket that answers as QEMU's guest agent does, or should not."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from edgectl.emulate import machine_exec
from edgectl.emulate.machine import Machine
from edgectl.emulate.machine_exec import CommandResult, ask, run_command
from edgectl_protos.errors import ProtocolError, RunnerError, UnreachableError, UsageError

Answer = Callable[[dict[str, Any]], bytes]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """In a folder whose path is longer than a socket's address may be."""
    folder = tmp_path / ("long" * 30) / "qemu-0"
    folder.mkdir(parents=True)
    return Machine(folder, "qemu-0", "pi4", 20_000, tmp_path, "ab" * 16)


@contextlib.contextmanager
def guest(machine: Machine, answer: Answer, *, stale: bytes = b"") -> Iterator[list[dict[str, Any]]]:
    """A guest agent that serves one connection after the other; yields the requests it gets.

    `stale` precedes each answer to a mark, as what an earlier client never read does.
    """
    asked: list[dict[str, Any]] = []
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    folder = os.open(machine.folder, os.O_RDONLY)
    server.bind(f"/proc/self/fd/{folder}/{machine.command_socket.name}")
    os.close(folder)
    server.listen()

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as lines, contextlib.suppress(OSError):
                for line in lines:
                    request = json.loads(line.lstrip(b"\xff"))
                    if request["execute"] == "guest-sync-delimited":
                        mark = json.dumps({"return": request["arguments"]["id"]}).encode()
                        connection.sendall(stale + b"\xff" + mark + b"\n")
                        continue
                    asked.append(request)
                    connection.sendall(answer(request))

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield asked
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join()


def returned(value: Any) -> bytes:
    return json.dumps({"return": value}).encode() + b"\n"


def answers(*statuses: dict[str, Any]) -> Answer:
    left = list(statuses)

    def answer(request: dict[str, Any]) -> bytes:
        return returned({"pid": 7}) if request["execute"] == "guest-exec" else returned(left.pop(0))

    return answer


def test_output_errors_and_status_come_back_as_they_were(machine: Machine) -> None:
    ended = {
        "exited": True,
        "exitcode": 3,
        "out-data": base64.b64encode(b"out\xff\n").decode(),
        "err-data": base64.b64encode(b"err").decode(),
    }
    with guest(machine, answers({"exited": False}, ended)) as asked:
        result = run_command(machine, ["sh", "-c", "x"], stdin=b"in\0")
    assert result == CommandResult(3, b"out\xff\n", b"err")
    given = asked[0]["arguments"]
    assert (given["path"], given["arg"], given["input-data"]) == ("sh", ["-c", "x"], base64.b64encode(b"in\0").decode())
    assert any(entry.startswith("PATH=/opt/edgectl/bin:") for entry in given["env"])


def test_a_signal_is_the_shells_exit_code_and_cut_output_is_said(machine: Machine) -> None:
    with guest(machine, answers({"exited": True, "signal": 9, "out-truncated": True})):
        result = run_command(machine, ["x"])
    assert result == CommandResult(137, b"", b"", truncated=True)


def test_what_an_earlier_client_left_unread_is_thrown_away(machine: Machine) -> None:
    # A first line of what is read at once, then a part of another.
    line = b'{"return": {"pid": 99}}'.ljust((1 << 16) - 1) + b"\n"
    with guest(machine, answers({"exited": True, "exitcode": 0}), stale=line + b"half a li"):
        assert run_command(machine, ["x"]).exit_code == 0


def test_the_guests_refusal_is_told_in_its_words(machine: Machine) -> None:
    refusal = json.dumps({"error": {"class": "GenericError", "desc": "Failed to execute"}}).encode() + b"\n"
    with guest(machine, lambda _: refusal), pytest.raises(RunnerError, match="qemu-0: Failed to execute"):
        run_command(machine, ["nosuch"])


@pytest.mark.parametrize(
    "answer",
    [
        b"no json\n",
        b"[1]\n",
        returned(None),
        returned({"pid": "7"}),
        b"[" * 100_000 + b"\n",
    ],
)
def test_an_answer_that_is_none_is_no_answer(machine: Machine, answer: bytes) -> None:
    with guest(machine, lambda _: answer), pytest.raises(ProtocolError):
        run_command(machine, ["x"])


@pytest.mark.parametrize(
    "status",
    [
        None,
        {"exited": True},
        {"exited": True, "exitcode": 0, "out-data": "%"},
        {"exited": True, "exitcode": 256},  # a process's status is a byte: it would be told as success
        {"exited": True, "exitcode": -1},
        {"exited": True, "signal": 128},
    ],
)
def test_a_status_that_is_none_is_refused(machine: Machine, status: Any) -> None:
    with guest(machine, answers(status)), pytest.raises(ProtocolError):
        run_command(machine, ["x"])


def test_an_answer_without_end_is_cut_off(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_exec, "_MAXIMUM_ANSWER", 1 << 20)
    with guest(machine, lambda _: b"x" * (2 << 20)), pytest.raises(ProtocolError, match="more than"):
        ask(machine, "guest-ping")


def test_a_machine_that_says_nothing_is_given_up(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_exec, "_ANSWER_SECONDS", 0.2)
    with guest(machine, lambda _: b""), pytest.raises(UnreachableError, match="edgectl qemu logs qemu-0"):
        ask(machine, "guest-ping")


def test_no_socket_is_unreachable(machine: Machine) -> None:
    with pytest.raises(UnreachableError, match="qemu-0 does not answer commands"):
        ask(machine, "guest-ping")


def test_an_interruption_ends_the_command_in_the_machine(machine: Machine) -> None:
    def answer(request: dict[str, Any]) -> bytes:
        if request["execute"] == "guest-exec":
            return returned({"pid": 7})
        raise_in_main.set()
        return returned({"exited": False})

    def interrupt_main() -> None:
        raise_in_main.wait()
        os.kill(os.getpid(), signal.SIGINT)

    raise_in_main = threading.Event()
    interrupt = threading.Thread(target=interrupt_main)
    interrupt.start()
    with guest(machine, answer) as asked, pytest.raises(KeyboardInterrupt):
        run_command(machine, ["sleep", "1000"])
    interrupt.join()
    last = asked[-1]["arguments"]
    assert (last["path"], last["arg"]) == ("kill", ["7"])


def test_no_command_and_too_much_input_are_refused_before_anything_is_sent(machine: Machine) -> None:
    with pytest.raises(UsageError, match="no command"):
        run_command(machine, [])
    with pytest.raises(UsageError, match="bytes of standard input"):
        run_command(machine, ["cat"], stdin=bytes((8 << 20) + 1))
