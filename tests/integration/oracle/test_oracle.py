# SPDX-License-Identifier: Apache-2.0
"""Limits under ten times the load that they admit, with four workers, reloads and kills of workers,
of the nginx master and of dvarad: the log alone shows that no interval and no budget had too much,
and that nothing was refused that the rule admits.

DVARA_ORACLE_REQUESTS says how many requests (120,000); `make oracle` sends 1,000,000 and leaves
figures in BUILD/oracle.json."""
import json
import os
import random
import signal
import subprocess
import threading
import time

from ledger import events
from oracle import SECOND, Oracle, Rate, read
from supervisor_tools import children
from support import BUILD, wait_until

REQUESTS = int(os.environ.get("DVARA_ORACLE_REQUESTS", "120000"))
SEED = int(os.environ.get("DVARA_SEED", "1"))
CONNECTIONS = 96
USERS, KEYS_EACH = 10, 4
SCALE = max(1, REQUESTS // 120000)

# Every refusal is recorded, and all callers have one address.
CONFIG = """workers: 4
overload: {recorded_refusals: all, connections_per_address: any, new_connections_per_address: any}
limits:
  key: [{count: 8, per: 1s, burst: 5}, {tokens: KEY_TOKENS, per: day}]
  user: [{count: 24, per: 1s, burst: 12}, {tokens: 3000, per: 1s}]
  group: [{count: 200, per: 1s, burst: 80}, {tokens: GROUP_TOKENS, per: month}, {cost: GROUP_COST, per: day}]
  address: [{count: 600, per: 1s, burst: 50}]
  model: []
  route: [{count: 150, per: 1s, burst: 60}]
prices: {m: {input: 1.5, output: 6.25}}
routes:
  - {name: chat, path: /v1/chat/completions, protocol: openai_chat, max_tokens: 1000}
  - {name: text, path: /v1/completions, protocol: openai_completions, max_tokens: 1000}
"""
KEY_TOKENS = 5000 * SCALE
GROUP_TOKENS = 300000 * SCALE
GROUP_COST = 1000000 * SCALE  # millionths

RATES = {"key": Rate(8, SECOND, 5), "user": Rate(24, SECOND, 12), "group": Rate(200, SECOND, 80),
         "address": Rate(600, SECOND, 50), "route": Rate(150, SECOND, 60)}
TOKENS = {"user": Rate(3000, SECOND)}
BUDGETS = {"key": [("tokens", KEY_TOKENS)],
           "group": [("tokens", GROUP_TOKENS), ("cost", GROUP_COST)]}


def configuration(note=""):
    text = CONFIG.replace("KEY_TOKENS", str(KEY_TOKENS)).replace("GROUP_TOKENS", str(GROUP_TOKENS))
    return text.replace("GROUP_COST", f"{GROUP_COST / 1e6:.6f}") + note


def make_callers(dvara):
    """Ten users in nested groups, four keys each."""
    for name in ("all", "odd", "even"):
        dvara.good("group", "create", "--name", name)
    for name in ("odd", "even"):
        dvara.good("group", "add-member", "--name", "all", "--group", name)
    keys = []
    for number in range(USERS):
        user = f"user{number}"
        dvara.good("user", "create", "--name", user, "--groups", "odd" if number % 2 else "even")
        dvara.good("role", "assign", "--user", user, "--role", "model_user")
        keys += [dvara.json("apikey", "create", "--user", user)["secret"]
                 for _ in range(KEYS_EACH)]
    path = dvara.folder / "keys"
    path.write_text("\n".join(keys) + "\n")
    return path


class Trouble(threading.Thread):
    """Kills and reloads while the load runs."""

    KINDS = ["worker", "worker", "reload", "worker", "dvarad", "nginx"]

    def __init__(self, dvara, pause):
        super().__init__(daemon=True)
        self.dvara, self.pause, self.random = dvara, pause, random.Random(SEED)
        self.done = {kind: 0 for kind in set(self.KINDS)}
        self.ending = threading.Event()

    def one(self, kind):
        if kind == "reload":
            self.dvara.configure(configuration(f"# {self.done['reload']}\n"))
            done = self.dvara.run("reload").returncode == 0
        else:
            master = self.dvara.pid("nginx")
            pids = children(master) if kind == "worker" else [self.dvara.pid(kind)]
            done = bool(pids) and pids[0] != 0
            if done:
                os.kill(self.random.choice(pids), signal.SIGKILL)
        self.done[kind] += done

    def run(self):
        number = 0
        while not self.ending.wait(self.pause):
            try:
                self.one(self.KINDS[number % len(self.KINDS)])
            except (AssertionError, OSError, ValueError, KeyError, subprocess.SubprocessError):
                pass  # nobody was there to be killed just now
            number += 1

    def end(self):
        self.ending.set()
        self.join(60)


def load(dvara, keys):
    port = dvara.listen.rsplit(":", 1)[1]
    done = subprocess.run([BUILD / "tests/integration/oracle/oracle_load", port, keys,
                           str(CONNECTIONS), str(REQUESTS)],
                          capture_output=True, text=True, check=True, timeout=3000)
    return {int(status): int(count) for status, count in map(str.split, done.stdout.splitlines())}


def wait_for_the_log(dvara):
    """Until dvara-logd has taken what the spools hold; each question adds a record of its own."""
    def size():
        return dvara.json("audit", "status")["size"]
    before = -100
    for _ in range(300):
        now = size()
        if now - before < 20:
            return
        before = now
        time.sleep(2.5)
    raise AssertionError("the log goes on growing")


def test_the_log_shows_that_every_limit_held(make):
    dvara = make(configuration())
    dvara.up()
    keys = make_callers(dvara)
    trouble = Trouble(dvara, 0.4 if SCALE == 1 else 3)
    began = time.monotonic()
    trouble.start()
    try:
        answers = load(dvara, keys)
    finally:
        trouble.end()
    seconds = time.monotonic() - began
    wait_until(dvara.ready, 30, "everything back")
    wait_for_the_log(dvara)

    requests = read(events(dvara))
    kills = sum(count for kind, count in trouble.done.items() if kind in ("worker", "nginx"))
    oracle = Oracle(RATES, BUDGETS, TOKENS, lost=kills * CONNECTIONS)
    oracle.check(requests, lambda time: time // (86400 * SECOND))
    figures = {"requests": len(requests), "answers": answers, "seconds": round(seconds, 1),
               "trouble": trouble.done, "counts": dict(oracle.counts),
               "unexplained": oracle.unexplained, "violations": len(oracle.violations)}
    (BUILD / "oracle.json").write_text(json.dumps(figures, indent=1) + "\n")
    print(json.dumps(figures))
    assert oracle.violations == []
    assert oracle.counts["admitted"] > 100 and oracle.counts["budgets"] > 40
    assert sum(answers.values()) == REQUESTS and answers[429] > REQUESTS / 3
    assert sum(trouble.done.values()) >= 4
