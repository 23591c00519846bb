# SPDX-License-Identifier: Apache-2.0
"""Both sockets over HTTP: who is let in, what is refused, what survives."""
import concurrent.futures
import json
import os
import signal
import socket
import stat
import struct
import time

import pytest
from support import PATIENCE


def test_strangers_get_401_whatever_they_ask(control):
    for target in ("/v1/users", "/v1/none", "/v1//x", "/v1/users/alice", "/v1/roles?limit=x"):
        answer = control.curl(target)
        assert answer.status == 401, target
        assert answer.error["code"] == "no_credential"
        assert answer.headers["x-request-id"] == answer.error["request_id"]
        assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("header", [
    "Authorization: Bearer dvk_AAAAAAAA_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "Authorization: Bearer ", "Authorization: Basic YWRtaW46", "Authorization: bearer",
    "x-api-key: junk", "X-Dvara-User: admin", "X-Forwarded-User: admin", "Remote-User: root",
    "X-Remote-User: admin", "Cookie: session=admin", "X-Real-IP: 127.0.0.1",
])
def test_no_header_but_a_key_says_who_calls(control, header):
    assert control.curl("/v1/users", "-H", header).status == 401


def test_a_key_does_what_its_roles_permit_and_no_more(control):
    key = control.key_of("reader", "view_users")
    assert control.curl("/v1/users", key=key["secret"]).status == 200
    assert control.curl("/v1/users", "-H", f"x-api-key: {key['secret']}").status == 200
    answer = control.curl("/v1/users", key=key["secret"], method="POST", body={"name": "no"})
    assert (answer.status, answer.error["code"]) == (403, "not_permitted")
    assert control.dvara("user", "show", "no").returncode == 1
    control.json("apikey", "revoke", key["id"])
    assert control.curl("/v1/users", key=key["secret"]).status == 401


def test_two_credentials_are_none(control):
    key = control.admin_key()
    assert control.curl("/v1/users", "-H", f"x-api-key: {key}", key=key).status == 401
    assert control.curl("/v1/users", "-H", f"Authorization: Bearer {key}", key=key).status == 401


def test_a_prefix_or_extension_of_a_key_is_none(control):
    key = control.admin_key()
    for wrong in (key[:-1], key + "A", key.swapcase(), " " + key + "x"):
        assert control.curl("/v1/users", key=wrong).status == 401


def test_other_origins_change_nothing(control):
    key = control.admin_key()
    origin = ("-H", "Origin: https://evil.example")
    answer = control.curl("/v1/users", *origin, key=key, method="POST", body={"name": "csrf"})
    assert (answer.status, answer.error["code"]) == (403, "bad_origin")
    assert control.curl("/v1/users/csrf", key=key).status == 404
    assert control.curl("/v1/users", *origin, key=key).status == 200


@pytest.mark.parametrize("body, field", [
    ('{"name": "x", "name": "y"}', None), ('{"name": ', None), ("[]", None), ("", None),
    ('{"name": 1}', "name"), ('{"nmae": "x"}', "nmae"), ('{"name": "a b"}', "name"),
    ('{"name": "\\u0000"}', None), ("[" * 100, None), ('{"name": "' + "a" * 5000 + '"}', "name"),
])
def test_bad_bodies_are_refused_and_the_field_is_named(control, body, field):
    answer = control.curl("/v1/users", key=control.admin_key(), method="POST", body=body)
    assert answer.status in (400, 413)
    assert answer.error.get("field") == field
    assert answer.error["message"]


def test_a_body_must_be_json_and_not_too_large(control, tmp_path):
    key = control.admin_key()
    answer = control.curl("/v1/users", "-H", "Content-Type: text/plain", "-d", '{"name":"x"}', key=key)
    assert answer.status == 415
    large = tmp_path / "large"
    large.write_text('{"name": "' + "a" * (1 << 20) + '"}')
    answer = control.curl("/v1/users", "-H", "Content-Type: application/json", "-H", "Expect:",
                          "--data-binary", f"@{large}", key=key)
    assert (answer.status, answer.error["code"]) == (413, "too_large")


def test_unknown_paths_methods_and_parameters(control):
    key = control.admin_key()
    assert control.curl("/v1/none", key=key).status == 404
    answer = control.curl("/v1/users", key=key, method="DELETE")
    assert answer.status == 405 and "GET" in answer.headers["allow"]
    answer = control.curl("/v1/users?limti=5", key=key)
    assert answer.status == 400 and answer.error["field"] == "limti"
    assert control.curl("/v1/../v1/users", key=key).status == 400
    assert control.curl("/v1/users/%2e%2e", key=key).status == 400
    assert control.curl("/v1/users/%00", key=key).status == 400


def test_etag_saves_and_guards(control):
    key = control.admin_key()
    control.json("user", "create", "--name", "tagged")
    first = control.curl("/v1/users/tagged", key=key)
    etag = first.headers["etag"]
    same = control.curl("/v1/users/tagged", "-H", f"If-None-Match: {etag}", key=key)
    assert (same.status, same.text) == (304, "")
    changed = control.curl("/v1/users/tagged", "-H", f"If-Match: {etag}", key=key, method="PATCH",
                           body={"email": "a@example.org"})
    assert changed.status == 200
    stale = control.curl("/v1/users/tagged", "-H", f"If-Match: {etag}", key=key, method="PATCH",
                         body={"email": "b@example.org"})
    assert (stale.status, stale.error["code"]) == (412, "changed")
    assert control.curl("/v1/users/tagged", key=key).json["email"] == "a@example.org"


def test_pages_for_machines(control):
    assert control.curl("/healthz").text == "ok\n"
    ready = control.curl("/readyz")
    assert ready.status == 200, ready.text
    assert control.curl("/metrics").status == 401
    assert control.curl("/metrics", key=control.admin_key()).status == 200
    local = control.curl("/metrics", "-H", "X-Real-IP: 127.0.0.1")
    assert local.status == 200
    assert 'dvara_control_requests_total{operation="' in local.text
    assert "dvara_snapshot_generation" in local.text
    document = control.curl("/openapi.json").json
    assert document["paths"]["/v1/users"]["post"]["x-permission"]
    assert control.curl("/docs").headers["content-type"].startswith("text/html")


def test_every_answer_carries_the_safe_headers(control):
    for target in ("/healthz", "/v1/users", "/docs"):
        headers = control.curl(target).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert "default-src 'none'" in headers["content-security-policy"]


def test_sockets_and_files_are_closed_to_others(control):
    def mode(path):
        return stat.S_IMODE(os.stat(path).st_mode)
    assert mode(control.runtime / "control.sock") == 0o600
    assert mode(control.runtime / "api.sock") == 0o660
    assert mode(control.state / "keys/master.key") == 0o600
    assert mode(control.state / "dvara.db") == 0o600
    assert mode(control.state / "admin-credentials") == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user")
def test_the_kernel_says_who_calls_the_control_socket(control):
    path = str(control.runtime / "control.sock")
    modes = {p: os.stat(p).st_mode for p in (control.folder, control.runtime, path)}
    for each in modes:
        os.chmod(each, 0o777)
    try:
        child = os.fork()
        if child == 0:
            os.setgid(65534)
            os.setuid(65534)
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(path)
                client.sendall(b"GET /v1/users HTTP/1.1\r\nHost: x\r\n\r\n")
                os._exit(0 if client.recv(100) == b"" else 1)
        assert os.waitpid(child, 0)[1] == 0
    finally:
        for each, before in modes.items():
            os.chmod(each, before)


def raw(control, data, socket_name="api.sock"):
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(str(control.runtime / socket_name))
        client.sendall(data)
        got = b""
        try:
            client.shutdown(socket.SHUT_WR)
            while piece := client.recv(65536):
                got += piece
        except OSError:
            pass
        return got


@pytest.mark.parametrize("data", [
    b"", b"\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x00\xff\xfe" * 100,
    b"GET /v1/users HTTP/1.1\r\n" + b"A: " + b"x" * 100000 + b"\r\n\r\n",
    b"GET /v1/users HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    b"POST /v1/users HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST /v1/users HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"GET http://evil/v1/users HTTP/1.1\r\nHost: x\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /v1/users\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
])
def test_malformed_http_is_survived(control, data):
    for name in ("api.sock", "control.sock"):
        answer = raw(control, data, name)
        assert b" 200 OK" not in answer.split(b"\r\n")[0] or name == "control.sock"
    assert control.curl("/healthz").status == 200


def test_half_sent_requests_hold_nobody_up(control):
    clients = []
    for _ in range(60):
        client = socket.socket(socket.AF_UNIX)
        client.connect(str(control.runtime / "api.sock"))
        client.sendall(b"POST /v1/users HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n")
        clients.append(client)
    begin = time.monotonic()
    assert control.curl("/healthz").status == 200
    assert time.monotonic() - begin < 2 * PATIENCE
    for client in clients:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()


def test_more_connections_than_allowed_wait_and_go(control):
    clients = []
    for _ in range(150):
        client = socket.socket(socket.AF_UNIX)
        client.setblocking(False)
        try:
            client.connect(str(control.runtime / "api.sock"))
        except BlockingIOError:
            pass
        clients.append(client)
    assert control.dvara("server", "version").returncode == 0  # the other socket has its own
    for client in clients:
        client.close()
    assert control.curl("/healthz").status == 200


def test_many_at_once(control):
    key = control.admin_key()

    def make(number):
        return control.curl("/v1/users", key=key, method="POST", body={"name": f"many{number}"}).status

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert set(pool.map(make, range(40))) == {201}
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda _: make(7), range(8)))
    assert statuses == [409] * 8


def events(control):
    return [json.loads(line) for line in
            control.dvara("audit", "tail", "--output", "jsonl", "--limit", "1000").stdout.splitlines()]


def test_every_call_is_in_the_log(control):
    answer = control.curl("/v1/users", key=control.admin_key(), method="POST", body={"name": "logged"})
    refused = control.curl("/v1/users")
    control.wait_for(lambda: refused.headers["x-request-id"] in json.dumps(events(control)))
    text = json.dumps(events(control))
    assert answer.headers["x-request-id"] in text and "user_create" in text
    assert control.admin_key() not in text
    assert control.dvara("audit", "verify").returncode == 0


class TestLife:
    """Starts, ends, reloads and dies."""

    def test_what_was_answered_survives_a_kill(self, fresh):
        fresh.start_all()
        key = fresh.key_of("alice", "view_users")
        fresh.json("user", "create", "--name", "last")
        fresh.stop("dvarad", signal.SIGKILL)
        fresh.start_dvarad()
        assert fresh.json("user", "show", "last")["name"] == "last"
        assert fresh.curl("/v1/users", key=key["secret"]).status == 200

    def test_ends_in_order(self, fresh):
        fresh.start_all()
        assert fresh.stop("dvarad") == 0
        assert not (fresh.runtime / "control.sock").exists()
        assert not (fresh.runtime / "api.sock").exists()

    def test_an_idle_connection_does_not_hold_up_the_end(self, fresh):
        fresh.start_all()
        client = socket.socket(socket.AF_UNIX)
        client.connect(str(fresh.runtime / "control.sock"))
        client.sendall(b"GET /v1/us")
        begin = time.monotonic()
        assert fresh.stop("dvarad") == 0
        assert time.monotonic() - begin < 5 * PATIENCE
        client.close()

    def test_reload_puts_the_file_into_force(self, fresh):
        fresh.config.write_text("rbac: {roles: {first: {permissions: [view_users]}}}\n")
        fresh.start_all()
        assert fresh.json("role", "show", "first")
        fresh.config.write_text("rbac: {roles: {second: {permissions: [view_users]}}}\n"
                                "control: {origins: ['https://console.example']}\n")
        fresh.processes["dvarad"].send_signal(signal.SIGHUP)
        fresh.wait_for(lambda: fresh.dvara("role", "show", "second").returncode == 0)
        answer = fresh.curl("/v1/users", "-H", "Origin: https://console.example",
                            key=fresh.admin_key(), method="POST", body={"name": "x"})
        assert answer.status == 201

    def test_a_bad_file_changes_nothing(self, fresh):
        fresh.config.write_text("rbac: {roles: {first: {permissions: [view_users]}}}\n")
        fresh.start_all()
        fresh.config.write_text("rbac:\n  rolse: {}\n")
        fresh.processes["dvarad"].send_signal(signal.SIGHUP)
        fresh.wait_for(lambda: "stays as it was" in fresh.log())
        assert "line 2" in fresh.log()
        assert fresh.json("role", "show", "first")

    def test_a_bad_file_at_the_start_is_refused_with_its_line(self, fresh):
        fresh.config.write_text("rbac: {}\ncontrol:\n  metrics: open\n")
        fresh.start("dvara-logd")
        fresh.start("dvarad", "--config", fresh.config)
        assert fresh.processes.pop("dvarad").wait(timeout=20) == 1
        assert "line 3" in fresh.log() and "control.metrics" in fresh.log()

    def test_folders_open_to_others_are_refused(self, fresh):
        fresh.start("dvara-logd")
        fresh.wait_for((fresh.runtime / "log.pub").exists)
        fresh.state.chmod(0o777)
        fresh.start("dvarad")
        assert fresh.processes.pop("dvarad").wait(timeout=20) == 1
        assert "nobody else can write" in fresh.log()

    def test_a_lost_master_key_is_told(self, fresh):
        fresh.start_all()
        fresh.stop("dvarad")
        (fresh.state / "keys/master.key").unlink()
        fresh.start("dvarad")
        assert fresh.processes.pop("dvarad").wait(timeout=20) == 1
        assert "restore the key" in fresh.log()

    def test_wrong_arguments_end_with_2(self, fresh):
        fresh.start("dvarad", "--nonsense")
        assert fresh.processes.pop("dvarad").wait(timeout=20) == 2

    def test_without_the_log_nothing_starts(self, fresh):
        fresh.start("dvarad")
        assert fresh.processes.pop("dvarad").wait(timeout=30) == 1
        assert "dvara-logd" in fresh.log()

    def test_readiness_follows_the_log(self, fresh):
        fresh.start_all()
        fresh.wait_for(lambda: fresh.curl("/readyz").status == 200)
        fresh.stop("dvara-logd")
        assert fresh.curl("/readyz").status == 503
        assert fresh.curl("/healthz").status == 200
        health = fresh.json("server", "health")
        assert not health["ready"]
        fresh.start("dvara-logd")
        fresh.wait_for(lambda: fresh.curl("/readyz").status == 200)

    def test_leaves_no_core_and_can_not_be_traced(self, fresh):
        fresh.start_all()
        pid = fresh.processes["dvarad"].pid
        limits = open(f"/proc/{pid}/limits", encoding="utf-8").read()
        core = next(line for line in limits.splitlines() if line.startswith("Max core file size"))
        assert core.split()[4:6] == ["0", "0"]
        assert "NoNewPrivs:\t1" in open(f"/proc/{pid}/status", encoding="utf-8").read()
