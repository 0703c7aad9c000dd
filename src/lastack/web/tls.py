"""Looks at a certificate and its key before a server starts with them, and says in plain words what is wrong."""

from __future__ import annotations

import ssl
from pathlib import Path

from lastack.model.errors import AccessError, InputError, UsageError

_MOST_BYTES = 1 << 20


def check_pair(cert: str, key: str) -> None:
    """Make sure that a server can speak TLS with a certificate chain and its key.

    Args:
        cert: File of the chain, PEM, the server's own certificate first.
        key: File of its private key, PEM, without a passphrase.

    Raises:
        InputError: A file is not there.
        AccessError: A file may not be read.
        UsageError: They hold something else, or do not belong together.
    """
    chain, secret = _text("--tls-cert", cert), _text("--tls-key", key)
    if "-----BEGIN CERTIFICATE-----" not in chain:
        raise UsageError(f"--tls-cert {cert}: has no certificate in PEM form (-----BEGIN CERTIFICATE-----)")
    if "PRIVATE KEY-----" not in secret:
        raise UsageError(f"--tls-key {key}: has no private key in PEM form (-----BEGIN PRIVATE KEY-----)")
    if "ENCRYPTED" in secret:
        raise UsageError(
            f"--tls-key {key}: wants a passphrase; write it without: openssl pkey -in {key} -out plain.key"
        )
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key)
    except ssl.SSLError as reason:
        if reason.reason == "KEY_VALUES_MISMATCH":
            raise UsageError(
                f"--tls-key {key}: does not belong to the first certificate of {cert}; the server's own goes first"
            ) from None
        raise UsageError(f"--tls-cert {cert}, --tls-key {key}: cannot be used: {reason.reason}") from None


def _text(option: str, name: str) -> str:
    try:
        with Path(name).open("rb") as stream:
            return stream.read(_MOST_BYTES).decode("latin-1")
    except PermissionError as reason:
        raise AccessError(f"{option} {name}: {reason.strerror}; ask its owner") from None
    except OSError as reason:
        raise InputError(f"{option} {name}: {reason.strerror}; check the name") from None
