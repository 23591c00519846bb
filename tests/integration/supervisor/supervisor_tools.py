# SPDX-License-Identifier: Apache-2.0
"""`dvara up` and its kin, with the real programs and a stand-in for the model server."""
import contextlib
import http.server
import json
import pathlib
import re
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request

TESTS = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TESTS), str(TESTS / "ocsf")]

import suite  # noqa: E402
from support import BUILD, free_port  # noqa: E402

ANSWER = json.dumps({"object": "chat.completion", "choices": [
    {"index": 0, "message": {"role": "assistant", "content": "good day"}, "finish_reason": "stop"}]})
BODY = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hello"}]}).encode()


def alive(pid):
    """Zombies hold nothing and do not count."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def children(pid):
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError, IndexError):
            if int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1]) == pid:
                found.append(int(entry.name))
    return found


class Upstream(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one segment: nobody waits for an acknowledgement

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if json.loads(body).get("stream"):
            self.stream()
            return
        time.sleep(1.5 if b"slowly" in body else 0)
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(ANSWER)))
        self.end_headers()
        self.wfile.write(ANSWER.encode())

    def stream(self):
        """One piece, then nothing for a while."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        event = {"choices": [{"index": 0, "delta": {"content": "one "}}]}
        self.wfile.write(f"data: {json.dumps(event)}\n\n".encode())
        self.wfile.flush()
        time.sleep(8)
        self.close_connection = True

    def log_message(self, *words):
        pass


class Instance:
    """One state directory and what is run on it."""

    def __init__(self, folder, upstream, prefix=()):
        self.folder = folder
        self.state = folder / "state"
        self.upstream = upstream
        self.prefix = [str(word) for word in prefix]
        self.programs = BUILD
        self.config = None
        self.log_is_damaged = False  # by the test, so that nothing need open it
        self.expected = r"(?!)"  # problems in the log that a test provokes
        self.listen = f"http://127.0.0.1:{free_port()}"
        self.admin = f"http://127.0.0.1:{free_port()}"

    def run(self, *words, seconds=60, **options):
        return subprocess.run([*self.prefix, str(self.programs / "dvara"), *map(str, words), "--state",
                               str(self.state)], text=True, capture_output=True, timeout=seconds,
                              stdin=subprocess.DEVNULL, check=False, **options)

    def has_told(self, request):
        """Both records of the request are in the log: they may come with two commits."""
        done = self.run("why", request, "--output", "json")
        return done.returncode == 0 and json.loads(done.stdout)["outcome"] is not None

    def good(self, *words, **options):
        done = self.run(*words, **options)
        assert done.returncode == 0, f"dvara {words}: {done.returncode}\n{done.stderr}{self.log()}"
        return done.stdout

    def refused(self, *words, **options):
        done = self.run(*words, **options)
        assert done.returncode == 1, f"dvara {words}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stderr

    def up_words(self, *more):
        words = ["up", "--detach", "--listen", self.listen, "--admin-listen", self.admin,
                 "--upstream", self.upstream, *more]
        return words + (["--config", self.config] if self.config else [])

    def up(self, *more, **options):
        return self.good(*self.up_words(*more), **options)

    def configure(self, text):
        self.config = self.folder / "dvara.yaml"
        self.config.write_text(text)

    def json(self, *words):
        return json.loads(self.good(*words, "--output", "json"))

    def status(self):
        return self.json("status")

    def came_back(self, name, before):
        """`status` fails while something is down: one look, or the second may fail."""
        done = self.run("status", "--output", "json")
        status = json.loads(done.stdout) if done.returncode == 0 else {"ready": False}
        return status["ready"] and all(one["pid"] != before for one in status["processes"] if one["name"] == name)

    def pid(self, name):
        return {one["name"]: one["pid"] for one in self.status()["processes"]}[name]

    def ready(self):
        done = self.run("status", "--output", "json")
        return done.returncode == 0 and json.loads(done.stdout)["ready"]

    def all_pids(self):
        status = self.status()
        master = self.pid("nginx")
        return [status["pid"], *[one["pid"] for one in status["processes"]], *children(master)]

    def key(self, name="alice"):
        self.good("user", "create", "--name", name)
        self.good("role", "assign", "--user", name, "--role", "model_user")
        return self.json("apikey", "create", "--user", name)["secret"]

    def ask(self, key, body=BODY, seconds=20):
        """The status of a chat through the gate; 0: no connection."""
        request = urllib.request.Request(
            self.listen + "/v1/chat/completions", body,
            {"Authorization": f"Bearer {key}", "Content-Type": "application/json"})
        context = ssl._create_unverified_context() if self.listen.startswith("https") else None
        try:
            with urllib.request.urlopen(request, timeout=seconds, context=context) as answer:
                answer.read()
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def log(self):
        path = self.state / "dvara.log"
        return path.read_text() if path.exists() else ""

    def end(self):
        self.run("down")
        # A worker that a test killed and a port that another instance took first are no problems.
        problems = re.findall(r".*(?:AddressSanitizer|runtime error:|\[alert\](?!.*exited on signal 9)|"
                              r"\[emerg\](?!.*(?:8444 failed|still could not bind))).*", self.log())
        problems = [line for line in problems if not re.search(self.expected, line)]
        assert not problems, "\n".join(problems)
        suite.check_state(BUILD, self.state, self.log_is_damaged)
