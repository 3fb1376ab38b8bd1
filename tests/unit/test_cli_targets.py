# SPDX-License-Identifier: Apache-2.0
"""`edgectl targets` lists without being told to, shows one target whole, and names the nearest for one it has not."""

from __future__ import annotations

import json

import pytest
from edgectl.cli.main import run


@pytest.mark.parametrize("words", [("targets",), ("targets", "-o", "json"), ("targets", "list", "-o", "json")])
def test_targets_are_listed_with_and_without_the_word(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(words, environ={}) == 0
    out = capsys.readouterr().out
    if "json" not in words:
        assert "pi-zero-2w  aarch64          4 x cortex-a53  512.0 MiB      192.0 MiB" in out
        return
    listed = {entry["name"]: entry for entry in json.loads(out)}
    assert set(listed) >= {"pi-zero-2w", "pi3", "pi4", "pi5", "aarch64", "x86_64", "generic"}
    assert listed["pi4"]["processor"]["core"] == "cortex-a72"
    assert (listed["pi4"]["int8_dot_product"], listed["pi5"]["int8_dot_product"]) == (False, True)
    assert listed["generic"]["processor"] is None


def test_target_is_shown_with_what_cannot_run_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(("targets", "show", "pi4"), environ={}) == 0
    out = capsys.readouterr().out
    assert "4 x cortex-a72, 1500 MHz" in out
    assert "int8 dot product           no" in out
    assert "a 32-bit system" in out
    assert run(("targets", "show", "generic"), environ={}) == 0
    assert "nothing is known that it cannot run" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"), [(("targets", "show", "pi44"), "'pi4'"), (("targets", "lst"), "did you mean 'list'?")]
)
def test_unknown_target_or_command_names_the_nearest(
    words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(words, environ={}) == 2
    assert said in capsys.readouterr().err
