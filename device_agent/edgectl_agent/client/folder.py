# SPDX-License-Identifier: Apache-2.0
"""Reading what the agent lists in its folder of sockets."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from edgectl_protos.errors import StateError, UnreachableError
from edgectl_protos.topics import check_name

from edgectl_agent.runner.listing import LISTING_SUFFIX, MAX_LISTING_BYTES, ModelListing, parse_listing


def read_listing(directory: Path, name: str) -> ModelListing:
    """The model that serves as `name`.

    Raises:
        StateError: none does.
        UnreachableError: there is no such folder, or this user may not read it.
        ProtocolError: the listing is of another version, or damaged.
    """
    listing = _read(directory, check_name(name, what="model name"))
    if listing is None:
        names = ", ".join(one.name for one in read_listings(directory))
        raise StateError(
            f"no active model {name!r}",
            expected=f"one of {names or 'none: nothing is active'}",
            action="run `edgectl deploy` with its bundle",
        )
    return listing


def read_listings(directory: Path) -> tuple[ModelListing, ...]:
    """Every model that serves, by name.

    Raises:
        UnreachableError, ProtocolError: as `read_listing`.
    """
    try:
        names = sorted(entry.name for entry in os.scandir(directory) if entry.name.endswith(LISTING_SUFFIX))
    except OSError as error:
        raise _unreadable(directory, error) from error
    found = (_read(directory, file.removesuffix(LISTING_SUFFIX)) for file in names)
    return tuple(listing for listing in found if listing is not None)


def _read(directory: Path, name: str) -> ModelListing | None:
    path = directory / (name + LISTING_SUFFIX)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except FileNotFoundError as error:
        if directory.is_dir():
            return None
        raise _unreadable(directory, error) from error
    except OSError as error:
        raise _unreadable(path, error) from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise _unreadable(path, OSError(0, "not a plain file"))
        listing = parse_listing(os.read(descriptor, MAX_LISTING_BYTES + 1))
    finally:
        os.close(descriptor)
    if listing.name != name:
        raise _unreadable(path, OSError(0, f"it lists {listing.name!r}"))
    return listing


def _unreadable(path: Path, error: OSError) -> UnreachableError:
    return UnreachableError(
        f"{path}: {error.strerror}",
        expected="the folder of sockets of a running agent (STATE/run, or its --sockets)",
        action="start the agent; to read it as another user, join the group of its --sockets-group",
    )
