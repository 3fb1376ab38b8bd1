# SPDX-License-Identifier: Apache-2.0
"""What the doctor makes of the agent's own parts: pure rules over facts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from edgectl_agent.doctor import connections, service_rules
from edgectl_agent.doctor.command import json_text, table_text
from edgectl_agent.doctor.facts import BrokerFacts, IdentityFacts, PortFacts, PythonFacts, RunnerFacts, SettingsFacts
from edgectl_agent.doctor.findings import Finding, Outcome
from edgectl_protos.address import Address

_LISTEN = Address("0.0.0.0", 50051)
_DAY = 86_400.0
_IDENTITY = IdentityFacts(
    Path("/etc/edgectl/identity"),
    "pi4",
    names=("pi4.device.edgectl",),
    not_before=1_780_000_000.0,
    not_after=1_780_000_000.0 + 365 * _DAY,
)
_NOW = _IDENTITY.not_before + 10 * _DAY
_RUNNER = RunnerFacts("/opt/edgectl/bin/edge-runner", "executorch 1.5.1", "aarch64", ("XnnpackBackend",), "")
_PYTHON = PythonFacts((3, 11, 2), "/opt/edgectl", (("edgectl-agent", "0.1.0"), ("grpcio", "1.80")), two_contracts=False)


@pytest.mark.parametrize(
    ("listening", "running", "outcome", "said"),
    [
        (True, True, Outcome.OK, "the agent listens on 0.0.0.0:50051"),
        (True, None, Outcome.OK, "somebody listens"),
        (True, False, Outcome.WRONG, "another program listens on port 50051"),
        (False, True, Outcome.WRONG, "the agent runs, and nobody listens"),
        (False, False, Outcome.WARNING, "the agent does not run"),
        (False, None, Outcome.WARNING, "nobody listens"),
    ],
)
def test_a_port_is_judged_by_who_has_it(*, listening: bool, running: bool | None, outcome: Outcome, said: str) -> None:
    found = service_rules.check_port(PortFacts(_LISTEN, listening, running))
    assert (found.outcome, said in found.seen) == (outcome, True)
    assert bool(found.fix) == (outcome is not Outcome.OK)


def test_an_agent_without_a_port_needs_none() -> None:
    found = service_rules.check_port(PortFacts(None, listening=False, agent_running=True))
    assert found.outcome is Outcome.OK


def test_only_listening_sockets_take_a_port() -> None:
    tables = (
        "  sl  local_address rem_address   st tx_queue\n"
        "   0: 00000000:C383 00000000:0000 0A 00000000:00000000\n"
        "   1: 0100007F:1F90 0100007F:C384 01 00000000:00000000\n"
        "   2: 00000000000000000000000000000000:0016 00000000000000000000000000000000:0000 0A 0\n\nnoise\n"
        "   3: 0100007F:ZZZZ 0:0 0A\n   4: x 0:0 0A\n   5: 0100007F:123456 0:0 0A\n"
    )
    assert connections.listening_ports(tables) == {50051, 22}


@pytest.mark.parametrize(
    "step",
    [connections.RESOLVE, connections.CONNECT, connections.TRUST, connections.SIGN_IN, connections.FILES],
)
def test_each_step_to_the_broker_has_a_fix_of_its_own(step: str) -> None:
    found = service_rules.check_broker(
        BrokerFacts(Address("broker", 8883), encrypted=True, failure="it failed", step=step)
    )
    assert (found.outcome, found.seen) == (Outcome.WRONG, f"broker:8883: it failed ({step})")
    assert found.fix


def test_a_whole_identity_is_ok() -> None:
    found = service_rules.check_identity(_IDENTITY, _NOW)
    assert (found.outcome, "of 'pi4', valid from 2026-05-28 to 2027-05-28" in found.seen) == (Outcome.OK, True)


@pytest.mark.parametrize(
    ("changes", "now", "outcome", "said"),
    [
        ({}, _IDENTITY.not_before - 60, Outcome.WRONG, "not yet"),
        ({}, _IDENTITY.not_after + 60, Outcome.WRONG, "it has run out"),
        ({}, _IDENTITY.not_after - 10 * _DAY, Outcome.WARNING, "10 days are left"),
        ({"device": "pi5"}, _NOW, Outcome.WRONG, "this device is 'pi5'"),
        ({"key_mode": 0o644}, _NOW, Outcome.WRONG, "others may read the private key (mode 644)"),
        ({"failure": "device.key: No such file or directory"}, _NOW, Outcome.WRONG, "device.key: No such file"),
        ({"unreadable": "device.key"}, _NOW, Outcome.WARNING, "cannot be read by this user"),
    ],
)
def test_an_identity_that_no_host_would_take_is_wrong(
    changes: dict[str, object], now: float, outcome: Outcome, said: str
) -> None:
    found = service_rules.check_identity(replace(_IDENTITY, **changes), now)  # type: ignore[arg-type]
    assert (found.outcome, said in found.seen) == (outcome, True)
    assert found.fix


def test_a_runner_for_another_architecture_is_told() -> None:
    assert service_rules.check_runner(_RUNNER, "aarch64").outcome is Outcome.OK
    assert service_rules.check_runner(_RUNNER, "x86_64").outcome is Outcome.WARNING
    assert service_rules.check_runner(replace(_RUNNER, delegates=()), "aarch64").outcome is Outcome.WRONG
    assert service_rules.check_runner(replace(_RUNNER, failure="crashed: SIGILL"), "aarch64").outcome is Outcome.WRONG


def test_python_is_judged_by_its_age_and_what_is_installed_in_it() -> None:
    assert service_rules.check_python(_PYTHON).outcome is Outcome.OK
    assert service_rules.check_python(replace(_PYTHON, version=(3, 9, 2))).outcome is Outcome.WRONG
    missing = service_rules.check_python(replace(_PYTHON, distributions=(("grpcio", None),)))
    assert (missing.outcome, "grpcio not installed" in missing.seen) == (Outcome.WRONG, True)
    assert service_rules.check_python(replace(_PYTHON, two_contracts=True)).fix.startswith("pip uninstall")


def test_settings_are_wrong_missing_or_named() -> None:
    file = Path("/etc/edgectl/agent.toml")
    assert service_rules.check_settings(SettingsFacts(file, "")).outcome is Outcome.OK
    assert service_rules.check_settings(SettingsFacts(None, "")).outcome is Outcome.WARNING
    assert str(file) in service_rules.check_settings(SettingsFacts(file, "unknown key 'lisen'")).fix


def test_a_table_has_what_to_do_below_each_fault_and_no_control_characters() -> None:
    findings = (Finding("disk", Outcome.OK, "a\x1b[31mb"), Finding("clock", Outcome.WRONG, "1970", "set it"))
    assert table_text(findings).splitlines() == [
        "disk   ok       a [31mb",
        "clock  wrong    1970",
        "                -> set it",
        "1 wrong, 0 warning, 1 ok",
    ]
    assert '"ok": false' in json_text(findings)
