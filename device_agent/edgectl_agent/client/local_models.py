# SPDX-License-Identifier: Apache-2.0
"""The agent's folder of sockets, seen by an application."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Self

from edgectl_agent.client.folder import read_listing, read_listings
from edgectl_agent.client.model import Model
from edgectl_agent.runner.listing import ModelListing


class LocalModels:
    """The models an agent serves on this machine. May be used by several threads; close it, or use it in a `with`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._models: dict[str, Model] = {}

    def listings(self) -> tuple[ModelListing, ...]:
        """What serves now, by name, as the agent wrote it last.

        Raises:
            UnreachableError: there is no such folder, or this user may not read it.
        """
        return read_listings(self._directory)

    def model(self, name: str) -> Model:
        """The model `name`, the same object every time.

        Raises:
            StateError: nothing serves under that name; the message names what does.
        """
        read_listing(self._directory, name)
        return self._models.setdefault(name, Model(self._directory, name))

    def close(self) -> None:
        for model in list(self._models.values()):
            model.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def connect(directory: str | os.PathLike[str]) -> LocalModels:
    """The models behind `directory`, an agent's folder of sockets: its `--sockets`, or STATE/run.

    Connections are opened as they are needed.

    Raises:
        UnreachableError: there is no such folder, or this user may not read it.
    """
    models = LocalModels(Path(directory).absolute())
    models.listings()
    return models
