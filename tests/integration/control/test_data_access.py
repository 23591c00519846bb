# SPDX-License-Identifier: Apache-2.0
"""Access to data: who asks, who says yes, and that what has ended refuses at the very next question."""
import datetime
import json
import os
import pathlib
import pwd
import shutil
import subprocess
import tempfile
import time

import pytest
from support import free_port

CARDS = "name,card_number\n" + "a,4111 1111 1111 1111\n" * 30
UNKNOWN = "0198c0de-0000-7000-8000-0123456789ab"
RULES = """
data_access:
  longest: 30d
  rules:
    - {label: board, approvals: 1, approvers: office, longest: 2d}
    - {label: free, approvals: 0}
    - {label: open, grant: false}
"""


@pytest.fixture(name="data", scope="module")
def make_data(control, tmp_path_factory):
    """Assets by file name, and keys of people: olga owns letter.txt, mia manages, sam is a service."""
    folder = tmp_path_factory.mktemp("share")
    (folder / "cards.csv").write_text(CARDS)
    for name in ("letter", "board", "free", "open", "lone", "other"):
        (folder / f"{name}.txt").write_text(f"Dear {name}, write to bob@example.com")
    (folder / "press.txt").write_text("nothing at all")
    done = control.dvara("data", "scan", str(folder), "--save")
    assert done.returncode == 0, done.stderr
    control.stop("dvarad")
    control.config.write_text(RULES)
    control.start_dvarad()
    return Data(control)


class Data:
    """What the tests ask about, and who."""

    def __init__(self, control):
        self.control = control
        self.ids = {row["name"]: row["id"] for row in control.json("data", "asset", "list")["items"]}
        for name, owner in (("letter.txt", "olga"), ("cards.csv", "olga"), ("other.txt", "crew")):
            control.json("data", "asset", "update", self.ids[name], "--owner", owner)
        for name in ("board", "free", "open"):
            control.json("data", "asset", "update", self.ids[f"{name}.txt"], "--labels", name)
        control.json("data", "asset", "update", self.ids["press.txt"], "--sensitivity", "public")
        self.keys = {name: control.key_of(name, "request_data_access")["secret"]
                     for name in ("olga", "anna", "ben", "carl", "otto", "eve")}
        self.keys["mia"] = control.key_of("mia", "request_data_access", "manage_data_access")["secret"]
        self.keys["vera"] = control.key_of("vera", "request_data_access", "view_data_access")["secret"]
        for group, member in (("crew", "carl"), ("office", "otto")):
            control.json("group", "create", "--name", group)
            control.json("group", "add-member", group, "--user", member)
        control.json("service", "create", "--name", "sam")
        control.json("role", "create", "--name", "role_sam", "--permissions",
                     "request_data_access,manage_data_access")
        control.json("role", "assign", "--service", "sam", "--role", "role_sam")
        self.keys["sam"] = control.json("apikey", "create", "--service", "sam")["secret"]

    def post(self, who, path, **body):
        return self.control.curl(f"/v1/data{path}", key=self.keys[who], method="POST", body=body)

    def ask(self, who, name="letter.txt", expires="1h", **more):
        return self.post(who, "/access", asset=self.ids[name], purpose="a test", expires=expires, **more)

    def asked(self, who, name="letter.txt", **more):
        """The id of a request that must have been taken."""
        done = self.ask(who, name, **more)
        assert done.status == 201, done.text
        return done.json["id"]

    def answer(self, who, verb, request, reason="looked at"):
        return self.post(who, f"/access/{request}/{verb}", reason=reason)

    def granted(self, who, name="letter.txt", by="olga", **more):
        request = self.asked(who, name, **more)
        done = self.answer(by, "approve", request)
        assert done.status == 200 and done.json["status"] == "granted", done.text
        return request

    def show(self, request, who="mia"):
        return self.control.curl(f"/v1/data/access/{request}", key=self.keys[who])

    def listed(self, who, query=""):
        answer = self.control.curl(f"/v1/data/access?limit=1000{query}", key=self.keys[who])
        assert answer.status == 200, answer.text
        return {row["id"] for row in answer.json["items"]}

    def decide(self, who, name="letter.txt", action="read", kind="User", **more):
        body = {"subject": {"type": kind, "id": who}, "action": {"name": action},
                "resource": {"type": "DataAsset", "id": self.ids.get(name, name)}, **more}
        key = self.control.admin_key()
        answer = self.control.curl("/access/v1/evaluation", key=key, method="POST", body=body)
        assert answer.status == 200, answer.text
        return answer.json

    def may(self, who, name="letter.txt", action="read", **more):
        return self.decide(who, name, action, **more)["decision"]


def found(control, query):
    lines = []

    def look():
        done = control.dvara("audit", "search", query, "--output", "jsonl", "--limit", "1000")
        assert done.returncode in (0, 1), done.stderr
        lines[:] = done.stdout.splitlines()
        return lines
    control.wait_for(look)
    return [json.loads(line) for line in lines]


def test_a_grant_permits_what_was_asked_for_and_revoked_nothing(data):
    assert not data.may("anna")
    request = data.asked("anna", actions=["read", "export"])
    shown = data.show(request, "anna").json
    assert (shown["status"], shown["approver"], shown["approvals"]) == ("pending", 'User::"olga"', 1)
    assert (shown["purpose"], shown["lasts"], shown["answers"]) == ("a test", 3600, [])
    assert not data.may("anna")
    done = data.answer("olga", "approve", request, "for the report").json
    assert done["status"] == "granted" and done["expires"] and done["answers"][0]["by"] == 'User::"olga"'
    decision = data.decide("anna")
    assert decision["decision"] and decision["context"]["policies"] == [f"data_grant:{request}"]
    assert data.may("anna", action="export") and not data.may("anna", action="delete")
    assert not data.may("anna", "cards.csv") and not data.may("ben")
    assert data.answer("olga", "revoke", request, "done").json["status"] == "revoked"
    decision = data.decide("anna")
    assert not decision["decision"] and decision["context"]["policies"] == ["data_grant:needed"]
    assert data.answer("olga", "revoke", request).status == 409
    assert data.show(request).json["ended_by"] == 'User::"olga"'


def test_who_can_read_data_is_told(data):
    request = data.granted("anna", actions=["read", "copy_out"])
    answer = data.control.json("access", "who-can", "--action", "copy_out", "--resource",
                               f'DataAsset::"{data.ids["letter.txt"]}"')
    row, = answer["items"]
    assert row["principal"] == 'User::"anna"' and row["policies"] == [f"data_grant:{request}"]
    assert row["through"][0]["way"].startswith("a grant")
    data.answer("olga", "revoke", request)


def test_a_grant_ends_with_its_time_without_anything_that_runs(data):
    request = data.granted("ben", expires="2s")
    assert data.may("ben")
    expires = data.show(request).json["expires"].replace("Z", "+00:00")
    end = datetime.datetime.fromisoformat(expires).timestamp()
    while data.may("ben"):
        assert time.time() < end + 0.5, "a grant outlived its time"
        time.sleep(0.05)
    assert time.time() >= end
    # Whoever asks can't turn Dvara's clock back.
    early = {"__extn": {"fn": "datetime", "arg": "2020-01-01"}}
    assert not data.may("ben", context={"now": early})
    assert data.show(request).json["status"] == "expired"
    assert data.answer("olga", "revoke", request).status == 409
    assert request in data.listed("ben", "&status=expired") and request not in data.listed("ben", "&status=granted")
    events = found(data.control, f'data_access "{request}" "its time was over"')
    assert "System" in json.dumps(events)


def test_who_asked_and_whom_it_is_for_say_no_yes(data):
    own = data.asked("olga")
    refused = data.answer("olga", "approve", own)
    assert refused.status == 403 and "about himself" in refused.error["message"]
    assert data.answer("mia", "approve", own).json["status"] == "granted"
    for_her = data.asked("mia", user="olga")
    assert [data.answer(who, "approve", for_her).status for who in ("mia", "olga")] == [403, 403]
    # Of a group nobody who is in it decides, though its members own the data.
    group = data.asked("mia", "other.txt", group="crew")
    assert data.answer("carl", "approve", group).status == 403
    # The machine's owner is one more person, and asks for others.
    words = ("data", "access", "approve", group)
    assert data.control.json(*words)["status"] == "granted"
    assert data.may("carl", "other.txt") and not data.may("anna", "other.txt")
    assert data.answer("mia", "revoke", group).status == 200 and not data.may("carl", "other.txt")


def test_a_group_that_owns_decides(data):
    request = data.asked("anna", "other.txt")
    assert data.answer("olga", "approve", request).status == 404
    assert data.answer("carl", "approve", request).json["status"] == "granted"


def test_restricted_data_wants_two_people(data):
    request = data.asked("anna", "cards.csv")
    assert data.show(request).json["approvals"] == 2
    first = data.answer("olga", "approve", request)
    assert first.json["status"] == "pending" and not data.may("anna", "cards.csv")
    again = data.answer("olga", "approve", request)
    assert again.status == 409 and "for others" in again.error["message"]
    refused = data.answer("sam", "approve", request)
    assert refused.status == 403 and "not services" in refused.error["message"]
    assert data.answer("mia", "approve", request).json["status"] == "granted"
    assert data.may("anna", "cards.csv")
    assert len(data.show(request).json["answers"]) == 2


def test_one_no_ends_a_request(data):
    request = data.asked("anna", "cards.csv")
    assert data.answer("olga", "approve", request).status == 200
    assert data.post("mia", f"/access/{request}/reject").status == 400
    assert data.answer("mia", "reject", request, "take the masked copy").json["status"] == "rejected"
    assert data.answer("mia", "approve", request).status == 409
    shown = data.show(request, "anna").json
    assert shown["reason"] == "take the masked copy"
    assert [a["answer"] for a in shown["answers"]] == ["approved", "rejected"]


def test_rules_of_labels(data):
    board = data.asked("anna", "board.txt")
    assert data.show(board).json["approver"] == 'Group::"office"'
    assert data.answer("otto", "approve", board).json["status"] == "granted"
    long = data.ask("anna", "board.txt", expires="3d")
    assert long.status == 400 and long.error["field"] == "expires" and "172800" in long.error["message"]
    free = data.ask("ben", "free.txt").json
    assert free["status"] == "granted" and free["answers"] == [] and data.may("ben", "free.txt")
    # Without need of a grant other policies decide alone.
    assert not data.may("ben", "open.txt") and data.may("admin", "open.txt") and data.may("admin", "press.txt")
    for name in ("letter.txt", UNKNOWN):
        assert data.decide("admin", name)["context"]["policies"] == ["data_grant:needed"]


def test_data_that_is_labelled_more_strictly_meanwhile_is_asked_for_anew(data):
    request = data.asked("anna", "lone.txt")
    asset = data.ids["lone.txt"]
    data.control.json("data", "asset", "update", asset, "--sensitivity", "restricted")
    refused = data.answer("mia", "approve", request)
    assert refused.status == 409 and "2 approvals by now" in refused.error["message"]
    assert data.answer("anna", "cancel", request).json["status"] == "cancelled"


def test_an_owner_of_yesterday_decides_nothing(data):
    request = data.asked("anna")
    asset = data.ids["letter.txt"]
    data.control.json("data", "asset", "update", asset, "--owner", "eve")
    assert data.answer("olga", "approve", request).status == 404
    assert data.answer("eve", "approve", request).json["status"] == "granted"
    data.control.json("data", "asset", "update", asset, "--owner", "olga")
    assert data.answer("eve", "revoke", request).status == 404
    assert data.answer("anna", "revoke", request, "not needed").json["status"] == "revoked"


def test_a_forbid_outranks_a_grant(data, tmp_path):
    data.granted("carl")
    assert data.may("carl")
    (tmp_path / "night.cedar").write_text(
        '@id("no-carl") forbid (principal == User::"carl", action, resource is DataAsset);')
    assert data.control.dvara("policy", "apply", str(tmp_path)).returncode == 0
    decision = data.decide("carl")
    assert not decision["decision"] and decision["context"]["policies"] == ["no-carl"]
    assert data.control.dvara("policy", "delete", "night").returncode == 0
    assert data.may("carl")
    (tmp_path / "night.cedar").write_text('@id("data_grant:x") permit (principal, action, resource);')
    assert "those of grants for data" in data.control.dvara("policy", "apply", str(tmp_path)).stderr


def test_properties_and_registered_entities_grant_nothing(data):
    body = [{"uid": {"type": "DataAsset", "id": data.ids["letter.txt"]},
             "attrs": {"level": 0, "sensitivity": "public"}}]
    done = data.control.dvara("entity", "apply", "-", stdin=json.dumps(body))
    assert done.returncode == 0, done.stderr
    assert not data.may("admin")
    assert data.control.dvara("entity", "delete", "DataAsset", data.ids["letter.txt"]).returncode == 0


def test_a_suspended_user_has_nothing_and_a_deleted_one_leaves_nothing(data):
    control = data.control
    control.key_of("temp", "request_data_access")
    request = data.asked("mia", user="temp")
    waiting = data.asked("mia", "cards.csv", user="temp")
    assert data.answer("olga", "approve", request).status == 200 and data.may("temp")
    control.json("user", "suspend", "temp")
    assert not data.may("temp")
    control.json("user", "activate", "temp")
    assert data.may("temp")
    assert control.dvara("user", "delete", "temp").returncode == 0
    control.json("user", "create", "--name", "temp")
    assert not data.may("temp")
    assert [data.show(r).json["status"] for r in (request, waiting)] == ["revoked", "cancelled"]


def test_who_is_deleted_owns_nothing_any_more(data):
    control = data.control
    asset = data.ids["lone.txt"]

    def owner():
        return control.json("data", "asset", "show", asset)["owner"]

    control.json("user", "create", "--name", "twin")
    control.json("group", "create", "--name", "twin")
    control.json("data", "asset", "update", asset, "--owner", "twin")
    assert control.dvara("user", "delete", "twin").returncode == 0 and owner() == "twin"
    assert control.dvara("group", "delete", "twin").returncode == 0 and owner() is None
    control.wait_for(lambda: found(control, 'data_owner "twin"'))


def test_a_deleted_asset_takes_its_grants_along(data, tmp_path):
    control = data.control
    (tmp_path / "gone.txt").write_text("bob@example.com")
    control.dvara("data", "scan", str(tmp_path), "--save")
    asset = {row["name"]: row["id"] for row in control.json("data", "asset", "list")["items"]}["gone.txt"]
    data.ids["gone.txt"] = asset
    request = data.granted("anna", "gone.txt", by="mia")
    assert data.may("anna", "gone.txt")
    (tmp_path / "gone.txt").unlink()
    control.dvara("data", "scan", str(tmp_path), "--save")
    assert data.ask("ben", "gone.txt").status == 409
    assert control.dvara("data", "asset", "delete", asset).returncode == 0
    assert not data.may("anna", "gone.txt") and data.show(request).json["status"] == "revoked"


def test_everyone_sees_what_is_his_business(data):
    request = data.asked("anna")
    for who in ("anna", "olga", "mia", "vera", "ben", "eve"):
        sees = who not in ("ben", "eve")
        assert (data.show(request, who).status == 200) == sees, who
        assert (request in data.listed(who)) == sees, who
    unknown = data.show(UNKNOWN, "ben").error["message"]
    assert data.show(request, "ben").error["message"] == unknown.replace(UNKNOWN, request)
    assert data.answer("vera", "approve", request).status == 403
    assert data.answer("ben", "cancel", request).status == 404
    assert data.answer("olga", "cancel", request).status == 403
    assert data.listed("mia", "&user=anna&status=pending") >= {request}
    assert data.listed("mia", "&user=ben") & {request} == set()
    nobody = data.control.key_of("nobody", "view_data")["secret"]
    assert data.control.curl("/v1/data/access", key=nobody).status == 403
    assert data.answer("anna", "cancel", request).status == 200


@pytest.mark.parametrize("change, status, field", [
    ({"asset": UNKNOWN}, 404, "asset"), ({"asset": "x"}, 400, "asset"), ({"purpose": ""}, 400, "purpose"),
    ({"purpose": "a\nb\nc"}, 400, "purpose"), ({"purpose": "x" * 501}, 400, "purpose"),
    ({"expires": "31d"}, 400, "expires"), ({"expires": "0s"}, 400, "expires"), ({"expires": "never"}, 400, "expires"),
    ({"expires": "2020-01-01T00:00:00Z"}, 400, "expires"), ({"expires": "999999999999999999d"}, 400, "expires"),
    ({"actions": ['read"']}, 400, "actions.0"), ({"actions": []}, 400, "actions"),
    ({"user": "ben"}, 403, None), ({"user": "a", "group": "b"}, 400, "group"), ({"deadline": "91d"}, 400, None),
    ({"deadline": "soon"}, 400, "deadline"), ({"more": 1}, 400, "more")])
def test_bad_requests_are_refused(data, change, status, field):
    body = {"asset": data.ids["letter.txt"], "purpose": "a test", "expires": "1h", **change}
    answer = data.post("anna", "/access", **body)
    assert answer.status == status, answer.text
    assert answer.error.get("field") == field


def test_nobody_is_asked_for_who_is_not_there(data):
    assert data.ask("mia", user="ghost").status == 404
    done = data.control.dvara("data", "access", "request", "--asset", data.ids["letter.txt"], "--purpose", "a test",
                              "--expires", "1h")
    assert done.returncode == 1 and "say for whom" in done.stderr


def test_only_so_many_requests_of_one_wait(data):
    data.keys["greta"] = data.control.key_of("greta", "request_data_access")["secret"]
    for _ in range(50):
        data.asked("greta")
    refused = data.ask("greta")
    assert refused.status == 409 and "cancel some" in refused.error["message"]
    for request in data.listed("greta", "&status=pending"):
        assert data.answer("greta", "cancel", request).status == 200


def test_what_nobody_approves_has_a_bound_and_ends_with_whom_it_is_for(data):
    data.keys["hugo"] = data.control.key_of("hugo", "request_data_access")["secret"]
    for _ in range(500):
        assert data.ask("hugo", "free.txt").json["status"] == "granted"
    refused = data.ask("hugo", "free.txt")
    assert refused.status == 409 and "nobody approved" in refused.error["message"]
    assert data.ask("hugo").status == 201
    assert data.control.dvara("user", "delete", "hugo").returncode == 0
    assert {data.show(request).json["status"] for request in list(data.listed("mia", "&user=hugo"))[:20]} <= {
        "revoked", "cancelled"}


def test_what_nobody_answers_in_time_lapses(data):
    request = data.asked("anna", deadline="1s")
    time.sleep(1.1)
    late = data.answer("olga", "approve", request)
    assert late.status == 409
    data.control.wait_for(lambda: data.show(request).json["status"] == "lapsed")


def test_every_step_is_in_the_log(data):
    request = data.asked("anna")
    data.answer("olga", "approve", request, "as agreed")
    data.may("anna")
    data.answer("olga", "revoke", request, "project ended")
    data.control.wait_for(lambda: "project ended" in json.dumps(found(data.control, f'data_access "{request}"')))
    text = json.dumps(found(data.control, f'data_access "{request}"'))
    for word in ("a test", "as agreed", "project ended", "approve", "revoke", "olga"):
        assert word in text
    decisions = json.dumps(found(data.control, f'access_decision "data_grant:{request}"'))
    assert data.ids["letter.txt"] in decisions
    privileges = json.dumps(found(data.control, f'class:user_access "{data.ids["letter.txt"]}"'))
    assert "a test" in privileges


def test_a_review_keeps_revokes_and_takes_what_nobody_decided(data):
    kept, taken, left = (data.granted(who) for who in ("anna", "ben", "carl"))
    denied = data.post("olga", "/reviews", title="Q3")
    assert denied.status == 403
    started = data.post("mia", "/reviews", title="Q3", asset=data.ids["letter.txt"], deadline="4s").json
    assert started["at_deadline"] == "revoke" and started["state"] == "open"
    path = f"/v1/data/reviews/{started['id']}/items"
    items = {i["object"]: i for i in data.control.curl(path, key=data.keys["olga"]).json["items"]}
    assert {kept, taken, left} <= set(items) and items[kept]["reviewer"] == 'User::"olga"'
    assert data.control.curl(path, key=data.keys["ben"]).json["items"] == []
    item = {name: items[request]["item"]
            for name, request in (("kept", kept), ("taken", taken), ("left", left))}
    assert data.post("anna", f"/review-items/{item['kept']}/keep", reason="mine").status == 403
    assert data.post("ben", f"/review-items/{item['kept']}/keep", reason="his").status == 403
    refused = data.post("sam", f"/review-items/{item['kept']}/keep", reason="a program")
    assert refused.status == 403 and "not services" in refused.error["message"]
    assert data.post("olga", f"/review-items/{item['kept']}/keep").status == 400
    assert data.post("olga", f"/review-items/{item['kept']}/keep", reason="needs it").json["state"] == "kept"
    assert data.post("olga", f"/review-items/{item['taken']}/revoke", reason="left").json["state"] == "revoked"
    assert data.may("anna") and not data.may("ben") and data.may("carl")
    data.control.wait_for(lambda: data.control.json("data", "review", "show", started["id"])["state"] == "closed")
    assert data.may("anna") and not data.may("carl")
    report = data.control.json("data", "review", "report", started["id"])
    assert {i["object"]: i["state"] for i in report["items"] if i["object"] in items}[left] == "revoked"
    assert "a review took it away" in json.dumps(data.show(taken).json)
    text = json.dumps(found(data.control, f'data_review_item "{started["id"]}"'))
    assert "needs it" in text
    late = data.post("olga", f"/review-items/{item['left']}/keep", reason="too late")
    assert late.status == 409


def test_what_ends_meanwhile_is_gone_from_a_review(data):
    request = data.granted("ben")
    started = data.post("mia", "/reviews", asset=data.ids["letter.txt"], reviewer="eve", at_deadline="keep").json
    data.answer("olga", "revoke", request)
    items = data.control.json("data", "review", "items", started["id"])["items"]
    assert next(i for i in items if i["object"] == request)["state"] == "gone"
    assert {i["reviewer"] for i in items} == {'User::"eve"'}
    assert data.post("eve", f"/reviews/{started['id']}/cancel", reason="x").status == 403
    assert data.post("mia", f"/reviews/{started['id']}/cancel", reason="wrong").json["state"] == "cancelled"
    assert data.post("mia", "/reviews", source="elsewhere").status == 404


def test_reviews_begin_by_themselves(data):
    data.granted("anna")
    control = data.control
    control.stop("dvarad")
    control.config.write_text(RULES + "  review: {every: 1s, deadline: 1h}\n")
    control.start_dvarad()

    def begun():
        return [r for r in control.json("data", "review", "list")["items"] if r["title"].startswith("periodic")]
    control.wait_for(begun)
    review = begun()[0]
    assert (review["owner"], review["at_deadline"], review["scope"]) == ('System::"dvarad"', "revoke", "all")
    items = control.json("data", "review", "items", review["id"])["items"]
    assert 'User::"olga"' in {item["reviewer"] for item in items}
    control.stop("dvarad")
    control.config.write_text(RULES)
    control.start_dvarad()
    for review in begun():
        assert data.post("mia", f"/reviews/{review['id']}/cancel", reason="over").status == 200


def test_grants_outlive_a_restart(data):
    data.granted("eve")
    data.control.stop("dvarad")
    data.control.start_dvarad()
    assert data.may("eve")


@pytest.mark.parametrize("section, place", [
    ("{longest: 0s}", "longest"), ("{rules: 1}", "rules is a list"), ("{rules: [{approvals: 1}]}", "what it is for"),
    ("{rules: [{label: x, approvals: 6}]}", "approvals"), ("{rules: [{sensitivity: secret}]}", "sensitivity is"),
    ("{rules: [{label: A}]}", "no word"), ("{rules: [{label: a, approvers: 'a b'}]}", "no group"),
    ("{ruels: []}", "ruels")])
def test_bad_rules_are_refused(control, tmp_path, section, place):
    config = tmp_path / "dvara.yaml"
    config.write_text(f"upstream: http://127.0.0.1:1\ndata_access: {section}\n")
    done = control.dvara("config", "check", str(config))
    assert done.returncode == 1 and place in done.stderr


# ---- PostgreSQL, which refuses by itself ----

SQL = """
create table customers (id serial, email text);
insert into customers (email) select 'u' || i || '@example.com' from generate_series(1, 50) i;
create table loose (email text);
insert into loose values ('eve@example.com');
create table moving (email text);
insert into moving values ('eve@example.com');
create schema hr;
create table hr."Pay Roll" (id int, email text);
insert into hr."Pay Roll" values (1, 'bob@example.com');
create table shared (email text);
insert into shared values ('eve@example.com');
grant usage on schema hr to public;
create role anna_ro login password 'annapw';
create role ben_ro login password 'benpw';
create role boss superuser login password 'bosspw';
create role outer_ro;
grant outer_ro to ben_ro;
grant select on shared to outer_ro, anna_ro;
create role other_granter;
grant select on shared to other_granter with grant option;
"""
SECRETS = {"owner": "topsecret", "anna_ro": "annapw", "ben_ro": "benpw"}


def as_postgres(*command):
    """Programs of PostgreSQL refuse to run as root."""
    user = pwd.getpwnam("postgres") if os.getuid() == 0 else None
    other = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}
    return {"args": command, **other}


class Database:
    """A server of its own, and who asks it."""

    def __init__(self, port, programs):
        self.port = port
        self.psql = programs / "psql"  # the one in /usr/bin is a script that looks for it
        self.url = f"postgresql://owner@127.0.0.1:{port}/postgres"

    def ask(self, who, text):
        words = [self.psql, "-Atq", "-v", "ON_ERROR_STOP=1", self.url.replace("owner@", f"{who}@")]
        return subprocess.run(words, input=text, text=True, capture_output=True, check=False,
                              env={**os.environ, "PGPASSWORD": SECRETS[who]})

    def reads(self, who, table):
        done = self.ask(who, f"select count(*) from {table}")
        assert done.returncode == 0 or "permission denied" in done.stderr, done.stderr
        return done.returncode == 0


@pytest.fixture(name="database", scope="module")
def make_database():
    programs = max(pathlib.Path("/usr/lib/postgresql").glob("*/bin"))
    folder = pathlib.Path(tempfile.mkdtemp(prefix="dvara-pg-"))
    database = Database(free_port(), programs)
    if os.getuid() == 0:
        shutil.chown(folder, "postgres")
    (folder / "password").write_text(SECRETS["owner"])
    (folder / "password").chmod(0o644)
    quiet = {"check": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder}
    subprocess.run(**as_postgres(programs / "initdb", "-D", folder / "data", "-U", "owner", "-A", "scram-sha-256",
                                 "--no-sync", f"--pwfile={folder}/password"), **quiet)
    server = [programs / "pg_ctl", "-D", folder / "data", "-w"]
    options = f"-p {database.port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
    subprocess.run(**as_postgres(*server, "-o", options, "-l", folder / "log", "start"), **quiet)
    try:
        made = database.ask("owner", SQL)
        assert made.returncode == 0, made.stderr
        yield database
    finally:
        subprocess.run(**as_postgres(*server, "-m", "immediate", "stop"), **quiet)
        shutil.rmtree(folder)


@pytest.fixture(name="tables", scope="module")
def make_tables(data, database):
    """The tables are in the inventory, and anna has asked for two of them for her role there."""
    done = data.control.dvara("data", "scan", database.url, "--save", PGPASSWORD=SECRETS["owner"])
    assert done.returncode == 0, done.stderr
    for row in data.control.json("data", "asset", "list")["items"]:
        if row["source"].startswith("postgresql://"):
            data.ids[row["name"]] = row["id"]
    return data


def sync(data, database, *more):
    done = data.control.dvara("data", "access", "sync", database.url, "--output", "json", *more,
                              PGPASSWORD=SECRETS["owner"])
    rows = json.loads(done.stdout)["items"] if done.stdout else []
    return {(row["table"], row["role"]): row for row in rows}, done


def test_a_grant_is_carried_out_in_the_database_and_taken_back(tables, database):
    first = tables.granted("anna", "public.customers", by="mia", role="anna_ro")
    second = tables.granted("anna", "hr.Pay Roll", by="mia", role="anna_ro", expires="2s")
    assert tables.show(first).json["role"] == "anna_ro"
    planned, _ = sync(tables, database, "--dry-run")
    assert planned["public.customers", "anna_ro"]["done"] == "granted" and not database.reads("anna_ro", "customers")
    given, done = sync(tables, database)
    assert done.returncode == 0 and {row["done"] for row in given.values()} == {"granted"}
    assert database.reads("anna_ro", "customers") and database.reads("anna_ro", 'hr."Pay Roll"')
    assert not database.reads("ben_ro", "customers")
    assert sync(tables, database)[0]["public.customers", "anna_ro"]["done"] == "kept"
    tables.control.wait_for(lambda: tables.show(second).json["status"] == "expired")
    taken, done = sync(tables, database)
    assert done.returncode == 0 and taken["hr.Pay Roll", "anna_ro"]["done"] == "revoked"
    assert not database.reads("anna_ro", 'hr."Pay Roll"') and database.reads("anna_ro", "customers")
    tables.answer("mia", "revoke", first)
    assert sync(tables, database)[0]["public.customers", "anna_ro"]["done"] == "revoked"
    assert not database.reads("anna_ro", "customers")


def test_following_grants_and_takes_as_it_happens(tables, database):
    """Within two seconds: it looks every second."""
    env = {"PGPASSWORD": SECRETS["owner"], "DVARA_STATE": str(tables.control.state), "PATH": os.environ["PATH"]}
    words = [tables.control.program, "data", "access", "sync", database.url, "--follow", "--output", "jsonl"]
    with subprocess.Popen(words, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as follower:
        try:
            grant = tables.granted("ben", "public.customers", by="mia", role="ben_ro", expires="5s")
            tables.control.wait_for(lambda: database.reads("ben_ro", "customers"), 4)
            tables.answer("mia", "revoke", grant)
            tables.control.wait_for(lambda: not database.reads("ben_ro", "customers"), 4)
            tables.control.stop("dvarad")  # it goes on with the next one
            tables.control.start_dvarad()
            tables.granted("ben", "public.customers", by="mia", role="ben_ro", expires="3s")
            tables.control.wait_for(lambda: database.reads("ben_ro", "customers"), 4)
            tables.control.wait_for(lambda: not database.reads("ben_ro", "customers"), 6)
        finally:
            follower.terminate()
            out, err = follower.communicate(timeout=10)
    assert [json.loads(line)["done"] for line in out.splitlines()] == ["granted", "revoked"] * 2, out + err


def test_what_was_never_granted_is_left_alone_and_other_ways_are_told(tables, database):
    refused = tables.asked("anna", "public.shared", role="anna_ro")
    tables.answer("mia", "reject", refused)
    sync(tables, database)
    assert database.reads("anna_ro", "shared")  # as it was
    grant = tables.granted("ben", "public.shared", by="mia", role="ben_ro")
    assert sync(tables, database)[0]["public.shared", "ben_ro"]["done"] == "granted"
    tables.answer("mia", "revoke", grant)
    rows, done = sync(tables, database)
    assert done.returncode == 1 and "can still read it" in rows["public.shared", "ben_ro"]["problem"]
    assert database.ask("owner", "revoke outer_ro from ben_ro").returncode == 0
    assert sync(tables, database)[1].returncode == 0 and not database.reads("ben_ro", "shared")


def test_where_nobody_approves_nobody_names_roles_of_others(tables, database):
    tables.control.json("data", "asset", "update", tables.ids["public.loose"], "--labels", "free")
    refused = tables.ask("ben", "public.loose", role="anna_ro")
    assert refused.status == 400 and refused.error["field"] == "role"
    assert tables.ask("ben", "public.loose").json["status"] == "granted"
    assert tables.ask("mia", "public.loose", role="ben_ro", expires="1s").json["status"] == "granted"


def test_a_suspended_user_has_nothing_in_the_database(tables, database):
    tables.keys["tina"] = tables.control.key_of("tina", "request_data_access")["secret"]
    mine = tables.granted("tina", "public.customers", by="mia", role="ben_ro")
    row = ("public.customers", "ben_ro")
    assert sync(tables, database)[0][row]["done"] == "granted"
    tables.control.json("user", "suspend", "tina")
    assert sync(tables, database)[0][row]["done"] == "revoked" and not database.reads("ben_ro", "customers")
    other = tables.granted("ben", "public.customers", by="mia", role="ben_ro")
    assert sync(tables, database)[0][row]["done"] == "granted"
    tables.answer("mia", "revoke", other)
    tables.answer("mia", "revoke", mine)
    assert sync(tables, database)[0][row]["done"] == "revoked"


def test_a_renamed_table_is_told(tables, database):
    grant = tables.granted("ben", "public.moving", by="mia", role="ben_ro")
    row = ("public.moving", "ben_ro")
    assert sync(tables, database)[0][row]["done"] == "granted"
    assert database.ask("owner", "alter table moving rename to moved").returncode == 0
    tables.answer("mia", "revoke", grant)
    rows, done = sync(tables, database)
    assert done.returncode == 1 and "public.moved" in rows[row]["problem"] and database.reads("ben_ro", "moved")
    assert database.ask("owner", "revoke select on moved from ben_ro").returncode == 0
    assert row not in sync(tables, database)[0]


def test_a_database_that_nobody_knows_is_told(tables, database):
    rows, done = sync(tables, database, "--source", "postgresql://elsewhere/x")
    assert rows == {} and done.returncode == 0 and "--source" in done.stderr


@pytest.mark.parametrize("role, problem", [("nobody_there", "no such role"), ("boss", "needs no grant")])
def test_roles_that_can_not_be_held_are_told(tables, database, role, problem):
    grant = tables.granted("carl", "public.customers", by="mia", role=role)
    rows, done = sync(tables, database)
    assert done.returncode == 1 and problem in rows["public.customers", role]["problem"]
    tables.answer("mia", "revoke", grant)


def test_roles_are_for_reading_tables(tables, database):
    assert tables.ask("anna", "letter.txt", role="anna_ro").error["field"] == "role"
    assert tables.ask("anna", "public.customers", role="anna_ro", actions=["read", "write"]).error["field"] == "role"
    assert tables.ask("anna", "public.customers", role='x"; drop table customers').status == 400
    done = tables.control.dvara("data", "access", "sync", database.url.replace("owner@", "owner:topsecret@"))
    assert done.returncode == 1 and "holds a password" in done.stderr and "topsecret" not in done.stderr
    done = tables.control.dvara("data", "access", "sync", "/tmp")
    assert done.returncode == 1 and "name a database" in done.stderr
    answer = tables.control.curl("/v1/data/access-roles?source=x", key=tables.keys["vera"])
    assert answer.status == 403
