# SPDX-License-Identifier: Apache-2.0
"""`edge-agent doctor`: looks, judges, prints. Nothing is changed."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, replace
from pathlib import Path

from edgectl_protos.errors import EdgectlError, ExitCode

from edgectl_agent.board.conditions import BoardConditions
from edgectl_agent.configuration import AgentConfiguration, Settings, configure, merge_settings, settings_from_file
from edgectl_agent.doctor import board, board_rules, connections, identity, program, service_rules
from edgectl_agent.doctor.board_rules import worst
from edgectl_agent.doctor.facts import Checkup, SettingsFacts
from edgectl_agent.doctor.findings import Finding, Outcome, ok

INSTALLED_SETTINGS = Path("/etc/edgectl/agent.toml")
INSTALLED_STATE = Path("/var/lib/edge-agent")
_IDENTITY = "identity"


@dataclass(frozen=True, slots=True)
class Roots:
    """Where the system's files are."""

    proc: Path = Path("/proc")
    sys: Path = Path("/sys")
    boot: Path = Path("/boot")


def doctor(config: Path | None, *, as_json: bool) -> tuple[int, str]:
    """The exit code, 1 where something is wrong, and what to print."""
    findings = judge(asyncio.run(examine(config, Roots())))
    failed = worst(findings) is Outcome.WRONG
    text = json_text(findings) if as_json else table_text(findings)
    return int(ExitCode.ERROR if failed else ExitCode.DONE), text


async def examine(config: Path | None, roots: Roots) -> Checkup:
    """Look at everything."""
    settings, configuration = read_settings(config)
    listen, state = (configuration.listen, configuration.state) if configuration else (None, INSTALLED_STATE)
    return Checkup(
        settings=settings,
        clock=board.read_clock(now=time.time(), synchronized=board.clock_synchronized(), sys=roots.sys),
        disk=board.read_disk(state, sys=roots.sys),
        memory=board.read_memory(roots.proc),
        conditions=await board.read_conditions(BoardConditions(sys=roots.sys)),
        architecture=board.read_architecture(roots.proc),
        controller=board.read_controller(proc=roots.proc, sys=roots.sys, boot=roots.boot),
        port=connections.read_port(listen, state, proc=roots.proc),
        broker=connections.ask_broker(
            configuration.mqtt if configuration else None, configuration.device if configuration else ""
        ),
        identity=identity.read_identity(
            configuration.identity if configuration else None, configuration.device if configuration else ""
        ),
        runner=await program.read_runner(configuration.runner if configuration else None),
        python=program.read_python(),
    )


def read_settings(config: Path | None) -> tuple[SettingsFacts, AgentConfiguration | None]:
    """The settings that the service runs with: beside the file, its unit gives the state folder and the identity."""
    file = config or (INSTALLED_SETTINGS if _there(INSTALLED_SETTINGS) else None)
    if file is None:
        return SettingsFacts(None, failure=""), None
    beside = file.parent / _IDENTITY
    given = Settings(state=str(INSTALLED_STATE), identity=str(beside) if _there(beside) else None)
    try:
        return SettingsFacts(file, failure=""), configure(merge_settings(settings_from_file(file), given))
    except EdgectlError as error:
        return SettingsFacts(file, failure=error.message), None


def judge(checkup: Checkup) -> tuple[Finding, ...]:
    """Every finding, in the order of the report; what the settings would have named is not judged without them."""
    without_settings = checkup.settings.file is None or bool(checkup.settings.failure)
    return (
        service_rules.check_settings(checkup.settings),
        board_rules.check_clock(checkup.clock),
        board_rules.check_disk(checkup.disk),
        board_rules.check_memory(checkup.memory),
        board_rules.check_temperature(checkup.conditions),
        board_rules.check_power(checkup.conditions),
        board_rules.check_architecture(checkup.architecture),
        board_rules.check_controller(checkup.controller),
        *(
            (ok(name, "not looked at: there are no settings to go by") for name in ("port", "broker", "certificate"))
            if without_settings
            else (
                service_rules.check_port(checkup.port),
                service_rules.check_broker(checkup.broker),
                service_rules.check_identity(checkup.identity, checkup.clock.now),
            )
        ),
        service_rules.check_runner(checkup.runner, checkup.architecture.machine),
        service_rules.check_python(checkup.python),
    )


def json_text(findings: tuple[Finding, ...]) -> str:
    document = {
        "ok": worst(findings) is not Outcome.WRONG,
        "checks": [
            {"name": one.name, "outcome": one.outcome.value, "seen": one.seen, "fix": one.fix} for one in findings
        ],
    }
    return json.dumps(document, indent=2, ensure_ascii=False)


def table_text(findings: tuple[Finding, ...]) -> str:
    """One line for each, what to do below it where there is something, and the count."""
    shown = [replace(one, seen=_one_line(one.seen), fix=_one_line(one.fix)) for one in findings]
    width = max(len(one.name) for one in shown)
    lines = []
    for one in shown:
        lines.append(f"{one.name:{width}}  {one.outcome.value:7}  {one.seen}")
        if one.fix:
            lines.append(f"{'':{width}}  {'':7}  -> {one.fix}")
    counts = {outcome: sum(one.outcome is outcome for one in findings) for outcome in Outcome}
    lines.append(", ".join(f"{counts[outcome]} {outcome.value}" for outcome in reversed(Outcome)))
    return "\n".join(lines)


def _one_line(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in " ".join(text.split()))


def _there(path: Path) -> bool:
    try:
        return path.exists()
    except PermissionError:
        return False
