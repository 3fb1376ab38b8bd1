# SPDX-License-Identifier: Apache-2.0
"""Do models that no one here wrote go through? Thirty architectures: prune half the MACs, int8, lower, run.

    python benchmarks/breadth.py [NAME ...] [--json FILE]

An architecture passes when 45 to 55 % of its MACs are gone, it is quantized and lowered, and what its program gives for
new inputs is what the same quantized graph gives in eager torch, within 10 % of the outputs' norm: int8 programs round
at other places than the graph does, and each layer adds to it. Weights are random, from a fixed seed, so that accuracy
has no meaning here.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from edgectl.compress import Pipeline, Prune, Quantize
from edgectl.lower import lower
from torch.utils import _pytree as pytree

sys.path.insert(0, str(Path(__file__).parent))

from architectures import ARCHITECTURES, Architecture

ASKED = 0.5
NEAREST = 0.1  # of what was asked
TOLERANCE = 0.1  # of the norm of the outputs
CALIBRATION_ITEMS, CHECKED_ITEMS = 16, 4
WHOLE_MODEL = "(whole model)"  # the place of a stage that left a model as it was


@dataclass(frozen=True, slots=True)
class Row:
    """What became of an architecture; shares of MACs and parameters removed, and the largest error of its program."""

    name: str
    passed: bool
    fault: str = ""
    macs_removed: float = 0.0
    parameters_removed: float = 0.0
    error: float = 0.0
    delegated: float = 0.0
    program_bytes: int = 0
    kept: int = 0
    seconds: float = 0.0


def compressed(architecture: Architecture) -> Row:
    """Take an architecture through; whatever goes wrong is its row's fault."""
    started = time.perf_counter()
    try:
        row = _compressed(architecture)
    except Exception as error:  # noqa: BLE001 - the row says it
        text = next(iter(str(error).splitlines()), "")
        row = {"passed": False, "fault": f"{type(error).__name__}: {text}"[:200]}
    return Row(name=architecture.name, seconds=time.perf_counter() - started, **row)


def _compressed(architecture: Architecture) -> dict[str, Any]:
    items = architecture.items(CALIBRATION_ITEMS)
    pipeline = Pipeline([Prune(macs=ASKED), Quantize("int8", calibration_items=CALIBRATION_ITEMS)], seed=0)
    result = pipeline.run(architecture.model(), example_inputs=items[0], calibration=items)
    program = lower(result)
    first, *_, last = result.stages
    removed = 1.0 - last["macs"] / first["macs"]
    error = max(_error(result.module, program, item) for item in architecture.items(CHECKED_ITEMS, seed=1))
    faults = [one.reason for one in result.frozen if one.place == WHOLE_MODEL]
    if abs(removed - ASKED) > NEAREST * ASKED:
        faults.append(f"{removed:.1%} of the MACs removed")
    if not error <= TOLERANCE:
        faults.append(f"the program's outputs are off by {error:.1%}")
    return {
        "passed": not faults,
        "fault": "; ".join(faults),
        "macs_removed": removed,
        "parameters_removed": 1.0 - last["parameters"] / first["parameters"],
        "error": error,
        "delegated": float(program.delegation.fraction),
        "program_bytes": len(program.data),
        "kept": len(result.frozen),
    }


def _error(module: Any, program: Any, item: tuple[torch.Tensor, ...]) -> float:
    with torch.no_grad():
        expected = [one for one in pytree.tree_leaves(module(*item)) if isinstance(one, torch.Tensor)]
    seen = program.run(item)
    return max(
        float((one - other).norm() / one.norm().clamp_min(1e-9)) for one, other in zip(expected, seen, strict=True)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", choices=[[], *(one.name for one in ARCHITECTURES)])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there as well")
    arguments = parser.parse_args()
    chosen = [one for one in ARCHITECTURES if not arguments.names or one.name in arguments.names]
    print(
        f"{'architecture':16} {'MACs':>7} {'params':>7} {'error':>7} {'in delegate':>11} {'kB':>6} {'kept':>5} {'s':>6}"
    )
    rows = []
    for architecture in chosen:
        row = compressed(architecture)
        rows.append(row)
        print(
            f"{row.name:16} {-row.macs_removed:7.1%} {-row.parameters_removed:7.1%} {row.error:7.2%} "
            f"{row.delegated:11.1%} {row.program_bytes / 1000:6.0f} {row.kept:5} {row.seconds:6.1f}  {row.fault}",
            flush=True,
        )
    if arguments.json is not None:
        arguments.json.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
    passed = sum(row.passed for row in rows)
    print(f"{passed} of {len(rows)} went through: pruned, int8, lowered, run, outputs as in eager")


if __name__ == "__main__":
    main()
