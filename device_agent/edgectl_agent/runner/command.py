# SPDX-License-Identifier: Apache-2.0
"""How edge-runner is started: by itself, or by an emulator of the board's processor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class RunnerCommand:
    """The words before a mode's own, the environment and the folder it starts in (None: this process's), its patience.

    An emulator is some hundred times slower: every limit of time is multiplied by `patience`.
    """

    words: tuple[str, ...]
    environment: Mapping[str, str] | None = None
    folder: Path | None = None
    patience: float = 1.0


def native_command(runner: Path, *, patience: float = 1.0) -> RunnerCommand:
    """A runner that this machine's own processor runs."""
    return RunnerCommand((str(runner),), patience=patience)
