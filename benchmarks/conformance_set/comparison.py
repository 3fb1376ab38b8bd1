# SPDX-License-Identifier: Apache-2.0
"""How far an answer may be from another, and what was found. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from conformance_set.assets import Array

INFINITE = float("inf")


@dataclass(frozen=True, slots=True)
class Limits:
    """Largest differences allowed, as parts of the reference's largest output."""

    eager: float
    native: float


@dataclass(frozen=True, slots=True)
class Known:
    """A program that is off everywhere in the same way, and why: by how much, or with which words it fails."""

    reason: str
    eager: float = 0.0
    failure: str = ""


LIMITS: Mapping[str, Limits] = {
    "fp32": Limits(eager=1e-5, native=1e-5),
    "int8": Limits(eager=0.016, native=1e-5),
    "int8_dynamic": Limits(eager=0.02, native=1e-5),
    "8da4w": Limits(eager=0.01, native=1e-5),
}
"""Against eager torch a quantized answer may be two of 127 steps off: it rounds in floats where kernels round integers.
Kernels of different processors round alike, so between places a single step would show."""

KNOWN: Mapping[tuple[str, str], Known] = {
    ("gelu_tanh", "fp32"): Known("the delegate computes the exact GELU for its tanh approximation", eager=3e-4),
    ("pad", "int8"): Known("the delegate takes an int8 pad that XNNPACK then refuses", failure="StaticConstantPad"),
}
"""Faults of ExecuTorch 1.5.1, not of a processor."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A program in a place: its errors against eager torch and against the runner on this machine, or why it failed.

    `native` is None on this machine itself. An error is the largest difference over the reference's largest output.
    """

    case: str
    family: str
    precision: str
    place: str
    eager: float
    native: float | None
    failure: str = ""

    @property
    def known(self) -> Known | None:
        return KNOWN.get((self.case, self.precision))

    @property
    def limits(self) -> Limits:
        """Those of its precision, or wider ones against eager torch where it is known to be off."""
        usual = LIMITS[self.precision]
        return usual if self.known is None else Limits(max(usual.eager, self.known.eager), usual.native)

    @property
    def within(self) -> bool:
        if self.failure:
            return self.known is not None and bool(self.known.failure) and self.known.failure in self.failure
        return self.eager <= self.limits.eager and (self.native or 0.0) <= self.limits.native

    def document(self) -> dict[str, Any]:
        return {
            "case": self.case,
            "family": self.family,
            "precision": self.precision,
            "place": self.place,
            "error_against_eager": None if self.failure else self.eager,
            "error_against_native": self.native,
            "within": self.within,
            "known": None if self.known is None else self.known.reason,
            "failure": self.failure,
        }


def error(given: Sequence[Array], reference: Sequence[Array]) -> float:
    """The largest difference of any output over the largest value of that output in the reference.

    Infinite where shapes or types differ, where either is not finite where the other is, and where whole numbers
    differ at all.
    """
    if len(given) != len(reference):
        return INFINITE
    return max((_error(one, other) for one, other in zip(given, reference, strict=True)), default=0.0)


def _error(given: Array, reference: Array) -> float:
    if given.shape != reference.shape or given.dtype != reference.dtype:
        return INFINITE
    if not np.issubdtype(reference.dtype, np.floating):
        return 0.0 if np.array_equal(given, reference) else INFINITE
    if not (np.isfinite(given).all() and np.isfinite(reference).all()):
        return 0.0 if np.array_equal(given, reference, equal_nan=True) else INFINITE
    largest = float(np.abs(reference).max(initial=0.0))
    difference = float(np.abs(given.astype(np.float64) - reference.astype(np.float64)).max(initial=0.0))
    return difference / largest if largest > 0.0 else (0.0 if difference == 0.0 else INFINITE)
