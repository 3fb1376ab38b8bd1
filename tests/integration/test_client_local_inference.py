# SPDX-License-Identifier: Apache-2.0
"""Applications on the board, with a real agent and real runners: answers, swaps, refusals, and what a fault leaves."""

from __future__ import annotations

import multiprocessing
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgectl_agent.client import BusyError, LocalModels, Model, connect
from edgectl_protos.errors import DeadlineError, EdgectlError, InputError, RunnerError, StateError, UnreachableError
from edgectl_protos.tensors import TensorSpec

from tests.agents import RunningAgent, activate, deploy, eventually, put, roll_back, running_agent
from tests.program_bundles import Bundle, make_bundle, program_directory
from tests.programs import (
    conv_net_program,
    dynamic_batch_program,
    embedding_program,
    golden_inputs,
    golden_outputs,
    portable_program,
    small_cnn_program,
    two_input_program,
)

_EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "local_client" / "ask.py"

Array = np.typing.NDArray[Any]

_WITHOUT_NUMPY = """
import sys
from edgectl_agent.client import connect
with connect(sys.argv[1]) as models:
    (output,) = models.model("model").run(bytes(256)).outputs
    assert output.spec.shape == (1, 10) and len(output.data) == 40
print(*sorted({"numpy", "asyncio", "grpc", "paho", "ssl"} & set(sys.modules)))
"""


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[RunningAgent]:
    with running_agent(tmp_path / "state") as running:
        yield running


@pytest.fixture
def program() -> Path:
    return small_cnn_program(program_directory())


@pytest.fixture
def bundle(tmp_path: Path, program: Path) -> Bundle:
    return make_bundle(tmp_path, program)


@pytest.fixture
def models(agent: RunningAgent, bundle: Bundle) -> Iterator[LocalModels]:
    """What the agent serves: the small CNN, as `model`."""
    with agent.stub() as stub:
        deploy(stub, bundle)
    with connect(agent.state / "run") as connected:
        yield connected


@pytest.fixture
def model(models: LocalModels) -> Model:
    return models.model("model")


def _inputs(program: Path) -> list[Array]:
    return [np.load(path) for path in golden_inputs(program)]


def _check(model: Model, program: Path) -> None:
    """What `model` answers to the golden inputs is what eager torch gave."""
    answer = model.run(*_inputs(program))
    assert answer.execute_us > 0
    for got, path in zip(answer.arrays(), golden_outputs(program), strict=True):
        expected = np.load(path)
        assert (got.dtype, got.shape) == (expected.dtype, expected.shape)
        np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-4)


def _stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def _pause(agent: RunningAgent) -> int:
    """Stop the only runner; its process id."""
    (runner,) = agent.runner_pids()
    os.kill(runner, signal.SIGSTOP)
    eventually(lambda: _stopped(runner))
    return runner


def test_what_serves_is_listed(agent: RunningAgent, models: LocalModels, bundle: Bundle, tmp_path: Path) -> None:
    two = make_bundle(tmp_path, two_input_program(program_directory()), name="two", version="7")
    staged = make_bundle(tmp_path, portable_program(program_directory()), name="staged")
    with agent.stub() as stub:
        put(stub, staged)
        deploy(stub, two)
    listed = models.listings()
    assert [(one.name, one.version, one.digest) for one in listed] == [
        ("model", "1", bundle.digest),
        ("two", "7", two.digest),
    ]
    assert listed[0].inputs == (TensorSpec("float32", (1, 1, 8, 8)),)
    assert listed[1].outputs == (TensorSpec("float32", (2, 3)),) * 2
    _check(models.model("two"), two_input_program(program_directory()))
    with pytest.raises(StateError, match="'staged'; expected one of model, two"):
        models.model("staged")


def test_arrays_and_bytes_give_the_same_answer(model: Model, program: Path) -> None:
    _check(model, program)
    (image,) = _inputs(program)
    (expected,) = model.run(image).arrays()
    scattered = np.asfortranarray(np.repeat(image, 2, axis=0))[:1]
    assert not scattered.flags.c_contiguous
    for value in (image.tobytes(), bytearray(image.tobytes()), image.data, scattered):
        (got,) = model.run(value).arrays()
        np.testing.assert_array_equal(got, expected)
    (output,) = model.run(image).outputs
    output.array()[0, 0] = 41
    assert output.data.cast("f")[0] == 41


def test_integers_and_other_batches_go_through(agent: RunningAgent, tmp_path: Path) -> None:
    with agent.stub() as stub:
        for name, program in (
            ("embedding", embedding_program(program_directory())),
            ("batch", dynamic_batch_program(program_directory())),
        ):
            deploy(stub, make_bundle(tmp_path, program, name=name))
    with connect(agent.state / "run") as models:
        _check(models.model("embedding"), embedding_program(program_directory()))
        _check(models.model("batch"), dynamic_batch_program(program_directory()))
        (got,) = models.model("batch").run(np.zeros((4, 6), np.float32)).arrays()
        assert got.shape == (4, 2)
        with pytest.raises(RunnerError, match="execution_failed"):
            models.model("embedding").run(np.array([[0, 1, 99]]))
        _check(models.model("embedding"), embedding_program(program_directory()))


@pytest.mark.parametrize(
    "inputs",
    [
        (),
        (np.zeros((1, 1, 8, 8), np.float64),),
        (np.zeros((1, 8, 8), np.float32),),
        (np.zeros((1, 1, 8, 8), np.float32),) * 2,
        (np.zeros((64, 64, 64), np.float32),),
        (b"short",),
    ],
    ids=["none", "dtype", "shape", "number", "long", "bytes"],
)
def test_wrong_inputs_are_refused_and_the_next_call_is_answered(
    model: Model, program: Path, inputs: tuple[object, ...]
) -> None:
    _check(model, program)
    for _ in range(3):
        with pytest.raises(InputError):
            model.run(*inputs)
    _check(model, program)


def test_threads_share_a_model(model: Model) -> None:
    def ask(thread: int) -> bool:
        images = np.random.default_rng(thread).standard_normal((40, 1, 1, 8, 8), np.float32)
        alone = [model.run(image).arrays()[0] for image in images]
        again = [model.run(image).arrays()[0] for image in images]
        return all(np.array_equal(one, other) for one, other in zip(alone, again, strict=True))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(8)))


def _ask_in_a_fork(model: Model, program: Path) -> None:
    for _ in range(50):
        _check(model, program)


def test_a_forked_process_and_its_parent_do_not_disturb_each_other(model: Model, program: Path) -> None:
    _check(model, program)
    fork = multiprocessing.get_context("fork")
    children = [fork.Process(target=_ask_in_a_fork, args=(model, program)) for _ in range(2)]
    for child in children:
        child.start()
    for _ in range(50):
        _check(model, program)
    for child in children:
        child.join(timeout=60)
        assert child.exitcode == 0


def test_numpy_is_imported_only_for_arrays(agent: RunningAgent, models: LocalModels) -> None:
    assert models.listings()
    command = [sys.executable, "-c", _WITHOUT_NUMPY, str(agent.state / "run")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "\n"


def test_the_example_lists_and_asks(agent: RunningAgent, models: LocalModels, program: Path) -> None:
    def example(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        command: list[str | Path] = [sys.executable, _EXAMPLE, agent.state / "run", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert models.listings()
    assert example().stdout == "model 1: float32[1, 1, 8, 8] -> float32[1, 10]\n"
    asked = example("model", *golden_inputs(program))
    assert asked.returncode == 0, asked.stderr
    assert asked.stdout.endswith("us inside the program\n")
    refused = example("other")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith("no active model 'other'; expected one of model")


def test_swaps_go_unnoticed_by_those_who_ask(
    agent: RunningAgent, model: Model, bundle: Bundle, program: Path, tmp_path: Path
) -> None:
    second = make_bundle(tmp_path, program, version="2")
    enough = threading.Event()

    def ask() -> int:
        answered = 0
        while not enough.is_set():
            _check(model, program)
            answered += 1
        return answered

    with ThreadPoolExecutor(4) as pool, agent.stub() as stub:
        asking = [pool.submit(ask) for _ in range(4)]
        try:
            before = model.listing()
            deploy(stub, second)
            assert model.listing().digest == second.digest
            for _ in range(3):
                roll_back(stub, "model")
                assert model.listing().digest == bundle.digest
                activate(stub, second)
            activate(stub, second)
            assert model.listing().version == "2"
            assert model.listing().serving_since_ns > before.serving_since_ns
        finally:
            enough.set()
        assert all(one.result() > 0 for one in asking)


def test_a_swap_to_another_signature_needs_no_new_client(
    agent: RunningAgent, model: Model, program: Path, tmp_path: Path
) -> None:
    _check(model, program)
    other = two_input_program(program_directory())
    with agent.stub() as stub:
        deploy(stub, make_bundle(tmp_path, other, version="2"))
        _check(model, other)
        raw = [array.tobytes() for array in _inputs(other)]
        assert [output.spec.shape for output in model.run(*raw).outputs] == [(2, 3), (2, 3)]
        roll_back(stub, "model")
        _check(model, program)


def test_an_idle_client_outlives_a_crash(agent: RunningAgent, model: Model, program: Path) -> None:
    _check(model, program)
    (runner,) = agent.runner_pids()
    os.kill(runner, signal.SIGSEGV)
    _check(model, program)
    assert runner not in agent.runner_pids()


def test_a_request_the_runner_never_read_is_asked_again(agent: RunningAgent, model: Model, program: Path) -> None:
    _check(model, program)
    runner = _pause(agent)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(_check, model, program)
        with pytest.raises(TimeoutError):
            asked.result(timeout=0.2)
        os.kill(runner, signal.SIGKILL)
        asked.result(timeout=30)


def test_a_deadline_leaves_no_stale_answer_behind(agent: RunningAgent, model: Model, program: Path) -> None:
    (image,) = _inputs(program)
    _check(model, program)
    runner = _pause(agent)
    with pytest.raises(DeadlineError):
        model.run(np.full_like(image, 100), timeout=0.2)
    os.kill(runner, signal.SIGCONT)
    _check(model, program)
    assert agent.runner_pids() == [runner]


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf")])
def test_a_call_without_a_deadline_is_refused(model: Model, timeout: float) -> None:
    with pytest.raises(EdgectlError, match="timeout"):
        model.run(b"", timeout=timeout)


def test_beyond_the_queue_requests_are_refused_at_once_and_the_others_answered(
    agent: RunningAgent, tmp_path: Path
) -> None:
    program = conv_net_program(program_directory())
    with agent.stub() as stub:
        deploy(stub, make_bundle(tmp_path, program))
    with connect(agent.state / "run") as models, ThreadPoolExecutor(40) as pool:
        model = models.model("model")
        _check(model, program)
        runner = _pause(agent)
        asked = [pool.submit(_check, model, program) for _ in range(40)]
        with pytest.raises(TimeoutError):
            asked[0].result(timeout=0.5)
        os.kill(runner, signal.SIGCONT)
        refusals = [failure for failure in map(_failure, asked) if failure is not None]
        assert {type(failure) for failure in refusals} == {BusyError}
        assert all("16 requests are waiting" in str(failure) for failure in refusals)
        assert len(refusals) < 40
        _check(model, program)


def _failure(asked: Future[None]) -> BaseException | None:
    return asked.exception(timeout=30)


def test_the_sixty_fifth_client_is_refused(agent: RunningAgent, models: LocalModels, program: Path) -> None:
    others = [connect(agent.state / "run") for _ in range(70)]
    try:
        refused = []
        for other in others:
            try:
                _check(other.model("model"), program)
            except BusyError as error:
                refused.append(error)
        assert refused
        assert all("64 clients are connected" in str(error) for error in refused)
    finally:
        for other in others:
            other.close()
    _check(models.model("model"), program)


def test_a_dead_agent_is_named_and_the_next_one_is_found(tmp_path: Path, bundle: Bundle, program: Path) -> None:
    with running_agent(tmp_path / "state") as agent:
        with agent.stub() as stub:
            deploy(stub, bundle)
        models = connect(agent.state / "run")
        model = models.model("model")
        _check(model, program)
        agent.kill()
    with models:
        with pytest.raises(UnreachableError, match="start the agent"):
            model.run(*_inputs(program))
        with running_agent(tmp_path / "state"):
            eventually(models.listings)
            _check(model, program)
        with pytest.raises(StateError, match="no active model"):
            model.run(*_inputs(program))


def test_a_closed_client_says_so(models: LocalModels, model: Model, program: Path) -> None:
    _check(model, program)
    models.close()
    with pytest.raises(StateError, match="is closed"):
        model.run(*_inputs(program))


def test_a_folder_of_its_own_is_shared_and_left_empty(tmp_path: Path, bundle: Bundle, program: Path) -> None:
    folder = tmp_path / ("deep" * 30) / "sockets"
    with running_agent(tmp_path / "state", "--sockets", str(folder), "--sockets-group", str(_own_group())) as agent:
        with agent.stub() as stub:
            deploy(stub, bundle)
        assert stat.S_IMODE(folder.stat().st_mode) == 0o750
        assert stat.S_IMODE((folder / "model.sock").stat().st_mode) == 0o660
        assert not (agent.state / "run").exists()
        with connect(folder) as models:
            _check(models.model("model"), program)
        assert agent.terminate() == 0
    assert list(folder.iterdir()) == []


def _own_group() -> str:
    import grp

    return grp.getgrgid(os.getgid()).gr_name
