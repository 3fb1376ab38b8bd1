# SPDX-License-Identifier: Apache-2.0
"""What the agent tells the service manager, over a real datagram socket as systemd's."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agents import deploy, eventually, hello, running_agent
from tests.program_bundles import make_bundle, program_directory
from tests.programs import small_cnn_program

_WATCHDOG_SECONDS = 0.2


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Asks whatever agent is started to report to it, and to show a sign of life each 0.2 s."""
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(address)
        listening.settimeout(30)
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        monkeypatch.setenv("WATCHDOG_USEC", str(round(_WATCHDOG_SECONDS * 1e6)))
        yield listening


def _told(manager: socket.socket) -> str:
    return manager.recv(4096).decode()


def test_ready_is_told_once_it_answers_then_signs_of_life_then_the_end(manager: socket.socket, tmp_path: Path) -> None:
    with running_agent(tmp_path / "state") as agent:
        assert _told(manager) == f"READY=1\nSTATUS=listening on {agent.address}"
        with agent.stub() as stub:
            assert hello(stub).device == "board"
        assert {_told(manager) for _ in range(5)} == {"WATCHDOG=1"}
        agent.terminate()
        assert "STOPPING=1" in iter(lambda: _told(manager), "")


def test_its_runners_are_not_bound_by_what_binds_the_agent(manager: socket.socket, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path, small_cnn_program(program_directory()))
    with running_agent(tmp_path / "state") as agent, agent.stub() as stub:
        assert _told(manager).startswith("READY=1")
        deploy(stub, bundle)
        (runner,) = agent.runner_pids()
        assert b"NOTIFY_SOCKET" not in Path(f"/proc/{runner}/environ").read_bytes()
        assert b"WATCHDOG_USEC" not in Path(f"/proc/{runner}/environ").read_bytes()


def test_where_memory_runs_out_a_runner_goes_before_the_agent(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path, small_cnn_program(program_directory()))
    with running_agent(tmp_path / "state") as agent, agent.stub() as stub:
        deploy(stub, bundle)
        (runner,) = agent.runner_pids()
        first, last = (int(Path(f"/proc/{pid}/oom_score_adj").read_text()) for pid in (runner, agent.pid))
    assert first > last


def test_a_loop_that_hangs_gives_no_sign_of_life(manager: socket.socket, tmp_path: Path) -> None:
    """One part of the agent blocks the event loop, a second after the ready line, until this test lets go of it."""
    release = tmp_path / "release"
    os.mkfifo(release)
    code = f"""
import sys
import edgectl_agent.app as app
app.give_back_pages = lambda: open({str(release)!r}).read()
from edgectl_agent.__main__ import main
sys.exit(main())
"""
    command = [sys.executable, "-c", code, "run", "--state", str(tmp_path / "state"), "--device", "board"]
    with subprocess.Popen([*command, "--listen", "127.0.0.1:0"], stdout=subprocess.DEVNULL) as agent:
        try:
            assert _told(manager).startswith("READY=1")
            assert _told(manager) == "WATCHDOG=1"
            holding = eventually(lambda: _opened_by_reader(release))
            _drain(manager)
            manager.settimeout(5 * _WATCHDOG_SECONDS)
            with pytest.raises(TimeoutError):
                _told(manager)
            manager.settimeout(30)
            os.close(holding)
            assert _told(manager) == "WATCHDOG=1"
        finally:
            agent.terminate()


def test_an_agent_killed_for_hanging_says_where_it_hung(manager: socket.socket, tmp_path: Path) -> None:
    with running_agent(tmp_path / "state") as agent:
        assert _told(manager).startswith("READY=1")
        agent.process.send_signal(signal.SIGABRT)  # as systemd's watchdog does
        agent.process.wait(timeout=30)
    log = (tmp_path / "state.log").read_text()
    assert "Fatal Python error: Aborted" in log
    assert "asyncio/base_events.py" in log


def test_another_processs_watchdog_asks_nothing_of_the_agent(
    manager: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_PID", "1")
    with running_agent(tmp_path / "state") as agent:
        assert _told(manager).startswith("READY=1")
        agent.terminate()
    assert _told(manager) == "STOPPING=1"


def test_a_manager_that_is_gone_is_no_reason_to_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    monkeypatch.setenv("WATCHDOG_USEC", "100000")
    with running_agent(tmp_path / "state") as agent, agent.stub() as stub:
        assert hello(stub).device == "board"
        assert agent.terminate() == 0


def _opened_by_reader(fifo: Path) -> int:
    """A descriptor for writing, once somebody reads there; 0 before."""
    try:
        return os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return 0


def _drain(manager: socket.socket) -> None:
    manager.settimeout(0)
    with contextlib.suppress(BlockingIOError):
        while True:
            manager.recv(4096)
