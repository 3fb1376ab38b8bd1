# SPDX-License-Identifier: Apache-2.0
"""The Debian part of an emulated machine: packages for arm64 unpacked, nothing of them run, no more than a board needs.

mmdebstrap fetches and verifies them. As root it works as it is; any other user needs no right and no setting of the
system for this, since nothing is installed: packages are only unpacked.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgectl_protos.errors import StateError

from edgectl.emulate import image_boot
from edgectl.emulate.programs import find_programs, run_program

SUITE = "bookworm"
PYTHON = "python3.11"

PACKAGES = (
    "linux-image-cloud-arm64",
    "systemd-sysv",
    "python3.11-minimal",
    "libpython3.11-stdlib",
    "libstdc++6",  # grpcio's, which its wheel does not hold
    "busybox-static",  # the initial RAM file system
    "qemu-guest-agent",  # `edgectl qemu exec`
    "base-passwd",
    *("dash", "coreutils", "grep", "sed", "findutils", "procps", "util-linux", "hostname", "iproute2", "kmod"),
)

_UNNEEDED = (
    "boot",
    "dev",  # the kernel makes the nodes; a copy of /dev/zero would have no end
    "usr/lib/modules",
    "usr/lib/aarch64-linux-gnu/gconv",
    "usr/lib/udev/hwdb.d",
    *(f"usr/share/{name}" for name in ("doc", "info", "lintian", "locale", "man", "perl", "perl5")),
)
_MERGED_USR = 'for folder in bin sbin lib; do mkdir -p "$1/usr/$folder"; ln -s "usr/$folder" "$1/$folder"; done'
_LIST_PACKAGES = 'ls "$1/var/cache/apt/archives" > "$1/{name}"'
_LIST_NAME = ".edgectl-packages"

Step = Callable[[str], object]
"""Called as a step begins, with what it does."""


@dataclass(frozen=True, slots=True)
class DebianFiles:
    """What `make_debian` leaves in its folder."""

    folder: Path

    @property
    def root(self) -> Path:
        """The guest's root file system, with no module of the kernel and no file of a particular machine."""
        return self.folder / "root"

    @property
    def kernel(self) -> Path:
        return self.folder / "vmlinuz"

    @property
    def initial_file_system(self) -> Path:
        return self.folder / "initramfs"

    @property
    def packages(self) -> Path:
        """One package file a line."""
        return self.folder / "packages"


def make_debian(folder: Path, guest: Path, step: Step) -> DebianFiles:
    """Fill the empty `folder`; `guest` holds the guest's `init`.

    Raises:
        StateError: mmdebstrap is not installed, or failed.
    """
    made = DebianFiles(folder)
    programs = find_programs("mmdebstrap")
    step(f"Debian packages ({SUITE}, arm64)")
    scratch = folder / "tmp"
    scratch.mkdir()
    run_program(
        bootstrap_command(programs["mmdebstrap"], made.root, root=os.geteuid() == 0),
        what="fetching and unpacking Debian's packages for arm64",
        environ={"TMPDIR": str(scratch)},
    )
    shutil.rmtree(scratch)
    (made.root / _LIST_NAME).rename(made.packages)
    step("kernel and its modules")
    _take_kernel(made, (guest / "init").read_bytes())
    for name in _UNNEEDED:
        shutil.rmtree(made.root / name, ignore_errors=True)
    step("Python's standard library compiled")
    compile_modules(made.root, f"usr/lib/{PYTHON}")
    return made


def bootstrap_command(mmdebstrap: str, into: Path, *, root: bool) -> list[str]:
    """What makes the file system. Packages' own scripts are never run, so the architecture does not matter."""
    return [
        *(mmdebstrap, "--quiet", "--variant=extract", "--architectures=arm64"),
        f"--mode={'root' if root else 'chrootless'}",
        '--aptopt=APT::Sandbox::User "root"',  # the cache is the owner's alone
        f"--setup-hook={_MERGED_USR}",
        f"--extract-hook={_LIST_PACKAGES.format(name=_LIST_NAME)}",
        f"--include={','.join(PACKAGES)}",
        SUITE,
        str(into),
    ]


def compile_modules(root: Path, *folders: str) -> None:
    """Write the byte code of every Python module below `folders` of the guest's `root`.

    The guest's service cannot write it, and compiling under emulation would take half a minute at each start. Byte code
    is that of the same minor version of Python, so this machine's is taken where it is that version, else the guest's
    own runs under qemu-user where that is installed; without either the guest goes without.
    """
    command = _python_command(root)
    if command is None:
        return
    arguments = ["-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", "-s", str(root), "-p", "/"]
    arguments += ["-o", "0", "-o", "2"]  # the service runs without docstrings, `edgectl qemu exec` with them
    # A module that is no Python of this version (the library's own test data) is no reason to fail.
    subprocess.run(
        [*command, *arguments, *(str(root / folder) for folder in folders)], check=False, capture_output=True
    )


def _python_command(root: Path) -> Sequence[str] | None:
    if f"python{sys.version_info.major}.{sys.version_info.minor}" == PYTHON:
        return [sys.executable, "-I"]
    native = shutil.which(PYTHON)
    if native is not None:
        return [native, "-I"]
    emulator = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")
    return [emulator, "-L", str(root), str(root / "usr/bin" / PYTHON), "-I"] if emulator is not None else None


def _take_kernel(made: DebianFiles, init: bytes) -> None:
    kernels = sorted((made.root / "boot").glob("vmlinuz-*"))
    if not kernels:
        raise StateError(f"{made.root}/boot holds no kernel", expected=f"that of {PACKAGES[0]}")
    version = kernels[-1].name.removeprefix("vmlinuz-")
    shutil.copyfile(kernels[-1], made.kernel)
    modules = image_boot.read_modules(made.root / "usr/lib/modules" / version)
    order = image_boot.load_order(modules, image_boot.DRIVERS)
    busybox = (made.root / "usr/bin/busybox").read_bytes()
    made.initial_file_system.write_bytes(image_boot.initial_file_system(busybox, modules, order, init))
