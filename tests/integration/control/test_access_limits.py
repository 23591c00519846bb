# SPDX-License-Identifier: Apache-2.0
"""How much one question may ask: of searches, decisions, batches and comparisons, and what is told where it ends."""
import json

import pytest

DOCUMENTS = 2100  # more than one page of a search decides over
CHAIN = 100  # documents that name the next one
POLICIES = """
permit(principal == Acme::Reader::"r", action == Action::"open", resource is Acme::Doc)
when { resource has open && resource.open };
@id("few") permit(principal == Acme::Reader::"few", action == Action::"open", resource is Acme::Doc)
when { resource.a%(chain)s.last && resource.b%(chain)s.last };
@id("many") permit(principal == Acme::Reader::"many", action == Action::"open", resource is Acme::Doc)
when { resource.a%(chain)s.last && resource.b%(chain)s.last && resource.c%(chain)s.last };
""" % {"chain": ".next" * (CHAIN - 1)}


def link(name, number):
    return {"__entity": {"type": "Acme::Link", "id": f"{name}{number}"}}


def entities():
    made = [{"uid": {"type": "Acme::Doc", "id": f"{n:04}"}, "attrs": {"open": n % 700 == 699}} for n in range(DOCUMENTS)]
    for name in "abc":
        made[1]["attrs"][name] = link(name, 1)
        for n in range(1, CHAIN + 1):
            attrs = {"last": True} if n == CHAIN else {"next": link(name, n + 1)}
            made.append({"uid": {"type": "Acme::Link", "id": f"{name}{n}"}, "attrs": attrs})
    return made


@pytest.fixture(name="key", scope="module")
def make_key(control):
    folder = control.folder / "policies"
    folder.mkdir()
    (folder / "limits.cedar").write_text(POLICIES)
    (control.folder / "entities.json").write_text(json.dumps(entities()))
    done = control.dvara("policy", "apply", str(folder))
    assert done.returncode == 0, done.stderr
    done = control.json("entity", "apply", str(control.folder / "entities.json"))
    assert done["created"] == DOCUMENTS + 3 * CHAIN
    return control.key_of("pep", "evaluate_access")["secret"]


def question(who):
    return {"subject": {"type": "Acme::Reader", "id": who}, "action": {"name": "open"},
            "resource": {"type": "Acme::Doc", "id": "0001"}}


def test_a_search_sweeps_2000_candidates_a_page_and_loses_none(control, key):
    body = {"subject": {"type": "Acme::Reader", "id": "r"}, "action": {"name": "open"}, "resource": {"type": "Acme::Doc"}}
    first = control.curl("/access/v1/search/resource", key=key, body=body).json
    assert [one["id"] for one in first["results"]] == ["0699", "1399"]
    assert first["page"]["next_token"], "100 candidates were not asked about yet"
    last = control.curl("/access/v1/search/resource", key=key,
                        body={**body, "page": {"token": first["page"]["next_token"]}}).json
    assert [one["id"] for one in last["results"]] == ["2099"]
    assert not last.get("page", {}).get("next_token")


def test_a_decision_looks_256_entities_up(control, key):
    assert control.curl("/access/v1/evaluation", key=key, body=question("few")).json["decision"] is True
    refused = control.curl("/access/v1/evaluation", key=key, body=question("many"))
    assert refused.status == 200 and refused.json["decision"] is False
    error = refused.json["context"]["error"]
    assert error["status"] == 413 and "more than 256 entities" in error["message"]


def test_500_evaluations_are_asked_at_once(control, key):
    ask = {**question("r"), "evaluations": [{}] * 500}
    assert len(post_file(control, "/access/v1/evaluations", json.dumps(ask), key=key).json["evaluations"]) == 500
    ask["evaluations"].append({})
    refused = post_file(control, "/access/v1/evaluations", json.dumps(ask), key=key)
    assert (refused.status, refused.error["field"]) == (400, "evaluations")


def post_file(control, target, body, **more):
    path = control.folder / "body.json"
    path.write_text(body)
    return control.curl(target, "-H", "Expect:", method="POST", body=f"@{path}", **more)


def difference(control, text):
    answer = post_file(control, "/v1/policy-differences", json.dumps({"policies": [{"name": "wide", "text": text}]}),
                       socket="control.sock")
    assert answer.status == 200, answer.text
    return answer.json


def wide(actions, resources, who):
    """Every action is asked of every resource that it names."""
    named = ", ".join(f'Action::"act{n}"' for n in range(actions))
    return "\n".join(f'forbid({who}, action in [{named}], resource == Acme::Doc::"d{n}");' for n in range(resources))


def test_a_comparison_tells_1000_differences_and_that_there_are_more(control, key):
    found = difference(control, wide(11, 100, 'principal == User::"admin"'))
    assert len(found["access"]) == 1000 and found["complete"] is False


def test_a_comparison_ends_after_50000_decisions_and_says_so(control, key):
    """Nobody loses anything here, so that only the decisions count."""
    found = difference(control, wide(250, 210, 'principal == User::"nobody"'))
    assert (found["access"], found["complete"]) == ([], False)


@pytest.mark.parametrize("body, words", [
    ('{"subject":' * 70 + "1" + "}" * 70, "deeply"),
    ('{"subject": {"type": "U", "id": "a", "properties": ' + '{"a":' * 64 + "1" + "}" * 64 + "}}", "deeply"),
    ('{"subject": {"type": "U", "type": "V"}}', "already used"),
    ('{"a": "' + "x" * (1 << 20) + '"}', "larger"),
    ('{"subject": ', "ends"),
], ids=["nested", "nested properties", "twice", "large", "cut"])
def test_a_body_that_is_too_much_is_refused(control, key, body, words):
    answer = post_file(control, "/access/v1/evaluation", body, key=key)
    assert answer.status in (400, 413) and words in answer.error["message"], answer.text
