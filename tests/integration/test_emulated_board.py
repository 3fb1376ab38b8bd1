# SPDX-License-Identifier: Apache-2.0
"""A board whose runner qemu-user emulates: its results and its crashes are the board's, its times are nobody's."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from edgectl.cli.emulation_checks import emulating_machine
from edgectl.config import Paths
from edgectl.emulate.user_mode import EmulatedRunner, emulated_names, emulated_target, find_tools
from edgectl.lab.client import AgentClient
from edgectl.lab.device_values import InstructionCount
from edgectl.lab.devices import open_device
from edgectl.lab.measurement import Measurement
from edgectl.lab.periodic import PeriodicLoad
from edgectl.lab.protocol import COUNTED, SHORT
from edgectl.lab.runner_choice import RunnerChoice
from edgectl_agent.emulation.counter import InstructionCounter
from edgectl_agent.emulation.emulator import PATIENCE, Emulator, read_emulator
from edgectl_agent.runner.options import RunnerOptions
from edgectl_agent.runner.outcome import describe_exit
from edgectl_agent.runner.process import run_once
from edgectl_protos.errors import ExitCode, RunnerError, StateError, UndelegatedError, UsageError
from edgectl_protos.manifest import Budgets
from edgectl_protos.metrics import MetricName, Unavailable
from edgectl_protos.v1 import agent_pb2

from tests.agents import (
    RunningAgent,
    activate,
    children_of,
    command_of,
    deploy,
    error_of,
    eventually,
    hello,
    infer,
    is_alive,
    put,
    refused_agent,
    running_agent,
)
from tests.emulated import DEVICE, EmulatedHome, board_bundle, emulated_home
from tests.program_bundles import Bundle
from tests.programs import conv_net_program, golden_inputs, golden_outputs, layered_program, small_cnn_program

_CRASHES = "int main(void) { *(volatile int *)0 = 1; return 0; }"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, board_wheel: Path, insn_plugin: Path) -> EmulatedHome:
    del insn_plugin  # is there
    return emulated_home(tmp_path_factory.mktemp("home"), board_wheel)


@pytest.fixture(scope="module")
def program(program_directory: Path) -> Path:
    return small_cnn_program(program_directory)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, program: Path) -> Bundle:
    return board_bundle(tmp_path_factory.mktemp("bundle"), program, budgets=Budgets(p95_ms=20.0, peak_rss_bytes=9))


@pytest.fixture(scope="module")
def client(home: EmulatedHome) -> Iterator[AgentClient]:
    with open_device(DEVICE, paths=home.paths, environ=home.environ) as client:
        yield client


@pytest.fixture(scope="module")
def digest(client: AgentClient, bundle: Bundle) -> str:
    return client.put_bundle(bundle.path).digest


def _input(program: Path) -> np.typing.NDArray[np.float32]:
    array: np.typing.NDArray[np.float32] = np.load(golden_inputs(program)[0])
    return array


def _recognised(emulator: str, runner: Path, core: str, sysroot: Path) -> str:
    command = [emulator, "-cpu", core, "-L", str(sysroot), str(runner), "info", "--json"]
    told = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    return str(json.loads(told)["core"])


@pytest.mark.parametrize("name", emulated_names())
def test_the_runtime_recognises_the_boards_core(home: EmulatedHome, name: str) -> None:
    prepared = home.prepared(name)
    emulator = read_emulator(prepared.emulator)
    processor = emulated_target(name).processor
    assert processor is not None
    assert _recognised(emulator.program, prepared.runner, emulator.core, Path(emulator.sysroot)) == processor.core


def test_without_the_boards_sysroot_it_takes_the_processor_for_another(home: EmulatedHome) -> None:
    """From 8.2 on QEMU shows programs the emulated core by itself."""
    prepared = home.prepared()
    emulator = read_emulator(prepared.emulator)
    libraries = Path(emulator.sysroot, "lib").readlink().parent
    told = subprocess.run([emulator.program, "--version"], check=True, capture_output=True, text=True).stdout
    found = re.search(r"version (\d+)\.(\d+)", told)
    assert found is not None
    shows_the_core = (int(found[1]), int(found[2])) >= (8, 2)
    recognised = _recognised(emulator.program, prepared.runner, emulator.core, libraries)
    assert (recognised == emulator.core) is shows_the_core


def test_the_device_is_the_board_and_says_that_it_is_emulated(client: AgentClient) -> None:
    info = client.hello()
    assert (info.name, info.architecture, info.cpu_model) == (DEVICE, "aarch64", "Raspberry Pi 4 Model B")
    assert (info.emulator, info.core, info.cpu_count) == ("qemu-user cortex-a72", "cortex-a72", 4)
    assert info.memory_bytes == 1 << 30
    assert set(info.cpu_features) == {"fp", "asimd", "evtstrm", "crc32", "cpuid"}
    assert "count_instructions" in info.capabilities
    assert not {"benchmark", "profile", "run_periodic"} & set(info.capabilities)


def test_its_outputs_are_what_eager_torch_computes_and_have_no_time(
    client: AgentClient, digest: str, program: Path
) -> None:
    activation = client.activate("net", digest)
    assert activation.golden_max_abs_error < 1e-4
    inference = client.infer("net", [_input(program)])
    assert inference.execute_us is None
    for output, path in zip(inference.outputs, golden_outputs(program), strict=True):
        np.testing.assert_allclose(output, np.load(path), rtol=1e-4, atol=1e-5)


def test_a_deployment_says_which_budgets_nothing_was_checked_against(client: AgentClient, digest: str) -> None:
    unchecked = {entry.budget: entry.reason for entry in client.activate("net", digest).unchecked_budgets}
    assert set(unchecked) == {"p95_ms", "peak_rss_bytes"}
    assert "milliseconds say nothing" in unchecked["p95_ms"]
    assert "the emulator's" in unchecked["peak_rss_bytes"]


def test_counts_have_their_provenance_and_arrive_as_they_come(client: AgentClient, digest: str) -> None:
    counts: list[InstructionCount] = []
    measured = client.benchmark("net", digest, COUNTED, on_block=counts.append)
    assert [count.index for count in counts] == [0, 1]
    assert (measured.unit, measured.device, measured.bundle_digest) == ("insn", DEVICE, digest)
    assert (measured.quality, len(set(measured.samples))) == ("ok", 1)
    assert 10_000 < measured.p50 < 100_000
    assert (measured.load_ms, measured.reference, measured.memory.peak_rss_bytes) == (None, None, None)
    evidence = measured.provenance["evidence"]
    assert "QEMU" in evidence["emulator_version"] or "qemu" in evidence["emulator_version"]
    assert "the emulator's" in evidence["resident_memory"]["unavailable"]
    assert (measured.provenance["threads"], measured.provenance["device"]["core"]) == (1, "cortex-a72")


def test_ten_measurements_by_the_command_line_are_identical(home: EmulatedHome, bundle: Bundle) -> None:
    command = [str(Path(sys.executable).with_name("edgectl")), "bench", str(bundle.path), "--on", "emulated-pi5"]
    command += ["--unit", "insn", "--repeat", "10", "-o", "json"]
    done = subprocess.run(
        command, env=os.environ | home.environ, capture_output=True, text=True, check=False, timeout=200
    )
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert (document["accepted"], document["p50_spread"]) == (10, 0.0)
    assert len({run["p50"] for run in document["runs"]}) == 1
    assert {run["unit"] for run in document["runs"]} == {"insn"}


def test_other_cores_execute_other_numbers_of_instructions(home: EmulatedHome, program: Path) -> None:
    counts = {name: _instructions(home.prepared(name), program) for name in ("emulated-pi3", DEVICE, "emulated-pi5")}
    assert len(set(counts.values())) == 3


def test_the_length_of_a_path_changes_no_count(home: EmulatedHome, program_directory: Path, tmp_path: Path) -> None:
    near = conv_net_program(program_directory)
    far = tmp_path / "a folder with a long name" / "of another length" / "net.pte"
    far.parent.mkdir(parents=True)
    far.symlink_to(near)
    prepared = home.prepared()
    elsewhere = tmp_path / "bin" / "edge-runner"
    elsewhere.parent.mkdir()
    elsewhere.symlink_to(prepared.runner)
    moved = dataclasses.replace(prepared, runner=elsewhere)
    assert _instructions(prepared, near) == _instructions(moved, far)


def _instructions(emulated: EmulatedRunner, program: Path) -> int:
    counter = InstructionCounter(read_emulator(emulated.emulator), emulated.runner, version="")
    return asyncio.run(counter.count(program, RunnerOptions(threads=1), runs=2)).instructions


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        (RunnerChoice(threads=2), "no two counts are alike"),
        (RunnerChoice(cpus=(0,)), "--cpus on an emulated board"),
        (RunnerChoice(nice=5), "--priority on an emulated board"),
        (RunnerChoice(memory_limit_bytes=1 << 20), "--memory-limit on an emulated board"),
    ],
)
def test_choices_that_an_emulated_board_has_not_are_refused(
    client: AgentClient, digest: str, choice: RunnerChoice, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        client.benchmark("net", digest, COUNTED, choice=choice)


def _milliseconds(client: AgentClient, digest: str) -> Measurement:
    return client.benchmark("net", digest, SHORT)


def _profile(client: AgentClient, digest: str) -> object:
    return client.profile("net", digest)


def _fixed_rate(client: AgentClient, digest: str) -> object:
    return client.run_periodic("net", digest, PeriodicLoad(rate_hz=10.0, seconds=1.0, deadline_ms=5.0))


@pytest.mark.parametrize("ask", [_milliseconds, _profile, _fixed_rate])
def test_whatever_takes_time_is_refused(
    client: AgentClient, digest: str, ask: Callable[[AgentClient, str], object]
) -> None:
    with pytest.raises(UsageError, match=r"qemu-user cortex-a72 emulates.*say nothing.*--unit insn"):
        ask(client, digest)


def test_telemetry_says_what_an_emulated_runner_cannot_tell(client: AgentClient, digest: str, program: Path) -> None:
    client.activate("net", digest)
    client.infer("net", [_input(program)])
    telemetry = client.telemetry()
    record = next(record for record in telemetry if (record.reading(MetricName.INFERENCES) or 0) == 1)
    telemetry.close()  # type: ignore[attr-defined]  # a generator
    for name in (MetricName.INFERENCE_P50, MetricName.INFERENCE_P95, MetricName.INFERENCE_MAX):
        reading = record.reading(name)
        assert isinstance(reading, Unavailable)
        assert "times say nothing" in reading.reason
    for name in (MetricName.RUNNER_RSS, MetricName.RUNNER_PEAK_RSS, MetricName.RUNNER_ANONYMOUS):
        reading = record.reading(name)
        assert isinstance(reading, Unavailable)
        assert "the emulator's" in reading.reason
    for name in (MetricName.BOARD_CPU, MetricName.BOARD_MEMORY_AVAILABLE, MetricName.BOARD_TEMPERATURE):
        assert isinstance(record.reading(name), Unavailable)
    assert isinstance(record.reading(MetricName.AGENT_RSS), float)


def test_operators_outside_the_delegate_are_named_without_times(
    client: AgentClient, tmp_path: Path, program_directory: Path
) -> None:
    layered = client.put_bundle(board_bundle(tmp_path, layered_program(program_directory), name="layered").path)
    with pytest.raises(UndelegatedError) as refused:
        client.benchmark("layered", layered.digest, COUNTED)
    assert "cumsum" in refused.value.message
    assert "% of the time" not in refused.value.message
    measured = client.benchmark("layered", layered.digest, COUNTED, choice=RunnerChoice(allow_undelegated=True))
    assert measured.provenance["undelegated"]
    assert measured.quality == "ok"


def test_a_crash_of_the_emulated_program_is_the_boards(home: EmulatedHome, tmp_path: Path) -> None:
    (tmp_path / "crashes.c").write_text(_CRASHES)
    program = tmp_path / "crashes"
    subprocess.run(["aarch64-linux-gnu-gcc", "-static", "-o", str(program), str(tmp_path / "crashes.c")], check=True)
    emulator = read_emulator(home.prepared().emulator)
    status, _, stderr = asyncio.run(run_once(emulator.command(program), seconds=30.0))
    assert describe_exit(status, stderr) == "crashed: SIGSEGV"


@pytest.fixture
def agent(home: EmulatedHome, tmp_path: Path) -> Iterator[RunningAgent]:
    with running_agent(tmp_path / "state", *home.arguments()) as agent:
        yield agent


def test_a_runner_that_crashes_is_named_and_started_again(agent: RunningAgent, bundle: Bundle, program: Path) -> None:
    with agent.stub() as stub:
        deploy(stub, bundle)
        (runner,) = agent.runner_pids()
        assert b"qemu-aarch64" in command_of(runner)
        os.kill(runner, signal.SIGSEGV)
        eventually(lambda: not is_alive(runner))
        eventually(lambda: _answer(stub, bundle, program))
    assert "ended: crashed: SIGSEGV" in agent.state.with_suffix(".log").read_text()


def _answer(stub: Any, bundle: Bundle, program: Path) -> agent_pb2.InferReply | None:
    try:
        return infer(stub, bundle.name, _input(program))
    except grpc.RpcError as failure:
        error = error_of(failure)
        assert isinstance(error, RunnerError)
        return None


def test_clients_that_connect_while_a_model_is_swapped_are_answered(
    agent: RunningAgent, bundle: Bundle, program: Path, tmp_path: Path
) -> None:
    """The agent's listening socket reaches the runner through the emulator."""
    second = board_bundle(tmp_path / "second", program, budgets=Budgets(p95_ms=1.0))
    with agent.stub() as stub:
        deploy(stub, bundle)
        put(stub, second)
        asked = stub.Infer.future(
            agent_pb2.InferRequest(
                name="net",
                inputs=[agent_pb2.Tensor(dtype="float32", shape=(1, 1, 8, 8), data=_input(program).tobytes())],
            ),
            timeout=60,
        )
        activate(stub, second)
        assert asked.result().digest in {bundle.digest, second.digest}
        assert infer(stub, "net", _input(program)).digest == second.digest


def test_a_killed_agent_takes_its_emulated_runners_along(agent: RunningAgent, bundle: Bundle) -> None:
    with agent.stub() as stub:
        deploy(stub, bundle)
    runners = agent.runner_pids()
    assert len(runners) == 1
    agent.kill()
    eventually(lambda: not any(is_alive(pid) for pid in runners))


def test_a_runner_whose_parent_is_not_the_agent_does_not_start(home: EmulatedHome, program: Path) -> None:
    emulator, runner = read_emulator(home.prepared().emulator), home.prepared().runner
    tied = ("--die-with-parent", "--parent-pid", str(os.getpid()))
    status, _, stderr = asyncio.run(
        run_once(emulator.command(runner), "repeat", str(program), "--runs", "1", *tied, seconds=30.0)
    )
    assert (status, stderr) == (0, "")
    orphan = [sys.executable, "-c", "import subprocess, sys; sys.exit(subprocess.run(sys.argv[1:]).returncode)"]
    words = [*emulator.command(runner).words, "repeat", str(program), "--runs", "1", *tied]
    ended = subprocess.run([*orphan, *words], capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 15
    assert "the parent process is gone" in ended.stderr


def test_nothing_is_left_of_a_count_that_is_broken_off(home: EmulatedHome, tmp_path: Path, bundle: Bundle) -> None:
    many = agent_pb2.InstructionProtocol(counts=1, short_runs=90_000, long_runs=100_000)
    with running_agent(tmp_path / "state", *home.arguments()) as agent, agent.stub() as stub:
        put(stub, bundle)
        call = stub.Benchmark(agent_pb2.BenchmarkRequest(name="net", digest=bundle.digest, instructions=many))
        counting = eventually(lambda: [pid for pid in children_of(agent.pid) if b"-plugin" in command_of(pid)])
        call.cancel()
        eventually(lambda: not any(is_alive(pid) for pid in counting))
        once = agent_pb2.InstructionProtocol(counts=1, short_runs=1, long_runs=2)
        request = agent_pb2.BenchmarkRequest(name="net", digest=bundle.digest, instructions=once)
        eventually(lambda: _result(stub, request))


def _result(stub: Any, request: agent_pb2.BenchmarkRequest) -> agent_pb2.BenchmarkResult | None:
    """None while the cancelled measurement still has its turn."""
    try:
        *_, last = stub.Benchmark(request, timeout=60)
    except grpc.RpcError as failure:
        error = error_of(failure)
        assert "busy" in error.message
        return None
    result: agent_pb2.BenchmarkResult = last.result
    return result


def test_an_emulator_that_takes_no_plugin_runs_programs_and_counts_nothing(
    home: EmulatedHome, tmp_path: Path, bundle: Bundle, program: Path
) -> None:
    """As a static build does, in its words."""
    static = tmp_path / "qemu-aarch64-static"
    real = read_emulator(home.prepared().emulator).program
    static.write_text(
        '#!/bin/sh\ncase " $* " in *" -plugin "*) echo "qemu: unknown option \'plugin\'" >&2; exit 1;; esac\n'
        f'exec {real} "$@"\n'
    )
    static.chmod(0o755)
    with running_agent(tmp_path / "state", *home.arguments(program=str(static))) as agent:
        with agent.stub() as stub:
            deploy(stub, bundle)
            assert infer(stub, "net", _input(program)).digest == bundle.digest
            assert "count_instructions" not in hello(stub).capabilities
        with AgentClient(agent.address) as client, pytest.raises(StateError) as refused:
            client.benchmark("net", bundle.digest, COUNTED)
    assert "insn is unavailable" in refused.value.message
    assert "unknown option 'plugin'" in refused.value.message


def test_a_plugin_of_another_version_is_reported_in_qemus_words(home: EmulatedHome, tmp_path: Path) -> None:
    source = tmp_path / "later.c"
    source.write_text(
        '#include <stdint.h>\n__attribute__((visibility("default"))) int qemu_plugin_version = 99;\n'
        "int qemu_plugin_install(uint64_t id, const void *info, int count, char **words)\n"
        "{ (void)id; (void)info; (void)count; (void)words; return 0; }\n"
    )
    later = tmp_path / "later.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(later), str(source)], check=True)
    with running_agent(tmp_path / "state", *home.arguments(plugin=str(later))) as agent, agent.stub() as stub:
        call = stub.Benchmark(
            agent_pb2.BenchmarkRequest(
                name="net", instructions=agent_pb2.InstructionProtocol(counts=1, short_runs=1, long_runs=2)
            )
        )
        with pytest.raises(grpc.RpcError) as refused:
            next(call)
    assert "API version 99" in error_of(refused.value).message


def test_the_doctor_asks_the_emulator_whether_it_takes_the_counter(insn_plugin: Path, tmp_path: Path) -> None:
    tools = find_tools()
    asked = emulating_machine(Paths(tmp_path, tmp_path, tmp_path), {}).plugin_refusal
    assert asked(dataclasses.replace(tools, plugin=insn_plugin)) == ""
    (tmp_path / "other.so").write_text("no library")
    assert "Could not load plugin" in asked(dataclasses.replace(tools, plugin=tmp_path / "other.so"))


def test_an_agent_whose_runner_would_take_another_boards_kernels_does_not_start(
    home: EmulatedHome, tmp_path: Path
) -> None:
    another = read_emulator(home.prepared("emulated-pi3").emulator).sysroot
    arguments = home.arguments(sysroot=another, core="cortex-a76")
    refused = refused_agent(tmp_path / "state", "--listen", "127.0.0.1:0", *arguments)
    assert refused.returncode == ExitCode.ERROR
    assert "expected 'cortex-a76'" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1


def test_the_environment_of_an_emulated_runner_is_always_the_same() -> None:
    command = Emulator(program="/q", core="cortex-a72", sysroot="/s", plugin="/a,b.so").counting_command(
        Path("/r"), Path("/c,d")
    )
    assert command.words == ("/q", "-cpu", "cortex-a72", "-L", "/s", "-plugin", "/a,,b.so,counts=/c,,d", "/r")
    assert (command.environment, command.patience) == ({}, PATIENCE)
