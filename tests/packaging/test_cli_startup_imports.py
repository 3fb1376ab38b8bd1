# SPDX-License-Identifier: Apache-2.0
"""Help, version and completion stay cheap: none of the heavy packages is imported by them."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from edgectl.cli.main import COMMANDS

HEAVY = ("torch", "executorch", "torchao", "grpc", "google.protobuf", "rich", "numpy", "optuna", "matplotlib", "yaml")

PROGRAM = """
import json, sys
from edgectl.cli.main import run
code = run({arguments!r}, environ={{}})
print(json.dumps([code, [name for name in {heavy!r} if name in sys.modules]]), file=sys.stderr)
"""


def _imported(arguments: list[str], **environ: str) -> list[str]:
    source = PROGRAM.format(arguments=arguments, heavy=HEAVY)
    result = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, check=True, env=os.environ | environ, timeout=60
    )
    code, imported = json.loads(result.stderr.splitlines()[-1])
    assert code == 0, result.stderr
    return list(imported)


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["completion", "bash"]])
def test_cheap_command_imports_nothing_heavy(arguments: list[str]) -> None:
    assert _imported(arguments) == []


@pytest.mark.parametrize("name", list(COMMANDS))
def test_help_of_a_command_imports_nothing_heavy(name: str) -> None:
    assert _imported([name, "--help"]) == []


def test_completing_a_command_name_imports_nothing_heavy() -> None:
    result = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import sys; from edgectl.cli.main import run; run([], environ={})"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"_EDGECTL_COMPLETE": "bash_complete", "COMP_WORDS": "edgectl de", "COMP_CWORD": "1"},
        timeout=60,
    )
    assert result.stdout.splitlines() == ["plain,demo", "plain,deploy", "plain,device"]
    imported = {line.rpartition("|")[2].strip() for line in result.stderr.splitlines() if "|" in line}
    assert "edgectl.cli.main" in imported
    assert imported.isdisjoint(HEAVY)
