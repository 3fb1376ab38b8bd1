# SPDX-License-Identifier: Apache-2.0
"""An install without extras: what needs one says the line that installs it, everything else works."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.manifests import small_bundle

BARE = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {absent!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
for name in {absent!r}:
    sys.modules[name] = None
from edgectl.cli.main import main
sys.exit(main())
"""
COMPILE = ("torch", "torchao", "executorch")
SEARCH = ("optuna", "matplotlib")


def _bare(absent: tuple[str, ...], words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", BARE.format(absent=absent), *words],
        capture_output=True,
        text=True,
        env=os.environ | {"EDGECTL_HOME": str(folder / "home")},
        cwd=folder,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    "words",
    [
        ["compress", "recipe.yaml"],
        ["lower", "module:function", "--data", "module:data", "--name", "x"],
        ["search", "study.yaml", "--on", "local", "--out", "found"],
    ],
)
def test_command_that_needs_torch_says_how_to_install_it(words: list[str], tmp_path: Path) -> None:
    result = _bare(COMPILE, words, tmp_path)
    assert result.returncode == 1
    assert result.stderr == (
        "error: torch, torchao, executorch not installed; expected the packages of the extra 'compile'; "
        "pip install 'edgectl[compile]'\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_search_names_its_own_extra(tmp_path: Path) -> None:
    result = _bare(SEARCH, ["search", "study.yaml", "--on", "local", "--out", "found"], tmp_path)
    assert result.returncode == 1
    assert result.stderr.endswith("pip install 'edgectl[search]'\n")


@pytest.mark.parametrize("words", [["targets", "list"], ["device", "list"], ["device", "add", "pi4", "10.0.0.4"]])
def test_fleet_commands_need_no_extra(words: list[str], tmp_path: Path) -> None:
    result = _bare(COMPILE + SEARCH, words, tmp_path)
    assert result.returncode == 0, result.stderr


def test_inspect_needs_no_extra(tmp_path: Path) -> None:
    small_bundle(tmp_path / "net-1.0.edge")
    result = _bare(COMPILE + SEARCH, ["inspect", "net-1.0.edge"], tmp_path)
    assert result.returncode == 0, result.stderr
    assert "net 1.0" in result.stdout


def test_bench_gets_as_far_as_the_device_without_extras(tmp_path: Path) -> None:
    result = _bare(COMPILE + SEARCH, ["device", "add", "desk", "127.0.0.1:1"], tmp_path)
    assert result.returncode == 0, result.stderr
    result = _bare(COMPILE + SEARCH, ["bench", "net", "--on", "desk"], tmp_path)
    assert result.returncode == 1
    assert "cannot reach the agent at 127.0.0.1:1" in result.stderr
