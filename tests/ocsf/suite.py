# SPDX-License-Identifier: Apache-2.0
"""Every event that the suite makes is held against the schema.

What ends a Dvara of the tests calls `check_state` (a state directory whose processes have ended) or
`check_events` (events in hand). A fault fails the test. Of events that are of one shape only the
first is checked: the same members with values of the same types, the values themselves where they
are enumerated, and for those with a format whether they have it. Without the vectors nothing is
checked, and the summary of the tests says so (tests/conftest.py).
"""
import contextlib
import http.client
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile
import time

import validate

ROOT = pathlib.Path(__file__).resolve().parents[2]
VECTORS = pathlib.Path(os.environ.get("DVARA_VECTORS") or ROOT.parent / "shared" / "vectors")
SHORT_MAX = 32  # of values that have a format; longer ones are looked at one by one
FIRST, LAST = 5000, 1000  # of one log's events: those between are a flood's and alike
PAGE = 1000
START_SECONDS = 30


class Suite:
    """What was checked in this run."""

    def __init__(self, vectors=VECTORS):
        self.present = (vectors / "ocsf" / "dictionary.json").is_file()
        self.vectors = vectors
        self.schema = validate.Schema(vectors / "ocsf") if self.present else None
        self.shapes = set()
        self.kinds = {}  # class_uid by event_code
        self.events = self.logs = 0
        self.seconds = 0.0
        self.unread = []
        self.formats = {}
        if self.present:
            self._read_dictionary()

    def _read_dictionary(self):
        """Which values are part of a shape: enumerated ones, and by their format others."""
        attributes = self.schema.dictionary.items()
        families = (self.schema.objects, self.schema.events)
        specs = [*attributes, *(item for family in families for definition in family.values()
                                for item in definition["attributes"].items() if item[0] != "$include")]
        self.enumerated = {name for name, spec in specs if isinstance(spec, dict) and spec.get("enum")}
        self.enumerated |= {"class_uid", "type_uid", "category_uid", "version"}
        for name, spec in attributes:
            kind = self.schema.types.get(spec.get("type"), {})
            if "regex" in kind:
                self.formats[name] = re.compile(kind["regex"])

    def shape(self, value, name=""):
        if isinstance(value, dict):
            if name in ("unmapped", "data"):
                return "{}"  # anything goes there
            return tuple((key, self.shape(member, key)) for key, member in value.items())
        if isinstance(value, list):
            return ("[]", *{self.shape(item, name): None for item in value})
        if name in self.enumerated:
            return value, type(value)
        if isinstance(value, str):
            right = name not in self.formats or self.formats[name].search(value) and len(value) <= SHORT_MAX
            return str if right else value
        if isinstance(value, bool) or not isinstance(value, int):
            return type(value)
        return (value >= 0, value.bit_length() > 16, value.bit_length() > 31, value.bit_length() > 63)

    def check_events(self, events, where):
        """Fails with the faults of the events, at most a few of them."""
        if not self.present:
            return
        began = time.monotonic()
        faults = []
        for event in events:
            self.events += 1
            shape = self.shape(event)
            if shape in self.shapes:
                continue
            found = validate.check_event(self.schema, event)
            if not found:
                self.shapes.add(shape)
                self.kinds[event["metadata"].get("event_code")] = event["class_uid"]
            faults += [f"{fault} in {json.dumps(event)}" for fault in found]
        self.seconds += time.monotonic() - began
        assert not faults, f"{where}: events that are not OCSF:\n" + "\n".join(faults[:5])

    def check_state(self, build, state, damaged=False):
        """Reads the log of a state directory, as it is now, with a dvara-logd of its own. damaged: the
        test has damaged it, so that it may be one that no dvara-logd opens; the summary names it."""
        if not self.present or not (state / "keys" / "log").is_dir():
            return
        began = time.monotonic()
        try:
            with reader(build, state) as get:
                events = list(read_log(get))
        except Unreadable as error:
            assert damaged, f"the log can not be read, to hold its events against OCSF: {error}"
            self.unread.append(str(error))
            return
        finally:
            self.seconds += time.monotonic() - began
        self.logs += 1
        self.check_events(events, state)

    def summary(self):
        if not self.present:
            return f"events were not held against OCSF: no schema at {self.vectors}/ocsf"
        return (f"{self.events} events of {self.logs} logs held against OCSF in {self.seconds:.1f} s: "
                f"{len(self.shapes)} shapes of {len(self.kinds)} kinds, {len(self.unread)} damaged logs not read")


class Unreadable(Exception):
    pass


class Socket(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("log", timeout=60)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


def copy_log(state, folder):
    """Of a state directory what dvara-logd needs, as ours."""
    for part in ("log", "keys/log", "spool"):
        if (state / part).is_dir():
            shutil.copytree(state / part, folder / part, copy_function=shutil.copy)
    for part in ("", "log", "keys", "keys/log"):
        (folder / part).chmod(0o700)


@contextlib.contextmanager
def reader(build, state):
    """A dvara-logd on a copy of the log; gives a function that asks it for a path."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="dvara-ocsf-"))
    runtime = folder / "run"
    runtime.mkdir(mode=0o700)
    copy_log(state, folder / "state")
    log = (folder / "stderr").open("wb")
    process = subprocess.Popen([build / "dvara-logd", "--state", folder / "state", "--runtime", runtime],
                               stdin=subprocess.DEVNULL, stderr=log)
    try:
        end = time.monotonic() + START_SECONDS
        while not (runtime / "log.pub").exists():
            if process.poll() is not None or time.monotonic() > end:
                raise Unreadable(f"{state}: {(folder / 'stderr').read_text().strip()}")
            time.sleep(0.005)
        connection = Socket(runtime / "logd.sock")

        def get(path):
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        yield get
        connection.close()
    finally:
        process.kill()  # nobody goes on with this log
        process.wait()
        log.close()
        shutil.rmtree(folder, ignore_errors=True)


def log_names(get):
    status, body = get("/logs")
    return [one["name"] for one in json.loads(body)] if status == 200 else [None]


def read_page(get, at, more):
    status, body = get(f"/events?from={at}&limit={PAGE}{more}")
    if status != 200:
        raise Unreadable(f"/events: {status} {body[:200]!r}")
    return [json.loads(line) for line in body.splitlines()]


def read_log(get):
    """The events of all logs of a dvara-logd."""
    for name in log_names(get):
        more = "" if name is None else f"&log={name}"
        at, size = 0, json.loads(get("/status?" + more[1:])[1])["size"]
        while at < size:
            lines = read_page(get, at, more)
            yield from (line["event"] for line in lines)
            if not lines:
                raise Unreadable(f"no events from {at} on, of {size}")
            at = lines[-1]["index"] + 1
            if FIRST <= at < size - LAST:
                at = size - LAST


SUITE = Suite()
check_events = SUITE.check_events
check_state = SUITE.check_state
