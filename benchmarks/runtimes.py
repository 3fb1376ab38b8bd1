# SPDX-License-Identifier: Apache-2.0
"""edge-runner against ExecuTorch's Python binding, ONNX Runtime, LiteRT, ncnn, MNN and OpenVINO, on the same models.

docs/runtimes.md says how it is measured. Beside each peer's figure stands how edge-runner is to it: + ahead, = tied
(overlapping intervals, or 3 %), - behind. Last line: cases at one thread where edge-runner is behind none, over cases.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from pathlib import Path

from runner_files import ROOT, find_runner
from shootout.cases import MODELS, PRECISIONS, Case, Outcome
from shootout.environments import UnavailableError
from shootout.peers import EDGE_RUNNER, PEERS, Peer
from shootout.race import race
from shootout.report import as_json, closing_line, meets_bar, remarks, table
from shootout.sessions import Settings

FEATURES = ("avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "avx_vnni", "amx_int8", "asimd", "asimddp", "i8mm")


def main() -> int:
    arguments = parse_arguments()
    peers = [peer for peer in PEERS if peer is EDGE_RUNNER or peer.name in arguments.peers]
    settings = Settings(find_runner(), arguments.cache, arguments.rounds, arguments.seconds)
    results: dict[Case, dict[str, Outcome]] = {}
    begin = time.monotonic()
    for threads in arguments.threads:
        for model in arguments.only:
            for precision in arguments.precisions:
                case = Case(model, precision, threads)
                print(f"{time.monotonic() - begin:5.0f} s  {case.title}, {threads} threads", file=sys.stderr)
                try:
                    results[case] = race(case, peers, settings)
                except UnavailableError as error:
                    sys.exit(f"{case.title} cannot be prepared: {error}")
    if arguments.json:
        arguments.json.write_text(json.dumps({"processor": processor(), "cases": as_json(results)}) + "\n")
    return report(results, peers, settings)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [peer.name for peer in PEERS if peer is not EDGE_RUNNER]
    parser.add_argument(
        "--only", nargs="+", choices=MODELS, default=list(MODELS), metavar="MODEL", help=", ".join(MODELS)
    )
    parser.add_argument("--peers", nargs="*", choices=names, default=names, metavar="PEER", help=", ".join(names))
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, default=list(PRECISIONS))
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=9, help="blocks of each runtime in a case")
    parser.add_argument("--seconds", type=float, default=0.2, help="that a block lasts at least")
    parser.add_argument("--json", type=Path, help="write every sample here")
    parser.add_argument("--cache", type=Path, default=ROOT / "build" / "shootout", help="environments and models")
    arguments = parser.parse_args()
    arguments.cache = arguments.cache.resolve()
    return arguments


def report(results: dict[Case, dict[str, Outcome]], peers: list[Peer], settings: Settings) -> int:
    print(f"{processor()}; {settings.rounds} blocks of at least {settings.seconds} s each, 95 % intervals")
    for line in (*table(results, peers), *remarks(results, peers), closing_line(results)):
        print(line)
    return 0 if meets_bar(results) else 1


def processor() -> str:
    """The processor's name and those of its features that decide how fast int8 is."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").is_file() else []
    fields = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    flags = (fields.get("flags") or fields.get("Features") or "").split()
    name = fields.get("model name") or platform.machine()
    return f"{name} ({' '.join(feature for feature in FEATURES if feature in flags)})"


if __name__ == "__main__":
    sys.exit(main())
