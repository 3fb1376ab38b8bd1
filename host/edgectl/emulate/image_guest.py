# SPDX-License-Identifier: Apache-2.0
"""What turns Debian's unpacked packages into an emulated machine: systemd as the first program, the agent's own unit,
and nothing that a machine without hardware and users would wait for.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import edgectl

AGENT_UNIT = "edge-agent.service"
AGENT_PORT = 50051
GUEST_FOLDER = Path(__file__).parent / "guest"

_UNITS = "etc/systemd/system"
_EXEC_UNIT = "guest-agent.service"

_MASKED = (
    # Devices: the kernel makes the nodes, the initial RAM file system has loaded the drivers.
    *("systemd-udevd.service", "systemd-udevd-kernel.socket", "systemd-udevd-control.socket"),
    *("systemd-udev-trigger.service", "systemd-hwdb-update.service", "systemd-modules-load.service"),
    *("modprobe@.service", "kmod-static-nodes.service", "systemd-tmpfiles-setup-dev.service"),
    # Users and terminals: there is one, root, on the host's side of the guest agent.
    *("systemd-sysusers.service", "systemd-logind.service", "systemd-user-sessions.service", "getty.target"),
    *("systemd-ask-password-console.path", "systemd-ask-password-wall.path", "systemd-initctl.socket"),
    # Mounts that nothing here uses, and records of boots that nobody reads.
    *("dev-hugepages.mount", "dev-mqueue.mount", "sys-kernel-debug.mount", "sys-kernel-tracing.mount"),
    *("sys-kernel-config.mount", "sys-fs-fuse-connections.mount", "proc-sys-fs-binfmt_misc.automount"),
    *("systemd-binfmt.service", "systemd-pstore.service", "systemd-update-utmp.service"),
    *("systemd-update-utmp-runlevel.service", "systemd-journal-flush.service", "systemd-random-seed.service"),
    *("systemd-networkd.service", "systemd-networkd.socket", "systemd-journald-audit.socket"),
    # What is set when the image is made, or by the initial RAM file system.
    *("systemd-remount-fs.service", "systemd-sysctl.service", "systemd-firstboot.service"),
    *("systemd-machine-id-commit.service", "systemd-repart.service", "systemd-pcrphase.service"),
    *("systemd-pcrphase-sysinit.service", "systemd-tmpfiles-setup.service", "systemd-tmpfiles-clean.timer"),
    *("cryptsetup.target", "integritysetup.target", "veritysetup.target"),
)

_GENERATORS = "usr/lib/systemd/system-generators"


def agent_unit() -> Path:
    """The unit that boards get: the package has it among what it provisions boards with."""
    return Path(edgectl.__file__).resolve().parent / "provisioning" / AGENT_UNIT


def recipe_files() -> tuple[Path, ...]:
    """The files that a guest is made from, beside packages and wheels."""
    return (*sorted(path for path in GUEST_FOLDER.iterdir() if path.is_file()), agent_unit())


def configure_guest(root: Path) -> None:
    """Write the guest's settings into its file system at `root`."""
    for name in ("dev", "proc", "run", "sys", "tmp", "var/tmp", "root", "etc/edgectl/identity", "var/lib", "var/log"):
        (root / name).mkdir(parents=True, exist_ok=True)
    for name in ("tmp", "var/tmp"):
        (root / name).chmod(0o1777)
    for name in ("passwd", "group"):
        shutil.copyfile(root / f"usr/share/base-passwd/{name}.master", root / "etc" / name)
    _write(root / "etc/fstab", "")
    _write(root / "etc/resolv.conf", "nameserver 10.0.2.3\n")
    _write(root / "etc/hosts", "127.0.0.1 localhost\n::1 localhost\n10.0.2.2 host\n")
    units = root / _UNITS
    units.mkdir(parents=True, exist_ok=True)
    for name in _MASKED:
        _link(units / name, "/dev/null")
    for generator in (root / _GENERATORS).iterdir():  # they look for disks, terminals and old init scripts
        _link(root / "etc/systemd/system-generators" / generator.name, "/dev/null")
    _link(units / "default.target", "/usr/lib/systemd/system/multi-user.target")
    _enable(units, agent_unit(), "multi-user.target")
    # As on a board that deploy/provisioning installed: byte code without docstrings takes 0.8 MB less.
    _write(units / f"{AGENT_UNIT}.d" / "bytecode.conf", "[Service]\nEnvironment=PYTHONOPTIMIZE=2\n")
    _enable(units, GUEST_FOLDER / _EXEC_UNIT, "sysinit.target")
    _write(root / "etc/systemd/journald.conf.d/edgectl.conf", (GUEST_FOLDER / "journald.conf").read_text("utf-8"))


def _enable(units: Path, unit: Path, target: str) -> None:
    shutil.copyfile(unit, units / unit.name)
    _link(units / f"{target}.wants" / unit.name, f"../{unit.name}")


def _link(path: Path, target: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)  # a package may have left a link there
    path.write_text(text, encoding="utf-8")
