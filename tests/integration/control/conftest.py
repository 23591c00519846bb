# SPDX-License-Identifier: Apache-2.0
"""dvarad and dvara-logd alone, without nginx: both sockets, driven with the CLI and with curl."""
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile

import pytest
import suite
from support import PATIENCE, wait_until

ROOT = pathlib.Path(__file__).resolve().parents[3]
BUILD = pathlib.Path(os.environ.get("DVARA_BUILD") or ROOT / os.environ.get("BUILD", "build"))

# What programs of ours may see of this environment.
KEPT = {name: os.environ[name] for name in ("PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS")
        if name in os.environ}


class Answer:
    """What curl printed, taken apart."""

    def __init__(self, text):
        head, _, body = text.partition("\r\n\r\n")
        lines = head.split("\r\n")
        self.status = int(lines[0].split()[1])
        self.headers = {name.lower(): value.strip() for name, _, value in
                        (line.partition(":") for line in lines[1:])}
        self.text = body

    @property
    def json(self):
        return json.loads(self.text)

    @property
    def error(self):
        return self.json["error"]


class Control:
    """One instance in a temporary folder."""

    def __init__(self, folder):
        self.program = BUILD / "dvara"
        self.folder = folder
        self.state = folder / "state"
        self.runtime = folder / "run"
        self.config = folder / "dvara.yaml"
        self.state.mkdir(mode=0o700)
        self.runtime.mkdir(mode=0o750)
        (self.state / "spool").mkdir(mode=0o700)
        (self.state / "runtime").symlink_to(self.runtime)
        (self.runtime / "spool").symlink_to(self.state / "spool")
        self.processes = {}

    def start(self, name, *more):
        log = open(self.folder / f"{name}.log", "ab")
        self.processes[name] = subprocess.Popen(
            [BUILD / name, "--state", self.state, "--runtime", self.runtime, *more],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        log.close()

    def log(self, name="dvarad"):
        return (self.folder / f"{name}.log").read_text()

    def start_all(self):
        self.start("dvara-logd")
        self.start_dvarad()

    def start_dvarad(self):
        (self.runtime / "api.sock").unlink(missing_ok=True)
        more = ["--config", self.config] if self.config.exists() else []
        self.start("dvarad", *more)
        self.wait_for(lambda: (self.runtime / "api.sock").exists()
                      or self.processes["dvarad"].poll() is not None)
        assert self.processes["dvarad"].poll() is None, self.log()

    @staticmethod
    def wait_for(condition, seconds=20):
        wait_until(condition, seconds, "what was waited for")

    def stop(self, name="dvarad", signal_number=signal.SIGTERM):
        process = self.processes.pop(name)
        process.send_signal(signal_number)
        return process.wait(timeout=20 * PATIENCE)

    def stop_all(self):
        for name in list(self.processes):
            self.stop(name)

    def dvara(self, *words, stdin=None, **environment):
        """Runs the CLI; returns the finished process."""
        return subprocess.run(
            [self.program, *words], input=stdin, capture_output=True, text=True, timeout=30 * PATIENCE,
            check=False, env={**KEPT, "DVARA_STATE": str(self.state), **environment})

    def json(self, *words):
        """The answer of a command that must succeed."""
        result = self.dvara(*words, "--output", "json")
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout)

    def curl(self, target, *more, socket="api.sock", key=None, method=None, body=None):
        words = ["curl", "-sS", "-i", "--max-time", "20", "--path-as-is",
                 "--unix-socket", self.runtime / socket, "http://dvara" + target]
        if key:
            words += ["-H", f"Authorization: Bearer {key}"]
        if method:
            words += ["-X", method]
        if body is not None:
            words += ["-H", "Content-Type: application/json", "--data-binary",
                      body if isinstance(body, str) else json.dumps(body)]
        result = subprocess.run([*words, *more], capture_output=True, check=True)
        return Answer(result.stdout.decode("utf-8", "replace"))

    def admin_key(self):
        text = (self.state / "admin-credentials").read_text()
        return re.search(r"dvk_\w+", text).group()

    def key_of(self, user, *permissions):
        """A key of a new user who has just these permissions."""
        self.json("user", "create", "--name", user)
        self.json("role", "create", "--name", f"role_{user}", "--permissions", ",".join(permissions))
        self.json("role", "assign", "--user", user, "--role", f"role_{user}")
        return self.json("apikey", "create", "--user", user)


@pytest.fixture(name="fresh")
def make_fresh():
    """An instance of its own that is not started yet."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="dvara-control-"))
    control = Control(folder)
    yield control
    control.stop_all()
    suite.check_state(BUILD, control.state)
    shutil.rmtree(folder)


@pytest.fixture(name="control", scope="module")
def make_control():
    """One instance for all tests of a file."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="dvara-control-"))
    control = Control(folder)
    control.start_all()
    yield control
    control.stop_all()
    for name in ("dvarad", "dvara-logd"):
        assert "ERROR: " not in control.log(name) and "runtime error" not in control.log(name)
    suite.check_state(BUILD, control.state)
    shutil.rmtree(folder)
