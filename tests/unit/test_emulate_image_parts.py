# SPDX-License-Identifier: Apache-2.0
"""The parts of an emulated machine's image: initial RAM file system, the agent's environment, the guest's settings."""

from __future__ import annotations

import gzip
import stat
import zipfile
from pathlib import Path

import pytest
from edgectl.emulate.image_boot import DRIVERS, dependencies, initial_file_system, load_order
from edgectl.emulate.image_debian import PACKAGES, bootstrap_command
from edgectl.emulate.image_guest import AGENT_UNIT, GUEST_FOLDER, agent_unit, configure_guest
from edgectl.emulate.image_python import destination, unpack_wheel
from edgectl_protos.errors import StateError, UsageError

MODULES = {
    "virtio_net": b"\0license=GPL\0depends=net_failover,virtio\0name=virtio_net\0",
    "net_failover": b"\0depends=failover\0",
    "failover": b"\0depends=\0",
    "virtio": b"\0depends=virtio-ring\0",
    "virtio_ring": b"\0vermagic=6.1\0",
    "unused": b"\0depends=virtio\0",
}


def unpacked(archive: bytes) -> dict[str, tuple[int, bytes]]:
    """Mode and content by name, of a cpio archive in the new ASCII format."""
    data, place = gzip.decompress(archive), 0
    entries: dict[str, tuple[int, bytes]] = {}
    while True:
        head = data[place : place + 110]
        assert head[:6] == b"070701"
        fields = [int(head[6 + 8 * index : 14 + 8 * index], 16) for index in range(13)]
        mode, size, name_size = fields[1], fields[6], fields[11]
        name = data[place + 110 : place + 110 + name_size - 1].decode()
        start = (place + 110 + name_size + 3) // 4 * 4
        if name == "TRAILER!!!":
            return entries
        entries[name] = (mode, data[start : start + size])
        place = (start + size + 3) // 4 * 4


def test_modules_load_after_what_they_need_and_no_other_is_loaded() -> None:
    order = load_order(MODULES, ["virtio_net", "virtio"])
    assert order == ("failover", "net_failover", "virtio_ring", "virtio", "virtio_net")


def test_a_module_that_the_kernel_lacks_is_named() -> None:
    with pytest.raises(StateError, match="no module virtio_blk"):
        load_order(MODULES, ["virtio_blk"])
    assert dependencies(b"no section") == ()


def test_the_initial_file_system_holds_busybox_the_init_and_the_modules_in_their_order() -> None:
    init = (GUEST_FOLDER / "init").read_bytes()
    order = load_order(MODULES, ["virtio_net"])
    archive = initial_file_system(b"busybox!", MODULES, order, init)
    entries = unpacked(archive)
    assert entries["init"] == (stat.S_IFREG | 0o755, init)
    assert entries["bin/busybox"] == (stat.S_IFREG | 0o755, b"busybox!")
    names = sorted(name for name in entries if name.startswith("modules/"))
    assert [name.split("-", 1)[1].removesuffix(".ko") for name in names] == list(order)
    assert all(stat.S_ISDIR(entries[name][0]) for name in ("dev", "proc", "root", "sys", "modules", "bin"))
    assert initial_file_system(b"busybox!", MODULES, order, init) == archive


def test_the_guests_drivers_are_for_the_devices_of_the_command_line() -> None:
    assert set(DRIVERS) == {"virtio_mmio", "virtio_blk", "virtio_net", "virtio_console", "qemu_fw_cfg"}


def test_packages_are_only_unpacked_and_a_plain_user_needs_no_right() -> None:
    words = bootstrap_command("mmdebstrap", Path("/into"), root=False)
    assert "--variant=extract" in words
    assert "--mode=chrootless" in words
    assert "--mode=root" in bootstrap_command("mmdebstrap", Path("/into"), root=True)
    assert words[-2:] == ["bookworm", "/into"]
    assert f"--include={','.join(PACKAGES)}" in words


@pytest.mark.parametrize(
    ("member", "place"),
    [
        ("edgectl_agent/app.py", "opt/edgectl/lib/python3.11/site-packages/edgectl_agent/app.py"),
        ("x-1.data/scripts/edge-runner", "opt/edgectl/bin/edge-runner"),
        ("x-1.data/data/lib/edgectl/a.so", "opt/edgectl/lib/edgectl/a.so"),
        ("x-1.data/platlib/grpc/b.so", "opt/edgectl/lib/python3.11/site-packages/grpc/b.so"),
    ],
)
def test_a_wheels_members_go_where_pip_puts_them(member: str, place: str) -> None:
    assert destination(member, Path("x.whl")) == place


@pytest.mark.parametrize(
    "member", ["/etc/passwd", "../up", "a/../../b", "x-1.data/data/../../../etc/x", "x-1.data/scripts//sh", "a\\b", "."]
)
def test_a_member_that_leads_out_of_the_environment_is_refused(member: str) -> None:
    with pytest.raises(UsageError, match=r"x\.whl is damaged: a member"):
        destination(member, Path("x.whl"))


def wheel(path: Path, members: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return path


def test_an_unpacked_wheel_has_its_commands_and_scripts_run_by_the_environments_python(tmp_path: Path) -> None:
    made = wheel(
        tmp_path / "x-1-py3-none-any.whl",
        {
            "x/__init__.py": "",
            "x-1.data/scripts/tool": "#!python\nprint()\n",
            "x-1.dist-info/entry_points.txt": "[console_scripts]\nedge-agent = x.main:main\n[other]\nk = v\n",
        },
    )
    unpack_wheel(made, tmp_path)
    binaries = tmp_path / "opt/edgectl/bin"
    assert (binaries / "tool").read_text() == "#!/opt/edgectl/bin/python\nprint()\n"
    script = (binaries / "edge-agent").read_text()
    assert script.startswith("#!/opt/edgectl/bin/python\n")
    assert "from x.main import main" in script
    assert {stat.S_IMODE((binaries / name).stat().st_mode) for name in ("tool", "edge-agent")} == {0o755}


@pytest.mark.parametrize("line", ["run = os:system;x", "run = m", "../run = m:f"])
def test_an_entry_point_that_is_none_is_refused(tmp_path: Path, line: str) -> None:
    made = wheel(tmp_path / "x-1-py3-none-any.whl", {"x-1.dist-info/entry_points.txt": f"[console_scripts]\n{line}\n"})
    with pytest.raises(UsageError, match="an entry point"):
        unpack_wheel(made, tmp_path)


@pytest.mark.parametrize("text", ["no section", "[console_scripts]\nrun = %s:x\n", "[a]\n[a]\n"])
def test_entry_points_that_are_no_such_file_are_a_damaged_wheel(tmp_path: Path, text: str) -> None:
    made = wheel(tmp_path / "x-1-py3-none-any.whl", {"x-1.dist-info/entry_points.txt": text})
    with pytest.raises(UsageError, match=r"x-1-py3-none-any\.whl is damaged"):
        unpack_wheel(made, tmp_path)


@pytest.mark.parametrize("member", ["x-1.data/scripts/python", "x-1.data/data/bin/python"])
def test_a_member_does_not_follow_the_guests_links_to_this_machines_files(tmp_path: Path, member: str) -> None:
    ours = tmp_path / "python3.11"
    ours.write_text("this machine's")
    link = tmp_path / "root/opt/edgectl/bin/python"
    link.parent.mkdir(parents=True)
    link.symlink_to(ours)
    with pytest.raises(UsageError, match="the environment's own"):
        unpack_wheel(wheel(tmp_path / "x-1-py3-none-any.whl", {member: "evil"}), tmp_path / "root")
    assert ours.read_text() == "this machine's"


def test_a_member_whose_compressed_data_is_broken_is_a_damaged_wheel(tmp_path: Path) -> None:
    path = tmp_path / "x-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x", bytes(range(256)) * 8)
    data = bytearray(path.read_bytes())
    data[31:41] = b"\xff" * 10  # behind the member's header of 30 bytes and its name
    path.write_bytes(data)
    with pytest.raises(UsageError, match="is damaged: Error -3"):
        unpack_wheel(path, tmp_path)


def test_a_damaged_wheel_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x-1-py3-none-any.whl"
    path.write_bytes(b"no zip")
    with pytest.raises(UsageError, match=r"x-1-py3-none-any\.whl is damaged"):
        unpack_wheel(path, tmp_path)


def test_the_guest_runs_the_boards_own_unit_under_systemd(tmp_path: Path) -> None:
    master = tmp_path / "usr/share/base-passwd"
    master.mkdir(parents=True)
    for name in ("passwd", "group"):
        (master / f"{name}.master").write_text("root:*:0:\n")
    (tmp_path / "usr/lib/systemd/system-generators").mkdir(parents=True)
    (tmp_path / "usr/lib/systemd/system-generators/systemd-gpt-auto-generator").touch()
    configure_guest(tmp_path)
    units = tmp_path / "etc/systemd/system"
    deployed = Path(__file__).resolve().parents[2] / "deploy/systemd" / AGENT_UNIT
    assert agent_unit().samefile(deployed)
    assert (units / AGENT_UNIT).read_bytes() == deployed.read_bytes()
    assert (units / "multi-user.target.wants" / AGENT_UNIT).resolve() == (units / AGENT_UNIT).resolve()
    assert "PYTHONOPTIMIZE=2" in (units / f"{AGENT_UNIT}.d/bytecode.conf").read_text()
    assert (units / "systemd-udevd.service").readlink() == Path("/dev/null")
    masked = tmp_path / "etc/systemd/system-generators/systemd-gpt-auto-generator"
    assert masked.readlink() == Path("/dev/null")
    assert not (tmp_path / "etc/edgectl/agent.toml").exists()
    assert list((tmp_path / "etc/edgectl/identity").iterdir()) == []
