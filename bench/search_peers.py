#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Asks VictoriaLogs what bench_search asks, over the same events, in one run.

Go builds it from the module proxy (bench/peers/victorialogs; versions pinned by go.sum). It gets the events as readers
of the log get them, opened, as JSON lines; every value is a field of its own. Its times are of its process's processor,
all threads, the best of several; its size is that of its folder after what was taken in is flushed.

BENCH_EVENTS (1,000,000) and BENCH_FOLDER are those of bench_search.
"""
import http.client
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.get("DVARA_BUILD", ROOT / "build"))
PROGRAM = BUILD / "peers/victoria-logs"
MODULE = ROOT / "bench/peers/victorialogs"
PACKAGE = "github.com/VictoriaMetrics/VictoriaMetrics/app/victoria-logs"
RUNS = 3
CHUNK = 1 << 20
GO = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")


def build():
    if PROGRAM.exists():
        return
    if GO is None:
        sys.exit("bench/search_peers.py: there is no Go, so VictoriaLogs was not measured")
    PROGRAM.parent.mkdir(exist_ok=True)
    done = subprocess.run([GO, "build", "-mod=readonly", "-o", PROGRAM, PACKAGE], cwd=MODULE, capture_output=True,
                          text=True, env={**os.environ, "GOFLAGS": "-buildvcs=false"})
    if done.returncode != 0:
        sys.exit(f"bench/search_peers.py: VictoriaLogs can not be had, so it was not measured:\n{done.stderr}")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    def __init__(self, folder):
        self.port = free_port()
        self.folder = folder / "victorialogs"
        self.process = subprocess.Popen(
            [PROGRAM, f"-storageDataPath={self.folder}", f"-httpListenAddr=127.0.0.1:{self.port}",
             "-retentionPeriod=100y", "-loggerLevel=ERROR", "-search.maxQueryDuration=600s"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.wait()

    def wait(self):
        for _ in range(300):
            try:
                return self.get("/health")
            except OSError:
                if self.process.poll() is not None:
                    sys.exit("bench/search_peers.py: VictoriaLogs did not start")
                time.sleep(0.1)
        sys.exit("bench/search_peers.py: VictoriaLogs does not answer")

    def get(self, path, **words):
        url = f"http://127.0.0.1:{self.port}{path}?{urllib.parse.urlencode(words)}"
        with urllib.request.urlopen(url, timeout=600) as answer:
            return answer.read()

    def cpu(self):
        """Seconds of all its threads; Go keeps them."""
        tasks = pathlib.Path(f"/proc/{self.process.pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9

    def anywhere(self, text):
        """In this version a word without a field is looked for in the message alone."""
        answer = json.loads(self.get("/select/logsql/field_names", query="_time:>=2020-01-01T00:00:00Z *"))
        names = [value["value"] for value in answer["values"] if not value["value"].startswith("_")]
        return "(" + " or ".join(f'"{name}":"{text}"' for name in names) + ")"

    def feed(self, stream):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        path = "/insert/jsonline?_time_field=time&_msg_field=message&_stream_fields=app.name"
        connection.request("POST", path, body=iter(lambda: stream.read(CHUNK), b""), encode_chunked=True,
                           headers={"Transfer-Encoding": "chunked", "Content-Type": "application/stream+json"})
        answer = connection.getresponse()
        if answer.status != 200:
            sys.exit(f"bench/search_peers.py: VictoriaLogs refuses the events: {answer.read()[:200]}")
        answer.read()

    def size(self):
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())

    def ask(self, query, limit=0):
        """Milliseconds of processor time, and how many lines came."""
        best, lines = None, 0
        for _ in range(RUNS):
            before = self.cpu()
            lines = len(self.get("/select/logsql/query", query=query, limit=limit).splitlines())
            took = (self.cpu() - before) * 1000
            best = took if best is None else min(best, took)
        return best, lines


def row(name, value, unit):
    print(json.dumps({"name": f"search/{name}", "value": value, "unit": unit, "ratio_to": None}), flush=True)


def take_in(server, environment, count):
    with subprocess.Popen([BUILD / "bench/bench_search"], stdout=subprocess.PIPE,
                          env={**environment, "BENCH_DUMP": str(count)}) as events:
        server.feed(events.stdout)
    server.get("/internal/force_flush")
    row("victorialogs_write", server.cpu() / count * 1e9, "ns/event")
    time.sleep(5)  # what it merges behind
    row("victorialogs_size", server.size() / count, "bytes/event")


def questions(server, first, now, request):
    """Those of bench_search, in LogsQL. Name, query, lines wanted."""
    def stamp(nanoseconds):
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(nanoseconds // 10**9))
    middle = (first + now) // 2
    quarter = f"_time:[{stamp(middle)},{stamp(middle + 900 * 10**9)}]"
    return [
        ("user_in_a_quarter", f'{quarter} actor.user.name:="user4321"', 100),
        ("user_in_a_quarter_counted",
         f'{quarter} actor.user.name:="user4321" | stats by (http_response.code) count() n', 0),
        ("request_id_anywhere", f'metadata.correlation_uid:="{request}"', 0),
        ("text_nowhere", server.anywhere("nowhere-to-be-found"), 0),
        ("digits_nowhere", server.anywhere("777777777"), 0),
        ("text_rare", server.anywhere("10.19.249.1"), 0),
        ("user_counted", 'actor.user.name:="user4999" | stats by (http_response.code) count() n', 0),
        ("refused_by_user", 'http_response.code:="429" | stats by (actor.user.name) count() n | sort by (n desc) '
                            '| limit 10', 0),
        ("everything_by_model", '* | stats by (_time:1h, ai_model.name) count() n, '
                                'sum(message_context.total_tokens) t, quantile(0.95, http_response.latency) l', 0),
    ]


def main():
    build()
    count = int(os.environ.get("BENCH_EVENTS", 1000000))
    with tempfile.TemporaryDirectory(prefix="dvara-peers-", dir="/var/tmp") as scratch:
        folder = pathlib.Path(os.environ.get("BENCH_FOLDER", f"{scratch}/log"))
        environment = {**os.environ, "BENCH_EVENTS": str(count), "BENCH_FOLDER": str(folder)}
        server = Server(pathlib.Path(scratch))
        try:
            take_in(server, environment, count)
            about = (folder / "about").read_text().split()
            for name, query, limit in questions(server, int(about[1]), int(about[2]), about[3]):
                took, lines = server.ask(f"_time:>=2020-01-01T00:00:00Z {query}", limit)
                print(f"{name}: {lines} lines", file=sys.stderr)
                row(f"victorialogs_{name}", took, "ms")
        finally:
            server.process.terminate()
            server.process.wait(60)


if __name__ == "__main__":
    main()
