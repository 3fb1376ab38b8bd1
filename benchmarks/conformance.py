# SPDX-License-Identifier: Apache-2.0
"""The same programs on this machine, on emulated boards' processors and on devices: do they answer the same?

Each operator family in fp32, static int8, dynamic int8 and with 4-bit weights, made from torch by the stock flow. Each
program gets the same inputs on the runner of this machine, on the boards' runner under qemu-user for every processor of
the targets, and on each device named with --on (`qemu-0`, or a real board). A cell is the worst error against eager
torch, and after the stroke against this machine's runner; an error is the largest difference over the largest output.
Exit status 1 where one is out of tolerance. docs/conformance.md has the tolerances and what was found. Last line:
programs, places, worst error of each.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict

from conformance_set.assets import Asset, assets, load
from conformance_set.comparison import INFINITE, LIMITS, Finding, error
from conformance_set.places import Device, Place, Runner, Unrunnable, emulated_runners
from conformance_set.report import closing_line, tables
from edgectl.config import paths_from_environment
from edgectl.lab.devices import open_device
from edgectl_protos.errors import EdgectlError
from runner_files import ROOT, find_runner


def main() -> int:
    options = _options()
    kept = ROOT / "build" / "conformance"
    print("building the programs that are not there yet...", file=sys.stderr)
    programs = assets(
        kept,
        lambda case, family, precision: all(
            not wanted or name in wanted
            for wanted, name in ((options.case, case), (options.family, family), (options.precision, precision))
        ),
        on_built=lambda name: print(f"built {name}", file=sys.stderr),
    )
    if not programs:
        print("no program of that case, family and precision", file=sys.stderr)
        return 2
    paths = paths_from_environment(os.environ)
    native = Runner(platform.machine(), [find_runner()])
    with ExitStack() as stack:
        try:
            places: list[Place] = []
            if not options.no_emulated:
                places += emulated_runners(
                    paths, os.environ, wanted=lambda core: not options.core or core in options.core
                )
            for name in options.on:
                places.append(Device(name, stack.enter_context(open_device(name, paths=paths))))
        except EdgectlError as failure:
            print(f"error: {failure.message}", file=sys.stderr)
            return int(failure.exit_code)
        findings = findings_of(programs, native, places)
    if options.output == "json":
        limits = {precision: asdict(limit) for precision, limit in LIMITS.items()}
        print(json.dumps({"limits": limits, "findings": [finding.document() for finding in findings]}, indent=2))
    else:
        print("\n".join(tables(findings)))
    print(closing_line(findings), file=sys.stderr if options.output == "json" else sys.stdout)
    return 0 if all(finding.within for finding in findings) else 1


def findings_of(programs: Sequence[Asset], native: Place, places: Sequence[Place]) -> list[Finding]:
    """Each program in each place, this machine's runner first: the others are compared with it as well."""
    findings = []
    for asset in programs:
        eager = load(asset.outputs)
        reference = None
        for place in (native, *places):
            try:
                given = place.run(asset)
            except Unrunnable as failure:
                finding = Finding(asset.case, asset.family, asset.precision, place.name, INFINITE, None, str(failure))
            else:
                away = None if place is native else INFINITE if reference is None else error(given, reference)
                reference = given if place is native else reference
                finding = Finding(asset.case, asset.family, asset.precision, place.name, error(given, eager), away)
            findings.append(finding)
    return findings


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--on", action="append", default=[], metavar="DEVICE", help="a device to run on as well")
    parser.add_argument("--core", action="append", default=[], help="of the emulated cores only this one")
    parser.add_argument("--no-emulated", action="store_true", help="not under qemu-user")
    parser.add_argument("--case", action="append", default=[], help="of the cases only this one")
    parser.add_argument("--family", action="append", default=[], help="of the families only this one")
    parser.add_argument("--precision", action="append", default=[], choices=list(LIMITS))
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
