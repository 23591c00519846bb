# SPDX-License-Identifier: Apache-2.0
"""Policies as managed things: applied from files, listed, shown, rolled back, felt at once."""
import json
import pathlib

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


def test_the_record_of_a_call_names_all_policies_that_decided(control, tmp_path):
    key = control.key_of("petra", "view_users")["secret"]
    control.json("role", "assign", "--user", "petra", "--role", "auditor")

    def why():
        answer = control.curl("/v1/users", key=key)
        request = answer.headers["dvara-request-id"]
        control.wait_for(lambda: control.dvara("why", request).returncode == 0)
        return answer.status, control.json("why", request)
    status, told = why()
    assert status == 200 and sorted(told["policies"]) == ["role:auditor", "role:role_petra"]
    assert f"by {', '.join(told['policies'])}." in told["summary"]
    text = "".join(f'@id("no-{n}") {FORBID % "petra"}' for n in range(2))
    assert apply(control, tmp_path / "p", {"petra.cedar": text}).returncode == 0
    status, told = why()
    assert status == 403 and sorted(told["policies"]) == ["no-0", "no-1"]
    assert control.dvara("policy", "delete", "petra").returncode == 0


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
    ('permit(principal, action, resource);\n@id("") forbid(principal, action, resource);', ":2:1: ", "@id is empty"),
    ('@id forbid(principal, action, resource);', ":1:1: ", "@id is empty"),
    *((f'@id("a\\u{{{code:x}}}b") permit(principal, action, resource);', ":1:1: ", "not seen") for code in (
        0, 0x1b, 0x1f, 0x7f, 0x80, 0x9b, 0x9f, 0x61c, 0x200b, 0x200f, 0x2028, 0x2029, 0x202a, 0x202e, 0x2066, 0x2069,
        0xfeff)),
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


def test_an_id_may_be_written_in_any_script(control, tmp_path):
    text = '@id("नियम-правило 1") forbid(principal == User::"nobody", action, resource);'
    assert apply(control, tmp_path / "p", {"script.cedar": text}).returncode == 0
    assert control.dvara("policy", "delete", "script").returncode == 0


def test_nothing_of_a_policy_commands_the_terminal_that_shows_it(control, tmp_path):
    """The text of a condition may hold what turns a line around or has no width; what is printed may not."""
    text = ('permit(principal == User::"gone", action == Action::"use_model", resource == Model::"x")\n'
            'when { context.credential == "\u200b\u200fadmin" };')
    assert apply(control, tmp_path / "p", {"odd.cedar": text}).returncode == 0
    ask = ("policy", "explain", "--principal", 'User::"gone"', "--action", "use_model", "--resource", 'Model::"x"')
    for output in ("table", "json", "jsonl", "yaml"):
        shown = control.dvara(*ask, "--output", output).stdout
        assert "\\u200b\\u200fadmin" in shown
        assert "\u200b" not in shown and "\u200f" not in shown
    assert "\u200b\u200fadmin" in json.loads(control.dvara(*ask, "--output", "json").stdout)["differ"][0]["condition"]
    refused = control.dvara(*ask[:-1], "\x1b[2J\u202ex")
    assert refused.returncode == 1 and "\\u001b[2J\\u202ex" in refused.stderr
    assert control.dvara("policy", "delete", "odd").returncode == 0


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
        events = control.dvara("audit", "tail", "--limit", "200", "--output", "json").stdout
        return "policy" in events and "noted" in events
    control.wait_for(told)


def test_only_who_may_manages_policies(control):
    key = control.key_of("pia", "view_policies")["secret"]
    assert control.curl("/v1/policies", key=key).status == 200
    body = {"policies": [{"name": "x", "text": "permit(principal, action, resource);"}]}
    assert control.curl("/v1/policies", key=key, method="PUT", body=body).status == 403


# --- asking ------------------------------------------------------------------------------------

HOURS = ('@id("hours")\npermit(principal in Group::"ml", action == Action::"use_model", resource)\n'
         'when {\n  context.weekday <= 5 &&\n  context.mfa\n};\n')
TESTS = """\
policies: [hours.cedar]
entities:
  User::"alice": {in: ['Group::"ml"']}
tests:
  - name: on a Friday with MFA
    principal: User::"alice"
    action: use_model
    resource: Model::"m"
    context: {now: 2026-01-02T12:00:00Z, mfa: true}
    expect: allow
    policy: hours
  - {principal: 'User::"alice"', action: use_model, resource: 'Model::"m"', expect: deny, context: {now: '2026-01-03T12:00:00Z', mfa: true}}
  - {principal: 'User::"bob"', action: use_model, resource: 'Model::"m"', expect: deny}
"""


def test_expected_decisions_are_checked_without_a_server(fresh, tmp_path):
    (tmp_path / "hours.cedar").write_text(HOURS)
    tests = tmp_path / "tests.yaml"
    tests.write_text(TESTS)
    done = fresh.dvara("policy", "test", str(tests))
    assert done.returncode == 0 and "3 of 3 as expected" in done.stdout, done.stderr
    tests.write_text(TESTS.replace("mfa: true}\n    expect: allow", "mfa: false}\n    expect: allow"))
    done = fresh.dvara("policy", "test", str(tests), "--output", "json")
    report = json.loads(done.stdout)
    assert done.returncode == 1 and report["failed"] == 1
    assert report["results"][0]["problem"] == "expected allow"
    tests.write_text(TESTS.replace("policy: hours", "policy: other"))
    assert "other did not decide" in fresh.dvara("policy", "test", str(tests)).stdout


@pytest.mark.parametrize("old, new, words", [
    ("expect: allow", "expect: maybe", "on a Friday with MFA: expect is allow or deny"),
    ('User::"alice"\n', "alice\n", "no entity"),
    ("2026-01-02T12:00:00Z", "noon", "context.now"),
    ("tests:", "test:", "did you mean"), ("hours.cedar", "none.cedar", "none.cedar"),
])
def test_a_bad_file_of_tests_is_told(fresh, tmp_path, old, new, words):
    (tmp_path / "hours.cedar").write_text(HOURS)
    tests = tmp_path / "tests.yaml"
    tests.write_text(TESTS.replace(old, new, 1))
    done = fresh.dvara("policy", "test", str(tests))
    assert done.returncode == 1 and words in done.stderr, done.stderr


def test_every_wrong_file_is_told_by_validate(fresh, tmp_path):
    (tmp_path / "a.cedar").write_text("permit(principal, action, resource)")
    (tmp_path / "b.cedar").write_text("permit(principal, action, resource);")
    (tmp_path / "c.cedar").write_text("\nforbid(principal, action);")
    done = fresh.dvara("policy", "validate", str(tmp_path))
    assert done.returncode == 1
    assert f"{tmp_path}/a.cedar:1:36:" in done.stdout and f"{tmp_path}/c.cedar:2:25:" in done.stdout
    assert fresh.dvara("policy", "validate", str(tmp_path / "b.cedar")).returncode == 0


def test_explain_names_what_decides_and_what_would_have_had_to_differ(control, tmp_path):
    assert apply(control, tmp_path / "p", {"hours.cedar": HOURS}).returncode == 0
    control.json("group", "create", "--name", "ml")
    control.json("user", "create", "--name", "alma", "--groups", "ml")
    ask = ("policy", "explain", "--principal", 'User::"alma"', "--action", "use_model",
           "--resource", 'Model::"gpt-x"')
    allowed = control.json(*ask, "--context", '{"mfa": true, "now": "2026-01-02T12:00:00Z"}')
    assert (allowed["decision"], allowed["policies"]) == ("allow", ["hours"])
    assert allowed["ancestors"] == ['Group::"ml"']
    refused = control.json(*ask, "--context", '{"now": "2026-01-02T12:00:00Z"}')
    assert (refused["decision"], refused["policies"]) == ("deny", [])
    near = [one for one in refused["differ"] if one["policy"] == "hours"]
    assert near == [{"policy": "hours", "effect": "permit", "failed": False, "lacks": ["condition"],
                     "condition": "context.mfa", "unless": False}]
    assert "its when does not hold: context.mfa" in control.dvara(
        *ask, "--context", '{"now": "2026-01-02T12:00:00Z"}').stdout
    assert control.dvara(*ask[:-1], "gpt-x").returncode == 1


def test_tests_are_asked_of_the_policies_in_force(control, tmp_path):
    control.json("user", "create", "--name", "aude")
    control.json("role", "assign", "--user", "aude", "--role", "model_user")
    tests = tmp_path / "live.yaml"
    tests.write_text('tests:\n  - {principal: \'User::"aude"\', action: use_model, resource: \'Model::"m"\','
                     ' expect: allow, policy: "role:model_user"}\n')
    assert control.dvara("policy", "test", str(tests)).returncode == 0
    apply(control, tmp_path / "p", {"stop.cedar": 'forbid(principal == User::"aude", action, resource);'})
    assert control.dvara("policy", "test", str(tests)).returncode == 1
    control.dvara("policy", "delete", "stop")


def test_diff_and_dry_run_tell_who_gains_and_loses(fresh, tmp_path):
    fresh.start_all()
    for user in ("ann", "ben"):
        fresh.json("user", "create", "--name", user)
    fresh.json("role", "assign", "--user", "ben", "--role", "model_user")
    folder = tmp_path / "p"
    folder.mkdir()
    (folder / "gain.cedar").write_text(
        'permit(principal == User::"ann", action == Action::"use_model", resource == Model::"gpt-x");')
    (folder / "lose.cedar").write_text(
        'forbid(principal == User::"ben", action == Action::"use_model", resource == Model::"gpt-x");')
    expected = [
        {"principal": 'User::"ann"', "change": "gains", "action": 'Action::"use_model"',
         "resource": 'Model::"gpt-x"', "policy": "gain"},
        {"principal": 'User::"ben"', "change": "loses", "action": 'Action::"use_model"',
         "resource": 'Model::"gpt-x"', "policy": "lose"}]
    diff = fresh.json("policy", "diff", str(folder))
    assert diff["access"] == expected and diff["complete"]
    assert fresh.json("policy", "apply", str(folder), "--dry-run")["access"] == expected
    assert fresh.json("policy", "list")["items"] == []
    fresh.json("policy", "apply", str(folder))
    fresh.dvara("policy", "delete", "lose")
    back = fresh.json("policy", "diff", "--from", "1", "--to", "2")["access"]
    assert [(one["principal"], one["change"]) for one in back] == [('User::"ben"', "gains")]


# --- the schema --------------------------------------------------------------------------------

@pytest.mark.parametrize("text, place, words", [
    ('permit(principal, action == Action::"use_modle", resource);', "1:", "use_modle"),
    ('permit(principal, action, resource)\nwhen { principal in Grup::"a" };', "2:", "Grup"),
    ('permit(principal, action, resource)\nwhen { context.adress == ip("10.0.0.1") };', "2:", "adress"),
    ('permit(principal, action, resource)\nwhen { context.address == ip("10.0.0.1") };', "2:", "address"),
    ('permit(principal, action, resource)\nwhen { context.weekday == "Monday" };', "2:", ""),
])
def test_what_does_not_fit_the_schema_is_refused(control, tmp_path, text, place, words):
    before = control.json("policy", "history")["items"]
    done = apply(control, tmp_path / "p", {"wrong.cedar": text})
    assert done.returncode == 1 and f"wrong.cedar:{place}" in done.stderr and words in done.stderr
    assert control.json("policy", "history")["items"] == before


def test_policies_of_other_programs_have_types_of_their_own(control, tmp_path):
    text = ('permit(principal is todo_user, action == Action::"can_read", resource)\n'
            'when { principal has roles && principal.roles.contains("editor") };')
    assert apply(control, tmp_path / "p", {"todo.cedar": text}).returncode == 0
    control.dvara("policy", "delete", "todo")


def test_any_number_of_other_programs_policies(control, tmp_path):
    """What is not held against the schema is not counted either."""
    text = "".join(f'permit(principal == todo_user::"u{n}", action == Action::"can_read_{n}", resource);\n'
                   for n in range(2000))
    done = apply(control, tmp_path / "p", {"todo.cedar": text})
    assert done.returncode == 0, done.stderr
    mine = 'permit(principal == User::"x", action == Action::"use_modle", resource);\n'
    refused = apply(control, tmp_path / "q", {"todo.cedar": text + mine})
    assert refused.returncode == 1 and "todo.cedar:2001:" in refused.stderr and "use_modle" in refused.stderr
    control.dvara("policy", "delete", "todo")


def test_permissions_of_roles_are_actions_of_the_schema(fresh, tmp_path):
    fresh.config.write_text("rbac: {roles: {oncall: {permissions: ['models:restart']}}}\n")
    fresh.start_all()
    assert 'action "models:restart" appliesTo' in fresh.dvara("policy", "schema").stdout
    text = 'forbid(principal == User::"x", action == Action::"models:%s", resource);'
    assert apply(fresh, tmp_path / "a", {"a.cedar": text % "restart"}).returncode == 0
    assert apply(fresh, tmp_path / "b", {"b.cedar": text % "stop"}).returncode == 1
    schema = tmp_path / "dvara.cedarschema"
    schema.write_text(fresh.dvara("policy", "schema").stdout)
    check = ("policy", "validate", "--schema", str(schema))
    assert fresh.dvara(*check, str(tmp_path / "a")).returncode == 0
    assert fresh.dvara(*check, str(tmp_path / "b")).returncode == 1


def test_differences_come_in_pages(fresh, tmp_path):
    """Every question is asked once, whatever page it falls on; what is named narrows it down."""
    fresh.start_all()
    key = fresh.admin_key()
    users = [f"u{number:02}" for number in range(40)]
    for user in users:
        assert fresh.curl("/v1/users", key=key, method="POST", body={"name": user}).status == 201
    models = [f'Model::"m{number:02}"' for number in range(30)]
    text = (f'permit(principal is User, action == Action::"use_model", resource)\n'
            f'when {{ resource is Model && [{", ".join(models)}].contains(resource) }};\n')
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "many.cedar").write_text(text)
    expected = sorted((f'User::"{user}"', "gains", 'Action::"use_model"', model, "many")
                      for user in users for model in models)

    def rows(answer):
        return sorted(tuple(one[name] for name in ("principal", "change", "action", "resource", "policy"))
                      for one in answer["access"])
    whole = fresh.json("policy", "diff", str(tmp_path / "p"))
    assert rows(whole) == expected and whole["complete"] and "next" not in whole
    assert rows(fresh.json("policy", "apply", str(tmp_path / "p"), "--dry-run")) == expected
    body = {"policies": [{"name": "many", "text": text}]}
    found, decided, pages = [], 0, 0
    while pages == 0 or "cursor" in body:
        page = fresh.curl("/v1/policy-differences", key=key, method="POST", body=body).json
        assert page["complete"] == ("next" not in page) and len(page["access"]) <= 1000
        found += rows(page)
        decided += page["decided"]
        pages += 1
        body = {**body, "cursor": page["next"]} if "next" in page else {}
    assert sorted(found) == expected and decided == whole["decided"] and pages > 1
    narrow = fresh.json("policy", "diff", str(tmp_path / "p"), "--principals", 'User::"u07",User::"nobody"',
                        "--actions", "use_model", "--resources", 'Model::"m07"')
    assert [row[0] for row in rows(narrow)] == ['User::"nobody"', 'User::"u07"']
    assert narrow["decided"] == 2 and narrow["complete"]


@pytest.mark.parametrize("body, field", [
    ({"cursor": "!"}, "cursor"),
    ({"cursor": "VXNlcjo6IngiCg"}, "cursor"),
    ({"principals": ["alice"]}, "principals.0"),
    ({"resources": ['Model::"x"', "Model::x"]}, "resources.1"),
    ({"actions": ['Action::"']}, "actions.0"),
    ({"principals": ['User::"x"'] * 101}, "principals"),
])
def test_a_question_for_differences_that_is_wrong_names_its_field(control, body, field):
    answer = control.curl("/v1/policy-differences", key=control.admin_key(), method="POST", body=body)
    assert (answer.status, answer.error["field"]) == (400, field), answer.text


def test_tests_that_take_long_are_asked_in_parts(fresh, tmp_path):
    """Each policy is asked for each test, so that thousands of tests are more than one part."""
    fresh.start_all()
    slow = "".join(f'@id("slow{number}") forbid(principal, action == Action::"use_model", resource)\n'
                   f'when {{ resource == Model::"no" && [{", ".join(str(n) for n in range(200))}].contains({number}) }};\n'
                   for number in range(300))
    assert apply(fresh, tmp_path / "p", {"slow.cedar": slow}).returncode == 0
    count = 4000
    tests = [{"principal": 'User::"admin"', "action": "use_model", "resource": 'Model::"yes"',
              "expect": "deny" if number == count - 1 else "allow"} for number in range(count)]
    (tmp_path / "many.json").write_text(json.dumps({"tests": tests}))
    answer = fresh.curl("/v1/policy-tests", "-H", "Content-Type: application/json", "--data-binary",
                        f"@{tmp_path}/many.json", key=fresh.admin_key()).json
    assert answer["total"] + answer["rest"] == count and 0 < answer["total"] < count
    assert answer["total"] == len(answer["results"])
    done = fresh.dvara("policy", "test", str(tmp_path / "many.json"), "--output", "json")
    report = json.loads(done.stdout)
    assert done.returncode == 1 and (report["total"], report["failed"], report["rest"]) == (count, 1, 0)
    assert [one["name"] for one in report["results"]] == [f"test {number + 1}" for number in range(count)]


def test_checking_against_the_schema_has_an_end(fresh, tmp_path):
    """Together, not text by text."""
    fresh.start_all()
    long = "||".join(["{a:1,b:1}=={a:2,b:2}"] * 900)
    texts = {f"long{number:02}.cedar": f"forbid(principal, action, resource) when {{ {long} }};"
             for number in range(40)}
    refused = apply(fresh, tmp_path / "p", texts)
    assert refused.returncode == 1 and "too complex" in refused.stderr and "fewer at a time" in refused.stderr
    assert apply(fresh, tmp_path / "q", {"one.cedar": texts["long00.cedar"]}).returncode == 0


def test_a_role_that_goes_does_not_keep_others_from_changing_policies(fresh, tmp_path):
    """What is in force and fits the schema no more is told; only what changes is held against it."""
    fresh.start_all()
    fresh.json("role", "create", "--name", "tuner", "--permissions", "models:tune")
    tuned = '\nforbid(principal == User::"x", action == Action::"models:tune", resource);\n'
    other = 'forbid(principal == User::"%s", action == Action::"use_model", resource);'
    assert apply(fresh, tmp_path / "a", {"tuned.cedar": tuned, "other.cedar": other % "x"}).returncode == 0
    assert fresh.dvara("role", "delete", "tuner").returncode == 0
    done = apply(fresh, tmp_path / "b", {"other.cedar": other % "y"})
    assert done.returncode == 0, done.stderr
    assert "warning: tuned:2:" in done.stderr and "models:tune" in done.stderr
    (warning,) = fresh.json("policy", "apply", str(tmp_path / "b"), "--dry-run")["warnings"]
    assert warning.startswith("tuned:2:") and "models:tune" in warning
    back = fresh.json("policy", "rollback", "1")
    assert [one["name"] for one in back["changes"]] == ["other"] and len(back["warnings"]) == 1
    for changed in (tuned + "// x", tuned.replace('"x"', '"z"')):
        refused = apply(fresh, tmp_path / "c", {"tuned.cedar": changed})
        assert refused.returncode == 1 and "tuned.cedar:2:" in refused.stderr
    assert fresh.dvara("policy", "delete", "tuned").returncode == 0
    gone = fresh.dvara("policy", "rollback", "1")
    assert gone.returncode == 1 and "tuned:2:" in gone.stderr
    assert fresh.json("policy", "apply", str(tmp_path / "b"))["warnings"] == []


# --- roles that end ----------------------------------------------------------------------------

def test_a_role_ends_by_itself(control):
    control.json("user", "create", "--name", "tim")
    key = control.json("apikey", "create", "--user", "tim")["secret"]
    given = control.json("role", "assign", "--user", "tim", "--role", "auditor", "--until", "2s")
    assert given["until"] is not None and not given["break_glass"]
    assert control.curl("/v1/users", key=key).status == 200
    access = control.json("access", "audit", "--user", "tim")
    assert access["roles"][0]["until"] == given["until"]
    control.wait_for(lambda: control.curl("/v1/users", key=key).status == 403)
    assert control.json("access", "audit", "--user", "tim")["roles"] == []


def test_a_role_for_good_is_not_made_to_end(control):
    control.json("user", "create", "--name", "ted")
    control.json("role", "assign", "--user", "ted", "--role", "viewer", "--until", "1h")
    control.json("role", "assign", "--user", "ted", "--role", "viewer")
    refused = control.dvara("role", "assign", "--user", "ted", "--role", "viewer", "--until", "1h")
    assert refused.returncode == 1 and "for good" in refused.stderr
    assert control.dvara("role", "assign", "--user", "ted", "--role", "auditor", "--until", "never").returncode == 1


def test_breaking_the_glass_asks_for_its_own_permission_and_alerts(control, tmp_path):
    control.json("group", "create", "--name", "sre")
    key = control.key_of("sam", "manage_roles")["secret"]
    control.json("role", "create", "--name", "oncall", "--permissions", "view_users")
    control.json("group", "add-member", "sre", "--user", "sam")
    take = {"user": "sam", "break_glass": True, "reason": "model server down", "until": "1h"}

    def assign(role, **body):
        return control.curl(f"/v1/roles/{role}/assignments", key=key, method="POST", body=body)
    assert assign("oncall", user="sam").status == 403
    assert assign("oncall", **take).status == 403
    text = (pathlib.Path(__file__).parents[3] / "docs/authorization/break-glass.cedar").read_text()
    assert apply(control, tmp_path / "p", {"break-glass.cedar": text}).returncode == 0
    assert assign("admin", **take).status == 403
    assert assign("oncall", **{**take, "reason": ""}).status == 400
    assert assign("oncall", **{**take, "until": "25h"}).status == 400
    assert control.curl("/v1/users", key=key).status == 403
    assert assign("oncall", **take).status == 200
    assert control.curl("/v1/users", key=key).status == 200
    control.wait_for(lambda: "auth.break_glass" in control.dvara(
        "audit", "tail", "--limit", "50", "--output", "json").stdout
        or "model server down" in control.dvara("audit", "tail", "--limit", "50", "--output", "json").stdout)


def test_what_policies_give_by_name_only_who_may_change_policies_hands_out(control, tmp_path):
    """Membership in a group that a policy names is as good as the policy: in the scope, in a condition, from above."""
    for group in ("cleared", "inner", "plain"):
        control.json("group", "create", "--name", group)
    control.json("group", "add-member", "cleared", "--group", "inner")
    control.json("user", "create", "--name", "ines", "--groups", "inner")
    clerk = control.key_of("clerk", "manage_users", "manage_api_keys")["secret"]
    editor = control.key_of("editor", "manage_users", "manage_policies")["secret"]

    def change(key, method, group, user):
        path = f"/v1/groups/{group}/members"
        return control.curl(path, key=key, method="POST", body={"user": user}) if method == "POST" else control.curl(
            f"{path}?user={user}", key=key, method=method)
    for text in ('permit(principal in Group::"cleared", action == Action::"view_users", resource);',
                 'forbid(principal, action, resource) when { principal in Group::"inner" };',
                 'forbid(principal in Group::"cleared", action, resource);'):
        assert apply(control, tmp_path / "p", {"secret.cedar": text}).returncode == 0
        for method, user in (("POST", "editor"), ("DELETE", "ines")):
            refused = change(clerk, method, "inner", user)
            assert refused.status == 403, refused.text
            assert 'policy "secret" names group' in refused.error["message"]
            assert "manage_policies" in refused.error["message"]
        assert control.curl("/v1/api-keys", key=clerk, method="POST", body={"user": "ines"}).status == 403
        assert change(clerk, "POST", "plain", "ines").status == 200
        assert change(editor, "DELETE", "inner", "ines").status == 200
        assert change(editor, "POST", "inner", "ines").status == 200
        assert control.dvara("policy", "delete", "secret").returncode == 0
    assert change(clerk, "DELETE", "inner", "ines").status == 200


# --- the examples of the manual ----------------------------------------------------------------

DOCS = pathlib.Path(__file__).resolve().parents[3] / "docs"
EXAMPLES = sorted(path.name.removesuffix(".cedar") for path in (DOCS / "authorization").glob("*.cedar"))


def test_there_are_ten_examples():
    assert len(EXAMPLES) == 10


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_does_what_the_manual_says(control, tmp_path, name):
    policy = DOCS / "authorization" / f"{name}.cedar"
    assert policy.read_text() in (DOCS / "authorization.md").read_text()
    checked = control.dvara("policy", "validate", str(policy))
    assert checked.returncode == 0, checked.stdout
    done = control.dvara("policy", "test", str(DOCS / "authorization" / f"{name}.tests.yaml"))
    assert done.returncode == 0, done.stdout + done.stderr
    applied = control.dvara("policy", "apply", str(policy), "--dry-run")
    assert applied.returncode == 0, applied.stderr
