# SPDX-License-Identifier: Apache-2.0
"""What was acknowledged, kept outside of Dvara: requests through the gate (fault_load), what the
model server saw of them, changes through the REST API. In the end all of it is held against the
audit log and against what is in force."""
import collections
import http.client
import json
import pathlib
import re
import subprocess
import threading
import time
import urllib.parse

from support import BUILD, ROOT, free_port, wait_until

LOAD = BUILD / "tests/integration/faults/fault_load"
CARD = "4111 1111 1111 1111"

ANSWER = json.dumps({"object": "chat.completion", "usage": {"prompt_tokens": 3, "completion_tokens": 4},
                     "choices": [{"index": 0, "finish_reason": "stop",
                                  "message": {"role": "assistant", "content": "good day"}}]})
STREAM = "".join(f"data: {json.dumps(event)}\\n\\n" for event in (
    {"choices": [{"index": 0, "text": "good "}]},
    {"choices": [{"index": 0, "text": "day", "finish_reason": "stop"}]})) + "data: [DONE]\\n\\n"


class ModelServer:
    """A real nginx that writes down which request came with which body."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        self.port, inner = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        temp = "".join(f"{kind}_temp_path {folder}/{kind}; " for kind in
                       ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        (folder / "nginx.conf").write_text(f"""daemon off; worker_processes 1; pid {folder}/pid;
error_log {folder}/error.log warn; worker_shutdown_timeout 1s;
events {{ worker_connections 1024; }}
http {{
  {temp} client_body_buffer_size 1m; client_max_body_size 64m; keepalive_requests 1000000;
  log_format ledger escape=json '{{"id":"$http_x_request_id","body":"$request_body"}}';
  upstream itself {{ server 127.0.0.1:{inner}; keepalive 64; }}
  server {{ listen 127.0.0.1:{self.port}; access_log {folder}/seen.log ledger;
    location / {{ proxy_pass http://itself; proxy_http_version 1.1; proxy_set_header Connection "";
                  proxy_buffering off; }} }}
  server {{ listen 127.0.0.1:{inner}; access_log off;
    location / {{ default_type application/json; return 200 '{ANSWER}'; }}
    location /v1/completions {{ default_type text/event-stream; return 200 '{STREAM}'; }} }}
}}
""".replace("\\n", "\n"))
        self.process = subprocess.Popen(["/usr/sbin/nginx", "-p", folder, "-e", folder / "error.log",
                                         "-c", folder / "nginx.conf"], stderr=subprocess.DEVNULL)
        wait_until((folder / "pid").exists, 10, "the model server is there")

    def seen(self):
        lines = (self.folder / "seen.log").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(10)


class Load:
    """Callers in another process; their ledger is read when they have ended."""

    def __init__(self, folder, port, key, connections, rate, prefix):
        self.path = folder / f"ledger-{prefix}"
        with self.path.open("w") as out:
            self.process = subprocess.Popen(
                [LOAD, str(port), key, str(connections), str(rate), prefix], stdout=out)

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
        assert self.process.wait(30) == 0
        rows = []
        for line in self.path.read_text().splitlines():
            mark, kind, status, request_id, microseconds = line.split()
            rows.append((mark, kind, int(status), request_id, int(microseconds) / 1000))
        return rows


class Changes(threading.Thread):
    """Makes users and keys and revokes some, through the admin listener; notes what was
    acknowledged, and never asks again about what was not."""

    def __init__(self, admin, gate, secret, prefix):
        super().__init__(daemon=True)
        self.admin, self.gate = (urllib.parse.urlsplit(url) for url in (admin, gate))
        self.secret, self.prefix = secret, prefix
        self.users, self.live, self.revoked = [], [], []
        self.acknowledged, self.unknown, self.wrong = 0, 0, []
        self.ending = threading.Event()

    @staticmethod
    def call(url, method, path, secret, body=None):
        """The status and the answer; 0: none came."""
        connection = http.client.HTTPConnection(url.hostname, url.port, timeout=20)
        try:
            headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
            connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            answer = connection.getresponse()
            text = answer.read()
            return answer.status, json.loads(text) if text else None
        except (OSError, http.client.HTTPException, ValueError):
            return 0, None
        finally:
            connection.close()

    def change(self, method, path, body=None):
        status, answer = self.call(self.admin, method, path, self.secret, body)
        if 200 <= status < 300:
            self.acknowledged += 1
            return answer if answer is not None else {}
        self.unknown += 1
        if status not in (0, 502, 503, 504):
            self.wrong.append(f"{method} {path}: {status} {answer}")
        time.sleep(0.05)
        return None

    def gate_says(self, secret):
        body = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
        return self.call(self.gate, "POST", "/v1/chat/completions", secret, body)[0]

    def expect(self, secret, wanted, what):
        """Right after the acknowledgement, whenever the gate answers."""
        status = self.gate_says(secret)
        if status not in (wanted, 0, 503):
            self.wrong.append(f"{what}: {status}")

    def one(self, number):
        user = f"{self.prefix}{number}"
        if self.change("POST", "/v1/users", {"name": user}) is None:
            return
        self.users.append(user)
        if self.change("POST", "/v1/roles/model_user/assignments", {"user": user}) is None:
            return
        key = self.change("POST", "/v1/api-keys", {"user": user})
        if key is None:
            return
        self.expect(key["secret"], 200, "a new key")
        if number % 2 == 0:
            self.live.append(key["secret"])
        elif self.change("DELETE", f"/v1/api-keys/{key['id']}") is not None:
            self.revoked.append(key["secret"])
            self.expect(key["secret"], 401, "a revoked key")

    def run(self):
        number = 0
        while not self.ending.is_set():
            self.one(number)
            number += 1
            self.ending.wait(0.03)

    def end(self):
        self.ending.set()
        self.join(60)
        assert not self.is_alive()

    def check_in_force(self, there):
        """Everything that was acknowledged, long after."""
        assert not self.wrong, self.wrong[:10]
        assert not set(self.users) - there, "users that were acknowledged are gone"
        assert [self.gate_says(secret) for secret in self.live] == [200] * len(self.live)
        assert [self.gate_says(secret) for secret in self.revoked] == [401] * len(self.revoked)


def events(dvara):
    """The whole log, from dvara-logd's feed."""
    start = 0
    socket = pathlib.Path(dvara.state / "runtime/logd.sock")
    while True:
        page = subprocess.run(
            ["curl", "-sS", "--max-time", "40", "--unix-socket", socket,
             f"http://log/events?from={start}&limit=10000"], capture_output=True, check=True).stdout
        lines = page.splitlines()
        if not lines:
            return
        for line in lines:
            item = json.loads(line)
            assert item["index"] == start
            start += 1
            yield item["event"]


def request_records(dvara):
    """{request id: {"open": [status...], "close": [...]}} of the gate's requests."""
    found = collections.defaultdict(lambda: {"open": [], "close": []})
    for event in events(dvara):
        phase = event.get("unmapped", {}).get("dvara", {}).get("phase")
        if event["metadata"]["log_source"].startswith("gateway/") and phase is not None:
            status = event.get("http_response", {}).get("code")
            found[event["api"]["request"]["uid"]][phase].append(status)
    return found


def check_requests(dvara, rows, seen):
    """Each acknowledged request stands in the log once, with its outcome; of the others at most
    once; what the model server saw was recorded before and had no card number in it."""
    wait_for_the_log(dvara, rows)
    records = request_records(dvara)
    for mark, kind, status, request_id, _ in rows:
        if status == 0:
            continue
        assert request_id != "-", f"{mark} ({kind}, {status}) was answered without a request id"
        one = records[request_id]
        assert len(one["open"]) == 1 and one["close"] == [status], f"{mark} {kind} {status}: {one}"
    for request_id, one in records.items():
        assert len(one["open"]) <= 1 and len(one["close"]) <= 1, f"{request_id}: {one}"
    for request in seen:
        assert CARD not in request["body"], "a card number passed"
        assert len(records[request["id"]]["open"]) == 1, f"{request['id']} was not recorded"
    return records


def wait_for_the_log(dvara, rows):
    """Until dvara-logd has taken what the spools hold. No request tells of another: each worker has a spool, and
    clocks jump."""
    awaited = {row[3] for row in rows if row[2] != 0 and row[3] != "-"}
    missing = set()

    def all_are_there():
        records = request_records(dvara)
        missing.clear()
        missing.update(one for one in awaited if not (records[one]["open"] and records[one]["close"]))
        return not missing
    try:
        wait_until(all_are_there, 20, "every answered request is in the log")
    except AssertionError:
        raise AssertionError(f"{len(missing)} answered requests are not in the log: {sorted(missing)[:5]}") from None


SAID = re.compile(r"^(\S+)Z dvara: (dvara-logd|dvarad|nginx|dvara-collect|dvara-export) (was killed|ended|is back)")


def seconds_until_back(log):
    """From the supervisor's own log: how long each process was away after its last death."""
    gone, away = {}, []
    for line in log.splitlines():
        found = SAID.match(line)
        if not found:
            continue
        stamp, name, what = found.groups()
        hours, minutes, seconds = stamp.split("T")[1].split(":")
        now = int(hours) * 3600 + int(minutes) * 60 + float(seconds)
        if what != "is back":
            gone[name] = now
        elif name in gone:
            away.append((now - gone.pop(name)) % 86400)
    return away


def processes_of(*folders):
    """Every process that holds something below one of the folders open, or was started with it."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / "cmdline").read_bytes().decode("utf-8", "replace")
            links = [words, *(str(fd.readlink()) for fd in (entry / "fd").iterdir())]
        except OSError:
            continue
        if any(str(folder) in text for folder in folders for text in links):
            found.append((int(entry.name), words.replace("\0", " ").strip()))
    return found


def admin_secret(dvara):
    return re.search(r"dvk_\w+", (dvara.state / "admin-credentials").read_text()).group()


__all__ = ["BUILD", "CARD", "ROOT", "Changes", "Load", "ModelServer", "admin_secret", "check_requests",
           "events", "processes_of", "request_records", "seconds_until_back"]
