# SPDX-License-Identifier: Apache-2.0
"""A whole emulated board: made by `edgectl qemu up`, deployed to, asked, cut off from power, taken down.

One machine serves all tests of this module, in their order: it takes half a minute to start.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from edgectl.config import Paths
from edgectl.fleet.inventory import inventory_of
from edgectl.lab.client import AgentClient
from edgectl.lab.devices import open_device
from edgectl.lab.protocol import SHORT
from edgectl_protos.errors import ExitCode, UnreachableError, UsageError
from edgectl_protos.metrics import MetricName

from tests.agents import eventually
from tests.emulated import board_bundle
from tests.program_bundles import Bundle
from tests.programs import golden_inputs, golden_outputs, layered_program, small_cnn_program

NAME = "qemu-0"
TARGET = "pi-zero-2w"  # the smallest

pytestmark = pytest.mark.timeout(600)


@dataclasses.dataclass(frozen=True)
class Home:
    """edgectl's folders, and its command line run in them."""

    paths: Paths
    environ: dict[str, str]

    def start(self, *words: str, **options: Any) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", "import sys; from edgectl.cli.main import main; sys.exit(main())", *words]
        return subprocess.Popen(command, env=os.environ | self.environ, **options)

    def run(self, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        with self.start(*words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            stdout, stderr = process.communicate(stdin)
        return subprocess.CompletedProcess(words, process.returncode, stdout, stderr)

    def json(self, *words: str) -> Any:
        done = self.run(*words, "-o", "json")
        assert done.returncode == 0, done.stderr.decode()
        return json.loads(done.stdout)

    def inside(self, *words: str) -> str:
        """What a command in the machine writes."""
        done = self.run("qemu", "exec", NAME, "--", *words)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    @contextlib.contextmanager
    def client(self) -> Iterator[AgentClient]:
        with open_device(NAME, paths=self.paths) as client:
            yield client

    def processes(self) -> list[int]:
        """Of QEMU, with a disk in our folder."""
        mine = [
            process
            for process in psutil.process_iter(["cmdline", "status"])
            if any(str(self.paths.state) in word for word in process.info["cmdline"] or [])
        ]
        return [process.pid for process in mine if process.info["status"] != psutil.STATUS_ZOMBIE]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config, board_wheel: Path) -> Iterator[Home]:
    """Debian's packages are kept between test sessions, as `edgectl qemu` keeps them; the image is made anew."""
    root = tmp_path_factory.mktemp("home")
    kept = pytestconfig.cache.mkdir("emulated-machine")
    (root / "cache").symlink_to(kept)
    paths = Paths(config=root / "config", state=root / "state", cache=root / "cache")
    made = Home(paths, {"EDGECTL_HOME": str(root), "EDGECTL_BOARD_WHEEL": str(board_wheel)})
    try:
        yield made
    finally:
        made.run("qemu", "down")
        for image in kept.glob("qemu/image-*"):
            subprocess.run(["rm", "-r", str(image)], check=True)


@pytest.fixture(scope="module")
def machine(home: Home) -> dict[str, Any]:
    """What `up` says of the machine."""
    done: dict[str, Any] = home.json("qemu", "up", "--target", TARGET)
    return done


@pytest.fixture(scope="module")
def program(program_directory: Path) -> Path:
    return small_cnn_program(program_directory)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, program: Path) -> Bundle:
    return board_bundle(tmp_path_factory.mktemp("bundle"), program)


def answer(client: AgentClient, bundle: Bundle, program: Path) -> None:
    """Ask the active program; it is right."""
    inputs = [np.load(path) for path in golden_inputs(program)]
    expected = [np.load(path) for path in golden_outputs(program)]
    for got, wanted in zip(client.infer(bundle.name, inputs).outputs, expected, strict=True):
        np.testing.assert_allclose(got, wanted, atol=1e-5)


def test_up_makes_a_device_of_the_targets_processor_and_memory(home: Home, machine: dict[str, Any]) -> None:
    assert [entry["name"] for entry in machine["machines"]] == [NAME]
    assert machine["image_seconds"] > 0
    (listed,) = home.json("device", "list")
    assert (listed["name"], listed["architecture"]) == (NAME, "aarch64")
    assert listed["address"] == machine["machines"][0]["address"]
    shown = home.json("device", "show", NAME)
    assert (shown["architecture"], shown["core"]) == ("aarch64", "cortex-a53")
    assert shown["emulator"] == "qemu-system cortex-a53"
    assert 400 << 20 < shown["memory_bytes"] < 512 << 20
    (status,) = home.json("qemu", "ls")
    assert (status["state"], status["target"], [status["pid"]]) == ("running", TARGET, home.processes())


@pytest.mark.usefixtures("machine")
def test_the_agent_wants_mutual_tls_although_the_address_is_loopback(home: Home) -> None:
    address = inventory_of(home.paths).find(NAME).address
    with AgentClient(address) as client, pytest.raises(UnreachableError, match="want mutual TLS"):
        client.hello()


def test_up_again_changes_nothing(home: Home, machine: dict[str, Any]) -> None:
    before = home.processes()
    again = home.json("qemu", "up", "--target", TARGET)
    assert [entry["address"] for entry in again["machines"]] == [entry["address"] for entry in machine["machines"]]
    assert (again["image_seconds"], again["machines"][0]["seconds"]) == (None, None)
    assert home.processes() == before


@pytest.mark.usefixtures("machine")
def test_a_command_inside_gives_its_output_its_errors_and_its_status(home: Home) -> None:
    done = home.run("qemu", "exec", "-i", NAME, "--", "sh", "-c", "cat; echo -n wrong >&2; exit 7", stdin=b"in\0\xff")
    assert (done.returncode, done.stdout, done.stderr) == (7, b"in\0\xff", b"wrong")
    assert home.inside("hostname") == f"{NAME}\n"


@pytest.mark.usefixtures("machine")
def test_the_agent_runs_as_the_unit_that_boards_get(home: Home) -> None:
    wanted = ("DynamicUser", "MemoryMax", "NoNewPrivileges", "Type", "WatchdogUSec", "NRestarts", "ActiveState")
    lines = home.inside("systemctl", "show", "edge-agent", f"--property={','.join(wanted)}").splitlines()
    unit = dict(line.split("=", 1) for line in lines)
    assert (unit["ActiveState"], unit["NRestarts"]) == ("active", "0")
    assert (unit["DynamicUser"], unit["NoNewPrivileges"], unit["Type"]) == ("yes", "yes", "notify")
    assert unit["WatchdogUSec"] == "1min"
    assert 0 < int(unit["MemoryMax"]) < 512 << 20  # the kernel's memory controller holds it
    user = home.inside("sh", "-c", "ps -o uid= -p $(systemctl show -P MainPID edge-agent)")
    assert int(user) >= 61184  # of those that systemd gives for a service's life
    assert home.inside("stat", "-c", "%U %a", "/etc/edgectl/identity/device.key") == "root 600\n"


@pytest.mark.usefixtures("machine")
def test_a_bundle_is_deployed_and_answers_and_its_memory_is_the_boards(
    home: Home, bundle: Bundle, program: Path, program_directory: Path, tmp_path: Path
) -> None:
    deployed = home.json("deploy", str(bundle.path), "--to", NAME)
    assert deployed["digest"] == bundle.digest
    with home.client() as client:
        answer(client, bundle, program)
        wanted = (MetricName.RUNNER_RSS, bundle.name)
        record = next(record for record in client.telemetry() if record.reading(wanted[0], model=wanted[1]) is not None)
        for name, model in ((MetricName.AGENT_PSS, None), wanted):
            reading = record.reading(name, model=model)
            assert isinstance(reading, float)
            assert reading > 1 << 20
        with pytest.raises(UsageError, match="milliseconds on a board that qemu-system cortex-a53 emulates"):
            client.benchmark(bundle.name, "", SHORT)
    other = board_bundle(tmp_path, layered_program(program_directory), name=bundle.name)
    assert home.json("deploy", str(other.path), "--on", NAME)["previous_digest"] == bundle.digest
    assert home.json("rollback", bundle.name, "--on", NAME)["digest"] == bundle.digest


@pytest.mark.usefixtures("machine")
def test_after_a_power_cut_the_deployed_model_is_active_and_answers(home: Home, bundle: Bundle, program: Path) -> None:
    home.json("deploy", str(bundle.path), "--on", NAME)
    before = home.json("device", "show", NAME)
    (killed,) = home.processes()
    cut = home.json("qemu", "power-cut", NAME)
    assert cut["seconds"] > 0
    assert home.processes() != [killed]
    with home.client() as client:
        info = client.hello()
        assert info.boot_id != before["boot_id"]
        assert [(model.digest, model.active) for model in info.models if model.active] == [(bundle.digest, True)]
        answer(client, bundle, program)
    assert "EXT4-fs (vda): recovery complete" in home.inside("dmesg")
    assert "ready" in home.run("qemu", "logs", NAME, "--agent").stdout.decode()
    assert "Power down" not in home.run("qemu", "logs", NAME, "--previous").stdout.decode()


@pytest.mark.usefixtures("machine")
def test_an_interrupted_up_takes_back_what_it_made_and_leaves_what_was_there(home: Home) -> None:
    (present,) = home.processes()
    process = home.start(
        "qemu", "up", "--count", "2", "--target", TARGET, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    eventually(lambda: len(home.processes()) == 2, seconds=120)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    assert process.returncode == ExitCode.INTERRUPTED
    assert said.decode().splitlines()[-1] == "interrupted"
    assert home.processes() == [present]
    assert [device.name for device in inventory_of(home.paths).devices()] == [NAME]
    assert [entry.name for entry in (home.paths.config / "identities").iterdir()] == [NAME]
    assert {entry.name for entry in (home.paths.state / "qemu").iterdir()} == {"lock", NAME}


@pytest.mark.usefixtures("machine")
def test_a_machine_that_died_is_seen_to_be_dead_and_starts_again_from_its_disk(
    home: Home, bundle: Bundle, program: Path
) -> None:
    os.kill(home.processes()[0], signal.SIGKILL)
    eventually(lambda: not home.processes())
    assert home.json("qemu", "ls")[0]["state"] == "dead"
    refused = home.run("qemu", "exec", NAME, "--", "true")
    assert refused.returncode == ExitCode.ERROR
    assert b"qemu-0 is dead" in refused.stderr
    started = home.json("qemu", "up", "--target", TARGET)
    assert started["machines"][0]["seconds"] is not None
    with home.client() as client:
        answer(client, bundle, program)


@pytest.mark.usefixtures("machine")
def test_down_leaves_no_process_no_file_and_no_entry(home: Home) -> None:
    assert home.json("qemu", "down") == {"removed": [NAME]}
    assert home.processes() == []
    assert inventory_of(home.paths).devices() == ()
    assert list((home.paths.config / "identities").iterdir()) == []
    assert [entry.name for entry in (home.paths.state / "qemu").iterdir()] == ["lock"]
    assert home.json("qemu", "down") == {"removed": []}
