# SPDX-License-Identifier: Apache-2.0
"""`edgectl device install` and `uninstall`: the agent on a board over ssh, in one command."""

from __future__ import annotations

import dataclasses
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from edgectl_protos.errors import ExitCode, UsageError

from edgectl.cli.options import current_paths, output_option
from edgectl.cli.output import Output, Table
from edgectl.cli.progress import open_progress

if TYPE_CHECKING:
    from edgectl.workflows.device_install import Broker, Host, Installation, InstallPlan

_FILE = click.Path(path_type=Path, dir_okay=False)
_FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)


@click.command()
@click.argument("destination", metavar="USER@HOST")
@click.option("--name", required=True, help="Of the device, as edgectl will know it.")
@click.option("--address", metavar="HOST[:PORT]", help="Where this host dials the agent.  [default: as ssh dials it]")
@click.option("--wheel", type=_FILE, help="The agent's wheel for the board.  [default: what make agent-wheel built]")
@click.option(
    "--wheels", "packages", type=_FOLDER, help="Folder of wheels the agent needs, and of pip: nothing is fetched."
)
@click.option("--online", is_flag=True, help="Let the board fetch what the agent needs, not this host.")
@click.option("--mqtt", metavar="HOST[:PORT]", help="The broker for its telemetry.")
@click.option("--mqtt-user", metavar="NAME", help="With --mqtt.")
@click.option("--mqtt-password-file", type=_FILE, help="With --mqtt: the password is the file's content.")
@click.option("--mqtt-ca", type=_FILE, help="With --mqtt: the authority that signed the broker's certificate.")
@click.option("--renew", is_flag=True, help="Make a new certificate, whatever the old one is worth.")
@click.option("--dry-run", is_flag=True, help="Look at the board and say what would be done.")
@output_option
def install(
    *,
    destination: str,
    name: str,
    address: str | None,
    wheel: Path | None,
    packages: Path | None,
    online: bool,
    mqtt: str | None,
    mqtt_user: str | None,
    mqtt_password_file: Path | None,
    mqtt_ca: Path | None,
    renew: bool,
    dry_run: bool,
    output: Output,
) -> int:
    """Install the agent on a board over ssh, or upgrade it.

    Makes its certificate, sends all it needs, starts it as a service, waits for its answer, and shows what the doctor
    finds there. A board whose new agent does not answer gets back what it ran before. EDGECTL_SSH is the ssh command.
    """
    from edgectl.workflows.device_install import InstallRequest, install_device, plan_install

    request = InstallRequest(
        destination,
        name,
        address=address,
        wheel=wheel,
        packages=packages,
        online=online,
        broker=_broker(mqtt, mqtt_user, mqtt_password_file, mqtt_ca),
        renew=renew,
    )
    if dry_run:
        _show_plan(plan_install(request, _host()), output)
        return int(ExitCode.DONE)
    return _show(install_device(request, _host()), output)


@click.command()
@click.argument("destination", metavar="USER@HOST")
@click.option("--purge", is_flag=True, help="Remove its models and state too.")
@click.option("--dry-run", is_flag=True, help="Say what would be done.")
@output_option
def uninstall(*, destination: str, purge: bool, dry_run: bool, output: Output) -> None:
    """Remove the agent from a board over ssh, and the device from the inventory."""
    from edgectl.workflows.device_install import uninstall_device

    told, forgotten = uninstall_device(destination, purge=purge, dry_run=dry_run, host=_host())
    verb = "would forget" if dry_run else "forgot"
    lines = [*told, *([f"{verb} the device {forgotten}"] if forgotten else [])]
    output.show({"done": list(told), "forgotten": forgotten, "dry_run": dry_run}, "\n".join(lines))


def _broker(address: str | None, user: str | None, password_file: Path | None, authority: Path | None) -> Broker | None:
    from edgectl.workflows.device_install import Broker

    if address is None:
        if user or password_file or authority:
            raise UsageError(
                "--mqtt-... without --mqtt", expected="the broker's address", action="give --mqtt HOST:PORT"
            )
        return None
    return Broker(address, user, password_file, authority)


def _host() -> Host:
    from edgectl.fleet.authority import utc_now
    from edgectl.workflows.device_install import Host

    return Host(current_paths(), os.environ, utc_now, open_progress().say, terminal=sys.stdin.isatty())


def _show_plan(plan: InstallPlan, output: Output) -> None:
    document = {
        "device": plan.device.name,
        "address": plan.device.address,
        "board": dataclasses.asdict(plan.board),
        "steps": list(plan.steps),
    }
    output.show(
        document,
        f"{plan.device.name} at {plan.device.address}: {plan.board.words}",
        *map("would {}".format, plan.steps),
    )


def _show(done: Installation, output: Output) -> int:
    from edgectl_protos.errors import StateError

    failed = isinstance(done.findings, StateError)
    findings = () if isinstance(done.findings, StateError) else done.findings
    rows = tuple((one.name, one.outcome, one.seen, one.fix) for one in findings)
    document: dict[str, Any] = {
        "device": done.device.name,
        "address": done.device.address,
        "board": dataclasses.asdict(done.board),
        "agent_version": done.info.agent_version,
        "runtime": done.info.runtime,
        "checks": [dataclasses.asdict(one) for one in findings] if not failed else None,
    }
    agent = f"edge-agent {done.info.agent_version}, {done.info.runtime}"
    told = f"{done.device.name} answers at {done.device.address}: {agent}"
    table = Table(("part", "is", "seen", "what to do"), rows)
    output.show(document, told, f"its doctor could not be asked: {done.findings}" if failed else table)
    wrong = any(one.outcome == "wrong" for one in findings)
    return int(ExitCode.PARTIAL if wrong or failed else ExitCode.DONE)
