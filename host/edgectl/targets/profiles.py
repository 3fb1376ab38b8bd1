# SPDX-License-Identifier: Apache-2.0
"""What is known of a class of devices, parsed once from its TOML file; an unknown key or name is refused."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from importlib.resources import files

from edgectl_protos.errors import UsageError
from edgectl_protos.spelling import describe_known

_SUFFIX = ".toml"


@dataclass(frozen=True, slots=True)
class Target:
    """A class of devices; `architectures` are the `uname -m` names a bundle for it may run on."""

    name: str
    architectures: tuple[str, ...]
    description: str = ""


def target_names() -> tuple[str, ...]:
    """The targets that ship with edgectl, in alphabetical order."""
    entries = files(__package__).iterdir()
    return tuple(sorted(entry.name.removesuffix(_SUFFIX) for entry in entries if entry.name.endswith(_SUFFIX)))


def load_target(name: str) -> Target:
    """The shipped target called `name`.

    Raises:
        UsageError: there is none; it lists the known and names the nearest.
    """
    known = target_names()
    if name not in known:
        raise UsageError(f"unknown target {name[:80]!r}", expected=describe_known(name, known))
    text = files(__package__).joinpath(name + _SUFFIX).read_text(encoding="utf-8")
    return parse_target(text, name=name)


def parse_target(text: str, *, name: str) -> Target:
    """The target described by TOML `text`.

    Raises:
        UsageError: no TOML, an unknown key, or a value that is missing, of the wrong type or out of range.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"target {name}: no TOML ({error})", action="correct the file") from error
    known = tuple(field.name for field in fields(Target) if field.name != "name")
    for key in document:
        if key not in known:
            raise UsageError(f"target {name}: unknown key {key[:80]!r}", expected=describe_known(key, known))
    architectures = document.get("architectures")
    if not isinstance(architectures, list) or not architectures or not all(map(_is_name, architectures)):
        raise UsageError(f"target {name}: architectures {architectures!r}", expected='a list such as ["aarch64"]')
    description = document.get("description", "")
    if not isinstance(description, str):
        raise UsageError(f"target {name}: description {description!r}", expected="a string")
    return Target(name=name, architectures=tuple(architectures), description=description)


def _is_name(value: object) -> bool:
    return isinstance(value, str) and bool(value)
