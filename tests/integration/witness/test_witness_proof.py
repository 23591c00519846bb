# SPDX-License-Identifier: Apache-2.0
"""Proof files: written by the log's own machine, checked by one that knows nothing but a key."""
import json
import re
import subprocess

import pytest

from witness_tools import BUILD, lines_of


class Offline:
    """Someone with the files and no server, state or log."""

    def __init__(self, folder):
        self.folder = folder

    def verify(self, *words, code=0, result="failed"):
        done = subprocess.run([BUILD / "dvara", "audit", "verify", "--output", "json", *words], cwd=self.folder,
                              capture_output=True, text=True, env={"DVARA_STATE": "/nonexistent"})
        assert done.returncode == code, done.stdout + done.stderr
        said = json.loads(done.stdout)
        if code == 0:
            return said
        # A program gets the verdict where it looks for it.
        assert (said["result"], said["ok"], said["problem"]) == (result, False, done.stderr[7:-1])
        return said["problem"]


@pytest.fixture
def offline(tmp_path):
    (tmp_path / "evidence").mkdir()
    return Offline(tmp_path / "evidence")


@pytest.fixture
def cosigned(log, witness):
    log.start_logd()
    log.write("p", 700)
    witness.knows(*log.vkeys).start()
    log.witnessed_by(witness).start_dvarad()
    log.wait_for_cosigned(701)
    return log


def prove(log, offline, ident, *words):
    return log.json("audit", "prove", ident, "--output-dir", str(offline.folder), *words)["items"]


def test_a_proof_is_checked_offline(cosigned, offline):
    vkey = cosigned.vkeys[0]
    for index in (0, 255, 256, 511, 700):
        [item] = prove(cosigned, offline, str(index), "--cosigned")
        assert item["cosignatures"] == 1
        event = json.loads((offline.folder / f"{index}.event").read_bytes())
        assert event["metadata"]["log_source"]
        report = offline.verify("--proof", f"{index}.tlog-proof", "--key", vkey)
        assert report["ok"] and report["index"] == index and report["size"] >= 701


def test_a_policy_asks_for_the_witness(cosigned, offline, make):
    prove(cosigned, offline, "3")
    policy = f"log {cosigned.vkeys[0]}\n" + cosigned.witnesses["policy"]
    (offline.folder / "policy").write_text(policy)
    assert offline.verify("--proof", "3.tlog-proof", "--policy", "policy")["cosignatures"] == 1
    # Without its line the quorum is not reached, whoever else signed.
    text = (offline.folder / "3.tlog-proof").read_text()
    bare = re.sub("\u2014 witness.example/w1 .*\n", "", text)
    assert bare != text
    (offline.folder / "bare").write_text(bare)
    assert "quorum" in offline.verify("--proof", "bare", "--event", "3.event", "--policy", "policy", code=1)
    assert offline.verify("--proof", "bare", "--event", "3.event", "--key", cosigned.vkeys[0])["cosignatures"] == 0


def test_a_request_is_proved_by_its_id(cosigned, offline):
    [item] = prove(cosigned, offline, "p-77")
    event = json.loads((offline.folder / f"{item['index']}.event").read_bytes())
    assert event["metadata"]["correlation_uid"] == "p-77"
    # As exports name it: metadata.uid.
    origin = lines_of(cosigned.checkpoint)[0]
    assert prove(cosigned, offline, f"{origin}#{item['index']}")[0]["index"] == item["index"]
    assert "of another log" in cosigned.dvara("audit", "prove", f"{origin}x#3", code=1).stderr
    assert "no event of the request" in cosigned.dvara("audit", "prove", "nobody-1", code=1).stderr
    assert "no event 99999" in cosigned.dvara("audit", "prove", "99999", code=1).stderr


def test_whom_to_believe_must_be_said(cosigned, offline):
    prove(cosigned, offline, "5")
    assert "--key VKEY, or --policy FILE" in offline.verify("--proof", "5.tlog-proof", code=1, result="error")
    assert "6.event" in offline.verify("--proof", "5.tlog-proof", "--event", "6.event", "--key", cosigned.vkeys[0],
                                       code=1, result="error")
    other = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
    assert "not signed by a log" in offline.verify("--proof", "5.tlog-proof", "--key", other, code=1)


def test_another_event_or_place_is_refused(cosigned, offline):
    vkey = cosigned.vkeys[0]
    for index in ("8", "9"):
        prove(cosigned, offline, index)
    assert "another event" in offline.verify("--proof", "8.tlog-proof", "--event", "9.event", "--key", vkey, code=1)
    text = (offline.folder / "8.tlog-proof").read_text()
    (offline.folder / "moved").write_text(text.replace("index 8\n", "index 9\n"))
    assert "another event" in offline.verify("--proof", "moved", "--event", "9.event", "--key", vkey, code=1)
    event = (offline.folder / "8.event").read_bytes()
    (offline.folder / "8.event").write_bytes(event + b" ")
    assert "another event" in offline.verify("--proof", "8.tlog-proof", "--key", vkey, code=1)


def test_an_event_that_no_witness_saw_yet_is_proved_by_the_log_alone(log, offline):
    log.start_logd().start_dvarad().write("q", 10)
    [item] = prove(log, offline, "4")
    assert item["cosignatures"] == 0
    assert "have not cosigned" in log.dvara("audit", "prove", "4", "--cosigned", code=1).stderr
    assert offline.verify("--proof", "4.tlog-proof", "--key", log.vkeys[0])["ok"]
    assert lines_of(log.checkpoint)[1] >= item["size"]
