# SPDX-License-Identifier: Apache-2.0
"""The packages for boards, really built: what is in them, where they run, and that another folder gives the same bytes.

The compiler does most of the time: aarch64 once, once more elsewhere, and this machine's architecture once.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from board_packages.architecture import ARCHITECTURES
from board_packages.build import Workplace, make_deb, make_wheel
from board_packages.committed import Ceilings, read_committed
from board_packages.debian import PYTHONS

from tests.agents import deploy, hello, infer, running_agent
from tests.program_bundles import make_bundle
from tests.programs import golden_inputs, golden_outputs, small_cnn_program

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "boards"
AARCH64 = ARCHITECTURES["aarch64"]
HERE = ARCHITECTURES[platform.machine()]
COMMITTED = read_committed()


@pytest.fixture(scope="module")
def aarch64_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_wheel(Workplace(ROOT, BUILD, tmp_path_factory.mktemp("aarch64")), AARCH64, COMMITTED)


@pytest.fixture(scope="module")
def unpacked(aarch64_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The aarch64 wheel's programs and libraries where pip puts them."""
    folder = tmp_path_factory.mktemp("board")
    with zipfile.ZipFile(aarch64_wheel) as archive:
        archive.extractall(folder / "wheel")
    data = next((folder / "wheel").glob("*.data"))
    shutil.move(data / "data" / "lib", folder / "lib")
    shutil.move(data / "scripts", folder / "bin")
    (folder / "bin" / "edge-runner").chmod(0o755)
    return folder


def _files(unpacked: Path) -> list[Path]:
    return [unpacked / "bin" / "edge-runner", *sorted((unpacked / "lib" / "edgectl").iterdir())]


def _shown(*command: str | Path) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        env=os.environ | {"LC_ALL": "C"},
    )
    return done.stdout


def test_the_aarch64_wheel_is_small_and_holds_what_is_committed(aarch64_wheel: Path) -> None:
    assert aarch64_wheel.stat().st_size <= 6_000_000
    with zipfile.ZipFile(aarch64_wheel) as archive:
        assert archive.testzip() is None
        sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
        metadata = archive.read("edgectl_agent-0.1.0.dist-info/METADATA").decode()
    data = "edgectl_agent-0.1.0.data/data/lib/edgectl/"
    libraries = {path.removeprefix(data): size for path, size in sizes.items() if path.startswith(data)}
    assert libraries == COMMITTED.libraries["aarch64"]
    assert tuple(re.findall(r"^Requires-Dist: (.+)$", metadata, flags=re.MULTILINE)) == COMMITTED.requires
    licences = set(re.findall(r"^License-File: (.+)$", metadata, flags=re.MULTILINE))
    assert {"LICENSE", "executorch.txt", "XNNPACK.txt", "cpuinfo.txt", "pthreadpool.txt", "BUNDLED.txt"} <= licences
    assert all(f"edgectl_agent-0.1.0.dist-info/licenses/{name}" in sizes for name in licences)


def test_the_tag_names_the_newest_glibc_symbol_in_any_of_its_files(aarch64_wheel: Path, unpacked: Path) -> None:
    """Read from the dynamic symbols themselves, another way than the build reads it."""
    symbols = "".join(_shown(f"{AARCH64.triplet}-objdump", "-T", path) for path in _files(unpacked))
    newest = max(tuple(map(int, found.split("."))) for found in re.findall(r"\bGLIBC_([0-9.]+)", symbols))
    assert aarch64_wheel.name.endswith(f"-py3-none-manylinux_{newest[0]}_{newest[1]}_aarch64.whl")


def test_every_file_loads_on_kernels_with_pages_of_16_kib(unpacked: Path) -> None:
    for path in _files(unpacked):
        segments = re.findall(r"^\s+LOAD\s.*\s(0x[0-9a-f]+)$", _shown("readelf", "-lW", path), flags=re.MULTILINE)
        assert segments
        assert all(int(alignment, 16) >= 1 << 14 for alignment in segments), path.name


def test_the_runner_looks_for_its_libraries_beside_itself_and_names_no_path_of_the_build(unpacked: Path) -> None:
    runner = unpacked / "bin" / "edge-runner"
    paths = re.findall(r"\((?:RUNPATH|RPATH)\).*\[(.*)\]", _shown("readelf", "-dW", runner))
    assert paths == ["$ORIGIN/../lib/edgectl"]
    assert not re.search(rb"/build/boards|device_agent|site-packages", runner.read_bytes())


def test_the_aarch64_runner_computes_under_emulation_what_eager_torch_did(
    unpacked: Path, program_directory: Path
) -> None:
    program = small_cnn_program(program_directory)
    (given,) = golden_inputs(program)
    (wanted,) = golden_outputs(program)
    emulated: Sequence[str | Path] = ("qemu-aarch64", "-L", "/usr/aarch64-linux-gnu", unpacked / "bin" / "edge-runner")
    assert re.search(r"on aarch64, \d+ kernels, XnnpackBackend", _shown(*emulated, "info"))
    _shown(*emulated, "run", program, "--input", given, "--expect", wanted, "--atol", "1e-4", "--rtol", "1e-3")


def test_another_checkout_in_another_folder_gives_the_same_bytes(aarch64_wheel: Path, tmp_path: Path) -> None:
    root = tmp_path / "a folder" / "checkout"
    left_out = shutil.ignore_patterns("__pycache__", "*.pyc")
    for folder in ("device_agent", "protos"):
        shutil.copytree(ROOT / folder, root / folder, ignore=left_out)
    shutil.copyfile(ROOT / "LICENSE", root / "LICENSE")
    place = Workplace(root, root / "build", tmp_path / "dist")
    shutil.copytree(BUILD / "download", place.build / "download")
    again = make_wheel(place, AARCH64, COMMITTED)
    assert again.name == aarch64_wheel.name
    assert again.read_bytes() == aarch64_wheel.read_bytes()


def test_a_fresh_environment_installs_the_wheel_and_its_agent_infers(tmp_path: Path, program_directory: Path) -> None:
    wheel = make_wheel(Workplace(ROOT, BUILD, tmp_path / "dist"), HERE, COMMITTED)
    environment = tmp_path / "venv"
    _shown(sys.executable, "-m", "venv", "--without-pip", environment)
    pip = (sys.executable, "-m", "pip", "--python", environment / "bin" / "python")
    _shown(*pip, "install", "--quiet", "--only-binary=:all:", wheel)
    _shown(*pip, "check")
    installed = set(re.findall(r"^([\w-]+)==", _shown(*pip, "list", "--format=freeze"), flags=re.MULTILINE))
    assert {name.replace("_", "-") for name in installed} == {
        "edgectl-agent",
        "grpcio",
        "paho-mqtt",
        "protobuf",
        "typing-extensions",
    }
    _answers(tmp_path / "state", [environment / "bin" / "edge-agent"], program_directory)


def test_the_debian_package_runs_with_nothing_but_the_standard_library_beside_it(
    tmp_path: Path, program_directory: Path
) -> None:
    """Unpacked, not installed: `edge-agent` finds its libraries from where it lies. Compressed little, to be quick."""
    roomy = replace(COMMITTED, ceilings={HERE.name: Ceilings(wheel=0, deb=20_000_000)})
    package = make_deb(Workplace(ROOT, BUILD, tmp_path / "dist"), HERE, roomy, level=1)
    board = tmp_path / "board"
    _shown("dpkg-deb", "-x", package, board)
    agent = (sys.executable, "-IS", board / "usr/bin/edge-agent")
    mine = "{}.{}".format(*sys.version_info[:2])
    if mine in PYTHONS:
        runner = board / "usr/bin/edge-runner"
        _answers(tmp_path / "state", agent, program_directory, "--runner", str(runner))
        shutil.rmtree(board / f"usr/lib/edgectl-agent/python{mine}")
    refused = subprocess.run([*agent, "version"], capture_output=True, text=True, timeout=30, check=False)
    assert refused.returncode == 1
    assert re.fullmatch(
        rf"edge-agent: python{mine} runs it; this package has grpc for python3\.\d+.*; install the agent's wheel.*\n",
        refused.stderr,
    )


def _answers(state: Path, agent: Sequence[str | Path], program_directory: Path, *arguments: str) -> None:
    """Start that agent, deploy a program to it, and compare an inference with eager torch's result."""
    program = small_cnn_program(program_directory)
    with running_agent(state, *arguments, program=agent) as running, running.stub() as stub:
        assert hello(stub).architecture == platform.machine()
        bundle = make_bundle(state.parent, program)
        deploy(stub, bundle)
        reply = infer(stub, bundle.name, *(np.load(path) for path in golden_inputs(program)))
        wanted = np.load(golden_outputs(program)[0])
        got = np.frombuffer(reply.outputs[0].data, dtype=wanted.dtype).reshape(wanted.shape)
        np.testing.assert_allclose(got, wanted, rtol=1e-3, atol=1e-4)
        assert running.terminate() == 0
