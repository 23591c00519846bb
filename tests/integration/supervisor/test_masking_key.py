# SPDX-License-Identifier: Apache-2.0
"""`masking: {key_file: ...}` with `dvara up`: chat and files have the same pseudonyms (DATA-3.4.3)."""
import base64
import http.server
import json
import os
import pathlib
import pwd
import shutil
import threading

import pytest

from supervisor_tools import Upstream
from support import wait_until

TEXT = "mail bob@example.com"
SECTION = """masking:
  key_file: {file}
  request: {{default: pseudonym}}
  rules:
    - {{users: [alice], detectors: [phone], action: {{action: hash, length: 20}}}}
"""


class Listener(Upstream):
    def do_POST(self):
        self.rfile = Tee(self.rfile, self.server)
        super().do_POST()


class Tee:
    """Reads on, and keeps what was read."""

    def __init__(self, file, server):
        self.file, self.server = file, server

    def read(self, count):
        self.server.got.append(self.file.read(count))
        return self.server.got[-1]

    def readline(self, *limit):
        return self.file.readline(*limit)

    def close(self):
        self.file.close()

    @property
    def closed(self):
        return self.file.closed


@pytest.fixture
def listener():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Listener)
    server.got = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def make_key(dvara, secret):
    """A file that only the daemon may read, whichever user it is."""
    made = dvara.folder / "masking.new"
    made.write_bytes(base64.b64encode(secret) + b"\n")
    made.chmod(0o600)
    if os.geteuid() == 0:
        users = {user.pw_name: user.pw_uid for user in pwd.getpwall()}
        shutil.chown(made, users.get("dvara", 65521))
    return made.rename(dvara.folder / "masking.key")


def by_cli(dvara, key_file, text=TEXT):
    (dvara.folder / "in.txt").write_text(text)
    dvara.good("data", "pseudonymize", "--input", dvara.folder / "in.txt", "--key-file", key_file, "--out",
               dvara.folder / "out.txt")
    return (dvara.folder / "out.txt").read_text()


def sent(dvara, listener, key, text=TEXT):
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": text}]}).encode()
    assert dvara.ask(key, body) == 200
    return json.loads(listener.got[-1])["messages"][0]["content"]


def arguments():
    """Of all processes."""
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield path.read_bytes()
        except OSError:
            pass  # it has ended


def test_chat_and_files_have_the_same_pseudonyms(make, listener):
    dvara = make()
    dvara.upstream = f"http://127.0.0.1:{listener.server_port}"
    secrets = [os.urandom(32) for _ in range(2)]
    key_file = make_key(dvara, secrets[0])
    dvara.configure(SECTION.format(file=key_file))
    assert "masking" not in dvara.good("config", "check", dvara.config)
    dvara.up()
    key = dvara.key()
    became = by_cli(dvara, key_file)
    assert "bob" not in became and sent(dvara, listener, key) == became
    told = dvara.json("data", "masking", "explain", "--user", "alice", "--route", "openai-chat", "--detector", "email")
    assert told["action"] == "pseudonym"
    told = dvara.json("data", "masking", "explain", "--user", "alice", "--route", "openai-chat", "--detector", "phone")
    assert told["action"] == "hash" and told["decided_by"] == "rules[0]"
    wait_until(lambda: '"pseudonym"' in dvara.good("audit", "search", "detector:email", "--output", "jsonl"), 20,
               "the record")
    # Another key is in force from the reload on, with a configuration that says the same.
    make_key(dvara, secrets[1])
    dvara.good("reload")
    others = by_cli(dvara, key_file)
    assert others != became
    wait_until(lambda: sent(dvara, listener, key) == others, 20, "the reload")
    # One that is none leaves the last in force.
    for broken, said in ((b"short", "is no key of 32 bytes"), (None, "can not read")):
        key_file.unlink()
        if broken is not None:
            make_key(dvara, broken)
        refused = dvara.refused("reload")
        assert "dvara.yaml:2:" in refused and said in refused
        assert sent(dvara, listener, key) == others
    kept = dvara.log().encode() + dvara.config.read_bytes() + b"".join(arguments())
    kept += dvara.good("audit", "search", "", "--output", "jsonl").encode()
    for secret in secrets:
        assert secret not in kept and base64.b64encode(secret) not in kept and secret.hex().encode() not in kept


def test_without_a_file_the_installation_has_a_key(make, listener):
    dvara = make()
    dvara.upstream = f"http://127.0.0.1:{listener.server_port}"
    dvara.configure("masking: {request: {default: hash}}\n")
    dvara.up()
    key = dvara.key()
    became = sent(dvara, listener, key)
    assert len(became) == len("mail ") + 16 and sent(dvara, listener, key) == became
    dvara.good("down")
    dvara.up()
    assert sent(dvara, listener, key) == became
    dvara.configure("masking: {request: {default: token}}\n")
    assert "dvara.yaml:1:" in (refused := dvara.refused("reload")) and "'token' wants 'key_file'" in refused


def test_tokens_of_chat_are_told_on_the_record(make, listener):
    dvara = make()
    dvara.upstream = f"http://127.0.0.1:{listener.server_port}"
    key_file = make_key(dvara, os.urandom(32))
    dvara.configure(f"masking: {{key_file: {key_file}, request: {{default: token}}}}\n"
                    f"data_vaults: [{{name: chat, key: {key_file}}}]\n")
    dvara.up()
    became = sent(dvara, listener, dvara.key())
    token = became.removeprefix("mail ")
    assert token.startswith("dvs_") and "bob" not in became
    told = dvara.json("data", "vault", "detokenize", "chat", token, "--purpose", "chargeback 4711")
    assert told["values"] == [{"token": token, "found": True, "value": "bob@example.com"}]
    wait_until(lambda: "chargeback 4711" in dvara.good("audit", "search", "event:data.access", "--output", "jsonl"), 20,
               "the record")
    kept = dvara.log() + dvara.good("audit", "search", "", "--output", "jsonl")
    assert "bob@" not in kept and token not in kept
    assert '"token"' in dvara.good("audit", "search", "detector:email", "--output", "jsonl")
