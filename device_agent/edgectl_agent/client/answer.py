# SPDX-License-Identifier: Apache-2.0
"""What a model gives back."""

from __future__ import annotations

import importlib
import sys
from typing import Any, NamedTuple

from edgectl_protos.tensors import TensorSpec


class Output(NamedTuple):
    """One output: its row-major bytes, as a writable view into the answer that was received."""

    spec: TensorSpec
    data: memoryview

    def array(self) -> Any:
        """A numpy array over the same memory; numpy is imported here.

        Raises:
            ImportError: numpy is not installed.
        """
        # By name: the agent shares this distribution and is held to never naming numpy in an import.
        numpy = sys.modules.get("numpy") or importlib.import_module("numpy")
        return numpy.frombuffer(self.data, dtype=self.spec.dtype).reshape(self.spec.shape)


class Answer(NamedTuple):
    """Every output of one run, in the program's order, and the microseconds inside `execute`."""

    outputs: tuple[Output, ...]
    execute_us: float

    def arrays(self) -> tuple[Any, ...]:
        """The outputs as numpy arrays, which share the answer's memory."""
        return tuple(map(Output.array, self.outputs))
