# SPDX-License-Identifier: Apache-2.0
"""Files that grow and are rotated, journals, HTTP; deaths and full disks in between."""
import hashlib
import http.client
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import threading
import time

import pytest

from collect_tools import Collect, free_port, wait_until


class Writer:
    """Appends numbered lines as a program does that keeps its file open, until it is told to reopen."""

    def __init__(self, path, padding=b""):
        self.path, self.padding, self.count, self.lock = path, padding, 0, threading.Lock()
        self.reopen()

    def reopen(self):
        with self.lock:
            self.file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def write(self, lines):
        with self.lock:
            for _ in range(lines):
                os.write(self.file, b"line %06d of the test%s\n" % (self.count, self.padding))
                self.count += 1

    def numbers(self):
        return list(range(self.count))


def numbers(stand):
    return [int(raw.split()[1]) for raw in stand.raws()]


def all_came(stand, writer, seconds=25):
    wait_until(lambda: len(numbers(stand)) >= writer.count, seconds, f"all {writer.count} lines")
    assert sorted(numbers(stand)) == writer.numbers(), "each line once"


def rotate(path, folder, *options):
    config = folder / "logrotate.conf"
    config.write_text("%s {\n  rotate 20\n  size 1\n  nocompress\n  %s\n}\n" % (path, "\n  ".join(options)))
    config.chmod(0o644)
    subprocess.run([shutil.which("logrotate", path="/usr/sbin:/usr/bin"), "-f", "-s", folder / "logrotate.state", config],
                   check=True, capture_output=True, timeout=20)


@pytest.fixture
def file(tmp_path):
    folder = tmp_path / "logs"
    folder.mkdir(mode=0o755)
    return folder / "app.log"


def test_rotation_by_logrotate_with_renaming(stand, file):
    writer = Writer(file)
    stand.collect({"type": "file", "path": str(file)})
    for _ in range(4):
        writer.write(300)
        rotate(file, stand.folder, "create 0644")
        writer.write(200)  # still into the renamed file
        writer.reopen()
        writer.write(100)
        time.sleep(0.2)
    all_came(stand, writer)
    assert stand.alarms("collect.lost") == []


def test_rotation_by_logrotate_with_copying(stand, file):
    writer = Writer(file)
    stand.collect({"type": "file", "path": str(file)})
    for _ in range(2):
        writer.write(500)
        wait_until(lambda: stand.input()["lines"] >= writer.count, 10, "this generation is known")
        writer.write(500)
        rotate(file, stand.folder, "copytruncate")
    writer.write(10)
    all_came(stand, writer)


@pytest.mark.parametrize("how", ["create 0644", "copytruncate"])
def test_rotations_while_nobody_looked(stand, file, how):
    writer = Writer(file)
    stand.collect({"type": "file", "path": str(file)})
    writer.write(100)
    all_came(stand, writer)
    stand.end("dvara-collect")
    for _ in range(3):
        writer.write(50)
        rotate(file, stand.folder, how)
        writer.reopen()
    writer.write(50)
    stand.collect()
    all_came(stand, writer)
    assert stand.alarms("collect.lost") == []


def test_killed_during_load_no_line_is_lost_or_repeated(stand, file):
    writer = Writer(file)
    stand.collect({"type": "file", "path": str(file), "rate": 1000000})
    running = True

    def work():
        while running:
            writer.write(200)
            time.sleep(0.005)
    thread = threading.Thread(target=work)
    thread.start()
    try:
        for turn in range(8):
            time.sleep(random.uniform(0.05, 0.4))
            stand.end("dvara-collect", signal.SIGKILL)
            if turn == 4:
                rotate(file, stand.folder, "create 0644")
                writer.reopen()
            stand.start("dvara-collect", "--config", stand.config)
    finally:
        running = False
        thread.join()
    all_came(stand, writer)
    events = stand.collected()
    places = [(one["unmapped"]["dvara"]["position"]["inode"], one["unmapped"]["dvara"]["position"]["offset"]) for one in events]
    assert len(set(places)) == len(places) and writer.count > 1000


def test_lines_that_belong_together(stand, file):
    file.write_text("")
    stand.collect({"type": "file", "path": str(file), "parser": "postgresql"})
    with file.open("a") as out:
        out.write("2026-11-22 16:01:02.345 UTC [8] a@b LOG:  statement: SELECT 1\n")
        out.flush()
        time.sleep(0.2)
        out.write("\tFROM x\n2026-11-22 16:01:02.345 UTC [8] a@b LOG:  statement: SELECT 2\n")
    one, two = stand.wait_for(2)
    assert [one["query_info"]["query_string"], two["query_info"]["query_string"]] == ["SELECT 1\n\tFROM x", "SELECT 2"]


def test_while_the_log_takes_nothing_files_wait(stand, file):
    writer = Writer(file, b"x" * 6000)
    port = free_port()
    token = "0123456789abcdef0123"
    stand.collect({"type": "file", "path": str(file), "rate": 1000000},
                  {"type": "http", "listen": f"127.0.0.1:{port}", "token_sha256": hashlib.sha256(token.encode()).hexdigest()},
                  collect_spool="16MiB")
    stand.processes["dvara-logd"].send_signal(signal.SIGSTOP)
    end = time.monotonic() + 20
    while not stand.report()["blocked"] and time.monotonic() < end:
        writer.write(50)
        time.sleep(0.01)
    assert stand.report()["blocked"]
    assert post(port, token, b'{"a": 1}')[0] == 503
    stand.processes["dvara-logd"].send_signal(signal.SIGCONT)
    wait_until(lambda: not stand.report()["blocked"], 20, "it goes on")
    wait_until(lambda: len(numbers(stand)) >= writer.count, 20, "all lines")
    assert sorted(numbers(stand)) == writer.numbers()
    blocked = len(stand.alarms("collect.blocked"))
    wait_until(lambda: len(stand.alarms("collect.resumed")) == blocked > 0, 10, "both alarms")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a small file system of its own")
def test_a_full_disk(tmp_path, file):
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "none", disk], check=True)
    try:
        stand = Collect(tmp_path, disk / "state").logd()
        try:
            writer = Writer(file)
            stand.collect({"type": "file", "path": str(file), "rate": 1000000}, collect_keep_free="3MiB")
            writer.write(10)
            all_came(stand, writer)
            with (disk / "ballast").open("wb") as ballast:
                while shutil.disk_usage(disk).free > 1 << 20:
                    ballast.write(b"x" * 65536)
                    ballast.flush()
            wait_until(lambda: stand.report()["blocked"], 10, "it stops")
            writer.write(500)
            time.sleep(0.5)
            assert len(numbers(stand)) == 10
            (disk / "ballast").unlink()
            all_came(stand, writer)
            assert stand.alarms("collect.blocked") and stand.alarms("collect.resumed")
        finally:
            stand.close()
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def test_bytes_that_are_no_text_and_times_that_are_off(stand, file):
    file.write_bytes(b"Nov 22 16:01:02 web1 app: a\xff\xfeb\n2001-01-01T00:00:00Z web1 app: old\nplain \x00 nul\n")
    stand.collect({"type": "file", "path": str(file), "raw": "unparsed"})
    bad, old, plain = stand.wait_for(3)
    assert bad["unmapped"]["dvara"]["raw_encoding"] == "base64"
    assert old["unmapped"]["dvara"]["clock"] == "behind" and old["time"] == 978307200000
    assert plain["message"] == "plain \ufffd nul" and plain["unmapped"]["dvara"]["raw_encoding"] == "base64"
    wait_until(lambda: stand.input()["invalid_utf8"] == 2 and stand.input()["clock_off"] >= 1, 5, "both are counted")


def test_a_real_nginx(stand, tmp_path, file):
    port = free_port()
    conf = tmp_path / "nginx.conf"
    conf.write_text(f"daemon off; pid {tmp_path}/nginx.pid; error_log {file.parent}/error.log notice; events {{}}\n"
                    f"http {{ access_log {file}; server {{ listen 127.0.0.1:{port}; root /nowhere; }} }}\n")
    file.write_text("")
    stand.collect({"type": "file", "path": str(file), "parser": "nginx"},
                  {"type": "file", "path": f"{file.parent}/error.log", "parser": "nginx"})
    with subprocess.Popen(["/usr/sbin/nginx", "-e", "stderr", "-c", conf], stderr=stand.errors) as nginx:
        try:
            wait_until(lambda: subprocess.run(["curl", "-s", "-A", 'a "quoted" agent', f"http://127.0.0.1:{port}/x?y=1"],
                                              capture_output=True, check=False).returncode == 0, 10, "nginx")
            subprocess.run(["curl", "-s", "-X", "PURGE", f"http://127.0.0.1:{port}/"], capture_output=True, check=True)
            events = lambda: [one for one in stand.collected() if one["class_uid"] == 4002]  # noqa: E731
            wait_until(lambda: len(events()) >= 3, 15, "the requests")
        finally:
            nginx.terminate()
    access = [one for one in events() if "http_response" in one]
    assert access[0]["http_response"]["code"] == 404 and access[0]["http_request"]["url"]["query_string"] == "y=1"
    assert {one["metadata"]["event_code"] for one in stand.collected()} == {"collected.nginx"}


# ---- HTTP

def post(port, token, body, kind="application/json", method="POST"):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    headers = {"Content-Type": kind, **({"Authorization": f"Bearer {token}"} if token else {})}
    connection.request(method, "/", body, headers)
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def test_http(stand):
    port = free_port()
    token = "a-token-of-some-length"
    secret = stand.folder / "token"
    secret.write_text(token + "\n")
    stand.collect({"type": "http", "listen": f"127.0.0.1:{port}", "token_file": str(secret), "rate": 50})
    assert post(port, None, b"{}")[0] == 401
    assert post(port, "another", b"{}")[0] == 401
    assert post(port, token, b"", method="GET")[0] == 405
    assert post(port, token, b"nonsense")[0] == 400
    assert post(port, token, b'{"a":1}\n{"b":', "application/x-ndjson")[0] == 400
    big = stand.folder / "big"
    big.write_bytes(b"x" * ((8 << 20) + 1))
    assert subprocess.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--data-binary", f"@{big}", "-H", "Expect: 100-continue",
                           "-H", f"Authorization: Bearer {token}", f"http://127.0.0.1:{port}/"],
                          capture_output=True, check=False, timeout=20).stdout == b"413"
    assert post(port, token, b'{"one": 1}') == (200, {"taken": 1})
    assert post(port, token, b'[{"two": 2}, {"three": 3}]') == (200, {"taken": 2})
    assert post(port, token, b'{"four": 4}\n{"five": 5}\n', "application/x-ndjson") == (200, {"taken": 2})
    assert post(port, token, b"<13>app: six\nseven\n", "text/plain") == (200, {"taken": 2})
    record = {"eventVersion": "1.08", "eventSource": "s3.amazonaws.com", "eventName": "GetObject", "eventID": "E"}
    assert post(port, token, json.dumps({"Records": [record, record]}).encode()) == (200, {"taken": 2})
    events = stand.wait_for(9)
    assert [one["metadata"]["event_code"] for one in events[-2:]] == ["collected.cloudtrail"] * 2
    assert events[0]["raw_data"] == '{"one": 1}'
    statuses = {post(port, token, json.dumps([{"n": i} for i in range(60)]).encode())[0] for _ in range(3)}
    assert 429 in statuses and token not in stand.said()


# ---- The journal

def journal_entry(number, message):
    return (f"__CURSOR=s=0;i={number}\n__REALTIME_TIMESTAMP={1795363262000000 + number}\n__MONOTONIC_TIMESTAMP={number + 1}\n"
            f"_BOOT_ID=0123456789abcdef0123456789abcdef\n_HOSTNAME=web1\n_PID=77\nPRIORITY=6\nSYSLOG_FACILITY=10\n"
            f"SYSLOG_IDENTIFIER=sshd\n_SYSTEMD_UNIT=ssh.service\nMESSAGE={message}\n\n")


def test_the_journal(stand, tmp_path):
    folder = tmp_path / "journal"
    folder.mkdir()
    remote = pathlib.Path("/lib/systemd/systemd-journal-remote")
    text = "".join(journal_entry(i, f"Accepted password for user{i} from 192.0.2.7 port 22 ssh2") for i in range(50))
    subprocess.run([remote, "-o", folder / "a.journal", "-"], input=text.encode(), check=True, capture_output=True)
    stand.collect({"type": "journald", "directory": str(folder), "units": ["ssh.service"], "name": "journal"})
    events = stand.wait_for(50)
    assert [one["user"]["name"] for one in events] == [f"user{i}" for i in range(50)]
    assert events[0]["device"]["hostname"] == "web1" and events[0]["time"] == 1795363262000
    stand.end("dvara-collect", signal.SIGKILL)
    text = "".join(journal_entry(i, f"Accepted password for user{i} from 192.0.2.7 port 22 ssh2") for i in range(50, 60))
    subprocess.run([remote, "-o", folder / "b.journal", "-"], input=text.encode(), check=True, capture_output=True)
    stand.collect()
    assert [one["user"]["name"] for one in stand.wait_for(60)] == [f"user{i}" for i in range(60)]
