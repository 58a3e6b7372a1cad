"""An S3-compatible server of our own on loopback, gone with the tests that use it."""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from socket import socket
from typing import Final

START_S: Final = 30.0
KEY: Final = "a-key-of-the-tests"
SECRET: Final = "a-secret-of-the-tests"


class S3Server:
    """Where it is, and its buckets."""

    def __init__(self, url: str) -> None:
        self.url = url

    def make_bucket(self, name: str) -> None:
        request = urllib.request.Request(f"{self.url}/{name}", method="PUT")
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.status == 200


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """Start it, and end it."""
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        url = f"http://127.0.0.1:{port}"
        _until_there(url, process)
        yield S3Server(url)
    finally:
        process.terminate()
        process.wait(10)


def _until_there(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        assert process.poll() is None, "the S3 server ended"
        with suppress(urllib.error.HTTPError, OSError), urllib.request.urlopen(f"{url}/moto-api/", timeout=1):
            return
        time.sleep(0.05)
    raise TimeoutError("the S3 server did not start")
