# SPDX-License-Identifier: Apache-2.0
"""What is decided before a request goes on (API-2.1.1, API-2.3.1, API-2.3.3, DATA-3.3.1)."""
import json
import re
import time
import urllib.parse

import pytest

from gateway_tools import read_answer
from support import shows_card

UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
CHAT = "/v1/chat/completions"
TURN = [{"role": "user", "content": "hi"}]
BODY = {"model": "m", "messages": TURN}


def refused(answer, status, code, upstream=None):
    assert (answer.status, answer.code) == (status, code), answer.body
    assert UUID7.fullmatch(answer.id)
    assert answer.json()["request_id"] == answer.id
    assert answer.headers["content-type"] == "application/json"
    if upstream is not None:
        assert upstream.requests == []


def test_a_good_request_passes_and_is_recorded(gate, upstream):
    answer = gate.chat(gate.alice, "hello")
    assert answer.status == 200
    assert json.loads(answer.json()["got"]) == {
        "model": "m", "messages": [{"role": "user", "content": "hello"}]}
    assert UUID7.fullmatch(answer.id)
    opened, closed = gate.record_of(answer.id)
    assert opened["status_code"] == closed["status_code"] == "ok"
    assert opened["actor"]["user"]["name"] == "alice"
    assert opened["http_request"]["url"]["path"] == CHAT
    assert closed["http_response"]["code"] == 200
    assert closed["message_context"]["prompt_tokens"] == 3
    assert closed["message_context"]["completion_tokens"] == 4
    assert closed["http_response"]["body_length"] == len(answer.body)


def test_the_callers_request_id_is_not_taken(gate, upstream):
    answer = gate.send(CHAT, BODY, gate.alice, headers=["X-Request-Id: mine"])
    assert UUID7.fullmatch(answer.id)
    assert upstream.requests[0]["headers"]["x-request-id"] == answer.id


@pytest.mark.parametrize("headers", [
    [], ["Authorization: Bearer"], ["Authorization: Bearer dvk_x"], ["Authorization: Basic eDp5"],
    ["x-api-key: dvk_K0000001_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"], ["x-api-key:"],
])
def test_bad_credentials_are_refused(gate, upstream, headers):
    answer = gate.send(CHAT, BODY, headers=headers)
    refused(answer, 401, "bad_credential" if headers else "no_credential", upstream)
    assert answer.headers["www-authenticate"].startswith("Bearer")
    opened, closed = gate.record_of(answer.id)
    assert opened["status_id"] == 2 and closed["http_response"]["code"] == 401


def test_keys_by_prefix_are_refused(gate, upstream):
    for cut in range(1, 12):
        refused(gate.chat(gate.alice[:-cut]), 401, "bad_credential", upstream)
    refused(gate.chat(gate.alice + "a"), 401, "bad_credential", upstream)


def test_x_api_key_works_and_two_keys_must_agree(gate, upstream):
    key = gate.alice
    assert gate.send(CHAT, BODY, headers=[f"x-api-key: {key}"]).status == 200
    assert gate.send(CHAT, BODY, key, headers=[f"x-api-key: {key}"]).status == 200
    refused(gate.send(CHAT, BODY, key, headers=["x-api-key: dvk_other"]), 401, "bad_credential")
    assert gate.send(CHAT, BODY, key, headers=[f"Authorization: Bearer {key}"]).status == 400
    refused(gate.send(CHAT, BODY, headers=[f"x-api-key: {key}"] * 2), 401, "bad_credential")


def test_keys_in_the_query_are_refused(gate, upstream):
    refused(gate.send(f"{CHAT}?key={gate.alice}", BODY, gate.alice), 401, "bad_credential",
            upstream)
    refused(gate.send(f"{CHAT}?api_key={gate.alice}", BODY), 401, "no_credential", upstream)


def test_no_credential_of_the_caller_reaches_the_upstream(gate, upstream):
    gate.send(CHAT, BODY, gate.alice, headers=[
        f"x-api-key: {gate.alice}", "Cookie: dvara=1", "Range: bytes=0-1", "Accept-Encoding: gzip",
        "X-Forwarded-For: 1.2.3.4", "X-Forwarded-User: root", "Remote-User: root",
        "x-litellm-api-base: http://evil", "X-Real-IP: 1.2.3.4", "Forwarded: for=1.2.3.4",
        "If-None-Match: x", "TE: trailers", "Anthropic-Version: 2023-06-01"])
    headers = upstream.requests[0]["headers"]
    assert set(headers) == {"host", "x-request-id", "content-type", "content-length",
                            "anthropic-version"}
    assert gate.alice not in str(upstream.requests)


SENT_ON = {
    "accept": "text/plain, */*;q=0.5", "accept-language": "de", "idempotency-key": "k-1", "openai-beta": "x=v2",
    "openai-organization": "org", "openai-project": "proj", "anthropic-version": "2023-06-01",
    "anthropic-beta": "a,\tb", "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "tracestate": "v=1"}


def test_fields_for_the_model_server_reach_it_as_they_are(gate, upstream):
    answer = gate.send(CHAT, BODY, gate.alice, headers=[f"{name.upper()}: {value}" for name, value in SENT_ON.items()])
    headers = upstream.requests[0]["headers"]
    assert {name: headers[name] for name in SENT_ON} == SENT_ON
    assert (answer.status, headers["x-request-id"]) == (200, answer.id)
    assert headers["host"] == upstream.url.removeprefix("http://")
    assert set(headers) == {"host", "x-request-id", "content-type", "content-length", *SENT_ON}


def test_of_fields_that_came_twice_the_first_is_sent_on_and_empty_ones_are_not(gate, upstream):
    gate.send(CHAT, BODY, gate.alice, headers=["OpenAI-Beta: one", "openai-beta: two", "Accept:", "Tracestate: "])
    headers = upstream.requests[0]["headers"]
    assert headers["openai-beta"] == "one" and "accept" not in headers and "tracestate" not in headers


@pytest.mark.parametrize("byte", [1, 8, 11, 0x1b, 0x1f, 0x7f])
def test_control_characters_in_what_is_sent_on_are_refused(gate, upstream, byte):
    answer = gate.send(CHAT, BODY, gate.alice, headers=[f"Traceparent: a{chr(byte)}b"])
    refused(answer, 400, "bad_request", upstream)
    assert gate.send(CHAT, BODY, gate.alice, headers=[f"User-Agent: a{chr(byte)}b"]).status == 200


@pytest.mark.parametrize("path", [
    "//v1/models", "/v1//models", "/./v1/models", "/x/../v1/models", "/v1/models/..",
    "/%76%31/models", "/v1%2fmodels", "/v1/models;x=y", "/v1\\models", "/v1/models/%2e%2e/x",
    "/v1/models%00", "/v1/models#x", "/V1/models/../models",
])
def test_paths_that_do_not_normalise_to_themselves_are_refused(gate, upstream, path):
    answer = gate.send(path, key=gate.alice)
    refused(answer, 400, "bad_path" if b"%00" not in path.encode() and "#" not in path or
            answer.code == "bad_path" else "bad_request", upstream)


@pytest.mark.parametrize("method,path", [
    ("GET", "/"), ("GET", CHAT), ("DELETE", CHAT), ("POST", CHAT + "/"), ("POST", "/v1/modelsx"),
    ("GET", "/metrics"), ("GET", "/v1/users"), ("POST", "/config/update"), ("OPTIONS", CHAT),
    ("PROPFIND", CHAT), ("get", CHAT),
])
def test_what_matches_no_route_is_refused(gate, upstream, method, path):
    answer = gate.send(path, b"{}" if method == "POST" else None, gate.alice, method)
    assert answer.status in (404, 400)
    assert answer.code in ("no_route", "bad_request")
    assert upstream.requests == []


@pytest.mark.parametrize("method", ["TRACE", "CONNECT"])
def test_trace_and_connect_are_refused(gate, upstream, method):
    answer = gate.send("/v1/models", key=gate.alice, method=method)
    assert answer.status in (400, 405)
    assert answer.code == "bad_request"
    assert upstream.requests == []


def test_head_has_a_record_and_no_body(gate, upstream):
    upstream.json({"data": []})
    answer = gate.send("/v1/models", key=gate.alice, method="HEAD")
    assert (answer.status, answer.body) == (200, b"")
    assert gate.record_of(answer.id)[1]["http_response"]["code"] == 200


def test_a_user_without_the_permission_is_refused(gate, upstream):
    refused(gate.chat(gate.key("nobody", 'Group::"g"')), 403, "not_permitted", upstream)
    refused(gate.send("/v1/models", key=gate.key("nobody", 'Group::"g"')), 403, "not_permitted",
            upstream)


def test_a_forbidden_model_is_refused(gate, upstream):
    answer = gate.chat(gate.alice, model="forbidden")
    assert answer.status == 403 and answer.code in ("forbidden_by_policy", "not_permitted")
    assert upstream.requests == []


@pytest.mark.parametrize("body", [
    b"", b"{", b"{}x", b'{"model":"m","model":"m"}', b'{"a":"\xff"}', b"[" * 100 + b"]" * 100,
    b'{"model":01}', b"\xef\xbb\xbf{}", b'{"a":"\n"}', b"null",
])
def test_malformed_json_is_refused(gate, upstream, body):
    answer = gate.send(CHAT, body, gate.alice)
    assert answer.status == 400 and answer.code in ("bad_json", "bad_request")
    assert upstream.requests == []


@pytest.mark.parametrize("more,param", [
    ({"mystery": 1}, "/mystery"),
    ({"api_base": "http://169.254.169.254"}, "/api_base"),
    ({"metadata": {"x": [{"Base_URL": "http://evil"}]}}, "/metadata/x/0/Base_URL"),
    ({"logprobs": True}, "/logprobs"),
    ({"n": 1000}, "/n"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
     "/messages/0/content/0/type"),
])
def test_fields_that_are_not_allowed_are_named(gate, upstream, more, param):
    answer = gate.send(CHAT, BODY | more, gate.alice)
    refused(answer, 400, "bad_field", upstream)
    assert answer.json()["error"]["param"] == param


@pytest.mark.parametrize("content_type", ["text/plain", "", "application/json; charset=latin1",
                                          "multipart/form-data; boundary=x"])
def test_other_content_types_are_refused(gate, upstream, content_type):
    refused(gate.send(CHAT, BODY, gate.alice, content_type=content_type), 415, "bad_content_type",
            upstream)


def test_encoded_bodies_are_refused(gate, upstream):
    refused(gate.send(CHAT, BODY, gate.alice, headers=["Content-Encoding: gzip"]), 415,
            "bad_encoding", upstream)


def test_upgrade_is_refused(gate, upstream):
    refused(gate.send("/v1/models", key=gate.alice, headers=["Upgrade: websocket"]), 400,
            "bad_request", upstream)


def test_the_routes_body_limit_holds(gate, upstream):
    assert gate.send("/small", b'{"a":"%s"}' % (b"x" * 92), gate.alice).status == 200
    upstream.requests.clear()
    refused(gate.send("/small", b'{"a":"%s"}' % (b"x" * 93), gate.alice), 413, "body_too_large",
            upstream)
    chunk = b"65\r\n" + b'{"a":"%s"}' % (b"x" * 93) + b"\r\n0\r\n\r\n"
    head = (f"POST /small HTTP/1.1\r\nHost: g\r\nAuthorization: Bearer {gate.alice}\r\n"
            "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n").encode()
    refused(gate.raw(head + chunk), 413, "body_too_large", upstream)


def test_nginx_own_body_limit_answers_in_json(gate, upstream):
    answer = gate.send("/large", b" " * (11 << 20), gate.alice)
    refused(answer, 413, "body_too_large", upstream)


def test_chunked_and_spilled_bodies_arrive_whole(gate, upstream):
    text = json.dumps({"text": ["word " * 50000] * 4}).encode()
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(text[i:i + 7777]), text[i:i + 7777])
                      for i in range(0, len(text), 7777)) + b"0\r\n\r\n"
    head = (f"POST /large HTTP/1.1\r\nHost: g\r\nAuthorization: Bearer {gate.alice}\r\n"
            "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n").encode()
    answer = gate.raw(head + chunks)
    assert answer.status == 200, answer.body[:500]
    assert upstream.requests[0]["body"] == text
    assert "transfer-encoding" not in upstream.requests[0]["headers"]
    upstream.requests.clear()
    assert gate.send("/large", text, gate.alice).status == 200
    assert upstream.requests[0]["body"] == text


def test_expect_100_continue(gate, upstream):
    body = json.dumps(BODY).encode()
    with gate.connect() as connection:
        connection.sendall((f"POST {CHAT} HTTP/1.1\r\nHost: g\r\nExpect: 100-continue\r\n"
                            f"Authorization: Bearer {gate.alice}\r\nConnection: close\r\n"
                            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
                            ).encode())
        stream = connection.makefile("rb")
        assert b"100" in stream.readline()
        assert stream.readline() == b"\r\n"
        connection.sendall(body)
        assert b" 200 " in stream.readline()
    answer = gate.send(CHAT, BODY, "dvk_bad", headers=["Expect: 100-continue"])
    refused(answer, 401, "bad_credential")


def test_requests_in_a_row_on_one_connection(gate, upstream):
    body = json.dumps(BODY).encode()
    good = (f"POST {CHAT} HTTP/1.1\r\nHost: g\r\nAuthorization: Bearer {gate.alice}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            ).encode() + body
    bad = good.replace(b"Bearer dvk", b"Bearer xvk")
    with gate.connect() as connection:
        connection.sendall(good + bad + good + bad)
        stream = connection.makefile("rb")
        answers = [read_answer(stream) for _ in range(4)]
    assert [answer.status for answer in answers] == [200, 401, 200, 401]
    assert len({answer.id for answer in answers}) == 4
    assert len(upstream.requests) == 2


def test_a_card_number_does_not_reach_the_upstream(gate, upstream):
    answer = gate.chat(gate.alice, "my card is 4111 1111 1111 1111, mail ada@example.org")
    assert answer.status == 200, answer.body
    sent = upstream.requests[0]["body"].decode()
    assert not shows_card(sent) and "ada@" not in sent
    assert len(upstream.requests[0]["body"]) == int(upstream.requests[0]["headers"]["content-length"])
    opened, _ = gate.record_of(answer.id)
    seen = {s["detector"]: s for s in opened["unmapped"]["dvara"]["sightings"]}
    assert seen["payment_card"]["place"] == "/messages/0/content"
    assert not shows_card(json.dumps(opened))


def test_what_a_policy_blocks_is_refused(gate, upstream):
    key = "-----BEGIN PRIVATE KEY-----\n" + "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC" * 4 + \
        "\n-----END PRIVATE KEY-----"
    answer = gate.chat(gate.alice, key)
    refused(answer, 400, "sensitive_data", upstream)
    assert "/messages/0/content" in answer.json()["error"]["message"]


def test_sensitive_data_in_the_query_is_refused(gate, upstream):
    refused(gate.send(CHAT + "?note=4111%201111%201111%201111", BODY, gate.alice), 400,
            "sensitive_data", upstream)
    refused(gate.send(CHAT + "?api_base=http://x", BODY, gate.alice), 400, "bad_field", upstream)
    assert gate.send(CHAT + "?beta=true", BODY, gate.alice).status == 200
    assert upstream.requests[0]["target"] == CHAT + "?beta=true"


def test_a_fragment_is_refused(gate, upstream):
    for target in ("/v1/models?a=b#api_base=x", "/v1/models#", "/v1/models?#4111111111111111"):
        refused(gate.send(target, None, gate.alice), 400, "bad_path", upstream)
    assert gate.send("/v1/models?", None, gate.alice).status == 200


def test_sensitive_data_in_the_path_is_refused(gate, upstream):
    refused(gate.send("/v1/models/4111111111111111", None, gate.alice), 400, "sensitive_data",
            upstream)
    refused(gate.send("/v1/models/ada@example.org/x", None, gate.alice), 400, "sensitive_data",
            upstream)
    assert gate.send("/v1/models/org/model-3.1-8b", None, gate.alice).status == 200
    assert gate.send("/raw/4111111111111111", None, gate.alice).status == 200
    upstream.requests.clear()
    for path in ("/v1/models/", "/raw/"):
        refused(gate.send(path + gate.alice, None, gate.alice), 400, "bad_request", upstream)


@pytest.mark.parametrize("header", [
    "Accept", "Accept-Language", "Idempotency-Key", "OpenAI-Beta", "OpenAI-Organization",
    "OpenAI-Project", "Anthropic-Version", "Anthropic-Beta", "Traceparent", "Tracestate"])
@pytest.mark.parametrize("value,code", [
    ("4111 1111 1111 1111", "sensitive_data"), ("ada@example.org", "sensitive_data"),
    ("dvk_anything", "bad_request"), ("\udcff", "bad_request")])
def test_headers_that_go_on_are_inspected(gate, upstream, header, value, code):
    head = (f"POST {CHAT} HTTP/1.1\r\nHost: g\r\nAuthorization: Bearer {gate.alice}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(json.dumps(BODY))}\r\n"
            f"Connection: close\r\n{header}: {value}\r\n\r\n")
    answer = gate.raw(head.encode("utf-8", "surrogateescape") + json.dumps(BODY).encode())
    refused(answer, 400, code, upstream)
    assert header in answer.json()["error"]["message"]
    assert value not in json.dumps(gate.record_of(answer.id))


def test_headers_that_go_on_arrive(gate, upstream):
    kept = {"accept": "application/json", "accept-language": "de, en;q=0.5",
            "idempotency-key": "8e03978e-40d5-43e8-bc93-6894a57f9324", "openai-beta": "a=v2",
            "openai-organization": "org-abc", "openai-project": "proj_abc",
            "anthropic-version": "2023-06-01", "anthropic-beta": "tools-2024-04-04",
            "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "tracestate": "rojo=00f067aa0ba902b7"}
    headers = [f"{name}: {value}" for name, value in kept.items()]
    answer = gate.send(CHAT, BODY, gate.alice, headers=headers + ["User-Agent: ada-laptop/1.0"])
    assert answer.status == 200, answer.body
    got = upstream.requests[0]["headers"]
    assert {name: got.get(name) for name in kept} == kept
    assert "user-agent" not in got


def test_denials_have_the_shape_of_the_callers_api(gate, upstream):
    answer = gate.send("/v1/messages", {"model": "m", "messages": TURN}, gate.alice)
    body = answer.json()
    assert (answer.status, body["type"]) == (400, "error")
    assert body["error"]["type"] == "invalid_request_error"
    assert "/max_tokens" in body["error"]["message"]
    assert body["request_id"] == answer.headers["request-id"] == answer.id


@pytest.mark.parametrize("data,status", [
    (b"GARBAGE\r\n\r\n", 400), (b"GET / HTTP/9.9\r\n\r\n", 505),
    (b"GET / HTTP/1.1\r\n\r\n", 400), (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n", 400),
    (b"GET /" + b"a" * 40000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
    (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 40000 + b"\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501),
    (b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
])
def test_malformed_http_is_answered_in_json(gate, upstream, data, status):
    answer = gate.raw(data)
    assert answer.status == status
    assert answer.json()["error"]["type"] in ("invalid_request_error", "server_error")
    assert UUID7.fullmatch(answer.id)
    assert b"nginx" not in answer.body and "nginx" not in str(answer.headers)
    assert upstream.requests == []


def begin(gate, key, path, size):
    """Sends a request's head and the first byte of its body."""
    connection = gate.connect()
    connection.sendall((f"POST {path} HTTP/1.1\r\nHost: g\r\nAuthorization: Bearer {key}\r\n"
                        "Content-Type: application/json\r\nConnection: close\r\n"
                        f"Content-Length: {size}\r\n\r\n").encode() + b"{")
    time.sleep(0.2)
    return connection


@pytest.mark.parametrize("path", [CHAT, "/small", "/raw"])
@pytest.mark.parametrize("change,code", [
    ("revoke", "bad_credential"), ("suspend", "bad_credential"), ("user", "not_permitted"),
    ("nothing", None)])
def test_rights_withdrawn_before_the_body_ends_count(gate, upstream, path, change, code):
    key = gate.key("leaver")
    body = json.dumps(BODY).encode()
    with begin(gate, key, path, len(body)) as connection:
        if change != "nothing":
            gate.fixture(change, gate.runtime, key[4:12] if change == "revoke" else "leaver")
        connection.sendall(body[1:])
        answer = read_answer(connection.makefile("rb"))
    if code is None:
        assert answer.status == 200
    else:
        refused(answer, 403 if code == "not_permitted" else 401, code, upstream)


def test_a_key_that_expires_before_the_body_ends_is_refused(gate, upstream, monkeypatch):
    monkeypatch.setenv("KEY_EXPIRES", str(700_000_000))
    key = gate.key("leaver")
    body = json.dumps(BODY).encode()
    with begin(gate, key, "/small", len(body)) as connection:
        time.sleep(0.8)
        connection.sendall(body[1:])
        refused(read_answer(connection.makefile("rb")), 401, "bad_credential", upstream)


SECRETS = ["dvk_K0000001_abcdef", "ada@example.org", "4111 1111 1111 1111"]


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("make", [
    lambda secret: ("/v1/chat/completions", BODY | {secret: 1}, []),
    lambda secret: ("/v1/chat/completions", BODY | {"metadata": {secret: {"api_base": "x"}}}, []),
    lambda secret: ("/v1/chat/completions", BODY | {"model": secret.replace(" ", "-")}, []),
    lambda secret: ("/v1/chat/completions", BODY, [f"User-Agent: me {secret}"]),
    lambda secret: ("/none/" + urllib.parse.quote(secret), BODY, []),
    lambda secret: ("/none?%zz&x=" + "".join(f"%{b:02x}" for b in secret.encode()), BODY, []),
])
def test_no_secret_of_the_callers_words_is_recorded(gate, upstream, make, secret):
    path, body, headers = make(secret)
    answer = gate.send(path, body, gate.alice, headers=headers)
    text = urllib.parse.unquote(json.dumps(gate.record_of(answer.id)))
    assert "http_request" in text
    assert secret not in text and secret.replace(" ", "-") not in text


def test_the_cut_of_a_long_pointer_leaves_no_half_of_a_name(gate, upstream):
    name = "a" * 140 + " 4111 1111 1111 1111"
    answer = gate.send(CHAT, BODY | {name: 1}, gate.alice)
    assert answer.code == "bad_field"
    assert not shows_card(json.dumps(gate.record_of(answer.id)))
