# SPDX-License-Identifier: Apache-2.0
"""Users, roles and keys: what a command changes, the very next request feels, in every worker."""
import contextlib
import http.client
import json
import os
import pathlib
import signal
import threading

import pytest

from conftest import BODY, children, wait_until

WORKERS = 3
TRIES = 12  # enough connections to meet every worker
CHANGES = 20  # of policies, each there and back


@pytest.fixture
def dvara(make):
    made = make()
    made.up("--workers", WORKERS)
    return made


def statuses(dvara, key):
    return {dvara.ask(key) for _ in range(TRIES)}


def new_key(dvara, *words):
    made = dvara.json("apikey", "create", *words)
    return made["id"], made["secret"]


def test_revocation_is_felt_by_the_next_request_of_every_worker(dvara):
    dvara.key()
    for _ in range(5):
        name, key = new_key(dvara, "--user", "alice")
        assert statuses(dvara, key) == {200}
        dvara.good("apikey", "revoke", name)
        assert statuses(dvara, key) == {401}


def test_suspension_and_deletion(dvara):
    key = dvara.key()
    dvara.good("user", "suspend", "alice")
    assert statuses(dvara, key) == {401}
    dvara.good("user", "activate", "alice")
    assert statuses(dvara, key) == {200}
    dvara.good("user", "delete", "alice")
    assert statuses(dvara, key) == {401}
    dvara.good("user", "create", "--name", "alice")
    dvara.good("role", "assign", "--user", "alice", "--role", "model_user")
    assert statuses(dvara, key) == {401}


def test_roles_by_group_and_inheritance(dvara):
    dvara.good("group", "create", "--name", "research")
    dvara.good("group", "create", "--name", "vision", "--groups", "research")
    dvara.good("user", "create", "--name", "bob", "--groups", "vision")
    dvara.good("role", "create", "--name", "scientist", "--permissions", "read_data",
               "--inherits", "model_user")
    _, key = new_key(dvara, "--user", "bob")
    assert statuses(dvara, key) == {403}
    dvara.good("role", "assign", "--group", "research", "--role", "scientist")
    assert statuses(dvara, key) == {200}
    access = dvara.json("access", "audit", "--user", "bob")
    assert {"permission": "use_model", "role": "model_user", "policy": "role:model_user",
            "way": "group vision > group research > role scientist > role model_user", "until": None
            } in access["permissions"]
    dvara.good("group", "remove-member", "research", "--group", "vision")
    assert statuses(dvara, key) == {403}
    assert "circle" in dvara.refused("group", "add-member", "vision", "--group", "vision")


def test_rotation_has_two_live_secrets(dvara):
    first = dvara.key()
    name = first.split("_")[1]
    second = dvara.json("apikey", "rotate", name, "--overlap", "1h")["secret"]
    assert statuses(dvara, first) == statuses(dvara, second) == {200}
    third = dvara.json("apikey", "rotate", name, "--overlap", "0s")["secret"]
    assert statuses(dvara, first) == statuses(dvara, second) == {401}
    assert statuses(dvara, third) == {200}


def test_expiry_and_scopes(dvara):
    dvara.key()
    _, short = new_key(dvara, "--user", "alice", "--expires", "2s")
    _, narrow = new_key(dvara, "--user", "alice", "--scopes", "view_metrics")
    _, right = new_key(dvara, "--user", "alice", "--scopes", "use_model,view_metrics")
    assert dvara.ask(short) == 200
    assert statuses(dvara, narrow) == {403}
    assert statuses(dvara, right) == {200}
    wait_until(lambda: dvara.ask(short) == 401, 5, "the key has expired")


def test_rbac_of_the_file(make):
    dvara = make()
    dvara.configure("rbac: {roles: {caller: {permissions: [use_model]}}}\n")
    dvara.up("--workers", WORKERS)
    dvara.good("user", "create", "--name", "carol")
    dvara.good("role", "assign", "--user", "carol", "--role", "caller")
    _, key = new_key(dvara, "--user", "carol")
    assert statuses(dvara, key) == {200}
    assert "dvara.yaml" in dvara.refused("role", "delete", "caller")
    assert "dvara.yaml" in dvara.refused("role", "update", "caller", "--permissions", "x")
    dvara.configure("rbac: {roles: {caller: {permissions: [view_metrics]}}}\n")
    dvara.good("reload")
    assert statuses(dvara, key) == {403}
    dvara.configure("rbac: {roles: {}}\n")
    dvara.good("reload")
    assert "caller" not in dvara.good("role", "list")


def test_last_use_is_told_within_a_batch(dvara):
    key = dvara.key()
    name = key.split("_")[1]
    assert dvara.json("apikey", "show", name)["last_used"] is None
    assert dvara.ask(key) == 200
    wait_until(lambda: dvara.json("apikey", "show", name)["last_used"], 20, "last use is written")


def test_acknowledged_changes_outlive_a_killed_control_plane(dvara):
    key = dvara.key()
    name = key.split("_")[1]
    for round_ in range(3):
        other, secret = new_key(dvara, "--user", "alice", "--name", f"round {round_}")
        pid = dvara.pid("dvarad")
        os.kill(pid, signal.SIGKILL)
        assert dvara.ask(secret) == 200  # the gate needs no control plane
        wait_until(lambda: dvara.came_back("dvarad", pid), 15, "dvarad is back")
        assert dvara.ask(secret) == 200
        dvara.good("apikey", "revoke", other)
        assert statuses(dvara, secret) == {401}
    dvara.good("apikey", "revoke", name)
    assert statuses(dvara, key) == {401}


@pytest.mark.parametrize("damage", ["junk", "gone", "header"])
def test_a_damaged_snapshot_is_replaced_under_running_workers(dvara, damage):
    """Workers hold the old file open; they must come over, or they would never see a revocation."""
    key = dvara.key()
    name = key.split("_")[1]
    assert statuses(dvara, key) == {200}
    snapshot = (dvara.state / "runtime").resolve() / "snapshot"
    pid = dvara.pid("dvarad")
    if damage == "junk":
        (snapshot / "junk").write_bytes(b"\xa5" * 65536)
        (snapshot / "junk").rename(snapshot / "data.mdb")
    elif damage == "gone":
        (snapshot / "data.mdb").unlink()
    else:
        with open(snapshot / "header", "r+b") as header:
            header.write(b"\xa5" * 16)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: dvara.came_back("dvarad", pid), 20, "dvarad is back")
    wait_until(lambda: dvara.ask(key) == 200, 10, "the gate serves again")
    assert statuses(dvara, key) == {200}
    dvara.good("apikey", "revoke", name)
    assert statuses(dvara, key) == {401}


def test_first_admins_key_works_and_is_private(dvara):
    path = dvara.state / "admin-credentials"
    assert path.stat().st_mode & 0o777 == 0o600
    values = dict(line.split("=", 1) for line in path.read_text().splitlines()
                  if not line.startswith("#"))
    assert values["DVARA_USER"] == "admin"
    assert dvara.ask(values["DVARA_API_KEY"]) == 200
    assert values["DVARA_API_KEY"] not in dvara.log()


def test_secrets_are_nowhere_in_the_state(dvara):
    secret = dvara.key()
    dvara.ask(secret)
    dvara.good("down")
    random = secret.split("_")[2].encode()
    for path in dvara.state.rglob("*"):
        if path.is_file():
            assert random not in path.read_bytes(), path
    assert json.loads(dvara.run("audit", "verify", "--output", "json").stdout)["ok"]


class Connection:
    """One kept open, so that one worker answers all that is asked on it."""

    def __init__(self, dvara, key):
        self.headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self.http = http.client.HTTPConnection("127.0.0.1", int(dvara.listen.rsplit(":", 1)[1]), timeout=20)

    def ask(self):
        """The status; http.client connects again only when the server has said that it closes."""
        self.http.request("POST", "/v1/chat/completions", BODY, self.headers)
        answer = self.http.getresponse()
        answer.read()
        return answer.status

    def worker(self, workers):
        """Who of them holds the other end."""
        own, other = (f"{name[1]:04X}" for name in (self.http.sock.getpeername(), self.http.sock.getsockname()))
        rows = [line.split() for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]]
        inode = next(row[9] for row in rows if row[1].endswith(":" + own) and row[2].endswith(":" + other))
        return next(pid for pid in workers if f"socket:[{inode}]" in sockets_of(pid))


def sockets_of(pid):
    found = set()
    for name in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):  # closed meanwhile
            found.add(os.readlink(name))
    return found


def pinned(dvara, key):
    """A connection to each worker."""
    workers, found = set(children(dvara.pid("nginx"))), {}
    assert len(workers) == WORKERS
    for _ in range(500):
        connection = Connection(dvara, key)
        assert connection.ask() == 200
        worker = connection.worker(workers)
        if found.setdefault(worker, connection) is not connection:
            connection.http.close()
        if len(found) == WORKERS:
            return found
    raise AssertionError(f"only {len(found)} of {WORKERS} workers answer")


@contextlib.contextmanager
def load(dvara, key, callers=8):
    """Callers who ask all the time on connections of their own; gives what they were answered."""
    seen, done = [], threading.Event()

    def call():
        connection = Connection(dvara, key)
        while not done.is_set():
            try:
                seen.append(connection.ask())
            except (OSError, http.client.HTTPException) as error:
                seen.append(repr(error))
                connection = Connection(dvara, key)
    threads = [threading.Thread(target=call) for _ in range(callers)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        done.set()
        for thread in threads:
            thread.join()


def test_a_policy_is_felt_under_load_by_every_worker_and_loses_no_request(make, tmp_path):
    """Others go on all the time. Who is forbidden is so from the moment that the command returns, with
    the very next request on each worker, and allowed again with the one after the next command."""
    dvara = make()
    dvara.configure("limits: {key: [], user: [], address: []}\n")
    dvara.up("--workers", WORKERS)
    alice = dvara.key()
    dvara.good("user", "create", "--name", "bert")
    dvara.good("role", "assign", "--user", "bert", "--role", "model_user")
    _, bert = new_key(dvara, "--user", "bert")
    policy = tmp_path / "no-bert.cedar"
    policy.write_text('forbid(principal == User::"bert", action == Action::"use_model", resource);')
    connections = pinned(dvara, bert)
    with load(dvara, alice) as seen:
        for _ in range(CHANGES):
            for words, status in (["policy", "apply", policy], 403), (["policy", "delete", "no-bert"], 200):
                dvara.good(*words)
                assert {pid: one.ask() for pid, one in connections.items()} == dict.fromkeys(connections, status)
    assert {pid: one.worker(connections) for pid, one in connections.items()} == {pid: pid for pid in connections}
    assert len(seen) > 10 * CHANGES and set(seen) == {200}


def test_the_event_of_a_refusal_names_the_policy(dvara, tmp_path):
    key = dvara.key()
    policy = tmp_path / "closed.cedar"
    policy.write_text('@id("closed-for-alice")\nforbid(principal == User::"alice", action, resource)'
                      '\nwhen { context.weekday >= 1 };')
    dvara.good("policy", "apply", policy)
    assert statuses(dvara, key) == {403}

    def refusals():
        items = dvara.json("audit", "tail", "--limit", "50")["items"]
        return [one["request"] for one in items if one["event"] == "request.open" and one.get("request")]

    def told():
        found = (dvara.json("why", request) for request in refusals())
        return next((why for why in found if why["reason"] == "forbidden_by_policy"), None)
    wait_until(told, 20, "the record of the refusal")
    why = told()
    assert why["policy"] == "closed-for-alice"
    assert "closed-for-alice" in why["summary"]


def test_the_event_of_a_decision_names_all_its_policies(dvara, tmp_path):
    """Decided when the caller came first, and remembered: of an answer that ended as of a refusal."""
    key = dvara.key()
    dvara.good("role", "create", "--name", "also", "--permissions", "use_model")
    dvara.good("role", "assign", "--user", "alice", "--role", "also")
    for _ in range(3):
        assert statuses(dvara, key) == {200}
    policy = tmp_path / "many.cedar"
    policy.write_text("".join(f'@id("{number:02}-{"x" * 50}") forbid(principal == User::"alice", action, resource);\n'
                              for number in range(20)))

    def told(reason, count):
        items = dvara.json("audit", "tail", "--limit", "80")["items"]
        found = (dvara.json("why", one["request"]) for one in items
                 if one["event"] == "request.close" and one.get("request"))
        return [why for why in found if why["reason"] == reason and len(why["policies"]) == count]
    wait_until(lambda: len(told("ok", 2)) >= 3, 20, "the records of what both roles permit")
    for why in told("ok", 2):
        assert sorted(why["policies"]) == ["role:also", "role:model_user"] and why["policy"] == why["policies"][0]
        assert why["policies_unnamed"] == 0
        assert f"allowed by {why['policies'][0]}, {why['policies'][1]}." in why["summary"]
    dvara.good("policy", "apply", policy)
    assert statuses(dvara, key) == {403}
    wait_until(lambda: told("forbidden_by_policy", 10), 20, "the record of the refusal")
    why = told("forbidden_by_policy", 10)[0]
    assert why["policies_unnamed"] == 10 and len(set(why["policies"])) == 10
    assert why["policies"][4] in why["summary"] and " and 15 more: " in why["summary"]


def test_a_role_that_ends_can_not_be_kept_by_its_holder(dvara):
    """He hands out only what he still has when the grant ends."""
    dvara.key()
    dvara.good("role", "create", "--name", "lead", "--permissions", "manage_roles,use_model")
    dvara.good("role", "assign", "--user", "alice", "--role", "lead", "--until", "1h")
    _, key = new_key(dvara, "--user", "alice")

    def assign(*more):
        return dvara.run("role", "assign", "--user", "alice", "--role", "lead", *more, "--url", dvara.admin,
                         env=dict(os.environ, DVARA_API_KEY=key))
    for more in ([], ["--until", "2h"]):
        kept = assign(*more)
        assert kept.returncode == 1 and "does not have itself" in kept.stderr, kept.stderr
    assert assign("--until", "30m").returncode == 0


def test_status_tells_of_overdue_reviews(dvara):
    dvara.key()
    assert not any("overdue" in note for note in dvara.status()["notes"])
    dvara.good("access", "review", "start", "--role", "admin", "--deadline", "1s")
    wait_until(lambda: dvara.json("access", "review", "list", "--status", "overdue")["items"], 40, "the deadline")
    told = [note for note in dvara.status()["notes"] if "overdue" in note]
    assert told == ["1 access review is overdue: dvara access review list --status overdue"]
    assert told[0] in dvara.run("status").stdout


class OpenStream:
    """A stream that has begun."""

    def __init__(self, dvara, name, *until):
        dvara.good("user", "create", "--name", name)
        dvara.good("role", "assign", "--user", name, "--role", "model_user", *until)
        _, key = new_key(dvara, "--user", name)
        self.connection = http.client.HTTPConnection(dvara.listen.removeprefix("http://"), timeout=20)
        body = dict(json.loads(BODY), stream=True)
        self.connection.request("POST", "/v1/chat/completions", json.dumps(body),
                                {"Authorization": f"Bearer {key}", "Content-Type": "application/json"})
        self.answer = self.connection.getresponse()
        assert self.answer.status == 200 and b"one" in self.answer.readline()

    def ends_with(self, code):
        """The error that it ends with, long before the model server does; returns its request."""
        rest = self.answer.read().decode()
        self.connection.close()
        last = [line for line in rest.splitlines() if line.startswith("data: ")][-1]
        assert json.loads(last.removeprefix("data: "))["error"]["code"] == code
        return self.answer.headers["x-request-id"]


def test_open_streams_end_with_a_role_and_with_a_policy(dvara, tmp_path):
    policy = tmp_path / "no-policed.cedar"
    policy.write_text('@id("no-policed")\nforbid(principal == User::"policed", action, resource);')
    dvara.key()
    left, policed = (OpenStream(dvara, name) for name in ("left", "policed"))
    ended = OpenStream(dvara, "ended", "--until", "3s")
    dvara.good("role", "unassign", "--user", "left", "--role", "model_user")
    dvara.good("policy", "apply", policy)
    left.ends_with("not_permitted")
    ended.ends_with("not_permitted")
    request = policed.ends_with("forbidden_by_policy")
    wait_until(lambda: dvara.has_told(request), 20, "the record of the stream's end")
    why = dvara.json("why", request)
    assert why["policy"] == "no-policed" and why["reason"] == "forbidden_by_policy"
