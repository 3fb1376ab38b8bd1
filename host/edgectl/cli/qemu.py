# SPDX-License-Identifier: Apache-2.0
"""`edgectl qemu`: whole emulated boards, each a device of the inventory."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from edgectl.cli.groups import NamedGroup
from edgectl.cli.options import current_paths, output_option
from edgectl.cli.output import Output, Table
from edgectl.cli.text import printable, seconds_text, size_text

if TYPE_CHECKING:
    from edgectl.emulate.machines import Machines, MachineStatus, Started

_DEFAULT_TARGET = "pi4"


@click.group(cls=NamedGroup)
def qemu() -> None:
    """Emulate whole boards: arm64 Debian with the agent in it."""


def complete_machine(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """For the shell: the machines there are."""
    from edgectl.emulate.machine import known_machines, machines_folder

    names = [machine.name for machine in known_machines(machines_folder(current_paths()))]
    return [name for name in names if name.startswith(incomplete)]


def complete_target(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """For the shell: the targets that name a processor."""
    from edgectl.targets import load_target, target_names

    names = [name for name in target_names() if load_target(name).processor is not None]
    return [name for name in names if name.startswith(incomplete)]


@qemu.command("up")
@click.option("--count", type=int, default=1, show_default=True, metavar="N", help="How many shall run of that target.")
@click.option(
    "--target",
    "target_name",
    default=_DEFAULT_TARGET,
    show_default=True,
    shell_complete=complete_target,
    help="The board whose processor and memory they have.",
)
@output_option
def up(count: int, target_name: str, output: Output) -> None:
    """See to it that N machines answer, and add them as devices qemu-0, qemu-1...

    Those that run are left alone, those that do not are started again from their disks, and what lacks is made.
    """
    import os

    from edgectl.emulate.board_wheel import find_board_wheel

    paths = current_paths()
    began = time.monotonic()
    with _machines() as machines:
        done = machines.up(count, target_name, lambda: find_board_wheel(paths, os.environ))
    document = {
        "machines": [_started_document(started) for started in done.machines],
        "image_seconds": done.image_seconds,
        "seconds": time.monotonic() - began,
    }
    rows = tuple(
        (started.machine.name, started.machine.target, started.machine.address, _since(started))
        for started in done.machines
    )
    output.show(document, Table(("name", "target", "address", "answered"), rows))


@qemu.command("ls")
@output_option
def list_machines(output: Output) -> None:
    """List the machines and how they are."""
    with _machines() as machines:
        found = machines.statuses()
    rows = tuple(_row(status) for status in found)
    columns = ("name", "target", "state", "address", ">pid", ">memory", ">of this host", ">up for")
    parts: list[Table | str] = [Table(columns, rows, empty="no emulated machines; `edgectl qemu up` makes one")]
    for status in found:
        if status.state in {"dead", "off"}:
            name = status.machine.name
            parts.append(
                f"{name} is {status.state}: `edgectl qemu up` starts it again from its disk, "
                f"`edgectl qemu logs {name}` shows its end, `edgectl qemu down {name}` removes it"
            )
    output.show([_document(status) for status in found], *parts)


@qemu.command("logs")
@click.argument("name", shell_complete=complete_machine)
@click.option("-f", "--follow", is_flag=True, help="Go on with what is to come, until Ctrl-C.")
@click.option("--agent", "agent_only", is_flag=True, help="The agent's lines alone.")
@click.option("--previous", is_flag=True, help="Of the start before the present one.")
def logs(name: str, *, follow: bool, agent_only: bool, previous: bool) -> None:
    """Print a machine's console: the kernel's, systemd's and the agent's lines."""
    from edgectl_protos.errors import UsageError

    from edgectl.emulate.machine_console import console_lines, follow_console

    if follow and previous:
        raise UsageError("--follow with --previous", expected="one of them", action="leave out the other")
    with _machines() as machines:
        machine = machines.find(name)
    lines = (
        follow_console(machine, agent_only=agent_only, ended=lambda: not machine.folder.exists())
        if follow
        else console_lines(machine, agent_only=agent_only, previous=previous)
    )
    for line in lines:
        sys.stdout.write(printable(line.expandtabs()) + "\n")
        sys.stdout.flush()


@qemu.command("exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("-i", "--stdin", "with_stdin", is_flag=True, help="Give the command this command's standard input.")
@output_option
@click.argument("name", shell_complete=complete_machine)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- COMMAND...")
def execute(name: str, command: tuple[str, ...], output: Output, *, with_stdin: bool) -> int:
    """Run a command in a machine, as root.

    Its output, its errors and its exit code become this command's. They come when it has ended.
    """
    from edgectl.emulate.machine_exec import MAXIMUM_INPUT_BYTES, run_command

    words = command[1:] if command[0] == "--" else command
    with _machines() as machines:
        machine = machines.find_running(name)
    given = sys.stdin.buffer.read(MAXIMUM_INPUT_BYTES + 1) if with_stdin else b""
    result = run_command(machine, words, stdin=given)
    if output.json:
        document = {
            "exit_code": result.exit_code,
            "stdout": result.stdout.decode(errors="replace"),
            "stderr": result.stderr.decode(errors="replace"),
            "truncated": result.truncated,
        }
        output.show(document)
        return result.exit_code
    for stream, data in ((sys.stdout, result.stdout), (sys.stderr, result.stderr)):
        stream.buffer.write(data)
        stream.flush()
    if result.truncated:
        sys.stderr.write("edgectl: the output was longer than 16 MiB; its end is missing\n")
    return result.exit_code


@qemu.command("power-cut")
@click.argument("name", shell_complete=complete_machine)
@output_option
def power_cut(name: str, output: Output) -> None:
    """Pull a machine's plug, start it again from the same disk, and wait until it answers."""
    with _machines() as machines:
        done = machines.power_cut(name)
    output.show(_started_document(done), f"{name} lost its power and answers again, {_since(done)}")


@qemu.command("down")
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=complete_machine)
@click.option("--keep", is_flag=True, help="Switch them off and keep them; 'edgectl qemu up' starts them again.")
@output_option
def down(names: tuple[str, ...], output: Output, *, keep: bool) -> None:
    """End machines, all where none is named, and remove their disks, certificates and inventory entries."""
    with _machines() as machines:
        ended = machines.down(names, keep=keep)
    what = "switched off" if keep else "removed"
    output.show({what.replace(" ", "_"): ended}, f"{what} {', '.join(ended)}" if ended else "no emulated machine there")


@contextmanager
def _machines() -> Iterator[Machines]:
    from edgectl.cli.machine_progress import MachineProgress
    from edgectl.cli.progress import open_progress
    from edgectl.emulate.machines import Machines
    from edgectl.fleet.authority import utc_now

    with MachineProgress(open_progress()) as observer:
        yield Machines(current_paths(), greet=_greet, clock=utc_now, observer=observer)


def _greet(name: str) -> None:
    from edgectl.lab.client import Deadlines
    from edgectl.lab.devices import open_device

    with open_device(name, paths=current_paths(), deadlines=Deadlines(hello=5.0)):
        pass


def _started_document(started: Started) -> dict[str, Any]:
    machine = started.machine
    return {
        "name": machine.name,
        "target": machine.target,
        "address": machine.address,
        "seconds": started.seconds,
    }


def _since(started: Started) -> str:
    return "it was running" if started.seconds is None else f"after {seconds_text(started.seconds)}"


def _row(status: MachineStatus) -> tuple[str, ...]:
    machine, process = status.machine, status.process
    return (
        machine.name,
        machine.target,
        status.state,
        machine.address,
        "-" if process is None else str(process.pid),
        size_text(status.memory_bytes),
        "-" if process is None else size_text(process.resident_bytes),
        "-" if process is None else seconds_text(max(0.0, time.time() - process.started)),
    )


def _document(status: MachineStatus) -> dict[str, Any]:
    machine, process = status.machine, status.process
    return {
        "name": machine.name,
        "target": machine.target,
        "state": status.state,
        "address": machine.address,
        "pid": None if process is None else process.pid,
        "memory_bytes": status.memory_bytes,
        "host_bytes": None if process is None else process.resident_bytes,
        "uptime_seconds": None if process is None else max(0.0, time.time() - process.started),
        "disk": machine.disk,
        "console": machine.console,
    }
