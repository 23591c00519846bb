# SPDX-License-Identifier: Apache-2.0
"""Large bodies: computed by threads, with the same outcome as small ones (API-2.3.2, DATA-3.3.1)."""
import json
import pathlib
import signal
import socket
import sys
import threading
import time

import pytest

from gateway_tools import CONFIG, read_answer
from support import wait_until

sys.path.append(str(pathlib.Path(__file__).resolve().parents[2] / "torture"))
from torture import FROM, MEMORY, Torture  # noqa: E402

CHAT = "/v1/chat/completions"
PROSE = "The pumps of the northern districts start faster and need less care than the old ones. "
NASTY = "1.1.1." * 100000  # each byte may begin something


def prose(size):
    return PROSE * (size // len(PROSE))


def body(text):
    return {"model": "m", "messages": [{"role": "user", "content": text}]}


def head_of(gate, key, length, path="/large"):
    return (f"POST {path} HTTP/1.1\r\nHost: g\r\nAuthorization: Bearer {key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n").encode()


def status_of(connection):
    line = connection.makefile("rb").readline()
    return int(line.split(b" ")[1])


@pytest.mark.parametrize("size", [30 << 10, 40 << 10, 100 << 10, 900 << 10])
def test_values_anywhere_in_a_large_body_are_replaced_and_restored(gate, upstream, size):
    text = "mail ada@example.org " + prose(size // 2) + "eve@example.org " + prose(size // 2) + "bob@example.org"
    answer = gate.chat(gate.alice, text)
    assert answer.status == 200, answer.body[:200]
    sent = json.loads(upstream.requests[0]["body"])["messages"][0]["content"]
    assert "@example.org" not in sent and sent.count("<EMAIL_") == 3
    assert sent.count(PROSE) == text.count(PROSE)
    assert json.loads(answer.json()["got"])["messages"][0]["content"] == text
    opened, closed = gate.record_of(answer.id)
    assert len(opened["unmapped"]["dvara"]["sightings"]) == 3
    assert closed["http_response"]["code"] == 200


def test_a_large_body_is_checked_like_a_small_one(gate, upstream):
    more = prose(200 << 10)
    for text, code, param in [
            ({**body(more), "what": 1}, "bad_field", "/what"),
            ({**body(more), "metadata": {"api_base": "x"}}, "bad_field", "/metadata/api_base"),
            ({**body(more), "model": "forbidden"}, "forbidden_by_policy", None),
            (json.dumps(body(more)).encode()[:-1], "bad_json", None),
            (body(more + "-----BEGIN PRIVATE KEY-----\n" + "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC" * 4 +
                  "\n-----END PRIVATE KEY-----"), "sensitive_data", None)]:
        answer = gate.send(CHAT, text, gate.alice)
        assert answer.code == code, answer.body
        assert answer.json()["error"]["param"] == param
        opened, closed = gate.record_of(answer.id)
        assert closed["status_code"] == code
    assert upstream.requests == []


@pytest.mark.parametrize("kind", ["application/json", "text/plain"])
def test_large_answers_are_masked(gate, upstream, kind):
    text = prose(150 << 10) + "4111 1111 1111 1111 " + prose(150 << 10)
    whole = json.dumps({"choices": [{"message": {"content": text}}], "usage": {
        "prompt_tokens": 3, "completion_tokens": 4}}) if kind == "application/json" else text
    upstream.sends(f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(whole)}\r\n\r\n".encode(),
                   whole.encode())
    answer = gate.chat(gate.alice)
    assert answer.status == 200 and answer.complete
    assert "[CARD ****1111]" in answer.body.decode() and "4111 1111" not in answer.body.decode()
    _, closed = gate.record_of(answer.id)
    assert closed["unmapped"]["dvara"]["sightings"][0]["detector"] == "payment_card"


def test_a_large_answer_that_is_refused_is_replaced(gate, upstream):
    upstream.sends(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n", b'"' + b"x" * 100000)
    answer = gate.chat(gate.alice)
    assert (answer.status, answer.code) == (502, "answer_unreadable")
    _, closed = gate.record_of(answer.id)
    assert closed["status_code"] == "answer_unreadable"


def test_several_large_requests_on_one_connection(gate, upstream):
    text = json.dumps(body(prose(100 << 10))).encode()
    with gate.connect() as connection:
        for _ in range(3):
            connection.sendall(head_of(gate, gate.alice, len(text), CHAT) + text)
            stream = connection.makefile("rb")
            assert b" 200 " in stream.readline()
            while (line := stream.readline()) != b"\r\n":
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            assert len(stream.read(length)) == length
    assert [request["body"] for request in upstream.requests] == [text] * 3


def test_callers_that_go_away_while_their_bodies_are_inspected(make_gate, upstream):
    gate = make_gate()
    key, workers = gate.key(), gate.workers()
    text = json.dumps([NASTY] * 4).encode()
    for pause in (0, 0.01, 0.05, 0.2):
        callers = [gate.connect() for _ in range(4)]
        for caller in callers:
            caller.sendall(head_of(gate, key, len(text)) + text)
        time.sleep(pause)
        for caller in callers:
            caller.close()
    assert gate.chat(key, prose(100 << 10)).status == 200
    assert gate.workers() == workers


def test_callers_that_go_away_while_their_answers_are_inspected(make_gate, upstream):
    gate = make_gate()
    key, workers = gate.key(), gate.workers()
    text = json.dumps({"a": [NASTY] * 4}).encode()
    sent = threading.Semaphore(0)

    def answer(handler, request):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                            b"Content-Length: %d\r\n\r\n" % len(text) + text)
        handler.wfile.flush()
        sent.release()
        return True
    upstream.answer = answer
    for pause in (0, 0.01, 0.05, 0.2):
        callers = [gate.connect() for _ in range(3)]
        for caller in callers:
            caller.sendall(head_of(gate, key, 15) + b'{"hello":"you"}')
        for _ in callers:
            assert sent.acquire(timeout=20)
        time.sleep(pause)
        for caller in callers:
            caller.close()
    upstream.echo()
    assert gate.chat(key).status == 200
    assert gate.workers() == workers
    records = [r for r in gate.records() if r["unmapped"]["dvara"]["phase"] == "open"]
    for record in records:
        assert gate.wait_for_close(record["api"]["request"]["uid"])


def a_thread_runs(worker):
    for _ in range(1000):
        for task in pathlib.Path(f"/proc/{worker}/task").iterdir():
            state = (task / "stat").read_text().rsplit(")", 1)[1].split()[0]
            if task.name != str(worker) and state == "R":
                return True
        time.sleep(0.01)
    return False


@pytest.mark.ordinary_build
def test_a_caller_that_goes_away_without_memory_holds_nothing(make_gate, upstream, tmp_path, monkeypatch):
    """What a request held at once is given back though its arena is left to a thread just then."""
    torture = Torture(tmp_path / "torture")
    monkeypatch.setenv("LD_PRELOAD", str(torture.library))
    gate = make_gate(config=CONFIG | {"limits": {"key": [{"max": 1, "period": "at_once"}]}})
    monkeypatch.delenv("LD_PRELOAD")
    key, workers = gate.key(), gate.workers()
    text = json.dumps([NASTY] * 4).encode()
    with gate.connect() as caller:
        caller.sendall(head_of(gate, key, len(text)) + text)
        assert a_thread_runs(workers[0])
        torture.arm("nginx", 1, mode=FROM, kinds=MEMORY)
    time.sleep(0.1)
    torture.disarm("nginx")
    wait_until(lambda: gate.chat(key).status == 200, 10, "the key's one place is free again")
    assert gate.workers() == workers


def test_a_key_revoked_while_an_answer_is_inspected_gets_none_of_it(make_gate, upstream):
    gate = make_gate()
    key, began = gate.key("leaver"), threading.Event()
    text = json.dumps({"a": [NASTY] * 4}).encode()

    def answer(handler, request):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                            b"Content-Length: %d\r\n\r\n" % len(text) + text)
        handler.wfile.flush()
        began.set()
        return True
    upstream.answer = answer
    with gate.connect() as caller:
        caller.sendall(head_of(gate, key, 15) + b'{"hello":"you"}')
        assert began.wait(20)
        gate.fixture("revoke", gate.runtime, key[4:12])
        got = read_answer(caller.makefile("rb"))
    upstream.echo()
    assert (got.status, got.code) == (401, "bad_credential")
    assert b"1.1.1" not in got.body
    closed = gate.wait_for_close(got.id)
    assert closed["status_code"] == "bad_credential"


def test_a_reload_lets_large_bodies_end(make_gate, upstream):
    gate = make_gate()
    keys = [gate.key(f"user{i}") for i in range(4)]
    text = json.dumps([NASTY] * 4).encode()
    upstream.requests.clear()
    callers = [gate.connect() for _ in keys]
    for caller, key in zip(callers, keys):
        caller.sendall(head_of(gate, key, len(text)) + text[:-1])
    for caller in callers:
        caller.sendall(text[-1:])
    before = gate.workers()
    gate.process.send_signal(signal.SIGHUP)
    assert [status_of(caller) for caller in callers] == [200] * 4
    for caller in callers:
        caller.close()
    wait_until(lambda: not set(before) & set(gate.workers()), 10, "the old workers are gone")
    assert len(upstream.requests) == 4


def test_a_worker_that_must_end_does_not_wait_for_large_bodies(make_gate, upstream):
    gate = make_gate()
    key = gate.key()
    text = json.dumps([NASTY] * 8).encode()
    callers = [gate.connect() for _ in range(8)]
    for caller in callers:
        caller.sendall(head_of(gate, key, len(text)) + text)
    gate.process.send_signal(signal.SIGTERM)
    assert gate.process.wait(30) == 0
    for caller in callers:
        caller.close()


def test_what_is_too_much_is_turned_away(make_gate, upstream):
    gate = make_gate()
    greedy, modest = gate.key("greedy"), gate.key("modest")
    text = json.dumps(NASTY).encode()
    callers = [gate.connect() for _ in range(50)]
    for caller in callers:
        caller.sendall(head_of(gate, greedy, len(text)) + text[:-1])
    time.sleep(0.3)
    for caller in callers:
        caller.sendall(text[-1:])
    # Another's body is not turned away, and has not to wait for all of those.
    assert gate.chat(modest, prose(100 << 10)).status == 200
    statuses = [status_of(caller) for caller in callers]
    for caller in callers:
        caller.close()
    assert set(statuses) == {200, 503}
    refused = [r for r in gate.records() if r.get("status_code") == "overloaded"
               and r["unmapped"]["dvara"]["phase"] == "close"]
    assert len(refused) == statuses.count(503)
    assert refused[0]["http_response"]["code"] == 503


def trickle(connection, byte, seconds):
    """Sends a byte now and then until there is an answer."""
    connection.settimeout(0.1)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            return connection.recv(65536)
        except socket.timeout:
            connection.sendall(byte)
    raise AssertionError("no answer")


def test_a_body_that_comes_too_slowly_is_refused(make_gate, upstream):
    gate = make_gate(directives="dvara_body_timeout 500ms;")
    key = gate.key()
    upstream.requests.clear()
    with gate.connect() as connection:
        connection.sendall(head_of(gate, key, 100000, CHAT) + b'{"model":"')
        got = trickle(connection, b"m", 30)
    head, _, text = got.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 ") and b"Connection: close" in head
    error = json.loads(text)
    assert error["error"]["code"] == "body_timeout"
    opened, closed = gate.record_of(error["request_id"])
    assert opened is not None and closed["http_response"]["code"] == 408
    assert upstream.requests == []
    answer = gate.chat(key, prose(100 << 10))
    assert answer.status == 200


def spilled(worker):
    """Descriptors of bodies that lie in files."""
    found = []
    for entry in pathlib.Path(f"/proc/{worker}/fd").iterdir():
        try:
            found += [entry] if "client_body" in str(entry.readlink()) else []
        except FileNotFoundError:
            pass
    return found


def test_spilled_bodies_leave_no_descriptors(make_gate, upstream):
    gate = make_gate()
    key = gate.key()
    (worker,) = gate.workers()[:1]
    for _ in range(10):
        assert gate.chat(key, prose(300 << 10)).status == 200
    wait_until(lambda: not spilled(worker), 10, "no body lies in an open file")


def test_a_small_body_that_is_slow_to_search_goes_to_a_thread(gate, upstream):
    """Its outcome is the same as that of any other."""
    slow = "1.1.1.4 4 4 2-2-2 " * 1600
    assert len(slow) < 30 << 10
    for text in (slow + " ada@example.org", "a@b.example " * 2000):
        answer = gate.chat(gate.alice, text)
        assert answer.status == 200, answer.body[:300]
        sent = json.loads(upstream.requests.pop()["body"])["messages"][0]["content"]
        assert "@" not in sent and "<EMAIL_" in sent
        assert json.loads(answer.json()["got"])["messages"][0]["content"] == text
    upstream.json({"choices": [{"message": {"content": slow + "4111 1111 1111 1111"}}]})
    assert "[CARD" in gate.chat(gate.alice).body.decode()


def test_a_stream_that_comes_at_once_arrives_whole(gate, upstream):
    words = [f"word{i} " for i in range(6000)]
    words[3000:3000] = ["4111 11", "11 1111 ", "1111 "]
    events = b"".join(b"data: " + json.dumps({"choices": [{"index": 0, "delta": {"content": word}}]}).encode() +
                      b"\n\n" for word in words) + b"data: [DONE]\n\n"
    upstream.sends(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                   b"Content-Length: %d\r\n\r\n" % len(events) + events)
    answer = gate.chat(gate.alice, stream=True)
    assert answer.status == 200 and answer.complete
    pieces = [json.loads(line[6:])["choices"][0]["delta"].get("content", "")
              for line in answer.body.decode().split("\n") if line.startswith("data: {")]
    wanted = "".join(words).replace("4111 1111 1111 1111", "[CARD ****1111]")
    assert "".join(pieces) == wanted
    assert answer.body.endswith(b"data: [DONE]\n\n")
    assert gate.wait_for_close(answer.id)["http_response"]["code"] == 200
