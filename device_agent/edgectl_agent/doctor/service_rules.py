# SPDX-License-Identifier: Apache-2.0
"""What the facts about the agent itself mean. Pure: facts in, findings out."""

from __future__ import annotations

import datetime as dt

from edgectl_agent.doctor.connections import CONNECT, FILES, RESOLVE, SIGN_IN, TRUST
from edgectl_agent.doctor.facts import (
    BrokerFacts,
    IdentityFacts,
    PortFacts,
    PythonFacts,
    RunnerFacts,
    SettingsFacts,
)
from edgectl_agent.doctor.findings import Finding, ok, warning, wrong

_OLDEST_PYTHON = (3, 11)
_DAY = 86_400.0
_SOON_DAYS = 30.0
_DELEGATE = "XnnpackBackend"
_AS_ROOT = "run it as root: sudo edge-agent doctor"
_LOG = "see its log: journalctl -u edge-agent -n 50"
_INSTALL_AGAIN = "run `edgectl device install` on the host again: it sends the identity anew"

_BROKER_FIXES = {
    RESOLVE: "correct `mqtt` in the settings, or give the broker's address instead of its name",
    CONNECT: "start the broker, open its port in the firewall, or correct `mqtt` in the settings",
    TRUST: "give the authority that signed the broker's certificate as `mqtt_ca`, and check the clock of both",
    SIGN_IN: "correct `mqtt_user` and the password, or what the broker allows that user",
    FILES: "correct `mqtt_password_file` or `mqtt_ca`; what is in /run/credentials is there while the service runs",
}


def check_settings(facts: SettingsFacts) -> Finding:
    name = "settings"
    if facts.file is None:
        return warning(name, "no settings file", "give it with --config, or install with `edgectl device install`")
    if facts.failure:
        return wrong(name, facts.failure, f"correct {facts.file}, then: systemctl restart edge-agent")
    return ok(name, str(facts.file))


def check_port(facts: PortFacts) -> Finding:
    name = "port"
    if facts.listen is None:
        return ok(name, "none: the agent does not listen")
    if facts.listening:
        if facts.agent_running is False:
            return wrong(
                name,
                f"another program listens on port {facts.listen.port}, and the agent does not run",
                f"see which: ss -ltnp 'sport = :{facts.listen.port}'; stop it, or give the agent another port",
            )
        who = "the agent listens" if facts.agent_running else "somebody listens"
        return ok(name, f"{who} on {facts.listen}")
    if facts.agent_running:
        return wrong(
            name, f"the agent runs, and nobody listens on {facts.listen}", f"systemctl restart edge-agent; {_LOG}"
        )
    if facts.agent_running is None:
        return warning(name, f"nobody listens on {facts.listen}", _AS_ROOT)
    return warning(
        name, f"{facts.listen} is free: the agent does not run", f"start it: systemctl start edge-agent; {_LOG}"
    )


def check_broker(facts: BrokerFacts) -> Finding:
    name = "broker"
    if facts.broker is None:
        return ok(name, "none: telemetry is read over gRPC alone")
    if facts.failure:
        return wrong(name, f"{facts.broker}: {facts.failure} ({facts.step})", _BROKER_FIXES[facts.step])
    return ok(name, f"{facts.broker} takes the agent, {'over TLS' if facts.encrypted else 'in plain text on loopback'}")


def check_identity(facts: IdentityFacts, now: float) -> Finding:
    name = "certificate"
    if facts.folder is None:
        return ok(name, "none: the agent is spoken to in plain text, on loopback alone")
    if facts.unreadable:
        return warning(name, f"{facts.folder / facts.unreadable} cannot be read by this user", _AS_ROOT)
    if facts.failure:
        return wrong(name, f"{facts.folder}: {facts.failure}", _INSTALL_AGAIN)
    expected = f"{facts.device}.device.edgectl"
    if expected not in facts.names:
        seen = f"of {', '.join(facts.names) or 'nobody'}, and this device is {facts.device!r}"
        return wrong(name, seen, f"correct `device` in the settings, or {_INSTALL_AGAIN}")
    if facts.key_mode & 0o077:
        return wrong(
            name,
            f"others may read the private key (mode {facts.key_mode:o})",
            f"chmod 600 {facts.folder}/device.key; if it has been read, {_INSTALL_AGAIN} with --renew",
        )
    return _dates(facts, now)


def _dates(facts: IdentityFacts, now: float) -> Finding:
    name, left = "certificate", (facts.not_after - now) / _DAY
    seen = f"of {facts.device!r}, valid from {_day(facts.not_before)} to {_day(facts.not_after)}"
    if now < facts.not_before:
        return wrong(name, f"{seen}: not yet", "set the clock: timedatectl set-ntp true")
    if left < 0:
        return wrong(name, f"{seen}: it has run out", f"check the clock; {_INSTALL_AGAIN}")
    if left < _SOON_DAYS:
        return warning(name, f"{seen}: {left:.0f} days are left", _INSTALL_AGAIN)
    return ok(name, seen)


def check_runner(facts: RunnerFacts, machine: str) -> Finding:
    name = "runner"
    if facts.failure:
        fix = "install the agent's package for this board again: `edgectl device install` on the host"
        return wrong(name, f"{facts.program or 'none'}: {facts.failure}", fix)
    seen = f"{facts.runtime}, {facts.architecture}, {facts.program}: it ran the reference model"
    if facts.architecture != machine:
        return warning(name, f"{seen}; the board is {machine}", "install the package for this board's architecture")
    if _DELEGATE not in facts.delegates:
        return wrong(name, f"{seen}, and has no {_DELEGATE}", "install a runner that was built with XNNPACK")
    return ok(name, seen)


def check_python(facts: PythonFacts) -> Finding:
    name, version = "Python", ".".join(map(str, facts.version))
    missing = [distribution for distribution, found in facts.distributions if found is None]
    seen = ", ".join(f"{distribution} {found}" for distribution, found in facts.distributions if found is not None)
    if facts.version < _OLDEST_PYTHON:
        return wrong(name, f"{version} in {facts.prefix}", "install Debian 12 or Raspberry Pi OS 12, or later")
    if missing:
        return wrong(name, f"{version}; {', '.join(missing)} not installed", "install the agent's package again")
    if facts.two_contracts:
        return wrong(
            name,
            f"{version}; edgectl-protos beside the agent's own copy",
            "pip uninstall edgectl-protos, in its environment",
        )
    return ok(name, f"{version} in {facts.prefix}; {seen}")


def _day(seconds: float) -> str:
    return f"{dt.datetime.fromtimestamp(seconds, dt.UTC):%Y-%m-%d}"
