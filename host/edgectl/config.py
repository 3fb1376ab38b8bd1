# SPDX-License-Identifier: Apache-2.0
"""Where edgectl keeps its files. Nothing is created here; whoever writes creates the folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgectl_protos.errors import UsageError

HOME_VARIABLE = "EDGECTL_HOME"


@dataclass(frozen=True, slots=True)
class Paths:
    """`config` is the user's (inventory, certificate authority), `state` is edgectl's, `cache` can be deleted."""

    config: Path
    state: Path
    cache: Path


def paths_from_environment(environ: Mapping[str, str]) -> Paths:
    """The folders for this user: below `EDGECTL_HOME` where it is set, else the platform's own.

    Raises:
        UsageError: `EDGECTL_HOME` is not an absolute path.
    """
    home = environ.get(HOME_VARIABLE, "")
    if home:
        root = Path(home)
        if not root.is_absolute():
            raise UsageError(f"{HOME_VARIABLE}={home}", expected="an absolute path", action=f"correct {HOME_VARIABLE}")
        return Paths(config=root / "config", state=root / "state", cache=root / "cache")
    from platformdirs import PlatformDirs

    folders = PlatformDirs("edgectl", appauthor=False)
    return Paths(folders.user_config_path, folders.user_state_path, folders.user_cache_path)
