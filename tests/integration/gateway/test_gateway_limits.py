# SPDX-License-Identifier: Apache-2.0
"""Budgets of tokens and cost, token rates, what runs at once: reserved, settled, told, recorded."""
import json
import os
import signal
import socket
import threading
import time
import types

import pytest

from gateway_tools import CONFIG
from support import wait_until

MINUTE = 60 * 10**9
TOKENS_A_DAY = {"unit": "tokens", "period": "day"}


def limited(limits, routes=None, **more):
    return CONFIG | {"limits": limits, "routes": routes or CONFIG["routes"]} | more


def usage(upstream, prompt, completion, text="hello"):
    upstream.json({"choices": [{"index": 0, "message": {"role": "assistant", "content": text}}],
                   "usage": {"prompt_tokens": prompt, "completion_tokens": completion}})


def limit_of(record):
    return record["unmapped"]["dvara"]["limit"]


def close_of(gate, answer):
    return limit_of(gate.wait_for_close(answer.id))


def body_length(**more):
    return len(json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}], **more}))


def test_a_budget_is_reserved_and_settled_from_usage(make_gate, upstream):
    gate = make_gate(config=limited({"key": [{"max": 1000, **TOKENS_A_DAY}]}))
    key = gate.key()
    usage(upstream, 10, 40)
    first = gate.chat(key, max_tokens=100)
    assert first.status == 200
    assert first.headers["x-ratelimit-limit-tokens"] == "1000"
    assert first.headers["ratelimit-policy"] == '"key-tokens-day";q=1000;w=86400;qu="tokens"'
    opened, _ = gate.record_of(first.id)
    reserved = body_length(max_tokens=100) + 100
    assert limit_of(opened)["reserved_tokens"] == reserved
    assert int(first.headers["x-ratelimit-remaining-tokens"]) == 1000 - reserved
    assert close_of(gate, first)["settled_tokens"] == 50
    assert limit_of(opened)["key"] == "key/K0000001"
    # 950 are left: a reservation over that is refused before anything is sent.
    upstream.requests.clear()
    length = body_length(max_tokens=1000)
    refused = gate.chat(key, max_tokens=1000)
    assert (refused.status, refused.code) == (429, "budget_exceeded")
    assert "retry-after" not in refused.headers  # it would never fit
    assert upstream.requests == []
    exact = 950 - length + 1  # one digit less than 1000
    assert gate.chat(key, max_tokens=exact).status == 200
    refused = gate.chat(key, max_tokens=880)
    assert refused.status == 429
    seconds = int(refused.headers["retry-after"])
    assert 0 < seconds <= 86400
    now = time.time()
    assert abs((now + seconds) % 86400) < 3 or abs((now + seconds) % 86400 - 86400) < 3


def test_choices_multiply_and_the_routes_number_stands_in(make_gate, upstream):
    routes = [r | {"max_tokens": 60} if r["name"] == "chat" else r for r in CONFIG["routes"]]
    gate = make_gate(config=limited({"user": [{"max": 100000, **TOKENS_A_DAY}]}, routes))
    key = gate.key()
    usage(upstream, 1, 1)
    for more, output in [({}, 60), ({"n": 3}, 180), ({"n": 2, "max_tokens": 10}, 20)]:
        opened, _ = gate.record_of(gate.chat(key, **more).id)
        assert limit_of(opened)["reserved_tokens"] == body_length(**more) + output
    over = gate.chat(key, max_tokens=61)
    assert (over.status, over.code) == (400, "bad_field")


@pytest.mark.parametrize("told, settled", [
    ((10, 3), 10 + 5),           # less than the 40 bytes of text can be
    ((-5, -7), None),            # absurd: the input as reserved, a token a byte of text
    ((10**15, 10**15), "all"),   # no more than was reserved
    ((0, 0), 5),
])
def test_lying_usage_is_held_to_what_was_seen(make_gate, upstream, told, settled):
    gate = make_gate(config=limited({"key": [{"max": 100000, **TOKENS_A_DAY}]}))
    key = gate.key()
    usage(upstream, *told, text="x" * 40)
    length = body_length(max_tokens=100)
    wanted = {None: length + 40, "all": length + 100}.get(settled, settled)
    assert close_of(gate, gate.chat(key, max_tokens=100))["settled_tokens"] == wanted


def test_what_was_told_beyond_a_reservation_is_charged(make_gate, upstream):
    gate = make_gate(config=limited({"key": [{"max": 10000, **TOKENS_A_DAY}]}))
    key = gate.key()
    usage(upstream, 9000, 2000)
    over = gate.chat(key, max_tokens=100)
    assert over.status == 200
    assert close_of(gate, over)["settled_tokens"] == 10000  # where the budget ends
    refused = gate.chat(key, max_tokens=1)
    assert (refused.status, refused.code) == (429, "budget_exceeded")
    assert refused.headers["x-ratelimit-remaining-tokens"] == "0"


@pytest.mark.parametrize("path, more, name", [
    ("/v1/chat/completions", {"messages": [{"role": "user", "content": "a@b.example"}]},
     "max_tokens"),
    ("/v1/completions", {"prompt": "hi", "max_tokens": None}, "max_tokens"),
    ("/v1/responses", {"input": "hi"}, "max_output_tokens"),
])
def test_a_model_server_is_told_what_was_reserved(make_gate, upstream, path, more, name):
    limits = {"key": [{"max": 100000, **TOKENS_A_DAY}]}
    gate = make_gate(config=limited(limits))
    key = gate.key()
    for stream in (False, True):
        upstream.requests.clear()
        gate.send(path, {"model": "m", **more, "stream": stream}, key)
        got = json.loads(upstream.requests[0]["body"])
        assert got[name] == 4096
        assert set(got) - {"model", "stream", "stream_options", name} <= set(more)
        # What the caller says stays as it is.
        gate.send(path, {"model": "m", **more, "stream": stream, name: 7}, key)
        assert json.loads(upstream.requests[1]["body"])[name] == 7
    gate.configure(CONFIG)
    gate.send(path, {"model": "m", **more}, key)  # nobody counts tokens
    assert json.loads(upstream.requests[-1]["body"]).get(name) is None


def test_routes_say_with_which_member(make_gate, upstream):
    routes = [r | {"max_tokens": 60, "max_tokens_name": "max_completion_tokens"}
              if r["name"] == "chat" else r for r in CONFIG["routes"]]
    gate = make_gate(config=CONFIG | {"routes": routes})
    gate.chat(gate.key())
    assert json.loads(upstream.requests[-1]["body"])["max_completion_tokens"] == 60


def test_a_bound_in_another_member_is_said_with_the_routes_own(make_gate, upstream):
    gate = make_gate(config=limited({"key": [{"max": 100000, **TOKENS_A_DAY}]}))
    key = gate.key()
    for stream in (False, True):
        for content in ("hi", "mail a@b.example"):  # as it came, and rewritten
            upstream.requests.clear()
            body = {"model": "m", "prompt": content, "n_predict": 50, "stream": stream}
            sent = gate.send("/v1/completions", body, key)
            got = json.loads(upstream.requests[0]["body"])
            assert (got["max_tokens"], got.get("n_predict")) == (50, None)
            opened, _ = gate.record_of(sent.id)
            assert limit_of(opened)["reserved_tokens"] == len(json.dumps(body)) + 50


def test_an_answer_that_does_not_come_in_time_is_charged_as_if_its_caller_had_left(
        make_gate, upstream):
    gate = make_gate(config=limited({"key": [{"max": 100000, **TOKENS_A_DAY}]}))
    key = gate.key()
    upstream.sends(b"", pause=4)
    for stream in (False, True):
        late = gate.chat(key, max_tokens=100, stream=stream)
        assert late.status == 504
        length = body_length(max_tokens=100, stream=stream)
        assert close_of(gate, late)["settled_tokens"] == length + 100


def left_early(gate, key, ask, asked):
    """Sends a request, waits, and goes away before the head of its answer; what its close record says."""
    known = {one["api"]["request"]["uid"] for one in gate.records()}
    with gate.connect() as connection:
        connection.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: g\r\nAuthorization: Bearer "
                           + key.encode() + b"\r\nContent-Type: application/json\r\nContent-Length: "
                           + str(len(ask)).encode() + b"\r\n\r\n" + ask)
        asked()

    def closed():
        return [one for one in gate.records() if one["api"]["request"]["uid"] not in known
                and one["unmapped"]["dvara"].get("phase") == "close"]
    wait_until(closed, 10, "the close record")
    return limit_of(closed()[0])


def ask_for(stream, text):
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": text}],
                       "stream": stream, "max_tokens": 300}).encode()


@pytest.mark.parametrize("stream", [False, True])
def test_who_leaves_before_the_head_pays_for_what_may_have_begun(make_gate, upstream, stream):
    gate = make_gate(config=limited({"key": [{"max": 100000, **TOKENS_A_DAY}]}))
    came, go_on = threading.Event(), threading.Event()

    def answer(handler, request):
        came.set()
        go_on.wait(5)
        return False
    upstream.answer = answer
    ask = ask_for(stream, "hi")
    left = left_early(gate, gate.key(), ask, lambda: came.wait(5))
    go_on.set()
    assert left["reserved_tokens"] == left["settled_tokens"] == len(ask) + 300


def test_who_leaves_before_all_was_sent_pays_for_what_he_asked(make_gate):
    """The model server reads nothing, and the body is more than the sockets hold."""
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(8)
        server = types.SimpleNamespace(url=f"http://127.0.0.1:{deaf.getsockname()[1]}")
        gate = make_gate(server, config=limited({"key": [{"max": 10**9, **TOKENS_A_DAY}]}))
        ask = ask_for(True, "word " * 190000)
        left = left_early(gate, gate.key(), ask, lambda: (deaf.accept(), time.sleep(0.2)))
    assert (left["reserved_tokens"], left["settled_tokens"]) == (len(ask) + 300, len(ask))


def test_json_routes_reserve_the_routes_number(make_gate, upstream):
    routes = [r | {"max_tokens": 300} if r["name"] == "large" else r for r in CONFIG["routes"]]
    gate = make_gate(config=limited({"key": [{"max": 100000, **TOKENS_A_DAY}]}, routes))
    key = gate.key()
    body = {"instances": ["hi"]}
    for path, reserved, answer, settled in [
            ("/small", 4096, {"predictions": [1] * 50}, len(json.dumps({"predictions": [1] * 50}))),
            ("/large", 300, {"predictions": ["word " * 80] * 8}, 400),
            ("/large", 300, {"text": "hi", "usage": {"prompt_tokens": 5, "completion_tokens": 6}},
             None)]:
        upstream.json(answer)
        sent = gate.send(path, body, key)
        assert sent.status == 200
        opened, _ = gate.record_of(sent.id)
        assert limit_of(opened)["reserved_tokens"] == len(json.dumps(body)) + reserved
        wanted = 11 if settled is None else len(json.dumps(body)) + settled
        assert close_of(gate, sent)["settled_tokens"] == wanted


def test_a_models_name_counts_in_any_case(make_gate, upstream):
    gate = make_gate(config=limited({"model": [{"count": 2, "period_ns": MINUTE, "burst": 0}]}))
    key = gate.key()
    ask = {"messages": [{"role": "user", "content": "hi"}]}
    answers = [gate.send("/v1/chat/completions", {"model": name, **ask}, key).status
               for name in ("gpt-x", "GPT-X", "Gpt-x", "other")]
    assert answers == [200, 200, 429, 200]
    assert gate.send("/v1/chat/completions", {"model": "gpt-x ", **ask}, key).status == 400


def test_what_is_not_sent_or_refused_costs_nothing(make_gate, upstream):
    gate = make_gate(config=limited({"key": [{"max": 100000, **TOKENS_A_DAY}]}))
    key = gate.key()
    upstream.json({"error": {"message": "no"}}, status="400 Bad Request")
    assert close_of(gate, gate.chat(key))["settled_tokens"] == 0
    private = "-----BEGIN RSA PRIVATE KEY-----\\nMIIEowIBAAKCAQEA7bq\\n-----END RSA PRIVATE KEY-----"
    blocked = gate.chat(key, text=private.replace("\\n", "\n"))
    assert blocked.code == "sensitive_data"
    assert close_of(gate, blocked)["settled_tokens"] == 0


def test_streams_settle_their_usage_or_their_text(make_gate, upstream):
    gate = make_gate(config=limited({"key": [{"max": 100000, **TOKENS_A_DAY}]}))
    key = gate.key()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
    delta = b'data: {"choices":[{"index":0,"delta":{"content":"' + b"word " * 8 + b'"}}]}\n\n'
    last = b'data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":21}}\n\n'
    upstream.sends(head, delta, delta, last, b"data: [DONE]\n\n")
    whole = gate.chat(key, stream=True, max_tokens=500)
    assert close_of(gate, whole)["settled_tokens"] == 30
    upstream.sends(head, delta, delta, b"data: [DONE]\n\n")  # not told: a token a byte
    untold = gate.chat(key, stream=True, max_tokens=500)
    assert close_of(gate, untold)["settled_tokens"] == body_length(stream=True, max_tokens=500) + 80


def test_an_aborted_stream_settles_what_was_emitted(make_gate, upstream):
    gate = make_gate(config=limited({"key": [{"max": 100000, **TOKENS_A_DAY}]}))
    key = gate.key()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
    delta = b'data: {"choices":[{"index":0,"delta":{"content":"' + b"word " * 8 + b'"}}]}\n\n'
    upstream.sends(head, *[delta] * 50, pause=0.1)
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}],
                       "stream": True, "max_tokens": 5000}).encode()
    with gate.connect() as connection:
        connection.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: g\r\nAuthorization: Bearer "
                           + key.encode() + b"\r\nContent-Type: application/json\r\nContent-Length: "
                           + str(len(body)).encode() + b"\r\n\r\n" + body)
        answer = b""
        while answer.count(b"data:") < 3:
            answer += connection.recv(65536)
    request_id = answer.split(b"x-request-id: ")[1][:36].decode()
    close = gate.wait_for_close(request_id)
    assert close["unmapped"]["dvara"]["aborted"]
    settled = limit_of(close)["settled_tokens"] - len(body)
    assert 3 * 40 <= settled < 50 * 40


def test_cost_follows_the_price_list(make_gate, upstream):
    prices = {"m": {"input": 2_500_000, "output": 10_000_000}}
    gate = make_gate(config=limited({"group": [{"max": 3000, "unit": "cost", "period": "month"}]},
                                    prices=prices))
    key = gate.key("alice", 'Group::"ml"', 'Group::"all"', 'Role::"model_user"')
    usage(upstream, 10, 40)
    first = gate.chat(key, max_tokens=100)
    close = close_of(gate, first)
    assert close["reserved_cost"] == -(-body_length(max_tokens=100) * 25 // 10) + 1000
    assert close["settled_cost"] == 425  # 10 * 2.5 + 40 * 10 millionths
    assert "ratelimit" not in first.headers  # nobody's business
    unpriced = gate.send("/v1/chat/completions", {
        "model": "other", "messages": [{"role": "user", "content": "hi"}]}, key)
    assert (unpriced.status, unpriced.code) == (429, "budget_exceeded")
    assert "price" in unpriced.json()["error"]["message"]
    for _ in range(4):
        assert gate.chat(key, max_tokens=100).status == 200
    refused = gate.chat(key, max_tokens=100)
    assert refused.code == "budget_exceeded" and "group-cost-month" in refused.body.decode()


def test_each_threshold_is_told_once(make_gate, upstream):
    gate = make_gate(config=limited({"key": [{"max": 1000, **TOKENS_A_DAY}]}, warn=[50, 90]))
    key = gate.key()
    usage(upstream, 50, 50)
    for _ in range(8):
        assert gate.chat(key, max_tokens=60).status == 200
    assert gate.chat(key, max_tokens=60).status == 200
    titles = [r["finding_info"]["title"] for r in gate.all_records() if r["class_uid"] == 2004]
    day = time.strftime("%Y-%m-%d", time.gmtime())
    assert titles == [f"key/K0000001 used {p} % of its token budget of {day}" for p in (50, 90)]


def test_a_token_rate_gives_back_what_was_not_used(make_gate, upstream):
    rate = {"count": 1000, "period_ns": 3600 * 10**9, "burst": 1000, "unit": "tokens"}
    gate = make_gate(config=limited({"key": [rate]}))
    key = gate.key()
    usage(upstream, 10, 40)
    for _ in range(5):  # a reservation of 720 each
        assert gate.chat(key, max_tokens=720 - body_length(max_tokens=600)).status == 200
    refused = gate.chat(key, max_tokens=720)
    assert (refused.status, refused.code) == (429, "rate_limited")
    assert refused.headers["ratelimit"].startswith('"key-tokens";r=')
    assert int(refused.headers["retry-after"]) > 100


def ask(gate, key, answers):
    answers.append(gate.chat(key).status)


def slow(upstream, seconds):
    body = json.dumps({"choices": []}).encode()
    upstream.sends(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
                   b"Content-Length: %d\r\n\r\n"
                   % len(body), body, pause=seconds)


@pytest.mark.parametrize("kind", ["key", "user", "address", "model", "route"])
def test_no_more_run_at_once_than_said(make_gate, upstream, kind):
    gate = make_gate(config=limited({kind: [{"max": 2, "period": "at_once"}]}))
    key = gate.key()
    slow(upstream, 0.8)
    answers = []
    threads = [threading.Thread(target=ask, args=(gate, key, answers)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [200, 200, 429, 429, 429]
    upstream.echo()
    assert gate.chat(key).status == 200  # all were given back


def test_a_killed_worker_gives_back_what_it_ran_and_keeps_what_it_reserved(make_gate, upstream):
    gate = make_gate(config=limited({"key": [{"max": 1, "period": "at_once"},
                                             {"max": 1000, **TOKENS_A_DAY}]}))
    key = gate.key()
    upstream.sends(b"HTTP/1.1 200 OK\r\n", pause=20)
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}],
                       "max_tokens": 700}).encode()
    with gate.connect() as connection:
        connection.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: g\r\nAuthorization: Bearer "
                           + key.encode() + b"\r\nContent-Type: application/json\r\nContent-Length: "
                           + str(len(body)).encode() + b"\r\n\r\n" + body)
        wait_until(gate.records, 10, "the request is begun")
        assert gate.chat(key, max_tokens=1).code == "rate_limited"
        worker = gate.workers()[0]
        os.kill(worker, signal.SIGKILL)
        wait_until(lambda: gate.workers() not in ([], [worker]), 10, "another worker")
    usage(upstream, 1, 1)
    assert gate.chat(key, max_tokens=1).status == 200
    left = 1000 - 700 - len(body) - 2
    refused = gate.chat(key, max_tokens=left - body_length(max_tokens=100) + 1)
    assert refused.code == "budget_exceeded"
    assert gate.chat(key, max_tokens=left - body_length(max_tokens=100)).status == 200
    gate.expect_log("exited on signal 9")


def test_many_limited_groups_are_no_hindrance(make_gate, upstream):
    gate = make_gate(config=limited({"group": [{"count": 100, "period_ns": MINUTE, "burst": 0},
                                               {"max": 10**9, **TOKENS_A_DAY}]}))
    groups = [f'Group::"g{i}"' for i in range(15)]
    key = gate.key("alice", *groups, 'Role::"model_user"')
    usage(upstream, 1, 1)
    answer = gate.chat(key)
    assert answer.status == 200
    assert answer.headers["ratelimit-policy"].count("q=") == 8
    assert answer.headers["ratelimit"].startswith('"group')
