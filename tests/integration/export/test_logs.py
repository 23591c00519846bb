# SPDX-License-Identifier: Apache-2.0
"""Several logs, pruned logs, logs that were exchanged: behind dvara-logd's socket stands a stand-in that says so."""
import http.server
import json
import socketserver
import subprocess
import threading
import time
import urllib.parse

import pytest

from conftest import House, event
from support import wait_until


class Logs(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True

    def __init__(self, path):
        self.logs = {}
        super().__init__(str(path), Handler)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def handle_error(self, request, client_address):
        pass  # a reader that went away

    def add(self, name, count, origin=None, minimum=0, keep_seconds=0, age=0):
        events = [event(number) for number in range(count)]
        for one in events:
            one["metadata"]["logged_time"] = int((time.time() - age) * 1000)
        self.logs[name] = {"origin": origin or f"example.org/{name}", "events": events, "minimum": minimum,
                           "keep_seconds": keep_seconds}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def address_string(self):
        return "logd"

    def log_message(self, *words):
        pass

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        words = dict(urllib.parse.parse_qsl(url.query))
        log = self.server.logs.get(words.get("log", "main"))
        body = b""
        if url.path == "/logs":
            body = json.dumps([{"name": name} for name in self.server.logs]).encode()
        elif url.path == "/status" and log:
            body = json.dumps({**log, "size": len(log["events"]), "events": None}).encode()
        elif url.path == "/events" and log:
            first = max(int(words["from"]), log["minimum"])
            if first >= len(log["events"]):
                time.sleep(min(int(words["wait_ms"]) / 1000, 0.2))
            body = b"".join(json.dumps({"index": index, "event": one}, separators=(",", ":")).encode() + b"\n"
                            for index, one in enumerate(log["events"][first:first + int(words["limit"])], first))
        self.send_response(200 if log or url.path == "/logs" else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def faked(tmp_path):
    """A house whose exporter talks to the stand-in; a real dvara-logd elsewhere gives the spool's key."""
    real = House(tmp_path)
    real.logd()
    (real.runtime / "logd.sock").rename(real.runtime / "real.sock")
    logs = Logs(real.runtime / "logd.sock")
    yield real, logs
    logs.shutdown()
    logs.server_close()
    real.close()


def alarms(house):
    """As the real log has them."""
    lines = subprocess.run(["curl", "-sS", "--unix-socket", house.runtime / "real.sock",
                            "http://log/events?from=0&limit=10000"], capture_output=True, check=True).stdout.splitlines()
    found = [json.loads(line)["event"] for line in lines]
    return [one["finding_info"]["uid"] for one in found if one["class_uid"] == 2004]


def uids(path):
    return [json.loads(line)["metadata"]["uid"] for line in path.read_text().splitlines()] if path.exists() else []


def test_every_log_is_sent_with_a_position_of_its_own(faked, tmp_path):
    house, logs = faked
    logs.add("main", 5)
    logs.add("access", 7)
    out = tmp_path / "out"
    house.export({"name": "x", "type": "file", "path": out})
    wait_until(lambda: len(uids(out)) == 5 and len(uids(tmp_path / "out.access")) == 7, 10, "both came")
    assert uids(tmp_path / "out.access")[6] == "example.org/access#6"
    house.end("dvara-export")
    assert json.loads((house.state / "export/x@access").read_text())["next"] == 7
    assert json.loads((house.state / "export/x").read_text())["next"] == 5


def test_events_that_were_pruned_before_they_were_sent_are_told(faked, tmp_path):
    house, logs = faked
    logs.add("main", 100, minimum=60)
    out = tmp_path / "out"
    house.export({"name": "x", "type": "file", "path": out})
    wait_until(lambda: len(uids(out)) == 40, 10, "the rest came")
    wait_until(lambda: alarms(house) == ["export.lost"], 10, "an alarm is in the log")
    house.wait_status(lost=60, sent=40)


def test_pruning_that_comes_near_is_told(faked, tmp_path):
    house, logs = faked
    logs.add("main", 10, keep_seconds=1000, age=900)
    house.export({"name": "x", "type": "file", "path": tmp_path / "no/folder"})
    wait_until(lambda: alarms(house) == ["export.near_pruning"], 15, "an alarm is in the log")


def test_another_log_is_sent_from_its_beginning(faked, tmp_path):
    house, logs = faked
    logs.add("main", 50)
    out = tmp_path / "out"
    house.export({"name": "x", "type": "file", "path": out})
    wait_until(lambda: len(uids(out)) == 50, 10, "all came")
    house.end("dvara-export")
    logs.add("main", 20, origin="example.org/new")
    house.export()
    wait_until(lambda: uids(out)[50:] == [f"example.org/new#{index}" for index in range(20)], 10, "the other one came")
    wait_until(lambda: alarms(house) == ["export.other_log"], 10, "an alarm is in the log")


def test_a_log_that_was_put_back_to_an_older_state_is_told(faked, tmp_path):
    house, logs = faked
    logs.add("main", 50)
    out = tmp_path / "out"
    house.export({"name": "x", "type": "file", "path": out})
    wait_until(lambda: len(uids(out)) == 50, 10, "all came")
    house.end("dvara-export")
    logs.add("main", 30)
    house.export()
    wait_until(lambda: alarms(house) == ["export.log_is_shorter"], 10, "an alarm is in the log")
    logs.add("main", 33)
    wait_until(lambda: uids(out)[50:] == [f"example.org/main#{index}" for index in range(30, 33)], 10, "it goes on")
