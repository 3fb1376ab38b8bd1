# SPDX-License-Identifier: Apache-2.0
"""A program driven at a fixed rate on a real agent."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import grpc
import pytest
from edgectl_agent.runner.command import native_command
from edgectl_agent.runner.options import RunnerOptions
from edgectl_agent.runner.periodic import PeriodicLoad, run_periodic
from edgectl_agent.runner.runtime import find_runner
from edgectl_protos.errors import DeadlineError, UndelegatedError, UsageError
from edgectl_protos.v1 import agent_pb2

from tests.agents import RunningAgent, children_of, command_of, error_of, eventually, is_alive, put, running_agent
from tests.program_bundles import Bundle, make_bundle, program_directory
from tests.programs import conv_net_program, portable_program, small_cnn_program


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[RunningAgent]:
    with running_agent(tmp_path / "state", "--threads", "1") as running:
        yield running


@pytest.fixture
def stub(agent: RunningAgent) -> Iterator[Any]:
    with agent.stub() as stub:
        yield stub


def _placed(stub: Any, tmp_path: Path, program: Path) -> Bundle:
    bundle = make_bundle(tmp_path, program)
    put(stub, bundle)
    return bundle


def _request(bundle: Bundle, **changes: Any) -> agent_pb2.PeriodicRequest:
    load = {"rate_hz": 50.0, "seconds": 2.0, "deadline_ms": 1000.0}
    return agent_pb2.PeriodicRequest(name=bundle.name, digest=bundle.digest, **(load | changes))


def test_releases_come_at_their_rate_and_windows_while_they_do(stub: Any, tmp_path: Path) -> None:
    *windows, last = stub.RunPeriodic(_request(_placed(stub, tmp_path, small_cnn_program(program_directory()))))
    result = last.result
    assert result.releases == 100
    assert result.executed + result.skipped == 100
    assert sum(event.window.releases for event in windows) == 100
    assert 0 < result.execute_ms.p50 <= result.response_ms.max
    assert result.longest_gap_ms >= 20.0 * 0.9
    assert not result.response_ms.HasField("p95")
    assert result.memory.load_rss_bytes > 0
    assert {entry.name for entry in result.evidence} >= {"bundle_digest", "governor.before", "frequency_khz.lowest"}


def test_a_single_release_has_no_jitter(stub: Any, tmp_path: Path) -> None:
    bundle = _placed(stub, tmp_path, small_cnn_program(program_directory()))
    *_, last = stub.RunPeriodic(_request(bundle, rate_hz=1.0, seconds=1.0))
    assert last.result.releases == 1
    assert not last.result.HasField("jitter_ms")


def test_a_deadline_that_cannot_be_met_is_missed_each_time(stub: Any, tmp_path: Path) -> None:
    bundle = _placed(stub, tmp_path, conv_net_program(program_directory()))
    *_, last = stub.RunPeriodic(_request(bundle, deadline_ms=0.002))
    assert last.result.missed == last.result.releases == 100


def test_releases_beyond_what_the_program_can_do_are_skipped_and_counted_as_missed(stub: Any, tmp_path: Path) -> None:
    bundle = _placed(stub, tmp_path, conv_net_program(program_directory()))
    *_, last = stub.RunPeriodic(_request(bundle, rate_hz=10_000.0, seconds=1.0))
    result = last.result
    assert result.skipped > 0
    assert result.missed >= result.skipped
    assert result.executed + result.skipped == result.releases == 10_000


@pytest.mark.parametrize("changes", [{"rate_hz": 0.0}, {"seconds": -1.0}, {"deadline_ms": float("nan")}])
def test_a_load_that_cannot_be_driven_is_refused(stub: Any, tmp_path: Path, changes: dict[str, float]) -> None:
    bundle = _placed(stub, tmp_path, small_cnn_program(program_directory()))
    with pytest.raises(grpc.RpcError) as refused:
        list(stub.RunPeriodic(_request(bundle, **changes), timeout=60))
    error = error_of(refused.value)
    assert isinstance(error, UsageError)
    assert next(iter(changes)) in error.message


def test_operators_outside_the_delegate_are_refused(stub: Any, tmp_path: Path) -> None:
    bundle = _placed(stub, tmp_path, portable_program(program_directory()))
    with pytest.raises(grpc.RpcError) as refused:
        list(stub.RunPeriodic(_request(bundle), timeout=60))
    assert isinstance(error_of(refused.value), UndelegatedError)
    assert list(stub.RunPeriodic(_request(bundle, allow_undelegated=True), timeout=60))[-1].HasField("result")


def test_a_cancelled_run_leaves_no_process(agent: RunningAgent, stub: Any, tmp_path: Path) -> None:
    bundle = _placed(stub, tmp_path, small_cnn_program(program_directory()))
    running = stub.RunPeriodic(_request(bundle, seconds=600.0))
    assert next(running).HasField("window")
    running.cancel()
    eventually(lambda: agent.runner_pids() == [])


def test_a_program_that_hangs_is_ended() -> None:
    async def drive() -> None:
        load = PeriodicLoad(rate_hz=10.0, seconds=1.5, deadline_ms=10.0)
        program = small_cnn_program(program_directory())
        events = run_periodic(
            native_command(find_runner(None)), program, load, RunnerOptions(threads=1), grace_seconds=1.0
        )
        async with aclosing(events):
            await anext(events)
            (runner,) = (pid for pid in children_of(os.getpid()) if b"periodic" in command_of(pid))
            os.kill(runner, signal.SIGSTOP)
            with pytest.raises(DeadlineError, match="still runs long after"):
                await anext(events)
            assert not is_alive(runner)

    asyncio.run(drive())
