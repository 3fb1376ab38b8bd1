# SPDX-License-Identifier: Apache-2.0
"""Looks at the agent's identity as its clients will: by a TLS handshake between the two ends, within memory."""

from __future__ import annotations

import contextlib
import ssl
from pathlib import Path
from typing import Any

from edgectl_agent.doctor.facts import IdentityFacts

AUTHORITY, CERTIFICATE, KEY = "ca.pem", "device.pem", "device.key"

_NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME of openssl/x509_vfy.h: dates are the rule's matter


def read_identity(folder: Path | None, device: str) -> IdentityFacts:
    """What is in the folder, and what a client that trusts its authority makes of it."""
    if folder is None:
        return IdentityFacts(None, device)
    for name in (AUTHORITY, CERTIFICATE, KEY):
        try:
            (folder / name).open("rb").close()
        except PermissionError:
            return IdentityFacts(folder, device, unreadable=name)
        except OSError as error:
            return IdentityFacts(folder, device, failure=f"{name}: {error.strerror}")
    mode = (folder / KEY).stat().st_mode & 0o777
    try:
        shown = _shown_certificate(folder)
    except (ssl.SSLError, ValueError) as error:
        return IdentityFacts(folder, device, failure=_reason(error), key_mode=mode)
    return IdentityFacts(
        folder,
        device,
        names=tuple(value for kind, value in shown.get("subjectAltName", ()) if kind == "DNS"),
        not_before=ssl.cert_time_to_seconds(shown["notBefore"]),
        not_after=ssl.cert_time_to_seconds(shown["notAfter"]),
        key_mode=mode,
    )


def _shown_certificate(folder: Path) -> dict[str, Any]:
    """The certificate in a client's eyes, once it has accepted it.

    Raises:
        ssl.SSLError: a file is damaged, the key is another's, or another authority signed the certificate.
    """
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(
        folder / CERTIFICATE, folder / KEY, password=""
    )  # without one, OpenSSL would ask the terminal
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.load_verify_locations(folder / AUTHORITY)
    client.verify_flags = ssl.VerifyFlags(client.verify_flags | _NO_CHECK_TIME)
    client.check_hostname = False  # the rule compares the names, and can say which there are
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    serving = server.wrap_bio(to_server, to_client, server_side=True)
    calling = client.wrap_bio(to_client, to_server)
    for end in (calling, serving, calling):
        with contextlib.suppress(ssl.SSLWantReadError):
            end.do_handshake()
    return calling.getpeercert() or {}


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"{CERTIFICATE} is not of the authority in {AUTHORITY}: {error.verify_message}"
    reason = (getattr(error, "reason", None) or str(error)).lower().replace("_", " ")
    return f"{CERTIFICATE}, {KEY} or {AUTHORITY} is damaged, or they do not belong together: {reason}"
