# SPDX-License-Identifier: Apache-2.0
"""`dvara audit parse`, and the parsers' events against the OCSF schema."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

from collect_tools import BUILD, free_port, wait_until

ROOT = pathlib.Path(__file__).resolve().parents[3]
VECTORS = pathlib.Path(os.environ.get("DVARA_VECTORS", ROOT.parent / "shared" / "vectors"))


def parse(*words, text=""):
    return subprocess.run([BUILD / "dvara", "audit", "parse", *words], input=text, capture_output=True, text=True,
                          timeout=30, check=False)


def test_every_example_is_a_valid_event():
    assert (VECTORS / "ocsf").is_dir(), f"no OCSF schema in {VECTORS}: set DVARA_VECTORS"
    events = subprocess.run([BUILD / "tests/unit/collect/test_parser", "--print"], capture_output=True, check=True).stdout
    done = subprocess.run([sys.executable, ROOT / "tests/ocsf/validate.py", VECTORS / "ocsf"], input=events,
                          capture_output=True, check=False)
    assert done.returncode == 0, done.stdout.decode()
    assert int(re.search(r"(\d+) events, 0 faults", done.stdout.decode())[1]) > 70


def test_lines_from_standard_input_and_from_a_file(tmp_path):
    line = '192.0.2.7 - - [22/Nov/2026:16:01:02 +0000] "GET /a HTTP/1.1" 200 612 "-" "curl"'
    done = parse("--parser", "nginx", text=line + "\n\n" + line + "\n")
    events = [json.loads(one) for one in done.stdout.splitlines()]
    assert done.returncode == 0 and [one["http_request"]["url"]["path"] for one in events] == ["/a", "/a"]
    (tmp_path / "x").write_text(line + "\nwhat is this\n")
    done = parse("--input", tmp_path / "x")
    assert done.returncode == 1 and "1 of 2 lines" in done.stderr
    assert [json.loads(one)["metadata"]["event_code"] for one in done.stdout.splitlines()] == ["collected.nginx", "collected.raw"]
    assert "audit parsers" in parse("--parser", "nope").stderr
    assert "no-such" in parse("--input", tmp_path / "no-such").stderr


def test_lines_are_joined():
    stamp = "msg=audit(1700000000.001:7):"
    done = parse("--parser", "auditd", text=f'type=SYSCALL {stamp} syscall=59 success=yes pid=1 comm="a" exe="/a"\n'
                 f'type=EXECVE {stamp} argc=1 a0="a"\ntype=SYSCALL msg=audit(1700000000.001:8): pid=2 syscall=1\n')
    assert len(done.stdout.splitlines()) == 2 and json.loads(done.stdout.splitlines()[0])["class_uid"] == 1007


def test_the_parsers_are_listed():
    done = subprocess.run([BUILD / "dvara", "audit", "parsers", "--output", "json"], capture_output=True, text=True, check=True)
    names = {one["name"] for one in json.loads(done.stdout)["items"]}
    assert names == {path.stem for path in (ROOT / "rules/parsers").glob("*.yaml")}


def test_a_real_sshd(tmp_path):
    """What sshd itself says of a login that fails."""
    port = free_port()
    sshd = shutil.which("sshd", path="/usr/sbin:/usr/bin")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key"], check=True)
    pathlib.Path("/run/sshd").mkdir(exist_ok=True)
    log = tmp_path / "log"
    with subprocess.Popen([sshd, "-D", "-f", "/dev/null", "-h", tmp_path / "key", "-p", str(port), "-E", log, "-o",
                           "ListenAddress=127.0.0.1", "-o", "UsePAM=no", "-o", "PasswordAuthentication=no"]) as server:
        try:
            wait_until(lambda: log.exists() and "listening" in log.read_text(), 10, "sshd")
            subprocess.run(["ssh", "-p", str(port), "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
                            "-o", "BatchMode=yes", "nobody-here@127.0.0.1", "true"], capture_output=True, check=False, timeout=20)
            wait_until(lambda: "invalid user" in log.read_text(), 10, "its line")
        finally:
            server.terminate()
    events = [json.loads(one) for one in parse("--parser", "sshd", "--input", log).stdout.splitlines()]
    failed = [one for one in events if one["class_uid"] == 3002]
    assert failed and {one["user"]["name"] for one in failed} == {"nobody-here"}
    assert {one["status_id"] for one in failed} == {2} and failed[0]["src_endpoint"]["ip"] == "127.0.0.1"


@pytest.mark.skipif(os.geteuid() != 0, reason="runs PostgreSQL as its own user")
@pytest.mark.parametrize("how", ["stderr", "csvlog", "jsonlog"])
def test_a_real_postgresql(tmp_path, how):
    programs = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"))[-1]
    folder = pathlib.Path(f"/tmp/dvara-pg-{os.getpid()}-{how}")
    port = free_port()
    run = ["runuser", "-u", "postgres", "--"]
    try:
        subprocess.run([*run, programs / "initdb", "-A", "trust", "-D", folder, "-N"], check=True, capture_output=True, cwd="/")
        options = (f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c logging_collector=on -c log_destination={how} "
                   "-c log_filename=x -c log_statement=all -c log_connections=on -c log_disconnections=on "
                   "-c log_line_prefix=%m\\ [%p]\\ %q%u@%d\\ -c fsync=off")
        options = options.replace("%d\\ -c", "%d\\  -c")
        subprocess.run([*run, programs / "pg_ctl", "-w", "-D", folder, "-o", options, "-l", folder / "start.log", "start"],
                       check=True, capture_output=True, cwd="/")
        subprocess.run(["psql", "-h", "127.0.0.1", "-p", str(port), "-U", "postgres", "-c", "select 1,\n  'x'", "-c", "select * from nope"],
                       capture_output=True, check=False, cwd="/", timeout=20)
        subprocess.run([*run, programs / "pg_ctl", "-w", "-D", folder, "-m", "fast", "stop"], check=True, capture_output=True, cwd="/")
        log = next((folder / "log").glob({"stderr": "x", "csvlog": "x.csv", "jsonlog": "x.json"}[how]))
        done = parse("--parser", "postgresql", "--input", log)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    assert done.returncode == 0, done.stderr
    events = [json.loads(one) for one in done.stdout.splitlines()]
    queries = {one["query_info"]["query_string"]: one for one in events if one["class_uid"] == 6005}
    texts = [text.replace("\n\t", "\n") for text in queries]
    assert "select 1,\n  'x'" in texts
    failed = [one for one in queries.values() if one["status_id"] == 2]
    assert [one["query_info"]["query_string"] for one in failed] == ["select * from nope"]
    logons = [one for one in events if one["class_uid"] == 3002]
    assert {one["activity_id"] for one in logons} == {1, 2} and {one["user"]["name"] for one in logons} == {"postgres"}
