# SPDX-License-Identifier: Apache-2.0
"""Measurements on a real agent: blocks while it runs, one at a time, and no process left when it is broken off."""

from __future__ import annotations

import hashlib
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from edgectl_agent.measure.reference import REFERENCE_PROGRAM
from edgectl_protos.errors import (
    BundleError,
    DeadlineError,
    RunnerError,
    StateError,
    UndelegatedError,
    UsageError,
)
from edgectl_protos.v1 import agent_pb2

from tests.agents import (
    RunningAgent,
    bundle_chunks,
    command_of,
    deploy,
    error_of,
    eventually,
    is_alive,
    put,
    running_agent,
)
from tests.program_bundles import Bundle, make_bundle, program_directory
from tests.programs import portable_program, small_cnn_program


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
    fields: dict[str, Any] = {
        "blocks": 3,
        "block_runs": 20,
        "block_seconds": 0.0,
        "warmup_runs": 2,
        "protocol": "test",
        "max_variation": 1.0,
        "max_drift": 1.0,
        "attempts": 1,
        "runner": agent_pb2.RunnerOptions(threads=1),
    }
    return agent_pb2.BenchmarkRequest(name=bundle.name, **({"digest": bundle.digest} | fields | changes))


def _endless(bundle: Bundle) -> agent_pb2.BenchmarkRequest:
    return _request(bundle, blocks=1000, block_seconds=0.2)


def _never_accepted(bundle: Bundle, **changes: Any) -> agent_pb2.BenchmarkRequest:
    """A single block, whose variation cannot be judged."""
    return _request(bundle, blocks=1, **changes)


def _benchmark_pids(agent: RunningAgent) -> list[int]:
    """The runners that wait for a command: not those of cold loads, which end by themselves."""
    return [pid for pid in agent.runner_pids() if b"--paced" in command_of(pid)]


def test_a_staged_bundle_is_timed_block_by_block_beside_the_reference_model(stub: Any, bundle: Bundle) -> None:
    *blocks, last = list(stub.Benchmark(_request(bundle), timeout=60))
    order = [(event.block.index, event.block.reference) for event in blocks]
    assert order == [(0, True), (0, False), (1, True), (1, False), (2, True), (2, False), (3, True)]
    assert all(len(event.block.samples_ms) >= 20 for event in blocks)
    assert all(sample > 0 for event in blocks for sample in event.block.samples_ms)
    assert all(event.block.rss_bytes > 0 for event in blocks)
    result = last.result
    (attempt,) = result.attempts
    candidates = [list(event.block.samples_ms) for event in blocks if not event.block.reference]
    references = [list(event.block.samples_ms) for event in blocks if event.block.reference]
    assert [list(block.samples_ms) for block in attempt.candidate] == candidates
    assert [list(block.samples_ms) for block in attempt.reference] == references
    assert (result.unit, result.threads, result.chosen, result.dropped_blocks) == ("ms", 1, 0, 0)
    assert result.reference_digest == hashlib.sha256(REFERENCE_PROGRAM.read_bytes()).hexdigest()
    assert result.warmup.runs >= 2
    assert len(result.load_ms) == 3
    memory = result.memory
    assert memory.program_bytes == bundle.info.manifest.members["model.pte"].bytes
    assert 0 < memory.load_anonymous_bytes < memory.load_rss_bytes <= memory.peak_rss_bytes


def test_a_measurement_comes_with_evidence_of_its_circumstances(stub: Any, bundle: Bundle) -> None:
    result = list(stub.Benchmark(_request(bundle), timeout=60))[-1].result
    evidence = {
        entry.name: (entry.WhichOneof("reading"), entry.value or entry.unavailable) for entry in result.evidence
    }
    assert evidence["protocol"] == ("value", "test")
    assert evidence["bundle_digest"] == ("value", bundle.digest)
    assert evidence["runtime"][1].startswith("executorch ")
    named = ("governor", "frequency_khz", "temperature_celsius", "throttled", "under_voltage_alarm", "load_average")
    changing = [f"{name}.{moment}" for name in named for moment in ("before", "after")]
    for name in (*changing, "frequency_khz.lowest", "throttled.new"):
        kind, text = evidence[name]
        assert kind == "unavailable" or text != ""
        assert text
    assert set(result.cpus) == set(os.sched_getaffinity(0))


def test_without_a_drift_limit_no_reference_model_runs(stub: Any, bundle: Bundle) -> None:
    *blocks, last = list(stub.Benchmark(_request(bundle, max_drift=0.0), timeout=60))
    assert [event.block.reference for event in blocks] == [False] * 3
    assert not last.result.attempts[0].reference
    assert last.result.reference_digest == ""


def test_an_attempt_that_is_not_accepted_is_made_again_and_all_are_kept(stub: Any, bundle: Bundle) -> None:
    *blocks, last = list(stub.Benchmark(_never_accepted(bundle, attempts=3), timeout=60))
    assert [event.block.attempt for event in blocks] == [0] * 3 + [1] * 3 + [2] * 3
    result = last.result
    assert [len(attempt.candidate) for attempt in result.attempts] == [1, 1, 1]
    assert all("cannot be judged" in attempt.reasons[0] for attempt in result.attempts)


def test_no_attempt_is_begun_that_the_time_limit_would_cut_and_those_before_are_the_result(
    stub: Any, bundle: Bundle
) -> None:
    request = _never_accepted(bundle, attempts=10, cooldown_seconds=1.5, time_limit_seconds=6.0)
    result = list(stub.Benchmark(request, timeout=60))[-1].result
    assert 1 <= len(result.attempts) <= 4
    assert all(attempt.reasons for attempt in result.attempts)


def test_operators_outside_the_delegate_are_refused_with_their_share_of_the_time(stub: Any, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path, portable_program(program_directory()))
    put(stub, bundle)
    with pytest.raises(grpc.RpcError) as refused:
        list(stub.Benchmark(_request(bundle), timeout=60))
    error = error_of(refused.value)
    assert isinstance(error, UndelegatedError)
    shares = [float(share) for share in re.findall(r"\(([0-9.]+)% of the time\)", error.message)]
    assert error.message.startswith("2 operators run outside the delegate: aten::")
    assert sum(shares) == pytest.approx(100.0, abs=0.2)
    allowed = list(stub.Benchmark(_request(bundle, allow_undelegated=True), timeout=60))[-1].result
    assert sorted(allowed.undelegated) == ["aten::cumsum.out", "aten::sin.out"]


def test_a_program_beyond_its_memory_limit_is_a_result_and_the_next_one_runs(
    agent: RunningAgent, stub: Any, bundle: Bundle
) -> None:
    options = agent_pb2.RunnerOptions(threads=1, memory_limit_bytes=100_000)
    with pytest.raises(grpc.RpcError) as failed:
        list(stub.Benchmark(_request(bundle, runner=options), timeout=60))
    error = error_of(failed.value)
    assert isinstance(error, RunnerError)
    assert re.match(r"out of memory at \d+ MB", error.seen)
    assert list(stub.Benchmark(_request(bundle), timeout=60))[-1].HasField("result")
    assert agent.runner_pids() == []


def test_the_runner_stays_on_the_processors_it_was_given(stub: Any, bundle: Bundle) -> None:
    options = agent_pb2.RunnerOptions(threads=1, cpus=[0])
    assert list(list(stub.Benchmark(_request(bundle, runner=options), timeout=60))[-1].result.cpus) == [0]


def test_a_processor_that_is_not_there_is_the_callers_usage(stub: Any, bundle: Bundle) -> None:
    options = agent_pb2.RunnerOptions(threads=1, cpus=[1023])
    with pytest.raises(grpc.RpcError) as refused:
        list(stub.Benchmark(_request(bundle, runner=options), timeout=60))
    assert isinstance(error_of(refused.value), UsageError)


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
    running = stub.Benchmark(_request(bundle, warmup_seconds=300.0, max_drift=0.0), timeout=60)
    (runner,) = eventually(lambda: _benchmark_pids(agent))
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
    runners = agent.runner_pids()
    assert len(runners) == 2
    assert agent.terminate() == 0
    eventually(lambda: not any(map(is_alive, runners)))


def test_a_killed_agent_ends_a_benchmark(agent: RunningAgent, stub: Any, bundle: Bundle) -> None:
    running = stub.Benchmark(_endless(bundle), timeout=60)
    next(running)
    runners = agent.runner_pids()
    assert len(runners) == 2
    agent.kill()
    eventually(lambda: not any(map(is_alive, runners)))


def test_a_caller_that_stops_reading_slows_nothing_and_misses_no_sample(
    agent: RunningAgent, stub: Any, bundle: Bundle
) -> None:
    # Each block outgrows what the transport buffers for a caller that does not read.
    running = stub.Benchmark(_request(bundle, blocks=200, block_runs=5_000, max_drift=0.0), timeout=60)
    first = next(running)
    assert first.HasField("block")
    eventually(lambda: agent.runner_pids() == [])
    with agent.stub() as other:
        assert list(other.Benchmark(_request(bundle), timeout=60))[-1].HasField("result")
    *blocks, last = running
    assert last.result.dropped_blocks > 0
    assert 1 + len(blocks) + last.result.dropped_blocks == 200
    assert [len(block.samples_ms) for block in last.result.attempts[0].candidate] == [5_000] * 200


def test_a_stop_takes_effect_within_a_block(agent: RunningAgent, stub: Any, bundle: Bundle) -> None:
    running = stub.Benchmark(_request(bundle, blocks=2, block_seconds=300.0, max_drift=0.0), timeout=60)
    (runner,) = eventually(lambda: _benchmark_pids(agent))
    running.cancel()
    eventually(lambda: not is_alive(runner))


def test_a_measurement_past_its_time_limit_is_ended(agent: RunningAgent, stub: Any, bundle: Bundle) -> None:
    with pytest.raises(grpc.RpcError) as late:
        list(stub.Benchmark(_request(bundle, block_seconds=300.0, time_limit_seconds=1.0), timeout=60))
    error = error_of(late.value)
    assert isinstance(error, DeadlineError)
    assert "after 1 s" in error.message
    assert agent.runner_pids() == []
    assert list(stub.Benchmark(_request(bundle, blocks=1), timeout=60))[-1].HasField("result")


def test_a_stopped_runner_of_the_reference_model_ends_the_measurement_too(
    agent: RunningAgent, stub: Any, bundle: Bundle
) -> None:
    running = stub.Benchmark(_endless(bundle), timeout=60)
    next(running)
    for runner in agent.runner_pids():
        if b"reference.pte" in command_of(runner):
            os.kill(runner, signal.SIGKILL)
    with pytest.raises(grpc.RpcError) as failed:
        list(running)
    assert "crashed: SIGKILL" in error_of(failed.value).message
    eventually(lambda: agent.runner_pids() == [])


def test_a_runner_killed_by_a_signal_is_named(agent: RunningAgent, stub: Any, bundle: Bundle) -> None:
    running = stub.Benchmark(_endless(bundle), timeout=60)
    next(running)
    for runner in agent.runner_pids():
        if b"reference.pte" not in command_of(runner):
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


@pytest.mark.parametrize(
    "changes",
    [
        {"blocks": 0},
        {"block_seconds": -1.0},
        {"attempts": 0},
        {"runner": agent_pb2.RunnerOptions(threads=100_000)},
        {"runner": agent_pb2.RunnerOptions(nice=99)},
    ],
)
def test_a_protocol_that_cannot_be_run_is_refused(stub: Any, bundle: Bundle, changes: dict[str, Any]) -> None:
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
