# SPDX-License-Identifier: Apache-2.0
"""A machine's console: the kernel's, systemd's and the agent's lines, which QEMU writes to a file of the host."""

from __future__ import annotations

import codecs
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from edgectl_protos.errors import StateError

from edgectl.emulate.machine import Machine

AGENT_LINE = " edge-agent["
"""Stands in every line of the agent's."""

_READY = '{"ready": true'
_TAIL_BYTES = 8 << 10
_TAIL_LINES = 8
_MAXIMUM_LINE = 64 << 10
_POLL_SECONDS = 0.2


def rotate_console(machine: Machine) -> None:
    """Keep the console of the last start beside that of the one to come."""
    if machine.console.exists():
        machine.console.replace(machine.previous_console)


def boot_phase(console: str) -> tuple[str, float]:
    """How far a start has come by what the console holds: a word for it, and about what fraction of its time."""
    if _READY in console:
        return "the agent is ready", 0.95
    if "Starting edge-agent" in console or AGENT_LINE in console:
        return "the agent starts", 0.45
    if "systemd[1]" in console:
        return "systemd starts", 0.3
    return "the kernel starts", 0.0


def is_ready(console: str) -> bool:
    """Whether the agent has said that it listens."""
    return _READY in console


def agent_failures(console: str) -> int:
    """How often the agent's service has failed."""
    return console.count("edge-agent.service: Failed with result")


def console_text(path: Path) -> str:
    """All of a console; empty where there is none yet."""
    try:
        return path.read_bytes().decode(errors="replace")
    except FileNotFoundError:
        return ""


def console_tail(path: Path) -> str:
    """Its last lines in one, for a message; empty where there are none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    tail = [" ".join(line.split()) for line in lines if line.strip()][-_TAIL_LINES:]
    return f": {' | '.join(tail)}" if tail else ""


def console_lines(machine: Machine, *, previous: bool = False, agent_only: bool = False) -> Iterator[str]:
    """The lines of the present start, or of the one before.

    Raises:
        StateError: there is no such console.
    """
    path = machine.previous_console if previous else machine.console
    if not path.exists():
        raise StateError(
            f"{machine.name} has no console{' of an earlier start' if previous else ''}",
            action="`edgectl qemu ls` shows how it is",
        )
    yield from _chosen(console_text(path).splitlines(), agent_only=agent_only)


def follow_console(machine: Machine, *, agent_only: bool = False, ended: Callable[[], bool]) -> Iterator[str]:
    """The lines so far and those to come, through further starts, until `ended` is true and all is told.

    A line that is never finished is given in pieces.
    """
    decoder, rest, position, inode = codecs.getincrementaldecoder("utf-8")("replace"), "", 0, 0
    while True:
        over = ended()
        data = b""
        if machine.console.exists():
            with machine.console.open("rb") as file:
                status = os.fstat(file.fileno())
                if status.st_ino != inode:
                    position, inode = 0, status.st_ino
                file.seek(position)
                data = file.read(1 << 20)
                position += len(data)
        rest += decoder.decode(data)
        *lines, rest = rest.split("\n")
        if len(rest) > _MAXIMUM_LINE:
            lines, rest = [*lines, rest], ""
        yield from _chosen(lines, agent_only=agent_only)
        if over and not data:
            return
        if not data:
            time.sleep(_POLL_SECONDS)


def _chosen(lines: list[str], *, agent_only: bool) -> Iterator[str]:
    for line in lines:
        if line.strip() and (not agent_only or AGENT_LINE in line):
            yield line.rstrip("\r\n")
