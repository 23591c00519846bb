# SPDX-License-Identifier: Apache-2.0
"""The gate as a whole: limits, readiness, changes, the admin listener, TLS and HTTP/2, crashes."""
import concurrent.futures
import copy
import json
import os
import pathlib
import re
import signal
import socket
import socketserver
import ssl
import struct
import subprocess
import threading
import time

import pytest

from gateway_tools import CONFIG, PERMIT, Gate, Upstream, make_certificate
from support import wait_until

CHAT = "/v1/chat/completions"


def limited(**limits):
    config = copy.deepcopy(CONFIG)
    config["limits"] = {kind: [{"count": count, "period_ns": 60 * 10**9, "burst": count}]
                        for kind, count in limits.items()}
    return config


def test_a_limit_admits_no_more_than_it_says(make_gate, upstream):
    gate = make_gate(config=limited(key=5))
    key = gate.key()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: gate.chat(key), range(20)))
    assert sorted(a.status for a in answers) == [200] * 5 + [429] * 15
    refused = next(a for a in answers if a.status == 429)
    assert refused.code == "rate_limited"
    assert 1 <= int(refused.headers["retry-after"]) <= 12
    assert refused.headers["ratelimit-policy"] == '"key";q=5;w=60'
    assert re.fullmatch(r'"key";r=0;t=\d+', refused.headers["ratelimit"])
    admitted = [a.headers["ratelimit"] for a in answers if a.status == 200]
    assert sorted(int(re.search(r"r=(\d+)", h)[1]) for h in admitted) == [0, 1, 2, 3, 4]
    opened, _ = gate.record_of(refused.id)
    assert opened["unmapped"]["dvara"]["limit"]
    assert gate.chat(gate.key("bob")).status == 200
    assert len(upstream.requests) >= 6


@pytest.mark.parametrize("kind", ["user", "group", "address"])
def test_each_kind_of_limit_holds(make_gate, kind):
    gate = make_gate(config=limited(**{kind: 2}))
    member = ['Role::"model_user"']
    member = ['Group::"ml"', *member] if kind == "group" else member
    keys = [gate.key("alice", *member),
            gate.key("alice" if kind == "user" else "bob", *member)]
    assert [gate.chat(keys[i % 2]).status for i in range(4)] == [200, 200, 429, 429]


def test_bad_credentials_count_against_the_address(make_gate, upstream):
    gate = make_gate(config=limited(address=3))
    upstream.requests.clear()
    assert [gate.chat("dvk_junk").status for _ in range(5)] == [401, 401, 401, 429, 429]


def test_counters_survive_a_restart(make_gate):
    gate = make_gate(config=limited(key=2))
    key = gate.key()
    assert [gate.chat(key).status for _ in range(3)] == [200, 200, 429]
    gate.stop()
    gate.start()
    assert gate.chat(key).status == 429


def test_a_gate_without_a_snapshot_refuses_until_there_is_one(make_gate, upstream):
    gate = make_gate(ready=False)
    answer = gate.chat("dvk_x")
    assert (answer.status, answer.code) == (503, "not_ready")
    gate.fixture("init", gate.runtime)
    gate.configure(CONFIG)
    gate.policies(PERMIT)
    key = gate.key()
    time.sleep(1.1)
    assert gate.chat(key).status == 200


def test_a_broken_configuration_is_not_half_enforced(make_gate, upstream):
    gate = make_gate()
    key = gate.key()
    assert gate.chat(key).status == 200
    gate.configure(CONFIG | {"surprise": 1})
    upstream.requests.clear()
    assert gate.chat(key).code == "not_ready"
    assert upstream.requests == []
    gate.configure(CONFIG)
    time.sleep(1.1)
    assert gate.chat(key).status == 200


def test_changes_are_felt_by_the_next_request(make_gate, upstream):
    gate = make_gate()
    key = gate.key()
    assert gate.chat(key).status == 200
    gate.policies("")
    assert gate.chat(key).code == "not_permitted"
    gate.policies(PERMIT)
    assert gate.chat(key).status == 200
    gate.configure(CONFIG | {"routes": CONFIG["routes"][1:]})
    assert gate.chat(key).code == "no_route"
    gate.configure(CONFIG)
    gate.fixture("revoke", gate.runtime, key[4:12])
    assert gate.chat(key).code == "bad_credential"


def test_what_can_not_be_recorded_is_not_sent_on(make_gate, upstream):
    gate = make_gate()
    key = gate.key()
    assert gate.chat(key).status == 200
    upstream.requests.clear()
    subprocess.run(["prlimit", "--pid", str(gate.workers()[0]), "--fsize=1:"], check=True)
    served = 0  # what was allocated before is used up first
    while (answer := gate.chat(key)).status == 200 and served < 8000:
        served += 1
    assert (answer.status, answer.code) == (503, "audit_unavailable")
    # Small records of refusals find room for some time; the others are counted, and told when there is room again.
    refused = 1 + sum(gate.chat(key).code == "audit_unavailable" for _ in range(600))
    assert len(upstream.requests) == served and refused == 601
    subprocess.run(["prlimit", "--pid", str(gate.workers()[0]), "--fsize=unlimited:"], check=True)
    assert gate.chat(key).status == 200
    records = gate.records()
    told = [one["count"] for one in records if one["metadata"]["event_code"] == "refusals" and one["status_code"] == "audit_unavailable"]
    single = {one["api"]["request"]["uid"] for one in records
              if one["metadata"]["event_code"] == "request.close" and one["status_code"] == "audit_unavailable"}
    assert len(told) == 1 and told[0] > 0 and len(single) + told[0] == refused


def test_a_segment_that_was_set_aside_is_left(make_gate):
    """What dvara-logd refuses gets another name; the worker goes on in a new segment."""
    gate = make_gate()
    key = gate.key()
    assert gate.chat(key).status == 200
    segments = list(pathlib.Path(gate.spool).glob("gateway/*.seg"))
    for segment in segments:
        segment.rename(f"{segment}.refused")
    time.sleep(0.2)
    answers = [gate.chat(key) for _ in range(3)]
    assert [answer.status for answer in answers] == [200] * 3
    for answer in answers:
        assert gate.wait_for_close(answer.id)["status_code"] == "ok"
    assert {record["api"]["request"]["uid"] for record in gate.records()} == {answer.id for answer in answers}


def test_a_killed_worker_loses_no_record_and_comes_back(make_gate, upstream):
    gate = make_gate()
    key = gate.key()
    ids = [gate.chat(key).id for _ in range(3)]
    worker = gate.workers()[0]
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: gate.workers() not in ([], [worker]), 10, "another worker")
    ids.append(gate.chat(key).id)
    for request_id in ids:
        opened, closed = gate.record_of(request_id)
        assert opened and closed
    gate.expect_log("exited on signal 9")


def test_workers_can_not_be_dumped(make_gate):
    gate = make_gate()
    wait_until(gate.workers, 10, "there is a worker")
    limits = pathlib.Path(f"/proc/{gate.workers()[0]}/limits")
    wait_until(lambda: re.search(r"Max core file size\s+0\s", limits.read_text()), 10, "it leaves no core")
    if os.geteuid() == 0:  # an undumpable process's files belong to root whoever it runs as
        assert os.stat(f"/proc/{gate.workers()[0]}/environ").st_uid == 0


def test_a_worker_ends_with_its_master(make_gate):
    gate = make_gate()
    wait_until(gate.workers, 10, "there is a worker")
    worker = gate.workers()[0]
    gate.process.kill()
    gate.process.wait(5)
    wait_until(lambda: not pathlib.Path(f"/proc/{worker}").exists(), 10, "the worker is gone, too")


class Api(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


class ApiHandler(socketserver.StreamRequestHandler):
    def handle(self):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = self.rfile.readline()
            if not line:
                return
            head += line
        self.server.heads.append(head.decode())
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Request-Id: api\r\n"
                         b"Content-Length: 2\r\nConnection: close\r\n\r\n{}")


def test_the_admin_listener_leads_to_dvarad_and_says_who_calls(make_gate):
    gate = make_gate()
    answer = gate.send("/v1/users", port=gate.admin_port)
    assert (answer.status, answer.code) == (502, "upstream_failed")
    gate.expect_log("connect.. to unix:")
    server = Api(str(gate.runtime / "api.sock"), ApiHandler)
    server.heads = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    time.sleep(1)
    answer = gate.send("/v1/users?x=1", port=gate.admin_port, key="dvk_k", headers=[
        "X-Real-IP: 6.6.6.6", "X-Forwarded-For: 6.6.6.6", "X-Dvara-Caller: root",
        "X-Forwarded-User: root", "Origin: https://evil"])
    server.shutdown()
    server.server_close()
    assert (answer.status, answer.id) == (200, "api")
    head = server.heads[-1]
    assert head.startswith("GET /v1/users?x=1 HTTP/1.1")
    assert "X-Real-IP: 127.0.0.1\r\n" in head and "Authorization: Bearer dvk_k\r\n" in head
    assert "6.6.6.6" not in head and "root" not in head and "Origin: https://evil\r\n" in head
    assert gate.send("/v1/../users", port=gate.admin_port).code == "bad_path"


@pytest.fixture()
def tls_gate(make_gate, upstream):
    """The same nginx, its listener made a TLS one."""
    gate = make_gate()
    gate.stop()
    gate.tls = make_certificate(gate.folder)
    gate.start()
    return gate


def curl(gate, *words, path=CHAT):
    done = subprocess.run(
        ["curl", "-sS", "--cacert", str(gate.tls[0]), "-w", "\n%{http_version} %{http_code}",
         *words, f"https://127.0.0.1:{gate.port}{path}"], capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stderr
    body, _, last = done.stdout.rpartition("\n")
    version, status = last.split()
    return version, int(status), body


@pytest.mark.parametrize("version", ["1.1", "2"])
def test_tls_and_http_2(tls_gate, upstream, version):
    key = tls_gate.key()
    flag = "--http2" if version == "2" else "--http1.1"
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "x" * 100000}]})
    common = [flag, "-H", f"x-api-key: {key}", "-H", "Content-Type: application/json"]
    got = curl(tls_gate, *common, "-d", body)
    assert got[:2] == (version, 200)
    assert json.loads(got[2])["got"] == body
    got = curl(tls_gate, *common, "-d", '{"model":"m"}')
    assert got[:2] == (version, 400) and json.loads(got[2])["error"]["param"] == "/messages"
    got = curl(tls_gate, flag, "-d", "{}")
    assert got[:2] == (version, 401)
    got = curl(tls_gate, flag, "-I", path="/v1/models")
    assert got[:2] == (version, 401)
    upstream.sends(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n",
                   b'data: {"choices":[{"index":0,"delta":{"content":"hi"}}]}\n\n',
                   b"data: [DONE]\n\n", pause=0.05)
    got = curl(tls_gate, *common, "-d", json.dumps({"model": "m", "stream": True, "messages": [
        {"role": "user", "content": "x"}]}))
    assert got[:2] == (version, 200) and got[2].rstrip().endswith("[DONE]")


def frame(kind, flags, stream, payload):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def literal(name, value):
    """A field as HPACK has it without tables and Huffman codes (RFC 7541 section 6.2.2)."""
    assert len(name) < 127 and len(value) < 127
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


def ask_http_2(gate, key, name, value):
    """One request with a field as it is, which no client would send; until the stream ends."""
    fields = [(b":method", b"POST"), (b":scheme", b"https"), (b":path", CHAT.encode()), (b":authority", b"g"),
              (b"content-type", b"application/json"), (b"x-api-key", key.encode()), (name, value)]
    body = b'{"model":"m","messages":[{"role":"user","content":"hi"}]}'
    context = ssl.create_default_context(cafile=gate.tls[0])
    context.set_alpn_protocols(["h2"])
    with socket.create_connection(("127.0.0.1", gate.port), 10) as plain, \
            context.wrap_socket(plain, server_hostname="localhost") as caller:
        caller.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b"") +
                       frame(1, 4, 1, b"".join(literal(*each) for each in fields)) + frame(0, 1, 1, body))
        data = b""
        while piece := caller.recv(65536):
            data += piece
            at = 0
            while len(data) - at >= 9 + (size := int.from_bytes(data[at:at + 3], "big")):
                kind, flags, stream = data[at + 3], data[at + 4], int.from_bytes(data[at + 5:at + 9], "big")
                if kind in (3, 7) or (stream == 1 and kind in (0, 1) and flags & 1):
                    return
                at += 9 + size


@pytest.mark.parametrize("value", [b"a\r\nX-Evil: 1", b"a\nX-Evil: 1", b"a\rb", b"a\0b", b"a\x01b", b"a\x7fb"])
def test_no_field_over_http_2_makes_another(tls_gate, upstream, value):
    key = tls_gate.key()
    upstream.requests.clear()
    ask_http_2(tls_gate, key, b"traceparent", value)
    assert upstream.requests == []
    ask_http_2(tls_gate, key, b"traceparent", b"00-ab")
    assert upstream.requests[0]["headers"]["traceparent"] == "00-ab"
    ask_http_2(tls_gate, key, b"x-evil", b"1")
    assert "x-evil" not in upstream.requests[1]["headers"]


def test_only_tls_1_3_is_spoken(tls_gate):
    done = subprocess.run(["curl", "-sS", "--cacert", str(tls_gate.tls[0]), "--tls-max", "1.2",
                           f"https://127.0.0.1:{tls_gate.port}/"], capture_output=True, timeout=20)
    assert done.returncode == 35
    answer = tls_gate.send("/")
    assert answer.status == 400 and answer.code == "bad_request"


def test_a_tls_upstream_is_verified(tmp_path, monkeypatch):
    cert, key = make_certificate(tmp_path)
    upstream = Upstream((cert, key))
    gate = None
    try:
        gate = Gate(tmp_path / "gate", upstream)
        alice = gate.key()
        assert gate.chat(alice).code == "upstream_failed"
        gate.expect_log("upstream SSL certificate verify error")
        assert upstream.requests == []
        gate.stop()
        monkeypatch.setenv("UPSTREAM_CA", str(cert))
        gate.start()
        assert gate.chat(alice).status == 200
        assert upstream.requests[0]["headers"]["host"] == upstream.url.removeprefix("https://")
        assert upstream.names[-1] == "localhost"
    finally:
        if gate:
            gate.stop()
        upstream.shutdown()
        upstream.server_close()


def test_an_upstream_speaks_tls_13_unless_it_is_said(tmp_path, monkeypatch):
    cert, key = make_certificate(tmp_path)
    monkeypatch.setenv("UPSTREAM_CA", str(cert))
    upstream = Upstream((cert, key), newest=ssl.TLSVersion.TLSv1_2)
    gate = None
    try:
        gate = Gate(tmp_path / "gate", upstream)
        alice = gate.key()
        assert gate.chat(alice).code == "upstream_failed"
        gate.expect_log("protocol version")
        assert upstream.requests == []
        gate.stop()
        monkeypatch.setenv("UPSTREAM_TLS_12", "1")
        gate.start()
        assert gate.chat(alice).status == 200
    finally:
        if gate:
            gate.stop()
        upstream.shutdown()
        upstream.server_close()


def test_reload_drops_no_request(make_gate, upstream):
    gate = make_gate()
    key = gate.key()
    failures, done = [], threading.Event()

    def call():
        while not done.is_set():
            try:
                if gate.chat(key).status != 200:
                    failures.append("status")
            except (OSError, IndexError, ValueError) as error:
                failures.append(repr(error))
    callers = [threading.Thread(target=call) for _ in range(4)]
    for caller in callers:
        caller.start()
    for _ in range(3):
        time.sleep(0.3)
        gate.process.send_signal(signal.SIGHUP)
    time.sleep(0.5)
    done.set()
    for caller in callers:
        caller.join()
    assert failures == []
