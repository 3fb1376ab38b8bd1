# SPDX-License-Identifier: Apache-2.0
"""The folder where applications find what serves: for each model a socket and a listing.

One agent holds the folder. It is private to the agent's user, or open to one group: its members may connect and read,
nobody else may even look.
"""

from __future__ import annotations

import fcntl
import grp
import os
import stat
from pathlib import Path

from edgectl_protos.errors import RunnerError, StateError, UsageError

from edgectl_agent.runner.listing import LISTING_SUFFIX, SOCKET_SUFFIX, ModelListing, serialize_listing

_FRESH_SUFFIX = ".new"


class SocketFolder:
    """An open, emptied folder.

    Paths go through a descriptor of it, because a Unix socket's path may have only 107 bytes while the folder may lie
    anywhere.
    """

    def __init__(self, directory: Path, *, group: str | None) -> None:
        """Make the folder where it is not there, take it, and remove what an earlier agent left.

        Raises:
            UsageError: it cannot be made or opened to `group`, or holds something that no agent wrote.
            StateError: another agent holds it.
        """
        self._group = -1 if group is None else _group_id(group)
        self._descriptor = -1
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
            self._take(directory)
            self._share(".", 0o700)
        except OSError as error:
            self.close()
            raise UsageError(
                f"the sockets' folder {directory}: {error.strerror}",
                expected="a folder the agent's user owns, and a group it is a member of",
                action="choose another with --sockets, or another --sockets-group",
            ) from error
        except BaseException:
            self.close()
            raise

    def address(self, name: str) -> Path:
        """Where the model's socket is bound."""
        return self._path(name + SOCKET_SUFFIX)

    def admit(self, name: str) -> None:
        """Let those connect who may: a freshly bound socket has the mode that the process's mask leaves."""
        self._share(name + SOCKET_SUFFIX, 0o600)

    def publish(self, listing: ModelListing) -> None:
        """Replace the model's listing by one rename.

        Raises:
            RunnerError: it cannot be written; the one before stays.
        """
        fresh = listing.name + LISTING_SUFFIX + _FRESH_SUFFIX
        try:
            self._path(fresh).write_bytes(serialize_listing(listing))
            self._share(fresh, 0o600)
            self._path(fresh).replace(self._path(listing.name + LISTING_SUFFIX))
        except OSError as error:
            self._path(fresh).unlink(missing_ok=True)
            raise RunnerError(
                f"{listing.name!r} cannot be listed for applications ({error.strerror})",
                expected="room in the folder of sockets",
                action="free some space",
            ) from error

    def withdraw(self, name: str) -> None:
        """Remove the model's listing."""
        self._path(name + LISTING_SUFFIX).unlink(missing_ok=True)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _take(self, directory: Path) -> None:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StateError(
                f"another agent holds {directory}", expected="one agent for each folder of sockets", action="stop it"
            ) from error
        entries = list(os.scandir(self._descriptor))
        for entry in entries:
            if not _is_ours(entry):
                raise UsageError(
                    f"{directory} holds {entry.name!r}",
                    expected="an empty folder, or one that an agent used",
                    action="choose another with --sockets",
                )
        for entry in entries:
            os.unlink(entry.name, dir_fd=self._descriptor)

    def _share(self, name: str, mode: int) -> None:
        """Give `name` to the group, which gets of the owner's bits all but writing into folders."""
        path = self._path(name)
        if self._group >= 0:
            os.chown(path, -1, self._group)
            mode |= 0o050 if path.is_dir() else 0o060 if path.is_socket() else 0o040
        path.chmod(mode)

    def _path(self, name: str) -> Path:
        return Path(f"/proc/self/fd/{self._descriptor}/{name}")


def _is_ours(entry: os.DirEntry[str]) -> bool:
    mode = entry.stat(follow_symlinks=False).st_mode
    name = entry.name.removesuffix(_FRESH_SUFFIX)
    return (stat.S_ISSOCK(mode) and name.endswith(SOCKET_SUFFIX)) or (
        stat.S_ISREG(mode) and name.endswith(LISTING_SUFFIX)
    )


def _group_id(name: str) -> int:
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError as error:
        raise UsageError(
            f"--sockets-group {name!r}", expected="a group of this machine", action=f"groupadd --system {name}"
        ) from error
