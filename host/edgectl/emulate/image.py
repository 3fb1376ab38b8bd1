# SPDX-License-Identifier: Apache-2.0
"""The disk image that emulated machines start from: built once, kept by what it was made from, whole or not there.

Two steps are kept apart, so that a new agent does not fetch Debian again: Debian's part, by packages and recipe; and
the image, by that and the agent's wheel. Machines never write to it: each has an overlay of its own.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edgectl_protos.errors import StateError

from edgectl.emulate import image_boot, image_debian, image_guest, image_python
from edgectl.emulate.image_debian import DebianFiles, compile_modules, make_debian
from edgectl.emulate.image_guest import GUEST_FOLDER, configure_guest, recipe_files
from edgectl.emulate.image_python import SITE_PACKAGES, make_environment
from edgectl.emulate.programs import find_programs, run_program
from edgectl.fleet.private_files import exclusive, make_private_folder

DISK_MIB = 4096
"""What the guest sees; the file is sparse."""

_NEEDED_BYTES = 1536 << 20
_UNUSED_DAYS = 7
_KEY_DIGITS = 16
_RECORD_FILE = "image.json"

# Seconds each step took on two cores, for the estimate of what is left.
_STEP_SECONDS = (7.0, 1.0, 3.0, 3.0, 1.0, 2.0)

OnProgress = Callable[[str, float], object]
"""What is being done, and the fraction of the whole that is done already."""


@dataclass(frozen=True, slots=True)
class MachineImage:
    """A folder with what a machine boots from."""

    folder: Path

    @property
    def disk(self) -> Path:
        return self.folder / "disk.img"

    @property
    def kernel(self) -> Path:
        return self.folder / "vmlinuz"

    @property
    def initial_file_system(self) -> Path:
        return self.folder / "initramfs"

    @property
    def whole(self) -> bool:
        return (self.folder / _RECORD_FILE).is_file()


def find_image(cache: Path, wheel: Path) -> MachineImage | None:
    """The image for `wheel` in `cache`, where it has been built."""
    image = MachineImage(cache / f"image-{_image_key(wheel)}")
    return image if image.whole else None


def build_image(cache: Path, wheel: Path, *, in_use: Iterable[Path], on_progress: OnProgress) -> MachineImage:
    """The image for `wheel`, built where `cache` has none; one process at a time builds.

    Args:
        cache: the folder of images.
        wheel: the agent's for aarch64.
        in_use: folders of images that machines have overlays on; others that were long unused go.
        on_progress: told each step.

    Raises:
        StateError: a program is missing, the disk is full, or a step failed. Nothing half-built is left.
    """
    steps = _Steps(on_progress)
    make_private_folder(cache)
    with exclusive(cache / "lock"):
        found = find_image(cache, wheel)
        if found is not None:
            return found
        find_programs("mke2fs", "mmdebstrap", *([] if os.geteuid() == 0 else ["fakeroot"]))
        _check_space(cache)
        _remove_unused(cache, set(in_use))
        debian = _debian(cache, steps)
        image = MachineImage(cache / f"image-{_image_key(wheel)}")
        with _staging(cache) as staging:
            _fill(MachineImage(staging), debian, wheel, steps)
            staging.rename(image.folder)
        return image


def _debian(cache: Path, steps: _Steps) -> DebianFiles:
    folder = cache / f"debian-{_debian_key()}"
    if folder.is_dir():
        steps.skip(3)
        return DebianFiles(folder)
    with _staging(cache) as staging:
        make_debian(staging, GUEST_FOLDER, steps)
        staging.rename(folder)
    return DebianFiles(folder)


def _fill(image: MachineImage, debian: DebianFiles, wheel: Path, steps: _Steps) -> None:
    root, downloads = image.folder / "root", image.folder / "wheels"
    downloads.mkdir()
    steps("the agent and its dependencies")
    shutil.copytree(debian.root, root, symlinks=True)
    make_environment(root, wheel, downloads)
    steps("the agent compiled")
    compile_modules(root, SITE_PACKAGES)
    configure_guest(root)
    steps("the disk")
    _make_disk(root, image.disk)
    shutil.copyfile(debian.kernel, image.kernel)
    shutil.copyfile(debian.initial_file_system, image.initial_file_system)
    record = {
        "wheel": wheel.name,
        "wheel_sha256": _sha256(wheel),
        "wheels": sorted(path.name for path in downloads.glob("*.whl")),
        "debian": sorted(name for name in debian.packages.read_text().split() if name.endswith(".deb")),
        "built": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    shutil.rmtree(root)
    shutil.rmtree(downloads)
    (image.folder / _RECORD_FILE).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def _make_disk(root: Path, disk: Path) -> None:
    """ext4 filled from the folder; everything is root's, as whom fakeroot shows files where this user is not."""
    programs = find_programs("mke2fs")
    command = [programs["mke2fs"], "-q", "-t", "ext4", "-L", "edgectl", "-m", "1", "-i", "65536"]
    # A new file reads as zeros, so nothing needs to be written to say so, neither now nor by the guest later.
    command += ["-E", "root_owner=0:0,lazy_itable_init=0,assume_storage_prezeroed=1"]
    command += ["-d", str(root), str(disk), f"{DISK_MIB}M"]
    if os.geteuid() != 0:
        command.insert(0, find_programs("fakeroot")["fakeroot"])
    run_program(command, what="making the disk image")


class _Steps:
    """Says each step as it begins, with the fraction of the usual time that lies behind it."""

    def __init__(self, on_progress: OnProgress) -> None:
        self._on_progress = on_progress
        self._done = 0

    def __call__(self, name: str) -> None:
        fraction = sum(_STEP_SECONDS[: self._done]) / sum(_STEP_SECONDS)
        self._on_progress(name, fraction)
        self._done += 1

    def skip(self, count: int) -> None:
        self._done += count


@contextmanager
def _staging(cache: Path) -> Iterator[Path]:
    """A folder that is renamed when whole; gone where it was not."""
    for left in cache.glob(".staging-*"):  # of a process that was killed; we hold the lock
        shutil.rmtree(left, ignore_errors=True)
    staging = Path(tempfile.mkdtemp(dir=cache, prefix=".staging-"))
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _check_space(folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < _NEEDED_BYTES:
        raise StateError(
            f"{free >> 20} MiB free in {folder}",
            expected=f"{_NEEDED_BYTES >> 20} MiB to build the image of emulated machines in",
            action="free some space, or set EDGECTL_HOME to a folder on another disk",
        )


def _remove_unused(cache: Path, in_use: set[Path]) -> None:
    oldest = time.time() - _UNUSED_DAYS * 86_400
    for folder in (*cache.glob("image-*"), *cache.glob("debian-*")):
        if folder not in in_use and folder.stat().st_mtime < oldest:
            shutil.rmtree(folder, ignore_errors=True)


def _image_key(wheel: Path) -> str:
    return _key([_debian_key().encode(), _sha256(wheel).encode(), *_sources(image_python, image_guest), _own_source()])


def _debian_key() -> str:
    return _key([*_sources(image_debian, image_boot), (GUEST_FOLDER / "init").read_bytes()])


def _own_source() -> bytes:
    return b"\0".join([Path(__file__).read_bytes(), *(path.read_bytes() for path in recipe_files())])


def _sources(*modules: object) -> list[bytes]:
    return [Path(str(getattr(module, "__file__", ""))).read_bytes() for module in modules]


def _key(parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()[:_KEY_DIGITS]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
