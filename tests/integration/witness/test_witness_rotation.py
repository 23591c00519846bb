# SPDX-License-Identifier: Apache-2.0
"""A new signing key for a log that goes on: who follows, who is left out, and what a death leaves."""
import base64
import hashlib
import json
import random
import shutil
import signal
import subprocess
import threading
import time

import pytest

from witness_tools import lines_of, wait_until


def sign(folder, seed, vkey, text):
    """A signature line as anyone with the key's file can make it (RFC 8410's form of the seed, for OpenSSL)."""
    name, ident, _ = vkey.split("+", 2)
    (folder / "key.der").write_bytes(bytes.fromhex("302e020100300506032b657004220420") + seed)
    (folder / "text").write_bytes(text)
    signature = subprocess.run(
        ["openssl", "pkeyutl", "-sign", "-rawin", "-keyform", "DER", "-inkey", folder / "key.der", "-in", folder / "text"],
        capture_output=True, check=True).stdout
    return f"\u2014 {name} {base64.b64encode(bytes.fromhex(ident) + signature).decode()}\n".encode()


def key_id(vkey):
    return vkey.split("+")[1]


def rotate(log, *words):
    return log.json("audit", "rotate-key", *words, "--yes")["vkeys"]


def rotated(log):
    return [event for event in log.events() if event["metadata"]["event_code"] == "audit.key_rotated"]


def test_both_keys_sign_until_the_old_one_is_retired(log):
    log.start_logd().start_dvarad().write("a", 300)
    [old] = log.vkeys
    assert "`--yes` confirms it" in log.dvara("audit", "rotate-key", code=1).stderr and log.vkeys == [old]
    vkeys = rotate(log, "--overlap-days", "7")
    assert len(vkeys) == 2 and vkeys[1] == old and vkeys[0] != old
    assert log.vkeys == vkeys and (log.log / "vkey").read_text().split() == vkeys
    assert len(lines_of(log.checkpoint)[3]) == 2
    log.write("b", 300)
    for vkey in vkeys:
        assert log.json("audit", "verify", "--key", vkey)["ok"]
    assert "still being replaced" in log.dvara("audit", "rotate-key", "--yes", code=1).stderr
    assert "no key that is being replaced" in log.dvara("audit", "rotate-key", "--retire", "00000000", "--yes", code=1).stderr
    assert "`--yes` confirms it" in log.dvara("audit", "rotate-key", "--retire", key_id(old), code=1).stderr
    log.write("c", 1)
    [first, second] = log.json("audit", "keys")["items"]
    assert (first["vkey"], first["state"], first["from"], first["until"]) == (old, "overlaps", 0, None)
    assert (second["vkey"], second["state"], second["id"]) == (vkeys[0], "signs", key_id(vkeys[0]))
    assert rotate(log, "--retire", key_id(old)) == vkeys[:1]
    assert len(lines_of(log.checkpoint)[3]) == 1
    assert not list((log.state / "keys/log").glob("signing.*")), "the old key is gone"
    create, delete = rotated(log)
    assert create["entity"] == {"uid": vkeys[0], "type": "signing_key"} and create["activity_id"] == 1
    assert delete["entity"]["uid"] == old and delete["activity_id"] == 4
    keys = log.json("audit", "keys")["items"]
    assert [key["state"] for key in keys] == ["retired", "signs"] and keys[0]["until"] > keys[1]["from"] > 300
    assert keys[0]["created"] < keys[1]["created"] and key_id(old) in log.dvara("audit", "keys").stdout
    report = log.json("audit", "verify", "--key", old)
    assert report["ok"] and report["signer"] == vkeys[0], "the old key leads to the new one"


def test_an_old_key_leads_through_several_changes(log):
    log.start_logd().start_dvarad()
    [first] = log.vkeys
    for _ in range(3):
        new, old = rotate(log)
        rotate(log, "--retire", key_id(old))
    log.stop()
    log.start_logd()
    assert log.vkeys == [new]
    assert log.json("audit", "verify", "--key", first)["signer"] == new
    # Without what leads on, it is not believed.
    shutil.move(log.log / "rotated" / f"{key_id(first)}.event", log.log / "rotated" / "away")
    report = log.dvara("audit", "verify", "--key", first, "--output", "json", code=1)
    assert "not signed by" in report.stdout + report.stderr


def test_what_leads_on_is_not_believed_when_it_is_changed(log):
    log.start_logd().start_dvarad()
    new, old = rotate(log)
    rotate(log, "--retire", key_id(old))
    proof = log.log / "rotated" / f"{key_id(old)}.tlog-proof"
    event = proof.with_suffix(".event")
    changes = [(event, at) for at in (0, 100, 300)] + [(proof, at) for at in (3, 25, 40, 120, proof.stat().st_size - 20)]
    for file, at in changes:
        good = file.read_bytes()
        file.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1:])
        log.dvara("audit", "verify", "--key", old, code=1)
        file.write_bytes(good)
    assert log.json("audit", "verify", "--key", old)["signer"] == new


def test_a_stolen_old_key_is_worth_nothing_afterwards(log, witness, tmp_path):
    """A thief with the old key's file signs another log of the same name: whoever follows the new key refuses it."""
    log.start_logd().start_dvarad().write("a", 20)
    seed = bytes.fromhex((log.state / "keys/log/signing").read_text())
    new, old = rotate(log)
    witness.knows(new, old).start()
    note = log.checkpoint
    origin, size, root, _ = lines_of(note)
    assert witness.add(0, [], note)[0] == 200
    rotate(log, "--retire", key_id(old))
    witness.knows(new)
    forged = f"{origin}\n{size}\n{base64.b64encode(hashlib.sha256(b'x').digest()).decode()}\n".encode()
    stolen = forged + b"\n" + sign(tmp_path, seed, old, forged)
    assert witness.add(size, [], stolen)[0] == 403
    log.stop()
    (log.log / "checkpoint").write_bytes(stolen)
    report = json.loads(log.dvara("audit", "verify", "--key", new, "--output", "json", code=1).stdout)
    assert not report["ok"] and "not signed by" in report["problem"]
    with pytest.raises(AssertionError, match="not signed by"):
        log.start_logd()


def test_the_overlap_ends_by_itself(log):
    log.start_logd().start_dvarad()
    new, old = rotate(log, "--overlap-days", "1")
    log.stop()
    file = log.state / "keys/log/signing.old"
    seed, until = file.read_text().split()
    assert abs(int(until) - time.time() - 86400) < 60
    file.write_text(f"{seed}\n{int(time.time())}\n")
    log.start_logd()
    wait_until(lambda: log.vkeys == [new], 10, "the old key is retired")
    assert not file.exists() and rotated(log)[-1]["entity"]["uid"] == old


def test_a_kill_at_any_time_leaves_one_key_or_two_and_a_whole_log(log):
    """Killed again and again while keys are changed and retired: it always starts, verifies with the first key, and
    each key that signs is named by the log exactly once."""
    log.start_logd()
    [first] = log.vkeys
    chance = random.Random(5)
    for _ in range(12):
        old = log.vkeys
        path = "/rotate" if len(old) == 1 else f"/rotate?retire={key_id(old[1])}"
        asked = threading.Thread(target=ask_quietly, args=(log, path))
        asked.start()
        time.sleep(chance.uniform(0, 0.12))
        log.stop("dvara-logd", how=signal.SIGKILL)
        asked.join()
        log.start_logd()
        assert len(log.vkeys) in (1, 2)
        report = log.json("audit", "verify", "--key", first)
        assert report["ok"] and report["signer"] in log.vkeys
    named = [event["entity"]["uid"] for event in rotated(log) if event["activity_id"] == 1]
    assert len(named) == len(set(named)) and set(log.vkeys) <= {first, *named}


def ask_quietly(log, path):
    try:
        log.request(path, "POST", b"")
    except OSError:
        pass  # it was killed meanwhile
