# SPDX-License-Identifier: Apache-2.0
"""A bundle's way through a real agent and a real runner: put, activate, infer, roll back; and what a failure leaves."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from edgectl_protos.errors import BundleError, GateError, IncompatibleBundleError, StateError
from edgectl_protos.manifest import Requirements
from edgectl_protos.v1 import agent_pb2

from tests.agents import (
    RunningAgent,
    activate,
    bundle_chunks,
    deploy,
    error_of,
    eventually,
    hello,
    infer,
    put,
    roll_back,
    running_agent,
)
from tests.program_bundles import RUNTIME, Bundle, make_bundle, npy_file, program_directory
from tests.programs import golden_inputs, golden_outputs, small_cnn_program, two_input_program

NAME = "model"


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[RunningAgent]:
    with running_agent(tmp_path / "state") as running:
        yield running


@pytest.fixture
def stub(agent: RunningAgent) -> Iterator[Any]:
    with agent.stub() as stub:
        yield stub


@pytest.fixture
def program() -> Path:
    return small_cnn_program(program_directory())


@pytest.fixture
def first(tmp_path: Path, program: Path) -> Bundle:
    return make_bundle(tmp_path, program, version="1")


@pytest.fixture
def second(tmp_path: Path, program: Path) -> Bundle:
    return make_bundle(tmp_path, program, version="2")


def _serving(stub: Any, program: Path) -> str:
    """The digest that answers, after its answer was compared with eager torch's."""
    reply = infer(stub, NAME, *(np.load(path) for path in golden_inputs(program)))
    for tensor, path in zip(reply.outputs, golden_outputs(program), strict=True):
        expected = np.load(path)
        np.testing.assert_allclose(
            np.frombuffer(tensor.data, dtype=tensor.dtype).reshape(tuple(tensor.shape)), expected, rtol=1e-3, atol=1e-4
        )
    assert reply.execute_us > 0
    return str(reply.digest)


def _installed(stub: Any) -> dict[str, bool]:
    return {model.digest: model.active for model in hello(stub).models}


def test_a_put_bundle_is_staged_and_serves_once_activated(stub: Any, first: Bundle, program: Path) -> None:
    reply = put(stub, first)
    assert (reply.name, reply.version, reply.digest, reply.already_present) == (NAME, "1", first.digest, False)
    assert _installed(stub) == {first.digest: False}
    with pytest.raises(grpc.RpcError) as refused:
        infer(stub, NAME, np.zeros((1, 1, 8, 8), dtype=np.float32))
    assert isinstance(error_of(refused.value), StateError)
    activation = activate(stub, first)
    assert (activation.digest, activation.previous_digest) == (first.digest, "")
    assert 0.0 <= activation.golden_max_abs_error < 1e-4
    assert _installed(stub) == {first.digest: True}
    assert _serving(stub, program) == first.digest


def test_two_inputs_and_two_outputs_go_through(stub: Any, tmp_path: Path) -> None:
    program = two_input_program(program_directory())
    bundle = make_bundle(tmp_path, program)
    deploy(stub, bundle)
    assert _serving(stub, program) == bundle.digest


def test_rollback_brings_back_what_served_before_and_only_once(
    stub: Any, first: Bundle, second: Bundle, program: Path
) -> None:
    deploy(stub, first)
    assert deploy(stub, second).previous_digest == first.digest
    assert _serving(stub, program) == second.digest
    reply = roll_back(stub, NAME)
    assert (reply.digest, reply.rolled_back_digest) == (first.digest, second.digest)
    assert _serving(stub, program) == first.digest
    with pytest.raises(grpc.RpcError) as refused:
        roll_back(stub, NAME)
    assert isinstance(error_of(refused.value), StateError)
    assert "run `edgectl deploy`" in error_of(refused.value).action
    assert refused.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert _serving(stub, program) == first.digest


def test_rollback_of_an_unknown_model_names_the_known_ones(stub: Any, first: Bundle) -> None:
    for message in (
        "no model 'nope' on this device; expected one that is there; run `edgectl deploy` first",
        f"no model 'nope' on this device; expected one of {NAME}",
    ):
        with pytest.raises(grpc.RpcError) as refused:
            roll_back(stub, "nope")
        assert error_of(refused.value).message == message
        put(stub, first)


def test_a_bundle_that_is_there_is_not_read_again(stub: Any, first: Bundle) -> None:
    put(stub, first)
    never = threading.Event()

    def header_alone() -> Iterator[agent_pb2.BundleChunk]:
        yield next(bundle_chunks(first.path.read_bytes(), first.digest))
        never.wait(30)

    try:
        reply = stub.PutBundle(header_alone(), timeout=20)
    finally:
        never.set()
    assert reply.already_present
    assert reply.digest == first.digest


def test_the_same_bundle_uploaded_twice_at_once_is_staged_once(agent: RunningAgent, first: Bundle) -> None:
    with agent.stub() as stub, ThreadPoolExecutor(4) as pool:
        replies = list(pool.map(lambda _: put(stub, first, chunk_bytes=512), range(4)))
        assert {reply.digest for reply in replies} == {first.digest}
        assert [reply.already_present for reply in replies].count(False) == 1
        assert _installed(stub) == {first.digest: False}
    assert list((agent.state / "incoming").iterdir()) == []


def test_an_upload_that_breaks_off_leaves_nothing(agent: RunningAgent, stub: Any, first: Bundle) -> None:
    data = first.path.read_bytes()
    sent = threading.Event()
    never = threading.Event()

    def half() -> Iterator[agent_pb2.BundleChunk]:
        chunks = bundle_chunks(data, first.digest, chunk_bytes=len(data) // 2)
        yield next(chunks)
        yield next(chunks)
        sent.set()
        never.wait(30)

    call = stub.PutBundle.future(half(), timeout=30)
    assert sent.wait(20)
    incoming = agent.state / "incoming"
    eventually(lambda: any(incoming.iterdir()))
    call.cancel()
    never.set()
    eventually(lambda: not any(incoming.iterdir()))
    assert _installed(stub) == {}
    assert not put(stub, first).already_present


def test_a_failed_golden_check_leaves_the_previous_bundle_serving(
    agent: RunningAgent, stub: Any, first: Bundle, tmp_path: Path, program: Path
) -> None:
    output = golden_outputs(program)[0]
    wrong = make_bundle(
        tmp_path, program, version="wrong", members={f"golden/{output.name}": npy_file(np.load(output) + 1)}
    )
    deploy(stub, first)
    runner = agent.runner_pids()
    put(stub, wrong)
    with pytest.raises(grpc.RpcError) as refused:
        activate(stub, wrong)
    error = error_of(refused.value)
    assert isinstance(error, GateError)
    assert error.message == (
        "golden check of model wrong, case 0: output 0 is off by up to 1 in 10 elements; "
        "expected at most 0.0001 + 0.001 * |golden value|; build the bundle again from the model for this device"
    )
    assert refused.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert _installed(stub) == {first.digest: True, wrong.digest: False}
    assert _serving(stub, program) == first.digest
    assert agent.runner_pids() == runner


@pytest.mark.parametrize("golden", ["none", "program"], ids=["no golden case", "a program that does not load"])
def test_a_bundle_that_cannot_be_checked_is_not_activated(
    stub: Any, tmp_path: Path, program: Path, golden: str
) -> None:
    if golden == "none":
        bundle = make_bundle(tmp_path, program, golden=())
    else:
        bundle = make_bundle(tmp_path, program, members={"model.pte": b"no program" * 100})
    put(stub, bundle)
    with pytest.raises(grpc.RpcError) as refused:
        activate(stub, bundle)
    assert isinstance(error_of(refused.value), GateError)
    assert _installed(stub) == {bundle.digest: False}


@pytest.mark.parametrize(
    ("requirements", "text"),
    [
        (Requirements("executorch 0.4.0", ("x86_64", "aarch64"), ()), "executorch 0.4.0"),
        (Requirements(RUNTIME, ("riscv64",), ()), "riscv64"),
        (Requirements(RUNTIME, ("x86_64", "aarch64"), ("VulkanBackend",)), "VulkanBackend"),
    ],
    ids=["runtime", "architecture", "delegate"],
)
def test_a_bundle_for_another_device_is_refused_and_not_kept(
    agent: RunningAgent, tmp_path: Path, program: Path, requirements: Requirements, text: str
) -> None:
    bundle = make_bundle(tmp_path, program, requirements=requirements)
    with agent.stub() as stub:
        with pytest.raises(grpc.RpcError) as refused:
            put(stub, bundle)
        assert _installed(stub) == {}
    error = error_of(refused.value)
    assert isinstance(error, IncompatibleBundleError)
    assert text in error.seen
    assert list((agent.state / "incoming").iterdir()) == []


def test_a_flipped_byte_is_refused_and_the_active_bundle_serves_on(
    stub: Any, first: Bundle, second: Bundle, program: Path
) -> None:
    deploy(stub, first)
    data = bytearray(second.path.read_bytes())
    data[len(data) // 2] ^= 0x10
    with pytest.raises(grpc.RpcError) as refused:
        stub.PutBundle(bundle_chunks(bytes(data), second.digest), timeout=30)
    assert isinstance(error_of(refused.value), BundleError)
    assert _installed(stub) == {first.digest: True}
    assert _serving(stub, program) == first.digest


def test_clients_are_answered_throughout_a_swap(
    agent: RunningAgent, stub: Any, first: Bundle, second: Bundle, program: Path
) -> None:
    deploy(stub, first)
    put(stub, second)
    inputs = [np.load(path) for path in golden_inputs(program)]
    done = threading.Event()
    digests: list[str] = []

    def ask() -> None:
        with agent.stub() as mine:
            while not done.is_set():
                digests.append(infer(mine, NAME, *inputs).digest)

    with ThreadPoolExecutor(3) as pool:
        asking = [pool.submit(ask) for _ in range(3)]
        eventually(lambda: len(digests) > 20)
        activate(stub, second)
        seen = len(digests)
        eventually(lambda: len(digests) > seen + 20)
        done.set()
        for future in asking:
            future.result()
    assert set(digests) == {first.digest, second.digest}
    assert digests[-1] == second.digest


def test_a_call_that_a_swap_interrupts_is_answered_by_the_new_bundle(
    agent: RunningAgent, stub: Any, first: Bundle, second: Bundle, program: Path
) -> None:
    deploy(stub, first)
    put(stub, second)
    (runner,) = agent.runner_pids()
    os.kill(runner, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(infer, stub, NAME, *(np.load(path) for path in golden_inputs(program)))
        eventually(lambda: _is_connected(agent))
        activate(stub, second)
        assert asked.result().digest == second.digest


def _is_connected(agent: RunningAgent) -> bool:
    """Whether anyone is connected to the model's socket, beside the one that listens."""
    text = Path(f"/proc/{agent.pid}/net/unix").read_text()
    return sum(line.endswith(f"/{NAME}.sock") for line in text.splitlines()) > 1
