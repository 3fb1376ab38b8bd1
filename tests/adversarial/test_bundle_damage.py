# SPDX-License-Identifier: Apache-2.0
"""A damaged or hostile bundle is found, or its content and digest are those of the whole one."""

from __future__ import annotations

import struct
import warnings
import zipfile
from pathlib import Path

import pytest
from edgectl_protos.bundle import MAX_MEMBERS, open_bundle
from edgectl_protos.errors import BundleError, UsageError
from edgectl_protos.manifest import MANIFEST_MEMBER, Member, serialize_manifest

from tests.manifests import CONTENTS, small_bundle, small_manifest, whole_members, write_zip


def unpacked(path: Path, into: Path) -> dict[str, bytes]:
    """What a device would have after unpacking `path`; BundleError where it is refused."""
    into.mkdir()
    with open_bundle(path) as bundle:
        bundle.unpack(into)
    return {str(file.relative_to(into)): file.read_bytes() for file in into.rglob("*") if file.is_file()}


@pytest.mark.parametrize("mask", [0x01, 0x80, 0xFF])
def test_every_flipped_byte_is_found_or_changes_nothing(tmp_path: Path, mask: int) -> None:
    whole = tmp_path / "whole.edge"
    digest = small_bundle(whole).digest
    wanted = unpacked(whole, tmp_path / "wanted")
    data = whole.read_bytes()
    found = 0
    damaged = tmp_path / "damaged.edge"
    for place in range(0, len(data), max(1, len(data) // 400)):
        damaged.write_bytes(data[:place] + bytes([data[place] ^ mask]) + data[place + 1 :])
        try:
            with open_bundle(damaged) as bundle:
                contents = {path: bundle.read(path) for path in bundle.info.manifest.members}
                seen = bundle.info.digest
        except BundleError:
            found += 1
            continue
        assert seen == digest, f"byte {place}"
        assert contents == {path: bytes_ for path, bytes_ in wanted.items() if path != MANIFEST_MEMBER}, f"byte {place}"
    assert found > 200  # the rest are fields of the zip that nobody reads: dates, attributes, versions


def test_every_truncation_is_found(tmp_path: Path) -> None:
    whole = tmp_path / "whole.edge"
    small_bundle(whole)
    data = whole.read_bytes()
    short = tmp_path / "short.edge"
    for length in range(0, len(data), 7):
        short.write_bytes(data[:length])
        with pytest.raises(BundleError), open_bundle(short) as bundle:
            bundle.verify()


@pytest.mark.parametrize("extra", [b"\0", b"x" * 22, b"PK\x05\x06" + b"\0" * 17])
def test_bytes_after_the_end_are_found(tmp_path: Path, extra: bytes) -> None:
    path = tmp_path / "long.edge"
    small_bundle(path)
    path.write_bytes(path.read_bytes() + extra)
    with pytest.raises(BundleError), open_bundle(path):
        pass


@pytest.mark.parametrize(
    "name",
    ["../out.npy", "/etc/out.npy", "golden/../../out", "a\\b", ".hidden", "a//b", "nul\0", "ünicode", "a/", "-x"],
)
def test_member_that_would_leave_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    manifest = small_manifest()
    manifest.members[name] = Member("0" * 64, 4)
    path = write_zip(
        tmp_path / "bad.edge",
        [(MANIFEST_MEMBER, serialize_manifest(manifest)), *CONTENTS.items(), (name, b"evil")],
    )
    before = set(tmp_path.rglob("*"))
    with pytest.raises(BundleError):
        unpacked(path, tmp_path / "slot")
    assert set(tmp_path.rglob("*")) == before | {tmp_path / "slot"}


def test_member_the_manifest_does_not_name_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "more.edge", [*whole_members(), ("extra.bin", b"evil")])
    with pytest.raises(BundleError, match="5 members"), open_bundle(path):
        pass


def test_missing_member_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "less.edge", whole_members()[:-1])
    with pytest.raises(BundleError, match="3 members"), open_bundle(path):
        pass


@pytest.mark.parametrize("place", [0, 1])
def test_member_given_twice_is_refused(tmp_path: Path, place: int) -> None:
    members = whole_members()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # zipfile warns of the second
        path = write_zip(tmp_path / "twice.edge", [*members, members[place]])
    with pytest.raises(BundleError, match="5 members"), open_bundle(path):
        pass


def test_member_longer_than_the_manifest_says_is_not_unpacked_further(tmp_path: Path) -> None:
    bomb = b"\0" * (64 << 20)
    members = [(name, bomb if name == "model.pte" else data) for name, data in whole_members()]
    path = write_zip(tmp_path / "bomb.edge", members, method=zipfile.ZIP_DEFLATED)
    slot = tmp_path / "slot"
    with pytest.raises(BundleError, match=r"bomb\.edge is damaged: 'model\.pte' in it is not what was packed"):
        unpacked(path, slot)
    assert (slot / "model.pte").stat().st_size <= len(CONTENTS["model.pte"]) + 1


def test_manifest_that_unpacks_to_gigabytes_is_refused_unread(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "bomb.edge", [(MANIFEST_MEMBER, b" " * (32 << 20))], method=zipfile.ZIP_DEFLATED)
    with pytest.raises(BundleError, match="a manifest of 33554432 bytes"), open_bundle(path):
        pass


def test_members_that_add_up_to_too_much_are_refused(tmp_path: Path) -> None:
    manifest = small_manifest()
    manifest.members["model.pte"] = Member("0" * 64, 3 << 30)
    path = write_zip(tmp_path / "big.edge", [(MANIFEST_MEMBER, serialize_manifest(manifest)), *CONTENTS.items()])
    with pytest.raises(BundleError, match="bytes unpacked"), open_bundle(path):
        pass


def test_directory_of_very_many_members_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "many.edge", [(f"m{index}", b"") for index in range(MAX_MEMBERS + 2)])
    with pytest.raises(BundleError, match=f"{MAX_MEMBERS + 2} members listed"), open_bundle(path):
        pass


def test_a_zip64_record_cannot_bring_in_a_larger_directory_than_the_end_record_says(tmp_path: Path) -> None:
    """`zipfile` follows the zip64 locator wherever there is one, whatever the end record says."""
    path = write_zip(tmp_path / "many.edge", [(f"m{index}", b"") for index in range(MAX_MEMBERS + 2)])
    data = path.read_bytes()
    end = len(data) - 22
    members, directory_bytes, start = struct.unpack("<H2L", data[end + 10 : end + 20])
    record = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, members, members, directory_bytes, start)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, end, 1)
    modest = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 3, 3, 100, start, 0)
    path.write_bytes(data[:end] + record + locator + modest)
    with zipfile.ZipFile(path) as archive:
        assert len(archive.infolist()) == MAX_MEMBERS + 2  # the bait is real
    with pytest.raises(BundleError, match="a zip64 archive"), open_bundle(path):
        pass


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_other_packing_methods_are_refused(tmp_path: Path, method: int) -> None:
    path = write_zip(tmp_path / "packed.edge", whole_members(), method=method)
    with pytest.raises(BundleError, match="packed in another way"), open_bundle(path):
        pass


@pytest.mark.parametrize("content", [b"", b"PK", b"not a zip at all, though long enough to hold an end record"])
def test_file_that_is_no_zip_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file.edge"
    path.write_bytes(content)
    with pytest.raises(BundleError, match="is no bundle"), open_bundle(path):
        pass


def test_missing_file_and_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no file"), open_bundle(tmp_path / "absent.edge"):
        pass
    with pytest.raises(UsageError, match="is a folder"), open_bundle(tmp_path):
        pass


def test_manifest_replaced_between_reading_and_unpacking_is_found(tmp_path: Path) -> None:
    path = tmp_path / "a.edge"
    small_bundle(path)
    (tmp_path / "slot").mkdir()
    with open_bundle(path) as bundle:
        changed = write_zip(tmp_path / "b.edge", [(MANIFEST_MEMBER, b"{}")])
        with zipfile.ZipFile(changed) as other:
            swapped = type(bundle)(bundle.info, other)
            with pytest.raises(BundleError, match="changed while"):
                swapped.unpack(tmp_path / "slot")
    assert list((tmp_path / "slot").iterdir()) == []


def test_error_of_the_caller_is_not_taken_for_a_damaged_bundle(tmp_path: Path) -> None:
    path = tmp_path / "a.edge"
    small_bundle(path)
    with pytest.raises(FileNotFoundError), open_bundle(path):
        raise FileNotFoundError("of the caller")


def test_member_exchanged_for_one_of_the_same_size_is_found(tmp_path: Path) -> None:
    evil = b"\xaa" * len(CONTENTS["model.pte"])  # a zip written anew: its own checksum is right
    members = [(name, evil if name == "model.pte" else data) for name, data in whole_members()]
    path = write_zip(tmp_path / "evil.edge", members)
    with open_bundle(path) as bundle, pytest.raises(BundleError, match=r"model\.pte"):
        bundle.verify()
