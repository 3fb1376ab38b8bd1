# SPDX-License-Identifier: Apache-2.0
"""One machine made and removed: its certificate and inventory entry, its files, its process. Whole or not at all."""

from __future__ import annotations

import os
import random
import secrets
import shutil
import socket
import tempfile
from collections.abc import Iterable
from pathlib import Path

import psutil
from edgectl_protos.errors import StateError, UsageError
from edgectl_protos.spelling import describe_known

from edgectl.config import Paths
from edgectl.emulate.image import DISK_MIB, MachineImage
from edgectl.emulate.machine import Machine, machines_folder
from edgectl.emulate.machine_command import machine_command, seed_archive, seed_files
from edgectl.emulate.machine_console import rotate_console
from edgectl.emulate.machine_process import cut_power
from edgectl.emulate.programs import find_programs, run_program
from edgectl.fleet.authority import Clock
from edgectl.fleet.enrolment import add_device, discard_device, identities_folder
from edgectl.fleet.inventory import Device, inventory_of
from edgectl.fleet.private_files import make_private_folder, write_private
from edgectl.targets import Processor, Target, load_target, target_names

HOST_OVERHEAD_BYTES = 256 << 20
"""What QEMU takes of the host beside the guest's memory."""

_DISK_BYTES = 256 << 20
_PORTS = range(20_000, 32_000)  # below those the system gives to outgoing connections
_IDENTITY_FILES = ("ca.pem", "device.pem", "device.key")


def emulated_processor(target: Target) -> Processor:
    """The processor of a target.

    Raises:
        UsageError: it names none, so there is nothing to emulate.
    """
    if target.processor is None:
        known = [name for name in target_names() if load_target(name).processor is not None]
        raise UsageError(
            f"target {target.name!r} names no processor",
            expected=describe_known(target.name, known),
            action="choose the board that is to be emulated",
        )
    return target.processor


def make_machine(name: str, target: Target, image: MachineImage, *, paths: Paths, clock: Clock) -> Machine:
    """Make a machine that does not run yet, with its certificate and its entry in the inventory.

    Raises:
        UsageError: a device that is no machine has the name, or a file cannot be written.
        StateError: its disk cannot be made.
    """
    processor = emulated_processor(target)
    folder = machines_folder(paths) / name
    machine = Machine(folder, name, target.name, _free_port(), image.folder, secrets.token_hex(16))
    device = add_device(name, machine.address, paths=paths, clock=clock, architecture="aarch64", always_certified=True)
    try:
        identity = device.identity or identities_folder(paths) / name
        files = seed_files(machine, processor, {file: (identity / file).read_bytes() for file in _IDENTITY_FILES})
        # Renamed when whole, so there is nothing left to clean up then.
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".making-", ignore_cleanup_errors=True) as temporary:
            staged = Machine(Path(temporary), name, target.name, machine.port, image.folder, machine.identifier)
            write_private(staged.seed, seed_archive(files))
            _make_disk(staged, image)
            staged.saved()
            staged.folder.rename(folder)
    except BaseException:
        remove_machine(machine, paths=paths)
        raise
    return machine


def start_machine(machine: Machine) -> Machine:
    """Start QEMU for a machine that does not run; it goes on when this process ends.

    Raises:
        StateError: its image is gone, or QEMU does not start.
    """
    image = MachineImage(machine.image)
    if not image.whole:
        raise StateError(
            f"the image of {machine.name} is gone from {machine.image}",
            expected="the one its disk lies over",
            action=f"run `edgectl qemu down {machine.name}`, then `edgectl qemu up`",
        )
    target = load_target(machine.target)
    program = find_programs("qemu-system-aarch64")["qemu-system-aarch64"]
    command = machine_command(
        machine, target, emulated_processor(target), program=program, processors=os.cpu_count() or 1
    )
    os.utime(image.folder)  # images that are not used for long are removed
    rotate_console(machine)
    started = machine.saved(answered=False, stopped=False)
    try:
        run_program(command, what=f"starting {machine.name}", folder=machine.folder)
    except BaseException:
        cut_power(machine)
        raise
    return started


def remove_machine(machine: Machine, *, paths: Paths) -> None:
    """End a machine and remove all that is known of it; what is gone already is no error."""
    cut_power(machine)
    if machine.folder.exists():
        doomed = machine.folder.with_name(f".removed-{machine.name}-{secrets.token_hex(4)}")
        machine.folder.rename(doomed)
        shutil.rmtree(doomed, ignore_errors=True)
    discard_device(machine.name, paths=paths)


def remove_leavings(paths: Paths) -> None:
    """Remove what a killed process left half-made; the caller holds the lock."""
    folder = machines_folder(paths)
    for left in (*folder.glob(".making-*"), *folder.glob(".removed-*")):
        shutil.rmtree(left, ignore_errors=True)


def check_names(names: Iterable[str], *, paths: Paths) -> None:
    """Refuse where a device that is no machine has a name; an entry that a killed `up` left behind is removed.

    Raises:
        UsageError: one has.
    """
    devices = {device.name: device for device in inventory_of(paths).devices()}
    for name in names:
        device = devices.get(name)
        if device is None:
            continue
        if not _left_behind(device, paths):
            raise UsageError(
                f"a device {name!r} at {device.address} is in the inventory, and no emulated machine of that name",
                expected="names of the form qemu-N for emulated machines alone",
                action=f"run `edgectl device remove {name}`",
            )
        discard_device(name, paths=paths)


def check_entry(machine: Machine, *, paths: Paths) -> None:
    """Put a machine back into the inventory where `edgectl device remove` took it out.

    Raises:
        UsageError: the entry is another device's.
    """
    inventory = inventory_of(paths)
    identity = identities_folder(paths) / machine.name
    ours = Device(machine.name, machine.address, architecture="aarch64", identity=identity)
    known = {device.name: device for device in inventory.devices()}.get(machine.name)
    if known is None:
        inventory.add(ours)
    elif known.address != machine.address:
        raise UsageError(
            f"the inventory has {machine.name} at {known.address}",
            expected=f"the emulated machine's {machine.address}",
            action=f"run `edgectl device remove {machine.name}`, then `edgectl qemu up`",
        )


def check_room(count: int, new: int, target: Target, *, folder: Path) -> None:
    """Refuse where memory for `count` machines to start, or disk for `new` ones, is not there.

    Raises:
        StateError: it is not.
    """
    each = target.memory_bytes + HOST_OVERHEAD_BYTES
    free = psutil.virtual_memory().available
    if count * each > free:
        raise StateError(
            f"{count} machines of {target.memory_bytes >> 20} MiB take up to {count * each >> 20} MiB with QEMU, "
            f"and {free >> 20} MiB of memory are free",
            expected=f"at most {free // each} of target {target.name}",
            action="give a smaller --count, another --target, or end other machines: `edgectl qemu down`",
        )
    make_private_folder(folder)
    space = shutil.disk_usage(folder).free
    if new * _DISK_BYTES > space:
        raise StateError(
            f"{space >> 20} MiB free in {folder}",
            expected=f"{new * _DISK_BYTES >> 20} MiB for what {new} machines write",
            action="free some space, or set EDGECTL_HOME to a folder on another disk",
        )


def _left_behind(device: Device, paths: Paths) -> bool:
    """Only `up` gives a device on loopback a certificate in this place."""
    return device.identity == identities_folder(paths) / device.name and device.address.startswith("127.0.0.1:")


def _make_disk(machine: Machine, image: MachineImage) -> None:
    program = find_programs("qemu-img")["qemu-img"]
    command = [program, "create", "-q", "-f", "qcow2", "-F", "raw", "-b", str(image.disk)]
    run_program([*command, str(machine.disk), f"{DISK_MIB}M"], what=f"making the disk of {machine.name}")


def _free_port() -> int:
    for port in random.sample(_PORTS, k=200):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise StateError(
        f"no free port on 127.0.0.1 from {_PORTS.start} to {_PORTS.stop - 1}", action="end what listens there"
    )
