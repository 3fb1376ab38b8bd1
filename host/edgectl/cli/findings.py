# SPDX-License-Identifier: Apache-2.0
"""What `edgectl doctor` finds of one part: there, absent, or there and not working."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """Of one check."""

    OK = "ok"
    ABSENT = "absent"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Check:
    """One finding; `fix` says what to do where the outcome is not ok."""

    name: str
    outcome: Outcome
    seen: str
    fix: str = ""
