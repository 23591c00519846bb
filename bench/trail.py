#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures how long it takes from an answer's last byte to a published checkpoint over its records.

One caller asks now and then, and whoever follows the log's feed, which shows only what a checkpoint
covers, says when the close record of that request came. Once with nothing else to do, once while
another caller asks as fast as the gate answers.
"""
import http.client
import json
import os
import re
import socket
import statistics
import threading
import time
import urllib.request

from gateway import CLIENT_CORE, load, run

SECONDS = int(os.environ.get("BENCH_SECONDS", "10"))
CLOSED = re.compile(rb'"event_code":"request.close","correlation_uid":"([0-9a-f-]{36})"')
PAUSE = 0.07  # between two requests: no divisor of a second, so that every part of one is seen


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("dvara-logd", timeout=30)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Follower(threading.Thread):
    """Reads the feed from its end; `came` tells when a request's close record was shown."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.connection = UnixConnection(path)
        self.next = json.loads(self.get("/status"))["size"]
        self.came, self.stopped = {}, False

    def get(self, target):
        self.connection.request("GET", target)
        answer = self.connection.getresponse()
        if answer.getheader("Dvara-Next") is not None:
            self.next = int(answer.getheader("Dvara-Next"))
        return answer.read()

    def run(self):
        while not self.stopped:
            page = self.get(f"/events?from={self.next}&limit=10000&wait_ms=200")
            now = time.monotonic()
            for name in CLOSED.findall(page):
                self.came.setdefault(name.decode(), now)


def ask(dvara, follower, body, seconds):
    """Milliseconds of each request, the shortest first."""
    asked, end = {}, time.monotonic() + seconds
    while time.monotonic() < end:
        request = urllib.request.Request(
            f"http://127.0.0.1:{dvara.port}/v1/chat/completions", body.read_bytes(),
            {"Authorization": f"Bearer {dvara.key}", "Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            answer.read()
            asked[answer.headers["x-request-id"]] = time.monotonic()
        time.sleep(PAUSE)
    patience = time.monotonic() + 10
    while not asked.keys() <= follower.came.keys():
        if time.monotonic() > patience:
            raise SystemExit(f"not all of {len(asked)} requests came into the log")
        time.sleep(0.05)
    return sorted((follower.came[name] - asked[name]) * 1e3 for name in asked)


def rows(name, times):
    def row(what, value):
        return {"name": f"trail/{name}/{what}", "value": round(value, 1), "unit": "ms",
                "ratio_to": None}
    return [row("median", statistics.median(times)), row("longest", times[-1])]


def measure(dvara, body):
    follower = Follower(dvara.state / "runtime" / "logd.sock")
    follower.start()
    found = rows("quiet", ask(dvara, follower, body, SECONDS))
    other = threading.Thread(target=load, args=(dvara.port, 16, body, dvara.key, SECONDS + 2))
    other.start()
    time.sleep(1)
    found += rows("full_load", ask(dvara, follower, body, SECONDS))
    other.join()
    follower.stopped = True
    follower.join()
    return found


def main():
    os.sched_setaffinity(0, {CLIENT_CORE})
    run(lambda _, dvara, body: measure(dvara, body))


if __name__ == "__main__":
    main()
