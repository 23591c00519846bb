# SPDX-License-Identifier: Apache-2.0
"""A log with its control plane, witnesses beside it, and whoever verifies what they sign."""
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

from support import BUILD, free_port, wait_until  # noqa: E402 (found only now)

KEPT = {name: os.environ[name] for name in ("PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS") if name in os.environ}


def end(process, how=signal.SIGTERM):
    process.send_signal(how)
    return process.wait(timeout=20)


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("log", timeout=40)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(40)
        self.sock.connect(self.path)


class Witness:
    """dvara-witness in a folder of its own."""

    def __init__(self, folder, name="witness.example/w1"):
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        self.key = self.run("init", "--name", name).stdout.strip()
        self.process = None
        self.log = folder.with_suffix(".log")

    def run(self, verb, *words, code=0):
        done = subprocess.run([BUILD / "dvara-witness", verb, "--state", self.folder, *words],
                              capture_output=True, text=True, timeout=20)
        assert done.returncode == code, done.stderr
        return done

    def knows(self, *vkeys):
        (self.folder / "logs.txt").write_text("logs/v0\n" + "".join(f"vkey {vkey}\n" for vkey in vkeys))
        if self.process is not None:
            told = self.log.read_text().count("read anew")
            self.process.send_signal(signal.SIGHUP)
            wait_until(lambda: self.log.read_text().count("read anew") > told, 10, "it reads its list anew")
        return self

    def start(self):
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [BUILD / "dvara-witness", "run", "--state", self.folder, "--listen", f"127.0.0.1:{self.port}"],
                stderr=log)
        wait_until(self.answers, 10, "the witness answers")
        return self

    def answers(self):
        try:
            return self.ask("GET", "/healthz")[0] == 200
        except OSError:
            assert self.process.poll() is None, self.log.read_text()
            return False

    def ask(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request(method, path, body)
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        return answer.status, answer.getheader("Content-Type"), text

    def add(self, old, proof, note):
        lines = "".join(f"{line}\n" for line in proof)
        return self.ask("POST", "/add-checkpoint", f"old {old}\n{lines}\n".encode() + note)

    def stop(self, how=signal.SIGTERM):
        process, self.process = self.process, None
        return end(process, how)


class Log:
    """dvara-logd, and dvarad over it when there are witnesses."""

    def __init__(self, folder):
        self.folder = folder
        self.state, self.runtime = folder / "state", folder / "run"
        self.log = self.state / "log"
        self.config = folder / "dvara.yaml"
        self.config.write_text("{}\n")
        self.state.mkdir(mode=0o700)
        self.runtime.mkdir(mode=0o750)
        (self.state / "spool").mkdir(mode=0o700)
        (self.state / "runtime").symlink_to(self.runtime)
        (self.runtime / "spool").symlink_to(self.state / "spool")
        self.processes = {}

    def said(self, name):
        return (self.folder / f"{name}.log").read_text()

    def start(self, name, *more):
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [BUILD / name, "--state", self.state, "--runtime", self.runtime, *more], stderr=log, stdout=log)

    def start_logd(self):
        (self.runtime / "log.pub").unlink(missing_ok=True)
        self.start("dvara-logd")
        wait_until(lambda: (self.runtime / "log.pub").exists() or self.processes["dvara-logd"].poll() is not None,
                   15, "dvara-logd is ready")
        assert self.processes["dvara-logd"].poll() is None, self.said("dvara-logd")
        wait_until(lambda: self.size > 0, 10, "its start is in the log")
        return self

    def start_dvarad(self):
        (self.runtime / "api.sock").unlink(missing_ok=True)
        self.start("dvarad", "--config", self.config)
        wait_until(lambda: (self.runtime / "api.sock").exists() or self.processes["dvarad"].poll() is not None,
                   15, "dvarad is ready")
        assert self.processes["dvarad"].poll() is None, self.said("dvarad")
        return self

    def stop(self, *names, how=signal.SIGTERM):
        for name in names or reversed(list(self.processes)):
            end(self.processes.pop(name), how)
        return self

    def witnessed_by(self, *witnesses, quorum=None, interval="1s"):
        config = {"audit": {"witnesses": [{"url": one.url, "key": one.key} for one in witnesses],
                            "witness_interval": interval}}
        if quorum is not None:
            config["audit"]["quorum"] = quorum
        self.config.write_text(json.dumps(config))
        return self

    def request(self, path, method="GET", body=None):
        connection = UnixConnection(self.runtime / "logd.sock")
        connection.request(method, path, body)
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        return answer.status, text

    def get(self, path):
        status, text = self.request(path)
        assert status == 200, text
        return text

    @property
    def vkeys(self):
        return self.get("/vkey").decode().split()

    @property
    def size(self):
        return json.loads(self.get("/status"))["size"]

    @property
    def checkpoint(self):
        return self.get("/checkpoint")

    def write(self, name, count):
        before = self.size
        subprocess.run([BUILD / "tests/integration/log/spool_writer", self.runtime, self.state / "spool", name,
                        str(count), "0"], check=True, stdout=subprocess.DEVNULL)
        wait_until(lambda: self.size >= before + count, 20, "all is in the log")
        return self

    def dvara(self, *words, code=0):
        done = subprocess.run([BUILD / "dvara", *words], capture_output=True, text=True, timeout=60,
                              env={**KEPT, "DVARA_STATE": str(self.state)})
        assert done.returncode == code, done.stdout + done.stderr
        return done

    def json(self, *words):
        return json.loads(self.dvara(*words, "--output", "json").stdout)

    @property
    def witnesses(self):
        return self.json("audit", "witnesses")

    def states(self):
        return [item["state"] for item in self.witnesses["items"]]

    def wait_for_cosigned(self, size):
        wait_until(lambda: self.witnesses["cosigned"] >= size, 20, "the quorum has cosigned")

    def events(self):
        lines = self.get("/events?from=0&limit=10000").splitlines()
        return [json.loads(line)["event"] for line in lines]

    def alarms(self):
        return [event for event in self.events() if event["metadata"]["event_code"] == "alarm"]


def lines_of(note):
    """The three lines of a checkpoint and its signature lines."""
    text, _, signatures = note.decode().rpartition("\n\n")
    origin, size, root = text.split("\n")[:3]
    return origin, int(size), root, re.findall("^\u2014 .*$", signatures, re.M)


def made_folder(path):
    path.mkdir()
    return path


def copy_state(log, to):
    """The state folder as it is now, without what is of one life only."""
    shutil.copytree(log.state, to, symlinks=True)
