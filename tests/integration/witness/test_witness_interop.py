# SPDX-License-Identifier: Apache-2.0
"""Tools that are not ours judge our files and speak with our programs: Go's sumdb packages, Tessera and torchwood
(tests/interop/go). They are built once, for all builds of ours, where Go is there."""
import contextlib
import fcntl
import http.server
import os
import pathlib
import shutil
import sqlite3
import subprocess
import threading

import pytest

from witness_tools import BUILD, UnixConnection, end, free_port, lines_of, wait_until

SOURCE = pathlib.Path(__file__).resolve().parents[2] / "interop" / "go"
TOOLS = BUILD.with_name("build-interop")
GO = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
EMPTY_ROOT = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="

pytestmark = pytest.mark.skipif(GO is None, reason="there is no Go: independent tools did not judge the log's files")


@pytest.fixture(scope="session")
def tools():
    """The programs, at the versions that go.sum pins."""
    TOOLS.mkdir(exist_ok=True)
    with open(TOOLS / "lock", "w", encoding="ascii") as lock:  # tests of another build may want them, too
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = subprocess.run(
            # They judge a few files: to optimize them takes longer.
            [GO, "build", "-mod=readonly", "-gcflags=all=-N -l", "-o", f"{TOOLS}/", ".", "filippo.io/torchwood/cmd/litewitness",
             "github.com/transparency-dev/tessera/cmd/examples/posix-oneshot"],
            cwd=SOURCE, capture_output=True, text=True, env={**os.environ, "GOFLAGS": "-buildvcs=false", "CGO_ENABLED": "0"})
    assert done.returncode == 0, done.stderr
    return TOOLS


def run(tools, program, *words, code=0):
    done = subprocess.run([tools / program, *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout if code == 0 else done.stderr


@contextlib.contextmanager
def served(log, change=lambda path, body: body):
    """The log's socket as a web page, as anyone would publish it."""

    class Bridge(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            connection = UnixConnection(log.runtime / "logd.sock")
            connection.request("GET", self.path)
            answer = connection.getresponse()
            body = change(self.path, answer.read())
            connection.close()
            self.send_response(answer.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Bridge)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def filled(log, tmp_path):
    """Of two checkpoints, with a full tile, a partial one and a second level."""
    log.start_logd().write("a", 300)
    (tmp_path / "old").write_bytes(log.checkpoint)
    return log.write("b", 400)


def test_go_and_tessera_accept_the_log(tools, filled, tmp_path):
    [vkey] = filled.vkeys
    with served(filled) as url:
        assert run(tools, "interop", "log", url, vkey, tmp_path / "old") == "ok 701 from 301\n"
        assert run(tools, "interop", "fsck", url, vkey) == "ok\n"


def test_they_accept_what_lies_in_packs(tools, log, tmp_path):
    """Beyond 4096 entries the log keeps blocks of its own form; what it serves is still tiles and bundles."""
    log.start_logd().start_dvarad().write("a", 5000)
    wait_until(lambda: not (log.log / "tile/entries/000").exists(), 20, "the first entries are packed")
    with served(log) as url:
        assert run(tools, "interop", "log", url, log.vkeys[0]).startswith("ok 50")
        assert run(tools, "interop", "fsck", url, log.vkeys[0]) == "ok\n"
    log.dvara("audit", "prove", "77", "--output-dir", str(tmp_path))
    log.dvara("audit", "verify", "--proof", str(tmp_path / "77.tlog-proof"), "--key", log.vkeys[0])


@pytest.mark.parametrize("path", ["/tile/0/001", "/tile/entries/000", "/tile/1/000.p/2", "/checkpoint"])
def test_and_find_what_is_changed(tools, filled, path):
    seen = []

    def change(asked, body):
        if asked != path:
            return body
        seen.append(asked)
        return body[:100] + bytes([body[100] ^ 1]) + body[101:] if len(body) > 100 else bytes([body[0] ^ 1]) + body[1:]

    [vkey] = filled.vkeys
    with served(filled, change) as url:
        run(tools, "interop", "log", url, vkey, code=1)
        assert seen
        run(tools, "interop", "fsck", url, vkey, code=1)


def test_torchwood_accepts_our_proofs_and_our_witness(tools, filled, witness, tmp_path):
    witness.knows(*filled.vkeys).start()
    filled.witnessed_by(witness).start_dvarad()
    filled.wait_for_cosigned(701)
    policy = tmp_path / "policy"
    policy.write_text(f"log {filled.vkeys[0]}\n{filled.witnesses['policy']}")
    (tmp_path / "cosigned").write_bytes(filled.get("/checkpoint.cosigned"))
    assert run(tools, "interop", "checkpoint", policy, tmp_path / "cosigned").startswith("ok 7")
    for index in (0, 299, 700):
        filled.dvara("audit", "prove", str(index), "--cosigned", "--output-dir", str(tmp_path))
        files = [tmp_path / f"{index}.tlog-proof", tmp_path / f"{index}.event"]
        assert run(tools, "interop", "proof", policy, *files) == "ok\n"
        files[1].write_bytes(files[1].read_bytes() + b" ")
        assert "verification failed" in run(tools, "interop", "proof", policy, *files, code=1)
    policy.write_text(policy.read_text().replace(witness.key, filled_key(tools)))
    run(tools, "interop", "checkpoint", policy, tmp_path / "cosigned", code=1)


def filled_key(tools):
    """A cosigner's key that cosigned nothing: that of another witness of ours."""
    folder = TOOLS / "another"
    shutil.rmtree(folder, ignore_errors=True)
    return subprocess.run([BUILD / "dvara-witness", "init", "--state", folder, "--name", "another.example/w"],
                          capture_output=True, text=True, check=True).stdout.strip()


def test_they_accept_both_keys_while_one_is_replaced(tools, filled):
    filled.start_dvarad()
    filled.dvara("audit", "rotate-key", "--yes")
    with served(filled) as url:
        for vkey in filled.vkeys:
            assert run(tools, "interop", "log", url, vkey).startswith("ok ")


class Litewitness:
    """torchwood's witness, with its key in an SSH agent."""

    def __init__(self, tools, folder, vkey):
        self.agent = subprocess.Popen([tools / "interop", "agent", folder / "agent.sock"], stdout=subprocess.PIPE, text=True)
        fingerprint = self.agent.stdout.readline().strip()
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.said = folder / "litewitness.log"
        with self.said.open("wb") as said:
            self.process = subprocess.Popen(
                [tools / "litewitness", "-name", "lite.example/w", "-db", folder / "lite.db", "-ssh-agent",
                 folder / "agent.sock", "-key", fingerprint, "-listen", f"127.0.0.1:{self.port}"], stderr=said, stdout=said)
        wait_until(lambda: "vkey=" in self.said.read_text(), 20, "litewitness tells its key")
        self.key = self.said.read_text().split("vkey=", 1)[1].split()[0].strip('"')
        with contextlib.closing(sqlite3.connect(folder / "lite.db", timeout=10)) as db, db:  # as witnessctl does
            origin = vkey.split("+")[0]
            db.execute("INSERT INTO log VALUES (?, 0, ?)", (origin, EMPTY_ROOT))
            db.execute("INSERT INTO key VALUES (?, ?)", (origin, vkey))

    def close(self):
        for process in (self.process, self.agent):
            end(process)
        self.agent.stdout.close()


@pytest.fixture
def litewitness(tools, filled, tmp_path):
    one = Litewitness(tools, tmp_path, filled.vkeys[0])
    yield one
    one.close()


def test_a_public_witness_cosigns_our_log(tools, filled, litewitness, tmp_path):
    filled.witnessed_by(litewitness).start_dvarad()
    filled.wait_for_cosigned(701)
    filled.write("more", 300)
    filled.wait_for_cosigned(1001)
    assert filled.states() == ["ok"]
    assert "lite.example/w" in lines_of(filled.get("/checkpoint.cosigned"))[3][1]
    (tmp_path / "policy").write_text(f"log {filled.vkeys[0]}\nwitness w {litewitness.key}\nquorum w\n")
    filled.dvara("audit", "prove", "900", "--cosigned", "--output-dir", str(tmp_path))
    filled.dvara("audit", "verify", "--proof", str(tmp_path / "900.tlog-proof"), "--policy", str(tmp_path / "policy"))


def test_our_witness_cosigns_a_log_of_tessera(tools, witness, tmp_path):
    secret, public = run(tools, "interop", "keygen", "tessera.example/log").split()
    (tmp_path / "secret").write_text(secret)
    (tmp_path / "policy").write_text(f"witness w {witness.key} {witness.url}\nquorum w\n")
    witness.knows(public).start()
    for number in range(3):  # the first one, and two that must continue it
        entries = tmp_path / f"entries{number}"
        entries.mkdir()
        for i in range(5):
            (entries / str(i)).write_text(f"{number} {i}")
        run(tools, "posix-oneshot", "--storage_dir", tmp_path / "log", "--private_key", tmp_path / "secret",
            "--entries", f"{entries}/*", "--witness_policy_file", tmp_path / "policy")
        origin, size, _, signatures = lines_of((tmp_path / "log/checkpoint").read_bytes())
        assert (origin, size) == ("tessera.example/log", 5 * (number + 1)) and len(signatures) == 2
        (tmp_path / "whole").write_text(f"log {public}\n" + (tmp_path / "policy").read_text())
        assert run(tools, "interop", "checkpoint", tmp_path / "whole", tmp_path / "log/checkpoint") == f"ok {size} 2\n"
