# SPDX-License-Identifier: Apache-2.0
"""How the agent starts, ends and starts again, and that its runners never outlive it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import grpc
import numpy as np
import pytest
from edgectl_agent.runner.runtime import find_runner
from edgectl_protos import PROTOCOL_VERSION
from edgectl_protos.errors import ExitCode, RunnerError
from edgectl_protos.v1 import agent_pb2

from tests.agents import (
    activate,
    deploy,
    error_of,
    eventually,
    free_port,
    hello,
    infer,
    is_alive,
    put,
    refused_agent,
    roll_back,
    running_agent,
)
from tests.program_bundles import Bundle, make_bundle, program_directory
from tests.programs import golden_inputs, small_cnn_program


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return make_bundle(tmp_path, small_cnn_program(program_directory()))


def _input() -> np.typing.NDArray[np.float32]:
    array: np.typing.NDArray[np.float32] = np.load(golden_inputs(small_cnn_program(program_directory()))[0])
    return array


def test_hello_tells_what_the_device_is(tmp_path: Path) -> None:
    with running_agent(tmp_path / "state", device="pi-7") as agent, agent.stub() as stub:
        reply = hello(stub)
    assert (reply.protocol, reply.device) == (PROTOCOL_VERSION, "pi-7")
    assert reply.runtime.startswith("executorch ")
    assert "XnnpackBackend" in reply.delegates
    assert reply.architecture == os.uname().machine
    assert reply.cpu_count == os.cpu_count()
    assert reply.memory_bytes > 1 << 28
    assert reply.cpu_features
    assert "benchmark" in reply.capabilities
    assert 1 << 20 < reply.agent_pss_bytes < 100 << 20
    assert list(reply.models) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_agent_and_its_runner(tmp_path: Path, bundle: Bundle, number: signal.Signals) -> None:
    with running_agent(tmp_path / "state") as agent:
        with agent.stub() as stub:
            deploy(stub, bundle)
        runners = agent.runner_pids()
        assert len(runners) == 1
        agent.process.send_signal(number)
        assert agent.process.wait(timeout=30) == 0
        assert [pid for pid in runners if is_alive(pid)] == []
        assert list((agent.state / "run").iterdir()) == []


def test_a_killed_agent_takes_its_runners_along(tmp_path: Path, bundle: Bundle) -> None:
    with running_agent(tmp_path / "state") as agent:
        with agent.stub() as stub:
            deploy(stub, bundle)
        runners = agent.runner_pids()
        assert len(runners) == 1
        agent.kill()
        eventually(lambda: not any(is_alive(pid) for pid in runners))


def test_what_was_active_serves_after_a_restart_and_can_be_rolled_back(tmp_path: Path, bundle: Bundle) -> None:
    second = make_bundle(tmp_path, small_cnn_program(program_directory()), version="2")
    with running_agent(tmp_path / "state") as agent:
        with agent.stub() as stub:
            deploy(stub, bundle)
            deploy(stub, second)
            before = hello(stub)
        agent.kill()
    with running_agent(tmp_path / "state") as agent, agent.stub() as stub:
        assert hello(stub).models == before.models
        assert hello(stub).boot_id != before.boot_id
        assert infer(stub, bundle.name, _input()).digest == second.digest
        assert roll_back(stub, bundle.name).digest == bundle.digest
        assert infer(stub, bundle.name, _input()).digest == bundle.digest


def test_a_crashed_runner_is_named_and_started_again(tmp_path: Path, bundle: Bundle) -> None:
    with running_agent(tmp_path / "state") as agent, agent.stub() as stub:
        deploy(stub, bundle)
        (runner,) = agent.runner_pids()
        os.kill(runner, signal.SIGSEGV)
        eventually(lambda: not is_alive(runner))
        answered = False
        while not answered:
            try:
                infer(stub, bundle.name, _input())
                answered = True
            except grpc.RpcError as failure:
                error = error_of(failure)
                assert isinstance(error, RunnerError)
                assert "crashed: SIGSEGV" in error.message
        assert agent.runner_pids() != [runner]
    assert "ended: crashed: SIGSEGV" in (tmp_path / "state.log").read_text()


_TELEMETRY_BREAKS = "import edgectl_agent.telemetry.process as part; part.parse_meminfo = broken"
_SERVING_BREAKS = "import edgectl_agent.runner.supervisor as part; part.start_serving = broken"


@pytest.mark.parametrize("patch", [_TELEMETRY_BREAKS, _SERVING_BREAKS])
def test_a_defect_in_the_background_ends_the_agent_with_one_line(tmp_path: Path, bundle: Bundle, patch: str) -> None:
    with running_agent(tmp_path / "state") as agent, agent.stub() as stub:
        deploy(stub, bundle)
    code = f"""
import sys
def broken(*_given, **_named):
    raise OSError(24, "Too many open files")
{patch}
from edgectl_agent.__main__ import main
sys.exit(main())
"""
    command = [sys.executable, "-c", code, "run", "--state", str(tmp_path / "state"), "--device", "board"]
    ended = subprocess.run(
        [*command, "--listen", "127.0.0.1:0"], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == ExitCode.ERROR
    (line,) = [line for line in ended.stderr.splitlines() if line.startswith("edge-agent: ")]
    assert "OSError: [Errno 24] Too many open files in broken" in line
    assert "Traceback" not in ended.stderr
    assert list((tmp_path / "state/run").iterdir()) == []


def test_a_runner_whose_parent_is_not_the_agent_does_not_start(tmp_path: Path, bundle: Bundle) -> None:
    """As where the agent died before its new runner could ask the kernel to die with it."""
    between = tmp_path / "between"
    between.write_text(f'#!/bin/sh\n"{find_runner(None)}" "$@"\nexit $?\n')
    between.chmod(0o755)
    with running_agent(tmp_path / "state") as agent, agent.stub() as stub:
        deploy(stub, bundle)
    staged = make_bundle(tmp_path, small_cnn_program(program_directory()), version="2")
    with running_agent(tmp_path / "state", "--runner", str(between)) as agent, agent.stub() as stub:
        put(stub, staged)
        with pytest.raises(grpc.RpcError) as not_checked:
            activate(stub, staged)
        with pytest.raises(grpc.RpcError) as not_timed:
            list(
                stub.Benchmark(
                    agent_pb2.BenchmarkRequest(name=bundle.name, blocks=1, block_runs=5, attempts=1), timeout=60
                )
            )
        with pytest.raises(grpc.RpcError) as not_served:
            infer(stub, bundle.name, _input())
    for failed in (not_checked, not_timed, not_served):
        assert "the parent process is gone" in error_of(failed.value).message


def test_a_second_agent_on_the_same_state_is_refused(tmp_path: Path, bundle: Bundle) -> None:
    with running_agent(tmp_path / "state") as agent, agent.stub() as stub:
        deploy(stub, bundle)
        refused = refused_agent(tmp_path / "state", "--listen", "127.0.0.1:0")
        assert refused.returncode == ExitCode.ERROR
        assert "another agent uses" in refused.stderr
        assert infer(stub, bundle.name, _input()).digest == bundle.digest


def test_a_taken_port_is_refused(tmp_path: Path) -> None:
    with running_agent(tmp_path / "state") as agent:
        refused = refused_agent(tmp_path / "other", "--listen", agent.address)
    assert refused.returncode == ExitCode.USAGE
    assert f"--listen {agent.address}: address already in use" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("--listen", "0.0.0.0:0"), ExitCode.USAGE, "loopback"),
        (
            ("--listen", "127.0.0.1:0", "--runner", "/nonexistent/edge-runner"),
            ExitCode.USAGE,
            "/nonexistent/edge-runner",
        ),
        (("--listen", "127.0.0.1:0", "--runner", "/bin/true"), ExitCode.ERROR, "edge-runner info"),
        (("--listen", "0.0.0.0:0", "--identity", "/nonexistent"), ExitCode.USAGE, "device.key"),
        (("--listen", "127.0.0.1:0", "--config", "/nonexistent.toml"), ExitCode.USAGE, "--config"),
        (("--listen", "127.0.0.1:0", "--threads", "many"), ExitCode.USAGE, "edge-agent: error: argument --threads"),
    ],
)
def test_an_agent_that_cannot_start_says_why_in_one_line(
    tmp_path: Path, arguments: tuple[str, ...], code: ExitCode, text: str
) -> None:
    refused = refused_agent(tmp_path / "state", *arguments)
    assert refused.returncode == code
    assert refused.stdout == ""
    assert text in refused.stderr
    assert len(refused.stderr.splitlines()) == 1


def test_a_state_folder_deeper_than_a_socket_path_may_be(tmp_path: Path, bundle: Bundle) -> None:
    state = tmp_path / ("deep" * 30) / ("deeper" * 10)
    state.parent.mkdir()
    with running_agent(state) as agent, agent.stub() as stub:
        deploy(stub, bundle)
        assert infer(stub, bundle.name, _input()).digest == bundle.digest


def test_the_agent_dies_with_its_parent(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "edgectl_agent", "run", "--listen", f"127.0.0.1:{free_port()}", "--device", "d"]
    command += ["--state", str(tmp_path / "state"), "--die-with-parent"]
    parent = "import subprocess, sys; subprocess.Popen(sys.argv[1:]); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", parent, *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        assert is_alive(ready["pid"])
        process.kill()
        process.wait()
        eventually(lambda: not is_alive(ready["pid"]))
    assert list((tmp_path / "state/run").iterdir()) == []
