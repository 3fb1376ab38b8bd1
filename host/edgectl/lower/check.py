# SPDX-License-Identifier: Apache-2.0
"""Run a lowered program on this machine against its golden cases: a program may lower, run, and be wrong."""

from __future__ import annotations

import numpy as np
from edgectl_protos.errors import CompileError

from edgectl.lower.golden import GoldenSet
from edgectl.lower.program import LoweredProgram, compile_error, library_noise_silenced


def check_outputs(program: LoweredProgram, golden: GoldenSet) -> float:
    """The largest absolute difference from the golden outputs, through ExecuTorch's Python binding.

    Raises:
        CompileError: the program cannot run here, or an output lies outside the tolerance.
    """
    import torch

    with library_noise_silenced():  # the binding warns that it is experimental; torch and executorch are pinned
        from executorch.extension.pybindings.portable_lib import _load_for_executorch_from_buffer
    worst = 0.0
    buffer = program.data  # the binding does not own it: it must outlive the module
    try:
        module = _load_for_executorch_from_buffer(buffer)
        results = [module.forward([torch.from_numpy(array) for array in case.inputs]) for case in golden.cases]
        given = [tuple(np.array(output.numpy()) for output in result) for result in results]
    except Exception as error:
        raise compile_error("the lowered program does not run", error) from error
    for outputs, case in zip(given, golden.cases, strict=True):
        for output, wanted in zip(outputs, case.outputs, strict=True):
            exact = wanted.astype(np.float64)
            difference = np.abs(output.astype(np.float64) - exact)
            limit = golden.tolerance.absolute + golden.tolerance.relative * np.abs(exact)
            worst = max(worst, float(difference.max(initial=0.0)))
            if not np.all(difference <= limit):  # NaN compares false
                raise CompileError(
                    f"the lowered program gives outputs {float(difference.max()):.3g} away from the model's",
                    expected=f"at most {float(limit.max()):.3g}",
                    action="report the model: the lowering is wrong",
                )
    return worst
