# SPDX-License-Identifier: Apache-2.0
"""Policies in Cedar's JSON, templates and links: applied, felt, held against the schema, taken away."""
import json

import pytest

ANY = {"op": "All"}


def entity(text):
    kind, _, name = text.partition(":")
    return {"type": kind, "id": name}


def policy(user, action, effect="permit", **more):
    return {"effect": effect, "principal": {"op": "==", "entity": entity(f"User:{user}")},
            "action": {"op": "==", "entity": entity(f"Action:{action}")}, "resource": ANY, "conditions": [], **more}


def link(template, name, **values):
    return {"templateId": template, "newId": name,
            "values": {"?" + slot: entity(text) for slot, text in values.items()}}


TEMPLATE = '@id("look")\npermit(principal == ?principal, action == Action::"view_users", resource);\n'


def write(folder, **files):
    """NAME__json=... is NAME.json; what is no text is written as JSON."""
    folder.mkdir(exist_ok=True)
    paths = []
    for name, content in files.items():
        path = folder / name.replace("__", ".").replace("_", "-")
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        paths.append(str(path))
    return paths


def may(control, key):
    return control.curl("/v1/users", key=key).status == 200


def key_of(control, user):
    control.json("user", "create", "--name", user)
    return control.json("apikey", "create", "--user", user)["secret"]


def test_a_policy_in_json_is_felt_and_shown_as_it_was(control, tmp_path):
    key = key_of(control, "jane")
    assert not may(control, key)
    (path,) = write(tmp_path / "p", jane__json=policy("jane", "view_users"))
    assert control.dvara("policy", "apply", path).returncode == 0
    assert may(control, key)
    assert control.dvara("policy", "show", "jane").stdout == json.dumps(policy("jane", "view_users"))
    compiled = control.dvara("policy", "show", "--source", "all").stdout
    assert '@id("jane") permit (principal == User::"jane", action == Action::"view_users", resource);' in compiled
    told = control.json("policy", "explain", "--principal", 'User::"jane"', "--action", "view_users",
                        "--resource", 'System::"dvara"')
    assert told["policies"] == ["jane"]
    assert control.dvara("policy", "delete", "jane").returncode == 0
    assert not may(control, key)


def test_a_policy_is_shown_in_the_other_form(control, tmp_path):
    text = 'permit(principal == User::"jo", action == Action::"view_users", resource);\n'
    in_json, in_text = {**policy("jo", "view_users"), "resource": ANY}, text.replace("permit(", '@id("made")\npermit (')
    write(tmp_path / "p", made__json=in_json, plain__cedar=text)
    for name in ("made.json", "plain.cedar"):
        assert control.dvara("policy", "apply", str(tmp_path / "p" / name)).returncode == 0
    assert control.dvara("policy", "show", "made", "--format", "cedar").stdout == in_text
    assert control.dvara("policy", "show", "made", "--format", "json").stdout == json.dumps(in_json)
    assert control.dvara("policy", "show", "plain", "--format", "cedar").stdout == text
    shown = json.loads(control.dvara("policy", "show", "plain", "--format", "json").stdout)
    assert shown["staticPolicies"]["plain"]["principal"] == policy("jo", "x")["principal"]
    everything = json.loads(control.dvara("policy", "show", "--source", "all", "--format", "json").stdout)
    assert {"made", "plain", "role:admin"} <= set(everything["staticPolicies"])
    # What is shown can be given back, and means the same.
    (back,) = write(tmp_path / "q", plain__json=shown)
    assert control.json("policy", "diff", back)["access"] == []
    write(tmp_path / "q", look__cedar=TEMPLATE, linked__json={"templateLinks": [link("look", "l", principal="User:jo")]})
    for name in ("look.cedar", "linked.json"):
        assert control.dvara("policy", "apply", str(tmp_path / "q" / name)).returncode == 0
    refused = control.dvara("policy", "show", "linked", "--format", "cedar")
    assert refused.returncode == 1 and "has links" in refused.stderr
    assert '@id("l") permit' in control.dvara("policy", "show", "--source", "api", "--format", "cedar").stdout
    for name in ("linked", "look", "made", "plain"):
        assert control.dvara("policy", "delete", name).returncode == 0


def test_a_set_in_json_has_its_keys_for_ids(control, tmp_path):
    key = key_of(control, "june")
    june = policy("june", "view_users", annotations={"id": "another", "why": "she asked"})
    (path,) = write(tmp_path / "p", june__cedar__json={
        "staticPolicies": {"june-looks": june}, "templates": {
            "peek": {**policy("x", "view_roles"), "principal": {"op": "==", "slot": "?principal"}}},
        "templateLinks": [link("peek", "june-peeks", principal="User:june")]})
    assert control.dvara("policy", "apply", str(tmp_path / "p")).returncode == 0, path
    assert may(control, key) and control.curl("/v1/roles", key=key).status == 200
    answer = control.json("access", "audit", "--user", "june")["access"]
    assert [row["policies"] for row in answer] == [["june-peeks"], ["june-looks"]]
    assert control.dvara("policy", "delete", "june").returncode == 0


def test_a_link_may_be_to_a_template_of_another_text(control, tmp_path):
    key = key_of(control, "joan")
    template, links = write(tmp_path / "p", look__cedar=TEMPLATE, joan__json={
        "templateLinks": [link("look", "joan-looks", principal="User:joan")]})
    alone = control.dvara("policy", "apply", links)
    assert alone.returncode == 1
    assert f"{links}:1:20: " in alone.stderr and "there is no template 'look'" in alone.stderr
    alone = control.dvara("policy", "apply", template)
    assert alone.returncode == 0 and "warning: look:1:1: nothing is linked to this template" in alone.stderr
    assert not may(control, key)
    assert control.dvara("policy", "apply", links).stderr == ""
    assert may(control, key)
    refused = control.dvara("policy", "delete", "look")
    assert refused.returncode == 1 and "there is no template 'look'" in refused.stderr
    assert may(control, key)
    for name in ("joan", "look"):
        assert control.dvara("policy", "delete", name).returncode == 0
    assert not may(control, key)


def test_policy_link_makes_and_delete_takes_away(control, tmp_path):
    key = key_of(control, "jill")
    write(tmp_path / "p", share__cedar='@id("share") permit(principal == ?principal, action == Action::"view_users",'
          ' resource == ?resource);')
    assert control.dvara("policy", "apply", str(tmp_path / "p")).returncode == 0
    words = ("policy", "link", "--template", "share", "--id", "share-jill", "--principal", 'User::"jill"')
    lacking = control.dvara(*words)
    assert lacking.returncode == 1 and "?resource has no value" in lacking.stderr
    whole = (*words, "--resource", 'System::"dvara"')
    assert control.json(*whole, "--dry-run")["access"] == [
        {"principal": 'User::"jill"', "change": "gains", "action": 'Action::"view_users"',
         "resource": 'System::"dvara"', "policy": "share-jill"}]
    assert not may(control, key)
    assert [one["change"] for one in control.json(*whole, "--note", "she asked")["changes"]] == ["new"]
    assert may(control, key)
    assert control.json("policy", "history", "--limit", "1")["items"][0]["note"] == "she asked"
    assert control.dvara("policy", "delete", "share-jill").returncode == 0
    assert not may(control, key)
    for template, user, told in (("share", "jill", 'write Type::"id"'), ("none", 'User::"jill"', "no template 'none'")):
        done = control.dvara("policy", "link", "--template", template, "--id", "x", "--principal", user)
        assert done.returncode == 1 and told in done.stderr, done.stderr


@pytest.mark.parametrize("content, place, words", [
    ({"effect": "allow"}, ":1:", "principal"),
    ('{\n  "effect": "allow", "principal": {"op": "All"}, "action": {"op": "All"}, "resource": {"op": "All"},'
     ' "conditions": []}', ":2:14: ", "permit and forbid"),
    ('{"staticPolicies": {}, "policies": {}}', ":1:25: ", "policies"),
    ("{", ":1:2: ", ""),
    ({"staticPolicies": {"role:x": policy("a", "view_users")}}, ":1:", "roles"),
    ({"staticPolicies": {"x" * 64: policy("a", "view_users")}}, ":1:", "63 bytes"),
    (policy("a", "view_users", conditions=[
        {"kind": "when", "body": {".": {"left": {"Var": "context"}, "attr": "nope"}}}]), ":1:", "nope"),
    ({"templateLinks": [link("look", "role:x", principal="User:a")]}, ":1:20: ", "roles"),
    ({"templateLinks": [link("look", "fine", principal="User:a"), link("look", "off", principal="Group:a")]},
     ":1:116: ", "link 'off'"),
    ({"templateLinks": [link("look", "fine", principal="User:a"), link("look", "off")]}, ":1:116: ", "no value"),
    ({"templateLinks": [link("look", "off", principal="User:a", resource="System:dvara")]}, ":1:20: ", "no such slot"),
    ({"templateLinks": [link("look", "look", principal="User:a")]}, ":1:", "stands in"),
    ({"templateLinks": [link("look", "twice", principal="User:a")] * 2}, ":1:", "stands in"),
])
def test_what_is_wrong_is_refused_with_its_place(control, tmp_path, content, place, words):
    _, path = write(tmp_path / "p", look__cedar=TEMPLATE, wrong__json=content)
    before = control.json("policy", "history")["items"]
    done = control.dvara("policy", "apply", str(tmp_path / "p" / "look.cedar"), path)
    assert done.returncode == 1
    assert path + place in done.stderr and words in done.stderr, done.stderr
    assert control.json("policy", "history")["items"] == before
    checked = control.dvara("policy", "validate", str(tmp_path / "p" / "look.cedar"), path)
    assert checked.returncode == 1 and words in checked.stdout


def test_warnings_are_shown_and_refuse_nothing(control, tmp_path):
    never = '@id("never") permit(principal, action == Action::"use_model", resource) when { resource is Role };\n'
    (path,) = write(tmp_path / "p", never__cedar="\n" + never)
    done = control.dvara("policy", "apply", path)
    assert done.returncode == 0 and "warning: never:2:1: " in done.stderr, done.stderr
    assert control.json("policy", "apply", path, "--dry-run")["warnings"] == []  # in force, and told before
    checked = control.json("policy", "validate", path)["results"]
    assert checked[0]["ok"] and len(checked[0]["warnings"]) == 1
    assert checked[0]["warnings"][0].startswith(f"{path}:2:1: ")
    assert control.dvara("policy", "validate", path).returncode == 0
    (path,) = write(tmp_path / "q", alone__cedar=TEMPLATE.replace("look", "unlinked"))
    results = control.json("policy", "validate", path)["results"]
    assert [one["ok"] for one in results] == [True, True] and "nothing is linked" in results[1]["warnings"][0]
    assert control.dvara("policy", "delete", "never").returncode == 0


def test_files_of_tests_are_asked_with_json_and_links(control, tmp_path):
    write(tmp_path / "p", look__cedar=TEMPLATE, links__json={
        "templateLinks": [link("look", "ann-looks", principal="User:ann")]},
        cases__yaml="policies: [look.cedar, links.json]\ntests:\n"
        "  - {principal: 'User::\"ann\"', action: view_users, resource: 'System::\"dvara\"', expect: allow, policy: ann-looks}\n"
        "  - {principal: 'User::\"bob\"', action: view_users, resource: 'System::\"dvara\"', expect: deny}\n")
    done = control.dvara("policy", "test", str(tmp_path / "p" / "cases.yaml"))
    assert done.returncode == 0, done.stdout + done.stderr


def test_rollback_brings_links_back(fresh, tmp_path):
    fresh.start_all()
    key = key_of(fresh, "jack")
    write(tmp_path / "p", look__cedar=TEMPLATE)
    assert fresh.dvara("policy", "apply", str(tmp_path / "p")).returncode == 0
    assert fresh.dvara("policy", "link", "--template", "look", "--id", "jack-looks", "--principal",
                       'User::"jack"').returncode == 0
    assert fresh.dvara("policy", "delete", "jack-looks").returncode == 0
    assert not may(fresh, key)
    assert fresh.dvara("policy", "rollback", "2").returncode == 0
    assert may(fresh, key)
    fresh.stop("dvarad")
    fresh.start_dvarad()
    assert may(fresh, key)


def test_many_links_are_one_set(control, tmp_path):
    links = [link("look", f"l{n}", principal=f"User:u{n}") for n in range(2000)]
    _, path = write(tmp_path / "p", look__cedar=TEMPLATE, many__json={"templateLinks": links})
    assert control.dvara("policy", "apply", str(tmp_path / "p" / "look.cedar"), path).returncode == 0
    compiled = control.dvara("policy", "show", "--source", "api").stdout
    assert compiled.count('permit (principal == User::"u') == 2000
    links[1700]["templateId"] = "gone"
    write(tmp_path / "p", many__json={"templateLinks": links})
    refused = control.dvara("policy", "apply", path)
    assert refused.returncode == 1 and "link 'l1700'" in refused.stderr
    for name in ("many", "look"):
        assert control.dvara("policy", "delete", name).returncode == 0
