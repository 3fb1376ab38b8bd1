# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import datetime as dt
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography import x509
from edgectl.fleet.authority import Authority
from edgectl_protos.errors import AuthenticationError, StateError, UsageError

NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)


def at(moment: dt.datetime) -> Callable[[], dt.datetime]:
    return lambda: moment


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_keys_and_folders_are_for_the_owner_alone(tmp_path: Path) -> None:
    authority = Authority.open_or_create(tmp_path / "authority", at(NOW))
    folder = authority.issue_device("pi4", tmp_path / "identities")
    authority.host_credentials()
    assert folder == tmp_path / "identities" / "pi4"
    for directory in (tmp_path / "authority", tmp_path / "identities", folder):
        assert mode(directory) == 0o700
    for file in (tmp_path / "authority" / "ca.key", tmp_path / "authority" / "host.key", folder / "device.key"):
        assert mode(file) == 0o600
    assert not (folder / "ca.key").exists()


def test_it_is_created_once(tmp_path: Path) -> None:
    def create(_index: int) -> bytes:
        return Authority.open_or_create(tmp_path / "authority", at(NOW)).host_credentials().authority

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(create, range(8)))) == 1


def test_the_hosts_certificate_stays_until_its_last_day(tmp_path: Path) -> None:
    first = Authority.open_or_create(tmp_path, at(NOW)).host_credentials()
    later = Authority.open(tmp_path, at(NOW + dt.timedelta(days=300))).host_credentials()
    assert later == first
    renewed = Authority.open(tmp_path, at(NOW + dt.timedelta(days=364, hours=1))).host_credentials()
    assert renewed.authority == first.authority
    assert renewed.certificate != first.certificate
    assert x509.load_pem_x509_certificate(renewed.certificate).not_valid_after_utc > NOW + dt.timedelta(days=700)


def test_a_crash_between_the_hosts_two_files_is_made_good(tmp_path: Path) -> None:
    authority = Authority.open_or_create(tmp_path, at(NOW))
    authority.host_credentials()
    other = Authority.open_or_create(tmp_path / "other", at(NOW)).host_credentials()
    (tmp_path / "host.key").write_bytes(other.key)
    repaired = authority.host_credentials()
    assert repaired.key != other.key
    assert authority.host_credentials() == repaired


@pytest.mark.parametrize(("lost", "kept"), [("ca.pem", "ca.key"), ("ca.key", "ca.pem")])
def test_half_an_authority_is_never_replaced_by_another(tmp_path: Path, lost: str, kept: str) -> None:
    """Every board trusts the old one alone."""
    Authority.open_or_create(tmp_path, at(NOW))
    (tmp_path / lost).unlink()
    before = (tmp_path / kept).read_bytes()
    with pytest.raises(StateError, match=rf"{lost} is missing, and .*{kept} is there"):
        Authority.open_or_create(tmp_path, at(NOW))
    with pytest.raises(AuthenticationError, match=rf"{lost} cannot be read"):
        Authority.open(tmp_path, at(NOW))
    assert not (tmp_path / lost).exists()
    assert (tmp_path / kept).read_bytes() == before


def test_a_lost_certificate_of_the_authority_comes_back_from_an_identity(tmp_path: Path) -> None:
    first = Authority.open_or_create(tmp_path / "authority", at(NOW))
    identity = first.issue_device("pi4", tmp_path / "identities")
    credentials = first.host_credentials()
    (tmp_path / "authority" / "ca.pem").unlink()
    (tmp_path / "authority" / "ca.pem").write_bytes((identity / "ca.pem").read_bytes())
    assert Authority.open_or_create(tmp_path / "authority", at(NOW)).host_credentials() == credentials


def test_a_host_certificate_of_an_authority_before_is_issued_again(tmp_path: Path) -> None:
    old = Authority.open_or_create(tmp_path, at(NOW)).host_credentials()
    for name in ("ca.pem", "ca.key"):
        (tmp_path / name).unlink()
    fresh = Authority.open_or_create(tmp_path, at(NOW)).host_credentials()
    assert fresh.authority != old.authority
    assert fresh.certificate != old.certificate
    root = x509.load_pem_x509_certificate(fresh.authority)
    x509.load_pem_x509_certificate(fresh.certificate).verify_directly_issued_by(root)


def test_no_authority_says_who_makes_it(tmp_path: Path) -> None:
    with pytest.raises(AuthenticationError, match="device add"):
        Authority.open(tmp_path / "none", at(NOW))
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("name", ["ca.pem", "ca.key"])
@pytest.mark.parametrize("data", [b"", b"rubbish"])
def test_a_damaged_authority_is_never_replaced_by_itself(tmp_path: Path, name: str, data: bytes) -> None:
    Authority.open_or_create(tmp_path, at(NOW))
    (tmp_path / name).write_bytes(data)
    with pytest.raises(AuthenticationError, match=name):
        Authority.open_or_create(tmp_path, at(NOW))
    assert (tmp_path / name).read_bytes() == data


def test_the_key_of_another_authority_is_refused(tmp_path: Path) -> None:
    Authority.open_or_create(tmp_path / "a", at(NOW))
    Authority.open_or_create(tmp_path / "b", at(NOW))
    (tmp_path / "a" / "ca.key").write_bytes((tmp_path / "b" / "ca.key").read_bytes())
    with pytest.raises(AuthenticationError, match="do not belong together"):
        Authority.open(tmp_path / "a", at(NOW))


def test_an_invalid_name_writes_nothing(tmp_path: Path) -> None:
    authority = Authority.open_or_create(tmp_path / "authority", at(NOW))
    with pytest.raises(UsageError, match="device name"):
        authority.issue_device("../pi4", tmp_path / "identities")
    assert not (tmp_path / "identities").exists()


def test_keys_do_not_show_in_messages(tmp_path: Path) -> None:
    authority = Authority.open_or_create(tmp_path, at(NOW))
    assert "PRIVATE" not in repr(authority.host_credentials()) + repr(authority)
