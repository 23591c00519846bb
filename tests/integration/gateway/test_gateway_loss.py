# SPDX-License-Identifier: Apache-2.0
"""Own data through a real nginx: monitored, told, refused, both ways (DATA-3.3.2 to 3.3.4)."""
import base64
import copy
import gzip
import hashlib
import json
import subprocess

import pytest

from gateway_tools import CONFIG
from support import BUILD
from test_gateway_stream import CHAT, SSE, body, end, events, piece

TABLE = "first,last,account\nAnna,Kowalska,KD-QX47-ZP81\nPeter,Okonkwo,KD-QX47-ZP82\n"
CANARY = "luzu faro mina telo"
PLAN = " ".join(f"In week {n} team {n * 7 % 13} moves rack {n * n} to hall {n % 5}." for n in range(60))
LETTERS = str.maketrans("0123456789", "ghijklmnop")  # digits make cards and phone numbers now and then
FILLER = "".join(
    f"{hashlib.sha1(bytes([n % 256, n // 256])).hexdigest().translate(LETTERS)} " for n in range(4000)
).encode()
BORDER = 128 << 10  # what is unpacked is looked at in windows of this size
NAME = "fingerprint:people"
RECORD, ACCOUNT = "Dear Anna Kowalska", "of kd qx47 zp81 it is"


def dvara(*words, **options):
    return subprocess.run([BUILD / "dvara", *map(str, words)], check=True, capture_output=True,
                          text=True, **options).stdout


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    (folder / "table.csv").write_text(TABLE)
    (folder / "canaries").write_text(CANARY + "\n")
    (folder / "plan.txt").write_text(PLAN)
    dvara("data", "fingerprint", "create", "--input", folder / "table.csv", "--columns",
          "first,last,account", "--alone", "account", "--canaries", folder / "canaries",
          "--documents", folder / "plan.txt", "--out", folder / "set")
    return folder / "set"


def config_of(path, action, **more):
    told = json.loads(dvara("data", "fingerprint", "show", path, "--output", "json"))
    entry = {"name": "people", "file": str(path), "id": told["id"], "action": action, **more}
    config = copy.deepcopy(CONFIG)
    for policy in config["data_policies"].values():
        policy["fingerprints"] = [entry]
    return config


@pytest.fixture()
def loss_gate(make_gate, made, upstream):
    def make(action, **more):
        upstream.requests.clear()
        gate = make_gate(config=config_of(made, action, **more))
        gate.alice = gate.key()
        return gate
    return make


def completion(text):
    return {"id": "1", "object": "chat.completion", "choices": [
        {"index": 0, "message": {"role": "assistant", "content": text}}]}


def seen(record):
    return [(s["detector"], s["action"], s["place"]) for s in record["unmapped"]["dvara"].get("sightings", [])]


TEXTS = [RECORD, ACCOUNT, f"({CANARY.upper()})", CANARY.replace(" ", "%20").replace("f", "%66"),
         base64.b64encode(f"so {CANARY}.".encode()).decode(), PLAN[200:800],
         base64.b64encode(gzip.compress(f"{RECORD}, so {CANARY}.".encode())).decode(),
         base64.b64encode(gzip.compress(FILLER[:BORDER - 300] + PLAN[200:800].encode() + FILLER[:5000])).decode()]


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: text[:20])
def test_a_prompt_is_refused(loss_gate, upstream, text):
    gate = loss_gate("block")
    answer = gate.chat(gate.alice, text)
    assert answer.code == "sensitive_data" and not upstream.requests
    assert NAME.encode() in answer.body
    opened, closed = gate.record_of(answer.id)
    assert seen(opened)[-1] == (NAME, "block", "/messages/0/content")
    for value in ("Kowalska", "qx47", "luzu", "rack"):
        assert value.lower() not in json.dumps(gate.all_records()).lower()
    assert gate.chat(gate.alice, "Dear Anna Okonkwo").status == 200


@pytest.mark.parametrize("action", ["monitor", "alert"])
def test_what_passes_is_recorded_and_alerts_are_findings(loss_gate, upstream, action):
    gate = loss_gate(action)
    answer = gate.chat(gate.alice, f"{RECORD}. {ACCOUNT}")
    assert answer.status == 200 and upstream.requests[-1]["body"].count(b"Kowalska") == 1
    opened, _ = gate.record_of(answer.id)
    assert seen(opened) == [(NAME, action, "/messages/0/content")]
    assert opened["unmapped"]["dvara"]["sightings"][0]["times"] == 2
    upstream.json(completion(f"{RECORD}."))
    assert gate.chat(gate.alice).json() == completion(f"{RECORD}.")
    findings = [r for r in gate.all_records() if r["class_uid"] == 2006]
    assert len(findings) == (3 if action == "alert" else 0)  # the first answer says it again
    if findings:
        assert [f["unmapped"]["dvara"]["side"] for f in findings] == ["request", "answer", "answer"]
        assert all(f["data_security"]["detection_pattern"] == NAME for f in findings)


@pytest.mark.parametrize("answer", ["blocked", "unreadable"])
def test_an_alert_is_a_finding_whatever_becomes_of_the_answer(loss_gate, made, upstream, answer):
    """The request went out: somebody who has its answer refused is not quiet about it."""
    gate = loss_gate("alert")
    config = config_of(made, "alert")
    config["data_policies"]["answer"]["detectors"] = {"payment_card": "block"}
    gate.configure(config)
    if answer == "blocked":
        upstream.json(completion("4111 1111 1111 1111"))
    else:
        upstream.json(b"{")
    assert gate.chat(gate.alice, RECORD).status >= 400 and upstream.requests
    findings = [r for r in gate.all_records() if r["class_uid"] == 2006]
    assert [f["unmapped"]["dvara"]["side"] for f in findings][:1] == ["request"]
    assert findings[0]["data_security"]["detection_pattern"] == NAME
    assert findings[0]["finding_info"]["title"] == "own data passed"


@pytest.mark.parametrize("action", ["monitor", "alert"])
def test_what_passes_in_a_head_is_recorded(loss_gate, action):
    gate = loss_gate(action)
    answer = gate.send("/v1/models?x=luzu-faro-mina-telo", None, gate.alice)
    assert answer.status == 200
    opened, _ = gate.record_of(answer.id)
    assert seen(opened) == [(NAME, action, "in the query string")]
    findings = [r for r in gate.all_records() if r["class_uid"] == 2006]
    assert len(findings) == (action == "alert")


def test_many_sightings_of_others_do_not_hide_it(loss_gate):
    """A record lists a hundred places."""
    gate = loss_gate("monitor")
    ask = {"model": "m", "messages": [{"role": "user", "content": f"a{n}@example.com"}
                                      for n in range(120)]}
    ask["messages"].append({"role": "user", "content": RECORD})
    answer = gate.send(CHAT, ask, gate.alice)
    assert answer.status == 200
    opened, _ = gate.record_of(answer.id)
    assert (NAME, "monitor", "/messages/120/content") in seen(opened)


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: text[:20])
def test_an_answer_is_refused(loss_gate, upstream, text):
    gate = loss_gate("block")
    upstream.json(completion(text))
    answer = gate.chat(gate.alice)
    assert answer.code == "answer_blocked"


@pytest.mark.parametrize("text, never", [
    (f"{RECORD}, hello", "Kowalska"), (f"{ACCOUNT} so", "qx47"), (f"say {CANARY} now", "luzu"),
    (f"say {CANARY.replace('u', '%75')} now", "l%75zu")])
@pytest.mark.parametrize("size", [1, 3, 7])
def test_a_stream_ends_before_it_is_out(loss_gate, upstream, text, never, size):
    gate = loss_gate("block")
    upstream.sends(SSE + b"\r\n", *(piece(CHAT, text[i:i + size]) for i in range(0, len(text), size)),
                   end(CHAT))
    answer = gate.send(CHAT, body(CHAT), gate.alice)
    assert never.encode() not in answer.body and b"answer_blocked" in answer.body
    _, closed = gate.record_of(answer.id)
    assert seen(closed)[-1][:2] == (NAME, "block")


def test_a_stream_is_monitored_once_and_unchanged(loss_gate, upstream):
    gate = loss_gate("monitor")
    text = f"{RECORD}, {CANARY}. Bye Anna"
    upstream.sends(SSE + b"\r\n", *(piece(CHAT, c) for c in text), end(CHAT))
    answer = gate.send(CHAT, body(CHAT), gate.alice)
    told = [e for e in events(answer) if e != "[DONE]" and e["choices"]]
    assert "".join(e["choices"][0]["delta"].get("content", "") for e in told) == text
    _, closed = gate.record_of(answer.id)
    sightings = closed["unmapped"]["dvara"]["sightings"]
    assert len(sightings) == 1 and sightings[0]["times"] == 2


def test_routes_and_heads(loss_gate, upstream):
    gate = loss_gate("block", routes=["unasked"])
    ask = {"model": "m", "messages": [{"role": "user", "content": RECORD}]}
    assert gate.chat(gate.alice, RECORD).status == 200
    assert gate.send("/unasked", ask, gate.alice).code == "sensitive_data"
    gate = loss_gate("block")
    query = "/v1/models?x=luzu-faro-mina-telo"
    assert gate.send(query, None, gate.alice).code == "sensitive_data"
    assert not upstream.requests


def test_another_set_under_the_name_closes_the_gate(make_gate, made, tmp_path, upstream):
    """Whoever replaces the file is not who says what is looked for: that is the configuration."""
    path = tmp_path / "set"
    path.write_bytes(made.read_bytes())
    path.chmod(0o640)
    config = config_of(path, "block")
    data = bytearray(made.read_bytes())
    data[200] ^= 1
    path.write_bytes(data)
    gate = make_gate(config=config)
    assert gate.chat(gate.key()).status == 503
    gate.expect_log("its bytes were changed")
    assert not upstream.requests


def test_sets_are_exchanged_under_load(loss_gate, made, upstream, tmp_path):
    gate = loss_gate("block")
    assert gate.chat(gate.alice, RECORD).code == "sensitive_data"
    (tmp_path / "c").write_text("other words for this one\n")
    dvara("data", "fingerprint", "create", "--canaries", tmp_path / "c", "--out", tmp_path / "set")
    gate.configure(config_of(tmp_path / "set", "block"))
    assert gate.chat(gate.alice, RECORD).status == 200
    assert gate.chat(gate.alice, "other words for this one").code == "sensitive_data"
    gate.configure(config_of(made, "block"))
    assert gate.chat(gate.alice, RECORD).code == "sensitive_data"
