"""`lastack serve` speaks TLS with a certificate made here, keeps its token, and says what is wrong with a file."""

from __future__ import annotations

import datetime
import http.client
import ipaddress
import json
import re
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lastack.cli.main import run

x509 = pytest.importorskip(
    "cryptography.x509", reason="cryptography is not installed, which makes certificates"
)
from cryptography.hazmat.primitives import hashes, serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec  # noqa: E402

TOKEN = "a-token-of-this-test"


@dataclass(frozen=True)
class Pair:
    cert: Path
    key: Path


def make_pair(folder: Path, name: str) -> Pair:
    """Write a certificate for 127.0.0.1 that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    begun = datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=1)
    cert = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begun)
        .not_valid_after(begun + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .sign(key, hashes.SHA256())
    )
    pair = Pair(folder / f"{name}.pem", folder / f"{name}.key")
    pair.cert.write_bytes(cert.public_bytes(serialization.Encoding.PEM))
    pair.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return pair


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return make_pair(tmp_path_factory.mktemp("tls"), "here")


@pytest.fixture(scope="module")
def server(dataset: Path, pair: Pair) -> Iterator[tuple[int, str]]:
    """Run a server with TLS and a token; yield its port, and the link that it printed."""
    command = [sys.executable, "-m", "lastack.cli.main", "serve", str(dataset), "--listen", "127.0.0.1:0"]
    command += ["--token", TOKEN, "--tls-cert", str(pair.cert), "--tls-key", str(pair.key)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        said = process.stderr.readline()
        match = re.search(r"https://127\.0\.0\.1:(\d+)/", said)
        assert match is not None, said
        yield int(match[1]), said
    finally:
        process.terminate()
        process.communicate(timeout=20)


def ask(port: int, pair: Pair, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    context = ssl.create_default_context(cafile=str(pair.cert))
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=20, context=context)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return (
            answer.status,
            {name.casefold(): value for name, value in answer.getheaders()},
            answer.read(),
        )
    finally:
        connection.close()


def test_tls__answers_who_trusts_the_certificate_and_has_the_token(
    server: tuple[int, str], pair: Pair
) -> None:
    port, said = server
    assert TOKEN not in said, "a token of one's own is not printed"
    status, _, body = ask(port, pair, "/api/v1/status", Authorization=f"Bearer {TOKEN}")
    assert (status, json.loads(body)["sessions"]) == (200, 218)
    status, headers, body = ask(port, pair, "/api/v1/status", Authorization="Bearer wrong")
    assert (status, json.loads(body)["error"]["code"]) == (401, "token")
    assert headers["www-authenticate"] == "Bearer"
    assert ask(port, pair, "/api/v1/status")[0] == 401


def test_tls__cookie_of_a_link_is_for_tls_only(server: tuple[int, str], pair: Pair) -> None:
    port, _ = server
    status, headers, _ = ask(port, pair, f"/?token={TOKEN}")
    assert status == 303
    assert "Secure" in headers["set-cookie"]
    cookie = headers["set-cookie"].partition(";")[0]
    assert ask(port, pair, "/", Cookie=cookie)[0] == 200


def test_tls__other_names_and_plain_text_get_nothing(server: tuple[int, str], pair: Pair) -> None:
    port, _ = server
    good = f"Bearer {TOKEN}"
    status, _, body = ask(port, pair, "/api/v1/status", Authorization=good, Host="evil.example")
    assert status == 421
    assert b"sessions" not in body
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
        plain.sendall(b"GET /api/v1/status HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert b"HTTP/1.1 2" not in plain.recv(1000)
    other = ssl.create_default_context()  # knows the world's authorities, not this certificate
    with socket.create_connection(("127.0.0.1", port), timeout=10) as raw, pytest.raises(ssl.SSLError):
        other.wrap_socket(raw, server_hostname="127.0.0.1")


@pytest.mark.parametrize(
    ("cert", "key", "code", "says"),
    [
        ("missing.pem", "here.key", 3, "missing.pem"),
        ("here.pem", "missing.key", 3, "missing.key"),
        ("here.key", "here.key", 2, "no certificate"),
        ("here.pem", "here.pem", 2, "no private key"),
        ("here.pem", "other.key", 2, "does not belong to"),
        ("text.txt", "here.key", 2, "no certificate"),
        ("here.pem", "locked.key", 2, "passphrase"),
    ],
)
def test_tls__a_wrong_file_is_told(
    dataset: Path, pair: Pair, tmp_path: Path, capsys: pytest.CaptureFixture[str], cert: str, key: str, code: int,
    says: str,
) -> None:  # fmt: skip
    make_pair(pair.cert.parent, "other")
    (pair.cert.parent / "text.txt").write_text("hello\n")
    private = serialization.load_pem_private_key(pair.key.read_bytes(), None)
    locked = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )
    (pair.cert.parent / "locked.key").write_bytes(locked)
    words = ["serve", str(dataset), "--listen", "127.0.0.1:0"]
    words += ["--tls-cert", str(pair.cert.parent / cert), "--tls-key", str(pair.cert.parent / key)]
    assert run(words) == code
    error = capsys.readouterr().err
    assert says in error
    assert "Traceback" not in error
