# SPDX-License-Identifier: Apache-2.0
"""Masking by role, group and route, through a real nginx (DATA-3.4.1)."""
import copy
import json

import pytest

from gateway_tools import CONFIG
from test_gateway_stream import CHAT, SSE, body, end, events, piece

TEXT = "mail bob@example.com about 4111 1111 1111 1111"
MASKED = "mail [EMAIL] about [CARD ****1111]"
USER, SUPPORT, INTERN = (f'Role::"{name}"' for name in ("model_user", "support", "intern"))
FINANCE = 'Group::"finance"'

RULES = [
    {"who": [SUPPORT], "detectors": ["email"], "action": "allow"},
    {"who": [FINANCE], "categories": ["payment"], "action": "alert"},
    {"who": [INTERN], "labels": ["CARD"], "action": "block"},
    {"routes": ["unasked"], "action": "redact"},
]


@pytest.fixture(scope="module")
def config():
    made = copy.deepcopy(CONFIG)
    made["data_policies"] = {"request": {"default": "mask", "decode": True, "rules": RULES},
                             "answer": {"default": "mask", "decode": True, "rules": RULES}}
    return made


@pytest.fixture()
def gate(make_gate, config, upstream):
    upstream.requests.clear()
    return make_gate(config=config)


def sent(upstream):
    return json.loads(upstream.requests[-1]["body"])["messages"][0]["content"]


def completion(text):
    return {"id": "1", "object": "chat.completion", "choices": [
        {"index": 0, "message": {"role": "assistant", "content": text}}]}


def test_two_roles_send_the_same_prompt_and_get_different_masks(gate, upstream):
    keys = {"plain": gate.key("ann", USER),
            "support": gate.key("sue", USER, SUPPORT),
            "finance": gate.key("fin", FINANCE, USER),
            "both": gate.key("amy", FINANCE, USER, SUPPORT)}
    wanted = {"plain": MASKED,
              "support": "mail bob@example.com about [CARD ****1111]",
              "finance": "mail [EMAIL] about 4111 1111 1111 1111",
              "both": TEXT}
    for _ in range(2):
        for who, key in keys.items():
            answer = gate.chat(key, TEXT)
            assert answer.status == 200 and sent(upstream) == wanted[who], who
    upstream.json(completion(TEXT))
    for who, key in keys.items():
        assert gate.chat(key).json() == completion(wanted[who]), who
    for who, key in keys.items():
        upstream.sends(SSE + b"\r\n", *(piece(CHAT, c) for c in TEXT), end(CHAT))
        told = events(gate.send(CHAT, body(CHAT), key))
        got = "".join(e["choices"][0]["delta"]["content"] for e in told if e != "[DONE]" and e["choices"])
        assert got == wanted[who], who


def test_what_is_alerted_is_recorded_and_what_is_allowed_is_not(gate, upstream):
    key = gate.key("amy", FINANCE, USER, SUPPORT)
    answer = gate.chat(key, TEXT)
    opened, _ = gate.record_of(answer.id)
    assert [s["detector"] for s in opened["unmapped"]["dvara"]["sightings"]] == ["payment_card"]


def test_the_very_next_request_after_a_role_is_taken_away_is_masked(gate, upstream):
    key = gate.key("sue", FINANCE, USER, SUPPORT)
    for _ in range(3):
        gate.chat(key, TEXT)
        assert sent(upstream) == TEXT
        gate.fixture("user", gate.runtime, "sue", USER)
        gate.chat(key, TEXT)
        assert sent(upstream) == MASKED
        gate.fixture("user", gate.runtime, "sue", FINANCE, USER, SUPPORT)


def test_a_rule_refuses_one_role_and_not_another(gate, upstream):
    assert gate.chat(gate.key("ian", USER, INTERN), TEXT).code == "sensitive_data"
    assert gate.chat(gate.key("ann", USER), TEXT).status == 200
    # The strictest of the rules that match.
    both = gate.key("pat", FINANCE, USER, INTERN)
    assert gate.chat(both, TEXT).code == "sensitive_data"
    assert len(upstream.requests) == 1


def test_a_rule_is_about_a_route(gate, upstream):
    ask = {"model": "m", "messages": [{"role": "user", "content": TEXT}]}
    key = gate.key("fin", FINANCE, USER)
    gate.send("/unasked", ask, key)
    assert sent(upstream) == "mail [EMAIL] about [CARD]"
    gate.chat(key, TEXT)
    assert sent(upstream) == "mail [EMAIL] about 4111 1111 1111 1111"


def test_names_are_masked_where_a_policy_says_so(make_gate, config, upstream):
    text = "My name is John Smith and I live at 12 High Street, Springfield."
    masked = "My name is [PERSON] and I live at [ADDRESS], Springfield."
    named = copy.deepcopy(config)
    for side in named["data_policies"].values():
        side.update(names=True, rules=[{"who": [SUPPORT], "detectors": ["person"], "action": "allow"}])
    plain, gate = make_gate(config=config), make_gate(config=named)
    plain.chat(plain.key("ann", USER), text)
    assert sent(upstream) == text
    key = gate.key("ann", USER)
    gate.chat(key, text)
    assert sent(upstream) == masked
    gate.chat(gate.key("sue", USER, SUPPORT), text)
    assert sent(upstream) == "My name is John Smith and I live at [ADDRESS], Springfield."
    upstream.json(completion(text))
    assert gate.chat(key).json() == completion(masked)
    for cut in (1, 12, 20, 40):
        upstream.sends(SSE + b"\r\n", *(piece(CHAT, text[i:i + cut]) for i in range(0, len(text), cut)), end(CHAT))
        told = events(gate.send(CHAT, body(CHAT), key))
        got = "".join(e["choices"][0]["delta"]["content"] for e in told if e != "[DONE]" and e["choices"])
        assert got == masked


def test_a_rule_that_is_no_rule_leaves_no_gate_open(gate, config, upstream):
    broken = copy.deepcopy(config)
    broken["data_policies"]["request"]["rules"] = [{"who": [SUPPORT]}]
    key = gate.key("ann", USER)
    assert gate.chat(key, TEXT).status == 200
    gate.configure(broken)
    answer = gate.chat(key, TEXT)
    assert answer.status == 503 and len(upstream.requests) == 1
    gate.configure(config)
    gate.expect_log("a rule's action is missing")
