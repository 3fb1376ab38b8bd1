# SPDX-License-Identifier: Apache-2.0
"""Do counted instructions rank networks as a real Raspberry Pi 4 does, and better than multiply-accumulates do?

Cells of NAS-Bench-201 are drawn, built as whole networks (5 cells a stage, 16, 32 and 64 channels, 32 by 32 images),
lowered in fp32, and run by the boards' runner under qemu-user as a Cortex-A72 at one thread. Instructions per inference
are the difference of two run lengths. Kendall's tau-b of instructions, and of multiply-accumulates, with the latencies
that HW-NAS-Bench measured on a Raspberry Pi 4 (by TensorFlow Lite), each with its 95 % bootstrap interval over cells,
and that of their difference on the same resamples. The latencies are not part of this repository: give the path of
nasbench201_latency.npz. Programs and counts are kept in build/instruction_rank. Last line: the two taus.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from edgectl.config import paths_from_environment
from edgectl.emulate.user_mode import prepare_emulated
from edgectl.targets import load_target
from edgectl_agent.emulation.counter import InstructionCounter
from edgectl_agent.emulation.emulator import read_emulator
from edgectl_agent.runner.options import RunnerOptions
from edgectl_protos.errors import EdgectlError
from rank.cells import Cell, draw, read_cells
from rank.kendall import compare, kendall_tau
from runner_files import ROOT

VARIABLE = "EDGECTL_NASBENCH201"
KEPT = ROOT / "build" / "instruction_rank"
TARGET = "pi4"
CELLS = 40
SEED = 201
REPEATS = 5
RUN_LENGTHS = (1, 3)


@dataclass(frozen=True, slots=True)
class Ranked:
    """A cell's network: instructions and multiply-accumulates per inference."""

    cell: Cell
    instructions: int
    macs: int


def main() -> int:
    options = _options()
    if options.data is None:
        print(f"not measured: no latencies; give --data nasbench201_latency.npz or set {VARIABLE} to its path")
        return 0
    try:
        cells = read_cells(options.data)
    except (OSError, ValueError) as error:
        print(f"error: {error}; expected nasbench201_latency.npz (HW-NAS-Bench's latencies)", file=sys.stderr)
        return 2
    drawn = draw(cells, options.cells, seed=options.seed)
    try:
        ranked = [_ranked(cell, options.repeats, place, len(drawn)) for place, cell in enumerate(drawn, start=1)]
    except EdgectlError as error:
        print(f"error: {error.message}", file=sys.stderr)
        return int(error.exit_code)
    _report(ranked, len(cells), options)
    return 0


def _ranked(cell: Cell, repeats: int, place: int, count: int) -> Ranked:
    """From the kept results, or lowered and counted now."""
    folder = KEPT / _key(repeats)
    folder.mkdir(parents=True, exist_ok=True)
    program, result = folder / f"{cell.index}.pte", folder / f"{cell.index}.json"
    if not result.is_file():
        started = time.monotonic()
        macs = _lower(cell, repeats, program)
        lowered = time.monotonic()
        counted = {"instructions": count_instructions(program), "macs": macs}
        result.write_text(json.dumps(counted), encoding="utf-8")
        seconds = f"lowered in {lowered - started:.0f} s, counted in {time.monotonic() - lowered:.0f} s"
        print(f"{place} of {count}: cell {cell.index}, {seconds}", file=sys.stderr, flush=True)
    known = json.loads(result.read_text(encoding="utf-8"))
    return Ranked(cell, known["instructions"], known["macs"])


def _lower(cell: Cell, repeats: int, program: Path) -> int:
    """Write the program; its multiply-accumulates."""
    import torch
    from edgectl.lower import lower
    from rank.network import example, multiply_accumulates, network

    module = network(cell.operations, repeats=repeats)
    program.write_bytes(lower(module, example_inputs=example(), check=False).data)
    return multiply_accumulates(torch.export.export(module, example()))


def count_instructions(program: Path) -> int:
    """Instructions per inference at one thread on the emulated board."""
    made = prepare_emulated(load_target(TARGET), paths=paths_from_environment(os.environ), environ=os.environ)
    counter = InstructionCounter(read_emulator(made.emulator), made.runner, "")
    options = RunnerOptions(threads=1)
    few, many = (
        asyncio.run(counter.count(program, options, runs=runs)).instructions for runs in RUN_LENGTHS
    )  # fmt: skip
    return (many - few) // (RUN_LENGTHS[1] - RUN_LENGTHS[0])


def _report(ranked: Sequence[Ranked], known: int, options: argparse.Namespace) -> None:
    latencies = [one.cell.raspberry_pi_4_ms for one in ranked]
    instructions, macs = [one.instructions for one in ranked], [one.macs for one in ranked]
    found = compare(instructions, macs, latencies, seed=options.seed)
    if options.output == "json":
        rows = [
            {
                "cell": one.cell.index,
                "operations": one.cell.operations,
                "instructions": one.instructions,
                "macs": one.macs,
                "raspberry_pi_4_ms": one.cell.raspberry_pi_4_ms,
            }
            for one in ranked
        ]
        print(json.dumps({"cells": rows, "repeats": options.repeats, "seed": options.seed}, indent=2))
    else:
        print(f"{'cell':>6}  {'Pi 4 ms':>8}  {'instructions':>13}  {'MACs':>12}  operations")
        for one in sorted(ranked, key=lambda one: one.cell.raspberry_pi_4_ms):
            row = f"{one.cell.index:6}  {one.cell.raspberry_pi_4_ms:8.2f}  {one.instructions:13,}  {one.macs:12,}"
            print(f"{row}  {' '.join(one.cell.operations)}")
        print(f"instructions with multiply-accumulates: tau {kendall_tau(instructions, macs):.3f}")
    print(
        f"{len(ranked)} of {known} cells (seed {options.seed}), {options.repeats} cells a stage, emulated Cortex-A72: "
        f"Kendall's tau with the real Raspberry Pi 4: instructions {found.first.text()}, "
        f"multiply-accumulates {found.second.text()}, difference {found.difference.text()}",
        file=sys.stderr if options.output == "json" else sys.stdout,
    )


def _key(repeats: int) -> str:
    """Of what a count depends on: the network's source, the run lengths, the versions."""
    parts = [
        Path(__file__).with_name("rank").joinpath("network.py").read_bytes(),
        repr((repeats, RUN_LENGTHS, TARGET)).encode(),
        " ".join(metadata.version(package) for package in ("torch", "executorch")).encode(),
    ]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:12]


def _options() -> argparse.Namespace:
    default = os.environ.get(VARIABLE)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(default) if default else None, help=f"or ${VARIABLE}")
    parser.add_argument("--cells", type=int, default=CELLS)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--repeats", type=int, default=REPEATS, help="cells a stage")
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
