# SPDX-License-Identifier: Apache-2.0
"""The crash ledger: any process killed at any time, under load, again and again; what was
acknowledged is there, once, and everything comes back.

DVARA_KILLS says how many kills (12); `make ledger` runs 200 and leaves figures in
BUILD/ledger.json."""
import collections
import json
import os
import random
import signal
import socket
import time

from ledger import (BUILD, Changes, Load, admin_secret, check_requests, events, processes_of,
                    seconds_until_back)
from conftest import LIMITS
from others import Others
from supervisor_tools import alive, children
from support import wait_until

KILLS = int(os.environ.get("DVARA_KILLS", "12"))
SEED = int(os.environ.get("DVARA_SEED", "1"))
KINDS = ["worker", "worker", "nginx", "dvarad", "dvara-logd", "dvara-collect", "dvara-export",
         "dvara-witness"]
WORKERS = 2


class Reaper:
    """Kills, and remembers whom."""

    def __init__(self, dvara, others, seed):
        self.dvara, self.others, self.random = dvara, others, random.Random(seed)
        self.count = collections.Counter()
        self.killed = []
        self.recoveries = []

    def kill(self, pid, kind):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        self.count[kind] += 1
        self.killed.append(pid)

    def one(self, kind):
        """False: there was nobody of the kind just now."""
        status = json.loads(self.dvara.run("status", "--output", "json").stdout)
        pids = {one["name"]: one["pid"] for one in status["processes"]}
        if kind == "supervisor":
            self.supervisor(status["pid"], pids)
            return True
        if kind == "dvara-witness":  # on another machine, as it were: nobody here starts it again
            self.others.kill_witness()
            self.count[kind] += 1
            return True
        candidates = children(pids["nginx"]) if kind == "worker" else [pids[kind]]
        candidates = [pid for pid in candidates if pid]  # a process that is down has none
        if not candidates:
            return False
        self.kill(self.random.choice(candidates), kind)
        return True

    def supervisor(self, pid, pids):
        """The processes end with it; `dvara up` at once finds the port free."""
        before = [*pids.values(), *(children(pids["nginx"]) if pids["nginx"] else [])]
        self.kill(pid, "supervisor")
        began = time.monotonic()
        self.dvara.up()
        self.recoveries.append(time.monotonic() - began)
        assert [one for one in before if one and alive(one)] == [], "an orphan is left"

    def plan(self, kills):
        """Each kind at least once, the rest by chance."""
        every = max(kills // 10, 4)
        kinds = self.random.sample(KINDS, len(KINDS)) + self.random.choices(KINDS, k=kills)
        return ["supervisor" if i % every == every - 1 else kinds.pop(0) for i in range(kills)]

    def run(self, kills):
        for kind in self.plan(kills):
            wait_until(lambda wanted=kind: self.one(wanted), 10, f"there is a {kind} to kill")
            time.sleep(self.random.uniform(0, 1.6))


def port_is_free(url):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return probe.connect_ex(("127.0.0.1", int(url.rsplit(":", 1)[1]))) != 0


def figures(reaper, rows, changes, records, away, others):
    acknowledged = [row for row in rows if row[2] != 0]
    return {
        "kills": dict(reaper.count), "seed": SEED,
        "requests": len(rows), "acknowledged": len(acknowledged),
        "cut off": len(rows) - len(acknowledged),
        "statuses": dict(collections.Counter(row[2] for row in acknowledged)),
        "recorded requests": len(records),
        "changes acknowledged": sum(one.acknowledged for one in changes),
        "changes cut off": sum(one.unknown for one in changes),
        "lines collected": len(others.lines.written) + len(others.lines.acknowledged),
        "restarts": len(away), "longest away (s)": round(max(away), 3),
        "up after a killed supervisor, longest (s)": round(max(reaper.recoveries, default=0), 3),
        "longest wait of a caller (ms)": round(max(row[4] for row in acknowledged)),
    }


def test_nothing_acknowledged_is_lost_by_kills(make, model_server):
    dvara = make()
    others = Others(dvara.folder)
    dvara.configure(LIMITS + "overload: {new_connections_per_address: any, recorded_refusals: all}\n" +
                    others.section())
    dvara.up("--workers", WORKERS)
    key, admin = dvara.key(), admin_secret(dvara)
    reaper = Reaper(dvara, others, SEED)
    load = Load(dvara.folder, dvara.listen.rsplit(":", 1)[1], key, 16, 400, "k")
    changes = [Changes(dvara.admin, dvara.listen, admin, prefix) for prefix in ("red", "blue")]
    try:
        others.start(dvara)
        for one in changes:
            one.start()
        reaper.run(KILLS)
        wait_until(dvara.ready, 20, "everything is back")
        time.sleep(0.3)
        for one in [*changes, others.lines]:
            one.end()
        rows = load.end()
        check(dvara, model_server, reaper, rows, changes, others)
    finally:
        load.end()
        others.stop()


def check(dvara, model_server, reaper, rows, changes, others):
    records = check_requests(dvara, rows, model_server.seen())
    there = {user["name"] for user in json.loads(dvara.good("user", "list", "--output", "json"))["items"]}
    for one in changes:
        one.check_in_force(there)
    others.check(dvara, lambda: events(dvara))
    away = seconds_until_back(dvara.log())
    done = figures(reaper, rows, changes, records, away, others)
    (BUILD / "ledger.json").write_text(json.dumps(done, indent=1) + "\n")
    print(json.dumps(done, indent=1))
    assert sum(reaper.count.values()) == KILLS and set(reaper.count) == {*KINDS, "supervisor"}
    assert {row[2] for row in rows} >= {200, 401} and len(rows) > 100 * KILLS
    # What a human would call back at once. Beside other tests the time is the machine's, not ours.
    assert "DVARA_KILLS" not in os.environ or sorted(away)[len(away) // 2] < 1
    check_the_end(dvara, reaper)


def check_the_end(dvara, reaper):
    report = json.loads(dvara.good("audit", "verify", "--output", "json"))
    assert report["ok"], report
    dvara.good("down")
    runtime = (dvara.state / "runtime").readlink()
    assert processes_of(dvara.state, runtime) == []
    assert port_is_free(dvara.listen) and port_is_free(dvara.admin)
    assert [pid for pid in reaper.killed if alive(pid)] == []
