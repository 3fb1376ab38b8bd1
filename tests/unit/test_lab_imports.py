# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import subprocess
import sys

import pytest

CHEAP = ("edgectl.config", "edgectl.fleet.inventory", "edgectl.lab.measurement", "edgectl.lab.protocol")
ALL = (
    *CHEAP,
    "edgectl.fleet.authority",
    "edgectl.fleet.broker",
    "edgectl.fleet.enrolment",
    "edgectl.fleet.telemetry_tail",
    "edgectl.lab.client",
    "edgectl.lab.devices",
    "edgectl.lab.testing.scripted_agent",
)


def loaded_by(modules: tuple[str, ...]) -> set[str]:
    """What a fresh interpreter has loaded after importing them."""
    code = f"import sys, {', '.join(modules)}; print(' '.join(sys.modules))"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


@pytest.mark.parametrize("heavy", ["torch", "executorch", "edgectl_agent", "amqtt", "paho.mqtt.client"])
def test_lab_and_fleet_load_neither_torch_nor_the_agent_nor_a_broker(heavy: str) -> None:
    assert heavy not in loaded_by(ALL)


def test_what_the_command_line_needs_first_is_light() -> None:
    loaded = loaded_by(CHEAP)
    assert loaded.isdisjoint({"grpc", "numpy", "cryptography", "google.protobuf.message", "platformdirs"})
