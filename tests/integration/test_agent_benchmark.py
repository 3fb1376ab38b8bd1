# SPDX-License-Identifier: Apache-2.0
"""Benchmarks on a real agent: blocks while it runs, one at a time, and no process left when it is broken off."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from edgectl_protos.errors import BundleError, DeadlineError, RunnerError, StateError, UsageError
from edgectl_protos.v1 import agent_pb2

from tests.agents import RunningAgent, bundle_chunks, deploy, error_of, eventually, is_alive, put, running_agent
from tests.program_bundles import Bundle, make_bundle, program_directory
from tests.programs import small_cnn_program


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[RunningAgent]:
    with running_agent(tmp_path / "state", "--threads", "1") as running:
        yield running


@pytest.fixture
def stub(agent: RunningAgent) -> Iterator[Any]:
    with agent.stub() as stub:
        yield stub


@pytest.fixture
def bundle(tmp_path: Path, stub: Any) -> Bundle:
    made = make_bundle(tmp_path, small_cnn_program(program_directory()))
    put(stub, made)
    return made


def _request(bundle: Bundle, **changes: Any) -> agent_pb2.BenchmarkRequest:
    fields: dict[str, Any] = {"blocks": 3, "block_runs": 20, "block_seconds": 0.0, "warmup_runs": 2, "protocol": "test"}
    return agent_pb2.BenchmarkRequest(name=bundle.name, **({"digest": bundle.digest} | fields | changes))


def _endless(bundle: Bundle) -> agent_pb2.BenchmarkRequest:
    return _request(bundle, blocks=1000, block_seconds=0.2)


def test_a_staged_bundle_is_timed_block_by_block(stub: Any, bundle: Bundle) -> None:
    events = list(stub.Benchmark(_request(bundle), timeout=60))
    *blocks, last = events
    assert [event.block.index for event in blocks] == [0, 1, 2]
    assert [len(event.block.samples_ms) for event in blocks] == [20, 20, 20]
    assert all(sample > 0 for event in blocks for sample in event.block.samples_ms)
    result = last.result
    assert (result.unit, list(result.block_sizes), result.threads) == ("ms", [20, 20, 20], 1)
    assert result.warmup_runs >= 2
    memory = result.memory
    assert memory.program_bytes == bundle.info.manifest.members["model.pte"].bytes
    assert 0 < memory.load_rss_bytes <= memory.peak_rss_bytes
    evidence = {
        entry.name: (entry.WhichOneof("reading"), entry.value or entry.unavailable) for entry in result.evidence
    }
    assert evidence["protocol"] == ("value", "test")
    assert evidence["bundle_digest"] == ("value", bundle.digest)
    assert evidence["runtime"][1].startswith("executorch ")
    for name in ("governor", "frequency_khz", "temperature_celsius", "throttled", "load_average"):
        for moment in ("before", "after"):
            kind, text = evidence[f"{name}.{moment}"]
            assert kind == "unavailable" or text not in {"", "0"}
            assert text


def test_the_active_bundle_is_meant_where_no_digest_is_given(stub: Any, bundle: Bundle) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        list(stub.Benchmark(_request(bundle, digest=""), timeout=60))
    assert isinstance(error_of(refused.value), StateError)
    deploy(stub, bundle)
    assert list(stub.Benchmark(_request(bundle, digest=""), timeout=60))[-1].HasField("result")


def test_a_second_benchmark_is_refused_while_one_runs(agent: RunningAgent, stub: Any, bundle: Bundle) -> None:
    running = stub.Benchmark(_endless(bundle), timeout=60)
    assert next(running).HasField("block")
    with pytest.raises(grpc.RpcError) as refused:
        list(stub.Benchmark(_request(bundle), timeout=60))
    error = error_of(refused.value)
    assert isinstance(error, StateError)
    assert "busy" in error.message
    assert next(running).HasField("block")
    running.cancel()
    eventually(lambda: agent.runner_pids() == [])
    assert list(stub.Benchmark(_request(bundle), timeout=60))[-1].HasField("result")


def test_a_cancelled_call_kills_the_process(agent: RunningAgent, stub: Any, bundle: Bundle) -> None:
    # Still warming up: a process left alone would not notice for minutes that nobody reads it.
    running = stub.Benchmark(_request(bundle, warmup_seconds=300.0), timeout=60)
    (runner,) = eventually(agent.runner_pids)
    running.cancel()
    eventually(lambda: not is_alive(runner))


def test_a_call_past_its_deadline_kills_the_process(agent: RunningAgent, stub: Any, bundle: Bundle) -> None:
    with pytest.raises(grpc.RpcError) as late:
        list(stub.Benchmark(_endless(bundle), timeout=1.0))
    assert late.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    eventually(lambda: agent.runner_pids() == [])


def test_the_agents_end_ends_a_benchmark(agent: RunningAgent, stub: Any, bundle: Bundle) -> None:
    running = stub.Benchmark(_endless(bundle), timeout=60)
    next(running)
    (runner,) = agent.runner_pids()
    assert agent.terminate() == 0
    eventually(lambda: not is_alive(runner))


def test_a_killed_agent_ends_a_benchmark(agent: RunningAgent, stub: Any, bundle: Bundle) -> None:
    running = stub.Benchmark(_endless(bundle), timeout=60)
    next(running)
    (runner,) = agent.runner_pids()
    agent.kill()
    eventually(lambda: not is_alive(runner))


def _patched(name: str, seconds: float) -> tuple[str, str]:
    """Options of the interpreter that start an agent with another limit."""
    code = f"import sys; import edgectl_agent.benchmarks as part; part.{name} = {seconds}; del sys.argv[1:3]; "
    return "-c", code + "from edgectl_agent.__main__ import main; sys.exit(main())"


def test_a_caller_that_stops_reading_loses_the_benchmark(tmp_path: Path) -> None:
    made = make_bundle(tmp_path, small_cnn_program(program_directory()))
    with (
        running_agent(tmp_path / "state", python=_patched("READING_SECONDS", 0.5)) as agent,
        agent.stub() as stub,
        agent.stub() as other,
    ):
        put(stub, made)
        # A block outgrows what the transport buffers for a caller that does not read.
        running = stub.Benchmark(_request(made, blocks=100, block_runs=10_000), timeout=60)
        assert next(running).HasField("block")
        (runner,) = eventually(agent.runner_pids)
        eventually(lambda: not is_alive(runner))
        assert list(other.Benchmark(_request(made), timeout=60))[-1].HasField("result")
        with pytest.raises(grpc.RpcError) as late:
            list(running)
        assert isinstance(error_of(late.value), DeadlineError)


def test_a_benchmark_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    made = make_bundle(tmp_path, small_cnn_program(program_directory()))
    with running_agent(tmp_path / "state", python=_patched("MAX_SECONDS", 0.5)) as agent, agent.stub() as stub:
        put(stub, made)
        with pytest.raises(grpc.RpcError) as late:
            list(stub.Benchmark(_request(made, blocks=1, block_runs=1_000_000), timeout=60))
        assert isinstance(error_of(late.value), DeadlineError)
        assert agent.runner_pids() == []
        assert list(stub.Benchmark(_request(made, blocks=1), timeout=60))[-1].HasField("result")


def test_a_runner_killed_by_a_signal_is_named(agent: RunningAgent, stub: Any, bundle: Bundle) -> None:
    running = stub.Benchmark(_endless(bundle), timeout=60)
    next(running)
    (runner,) = agent.runner_pids()
    os.kill(runner, signal.SIGKILL)
    with pytest.raises(grpc.RpcError) as failed:
        list(running)
    error = error_of(failed.value)
    assert isinstance(error, RunnerError)
    assert "crashed: SIGKILL" in error.message
    assert failed.value.code() == grpc.StatusCode.ABORTED


def test_a_program_that_does_not_load_is_a_bundle_error(stub: Any, tmp_path: Path) -> None:
    bundle = make_bundle(
        tmp_path, small_cnn_program(program_directory()), name="broken", members={"model.pte": b"no program" * 100}
    )
    put(stub, bundle)
    with pytest.raises(grpc.RpcError) as failed:
        list(stub.Benchmark(_request(bundle), timeout=60))
    error = error_of(failed.value)
    assert isinstance(error, BundleError)
    assert "bad_program" in error.message


@pytest.mark.parametrize("changes", [{"blocks": 0}, {"block_seconds": -1.0}, {"threads": 100_000}])
def test_a_protocol_that_cannot_be_run_is_refused(stub: Any, bundle: Bundle, changes: dict[str, float]) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        list(stub.Benchmark(_request(bundle, **changes), timeout=60))
    assert isinstance(error_of(refused.value), UsageError)


def test_an_upload_waits_for_the_benchmark_of_the_slot_it_needs(
    agent: RunningAgent, stub: Any, bundle: Bundle, tmp_path: Path
) -> None:
    program = small_cnn_program(program_directory())
    put(stub, make_bundle(tmp_path, program, version="2"))
    running = stub.Benchmark(_endless(bundle), timeout=60)
    next(running)
    third = make_bundle(tmp_path, program, version="3")
    with agent.stub() as other:
        with pytest.raises(grpc.RpcError) as late:
            _put_within(other, third, seconds=1.0)
        assert late.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        assert next(running).HasField("block")
        running.cancel()
        eventually(lambda: put(other, third).already_present)


def _put_within(stub: Any, bundle: Bundle, *, seconds: float) -> None:
    stub.PutBundle(bundle_chunks(bundle.path.read_bytes(), bundle.digest), timeout=seconds)
