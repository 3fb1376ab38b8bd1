# SPDX-License-Identifier: Apache-2.0
"""The README's first deploy, run as it is written."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.documented import ROOT, blocks


def test_the_first_deploy_of_the_readme_runs_as_written(tmp_path: Path) -> None:
    lines = next(block for block in blocks(ROOT / "README.md") if block[0] == "cd examples/own_model")
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns("shapes", "__pycache__"))
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "EDGECTL_HOME": str(tmp_path / "home"),
    }
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(lines)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(lines) == 5
    assert "is active on local" in done.stdout
    assert "p50" in done.stdout
    assert "<svg" in (tmp_path / "examples/own_model/profile.html").read_text()
    assert len(list((tmp_path / "examples/own_model/shapes").glob("shapes-*.edge"))) == 1
