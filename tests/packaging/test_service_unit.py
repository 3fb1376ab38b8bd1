# SPDX-License-Identifier: Apache-2.0
"""The service's unit as systemd itself reads it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

_UNIT = Path(__file__).resolve().parents[2] / "deploy/systemd/edge-agent.service"
_MOST_EXPOSURE = 1.3
"""What systemd 252 says of the unit, on its scale from 0 to 10; it needs the network, a socket for applications, and
to bind runners to cores."""


def _analyze(*words: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which("systemd-analyze")
    assert program is not None, "systemd-analyze is not installed: apt-get install systemd"
    return subprocess.run([program, *words], capture_output=True, text=True, check=False, timeout=60)


def test_systemd_understands_every_line_of_the_unit(tmp_path: Path) -> None:
    """Verified with a program that is there, since systemd looks for it."""
    unit = tmp_path / "edge-agent.service"
    unit.write_text(_UNIT.read_text().replace("/opt/edgectl/bin/edge-agent", "/bin/true"))
    verified = _analyze("verify", "--man=no", str(unit))
    assert (verified.returncode, verified.stderr) == (0, "")


def test_the_service_is_no_more_exposed_than_it_was() -> None:
    judged = _analyze("security", "--offline=true", "--no-pager", str(_UNIT))
    found = re.search(r"Overall exposure level for edge-agent.service: ([0-9.]+)", judged.stdout)
    assert found is not None, judged.stderr
    assert float(found[1]) <= _MOST_EXPOSURE


@pytest.mark.parametrize(
    "line",
    [
        "Type=notify",
        "WatchdogSec=60",
        "Restart=on-failure",
        "StartLimitIntervalSec=0",
        "OOMPolicy=continue",
        "MemoryMax=85%",
        "DynamicUser=yes",
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "LogRateLimitBurst=300",
    ],
)
def test_what_a_board_relies_on_is_in_the_unit(line: str) -> None:
    assert line in _UNIT.read_text().splitlines()
