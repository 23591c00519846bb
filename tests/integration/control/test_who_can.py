# SPDX-License-Identifier: Apache-2.0
"""Access reviews: who may do it, and what may he do? Told as the gate decides, which is asked, too."""
import csv
import io
import json
import pathlib
import re
import shlex
import shutil
import subprocess

import pytest
from support import BUILD

ROOT = pathlib.Path(__file__).resolve().parents[3]
POLICIES = """
@id("vision") permit(principal in Group::"vision", action == Action::"use_model", resource == Model::"pixtral");
@id("mfa") permit(principal in Group::"clinic", action == Action::"use_model", resource == Model::"notes") when { context.mfa };
@id("office") permit(principal == User::"olga", action == Action::"use_model", resource == Model::"notes")
when { context has address && context.address.isInRange(ip("10.0.0.0/8")) };
@id("scoped") permit(principal == Service::"robot", action == Action::"use_model", resource == Model::"notes")
when { context.scopes.contains("use_model") };
@id("withdrawn") forbid(principal, action == Action::"use_model", resource == Model::"leaky");
@id("not-vera") forbid(principal == User::"vera", action == Action::"view_users", resource);
@id("broken") permit(principal == User::"emil", action == Action::"use_model", resource == Model::"sums")
when { 9223372036854775807 + context.weekday > 0 };
@id("read") permit(principal in Group::"vision", action == Action::"read", resource == record::"101")
when { resource.open };
"""
ENTITIES = [{"uid": {"type": "record", "id": "101"}, "attrs": {"open": True}}]
USERS = {"vera": ["vision"], "carl": ["clinic"], "olga": [], "emil": [], "sara": [], "tina": []}


@pytest.fixture(name="world", scope="module")
def make_world(control):
    """The instance with people, groups in groups, grants that end, keys and policies."""
    for group in ("vision", "clinic", "ml"):
        control.json("group", "create", "--name", group)
    control.json("group", "add-member", "ml", "--group", "vision")
    for user, groups in USERS.items():
        control.json("user", "create", "--name", user, *(["--groups", ",".join(groups)] if groups else []))
    control.json("service", "create", "--name", "robot")
    control.json("role", "create", "--name", "looker", "--permissions", "view_users,models:restart")
    control.json("role", "create", "--name", "lead", "--permissions", "view_status", "--inherits", "looker")
    control.json("role", "assign", "--group", "ml", "--role", "lead")
    control.json("role", "assign", "--user", "sara", "--role", "looker")
    control.json("role", "assign", "--user", "tina", "--role", "looker", "--until", "2h")
    control.json("user", "suspend", "sara")
    (control.folder / "entities.json").write_text(json.dumps(ENTITIES))
    control.json("entity", "apply", str(control.folder / "entities.json"))
    files = control.folder / "policies"
    files.mkdir()
    (files / "who.cedar").write_text(POLICIES)
    done = control.dvara("policy", "apply", str(files))
    assert done.returncode == 0, done.stderr
    return control


def who(world, action, resource, *more):
    return world.json("access", "who-can", "--action", action, "--resource", resource, *more)


def names(answer):
    return [row["principal"] for row in answer["items"]]


def test_who_can_tells_policy_role_and_group(world):
    answer = who(world, "use_model", "model/pixtral")
    rows = {row["principal"]: row for row in answer["items"]}
    assert list(rows) == ['User::"admin"', 'User::"vera"']
    assert rows['User::"vera"']["policies"] == ["vision"]
    assert rows['User::"vera"']["through"] == [{"policy": "vision", "way": "group vision", "until": None}]
    assert rows['User::"admin"']["through"] == [{"policy": "role:admin", "way": "role admin", "until": None}]
    assert answer["resource"] == 'Model::"pixtral"' and "next" not in answer
    ways = {row["principal"]: row["through"][0] for row in who(world, "view_users", "system/dvara")["items"]}
    assert ways['User::"tina"']["way"] == "role looker" and ways['User::"tina"']["until"] is not None
    restart = who(world, "models:restart", "model/any")
    way = next(row for row in restart["items"] if row["principal"] == 'User::"vera"')["through"][0]["way"]
    assert way == "group vision > group ml > role lead > role looker"


def test_the_table_says_what_was_assumed(world):
    shown = world.dvara("access", "who-can", "--action", "use_model", "--resource", "model/notes").stdout
    assert "assuming: an API key without scopes, no second factor, address not told, at 20" in shown
    assert 'User::"carl"' not in shown and "3 are refused on a condition" in shown
    nobody = world.dvara("access", "who-can", "--action", "use_model", "--resource", "model/leaky").stdout
    assert 'nobody may use_model Model::"leaky"' in nobody


def csv_of(world, *words):
    text = world.dvara("access", *words, "--output", "csv")
    assert text.returncode == 0, text.stderr
    return list(csv.DictReader(io.StringIO(text.stdout)))


def test_csv_has_the_rows_of_the_table(world):
    told = who(world, "use_model", "model/pixtral")["items"]
    rows = csv_of(world, "who-can", "--action", "use_model", "--resource", "model/pixtral")
    assert len(told) > 1 and [row["principal"] for row in rows] == [one["principal"] for one in told]
    assert list(rows[0]) == ["principal", "policies", "way", "until", "api_keys"]
    assert [row["policies"] for row in rows] == [",".join(one["policies"]) for one in told]
    assert [row["way"] for row in rows] == ["; ".join(t["way"] for t in one["through"]) for one in told]
    told = audit(world, "--user", "vera")["access"]
    rows = csv_of(world, "audit", "--user", "vera")
    assert list(rows[0]) == ["decision", "action", "resource", "policies", "way", "until"]
    assert [(row["action"], row["resource"]) for row in rows] == [(o["action"], o["resource"]) for o in told]


def test_csv_of_many_is_not_too_long(fresh, tmp_path):
    """More than 64 KiB in one cell: a thousand policies with long names."""
    fresh.start_all()
    fresh.json("user", "create", "--name", "mel")
    (tmp_path / "many.cedar").write_text("".join(
        f'@id("{"p" * 58}{n}") permit(principal == User::"mel", action == Action::"use_model", '
        'resource == Model::"m");\n' for n in range(1200)))
    assert fresh.dvara("policy", "apply", str(tmp_path)).returncode == 0
    mel = next(r for r in csv_of(fresh, "who-can", "--action", "use_model", "--resource", "model/m") if r["principal"] == 'User::"mel"')
    assert len(mel["policies"].split(",")) == 1200


def test_other_circumstances_are_asked_with_flags(world):
    assert 'User::"carl"' not in names(who(world, "use_model", "model/notes"))
    with_mfa = who(world, "use_model", "model/notes", "--mfa")
    assert 'User::"carl"' in names(with_mfa) and with_mfa["assumed"]["mfa"] is True
    inside = who(world, "use_model", "model/notes", "--address", "10.1.2.3")
    assert 'User::"olga"' in names(inside) and inside["assumed"]["address"] == "10.1.2.3"
    assert 'User::"olga"' not in names(who(world, "use_model", "model/notes", "--address", "192.0.2.1"))
    later = who(world, "view_users", "system/dvara", "--at", "2090-01-01T00:00:00Z")
    assert 'User::"tina"' not in names(later) and later["assumed"]["at"].startswith("2090-01-01")


def test_keys_are_told_by_their_scopes(world):
    plain = world.json("apikey", "create", "--user", "tina")["id"]
    other = world.json("apikey", "create", "--user", "tina", "--scopes", "use_model")["id"]
    gone = world.json("apikey", "create", "--user", "tina")["id"]
    world.json("apikey", "revoke", gone)
    tina = next(row for row in who(world, "view_users", "system/dvara")["items"] if row["principal"] == 'User::"tina"')
    assert tina["api_keys"] == [plain] and other not in tina["api_keys"]
    # A policy that asks for scopes lets the key in, not its owner without it.
    assert 'Service::"robot"' not in names(who(world, "use_model", "model/notes"))
    key = world.json("apikey", "create", "--service", "robot", "--scopes", "use_model")["id"]
    robot = next(row for row in who(world, "use_model", "model/notes")["items"]
                 if row["principal"] == 'Service::"robot"')
    assert robot["api_keys"] == [key] and robot["policies"] == ["scoped"]


def test_who_is_suspended_is_left_out(world):
    assert 'User::"sara"' not in names(who(world, "view_users", "system/dvara"))


def test_it_is_what_the_gate_decides(world):
    """Every user asks dvarad's own gate; the review says the same of all."""
    told = names(who(world, "view_users", "system/dvara"))
    asked = []
    for user in sorted([*USERS, "admin"]):
        key = world.json("apikey", "create", "--user", user)["secret"]
        if world.curl("/v1/users", key=key).status == 200:
            asked.append(f'User::"{user}"')
    assert told == asked and 'User::"tina"' in asked and 'User::"vera"' not in asked


def test_things_of_others_are_decided_with_their_attributes(world):
    for resource in ("record/101", 'record::"101"'):
        assert names(who(world, "read", resource)) == ['User::"admin"', 'User::"vera"']


@pytest.mark.parametrize("action, resource, words", [
    ("use_modell", "model/pixtral", "no operation, role or policy names use_modell"),
    ("use_model", "modle/pixtral", "nothing is registered of the type modle"),
    ("use_model", "pixtral", "write model/gpt-x"),
    ("use_model", 'Mo del::"pixtral"', "write model/gpt-x"),
    ("use_model", "model/" + "x" * 2990, None),
])
def test_slips_of_the_pen_are_refused(world, action, resource, words):
    done = world.dvara("access", "who-can", "--action", action, "--resource", resource, "--output", "json")
    if words is None:
        assert names(json.loads(done.stdout)) == ['User::"admin"']
    else:
        assert done.returncode == 1 and words in done.stderr


@pytest.mark.parametrize("flags, words", [
    (("--at", "yesterday"), "2026-01-31T09:00:00Z"), (("--address", "home"), "10.0.0.1")])
def test_circumstances_that_are_none_are_refused(world, flags, words):
    for command in (("who-can", "--action", "use_model", "--resource", "model/x"), ("audit", "--user", "vera")):
        done = world.dvara("access", *command, *flags)
        assert done.returncode == 1 and words in done.stderr


def test_pages_have_an_end_and_go_on(world):
    target = "/v1/access/principals?action=use_model&resource=model/pixtral"
    seen, cursor = [], ""
    for _ in range(10):
        page = world.curl(f"{target}&limit=1{cursor}", socket="control.sock").json
        assert len(page["items"]) <= 1
        seen += names(page)
        if "next" not in page:
            break
        cursor = "&cursor=" + page["next"].replace(" ", "%20")
    assert seen == ['User::"admin"', 'User::"vera"'] and "next" not in page
    limited = world.dvara("access", "who-can", "--action", "use_model", "--resource", "model/pixtral", "--limit", "1")
    assert 'User::"vera"' not in limited.stdout and "more than --limit" in limited.stderr
    for path in (target + "&cursor=group%20x", target + "&cursor=x", "/v1/access?user=vera&cursor=AAAA"):
        answer = world.curl(path, socket="control.sock")
        assert (answer.status, answer.error["field"]) == (400, "cursor")


def test_of_many_keys_a_hundred_are_told(fresh):
    fresh.start_all()
    fresh.json("user", "create", "--name", "kim")
    fresh.json("role", "assign", "--user", "kim", "--role", "model_user")
    for _ in range(100):
        fresh.curl("/v1/api-keys", socket="control.sock", body={"user": "kim"})
    kim = next(row for row in who(fresh, "use_model", "model/x")["items"] if row["principal"] == 'User::"kim"')
    assert len(kim["api_keys"]) == 100 and kim["more_api_keys"] is False
    fresh.json("apikey", "create", "--user", "kim")
    kim = next(row for row in who(fresh, "use_model", "model/x")["items"] if row["principal"] == 'User::"kim"')
    assert len(kim["api_keys"]) == 100 and kim["more_api_keys"] is True


def test_an_audit_of_more_than_a_page_comes_whole(fresh):
    fresh.start_all()
    fresh.json("user", "create", "--name", "max")
    names_of = ", ".join(f'Model::"m{n:04d}"' for n in range(1100))
    policy = fresh.folder / "many.cedar"
    policy.write_text('permit(principal == User::"max", action == Action::"use_model", resource is Model)\n'
                      f"when {{ [{names_of}].contains(resource) }};")
    assert fresh.dvara("policy", "apply", str(policy)).returncode == 0
    page = fresh.curl("/v1/access?user=max", socket="control.sock").json
    assert len(page["access"]) <= 1000 and page["next"]
    assert len(audit(fresh, "--user", "max")["access"]) == 1100


def test_more_principals_than_one_page_decides_come_with_the_next(fresh):
    fresh.start_all()
    fresh.stop("dvarad")
    rows = [f"('user', 'u{n:05d}', 'id-{n}', 'active', 1, 1)" for n in range(2500)]
    insert = "INSERT INTO auth_entity (kind, name, id, status, created, updated) VALUES "
    sql = "".join(insert + ",".join(rows[at:at + 50]) + "\n" for at in range(0, len(rows), 50))
    subprocess.run([BUILD / "tests/integration/control/store_sql", fresh.state], input=sql, text=True, check=True)
    shutil.rmtree(fresh.runtime / "snapshot")
    fresh.start_dvarad()
    policy = fresh.folder / "last.cedar"
    policy.write_text('permit(principal == User::"u02499", action == Action::"use_model", resource);')
    assert fresh.dvara("policy", "apply", str(policy)).returncode == 0
    answer = who(fresh, "use_model", "model/x")
    assert names(answer) == ['User::"admin"', 'User::"u02499"'] and answer["decided"] == 2501
    page = fresh.curl("/v1/access/principals?action=use_model&resource=model/x", socket="control.sock").json
    assert page["decided"] <= 2000 and page["next"].startswith("user u0")


def audit(world, *words):
    return world.json("access", "audit", *words)


def rows_of(answer, decision="allow"):
    return {(row["action"], row["resource"]): row for row in answer["access"] if row["decision"] == decision}


def test_audit_shows_policies_forbids_and_ends(world):
    answer = audit(world, "--user", "vera")
    allowed, forbidden = rows_of(answer), rows_of(answer, "forbid")
    row = allowed["use_model", 'Model::"pixtral"']
    assert row["policies"] == ["vision"] and row["through"][0]["way"] == "group vision"
    assert allowed["view_status", 'System::"dvara"']["policies"] == ["role:lead"]
    assert allowed["read", 'record::"101"']["conditional"] is False
    assert forbidden["view_users", 'System::"dvara"']["policies"] == ["not-vera"]
    assert forbidden["use_model", 'Model::"leaky"']["through"] == []
    assert ("view_users", 'System::"dvara"') not in allowed
    assert ("use_model", 'Model::"any-other"') not in allowed
    tina = rows_of(audit(world, "--user", "tina"))["view_users", 'System::"dvara"']
    assert tina["until"] is not None
    permissions = audit(world, "--user", "tina")["permissions"]
    assert [(one["permission"], one["until"] is not None) for one in permissions] == [
        ("models:restart", True), ("view_users", True)]


def test_audit_tells_what_could_not_be_evaluated(world):
    row = rows_of(audit(world, "--user", "emil"), "error")["use_model", 'Model::"sums"']
    assert row["policies"] == ["broken"] and row["through"] == []


def test_audit_of_one_key_and_other_circumstances(world):
    key = world.json("apikey", "create", "--user", "tina", "--scopes", "models:restart")["id"]
    answer = audit(world, "--user", "tina", "--api-key", key)
    assert {action for action, _ in rows_of(answer)} == {"models:restart"}
    assert answer["assumed"]["scopes"] == ["models:restart"]
    assert world.dvara("access", "audit", "--user", "vera", "--api-key", key).returncode == 1
    assert ("use_model", 'Model::"notes"') not in rows_of(audit(world, "--user", "carl"))
    assert rows_of(audit(world, "--user", "carl", "--mfa"))["use_model", 'Model::"notes"']["conditional"] is True
    assert audit(world, "--user", "carl")["depends"] > 0 and audit(world, "--user", "vera")["depends"] == 0


def test_audit_of_the_suspended_and_the_unknown(world):
    answer = audit(world, "--user", "sara")
    assert (answer["status"], answer["access"]) == ("suspended", [])
    assert world.dvara("access", "audit", "--user", "nobody").returncode == 1


def test_audit_and_who_can_agree(world):
    for user in ("vera", "tina", "admin"):
        for action, resource in list(rows_of(audit(world, "--user", user)))[:40]:
            assert f'User::"{user}"' in names(who(world, action, resource)), (user, action, resource)


def test_the_audit_table_has_its_parts(world):
    shown = world.dvara("access", "audit", "--user", "vera").stdout
    for words in ("user vera: active", "groups\n", "permissions of roles", "access, assuming: an API key",
                  "group vision > group ml > role lead", "not-vera"):
        assert words in shown


def test_only_who_may_look_is_told(world):
    key = world.key_of("nosy", "view_users")["secret"]
    for path in ("/v1/access?user=vera", "/v1/access/principals?action=use_model&resource=model/x"):
        assert world.curl(path, key=key).status == 403
    assert world.curl("/v1/access?user=vera", key=world.key_of("auditor", "view_access")["secret"]).status == 200


def commands_of(text):
    """What a console block of the guide runs, each with the output that it shows."""
    for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            yield shlex.split(command), output


def steady(output):
    """Without the time of asking and ids of keys, and the widths that come of them."""
    output = re.sub(r", at [0-9TZ:.-]+", ", at TIME", output)
    return re.sub(r"role admin    -      \w{8}", "role admin    -      KEY", output)


def test_the_example_of_the_guide(fresh, monkeypatch):
    guide = (ROOT / "docs" / "authorization.md").read_text()
    section = guide[guide.index("## Who may"):guide.index("## Tests of policies")]
    monkeypatch.chdir(ROOT)
    fresh.start_all()
    shown = 0
    for words, output in commands_of(section):
        done = fresh.dvara(*words[1:])
        assert words[0] == "dvara" and done.returncode == 0, done.stderr
        if output:
            assert steady(done.stdout) == steady(output)
            shown += 1
    assert shown == 2
