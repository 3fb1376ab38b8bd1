# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from edgectl.config import Paths
from edgectl.fleet.authority import utc_now
from edgectl.fleet.enrolment import add_device
from edgectl.fleet.inventory import Device, Inventory, inventory_of
from edgectl_protos.errors import UsageError


def inventory(tmp_path: Path) -> Inventory:
    return Inventory(tmp_path / "config" / "devices.json")


def test_devices_come_back_as_they_were_added(tmp_path: Path) -> None:
    known = inventory(tmp_path)
    assert known.devices() == ()
    devices = (
        Device("bench", "127.0.0.1:7000"),
        Device("pi4", "pi4.local", architecture="aarch64", identity=tmp_path / "pi4"),
    )
    for device in reversed(devices):
        known.add(device)
    assert known.devices() == devices
    assert known.find("pi4").address == "pi4.local:50051"
    assert stat.S_IMODE(known.path.stat().st_mode) == 0o600


def test_removing_forgets_one_and_an_unknown_one_changes_nothing(tmp_path: Path) -> None:
    known = inventory(tmp_path)
    known.add(Device("pi4", "a:1"))
    known.add(Device("pi5", "b:1"))
    known.remove("pi4")
    before = known.path.read_bytes()
    with pytest.raises(UsageError, match=r"no device 'pi4'.*expected 'pi5' .*device list"):
        known.remove("pi4")
    assert known.path.read_bytes() == before
    assert [device.name for device in known.devices()] == ["pi5"]


@pytest.mark.parametrize("name", ["pi4", "PI4"])
def test_a_name_in_use_is_refused_in_any_case_of_letters(tmp_path: Path, name: str) -> None:
    known = inventory(tmp_path)
    known.add(Device("pi4", "a:1"))
    before = known.path.read_bytes()
    with pytest.raises(UsageError, match=r"'pi4' is in"):
        known.add(Device(name, "b:1"))
    assert known.path.read_bytes() == before


@pytest.mark.parametrize("name", ["local", "LOCAL", "emulated-pi4", "Emulated-anything", "", "a/b"])
def test_a_reserved_or_invalid_name_is_no_device(name: str) -> None:
    with pytest.raises(UsageError, match=r"device name|is the agent that edgectl starts|that edgectl emulates"):
        Device(name, "a:1")


@pytest.mark.parametrize("name", ["local", "emulated-pi4"])
def test_a_reserved_device_cannot_be_removed(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="always there"):
        inventory(tmp_path).remove(name)


def test_devices_added_at_once_are_all_kept(tmp_path: Path) -> None:
    def add(index: int) -> None:
        inventory(tmp_path).add(Device(f"pi{index}", f"10.0.0.{index}:1"))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(24)))
    assert len(inventory(tmp_path).devices()) == 24
    assert sorted(path.name for path in (tmp_path / "config").iterdir()) == [".devices.json.lock", "devices.json"]


def test_a_device_elsewhere_gets_a_certificate_and_one_here_none(tmp_path: Path) -> None:
    paths = Paths(tmp_path / "config", tmp_path / "state", tmp_path / "cache")
    here = add_device("bench", "localhost:7000", paths=paths, clock=utc_now)
    assert here.identity is None
    assert not (paths.config / "authority").exists()
    there = add_device("pi4", "pi4.local", paths=paths, clock=utc_now, architecture="aarch64")
    assert there.identity is not None
    assert sorted(path.name for path in there.identity.iterdir()) == ["ca.pem", "device.key", "device.pem"]
    assert inventory_of(paths).devices() == (here, there)


def test_adding_a_known_device_leaves_its_certificate_alone(tmp_path: Path) -> None:
    paths = Paths(tmp_path / "config", tmp_path / "state", tmp_path / "cache")
    identity = add_device("pi4", "pi4.local", paths=paths, clock=utc_now).identity
    assert identity is not None
    before = (identity / "device.pem").read_bytes()
    with pytest.raises(UsageError, match=r"'pi4' is in .* already"):
        add_device("pi4", "other.local", paths=paths, clock=utc_now)
    assert (identity / "device.pem").read_bytes() == before
    assert inventory_of(paths).find("pi4").address == "pi4.local:50051"
