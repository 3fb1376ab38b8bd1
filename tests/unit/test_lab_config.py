# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest
from edgectl.config import paths_from_environment
from edgectl_protos.errors import UsageError


def test_home_variable_moves_all_three_folders(tmp_path: Path) -> None:
    paths = paths_from_environment({"EDGECTL_HOME": str(tmp_path)})
    assert (paths.config, paths.state, paths.cache) == (tmp_path / "config", tmp_path / "state", tmp_path / "cache")
    assert list(tmp_path.iterdir()) == []


def test_without_it_the_platforms_own_folders_are_used() -> None:
    paths = paths_from_environment({"EDGECTL_HOME": ""})
    assert all(path.is_absolute() and "edgectl" in path.parts for path in (paths.config, paths.state, paths.cache))
    assert len({paths.config, paths.state, paths.cache}) == 3


def test_relative_home_is_refused_because_it_would_follow_the_working_directory() -> None:
    with pytest.raises(UsageError, match="absolute path"):
        paths_from_environment({"EDGECTL_HOME": "home"})
