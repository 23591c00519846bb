# SPDX-License-Identifier: Apache-2.0
"""Inserts into ClickHouse's own engine, in the table that docs/export.md makes."""
import json
import pathlib
import re
import signal
import socket
import subprocess
import sys
import urllib.parse
import urllib.request

import pytest

from conftest import alert, check_complete, event
from support import ROOT, free_port, wait_until


def documented_table():
    text = (ROOT / "docs/export.md").read_text()
    return re.search(r"```sql\n(CREATE TABLE.*?)\n```", text, re.S)[1].rstrip(";")


class ClickHouse:
    def __init__(self):
        self.port = free_port()
        here = pathlib.Path(__file__).parent
        self.process = subprocess.Popen([sys.executable, here / "clickhouse_engine.py", str(self.port),
                                         "CREATE DATABASE audit;" + documented_table()])
        wait_until(self.answers, 60, "ClickHouse answers")

    def answers(self):
        assert self.process.poll() is None
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def rows(self, query):
        url = f"http://127.0.0.1:{self.port}/?query={urllib.parse.quote(query)}"
        with urllib.request.urlopen(urllib.request.Request(url, b""), timeout=30) as answer:
            return [json.loads(line) for line in answer.read().splitlines()]

    def end(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@pytest.fixture(scope="module")
def clickhouse():
    one = ClickHouse()
    yield one
    one.end()


def test_rows_stand_in_the_documented_table(house, clickhouse, secret):
    house.export({"name": "x", "type": "clickhouse", "url": f"http://127.0.0.1:{clickhouse.port}/",
                  "table": "audit.events", "batch": "32KiB"})
    house.write(*(event(number) for number in range(300)), alert("u", 301, severity=5))
    house.wait_level()
    rows = clickhouse.rows("SELECT *, toUnixTimestamp64Milli(time) AS ms FROM audit.events FINAL ORDER BY log_index")
    check_complete(house, [f"{one['log_origin']}#{one['log_index']}" for one in rows], duplicates=False)
    feed = house.feed()
    for one in rows:
        stored = json.loads(one["event"])
        uid = stored["metadata"].pop("uid")
        assert stored == feed[uid] and one["ms"] == stored["time"] and one["kind"] == stored["metadata"]["event_code"]
    told = next(one for one in rows if one["kind"] == "alert.raised")
    assert (told["severity_id"], told["class_uid"], told["who"], told["address"]) == (5, 2004, "alice", "192.0.2.7")
    # Everything again makes no second copy.
    house.end("dvara-export")
    (house.state / "export/x").unlink()
    house.export()
    house.wait_level()
    assert len(clickhouse.rows("SELECT * FROM audit.events FINAL")) == len(house.feed())


def test_a_missing_table_waits_for_it(house, clickhouse):
    house.write(event(1))
    house.export({"name": "x", "type": "clickhouse", "url": f"http://127.0.0.1:{clickhouse.port}/",
                  "table": "audit.later"})
    wait_until(lambda: house.status()["state"] == "failing", 10, "it is told")
    assert "404" in house.status()["problem"] and house.status()["next"] == 0 and house.status()["refused"] == 0
    clickhouse.rows("CREATE TABLE audit.later AS audit.events")
    house.wait_level()
    assert len(clickhouse.rows("SELECT * FROM audit.later")) == len(house.feed())
