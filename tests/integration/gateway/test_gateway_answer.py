# SPDX-License-Identifier: Apache-2.0
"""What becomes of answers: inspected, bounded, recorded before their end (API-2.3.2, DATA-3.3.1)."""
import gzip
import json
import socket
import threading
import time

import pytest

from support import shows_card, wait_until

CHAT = "/v1/chat/completions"
SSE = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"


def completion(text, **more):
    return {"id": "1", "object": "chat.completion", "choices": [
        {"index": 0, "message": {"role": "assistant", "content": text}}], **more}


def event(text):
    return b"data: " + json.dumps({"choices": [{"index": 0, "delta": {"content": text}}]}).encode() + b"\n\n"


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


def test_an_answer_is_masked_and_its_length_is_right(gate, upstream):
    upstream.json(completion("card 4111 1111 1111 1111 ok"), headers='ETag: "x"\r\n'
                  "Last-Modified: Sat, 01 Jan 2000 00:00:00 GMT\r\nAccept-Ranges: bytes\r\n")
    answer = gate.chat(gate.alice)
    assert answer.status == 200 and answer.complete
    assert "4111 1111" not in answer.body.decode()
    assert not {"etag", "last-modified", "accept-ranges", "server"} & set(answer.headers)
    _, closed = gate.record_of(answer.id)
    assert closed["unmapped"]["dvara"]["sightings"][0]["detector"] == "payment_card"


def test_cached_input_of_an_answer_counts(gate, upstream):
    upstream.json(json.dumps({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn",
        "content": [{"type": "text", "text": "ok"}],
        "usage": {"input_tokens": 10, "cache_creation_input_tokens": 5, "cache_read_input_tokens": 100,
                  "output_tokens": 2}}).encode())
    answer = gate.send("/v1/messages", {"model": "m", "max_tokens": 9, "messages": [
        {"role": "user", "content": "hi"}]}, gate.alice)
    assert answer.status == 200
    _, closed = gate.record_of(answer.id)
    assert closed["message_context"]["prompt_tokens"] == 115
    assert closed["message_context"]["completion_tokens"] == 2


def test_a_key_revoked_before_the_answer_comes_gets_none_of_it(gate, upstream):
    key = gate.key("leaver")

    def answer(handler, request):
        gate.fixture("revoke", gate.runtime, key[4:12])
        time.sleep(0.01)  # a decision is not asked for again within 5 ms
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                            b"Content-Length: 12\r\n\r\n{\"a\":\"none\"}")
        return True
    upstream.answer = answer
    got = gate.chat(key)
    assert (got.status, got.code) == (401, "bad_credential"), got.body
    assert b"none" not in got.body
    _, closed = gate.record_of(got.id)
    assert closed["status_code"] == "bad_credential"


def test_other_bytes_of_an_answer_stay_as_they_are(gate, upstream):
    body = b'{ "a" : 1.0e+2 , "b":"\\u00e9\\/",\n\t"c": [ 1,2 , 3.000 ] }\n'
    upstream.json(body)
    assert gate.chat(gate.alice).body == body


def test_placeholders_come_back_restored(gate, upstream):
    answer = gate.chat(gate.alice, "mail ada@example.org please")
    sent = upstream.requests[0]["body"].decode()
    assert "ada@" not in sent
    assert "ada@example.org" in answer.json()["got"]


def test_a_blocked_answer_is_refused(gate, upstream):
    upstream.json(completion("-----BEGIN PRIVATE KEY-----\n" + "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC" * 4
                             + "\n-----END PRIVATE KEY-----"))
    answer = gate.chat(gate.alice)
    assert (answer.status, answer.code) == (502, "answer_blocked")
    assert b"MIIE" not in answer.body
    _, closed = gate.record_of(answer.id)
    assert closed["status_code"] == "answer_blocked"
    assert closed["http_response"]["code"] == 502


@pytest.mark.parametrize("body", [b"{", b"", b"{}{}", b'{"a":"\xff"}', b"<html>"])
def test_answers_that_are_no_json_are_refused(gate, upstream, body):
    upstream.sends(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + body)
    answer = gate.chat(gate.alice)
    assert (answer.status, answer.code) == (502, "answer_unreadable")


@pytest.mark.parametrize("head", [
    b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n",
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-7\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=\"utf-16le\"\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json; x=ada@example.org\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n",
    b"HTTP/1.1 206 Partial Content\r\nContent-Type: application/json\r\nContent-Range: bytes 0-1/9\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: br\r\n",
])
def test_answers_that_can_not_be_inspected_are_refused(gate, upstream, head):
    upstream.sends(head + b"Content-Length: 2\r\n\r\n{}")
    answer = gate.chat(gate.alice)
    assert (answer.status, answer.code) == (502, "answer_unreadable"), answer.body
    assert gate.record_of(answer.id)[1]["http_response"]["code"] == 502


def test_gzip_is_refused(gate, upstream):
    body = gzip.compress(json.dumps(completion("4111 1111 1111 1111")).encode())
    upstream.json(body, headers="Content-Encoding: gzip\r\n")
    assert gate.chat(gate.alice).code == "answer_unreadable"


def test_redirects_of_the_upstream_are_refused(gate, upstream):
    upstream.sends(b"HTTP/1.1 302 Found\r\nLocation: http://evil/\r\nContent-Length: 0\r\n\r\n")
    answer = gate.chat(gate.alice)
    assert (answer.status, answer.code) == (502, "upstream_failed")
    assert "location" not in answer.headers


def test_the_upstreams_headers_do_not_steer_nginx(gate, upstream):
    upstream.json(completion("x"), headers="X-Accel-Redirect: /v1/models\r\n"
                  "X-Accel-Limit-Rate: 1\r\nX-Accel-Buffering: yes\r\nX-Request-Id: theirs\r\n"
                  "Set-Cookie: a=b\r\nX-Accel-Expires: 0\r\nServer: uvicorn\r\n")
    answer = gate.chat(gate.alice)
    assert answer.status == 200 and answer.json() == completion("x")
    assert answer.id != "theirs"
    assert not [h for h in answer.headers if h.startswith("x-accel") or h == "set-cookie"]


def test_only_known_headers_and_no_reason_of_the_upstream_pass(gate, upstream):
    upstream.json(completion("x"), status="200 4111111111111111", headers=(
        "X-Leak: 4111111111111111\r\nOpenAI-Processing-Ms: 5\r\nopenai: x\r\n"
        "Content-Security-Policy: x\r\nX-RateLimit-Remaining-Tokens: 7\r\n"))
    with gate.connect() as connection:
        body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "x"}]}).encode()
        connection.sendall((f"POST {CHAT} HTTP/1.1\r\nHost: g\r\nConnection: close\r\n"
                            f"Authorization: Bearer {gate.alice}\r\nContent-Length: {len(body)}\r\n"
                            f"Content-Type: application/json\r\n\r\n").encode() + body)
        data = connection.makefile("rb").read()
    assert data.startswith(b"HTTP/1.1 200 OK\r\n") and not shows_card(data)
    head = data.partition(b"\r\n\r\n")[0].lower()
    assert b"openai-processing-ms: 5" in head and b"x-ratelimit-remaining-tokens: 7" in head
    assert b"openai: x" not in head and b"security" not in head


def test_known_headers_with_personal_data_are_dropped(gate, upstream):
    upstream.json(completion("x"), headers=(
        "OpenAI-Organization: ada@example.org\r\nContent-Language: 4111 1111 1111 1111\r\n"
        "OpenAI-Version: 2020-10-01\r\n"))
    answer = gate.chat(gate.alice)
    assert answer.status == 200 and answer.headers["openai-version"] == "2020-10-01"
    assert "openai-organization" not in answer.headers
    assert not shows_card(str(answer.headers))


@pytest.mark.parametrize("charset", ["", "; charset=utf-8", "; charset=US-ASCII"])
def test_text_in_utf_8_passes(gate, upstream, charset):
    upstream.sends(f"HTTP/1.1 200 OK\r\nContent-Type: text/plain{charset}\r\n"
                   "Content-Length: 2\r\n\r\nhi".encode())
    answer = gate.chat(gate.alice)
    assert (answer.status, answer.body) == (200, b"hi")


def test_errors_of_the_upstream_pass(gate, upstream):
    upstream.json({"error": {"message": "busy"}}, status="503 Busy")
    answer = gate.chat(gate.alice)
    assert (answer.status, answer.json()["error"]["message"]) == (503, "busy")


def test_no_content_passes(gate, upstream):
    upstream.sends(b"HTTP/1.1 204 No Content\r\n\r\n")
    answer = gate.chat(gate.alice)
    assert answer.status == 204
    assert gate.record_of(answer.id)[1]["http_response"]["code"] == 204


@pytest.mark.parametrize("pieces", [
    [b""], [b"HTTP/1.1 200 OK\r\nContent-"], [b"garbage\r\n\r\n"],
    [b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{}"],
    [b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
     b"2\r\n{}\r\n"],
])
def test_broken_answers_are_a_bad_gateway(gate, upstream, pieces):
    upstream.sends(*pieces, pause=0.02)
    answer = gate.chat(gate.alice)
    assert (answer.status, answer.code) == (502, "upstream_failed"), answer.body
    _, closed = gate.record_of(answer.id)
    assert closed["http_response"]["code"] == 502


def test_after_broken_chunks_the_caller_gets_nothing(gate, upstream):
    upstream.sends(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                   b"Transfer-Encoding: chunked\r\n\r\n", b"zz\r\n{}\r\n", pause=0.02)
    with pytest.raises(IndexError):
        gate.chat(gate.alice)
    last = gate.records()[-1]
    assert last["unmapped"]["dvara"]["phase"] == "close"
    assert last["unmapped"]["dvara"]["aborted"] is True


def test_more_than_the_announced_length_is_cut(gate, upstream):
    upstream.sends(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n"
                   b"{}HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nsmuggle")
    assert gate.chat(gate.alice).body == b"{}"
    upstream.json(completion("clean"))
    assert gate.chat(gate.alice).json() == completion("clean")


def test_an_upstream_that_is_silent_times_out(gate, upstream):
    upstream.sends(pause=0)
    upstream.answer = lambda handler, request: time.sleep(5)
    answer = gate.chat(gate.alice)
    assert (answer.status, answer.code) == (504, "upstream_failed")
    assert gate.record_of(answer.id)[1]["http_response"]["code"] == 504


def test_large_answers_are_inspected_whole(gate, upstream):
    text = "nothing to see " * 200000 + "4111 1111 1111 1111"
    upstream.json(completion(text))
    answer = gate.chat(gate.alice)
    assert answer.status == 200 and answer.complete
    assert len(answer.body) > 2900000 and b"4111 1111" not in answer.body


def test_an_uninspected_route_passes_bytes(gate, upstream):
    upstream.sends(b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 5\r\n\r\n\x89PNG\x00")
    answer = gate.send("/raw/x", key=gate.alice)
    assert (answer.body, answer.complete) == (b"\x89PNG\x00", True)
    assert gate.record_of(answer.id)[1]["http_response"]["body_length"] == 5


def test_text_is_inspected(gate, upstream):
    body = b"card 4111 1111 1111 1111"
    upstream.sends(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n"
                   % len(body) + body)
    answer = gate.chat(gate.alice)
    assert answer.status == 200 and b"4111 1111" not in answer.body


def test_a_stream_arrives_as_it_is_made(gate, upstream):
    upstream.sends(SSE + b"\r\n", event("one "), event("two "), b"data: [DONE]\n\n", pause=0.2)
    with gate.connect() as connection:
        body = json.dumps({"model": "m", "stream": True,
                           "messages": [{"role": "user", "content": "x"}]}).encode()
        connection.sendall((f"POST {CHAT} HTTP/1.1\r\nHost: g\r\nConnection: close\r\n"
                            f"Authorization: Bearer {gate.alice}\r\nContent-Length: {len(body)}\r\n"
                            f"Content-Type: application/json\r\n\r\n").encode() + body)
        start = time.monotonic()
        data, first = b"", None
        while (piece := connection.recv(65536)):
            data += piece
            if first is None and b"data:" in data:
                first = time.monotonic() - start
    assert data.endswith(b"0\r\n\r\n") and b"[DONE]" in data
    assert first < 0.75


def test_a_stream_is_masked_and_recorded(gate, upstream):
    text = "the card 4111 1111 1111 1111 is mine"
    upstream.sends(SSE + b"\r\n", *[event(c) for c in text], b"data: [DONE]\n\n", pause=0.002)
    answer = gate.chat(gate.alice, stream=True)
    assert answer.status == 200 and answer.complete
    assert answer.headers["content-type"] == "text/event-stream"
    got = "".join(json.loads(line[6:])["choices"][0]["delta"].get("content") or ""
                  for line in answer.body.decode().splitlines()
                  if line.startswith("data: {"))
    assert got.startswith("the card ") and got.endswith(" is mine") and "4111 1111" not in got
    assert answer.body.rstrip().endswith(b"data: [DONE]")
    _, closed = gate.record_of(answer.id)
    assert closed["http_response"]["body_length"] == len(answer.body)
    assert closed["unmapped"]["dvara"].get("aborted") in (None, False)


def test_a_stream_that_breaks_off_has_no_proper_end(gate, upstream):
    upstream.sends(SSE + b"Transfer-Encoding: chunked\r\n\r\n", chunk(event("one ")))
    answer = gate.chat(gate.alice, stream=True)
    assert answer.status == 200 and not answer.complete
    assert gate.wait_for_close(answer.id)["unmapped"]["dvara"]["aborted"] is True


def test_a_revoked_key_ends_its_streams(gate, upstream):
    key = gate.key("leaver")
    go_on = threading.Event()

    def answer(handler, request):
        handler.wfile.write(SSE + b"\r\n" + event("one "))
        handler.wfile.flush()
        go_on.wait(5)
        handler.wfile.write(event("two ") + b"data: [DONE]\n\n")
        return False
    upstream.answer = answer
    timer = threading.Timer(0.3, lambda: (gate.fixture("revoke", gate.runtime, key[4:12]),
                                          go_on.set()))
    timer.start()
    got = gate.chat(key, stream=True)
    timer.join()
    assert b"two" not in got.body and b"bad_credential" in got.body
    assert gate.wait_for_close(got.id)["status_code"] == "bad_credential"


def test_a_key_that_expires_ends_its_streams(gate, upstream, monkeypatch):
    monkeypatch.setenv("KEY_EXPIRES", str(800_000_000))
    key = gate.key("leaver")
    upstream.sends(SSE + b"\r\n" + event("one "), event("two ") + b"data: [DONE]\n\n", pause=1)
    got = gate.chat(key, stream=True)
    assert b"two" not in got.body and b"bad_credential" in got.body


def test_a_caller_that_goes_away_is_recorded_as_aborted(gate, upstream):
    stop = threading.Event()

    def answer(handler, request):
        handler.wfile.write(SSE + b"\r\n")
        for _ in range(200):
            handler.wfile.write(event("word "))
            handler.wfile.flush()
            if stop.wait(0.02):
                break
        return False
    upstream.answer = answer
    body = json.dumps({"model": "m", "stream": True,
                       "messages": [{"role": "user", "content": "x"}]}).encode()
    connection = gate.connect()
    connection.sendall((f"POST {CHAT} HTTP/1.1\r\nHost: g\r\nAuthorization: Bearer {gate.alice}\r\n"
                        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
                        ).encode() + body)
    data = b""
    while b"data:" not in data:
        data += connection.recv(65536)
    request_id = data.split(b"x-request-id: ")[1][:36].decode()
    connection.close()
    closed = gate.wait_for_close(request_id)
    stop.set()
    assert closed["unmapped"]["dvara"]["aborted"] is True


def test_a_slow_caller_does_not_make_the_worker_grow(gate, upstream):
    sent = [0]

    def answer(handler, request):
        handler.wfile.write(SSE + b"\r\n")
        block = event("x" * 8000)
        try:
            for _ in range(8000):
                handler.wfile.write(block)
                sent[0] += len(block)
        except OSError:
            pass
        return False
    upstream.answer = answer
    body = json.dumps({"model": "m", "stream": True,
                       "messages": [{"role": "user", "content": "x"}]}).encode()
    with gate.connect() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall((f"POST {CHAT} HTTP/1.1\r\nHost: g\r\nContent-Length: {len(body)}\r\n"
                            f"Authorization: Bearer {gate.alice}\r\n"
                            f"Content-Type: application/json\r\n\r\n").encode() + body)

        def is_held_up():
            before = sent[0]
            time.sleep(0.5)
            return sent[0] == before > 0
        wait_until(is_held_up, 20, "the model server is held up")
        assert sent[0] < 30_000_000


def test_a_half_closed_caller_gets_its_answer(gate, upstream):
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "x"}]}).encode()
    with gate.connect() as connection:
        connection.sendall((f"POST {CHAT} HTTP/1.1\r\nHost: g\r\nContent-Length: {len(body)}\r\n"
                            f"Authorization: Bearer {gate.alice}\r\nConnection: close\r\n"
                            f"Content-Type: application/json\r\n\r\n").encode() + body)
        connection.shutdown(socket.SHUT_WR)
        data = b""
        while (piece := connection.recv(65536)):
            data += piece
    assert data == b"" or b" 200 " in data


def test_http_1_0(gate, upstream):
    answer = gate.send(CHAT, {"model": "m", "messages": [{"role": "user", "content": "x"}]},
                       gate.alice, version="1.0")
    assert answer.status == 200 and answer.json()["usage"]
