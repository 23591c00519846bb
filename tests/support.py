# SPDX-License-Identifier: Apache-2.0
"""What every kind of test that starts processes needs."""
import contextlib
import os
import pathlib
import random
import socket
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
BUILD = pathlib.Path(os.environ.get("DVARA_BUILD") or ROOT / os.environ.get("BUILD", "build"))


def free_port():
    """Below those that the system gives to connections: one of these may take it before it is used."""
    while True:
        port = random.SystemRandom().randrange(12000, 32000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def wait_until(condition, seconds, what):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s: {what}")
