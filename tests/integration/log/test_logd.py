# SPDX-License-Identifier: Apache-2.0
import collections
import json
import os
import pathlib
import random
import shutil
import signal
import stat
import subprocess
import sys
import time

import pytest

from conftest import BUILD, wait_until
from support import PATIENCE


def ids(events):
    return collections.Counter(event["metadata"].get("correlation_uid") for event in events)


def test_a_written_event_is_readable_within_two_seconds(logd):
    logd.start()
    writer = logd.write("one", 1)
    assert writer.communicate()[0] == "one-0\n"
    started = time.monotonic()
    lines = logd.get("/events?request_id=one-0&wait_ms=5000").splitlines()
    assert time.monotonic() - started < 2 * PATIENCE
    assert json.loads(lines[0])["event"]["metadata"]["correlation_uid"] == "one-0"
    assert logd.verify()["result"] == "ok"


def test_the_log_lets_others_go_first_as_long_as_it_keeps_up(logd):
    """Beside sessions that take every processor: it yields, falls behind, and takes its share again."""
    logd.start(session=True)
    weight = pathlib.Path(f"/proc/{logd.process.pid}/autogroup")
    yields = (lambda: weight.read_text().endswith(" 19\n")) if weight.exists() else (lambda: True)
    wait_until(yields, "it yields")
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"], start_new_session=True)
            for _ in range(2 * os.cpu_count())]
    try:
        writers = [logd.write(f"busy{number}", 20000) for number in range(2)]
        if weight.exists():
            wait_until(lambda: not yields(), "it takes its share", 30)
        for writer in writers:
            writer.communicate()
        wait_until(lambda: logd.status()["size"] > 40000, "all records are in the log", 30)
    finally:
        for one in busy:
            one.kill()
            one.wait()
    wait_until(yields, "it yields again")
    assert logd.verify()["ok"]


def test_nothing_acknowledged_is_lost_when_logd_is_killed(logd):
    """Three writers, and dvara-logd killed again and again while they write."""
    logd.start()
    chance = random.Random(7)
    writers = [logd.write(f"w{number}", 3000) for number in range(3)]
    acknowledged = [writer.stdout.readline().strip() for writer in writers]  # each has read the log's key
    for _ in range(8):
        time.sleep(chance.uniform(0.02, 0.4))
        logd.end(signal.SIGKILL)
        logd.start()
    acknowledged += [line for writer in writers for line in writer.communicate()[0].split()]
    assert len(acknowledged) == 9000
    wait_until(lambda: not list(logd.spool.glob("test/*.seg")), "the spool is empty")
    wait_until(lambda: ids(logd.feed()).keys() >= set(acknowledged), "readers are told")
    assert logd.verify()["ok"]
    counted = ids(logd.feed())
    assert all(counted[one] == 1 for one in acknowledged)


def test_a_killed_writer_keeps_what_was_acknowledged(logd):
    logd.start()
    acknowledged = []
    for number in range(10):
        writer = logd.write(f"k{number}", 100000)
        first = writer.stdout.readline()
        time.sleep(0.02)
        writer.kill()
        text = first + writer.stdout.read()
        acknowledged += [line for line in text.splitlines(keepends=True) if line.endswith("\n")]
    wait_until(lambda: not list(logd.spool.glob("test/*.seg")), "the spool is empty")
    # A file is gone a moment before readers are told of what was in it.
    wait_until(lambda: ids(logd.feed())[acknowledged[-1].strip()] > 0, "readers are told")
    counted = ids(logd.feed())
    assert all(counted[one.strip()] == 1 for one in acknowledged)
    assert logd.verify()["ok"]


def test_ending_takes_in_what_was_written_before(logd):
    logd.start()
    logd.write("end", 5000).communicate()
    assert logd.end() == 0
    assert not list(logd.spool.glob("test/*.seg"))
    assert logd.verify()["size"] == 5002  # start and stop are events too
    logd.start()
    assert logd.feed()[-1]["metadata"]["event_code"] == "lifecycle"


def test_the_log_goes_on_under_its_name_and_keys(logd):
    origin = logd.start().status()["origin"]
    logd.end()
    key = logd.verify()["signer"]
    assert logd.start().status()["origin"] == origin
    assert logd.verify("--key", key)["ok"]
    other = key.replace(origin, origin[:-1] + ("a" if origin[-1] != "a" else "b"))
    assert "verifier key" in logd.verify("--key", other, code=1)["problem"]


def test_keys_are_closed_to_others(logd):
    logd.is_damaged = True
    logd.start()
    folder = logd.state / "keys/log"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for name in ("signing", "box", "origin"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
    assert stat.S_IMODE((logd.runtime / "logd.sock").stat().st_mode) == 0o660
    logd.end()
    (folder / "signing").chmod(0o644)
    logd.start(wait=False)
    assert logd.process.wait(timeout=10) == 1
    assert "chmod 600" in logd.said()


def test_a_log_without_its_keys_is_not_continued(logd):
    logd.is_damaged = True
    logd.start().end()
    shutil.rmtree(logd.state / "keys")
    logd.start(wait=False)
    assert logd.process.wait(timeout=10) == 1
    assert "restore them" in logd.said()


def test_a_log_that_was_rolled_back_is_not_continued(logd, tmp_path):
    logd.is_damaged = True
    logd.start()
    logd.write("a", 300).communicate()
    logd.end()
    shutil.copy(logd.log / "state", tmp_path / "state.old")
    logd.start()
    logd.write("b", 300).communicate()
    logd.end()
    size = logd.verify()["size"]
    shutil.copy(logd.log / "state", tmp_path / "state.new")
    shutil.copy(tmp_path / "state.old", logd.log / "state")
    logd.start(wait=False)
    assert logd.process.wait(timeout=10) == 1
    assert "only" in logd.said()
    assert "state is behind" in logd.verify(code=1)["problem"]
    shutil.copy(tmp_path / "state.new", logd.log / "state")
    assert logd.verify()["size"] == size, "what was refused was not touched"
    assert "were there before" in json.dumps(logd.verify("--at-least", str(size + 1), code=1))


def test_a_changed_event_is_found(logd):
    logd.is_damaged = True
    logd.start()
    logd.write("x", 700).communicate()
    logd.end()
    bundle = logd.log / "tile/entries/001"
    text = bundle.read_bytes()
    bundle.write_bytes(text.replace(b'"x-400"', b'"x-401"'))
    report = logd.verify(code=1)
    assert not report["ok"] and "tile/0/001 differs" in report["problem"]


def test_tiles_and_checkpoint_are_served(logd):
    logd.start()
    logd.write("t", 600).communicate()
    wait_until(lambda: logd.status()["size"] >= 601, "all is published")
    assert logd.get("/checkpoint") == (logd.log / "checkpoint").read_bytes()
    assert logd.get("/tile/0/000") == (logd.log / "tile/0/000").read_bytes()
    assert logd.get("/tile/entries/001") == (logd.log / "tile/entries/001").read_bytes()


@pytest.mark.parametrize("path", [
    "/", "/state", "/tile/", "/tile/../state", "/tile/0/../../state", "/tile/%2e%2e/state", "/tile/0/999999", "/keys",
    "//tile/0/000/../../../../keys/log/box"])
def test_nothing_else_is_served(logd, path):
    logd.start()
    assert logd.get(path, "-o", "/dev/null", "-w", "%{http_code}") == b"404"


@pytest.mark.parametrize("query", [
    "from=-1", "from=x", "from=99999999999999999999", "limit=10001", "wait_ms=30001", "request_id=", "limit=1.5",
    "request_id=" + "a" * 129])
def test_bad_parameters_are_refused(logd, query):
    logd.start()
    answer = logd.get(f"/events?{query}", "-w", "%{http_code}")
    assert answer.endswith(b"400") and b"message" in answer


def test_other_methods_are_refused(logd):
    logd.start()
    assert logd.get("/status", "-X", "DELETE", "-o", "/dev/null", "-w", "%{http_code}") == b"405"
    assert logd.get("/status", "-d", "x", "-o", "/dev/null", "-w", "%{http_code}") == b"405"
    assert logd.get("/search", "-d", "x" * 100000, "-o", "/dev/null", "-w", "%{http_code}") == b"413"


def test_a_waiting_reader_is_woken_and_holds_nobody_up(logd):
    logd.start()
    wait_until(lambda: logd.status()["size"] == 1, "the start is in the log")
    size = 1
    waiting = [subprocess.Popen(["curl", "-s", "--unix-socket", logd.runtime / "logd.sock",
                                 f"http://log/events?from={size}&wait_ms=20000"], stdout=subprocess.PIPE)
               for _ in range(5)]
    time.sleep(0.5)
    assert all(one.poll() is None for one in waiting)
    started = time.monotonic()
    logd.write("wake", 1).communicate()
    for one in waiting:
        assert b"wake-0" in one.communicate(timeout=10)[0]
    assert time.monotonic() - started < 4 * PATIENCE


def test_a_search_is_checked_and_answered_in_pages(logd):
    logd.start()
    logd.write("gateway", 25).wait(timeout=20)
    wait_until(lambda: logd.status()["size"] >= 26, "the events are in the log")

    def ask(request):
        text = request if isinstance(request, str) else json.dumps(request)
        return [json.loads(line) for line in logd.get("/search", "-d", text).splitlines()]
    for wrong in ("", "[", "{", '{"query":1}', {"query": "(a"}, {"query": "", "limit": 0}, {"query": "", "limit": 10001},
                  {"query": "", "order": "none"}, {"query": "", "cursor": "n.1"}, {"query": "", "cursor": "o.1.1"},
                  {"query": "", "budget_ms": 10001}, {"query": "x" * 4097}):
        assert "message" in ask(wrong)[0]["error"], wrong
    seen, request = [], {"query": "", "limit": 10}
    while True:
        *events, last = ask(request)
        seen += [line["index"] for line in events]
        if "next" not in last:
            break
        request["cursor"] = last["next"]
    assert seen == list(range(max(seen), -1, -1)) and len(seen) >= 26
    *events, last = ask({"query": "", "limit": 1000, "order": "oldest"})
    assert [line["index"] for line in events] == list(range(len(events))) and last["stats"]["complete"]
    end = last["next"]
    logd.write("gateway", 3).wait(timeout=20)
    wait_until(lambda: len(ask({"query": "", "order": "oldest", "cursor": end})) == 4, "what came later is found")


def test_a_damaged_segment_is_kept_and_told(logd):
    logd.start().end()
    key = (logd.runtime / "log.pub").read_text()
    logd.write("d", 200).communicate()
    segment = sorted(logd.spool.glob("test/*.seg"))[0]
    text = bytearray(segment.read_bytes())
    text[len(text) // 2] ^= 1
    segment.write_bytes(text)
    logd.start()
    assert (logd.runtime / "log.pub").read_text() == key
    wait_until(lambda: not list(logd.spool.glob("test/*.seg")), "the spool is empty")
    wait_until(lambda: logd.status()["segments"] == 0, "readers are told")
    assert [path.name for path in logd.spool.glob("test/*.refused")] == [segment.name + ".refused"]
    alarms = [event for event in logd.feed() if event["class_uid"] == 2004]
    assert [event["finding_info"]["uid"] for event in alarms] == ["audit.corrupt"]
    assert logd.status()["refused"] == 1
    assert logd.verify()["ok"]


def test_a_segment_goes_when_its_end_comes_after_the_last_commit(logd):
    logd.start()
    logd.write("late", 1, pause_ms=2500).communicate()  # a second later the record is committed
    wait_until(lambda: not list(logd.spool.glob("test/*.seg")), "the spool is empty")
    wait_until(lambda: logd.status()["segments"] == 0, "readers are told")
    assert ids(logd.feed())["late-0"] == 1


def spoil_the_end(path):
    """A record that does not check out, behind the last one."""
    with path.open("r+b") as file:
        at = 192
        while True:
            file.seek(at)
            length = int.from_bytes(file.read(4), "little")
            if length == 0:
                break
            at += 16 + length
        file.seek(at)
        file.write(b"\x20\0\0\0" + b"x" * 48)


def test_a_living_writer_leaves_the_segment_that_was_set_aside(logd):
    """Damage while it is written: what is acknowledged after that is in the log, but for moments."""
    logd.start()
    writer = logd.write("live", 120, pause_ms=50)
    acknowledged = [writer.stdout.readline().strip() for _ in range(10)]
    while not list(logd.spool.glob("test/*.refused")):  # the writer may write over the damage before it is seen
        for segment in logd.spool.glob("test/*.seg"):
            spoil_the_end(segment)
        acknowledged.append(writer.stdout.readline().strip())
        assert len(acknowledged) < 100, "dvara-logd saw no damage"
    seen = len(acknowledged)
    acknowledged += writer.communicate()[0].split()
    assert len(acknowledged) == 120 and writer.returncode == 0
    wait_until(lambda: not list(logd.spool.glob("test/*.seg")), "the spool is empty")
    wait_until(lambda: logd.status()["segments"] == 0, "readers are told")
    counted = ids(logd.feed())
    assert all(counted[one] <= 1 for one in acknowledged)
    late = [one for one in acknowledged[seen + 6:] if counted[one] == 0]
    assert not late, f"of {len(acknowledged)}, {seen} before the segment was refused"
    assert sum(counted[one] == 0 for one in acknowledged) < 40
    alarms = [event for event in logd.feed() if event["class_uid"] == 2004]
    assert "audit.corrupt" in [event["finding_info"]["uid"] for event in alarms]
    assert logd.verify()["ok"]


def test_a_full_disk_blocks_and_is_told(logd, tmp_path):
    """The log's folder on a file system of one MiB, in a mount namespace of its own."""
    script = f"""
set -e
mkdir -p {logd.log}
mount -t tmpfs -o size=1m,mode=0700 tmpfs {logd.log}
exec {BUILD}/dvara-logd --state {logd.state} --runtime {logd.runtime}
"""
    unshare = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--map-root-user"]
    if subprocess.run([*unshare, "mount", "-t", "tmpfs", "tmpfs", tmp_path], capture_output=True).returncode != 0:
        pytest.skip("this machine lets no test mount a small file system")
    logd.process = subprocess.Popen([*unshare, "sh", "-c", script], stderr=logd.errors)
    wait_until((logd.runtime / "log.pub").exists, "dvara-logd is ready")
    assert len(logd.write("full", 3000).communicate()[0].split()) == 3000  # writers are not held up
    wait_until(lambda: logd.status()["blocked"], "the log says that it is blocked")
    assert "No space left" in logd.status()["problem"]
    assert logd.process.poll() is None and list(logd.spool.glob("test/*.seg"))
    folder = f"/proc/{logd.process.pid}/root{logd.log}"
    subprocess.run(["nsenter", "-t", str(logd.process.pid), "-m", "mount", "-o", "remount,size=64m", logd.log],
                   check=True)
    wait_until(lambda: not logd.status()["blocked"] and not list(logd.spool.glob("test/*.seg")), "it goes on by itself")
    wait_until(lambda: logd.status()["segments"] == 0, "readers are told")
    counted = ids(logd.feed())
    assert all(counted[f"full-{number}"] == 1 for number in range(3000))
    wait_until(lambda: [one["message"] for one in logd.feed() if one.get("finding_info", {}).get("uid") == "audit.blocked"],
               "the log itself tells for how long it took nothing")
    assert os.path.exists(folder)


@pytest.mark.parametrize("words", [[], ["--state"], ["--state", "/tmp"], ["--unknown"], ["--state", "a", "--runtime", "b", "c"]])
def test_usage(words):
    done = subprocess.run([BUILD / "dvara-logd", *words], capture_output=True, text=True)
    assert done.returncode == 2 and "usage" in done.stderr
