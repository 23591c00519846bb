# SPDX-License-Identifier: Apache-2.0
"""dvara-logd and dvara-export, started by hand, with writers of the tests' own."""
import collections
import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest
import yaml

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from receivers import Authority  # noqa: E402
from support import BUILD, wait_until  # noqa: E402


def event(number, kind="request.close", **more):
    """One OCSF event as a writer leaves it."""
    now = int(time.time() * 1000)
    made = {"metadata": {"version": "1.8.0", "event_code": kind, "correlation_uid": f"r-{number}",
                         "product": {"name": "Dvara", "vendor_name": "Dvara", "version": "0"}},
            "time": now, "class_uid": 6003, "category_uid": 6, "type_uid": 600399, "activity_id": 99,
            "severity_id": 1, "status_id": 1, "actor": {"user": {"name": "alice", "uid": 'User::"alice"'}},
            "src_endpoint": {"ip": "192.0.2.7", "port": 4711},
            "http_request": {"http_method": "POST", "url": {"path": "/v1/chat"}},
            "http_response": {"code": 200}, "ai_model": {"name": "m|x=y\\z"}, "message": f"number {number}"}
    made.update(more)
    return made


def alert(uid, number=0, severity=4, title="Too many refusals", **more):
    return event(number, "alert.raised", class_uid=2004, category_uid=2, type_uid=200401, activity_id=1,
                 severity_id=severity, finding_info={"uid": uid, "title": title, "desc": "25 in 5 minutes"}, **more)


class House:
    """A state with its log and its exporter."""

    def __init__(self, folder):
        self.folder = folder
        self.state, self.runtime = folder / "state", folder / "run"
        for path in (self.state, self.runtime):
            path.mkdir(mode=0o700)
        self.config = folder / "dvara.yaml"
        self.processes = {}
        self.seen = 0
        self.errors = (folder / "stderr").open("w+")

    def start(self, name, *words):
        self.processes[name] = subprocess.Popen(
            [BUILD / name, "--state", self.state, "--runtime", self.runtime, *words], stderr=self.errors)

    def logd(self):
        (self.runtime / "log.pub").unlink(missing_ok=True)
        self.start("dvara-logd")
        wait_until((self.runtime / "log.pub").exists, 15, "dvara-logd is ready")
        # Its own record of its start comes a moment later, and would be taken for one that a test writes.
        wait_until(lambda: b'"event_code":"lifecycle"' in self.get(f"/events?from={self.seen}&limit=10000"), 15,
                   "dvara-logd's start is in the log")
        self.size()

    def configure(self, *destinations):
        self.config.write_text(yaml.safe_dump({"audit": {"export": [
            {key: str(value) if isinstance(value, pathlib.Path) else value for key, value in one.items()}
            for one in destinations]}}, sort_keys=False))

    def export(self, *destinations):
        if destinations:
            self.configure(*destinations)
        status = self.runtime / "export/status.json"
        status.unlink(missing_ok=True)
        self.start("dvara-export", "--config", self.config)
        wait_until(lambda: status.exists() or self.processes["dvara-export"].poll() is not None, 15, "dvara-export runs")
        assert self.processes["dvara-export"].poll() is None, self.said()

    def end(self, name, how=signal.SIGTERM):
        process = self.processes.pop(name)
        process.send_signal(how)
        return process.wait(timeout=20)

    def said(self):
        self.errors.flush()
        return (self.folder / "stderr").read_text()

    def write(self, *events):
        """They are in the log when it returns. Texts are records as they are."""
        before = self.size()
        lines = [one if isinstance(one, str) else json.dumps(one, separators=(",", ":")) for one in events]
        done = subprocess.run([BUILD / "tests/integration/export/event_writer", self.runtime, self.state / "spool"],
                              input="".join(line + "\n" for line in lines),
                              text=True, capture_output=True, check=True)
        assert int(done.stdout) == len(events)
        wait_until(lambda: self.size() >= before + len(events), 15, "the log has them")

    def get(self, path):
        return subprocess.run(["curl", "-sS", "--max-time", "20", "--unix-socket", self.runtime / "logd.sock",
                               f"http://log{path}"], capture_output=True, check=True).stdout

    def size(self):
        self.seen = json.loads(self.get("/status"))["size"]
        return self.seen

    def origin(self):
        return json.loads(self.get("/status"))["origin"]

    def feed(self):
        """uid: event, of the whole log."""
        found, origin = {}, self.origin()
        while True:
            lines = self.get(f"/events?from={len(found)}&limit=5000").splitlines()
            if not lines:
                return found
            for line in lines:
                item = json.loads(line)
                found[f"{origin}#{item['index']}"] = item["event"]

    def status(self, name="x"):
        path = self.runtime / "export/status.json"
        with contextlib.suppress(OSError, ValueError):
            for one in json.loads(path.read_text())["destinations"]:
                if one["name"] == name:
                    return one
        return None

    def position(self, name="x"):
        with contextlib.suppress(OSError, ValueError):
            return json.loads((self.state / "export" / name).read_text())["next"]
        return -1

    def wait_level(self, name="x", seconds=30):
        """All that is in the log now was acknowledged."""
        size = self.size()
        wait_until(lambda: self.position(name) >= size, seconds, f"{name} is level at {size}")

    def wait_status(self, name="x", seconds=10, **wanted):
        wait_until(lambda: {**(self.status(name) or {}), **wanted} == self.status(name), seconds, f"{name} is {wanted}")
        return self.status(name)

    def alarms(self, rule):
        return [one for one in self.feed().values() if one.get("finding_info", {}).get("uid") == rule]

    def close(self):
        for name in list(self.processes):
            self.end(name, signal.SIGKILL)
        said = self.said()
        self.errors.close()
        assert "Sanitizer" not in said and "runtime error" not in said, said


def check_complete(house, uids, duplicates=True):
    """Every event of the log came, under its uid; nothing that is not in the log."""
    wanted = set(house.feed())
    counted = collections.Counter(uids)
    assert not wanted - set(counted), f"missing {sorted(wanted - set(counted))[:5]} of {len(wanted)}"
    assert not set(counted) - wanted
    if not duplicates:
        assert max(counted.values()) == 1


@pytest.fixture
def house(tmp_path):
    one = House(tmp_path)
    one.logd()
    yield one
    one.close()


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ca")
    folder.chmod(0o755)
    return Authority(folder)


@pytest.fixture
def secret(tmp_path):
    def make(text, name="secret"):
        path = tmp_path / name
        path.write_text(text + "\n")
        path.chmod(0o600)
        return path
    return make


def pytest_configure(config):
    os.environ.setdefault("PYTHONUTF8", "1")
