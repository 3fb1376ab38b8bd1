# SPDX-License-Identifier: Apache-2.0
"""What is raced: a model in a precision on so many threads; and what came of it for one runtime."""

from __future__ import annotations

from dataclasses import dataclass

MODELS = {
    "resnet18": "ResNet-18",
    "mobilenet_v2": "MobileNetV2",
    "mobilenet_v3_small": "MobileNetV3-Small",
    "ds_cnn": "DS-CNN",
    "encoder": "transformer encoder",
}
PRECISIONS = ("fp32", "int8")


@dataclass(frozen=True, slots=True)
class Case:
    model: str
    precision: str
    threads: int

    @property
    def title(self) -> str:
        return f"{MODELS[self.model]} {self.precision}"


@dataclass(frozen=True, slots=True)
class Timed:
    """A runtime's blocks of samples in ms, in the order of the rounds, and how near its answer was (see answers.py)."""

    blocks: tuple[tuple[float, ...], ...]
    agreement: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Failed:
    """A runtime that cannot run the case, and why in one line."""

    reason: str


Outcome = Timed | Failed
