# SPDX-License-Identifier: Apache-2.0
"""Users' detectors through a real nginx: prompts, answers, streams, rules, and what a reload changes (DATA-3.1.3)."""
import base64
import copy
import json

import pytest

from gateway_tools import CONFIG
from test_gateway_masking import completion, sent
from test_gateway_stream import CHAT, SSE, body, end, events, piece

def detector(name, label, match, category="personal", keep_last=0):
    """As dvarad puts it into the snapshot."""
    return {"id": name, "name": name, "type": label, "category": category, "region": "any", "label": label, "doc": name,
            "match": match, "ahead": match, "words": "", "check": "", "request": 3, "answer": 2, "score": 80,
            "keep_last": keep_last, "distance": 0, "entropy": 0, "required": 0, "caseless": 0}


EMPLOYEE = detector("employee_number", "EMPLOYEE", "(?<![A-Za-z0-9])EMP-[0-9]{6}(?![0-9])", "government_id", 2)
PROJECT = detector("project", "PROJECT", "Project [A-Z][a-z]{3,12}")
TEXT = "I am EMP-123456, mail bob@example.com"
INTERN = 'Role::"intern"'


def config_with(*detectors, **more):
    made = copy.deepcopy(CONFIG)
    for policy in made["data_policies"].values():
        policy.update(custom=json.dumps({"detectors": detectors}), **more)
    return made


@pytest.fixture()
def gate(make_gate):
    made = make_gate(config=config_with(EMPLOYEE, detectors={"private_key": "block"}))
    made.alice = made.key()
    return made


def told(gate, upstream, pieces):
    upstream.sends(SSE + b"\r\n", *(piece(CHAT, text) for text in pieces), end(CHAT))
    got = events(gate.send(CHAT, body(CHAT), gate.alice))
    return "".join(e["choices"][0]["delta"]["content"] for e in got if e != "[DONE]" and e["choices"])


def test_in_a_prompt_it_becomes_a_placeholder_and_comes_back(gate, upstream):
    answer = gate.chat(gate.alice, TEXT)
    assert answer.status == 200 and "EMP-" not in sent(upstream) and "<EMPLOYEE_" in sent(upstream)
    assert json.loads(answer.json()["got"])["messages"][0]["content"] == TEXT
    gate.wait_for_close(answer.id)
    seen = gate.record_of(answer.id)[0]["unmapped"]["dvara"]["sightings"]
    assert [(s["detector"], s["place"]) for s in seen] == [("employee_number", "/messages/0/content"),
                                                            ("email", "/messages/0/content")]


@pytest.mark.parametrize("text", ["EMP%2D123456", "EMP\\u002d123456", base64.b64encode(b"is EMP-123456").decode()])
def test_encoded_it_is_found_too(gate, upstream, text):
    assert gate.chat(gate.alice, f"see {text}, please").status == 200
    assert text not in sent(upstream) and "<EMPLOYEE_" in sent(upstream)


def test_in_answers_and_streams_it_is_masked_wherever_it_is_split(gate, upstream):
    upstream.json(completion("It is EMP-123456, not EMP-12."))
    assert gate.chat(gate.alice).json() == completion("It is [EMPLOYEE ****56], not EMP-12.")
    text = "It is EMP-123456, EMP-1234567 and EMP-654321."
    wanted = "It is [EMPLOYEE ****56], EMP-1234567 and [EMPLOYEE ****21]."
    for cut in range(1, len(text)):
        assert told(gate, upstream, [text[:cut], text[cut:]]) == wanted, cut
    assert told(gate, upstream, text) == wanted


def test_names_of_members_and_of_files_are_searched(gate, upstream):
    answer = gate.send("/large", {"EMP-123456": {"a": "EMP-654321"}}, gate.alice)
    assert answer.status == 200 and b"EMP-" not in upstream.requests[-1]["body"]
    gate.wait_for_close(answer.id)
    places = [s["place"] for s in gate.record_of(answer.id)[0]["unmapped"]["dvara"]["sightings"]]
    assert all("EMP" not in place for place in places)


def test_rules_choose_by_its_name_category_and_label(make_gate, upstream):
    rules = [{"who": [INTERN], "detectors": ["employee_number"], "action": "block"},
             {"who": ['User::"bob"'], "categories": ["government_id"], "action": "allow", "override": True},
             {"who": ['User::"eve"'], "labels": ["EMPLOYEE"], "action": "redact"}]
    gate = make_gate(config=config_with(EMPLOYEE, default="mask", rules=rules, off=["phone"]))
    intern, bob, eve = gate.key("ida", 'Role::"model_user"', INTERN), gate.key("bob"), gate.key("eve")
    assert gate.chat(intern, TEXT).code == "sensitive_data"
    assert gate.chat(bob, TEXT).status == 200 and "EMP-123456" in sent(upstream)
    assert gate.chat(eve, TEXT).status == 200 and "[EMPLOYEE]" in sent(upstream)
    assert gate.chat(gate.key("ann"), TEXT).status == 200 and "[EMPLOYEE ****56]" in sent(upstream)


def test_a_reload_changes_what_is_found(gate, upstream):
    """Also in texts in which nothing was found before."""
    for text in ("Project Heron", "EMP-123456"):
        assert gate.chat(gate.alice, text).status == 200
    assert "<EMPLOYEE_" in sent(upstream)
    gate.configure(config_with(EMPLOYEE, PROJECT))
    assert gate.chat(gate.alice, "Project Heron").status == 200 and "<PROJECT_" in sent(upstream)
    gate.configure(config_with(PROJECT))  # another one with the bit that employees' had
    assert gate.chat(gate.alice, "EMP-123456").status == 200 and "EMP-123456" in sent(upstream)
    assert gate.chat(gate.alice, "Project Heron").status == 200 and "<PROJECT_" in sent(upstream)
    gate.configure(CONFIG)
    assert gate.chat(gate.alice, "Project Heron").status == 200 and "Project Heron" in sent(upstream)


def test_what_can_not_be_read_closes_the_gate(make_gate):
    gate = make_gate(config=config_with({**EMPLOYEE, "match": "EMP-[0-9]{6,}"}))
    refused = gate.chat(gate.key())
    assert (refused.status, refused.code) == (503, "not_ready")
