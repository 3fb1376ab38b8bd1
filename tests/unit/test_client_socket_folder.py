# SPDX-License-Identifier: Apache-2.0
"""The agent's folder of sockets: who may enter, and what it never removes."""

from __future__ import annotations

import contextlib
import grp
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from edgectl_agent.configuration import Settings, configure
from edgectl_agent.runner.listing import ModelListing, parse_listing
from edgectl_agent.runner.sockets import SocketFolder
from edgectl_protos.errors import RunnerError, StateError, UsageError

_LISTING = ModelListing("digits", "1", "ab" * 32, (), (), serving_since_ns=1)


@contextlib.contextmanager
def _served(directory: Path, group: str | None = None) -> Iterator[SocketFolder]:
    """A folder with one listening socket and its listing."""
    folder = SocketFolder(directory, group=group)
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(folder.address("digits")))
            folder.admit("digits")
            folder.publish(_LISTING)
            yield folder
    finally:
        folder.close()


def _modes(directory: Path) -> dict[str, int]:
    paths = {".": directory} | {path.name: path for path in directory.iterdir()}
    return {name: stat.S_IMODE(path.stat().st_mode) for name, path in paths.items()}


def test_without_a_group_the_folder_is_the_agents_alone(tmp_path: Path) -> None:
    with _served(tmp_path / "run"):
        assert _modes(tmp_path / "run") == {".": 0o700, "digits.sock": 0o600, "digits.json": 0o600}


def test_a_groups_members_may_connect_and_read_and_nobody_else(tmp_path: Path) -> None:
    group = grp.getgrgid(os.getgid())
    with _served(tmp_path / "run", group.gr_name):
        assert _modes(tmp_path / "run") == {".": 0o750, "digits.sock": 0o660, "digits.json": 0o640}
        groups = {path.stat().st_gid for path in [tmp_path / "run", *(tmp_path / "run").iterdir()]}
        assert groups == {group.gr_gid}


def test_an_unknown_group_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no-such-group"):
        SocketFolder(tmp_path / "run", group="no-such-group")
    assert not (tmp_path / "run").exists()


def test_a_group_needs_a_folder_outside_the_private_state() -> None:
    settings = Settings(state="/s", device="board", listen="127.0.0.1:0", sockets_group="apps")
    with pytest.raises(UsageError, match="--sockets-group without --sockets"):
        configure(settings)
    assert configure(Settings(state="/s", device="board", listen="127.0.0.1:0")).sockets == Path("/s/run")


def test_what_an_earlier_agent_left_is_removed(tmp_path: Path) -> None:
    with _served(tmp_path / "run"):
        (tmp_path / "run" / "other.json.new").write_text("half")
    assert len(list((tmp_path / "run").iterdir())) == 3
    SocketFolder(tmp_path / "run", group=None).close()
    assert list((tmp_path / "run").iterdir()) == []


@pytest.mark.parametrize("name", ["notes.txt", "digits.sock", ".hidden"])
def test_a_folder_with_something_else_in_it_is_refused_and_left_alone(tmp_path: Path, name: str) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / name).write_text("mine")
    (tmp_path / "a.json").write_text("{}")
    with pytest.raises(UsageError, match="holds"):
        SocketFolder(tmp_path, group=None)
    assert (tmp_path / name).read_text() == "mine"
    assert (tmp_path / "a.json").exists()
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


def test_a_folder_another_agent_holds_is_refused(tmp_path: Path) -> None:
    with _served(tmp_path / "run"):
        with pytest.raises(StateError, match="another agent holds"):
            SocketFolder(tmp_path / "run", group=None)
        assert len(list((tmp_path / "run").iterdir())) == 2
    SocketFolder(tmp_path / "run", group=None).close()


def test_a_folder_that_cannot_be_made_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for directory in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(UsageError, match="--sockets"):
            SocketFolder(directory, group=None)


def test_a_listing_that_cannot_be_written_leaves_the_one_before(tmp_path: Path) -> None:
    with _served(tmp_path / "run") as folder:
        (tmp_path / "run" / "digits.json").rename(tmp_path / "kept")
        (tmp_path / "run" / "digits.json").mkdir()
        with pytest.raises(RunnerError, match="cannot be listed"):
            folder.publish(_LISTING)
        assert not (tmp_path / "run" / "digits.json.new").exists()
        assert (tmp_path / "run" / "digits.json").is_dir()


def test_a_listing_is_replaced_whole_and_withdrawn(tmp_path: Path) -> None:
    with _served(tmp_path / "run") as folder:
        path = tmp_path / "run" / "digits.json"
        before = path.stat().st_ino
        with path.open("rb") as reader:
            folder.publish(ModelListing("digits", "2", "cd" * 32, (), (), serving_since_ns=2))
            assert parse_listing(reader.read()).version == "1"
        assert parse_listing(path.read_bytes()).version == "2"
        assert path.stat().st_ino != before
        folder.withdraw("digits")
        assert {entry.name for entry in (tmp_path / "run").iterdir()} == {"digits.sock"}
