# SPDX-License-Identifier: Apache-2.0
"""What is kept of an emulated machine: a folder with its disk, its own files and a record, written whole."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Self

from edgectl_protos.errors import UsageError
from edgectl_protos.spelling import suggestion

from edgectl.config import Paths
from edgectl.fleet.private_files import write_private

NAME = re.compile(r"qemu-(0|[1-9]\d{0,3})")
"""Of every machine; the number counts from 0."""

SCHEMA_VERSION = 1
_RECORD_FILE = "machine.json"
_MAXIMUM_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine that was made, whether or not it runs.

    Args:
        folder: where its files are; not in the record.
        name: `qemu-0`, also its device's.
        target: the profile that processor and memory follow.
        port: on 127.0.0.1 of this host, forwarded to the agent.
        image: the folder of the image that its disk lies over.
        identifier: 32 hexadecimal digits, its /etc/machine-id.
        answered: its agent has said Hello since the machine was last started.
        stopped: `down --keep` ended it, so that it does not run is no failure.
    """

    folder: Path
    name: str
    target: str
    port: int
    image: Path
    identifier: str
    answered: bool = False
    stopped: bool = False

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def number(self) -> int:
        return int(self.name.rpartition("-")[2])

    @property
    def disk(self) -> Path:
        """Copy-on-write over the image's: everything the machine has written."""
        return self.folder / "disk.qcow2"

    @property
    def seed(self) -> Path:
        """An archive of this machine's own files, unpacked by it at each start."""
        return self.folder / "seed.tar"

    @property
    def console(self) -> Path:
        """What it has written to its serial line since it was started."""
        return self.folder / "console.log"

    @property
    def previous_console(self) -> Path:
        """As `console`, of the start before."""
        return self.folder / "console.previous.log"

    @property
    def command_socket(self) -> Path:
        return self.folder / "commands.sock"

    def saved(self, **changes: Any) -> Self:
        """The machine with `changes`, on disk too."""
        changed = replace(self, **changes)
        write_private(changed.folder / _RECORD_FILE, serialize_machine(changed))
        return changed


def machines_folder(paths: Paths) -> Path:
    """Where the machines of this user are."""
    return paths.state / "qemu"


def images_folder(paths: Paths) -> Path:
    """Where their images are."""
    return paths.cache / "qemu"


def known_machines(folder: Path) -> tuple[Machine, ...]:
    """The machines in `folder`, which need not exist, by number.

    Raises:
        UsageError: a record is damaged.
    """
    return tuple(map(read_machine, machine_folders(folder)))


def machine_folders(folder: Path) -> tuple[Path, ...]:
    """The folders of machines in `folder`, which need not exist, by number; no record is read."""
    if not folder.is_dir():
        return ()
    found = [entry for entry in folder.iterdir() if NAME.fullmatch(entry.name) and entry.is_dir()]
    return tuple(sorted(found, key=lambda entry: int(entry.name.rpartition("-")[2])))


def remains(folder: Path) -> Machine:
    """What of a machine is known by its folder alone: enough to end and remove it, whatever its record says."""
    return Machine(folder, folder.name, target="", port=0, image=Path(), identifier="")


def find_machine(folder: Path, name: str) -> Machine:
    """The machine called `name`.

    Raises:
        UsageError: there is none; the message names the nearest.
    """
    known = [machine.name for machine in known_machines(folder)]
    if name not in known:
        raise unknown_machine(name, known)
    return read_machine(folder / name)


def unknown_machine(name: str, known: list[str]) -> UsageError:
    return UsageError(
        f"no emulated machine {name[:80]!r}",
        expected=f"one of: {', '.join(known)}" if known else "one that `edgectl qemu up` has made",
        action=suggestion(name, known, otherwise="`edgectl qemu ls` shows them"),
    )


def read_machine(folder: Path) -> Machine:
    """The machine whose folder this is.

    Raises:
        UsageError: its record cannot be read or is damaged.
    """
    path = folder / _RECORD_FILE
    try:
        with path.open("rb") as file:
            data = file.read(_MAXIMUM_BYTES + 1)
    except OSError as error:
        raise _damaged(path, f"it cannot be read ({error.strerror})") from error
    return parse_machine(data, folder=folder)


def serialize_machine(machine: Machine) -> bytes:
    """The record's bytes."""
    values = {
        field.name: getattr(machine, field.name) for field in fields(machine) if field.name not in {"folder", "image"}
    }
    document = {"version": SCHEMA_VERSION, **values, "image": str(machine.image)}
    return json.dumps(document, indent=2, sort_keys=True).encode() + b"\n"


def parse_machine(data: bytes, *, folder: Path) -> Machine:
    """The machine in a record's bytes.

    Raises:
        UsageError: they are no record, or that of another machine.
    """
    path = folder / _RECORD_FILE
    try:
        document = json.loads(data) if len(data) <= _MAXIMUM_BYTES else None
    except (ValueError, RecursionError) as error:
        raise _damaged(path, f"no JSON ({error})") from error
    if not isinstance(document, dict) or document.pop("version", None) != SCHEMA_VERSION:
        raise _damaged(path, f"no record of version {SCHEMA_VERSION}")
    types = {
        "name": str,
        "target": str,
        "port": int,
        "image": str,
        "identifier": str,
        "answered": bool,
        "stopped": bool,
    }
    for key, kind in types.items():
        if type(document.get(key)) is not kind:
            raise _damaged(path, f"{key} is {str(document.get(key))[:80]!r}")
    if set(document) != set(types) or document["name"] != folder.name or not 1 <= document["port"] <= 65535:
        raise _damaged(path, "it holds what belongs to no machine here")
    return Machine(folder=folder, **(document | {"image": Path(document["image"])}))


def _damaged(path: Path, seen: str) -> UsageError:
    return UsageError(
        f"the record {path} is damaged: {seen}",
        expected="the file as `edgectl qemu up` wrote it",
        action=f"run `edgectl qemu down {path.parent.name}`, which removes it",
    )
