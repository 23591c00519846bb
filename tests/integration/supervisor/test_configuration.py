# SPDX-License-Identifier: Apache-2.0
"""dvara.yaml: refused whole with its line, put into force without dropping a request."""
import concurrent.futures
import http.client
import socket
import ssl
import time

import pytest

from conftest import BODY, free_port

SLOW = BODY.replace(b"hello", b"slowly")


def test_a_bad_file_is_refused_with_its_line(make):
    dvara = make()
    dvara.configure("workers: 1\nlimts: {}\n")
    said = dvara.refused(*dvara.up_words())
    assert "dvara.yaml:2:" in said and "limits" in said
    assert not (dvara.state / "dvara.db").exists()


def test_config_check(make):
    dvara = make()
    dvara.configure("tls: {version: \"1.2\"}\n")
    assert "dvara.yaml:1:" in dvara.refused("config", "check", dvara.config)
    dvara.configure("workers: 2\n")
    assert "good" in dvara.good("config", "check", dvara.config)
    assert "no-such.yaml" in dvara.refused("config", "check", dvara.folder / "no-such.yaml")


def test_a_missing_hsm_refuses_to_start(make):
    dvara = make()
    dvara.configure("encryption: {algorithm: \"AES-256-GCM\", key_rotation: \"monthly\", key_storage: \"HSM\"}\n")
    said = dvara.refused(*dvara.up_words())
    assert "dvara.yaml:1:" in said and "key_storage is HSM" in said and "key_storage: file" in said
    dvara.good("key", "generate")
    assert "no keystore in a token" in dvara.refused(*dvara.up_words())
    dvara.configure("encryption: {algorithm: \"AES-256-GCM\", key_rotation: \"monthly\", key_storage: \"file\"}\n")
    dvara.up()
    dvara.good("reload")  # recurring work is done at once
    end = time.monotonic() + 20
    while "encryption_key" not in dvara.good("audit", "tail", "--output", "jsonl"):  # dvarad reads what root made
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_refused_reload_changes_nothing(make):
    dvara = make()
    dvara.configure("rbac: {roles: {one: {permissions: [view_metrics]}}}\n")
    dvara.up()
    key = dvara.key()
    dvara.configure("rbac:\n  roles:\n    two: {permission: [view_metrics]}\n")
    said = dvara.refused("reload")
    assert "dvara.yaml:3:" in said
    assert "two" not in dvara.good("role", "list")
    assert dvara.ask(key) == 200 and dvara.ready()


def test_reload_takes_the_new_configuration(make):
    dvara = make()
    dvara.configure("workers: 1\n")
    dvara.up()
    key = dvara.key()
    assert dvara.ask(key) == 200
    dvara.configure("rbac: {roles: {reader: {permissions: [view_metrics]}}}\n"
                    "limits: {key: {count: 2, per: 1h}}\n")
    dvara.good("reload")
    assert "reader" in dvara.good("role", "list")
    assert [dvara.ask(key) for _ in range(4)].count(429) >= 2
    dvara.configure("routes: [{name: other, path: /other}]\n")
    dvara.good("reload")
    assert dvara.ask(key) == 404


def test_a_file_in_the_state_directory_is_found(dvara):
    key = dvara.key()
    assert dvara.ask(key) == 200
    (dvara.state / "dvara.yaml").write_text("routes: [{name: other, path: /other}]\n")
    dvara.good("reload")
    assert dvara.ask(key) == 404
    (dvara.state / "dvara.yaml").unlink()
    dvara.good("reload")
    assert dvara.ask(key) == 200


def test_reload_drops_no_request(make):
    dvara = make()
    dvara.configure("limits: {key: [], user: [], address: []}\n"
                    "overload: {new_connections_per_address: any}\n")
    dvara.up()
    key = dvara.key()
    end = time.monotonic() + 5

    def stream():
        answers = set()
        while time.monotonic() < end:
            answers.add(dvara.ask(key))
        return answers
    with concurrent.futures.ThreadPoolExecutor() as pool:
        slow = pool.submit(dvara.ask, key, SLOW)
        streams = [pool.submit(stream) for _ in range(3)]
        time.sleep(0.3)
        for _ in range(3):
            dvara.good("reload")
        assert slow.result() == 200
        assert set().union(*[one.result() for one in streams]) == {200}


def test_routes_of_the_file_replace_the_built_in_ones(make):
    dvara = make()
    dvara.configure("routes:\n  - {name: chat, path: /v1/chat/completions, body_limit: 100}\n")
    dvara.up()
    key = dvara.key()
    assert dvara.ask(key) == 200
    assert dvara.ask(key, BODY.replace(b"hello", b"hello" * 40)) == 413


def test_tls_13_only(make):
    dvara = make()
    port = free_port()
    dvara.listen = f"https://127.0.0.1:{port}"
    dvara.configure("tls:\n  version: \"1.3\"\n  cipher_suites: [TLS_CHACHA20_POLY1305_SHA256]\n")
    dvara.up()
    key = dvara.key()
    assert dvara.ask(key) == 200
    trust = ssl.create_default_context(cafile=dvara.state / "tls/gate.crt")
    with socket.create_connection(("127.0.0.1", port)) as raw:
        with trust.wrap_socket(raw, server_hostname="localhost") as tls:
            assert tls.version() == "TLSv1.3"
            assert tls.cipher()[0] == "TLS_CHACHA20_POLY1305_SHA256"
    old = ssl._create_unverified_context()
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with socket.create_connection(("127.0.0.1", port)) as raw, pytest.raises(ssl.SSLError):
        old.wrap_socket(raw)
    made = (dvara.state / "tls/gate.crt").read_bytes()
    dvara.good("down")
    dvara.up()
    assert (dvara.state / "tls/gate.crt").read_bytes() == made
    assert dvara.status()["certificate_sha256"]
    plain = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    plain.request("GET", "/v1/models")
    assert plain.getresponse().status == 400


def from_address(dvara, key, source):
    """A chat from another address of this machine."""
    host, port = dvara.listen.removeprefix("http://").split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=10, source_address=(source, 0))
    connection.request("POST", "/v1/chat/completions", BODY,
                       {"Authorization": f"Bearer {key}", "Content-Type": "application/json"})
    return connection.getresponse().status


def test_firewall_rules_hold_for_the_gates_own_port(make):
    dvara = make()
    port = dvara.listen.rsplit(":", 1)[1]
    dvara.configure("networks: {bad: [127.0.0.2, 127.1.0.0/16]}\nfirewall_rules:\n"
                    f"  - {{name: no, port: {port}, protocol: tcp, source: bad, action: deny}}\n"
                    "  - {name: rest, port: \"*\", protocol: \"*\", source: \"*\", action: deny}\n")
    dvara.up()
    key = dvara.key()
    assert from_address(dvara, key, "127.0.0.1") == 200
    assert from_address(dvara, key, "127.0.0.2") == 403
    assert from_address(dvara, key, "127.1.2.3") == 403
    assert from_address(dvara, "nonsense", "127.1.2.3") == 403
    assert "not filtered yet" in dvara.log()
