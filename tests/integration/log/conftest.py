# SPDX-License-Identifier: Apache-2.0
"""dvara-logd alone, with writers of the tests' own and curl for a reader."""
import json
import os
import pathlib
import signal
import subprocess

import pytest
import suite
import support

ROOT = pathlib.Path(__file__).resolve().parents[3]
BUILD = pathlib.Path(os.environ.get("DVARA_BUILD") or ROOT / os.environ.get("BUILD", "build"))


def wait_until(condition, what, seconds=15):
    support.wait_until(condition, seconds, what)


class Logd:
    """One log, whose daemon may be started, killed and started again."""

    def __init__(self, folder):
        self.state = folder / "state"
        self.runtime = folder / "run"
        self.spool = self.state / "spool"
        self.log = self.state / "log"
        for path in (self.state, self.runtime):
            path.mkdir(mode=0o700)
        self.process = None
        self.is_damaged = False  # by the test: nothing need open it
        self.errors = (folder / "stderr").open("w+")

    def start(self, wait=True, session=False):
        (self.runtime / "log.pub").unlink(missing_ok=True)
        self.process = subprocess.Popen(
            [BUILD / "dvara-logd", "--state", self.state, "--runtime", self.runtime],
            stderr=self.errors, start_new_session=session)
        if wait:
            wait_until((self.runtime / "log.pub").exists, "dvara-logd is ready")
        return self

    def end(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        return self.process.wait(timeout=20)

    def said(self):
        self.errors.seek(0)
        return self.errors.read()

    def write(self, name, count, pause_ms=0):
        return subprocess.Popen([BUILD / "tests/integration/log/spool_writer", self.runtime, self.spool,
                                 name, str(count), str(pause_ms)], stdout=subprocess.PIPE, text=True)

    def get(self, path, *options):
        done = subprocess.run(
            ["curl", "-s", "-S", "--max-time", "40", "--path-as-is", "--unix-socket",
             self.runtime / "logd.sock", *options, f"http://log{path}"],
            capture_output=True, check=True)
        return done.stdout

    def status(self):
        return json.loads(self.get("/status"))

    def feed(self):
        """Every event, page by page."""
        events, start = [], 0
        while True:
            page = [json.loads(line) for line in self.get(f"/events?from={start}&limit=1000").splitlines()]
            if not page:
                return events
            assert [item["index"] for item in page] == list(range(start, start + len(page)))
            events += [item["event"] for item in page]
            start += len(page)

    def verify(self, *options, code=0):
        done = subprocess.run([BUILD / "dvara", "audit", "verify", "--log", self.log, "--output", "json", *options],
                              capture_output=True, text=True)
        assert done.returncode == code, done.stdout + done.stderr
        return json.loads(done.stdout) if done.stdout else done.stderr


@pytest.fixture
def logd(tmp_path):
    one = Logd(tmp_path)
    yield one
    if one.process is not None and one.process.poll() is None:
        one.end(signal.SIGKILL)
    one.errors.close()
    suite.check_state(BUILD, one.state, one.is_damaged)
