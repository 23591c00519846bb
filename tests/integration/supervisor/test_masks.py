# SPDX-License-Identifier: Apache-2.0
"""What is planted where lines of the log come from is in no log (docs/support.md)."""
import contextlib
import os
import re
import signal
import socket
import threading

from conftest import alive, children, free_port, wait_until

MAIL = "erika.mustermann@example.com"
KEY = "dvk_" + "Ab3dEf9h_0123456789abcdefghijABCDEFGHIJ123456"
TOKEN = "ghp_" + "0123456789abcdefghijABCDEFGHIJ123456"
SECRETS = [MAIL, MAIL.replace("@", "%40"), KEY[12:], TOKEN[4:], "Erika", "hunter22"]


def bare(text):
    """Those that stand in it."""
    return [secret for secret in SECRETS if secret in text]


class RudeServer:
    """A model server whose answers nginx complains about."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.socket.accept()
                client.settimeout(5)
                with client, contextlib.suppress(OSError):
                    client.recv(65536)
                    client.sendall(f"HTTP/1.1 200 OK\r\nX Note: Erika {MAIL} hunter22\r\n\r\n".encode())

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)  # also for who waits in accept
        self.socket.close()


def ask_rudely(instance, target, headers):
    """Sends the head as it is; the status line's code, 0: none came."""
    host, port = instance.listen.removeprefix("http://").split(":")
    body = b'{"model": "m", "messages": [{"role": "user", "content": "hello"}]}'
    lines = [f"POST {target} HTTP/1.1", f"Host: {host}:{port}", "Content-Type: application/json",
             f"Content-Length: {len(body)}", "Connection: close", *headers]
    with socket.create_connection((host, int(port)), timeout=20) as peer:
        peer.sendall("\r\n".join([*lines, "", ""]).encode() + body)
        answer = b""
        while b"\r\n" not in answer and (more := peer.recv(4096)):
            answer += more
    found = re.match(rb"HTTP/1.1 (\d+)", answer)
    return int(found[1]) if found else 0


def test_requests_leave_no_values_in_the_log(make):
    rude = RudeServer()
    instance = make()
    instance.upstream = rude.url
    instance.up()
    key = instance.key()
    wait_until(lambda: instance.ask(key) >= 500, 30, "the key to be known")
    allowed = f"Authorization: Bearer {key}"
    assert ask_rudely(instance, "/v1/chat/completions", [allowed, f"Referer: https://wiki/Erika?{TOKEN}"]) >= 500
    for target in (f"/v1/chat/completions?who={MAIL}&name=Erika&note={TOKEN}", f"/v1/{KEY}/{MAIL}?key={KEY}"):
        assert 400 <= ask_rudely(instance, target, [allowed]) < 500
    wait_until(lambda: "upstream sent" in instance.log(), 30, "nginx to complain")
    rude.close()
    assert ask_rudely(instance, "/v1/chat/completions", [allowed, f"X-Note: {MAIL}"]) >= 500
    wait_until(lambda: "connect() failed" in instance.log(), 30, "nginx to complain")
    log = instance.log()
    line = next(line for line in log.splitlines() if "upstream sent" in line)
    assert "[value]" in line and "127.0.0.1" in line, line
    assert re.search(r'request: "POST /v1/chat/completions HTTP/1.1"', line), line
    assert not bare(log), log
    assert key[12:] not in log
    assert instance.status()["log"] == {"masks": "working", "withheld": 0}


def test_a_configuration_leaves_no_values_in_the_log(make):
    instance = make()
    instance.configure("")
    instance.up()
    good = instance.config.read_text()
    for bad in (f"upstream: 'http://{MAIL}:hunter22@127.0.0.1:1/{TOKEN}'\n", f"workers: '{MAIL}'\n",
                f"'{MAIL}': 1\n", f"limits: {{key: [{{count: '{KEY}', per: '{TOKEN}'}}]}}\n",
                f"audit: {{export: [{{name: x, type: file, path: '{KEY}', '{TOKEN}': 1}}]}}\n"):
        instance.config.write_text(bad)
        assert instance.run("reload").returncode == 1, bad
    instance.config.write_text(good)
    instance.good("reload")
    log = instance.log()
    assert log.count("reload refused") == 5
    assert not bare(log), log


def test_a_start_that_fails_tells_no_values(make):
    instance = make()
    instance.upstream = f"http://sk-proj-{TOKEN[4:]}.invalid:{free_port()}"
    instance.expected = "host not found"
    done = instance.run(*instance.up_words())
    assert done.returncode == 1
    assert "sk-[secret]" in done.stderr, done.stderr
    assert not bare(done.stderr) and not bare(instance.log())


def mask_process(instance):
    for pid in children(instance.status()["pid"]):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/comm", encoding="ascii") as file:
            if file.read().strip() == "dvara-mask":
                return pid
    return 0


def test_the_process_that_masks_has_nothing(dvara):
    pid = mask_process(dvara)
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        status = file.read()
    assert re.search(r"^NoNewPrivs:\s+1$", status, re.M)
    if os.geteuid() == 0:
        assert re.search(r"^Uid:\s+65525\s+65525\s+65525\s+65525$", status, re.M), status
        assert re.search(r"^CapEff:\s+0+$", status, re.M)
        names = {os.readlink(f"/proc/{pid}/fd/{fd}").split(":")[0] for fd in os.listdir(f"/proc/{pid}/fd")}
        assert names <= {"/dev/null", "socket"}, names


def test_lines_are_withheld_rather_than_shown(dvara):
    """The process that masks is stopped and killed: lines are counted, and then come again."""
    first = mask_process(dvara)
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: mask_process(dvara) != first, 30, "its end")

    def works():
        dvara.good("reload")
        return dvara.status()["log"]["masks"] == "working"
    wait_until(works, 30, "lines to be masked again")
    assert mask_process(dvara) not in (0, first)
    assert dvara.log().rstrip().endswith("dvara: reloaded")
    pid = mask_process(dvara)
    dvara.good("down")
    assert not alive(pid)
