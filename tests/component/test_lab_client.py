# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest
from edgectl.lab.client import AgentClient, Deadlines
from edgectl.lab.device_values import BenchmarkBlock
from edgectl.lab.periodic import PeriodicLoad, PeriodicWindow
from edgectl.lab.protocol import SHORT
from edgectl.lab.runner_choice import RunnerChoice
from edgectl.lab.testing.scripted_agent import Failure, Script, ScriptedAgent
from edgectl_protos.errors import (
    DeadlineError,
    GateError,
    InputError,
    ProtocolError,
    RunnerError,
    UnreachableError,
    UsageError,
)
from edgectl_protos.metrics import Metric, TelemetryRecord, Unavailable

from tests.manifests import small_bundle

DIGEST = "a" * 64


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    path = tmp_path / "net-1.0.edge"
    small_bundle(path)
    return path


@pytest.fixture
def large_bundle(bundle: Path) -> Path:
    """The same bundle behind 2 MB of leading bytes, which a zip may have."""
    bundle.write_bytes(b"\0" * (2 << 20) + bundle.read_bytes())
    return bundle


def connected(agent: ScriptedAgent, *, seconds: float = 30.0) -> AgentClient:
    calls = {field.name: seconds for field in dataclasses.fields(Deadlines)}
    return AgentClient(agent.address, deadlines=Deadlines(**calls))


def test_hello_is_said_before_anything_else_and_once(bundle: Path) -> None:
    with ScriptedAgent(Script()) as agent, connected(agent) as client:
        client.rollback("net")
        client.put_bundle(bundle)
        assert client.info.name == "scripted"
        assert agent.calls == ["Hello", "Rollback", "PutBundle"]
        assert agent.requests["Hello"].protocol == 1


@pytest.mark.parametrize(("protocol", "older"), [(2, "edgectl on this host"), (0, "edgectl-agent on the device")])
def test_another_protocol_version_is_refused_with_both_versions_and_who_updates(
    bundle: Path, protocol: int, older: str
) -> None:
    with ScriptedAgent(Script(protocol=protocol)) as agent, connected(agent) as client:
        for attempt in (client.hello, lambda: client.put_bundle(bundle)):
            with pytest.raises(
                ProtocolError, match=f"speaks protocol {protocol} .*expected protocol 1.*update {older}"
            ):
                attempt()
        assert set(agent.calls) == {"Hello"}


def test_a_bundle_arrives_byte_by_byte_with_progress(large_bundle: Path) -> None:
    progress: list[tuple[int, int]] = []
    with ScriptedAgent(Script()) as agent, connected(agent) as client:
        installed = client.put_bundle(large_bundle, progress=lambda sent, total: progress.append((sent, total)))
        assert agent.uploaded == large_bundle.read_bytes()
    total = large_bundle.stat().st_size
    assert not installed.already_present
    assert len(installed.digest) == 64
    assert progress[0] == (256 << 10, total)
    assert progress[-1] == (total, total)


def test_an_agent_that_has_the_bundle_is_not_sent_it(large_bundle: Path) -> None:
    sent = 0

    def advanced(now: int, _total: int) -> None:
        nonlocal sent
        sent = now

    with ScriptedAgent(Script(already_present=True)) as agent, connected(agent) as client:
        assert client.put_bundle(large_bundle, progress=advanced).already_present
    assert sent < large_bundle.stat().st_size


def test_a_missing_bundle_is_not_announced(tmp_path: Path) -> None:
    with ScriptedAgent(Script()) as agent, connected(agent) as client:
        with pytest.raises(UsageError, match="no file"):
            client.put_bundle(tmp_path / "none.edge")
        assert agent.calls == ["Hello"]


def test_a_benchmark_becomes_a_measurement_with_its_provenance() -> None:
    blocks = ((1.0, 2.0), (1.0, 2.0), (1.0, 2.0))
    seen: list[BenchmarkBlock] = []
    with ScriptedAgent(Script(blocks=blocks)) as agent, connected(agent) as client:
        choice = RunnerChoice(threads=2, cpus=(0,), nice=5, memory_limit_bytes=9, allow_undelegated=True)
        measured = client.benchmark("net", DIGEST, SHORT, choice=choice, on_block=seen.append)
        request = agent.requests["Benchmark"]
    assert (request.name, request.digest, request.protocol, request.allow_undelegated) == ("net", DIGEST, "short", True)
    runner = request.runner
    assert (runner.threads, list(runner.cpus), runner.nice, runner.memory_limit_bytes) == (2, [0], 5, 9)
    assert (request.max_variation, request.max_drift, request.attempts) == (0.03, 0.02, 2)
    assert (request.warmup_runs, request.blocks, request.block_runs, request.block_seconds) == (5, 3, 100, 0.1)
    assert [block.samples_ms for block in seen] == list(blocks)
    assert measured.samples == (1.0, 2.0) * 3
    assert (measured.p50, measured.quality, measured.device, measured.bundle_digest) == (1.5, "ok", "scripted", DIGEST)
    assert measured.memory.program_bytes == 1000
    assert measured.load_ms == 1.5
    assert measured.provenance["evidence"] == {
        "bundle_digest": DIGEST,
        "governor.before": "performance",
        "temperature_celsius.before": {"unavailable": "no sensor"},
    }
    assert measured.provenance["device"]["runtime"] == "executorch 1.5.1"
    assert measured.provenance["protocol"]["block_runs"] == 100


def test_a_host_that_stalls_on_a_block_does_not_hold_up_the_device() -> None:
    """The agent gets rid of every block while the host is still busy with the first."""
    blocks = ((1.0,) * 1000,) * 5
    with ScriptedAgent(Script(blocks=blocks)) as agent, connected(agent) as client:

        def stall(_block: BenchmarkBlock) -> None:
            assert agent.blocks_sent.wait(30)

        assert len(client.benchmark("net", DIGEST, SHORT, on_block=stall).samples) == 5000


def test_leaving_a_benchmark_ends_it_on_the_device_and_keeps_the_client_usable() -> None:
    with ScriptedAgent(Script()) as agent, connected(agent) as client:

        def interrupt(_block: BenchmarkBlock) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            client.benchmark("net", DIGEST, SHORT, on_block=interrupt)
        assert client.rollback("net").digest == "b" * 64


def test_tensors_keep_their_bytes_dtype_and_shape() -> None:
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    script = Script(outputs=(("float32", (2, 3), values.tobytes()), ("bool", (), b"\1")))
    with ScriptedAgent(script) as agent, connected(agent) as client:
        inference = client.infer("net", [values.T, values.astype(">f4"), np.array(7, np.int64)])
        sent = list(agent.requests["Infer"].inputs)
    assert [(tensor.dtype, tuple(tensor.shape)) for tensor in sent] == [
        ("float32", (3, 2)),
        ("float32", (2, 3)),
        ("int64", ()),
    ]
    assert sent[0].data == values.T.copy().tobytes()
    assert sent[1].data == values.tobytes()
    np.testing.assert_array_equal(inference.outputs[0], values)
    assert (inference.outputs[1].dtype, inference.outputs[1].shape) == (np.dtype(bool), ())
    inference.outputs[0][0, 0] = 5  # owns its memory
    assert (inference.execute_us, inference.digest) == (12.5, DIGEST)


def test_a_dtype_that_no_program_takes_is_not_sent() -> None:
    with ScriptedAgent(Script()) as agent, connected(agent) as client:
        with pytest.raises(InputError, match="complex64"):
            client.infer("net", [np.zeros(2, np.complex64)])
        assert "Infer" not in agent.calls


def test_telemetry_is_a_stream_of_records() -> None:
    record = TelemetryRecord("scripted", "b", 1, 2, 3, (Metric("board.temperature", "celsius", Unavailable("none")),))
    with ScriptedAgent(Script(records=(record, record))) as agent, connected(agent) as client:
        assert list(client.telemetry(interval=0.5)) == [record, record]
        assert agent.requests["StreamTelemetry"].interval_seconds == 0.5
        stream = client.telemetry()
        assert isinstance(stream, Iterator)
        next(stream)
        with pytest.raises(UsageError, match="interval"):
            next(client.telemetry(interval=-1))


def test_what_the_agent_says_reaches_the_caller() -> None:
    failure = Failure(
        grpc.StatusCode.FAILED_PRECONDITION, code="gate_failed", seen="off by 3", expected="0.1", action="lower again"
    )
    with ScriptedAgent(Script(failures={"Activate": failure})) as agent, connected(agent) as client:
        with pytest.raises(GateError) as caught:
            client.activate("net", DIGEST)
        assert caught.value.message == "off by 3; expected 0.1; lower again"


def test_an_agent_that_is_not_there_is_named() -> None:
    agent = ScriptedAgent(Script())
    with agent:
        address = agent.address
    with (
        AgentClient(address) as client,
        pytest.raises(UnreachableError, match=f"{address}.*is edge-agent running"),
    ):
        client.hello()


@pytest.mark.parametrize("call", ["Hello", "Benchmark", "Activate", "PutBundle"])
def test_an_agent_that_hangs_runs_into_the_deadline(call: str, bundle: Path) -> None:
    with ScriptedAgent(Script(hangs=frozenset({call}))) as agent, connected(agent, seconds=1.0) as client:
        calls: dict[str, Callable[[], object]] = {
            "Hello": client.hello,
            "Benchmark": lambda: client.benchmark("net", DIGEST, dataclasses.replace(SHORT, block_seconds=0.0)),
            "Activate": lambda: client.activate("net", DIGEST),
            "PutBundle": lambda: client.put_bundle(bundle),
        }
        with pytest.raises(DeadlineError, match=r"did not answer in time.*check the device"):
            calls[call]()


def test_a_stream_of_telemetry_has_no_deadline() -> None:
    record = TelemetryRecord("scripted", "b", 1, 2, 3, (Metric("board.cpu", "percent", 4.0),))
    with ScriptedAgent(Script(records=(record,))) as agent, connected(agent, seconds=5.0) as client:
        assert next(client.telemetry()) == record
        assert agent.seconds_left["StreamTelemetry"] is None
        assert agent.seconds_left["Hello"] is not None


def test_an_agent_that_dies_in_the_middle_is_unreachable_and_nothing_hangs() -> None:
    seen = threading.Event()
    script = Script(blocks=((1.0,), (1.0,), (1.0,)), stops_after=2)
    with ScriptedAgent(script) as agent, connected(agent) as client:
        with pytest.raises(UnreachableError):
            client.benchmark("net", DIGEST, SHORT, on_block=lambda _block: seen.set())
        with pytest.raises(UnreachableError):
            client.hello()
    assert seen.is_set()


def test_a_benchmark_without_a_result_is_no_measurement() -> None:
    with (
        ScriptedAgent(Script(sends_result=False)) as agent,
        connected(agent) as client,
        pytest.raises(RunnerError, match="ended after 2 parts without a result"),
    ):
        client.benchmark("net", DIGEST, SHORT)


def test_a_chosen_attempt_that_was_not_sent_is_no_measurement() -> None:
    with (
        ScriptedAgent(Script(chosen=1)) as agent,
        connected(agent) as client,
        pytest.raises(RunnerError, match="attempt 1 of 1"),
    ):
        client.benchmark("net", DIGEST, SHORT)


def test_a_profile_becomes_a_table_whose_shares_add_up() -> None:
    calls = (
        ("delegate", "XnnpackBackend", 10.0, (("Convolution", 5.0), ("Convolution", 3.0))),
        ("kernel", "aten::sin.out", 10.0, ()),
    )
    with ScriptedAgent(Script(calls=calls)) as agent, connected(agent) as client:
        profile = client.profile("net", DIGEST, runs=7, choice=RunnerChoice(threads=1))
        request = agent.requests["Profile"]
    assert (request.name, request.digest, request.runs, request.runner.threads) == ("net", DIGEST, 7, 1)
    rows = [(row.name, row.place, row.calls, row.p50_us, row.share) for row in profile.rows()]
    assert rows == [
        ("aten::sin.out", "kernel", 1, 10.0, 0.5),
        ("Convolution", "XnnpackBackend", 2, 8.0, 0.4),
        ("(delegate overhead)", "XnnpackBackend", 1, 2.0, 0.1),
    ]
    assert (profile.device, profile.bundle_digest, profile.runs) == ("scripted", DIGEST, 7)


def test_a_periodic_run_has_its_load_and_its_share_of_misses() -> None:
    load = PeriodicLoad(rate_hz=30.0, seconds=2.0, deadline_ms=20.0)
    windows: list[PeriodicWindow] = []
    with ScriptedAgent(Script()) as agent, connected(agent) as client:
        run = client.run_periodic("net", DIGEST, load, on_window=windows.append)
        request = agent.requests["RunPeriodic"]
    assert (request.rate_hz, request.seconds, request.deadline_ms) == (30.0, 2.0, 20.0)
    assert [window.releases for window in windows] == [1]
    document = run.document()
    assert (document["releases"], document["missed_share"], document["response"]["p95"]) == (1, 0.0, None)


def test_a_benchmark_without_blocks_is_no_measurement() -> None:
    with (
        ScriptedAgent(Script(blocks=())) as agent,
        connected(agent) as client,
        pytest.raises(RunnerError, match="no samples"),
    ):
        client.benchmark("net", DIGEST, SHORT)
