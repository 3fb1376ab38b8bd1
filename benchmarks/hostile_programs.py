# SPDX-License-Identifier: Apache-2.0
"""Damaged programs put to the runner, and inside bundles to a real agent.

Real .pte files of four kinds are damaged, the same way at every run. Each damaged file is given to `edge-runner run` or
`edge-runner bench` with a deadline: it may answer, or end with one of its exit codes (which also say where a program
crashed it), but neither hang nor die by a signal that nobody reported. Then each goes over gRPC to an agent inside a
bundle that is otherwise intact: its digest has to find every one. Last, some go in bundles that are properly made
around the damaged bytes, to be activated and timed: the agent has to answer each, with an error or a result, and to
live. Last line: counts, and what falls short.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import psutil
from damaged_files import damaged_files
from edgectl.lab.client import AgentClient, Deadlines
from edgectl.lab.failures import Peer, translated
from edgectl.lab.local import LocalAgent
from edgectl.lab.protocol import MeasurementProtocol
from edgectl_protos.bundle import BundleInfo
from edgectl_protos.errors import BundleError, DeadlineError, EdgectlError, UnreachableError
from edgectl_protos.manifest import PROGRAM_MEMBER
from edgectl_protos.v1 import agent_pb2, agent_pb2_grpc
from runner_files import find_runner
from small_bundles import MODELS, SmallProgram, agent_process, small_program

RUNNER_SECONDS = 10.0
MEMORY_LIMIT_BYTES = 1 << 30
"""A damaged size may ask for all the memory there is: that is an error like others, and no danger to the machine."""
CALL_SECONDS = 60.0
SEED = 7
EXIT_CODES = {
    0: "answer",
    2: "no such method",
    10: "bad program",
    11: "bad input",
    12: "missing kernel",
    13: "failed",
    15: "output",
    16: "out of memory",
}
QUICK = MeasurementProtocol(
    "quick", warmup_seconds=0, warmup_runs=1, blocks=2, block_runs=5, block_seconds=0, max_drift=0, attempts=1
)


@dataclass(frozen=True, slots=True)
class DamagedProgram:
    """A program's bytes with damage, and what it was made from."""

    source: SmallProgram
    damage: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Findings:
    """How many ended how, in each of the three parts; `agent` says what is wrong with it afterwards, if anything is."""

    runner: Counter[str]
    digest: Counter[str]
    staged: Counter[str]
    agent: str

    @property
    def hung(self) -> int:
        return self.runner["hung"] + self.digest["hung"] + self.staged["hung"]

    def shortfalls(self) -> list[str]:
        counted = {
            "hung": self.hung,
            "ended the runner by a signal that it did not report": self.runner["signal"],
            "ended with an exit code that says nothing of the program": self.runner["other exit"],
            "not found by digest": self.digest.total() - self.digest["found"],
            "left without an answer": self.staged["no answer"],
        }
        return [f"{count} {what}" for what, count in counted.items() if count] + ([self.agent] if self.agent else [])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--staged", type=int, default=50, help="of them, in bundles properly made around them")
    parser.add_argument("--seed", type=int, default=SEED)
    arguments = parser.parse_args()
    hostile = hostile_programs(arguments.files, seed=arguments.seed)
    programs = {program.source.kind: program.source.program.data for program in hostile}
    print("programs " + ", ".join(f"{kind} {hashlib.sha256(data).hexdigest()[:8]}" for kind, data in programs.items()))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        ended = try_runner(find_runner(), hostile, folder)
        with LocalAgent(folder / "state") as agent:
            findings = try_agent(agent.address, hostile, ended, staged=arguments.staged, folder=folder)
    return report(findings)


def hostile_programs(count: int, *, seed: int) -> list[DamagedProgram]:
    """Kinds of program and of damage in turn."""
    sources = [small_program(kind) for kind in MODELS]
    streams = [damaged_files(source.program.data, random.Random(f"{seed}/{source.kind}")) for source in sources]
    pairs = ((source, next(stream)) for _ in range(count) for source, stream in zip(sources, streams, strict=True))
    return [DamagedProgram(source, damage, data) for source, (damage, data) in islice(pairs, count)]


def try_runner(runner: str, hostile: Sequence[DamagedProgram], folder: Path) -> Counter[str]:
    """Give each to a runner of its own, `run` and `bench` by turns."""
    inputs = golden_inputs(hostile, folder)
    ended: Counter[str] = Counter()
    by_damage: Counter[tuple[str, str]] = Counter()
    longest = 0.0
    path = folder / "hostile.pte"
    quick = ["--warmup-runs", "1", "--warmup-seconds", "0", "--runs", "3", "--threads", "1"]
    for index, program in enumerate(hostile):
        path.write_bytes(program.data)
        given = ["--input", inputs[program.source.kind]]
        # Sixteen are a round of the kinds of program and damage: each meets both commands.
        words = ["run", path, *given, "--output-dir", folder] if index // 16 % 2 else ["bench", path, *given, *quick]
        begin = time.perf_counter()
        how = end_of([runner, *words, "--memory-limit", str(MEMORY_LIMIT_BYTES)])
        longest = max(longest, time.perf_counter() - begin)
        ended[how] += 1
        by_damage[program.damage, how] += 1
    for (damage, how), count in sorted(by_damage.items()):
        print(f"runner, {damage}: {count} {how}")
    print(f"the longest took {longest:.2f} s (deadline {RUNNER_SECONDS:.0f} s)", flush=True)
    return ended


def golden_inputs(hostile: Sequence[DamagedProgram], folder: Path) -> dict[str, Path]:
    inputs = {}
    for source in {program.source.kind: program.source for program in hostile}.values():
        inputs[source.kind] = folder / f"{source.kind}.npy"
        np.save(inputs[source.kind], source.golden.cases[0].inputs[0])
    return inputs


def end_of(command: list[Any]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=RUNNER_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return "hung"
    if done.returncode not in EXIT_CODES:
        print(f"{command[1:]} ended with {done.returncode}: {done.stderr[:200]!r}")
        return "signal" if done.returncode < 0 else "other exit"
    return "reported crash" if "crashed" in done.stderr else EXIT_CODES[done.returncode]


def try_agent(
    address: str, hostile: Sequence[DamagedProgram], runner: Counter[str], *, staged: int, folder: Path
) -> Findings:
    process = agent_process()
    deadlines = Deadlines(activate=CALL_SECONDS, benchmark=CALL_SECONDS)
    with AgentClient(address, deadlines=deadlines) as client:
        boot = client.hello().boot_id
        with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
            stub: Any = agent_pb2_grpc.AgentStub(channel)  # type: ignore[no-untyped-call]
            digest = try_digests(stub, Peer(address, secure=False, answered=True), hostile, folder)
        print(f"inside a bundle: {dict(digest)}", flush=True)
        step = max(1, len(hostile) // max(1, staged))
        outcome = try_staged(client, hostile[::step][:staged], folder)
        print(f"in bundles made around them: {dict(outcome)}")
        return Findings(runner, digest, outcome, wrong_with(client, process, boot))


def wrong_with(client: AgentClient, agent: psutil.Process, boot: str) -> str:
    """What is wrong with the agent after all of it; "" for nothing."""
    try:
        boot_now = client.hello().boot_id
    except EdgectlError as error:
        return f"the agent does not answer: {error.message}"
    if not agent.is_running():
        return "another process answers as the agent"
    return "" if boot_now == boot else f"Hello gives the boot {boot_now}, not {boot}"


def try_digests(stub: Any, peer: Peer, hostile: Sequence[DamagedProgram], folder: Path) -> Counter[str]:
    """Send each in the place of the program in an intact bundle of its kind, as that bundle."""
    intact: dict[str, tuple[bytes, BundleInfo]] = {}
    outcome: Counter[str] = Counter()
    for program in hostile:
        kind = program.source.kind
        if kind not in intact:
            info = program.source.write(folder / f"{kind}.edge", name="intact", version=kind)
            intact[kind] = (folder / f"{kind}.edge").read_bytes(), info
        bundle, info = intact[kind]
        chunks = upload(with_program(bundle, program.data), info.digest)
        outcome[answer_of(lambda: call_put(stub, peer, chunks))] += 1  # noqa: B023 - called at once
    return outcome


def call_put(stub: Any, peer: Peer, chunks: Iterator[agent_pb2.BundleChunk]) -> None:
    with translated(peer):
        stub.PutBundle(chunks, timeout=CALL_SECONDS)


def answer_of(call: Callable[[], object]) -> str:
    try:
        call()
    except BundleError:
        return "found"
    except DeadlineError:
        return "hung"
    except EdgectlError as error:
        print(f"refused otherwise: {error.message}")
        return type(error).__name__
    return "taken"


def with_program(bundle: bytes, program: bytes) -> bytes:
    """The bundle with other bytes as its program: the zip is sound, the manifest the same."""
    stream = BytesIO()
    with zipfile.ZipFile(BytesIO(bundle)) as source, zipfile.ZipFile(stream, "w") as target:
        for entry in source.infolist():
            target.writestr(entry.filename, program if entry.filename == PROGRAM_MEMBER else source.read(entry))
    return stream.getvalue()


def upload(data: bytes, digest: str) -> Iterator[agent_pb2.BundleChunk]:
    yield agent_pb2.BundleChunk(header=agent_pb2.BundleHeader(digest=digest, bytes=len(data)))
    for start in range(0, len(data), 1 << 16):
        yield agent_pb2.BundleChunk(data=data[start : start + (1 << 16)])


def try_staged(client: AgentClient, hostile: Sequence[DamagedProgram], folder: Path) -> Counter[str]:
    """Put each in a bundle whose digest is right, time it and activate it."""
    outcome: Counter[str] = Counter()
    path = folder / "staged.edge"
    for index, program in enumerate(hostile):
        info = program.source.write(path, name="staged", version=str(index), data=program.data)
        client.put_bundle(path)
        calls: dict[str, Callable[[], object]] = {
            "timed": lambda digest=info.digest: client.benchmark("staged", digest, QUICK),  # type: ignore[misc]
            "activated": lambda digest=info.digest: client.activate("staged", digest),  # type: ignore[misc]
        }
        for what, call in calls.items():
            outcome[staged_answer(what, call)] += 1
    return outcome


def staged_answer(what: str, call: Callable[[], object]) -> str:
    try:
        call()
    except DeadlineError:
        return "hung"
    except UnreachableError as error:
        print(f"no answer: {error.message}")
        return "no answer"
    except EdgectlError as error:
        return f"{what}: {type(error).__name__}"
    return what


def report(findings: Findings) -> int:
    short = findings.shortfalls()
    runner, digest, staged = findings.runner, findings.digest, findings.staged
    print(f"the runner: {', '.join(f'{count} {how}' for how, count in runner.most_common())}")
    crashes = f"{runner['signal']} crashed the runner unreported ({runner['reported crash']} reported)"
    agent = 1 if findings.agent or staged["no answer"] else 0
    found = f"{digest['found']} of {digest.total()} found by digest"
    answered = staged.total() - staged["no answer"] - staged["hung"]
    calls = f"{answered} of {staged.total()} calls with staged ones answered"
    verdict = f"falls short: {'; '.join(short)}" if short else "met"
    ends = f"{crashes}, {agent} crashed the agent, {findings.hung} hung"
    print(f"{runner.total()} tried: {ends}, {found}, {calls}: {verdict}")
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main())
