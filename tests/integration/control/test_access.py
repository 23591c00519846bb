# SPDX-License-Identifier: Apache-2.0
"""Decisions for others: AuthZEN 1.0 with its certification scenario's fixture, and entities of other systems."""
import json

import pytest

POLICIES = """
@id("read") permit(principal in team::"all", action == Action::"read", resource is record);
@id("write") permit(principal, action == Action::"write", resource is record)
when { principal == user::"alice" && !(resource has status && resource.status == "archived") };
@id("write-admin") permit(principal is user, action == Action::"write", resource is record)
when { principal has role && principal.role == "admin" && resource has status && resource.status == "archived" };
@id("soft-delete") permit(principal == user::"alice", action == Action::"delete", resource == record::"record-1")
when { context has action && context.action has soft && context.action.soft };
@id("never") forbid(principal, action == Action::"burn", resource is record);
@id("late") permit(principal, action == Action::"sleep", resource is record) when { context.now > datetime("2090-01-01") };
@id("price") permit(principal, action == Action::"buy", resource is record) when { context.price.lessThan(decimal("10.0")) };
"""
ENTITIES = [
    {"uid": {"type": "user", "id": "alice"}, "parents": [{"type": "team", "id": "writers"}]},
    {"uid": {"type": "user", "id": "bob"}, "attrs": {"role": "admin"}, "parents": [{"type": "team", "id": "all"}]},
    {"uid": {"type": "team", "id": "writers"}, "parents": [{"type": "team", "id": "all"}]},
    {"uid": {"type": "record", "id": "record-1"}, "attrs": {"status": "active"}},
    {"uid": {"type": "record", "id": "record-2"}, "attrs": {"status": "archived"}},
]


@pytest.fixture(name="key", scope="module")
def make_key(control):
    files = control.folder / "policies"
    files.mkdir()
    (files / "scenario.cedar").write_text(POLICIES)
    (control.folder / "entities.json").write_text(json.dumps(ENTITIES))
    assert control.dvara("policy", "apply", str(files)).returncode == 0
    assert control.json("entity", "apply", str(control.folder / "entities.json")) == {"created": 5, "updated": 0}
    return control.key_of("pep", "evaluate_access")["secret"]


def entity(text, **properties):
    kind, identity = text.split(":") if ":" in text else (text, None)
    made = {"type": kind}
    if identity is not None:
        made["id"] = identity
    return {**made, "properties": properties} if properties else made


def question(subject="user:alice", action="read", resource="record:record-1", **more):
    return {"subject": entity(subject), "action": {"name": action}, "resource": entity(resource), **more}


def post(control, key, path, body, *more):
    return control.curl("/access/v1/" + path, *more, key=key, body=body)


def decide(control, key, *words, **more):
    answer = post(control, key, "evaluation", question(*words, **more))
    assert answer.status == 200, answer.text
    return answer.json


CERTIFIED = [
    (question(), True),
    (question(action="write"), True),
    (question("user:bob"), True),
    (question("user:bob", "write"), False),
    (question(action="write", resource="record:record-2"), False),
    (question(action="write") | {"resource": entity("record:record-2", status="archived")}, False),
    (question(action="write") | {"resource": entity("record:new", status="archived")}, False),
    (question("user:bob", "write") | {"resource": entity("record:record-2", status="archived")}, True),
    (question(action="write", resource="record:record-2") | {"subject": entity("user:carol", role="admin")}, True),
    (question() | {"action": {"name": "delete", "properties": {"soft": True}}}, True),
    (question() | {"action": {"name": "delete", "properties": {"soft": False}}}, False),
    (question(context={"time": "1985-10-26T01:22-07:00"}, foo="bar", futureField={"nested": [True, None]}), True),
    (question(action="buy", context={"price": 9.99}), True),
    (question(action="buy", context={"price": 10.5}), False),
    (question(action="sleep", context={"now": {"__extn": {"fn": "datetime", "arg": "2091-01-01"}}}), True),
    (question(action="sleep"), False),
]


@pytest.mark.parametrize("request_body, expected", CERTIFIED)
def test_the_certification_scenario_is_decided(control, key, request_body, expected):
    for path in ("evaluation", "evaluations"):
        answer = post(control, key, path, request_body)
        assert (answer.status, answer.json["decision"]) == (200, expected), answer.text
    answer = post(control, key, "evaluations", {**request_body, "evaluations": []})
    assert answer.json["decision"] is expected


def test_the_answer_tells_which_policies_determined_it(control, key):
    assert decide(control, key)["context"] == {"reason": "Permitted.", "policies": ["read"], "errors": []}
    assert decide(control, key, action="burn")["context"]["policies"] == ["never"]
    assert decide(control, key, action="sing")["context"]["reason"] == "No policy permits this."
    # A condition that can't be evaluated refuses, as at the gate.
    answer = decide(control, key, action="buy")
    assert answer["decision"] is False and answer["context"]["errors"] == ["price"]


def test_properties_never_change_what_is_known(control, key):
    body = question(action="write") | {"resource": entity("record:record-2", status="active", colour="red")}
    assert post(control, key, "evaluation", body).json["decision"] is False
    body = question("user:bob", "write", "record:record-2") | {"subject": entity("user:bob", role="guest")}
    assert post(control, key, "evaluation", body).json["decision"] is True


def test_dvaras_own_principals_are_decided_as_at_the_gate(control, key):
    subject = question("User:pep", "evaluate_access", "System:dvara")
    assert post(control, key, "evaluation", subject).json["context"]["policies"] == ["role:role_pep"]
    control.key_of("sue", "evaluate_access")
    sue = question("User:sue", "evaluate_access", "System:dvara")
    assert post(control, key, "evaluation", sue).json["decision"] is True
    control.json("user", "suspend", "sue")
    assert post(control, key, "evaluation", sue).json == {
        "decision": False, "context": {"reason": "The subject is suspended.", "policies": ["role:role_sue"], "errors": []}}


def evaluate(control, *words):
    return control.dvara("access", "evaluate", *words)


def flags(**parts):
    """--subject '{"type": ...}' and so on."""
    return [word for name, part in parts.items() for word in ("--" + name, json.dumps(part))]


def test_the_command_line_evaluates_the_same(control, key):
    asked = question(action="write", resource="record:record-2") | {"subject": entity("user:carol", role="admin")}
    for words in (asked, question(), question("user:bob", "write"), question(action="buy", context={"price": 9.99})):
        told = json.loads(evaluate(control, *flags(**words), "--output", "json").stdout)
        assert told == post(control, key, "evaluation", words).json
    shown = evaluate(control, *flags(**question()))
    assert shown.returncode == 0 and "read" in shown.stdout and "true" in shown.stdout


def test_the_command_line_takes_a_body_and_tells_what_lacks(control, key, tmp_path):
    body = tmp_path / "question.json"
    body.write_text(json.dumps(question(action="burn")))
    told = json.loads(evaluate(control, "--body", str(body), "--output", "json").stdout)
    assert told["decision"] is False and told["context"]["policies"] == ["never"]
    for words, status, told in (
            ([], 2, "--subject"), (flags(subject=entity("user:a"), action={"name": "read"}), 2, "--resource"),
            (["--subject", "{", *flags(action={"name": "read"}, resource=entity("record:a"))], 2, "JSON"),
            (flags(**question("my-type:a")), 1, "identifiers")):
        done = evaluate(control, *words)
        assert done.returncode == status and told in done.stderr, done.stderr
    nobody = evaluate(control, *flags(**question("user:nobody", "write")), "--output", "json")
    assert nobody.returncode == 0 and json.loads(nobody.stdout)["context"]["reason"] == "No policy permits this."


BATCH = [{"resource": entity("record:record-1")}, {"resource": entity("record:record-2")}, {},
         {"resource": entity("record:record-1"), "action": {"name": "read"}}, {"resource": "record"}]


@pytest.mark.parametrize("semantic, expected", [
    (None, [True, False, False, True, False]),
    ("execute_all", [True, False, False, True, False]),
    ("deny_on_first_deny", [True, False]),
    ("permit_on_first_permit", [True]),
])
def test_several_are_evaluated_as_asked(control, key, semantic, expected):
    body = {"subject": entity("user:alice"), "action": {"name": "write"}, "evaluations": BATCH}
    if semantic:
        body["options"] = {"evaluations_semantic": semantic}
    answers = post(control, key, "evaluations", body)
    assert [one["decision"] for one in answers.json["evaluations"]] == expected


def test_an_evaluation_that_lacks_something_is_a_denial_in_its_place(control, key):
    body = {"subject": entity("user:alice"), "action": {"name": "read"},
            "evaluations": [{"resource": entity("record:record-1")}, {}, {"resource": {"type": "record"}}]}
    first, second, third = post(control, key, "evaluations", body).json["evaluations"]
    assert first["decision"] is True
    assert second == {"decision": False, "context": {"error": {"status": 400, "message": "The field resource is missing."}}}
    assert "resource.id" in third["context"]["error"]["message"]
    one = {"context": {"soft": True}, "evaluations": [question(context={"price": 1.5}, action="buy")]}
    assert post(control, key, "evaluations", one).json["evaluations"][0]["decision"] is True


@pytest.mark.parametrize("body, field", [
    ({"action": {"name": "read"}, "resource": entity("record:a")}, "subject"),
    ({"subject": entity("user:a"), "resource": entity("record:a")}, "action"),
    ({"subject": entity("user:a"), "action": {"name": "read"}}, "resource"),
    (question() | {"subject": {"id": "alice"}}, "subject.type"),
    (question() | {"subject": {"type": "user"}}, "subject.id"),
    (question() | {"action": {}}, "action.name"),
    (question() | {"resource": {"id": "a"}}, "resource.type"),
    (question() | {"resource": {"type": "record"}}, "resource.id"),
    (question() | {"subject": "alice"}, "subject"),
    (question() | {"action": {"name": 123}}, "action.name"),
    (question() | {"context": []}, "context"),
    (question() | {"subject": entity("my-type:a")}, "subject"),
    (question() | {"subject": entity("user:" + "x" * 4090)}, "subject"),
    (question() | {"subject": entity("user:a", height=1.23456)}, "subject.properties"),
    (question() | {"subject": entity("user:a", tags=[None])}, "subject.properties"),
    (question(context={"action": 1}) | {"action": {"name": "x", "properties": {"a": 1}}}, "context.action"),
])
def test_a_request_that_is_wrong_is_refused_with_its_field(control, key, body, field):
    for path in ("evaluation", "evaluations"):
        answer = post(control, key, path, body)
        assert answer.status == 400, answer.text
        assert answer.error["field"] == field


def test_what_is_no_request_is_refused(control, key):
    for body in ("{", "", "[]", '{"subject":1,"subject":2}', "[" * 70):
        assert control.curl("/access/v1/evaluation", key=key, method="POST", body=body).status in (400, 413)
    plain = control.curl("/access/v1/evaluation", "-H", "Content-Type: text/plain", "-d", "{}", key=key)
    assert plain.status == 400
    many = {**question(), "evaluations": [{}] * 501}
    answer = post(control, key, "evaluations", many)
    assert (answer.status, answer.error["field"]) == (400, "evaluations")
    body = {**question(), "options": {"evaluations_semantic": "sometimes"}, "evaluations": [{}]}
    assert post(control, key, "evaluations", body).error["field"] == "options.evaluations_semantic"


def test_only_who_may_ask_is_answered(control, key):
    assert post(control, None, "evaluation", question()).status == 401
    other = control.key_of("nosy", "view_users")["secret"]
    for path in ("evaluation", "evaluations", "search/subject", "search/resource", "search/action"):
        assert post(control, other, path, question()).status == 403
    assert control.curl("/.well-known/authzen-configuration").status == 401
    assert control.curl("/.well-known/authzen-configuration", key=other).status == 403


def test_the_callers_request_id_comes_back(control, key):
    answer = post(control, key, "evaluation", question(), "-H", "X-Request-ID: bfe9eb29-ab87-4ca3")
    assert answer.headers["x-request-id"] == "bfe9eb29-ab87-4ca3"
    assert answer.headers["dvara-request-id"] != "bfe9eb29-ab87-4ca3"
    for junk in ("x" * 129, "a b", "a;b"):
        answer = post(control, key, "evaluation", question(), "-H", f"X-Request-ID: {junk}")
        assert answer.headers["x-request-id"] == answer.headers["dvara-request-id"]


def test_the_metadata_tells_the_endpoints(control, key):
    answer = control.curl("/.well-known/authzen-configuration", "-H", "Host: pdp.example.com:8444", key=key)
    base = "https://pdp.example.com:8444"
    assert answer.json == {
        "policy_decision_point": base,
        "access_evaluation_endpoint": base + "/access/v1/evaluation",
        "access_evaluations_endpoint": base + "/access/v1/evaluations",
        "search_subject_endpoint": base + "/access/v1/search/subject",
        "search_resource_endpoint": base + "/access/v1/search/resource",
        "search_action_endpoint": base + "/access/v1/search/action"}
    bad = control.curl("/.well-known/authzen-configuration", "-H", "Host: evil\"><b>", key=key)
    assert bad.status == 400 and "evil" not in bad.text


def search(control, key, kind, **more):
    answer = post(control, key, "search/" + kind, more)
    assert answer.status == 200, answer.text
    return answer.json


def test_searches_find_what_decisions_permit(control, key):
    read = {"action": {"name": "read"}}
    found = search(control, key, "subject", subject={"type": "user", "id": "ignored"}, resource=entity("record:record-1"),
                   **read)
    assert found == {"results": [{"type": "user", "id": "alice"}, {"type": "user", "id": "bob"}]}
    found = search(control, key, "resource", subject=entity("user:alice"), resource=entity("record"), **read)
    assert [one["id"] for one in found["results"]] == ["record-1", "record-2"]
    found = search(control, key, "action", subject=entity("user:alice"), resource=entity("record:record-1"))
    assert [one["name"] for one in found["results"]] == ["read", "write"]
    # Properties of the request count in searches, too.
    found = search(control, key, "subject", subject=entity("user"), action={"name": "write"},
                   resource=entity("record:record-9", status="archived"))
    assert [one["id"] for one in found["results"]] == ["bob"]
    for subject, resource in (("user:nobody", "record:record-1"), ("spaceship:x", "record:record-1")):
        assert search(control, key, "action", subject=entity(subject), resource=entity(resource)) == {"results": []}
    for kind in ("spaceship", "no-type"):
        assert search(control, key, "subject", subject=entity(kind), resource=entity("record:record-1"), **read) == {
            "results": []}


def test_a_search_comes_in_pages_bound_to_it(control, key):
    body = {"subject": entity("user"), "action": {"name": "read"}, "resource": entity("record:record-1")}
    first = search(control, key, "subject", **body, page={"limit": 1})
    assert list(first) == ["page", "results"] and first["page"]["count"] == 1
    token = first["page"]["next_token"]
    second = search(control, key, "subject", **body, page={"token": token})
    assert [one["id"] for one in first["results"] + second["results"]] == ["alice", "bob"]
    while second["page"]["next_token"]:
        second = search(control, key, "subject", **body, page={"token": second["page"]["next_token"]})
        assert second["results"] == []
    for changed, page in (({**body, "action": {"name": "write"}}, {"token": token}), (body, {"token": token, "limit": 2}),
                          (body, {"token": "AAAA"}), (body, {"token": "?"})):
        answer = post(control, key, "search/subject", {**changed, "page": page})
        assert (answer.status, answer.error["field"]) == (400, "page.token")
    assert search(control, key, "subject", **body, page={"limit": 0})["page"]["next_token"]


@pytest.mark.parametrize("kind, body, field", [
    ("subject", question(action="read") | {"action": None}, "action"),
    ("subject", {"subject": {"type": "user"}, "resource": entity("record:a")}, "action"),
    ("resource", {"action": {"name": "read"}, "resource": {"type": "record"}}, "subject"),
    ("action", {"subject": entity("user:alice")}, "resource"),
    ("subject", {"subject": {"type": "user"}, "action": {"name": "read"}, "resource": {"type": "record"}}, "resource.id"),
    ("resource", {"subject": {"type": "user"}, "action": {"name": "read"}, "resource": {"type": "record"}}, "subject.id"),
    ("action", {"subject": {"type": "user"}, "resource": entity("record:a")}, "subject.id"),
])
def test_a_search_that_lacks_something_is_refused(control, key, kind, body, field):
    answer = post(control, key, "search/" + kind, body)
    assert (answer.status, answer.error["field"]) == (400, field)


def test_more_candidates_than_one_page_decides_come_with_the_next(control, key):
    entities = [{"uid": {"type": "thing", "id": f"{n:05d}"}, "attrs": {"n": n}} for n in range(2100)]
    path = control.folder / "things.json"
    path.write_text(json.dumps(entities))
    assert control.json("entity", "apply", str(path))["created"] == 2100
    files = control.folder / "policies" / "things.cedar"
    files.write_text('permit(principal, action == Action::"lift", resource is thing) when { resource.n >= 2050 };')
    assert control.dvara("policy", "apply", str(files)).returncode == 0
    body = {"subject": entity("user:alice"), "action": {"name": "lift"}, "resource": entity("thing")}
    first = search(control, key, "resource", **body)
    assert first["results"] == [] and first["page"]["next_token"]
    second = search(control, key, "resource", **body, page={"token": first["page"]["next_token"]})
    assert len(second["results"]) == 50 and second["page"]["next_token"] == ""


def test_every_decision_is_in_the_log_with_its_policies(control, key):
    answer = post(control, key, "evaluation", question(), "-H", "X-Request-ID: trace-77")
    mine = answer.headers["dvara-request-id"]
    told = control.json("why", mine)
    event = next(one for one in told["events"] if "access_decision" in json.dumps(one))
    for word in ("trace-77", "record-1", '"read"', "alice"):
        assert word in json.dumps(event)
    assert told["summary"].endswith('user::"alice" asked for Action::"read" on record::"record-1": allowed by read.')


# --- entities ------------------------------------------------------------------------------------


def test_an_entity_is_shown_changed_and_forgotten(control, key):
    body = {"entities": [{"uid": {"type": "Acme::Doc", "id": "a/b \"c\""}, "attrs": {"n": 1},
                          "parents": [{"type": "Acme::Folder", "id": "x"}]}]}
    assert control.curl("/v1/entities", key=control.admin_key(), body=body).json == {"created": 1, "updated": 0}
    body["entities"][0]["attrs"] = {"n": 2}
    assert control.curl("/v1/entities", key=control.admin_key(), body=body).json == {"created": 0, "updated": 1}
    shown = control.json("entity", "show", "Acme::Doc", 'a/b "c"')
    assert (shown["attrs"], shown["parents"], shown["tags"]) == ({"n": 2}, ['Acme::Folder::"x"'], {})
    assert [one["id"] for one in control.json("entity", "list", "--type", "Acme::Doc")["items"]] == ['a/b "c"']
    assert control.dvara("entity", "delete", "Acme::Doc", 'a/b "c"').returncode == 0
    assert control.dvara("entity", "show", "Acme::Doc", 'a/b "c"').returncode == 1
    assert control.dvara("entity", "delete", "Acme::Doc", 'a/b "c"').returncode == 1


def chain(kind, count):
    return [{"uid": {"type": kind, "id": str(n)}, "parents": [{"type": kind, "id": str(n + 1)}]} for n in range(count)]


@pytest.mark.parametrize("entities, status, words", [
    ([{"uid": {"type": "User", "id": "eve"}}], 400, "Dvara's own"),
    ([{"uid": {"type": "x", "id": "1"}, "parents": [{"type": "Role", "id": "admin"}]}], 400, "Dvara's own"),
    ([{"uid": {"type": "x", "id": "1"}, "parents": [{"__entity": {"type": "Role", "id": "admin"}}]}], 400, "Dvara's own"),
    ([{"uid": {"type": "x-y", "id": "1"}}], 400, "identifiers"),
    ([{"uid": {"type": "x"}}], 400, "type and an id"),
    ([{"uid": {"type": "x", "id": "1"}, "attrs": {"a": None}}], 400, "null"),
    ([{"uid": {"type": "x", "id": "1"}, "attrs": {"a": 1.5}}], 400, "whole"),
    ([{"uid": {"type": "x", "id": "1"}, "attrs": {"a": "x" * 65536}}], 413, "65536"),
    ([{"uid": {"type": "x", "id": "1"}, "parents": [{"type": "x", "id": "1"}]}], 409, "own ancestor"),
    ([*chain("ring", 2), {"uid": {"type": "ring", "id": "2"}, "parents": [{"type": "ring", "id": "0"}]}], 409, "own ancestor"),
    (chain("deep", 257), 413, "256 ancestors"),
])
def test_entities_that_are_wrong_change_nothing(control, key, entities, status, words):
    good = {"uid": {"type": "good", "id": "1"}}
    answer = control.curl("/v1/entities", key=control.admin_key(), body={"entities": [good, *entities]})
    assert answer.status == status and words in answer.error["message"], answer.text
    assert answer.error["field"].startswith("entities.")
    assert control.json("entity", "list", "--type", "good")["items"] == []


def test_who_may_not_manage_entities_does_not(control, key):
    assert control.curl("/v1/entities", key=key, body={"entities": ENTITIES}).status == 403
    assert control.curl("/v1/entities?type=user", key=key).status == 403
