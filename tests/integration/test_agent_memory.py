# SPDX-License-Identifier: Apache-2.0
"""What a running agent keeps loaded: what it needed once, or never, is not there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_NOT_KEPT = {
    "argparse",
    "gettext",
    "tomllib",
    "edgectl_agent.command_line",
    "ast",
    "pickle",
    "google.protobuf.text_format",
}


@pytest.mark.parametrize("options", ["grpc = false\nmqtt = '127.0.0.1:1'\n", "listen = '127.0.0.1:0'\n"])
def test_a_running_agent_holds_nothing_of_its_start(options: str, tmp_path: Path) -> None:
    config = tmp_path / "agent.toml"
    config.write_text(f'device = "board"\nstate = "{tmp_path / "state"}"\n{options}')
    code = """
import os, signal, sys
class Ready:
    def write(self, text):
        if '"ready"' in text:
            sys.__stdout__.write(" ".join(sys.modules))
            os.kill(os.getpid(), signal.SIGTERM)
    def flush(self):
        sys.__stdout__.flush()
sys.stdout = Ready()
from edgectl_agent.__main__ import main
sys.exit(main())
"""
    command = [sys.executable, "-c", code, "run", "--config", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    kept = set(done.stdout.split())
    assert {"asyncio", "google._upb._message", "edgectl_agent.app"} <= kept
    assert not kept & _NOT_KEPT
