# SPDX-License-Identifier: Apache-2.0
"""What an unknown name was probably meant to be, for messages."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name closest to `name`, or None where none is close."""
    import difflib

    matches = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.5)
    return matches[0] if matches else None


def describe_known(name: str, known: Iterable[str]) -> str:
    """What to expect in place of an unknown name: the nearest known one first, where there is one, then all of them."""
    names = sorted(known)
    if not names:
        return "none is known yet"
    near = nearest(name, names)
    listed = ", ".join(names)
    return f"{near!r} (known: {listed})" if near else f"one of: {listed}"


def suggestion(name: str, known: Iterable[str], *, otherwise: str = "") -> str:
    """What to do about an unknown name: a question where one is near, else `otherwise` or the whole list."""
    names = sorted(known)
    near = nearest(name, names)
    if near is not None:
        return f"did you mean {near!r}?"
    return otherwise or (f"known: {', '.join(names)}" if names else "none is known here")
