# SPDX-License-Identifier: Apache-2.0
"""The three slots of each model on disk, which one is active, and which one came before.

    ROOT/NAME/A, B, C           unpacked bundles: one serves, one served before, one is for what arrives
    ROOT/NAME/active            symbolic link to the slot that serves
    ROOT/NAME/previous          symbolic link to the slot that served before

Invariants, at every instant and so after a power cut:
- `active` moves by one rename, and never points at a slot that is being written.
- `previous` counts only where it differs from `active`: activation writes `previous` before it moves `active`, so a
  cut in between leaves them equal, which says "nothing to go back to", and rolling back is a single rename.
- What arrives is written to a slot that is neither, so a bundle that is only measured leaves the way back as it was.
"""

from __future__ import annotations

import logging
import shutil
from dataclasses import dataclass
from pathlib import Path

from edgectl_protos.errors import BundleError, EdgectlError, StateError
from edgectl_protos.manifest import (
    MANIFEST_MEMBER,
    MAX_MANIFEST_BYTES,
    PROGRAM_MEMBER,
    Manifest,
    manifest_digest,
    parse_manifest,
)
from edgectl_protos.topics import check_name

from edgectl_agent.store.durable import remove_link, replace_link, sync_directory, sync_tree

_LABELS = ("A", "B", "C")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Slot:
    """An unpacked, verified bundle."""

    label: str
    directory: Path
    manifest: Manifest
    digest: str

    @property
    def program(self) -> Path:
        return self.directory / PROGRAM_MEMBER


@dataclass(frozen=True, slots=True)
class ModelSlots:
    """What is on disk of one model; `previous` is what a rollback would go to."""

    slots: tuple[Slot, ...]
    active: Slot | None
    previous: Slot | None

    def find(self, digest: str) -> Slot | None:
        return next((slot for slot in self.slots if slot.digest == digest), None)


_EMPTY = ModelSlots((), None, None)


class ModelStore:
    """The slots of every model.

    Not thread safe by itself: the caller serialises changes of one model (see `installation`).
    """

    def __init__(self, root: Path) -> None:
        """Read what is there; a slot that cannot be read is left out, with a line in the log."""
        self._root = root
        root.mkdir(parents=True, exist_ok=True)
        self._models: dict[str, ModelSlots] = {}
        for folder in sorted(root.iterdir()):
            if folder.is_dir() and not folder.name.startswith("."):
                self._reload(folder.name)

    def models(self) -> dict[str, ModelSlots]:
        """Every model that has a slot, by name."""
        return dict(self._models)

    def model(self, name: str) -> ModelSlots:
        return self._models.get(name, _EMPTY)

    def find_digest(self, digest: str) -> Slot | None:
        found = (model.find(digest) for model in self._models.values())
        return next((slot for slot in found if slot is not None), None)

    def stage(self, unpacked: Path, *, name: str) -> Slot:
        """Move the unpacked bundle into a slot of `name` that neither serves nor served before, and return it.

        `unpacked` lies on the same file system and is gone afterwards.
        """
        folder = self._root / check_name(name, what="model name")
        folder.mkdir(exist_ok=True)
        sync_directory(self._root)
        label = self._spare_label(name)
        slot = folder / label
        if slot.exists():
            shutil.rmtree(slot)
        sync_tree(unpacked)
        unpacked.rename(slot)
        sync_directory(folder)
        self._reload(name)
        return _read_slot(slot)

    def activate(self, name: str, digest: str) -> None:
        """Make the slot that holds `digest` the one that serves; the one that did becomes `previous`."""
        model = self.model(name)
        slot = model.find(digest)
        if slot is None:
            raise StateError(f"no bundle {digest[:12]} of {name!r}", action="run `edgectl deploy` with its file")
        if slot == model.active:
            return
        folder = self._root / name
        if model.active is not None:
            replace_link(folder / "previous", model.active.label)
        replace_link(folder / "active", slot.label)
        self._reload(name)

    def restore(self, name: str, slot: Slot | None) -> None:
        """Go back to `slot` (None: to nothing active) by one rename; then there is no previous one."""
        link = self._root / name / "active"
        if slot is None:
            remove_link(link)
        else:
            replace_link(link, slot.label)
        self._reload(name)

    def _spare_label(self, name: str) -> str:
        """The slot to write, neither active nor previous: an empty one, else the one written longest ago."""
        folder = self._root / name
        kept = {_link_label(folder / "active"), _link_label(folder / "previous")}
        held = {slot.label for slot in self.model(name).slots}
        spare = (label for label in _LABELS if label not in kept)
        return min(spare, key=lambda label: (folder / label).stat().st_mtime_ns if label in held else 0)

    def _reload(self, name: str) -> None:
        folder = self._root / name
        slots: dict[str, Slot] = {}
        for label in _LABELS:
            try:
                slots[label] = _read_slot(folder / label)
            except FileNotFoundError:
                continue
            except (OSError, EdgectlError) as error:
                _log.warning("slot %s of %s is left out: %s", label, name, error)
        active = slots.get(_link_label(folder / "active"))
        previous = slots.get(_link_label(folder / "previous"))
        if active is None or previous is active:
            previous = None
        if slots:
            self._models[name] = ModelSlots(tuple(slots.values()), active, previous)
        else:
            self._models.pop(name, None)


def _link_label(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:
        return ""


def _read_slot(directory: Path) -> Slot:
    with (directory / MANIFEST_MEMBER).open("rb") as file:
        data = file.read(MAX_MANIFEST_BYTES + 1)
    manifest = parse_manifest(data)
    if manifest.name != directory.parent.name:
        raise BundleError(f"{directory} holds {manifest.name!r}", expected=f"{directory.parent.name!r}")
    return Slot(directory.name, directory, manifest, manifest_digest(data))
