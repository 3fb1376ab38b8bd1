# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import dataclasses
import math

import pytest
from edgectl.lab.measurement import P95_SAMPLES
from edgectl.lab.protocol import (
    MAX_ATTEMPTS,
    MAX_BLOCKS,
    MAX_LEAST_SECONDS,
    MAX_RUNS,
    MAX_SECONDS,
    SHORT,
    STANDARD,
    MeasurementProtocol,
    protocol,
    protocol_names,
)
from edgectl_agent.measure.protocol import MeasurementProtocol as AgentProtocol
from edgectl_protos.errors import UsageError


def test_the_two_protocols_are_as_documented() -> None:
    assert protocol_names() == ("short", "standard")
    assert dataclasses.astuple(SHORT) == ("short", 0.1, 5, 3, 100, 0.1, 0.03, 0.02, 2, 0.0, 0.0)
    assert dataclasses.astuple(STANDARD) == ("standard", 0.5, 10, 5, 40, 0.3, 0.03, 0.02, 4, 1.0, 0.0)
    assert protocol("standard") is STANDARD
    assert math.isclose(STANDARD.least_seconds, 16.0)


def test_every_protocol_resolves_p95_however_slow_the_program() -> None:
    for name in protocol_names():
        assert protocol(name).blocks * protocol(name).block_runs >= P95_SAMPLES


@pytest.mark.parametrize(
    "widest",
    [
        {"warmup_seconds": MAX_SECONDS, "warmup_runs": MAX_RUNS, "block_seconds": MAX_SECONDS, "blocks": 1},
        {"warmup_seconds": 0.0, "block_seconds": MAX_LEAST_SECONDS / MAX_BLOCKS / 2, "blocks": MAX_BLOCKS},
        {"blocks": 1, "block_runs": MAX_RUNS},
        {"attempts": MAX_ATTEMPTS, "cooldown_seconds": 300.0, "max_variation": 1.0, "max_drift": 1.0},
        {"time_limit_seconds": 2 * MAX_LEAST_SECONDS},
    ],
)
def test_what_the_host_lets_through_an_agent_accepts(widest: dict[str, float]) -> None:
    given = dataclasses.asdict(dataclasses.replace(SHORT, **{"attempts": 1, **widest}))  # type: ignore[arg-type]
    assert AgentProtocol(**given).block_runs == given["block_runs"]


def test_unknown_protocol_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="'standart'; expected 'standard'"):
        protocol("standart")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("warmup_seconds", math.nan),
        ("warmup_seconds", -1.0),
        ("warmup_runs", -1),
        ("blocks", 0),
        ("blocks", 1_001),
        ("block_runs", 0),
        ("block_seconds", math.inf),
        ("block_seconds", 601.0),
        ("block_runs", 400_000),
        ("max_variation", 1.5),
        ("max_drift", math.nan),
        ("attempts", 0),
        ("attempts", 11),
        ("cooldown_seconds", -1.0),
        ("time_limit_seconds", math.inf),
    ],
)
def test_a_protocol_that_cannot_be_run_cannot_be_made(field: str, value: float) -> None:
    with pytest.raises(UsageError, match=field):
        dataclasses.replace(SHORT, **{field: value})  # type: ignore[arg-type]
    assert isinstance(dataclasses.replace(SHORT, blocks=1), MeasurementProtocol)


def test_a_protocol_that_lasts_longer_than_an_agent_allows_cannot_be_made() -> None:
    with pytest.raises(UsageError, match="the least time of all attempts 3602"):
        dataclasses.replace(SHORT, warmup_seconds=1.0, blocks=3, block_seconds=600.0, attempts=1)
