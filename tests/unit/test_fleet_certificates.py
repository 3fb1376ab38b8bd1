# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from edgectl.fleet import certificates
from edgectl_protos.errors import AuthenticationError, UsageError

NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
KEY = certificates.new_key()
ROOT = certificates.authority_certificate(KEY, NOW)


def device(name: str = "pi4") -> x509.Certificate:
    return certificates.device_certificate(name, certificates.new_key(), authority=ROOT, authority_key=KEY, now=NOW)


def host() -> x509.Certificate:
    return certificates.host_certificate(certificates.new_key(), authority=ROOT, authority_key=KEY, now=NOW)


def common_name(certificate: x509.Certificate) -> str | bytes:
    return certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value


def purposes(certificate: x509.Certificate) -> list[x509.ObjectIdentifier]:
    return list(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)


def test_a_devices_certificate_can_serve_and_nothing_else() -> None:
    certificate = device()
    assert purposes(certificate) == [ExtendedKeyUsageOID.SERVER_AUTH]
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert list(names) == [x509.DNSName("pi4.device.edgectl")]
    assert common_name(certificate) == "pi4"
    certificate.verify_directly_issued_by(ROOT)


def test_the_hosts_certificate_can_dial_and_nothing_else() -> None:
    certificate = host()
    assert purposes(certificate) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    certificate.verify_directly_issued_by(ROOT)


@pytest.mark.parametrize("certificate", [device(), host()])
def test_a_leaf_cannot_sign(certificate: x509.Certificate) -> None:
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage)
    assert constraints.critical
    assert not constraints.value.ca
    assert usage.critical
    assert usage.value.digital_signature
    assert not usage.value.key_cert_sign
    assert certificate.not_valid_after_utc - NOW == dt.timedelta(days=365)


def test_the_root_signs_leaves_only_for_ten_years() -> None:
    constraints = ROOT.extensions.get_extension_for_class(x509.BasicConstraints)
    usage = ROOT.extensions.get_extension_for_class(x509.KeyUsage).value
    assert constraints.critical
    assert (constraints.value.ca, constraints.value.path_length) == (True, 0)
    assert (usage.key_cert_sign, usage.digital_signature) == (True, False)
    assert ROOT.not_valid_after_utc.year == 2036
    key = ROOT.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert isinstance(key.curve, ec.SECP256R1)


def test_serial_numbers_are_not_repeated() -> None:
    assert len({device().serial_number for _ in range(4)}) == 4


def test_the_longest_name_fits() -> None:
    assert common_name(device("x" * 63)) == "x" * 63


@pytest.mark.parametrize("name", ["", "x" * 64, "*", "../x", "a b", "-a"])
def test_a_name_that_fits_no_certificate_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="device name"):
        device(name)


def test_pem_goes_round_and_rubbish_is_refused() -> None:
    pem = certificates.certificate_pem(ROOT)
    assert certificates.parse_certificate(pem, source="x") == ROOT
    parsed = certificates.parse_key(certificates.key_pem(KEY), source="x")
    assert parsed.public_key() == KEY.public_key()
    for data in (b"", b"rubbish", pem[:100], b"\xff" * 50):
        with pytest.raises(AuthenticationError, match=r"ca\.pem holds no certificate"):
            certificates.parse_certificate(data, source="ca.pem")
        with pytest.raises(AuthenticationError, match=r"ca\.key holds no private key"):
            certificates.parse_key(data, source="ca.key")
