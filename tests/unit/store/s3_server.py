"""An S3-compatible store on loopback for a test: moto's server in a process of its own, told to end by its input."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

needs_s3 = pytest.mark.skipif(
    importlib.util.find_spec("moto") is None, reason="moto[server] is not installed"
)
_SERVE = """
import sys, logging
logging.getLogger("werkzeug").disabled = True
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
server.stop()
"""
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_EC2_METADATA_DISABLED": "true"}


class Store:
    """A running server; every bucket is a test's own."""

    def __init__(self, port: int) -> None:
        self.endpoint = f"127.0.0.1:{port}"
        self._buckets = 0

    def bucket(self) -> str:
        """Make a bucket and return its name."""
        from pyarrow import fs

        self._buckets += 1
        name = f"bucket{self._buckets}"
        client = fs.S3FileSystem(
            endpoint_override=self.endpoint, scheme="http", region="us-east-1", allow_bucket_creation=True
        )
        client.create_dir(name)
        return name

    def url(self, path: str) -> str:
        """Return the URL of a key."""
        return f"s3://{path}?endpoint_override=http://{self.endpoint}"


@pytest.fixture(scope="session")
def store() -> Iterator[Store]:
    """Yield a store that answers, and its keys in the environment."""
    before = {name: os.environ.get(name) for name in KEYS}
    os.environ.update(KEYS)
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", _SERVE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdin is not None
        yield Store(int(process.stdout.readline()))
        process.stdin.close()
        process.wait(20)
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})
