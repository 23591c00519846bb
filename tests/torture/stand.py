# SPDX-License-Identifier: Apache-2.0
"""All of Dvara with the library loaded into every process, callers with a ledger, and the oracle."""
import http.client
import json
import os
import random
import re
import socket
import time
import urllib.parse

from torture import ALL, FROM, MODES, ONCE, SHORT, WRITE, Torture, where

from ledger import CARD, ModelServer, admin_secret, request_records, wait_for_the_log
from supervisor_tools import Instance, children
from support import PATIENCE, wait_until

FULL = os.environ.get("DVARA_TORTURE") == "full"
SEED = int(os.environ.get("DVARA_SEED", "1"))
ANSWER_SECONDS = 8 * PATIENCE


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("dvara", timeout=ANSWER_SECONDS)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(ANSWER_SECONDS)
        self.sock.connect(self.path)


def exchange(connection, method, path, body=None, headers=()):
    """The status, the answer's bytes and its request id; 0 when no whole answer came. A caller that
    gets no answer at all within ANSWER_SECONDS has been forgotten, which is a fault of its own."""
    try:
        connection.request(method, path, body, dict(headers))
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.headers.get("x-request-id")
    except (TimeoutError, socket.timeout):
        raise AssertionError(f"{method} {path}: no answer within {ANSWER_SECONDS:.0f} s") from None
    except (OSError, http.client.HTTPException):
        return 0, b"", None
    finally:
        connection.close()


class Stand:
    def __init__(self, folder, config):
        folder.chmod(0o755)
        self.model_server = ModelServer(folder / "model")
        self.torture = Torture(folder / "torture")
        self.dvara = Instance(folder, self.model_server.url)
        self.dvara.configure(config)
        self.rows = []
        self.report = []
        self.faults = {}
        self.config = config

    def start(self):
        self.dvara.up("--workers", 1, env=self.torture.environment())
        self.key = self.dvara.key()
        self.secret = admin_secret(self.dvara)
        self.gate = urllib.parse.urlsplit(self.dvara.listen)
        self.pids = {one["name"]: one["pid"] for one in self.dvara.status()["processes"]}
        for program in ("dvarad", "dvara-logd"):
            self.torture.watch(program, self.pids[program])

    def end(self):
        self.dvara.run("down")
        self.model_server.stop()

    # -- callers -----------------------------------------------------------------------------------

    def worker(self):
        return children(self.dvara.pid("nginx"))[-1]

    def ask(self, kind, key=None):
        """One request through the gate; its row goes into the ledger."""
        body = {"model": "m", "messages": [{"role": "user", "content": f"my card is {CARD}"}]}
        path = "/v1/chat/completions"
        if kind == "stream":
            path, body = "/v1/completions", {"model": "m", "stream": True, "prompt": f"pay {CARD}"}
        elif kind == "large":
            body["messages"][0]["content"] = "water the fields. " * 16000 + CARD
        elif kind == "broken":
            body = {"model": "m"}
        key = key or (self.key[:-1] + ("y" if self.key.endswith("x") else "x") if kind == "denied" else self.key)
        connection = http.client.HTTPConnection(self.gate.hostname, self.gate.port, timeout=ANSWER_SECONDS)
        status, answer, request_id = exchange(
            connection, "POST", path, json.dumps(body),
            {"Authorization": f"Bearer {key}", "Content-Type": "application/json"})
        if status == 200 and kind == "stream" and b"[DONE]" not in answer:
            status = 0  # ended before its end: told by an error event
        self.rows.append((str(len(self.rows)), kind, status, request_id or "-", 0))
        return status

    def call(self, method, path, body=None):
        """One operation of the REST API, on the local socket."""
        connection = UnixConnection(self.dvara.state / "runtime/control.sock")
        status, answer, _ = exchange(connection, method, path,
                                     json.dumps(body) if body is not None else None,
                                     {"Content-Type": "application/json"} if body is not None else {})
        try:
            return status, json.loads(answer) if answer else None
        except ValueError:
            return status, None

    # -- the sweep ---------------------------------------------------------------------------------

    def numbers(self, calls, few, most=None):
        """Which calls fail: all of them (most: no more than that), or a choice that is the same in
        every run."""
        few = (most or calls) if FULL else few
        if calls <= few:
            return range(1, calls + 1)
        return sorted(random.Random(SEED).sample(range(1, calls + 1), few))

    def count(self, program, action):
        self.torture.arm(program, 0)
        action()
        return self.torture.disarm(program).calls

    def sweep(self, name, program, action, heal, few=8, modes=(ONCE, FROM, SHORT), leaks=True,
              most=None):
        """Fails each call of the program during the action in turn; the action's result is its own
        to judge. heal must succeed again by itself once nothing fails any more."""
        heal()
        calls = max(self.count(program, action), 1)
        heal()
        tried = fired = 0
        for mode in modes:
            few = few if mode == ONCE else max(few // 2, 2)
            for number in self.numbers(min(calls, 12) if mode == SHORT else calls, few, most):
                hit = self.fail_one(program, action, heal, mode, number, leaks)
                tried += 1
                fired += hit.count > 0
        self.report.append((name, program, calls, tried, fired))
        faults, self.faults = self.faults, {}
        assert not faults, f"{name}:\n" + "\n".join(f"{what} (call {at})" for what, at in faults.items())
        assert fired > 0, f"{name}: nothing was made to fail"

    def fail_one(self, program, action, heal, mode, number, leaks):
        """When memory grew, it must grow each time to be a leak: caches fill once."""
        before = self.torture.live(program)
        hit = self.attempt(program, action, heal, mode, number)
        for _ in range(4 if leaks else 0):
            after = self.torture.live(program)
            if hit.count == 0 or after <= before:
                return hit
            before = after
            hit = self.attempt(program, action, heal, mode, number)
        if leaks and hit.count > 0 and self.torture.live(program) > before:
            self.note(hit, mode, number, "memory grows with each failure")
        return hit

    def note(self, hit, mode, number, what):
        """Each place once, with the first number that shows it."""
        self.faults.setdefault(f"{hit} ({MODES[mode]}): {what}", number)

    def attempt(self, program, action, heal, mode, number):
        self.torture.arm(program, number, mode, WRITE if mode == SHORT else ALL)
        wrong = None
        try:
            action()
        except AssertionError as error:
            wrong = str(error).splitlines()[0]
        hit = self.torture.disarm(program)
        if wrong is not None:
            self.note(hit, mode, number, wrong)
        try:
            heal()
        except AssertionError as error:
            self.note(hit, mode, number, f"not well afterwards: {error}".splitlines()[0])
            self.heals(lambda: heal() is None, "well after a long while", 30)
        return hit

    def heals(self, check, what, seconds=8):
        wait_until(check, seconds, what)

    # -- the oracle --------------------------------------------------------------------------------

    def check_processes(self):
        """Nobody crashed, and nobody had to be started again."""
        log = self.dvara.log()
        crashes = re.findall(r".*(?:killed by signal (?!9)|exited on signal (?!9)|cannot be respawned"
                             r"|stack smashing|double free|corrupted).*", log)
        assert crashes == [], crashes
        for one in self.dvara.status()["processes"]:
            assert one["restarts"] == 0, log[-3000:]

    def check_ledger(self):
        """No bypass, and no acknowledged record is lost. A refusal under failing storage may be
        without its records; what reached the model server never is."""
        wait_for_the_log(self.dvara, [row for row in self.rows if row[2] == 200])
        records = request_records(self.dvara)
        for mark, kind, status, request_id, _ in self.rows:
            if status == 200:
                one = records[request_id]
                assert len(one["open"]) == 1 and one["close"] == [200], f"{mark} {kind}: {one}"
        for request_id, one in records.items():
            assert len(one["open"]) <= 1 and len(one["close"]) <= 1, f"{request_id}: {one}"
        for request in self.model_server.seen():
            assert CARD not in request["body"], "a card number passed"
            assert len(records[request["id"]]["open"]) == 1, f"{request['id']} was not recorded"
        report = json.loads(self.dvara.good("audit", "verify", "--output", "json"))
        assert report["ok"], report

    def leaked(self, program):
        """Where what is alive was allocated, for a person who looks into a leak."""
        self.torture.put(program, 48, "=I", 1)
        time.sleep(0.1)
        sites = {}
        for file in self.torture.folder.glob("live-*"):
            for line in file.read_text().split():
                sites[line] = sites.get(line, 0) + 1
        return {where(program, int(site, 16)): count for site, count in sites.items()}
