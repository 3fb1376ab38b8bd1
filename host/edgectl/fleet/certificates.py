# SPDX-License-Identifier: Apache-2.0
"""X.509 certificates of the lab (RFC 5280), as pure functions of names, keys and the time.

A device's certificate can only serve and a host's can only dial: a board that is taken over cannot command another.
"""

from __future__ import annotations

import datetime as dt

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from edgectl_protos.errors import AuthenticationError

from edgectl.fleet.names import device_server_name

AUTHORITY_LIFE = dt.timedelta(days=3652)
LEAF_LIFE = dt.timedelta(days=365)
CLOCK_TOLERANCE = dt.timedelta(hours=24)  # boards without a battery-backed clock start in the past

_ORGANIZATION = "edgectl lab"


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def authority_certificate(key: ec.EllipticCurvePrivateKey, now: dt.datetime) -> x509.Certificate:
    """A self-signed root for ten years that may sign leaves and no further authority."""
    name = _name("edgectl lab authority")
    usage = _key_usage(signs_certificates=True)
    return (
        _builder(subject=name, issuer=name, key=key, now=now, life=AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )


def device_certificate(
    device: str,
    key: ec.EllipticCurvePrivateKey,
    *,
    authority: x509.Certificate,
    authority_key: ec.EllipticCurvePrivateKey,
    now: dt.datetime,
) -> x509.Certificate:
    """A server certificate for `DEVICE.device.edgectl`, for one year.

    Raises:
        UsageError: `device` is no valid name.
    """
    names = x509.SubjectAlternativeName([x509.DNSName(device_server_name(device))])
    builder = _leaf(device, key, authority=authority, now=now, purpose=ExtendedKeyUsageOID.SERVER_AUTH)
    return builder.add_extension(names, critical=False).sign(authority_key, hashes.SHA256())


def host_certificate(
    key: ec.EllipticCurvePrivateKey,
    *,
    authority: x509.Certificate,
    authority_key: ec.EllipticCurvePrivateKey,
    now: dt.datetime,
) -> x509.Certificate:
    """A client certificate for the host that dials the devices, for one year."""
    builder = _leaf("edgectl host", key, authority=authority, now=now, purpose=ExtendedKeyUsageOID.CLIENT_AUTH)
    return builder.sign(authority_key, hashes.SHA256())


def issued_by(authority: x509.Certificate, certificate: x509.Certificate) -> bool:
    """Whether `authority` signed `certificate`: its name is the issuer's, and its key verifies the signature."""
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def certificate_pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def parse_certificate(data: bytes, *, source: str) -> x509.Certificate:
    """The certificate in PEM `data`.

    Raises:
        AuthenticationError: there is none; the message names `source`.
    """
    try:
        return x509.load_pem_x509_certificate(data)
    except ValueError as error:
        raise AuthenticationError(
            f"{source} holds no certificate",
            expected="a PEM certificate",
            action="restore it from a copy, or remove the authority's folder and add the devices again",
        ) from error


def parse_key(data: bytes, *, source: str) -> ec.EllipticCurvePrivateKey:
    """The P-256 private key in PEM `data`.

    Raises:
        AuthenticationError: there is none; the message names `source`.
    """
    try:
        key = serialization.load_pem_private_key(data, password=None)
    except (ValueError, TypeError) as error:
        raise _no_key(source) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise _no_key(source)
    return key


def _no_key(source: str) -> AuthenticationError:
    return AuthenticationError(
        f"{source} holds no private key",
        expected="an unencrypted PEM key on an elliptic curve",
        action="restore it from a copy, or remove the authority's folder and add the devices again",
    )


def _leaf(
    common_name: str,
    key: ec.EllipticCurvePrivateKey,
    *,
    authority: x509.Certificate,
    now: dt.datetime,
    purpose: x509.ObjectIdentifier,
) -> x509.CertificateBuilder:
    issuer_identifier = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return (
        _builder(subject=_name(common_name), issuer=authority.subject, key=key, now=now, life=LEAF_LIFE)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=True)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_identifier), critical=False
        )
    )


def _builder(
    *,
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    now: dt.datetime,
    life: dt.timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_TOLERANCE)
        .not_valid_after(now + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, _ORGANIZATION),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
