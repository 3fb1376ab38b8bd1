# SPDX-License-Identifier: Apache-2.0
"""Which modules and parameters a stage is about: names, or `re:` patterns, held against those a model has. No torch.

A name stands for the module or parameter itself and for everything below it; a pattern must match the whole name of
one of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from edgectl_protos.errors import UsageError
from edgectl_protos.spelling import nearest

PATTERN_PREFIX = "re:"
_SHOWN = 12


def with_parents(names: Iterable[str]) -> tuple[str, ...]:
    """The names and those of every module above them, each once, in order."""
    seen: dict[str, None] = {}
    for name in names:
        parts = name.split(".")
        for length in range(1, len(parts) + 1):
            seen.setdefault(".".join(parts[:length]))
    return tuple(seen)


def check_places(patterns: Sequence[str], names: Iterable[str], *, what: str) -> None:
    """Whether each name is one of the model's, and each pattern matches one.

    Args:
        patterns: as a recipe gives them.
        names: of the model's parameters (or modules); the modules above them are known too.
        what: names the field in messages: "prune: targets".

    Raises:
        UsageError: an unknown name, with the nearest known one; a pattern that is no regular expression or matches
            nothing.
    """
    known = with_parents(names)
    for pattern in patterns:
        if pattern.startswith(PATTERN_PREFIX):
            expression = compiled(pattern, what=what)
            if not any(expression.fullmatch(name) for name in known):
                raise UsageError(f"{what}: {pattern} matches nothing", expected=_listed(known))
        elif pattern not in known:
            near = nearest(pattern, known)
            raise UsageError(f"{what}: no {pattern!r} in this model", expected=repr(near) if near else _listed(known))


def compiled(pattern: str, *, what: str) -> re.Pattern[str]:
    """The regular expression behind `re:`.

    Raises:
        UsageError: it is none.
    """
    try:
        return re.compile(pattern.removeprefix(PATTERN_PREFIX))
    except re.error as error:
        raise UsageError(
            f"{what}: {pattern} is no regular expression ({error})", expected="re: and a pattern"
        ) from error


def is_chosen(name: str, *, targets: Sequence[str], exclude: Sequence[str]) -> bool:
    """Whether a parameter or module is among the targets (all are where none is given) and not excluded."""
    return (not targets or matches(name, targets)) and not matches(name, exclude)


def matches(name: str, patterns: Sequence[str]) -> bool:
    """Whether a name, or that of a module above it, is among the patterns."""
    parts = name.split(".")
    above = [".".join(parts[:length]) for length in range(1, len(parts) + 1)]
    return any(
        any(re.fullmatch(pattern.removeprefix(PATTERN_PREFIX), one) for one in above)
        if pattern.startswith(PATTERN_PREFIX)
        else pattern in above
        for pattern in patterns
    )


def _listed(known: Sequence[str]) -> str:
    shown = ", ".join(known[:_SHOWN])
    return f"one of: {shown}{f' and {len(known) - _SHOWN} more' if len(known) > _SHOWN else ''}"
