# SPDX-License-Identifier: Apache-2.0
"""The files by which programs on a board learn what its processor is, made from the board's profile. Pure.

The runtime's kernels are chosen by cpuinfo (pytorch/cpuinfo, src/arm/linux), which reads /proc/cpuinfo and
/sys/devices/system/cpu: under a user-mode emulator it would read the host's and know no Arm core.
"""

from __future__ import annotations

from edgectl.targets import Processor, Target

_CPU = "sys/devices/system/cpu"


def sysroot_files(target: Target, processor: Processor) -> dict[str, bytes]:
    """Contents by path below the sysroot."""
    possible = f"0-{processor.cores - 1}\n" if processor.cores > 1 else "0\n"
    frequency = f"{processor.frequency_mhz * 1000}\n"
    texts = {
        "proc/cpuinfo": _cpuinfo(target, processor),
        "proc/meminfo": f"MemTotal:       {target.memory_bytes // 1024} kB\n",
        f"{_CPU}/possible": possible,
        f"{_CPU}/present": possible,
        f"{_CPU}/kernel_max": "255\n",
        **{f"{_CPU}/cpu{core}/cpufreq/cpuinfo_max_freq": frequency for core in range(processor.cores)},
    }
    return {path: text.encode() for path, text in texts.items()}


def _cpuinfo(target: Target, processor: Processor) -> str:
    """As arch/arm64/kernel/cpuinfo.c in Linux prints it, and at the end the board as Raspberry Pi's kernel adds it."""
    core = (
        f"Features\t: {' '.join(processor.features)}\n"
        f"CPU implementer\t: {processor.implementer:#04x}\n"
        f"CPU architecture: {processor.architecture}\n"
        f"CPU variant\t: {processor.variant:#x}\n"
        f"CPU part\t: {processor.part:#05x}\n"
        f"CPU revision\t: {processor.revision}\n\n"
    )
    cores = "".join(f"processor\t: {number}\n{core}" for number in range(processor.cores))
    return cores + (f"Model\t\t: {target.board}\n" if target.board else "")
