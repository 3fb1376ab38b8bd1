# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import contextlib
import dataclasses
import subprocess
import sys
import threading
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from edgectl.config import Paths
from edgectl.fleet.authority import utc_now
from edgectl.fleet.broker import EmbeddedBroker
from edgectl.fleet.enrolment import add_device
from edgectl.fleet.payloads import DeviceStatus
from edgectl.fleet.telemetry_tail import tail_mqtt
from edgectl.lab.client import AgentClient
from edgectl.lab.device_values import BenchmarkBlock
from edgectl.lab.devices import open_device
from edgectl.lab.local import LocalAgent
from edgectl.lab.protocol import SHORT
from edgectl.lab.runner_choice import RunnerChoice
from edgectl_protos.errors import BundleError, InputError, StateError, UsageError
from edgectl_protos.metrics import MetricName, TelemetryRecord

from tests.agents import children_of, eventually, is_alive, running_agent
from tests.program_bundles import Bundle, make_bundle
from tests.programs import golden_inputs, golden_outputs, small_cnn_program


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory, program_directory: Path) -> list[Bundle]:
    """Two versions of one model."""
    program = small_cnn_program(program_directory)
    directory = tmp_path_factory.mktemp("bundles")
    return [make_bundle(directory, program, name="net", version=version) for version in ("1", "2")]


@pytest.fixture
def client(tmp_path: Path) -> Iterator[AgentClient]:
    with LocalAgent(tmp_path / "state") as agent, AgentClient(agent.address) as client:
        yield client


def test_what_the_device_computes_is_what_eager_torch_computes(
    client: AgentClient, bundles: list[Bundle], program_directory: Path
) -> None:
    program = small_cnn_program(program_directory)
    installed = client.put_bundle(bundles[0].path)
    activation = client.activate("net", installed.digest)
    inference = client.infer("net", [np.load(path) for path in golden_inputs(program)])
    assert (installed.name, installed.version, installed.already_present) == ("net", "1", False)
    assert activation.previous_digest is None
    assert activation.golden_max_abs_error < 1e-4
    assert inference.digest == installed.digest == bundles[0].digest
    assert inference.execute_us is not None
    assert inference.execute_us > 0
    for output, path in zip(inference.outputs, golden_outputs(program), strict=True):
        np.testing.assert_allclose(output, np.load(path), rtol=1e-4, atol=1e-5)


def test_a_benchmark_gives_every_sample_asked_for(client: AgentClient, bundles: list[Bundle]) -> None:
    blocks: list[BenchmarkBlock] = []
    digest = client.put_bundle(bundles[0].path).digest
    measured = client.benchmark("net", digest, SHORT, choice=RunnerChoice(threads=1), on_block=blocks.append)
    assert len(measured.samples) >= SHORT.blocks * SHORT.block_runs
    streamed = [block for block in blocks if not block.reference]
    assert len(streamed) == SHORT.blocks * len(measured.attempts)
    attempts = range(len(measured.attempts))
    told = [
        tuple(ms for block in streamed if block.attempt == number for ms in block.samples_ms) for number in attempts
    ]
    assert measured.samples in told
    assert measured.reference is not None
    assert measured.reference.ratio == pytest.approx(measured.p50 / measured.reference.p50, rel=0.5)
    low, high = measured.p50_interval
    assert low <= measured.p50 <= high
    assert len(measured.loads_ms) == 3
    assert 0 < measured.p50 <= measured.p90 <= max(measured.samples)
    assert measured.p95 is not None
    assert measured.memory.program_bytes == bundles[0].info.manifest.members["model.pte"].bytes
    assert 0 < (measured.memory.load_rss_bytes or 0) <= (measured.memory.peak_rss_bytes or 0)
    assert (measured.load_ms or 0) > 0
    assert (measured.device, measured.bundle_digest, measured.unit) == ("local", digest, "ms")
    assert measured.provenance["threads"] == 1
    assert measured.provenance["evidence"]


def test_a_benchmark_of_the_active_bundle_says_which_it_was(client: AgentClient, bundles: list[Bundle]) -> None:
    client.activate("net", client.put_bundle(bundles[1].path).digest)
    brief = dataclasses.replace(SHORT, name="brief", blocks=2, block_runs=5, block_seconds=0.0, attempts=1)
    measured = client.benchmark("net", "", brief)
    assert (measured.bundle_digest, measured.protocol, len(measured.samples)) == (bundles[1].digest, "brief", 10)


def test_a_flipped_byte_is_refused_and_the_previous_bundle_answers(
    client: AgentClient, bundles: list[Bundle], tmp_path: Path, program_directory: Path
) -> None:
    first = client.put_bundle(bundles[0].path)
    client.activate("net", first.digest)
    data = bytearray(bundles[1].path.read_bytes())
    position = data.index(b"model.pte") + 2_000
    data[position] ^= 1
    damaged = tmp_path / "net-2.edge"
    damaged.write_bytes(data)
    with pytest.raises(BundleError, match=r"model\.pte"):
        client.put_bundle(damaged)
    with pytest.raises(StateError):
        client.activate("net", bundles[1].digest)
    inputs = [np.load(path) for path in golden_inputs(small_cnn_program(program_directory))]
    assert client.infer("net", inputs).digest == first.digest
    assert [(model.digest, model.active) for model in client.hello().models] == [(first.digest, True)]


def test_rollback_returns_to_the_bundle_before(client: AgentClient, bundles: list[Bundle]) -> None:
    for bundle in bundles:
        client.put_bundle(bundle.path)
        client.activate("net", bundle.digest)
    rolled_back = client.rollback("net")
    assert (rolled_back.digest, rolled_back.rolled_back_digest) == (bundles[0].digest, bundles[1].digest)
    active = [model.version for model in client.hello().models if model.active]
    assert active == ["1"]


def test_a_bundle_is_sent_once(client: AgentClient, bundles: list[Bundle]) -> None:
    assert not client.put_bundle(bundles[0].path).already_present
    assert client.put_bundle(bundles[0].path).already_present


def test_an_input_of_another_shape_says_what_fits(client: AgentClient, bundles: list[Bundle]) -> None:
    client.activate("net", client.put_bundle(bundles[0].path).digest)
    with pytest.raises(InputError, match=r"float32\[1, 1, 8, 7\].*float32\[1, 1, 8, 8\]"):
        client.infer("net", [np.zeros((1, 1, 8, 7), np.float32)])
    with pytest.raises(InputError, match="int64"):
        client.infer("net", [np.zeros((1, 1, 8, 8), np.int64)])
    with pytest.raises(InputError):
        client.infer("net", [])


def test_telemetry_comes_over_both_channels_from_one_agent(tmp_path: Path) -> None:
    with (
        EmbeddedBroker() as broker,
        LocalAgent(tmp_path / "state", mqtt=(broker.host, broker.port), telemetry_interval=0.2) as agent,
        AgentClient(agent.address) as client,
    ):
        over_grpc = list(islice(client.telemetry(), 2))
        over_mqtt = list(islice(tail_mqtt(broker.host, broker.port, device="local", stop=threading.Event()), 3))
    assert over_grpc[0].sequence < over_grpc[1].sequence
    assert all(record.reading(MetricName.AGENT_RSS) for record in over_grpc)
    events = [event for _, event in over_mqtt]
    assert any(isinstance(event, DeviceStatus) and event.online for event in events)
    records = [event for event in events if isinstance(event, TelemetryRecord)]
    assert {record.boot_id for record in records} == {over_grpc[0].boot_id}


def test_no_process_is_left_when_the_block_ends(tmp_path: Path, bundles: list[Bundle]) -> None:
    with LocalAgent(tmp_path / "state") as agent, AgentClient(agent.address) as client:
        client.activate("net", client.put_bundle(bundles[0].path).digest)
        group = agent_processes(tmp_path / "state")
        assert len(group) >= 2  # agent and runner
    eventually(lambda: not any(map(is_alive, group)))


def test_a_host_that_is_killed_takes_the_agent_and_its_runner_along(tmp_path: Path, bundles: list[Bundle]) -> None:
    holder = f"""
import sys, time
from pathlib import Path
from edgectl.lab.client import AgentClient
from edgectl.lab.local import LocalAgent
with LocalAgent(Path({str(tmp_path / "state")!r})) as agent, AgentClient(agent.address) as client:
    client.activate("net", client.put_bundle(Path({str(bundles[0].path)!r})).digest)
    print("up", flush=True)
    time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", holder], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        group = agent_processes(tmp_path / "state")
        process.kill()
    assert len(group) >= 2
    eventually(lambda: not any(map(is_alive, group)))


def test_what_was_deployed_to_local_is_there_the_next_time(tmp_path: Path, bundles: list[Bundle]) -> None:
    paths = Paths(tmp_path / "config", tmp_path / "state", tmp_path / "cache")
    with open_device("local", paths=paths) as client:
        client.activate("net", client.put_bundle(bundles[0].path).digest)
    with open_device("local", paths=paths) as client:
        assert [model.digest for model in client.info.models if model.active] == [bundles[0].digest]


def test_a_device_of_the_inventory_is_opened_by_name_and_checked(tmp_path: Path) -> None:
    paths = Paths(tmp_path / "config", tmp_path / "state", tmp_path / "cache")
    with running_agent(tmp_path / "board", device="board") as agent:
        add_device("board", agent.address, paths=paths, clock=utc_now)
        add_device("other", agent.address, paths=paths, clock=utc_now)
        with open_device("board", paths=paths) as client:
            assert client.info.name == "board"
        with pytest.raises(UsageError, match="is called 'board'; expected 'other'"), open_device("other", paths=paths):
            pass
    with pytest.raises(UsageError, match="expected 'board'"), open_device("bord", paths=paths):
        pass


def agent_processes(state: Path) -> list[int]:
    """The agent that was told to use `state`, and its runners."""
    own = [pid for pid in all_pids() if str(state) in command_line(pid) and "edgectl_agent run" in command_line(pid)]
    return own + [pid for parent in own for pid in children_of(parent)]


def all_pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def command_line(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""
