# SPDX-License-Identifier: Apache-2.0
"""The initial RAM file system of an emulated machine: busybox, the kernel modules in their order, and `init`.

Debian's cloud kernel has ext4 built in and virtio as modules. Pure: bytes and paths in, bytes out.
"""

from __future__ import annotations

import gzip
import re
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from edgectl_protos.errors import StateError

DRIVERS = ("virtio_mmio", "virtio_blk", "virtio_net", "virtio_console", "qemu_fw_cfg")
"""What the machine's devices need, named as the kernel does; what they depend on is found."""

_DEPENDS = re.compile(rb"\0depends=([^\0]*)\0")
_ALIGNMENT = 4


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or, where `data` is None, a folder; `name` has no leading slash."""

    name: str
    data: bytes | None
    mode: int = 0o755


def load_order(modules: Mapping[str, bytes], wanted: Iterable[str]) -> tuple[str, ...]:
    """`wanted` and all they depend on, each after what it needs.

    Args:
        modules: file contents by name, `_` for `-`.
        wanted: names among them.

    Raises:
        StateError: the kernel has no such module.
    """
    ordered: list[str] = []

    def add(name: str) -> None:
        if name in ordered:
            return
        if name not in modules:
            raise StateError(f"the guest's kernel has no module {name}", expected="Debian's linux-image-cloud-arm64")
        for needed in dependencies(modules[name]):
            add(needed)
        ordered.append(name)

    for name in wanted:
        add(name)
    return tuple(ordered)


def dependencies(module: bytes) -> tuple[str, ...]:
    """The modules that a module's own information section names."""
    match = _DEPENDS.search(module)
    names = match[1].decode("ascii", "replace") if match else ""
    return tuple(name.replace("-", "_") for name in names.split(",") if name)


def initial_file_system(busybox: bytes, modules: Mapping[str, bytes], order: Iterable[str], init: bytes) -> bytes:
    """The compressed archive that the kernel unpacks; `init` loads the modules by the file names' order."""
    entries = [Entry(name, None) for name in ("bin", "dev", "modules", "proc", "root", "sys")]
    entries += [Entry("bin/busybox", busybox), Entry("init", init)]
    entries += [Entry(f"modules/{place:02d}-{name}.ko", modules[name], mode=0o644) for place, name in enumerate(order)]
    return gzip.compress(archive(entries), compresslevel=6, mtime=0)


def archive(entries: Iterable[Entry]) -> bytes:
    """A cpio archive in the new ASCII format (initramfs buffer format, Linux Documentation), everything root's."""
    parts = [_record(number, entry) for number, entry in enumerate(entries, start=1)]
    return b"".join([*parts, _record(0, Entry("TRAILER!!!", b"", mode=0))])


def read_modules(folder: Path) -> dict[str, bytes]:
    """Every kernel module below `folder` by its name."""
    return {path.stem.replace("-", "_"): path.read_bytes() for path in sorted(folder.rglob("*.ko"))}


def _record(number: int, entry: Entry) -> bytes:
    kind = stat.S_IFDIR if entry.data is None else stat.S_IFREG
    data = entry.data or b""
    name = entry.name.encode() + b"\0"
    mode = kind | entry.mode if entry.mode else 0
    fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name), 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + name
    return _padded(head) + _padded(data)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % _ALIGNMENT)
