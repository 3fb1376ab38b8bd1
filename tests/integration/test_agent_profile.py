# SPDX-License-Identifier: Apache-2.0
"""Profiles on a real agent: a run of its own, by operator."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from edgectl_protos.errors import BundleError, StateError, UsageError
from edgectl_protos.v1 import agent_pb2

from tests.agents import RunningAgent, error_of, put, running_agent
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


def _placed(stub: Any, tmp_path: Path, program: Path, **changes: Any) -> Bundle:
    bundle = make_bundle(tmp_path, program, **changes)
    put(stub, bundle)
    return bundle


def _request(bundle: Bundle, **changes: Any) -> agent_pb2.ProfileRequest:
    return agent_pb2.ProfileRequest(name=bundle.name, digest=bundle.digest, **({"runs": 5} | changes))


def test_a_delegated_program_is_one_call_with_its_operators_in_it(stub: Any, tmp_path: Path) -> None:
    bundle = _placed(stub, tmp_path, conv_net_program(program_directory()))
    reply = stub.Profile(_request(bundle), timeout=60)
    (call,) = reply.calls
    assert (call.kind, call.name) == ("delegate", "XnnpackBackend")
    assert any("Convolution" in operator.name for operator in call.operators)
    assert 0 < sum(operator.p50_us for operator in call.operators) <= 1.5 * call.p50_us
    assert 0 < call.p50_us <= reply.execute_p50_us
    assert (reply.runs, reply.threads, reply.etdump) == (5, 1, b"")
    assert {entry.name: entry.value for entry in reply.evidence}["bundle_digest"] == bundle.digest


def test_kernels_outside_a_delegate_are_calls_of_their_own(stub: Any, tmp_path: Path) -> None:
    bundle = _placed(stub, tmp_path, portable_program(program_directory()))
    reply = stub.Profile(_request(bundle), timeout=60)
    assert [(call.kind, call.name) for call in reply.calls] == [
        ("kernel", "aten::sin.out"),
        ("kernel", "aten::cumsum.out"),
    ]


def test_the_etdump_comes_along(stub: Any, tmp_path: Path) -> None:
    bundle = _placed(stub, tmp_path, small_cnn_program(program_directory()))
    reply = stub.Profile(_request(bundle, etdump=True), timeout=60)
    assert b"ED00" in reply.etdump[:16]


@pytest.mark.parametrize("runs", [0, 1_001])
def test_a_number_of_runs_out_of_range_is_refused(stub: Any, tmp_path: Path, runs: int) -> None:
    bundle = _placed(stub, tmp_path, small_cnn_program(program_directory()))
    with pytest.raises(grpc.RpcError) as refused:
        stub.Profile(_request(bundle, runs=runs), timeout=60)
    assert isinstance(error_of(refused.value), UsageError)


def test_a_program_that_does_not_load_is_a_bundle_error(stub: Any, tmp_path: Path) -> None:
    bundle = _placed(stub, tmp_path, small_cnn_program(program_directory()), members={"model.pte": b"no program" * 100})
    with pytest.raises(grpc.RpcError) as failed:
        stub.Profile(_request(bundle), timeout=60)
    assert isinstance(error_of(failed.value), BundleError)


def test_a_profile_is_refused_while_something_is_timed(stub: Any, agent: RunningAgent, tmp_path: Path) -> None:
    bundle = _placed(stub, tmp_path, small_cnn_program(program_directory()))
    timed = agent_pb2.BenchmarkRequest(
        name=bundle.name, digest=bundle.digest, blocks=500, block_runs=1, block_seconds=0.2, attempts=1
    )
    running = stub.Benchmark(timed, timeout=60)
    assert next(running).HasField("block")
    with agent.stub() as other, pytest.raises(grpc.RpcError) as refused:
        other.Profile(_request(bundle), timeout=60)
    running.cancel()
    error = error_of(refused.value)
    assert isinstance(error, StateError)
    assert "busy" in error.message
