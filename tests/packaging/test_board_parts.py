# SPDX-License-Identifier: Apache-2.0
"""The rules by which packages for boards are made: what is committed, what a tag may say, bytes that do not vary."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import os
import platform
import re
import shutil
import subprocess
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from board_packages.__main__ import main
from board_packages.architecture import ARCHITECTURES
from board_packages.archive import Member
from board_packages.committed import (
    check_libraries,
    check_needed,
    check_requires,
    check_size,
    read_committed,
)
from board_packages.debian import (
    control_file,
    pack_tree,
    package_members,
    python_depends,
    service_unit,
    write_control,
    write_tree,
)
from board_packages.debian_python import distribution_members
from board_packages.distribution import python_members, read_distribution
from board_packages.elf import ElfFacts, read_elf
from board_packages.platform_tag import needed_versions, oldest_system, platform_tag
from board_packages.runner import build_runner
from board_packages.sdk import UnpackedSdk, unpack_sdk
from board_packages.wheel import Wheel, build_wheel
from edgectl_protos.errors import StateError

ROOT = Path(__file__).resolve().parents[2]
PACKAGING = ROOT / "device_agent" / "packaging"
AARCH64 = ARCHITECTURES["aarch64"]
COMMITTED = read_committed()

LIBRARY = ElfFacts(
    machine="AArch64",
    needed=("libc.so.6", "libexecutorch.so"),
    runpath="$ORIGIN",
    versions={"GLIBC": (2, 27), "GLIBCXX": (3, 4, 22)},
    page_bytes=1 << 16,
)


def _wheel(root: Path) -> Wheel:
    return build_wheel(
        read_distribution(root),
        platform="manylinux_2_34_aarch64",
        python=python_members(root),
        runner=b"\x7fELF runner",
        libraries=[Member("libexecutorch.so", b"\x7fELF library", executable=True)],
        licences=[Member("LICENSE", (ROOT / "LICENSE").read_bytes())],
    )


def _copy_of_the_checkout(target: Path) -> Path:
    for folder in ("device_agent/edgectl_agent", "protos/edgectl_protos"):
        shutil.copytree(ROOT / folder, target / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for project in ("device_agent/pyproject.toml", "protos/pyproject.toml"):
        shutil.copyfile(ROOT / project, target / project)
    return target


# --- The wheel's bytes ----------------------------------------------------------------------------------------------


def test_the_same_parts_give_the_same_bytes_in_another_folder_with_other_times_and_modes(tmp_path: Path) -> None:
    elsewhere = _copy_of_the_checkout(tmp_path / "elsewhere")
    for path in elsewhere.rglob("*"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
        path.chmod(0o700)
    assert _wheel(elsewhere) == _wheel(ROOT)


def test_one_changed_byte_gives_other_bytes(tmp_path: Path) -> None:
    elsewhere = _copy_of_the_checkout(tmp_path)
    with (elsewhere / "protos/edgectl_protos/errors.py").open("ab") as file:
        file.write(b"\n")
    assert _wheel(elsewhere).content != _wheel(ROOT).content


def test_the_record_has_the_digest_and_size_of_every_member() -> None:
    with zipfile.ZipFile(io.BytesIO(_wheel(ROOT).content)) as archive:
        assert archive.testzip() is None
        record = "edgectl_agent-0.1.0.dist-info/RECORD"
        rows = {path: (digest, size) for path, digest, size in csv.reader(archive.read(record).decode().splitlines())}
        assert sorted(rows) == sorted(archive.namelist())
        assert rows.pop(record) == ("", "")
        for path, (digest, size) in rows.items():
            content = archive.read(path)
            wanted = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
            assert (digest, size) == (f"sha256={wanted}", str(len(content)))


def test_only_the_runner_and_its_libraries_are_executable() -> None:
    with zipfile.ZipFile(io.BytesIO(_wheel(ROOT).content)) as archive:
        modes = {entry.filename: entry.external_attr >> 16 for entry in archive.infolist()}
    programs = {path for path, mode in modes.items() if mode == 0o100755}
    assert programs == {
        "edgectl_agent-0.1.0.data/scripts/edge-runner",
        "edgectl_agent-0.1.0.data/data/lib/edgectl/libexecutorch.so",
    }
    assert {mode for path, mode in modes.items() if path not in programs} == {0o100644}


def test_the_wheel_holds_both_packages_and_what_only_tools_read_is_left_out() -> None:
    with zipfile.ZipFile(io.BytesIO(_wheel(ROOT).content)) as archive:
        names = archive.namelist()
    assert {"edgectl_agent/__main__.py", "edgectl_agent/measure/reference.pte", "edgectl_protos/v1/agent_pb2.py"} <= {
        *names
    }
    assert not [name for name in names if re.search(r"__pycache__|\.pyi$|\.proto$|/\.", name)]


# --- What is committed ----------------------------------------------------------------------------------------------


def test_what_the_agent_requires_is_what_is_committed() -> None:
    check_requires(COMMITTED, read_distribution(ROOT).requires)


def test_a_new_dependency_fails_and_says_where_to_decide_on_it() -> None:
    with pytest.raises(StateError, match=r"the agent requires .*psutil>=6; expected .*board-packages\.toml") as failure:
        check_requires(COMMITTED, [*COMMITTED.requires, "psutil>=6"])
    assert "psutil" not in failure.value.expected


@pytest.mark.parametrize(
    "sizes",
    [
        {**COMMITTED.libraries["aarch64"], "libexecutorch_backend_openvino.so": 199_472},
        {**COMMITTED.libraries["aarch64"], "libexecutorch.so": 564_306},
        {"libexecutorch.so": 564_305},
    ],
    ids=["a library more", "a library that grew", "libraries that are gone"],
)
def test_other_libraries_fail_with_what_is_committed(sizes: dict[str, int]) -> None:
    check_libraries(COMMITTED, "aarch64", COMMITTED.libraries["aarch64"])
    with pytest.raises(StateError, match=r"libexecutorch\.so 564,30.*expected .*write it into .*board-packages\.toml"):
        check_libraries(COMMITTED, "aarch64", sizes)


def test_a_program_that_needs_a_library_no_board_has_fails() -> None:
    check_needed(COMMITTED, "aarch64", {"libexecutorch.so": LIBRARY})
    with pytest.raises(StateError, match=r"edge-runner needs libgomp\.so\.1; expected .*libstdc\+\+\.so\.6"):
        check_needed(COMMITTED, "aarch64", {"edge-runner": replace(LIBRARY, needed=("libc.so.6", "libgomp.so.1"))})


def test_a_package_that_outgrew_its_ceiling_fails() -> None:
    check_size("edgectl_agent.whl", 4_200_000, 4_200_000)
    with pytest.raises(StateError, match=r"has 4,200,001 bytes; expected at most 4,200,000; .*board-packages\.toml"):
        check_size("edgectl_agent.whl", 4_200_001, 4_200_000)


def test_the_committed_ceiling_keeps_the_aarch64_wheel_below_its_bar() -> None:
    assert COMMITTED.ceilings["aarch64"].wheel <= 6_000_000


# --- What a tag may say ---------------------------------------------------------------------------------------------


def _tag(*files: ElfFacts) -> str:
    return platform_tag(AARCH64, needed_versions(AARCH64, files), COMMITTED.systems)


def test_the_tag_is_the_highest_glibc_that_any_file_needs() -> None:
    runner = replace(LIBRARY, versions={"GLIBC": (2, 34), "GLIBCXX": (3, 4, 29)})
    assert _tag(LIBRARY) == "manylinux_2_27_aarch64"
    assert _tag(LIBRARY, runner, LIBRARY) == "manylinux_2_34_aarch64"


def test_versions_are_compared_as_numbers() -> None:
    assert _tag(replace(LIBRARY, versions={"GLIBC": (2, 9)}), LIBRARY) == "manylinux_2_27_aarch64"


def test_a_libstdcxx_that_debian_12_lacks_gives_the_tag_of_debian_13() -> None:
    newer = replace(LIBRARY, versions={"GLIBC": (2, 34), "GLIBCXX": (3, 4, 32)})
    assert _tag(newer) == "manylinux_2_41_aarch64"
    assert oldest_system(needed_versions(AARCH64, [newer]), COMMITTED.systems).name == "Debian 13"


def test_what_no_board_has_is_refused_by_name() -> None:
    with pytest.raises(
        StateError, match=r"need GLIBC_2\.50, GLIBCXX_3\.4\.22; expected what Debian 12 or Debian 13 has"
    ):
        _tag(LIBRARY, replace(LIBRARY, versions={"GLIBC": (2, 50)}))


def test_a_file_for_another_processor_is_refused() -> None:
    with pytest.raises(StateError, match="a file for RISC-V; expected AArch64"):
        _tag(replace(LIBRARY, machine="RISC-V"))


def test_readelf_shows_what_this_machines_runner_needs(edge_runner: Path) -> None:
    facts = read_elf(edge_runner)
    assert facts.machine == ARCHITECTURES[platform.machine()].machine
    assert {"libc.so.6", "libexecutorch.so"} <= set(facts.needed)
    assert facts.versions["GLIBC"] >= (2, 17)
    assert facts.versions["GLIBCXX"] > (3, 4)


# --- The Debian package ---------------------------------------------------------------------------------------------

CONTROL = {
    "Package": "edgectl-agent",
    "Architecture": "arm64",
    "Depends": "libc6 (>= 2.27), libgcc-s1 (>= 12), libstdc++6 (>= 12), "
    "python3 (>= 3.11), python3 (<< 3.12) | python3 (>= 3.13), python3 (<< 3.14)",
}


def _small_deb(folder: Path) -> Path:
    """A package with everything but the big files."""
    members = package_members(
        sources=PACKAGING / "debian",
        unit=(ROOT / "deploy/systemd/edge-agent.service").read_text(),
        python=[Member("edgectl_agent/__init__.py", b"")],
        distributions=[Member("python3.11/grpc/__init__.py", b""), Member("common/paho/__init__.py", b"")],
        runner=b"\x7fELF runner",
        libraries=[Member("libexecutorch.so", b"\x7fELF library")],
        licences=[Member("LICENSE", (ROOT / "LICENSE").read_bytes())],
    )
    needed = needed_versions(AARCH64, [LIBRARY])
    control = control_file(
        read_distribution(ROOT),
        AARCH64,
        needed=needed,
        system=oldest_system(needed, COMMITTED.systems),
        installed_bytes=sum(len(member.content) for member in members),
    )
    tree = folder / "tree"
    write_tree(members, tree)
    write_control(members, tree, sources=PACKAGING / "debian", control=control)
    package = folder / "package.deb"
    pack_tree(tree, package, level=6)
    return package


def _dpkg_deb(*arguments: str | Path) -> str:
    return subprocess.run(
        ["dpkg-deb", *map(str, arguments)], capture_output=True, text=True, check=True, timeout=60
    ).stdout


def test_the_same_files_give_the_same_debian_package_in_another_folder(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        first = _small_deb(tmp_path / "first")
        os.umask(0o022)
        second = _small_deb(tmp_path / "somewhere" / "else")
    finally:
        os.umask(before)
    assert first.read_bytes() == second.read_bytes()


def test_the_debian_package_reads_back_as_it_was_made(tmp_path: Path) -> None:
    package = _small_deb(tmp_path)
    assert {field: _dpkg_deb("-f", package, field).strip() for field in CONTROL} == CONTROL
    rows = [line.split() for line in _dpkg_deb("-c", package).splitlines()]
    assert {(owner, day) for _, owner, _, day, *_ in rows} == {("root/root", "1980-01-01")}
    modes = {row[5]: row[0] for row in rows}
    assert modes["./usr/bin/edge-agent"] == modes["./usr/bin/edge-runner"] == "-rwxr-xr-x"
    assert modes["./etc/edgectl/identity/"] == "drwx------"
    assert modes["./usr/lib/edgectl/libexecutorch.so"] == "-rw-r--r--"
    assert {mode for path, mode in modes.items() if path.endswith("/") and "identity" not in path} == {"drwxr-xr-x"}
    assert not [path for path in modes if path.startswith(("./usr/local", "./opt", "./var"))]
    assert {"./usr/share/doc/edgectl-agent/copyright", "./usr/share/doc/edgectl-agent/licences/LICENSE"} <= set(modes)


def test_the_debian_packages_control_area_is_whole(tmp_path: Path) -> None:
    package = _small_deb(tmp_path)
    _dpkg_deb("-R", package, tmp_path / "raw")
    area = tmp_path / "raw" / "DEBIAN"
    assert (area / "conffiles").read_text() == "/etc/edgectl/agent.toml\n"
    assert (tmp_path / "raw/etc/edgectl/agent.toml").is_file()
    for name in ("postinst", "prerm", "postrm"):
        assert (area / name).stat().st_mode & 0o777 == 0o755
        subprocess.run(["sh", "-n", str(area / name)], check=True, timeout=10)
        assert not re.search(r"curl|wget|apt|pip|https?:", (area / name).read_text())
    subprocess.run(["md5sum", "-c", "--quiet", "DEBIAN/md5sums"], cwd=tmp_path / "raw", check=True, timeout=10)


def test_the_service_unit_starts_the_packaged_agent_and_waits_for_an_identity() -> None:
    unit = service_unit((ROOT / "deploy/systemd/edge-agent.service").read_text())
    assert re.search(r"^ExecStart=/usr/bin/edge-agent run ", unit, flags=re.MULTILINE)
    assert "ConditionPathExists=/etc/edgectl/identity/device.key" in unit
    assert "/opt/edgectl" not in unit
    assert unit.count("[Unit]") == unit.count("[Install]") == 1


def test_a_unit_that_starts_something_else_is_refused() -> None:
    with pytest.raises(StateError, match="expected a \\[Unit\\] that starts /opt/edgectl/bin/edge-agent"):
        service_unit("[Unit]\n[Service]\nExecStart=/srv/agent\n")


def test_python_relations_leave_out_what_the_package_has_no_grpc_for() -> None:
    assert python_depends(("3.11", "3.12")) == ["python3 (>= 3.11)", "python3 (<< 3.13)"]
    assert python_depends(("3.11", "3.13")) == [
        "python3 (>= 3.11)",
        "python3 (<< 3.12) | python3 (>= 3.13)",
        "python3 (<< 3.14)",
    ]


def test_the_distributions_in_the_debian_package_are_the_pinned_ones() -> None:
    pinned = re.findall(r"^([\w-]+==\S+)", (PACKAGING / "debian/requirements.txt").read_text(), flags=re.MULTILINE)
    constraints = (ROOT / "deploy/constraints.txt").read_text().replace("_", "-").splitlines()
    assert len(pinned) == 4
    assert set(pinned) <= set(constraints)
    names = {re.split(r"[<>=]", text)[0] for text in COMMITTED.requires}
    assert names <= {text.partition("==")[0] for text in pinned}


def test_a_distribution_that_installs_more_than_packages_is_refused(tmp_path: Path) -> None:
    wheel = tmp_path / "grpcio-1.0-cp311-cp311-manylinux2014_aarch64.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("grpc/__init__.py", "")
        archive.writestr("grpcio-1.0.data/scripts/grpc", "")
    with pytest.raises(StateError, match=r"holds grpcio-1\.0\.data/scripts/grpc; expected packages alone"):
        distribution_members([wheel], python="3.11")


# --- What is missing or not what it should be ------------------------------------------------------------------------


def test_an_executorch_with_other_bytes_than_committed_is_never_unpacked(tmp_path: Path) -> None:
    wheel = tmp_path / "download" / f"executorch-{COMMITTED.sdk.version}-cp311-cp311-manylinux_2_28_aarch64.whl"
    wheel.parent.mkdir()
    wheel.write_bytes(b"another")
    digest = COMMITTED.sdk.digests["aarch64"]
    with pytest.raises(StateError, match=rf"aarch64\.whl has SHA-256 .*; expected {digest}; delete it and build again"):
        unpack_sdk(AARCH64, COMMITTED.sdk, build=tmp_path)
    assert not (tmp_path / "aarch64").exists()


def test_a_missing_compiler_is_named_with_its_package(tmp_path: Path) -> None:
    absent = replace(AARCH64, triplet="riscv64-nowhere-gnu")
    sdk = UnpackedSdk(package=tmp_path, licence=tmp_path)
    with pytest.raises(StateError, match=r"no riscv64-nowhere-gnu-g\+\+ .*apt-get install g\+\+-riscv64-nowhere-gnu"):
        build_runner(absent, sdk, libraries=(), sources=tmp_path, build=tmp_path)


# --- The command ----------------------------------------------------------------------------------------------------


def test_the_page_on_boards_shows_targets_that_make_has_and_messages_that_are_said() -> None:
    page = (ROOT / "docs/boards.md").read_text()
    targets = set(re.findall(r"\bmake (agent-\w+|board-\w+)", page))
    phony = re.findall(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    assert targets == {"agent-wheel", "agent-deb", "board-runner"}
    assert targets <= set(" ".join(phony).split())
    with pytest.raises(StateError) as failure:
        check_requires(COMMITTED, [*COMMITTED.requires, "psutil>=6"])
    assert f"board_packages: {failure.value.code}: {failure.value.message}" in page


def test_an_unknown_architecture_is_one_message(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["wheel", "--arch", "armv7l"]) == 2
    assert capsys.readouterr().err == (
        "board_packages: usage: architecture 'armv7l'; expected aarch64 or x86_64; "
        "give ARCH=aarch64; ExecuTorch is not published for 32-bit Arm\n"
    )
