# SPDX-License-Identifier: Apache-2.0
"""What every kind of test that starts processes needs."""
import contextlib
import fcntl
import os
import pathlib
import random
import re
import shutil
import socket
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
BUILD = pathlib.Path(os.environ.get("DVARA_BUILD") or ROOT / os.environ.get("BUILD", "build"))

PATIENCE = float(os.environ.get("DVARA_PATIENCE", "1"))  # times what ordinary programs may take

PORTS = range(12000, 32000)

CARD_DIGITS = re.compile("4111[ -]1|4111111")


def shows_card(text):
    """Whether the card number of the tests stands there, or more of it than numbers and identifiers hold by chance."""
    return CARD_DIGITS.search(text if isinstance(text, str) else text.decode("latin-1")) is not None


def next_port():
    """Each is given once in a while, whichever run of tests asks: a probe of another one would stand in the way of
    a server that is just starting."""
    place = pathlib.Path(tempfile.gettempdir()) / f"dvara-test-ports-{os.geteuid()}"
    with place.open("a+", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        last = int(file.read() or random.SystemRandom().choice(PORTS))
        port = last + 1 if last + 1 in PORTS else PORTS[0]
        file.truncate(0)
        file.write(str(port))
    return port


def free_port():
    """Below those that the system gives to connections: one of these may take it before it is used."""
    while True:
        port = next_port()
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def classes(*lines):
    """What dvarad posts of dvara.yaml: engine/log/retention.c."""
    text = "".join(f"{line}\n" for line in ("dvara-log-retention 1", *lines))
    return f"{text}crc {crc32c(text.encode()):08x}\n"


def remove_instance(folder):
    """A folder with states of `dvara up`, and their runtime folders, of 17 MB each, which lie elsewhere."""
    for link in [*folder.glob("runtime"), *folder.glob("*/runtime"), *folder.glob("*/*/runtime")]:
        if link.is_symlink() and link.resolve().parent.name.startswith("dvara"):
            shutil.rmtree(link.resolve(), ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)


def wait_until(condition, seconds, what):
    """Asks again after twice the time that the asking took: much of it starts programs, and who waits for something
    is not to keep the processors from doing it. Asks at least twice, should the machine have stood still."""
    end = time.monotonic() + seconds * PATIENCE
    while True:
        last = (began := time.monotonic()) >= end
        if condition():
            return
        if last:
            raise AssertionError(f"not within {seconds * PATIENCE} s: {what}")
        time.sleep(min(max(0.02, 2 * (time.monotonic() - began)), 0.5))
