# SPDX-License-Identifier: Apache-2.0
"""A whole emulated board against its bars: the time to a Hello, and what the agent takes of the board's memory.

`edgectl qemu up` is timed to the device's Hello: once with nothing built (packages are fetched, the image is made), and
once from the built image. In the machine, the agent's proportional and resident memory are read after it has been idle:
the service as boards run it (gRPC), then an agent with MQTT alone, which sends its telemetry to a broker on this host,
over TLS and in plain text. Its cold start is systemd's own: from the start of its process until it says that it is
ready; it is emulated, so it says nothing of a board. A power cut is timed from the SIGKILL to the next Hello. Last
line: every figure beside its bar.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edgectl.config import Paths
from edgectl.emulate.board_wheel import find_board_wheel
from edgectl.emulate.machine import Machine
from edgectl.emulate.machine_exec import run_command
from edgectl.emulate.machines import Machines
from edgectl.fleet.authority import Authority, utc_now
from edgectl.lab.client import Deadlines
from edgectl.lab.devices import open_device
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

FIRST_BAR_SECONDS = 90.0
CACHED_BAR_SECONDS = 45.0
GRPC_BAR_BYTES = 40e6
MQTT_BAR_BYTES = 22e6
BROKER = "broker"
HOST_IN_GUEST = "10.0.2.2"


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure; `bar` None: only reported."""

    name: str
    value: float
    unit: str
    bar: float | None

    @property
    def short(self) -> bool:
        return self.bar is not None and self.value > self.bar

    def text(self) -> str:
        bar = "" if self.bar is None else f" (bar {self.bar:g}{', falls short' if self.short else ''})"
        return f"{self.name} {self.value:.1f} {self.unit}{bar}"


@dataclass(frozen=True, slots=True)
class Memory:
    """Of a process in the machine, in bytes."""

    pss: int
    rss: int

    def text(self) -> str:
        return f"PSS {self.pss / 1e6:.1f} MB, RSS {self.rss / 1e6:.1f} MB"


class Phases:
    """A `MachineObserver` that prints each phase with the time since the last."""

    def __init__(self) -> None:
        self._begin = time.monotonic()

    def image_advanced(self, step: str, fraction: float) -> None:
        self._print(f"image {fraction:.0%}: {step}")

    def machine_advanced(self, name: str, phase: str, fraction: float) -> None:
        del fraction
        self._print(f"{name}: {phase}")

    def waiting_for_another(self) -> None:
        self._print("waiting")

    def _print(self, text: str) -> None:
        print(f"  {time.monotonic() - self._begin:6.1f} s  {text}", file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--idle", type=float, default=300.0, metavar="SECONDS", help="before memory is read")
    parser.add_argument("--target", default="pi4")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        paths = Paths(config=root / "config", state=root / "state", cache=root / "cache")
        machines = Machines(paths, greet=lambda name: greet(name, paths), clock=utc_now, observer=Phases())
        try:
            figures = measured(machines, paths, target=given.target, idle=given.idle)
        finally:
            machines.down([])
    print("; ".join(figure.text() for figure in figures) + f"; load {os.getloadavg()[0]:.1f} at the end")
    return 1 if any(figure.short for figure in figures) else 0


def measured(machines: Machines, paths: Paths, *, target: str, idle: float) -> list[Figure]:
    first = timed_up(machines, paths, target)
    figures = [Figure("first up", first, "s", FIRST_BAR_SECONDS)]
    machines.down([])
    figures.append(Figure("up from cache", timed_up(machines, paths, target), "s", CACHED_BAR_SECONDS))
    machine = machines.find("qemu-0")
    figures.append(Figure("agent's cold start, emulated", cold_start(machine), "s", None))
    with_grpc = idle_memory(machine, inside(machine, "systemctl", "show", "-P", "MainPID", "edge-agent"), idle)
    print(f"with gRPC, after {idle:g} s idle: {with_grpc.text()}", flush=True)
    figures.append(Figure("PSS with gRPC", with_grpc.pss / 1e6, "MB", GRPC_BAR_BYTES / 1e6))
    for secured, channel in ((True, "TLS"), (False, "plain text on the board's loopback")):
        alone = mqtt_memory(machine, paths, idle, secured=secured)
        print(f"with MQTT alone, {channel}, after {idle:g} s idle: {alone.text()}", flush=True)
        figures.append(Figure(f"PSS with MQTT alone, {channel}", alone.pss / 1e6, "MB", MQTT_BAR_BYTES / 1e6))
    figures.append(Figure("power cut to Hello", machines.power_cut("qemu-0").seconds or 0.0, "s", None))
    return figures


def timed_up(machines: Machines, paths: Paths, target: str) -> float:
    begin = time.monotonic()
    load = os.getloadavg()[0]
    done = machines.up(1, target, lambda: find_board_wheel(paths, os.environ))
    seconds = time.monotonic() - begin
    image = "cached" if done.image_seconds is None else f"{done.image_seconds:.1f} s"
    print(f"up: {seconds:.1f} s, image {image}, load {load:.1f} on {os.cpu_count()} cores", flush=True)
    return seconds


def greet(name: str, paths: Paths) -> None:
    with open_device(name, paths=paths, deadlines=Deadlines(hello=5.0)):
        pass


def cold_start(machine: Machine) -> float:
    """Seconds from the start of the service's process at boot until it was ready."""
    begin, end = (
        int(inside(machine, "systemctl", "show", "-P", name, "edge-agent"))
        for name in ("ExecMainStartTimestampMonotonic", "ActiveEnterTimestampMonotonic")
    )
    return (end - begin) / 1e6


def idle_memory(machine: Machine, pid: str, idle: float) -> Memory:
    time.sleep(idle)
    text = inside(machine, "cat", f"/proc/{pid}/smaps_rollup")
    sizes = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in text.splitlines() if line.endswith("kB")}
    return Memory(pss=sizes["Pss"], rss=sizes["Rss"])


def mqtt_memory(machine: Machine, paths: Paths, idle: float, *, secured: bool) -> Memory:
    """Of an agent with MQTT alone; no other Python runs, so that it shares no pages.

    Plain text is for loopback alone: in the machine, a relay listens there for the broker on the host.
    """
    inside(machine, "systemctl", "stop", "edge-agent")
    with broker(paths, secured=secured) as port:
        if secured:
            address = f"{BROKER}.device.edgectl:{port}"
            inside(machine, "sh", "-c", f"echo '{HOST_IN_GUEST} {BROKER}.device.edgectl' >> /etc/hosts")
            trust = "--mqtt-ca /etc/edgectl/identity/ca.pem"
        else:
            address, trust = "127.0.0.1:1883", ""
            start(machine, f"busybox nc -ll -p 1883 -e busybox nc {HOST_IN_GUEST} {port}")
        # As the service runs on boards, without docstrings.
        agent = f"env PYTHONOPTIMIZE=2 edge-agent run --device {machine.name} --state /var/lib/mqtt-alone --no-grpc"
        pid = start(machine, f"{agent} --mqtt {address} {trust}")
        await_telemetry(port, paths, secured=secured)
        memory = idle_memory(machine, pid, idle)
        inside(machine, "kill", pid)
    return memory


def start(machine: Machine, command: str) -> str:
    """Leave a command running in the machine; its process's number."""
    return inside(machine, "sh", "-c", f"setsid {command} > /dev/null 2>&1 < /dev/null & echo $!")


@contextmanager
def broker(paths: Paths, *, secured: bool) -> Iterator[int]:
    """A mosquitto on loopback, where `secured` with a certificate of the lab's; its port."""
    program = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        raise SystemExit("mosquitto is not installed: apt-get install mosquitto")
    identity = Authority.open(paths.config / "authority", utc_now).issue_device(BROKER, paths.config / "identities")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    configuration = paths.state / "mosquitto.conf"
    files = (
        f"cafile {identity}/ca.pem\ncertfile {identity}/device.pem\nkeyfile {identity}/device.key\n" if secured else ""
    )
    user = "user root\n" if os.geteuid() == 0 else ""
    configuration.write_text(f"{user}listener {port} 127.0.0.1\n{files}allow_anonymous true\n")
    process = subprocess.Popen(
        [program, "-c", str(configuration)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        yield port
    finally:
        process.kill()
        process.wait()


def await_telemetry(port: int, paths: Paths, *, secured: bool) -> None:
    """Until the broker has had a message: an agent that does not reach it is no idle agent."""
    heard: list[str] = []
    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    if secured:
        client.tls_set(str(paths.config / "authority" / "ca.pem"))
        client.tls_insecure_set(value=True)  # its name is not loopback's; the authority is checked
    client.on_message = lambda _client, _data, message: heard.append(message.topic)
    client.connect("127.0.0.1", port)
    client.subscribe("#")
    deadline = time.monotonic() + 120
    while not any("telemetry" in topic for topic in heard):
        if time.monotonic() > deadline:
            raise SystemExit(f"no telemetry arrived at the broker in 120 s, only {heard[:3]}")
        client.loop(timeout=0.5)
    client.disconnect()


def inside(machine: Machine, *words: str) -> str:
    result = run_command(machine, words)
    if result.exit_code != 0:
        raise SystemExit(f"{' '.join(words)} ended with {result.exit_code}: {result.stderr.decode(errors='replace')}")
    return result.stdout.decode().strip()


if __name__ == "__main__":
    sys.exit(main())
