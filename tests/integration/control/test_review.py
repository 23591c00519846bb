# SPDX-License-Identifier: Apache-2.0
"""Access reviews: who has what is looked at by people, and what they take away is gone."""
import concurrent.futures
import contextlib
import csv
import io
import json
import os
import pathlib
import signal
import socket
import socketserver
import subprocess
import threading

import pytest

from conftest import KEPT, ROOT

REVIEWER = ("review_access", "view_access")
UNKNOWN = "0198c0de-0000-7000-8000-0123456789ab"


class Campaign:
    """A review that was started, and its items by what they are about."""

    def __init__(self, control, *words):
        self.control = control
        self.started = control.json("access", "review", "start", *words)
        self.id = self.started["id"]

    def items(self, *words):
        return self.control.json("access", "review", "items", self.id, *words)["items"]

    def item(self, subject, thing):
        return next(i for i in self.items() if i["subject"] == subject and i["object"] == thing)

    def state(self):
        return self.control.json("access", "review", "show", self.id)["state"]

    def decide(self, verb, item, reason="looked at", **environment):
        """As the owner of the machine, or with a key."""
        return self.control.dvara("access", "review", verb, item["item"], "--reason", reason,
                                  "--output", "json", **environment)

    def decide_with(self, key, verb, item, reason="looked at"):
        return self.control.curl(f"/v1/access-review-items/{item['item']}/{verb}", key=key,
                                 method="POST", body={"reason": reason})


def user(name):
    return f'User::"{name}"'


def team(control, name, *members):
    """A group with the role NAME_role, which lets view users, and these new users in it."""
    control.json("group", "create", "--name", name)
    control.json("role", "create", "--name", f"{name}_role", "--permissions", "view_users")
    control.json("role", "assign", "--group", name, "--role", f"{name}_role")
    for member in members:
        control.json("user", "create", "--name", member, "--groups", name)


def events(control, words):
    """Lines of the log that hold the words, waited for."""
    found = []

    def look():
        text = control.dvara("audit", "tail", "--last", "3000", "--limit", "1000", "--output", "jsonl").stdout
        found[:] = [line for line in text.splitlines() if words in line]
        return found
    control.wait_for(look)
    return found


def test_a_review_lists_what_is_in_force_and_revoking_is_felt_at_once(control):
    team(control, "red", "rhea", "rolf")
    key = control.json("apikey", "create", "--user", "rolf")["secret"]
    assert control.curl("/v1/users", key=key).status == 200
    review = Campaign(control, "--group", "red", "--title", "red team")
    assert review.started["counts"] == {"pending": 3, "attested": 0, "revoked": 0, "gone": 0}
    assert (review.started["state"], review.started["scope"]) == ("open", "group red")
    kinds = sorted((i["kind"], i["subject"], i["object"]) for i in review.items())
    assert kinds == [("member", user("rhea"), 'Group::"red"'), ("member", user("rolf"), 'Group::"red"'),
                     ("role", 'Group::"red"', 'Role::"red_role"')]
    kept = review.decide("attest", review.item(user("rhea"), 'Group::"red"'), "still here")
    assert kept.returncode == 0 and json.loads(kept.stdout)["state"] == "attested"
    gone = review.decide("revoke", review.item(user("rolf"), 'Group::"red"'), "left us")
    assert gone.returncode == 0 and json.loads(gone.stdout)["state"] == "revoked"
    assert control.curl("/v1/users", key=key).status == 403
    assert "rolf" not in str(control.json("group", "show", "red")["members"])
    assert review.state() == "open"
    review.decide("revoke", review.item('Group::"red"', 'Role::"red_role"'))
    assert review.state() == "closed"
    assert control.json("group", "show", "red")["roles"] == []


def test_a_role_is_reviewed_through_inheritance_and_groups(control):
    team(control, "blue", "bea")
    control.json("role", "create", "--name", "blue_lead", "--inherits", "blue_role")
    control.json("user", "create", "--name", "bob")
    control.json("role", "assign", "--user", "bob", "--role", "blue_lead")
    found = {(i["subject"], i["object"]) for i in Campaign(control, "--role", "blue_role").items()}
    assert found == {(user("bob"), 'Role::"blue_lead"'), ('Group::"blue"', 'Role::"blue_role"'),
                     (user("bea"), 'Group::"blue"')}


def test_an_action_is_reviewed_by_what_permits_it(control, tmp_path):
    team(control, "green", "gina")
    control.json("role", "update", "green_role", "--permissions", "greening")
    control.json("user", "create", "--name", "gus")
    (tmp_path / "gus.cedar").write_text(
        '@id("gus-greens") permit(principal == User::"gus", action == Action::"greening", '
        'resource == Model::"leaf");')
    assert control.dvara("policy", "apply", str(tmp_path)).returncode == 0
    review = Campaign(control, "--action", "greening", "--resource", 'Model::"leaf"')
    found = {(i["kind"], i["subject"], i["object"]) for i in review.items()}
    assert ("policy", user("gus"), "gus-greens") in found
    assert ("member", user("gina"), 'Group::"green"') in found
    assert ("role", 'Group::"green"', 'Role::"green_role"') in found
    assert ("role", user("admin"), 'Role::"admin"') in found
    assert not any(i["object"] == 'Group::"red"' for i in review.items())
    item = review.item(user("gus"), "gus-greens")
    assert (item["action"], item["resource"]) == ("greening", 'Model::"leaf"')
    refused = review.decide("revoke", item)
    assert refused.returncode == 1 and 'the policy "gus-greens" still permits this' in refused.stderr
    assert control.dvara("policy", "delete", "gus").returncode == 0
    assert json.loads(review.decide("revoke", item).stdout)["state"] == "gone"
    everything = {(i["subject"], i["object"]) for i in Campaign(control).items()}
    assert everything >= {(user("gina"), 'Group::"green"'), (user("admin"), 'Role::"admin"')}


@pytest.mark.parametrize("meanwhile", ["suspended", "narrowed", "forbidden"])
def test_a_policy_that_permits_nothing_now_is_not_gone(control, tmp_path, meanwhile):
    """What comes back by itself, or is there for other things, has not ended."""
    name = f"pat-{meanwhile}"
    who = f'principal == User::"{name}", action == Action::"use_model"'
    control.json("user", "create", "--name", name)
    (tmp_path / f"{name}.cedar").write_text(f"permit({who}, resource);")
    assert control.dvara("policy", "apply", str(tmp_path)).returncode == 0
    review = Campaign(control, "--action", "use_model", "--resource", 'Model::"leaf"')
    item = review.item(user(name), name)
    if meanwhile == "suspended":
        assert control.dvara("user", "suspend", name).returncode == 0
    elif meanwhile == "narrowed":
        (tmp_path / f"{name}.cedar").write_text(f'permit({who}, resource == Model::"other");')
    else:
        (tmp_path / f"no-{name}.cedar").write_text(f"forbid({who}, resource);")
    assert control.dvara("policy", "apply", str(tmp_path)).returncode == 0
    refused = review.decide("revoke", item)
    assert refused.returncode == 1 and "does not permit this now, but it is still there" in refused.stderr
    assert review.item(user(name), name)["state"] == "pending"
    kept = review.decide("attest", item, "what is left is needed")
    assert kept.returncode == 0 and json.loads(kept.stdout)["state"] == "attested"


def test_a_policy_whose_subject_is_deleted_is_gone(control, tmp_path):
    control.json("user", "create", "--name", "pia")
    (tmp_path / "pia.cedar").write_text('permit(principal == User::"pia", action == Action::"use_model", resource);')
    assert control.dvara("policy", "apply", str(tmp_path)).returncode == 0
    review = Campaign(control, "--action", "use_model", "--resource", 'Model::"leaf"')
    assert control.dvara("user", "delete", "pia").returncode == 0
    assert review.item(user("pia"), "pia")["state"] == "gone"


def test_a_title_made_of_a_long_scope_is_cut(control):
    thing = 'Model::"' + "\u00e9" * 200 + '"'
    review = Campaign(control, "--action", "use_model", "--resource", thing)
    assert review.started["scope"] == f"action use_model on {thing}"
    title = review.started["title"]
    assert review.started["scope"].startswith(title) and len(title.encode()) in (255, 256)


def test_the_help_of_two_words_is_theirs_alone(control):
    shown = control.dvara("access", "review", "--help")
    assert shown.returncode == 0 and "usage: dvara access review VERB" in shown.stdout
    assert "review start" in shown.stdout and "who-can" not in shown.stdout
    alone = control.dvara("access", "review")
    assert alone.returncode == 2 and "review start" in alone.stderr and "who-can" not in alone.stderr
    assert "who-can" in control.dvara("access", "--help").stdout


def test_who_may_decide(control):
    team(control, "grey", "gwen", "gary")
    key = {name: control.key_of(name, *permissions)["secret"] for name, permissions in {
        "rosa": REVIEWER, "rick": REVIEWER, "mona": (*REVIEWER, "manage_access_reviews", "view_users"),
        "nora": ("view_access",)}.items()}
    control.json("group", "add-member", "grey", "--user", "rosa")
    review = Campaign(control, "--group", "grey", "--reviewer", "rosa", "--owner", "mona")
    gwen = review.item(user("gwen"), 'Group::"grey"')
    assert gwen["reviewer"] == user("rosa")
    # Another reviewer, and one without the permission.
    assert review.decide_with(key["rick"], "attest", gwen).error["code"] == "forbidden"
    assert review.decide_with(key["nora"], "attest", gwen).status == 403
    # Her own membership, and the role that her group has, are not hers to decide: the owner is asked.
    own = review.item(user("rosa"), 'Group::"grey"')
    assert own["reviewer"] == user("mona")
    group_role = review.item('Group::"grey"', 'Role::"grey_role"')
    assert group_role["reviewer"] == user("mona")
    for item in (own, group_role):
        refused = review.decide_with(key["rosa"], "attest", item)
        assert refused.status == 403 and "himself" in refused.error["message"]
        assert review.decide_with(key["rosa"], "revoke", item).status == 403
    assert review.decide_with(key["rosa"], "attest", gwen, "on the team").json["by"] == user("rosa")
    assert review.decide_with(key["mona"], "attest", own).status == 200
    assert review.decide_with(key["mona"], "revoke", group_role, "unused").status == 200
    # Nobody takes away what he could not give: rosa lacks what the group gives no more, so she may now.
    assert review.decide_with(key["rosa"], "revoke", review.item(user("gary"), 'Group::"grey"')).status == 200
    assert review.state() == "closed"


def test_nobody_takes_away_what_he_could_not_give(control):
    key = control.key_of("rena", *REVIEWER)["secret"]
    control.json("role", "create", "--name", "strong", "--permissions", "manage_users")
    control.json("user", "create", "--name", "sven")
    control.json("role", "assign", "--user", "sven", "--role", "strong")
    review = Campaign(control, "--role", "strong", "--reviewer", "rena")
    refused = review.decide_with(key, "revoke", review.items()[0])
    assert refused.status == 403 and "manage_users" in refused.error["message"]
    assert review.items()[0]["state"] == "pending"


def test_only_who_may_change_policies_lets_a_deadline_revoke(control, tmp_path):
    """Who may start reviews does not get himself out of a group that a policy forbids something."""
    team(control, "barred", "bart")
    (tmp_path / "barred.cedar").write_text(
        'forbid(principal in Group::"barred", action == Action::"view_roles", resource);')
    assert control.dvara("policy", "apply", str(tmp_path)).returncode == 0
    key = {name: control.key_of(name, "manage_access_reviews", "view_users", *REVIEWER, *more)["secret"]
           for name, more in {"stella": (), "steve": ("manage_policies",)}.items()}
    body = {"group": "barred", "at_deadline": "revoke"}
    refused = control.curl("/v1/access-reviews", key=key["stella"], method="POST", body=body)
    assert refused.status == 403 and "manage_policies" in refused.error["message"]
    assert control.curl("/v1/access-reviews", key=key["steve"], method="POST", body=body).status == 201
    body["at_deadline"] = "keep"
    started = control.curl("/v1/access-reviews", key=key["stella"], method="POST", body=body).json
    assert started["owner"] == user("stella")
    item = next(i for i in control.json("access", "review", "items", started["id"])["items"]
                if i["kind"] == "member")
    refused = control.curl(f"/v1/access-review-items/{item['item']}/revoke", key=key["stella"],
                           method="POST", body={"reason": "x"})
    assert refused.status == 403 and 'the policy "barred" names group barred' in refused.error["message"]
    assert control.curl(f"/v1/access-review-items/{item['item']}/revoke", key=key["steve"],
                        method="POST", body={"reason": "x"}).status == 200


def test_reviewers_by_group_and_a_group_as_reviewer(control):
    team(control, "gold", "gil")
    team(control, "lime", "liv")
    for name in ("lead", "carl"):
        control.key_of(name, *REVIEWER)
    control.json("group", "create", "--name", "security")
    control.json("group", "add-member", "security", "--user", "carl")
    key = control.json("apikey", "create", "--user", "carl")["secret"]
    review = Campaign(control, "--reviewer-group", "security", "--group-reviewers", "gold=lead")
    assert review.item(user("gil"), 'Group::"gold"')["reviewer"] == user("lead")
    assert review.item('Group::"gold"', 'Role::"gold_role"')["reviewer"] == user("lead")
    liv = review.item(user("liv"), 'Group::"lime"')
    assert liv["reviewer"] == 'Group::"security"'
    assert [i["subject"] for i in review.items("--reviewer", "lead")] == ['Group::"gold"', user("gil")]
    assert all(i["reviewer"] == 'Group::"security"' for i in review.items("--reviewer-group", "security"))
    assert review.decide_with(key, "attest", liv).status == 200
    assert review.decide_with(key, "attest", review.item(user("gil"), 'Group::"gold"')).status == 403


def test_two_reviewers_at_once_one_decides(control):
    team(control, "race", *[f"racer{n}" for n in range(12)])
    review = Campaign(control, "--group", "race")
    for item in review.items():
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            done = list(pool.map(lambda verb, one=item: review.decide(verb, one), ("attest", "revoke")))
        assert sorted(d.returncode for d in done) == [0, 1]
        state = json.loads(next(d.stdout for d in done if d.returncode == 0))["state"]
        loser = next(d for d in done if d.returncode == 1)
        assert state in loser.stderr or "closed" in loser.stderr
    members = control.json("group", "show", "race")["members"]
    left = [i["subject"] for i in review.items() if i["kind"] == "member" and i["state"] == "attested"]
    assert sorted(members) == sorted(left)


def test_what_ends_by_other_means_is_gone(control):
    team(control, "mist", "mia", "max")
    control.json("user", "create", "--name", "moe")
    control.json("role", "assign", "--user", "moe", "--role", "mist_role")
    review = Campaign(control, "--role", "mist_role")
    assert len(review.items()) == 4
    control.dvara("user", "delete", "mia")
    assert review.item(user("mia"), 'Group::"mist"')["state"] == "gone"
    control.dvara("group", "remove-member", "mist", "--user", "max")
    assert review.item(user("max"), 'Group::"mist"')["state"] == "gone"
    by = review.item(user("moe"), 'Role::"mist_role"')
    assert by["state"] == "pending" and by["by"] is None
    control.dvara("role", "delete", "mist_role")
    item = review.item(user("moe"), 'Role::"mist_role"')
    assert item["state"] == "gone" and item["by"].startswith("Local::")
    assert review.state() == "closed"
    late = review.decide("attest", item)
    assert late.returncode == 1 and "closed" in late.stderr


def test_the_report_is_evidence(control):
    team(control, "oak", "otto", "olaf")
    review = Campaign(control, "--group", "oak", "--title", '=oak, "the" team')
    review.decide("attest", review.item(user("otto"), 'Group::"oak"'), "needed, for now")
    review.decide("revoke", review.item(user("olaf"), 'Group::"oak"'), '=HYPERLINK("x")')
    report = control.json("access", "review", "report", review.id)
    assert report["counts"] == {"pending": 1, "attested": 1, "revoked": 1, "gone": 0}
    assert [step["step"] for step in report["history"]] == ["open"]
    rows = {row["subject"]: row for row in report["items"]}
    olaf = rows[user("olaf")]
    assert olaf["state"] == "revoked" and olaf["by"].startswith("Local::") and olaf["when"]
    assert olaf["since"] and olaf["until"] is None
    # The evidence leads to the records: the decision, and what took the membership away.
    found = [line for line in events(control, olaf["evidence"]) if "API Activity" not in line]
    assert any("access_review_item" in line and "revoke" in line for line in found)
    assert any("member_removed" in line for line in found)
    table = control.dvara("access", "review", "report", review.id, "--output", "csv").stdout
    lines = list(csv.reader(io.StringIO(table)))
    assert lines[0][:4] == ["item", "subject", "kind", "object"] and len(lines) == 4
    assert "'=HYPERLINK(\"x\")" in lines[lines.index(next(x for x in lines if olaf["item"] in x))]
    why = control.dvara("why", olaf["evidence"])
    assert why.returncode == 0 and "review_revoke" in why.stdout


@pytest.mark.parametrize("words, says", [
    (("--group", "nobodys"), "no group named nobodys"),
    (("--role", "nobodys"), "no role named nobodys"),
    (("--reviewer", "nobody"), "no user named nobody"),
    (("--owner", "nobody"), "no user named nobody"),
    (("--group-reviewers", "nobodys=admin"), "no group named nobodys"),
    (("--group-reviewers", "nobodys"), "GROUP=USER|match|pattern"),
    (("--group", "a", "--role", "b"), "name one at most"),
    (("--resource", 'Model::"x"'), "a resource wants an action"),
    (("--action", "x", "--resource", "Model"), "is no entity"),
    (("--action", "use_modle"), "no operation, role or policy names use_modle"),
    (("--deadline", "366d"), "from 1 second to 365 days ahead"),
    (("--deadline", "2020-01-01T00:00:00Z"), "a time to come"),
    (("--deadline", "soon"), "a duration"),
    (("--at-deadline", "explode"), "keep"),
    (("--title", ""), "title"),
    (("--title", "x" * 129), "title"),
    (("--role", "empty_role"), "nothing to review"),
])
def test_what_can_not_be_reviewed_is_refused(control, words, says):
    control.dvara("role", "create", "--name", "empty_role", "--permissions", "nothing")
    refused = control.dvara("access", "review", "start", *words)
    assert refused.returncode in (1, 2)
    assert any(part in refused.stderr for part in says.split("|")), refused.stderr


def test_what_policies_permit_is_asked_within_bounds(fresh, tmp_path):
    fresh.start_all()
    named = ", ".join(f'Model::"m{n}"' for n in range(22000))
    (tmp_path / "many.cedar").write_text('forbid(principal == User::"nobody", action == Action::"use_model", '
                                         f"resource) when {{ resource is Model && [{named}].contains(resource) }};\n")
    assert fresh.dvara("policy", "apply", str(tmp_path)).returncode == 0
    for name in ("mary", "mo", "mike", "mae"):
        fresh.json("user", "create", "--name", name)
    refused = fresh.dvara("access", "review", "start")
    assert refused.returncode == 1 and "more than 100000 decisions, or a second" in refused.stderr
    assert fresh.dvara("access", "review", "start", "--role", "admin", "--action", "x").returncode == 1
    assert fresh.dvara("access", "review", "start", "--action", "use_model", "--resource",
                       'Model::"m1"').returncode == 0


def test_asking_policies_ends_by_the_clock(fresh, tmp_path):
    """Fewer decisions than are allowed, each of them long: whoever else asks waits for a second at most."""
    fresh.start_all()
    named = ", ".join(f'Model::"m{n}"' for n in range(22000))
    (tmp_path / "long.cedar").write_text('permit(principal, action == Action::"use_model", resource is Model) when '
                                         f"{{ [resource, {named}].contains(resource) }};\n")
    assert fresh.dvara("policy", "apply", str(tmp_path)).returncode == 0
    fresh.json("user", "create", "--name", "mary")
    refused = fresh.dvara("access", "review", "start", "--action", "use_model")
    assert refused.returncode == 1 and "or a second of them" in refused.stderr
    assert fresh.dvara("access", "review", "start", "--action", "use_model", "--resource",
                       'Model::"m1"').returncode == 0


def test_items_and_reviews_that_are_not_there(control):
    for words in (("show", UNKNOWN), ("report", UNKNOWN), ("items", UNKNOWN),
                  ("attest", f"{UNKNOWN}.1", "--reason", "x"), ("cancel", UNKNOWN, "--reason", "x")):
        assert "there is no access review" in control.dvara("access", "review", *words).stderr
    for name in ("1", f"{UNKNOWN}", f"{UNKNOWN}.0", f"{UNKNOWN}.x"):
        assert control.dvara("access", "review", "attest", name, "--reason", "x").returncode == 1
    team(control, "elm", "ella")
    review = Campaign(control, "--group", "elm")
    assert "has no item 99" in review.decide("attest", {"item": f"{review.id}.99"}).stderr
    assert control.dvara("access", "review", "attest", f"{review.id}.1").returncode == 2  # no reason
    assert review.decide("attest", {"item": f"{review.id}.1"}, "x" * 513).returncode == 1


def test_cancelling_leaves_what_was_decided(control):
    team(control, "fir", "fay", "fred")
    key = control.key_of("frida", *REVIEWER)["secret"]
    review = Campaign(control, "--group", "fir", "--reviewer", "frida")
    review.decide("revoke", review.item(user("fay"), 'Group::"fir"'))
    assert control.curl(f"/v1/access-reviews/{review.id}/cancel", key=key, method="POST",
                        body={"reason": "x"}).status == 403
    done = control.json("access", "review", "cancel", review.id, "--reason", "wrong group")
    assert (done["state"], done["undecided"]) == ("cancelled", 2)
    refused = review.decide("attest", review.item(user("fred"), 'Group::"fir"'))
    assert refused.returncode == 1 and "cancelled" in refused.stderr
    assert review.item(user("fay"), 'Group::"fir"')["state"] == "revoked"


def test_pages_of_items_and_reviews(control):
    team(control, "ash", *[f"ash{n}" for n in range(5)])
    review = Campaign(control, "--group", "ash")
    first = control.curl(f"/v1/access-reviews/{review.id}/items?limit=4", key=control.admin_key()).json
    assert len(first["items"]) == 4 and first["next"] == "4"
    rest = control.curl(f"/v1/access-reviews/{review.id}/items?limit=4&cursor=4",
                        key=control.admin_key()).json
    assert len(rest["items"]) == 2 and "next" not in rest
    assert control.curl(f"/v1/access-reviews/{review.id}/items?cursor=x", key=control.admin_key()).status == 400
    listed = control.json("access", "review", "list")["items"]
    assert listed[0]["id"] == review.id and len({one["id"] for one in listed}) == len(listed)
    page = control.curl("/v1/access-reviews?limit=1", key=control.admin_key()).json
    assert len(page["items"]) == 1 and page["next"] == review.id


def test_permissions_of_the_operations(control):
    key = control.key_of("peeker", "view_users")["secret"]
    assert control.curl("/v1/access-reviews", key=key).status == 403
    assert control.curl("/v1/access-reviews", key=key, method="POST", body={}).status == 403
    auditor = control.json("user", "create", "--name", "auditrix")["name"]
    control.json("role", "assign", "--user", auditor, "--role", "auditor")
    key = control.json("apikey", "create", "--user", auditor)["secret"]
    assert control.curl("/v1/access-reviews", key=key).status == 200
    assert control.curl("/v1/access-reviews", key=key, method="POST", body={}).status == 403


@contextlib.contextmanager
def admin_listener(control):
    """api.sock on a port: what the gateway's admin listener is to the command line."""
    class Connection(socketserver.BaseRequestHandler):
        @staticmethod
        def pump(source, target):
            with contextlib.suppress(OSError):
                while data := source.recv(65536):
                    target.sendall(data)
                target.shutdown(socket.SHUT_WR)

        def handle(self):
            with socket.socket(socket.AF_UNIX) as inner:
                inner.connect(str(control.runtime / "api.sock"))
                back = threading.Thread(target=self.pump, args=(inner, self.request))
                back.start()
                self.pump(self.request, inner)
                back.join()

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
    with Server(("127.0.0.1", 0), Connection) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_a_key_that_is_not_used_is_told(control):
    key = control.key_of("keith", "view_users")["secret"]
    local = control.dvara("user", "list", DVARA_API_KEY=key)
    assert local.returncode == 0 and "DVARA_API_KEY is not used" in local.stderr
    assert key not in local.stderr
    assert control.dvara("user", "list").stderr == ""
    with admin_listener(control) as url:
        remote = control.dvara("user", "list", "--url", url, DVARA_API_KEY=key)
    assert remote.returncode == 0 and remote.stderr == ""


def test_the_example_of_the_manual(fresh, tmp_path):
    fresh.start_all()
    fresh.json("group", "create", "--name", "research")
    fresh.json("role", "assign", "--group", "research", "--role", "model_user")
    for name in ("dana", "omar"):
        fresh.json("user", "create", "--name", name, "--groups", "research")
    fresh.json("user", "create", "--name", "lena")
    section = (ROOT / "docs/authorization.md").read_text().split("## Access reviews")[1]
    blocks = [block.split("```")[0] for block in section.split("```sh")[1:]]
    with admin_listener(fresh) as url:
        script = "".join(blocks).replace("https://127.0.0.1:8444", url)
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script], cwd=tmp_path, capture_output=True, text=True,
            check=False, env={**KEPT, "DVARA_STATE": str(fresh.state),
                              "PATH": f"{fresh.program.parent}:{os.environ['PATH']}"})
    assert done.returncode == 0 and url in script, done.stderr
    shown = section.split("```\n")[2].splitlines()
    columns = [line.split()[1:] for line in shown[1:4]]
    assert [line.split()[1:] for line in done.stdout.splitlines() if " pending" in line] == columns
    rows = list(csv.DictReader(io.StringIO(pathlib.Path(tmp_path / "research-autumn.csv").read_text())))
    assert [row["state"] for row in rows] == ["attested", "attested", "revoked"]
    assert [row["by"] for row in rows] == [user("lena")] * 3
    assert fresh.json("group", "show", "research")["members"] == [user("dana")]


# --- deadlines and crashes ------------------------------------------------------------------------

def test_a_deadline_that_passes_keeps_and_alerts(fresh):
    fresh.start_all()
    team(fresh, "late", "lea")
    review = Campaign(fresh, "--group", "late", "--deadline", "1s")
    fresh.stop("dvarad", signal.SIGKILL)  # a deadline that passes meanwhile is seen afterwards
    fresh.start_dvarad()
    fresh.wait_for(lambda: review.state() == "overdue", 30)
    assert [i["state"] for i in review.items()] == ["pending", "pending"]
    assert fresh.json("access", "review", "list", "--status", "overdue")["items"][0]["undecided"] == 2
    assert any("2 undecided items" in line for line in events(fresh, "access_review.expire"))
    for item in review.items():
        assert review.decide("attest", item, "late, but needed").returncode == 0
    assert review.state() == "closed"


def test_a_deadline_that_revokes(fresh):
    fresh.start_all()
    team(fresh, "strict", "sue", "stan")
    key = fresh.json("apikey", "create", "--user", "stan")["secret"]
    review = Campaign(fresh, "--group", "strict", "--deadline", "1s", "--at-deadline", "revoke")
    fresh.wait_for(lambda: review.state() == "closed", 30)
    assert {i["state"] for i in review.items()} == {"revoked"}
    assert all(i["by"] == 'System::"dvarad"' and i["evidence"] for i in review.items())
    assert fresh.curl("/v1/users", key=key).status == 403
    assert fresh.json("group", "show", "strict")["members"] == []


def test_a_deadline_does_not_call_a_policy_gone(fresh, tmp_path):
    """Who is suspended at the deadline has it again afterwards: the review stays open, with an alarm."""
    fresh.start_all()
    fresh.json("user", "create", "--name", "sid")
    (tmp_path / "sid.cedar").write_text('permit(principal == User::"sid", action == Action::"use_model", resource);')
    assert fresh.dvara("policy", "apply", str(tmp_path)).returncode == 0
    review = Campaign(fresh, "--action", "use_model", "--resource", 'Model::"x"', "--deadline", "2s",
                      "--at-deadline", "revoke")
    fresh.dvara("user", "suspend", "sid")
    fresh.wait_for(lambda: review.state() == "overdue", 30)
    assert review.item(user("sid"), "sid")["state"] == "pending"
    assert events(fresh, "access_review.expire")


@pytest.mark.parametrize("way", ["role", "group"])
def test_a_deadline_leaves_the_last_administrator(fresh, way):
    fresh.start_all()
    fresh.json("user", "create", "--name", "ada")
    fresh.json("group", "create", "--name", "chiefs")
    if way == "group":
        fresh.json("group", "add-member", "chiefs", "--user", "admin")
        fresh.json("role", "assign", "--group", "chiefs", "--role", "admin")
        assert fresh.dvara("role", "unassign", "--user", "admin", "--role", "admin").returncode == 0
    # Neither one who is suspended nor one who broke the glass is an administrator who is left.
    fresh.json("user", "create", "--name", "eve")
    fresh.json("role", "assign", "--user", "eve", "--role", "admin")
    fresh.json("role", "assign", "--user", "ada", "--role", "admin", "--break-glass", "--reason", "fire")
    assert fresh.dvara("user", "suspend", "eve").returncode == 0
    fresh.json("role", "assign", "--user", "ada", "--role", "viewer")
    review = Campaign(fresh, "--deadline", "1s", "--at-deadline", "revoke")
    fresh.wait_for(lambda: review.state() == "overdue", 30)
    left = {(i["subject"], i["object"]) for i in review.items("--status", "pending")}
    assert left == ({(user("admin"), 'Role::"admin"')} if way == "role" else
                    {(user("admin"), 'Group::"chiefs"'), ('Group::"chiefs"', 'Role::"admin"')})
    assert fresh.json("user", "show", "admin")["status"] == "active"
    assert events(fresh, "access_review.expire")
    # A person may, and then knows what he does.
    assert review.decide("revoke", review.items("--status", "pending")[0]).returncode == 0


def test_nothing_is_lost_by_kill(fresh):
    """What was answered is there after kill -9; what was not is whole or not at all."""
    fresh.start_all()
    members = [f"k{n}" for n in range(24)]
    team(fresh, "crash", *members)
    review = Campaign(fresh, "--group", "crash")
    pending = [i for i in review.items() if i["kind"] == "member"]
    told = {}
    for turn in range(4):
        part = pending[turn * 6:turn * 6 + 6]
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            running = [pool.submit(review.decide, ("attest", "revoke")[n % 2], item)
                       for n, item in enumerate(part)]
            next(concurrent.futures.as_completed(running))
            fresh.stop("dvarad", signal.SIGKILL)
        for item, one in zip(part, running):
            if one.result().returncode == 0:
                told[item["item"]] = json.loads(one.result().stdout)["state"]
        fresh.start_dvarad()
    assert told
    now = {i["item"]: i for i in review.items()}
    assert {name: now[name]["state"] for name in told} == told
    left = sorted(i["subject"] for i in now.values() if i["kind"] == "member" and i["state"] != "revoked")
    assert sorted(fresh.json("group", "show", "crash")["members"]) == left
    assert sum(review.started["counts"].values()) == sum(
        fresh.json("access", "review", "show", review.id)["counts"].values())
