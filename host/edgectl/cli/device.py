# SPDX-License-Identifier: Apache-2.0
"""`edgectl device`: the devices this host knows."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import click

from edgectl.cli.device_install import install, uninstall
from edgectl.cli.device_report import report
from edgectl.cli.groups import NamedGroup
from edgectl.cli.options import complete_device, current_paths, output_option
from edgectl.cli.output import Output, Table
from edgectl.cli.text import size_text

if TYPE_CHECKING:
    from edgectl.fleet.inventory import Device


@click.group(cls=NamedGroup)
def device() -> None:
    """List, add, remove and show devices; install the agent on boards."""


device.add_command(install)
device.add_command(uninstall)
device.add_command(report)


@device.command("list")
@output_option
def list_devices(output: Output) -> None:
    """List the devices of the inventory.

    Always there and not listed: 'local', this machine, and 'emulated-TARGET', a board whose runner is emulated here
    (emulated-pi4; `edgectl targets list` shows the targets).
    """
    from edgectl.fleet.inventory import inventory_of

    devices = inventory_of(current_paths()).devices()
    output.show(
        [_document(known) for known in devices],
        Table(
            ("name", "address", "architecture", "channel"),
            tuple((d.name, d.address, d.architecture or "-", _channel(d)) for d in devices),
            empty="no devices; add one with 'edgectl device add NAME HOST:PORT', or use --on local",
        ),
    )


@device.command("add")
@click.argument("name")
@click.argument("address", metavar="HOST[:PORT]")
@click.option("--architecture", type=click.Choice(["aarch64", "x86_64"]), help="What the board is, where you know it.")
@output_option
def add(name: str, address: str, architecture: str | None, output: Output) -> None:
    """Add a device, and make the certificate that its agent needs."""
    from edgectl.fleet.authority import utc_now
    from edgectl.fleet.enrolment import add_device

    added = add_device(name, address, paths=current_paths(), clock=utc_now, architecture=architecture)
    copy, start = setup_commands(added)
    lines = [f"added {added.name} at {added.address}, {_channel(added)}"]
    lines += ["", "on this machine, copy the certificate to the board:", f"  {copy}"] if copy else []
    lines += ["", "on the board, with edgectl-agent installed, start its agent:", f"  {start}"]
    output.show(_document(added) | {"copy_command": copy, "agent_command": start}, "\n".join(lines))


@device.command("remove")
@click.argument("name", shell_complete=complete_device)
@output_option
def remove(name: str, output: Output) -> None:
    """Forget a device.

    Its certificate files stay where they are.
    """
    from edgectl.fleet.inventory import inventory_of

    inventory_of(current_paths()).remove(name)
    output.show({"removed": name}, f"removed {name}")


@device.command("show")
@click.argument("name", shell_complete=complete_device)
@output_option
def show(name: str, output: Output) -> None:
    """Ask a device's agent what it is and has."""
    from edgectl.lab.devices import open_device

    with open_device(name, paths=current_paths()) as client:
        info = client.hello()
    pss = "unavailable" if info.agent_pss_bytes is None else size_text(info.agent_pss_bytes)
    facts = (
        ("device", info.name),
        ("agent", f"{info.agent_version}, {pss} proportional resident"),
        ("runtime", f"{info.runtime}, {', '.join(info.delegates) or 'no delegates'}"),
        ("board", f"{info.cpu_model or 'unknown processor'}, {info.cpu_count} cores, {info.architecture}"),
        *((("emulated", f"by {info.emulator}: results are the board's, times are not"),) if info.emulator else ()),
        *((("kernels for", info.core),) if info.core and not info.core.startswith("0x") else ()),
        ("memory", size_text(info.memory_bytes)),
        ("kernel", info.kernel),
        ("can", ", ".join(info.capabilities)),
    )
    models = tuple((m.name, m.version, m.digest[:12], "active" if m.active else "") for m in info.models)
    output.show(
        dataclasses.asdict(info),
        Table(("fact", "value"), facts),
        Table(("model", "version", "digest", "state"), models, empty="no models installed"),
    )


def setup_commands(added: Device) -> tuple[str | None, str]:
    """What to run to copy the identity (None where there is nothing to copy), and what to run on the board."""
    import shlex

    from edgectl_protos.address import Address, parse_address

    where = parse_address(added.address)
    start = ["edge-agent", "run", "--device", added.name, "--state", "~/.local/state/edge-agent"]
    if added.identity is None:
        return None, " ".join([*start, "--listen", str(where)])
    everywhere = Address("::" if ":" in where.host else "0.0.0.0", where.port)  # noqa: S104 - mutual TLS guards it
    folder = f"edgectl-{added.name}"
    host = str(where).removesuffix(f":{where.port}")
    copy = f"scp -rp {shlex.quote(str(added.identity))} {host}:{folder}"
    return copy, " ".join([*start, "--listen", str(everywhere), "--identity", folder])


def _channel(known: Device) -> str:
    return "plain text on loopback" if known.identity is None else "mutual TLS"


def _document(known: Device) -> dict[str, Any]:
    return {
        "name": known.name,
        "address": known.address,
        "architecture": known.architecture,
        "identity": known.identity,
    }
