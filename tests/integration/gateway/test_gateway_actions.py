# SPDX-License-Identifier: Apache-2.0
"""Hash, pseudonym, token, fpe, date_shift and generalise through a real nginx, with a key that `dvara data` has, too (DATA-3.4.3)."""
import copy
import datetime
import json
import subprocess

import pytest

from gateway_tools import CONFIG
from support import BUILD
from test_gateway_masking import completion, sent
from test_gateway_stream import CHAT, SSE, body, end, events, piece

TEXT = "mail bob@example.com, card 4111 1111 1111 1111, born: 02.03.1980, from 81.2.69.160"
USER, ANALYST, INTERN = (f'Role::"{name}"' for name in ("model_user", "analyst", "intern"))
DETECTORS = {"date_of_birth": "date_shift", "ip_address": "generalise",
             "payment_card": {"action": "fpe", "keep_first": 6, "keep_last": 4, "keep_said": 1, "luhn": 1}}
CLI_RULES = """default: pseudonym
detectors:
  date_of_birth: date_shift
  ip_address: generalise
  payment_card: {action: fpe, keep_first: 6, keep_last: 4, luhn: true}
"""
RULES = [{"who": [ANALYST], "detectors": ["email"], "action": {"action": "hash", "length": 32}},
         {"who": [INTERN], "detectors": ["email"], "action": "generalise", "override": True},
         {"who": [INTERN], "detectors": ["payment_card"], "action": "block"}]


@pytest.fixture()
def config():
    made = copy.deepcopy(CONFIG)
    policy = {"default": "pseudonym", "detectors": DETECTORS, "decode": True, "rules": RULES}
    made["data_policies"] = {"request": policy, "answer": policy}
    return made


def make_key(folder, name):
    file = folder / name
    file.write_bytes(subprocess.run(["openssl", "rand", "-base64", "32"], check=True, capture_output=True).stdout)
    file.chmod(0o600)
    return file


def by_cli(folder, key, text, rules=CLI_RULES):
    """What `dvara data pseudonymize` writes into a file."""
    source, made = folder / "in.txt", folder / "out.txt"
    source.write_text(text)
    (folder / "rules.yaml").write_text(rules)
    subprocess.run([BUILD / "dvara", "data", "pseudonymize", "--all", "--input", source, "--key-file", key, "--rules",
                    folder / "rules.yaml", "--out", made], check=True, capture_output=True)
    return made.read_text()


def cli(folder, what, text, *words):
    (folder / "in.txt").write_text(text)
    return subprocess.run([BUILD / "dvara", "data", what, "--input", folder / "in.txt", *words], check=True,
                          capture_output=True, text=True).stdout


def told(gate, upstream, key, pieces):
    upstream.sends(SSE + b"\r\n", *(piece(CHAT, text) for text in pieces), end(CHAT))
    got = events(gate.send(CHAT, body(CHAT), key))
    return "".join(e["choices"][0]["delta"]["content"] for e in got if e != "[DONE]" and e["choices"])


def test_prompt_answer_stream_and_file_have_the_same_pseudonyms(make_gate, config, upstream, tmp_path):
    key_file = make_key(tmp_path, "key")
    gate = make_gate(config=config)
    gate.fixture("masking-key", gate.runtime, key_file)
    wanted = by_cli(tmp_path, key_file, TEXT)
    for value in ("bob@", "4111 1111 1111 1111", "02.03.1980", "81.2.69.160"):
        assert value not in wanted
    assert "81.2.69.0/24" in wanted and "card 4111 11" in wanted and " 1111, born" in wanted
    key = gate.key("ann", USER)
    answer = gate.chat(key, TEXT)
    assert answer.status == 200 and sent(upstream) == wanted
    opened, _ = gate.record_of(answer.id)
    seen = {s["detector"]: s["action"] for s in opened["unmapped"]["dvara"]["sightings"]}
    assert seen == {"email": "pseudonym", "payment_card": "fpe", "date_of_birth": "date_shift",
                    "ip_address": "generalise"}
    assert opened["action_id"] == 4  # modified
    upstream.json(completion(TEXT))
    assert gate.chat(key).json() == completion(wanted)
    for size in (1, 7, len(TEXT)):
        assert told(gate, upstream, key, [TEXT[i:i + size] for i in range(0, len(TEXT), size)]) == wanted


def test_another_key_makes_others(make_gate, config, upstream, tmp_path):
    keys = [make_key(tmp_path, name) for name in ("one", "two")]
    gate = make_gate(config=config)
    user = gate.key("ann", USER)
    seen = set()
    gate.chat(user, TEXT)
    seen.add(sent(upstream))  # of the installation
    for key in (*keys, keys[0]):
        gate.fixture("masking-key", gate.runtime, key)
        gate.chat(user, TEXT)
        assert sent(upstream) == by_cli(tmp_path, key, TEXT)
        seen.add(sent(upstream))
    assert len(seen) == 3


def test_roles_choose_the_action(make_gate, config, upstream, tmp_path):
    key_file = make_key(tmp_path, "key")
    gate = make_gate(config=config)
    gate.fixture("masking-key", gate.runtime, key_file)
    text = "mail bob@example.com"
    hashed = by_cli(tmp_path, key_file, text, "default: {action: hash, length: 32}\n")
    wanted = {(): by_cli(tmp_path, key_file, text), (ANALYST,): hashed, (INTERN,): "mail @example.com",
              (ANALYST, INTERN): "mail @example.com"}
    assert len(hashed) == len("mail ") + 32 and len(set(wanted.values())) == 3
    for roles, became in wanted.items():
        key = gate.key("-".join(["u", *(r[7:-1] for r in roles)]), USER, *roles)
        gate.chat(key, text)
        assert sent(upstream) == became
        upstream.json(completion(text))
        assert gate.chat(key).json() == completion(became)
        assert told(gate, upstream, key, text) == became
        upstream.echo()
    assert gate.chat(gate.key("ian", USER, INTERN), TEXT).code == "sensitive_data"


def test_a_conversation_goes_on_with_what_its_values_became(make_gate, config, upstream):
    gate = make_gate(config=config)
    key = gate.key("ann", USER)
    text = "charge 4111 1111 1111 1111 for bob@example.com"
    gate.chat(key, text)
    became = sent(upstream)
    upstream.json(completion(f"Done: {became}"))
    turns = [{"role": "user", "content": text}]
    said = gate.send(CHAT, {"model": "m", "messages": turns}, key).json()["choices"][0]["message"]
    assert said["content"] == f"Done: {became}"  # is no value
    turns += [said, {"role": "user", "content": "undo it"}]
    gate.send(CHAT, {"model": "m", "messages": turns}, key)
    messages = json.loads(upstream.requests[-1]["body"])["messages"]
    assert [m["content"] for m in messages] == [became, f"Done: {became}", "undo it"]
    # In the answer's pieces, as well.
    assert told(gate, upstream, key, f"Done: {became}") != f"Done: {became}"  # of another request: values
    upstream.sends(SSE + b"\r\n", *(piece(CHAT, c) for c in became), end(CHAT))
    got = events(gate.send(CHAT, {**body(CHAT), "messages": turns}, key))
    assert "".join(e["choices"][0]["delta"]["content"] for e in got if e != "[DONE]" and e["choices"]) == became


def test_dates_that_others_become_move_as_well(make_gate, config, upstream):
    policy = config["data_policies"]["request"]
    policy["detectors"] = {"date_of_birth": {"action": "date_shift", "days": 9}}
    gate = make_gate(config=config)
    days = [datetime.date(1980, 1, 1) + datetime.timedelta(days=i) for i in range(60)]
    text = "; ".join(f"person born {day}" for day in days)
    key = gate.key("ann", USER)
    answer = gate.chat(key, text)
    became = [datetime.date.fromisoformat(part[-10:]) for part in sent(upstream).split("; ")]
    shifts = {new - old for new, old in zip(became, days, strict=True)}
    assert len(shifts) == 1 and 0 < abs(shifts.pop().days) <= 9
    assert sent(upstream) in answer.json()["got"]  # echoed: they move no more


def test_tokens_are_those_of_files_and_no_values(make_gate, config, upstream, tmp_path):
    key_file = make_key(tmp_path, "key")
    for policy in config["data_policies"].values():  # with what would take a token for a secret
        policy.update(default="token", detectors={"generic_secret": "token"}, rules=[])
    gate = make_gate(config=config)
    gate.fixture("masking-key", gate.runtime, key_file)
    key = gate.key("ann", USER)
    text = "mail bob@example.com, card 4111 1111 1111 1111"
    answer = gate.chat(key, text)
    became = sent(upstream)
    tokens = [word.strip(",") for word in became.split() if word.startswith("dvs_")]
    assert answer.status == 200 and len(tokens) == 2 and "bob@" not in became and "4111 1111" not in became
    assert became == cli(tmp_path, "tokenize", text, "--sealed", "--key-file", key_file)
    assert cli(tmp_path, "detokenize", became, "--key-file", key_file) == text
    opened, _ = gate.record_of(answer.id)
    assert {s["action"] for s in opened["unmapped"]["dvara"]["sightings"]} == {"token"} and opened["action_id"] == 4
    # In answers and their pieces, as well; and said again, by whomever and behind what looks like a key, it stays.
    upstream.json(completion(text))
    assert gate.chat(key).json() == completion(became)
    again = f"password: {tokens[0]}, api_key={tokens[1]}; {became}"
    for size in (1, 7, 64, len(again)):
        assert told(gate, upstream, key, [text[i:i + size] for i in range(0, len(text), size)]) == became
        assert told(gate, upstream, key, [again[i:i + size] for i in range(0, len(again), size)]) == again
    upstream.echo()
    assert gate.chat(gate.key("eve", USER), again).status == 200 and sent(upstream) == again
    # Made up, or of another key, it is what it looks like.
    forged = again.replace(tokens[0], tokens[0][:-1] + ("1" if tokens[0][-1] != "1" else "2"))
    gate.chat(key, forged)
    assert sent(upstream) != forged and tokens[1] in sent(upstream)


def test_large_bodies_in_threads_become_the_same(make_gate, config, upstream, tmp_path):
    key_file = make_key(tmp_path, "key")
    gate = make_gate(config=config)
    gate.fixture("masking-key", gate.runtime, key_file)
    text = "".join(f"{'words ' * 20}mail user{i}@example.com. " for i in range(3000))
    key = gate.key("ann", USER)
    assert gate.chat(key, text).status == 200
    assert sent(upstream) == by_cli(tmp_path, key_file, text)
