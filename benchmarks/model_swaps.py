# SPDX-License-Identifier: Apache-2.0
"""Models loaded and unloaded in alternation on a real agent: what the agent's memory grows by, and what is left behind.

Two small bundles of one model are activated in turn over gRPC; each activation checks the golden outputs in a process
of its own, ends the runner that served and starts another. The agent is read when warm, half way and at the end (the
least of several readings): a leak grows as much in the second half as in the first, what is only allocated once does
not. The bar is on RSS; PSS moves by megabytes with whoever shares pages. Processes are counted twice: the agent's
descendants, which are to be one runner, and whatever on the machine names the agent's folder, also after the agent has
stopped. Last line: growth and strays, and what falls short of the bar.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
from edgectl.lab.client import AgentClient
from edgectl.lab.local import LocalAgent
from small_bundles import agent_process, processes_about, small_program

GROWTH_BAR_BYTES = 1_000_000
WARMUP_SWAPS = 50
READINGS = 10
NAME = "swapped"


@dataclass(frozen=True, slots=True)
class AgentState:
    """The agent at rest: bytes, open files, threads, descendants, and others that name its folder."""

    rss: int
    pss: int
    files: int
    threads: int
    runners: int
    others: int

    def line(self) -> str:
        memory = f"RSS {self.rss / 1e6:.2f} MB, PSS {self.pss / 1e6:.2f} MB"
        return f"{memory}, {self.files} open files, {self.threads} threads, {self.runners} runners"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--swaps", type=int, default=1000)
    swaps: int = parser.parse_args().swaps
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        bundles = [folder / "fp32.edge", folder / "int8.edge"]
        for path in bundles:
            small_program(path.stem).write(path, name=NAME, version=path.stem)
        with LocalAgent(folder / "state") as agent, AgentClient(agent.address) as client:
            digests = [client.put_bundle(path).digest for path in bundles]
            process = agent_process()
            swap(client, process, digests, WARMUP_SWAPS)
            states = [state_of(process, folder)]
            print(f"after {WARMUP_SWAPS} swaps: {states[0].line()}", flush=True)
            for count in (swaps // 2, swaps - swaps // 2):
                begin = time.perf_counter()
                served = swap(client, process, digests, count)
                each = 1e3 * (time.perf_counter() - begin) / max(1, count)
                states.append(state_of(process, folder))
                print(
                    f"after {count} more by {len(served)} runners, {each:.0f} ms each: {states[-1].line()}", flush=True
                )
        left = len(processes_about(folder))
    return report(*states, left=left)


def swap(client: AgentClient, agent: psutil.Process, digests: list[str], count: int) -> set[int]:
    """Activate `count` times in turn; the runners that served."""
    served: set[int] = set()
    for index in range(count):
        activation = client.activate(NAME, digests[index % 2])
        assert activation.digest == digests[index % 2]
        served.update(runner.pid for runner in agent.children())
        if (index + 1) % 250 == 0:
            print(f"{index + 1} swaps", file=sys.stderr, flush=True)
    return served


def state_of(process: psutil.Process, folder: Path) -> AgentState:
    rss, pss = [], []
    for _ in range(READINGS):
        time.sleep(0.3)
        memory = process.memory_full_info()
        rss.append(memory.rss)
        pss.append(memory.pss)
    runners = process.children(recursive=True)
    others = processes_about(folder) - {process.pid} - {runner.pid for runner in runners}
    return AgentState(min(rss), min(pss), process.num_fds(), process.num_threads(), len(runners), len(others))


def report(before: AgentState, half: AgentState, after: AgentState, *, left: int) -> int:
    growth, late = after.rss - before.rss, after.rss - half.rss
    strays = (after.runners - 1) + after.others + left
    short = []
    if growth >= GROWTH_BAR_BYTES:
        short.append(f"grew by {growth:,} bytes")
    if strays:
        short.append(f"{after.runners} runners, {after.others} others, {left} left when the agent had stopped")
    if after.files > before.files:
        short.append(f"{after.files - before.files} more open files")
    grown = f"RSS grew by {growth:,} bytes (bar {GROWTH_BAR_BYTES:,}), {late:,} of them in the second half"
    verdict = f"falls short: {'; '.join(short)}" if short else "met"
    print(f"{grown}; PSS by {after.pss - before.pss:,}; stray processes {strays} (bar 0): {verdict}")
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main())
