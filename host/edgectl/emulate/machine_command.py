# SPDX-License-Identifier: Apache-2.0
"""QEMU's command line for a machine, and the files the machine is given at each start. Pure.

The machine is QEMU's `virt` with virtio devices; processor and memory are the profile's. It is emulated in software
whatever the host: an instruction that the board's processor lacks must fail.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping

from edgectl.emulate.image import MachineImage
from edgectl.emulate.image_guest import AGENT_PORT
from edgectl.emulate.machine import Machine
from edgectl.targets import Processor, Target

SEED_KEY = "opt/org.edgectl/seed"
"""Where QEMU's firmware configuration has the machine's own files."""

TRANSLATION_MIB = 128
"""Room for translated code; QEMU's own choice is eight times that for each machine, and gains nothing here."""

_GUEST_ADDRESS = "10.0.2.15"
_KERNEL_ARGUMENTS = "console=ttyAMA0 panic=-1 loglevel=6 audit=0 systemd.show_status=0 systemd.log_level=notice"


def machine_command(
    machine: Machine, target: Target, processor: Processor, *, program: str, processors: int
) -> list[str]:
    """The arguments that start a machine in the background, in its own folder as working folder.

    Args:
        machine: whose disk, port and image.
        target: its memory.
        processor: its core.
        program: qemu-system-aarch64.
        processors: how many this host has; the guest gets no more than that.
    """
    image = MachineImage(machine.image)
    forward = f"hostfwd=tcp:127.0.0.1:{machine.port}-{_GUEST_ADDRESS}:{AGENT_PORT}"
    return [
        *(program, "-name", machine.name, "-daemonize", "-nodefaults", "-no-user-config", "-display", "none"),
        *("-machine", "virt", "-accel", f"tcg,thread=multi,tb-size={TRANSLATION_MIB}"),
        *("-cpu", processor.core, "-smp", str(min(processor.cores, processors))),
        *("-m", f"{target.memory_bytes >> 20}M", "-rtc", "base=utc"),
        # A guest that ends or panics ends the process, so that a machine that is dead is seen to be.
        "-no-reboot",
        *("-kernel", str(image.kernel), "-initrd", str(image.initial_file_system), "-append", _KERNEL_ARGUMENTS),
        *("-fw_cfg", f"name={SEED_KEY},file={_option(str(machine.seed))}"),
        *("-drive", f"if=none,id=disk,format=qcow2,{disk_option(machine)}"),
        *("-device", "virtio-blk-device,drive=disk"),
        *("-netdev", f"user,id=net,{forward}", "-device", "virtio-net-device,netdev=net"),
        *("-chardev", f"file,id=console,path={machine.console.name}", "-serial", "chardev:console"),
        # Relative: a socket's path may have 107 bytes, and the state folder's may be longer.
        *("-chardev", f"socket,id=commands,path={machine.command_socket.name},server=on,wait=off"),
        *("-device", "virtio-serial-device"),
        *("-device", "virtserialport,chardev=commands,name=org.qemu.guest_agent.0"),
    ]


def disk_option(machine: Machine) -> str:
    """The part of the command line that no other machine's has."""
    return f"file={_option(str(machine.disk))}"


def seed_files(machine: Machine, processor: Processor, identity: Mapping[str, bytes]) -> dict[str, bytes]:
    """The machine's own files by path; `identity` holds ca.pem, device.pem and device.key."""
    settings = (
        f'device = "{machine.name}"\n'
        f'listen = "0.0.0.0:{AGENT_PORT}"\n'  # the guest's network is QEMU's; mutual TLS guards it besides
        f'emulated = "qemu-system {processor.core}"\n'
    )
    return {
        "etc/hostname": f"{machine.name}\n".encode(),
        "etc/machine-id": f"{machine.identifier}\n".encode(),
        **{f"etc/edgectl/identity/{name}": data for name, data in sorted(identity.items())},
        "etc/edgectl/agent.toml": settings.encode(),
    }


def seed_archive(files: Mapping[str, bytes]) -> bytes:
    """A tar archive of `files`, all root's; keys are root's alone to read."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path, data in files.items():
            member = tarfile.TarInfo(path)
            member.size = len(data)
            member.mode = 0o600 if path.endswith(".key") else 0o644
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def _option(value: str) -> str:
    """A value within one of QEMU's comma-separated options."""
    return value.replace(",", ",,")
