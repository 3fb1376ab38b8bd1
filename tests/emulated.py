# SPDX-License-Identifier: Apache-2.0
"""Emulated boards for tests: what an agent is started with, and bundles that fit a board and this machine."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from edgectl.config import Paths
from edgectl.emulate.user_mode import EmulatedRunner, emulated_target, prepare_emulated
from edgectl_agent.emulation.emulator import Emulator, read_emulator
from edgectl_protos.manifest import Budgets, Requirements

from tests.program_bundles import RUNTIME, Bundle, make_bundle

DEVICE = "emulated-pi4"
EITHER = Requirements(RUNTIME, ("x86_64", "aarch64"), ())


@dataclass(frozen=True, slots=True)
class EmulatedHome:
    """edgectl's folders, and the environment in which it finds the boards' wheel."""

    paths: Paths
    environ: dict[str, str]

    def prepared(self, device: str = DEVICE) -> EmulatedRunner:
        return prepare_emulated(emulated_target(device), paths=self.paths, environ=self.environ)

    def arguments(self, device: str = DEVICE, **changes: str) -> list[str]:
        """Of an agent that stands for the board; `changes` are to the emulator's settings."""
        prepared = self.prepared(device)
        settings = prepared.emulator
        if changes:
            settings = self.paths.cache / f"changed-{'-'.join(changes)}.toml"
            write_settings(settings, dataclasses.replace(read_emulator(prepared.emulator), **changes))
        return ["--runner", str(prepared.runner), "--emulator", str(settings)]


def emulated_home(folder: Path, wheel: Path) -> EmulatedHome:
    paths = Paths(config=folder / "config", state=folder / "state", cache=folder / "cache")
    return EmulatedHome(paths, {"EDGECTL_BOARD_WHEEL": str(wheel), "EDGECTL_HOME": str(folder)})


def write_settings(path: Path, emulator: Emulator) -> None:
    path.write_text("".join(f"{key} = '{value}'\n" for key, value in dataclasses.asdict(emulator).items()))


def board_bundle(folder: Path, program: Path, *, name: str = "net", budgets: Budgets = Budgets()) -> Bundle:  # noqa: B008
    return make_bundle(folder, program, name=name, requirements=EITHER, budgets=budgets)
