# SPDX-License-Identifier: Apache-2.0
"""What the log tells of the network: what gets no further than a handshake or half a head."""
import contextlib
import subprocess

import pytest

from gateway_tools import Gate, make_certificate
from support import wait_until

PRIVATE_KEY = "-----BEGIN PRIVATE KEY-----\n" + "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC" * 4 + \
    "\n-----END PRIVATE KEY-----"


def refused(gate):
    """What was refused by reason."""
    found = {}
    for record in gate.all_records():
        if record["metadata"]["event_code"] == "network.refused":
            assert record["class_uid"] == 4002 and record["src_endpoint"]["ip"] == "127.0.0.1"
            found[record["status_code"]] = found.get(record["status_code"], 0) + record["count"]
    return found


def wait_for(gate, **wanted):
    wait_until(lambda: refused(gate) == wanted, 10, f"the log tells of {wanted}: {refused(gate)}")


@pytest.fixture
def tls_gate(tmp_path, upstream):
    gate = Gate(tmp_path / "gate", upstream)
    gate.stop()
    gate.tls = make_certificate(tmp_path)
    gate.start()
    yield gate
    gate.stop()


def handshake(gate, *words):
    done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{gate.port}", *words],
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=20)
    return done.returncode


def test_a_handshake_that_fails_is_told(tls_gate):
    assert handshake(tls_gate, "-tls1_3") == 0  # it ends without a request, and did not fail
    assert handshake(tls_gate, "-tls1_2") != 0
    with tls_gate.connect() as connection:
        connection.sendall(b"\x16\x03\x01\x00\x05hello")
        assert connection.recv(100)[0] == 21  # an alert
    wait_for(tls_gate, tls_failed=2)


def test_a_probe_is_no_failure(tls_gate):
    tls_gate.connect().close()
    handshake(tls_gate, "-tls1_2")
    wait_for(tls_gate, tls_failed=1)


def test_half_a_head_is_told(make_gate):
    gate = make_gate()
    with gate.connect() as connection:
        connection.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: ga")
    gate.connect().close()
    wait_for(gate, head_cut=1)


def test_a_head_that_does_not_end_is_told(make_gate):
    gate = make_gate(patch=("client_header_timeout 15s", "client_header_timeout 1s"))
    with gate.connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n")
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(10) == b""
    wait_for(gate, head_timeout=1)


def test_what_the_admin_listener_refuses_by_itself_is_told(make_gate):
    """dvarad is not asked, and so has no record of it."""
    gate = make_gate()
    assert gate.send("/v1/%2e%2e/users", port=gate.admin_port).status == 400
    wait_for(gate, malformed=1)


@pytest.mark.parametrize("port", ["port", "admin_port"])
@pytest.mark.parametrize("data", [
    b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 20000 + b"\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
], ids=["long line", "long field", "two lengths"])
def test_what_the_gate_answers_has_records_of_a_request(make_gate, data, port):
    """It has an id, by which `dvara why` finds it."""
    gate = make_gate()
    answer = gate.raw(data, port=getattr(gate, port))
    assert 400 <= answer.status < 500
    assert gate.record_of(answer.id)[1]["status_code"] == "bad_request"
    assert refused(gate) == {}


def test_too_many_are_counted(make_gate):
    gate = make_gate(patch=("dvara_recorded_refusals 0;", "dvara_recorded_refusals 2;"))
    for _ in range(60):
        with contextlib.suppress(OSError), gate.connect() as connection:
            connection.sendall(b"POST / HTTP/1.1\r\n")
    wait_until(lambda: refused(gate) == {"head_cut": 60}, 10, "all are told of")
    records = [record for record in gate.all_records() if record["class_uid"] == 4002]
    assert len(records) < 40
    many = [record for record in records if record["count"] > 1]
    assert many and all(record["start_time"] <= record["end_time"] for record in many)


# -- findings -------------------------------------------------------------------------------------


def findings(gate):
    return [record for record in gate.all_records() if record["class_uid"] == 2006]


def test_blocked_content_is_a_finding(make_gate, upstream):
    gate = make_gate()
    answer = gate.chat(gate.key(), PRIVATE_KEY)
    assert answer.code == "sensitive_data"
    [finding] = findings(gate)
    assert finding["metadata"]["correlation_uid"] == finding["finding_info"]["uid"] == answer.id
    assert finding["is_alert"] is True and finding["action_id"] == 2
    assert finding["data_security"]["detection_pattern"] == "private_key"
    assert finding["actor"]["user"]["name"] == "alice"
    assert finding["unmapped"]["dvara"]["side"] == "request"
    assert "MIIE" not in str(finding)


def test_a_blocked_answer_is_a_finding(make_gate, upstream):
    gate = make_gate()
    upstream.json({"choices": [{"index": 0, "message": {"role": "assistant", "content": PRIVATE_KEY}}]})
    answer = gate.chat(gate.key())
    assert answer.code == "answer_blocked"
    [finding] = findings(gate)
    assert finding["unmapped"]["dvara"]["side"] == "answer"
    assert finding["metadata"]["correlation_uid"] == answer.id


def test_masked_content_is_none(make_gate, upstream):
    gate = make_gate()
    assert gate.chat(gate.key(), "write to alice@example.com").status == 200
    assert gate.chat(gate.key(), "nothing").status == 200
    assert findings(gate) == []
