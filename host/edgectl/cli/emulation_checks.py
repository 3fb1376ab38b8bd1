# SPDX-License-Identifier: Apache-2.0
"""What `edgectl doctor` looks at for emulated boards: the emulator, the counter of instructions, the boards' wheel."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from edgectl_protos.errors import EdgectlError

from edgectl.cli.findings import Check, Outcome
from edgectl.config import Paths
from edgectl.emulate.board_wheel import find_board_wheel
from edgectl.emulate.user_mode import EmulationTools, find_tools

_SECONDS = 10


@dataclass(frozen=True, slots=True)
class EmulatingMachine:
    """The questions the rules ask; what is not there is a `StateError` or `UsageError` that says how to get it.

    `plugin_refusal` is the emulator's word against the counter, empty where it takes it.
    """

    tools: Callable[[], EmulationTools]
    plugin_refusal: Callable[[EmulationTools], str]
    board_wheel: Callable[[], Path]


def emulating_machine(paths: Paths, environ: Mapping[str, str]) -> EmulatingMachine:
    """This machine."""
    return EmulatingMachine(find_tools, _plugin_refusal, lambda: find_board_wheel(paths, environ))


def emulated_runner_checks(machine: EmulatingMachine) -> tuple[Check, ...]:
    """The devices `emulated-TARGET`: what runs their programs, what counts instructions, and the programs."""
    name = "qemu-aarch64"
    try:
        tools = machine.tools()
    except EdgectlError as error:
        emulator = Check(name, Outcome.ABSENT, f"{error.seen}: no emulated-pi4", error.action.removeprefix("run: "))
        counter = Check("insn", Outcome.ABSENT, "no emulator that counts instructions", emulator.fix)
    else:
        libraries = f", libraries in {tools.libraries}" if tools.libraries else ""
        emulator = Check(name, Outcome.OK, f"{tools.program}{libraries}")
        counter = _counter(tools, machine.plugin_refusal)
    return emulator, counter, _wheel(machine)


def _counter(tools: EmulationTools, plugin_refusal: Callable[[EmulationTools], str]) -> Check:
    if tools.plugin is None:
        return Check("insn", Outcome.ABSENT, tools.plugin_missing, "make insn, in a checkout of edgectl")
    refusal = plugin_refusal(tools)
    if refusal:
        return Check(
            "insn",
            Outcome.ABSENT,
            f"{tools.program} takes no plugin of ours ({refusal})",
            "use the dynamic qemu-user 7.2 of Debian 12",
        )
    return Check("insn", Outcome.OK, str(tools.plugin))


def _wheel(machine: EmulatingMachine) -> Check:
    name = "boards' wheel"
    try:
        return Check(name, Outcome.OK, str(machine.board_wheel()))
    except EdgectlError as error:
        return Check(name, Outcome.ABSENT, error.seen, error.action)


def _plugin_refusal(tools: EmulationTools) -> str:
    """Have the emulator load the counter for a program that is not there: what it says of the plugin comes first."""
    command = [
        str(tools.program),
        "-plugin",
        f"{str(tools.plugin).replace(',', ',,')},counts=/dev/null",
        "/nonexistent",
    ]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_SECONDS)
    except (OSError, subprocess.SubprocessError) as error:
        return " ".join(str(error).split())[:200]
    return next((line.strip()[:200] for line in ended.stderr.splitlines() if "plugin" in line), "")
