# SPDX-License-Identifier: Apache-2.0
"""Closed requests and reviews go when their time is over, by themselves and when asked, with a certificate; what a
running grant or an open review needs stays, and kills claim nothing."""
import json
import signal
import subprocess
import time
import uuid

import pytest
from conftest import BUILD
from support import wait_until
from test_data_access import Data
from test_disposal import MAIL, Share, scan, set_clock_ahead, verify
from test_disposal import certificate as certificate_of
from test_disposal_approval import answer, ask, keys
from test_disposal_approval import run as run_files

RULES = "data_access: {longest: 30d}\n"
KEEP = RULES + ("data_retention:\n  rules:\n    - {name: old-requests, cases: [data_access, data_review], keep: 3y}\n"
                "    - {name: old-reviews, cases: [access_review], keep: 2y}\n")
YEAR = 366 * 86400 * 10**9


def ns(years):
    return time.time_ns() - int(years * YEAR)


class World:
    def __init__(self, control, folder):
        self.control = control
        self.folder = folder

    def restart(self, *sql, config=KEEP):
        """Starts dvarad again, after what the SQL did to its store."""
        self.control.stop("dvarad")
        if sql:
            subprocess.run([BUILD / "tests/integration/control/store_sql", self.control.state],
                           input="".join(f"{one}\n" for one in sql), text=True, check=True)
        self.control.config.write_text(config)
        self.control.start_dvarad()

    @staticmethod
    def older(years, *ids):
        """The SQL that makes cases, and requests of these ids, as old as that."""
        names = ",".join(f"'{i}'" for i in ids)
        return [f"UPDATE case_case SET created = {ns(years)}, ended = {ns(years)} WHERE id IN ({names})"
                " AND ended IS NOT NULL",
                f"UPDATE data_access SET ended = {ns(years)} WHERE id IN ({names}) AND ended <> 0"]

    def plan(self):
        return {row["case"]: (row["status"], row["why"])
                for row in self.control.json("data", "disposal", "cases")["items"]}

    def run(self, *flags, status=0):
        done = self.control.dvara("data", "disposal", "run", "--cases", "--yes", "--output", "json", *flags)
        assert done.returncode == status, done.stderr
        return json.loads(done.stdout)["items"] if status == 0 else done.stderr

    def runs(self):
        return [r for r in self.control.json("data", "disposal", "list")["items"] if r["source"] == "cases://"]

    def certificate(self, run):
        file = self.folder / f"{run}.json"
        done = self.control.dvara("data", "disposal", "certificate", run, "--out", str(file))
        assert done.returncode == 0, done.stderr
        key = self.control.json("audit", "checkpoint")["vkey"]
        done = self.control.dvara("data", "disposal", "verify", str(file), "--key", key, "--output", "json")
        assert done.returncode == 0, done.stderr
        text = json.loads(file.read_text())
        assert json.loads(done.stdout)["destroyed"] == text["destroyed"]
        return text


@pytest.fixture(name="world")
def make_world(fresh, tmp_path):
    fresh.config.write_text(RULES)
    fresh.start_all()
    return World(fresh, tmp_path)


def closed_requests(count, years, state="cancelled"):
    """SQL for so many requests that nobody granted, and their ids."""
    ids = [str(uuid.uuid4()) for _ in range(count)]
    when = ns(years)
    sql = []
    for i in ids:
        sql.append("INSERT INTO case_case VALUES ('%s', 'data_access', 'secret-title', 'User::\"anna\"', '%s', 'lapse',"
                   " '{}', %d, %d, %d)" % (i, state, when, when, when))
        sql.append("INSERT INTO case_item VALUES ('%s', 1, 'approval', 'User::\"anna\"', '%s', '', 'rejected', '{}', 1)"
                   % (i, i))
        sql.append("INSERT INTO case_history VALUES ('%s', 1, 0, 'cancel', 'pending', '%s', 'User::\"anna\"',"
                   " 'secret-reason', %d, '%s')" % (i, state, when, i))
        sql.append("INSERT INTO data_access VALUES ('%s', '%s', 'file://h/s', 'n', 'User::\"anna\"', 'User::\"anna\"', '',"
                   " 'read', 'secret-purpose', NULL, 0, 0, 1, '%s', %d, 0, 0, %d, NULL, NULL)" % (i, i, state, when, when))
    return sql, ids


@pytest.fixture(name="data")
def make_data(world, tmp_path):
    folder = tmp_path / "share"
    folder.mkdir()
    for name in ("cards.csv", "letter.txt", "other.txt", "board.txt", "free.txt", "open.txt", "press.txt"):
        (folder / name).write_text(f"Dear {name}, write to bob@example.com")
    assert world.control.dvara("data", "scan", str(folder), "--save").returncode == 0
    return Data(world.control)


def test_what_is_closed_long_enough_goes_and_what_is_needed_stays(world, data):
    control = world.control
    revoked, living, pending, young = (data.granted("anna"), data.granted("ben"), data.asked("eve"), data.granted("anna"))
    for request in (revoked, young):
        assert data.answer("olga", "revoke", request, "left the project").status == 200
    rejected = data.asked("carl")
    assert data.answer("olga", "reject", rejected).json["status"] == "rejected"
    reviewed = data.granted("carl")
    review = data.post("mia", "/reviews", title="Q3", deadline="30d").json["id"]
    cancelled = data.post("mia", "/reviews", title="Q2", deadline="30d").json["id"]
    assert data.post("mia", f"/reviews/{cancelled}/cancel", reason="not now").status == 200
    assert data.answer("olga", "revoke", reviewed, "gone").status == 200  # which decides its item of the open review
    world.restart(*world.older(4, revoked, living, pending, rejected, reviewed, review, cancelled),
                  *world.older(2.5, young))
    assert world.plan() == {revoked: ("due", ""), rejected: ("due", ""), cancelled: ("due", ""),
                            living: ("waits", "its grant has not ended"), reviewed: ("waits", "a review of it is open")}
    asked = control.dvara("data", "disposal", "run", "--cases")
    assert asked.returncode == 1 and "3 closed cases" in asked.stderr and len(world.plan()) == 5
    dry = json.loads(control.dvara("data", "disposal", "run", "--cases", "--dry-run", "--output", "json").stdout)["items"]
    assert sorted(r["status"] for r in dry) == ["due", "due", "due", "waits", "waits"] and not world.runs()
    done = world.run()
    assert [(r["files"], r["destroyed"], r["state"]) for r in done] == [(3, 3, "finished")]
    assert world.run() == [] and set(world.plan()) == {living, reviewed}
    for gone in (revoked, rejected):
        assert data.show(gone).status == 404
    assert data.may("ben") and data.show(young).status == 200 and data.show(pending).json["status"] == "pending"
    assert [r["id"] for r in control.json("data", "review", "list")["items"]] == [review]
    assert {i["object"] for i in control.json("data", "review", "items", review)["items"]} >= {living, reviewed}
    text = world.certificate(done[0]["id"])
    assert (text["version"], text["of"], text["destroyed"]) == (2, "cases", 3)
    assert {i["case"]: (i["type"], i["outcome"], i["rule"]) for i in text["items"]} == {
        revoked: ("data_access", "destroyed", "old-requests"), rejected: ("data_access", "destroyed", "old-requests"),
        cancelled: ("data_review", "destroyed", "old-requests")}
    assert all(i["closed"] < text["started"] for i in text["items"])
    assert not any(word in json.dumps(text) for word in ("anna", "carl", "mia", "letter.txt", "a test", "left the"))
    assert control.dvara("audit", "verify").returncode == 0


def test_a_grant_is_closed_when_it_ended_and_not_when_it_began(world, data):
    long = data.granted("anna")
    assert data.answer("olga", "revoke", long).status == 200
    world.restart(f"UPDATE case_case SET ended = {ns(9)}, created = {ns(9)} WHERE id = '{long}'")
    assert world.plan() == {} and world.run() == [] and data.show(long).status == 200


def test_the_last_grant_of_a_role_of_a_database_stays(world):
    sql, (one, two) = closed_requests(2, 4, "granted")
    world.restart(*sql, "UPDATE data_access SET state = 'expired', role = 'readers', began = 1, expires = 2")
    newest = max(one, two)
    assert world.plan() == {newest: ("waits", "it is the last grant of a role of a database, by which that is taken away"),
                            min(one, two): ("due", "")}
    assert [r["destroyed"] for r in world.run()] == [1]
    roles = world.control.curl("/v1/data/access-roles?source=file://h/s", socket="control.sock").json["items"]
    assert [(r["role"], r["living"]) for r in roles] == [("readers", False)] and list(world.plan()) == [newest]


def test_the_first_grant_stays_while_reviews_are_counted_from_it(world):
    sql, (one, two) = closed_requests(2, 4, "granted")
    sql += [f"UPDATE data_access SET state = 'expired', began = {n}, expires = 9 WHERE id = '{i}'"
            for n, i in ((1, one), (2, two))]
    reviewed = KEEP.replace("longest: 30d", "longest: 30d, review: {every: 90d, deadline: 30d}")
    world.restart(*sql, config=reviewed.split("data_retention")[0])
    assert world.plan() == {}
    world.restart(config=reviewed)
    wait_until(lambda: set(world.plan()) == {one}, 60, "the second is gone")
    assert world.plan() == {one: ("waits", "it is the first grant, from which the first review is counted")}
    world.restart()
    wait_until(lambda: world.plan() == {}, 60, "nothing is counted from it any more")


def test_access_reviews_go_too(world):
    control = world.control
    control.json("user", "create", "--name", "bob")
    control.json("role", "create", "--name", "r", "--permissions", "view_data")
    control.json("role", "assign", "--user", "bob", "--role", "r")
    done = control.json("access", "review", "start", "--title", "Q1", "--role", "r")
    control.json("access", "review", "cancel", done["id"], "--reason", "not now")
    world.restart(*world.older(2.5, done["id"]))
    assert world.plan() == {done["id"]: ("due", "")}
    assert [r["destroyed"] for r in world.run()] == [1]
    assert control.json("access", "review", "list")["items"] == []


APPROVED = RULES + """data_retention:
  approvals: 1
  rules:
    - {name: mails, categories: [personal], keep: 90d, unowned: true}
    - {name: old-disposals, cases: [data_disposal], keep: 3y, approvals: 0}
"""


def test_finished_requests_for_a_disposal_go_too(world, tmp_path):
    """By one whose approval is not over something may still go; a certificate has to tell of one with a run."""
    control = world.control
    world.restart(config=APPROVED)
    (tmp_path / "share").mkdir()
    share = Share(tmp_path / "share")
    key = keys(control, officer="dispose_data", second="approve_disposals")

    def asked(name, what):
        share.write(name, MAIL)
        scan(control, share)
        request = ask(control, key["officer"], share)
        assert request["files"] == 1
        assert answer(control, key["second"], request, what, reason="the answer").status == 200
        return request["id"]
    used = asked("a.txt", "approve")
    [run] = run_files(control, share, "--request", used)
    living = asked("b.txt", "approve")
    rejected = asked("c.txt", "reject")
    over = [*world.older(4, used, living, rejected),
            f"UPDATE data_disposal_request SET expires = {ns(4)} WHERE id = '{used}'"]
    world.restart(*over, f"UPDATE data_disposal SET state = 'closing' WHERE id = '{run['id']}'", config=APPROVED)
    assert world.plan() == {used: ("waits", "a disposal by it is not finished"), rejected: ("due", "")}
    world.restart(f"UPDATE data_disposal SET state = 'finished' WHERE id = '{run['id']}'",
                  f"UPDATE data_disposal_request SET expires = {ns(2)} WHERE id = '{used}'", config=APPROVED)
    assert used not in world.plan()  # it was over two years ago
    world.restart(*over, config=APPROVED)
    assert world.plan()[used] == ("due", "") and [r["destroyed"] for r in world.run()] == [2]
    assert world.plan() == {}
    assert [r["id"] for r in control.json("data", "disposal", "requests")["items"]] == [living]
    gone = control.dvara("data", "disposal", "show", used)
    assert gone.returncode == 1 and "no request for a disposal" in gone.stderr
    file = certificate_of(control, run["id"], tmp_path)  # that of the files is as it was
    assert verify(control, file).returncode == 0
    assert [a["by"] for a in json.loads(file.read_text())["request"]["approvals"]] == ['User::"second"']
    assert run_files(control, share, "--request", living)[0]["destroyed"] == 1 and share.left() == ["c.txt"]


def test_nothing_goes_without_a_rule_and_all_by_itself_with_one(world):
    sql, ids = closed_requests(230, 4)
    late, [waiting] = closed_requests(1, 4)
    world.restart(*sql, *late, f"UPDATE case_case SET state = 'pending', ended = NULL WHERE id = '{waiting}'",
                  f"UPDATE case_item SET state = 'pending', decided = 0 WHERE case_id = '{waiting}'",
                  f"UPDATE data_access SET state = 'pending', ended = 0 WHERE id = '{waiting}'", config=RULES)
    assert world.plan() == {} and world.run() == []

    def requests(*flags):
        return [r["id"] for r in world.control.json("data", "access", "list", "--limit", "1000", *flags)["items"]]
    wait_until(lambda: requests("--status", "lapsed") == [waiting], 60, "a round of recurring work")
    assert world.runs() == [] and len(requests()) == 231
    world.control.config.write_text(KEEP)
    world.control.processes["dvarad"].send_signal(signal.SIGHUP)
    wait_until(lambda: requests() == [waiting], 60, "all are gone but the one that ended now")
    runs = world.runs()
    assert sorted(r["destroyed"] for r in runs) == [30, 100, 100]
    assert {r["ordered_by"] for r in runs} == {'System::"dvarad"'}
    told = [i["case"] for run in runs for i in world.certificate(run["id"])["items"]]
    assert sorted(told) == sorted(ids)


def test_holds(world):
    sql, [one] = closed_requests(1, 4)
    for hold, name in (("{name: case-7, cases: [data_access], reason: the court}", "case-7"), ("{name: all}", "all")):
        world.restart(*sql, config=KEEP + f"  holds: [{hold}]\n")
        assert world.plan() == {one: ("waits", f"the hold {name} keeps it")}
        assert world.run() == [] and world.runs() == []
        sql = []
    world.restart(config=KEEP + "  holds: [{name: other, cases: [access_review]}]\n")
    assert [r["destroyed"] for r in world.run()] == [1]


def test_a_clock_that_was_set_ahead_ends_nothing(world):
    sql, [one] = closed_requests(1, 4)
    world.restart(*sql, config=RULES)
    set_clock_ahead(world.control)
    world.restart()
    assert "the clock was set" in world.run(status=1)
    assert world.plan() == {one: ("due", "")} and world.runs() == []


def test_who_may(world):
    sql, [one] = closed_requests(1, 4)
    world.restart(*sql)
    viewer = world.control.key_of("viewer", "view_data")["secret"]
    officer = world.control.key_of("officer", "dispose_data")["secret"]
    assert [i["case"] for i in world.control.curl("/v1/data/disposal/cases", key=viewer).json["items"]] == [one]
    assert world.control.curl("/v1/data/disposal/cases", key=viewer, body={}).status == 403
    assert world.control.curl("/v1/data/disposal/cases", key=officer).status == 403
    assert world.control.curl("/v1/data/disposal/cases", key=officer, body={}).json["destroyed"] == 1


def test_each_state_in_which_dvarad_may_have_died(world):
    """Written down, and no more; gone, and the log not told; and a hold that came in between."""
    sql, (one, two, three) = closed_requests(3, 4)
    run = str(uuid.uuid4())
    begun = [f"INSERT INTO data_disposal (id, source, caller, rules, state, started, finished, finished_by, items,"
             f" destroyed, document, sha256, request) VALUES ('{run}', 'cases://', 'System::\"dvarad\"', '[]', 'running',"
             f" {ns(0)}, 0, '', 2, 0, '', '', '')"]
    begun += [f"INSERT INTO data_disposal_case VALUES ('{run}', {n}, '{case}', 'data_access', 'old-requests', {ns(4)})"
              for n, case in enumerate((one, two))]
    world.restart(*sql, *begun, f"UPDATE data_access SET ended = {ns(1)} WHERE id = '{two}'")
    refused = world.control.dvara("data", "disposal", "finish", run)
    assert refused.returncode == 1 and "dvarad itself" in refused.stderr
    done = world.run()
    assert [(r["id"] == run, r["files"], r["destroyed"]) for r in done] == [(True, 2, 1), (False, 1, 1)]
    assert {i["case"]: i["outcome"] for i in world.certificate(run)["items"]} == {one: "destroyed", two: "kept"}
    before = world.certificate(done[1]["id"])
    assert [i["case"] for i in before["items"]] == [three]
    world.restart(f"UPDATE data_disposal SET state = 'closing', request = '' WHERE id = '{done[1]['id']}'")
    assert [(r["id"], r["state"]) for r in world.run()] == [(done[1]["id"], "finished")]
    (world.folder / f"{done[1]['id']}.json").unlink()
    assert world.certificate(done[1]["id"]) == before
    held = str(uuid.uuid4())
    world.restart(*[line.replace(run, held).replace(one, two) for line in begun[:2]],
                  f"UPDATE data_access SET ended = {ns(4)}", config=KEEP + "  holds: [{name: h, cases: [data_access]}]\n")
    assert [(r["id"], r["destroyed"]) for r in world.run()] == [(held, 0)]
    assert [i["why"] for i in world.certificate(held)["items"]] == ["the hold h keeps it"]
    assert world.plan() == {two: ("waits", "the hold h keeps it")}


def test_a_run_whose_rules_were_taken_out_ends_and_keeps_all(world):
    """By itself: nobody asks for it any more."""
    sql, [one] = closed_requests(1, 4)
    run = str(uuid.uuid4())
    sql += [f"INSERT INTO data_disposal (id, source, caller, rules, state, started, finished, finished_by, items,"
            f" destroyed, document, sha256, request) VALUES ('{run}', 'cases://', 'System::\"dvarad\"', '[]',"
            f" 'running', {ns(0)}, 0, '', 1, 0, '', '', '')",
            f"INSERT INTO data_disposal_case VALUES ('{run}', 0, '{one}', 'data_access', 'old-requests', {ns(4)})"]
    world.restart(*sql, config=RULES)
    wait_until(lambda: [(r["id"], r["state"], r["destroyed"]) for r in world.runs()] == [(run, "finished", 0)], 60,
               "a round of recurring work")
    [item] = world.certificate(run)["items"]
    assert (item["outcome"], item["why"]) == ("kept", "no rule is for it any more")
    world.restart()
    wait_until(lambda: [r["destroyed"] for r in world.runs() if r["id"] != run] == [1], 60, "the rule is back")


def test_what_went_is_in_no_log_of_the_store(world):
    """Rows that are deleted are overwritten in its file, which has to be in its file, then."""
    sql, _ = closed_requests(300, 4)
    world.restart(*sql)
    log = world.control.state / "dvara.db-wal"
    wait_until(lambda: world.plan() == {}, 60, "all are gone")
    wait_until(lambda: log.stat().st_size < 200000, 60, "the log was emptied")


def test_kills_lose_nothing_and_claim_nothing(world):
    sql, ids = closed_requests(900, 4)
    more, kept = closed_requests(20, 1)
    world.restart(*sql, *more)
    for i in range(8):
        process = subprocess.Popen([world.control.program, "data", "disposal", "run", "--cases", "--yes", "--state",
                                    world.control.state], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        time.sleep(0.02 * i)  # anywhere: no moment is right
        world.control.stop("dvarad", signal.SIGKILL)
        process.wait(timeout=60)
        world.control.start_dvarad()
    world.run()
    assert world.plan() == {} and world.run() == []
    assert {r["id"] for r in world.control.json("data", "access", "list", "--limit", "1000")["items"]} == set(kept)
    runs = world.runs()
    assert all(run["state"] == "finished" for run in runs)
    told = [i["case"] for run in runs for i in world.certificate(run["id"])["items"] if i["outcome"] == "destroyed"]
    assert sorted(told) == sorted(ids)
