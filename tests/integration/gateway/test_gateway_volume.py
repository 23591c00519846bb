# SPDX-License-Identifier: Apache-2.0
"""How many values leave over time, through a real nginx (DATA-3.3.2, DATA-3.3.3, DATA-3.3.4)."""
import copy
import json
import os
import signal
import threading
import time

import pytest

from gateway_tools import CONFIG
from support import shows_card
from test_gateway_stream import CHAT, MESSAGES, PATHS, SSE, assert_error, body, end, events, piece

CARD = "4111 1111 1111 1111"
USER, SUPPORT = 'Role::"model_user"', 'Role::"support"'
HOUR = 3600 * 10**9


def volume(values, action, **more):
    return {"name": "many-cards", "categories": ["payment"], "values": values, "per_ns": HOUR,
            "action": action, **more}


def config(request=(), answer=(), rules=()):
    made = copy.deepcopy(CONFIG)
    made["data_policies"] = {
        side: {"default": "mask", "decode": True, "volumes": list(volumes), "rules": list(rules)}
        for side, volumes in (("request", request), ("answer", answer))}
    return made


def cards(count):
    return ", ".join([CARD] * count)


def completion(text):
    return {"id": "1", "object": "chat.completion", "choices": [
        {"index": 0, "message": {"role": "assistant", "content": text}}]}


def alarms(gate):
    return [r for r in gate.all_records() if r["class_uid"] == 2004]


def volumes_of(record):
    return record["unmapped"]["dvara"].get("volumes")


def test_a_rule_that_blocks_is_exact_and_says_what_to_do(make_gate, upstream):
    gate = make_gate(config=config([volume(10, "block")]))
    key, bob = gate.key("ann", USER), gate.key("bob", USER)
    upstream.requests.clear()
    assert [gate.chat(key, cards(4)).status for _ in range(3)] == [200, 200, 429]
    assert len(upstream.requests) == 2
    assert gate.chat(key, cards(2)).status == 200  # what was refused was not counted
    answer = gate.chat(key, cards(1))
    assert (answer.status, answer.code) == (429, "data_volume")
    assert "rule many-cards: 10 in 1h" in answer.json()["error"]["message"]
    assert "try again in 6m" in answer.json()["error"]["message"]
    assert 300 < int(answer.headers["retry-after"]) <= 360
    opened, closed = gate.record_of(answer.id)
    assert volumes_of(opened) == [{"rule": "many-cards", "action": "block", "values": 1,
                                   "limit": 10, "per_ns": HOUR}]
    assert (opened["status_code"], closed["http_response"]["code"]) == ("data_volume", 429)
    assert gate.chat(key, "no card").status == 200
    assert gate.chat(bob, cards(10)).status == 200
    answer = gate.chat(bob, cards(11))
    assert "send fewer at once" in answer.json()["error"]["message"]
    assert "retry-after" not in answer.headers
    anthropic = gate.send(MESSAGES, {"model": "m", "max_tokens": 9, "messages": [
        {"role": "user", "content": cards(1)}]}, key)
    assert (anthropic.status, anthropic.json()["error"]["type"]) == (429, "rate_limit_error")


def test_keys_of_one_user_are_one_caller_and_workers_share_the_counter(make_gate):
    gate = make_gate(config=config([volume(5, "block")]))
    keys = [gate.key("ann", USER) for _ in range(2)]
    assert [gate.chat(keys[i % 2], cards(1)).status for i in range(7)] == [200] * 5 + [429] * 2


def test_many_at_once_never_pass_more(make_gate, upstream):
    gate = make_gate(config=config([volume(30, "block")]))
    key = gate.key("ann", USER)
    got = []

    def send():
        for _ in range(5):
            got.append(gate.chat(key, cards(2)).status)
    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (got.count(200), got.count(429)) == (15, 25)


def test_counters_outlive_workers_and_the_gate(make_gate):
    gate = make_gate(config=config([volume(4, "block")]))
    key = gate.key("ann", USER)
    assert gate.chat(key, cards(4)).status == 200
    for worker in gate.workers():
        os.kill(worker, signal.SIGTERM)
    time.sleep(0.5)
    assert gate.chat(key, cards(1)).status == 429
    gate.stop()
    gate.start()
    assert gate.chat(key, cards(1)).status == 429
    assert len(alarms(gate)) == 1  # not told again, either


@pytest.mark.parametrize("action", ["alert", "monitor"])
def test_others_let_pass_and_tell(make_gate, upstream, action):
    gate = make_gate(config=config([volume(3, action)]))
    ann, bob = gate.key("ann", USER), gate.key("bob", USER)
    first = gate.chat(ann, cards(3))
    assert volumes_of(gate.record_of(first.id)[0]) is None
    for _ in range(4):
        answer = gate.chat(ann, cards(2))
        assert answer.status == 200
        opened, _ = gate.record_of(answer.id)
        assert volumes_of(opened) == [{"rule": "many-cards", "action": action, "values": 2,
                                       "limit": 3, "per_ns": HOUR}]
    gate.chat(bob, cards(9))
    found = alarms(gate)
    assert len(found) == (2 if action == "alert" else 0)
    if found:
        assert found[0]["finding_info"]["uid"] == "loss.volume"
        assert found[0]["resources"][0]["uid"] == 'User::"ann"'
        assert found[0]["finding_info"]["title"] == (
            'User::"ann" passed many-cards: more than 3 values in 1h')
    assert CARD not in json.dumps(gate.all_records())


def test_what_a_role_may_see_is_counted_too(make_gate, upstream):
    allowed = [{"who": [SUPPORT], "categories": ["payment"], "action": "allow"}]
    gate = make_gate(config=config([volume(3, "block")], rules=allowed))
    key = gate.key("sue", USER, SUPPORT)
    upstream.requests.clear()
    assert gate.chat(key, cards(3)).status == 200
    assert upstream.requests[0]["body"].count(CARD.encode()) == 3
    assert gate.chat(key, cards(1)).status == 429


def test_a_rule_is_about_roles_and_routes(make_gate):
    gate = make_gate(config=config([volume(1, "block", who=[SUPPORT], routes=["chat"])]))
    sue, ann = gate.key("sue", USER, SUPPORT), gate.key("ann", USER)
    ask = {"model": "m", "messages": [{"role": "user", "content": cards(2)}]}
    assert gate.chat(sue, cards(2)).status == 429
    assert gate.chat(ann, cards(2)).status == 200
    assert gate.send("/unasked", ask, sue).status == 200


def test_values_of_both_directions_are_one_volume(make_gate, upstream):
    rule = volume(6, "block")
    gate = make_gate(config=config([rule], [rule]))
    key = gate.key("ann", USER)
    upstream.json(completion(cards(2)))
    assert gate.chat(key, cards(4)).status == 200
    answer = gate.chat(key, "no card")
    assert (answer.status, answer.code) == (429, "data_volume")
    assert not shows_card(answer.body)
    opened, closed = gate.record_of(answer.id)
    assert volumes_of(opened) is None and volumes_of(closed)[0]["values"] == 2
    assert closed["status_code"] == "data_volume"
    upstream.json(completion("nothing"))
    assert gate.chat(key, "no card").status == 200


def test_what_is_not_sent_on_is_not_counted(make_gate, upstream):
    made = config([volume(3, "block")])
    made["data_policies"]["request"]["detectors"] = {"private_key": "block"}
    gate = make_gate(config=made)
    key = gate.key("ann", USER)
    pem = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v\n-----END PRIVATE KEY-----"
    assert gate.chat(key, f"{cards(3)} {pem}").code == "sensitive_data"
    assert gate.chat(key, cards(3)).status == 200


@PATHS
def test_a_stream_ends_before_the_value_that_is_too_much(make_gate, upstream, path):
    gate = make_gate(config=config([], [volume(3, "block")]))
    key = gate.key("ann", USER)
    upstream.sends(SSE + b"\r\n", *(piece(path, f"card {CARD}, ok {i}. ") for i in range(6)),
                   end(path), pause=0.02)
    answer = gate.send(path, body(path), key)
    told = events(answer)
    assert answer.status == 200 and not answer.body.endswith(b"[DONE]\n\n")
    assert_error(path, told[-1], "data_volume")
    assert answer.body.count(b"[CARD ****1111]") == 3
    closed = gate.wait_for_close(answer.id)
    assert closed["status_code"] == "data_volume" and volumes_of(closed)[0]["values"] == 4
    assert len(alarms(gate)) == 1


def test_a_stream_that_may_pass_is_charged_once(make_gate, upstream):
    gate = make_gate(config=config([], [volume(8, "alert")]))
    key = gate.key("ann", USER)
    upstream.sends(SSE + b"\r\n", *(piece(CHAT, f"card {CARD}, ok {i}. ") for i in range(4)),
                   end(CHAT), pause=0.01)
    for wanted in (None, None, 4):
        answer = gate.send(CHAT, body(CHAT), key)
        assert events(answer)[-1] == "[DONE]"
        found = volumes_of(gate.wait_for_close(answer.id))
        assert found is None if wanted is None else found[0]["values"] == wanted
    assert len(alarms(gate)) == 1


def test_values_in_the_query_count(make_gate, upstream):
    made = config([volume(1, "block")])
    made["data_policies"]["request"]["default"] = "alert"
    gate = make_gate(config=made)
    key = gate.key("ann", USER)
    ask = {"model": "m", "messages": [{"role": "user", "content": CARD}]}
    assert gate.send("/v1/chat/completions?a=4111111111111111", ask, key).code == "data_volume"
    assert gate.send("/v1/chat/completions", ask, key).status == 200
