# SPDX-License-Identifier: Apache-2.0
"""An agent on this machine, started and stopped by edgectl: a real `edge-agent run` on a free loopback port.

Start it from a thread that lives as long as it does: the agent asks the system to end it with the thread that began
it. No process outlives the context manager, whatever ends it.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import json
import os
import platform
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from edgectl_protos.errors import StateError, UnreachableError, UsageError
from edgectl_protos.topics import check_name

from edgectl.emulate.user_mode import EmulatedRunner
from edgectl.fleet.inventory import LOCAL_DEVICE

_AGENT_MODULE = "edgectl_agent"
_LOG_FILE = "agent.log"
_LOCK_FILE = "agent.lock"
_LOG_TAIL_LINES = 8
_READY_LINE_BYTES = 64 << 10
_START_SECONDS = 60.0
_STOP_SECONDS = 5.0


class LocalAgent:
    """A context manager. `address` (HOST:PORT on loopback) is set while entered.

    Args:
        state_dir: where the agent keeps its bundles; one agent at a time uses it.
        device: the name the agent goes by.
        mqtt: host and port of a broker to send telemetry to.
        agent_command: what to run instead of this Python's edgectl_agent; its own arguments are added.
        telemetry_interval: seconds between records; None leaves it to the agent.
        emulated: the agent's runner and the emulator that runs it as another board's; None for this machine's own.
        start_seconds: how long the agent may take until it answers.
    """

    def __init__(
        self,
        state_dir: Path,
        *,
        device: str = LOCAL_DEVICE,
        mqtt: tuple[str, int] | None = None,
        agent_command: Sequence[str] | None = None,
        telemetry_interval: float | None = None,
        start_seconds: float = _START_SECONDS,
        emulated: EmulatedRunner | None = None,
    ) -> None:
        self.device = check_name(device, what="device name")
        self.log_path = state_dir / _LOG_FILE
        self._state_dir = state_dir
        self._mqtt = mqtt
        self._command = agent_command
        self._telemetry_interval = telemetry_interval
        self._start_seconds = start_seconds
        self._emulated = emulated
        self._address = ""
        self._stack = ExitStack()

    @property
    def address(self) -> str:
        """HOST:PORT of the running agent.

        Raises:
            StateError: it is not running.
        """
        if not self._address:
            raise StateError("the local agent is not running", expected="to be within its `with` block")
        return self._address

    def __enter__(self) -> Self:
        """Start the agent and wait until it says that it is ready.

        Raises:
            UsageError: the agent is not installed, or its folder cannot be written.
            StateError: another process uses the same folder.
            UnreachableError: it ended or kept silent; the message ends with its log's last lines.
        """
        with ExitStack() as stack:
            command = self._arguments()
            stack.enter_context(_own_folder(self._state_dir))
            process = stack.enter_context(_running(command, self.log_path))
            self._address = self._await_ready(process)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._address = ""
        self._stack.close()

    def _arguments(self) -> list[str]:
        command = [*(self._command or _installed_agent()), "run", "--listen", "127.0.0.1:0"]
        command += ["--state", str(self._state_dir), "--device", self.device]
        if platform.system() == "Linux":  # elsewhere a killed host leaves its agent behind
            command.append("--die-with-parent")
        if self._mqtt is not None:
            command += ["--mqtt", f"{self._mqtt[0]}:{self._mqtt[1]}"]
        if self._telemetry_interval is not None:
            command += ["--telemetry-interval", f"{self._telemetry_interval:g}"]
        if self._emulated is not None:
            command += ["--runner", str(self._emulated.runner), "--emulator", str(self._emulated.emulator)]
        return command

    def _await_ready(self, process: subprocess.Popen[bytes]) -> str:
        line = _first_line(process, self._start_seconds)
        address = _ready_address(line)
        if address is not None:
            return address
        if line is None:
            seen = f"the local agent said nothing for {self._start_seconds:g} s"
        elif line:
            seen = f"the local agent said {line[:120]!r}"
        else:
            seen = f"the local agent ended at once with status {_status(process)}"
        raise UnreachableError(
            seen + _log_tail(self.log_path),
            expected="an agent that listens",
            action=f"see {self.log_path}",
        )


def _installed_agent() -> list[str]:
    """Its command, without importing it: host and agent never share a process."""
    if importlib.util.find_spec(_AGENT_MODULE) is None:
        raise UsageError(
            "the agent is not installed beside edgectl",
            expected="the distribution edgectl-agent",
            action="run: pip install edgectl-agent",
        )
    return [sys.executable, "-m", _AGENT_MODULE]


@contextlib.contextmanager
def _own_folder(folder: Path) -> Iterator[None]:
    """Keep others out of the agent's folder. The lock goes with this process, and so does the agent."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = (folder / _LOCK_FILE).open("ab")
    except OSError as error:
        raise UsageError(
            f"{folder} cannot be written ({error.strerror})",
            expected="a folder of yours",
            action="correct that, or set EDGECTL_HOME",
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StateError(
                f"another edgectl is using the local agent in {folder}",
                expected="one at a time",
                action="wait until it has finished, or set EDGECTL_HOME to another folder",
            ) from error
        yield


@contextlib.contextmanager
def _running(command: Sequence[str], log_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The process, in a group of its own so that Ctrl-C reaches it through us alone."""
    with log_path.open("wb") as log:
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, start_new_session=True
            )
        except OSError as error:
            raise UsageError(
                f"{command[0]} cannot be started ({error.strerror})",
                expected="a program",
                action="correct the agent's command",
            ) from error
    try:
        yield process
    finally:
        _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ask the agent to end its runners and itself; then end whatever of its group is left."""
    try:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_SECONDS)
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS answers EPERM for a group of zombies
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _first_line(process: subprocess.Popen[bytes], seconds: float) -> str | None:
    """The first line of the agent's output, "" at its end, None when there was none in time.

    A thread reads on until the end, so that the agent never waits for a full pipe.
    """
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def drain(stream: IO[bytes]) -> None:
        with contextlib.suppress(ValueError, OSError):  # closed under us when the agent is stopped
            lines.put(stream.readline(_READY_LINE_BYTES))
            while stream.read(_READY_LINE_BYTES):
                pass

    if process.stdout is None:
        return ""
    threading.Thread(target=drain, args=(process.stdout,), name="edgectl-agent-output", daemon=True).start()
    try:
        return lines.get(timeout=seconds).decode(errors="replace").strip()
    except queue.Empty:
        return None


def _ready_address(line: str | None) -> str | None:
    try:
        ready: Any = json.loads(line or "")
    except ValueError:
        return None
    if not isinstance(ready, dict) or ready.get("ready") is not True or not isinstance(ready.get("listen"), str):
        return None
    return str(ready["listen"])


def _status(process: subprocess.Popen[bytes]) -> int | None:
    try:
        return process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        return None


def _log_tail(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 4096))
        lines = file.read().decode(errors="replace").splitlines()
    tail = " | ".join(line.strip() for line in lines[-_LOG_TAIL_LINES:] if line.strip())
    return f": {tail}" if tail else ""
