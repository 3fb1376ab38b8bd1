# SPDX-License-Identifier: Apache-2.0
"""The budgets that a bundle's manifest states, and why a device has not checked them."""

from __future__ import annotations

from dataclasses import dataclass

from edgectl_protos.manifest import Budgets

_NOT_YET = "this version of the agent does not check budgets"
_NO_TIME = "the board is emulated: its milliseconds say nothing of the board"
_NO_MEMORY = "only the runner is emulated: its memory is the emulator's"


@dataclass(frozen=True, slots=True)
class UncheckedBudget:
    """A budget by its name in the manifest, and the reason."""

    budget: str
    reason: str


def unchecked_budgets(budgets: Budgets, emulator: str) -> tuple[UncheckedBudget, ...]:
    """Those that the manifest states, on a board that `emulator` emulates ("" for a real one)."""
    unchecked = []
    if budgets.p95_ms is not None:
        unchecked.append(UncheckedBudget("p95_ms", _NO_TIME if emulator else _NOT_YET))
    if budgets.peak_rss_bytes is not None:
        of_the_emulator = emulator.startswith("qemu-user")
        unchecked.append(UncheckedBudget("peak_rss_bytes", _NO_MEMORY if of_the_emulator else _NOT_YET))
    return tuple(unchecked)
