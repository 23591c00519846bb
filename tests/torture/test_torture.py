# SPDX-License-Identifier: Apache-2.0
"""Every allocation, write, sync, rename, open and socket call of our code fails in turn, over a
fixed set of scenarios. The short form takes a choice of calls; `make torture` takes all."""
import itertools
import json
import os
import pathlib
import signal
import subprocess
import tempfile

import pytest

from stand import Stand
from torture import FROM, ONCE, SHORT, WRITE, ALL, Torture

from ledger import events
from support import BUILD, remove_instance, wait_until

RATE = "{count: 10000000, per: 1s}"
LIMITS = (f"limits: {{key: {RATE}, user: {RATE}, group: {RATE}, address: {RATE}}}\n"
          "overload: {new_connections_per_address: any}\n")
EXPECTED = {"chat": 200, "stream": 200, "large": 200, "denied": 401, "broken": 400}
REFUSED = {0, 400, 401, 403, 429, 500, 502, 503}
fresh = itertools.count()


@pytest.fixture(name="stand", scope="module")
def make_stand():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="dvara-torture-"))
    stand = Stand(folder, LIMITS)
    try:
        stand.start()
        yield stand
        for name, program, calls, tried, fired in stand.report:
            print(f"\n{name:<28} {program:<11} {calls:>6} calls, {tried:>6} tried, {fired:>6} failed", end="")
    finally:
        stand.end()
        remove_instance(folder)


@pytest.fixture(autouse=True)
def oracle(stand):
    """After each scenario: who died, what passed, what is in the log."""
    yield
    stand.check_processes()
    stand.check_ledger()


@pytest.mark.parametrize("kind", EXPECTED)
def test_a_request(stand, kind):
    def action():
        assert stand.ask(kind) in REFUSED | {200}

    def heal():
        stand.heals(lambda: stand.ask(kind) == EXPECTED[kind], f"{kind} is answered as ever")
    worker = stand.worker()
    stand.torture.watch("nginx", worker)
    stand.sweep(kind, "nginx", action, heal, few=6)
    assert stand.worker() == worker


def test_a_request_after_a_change(stand):
    """The worker takes over what changed in the snapshot."""
    def action():
        stand.call("POST", "/v1/roles", {"name": f"r{next(fresh)}", "permissions": ["use_model"]})
        assert stand.ask("chat") in REFUSED | {200}

    def heal():
        stand.heals(lambda: stand.ask("chat") == 200, "chat is answered as ever")
    stand.torture.watch("nginx", stand.worker())
    stand.sweep("chat after a change", "nginx", action, heal, few=4)


def test_a_worker_starts(stand):
    def action():
        """Answered or cut off, but the gate may also be busy with its start."""
        os.kill(stand.worker(), signal.SIGKILL)
        stand.ask("chat")

    def heal():
        stand.heals(lambda: stand.ask("chat") == 200, "a new worker serves")
    stand.torture.watch("nginx", 0)
    stand.sweep("worker's start", "nginx", action, heal, few=4, modes=(ONCE,), leaks=False)


def operations():
    """What is asked of dvarad, each with the statuses that are right when nothing fails."""
    def user(stand):
        return stand.call("POST", "/v1/users", {"name": f"u{next(fresh)}"})[0]

    def role(stand):
        name = f"r{next(fresh)}"
        return stand.call("POST", "/v1/roles", {"name": name, "permissions": ["view_metrics"]})[0]

    def key(stand):
        status, answer = stand.call("POST", "/v1/api-keys", {"user": "alice"})
        if status == 201:
            stand.keys.append(answer)
        return status

    def rotate(stand):
        return stand.call("POST", f"/v1/api-keys/{stand.keys[-1]['id']}/rotate", {})[0]

    def revoke(stand):
        status, made = stand.call("POST", "/v1/api-keys", {"user": "alice"})
        if status != 201:
            return status
        status = stand.call("DELETE", f"/v1/api-keys/{made['id']}")[0]
        if 200 <= status < 300:
            stand.revoked.append(made["secret"])
        return status

    def reads(path):
        return lambda stand: stand.call("GET", path)[0]
    return {"user create": user, "role create": role, "key create": key, "key rotate": rotate,
            "key revoke": revoke, "user list": reads("/v1/users"), "audit tail": reads("/v1/audit/events"),
            "metrics": reads("/metrics")}


@pytest.mark.parametrize("name", operations())
def test_an_operation(stand, name):
    stand.__dict__.setdefault("keys", [])
    stand.__dict__.setdefault("revoked", [])
    operation = operations()[name]
    stand.heals(lambda: operations()["key create"](stand) == 201, "a key is made")

    def action():
        status = operation(stand)
        assert status == 0 or 200 <= status < 300 or status >= 500, status

    def heal():
        stand.heals(lambda: 200 <= operation(stand) < 300, f"{name} works as ever")
    made, revoked = len(stand.keys), len(stand.revoked)
    stand.sweep(name, "dvarad", action, heal, few=10)
    if name != "key rotate":  # what was acknowledged is in force
        assert {stand.ask("chat", one["secret"]) for one in stand.keys[made:][:50]} <= {200}
    assert {stand.ask("chat", secret) for secret in stand.revoked[revoked:][:50]} <= {401}


def test_the_log_is_sequenced(stand):
    def size():
        status, answer = stand.call("GET", "/v1/audit/status")
        return answer["size"] if status == 200 else 0

    def action():
        before = size()
        for _ in range(3):
            stand.ask("chat")
        try:  # until the log has grown, or a commit was tried in vain
            stand.heals(lambda: size() > before, "it grew", 1.3)
        except AssertionError:
            pass

    def heal():
        stand.heals(lambda: stand.ask("chat") == 200, "chat is answered")
        last = stand.rows[-1][3]
        stand.heals(lambda: stand.call("GET", f"/v1/audit/why/{last}")[0] == 200, "it is in the log")
    stand.sweep("sequencing and checkpoint", "dvara-logd", action, heal, few=3, modes=(ONCE, FROM), most=40)


def test_segments_end(stand):
    """A worker ends: its segment is finished, read to its end and removed."""
    stand.torture.watch("nginx", 0)

    def action():
        stand.ask("chat")
        os.kill(stand.pids["nginx"], signal.SIGHUP)
        stand.ask("chat")

    def heal():
        stand.heals(lambda: stand.ask("chat") == 200, "chat is answered")
    stand.sweep("segments, the worker's side", "nginx", action, heal, few=4, modes=(ONCE, SHORT), leaks=False)


@pytest.mark.parametrize("program", ["dvarad", "nginx", "dvara"])
def test_reload(stand, program):
    def action():
        done = stand.dvara.run("reload")
        assert done.returncode in (0, 1), done.stderr

    def heal():
        stand.heals(lambda: stand.dvara.run("reload").returncode == 0, "reload works as ever")
        stand.heals(lambda: stand.ask("chat") == 200, "chat is answered")
    if program != "dvarad":
        stand.torture.watch(program, stand.dvara.status()["pid"] if program == "dvara" else 0)
    stand.sweep(f"reload ({program})", program, action, heal, few=3, modes=(ONCE,), leaks=program != "nginx")


class Alone:
    """A daemon without a supervisor: it serves, or ends with a word."""

    def __init__(self, folder, program):
        self.folder, self.program = folder, program
        self.torture = Torture(folder / "torture")
        self.state, self.runtime = folder / "state", folder / "run"
        for path in (self.state, self.runtime, self.state / "spool"):
            path.mkdir(mode=0o700)
        (self.runtime / "spool").symlink_to(self.state / "spool")
        self.logd = None
        if program == "dvarad":
            self.logd = self.popen("dvara-logd", {})
            self.wait(self.logd, self.runtime / "log.pub")

    def popen(self, program, more):
        return subprocess.Popen([BUILD / program, "--state", self.state, "--runtime", self.runtime],
                                env={**os.environ, **more}, stdout=subprocess.DEVNULL,
                                stderr=subprocess.PIPE, text=True)

    @staticmethod
    def wait(process, file):
        """Until it is ready or has ended."""
        wait_until(lambda: file.exists() or process.poll() is not None, 20, f"{file.name} is there")

    def run(self, number, mode=ONCE):
        """Its exit status, what it said, whether it served, and what failed."""
        ready = self.runtime / ("control.sock" if self.program == "dvarad" else "log.pub")
        ready.unlink(missing_ok=True)
        self.torture.arm(self.program, number, mode)
        process = self.popen(self.program, {"LD_PRELOAD": str(self.torture.library)})
        try:
            self.wait(process, ready)
            served = process.poll() is None
            process.terminate()
            _, said = process.communicate(timeout=20)
        finally:
            process.kill()
        return process.returncode, said, served, self.torture.disarm(self.program)

    def end(self):
        if self.logd is not None:
            self.logd.kill()
            self.logd.communicate()


@pytest.mark.parametrize("program", ["dvara-logd", "dvarad"])
def test_a_daemon_starts(stand, program, tmp_path):
    """And ends; what it left behind is good for the next start."""
    alone = Alone(tmp_path, program)
    faults = set()
    try:
        assert alone.run(0)[:3:2] == (0, True)
        calls = alone.run(0)[3].calls
        numbers = stand.numbers(calls, 15)
        for number in numbers:
            status, said, served, hit = alone.run(number)
            if status not in (0, 1) or (not served and status == 0) or (not served and not said.strip()):
                faults.add(f"{hit}: status {status}, served {served}, said {said!r}")
            status, said, served, _ = alone.run(0)
            if (status, served) != (0, True):
                faults.add(f"{hit}: the next start ends with {status}: {said!r}")
    finally:
        alone.end()
    stand.report.append((f"start of {program}", program, calls, len(numbers), len(numbers)))
    assert not faults, "\n".join(sorted(faults))


def clock_alarms(stand):
    return sum(one.get("finding_info", {}).get("uid") == "audit.clock" for one in events(stand.dvara))


@pytest.mark.parametrize("hours", [1, -1, 24 * 400, -24 * 400])
def test_clocks_jump(stand, hours):
    """Of all, and of the gate alone; back again. Keys stay what they are, nothing is lost."""
    stand.torture.watch("nginx", 0)
    programs = ["nginx", "dvarad", "dvara-logd"]
    told = clock_alarms(stand)
    for off in (["nginx"], programs):
        for program in off:
            stand.torture.set_clock(program, hours * 3600)
        stand.heals(lambda: stand.ask("chat") == 200, "the gate serves at another time", 20)
        assert stand.ask("denied") == 401 and stand.call("GET", "/v1/users")[0] == 200
        if "dvara-logd" in off:
            stand.heals(lambda: clock_alarms(stand) > told, "the log tells that its clock was set", 10)
        for program in off:
            stand.torture.set_clock(program, 0)
        stand.heals(lambda: stand.ask("chat") == 200, "the gate serves when the clock is right", 20)


COMMANDS = [["user", "list"], ["status"], ["audit", "verify"], ["config", "check", "CONFIG"]]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_command(stand, words, tmp_path):
    """It says the same as ever, or says what failed; half an answer is none."""
    torture = Torture(tmp_path / "torture")
    words = [str(stand.dvara.config) if word == "CONFIG" else word for word in words]

    def run():
        return subprocess.run([BUILD / "dvara", *words, "--state", stand.dvara.state, "--output", "json"],
                              env=torture.environment(), text=True, capture_output=True, timeout=30,
                              check=False)
    torture.arm("dvara", 0)
    right = run()
    calls = torture.disarm("dvara").calls
    assert right.returncode == 0 and calls > 0
    shape = set(json.loads(right.stdout)) if right.stdout else None
    for mode in (ONCE, FROM, SHORT):
        for number in stand.numbers(calls, 6):
            torture.arm("dvara", number, mode, WRITE if mode == SHORT else ALL)
            done = run()
            hit = torture.disarm("dvara")
            assert done.returncode in (0, 1, 2), f"{words}: {done.returncode} after call {number}: {hit}"
            if done.returncode == 0:
                said = set(json.loads(done.stdout)) if done.stdout else None
                assert said == shape, f"{words}: half an answer after call {number}: {hit}"
            else:
                assert done.stderr.strip(), f"{words}: no word after call {number}: {hit}"
    stand.report.append((" ".join(words[:2]), "dvara", calls, 3 * len(stand.numbers(calls, 6)), 0))


