# SPDX-License-Identifier: Apache-2.0
"""The Python that docs/python.md shows runs as it stands, from the first block to the last; so does the example."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.documented import ROOT

BLOCKS = re.findall(
    r"^```python\n(.*?)^```", (ROOT / "docs" / "python.md").read_text("utf-8"), re.MULTILINE | re.DOTALL
)


def test_the_page_on_python_runs_as_it_stands(tmp_path: Path) -> None:
    assert len(BLOCKS) >= 4
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(BLOCKS)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        timeout=280,
        env=os.environ,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "torch.Size([5, 10])" in done.stdout
    assert (tmp_path / "m.pte").stat().st_size > 1000


@pytest.mark.timeout(280)
def test_the_example_of_an_own_loop_learns(tmp_path: Path) -> None:
    program = ROOT / "examples" / "own_loop" / "train.py"
    done = subprocess.run(
        [sys.executable, str(program)], capture_output=True, text=True, check=False, cwd=tmp_path, timeout=280
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "int8 accuracy" in done.stdout
