# SPDX-License-Identifier: Apache-2.0
"""How well a measurement repeats: `--runs` of one program on a quiet machine, then as many beside a busy process.

Each is a whole measurement by the `standard` protocol on a real agent, one thread: fresh processes, a warm-up, blocks
that alternate with the reference model, retries. Beside a busy process the figure is corrected by the reference: the
median in units of the reference model then, times the reference model's quiet median. Last line: the spread of the
accepted ones, quiet and loaded, the share marked degraded, and what falls short of the bars.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edgectl.lab.client import AgentClient
from edgectl.lab.local import LocalAgent
from edgectl.lab.measurement import Measurement
from edgectl.lab.protocol import STANDARD
from edgectl.lab.runner_choice import RunnerChoice
from runner_files import ROOT, make_program

BAR_SPREAD = 0.05
BAR_ACCEPTED = 0.8


@dataclass(frozen=True, slots=True)
class Quiet:
    """Medians over the accepted runs on the quiet machine."""

    p50: float
    reference: float

    def deviation(self, run: Measurement) -> float:
        """How far the run is from the quiet median once the reference model has corrected it; a share."""
        if run.reference is None:
            raise RuntimeError("the standard protocol runs a reference model")
        return run.reference.ratio * self.reference / self.p50 - 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--busy", type=int, default=1, help="how many processes keep a core busy in the second half")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary, _placed(Path(temporary)) as (client, name, digest):
        measure = _Series(client, name, digest, arguments.runs)
        quiet = measure.run("quiet")
        with _busy(arguments.busy):
            loaded = measure.run(f"beside {arguments.busy} busy")
    return _report(quiet, loaded)


@dataclass(frozen=True, slots=True)
class _Series:
    client: AgentClient
    name: str
    digest: str
    runs: int

    def run(self, label: str) -> list[Measurement]:
        taken = []
        for number in range(self.runs):
            one = self.client.benchmark(self.name, self.digest, STANDARD, choice=RunnerChoice(threads=1))
            taken.append(one)
            ratio = one.reference.ratio if one.reference else 0.0
            print(
                f"{label} {number + 1}: p50 {one.p50:.4f} ms, in units of the reference model {ratio:.4f}, "
                f"attempts {len(one.attempts)}, {one.quality} {one.quality_reason}",
                flush=True,
            )
        return taken


@contextmanager
def _placed(directory: Path) -> Iterator[tuple[AgentClient, str, str]]:
    sys.path.insert(0, str(ROOT))
    from tests.program_bundles import make_bundle

    bundle = make_bundle(directory, make_program("conv_net_program", directory / "programs"))
    with LocalAgent(directory / "agent") as agent, AgentClient(agent.address) as client:
        client.put_bundle(bundle.path)
        print(f"{client.info.cpu_model}, {client.info.cpu_count} cores, load {os.getloadavg()[0]:.2f}")
        yield client, bundle.name, bundle.digest


@contextmanager
def _busy(count: int) -> Iterator[None]:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_spin, daemon=True) for _ in range(count)]
    for process in processes:
        process.start()
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.join()


def _spin() -> None:
    while True:
        pass


def _report(quiet: Sequence[Measurement], loaded: Sequence[Measurement]) -> int:
    calm = [run for run in quiet if run.quality == "ok"]
    held = [run for run in loaded if run.quality == "ok"]
    if not calm:
        print(f"no quiet run of {len(quiet)} was accepted; SHORT of {BAR_ACCEPTED:.0%} accepted")
        return 1
    base = Quiet(
        statistics.median(run.p50 for run in calm),
        statistics.median(run.reference.p50 for run in calm if run.reference),
    )
    spread = max(run.p50 for run in calm) / min(run.p50 for run in calm) - 1
    worst = max((abs(base.deviation(run)) for run in held), default=0.0)
    short = []
    if len(calm) < BAR_ACCEPTED * len(quiet):
        short.append(f"{BAR_ACCEPTED:.0%} accepted when quiet")
    if spread > BAR_SPREAD:
        short.append(f"a quiet spread of {BAR_SPREAD:.0%}")
    if worst > BAR_SPREAD:
        short.append(f"{BAR_SPREAD:.0%} from the quiet median beside a busy process")
    if not held:
        short.append("any accepted run beside a busy process")
    print(
        f"quiet: {len(calm)} of {len(quiet)} accepted, spread {spread:.2%}; loaded: {len(held)} of {len(loaded)} "
        f"accepted, at most {worst:.2%} from the quiet median; degraded {1 - len(calm) / len(quiet):.0%} quiet, "
        f"{1 - len(held) / len(loaded):.0%} loaded; " + (f"SHORT of {', '.join(short)}" if short else "every bar met")
    )
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main())
