# SPDX-License-Identifier: Apache-2.0
"""Hostile YAML ends in one message, quickly, with nothing constructed."""

from __future__ import annotations

from pathlib import Path

import pytest
from edgectl.compress.bounded_yaml import MAXIMUM_BYTES
from edgectl.compress.recipe import load_recipe, parse_recipe
from edgectl_protos.errors import UsageError

BOMB = "a: &a [x, x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(20)
)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (BOMB, "alias"),
        ("[" * 30_000, "nested"),
        ("{a: " * 5_000, "nested"),
        ("- x\n" * 10_000, "nested or listed"),
        ("x" * (MAXIMUM_BYTES + 1), "larger than"),
        ("é" * MAXIMUM_BYTES, "larger than"),
        ("version: !!python/object/apply:os.system ['true']", "a list of"),
        ("name: !!python/name:os.system ", "not readable YAML"),
        ("version: 1\nversion: 2\n", "given twice"),
        ("? [1, 2]\n: 3\n", "not a plain name"),
        ("1: 2\n", "not a plain name"),
        ("<<: {version: 1}\n", "not a plain name"),
        ("name: 2026-01-01\n", "quote it"),
        ("name: [unclosed", "not readable YAML"),
        ("a: 1\n---\nb: 2\n", "not readable YAML"),
        ("\x00\x01", "not readable YAML"),
        ("", "the recipe is None"),
        ("- 1\n", "the recipe is [1]"),
        ("seed: 0x" + "f" * 4000, "is missing"),
    ],
)
def test_hostile_text_is_one_usage_error(text: str, part: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_recipe(text, source="r.yaml")
    message = str(caught.value)
    if "!!python/object" not in text:
        assert part in message
    assert "\n" not in message
    assert len(message) < 600


def test_file_that_is_not_text_is_one_usage_error(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_bytes(b"\xff\xfe\x00name")
    with pytest.raises(UsageError, match="not UTF-8"):
        load_recipe(path)


def test_huge_file_is_not_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    with path.open("wb") as stream:
        stream.truncate(1 << 40)
    with pytest.raises(UsageError, match="larger than"):
        load_recipe(path)
