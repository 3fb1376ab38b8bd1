# SPDX-License-Identifier: Apache-2.0
"""What local inference costs beyond `execute`: a whole call of `edgectl_agent.client`, arrays in and arrays out.

A real agent serves a small program with an input of 150,528 bytes; the runner's own time inside `execute` is taken off
each call. Blocks alternate with a bare loop over a plain socket (frames made beforehand, nothing checked), which is
what the kernel and the runner cost without the client. Last line: p50 and p99, and whether the p50 meets the bar.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import struct
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from edgectl_agent.client import Model, connect

BAR_US = 60.0
SHAPE = (1, 3, 112, 112)
WARMUP_CALLS = 300
HEADER = struct.Struct("<4sBBHQQQQ")
ROOT = Path(__file__).resolve().parents[1]

Array = np.typing.NDArray[np.float32]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blocks", type=int, default=10)
    parser.add_argument("--calls", type=int, default=1000, help="of each side, in a block")
    arguments = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    from tests.agents import deploy, running_agent
    from tests.program_bundles import make_bundle

    with tempfile.TemporaryDirectory() as temporary:
        bundle = make_bundle(Path(temporary), build_program(Path(temporary)))
        with running_agent(Path(temporary) / "state", "--threads", "1") as agent:
            with agent.stub() as stub:
                deploy(stub, bundle)
            return measure(agent.state / "run", bundle.name, blocks=arguments.blocks, calls=arguments.calls)


def build_program(directory: Path) -> Path:
    """A strided convolution and a linear layer in XNNPACK, with its golden tensors beside it."""
    import torch
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower
    from torch import nn

    torch.manual_seed(7)
    layers = [nn.Conv2d(3, 8, 3, stride=4, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    module = nn.Sequential(*layers, nn.Linear(8, 10)).eval()
    image = torch.randn(SHAPE)
    exported = torch.export.export(module, (image,))
    lowered = to_edge_transform_and_lower(exported, partitioner=[XnnpackPartitioner()]).to_executorch()
    program = directory / "strided.pte"
    program.write_bytes(bytes(lowered.buffer))
    np.save(directory / "strided.input0.npy", image.numpy())
    np.save(directory / "strided.output0.npy", module(image).detach().numpy())
    return program


def measure(folder: Path, name: str, *, blocks: int, calls: int) -> int:
    image = np.random.default_rng(7).standard_normal(SHAPE, np.float32)
    with connect(folder) as models, socket.socket(socket.AF_UNIX) as bare:
        bare.connect(str(folder / f"{name}.sock"))
        sides = {"client": client_call(models.model(name), image), "bare": bare_call(bare, image)}
        samples: dict[str, list[float]] = {side: [] for side in sides}
        for call in sides.values():
            beyond_execute(call, WARMUP_CALLS)
        for _ in range(blocks):
            for side, call in sides.items():
                samples[side] += beyond_execute(call, calls)
    return report(samples["client"], samples["bare"], input_bytes=image.nbytes)


def client_call(model: Model, image: Array) -> Callable[[], float]:
    """A call as an application makes it; returns the microseconds inside `execute`."""

    def call() -> float:
        answer = model.run(image)
        answer.arrays()
        return answer.execute_us

    return call


def bare_call(bare: socket.socket, image: Array) -> Callable[[], float]:
    """The same exchange with nothing around it."""
    payload = struct.pack("<IIBBHI4QQ", 1, 0, 6, 4, 0, 0, *SHAPE, image.nbytes) + image.tobytes()
    frame = HEADER.pack(b"EDGR", 1, 1, 0, 1, 0, len(payload), 0) + payload
    answer = bytearray(4096)

    def call() -> float:
        bare.sendall(frame)
        bare.recv_into(answer)
        return float(HEADER.unpack_from(answer)[5]) / 1e3

    return call


def beyond_execute(call: Callable[[], float], calls: int) -> list[float]:
    """Microseconds of each call without those inside `execute`."""
    beyond = []
    for _ in range(calls):
        begin = time.perf_counter_ns()
        executed_us = call()
        beyond.append((time.perf_counter_ns() - begin) / 1e3 - executed_us)
    return beyond


def report(client: list[float], bare: list[float], *, input_bytes: int) -> int:
    def figures(samples: list[float]) -> tuple[float, Any]:
        return statistics.median(samples), statistics.quantiles(samples, n=100)[98]

    p50, p99 = figures(client)
    bare_p50, bare_p99 = figures(bare)
    load = os.getloadavg()[0]
    print(f"{len(client)} calls with {input_bytes} bytes of input, load average {load:.1f} on {os.cpu_count()} cores")
    print(f"a bare socket loop, beyond execute: p50 {bare_p50:.1f} us, p99 {bare_p99:.1f} us")
    verdict = "met" if p50 <= BAR_US else "falls short"
    print(f"the client, beyond execute: p50 {p50:.1f} us, p99 {p99:.1f} us (bar p50 {BAR_US:.0f} us): {verdict}")
    return 0 if p50 <= BAR_US else 1


if __name__ == "__main__":
    sys.exit(main())
