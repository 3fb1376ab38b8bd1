# SPDX-License-Identifier: Apache-2.0
"""`edge-agent doctor` beside real agents, a real broker, and certificates of the lab's authority."""

from __future__ import annotations

import datetime as dt
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from edgectl.fleet.authority import Authority, utc_now
from edgectl_agent.configuration import MqttSettings
from edgectl_agent.doctor.connections import ask_broker
from edgectl_agent.doctor.findings import Outcome
from edgectl_agent.doctor.identity import read_identity
from edgectl_agent.doctor.service_rules import check_broker, check_identity
from edgectl_protos.address import Address

from tests.agents import free_port, running_agent, running_broker


def _issued(root: Path, *, name: str = "pi4", days: float = 0.0) -> Path:
    """An identity that was issued so many days ago, by an authority in `root`."""
    authority = Authority.open_or_create(root / "authority", lambda: utc_now() - dt.timedelta(days=days))
    return authority.issue_device(name, root / "identities")


def _judged(folder: Path, *, device: str = "pi4") -> tuple[Outcome, str]:
    found = check_identity(read_identity(folder, device), utc_now().timestamp())
    return found.outcome, found.seen


def test_a_fresh_identity_is_ok(tmp_path: Path) -> None:
    outcome, seen = _judged(_issued(tmp_path))
    today = utc_now()
    assert outcome is Outcome.OK
    assert f"to {today + dt.timedelta(days=365):%Y-%m-%d}" in seen


def test_an_identity_that_ran_out_is_told_with_its_dates(tmp_path: Path) -> None:
    outcome, seen = _judged(_issued(tmp_path, days=400))
    assert (outcome, seen.endswith("it has run out")) == (Outcome.WRONG, True)


def test_an_identity_of_tomorrow_is_not_valid_yet(tmp_path: Path) -> None:
    outcome, seen = _judged(_issued(tmp_path, days=-3))
    assert (outcome, seen.endswith("not yet")) == (Outcome.WRONG, True)


def test_an_identity_of_another_device_is_wrong(tmp_path: Path) -> None:
    outcome, seen = _judged(_issued(tmp_path, name="pi5"))
    assert (outcome, seen) == (Outcome.WRONG, "of pi5.device.edgectl, and this device is 'pi4'")


def test_a_certificate_of_another_authority_is_wrong(tmp_path: Path) -> None:
    folder, other = _issued(tmp_path / "one"), _issued(tmp_path / "other")
    shutil.copy(other / "ca.pem", folder / "ca.pem")
    outcome, seen = _judged(folder)
    assert (outcome, "is not of the authority in ca.pem" in seen) == (Outcome.WRONG, True)


def test_a_key_of_another_certificate_is_wrong(tmp_path: Path) -> None:
    folder, other = _issued(tmp_path), _issued(tmp_path, name="pi5")
    shutil.copy(other / "device.key", folder / "device.key")
    outcome, seen = _judged(folder)
    assert (outcome, "do not belong together: key values mismatch" in seen) == (Outcome.WRONG, True)


@pytest.mark.parametrize("name", ["ca.pem", "device.pem", "device.key"])
def test_a_damaged_or_missing_file_is_wrong(name: str, tmp_path: Path) -> None:
    folder = _issued(tmp_path)
    (folder / name).write_bytes((folder / name).read_bytes()[:90])
    assert _judged(folder)[0] is Outcome.WRONG
    (folder / name).unlink()
    outcome, seen = _judged(folder)
    assert (outcome, f"{name}: No such file or directory" in seen) == (Outcome.WRONG, True)


def test_a_key_that_others_may_read_is_wrong(tmp_path: Path) -> None:
    folder = _issued(tmp_path)
    (folder / "device.key").chmod(0o640)
    assert "mode 640" in _judged(folder)[1]


def _asked(port: int, **given: Any) -> tuple[Outcome, str]:
    settings = MqttSettings(
        Address("127.0.0.1", port), given.get("user"), given.get("password_file"), given.get("authority")
    )
    found = check_broker(ask_broker(settings, "pi4"))
    return found.outcome, found.seen


def test_a_broker_that_takes_the_agent_is_ok_and_one_that_is_not_there_is_wrong(tmp_path: Path) -> None:
    with running_broker(tmp_path / "broker") as port:
        assert _asked(port)[0] is Outcome.OK
    outcome, seen = _asked(port)
    assert (outcome, seen) == (Outcome.WRONG, f"127.0.0.1:{port}: Connection refused (connect)")


def test_a_broker_of_an_unknown_host_is_wrong() -> None:
    found = ask_broker(MqttSettings(Address("no-such-host.invalid", 1883), None, None, None), "pi4")
    assert found.step == "resolve"


def test_a_password_that_the_broker_refuses_is_told(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("wrong\n")
    users = tmp_path / "users"
    subprocess.run(["mosquitto_passwd", "-b", "-c", str(users), "agent", "right"], check=True)
    with running_broker(tmp_path / "broker", lines=["allow_anonymous false", f"password_file {users}"]) as port:
        outcome, seen = _asked(port, user="agent", password_file=password)
        assert (outcome, "Not authorized (sign in)" in seen) == (Outcome.WRONG, True)
        password.write_text("right\n")
        assert _asked(port, user="agent", password_file=password)[0] is Outcome.OK
        assert "(files)" in _asked(port, user="agent", password_file=tmp_path / "absent")[1]


def test_a_broker_with_a_certificate_of_another_authority_is_not_trusted(tmp_path: Path) -> None:
    server = _issued(tmp_path / "lab", name="broker")
    other = _issued(tmp_path / "other", name="broker")
    lines = [
        "allow_anonymous true",
        f"cafile {server / 'ca.pem'}",
        f"certfile {server / 'device.pem'}",
        f"keyfile {server / 'device.key'}",
    ]
    with running_broker(tmp_path / "broker", lines=lines) as port:
        outcome, seen = _asked(port, authority=other / "ca.pem")
        assert (outcome, "(trust)" in seen) == (Outcome.WRONG, True)


def _doctor(*arguments: str) -> tuple[int, dict[str, dict[str, str]]]:
    command = [sys.executable, "-m", "edgectl_agent", "doctor", "-o", "json", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    document = json.loads(done.stdout)
    assert document["ok"] == (done.returncode == 0)
    return done.returncode, {check["name"]: check for check in document["checks"]}


def test_the_doctor_knows_an_agent_that_runs_from_one_that_does_not(tmp_path: Path) -> None:
    port, config = free_port(), tmp_path / "agent.toml"
    identity = _issued(tmp_path)
    shutil.copytree(identity, tmp_path / "identity")
    config.write_text(f'device = "pi4"\nlisten = "127.0.0.1:{port}"\nstate = "{tmp_path / "state"}"\n')
    checks = _doctor("--config", str(config))[1]
    assert "the agent does not run" in checks["port"]["seen"]
    assert checks["runner"]["seen"].endswith("it ran the reference model")
    with running_agent(tmp_path / "state", "--identity", str(identity), device="pi4", listen=f"127.0.0.1:{port}"):
        _, checks = _doctor("--config", str(config))
        assert checks["port"]["seen"] == f"the agent listens on 127.0.0.1:{port}"
        assert checks["certificate"]["outcome"] == "ok"


def test_settings_that_cannot_be_used_are_wrong_and_the_exit_code_says_so(tmp_path: Path) -> None:
    config = tmp_path / "agent.toml"
    config.write_text('device = "pi4"\nlisen = "0.0.0.0:50051"\n')
    status, checks = _doctor("--config", str(config))
    assert (status, checks["settings"]["outcome"]) == (1, "wrong")
    assert "unknown key 'lisen'" in checks["settings"]["seen"]
    assert checks["port"]["seen"].startswith("not looked at")


def test_a_runner_that_does_not_run_is_wrong(tmp_path: Path) -> None:
    runner = tmp_path / "edge-runner"
    runner.write_text("#!/bin/sh\nkill -ILL $$\n")
    runner.chmod(0o755)
    config = tmp_path / "agent.toml"
    config.write_text(f'device = "pi4"\nlisten = "127.0.0.1:1"\nrunner = "{runner}"\n')
    status, checks = _doctor("--config", str(config))
    assert status == 1
    assert "SIGILL" in checks["runner"]["seen"]
