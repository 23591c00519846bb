# SPDX-License-Identifier: Apache-2.0
"""Event streams through a real nginx: usage, keys that end, errors, ends and aborts (API-2.2, DATA-3.3.1)."""
import json
import threading

import pytest

from gateway_tools import FORBID, PERMIT

CHAT, COMPLETIONS, RESPONSES, MESSAGES = ("/v1/chat/completions", "/v1/completions",
                                          "/v1/responses", "/v1/messages")
SSE = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
CARD = "4111 1111 1111 1111"


def data(value, name=None):
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(value)}\n\n".encode()


def piece(path, text):
    """An event that tells a piece of text in the API's way."""
    if path == CHAT:
        return data({"choices": [{"index": 0, "delta": {"content": text}}]})
    if path == COMPLETIONS:
        return data({"choices": [{"index": 0, "text": text}]})
    if path == RESPONSES:
        return data({"type": "response.output_text.delta", "item_id": "m", "output_index": 0,
                     "content_index": 0, "delta": text}, "response.output_text.delta")
    return data({"type": "content_block_delta", "index": 0,
                 "delta": {"type": "text_delta", "text": text}}, "content_block_delta")


def end(path):
    if path == RESPONSES:
        return data({"type": "response.completed", "response": {
            "output": [], "usage": {"input_tokens": 3, "output_tokens": 4}}}, "response.completed")
    if path == MESSAGES:
        return (data({"type": "message_delta", "delta": {"stop_reason": "end_turn"},
                      "usage": {"input_tokens": 3, "output_tokens": 4}}, "message_delta") +
                data({"type": "message_stop"}, "message_stop"))
    return (data({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}) +
            b"data: [DONE]\n\n")


def body(path, **more):
    ask = {"model": "m", "stream": True, **more}
    if path == COMPLETIONS:
        return {**ask, "prompt": "hi"}
    if path == RESPONSES:
        return {**ask, "input": "hi"}
    if path == MESSAGES:
        ask["max_tokens"] = 9
    return {**ask, "messages": [{"role": "user", "content": "hi"}]}


def events(answer):
    """The data of the events, in order."""
    return [json.loads(line[6:]) if line != "data: [DONE]" else "[DONE]"
            for line in answer.body.decode().splitlines() if line.startswith("data: ")]


def assert_error(path, event, code):
    """The last event is an error as the API's clients know it."""
    if path == MESSAGES:
        assert event["type"] == "error" and event["error"]["type"] and event["error"]["message"]
    elif path == RESPONSES:
        assert event["type"] == "error" and event["code"] == code and event["message"]
    else:
        assert event["error"]["code"] == code and event["error"]["message"]


PATHS = pytest.mark.parametrize("path", [CHAT, COMPLETIONS, RESPONSES, MESSAGES])


@PATHS
def test_a_blocked_stream_ends_with_the_apis_error(gate, upstream, path):
    key = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v\n-----END PRIVATE KEY-----"
    upstream.sends(SSE + b"\r\n", piece(path, "well, "), piece(path, key[:30]),
                   piece(path, key[30:]), end(path), pause=0.01)
    answer = gate.send(path, body(path), gate.alice)
    assert answer.status == 200 and b"MC4C" not in answer.body and b"well" in answer.body
    assert_error(path, events(answer)[-1], "answer_blocked")
    closed = gate.wait_for_close(answer.id)
    assert closed["status_code"] == "answer_blocked"
    assert closed["unmapped"]["dvara"]["sightings"][0]["detector"] == "private_key"


@PATHS
def test_usage_is_recorded_whoever_asked(gate, upstream, path):
    upstream.sends(SSE + b"\r\n" + piece(path, "12345678, ") + end(path))
    answer = gate.send(path, body(path), gate.alice)
    sent = json.loads(upstream.requests[-1]["body"])
    got = events(answer)
    if path in (CHAT, COMPLETIONS):
        assert sent.pop("stream_options") == {"include_usage": True}
        assert got[-1] == "[DONE]" and not any("usage" in event for event in got[:-1])
    assert sent == body(path)
    _, closed = gate.record_of(answer.id)
    assert closed["message_context"]["completion_tokens"] == 4


def test_usage_that_was_asked_for_is_told(gate, upstream):
    upstream.sends(SSE + b"\r\n" + piece(CHAT, "a@example.com, b@example.com, ") + end(CHAT))
    asked = body(CHAT, stream_options={"include_usage": True})
    answer = gate.send(CHAT, asked, gate.alice)
    assert json.loads(upstream.requests[-1]["body"]) == asked
    assert events(answer)[-2]["usage"]["completion_tokens"] == 4
    _, closed = gate.record_of(answer.id)
    sightings = closed["unmapped"]["dvara"]["sightings"]
    assert [(one["detector"], one["times"]) for one in sightings] == [("email", 2)]


def test_a_rewritten_body_asks_too(gate, upstream):
    upstream.sends(SSE + b"\r\n" + piece(CHAT, "hi, ") + end(CHAT))
    asked = body(CHAT, stream_options={"include_usage": False}, metadata={"a": "bob@example.com"})
    answer = gate.send(CHAT, asked, gate.alice)
    sent = json.loads(upstream.requests[-1]["body"])
    assert sent["stream_options"] == {"include_usage": True}
    assert sent["metadata"]["a"].startswith("<EMAIL_") and answer.status == 200


def test_a_route_need_not_ask(gate, upstream):
    upstream.sends(SSE + b"\r\n" + piece(CHAT, "hi, ") + end(CHAT))
    answer = gate.send("/unasked", body(CHAT), gate.alice)
    assert json.loads(upstream.requests[-1]["body"]) == body(CHAT)
    assert "usage" in events(answer)[-2]


class Idle:
    """An upstream that tells one piece and then says nothing until it is let go."""

    def __init__(self, upstream, path, rest=b""):
        self.go_on = threading.Event()
        self.began = threading.Event()

        def answer(handler, request):
            handler.wfile.write(SSE + b"\r\n" + piece(path, "one, "))
            handler.wfile.flush()
            self.began.set()
            self.go_on.wait(2.8)
            handler.wfile.write(rest)
            return False
        upstream.answer = answer


@PATHS
def test_a_revoked_key_ends_streams_in_which_nothing_comes(gate, upstream, path):
    key = gate.key("leaver")
    idle = Idle(upstream, path, piece(path, "two, "))

    def revoke():
        idle.began.wait(5)
        gate.fixture("revoke", gate.runtime, key[4:12])
    threading.Thread(target=revoke).start()
    answer = gate.send(path, body(path), key)
    assert not idle.go_on.is_set()
    idle.go_on.set()
    assert b"two" not in answer.body and b"one" in answer.body
    assert_error(path, events(answer)[-1], "bad_credential")
    closed = gate.wait_for_close(answer.id)
    assert closed["status_code"] == "bad_credential"
    assert closed["unmapped"]["dvara"].get("aborted") in (None, False)


NO_LEAVER = '@id("no-leaver")\nforbid(principal == User::"leaver", action, resource);\n'
NO_MODEL = '@id("no-model")\nforbid(principal == User::"leaver", action, resource == Model::"m");\n'


@pytest.mark.parametrize("comes", ["nothing", "more"])
@pytest.mark.parametrize("path,change,code,policy", [
    (CHAT, NO_LEAVER, "forbidden_by_policy", "no-leaver"),
    (MESSAGES, NO_MODEL, "forbidden_by_policy", "no-model"),
    (RESPONSES, None, "not_permitted", None),
])
def test_streams_end_with_what_permits_them(gate, upstream, path, change, code, policy, comes):
    key = gate.key("leaver")
    idle = Idle(upstream, path, piece(path, "two, ") + end(path))

    def withdraw():
        idle.began.wait(5)
        if change:
            gate.policies(PERMIT + FORBID + change)
        else:
            gate.fixture("user", gate.runtime, "leaver")  # without a role
        if comes == "more":
            idle.go_on.set()
    thread = threading.Thread(target=withdraw)
    thread.start()
    answer = gate.send(path, body(path), key)
    early = not idle.go_on.is_set()
    idle.go_on.set()
    thread.join()
    gate.policies(PERMIT + FORBID)
    assert early == (comes == "nothing")
    assert b"one" in answer.body and b"two" not in answer.body
    assert_error(path, events(answer)[-1], code)
    closed = gate.wait_for_close(answer.id)
    assert closed["status_code"] == code
    assert policy is None or closed["policy"]["uid"] == policy


def test_a_change_that_takes_nothing_away_ends_no_stream(gate, upstream):
    idle = Idle(upstream, CHAT, piece(CHAT, "two, ") + end(CHAT))

    def change():
        idle.began.wait(5)
        gate.policies(PERMIT + FORBID + NO_LEAVER)
        gate.key("newcomer")
        gate.policies(PERMIT + FORBID)
    threading.Thread(target=change).start()
    answer = gate.send(CHAT, body(CHAT), gate.alice)
    assert b"two" in answer.body and answer.complete


def test_a_suspended_user_and_an_expired_key_end_idle_streams(gate, upstream, monkeypatch):
    monkeypatch.setenv("KEY_EXPIRES", str(600_000_000))
    idle = Idle(upstream, CHAT)
    answer = gate.send(CHAT, body(CHAT), gate.key("leaver"))
    assert_error(CHAT, events(answer)[-1], "bad_credential")
    idle.go_on.set()
    monkeypatch.delenv("KEY_EXPIRES")
    idle = Idle(upstream, CHAT)
    key = gate.key("sleeper")
    threading.Timer(0.3, lambda: gate.fixture("suspend", gate.runtime, "sleeper")).start()
    answer = gate.send(CHAT, body(CHAT), key)
    assert_error(CHAT, events(answer)[-1], "bad_credential")
    idle.go_on.set()


def test_a_rotated_secret_ends_its_streams_after_the_overlap(gate, upstream):
    key = gate.key("rotator")
    idle = Idle(upstream, CHAT)
    threading.Timer(0.2, lambda: gate.fixture("rotate", gate.runtime, key[4:12],
                                              700_000_000)).start()
    answer = gate.send(CHAT, body(CHAT), key)
    assert_error(CHAT, events(answer)[-1], "bad_credential")
    idle.go_on.set()


def test_other_changes_end_no_stream(gate, upstream):
    idle = Idle(upstream, CHAT, piece(CHAT, "two, ") + end(CHAT))
    threading.Timer(0.2, lambda: gate.key("somebody")).start()
    threading.Timer(1.5, idle.go_on.set).start()
    answer = gate.send(CHAT, body(CHAT), gate.alice)
    assert b"two" in answer.body and events(answer)[-1] == "[DONE]"


@PATHS
def test_the_end_is_recorded_before_it_is_told(gate, upstream, path):
    """Clients stop reading at the last event, so the record can't wait for the connection's end."""
    go_on = threading.Event()

    def answer(handler, request):
        handler.wfile.write(SSE + b"\r\n" + piece(path, "one, ") + end(path) + b": bye\n\n")
        handler.wfile.flush()
        go_on.wait(2.8)
        return False
    upstream.answer = answer
    got = gate.send(path, body(path), gate.alice)
    assert not go_on.is_set() and got.complete
    _, closed = gate.record_of(got.id)
    go_on.set()
    assert closed["unmapped"]["dvara"].get("aborted") in (None, False)
    assert closed["http_response"]["body_length"] == len(got.body)


def test_a_connection_goes_on_after_a_stream(gate, upstream):
    upstream.sends(SSE + b"\r\n" + piece(CHAT, "one, ") + end(CHAT))
    ask = json.dumps(body(CHAT)).encode()
    request = (f"POST {CHAT} HTTP/1.1\r\nHost: g\r\nAuthorization: Bearer {gate.alice}\r\n"
               f"Content-Type: application/json\r\nContent-Length: {len(ask)}\r\n\r\n").encode() + ask
    with gate.connect() as connection:
        stream = connection.makefile("rb")
        for _ in range(3):
            connection.sendall(request)
            text = b""
            while not text.endswith(b"\r\n0\r\n\r\n"):
                line = stream.readline()
                assert line
                text += line
            assert b"[DONE]" in text and b" 200 OK" in text


def test_what_an_aborted_stream_showed_is_recorded(gate, upstream):
    stop = threading.Event()

    def answer(handler, request):
        handler.wfile.write(SSE + b"\r\n" + piece(CHAT, f"card {CARD}, ok, "))
        while not stop.wait(0.02):
            handler.wfile.write(piece(CHAT, "word, "))
            handler.wfile.flush()
        return False
    upstream.answer = answer
    ask = json.dumps(body(CHAT)).encode()
    with gate.connect() as connection:
        connection.sendall((f"POST {CHAT} HTTP/1.1\r\nHost: g\r\nContent-Length: {len(ask)}\r\n"
                            f"Authorization: Bearer {gate.alice}\r\n"
                            f"Content-Type: application/json\r\n\r\n").encode() + ask)
        text = b""
        while b"word" not in text:
            text += connection.recv(65536)
    closed = gate.wait_for_close(text.split(b"x-request-id: ")[1][:36].decode())
    stop.set()
    assert closed["unmapped"]["dvara"]["aborted"] is True
    assert closed["unmapped"]["dvara"]["sightings"][0]["detector"] == "payment_card"


@pytest.mark.parametrize("broken", [b"zz\r\nxx", b"5\r\ndata", b"ffffffffffffffffff\r\n"])
def test_broken_chunks_end_a_stream_without_its_end(gate, upstream, broken):
    first = piece(CHAT, "one, ")
    upstream.sends(SSE + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(first), first),
                   broken, pause=0.1)
    answer = gate.send(CHAT, body(CHAT), gate.alice)
    assert not answer.complete and b"one" in answer.body and b"[DONE]" not in answer.body
    assert gate.wait_for_close(answer.id)["unmapped"]["dvara"]["aborted"] is True
    if b"zz" in broken or b"ff" in broken:
        gate.expect_log("invalid chunked response|upstream sent invalid")


def test_many_idle_streams_are_all_ended(gate, upstream):
    """More than one turn of the event loop asks about."""
    go_on = threading.Event()
    began = threading.Semaphore(0)

    def answer(handler, request):
        handler.wfile.write(SSE + b"\r\n" + piece(CHAT, "one, "))
        handler.wfile.flush()
        began.release()
        go_on.wait(8)
        return False
    upstream.answer = answer
    key = gate.key("crowd")
    got = []
    callers = [threading.Thread(target=lambda: got.append(gate.send(CHAT, body(CHAT), key)))
               for _ in range(90)]
    for caller in callers:
        caller.start()
        assert began.acquire(timeout=20)
    gate.fixture("revoke", gate.runtime, key[4:12])
    for caller in callers:
        caller.join(20)
    assert not go_on.is_set()
    go_on.set()
    assert len(got) == 90
    for one in got:
        assert_error(CHAT, events(one)[-1], "bad_credential")
