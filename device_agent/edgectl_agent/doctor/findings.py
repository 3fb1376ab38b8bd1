# SPDX-License-Identifier: Apache-2.0
"""What the doctor says of one thing."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """`warning` is what works and is likely to bring trouble; `wrong` is what does not work."""

    OK = "ok"
    WARNING = "warning"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding; `fix` says what to do where the outcome is not ok."""

    name: str
    outcome: Outcome
    seen: str
    fix: str = ""


def ok(name: str, seen: str) -> Finding:
    return Finding(name, Outcome.OK, seen)


def warning(name: str, seen: str, fix: str) -> Finding:
    return Finding(name, Outcome.WARNING, seen, fix)


def wrong(name: str, seen: str, fix: str) -> Finding:
    return Finding(name, Outcome.WRONG, seen, fix)
