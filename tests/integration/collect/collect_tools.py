# SPDX-License-Identifier: Apache-2.0
"""dvara-collect before a real dvara-logd, fed by the programs that people use."""
import json
import os
import pathlib
import signal
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

from support import BUILD, free_port, wait_until  # noqa: E402

__all__ = ["BUILD", "free_port", "wait_until"]


def each_once(pairs):
    """An object in which no name stands twice: other readers refuse it."""
    assert len({name for name, _ in pairs}) == len(pairs), pairs
    return dict(pairs)


class Collect:
    """A log, its daemon, and a collector that may be killed and started again."""

    def __init__(self, folder, state=None):
        self.folder = folder
        self.state = state or folder / "state"
        self.runtime = folder / "run"
        for path in (self.state, self.runtime, self.runtime / "collect"):
            path.mkdir(mode=0o700, exist_ok=True)
        self.config = folder / "dvara.yaml"
        self.errors = (folder / "stderr").open("w+")
        self.processes = {}
        self.known = []

    def start(self, name, *words):
        self.processes[name] = subprocess.Popen(
            [BUILD / name, "--state", self.state, "--runtime", self.runtime, *words], stderr=self.errors,
            env={**os.environ, "TZ": "UTC"})

    def logd(self):
        (self.runtime / "log.pub").unlink(missing_ok=True)
        self.start("dvara-logd")
        wait_until((self.runtime / "log.pub").exists, 15, "dvara-logd is ready")
        return self

    def collect(self, *inputs, **settings):
        """Starts it on these inputs; without any, as it was."""
        if inputs:
            self.configure(*inputs, **settings)
        report = self.runtime / "collect" / "status"
        report.unlink(missing_ok=True)
        self.start("dvara-collect", "--config", self.config)
        wait_until(lambda: report.exists() or self.processes["dvara-collect"].poll() is not None, 15,
                   "dvara-collect works")
        assert self.processes["dvara-collect"].poll() is None, self.said()
        return self

    def configure(self, *inputs, **settings):
        settings.setdefault("collect_keep_free", "1MiB")
        self.config.write_text(json.dumps({"audit": {"collect": list(inputs), **settings}}))

    def end(self, name, how=signal.SIGTERM):
        process = self.processes.pop(name)
        process.send_signal(how)
        return process.wait(timeout=20)

    def close(self):
        for name in list(self.processes):
            self.end(name, signal.SIGKILL)
        self.errors.close()
        assert "Sanitizer" not in (self.folder / "stderr").read_text()

    def said(self):
        self.errors.flush()
        return (self.folder / "stderr").read_text()

    def report(self):
        return json.loads((self.runtime / "collect" / "status").read_text())

    def input(self, number=0):
        return self.report()["inputs"][number]

    def events(self):
        """All events so far, those of the collector's own life left out."""
        while True:
            done = subprocess.run(
                ["curl", "-s", "-S", "--max-time", "20", "--unix-socket", self.runtime / "logd.sock",
                 f"http://log/events?from={len(self.known)}&limit=1000"], capture_output=True, check=True)
            page = [json.loads(line, object_pairs_hook=each_once)["event"] for line in done.stdout.splitlines()]
            if not page:
                return self.known
            self.known += page

    def kinds(self, code):
        return [one for one in self.events() if one["metadata"].get("event_code") == code]

    def collected(self):
        return [one for one in self.events() if one["metadata"].get("event_code", "").startswith("collected.")]

    def raws(self):
        return [one.get("raw_data") for one in self.collected()]

    def alarms(self, rule):
        return [one["message"] for one in self.kinds("alarm") if rule in json.dumps(one["finding_info"])]

    def wait_for(self, count, seconds=20):
        wait_until(lambda: len(self.collected()) >= count, seconds, f"{count} events")
        return self.collected()
