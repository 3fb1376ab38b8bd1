# SPDX-License-Identifier: Apache-2.0
"""Commands over the inventory, through the real entry point, in a home of their own."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from edgectl.cli.main import run

Run = Callable[..., int]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGECTL_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def edgectl(*words: str) -> int:
    return run(words, environ=os.environ)


@pytest.mark.usefixtures("home")
def test_empty_inventory_says_how_to_begin(capsys: pytest.CaptureFixture[str]) -> None:
    assert edgectl("device", "list") == 0
    assert "edgectl device add NAME HOST:PORT" in capsys.readouterr().out
    assert edgectl("device", "list", "-o", "json") == 0
    assert json.loads(capsys.readouterr().out) == []


def test_added_board_gets_a_certificate_and_exact_commands(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert edgectl("device", "add", "pi4", "192.168.1.20", "--architecture", "aarch64") == 0
    out = capsys.readouterr().out
    identity = home / "config" / "identities" / "pi4"
    assert sorted(path.name for path in identity.iterdir()) == ["ca.pem", "device.key", "device.pem"]
    assert f"scp -rp {identity} 192.168.1.20:edgectl-pi4\n" in out
    assert "edge-agent run --device pi4 --state" in out
    assert "--listen 0.0.0.0:50051 --identity edgectl-pi4\n" in out


@pytest.mark.usefixtures("home")
def test_board_by_ipv6_keeps_its_brackets(capsys: pytest.CaptureFixture[str]) -> None:
    assert edgectl("device", "add", "pi6", "[fd00::7]:6000", "-o", "json") == 0
    added = json.loads(capsys.readouterr().out)
    assert added["copy_command"].endswith(" [fd00::7]:edgectl-pi6")
    assert "--listen [::]:6000" in added["agent_command"]


def test_loopback_device_needs_no_certificate(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert edgectl("device", "add", "desk", "127.0.0.1:50999", "-o", "json") == 0
    added = json.loads(capsys.readouterr().out)
    assert (added["identity"], added["copy_command"]) == (None, None)
    assert added["agent_command"].endswith("--listen 127.0.0.1:50999")
    assert not (home / "config" / "identities").exists()


def test_device_of_the_same_name_keeps_the_first(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert edgectl("device", "add", "pi4", "192.168.1.20") == 0
    certificate = (home / "config" / "identities" / "pi4" / "device.pem").read_bytes()
    assert edgectl("device", "add", "pi4", "192.168.1.21") == 2
    assert "edgectl device remove pi4" in capsys.readouterr().err
    assert edgectl("device", "add", "PI4", "192.168.1.21") == 2
    assert "run `edgectl device remove pi4` first" in capsys.readouterr().err
    assert (home / "config" / "identities" / "pi4" / "device.pem").read_bytes() == certificate
    edgectl("device", "list", "-o", "json")
    assert [known["address"] for known in json.loads(capsys.readouterr().out)] == ["192.168.1.20:50051"]


def test_board_without_the_labs_authority_is_an_authentication_error(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert edgectl("device", "add", "pi4", "192.0.2.1") == 0
    capsys.readouterr()
    (home / "config" / "authority" / "ca.key").unlink()
    assert edgectl("device", "show", "pi4", "-o", "json") == 4
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "unauthenticated"


@pytest.mark.parametrize(
    ("name", "address"), [("local", "10.0.0.1"), ("../x", "10.0.0.1"), ("pi4", "a b"), ("pi4", ":1")]
)
def test_bad_name_or_address_adds_nothing(
    name: str, address: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert edgectl("device", "add", name, address) == 2
    assert capsys.readouterr().err.startswith("error: ")
    assert not home.exists()


@pytest.mark.usefixtures("home")
def test_unknown_device_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    edgectl("device", "add", "kitchen", "10.0.0.1")
    capsys.readouterr()
    for words in (["device", "remove", "kitchn"], ["device", "show", "kitchn"], ["bench", "x", "--on", "kitchn"]):
        assert edgectl(*words) == 2
        assert "'kitchen'" in capsys.readouterr().err
    assert edgectl("device", "remove", "kitchen") == 0


@pytest.mark.usefixtures("home")
def test_unknown_device_is_not_told_to_be_added(capsys: pytest.CaptureFixture[str]) -> None:
    edgectl("device", "add", "pi4", "10.0.0.1")
    capsys.readouterr()
    for verb in ("remove", "show"):
        for name in ("PI4", "kitchen"):
            assert edgectl("device", verb, name) == 2
            err = capsys.readouterr().err
            assert "device add" not in err
            assert ("did you mean 'pi4'?" in err) == (name == "PI4")


@pytest.mark.parametrize("words", [["add", "local", "10.0.0.1"], ["remove", "local"], ["remove", "LOCAL"]])
def test_local_is_always_there_and_no_entry(words: list[str], home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert edgectl("device", *words) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"error: {words[1]!r} is the agent that edgectl starts on this machine")
    assert not home.exists()


@pytest.mark.usefixtures("home")
def test_device_names_complete(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    edgectl("device", "add", "kitchen", "10.0.0.1")
    capsys.readouterr()
    monkeypatch.setenv("_EDGECTL_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "edgectl bench x --on ")
    monkeypatch.setenv("COMP_CWORD", "4")
    assert edgectl() == 0
    local, kitchen, *emulated = capsys.readouterr().out.split()
    assert (local, kitchen) == ("plain,local", "plain,kitchen")
    assert "plain,emulated-pi4" in emulated


def test_targets_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert edgectl("targets", "list", "-o", "json") == 0
    assert {"generic", "aarch64", "x86_64"} <= {target["name"] for target in json.loads(capsys.readouterr().out)}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["telemetry", "tail"], "neither or both of --on and --mqtt"),
        (["telemetry", "tail", "--on", "local", "--mqtt", "localhost"], "neither or both of --on and --mqtt"),
        (["telemetry", "tail", "--on", "local", "--device", "pi4"], "--device only with --mqtt"),
        (["telemetry", "tail", "--on", "local", "--mqtt-user", "me"], "--mqtt-user only with --mqtt"),
        (["telemetry", "tail", "--mqtt", "broker.example:8883"], "without an authority"),
        (["telemetry", "tail", "--mqtt", "127.0.0.1:1", "--mqtt-password-file", "absent"], "absent"),
        (["bench", "x", "--on", "local", "--protocol", "shrot"], "'short'"),
        (["bench", "x.edge"], "--on"),
    ],
)
@pytest.mark.usefixtures("home")
def test_wrong_flags_are_usage_errors(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert edgectl(*words) == 2
    assert said in capsys.readouterr().err


@pytest.mark.usefixtures("home")
def test_broker_that_is_not_there_is_unreachable(capsys: pytest.CaptureFixture[str]) -> None:
    assert edgectl("telemetry", "tail", "--mqtt", "127.0.0.1:1", "-o", "json") == 1
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "unreachable"
