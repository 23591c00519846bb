# SPDX-License-Identifier: Apache-2.0
"""Policies as managed things: applied from files, listed, shown, rolled back, felt at once."""
import json

import pytest

FORBID = 'forbid(principal == User::"%s", action == Action::"view_users", resource);\n'


def apply(control, folder, files, *more):
    """Writes the files and applies the folder; returns the finished command."""
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    return control.dvara("policy", "apply", str(folder), *more)


def names(control):
    return [policy["name"] for policy in control.json("policy", "list")["items"]]


def test_a_policy_is_felt_by_the_next_request_and_gone_with_the_next(control, tmp_path):
    key = control.key_of("paula", "view_users")["secret"]
    assert control.curl("/v1/users", key=key).status == 200
    done = apply(control, tmp_path / "p", {"no-paula.cedar": FORBID % "paula"})
    assert done.returncode == 0, done.stderr
    refused = control.curl("/v1/users", key=key)
    assert (refused.status, refused.error["code"]) == (403, "forbidden_by_policy")
    assert "no-paula" in names(control)
    assert control.dvara("policy", "delete", "no-paula").returncode == 0
    assert control.curl("/v1/users", key=key).status == 200


def test_a_policy_permits_what_no_role_does(control, tmp_path):
    key = control.key_of("peter", "view_audit")["secret"]
    assert control.curl("/v1/users", key=key).status == 403
    text = ('@id("peter-looks")\npermit(principal == User::"peter", action == Action::"view_users",\n'
            '  resource) when { context.now > datetime("2020-01-01") };\n')
    assert apply(control, tmp_path / "p", {"peter.cedar": text}).returncode == 0
    assert control.curl("/v1/users", key=key).status == 200
    assert control.dvara("policy", "show", "peter").stdout == text


@pytest.mark.parametrize("text, place, words", [
    ("permit(principal, action, resource)\n", ":2:1: ", "';'"),
    ("permit(principal, action, resource);\npermt(principal);", ":2:1: ", "permit"),
    ('@id("role:admin") permit(principal, action, resource);', ":1:1: ", "roles"),
    ('@id("' + "x" * 64 + '") permit(principal, action, resource);', ":1:1: ", "63 bytes"),
    ("permit(principal == ?principal, action, resource);", ":1:1: ", "template"),
    ("permit(principal, action, resource); // \x1b[2J", ":1:41: ", "control character"),
    ("permit(principal, action, resource); // \u202e", ":1:41: ", "control character"),
])
def test_a_set_with_an_error_changes_nothing_and_the_place_is_told(control, tmp_path, text, place,
                                                                   words):
    before = (names(control), control.json("policy", "history")["items"])
    done = apply(control, tmp_path / "p", {
        "fine.cedar": 'forbid(principal == User::"nobody", action, resource);', "wrong.cedar": text})
    assert done.returncode == 1
    assert f"{tmp_path}/p/wrong.cedar{place}" in done.stderr and words in done.stderr
    assert (names(control), control.json("policy", "history")["items"]) == before


def test_an_id_stands_once_in_all_policies(control, tmp_path):
    text = '@id("same") forbid(principal == User::"nobody", action, resource);'
    done = apply(control, tmp_path / "p", {"one.cedar": text, "two.cedar": "\n" + text})
    assert done.returncode == 1
    assert "two.cedar:2:1: " in done.stderr and "one at line 1" in done.stderr


def test_policies_without_an_id_are_named_after_their_file(control, tmp_path):
    text = 'forbid(principal == User::"nobody", action, resource);'
    assert apply(control, tmp_path / "p", {"single.cedar": text, "pair.cedar": text + text}).returncode == 0
    shown = control.dvara("policy", "show", "--source", "api").stdout
    for name in ("single", "pair.0", "pair.1"):
        assert f'@id("{name}")' in shown
    assert control.dvara("policy", "show", "single").stdout == text


def test_a_dry_run_tells_and_changes_nothing(control, tmp_path):
    before = control.json("policy", "history")["items"]
    done = apply(control, tmp_path / "p", {"dry.cedar": FORBID % "nobody"}, "--dry-run", "--output", "json")
    answer = json.loads(done.stdout)
    assert answer["dry_run"] and [(c["name"], c["change"]) for c in answer["changes"]] == [("dry", "new")]
    assert control.json("policy", "history")["items"] == before
    assert control.dvara("policy", "show", "dry").returncode == 1


def test_history_and_rollback(fresh, tmp_path):
    fresh.start_all()
    one = apply(fresh, tmp_path / "one", {"a.cedar": FORBID % "a"}, "--note", "first")
    assert one.returncode == 0, one.stderr
    assert apply(fresh, tmp_path / "two", {"a.cedar": FORBID % "b", "c.cedar": FORBID % "c"}).returncode == 0
    assert apply(fresh, tmp_path / "two", {}).returncode == 0  # the same again is no version
    history = fresh.json("policy", "history")["items"]
    assert [(v["version"], v["action"], v["policies"]) for v in history] == [(2, "apply", 2), (1, "apply", 1)]
    assert history[1]["note"] == "first" and history[1]["author"].startswith("Local::")
    back = fresh.json("policy", "rollback", "1")
    assert [(c["name"], c["change"]) for c in back["changes"]] == [("a", "changed"), ("c", "removed")]
    assert fresh.dvara("policy", "show", "a").stdout == FORBID % "a"
    assert fresh.dvara("policy", "show", "a", "--version", "2").stdout == FORBID % "b"
    last = fresh.json("policy", "history", "--limit", "1")["items"]
    assert [(v["version"], v["action"], v["origin"], v["digest"] == history[1]["digest"])
            for v in last] == [(3, "rollback", 1, True)]
    assert fresh.dvara("policy", "rollback", "9").returncode == 1
    fresh.stop("dvarad")
    fresh.start_dvarad()
    assert fresh.dvara("policy", "show", "a").stdout == FORBID % "a"


def test_replace_all_takes_the_rest_away(fresh, tmp_path):
    fresh.start_all()
    apply(fresh, tmp_path / "one", {"a.cedar": FORBID % "a", "b.cedar": FORBID % "b"})
    assert apply(fresh, tmp_path / "two", {"b.cedar": FORBID % "b"}, "--replace-all").returncode == 0
    assert names(fresh) == ["b"]


def test_roles_are_shown_as_cedar_and_not_changed_as_policies(fresh):
    fresh.config.write_text("rbac: {roles: {oncall: {permissions: [view_status, 'models:restart']}}}\n")
    fresh.start_all()
    shown = fresh.dvara("policy", "show", "--source", "rbac").stdout
    assert '@id("role:admin")\npermit(principal in Role::"admin", action, resource);' in shown
    assert ('permit(principal in Role::"oncall", action in [Action::"models:restart", '
            'Action::"view_status"], resource);') in shown
    refused = fresh.dvara("policy", "delete", "role:oncall")
    assert refused.returncode == 1 and "rbac: in dvara.yaml" in refused.stderr
    assert "built in" in fresh.dvara("policy", "show", "role:admin").stderr


def test_changes_are_in_the_audit_log(control, tmp_path):
    assert apply(control, tmp_path / "p", {"noted.cedar": FORBID % "nobody"}).returncode == 0

    def told():
        events = control.dvara("audit", "tail", "--limit", "20", "--output", "json").stdout
        return "policy" in events and "noted" in events
    control.wait_for(told)


def test_only_who_may_manages_policies(control):
    key = control.key_of("pia", "view_policies")["secret"]
    assert control.curl("/v1/policies", key=key).status == 200
    body = {"policies": [{"name": "x", "text": "permit(principal, action, resource);"}]}
    assert control.curl("/v1/policies", key=key, method="PUT", body=body).status == 403
