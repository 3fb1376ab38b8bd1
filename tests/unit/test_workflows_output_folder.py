# SPDX-License-Identifier: Apache-2.0
"""A folder for results is there only if there are results."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from edgectl.workflows.output_folder import output_folder
from edgectl_protos.errors import UsageError


def fail_within(folder: Path, *, after: str = "") -> None:
    with suppress(KeyboardInterrupt), output_folder(folder) as made:
        assert made.is_dir()
        if after:
            (made / after).write_text("a result")
        raise KeyboardInterrupt


def test_folders_made_for_nothing_go_again(tmp_path: Path) -> None:
    fail_within(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []


def test_folder_with_a_result_stays(tmp_path: Path) -> None:
    fail_within(tmp_path / "a" / "b", after="result")
    assert (tmp_path / "a" / "b" / "result").read_text() == "a result"


def test_folder_that_was_there_stays_though_it_is_empty(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    fail_within(tmp_path / "a")
    fail_within(tmp_path / "a" / "b")
    assert list(tmp_path.rglob("*")) == [tmp_path / "a"]


@pytest.mark.parametrize("name", ["file", "file/out", "new/x/" + "n" * 300])
def test_folder_that_cannot_be_made_is_one_message_and_leaves_nothing(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UsageError, match=f"cannot write to .*{name[:20]}"), output_folder(tmp_path / name):
        pytest.fail("entered")
    assert list(tmp_path.rglob("*")) == [tmp_path / "file"]
