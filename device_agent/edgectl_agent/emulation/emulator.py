# SPDX-License-Identifier: Apache-2.0
"""A user-mode emulator as its TOML file describes it: QEMU's program, the core, the board's files, the counter.

The agent runs natively; only its runners are emulated, one QEMU process each, which shows them the board's own /proc
and /sys from `sysroot`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from edgectl_protos.errors import UsageError
from edgectl_protos.spelling import describe_known

from edgectl_agent.runner.command import RunnerCommand

PATIENCE = 20.0
"""Times the usual that an emulated board's runner may take."""


@dataclass(frozen=True, slots=True)
class Emulator:
    """`core` is QEMU's name of the processor core, and the one that the runtime must recognise in the sysroot.

    `plugin` is the built device_agent/insn/insn.c; where it is empty, `plugin_missing` says why there is none.
    """

    program: str
    core: str
    sysroot: str
    plugin: str = ""
    plugin_missing: str = ""

    @property
    def name(self) -> str:
        """What the host is told."""
        return f"qemu-user {self.core}"

    def command(self, runner: Path) -> RunnerCommand:
        """The runner under the emulator, in an environment that is always the same."""
        return self._command(runner)

    def counting_command(self, runner: Path, counts: Path, *, folder: Path | None = None) -> RunnerCommand:
        """Likewise, started in `folder`, with the instructions counted into a file (device_agent/insn/README.md)."""
        # A comma separates the plugin's arguments; doubled, it is one.
        plugin, into = (str(path).replace(",", ",,") for path in (self.plugin, counts))
        return self._command(runner, "-plugin", f"{plugin},counts={into}", folder=folder)

    def _command(self, runner: Path, *options: str, folder: Path | None = None) -> RunnerCommand:
        words = (self.program, "-cpu", self.core, "-L", self.sysroot, *options, str(runner))
        return RunnerCommand(words, environment={}, folder=folder, patience=PATIENCE)


def read_emulator(path: Path) -> Emulator:
    """The emulator in a TOML file.

    Raises:
        UsageError: it cannot be read, is not TOML, lacks a key, or holds an unknown one or a value that is no text.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: {error}", expected="a TOML file", action="check --emulator") from error
    return parse_emulator(document, source=str(path))


def parse_emulator(document: Mapping[str, Any], *, source: str) -> Emulator:
    """The emulator in parsed TOML; raises as `read_emulator`."""
    known = [field.name for field in fields(Emulator)]
    for key, value in document.items():
        if key not in known:
            raise UsageError(f"{source}: unknown key {key!r}", expected=describe_known(key, known))
        if not isinstance(value, str):
            raise UsageError(f"{source}: {key} is {value!r}", expected="text")
    missing = [key for key in ("program", "core", "sysroot") if not document.get(key)]
    if missing:
        raise UsageError(f"{source}: no {missing[0]}", expected="program, core and sysroot", action="check --emulator")
    return Emulator(**document)
