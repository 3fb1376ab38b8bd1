# SPDX-License-Identifier: Apache-2.0
"""What the agent brings onto a board: by its installed metadata, and by what a running one has imported."""

from __future__ import annotations

import re
import time
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
from edgectl_protos.v1 import agent_pb2
from packaging.markers import default_environment
from packaging.requirements import Requirement

from tests.agents import deploy, hello, infer, log_of, running_agent, running_broker
from tests.program_bundles import make_bundle, program_directory
from tests.programs import golden_inputs, small_cnn_program

_NOT_ON_A_BOARD = {"torch", "executorch", "torchao", "numpy", "pydantic", "edgectl", "optuna", "scipy", "pandas"}
_CLOSURE = {"edgectl-agent", "edgectl-protos", "grpcio", "paho-mqtt", "protobuf", "typing-extensions"}


def _closure(name: str, found: set[str]) -> set[str]:
    """Every distribution that installing `name` installs, here, without extras."""
    normal = re.sub(r"[-_.]+", "-", name).lower()
    if normal in found:
        return found
    found.add(normal)
    for text in distribution(name).requires or []:
        requirement = Requirement(text)
        environment = {key: str(value) for key, value in default_environment().items()}
        if requirement.marker is None or requirement.marker.evaluate({**environment, "extra": ""}):
            _closure(requirement.name, found)
    return found


def test_installing_the_agent_installs_only_what_is_listed_here() -> None:
    closure = _closure("edgectl-agent", set())
    assert not closure & _NOT_ON_A_BOARD
    assert closure <= _CLOSURE
    assert {"edgectl-protos", "grpcio", "paho-mqtt"} <= closure


def _imported(log: Path) -> set[str]:
    """Top-level names of every module the interpreter imported, from the log of `-X importtime`."""
    lines = re.findall(r"^import time:.*\|\s+(\S+)$", log.read_text(), flags=re.MULTILINE)
    return {name.partition(".")[0] for name in lines}


def test_a_running_agent_imports_no_numpy_torch_or_pydantic(tmp_path: Path) -> None:
    program = small_cnn_program(program_directory())
    with (
        running_broker(tmp_path) as port,
        running_agent(
            tmp_path / "state",
            "--mqtt",
            f"127.0.0.1:{port}",
            "--telemetry-interval",
            "0.1",
            python=("-X", "importtime"),
        ) as agent,
        agent.stub() as stub,
    ):
        bundle = make_bundle(tmp_path, program)
        deploy(stub, bundle)
        infer(stub, bundle.name, *(np.load(path) for path in golden_inputs(program)))
        request = agent_pb2.BenchmarkRequest(name=bundle.name, blocks=1, block_runs=5, attempts=1)
        assert list(stub.Benchmark(request, timeout=60))[-1].HasField("result")
        next(stub.StreamTelemetry(agent_pb2.StreamTelemetryRequest(), timeout=60))
        hello(stub)
        mapped = Path(f"/proc/{agent.pid}/maps").read_text()
        assert agent.terminate() == 0
    imported = _imported(log_of(tmp_path / "state"))
    assert {"grpc", "paho", "edgectl_agent", "zipfile"} <= imported
    assert not imported & _NOT_ON_A_BOARD
    assert not re.search(r"torch|numpy|pydantic", mapped)


def test_an_agent_without_grpc_imports_no_grpc(tmp_path: Path) -> None:
    with (
        running_broker(tmp_path) as port,
        running_agent(
            tmp_path / "state", "--mqtt", f"127.0.0.1:{port}", listen=None, python=("-X", "importtime")
        ) as agent,
    ):
        assert agent.terminate() == 0
    imported = _imported(log_of(tmp_path / "state"))
    assert {"paho", "edgectl_agent"} <= imported
    assert not imported & (_NOT_ON_A_BOARD | {"grpc", "http", "email"})


def test_the_resident_set_stays_within_its_budget(tmp_path: Path) -> None:
    """The design's budgets: 40 MB PSS and 50 MB RSS with gRPC, 22 MB PSS and 30 MB RSS with MQTT alone.

    PSS is what the agent costs a board, but a page that other processes map counts in part, so it falls while other
    Pythons run. RSS counts every page whole, whoever shares it: it holds on any load and catches what shared pages
    hide. Both are the least of several readings, since a request's buffers come and go; an agent that keeps more than
    its budget stays above it however often it is read.
    """
    with running_agent(tmp_path / "full") as agent, agent.stub() as stub:
        program = small_cnn_program(program_directory())
        bundle = make_bundle(tmp_path, program)
        deploy(stub, bundle)
        infer(stub, bundle.name, *(np.load(path) for path in golden_inputs(program)))
        with_grpc = _sizes(agent.pid)
    with (
        running_broker(tmp_path) as port,
        running_agent(tmp_path / "small", "--mqtt", f"127.0.0.1:{port}", listen=None) as agent,
    ):
        mqtt_alone = _sizes(agent.pid)
    assert with_grpc["Pss"] <= 40_000_000
    assert with_grpc["Rss"] <= 50_000_000
    assert mqtt_alone["Pss"] <= 22_000_000
    assert mqtt_alone["Rss"] <= 30_000_000


def _sizes(pid: int) -> dict[str, int]:
    """The least of each size over 2.4 seconds, in bytes: start-up's pages go back a second after the ready line."""
    readings = []
    for _ in range(12):
        readings.append(_sizes_now(pid))
        time.sleep(0.2)
    return {name: min(reading[name] for reading in readings) for name in ("Pss", "Rss")}


def _sizes_now(pid: int) -> dict[str, int]:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return {name: int(size) * 1024 for name, size in re.findall(r"^(\w+):\s+(\d+) kB$", text, flags=re.MULTILINE)}
