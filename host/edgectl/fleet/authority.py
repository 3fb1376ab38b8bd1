# SPDX-License-Identifier: Apache-2.0
"""The lab's certificate authority: a folder with its key, made by the first `edgectl device add`.

It signs one certificate per device and one for this host. Renewal and enrolment without copying keys come later.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from edgectl_protos.errors import AuthenticationError, StateError, UsageError
from edgectl_protos.topics import check_name

from edgectl.fleet import certificates
from edgectl.fleet.private_files import exclusive, make_private_folder, write_private

Clock = Callable[[], dt.datetime]

CA_FILE = "ca.pem"
DEVICE_CERTIFICATE_FILE = "device.pem"
DEVICE_KEY_FILE = "device.key"

_CA_KEY_FILE = "ca.key"
_HOST_CERTIFICATE_FILE = "host.pem"
_HOST_KEY_FILE = "host.key"
_LOCK_FILE = "lock"


def utc_now() -> dt.datetime:
    """The clock that `Authority` is given outside tests."""
    return dt.datetime.now(dt.UTC)


@dataclass(frozen=True, slots=True)
class HostCredentials:
    """What the host shows and what it trusts, as PEM."""

    authority: bytes
    certificate: bytes
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Authority:
    """An authority that has been read and checked."""

    directory: Path
    clock: Clock
    _certificate: x509.Certificate
    _key: ec.EllipticCurvePrivateKey = field(repr=False)

    @classmethod
    def open_or_create(cls, directory: Path, clock: Clock) -> Authority:
        """The authority in `directory`, made where there is none.

        Raises:
            AuthenticationError: its files are damaged.
            StateError: half of it is lost. It is never replaced: every board trusts the old one.
            UsageError: the folder cannot be written.
        """
        try:
            make_private_folder(directory)
            with exclusive(directory / _LOCK_FILE):
                _check_whole(directory)
                if not (directory / CA_FILE).exists():
                    _create(directory, clock())
        except OSError as error:
            raise _unwritable(directory, error) from error
        return cls.open(directory, clock)

    @classmethod
    def open(cls, directory: Path, clock: Clock) -> Authority:
        """The authority in `directory`.

        Raises:
            AuthenticationError: there is none, or its files are damaged or do not belong together.
        """
        certificate = certificates.parse_certificate(_read(directory / CA_FILE), source=str(directory / CA_FILE))
        key = certificates.parse_key(_read(directory / _CA_KEY_FILE), source=str(directory / _CA_KEY_FILE))
        if certificate.public_key() != key.public_key():
            raise AuthenticationError(
                f"{_CA_KEY_FILE} and {CA_FILE} in {directory} do not belong together",
                expected="the key that signed the certificate",
                action="restore both from a copy, or remove the folder and add the devices again",
            )
        return cls(directory, clock, certificate, key)

    def issue_device(self, name: str, into: Path) -> Path:
        """Write the folder `into`/`name` that is copied to the board: ca.pem, device.pem, device.key.

        Raises:
            UsageError: the name is invalid or the folder cannot be written.
        """
        check_name(name, what="device name")
        key = certificates.new_key()
        certificate = certificates.device_certificate(
            name, key, authority=self._certificate, authority_key=self._key, now=self.clock()
        )
        folder = into / name
        try:
            make_private_folder(into)
            make_private_folder(folder)
            write_private(folder / CA_FILE, certificates.certificate_pem(self._certificate))
            write_private(folder / DEVICE_KEY_FILE, certificates.key_pem(key))
            write_private(folder / DEVICE_CERTIFICATE_FILE, certificates.certificate_pem(certificate))
        except OSError as error:
            raise _unwritable(folder, error) from error
        return folder

    def host_credentials(self) -> HostCredentials:
        """This host's certificate and key, issued again where missing, run out or of another authority.

        Raises:
            AuthenticationError: they are damaged.
            UsageError: the folder cannot be written.
        """
        try:
            with exclusive(self.directory / _LOCK_FILE):
                if not self._host_certificate_lasts():
                    self._issue_host()
        except OSError as error:
            raise _unwritable(self.directory, error) from error
        return HostCredentials(
            authority=certificates.certificate_pem(self._certificate),
            certificate=_read(self.directory / _HOST_CERTIFICATE_FILE),
            key=_read(self.directory / _HOST_KEY_FILE),
        )

    def _host_certificate_lasts(self) -> bool:
        path = self.directory / _HOST_CERTIFICATE_FILE
        if not path.exists():
            return False
        certificate = certificates.parse_certificate(path.read_bytes(), source=str(path))
        key_path = self.directory / _HOST_KEY_FILE
        key = certificates.parse_key(_read(key_path), source=str(key_path))
        if certificate.public_key() != key.public_key():
            return False  # a crash between the two files
        if not certificates.issued_by(self._certificate, certificate):
            return False  # left over from an authority that was replaced: no board would trust it
        return self.clock() < certificate.not_valid_after_utc - dt.timedelta(days=1)

    def _issue_host(self) -> None:
        key = certificates.new_key()
        certificate = certificates.host_certificate(
            key, authority=self._certificate, authority_key=self._key, now=self.clock()
        )
        write_private(self.directory / _HOST_KEY_FILE, certificates.key_pem(key))
        write_private(self.directory / _HOST_CERTIFICATE_FILE, certificates.certificate_pem(certificate))


def _check_whole(directory: Path) -> None:
    """Refuse where one file is there and the other is not; raises StateError."""
    certificate, key = directory / CA_FILE, directory / _CA_KEY_FILE
    if certificate.exists() and not key.exists():
        raise StateError(
            f"{key} is missing, and {certificate} is there",
            expected="both files of the lab's authority",
            action="restore the key from a copy; without one, move the folder away and add every device again",
        )
    if key.exists() and not certificate.exists():
        raise StateError(
            f"{certificate} is missing, and {key} is there",
            expected="both files of the lab's authority",
            action="copy the certificate from a device's identity folder; if none was ever added, remove the key",
        )


def _create(directory: Path, now: dt.datetime) -> None:
    key = certificates.new_key()
    write_private(directory / _CA_KEY_FILE, certificates.key_pem(key))
    write_private(directory / CA_FILE, certificates.certificate_pem(certificates.authority_certificate(key, now)))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise AuthenticationError(
            f"{path} cannot be read ({error.strerror})",
            expected="the lab's certificate authority",
            action="restore the file from a copy; where there was none, `edgectl device add` makes it",
        ) from error


def _unwritable(path: Path, error: OSError) -> UsageError:
    return UsageError(
        f"{path} cannot be written ({error.strerror})", expected="a folder of yours", action="free or correct it"
    )
