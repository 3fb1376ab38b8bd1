# SPDX-License-Identifier: Apache-2.0
"""Targets are data: all that ship parse, and an unknown name, key or value is refused with the nearest known one."""

from __future__ import annotations

import pytest
from edgectl.targets import Target, load_target, parse_target, target_names
from edgectl_protos.errors import UsageError


@pytest.mark.parametrize("name", target_names())
def test_shipped_target_loads(name: str) -> None:
    target = load_target(name)
    assert target.name == name
    assert target.description
    assert set(target.architectures) <= {"x86_64", "aarch64"}


def test_generic_runs_anywhere_and_the_others_on_one_architecture() -> None:
    assert load_target("generic").architectures == ("x86_64", "aarch64")
    assert load_target("x86_64").architectures == ("x86_64",)
    assert load_target("aarch64").architectures == ("aarch64",)


@pytest.mark.parametrize(("name", "nearest"), [("genric", "generic"), ("aarch46", "aarch64"), ("x86-64", "x86_64")])
def test_unknown_target_names_the_nearest_and_lists_the_known(name: str, nearest: str) -> None:
    with pytest.raises(UsageError, match=rf"expected '{nearest}' \(known: ") as caught:
        load_target(name)
    assert "aarch64, generic, x86_64" in caught.value.expected


@pytest.mark.parametrize("name", ["", "../targets/generic", "generic.toml", "/etc/passwd", "\0"])
def test_name_that_is_a_path_is_an_unknown_target(name: str) -> None:
    with pytest.raises(UsageError, match="unknown target"):
        load_target(name)


def test_every_key_is_read() -> None:
    text = 'architectures = ["aarch64"]\ndescription = "a board"\n'
    assert parse_target(text, name="pi") == Target("pi", ("aarch64",), "a board")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('architecture = ["aarch64"]', "expected 'architectures'"),
        ('architectures = ["aarch64"]\nthreads = 1', "unknown key 'threads'"),
        ('name = "x"\narchitectures = ["aarch64"]', "unknown key 'name'"),
        ("architectures = [", "no TOML"),
        ("", "architectures None"),
        ("architectures = []", "architectures"),
        ('architectures = "aarch64"', "architectures"),
        ('architectures = ["aarch64", ""]', "architectures"),
        ('architectures = ["aarch64"]\ndescription = 1', "description 1"),
    ],
)
def test_wrong_profile_is_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_target(text, name="pi")
    assert said in caught.value.message
    assert "\n" not in caught.value.message
