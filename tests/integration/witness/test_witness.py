# SPDX-License-Identifier: Apache-2.0
"""Witnesses of our own: what they cosign, what they refuse, and what the control plane makes of it."""
import base64
import concurrent.futures
import hashlib
import json
import os
import shutil
import signal
import subprocess

import pytest

from witness_tools import BUILD, Log, Witness, copy_state, lines_of, wait_until


def cosigned(log):
    return log.get("/checkpoint.cosigned")


def test_the_quorum_cosigns_and_the_log_publishes_it(log, make):
    log.start_logd()
    witnesses = [make(Witness, f"w{i}", f"witness.example/w{i}").knows(*log.vkeys).start() for i in range(2)]
    log.witnessed_by(*witnesses).start_dvarad()
    log.write("a", 300)
    log.wait_for_cosigned(301)
    origin, size, root, signatures = lines_of(cosigned(log))
    assert size >= 301 and len(signatures) == 3
    assert [line.split()[1] for line in signatures] == [origin, "witness.example/w0", "witness.example/w1"]
    status = log.witnesses
    assert status["quorum"] == 2 and [item["state"] for item in status["items"]] == ["ok", "ok"]
    assert all(item["size"] >= 301 and item["cosigned_at"] for item in status["items"])
    # Every witness shows what it cosigned last to whoever asks for it.
    name = hashlib.sha256(origin.encode()).hexdigest()
    code, kind, note = witnesses[0].ask("GET", f"/{name}/checkpoint")
    assert code == 200 and lines_of(note)[0] == origin and len(lines_of(note)[3]) == 2


@pytest.mark.ordinary_build
def test_the_log_of_a_class_is_cosigned_under_its_own_origin(log, witness):
    log.start_logd()
    witness.knows(*log.vkeys).start()
    config = json.loads(log.witnessed_by(witness).config.read_text())
    config["audit"]["retention"] = {"classes": [{"name": "requests", "kinds": ["request.*"], "keep": "90d"}]}
    log.config.write_text(json.dumps(config))
    log.start_dvarad()
    wait_until(lambda: (log.log / "class/requests").exists(), 10, "the class has a log")
    vkey = log.json("audit", "checkpoint", "--log", "requests")["vkey"]
    wait_until(lambda: "refuses" in log.states(), 20, "the witness knows the main log alone")
    witness.knows(*log.vkeys, vkey)
    subprocess.run([BUILD / "tests/integration/log/spool_writer", log.runtime, log.state / "spool", "a", "300", "0"],
                   check=True, stdout=subprocess.DEVNULL)
    path = log.log / "class/requests/checkpoint.cosigned"
    wait_until(lambda: path.exists() and lines_of(path.read_bytes())[1] >= 300, 20, "the class is cosigned")
    origin, _, _, signatures = lines_of(path.read_bytes())
    assert origin == lines_of(log.checkpoint)[0] + "/requests"
    assert [line.split()[1] for line in signatures] == [origin, "witness.example/w1"]
    name = hashlib.sha256(origin.encode()).hexdigest()
    assert lines_of(witness.ask("GET", f"/{name}/checkpoint")[2])[0] == origin
    log.dvara("audit", "verify", "--key", log.vkeys[0])


def test_one_witness_of_two_is_enough_for_a_quorum_of_one(log, make):
    log.start_logd()
    here = make(Witness, "here", "witness.example/here").knows(*log.vkeys).start()
    away = make(Witness, "away", "witness.example/away")
    log.witnessed_by(here, away, quorum=1).start_dvarad()
    log.wait_for_cosigned(1)
    assert log.states() == ["ok", "unavailable"]
    assert len(lines_of(cosigned(log))[3]) == 2
    away.knows(*log.vkeys).start()
    wait_until(lambda: log.states() == ["ok", "ok"], 20, "the other one comes back")


def test_without_the_quorum_nothing_is_published(log, make):
    log.start_logd()
    here = make(Witness, "here", "witness.example/here").knows(*log.vkeys).start()
    away = make(Witness, "away", "witness.example/away")
    log.witnessed_by(here, away).start_dvarad()
    wait_until(lambda: "1 of the 2" in log.witnesses["problem"], 20, "a round is over")
    assert log.request("/checkpoint.cosigned")[0] == 404


def test_a_witness_that_does_not_know_the_log_refuses(log, witness):
    log.start_logd()
    witness.start()
    log.witnessed_by(witness).start_dvarad()
    wait_until(lambda: log.states() == ["refuses"], 20, "it refuses")
    told = log.witnesses["items"][0]["problem"]
    assert "404" in told and "dvara audit checkpoint" in told and "logs.txt and reload it" in told
    witness.knows(*log.vkeys)
    wait_until(lambda: log.states() == ["ok"], 20, "it is told of the log")


def test_the_witness_explains_itself(witness):
    for words in (["--help"], ["run", "--help"]):
        told = subprocess.run([BUILD / "dvara-witness", *words], capture_output=True, text=True, check=True).stdout
        for part in ("init", "show-key", "--listen", "127.0.0.1:7380", "logs.txt", "SIGHUP", "example:"):
            assert part in told, part


def test_another_key_than_the_configured_one_is_not_believed(log, make):
    log.start_logd()
    one = make(Witness, "one").knows(*log.vkeys).start()
    other = make(Witness, "other")
    other.url = one.url  # the address of one, the key of another
    log.witnessed_by(other).start_dvarad()
    wait_until(lambda: log.states() == ["refuses"], 20, "its answer is refused")
    assert "not signed by the key" in log.witnesses["items"][0]["problem"]
    assert log.request("/checkpoint.cosigned")[0] == 404


def test_a_log_that_was_taken_back_is_found_by_the_witness(log, witness, tmp_path):
    """The whole folder, keys and all, as it was before: the log itself can't tell."""
    log.start_logd()
    witness.knows(*log.vkeys).start()
    log.witnessed_by(witness).start_dvarad()
    log.wait_for_cosigned(1)
    log.stop()
    copy_state(log, tmp_path / "before")
    log.start_logd().start_dvarad().write("gone", 300)
    log.wait_for_cosigned(300)
    log.stop()
    shutil.rmtree(log.state)
    shutil.copytree(tmp_path / "before", log.state, symlinks=True)
    log.start_logd().start_dvarad()
    wait_until(lambda: log.states() == ["ahead"], 20, "the witness is ahead")
    assert "taken back" in log.witnesses["items"][0]["problem"]
    wait_until(lambda: log.alarms(), 20, "the alarm is in the log")
    assert "audit.witness" in json.dumps(log.alarms()[0])
    # Growing beyond what was seen does not help: what is there is no continuation.
    log.write("other", 400)
    wait_until(lambda: log.states() == ["forked"], 20, "the witness sees the fork")
    assert list((witness.folder / "conflicts").iterdir()), "what was signed is kept as evidence"


def test_a_log_behind_what_it_published_itself_does_not_start(log, witness, tmp_path):
    log.start_logd()
    witness.knows(*log.vkeys).start()
    log.witnessed_by(witness).start_dvarad()
    log.wait_for_cosigned(1)
    log.stop("dvarad", "dvara-logd")
    shutil.copytree(log.log, tmp_path / "before")
    log.start_logd().start_dvarad().write("gone", 300)
    log.wait_for_cosigned(300)
    log.stop("dvarad", "dvara-logd")
    kept = (log.log / "checkpoint.cosigned").read_bytes()
    shutil.rmtree(log.log)
    shutil.copytree(tmp_path / "before", log.log)
    (log.log / "checkpoint.cosigned").write_bytes(kept)
    with pytest.raises(AssertionError, match="taken back"):
        log.start_logd()


def test_a_forked_log_of_the_same_size_is_found(log, witness, make, tmp_path):
    log.start_logd()
    log.stop()
    twin = make(Log, "twin")
    shutil.rmtree(twin.state)
    shutil.copytree(log.state, twin.state, symlinks=True)
    (twin.state / "runtime").unlink()
    (twin.state / "runtime").symlink_to(twin.runtime)
    for one in (log, twin):
        one.start_logd()
    assert log.vkeys == twin.vkeys
    log.write("a", 50)
    twin.write("b", 50)
    assert lines_of(log.checkpoint)[:2] == lines_of(twin.checkpoint)[:2]
    witness.knows(*log.vkeys).start()
    assert witness.add(0, [], log.checkpoint)[0] == 200
    size = lines_of(twin.checkpoint)[1]
    assert witness.add(size, [], twin.checkpoint)[0] == 422
    assert witness.add(0, [], twin.checkpoint)[0] == 409
    twin.witnessed_by(witness)
    twin.start_dvarad()
    wait_until(lambda: twin.states() == ["forked"], 20, "the fork is found")
    wait_until(lambda: twin.alarms(), 20, "the alarm is in the log")


def test_statuses_are_those_of_the_protocol(log, witness):
    """C2SP tlog-witness, "add-checkpoint"."""
    log.start_logd().write("a", 20)
    small = log.checkpoint
    log.write("b", 20)
    large = log.checkpoint
    witness.knows(*log.vkeys).start()
    size = lines_of(small)[1]
    assert witness.add(0, [], small)[:2] == (200, "text/plain; charset=utf-8")
    assert witness.add(0, [], large) == (409, "text/x.tlog.size", f"{size}\n".encode())
    assert witness.add(size, [], small)[0] == 200, "the same again"
    zero = base64.b64encode(bytes(32)).decode()
    assert witness.add(size, [], large)[0] == 422, "no proof"
    assert witness.add(size, [zero] * 3, large)[0] == 422, "a wrong proof"
    assert witness.add(99, [], small)[0] == 400, "old size beyond the checkpoint's"
    assert witness.add(size, [zero] * 64, large)[0] == 400, "too many hashes"
    changed = large.replace(b"\n\n", b"\nextension\n\n", 1)
    assert witness.add(size, [], changed)[0] == 403, "the signature is over another text"
    assert witness.add(size, [], large.split(b"\n\n")[0] + b"\n\n\xe2\x80\x94 x AAAAAAAA\n")[0] == 403, "of nobody"
    assert witness.add(size, [], b"other.example/log\n1\n" + zero.encode() + b"\n\n\xe2\x80\x94 x AAAAAAAA\n")[0] == 404
    for body in (b"", b"old 1\n", b"old 01\n\n" + large, b"old -1\n\n" + large, b"old 1\r\n\r\n" + large, large):
        assert witness.ask("POST", "/add-checkpoint", body)[0] == 400, body[:20]
    assert witness.ask("POST", "/add-checkpoint", b"x" * 200000)[0] == 413
    assert witness.ask("GET", "/add-checkpoint")[0] == 405
    assert witness.ask("POST", "/", b"x")[0] == 405
    for path in ("/", "/checkpoint", f"/{'0' * 64}/checkpoint", "/../key", "/key", "/logs/"):
        assert witness.ask("GET", path)[0] == 404, path


def test_of_many_at_once_one_is_right(log, witness):
    """Twenty clients with checkpoints of several sizes: what is remembered only grows, and each cosignature is of
    what was remembered before it left."""
    log.start_logd()
    witness.knows(*log.vkeys).start()
    notes = []
    for i in range(4):
        notes.append(log.write(f"n{i}", 10).checkpoint)
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda note: (note, witness.add(0, [], note)[0]), notes * 5))
    assert {status for _, status in answers} == {200, 409}
    winner = {note for note, status in answers if status == 200}
    assert len(winner) == 1, "only one could begin from nothing"
    name = hashlib.sha256(lines_of(notes[0])[0].encode()).hexdigest()
    assert lines_of(witness.ask("GET", f"/{name}/checkpoint")[2])[1] == lines_of(winner.pop())[1]


def test_a_killed_witness_remembers_what_it_cosigned(log, witness):
    log.start_logd()
    witness.knows(*log.vkeys).start()
    note = log.checkpoint
    size = lines_of(note)[1]
    assert witness.add(0, [], note)[0] == 200
    witness.stop(signal.SIGKILL)
    witness.start()
    assert witness.add(size - 1, [], note) == (409, "text/x.tlog.size", f"{size}\n".encode())
    assert witness.add(size, [], note)[0] == 200


def test_a_witness_refuses_what_is_not_its_own(log, witness):
    log.start_logd()
    witness.knows(*log.vkeys).start()
    assert witness.add(0, [], log.checkpoint)[0] == 200
    witness.stop()
    [memory] = (witness.folder / "logs").iterdir()
    memory.write_bytes(memory.read_bytes().replace(b"\n1\n", b"\n0\n"))
    assert "not what this witness cosigned" in witness.run("run", "--listen", "127.0.0.1:1", code=1).stderr
    memory.unlink()
    (witness.folder / "key").chmod(0o644)
    assert "chmod 600" in witness.run("run", code=1).stderr


def test_two_witnesses_do_not_share_a_folder(witness):
    witness.start()
    assert "another dvara-witness" in witness.run("run", code=1).stderr


def test_only_the_control_plane_may_post(log):
    log.start_logd()
    assert log.request("/cosignature", "POST", b"x")[0] == 404, "no witnesses are configured"
    assert log.request("/rotate?retire=xyz", "POST", b"")[0] == 400
    assert log.request("/rotate?overlap_days=4000", "POST", b"")[0] == 400
    assert log.request("/status", "POST", b"")[0] == 405
    assert log.request("/cosignature", "POST", b"x" * 70000)[0] == 413


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can ask as somebody else")
def test_nobody_else_may_post_or_read_events(log):
    """A user who reaches the socket, as nginx's workers do: he neither gives orders nor reads events, in which names
    stand in the clear."""
    log.start_logd()
    log.runtime.chmod(0o755)
    (log.runtime / "logd.sock").chmod(0o666)
    for words, status in ((["http://log/rotate", "-d", ""], "403"), (["http://log/cosignature", "-d", "x"], "403"),
                          (["http://log/search", "-d", "{}"], "403"), (["http://log/events"], "403"),
                          (["http://log/events?request_id=x"], "403"), (["http://log/vkey"], "200"),
                          (["http://log/status"], "200")):
        done = subprocess.run(["curl", "-s", "--unix-socket", "logd.sock", "-o", "/dev/null", "-w", "%{http_code}", *words],
                              cwd=log.runtime, user=65534, group=65534, extra_groups=[], capture_output=True, text=True)
        assert done.stdout == status, words
    assert len(log.vkeys) == 1


@pytest.mark.parametrize("section, complaint", [
    ({"witnesses": [{"url": "https://w.example/"}]}, "url and key"),
    ({"witnesses": [{"url": "ftp://w.example/", "key": "x"}]}, "url wants"),
    ({"witnesses": [{"url": "https://w.example/", "key": "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"}]}, "cosigner's"),
    ({"witnesses": [], "quorum": 1}, "larger than the 0"),
    ({"witness_interval": "1ms"}, "between 1s and 1h"),
    ({"witnes": []}, "witnesses"),
])
def test_bad_configurations_are_refused(tmp_path, section, complaint):
    config = tmp_path / "dvara.yaml"
    config.write_text(json.dumps({"audit": section}))
    done = subprocess.run([BUILD / "dvara", "config", "check", config], capture_output=True, text=True)
    assert done.returncode != 0 and complaint in done.stderr + done.stdout
