# SPDX-License-Identifier: Apache-2.0
"""An agent that was told that its whole machine is emulated: it takes no times, and its memory figures are real."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from edgectl.lab.client import EMULATED_DEADLINES, AgentClient
from edgectl.lab.periodic import PeriodicLoad
from edgectl.lab.protocol import COUNTED, SHORT
from edgectl.lab.units import choose_unit
from edgectl_protos.errors import StateError, UsageError
from edgectl_protos.manifest import Budgets
from edgectl_protos.metrics import MetricName, Unavailable

from tests.agents import running_agent
from tests.program_bundles import Bundle, make_bundle
from tests.programs import golden_inputs, small_cnn_program

EMULATOR = "qemu-system cortex-a72"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, program_directory: Path) -> Bundle:
    program = small_cnn_program(program_directory)
    return make_bundle(tmp_path_factory.mktemp("bundle"), program, name="net", budgets=Budgets(p95_ms=20.0))


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, bundle: Bundle) -> Iterator[AgentClient]:
    state = tmp_path_factory.mktemp("machine") / "state"
    settings = state.with_name("agent.toml")
    settings.write_text(f'emulated = "{EMULATOR}"\ntelemetry_interval = 0.2\n')
    with running_agent(state, "--config", str(settings)) as agent, AgentClient(agent.address) as client:
        client.put_bundle(bundle.path)
        yield client


def test_it_says_what_emulates_it_and_what_it_cannot_do(client: AgentClient) -> None:
    info = client.hello()
    assert info.emulator == EMULATOR
    assert not {"benchmark", "profile", "run_periodic", "count_instructions"} & set(info.capabilities)
    with pytest.raises(UsageError, match="neither times nor instruction counts"):
        choose_unit(info, None)


def test_the_host_is_patient_with_it(client: AgentClient) -> None:
    client.hello()
    assert client._deadlines == EMULATED_DEADLINES


@pytest.mark.parametrize(
    "ask",
    [
        lambda client, digest: client.benchmark("net", digest, SHORT),
        lambda client, digest: client.profile("net", digest),
        lambda client, digest: client.run_periodic("net", digest, PeriodicLoad(10.0, 1.0, 5.0)),
    ],
)
def test_whatever_takes_time_is_refused(
    client: AgentClient, bundle: Bundle, ask: Callable[[AgentClient, str], object]
) -> None:
    with pytest.raises(
        UsageError, match=r"qemu-system cortex-a72 emulates.*say nothing.*--on emulated-pi4 --unit insn"
    ):
        ask(client, bundle.digest)


def test_instructions_are_counted_elsewhere(client: AgentClient, bundle: Bundle) -> None:
    with pytest.raises(StateError, match=r"insn is unavailable: .*such as emulated-pi4"):
        client.benchmark("net", bundle.digest, COUNTED)


def test_its_memory_is_told_and_its_times_are_not(client: AgentClient, bundle: Bundle, program_directory: Path) -> None:
    activation = client.activate("net", bundle.digest)
    assert [entry.budget for entry in activation.unchecked_budgets] == ["p95_ms"]
    inputs = [np.load(path) for path in golden_inputs(small_cnn_program(program_directory))]
    assert client.infer("net", inputs).execute_us is None
    record = next(record for record in client.telemetry() if record.reading(MetricName.INFERENCES))
    for name in (MetricName.INFERENCE_P50, MetricName.INFERENCE_P95, MetricName.INFERENCE_MAX):
        assert isinstance(record.reading(name), Unavailable)
    for name in (MetricName.RUNNER_RSS, MetricName.RUNNER_PEAK_RSS, MetricName.BOARD_MEMORY_AVAILABLE):
        assert isinstance(record.reading(name), float)
