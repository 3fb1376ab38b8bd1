# SPDX-License-Identifier: Apache-2.0
"""What boards and scripts print, and what is asked of pip: pure parts of installing an agent."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import edgectl
import psutil
import pytest
from edgectl.workflows.board_packages import download_words
from edgectl.workflows.device_install import Broker
from edgectl.workflows.provisioning import (
    Provisioner,
    SeenBoard,
    check_destination,
    parse_facts,
    parse_findings,
    scripts_folder,
)
from edgectl_protos.errors import StateError, UnreachableError, UsageError

_TOLD = "Welcome!\nmachine=aarch64\nbits=64\nlibc=2.36\npython=3.11\nroot=sudo\nboard=Raspberry Pi 4\x1b[31m\nX=1\n"


def test_facts_are_found_among_whatever_a_login_prints() -> None:
    board = parse_facts(_TOLD)
    assert (board.machine, board.python, board.root, board.device) == ("aarch64", "3.11", "sudo", "")
    assert board.board == "Raspberry Pi 4 [31m"


def test_findings_are_read_after_whatever_a_login_prints() -> None:
    (one,) = parse_findings(
        'hello\n{"ok": true, "checks": [{"name": "clock", "outcome": "ok", "seen": "x", "fix": ""}]}'
    )
    assert (one.name, one.outcome) == ("clock", "ok")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "{}",
        '{"checks": 5}',
        '{"checks": [{"name": 1}]}',
        '{"checks": [{"name": "", "outcome": "fine", "seen": "", "fix": ""}]}',
        "{" * 9000,
    ],
)
def test_findings_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(StateError, match="something else than its findings"):
        parse_findings(text)


@pytest.mark.parametrize("destination", ["-oProxyCommand=x", "", "pi@host; true", "a b", "pi@$(x)", "'x'", "pi@host\n"])
def test_a_destination_that_a_shell_or_ssh_would_take_otherwise_is_refused(destination: str) -> None:
    with pytest.raises(UsageError, match="destination"):
        check_destination(destination)


@pytest.mark.parametrize(
    "destination", ["pi@192.168.1.20", "pi4", "pi@[fd00::7]", "ssh://pi@host:2222", "pi@fe80::1%eth0"]
)
def test_a_destination_as_ssh_takes_it_is_taken(destination: str) -> None:
    assert check_destination(destination) == destination


def test_packages_are_asked_for_the_boards_python_and_no_newer_c_library() -> None:
    words = download_words(parse_facts(_TOLD))
    assert "--python-version=3.11" in words
    assert "--platform=manylinux_2_36_aarch64" in words
    assert "--platform=manylinux_2_37_aarch64" not in words
    assert "--only-binary=:all:" in words


@pytest.mark.parametrize(
    "changes",
    [{"python": ""}, {"python": "2.7"}, {"libc": "musl"}, {"libc": ""}, {"machine": "/../../x"}, {"machine": ""}],
)
def test_a_board_that_tells_no_python_c_library_or_machine_is_refused(changes: dict[str, str]) -> None:
    board: SeenBoard = dataclasses.replace(parse_facts(_TOLD), **changes)
    with pytest.raises(UsageError, match="--online"):
        download_words(board)


def test_a_board_that_hangs_is_given_up_and_its_ssh_ends(tmp_path: Path) -> None:
    ssh, pids = tmp_path / "ssh", tmp_path / "pids"
    ssh.write_text(f'#!/bin/sh\necho $$ >> "{pids}"\nexec sleep 600\n')
    ssh.chmod(0o755)
    environ = os.environ | {"EDGECTL_SSH": str(ssh), "EDGECTL_SSH_CONTROL": str(tmp_path)}
    board = Provisioner("pi@board", scripts=scripts_folder(), environ=environ, say=lambda _: None, patience=1.0)
    with pytest.raises(UnreachableError, match="had not done it after 1 s"):
        board.look()
    started = [int(line) for line in pids.read_text().split()]
    assert started
    assert not [pid for pid in started if psutil.pid_exists(pid)]


def test_a_broker_gives_the_scripts_options() -> None:
    broker = Broker("broker.example", "agent", Path("/run/password"), None)
    assert broker.words == [
        "--mqtt",
        "broker.example:8883",
        "--mqtt-user",
        "agent",
        "--mqtt-password-file",
        "/run/password",
    ]


def test_the_scripts_are_in_the_package_and_so_is_the_unit() -> None:
    folder = scripts_folder()
    assert folder.is_relative_to(Path(edgectl.__file__).resolve().parent)
    names = {"board.sh", "connection.sh", "install.sh", "uninstall.sh", "journald.conf", "edge-agent.service"}
    assert names <= {path.name for path in folder.iterdir()}
    assert "ExecStart=/opt/edgectl/bin/edge-agent run" in (folder / "edge-agent.service").read_text()
