# SPDX-License-Identifier: Apache-2.0
"""Parts that are gone, full, broken or lying; the gate refuses or serves, and never lets pass what
was not inspected and recorded."""
import contextlib
import json
import os
import pathlib
import resource
import signal
import socketserver
import subprocess
import tempfile
import threading
import time

import pytest

from conftest import LIMITS
from gateway_tools import Gate, Upstream
from ledger import CARD, request_records
from supervisor_tools import children
from support import BUILD, remove_instance, wait_until

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
SECRET = json.dumps({"model": "m", "messages": [{"role": "user", "content": f"my card is {CARD}"}]}).encode()


@contextlib.contextmanager
def stopped(pid):
    """It is there and does nothing."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextlib.contextmanager
def limited(pid, name, soft):
    """A resource limit of a running process, put back afterwards."""
    kind = getattr(resource, f"RLIMIT_{name}")
    before = resource.prlimit(pid, kind)
    resource.prlimit(pid, kind, (soft, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, kind, before)


def start(make, **options):
    dvara = make(**options)
    dvara.up("--workers", 1)
    return dvara, dvara.key()


def worker_of(dvara):
    return children(dvara.pid("nginx"))[-1]


def end_a_child(parent, name):
    """For where `dvara status` may fail: the damage may have ended the child before."""
    with contextlib.suppress(OSError):
        for pid in children(parent):
            if pathlib.Path(f"/proc/{pid}/comm").read_text().strip() == name:
                os.kill(pid, signal.SIGKILL)


def check_model_server(dvara, model_server):
    """What reached it was recorded and held no card number."""
    seen = model_server.seen()
    with contextlib.suppress(AssertionError):  # what is missing is named below
        # Workers that die as they start leave hundreds of segments, which are read one by one.
        wait_until(lambda: {one["id"] for one in seen} <= request_records(dvara).keys(), 60, "the log knows all")
    records = request_records(dvara)
    for request in seen:
        assert CARD not in request["body"]
        assert len(records[request["id"]]["open"]) == 1
    assert json.loads(dvara.good("audit", "verify", "--output", "json"))["ok"]


@pytest.mark.parametrize("name", ["dvarad", "dvara-logd"])
def test_the_gate_serves_while_a_daemon_does_nothing(make, model_server, name):
    dvara, key = start(make)
    with stopped(dvara.pid(name)):
        end = time.monotonic() + 8
        answers = [dvara.ask(key, SECRET)]
        while time.monotonic() < end:
            answers += [dvara.ask(key, SECRET), dvara.ask(key + "x")]
            time.sleep(0.1)
    assert set(answers) == {200, 401}
    wait_until(lambda: dvara.run("user", "list").returncode == 0, 20, f"{name} works again")
    assert len(model_server.seen()) == answers.count(200)
    wait_until(lambda: len(request_records(dvara)) >= len(answers), 20, "the log has them")
    check_model_server(dvara, model_server)


def test_supervision_held_back_and_both_daemons_dead(make, model_server):
    dvara, key = start(make)
    supervisor = dvara.status()["pid"]
    pids = {one["name"]: one["pid"] for one in dvara.status()["processes"]}
    with stopped(supervisor):
        for name in ("dvarad", "dvara-logd"):
            os.kill(pids[name], signal.SIGKILL)
        answers = [dvara.ask(key, SECRET) for _ in range(50)]
    assert answers == [200] * 50
    for name in ("dvarad", "dvara-logd"):  # what the status says was true before the supervisor was held
        wait_until(lambda name=name: dvara.came_back(name, pids[name]), 20, f"{name} comes back")
    wait_until(dvara.ready, 20, "all are back")
    wait_until(lambda: len(request_records(dvara)) >= 50, 20, "the log has them")
    check_model_server(dvara, model_server)


@ROOT_ONLY
def test_a_full_disk(make, model_server):
    """Refused before anything is disclosed, and well again when there is room."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="dvara-faults-"))
    # 39 MB are the counters of limits; what is served until the disk is full has to fit into the log afterwards.
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m,mode=755", "tmpfs", folder], check=True)
    try:
        dvara, key = start(make, folder=folder)
        filler = folder / "filler"
        with filler.open("wb", buffering=0) as file:
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(1 << 16))
        served = 0
        while (status := dvara.ask(key, SECRET)) == 200 and served < 3000:
            served += 1  # what was allocated before
        assert status == 503
        assert {dvara.ask(key, SECRET) for _ in range(20)} == {503}
        assert len(model_server.seen()) == served
        filler.unlink()
        wait_until(lambda: dvara.ask(key, SECRET) == 200, 20, "there is room again")
        wait_until(lambda: dvara.run("user", "create", "--name", "bob").returncode == 0, 20, "dvarad too")
        wait_until(lambda: len(request_records(dvara)) > served, 20, "the log has them")
        check_model_server(dvara, model_server)
        dvara.good("down")
    finally:
        # While its state is there; afterwards nobody could tell it to end.
        subprocess.run([BUILD / "dvara", "down", "--state", folder / "state"], capture_output=True, check=False)
        subprocess.run(["umount", "-l", folder], check=True)
        remove_instance(folder)


@pytest.mark.ordinary_build
def test_a_damaged_snapshot_never_lets_pass(make, model_server):
    """Each page in turn is overwritten under a running gate: it refuses, its worker ends (LMDB follows
    a wild page number out of the file), or it serves as it should; what was damaged is made anew
    when dvarad starts."""
    dvara, key = start(make)
    dvara.expected = r"exited on signal (7|11|6)|cannot be respawned|dvarad was killed by signal (7|11|6)"
    supervisor, master = dvara.status()["pid"], dvara.pid("nginx")
    file = next((dvara.state / "runtime").resolve().glob("snapshot/data.mdb"))
    whole = file.read_bytes()
    used = [at for at in range(0, len(whole), 4096) if any(whole[at:at + 4096])]
    assert len(used) > 5
    outcomes = set()
    for at in used[:60]:
        with file.open("r+b") as out:
            out.seek(at)
            out.write(bytes(byte ^ 0xff for byte in whole[at:at + 4096]))
        end_a_child(master, "nginx")  # nothing is remembered of the good one
        outcomes.add(("good", dvara.ask(key, SECRET)))
        outcomes.add(("bad", dvara.ask(key[:-1] + ("y" if key.endswith("x") else "x"), SECRET)))
        with file.open("r+b") as out:
            out.seek(at)
            out.write(whole[at:at + 4096])
    assert {status for who, status in outcomes if who == "bad"} <= {401, 503, 500, 0}
    assert {status for who, status in outcomes if who == "good"} <= {200, 401, 403, 404, 503, 500, 0}
    with file.open("r+b") as out:
        for at in used:
            out.seek(at)
            out.write(b"\xff" * 4096)
    end_a_child(supervisor, "dvarad")
    # Workers die and are started as fast as the machine can meanwhile.
    wait_until(lambda: dvara.ready() and dvara.ask(key, SECRET) == 200, 90, "the snapshot is made anew")
    check_model_server(dvara, model_server)


def exhausted(folder, kind, soft, body):
    """What a gate alone answers while its worker is short of something, and afterwards; its worker
    belongs to the test's own user, who may limit it."""
    upstream = Upstream()
    gate = Gate(folder / "gate", upstream)
    try:
        key = gate.key()
        assert gate.chat(key, body).status == 200
        worker = gate.workers()[0]
        upstream.requests.clear()
        with limited(worker, kind, soft(worker)):
            short = [answer_of(gate, key, body) for _ in range(10)]
        wait_until(lambda: answer_of(gate, key, body) == 200, 20, "it serves again")
        assert gate.workers() == [worker]
        opened = [one for one in gate.records() if one["unmapped"]["dvara"]["phase"] == "open"]
        ids = {one["api"]["request"]["uid"] for one in opened}
        for request in upstream.requests:
            assert CARD not in request["body"].decode() and request["headers"]["x-request-id"] in ids
        return set(short)
    finally:
        gate.stop()
        upstream.shutdown()
        upstream.server_close()


def answer_of(gate, key, body):
    try:
        return gate.chat(key, body).status
    except (OSError, IndexError, ValueError):
        return 0


def test_descriptors_run_out(tmp_path):
    def one_more(worker):
        """Room for a caller, none for the model server."""
        time.sleep(4.5)  # the gate gives up idle connections to model servers
        used = {int(fd.name) for fd in pathlib.Path(f"/proc/{worker}/fd").iterdir()}
        return next(n for n in range(1, 1024) if len(set(range(n)) - used) == 1)
    assert exhausted(tmp_path, "NOFILE", one_more, f"my card is {CARD}") <= {0, 500, 502, 503}


@pytest.mark.ordinary_build
def test_memory_runs_out(tmp_path):
    def as_much_as_now(worker):
        return int(pathlib.Path(f"/proc/{worker}/statm").read_text().split()[0]) * 4096
    body = "water the fields. " * 40000 + f"my card is {CARD}"
    assert exhausted(tmp_path, "AS", as_much_as_now, body) <= {0, 200, 500, 502, 503}


class Liar(socketserver.StreamRequestHandler):
    """Answers what the test says, as long as the gate listens."""

    def handle(self):
        length, line = 0, b""
        while (line := self.rfile.readline()) not in (b"\r\n", b""):
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        self.rfile.read(length)
        with contextlib.suppress(OSError):
            for piece in self.server.pieces():
                self.server.sent += len(piece)
                self.wfile.write(piece)


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True
    allow_reuse_address = True


@pytest.fixture(name="liar")
def make_liar():
    server = Server(("127.0.0.1", 0), Liar)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\n%s\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked"
MEBIBYTE = 1 << 20
GROWTH_MAX = 256 * MEBIBYTE


def endless(kind, piece):
    """10 GiB in chunks."""
    chunk = b"%x\r\n%s\r\n" % (len(piece), piece)

    def pieces():
        yield HEAD % (kind, CHUNKED)
        for _ in range(10 << 30 >> 16):
            yield chunk
    return pieces


def told(kind, head, body):
    return lambda: [HEAD % (kind, head), body]


EVENT = b"data: " + json.dumps({"choices": [{"index": 0, "delta": {"content": "water the fields "}}]}).encode() + b"\n\n"
LIES = {
    "more than it said": (told(b"application/json", b"Content-Length: 2", b"{}" + b" " * 10000), {200, 502}),
    "less than it said": (told(b"application/json", b"Content-Length: 20000", b"{}"), {502}),
    "10 GiB, said": (told(b"application/json", b"Content-Length: 10737418240", b"{}"), {502}),
    "10 GiB, not said": (endless(b"application/json", b" " * 65536), {0, 502}),
    "10 GiB in one event": (endless(b"text/event-stream", b"data" * 16384), {0, 200, 502}),
    "no such length": (told(b"application/json", b"Content-Length: -5", b"{}"), {200, 502}),
    "two lengths": (told(b"application/json", b"Content-Length: 2\r\nContent-Length: 5", b"{}   "), {200, 502}),
    "a broken chunk": (told(b"application/json", CHUNKED, b"zz\r\n{}\r\n0\r\n\r\n"), {0, 502}),
    "nothing": (lambda: [], {502}),
}


def peak_of(worker):
    return int(pathlib.Path(f"/proc/{worker}/status").read_text().split("VmHWM:")[1].split()[0]) * 1024


@pytest.mark.parametrize("lie", LIES)
def test_an_upstream_that_lies(make, liar, lie):
    """Ended with bounded memory, and the next request is served."""
    pieces, expected = LIES[lie]
    dvara, key = start(make, upstream=f"http://127.0.0.1:{liar.server_address[1]}")
    liar.pieces, liar.sent = pieces, 0
    worker = worker_of(dvara)
    before = peak_of(worker)
    assert dvara.ask(key, seconds=60) in expected
    assert peak_of(worker) - before < GROWTH_MAX and liar.sent < 400 * MEBIBYTE
    liar.pieces = told(b"application/json", b"Content-Length: 2", b"{}")
    # A kept connection that the server closes is met by a request now and then before that is seen.
    wait_until(lambda: dvara.ask(key) == 200, 5, "the next request is served")
    assert worker_of(dvara) == worker


@pytest.mark.ordinary_build
def test_a_stream_of_any_length_takes_no_memory(make, liar):
    """256 MiB of events, read as it comes; the worker stays as it was."""
    def pieces():
        yield HEAD % (b"text/event-stream", CHUNKED)
        body = EVENT * 600
        for _ in range((1 << 28) // len(body)):
            yield b"%x\r\n%s\r\n" % (len(body), body)
        yield b"%x\r\n%s\r\n0\r\n\r\n" % (len(b"data: [DONE]\n\n"), b"data: [DONE]\n\n")
    dvara, key = start(make, upstream=f"http://127.0.0.1:{liar.server_address[1]}")
    liar.pieces, liar.sent = told(b"application/json", b"Content-Length: 2", b"{}"), 0
    assert dvara.ask(key) == 200
    status = pathlib.Path(f"/proc/{worker_of(dvara)}/status")
    before = int(status.read_text().split("VmHWM:")[1].split()[0])
    liar.pieces = pieces
    done = subprocess.run(
        ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code} %{size_download}", "--max-time", "120", "-H",
         f"Authorization: Bearer {key}", "-H", "Content-Type: application/json", "-d", SECRET.decode(),
         dvara.listen + "/v1/chat/completions"], capture_output=True, text=True, check=True)
    code, size = done.stdout.split()
    assert code == "200" and int(size) > (1 << 28) - MEBIBYTE
    after = int(status.read_text().split("VmHWM:")[1].split()[0])
    assert after - before < 16 << 10  # KiB


def test_a_config_from_nowhere(make):
    """The file is gone when the reload comes: the old configuration stays."""
    dvara, key = start(make)
    dvara.config.unlink()
    assert dvara.run("reload").returncode == 1
    assert dvara.ask(key) == 200
    dvara.configure(LIMITS)
    dvara.good("reload")
