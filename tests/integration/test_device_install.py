# SPDX-License-Identifier: Apache-2.0
"""`edgectl device install` and `uninstall` over a real sshd, with a board behind it (`tests.ssh_board`)."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from edgectl.cli.main import run
from edgectl.workflows import device_install

from tests.agents import free_port, running_broker
from tests.board_wheels import agent_wheel, interpreter, needed_wheels
from tests.ssh_board import SshBoard, ssh_board

_SILENT = """
import os, signal, socket, sys
def main():
    if sys.argv[1] == "version":
        print("edge-agent 0.3.0")
        return 0
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
    signal.pause()
"""
_BROKEN = """
import sys
def main():
    if sys.argv[1] == "version":
        print("edge-agent 0.4.0")
        return 0
    sys.stderr.write("edge-agent: usage: nothing works\\n")
    return 2
"""
_PASSWORD = "correct horse battery"
SCRIPTS = Path(__file__).resolve().parents[2] / "deploy/provisioning"


@dataclasses.dataclass(frozen=True, slots=True)
class Wheels:
    """The agent's, of several versions, and what it needs."""

    agent: Path
    newer: Path
    silent: Path
    broken: Path
    needed: Path


@dataclasses.dataclass(frozen=True, slots=True)
class Bench:
    """A board, and the address that its agent is to have."""

    board: SshBoard
    home: Path
    address: str
    wheels: Wheels

    def install(self, *words: str, wheel: Path | None = None, name: str = "pi4") -> int:
        given = ["--wheel", str(wheel or self.wheels.agent), "--wheels", str(self.wheels.needed)]
        return edgectl("device", "install", self.board.destination, "--name", name, *given, *words)

    def installed(self) -> str:
        """The version that runs and answers; "" where none does."""
        return str(_told("device", "show", "pi4").get("agent_version", ""))

    def left_behind(self) -> list[str]:
        """In the board's folder for temporary files."""
        return [path.name for path in self.board.temporary.iterdir()]


def edgectl(*words: str) -> int:
    return run(words, environ=os.environ)


def _told(*words: str) -> Any:
    """What a command answers in JSON."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        edgectl(*words, "-o", "json")
    return json.loads(out.getvalue())


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory, edge_runner: Path) -> Wheels:
    folder = tmp_path_factory.mktemp("wheels")
    return Wheels(
        agent_wheel(folder, edge_runner),
        agent_wheel(folder, edge_runner, version="0.2.0"),
        agent_wheel(folder, edge_runner, version="0.3.0", main=_SILENT),
        agent_wheel(folder, edge_runner, version="0.4.0", main=_BROKEN),
        needed_wheels(folder / "needed"),
    )


@contextlib.contextmanager
def _bench(folder: Path, wheels: Wheels) -> Iterator[Bench]:
    with ssh_board(folder / "board", interpreter()) as board:
        yield Bench(board, folder / "home", f"127.0.0.1:{free_port()}", wheels)


@pytest.fixture(scope="module")
def one_board(tmp_path_factory: pytest.TempPathFactory, wheels: Wheels) -> Iterator[Bench]:
    """One for all tests, since making one takes a while; each leaves it as it found it."""
    with _bench(tmp_path_factory.mktemp("one"), wheels) as bench:
        yield bench


@pytest.fixture
def bench(one_board: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setenv("EDGECTL_HOME", str(one_board.home))
    monkeypatch.setenv("EDGECTL_SSH", one_board.board.environ["EDGECTL_SSH"])
    return one_board


@pytest.fixture(scope="module")
def installed_board(tmp_path_factory: pytest.TempPathFactory, wheels: Wheels) -> Iterator[Bench]:
    """A second one, on which the agent is."""
    folder = tmp_path_factory.mktemp("installed")
    (folder / "password").write_text(f"{_PASSWORD}\n")
    with (
        _bench(folder, wheels) as bench,
        running_broker(folder / "broker") as port,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("EDGECTL_HOME", str(bench.home))
        patch.setenv("EDGECTL_SSH", bench.board.environ["EDGECTL_SSH"])
        broker = ["--mqtt", f"127.0.0.1:{port}", "--mqtt-user", "me", "--mqtt-password-file", str(folder / "password")]
        with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(out):
            assert bench.install("--address", bench.address, *broker) == 0, out.getvalue()
        assert _PASSWORD not in out.getvalue()
        yield bench


@pytest.fixture
def installed(installed_board: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setenv("EDGECTL_HOME", str(installed_board.home))
    monkeypatch.setenv("EDGECTL_SSH", installed_board.board.environ["EDGECTL_SSH"])
    return installed_board


def test_an_installed_board_answers_over_mutual_tls_and_is_in_the_inventory(installed: Bench) -> None:
    (known,) = _told("device", "list")
    assert (known["name"], known["address"]) == ("pi4", installed.address)
    assert known["identity"] == str(installed.home / "config/identities/pi4")
    assert installed.installed() == "0.1.0"


def test_what_is_secret_on_the_board_is_roots_alone_and_nothing_is_left_behind(installed: Bench) -> None:
    private = "/etc/edgectl/identity/device.key /etc/edgectl/broker/password /etc/edgectl/identity /opt/edgectl.d/1/etc"
    assert installed.board.run(f"stat -c %a {private}").split() == ["600", "600", "700", "700"]
    assert installed.board.run("cat /etc/edgectl/broker/password") == f"{_PASSWORD}\n"
    assert _PASSWORD not in installed.board.run("cat /etc/edgectl/agent.toml; ps axe")
    assert installed.left_behind() == []


def test_the_service_starts_with_the_board_and_the_journal_is_bounded(installed: Bench) -> None:
    assert installed.board.exists("/run/edge-agent.enabled")
    assert "SystemMaxUse=64M" in installed.board.run("cat /etc/systemd/journald.conf.d/10-edgectl.conf")


def test_the_service_runs_bytecode_without_docstrings_that_was_compiled_for_it(installed: Bench) -> None:
    environ = installed.board.run("tr '\\0' '\\n' < /proc/$(cat /run/edge-agent.pid)/environ").splitlines()
    assert {"PYTHONOPTIMIZE=2", "PYTHONPYCACHEPREFIX=/opt/edgectl.d/1/bytecode"} <= set(environ)
    verbose = "PYTHONOPTIMIZE=2 PYTHONPYCACHEPREFIX=/opt/edgectl.d/1/bytecode PYTHONDONTWRITEBYTECODE=1 PYTHONVERBOSE=1"
    told = installed.board.attempt(f"{verbose} /opt/edgectl/bin/edge-agent run").stderr
    assert "edgectl_agent/command_line.cpython" in told
    compiled = [line for line in told.splitlines() if line.startswith("# code object from ") and ".pyc" not in line]
    assert compiled == []


def test_an_upgrade_keeps_settings_and_the_certificate_and_the_installation_before(installed: Bench) -> None:
    installed.board.run("echo 'telemetry_interval = 5' >> /etc/edgectl/agent.toml")
    certificate = installed.board.run("cat /etc/edgectl/identity/device.pem")
    assert installed.install(wheel=installed.wheels.newer) == 0
    assert installed.installed() == "0.2.0"
    settings = installed.board.run("cat /etc/edgectl/agent.toml").splitlines()
    assert settings[-1] == "telemetry_interval = 5"
    assert 'mqtt_password_file = "/run/credentials/edge-agent.service/broker.password"' in settings
    assert installed.board.exists("/run/credentials/edge-agent.service/broker.password")
    assert installed.board.run("cat /etc/edgectl/identity/device.pem") == certificate
    assert installed.board.run("readlink /opt/edgectl; ls /opt/edgectl.d") == "edgectl.d/2\n1\n2\nbefore\nlock\n"


def test_going_back_puts_the_version_before_in_place_and_a_second_time_is_refused(installed: Bench) -> None:
    if installed.installed() != "0.2.0":
        assert installed.install(wheel=installed.wheels.newer) == 0
    back = [str(SCRIPTS / "install.sh"), "--rollback", "board"]
    subprocess.run(back, env=os.environ, check=True, capture_output=True)
    assert installed.installed() == "0.1.0"
    again = subprocess.run(back, env=os.environ, check=False, capture_output=True, text=True)
    assert (again.returncode, "what was before the last install is in place" in again.stderr) == (10, True)
    assert installed.installed() == "0.1.0"
    assert installed.left_behind() == []


def test_an_agent_that_does_not_start_gives_way_to_the_one_before(
    installed: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    before, link = installed.installed(), installed.board.run("readlink /opt/edgectl")
    capsys.readouterr()
    assert installed.install("-o", "json", wheel=installed.wheels.broken) == 1
    error = json.loads(capsys.readouterr().out)["error"]
    assert (error["code"], "nothing works" in error["seen"]) == ("state", True)
    assert (installed.installed(), installed.board.run("readlink /opt/edgectl")) == (before, link)
    assert installed.left_behind() == []


def test_a_board_is_not_given_a_second_name_nor_a_name_a_second_board(
    installed: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    assert installed.install("--address", "127.0.0.1:1", name="pi5") == 2
    assert "the board is the device 'pi4' already" in capsys.readouterr().err
    assert installed.install("--address", "127.0.0.2") == 2
    assert "edgectl device remove pi4" in capsys.readouterr().err


def test_a_first_agent_that_does_not_answer_leaves_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(device_install, "ANSWER_SECONDS", 1.0)
    assert bench.install("--address", bench.address, "-o", "json", wheel=bench.wheels.silent) == 1
    error = json.loads(capsys.readouterr().out)["error"]
    assert (error["code"], "firewall" in error["action"]) == ("unreachable", True)
    for path in ("/opt/edgectl", "/opt/edgectl.d", "/etc/edgectl", "/etc/systemd/system/edge-agent.service"):
        assert not bench.board.exists(path)
    assert _told("device", "list") == []


def test_a_dry_run_says_what_would_be_done_and_does_nothing(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    home = bench.home / "config"
    before = sorted(home.rglob("*")) if home.exists() else []
    assert edgectl("device", "install", "board", "--name", "pi7", "--wheel", str(bench.wheels.agent), "--dry-run") == 0
    out = capsys.readouterr().out
    assert "would make a certificate for pi7" in out
    assert "go back to nothing installed if it does not" in out
    assert not bench.board.exists("/etc/edgectl")
    assert (sorted(home.rglob("*")) if home.exists() else []) == before


@pytest.mark.parametrize(
    ("programs", "said"),
    [
        ({"uname": "echo armv7l", "getconf": "echo 32"}, "a 32-bit system on armv7l; expected a 64-bit system"),
        ({"uname": "echo aarch64", "getconf": "echo 32"}, "write the 64-bit Raspberry Pi OS to the card"),
        ({"systemctl": "echo 'systemd 247 (247.3)'"}, "systemd 247; expected 250 or later"),
        ({"systemctl": "exit 127"}, "no systemd"),
        ({"python3": "case $2 in *print*) echo 3.9;; *) exit 1;; esac"}, "Python 3.9; expected Python 3.11 or later"),
        ({"python3": "exit 127"}, "no python3"),
        ({"python3": "case $2 in 'import venv') exit 1;; *print*) echo 3.11;; esac"}, "apt-get install python3-venv"),
        ({"df": "printf 'x\\n/dev/mmcblk0p2 1 1 51200 99%% /\\n'"}, "50 MiB free in /opt; expected 200 MiB"),
        ({"dpkg-query": "echo installed"}, "the Debian package edgectl-agent is installed"),
    ],
)
def test_a_board_that_cannot_run_the_agent_is_told_so(programs: dict[str, str], said: str, bench: Bench) -> None:
    with _programs(bench.board, programs):
        done = bench.board.attempt(f"sh {SCRIPTS}/board.sh check")
    assert done.returncode == 10
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert said in line


def test_a_board_that_cannot_run_the_agent_gets_nothing_sent(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    with _programs(bench.board, {"uname": "echo armv7l", "getconf": "echo 32"}):
        assert bench.install("--address", bench.address, "-o", "json") == 1
    error = json.loads(capsys.readouterr().out)["error"]
    assert (error["code"], error["seen"]) == ("state", "a 32-bit system on armv7l")
    assert error["action"] == "use a Raspberry Pi Zero 2 W, 3, 4 or 5 with the 64-bit Raspberry Pi OS"
    assert not bench.board.exists("/opt/edgectl.d")
    assert bench.left_behind() == []


@contextlib.contextmanager
def _programs(board: SshBoard, programs: dict[str, str]) -> Iterator[None]:
    """Programs in place of the board's own, for as long as the block."""
    with contextlib.ExitStack() as restored:
        for name, text in programs.items():
            before = board.attempt(f"cat /usr/local/bin/{name}")
            if before.returncode == 0:
                restored.callback(board.put_program, name, before.stdout.removesuffix("\n"))
            else:
                restored.callback(board.remove_program, name)
            board.put_program(name, f"#!/bin/sh\n{text}")
        yield


def test_a_user_who_cannot_become_root_is_told_so(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    with _programs(bench.board, {"id": "echo 1000", "sudo": "exit 1"}):
        assert bench.install("--address", bench.address) == 1
    assert "there is no terminal" in capsys.readouterr().err
    assert bench.left_behind() == []


def test_a_board_that_does_not_let_us_in_is_one_line(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    key = tmp_path / "another"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    monkeypatch.setenv("EDGECTL_SSH", f"{os.environ['EDGECTL_SSH']} -o IdentityFile={key} -o BatchMode=yes")
    config = Path(os.environ["EDGECTL_SSH"].split()[2])
    other = tmp_path / "config"
    other.write_text("\n".join(line for line in config.read_text().splitlines() if "IdentityFile" not in line))
    monkeypatch.setenv("EDGECTL_SSH", f"ssh -F {other} -o IdentityFile={key} -o BatchMode=yes")
    assert bench.install("--address", bench.address) == 1
    assert "error: cannot log in to board; expected an ssh server that lets you in" in capsys.readouterr().err


def test_a_board_with_another_host_key_than_known_is_not_spoken_to(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    known = tmp_path / "known_hosts"
    folder = Path(os.environ["EDGECTL_SSH"].split()[2]).parent
    place = (folder / "known_hosts").read_text().split()[0]
    user_key = " ".join((folder / "user_key.pub").read_text().split()[:2])
    known.write_text(f"{place} {user_key}\n")
    monkeypatch.setenv("EDGECTL_SSH", f"{os.environ['EDGECTL_SSH']} -o UserKnownHostsFile={known}")
    assert bench.install("--address", bench.address) == 1
    assert "cannot log in to board" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-oProxyCommand=touch /tmp/x", "--name", "pi4"], "Invalid value for '-o'"),
        (["pi@host; true", "--name", "pi4"], "destination 'pi@host; true'"),
        (["board", "--name", "../x"], "device name '../x'"),
        (["board", "--name", "local"], "no device can be added under that name"),
        (["board", "--name", "pi4", "--mqtt-user", "me"], "--mqtt-... without --mqtt"),
        (["board", "--name", "pi4", "--wheel", "absent.whl"], "absent.whl: no such file"),
    ],
)
@pytest.mark.usefixtures("bench")
def test_wrong_words_are_usage_errors(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert edgectl("device", "install", *words) == 2
    assert said in capsys.readouterr().err


def test_without_ssh_it_says_what_to_install(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EDGECTL_SSH", "/nowhere/ssh")
    assert bench.install() == 2
    assert "install openssh-client" in capsys.readouterr().err


def test_the_script_runs_alone_and_refuses_another_boards_wheel(bench: Bench, tmp_path: Path) -> None:
    wheel = tmp_path / "edgectl_agent-0.1.0-py3-none-manylinux_2_34_riscv64.whl"
    wheel.write_bytes(b"")
    identity = tmp_path / "identity"
    identity.mkdir()
    for name in ("ca.pem", "device.pem", "device.key"):
        (identity / name).write_bytes(b"")
    command = [
        str(SCRIPTS / "install.sh"),
        "--dry-run",
        "--wheel",
        str(wheel),
        "--identity",
        str(identity),
        "board",
        "pi4",
    ]
    done = subprocess.run(command, env=bench.board.environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 10
    assert "expected a wheel for it" in done.stderr


def test_uninstalling_keeps_the_models_unless_they_are_to_go(
    installed: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    assert edgectl("device", "uninstall", "board", "--dry-run") == 0
    assert installed.installed()
    assert edgectl("device", "uninstall", "board") == 0
    assert "forgot the device pi4" in capsys.readouterr().out
    for path in ("/opt/edgectl", "/opt/edgectl.d", "/etc/edgectl", "/etc/systemd/journald.conf.d/10-edgectl.conf"):
        assert not installed.board.exists(path)
    assert installed.board.run("find /etc/systemd/system -name 'edge-agent*'") == ""
    assert installed.board.exists("/var/lib/edge-agent/models")
    assert _told("device", "list") == []
    assert edgectl("device", "uninstall", "board", "--purge") == 0
    assert not installed.board.exists("/var/lib/edge-agent")
