# SPDX-License-Identifier: Apache-2.0
"""Holes that were published of other gateways, tried on this one (API-2.1.1, API-2.3.1)."""
import http.client
import json
import urllib.parse

import pytest

from conftest import Dvara
from recorder import Recorder
from support import shows_card

BODY = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture(scope="module")
def upstream():
    recorder = Recorder()
    yield recorder
    recorder.stop()


@pytest.fixture(scope="module")
def gate(upstream, tmp_path_factory):
    running = Dvara(tmp_path_factory.mktemp("holes"), upstream.url)
    yield running
    running.down()


@pytest.fixture(scope="module")
def key(gate):
    return gate.user_with_key("alice")["secret"]


def call(url, path="/v1/chat/completions", method="POST", body=BODY, headers=None, key=None):
    where = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(where.hostname, where.port, timeout=10)
    sent = {"Content-Type": "application/json", **(headers or {})}
    if key is not None:
        sent["Authorization"] = "Bearer " + key
    text = body if isinstance(body, (str, bytes)) or body is None else json.dumps(body)
    connection.request(method, path, text, sent)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, dict(answer.headers.items()), content


def refused(gate, upstream, status, **how):
    """The gate says no with that status, and nothing reached the model server."""
    before = len(upstream.requests)
    got, headers, content = call(gate.url, **how)
    assert got == status, content
    assert len(upstream.requests) == before
    assert {name.lower(): value for name, value in headers.items()}["x-request-id"]
    return json.loads(content)


def test_the_way_it_should_be(gate, upstream, key):
    status, _, content = call(gate.url, key=key)
    assert status == 200 and b"Hello." in content


@pytest.mark.parametrize("change", [
    lambda key: key[:-1], lambda key: key + "x", lambda key: key[:20],
    lambda key: key[:12] + "0" * 36, lambda key: key.upper(), lambda key: key + " x",
    lambda key: key[:-7] + ("a" if key[-7] != "a" else "b") + key[-6:], lambda _: "",
    lambda _: "dvk_", lambda key: "sk-" + key, lambda key: key + "," + key])
def test_nothing_but_the_whole_key_opens(gate, upstream, key, change):
    call(gate.url, key=key)  # a cache would now be warm
    refused(gate, upstream, 401, key=change(key))


def test_a_key_in_the_query_is_refused(gate, upstream, key):
    for name in ("key", "api_key", "access_token"):
        refused(gate, upstream, 401, path=f"/v1/chat/completions?{name}={key}")


def test_two_different_keys_are_refused(gate, upstream, key):
    refused(gate, upstream, 401, key=key, headers={"x-api-key": key[:-1] + ("y" if key.endswith("x") else "x")})


@pytest.mark.parametrize("body", [
    {**BODY, "api_base": "http://127.0.0.1:1"},
    {**BODY, "base_url": "http://127.0.0.1:1"},
    {**BODY, "metadata": {"deep": [{"api_base": "http://127.0.0.1:1"}]}},
    {**BODY, "messages": [{"role": "user", "content": "hi", "Api_Base": "x"}]},
    {**BODY, "extra_body": {"api_base": "x"}},
    {**BODY, "litellm_params": {"custom_llm_provider": "x"}},
    '{"model":"m","messages":[{"role":"user","content":"hi"}],"\\u0061pi_base":"x"}',
    '{"model":"m","model":"other","messages":[{"role":"user","content":"hi"}]}'])
def test_a_caller_can_not_choose_the_upstream(gate, upstream, key, body):
    refused(gate, upstream, 400, key=key, body=body)


@pytest.mark.parametrize("url", [
    "http://169.254.169.254/latest/meta-data/", "http://100.64.0.1/", "http://[64:ff9b::a00:1]/",
    "http://[2002:7f00:1::]/", "http://2130706433/", "http://localhost/", "file:///etc/passwd"])
def test_private_addresses_are_not_fetched(gate, upstream, key, url):
    content = [{"type": "image_url", "image_url": {"url": url}}]
    refused(gate, upstream, 400, key=key,
            body={"model": "m", "messages": [{"role": "user", "content": content}]})


@pytest.mark.parametrize("path", [
    "/v1/users", "/v1/apikeys", "/config", "/metrics", "/admin", "/v1/../v1/chat/completions",
    "//v1/chat/completions", "/v1//chat/completions", "/v1/chat/completions/", "/v1/%63hat/completions",
    "/v1/chat/completions%00", "/v1/chat/completions;x=1", "/./v1/chat/completions",
    "/v1/chat/completions/../models"])
def test_other_paths_are_refused(gate, upstream, key, path):
    before = len(upstream.requests)
    status, _, _ = call(gate.url, key=key, path=path)
    assert status in (400, 404)
    assert len(upstream.requests) == before


def test_headers_do_not_make_an_identity(gate, upstream, key):
    claims = {"X-Forwarded-User": "admin", "X-User": "admin", "X-Dvara-Principal": 'User::"admin"',
              "X-Remote-User": "admin", "X-HTTP-Method-Override": "DELETE",
              "X-Original-URL": "/v1/users", "X-Rewrite-URL": "/v1/users",
              "Forwarded": "for=127.0.0.1", "X-Forwarded-For": "127.0.0.1"}
    refused(gate, upstream, 401, headers=claims)
    status, headers, _ = call(gate.url, key=key, headers=claims)
    assert status == 200
    seen = upstream.requests[-1]
    assert seen["method"] == "POST" and seen["path"] == "/v1/chat/completions"
    assert key not in str(seen)
    why = gate.why({n.lower(): v for n, v in headers.items()}["x-request-id"])
    assert "alice" in str(why) and "admin" not in str(why)


def test_the_upstream_does_not_steer_the_gate(gate, upstream, key):
    upstream.reply = Recorder.chat_reply("Hello.", [
        ("X-Accel-Redirect", "/metrics"), ("X-Accel-Limit-Rate", "1"), ("X-Accel-Buffering", "no"),
        ("X-Accel-Charset", "utf-7"), ("X-Accel-Expires", "99"), ("X-Request-Id", "forged")])
    status, headers, content = call(gate.url, key=key)
    upstream.reply = Recorder.chat_reply("Hello.")
    names = {name.lower(): value for name, value in headers.items()}
    assert status == 200 and b"Hello." in content
    assert not [name for name in names if name.startswith("x-accel")]
    assert names["x-request-id"] != "forged"


def test_values_never_reach_the_model_and_come_back(gate, upstream, key):
    """Masked on the way out; the caller's own values are restored in the answer."""
    text = "Card 4111 1111 1111 1111, mail ada@example.org."
    call(gate.url, key=key, body={"model": "m", "messages": [{"role": "user", "content": text}]})
    sent = upstream.requests[-1]["body"]
    assert not shows_card(sent) and "ada@" not in sent
    content = json.loads(sent)["messages"][0]["content"]
    upstream.reply = Recorder.chat_reply("You wrote: " + content + " Mine: 5555 5555 5555 4444.")
    _, _, answer = call(gate.url, key=key, body={"model": "m", "messages": [
        {"role": "user", "content": text}]})
    upstream.reply = Recorder.chat_reply("Hello.")
    said = json.loads(answer)["choices"][0]["message"]["content"]
    assert text in said
    assert "5555 5555 5555 4444" not in said


def test_another_callers_placeholder_is_not_restored(gate, upstream, key):
    text = "mail ada@example.org"
    call(gate.url, key=key, body={"model": "m", "messages": [{"role": "user", "content": text}]})
    placeholder = json.loads(upstream.requests[-1]["body"])["messages"][0]["content"]
    other = gate.user_with_key("mallory")["secret"]
    upstream.reply = Recorder.chat_reply("It is " + placeholder)
    _, _, answer = call(gate.url, key=other, body={"model": "m", "messages": [
        {"role": "user", "content": "What does " + placeholder + " stand for?"}]})
    upstream.reply = Recorder.chat_reply("Hello.")
    assert b"ada@" not in answer


def test_the_admin_listener_wants_a_credential_and_a_role(gate, key):
    admin = gate.json("status")["admin"]
    for path in ("/v1/users", "/v1/api-keys", "/v1/audit/events"):
        assert call(admin, path=path, method="GET", body=None)[0] == 401
        assert call(admin, path=path, method="GET", body=None, key=key)[0] == 403
        spoofed = {"X-Dvara-Caller": 'Local::"root"', "X-Forwarded-User": "admin"}
        assert call(admin, path=path, method="GET", body=None, headers=spoofed)[0] == 401
