# SPDX-License-Identifier: Apache-2.0
"""`data_retention: approvals`: what a second person has to let go, goes by what he saw and by nothing else."""
import json

import pytest
from support import wait_until
from test_disposal import MAIL, Share, certificate, own, plan, scan, set_rules, verify

RULES = """  approvals: 1
  rules:
    - {name: mails, categories: [personal], keep: 90d, unowned: true}
"""


@pytest.fixture(name="share")
def make_share(fresh, tmp_path):
    folder = tmp_path / "share"
    folder.mkdir()
    fresh.config.write_text("data_retention:\n" + RULES)
    fresh.start_all()
    share = Share(folder)
    for name in ("a.txt", "b.txt"):
        share.write(name, MAIL)
    scan(fresh, share)
    return share


def keys(control, **users):
    """Keys by user of who may what."""
    return {user: control.key_of(user, *permissions.split())["secret"] for user, permissions in users.items()}


def ask(control, key, share, **more):
    asked = control.curl("/v1/data/disposal/requests", key=key, body={"source": share.source, **more})
    assert asked.status == 201, asked.text
    return asked.json


def answer(control, key, request, what="approve", **body):
    return control.curl(f"/v1/data/disposal/requests/{request['id']}/{what}", key=key, body=body)


def run(control, share, *flags, status=0):
    done = control.dvara("data", "disposal", "run", "--source", share.source, "--yes", "--output", "json", *flags)
    assert done.returncode == status, done.stdout + done.stderr
    return json.loads(done.stdout)["items"] if done.stdout else done.stderr


def test_nothing_goes_without_another_person(fresh, share, tmp_path):
    assert {r["why"] for r in plan(fresh).values()} == {"it needs an approval: `dvara data disposal request`"}
    refused = fresh.dvara("data", "disposal", "run", "--source", share.source, "--yes")
    assert refused.returncode == 1 and "dvara data disposal request --source " + share.source in refused.stderr
    key = keys(fresh, officer="dispose_data approve_disposals view_data", second="approve_disposals",
               other="dispose_data")
    begun = fresh.curl("/v1/data/disposal/runs", key=key["officer"], body={"source": share.source})
    assert begun.status == 409 and "2 files or tables need the approval of somebody else" in begun.error["message"]
    request = ask(fresh, key["officer"], share, reason="end of Q3")
    assert (request["status"], request["files"], request["approvals"]) == ("pending", 2, 1)
    pending = fresh.dvara("data", "disposal", "run", "--request", request["id"], "--yes")
    assert pending.returncode == 1 and "pending" in pending.stderr
    for user in key.values():
        assert fresh.curl("/v1/data/disposal/runs", key=user, body={
            "source": share.source, "request": request["id"]}).status in (403, 409)
    assert answer(fresh, key["officer"], request).status == 403  # not himself
    assert answer(fresh, key["other"], request).status == 403  # no permission
    share.write("late.txt", MAIL)
    scan(fresh, share)
    approved = answer(fresh, key["second"], request, reason="agreed")
    assert approved.status == 200 and approved.json["status"] == "approved", approved.text
    assert approved.json["answers"][0]["by"] == 'User::"second"' and approved.json["expires"]
    assert answer(fresh, key["second"], request).status == 409
    dry = fresh.json("data", "disposal", "run", "--request", request["id"], "--dry-run")["items"]
    assert {(r["name"], r["would"]) for r in dry} == {("a.txt", "destroy"), ("b.txt", "destroy")}
    done = run(fresh, share, "--request", request["id"])
    assert [(r["files"], r["destroyed"], r["approval"]) for r in done] == [(2, 2, request["id"])]
    assert share.left() == ["late.txt"]  # it came after the list
    assert fresh.json("data", "disposal", "show", request["id"])["status"] == "used"
    file = certificate(fresh, done[0]["id"], tmp_path)
    assert verify(fresh, file).returncode == 0
    told = json.loads(file.read_text())["request"]
    assert told["id"] == request["id"] and told["asked_by"] == 'User::"officer"'
    assert [a["by"] for a in told["approvals"]] == ['User::"second"'] and "agreed" not in file.read_text()
    log = fresh.dvara("audit", "tail", "--from", "0", "--output", "jsonl").stdout
    steps = [line for line in log.splitlines() if request["id"] in line]
    for word in ("pending", "approve", done[0]["id"]):
        assert any(word in line for line in steps), (word, steps)
    assert run(fresh, share, "--request", request["id"]) == [] and share.left() == ["late.txt"]


def test_what_was_approved_goes_only_as_it_was(fresh, share):
    """Changed, held, by another rule, or cancelled meanwhile: it stays."""
    for name in ("c.txt", "d.txt", "e.txt"):
        share.write(name, MAIL)
    scan(fresh, share)
    key = keys(fresh, officer="dispose_data", second="approve_disposals")
    request = ask(fresh, key["officer"], share)
    assert answer(fresh, key["second"], request).status == 200
    share.write("a.txt", MAIL + " more")  # written and scanned again
    scan(fresh, share)
    own(fresh, "b.txt", "--labels", "keep")
    set_rules(fresh, RULES + f"""    - {{name: others, sources: ["{share.source}/c.txt"], keep: 100d, unowned: true}}
  holds:
    - {{name: court, sources: ["{share.source}/d.txt"]}}
""", "court")
    rows = {r["name"]: r["why"] for r in fresh.json("data", "disposal", "files", request["id"])["items"]}
    assert rows == {"a.txt": "it changed, and was scanned again", "b.txt": "its label keep keeps it",
                    "c.txt": "its rule is another than when it was asked for",
                    "d.txt": "the hold court keeps it", "e.txt": ""}
    assert run(fresh, share, "--request", request["id"])[0]["destroyed"] == 1
    assert share.left() == ["a.txt", "b.txt", "c.txt", "d.txt"]
    again = ask(fresh, key["officer"], share)
    assert again["files"] == 2  # a.txt and c.txt, as they are now
    assert answer(fresh, key["second"], again).status == 200
    assert fresh.json("data", "disposal", "cancel", again["id"])["status"] == "cancelled"
    over = fresh.dvara("data", "disposal", "run", "--request", again["id"], "--yes")
    assert over.returncode == 1 and "cancelled" in over.stderr and len(share.left()) == 4


def test_a_no_ends_it_and_services_answer_nothing(fresh, share):
    key = keys(fresh, officer="dispose_data", second="approve_disposals")
    request = ask(fresh, key["officer"], share)
    fresh.json("service", "create", "--name", "robot")
    fresh.json("role", "assign", "--service", "robot", "--role", "role_second")
    robot = fresh.json("apikey", "create", "--service", "robot")["secret"]
    assert answer(fresh, robot, request).status == 403
    assert answer(fresh, key["second"], request, "reject").status == 400  # why?
    rejected = answer(fresh, key["second"], request, "reject", reason="the audit needs them")
    assert rejected.json["status"] == "rejected" and rejected.json["answers"][0]["reason"] == "the audit needs them"
    assert answer(fresh, key["second"], request).status == 409
    over = fresh.dvara("data", "disposal", "run", "--request", request["id"], "--yes")
    assert over.returncode == 1 and "rejected" in over.stderr and share.left() == ["a.txt", "b.txt"]
    begun = fresh.curl("/v1/data/disposal/runs", key=key["officer"], body={
        "source": share.source, "request": request["id"]})
    assert begun.status == 409 and "rejected" in begun.error["message"]
    assert ask(fresh, key["officer"], share)["files"] == 2
    twice = fresh.curl("/v1/data/disposal/requests", key=key["officer"], body={"source": share.source})
    assert twice.status == 409 and "other requests" in twice.error["message"]


def test_as_many_as_the_rules_want_and_each_another(fresh, share):
    """Also a rule whose time ends before counts; more that are wanted by now are too few."""
    set_rules(fresh, RULES + "    - {name: strict, categories: [personal], keep: 30d, approvals: 2}\n", "strict")
    key = keys(fresh, officer="dispose_data", second="approve_disposals", third="approve_disposals")
    request = ask(fresh, key["officer"], share)
    assert request["approvals"] == 2
    assert answer(fresh, key["second"], request).json["status"] == "pending"
    assert answer(fresh, key["second"], request).status == 409
    assert "pending" in fresh.dvara("data", "disposal", "run", "--request", request["id"], "--yes").stderr
    assert answer(fresh, key["third"], request).json["status"] == "approved"
    set_rules(fresh, RULES + "    - {name: stricter, categories: [personal], keep: 30d, approvals: 3}\n", "stricter")
    assert {r["why"] for r in fresh.json("data", "disposal", "files", request["id"])["items"]} == {
        "it needs more approvals by now"}
    assert run(fresh, share, "--request", request["id"]) == [] and len(share.left()) == 2


def test_scanning_a_folder_by_itself_is_no_way_around(fresh, share):
    """Its files are there twice then: what one source wants counts for the other, too."""
    share.write("sub/c.txt", MAIL)
    scan(fresh, share)
    set_rules(fresh, RULES.replace("approvals: 1", "words: {labels: [board]}").replace("mails", "free") +
              "    - {name: strict, labels: [board], keep: 30d, unowned: true, approvals: 1}\n", "strict")
    own(fresh, "sub/c.txt", "--labels", "board")
    sub = Share(share.folder / "sub")
    scan(fresh, sub)
    refused = fresh.dvara("data", "disposal", "run", "--source", sub.source, "--yes")
    assert refused.returncode == 1 and "dvara data disposal request --source " + sub.source in refused.stderr
    assert (sub.folder / "c.txt").exists()


def test_an_approval_ends_with_its_time_also_within_a_run(fresh, share):
    set_rules(fresh, RULES.replace("approvals: 1", "approvals: 1\n  approval_lasts: 15s").replace("mails", "brief"), "brief")
    key = keys(fresh, officer="dispose_data", second="approve_disposals")
    first, request = ask(fresh, key["officer"], share, rule="brief"), None
    share.write("c.txt", MAIL)
    scan(fresh, share)
    request = ask(fresh, key["officer"], share)
    assert (first["files"], request["files"]) == (2, 1)
    for one in first, request:
        assert answer(fresh, key["second"], one).status == 200
    begun = fresh.curl("/v1/data/disposal/runs", key=key["officer"], body={
        "source": share.source, "request": first["id"]}).json
    assert begun["files"] == 2
    clash = fresh.dvara("data", "disposal", "run", "--source", share.source, "--request", request["id"], "--yes")
    assert clash.returncode == 1 and "--abandon" in clash.stderr
    files = f"/v1/data/disposal/runs/{begun['id']}/files"
    wait_until(lambda: fresh.json("data", "disposal", "show", request["id"])["status"] == "expired", 60, "it is over")
    told = [{"n": n, "state": "ready", "sha256": "0" * 64} for n in range(2)]
    answered = fresh.curl(files, key=key["officer"], body={"items": told}).json["items"]
    assert {i["state"] for i in answered} == {"kept"} and len(share.left()) == 3
    assert fresh.json("data", "disposal", "finish", begun["id"])["destroyed"] == 0
    over = fresh.dvara("data", "disposal", "run", "--request", request["id"], "--yes")
    assert over.returncode == 1 and "expired" in over.stderr


def test_a_rule_that_wants_approval_by_now_keeps_what_a_run_planned(fresh, share):
    set_rules(fresh, RULES.replace("approvals: 1", "approvals: 0").replace("mails", "free"), "free")
    key = fresh.key_of("starter", "dispose_data")["secret"]
    begun = fresh.curl("/v1/data/disposal/runs", key=key, body={"source": share.source}).json
    set_rules(fresh, RULES, "mails")
    told = [{"n": n, "state": "ready", "sha256": "0" * 64} for n in range(begun["files"])]
    answered = fresh.curl(f"/v1/data/disposal/runs/{begun['id']}/files", key=key, body={"items": told}).json["items"]
    assert {i["state"] for i in answered} == {"kept"}
    other = fresh.dvara("data", "disposal", "finish", begun["id"], "--abandon")
    assert other.returncode == 0 and len(share.left()) == 2
