#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures what Dvara adds to bare nginx, in one run.

Client and upstream share one core, the proxy under test (bare nginx, or all of Dvara with one
worker) has the other. The two take turns, so that a machine that drifts drifts for both. Worker
CPU is read from the scheduler's own account of the worker process. With
BENCH_AWAKE=1 the cores do not sleep meanwhile: what is left is what the programs themselves take.
"""
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = Path(os.environ.get("DVARA_BUILD", ROOT / "build"))
CLIENT_CORE, PROXY_CORE = 0, 1
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
SECONDS = int(os.environ.get("BENCH_SECONDS", "4"))

PROSE = ("The quarterly review of the irrigation project went well. Farmers in the northern "
         "districts reported that the new pumps start faster and need less care, while the "
         "cooperative asked for a simpler way to order spare parts before the monsoon. ")


def chat_request(size):
    """A chat body of about `size` bytes, as a client would send it."""
    def body(text):
        return json.dumps({"model": "bench", "temperature": 0.7, "max_tokens": 256, "messages": [
            {"role": "system", "content": "You are a helpful assistant."},
            {"role": "user", "content": text}]})
    text = PROSE * (size // len(PROSE) + 1)
    return body(text[:size - len(body(""))])


def chat_answer(size):
    def body(text):
        return json.dumps({"id": "chatcmpl-1", "object": "chat.completion", "created": 1700000000,
                           "model": "bench", "choices": [{"index": 0, "finish_reason": "stop",
                           "message": {"role": "assistant", "content": text}}],
                           "usage": {"prompt_tokens": 400, "completion_tokens": 380,
                                     "total_tokens": 780}})
    text = PROSE * (size // len(PROSE) + 1)
    return body(text[:size - len(body(""))])


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def pinned(core, *command):
    return ["taskset", "-c", str(core), *map(str, command)]


def wait_for_port(port, seconds=10):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
            return
        except OSError:
            time.sleep(0.05)
    raise SystemExit(f"nothing answers on port {port}")


class Nginx:
    """A foreground nginx, pinned to a core."""

    def __init__(self, folder, name, core, port, http, connections=1024, workers=1):
        self.folder = folder / name
        self.folder.mkdir()
        self.port = port
        conf = self.folder / "nginx.conf"
        conf.write_text(f"""daemon off; worker_processes {workers}; pid {self.folder}/pid;
error_log {self.folder}/error.log warn;
worker_rlimit_nofile {2 * connections + 64}; events {{ worker_connections {connections}; }}
http {{
  access_log off; client_body_temp_path {self.folder}/b; proxy_temp_path {self.folder}/p;
  fastcgi_temp_path {self.folder}/f; uwsgi_temp_path {self.folder}/u; scgi_temp_path {self.folder}/s;
  keepalive_requests 1000000; client_body_buffer_size 64k;
  {http}
}}
""")
        self.process = subprocess.Popen(pinned(core, "nginx", "-p", self.folder, "-c", conf),
                                        stderr=subprocess.DEVNULL)
        wait_for_port(port)

    def workers(self):
        return children(self.process.pid)

    def worker(self):
        return self.workers()[0]

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(10)


def children(pid):
    out = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        out += [int(child) for child in (task / "children").read_text().split()]
    return out


def descendants(pid):
    found = []
    for child in children(pid):
        found += [child, *descendants(child)]
    return found


def command_of(pid):
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()


def cpu_seconds(pid):
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def private_bytes(pid):
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(n) for n in re.findall(r"Private_(?:Clean|Dirty):\s+(\d+) kB", text)) * 1024


class Dvara:
    """Dvara as a user starts it, with limits that this load does not meet."""

    def __init__(self, folder, upstream_port, workers=1, scheme="http",
                 overload="{connections_per_address: any, new_connections_per_address: any}"):
        self.state = folder / "dvara"
        self.port = free_port()
        self.scheme = scheme
        config = folder / "dvara.yaml"
        rate = '{count: 100000000, per: 1s}'
        config.write_text(f"limits: {{key: {rate}, user: {rate}, group: {rate}, address: {rate}}}\n"
                          f"overload: {overload}\n")
        self.env = dict(os.environ, DVARA_STATE=str(self.state))
        subprocess.run(pinned(PROXY_CORE, BUILD / "dvara", "up", "--state", self.state, "--listen",
                              f"{scheme}://127.0.0.1:{self.port}", "--upstream",
                              f"http://127.0.0.1:{upstream_port}", "--workers", workers, "--config",
                              config, "--detach"), check=True, stdout=subprocess.DEVNULL)
        self.cli("user", "create", "--name", "bench")
        self.cli("role", "assign", "--user", "bench", "--role", "model_user")
        self.key = json.loads(self.cli("apikey", "create", "--user", "bench"))["secret"]

    def cli(self, *words):
        return subprocess.run([BUILD / "dvara", *words, "--output", "json"], env=self.env,
                              check=True, capture_output=True, text=True).stdout

    def workers(self):
        return [pid for pid in descendants_of_state(self.state)
                if "nginx: worker process" in command_of(pid) and "shutting" not in command_of(pid)]

    def worker(self):
        for pid in self.workers():
            return pid
        raise SystemExit("Dvara's nginx worker was not found")

    def stop(self):
        subprocess.run([BUILD / "dvara", "down"], env=self.env, check=True,
                       stdout=subprocess.DEVNULL)


def descendants_of_state(state):
    """All processes under the supervisor, which names the state in its arguments."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = command_of(int(entry.name))
            except OSError:
                continue
            if str(state) in words and " up " in words:
                found = descendants(int(entry.name))
                if found:
                    return found
    return []


def load(port, connections, body, key, seconds, headers=(), scheme="http"):
    env = dict(os.environ, BENCH_BODY=str(body), BENCH_KEY=key or "",
               BENCH_HEADERS="\n".join(headers))
    out = subprocess.run(
        pinned(CLIENT_CORE, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s",
               ROOT / "bench/wrk_chat.lua", f"{scheme}://127.0.0.1:{port}/v1/chat/completions"),
        env=env, check=True, capture_output=True, text=True).stdout
    line = re.search(r"RESULT (.*)", out).group(1)
    result = {k: int(v) for k, v in (pair.split("=") for pair in line.split())}
    if result["failed"]:
        raise SystemExit(f"{result['failed']} of {result['requests']} requests failed: {out}")
    return result


def measure(target, connections, body):
    """One round: worker CPU a request in microseconds, latencies, requests a second."""
    worker = target.worker()
    before = cpu_seconds(worker)
    result = load(target.port, connections, body, getattr(target, "key", None), SECONDS)
    used = cpu_seconds(worker) - before
    return {"cpu": used * 1e6 / result["requests"], "p50": result["p50"], "p99": result["p99"],
            "rate": result["requests"] * 1e6 / result["microseconds"]}


def compare(bare, dvara, connections, body):
    """Rounds in turn; medians of each figure."""
    rounds = {"bare": [], "dvara": []}
    for target in (bare, dvara):
        load(target.port, connections, body, getattr(target, "key", None), 1)
    for _ in range(ROUNDS):
        rounds["bare"].append(measure(bare, connections, body))
        rounds["dvara"].append(measure(dvara, connections, body))
    return {who: {name: statistics.median(r[name] for r in list_) for name in list_[0]}
            for who, list_ in rounds.items()}


@contextlib.contextmanager
def awake():
    """With BENCH_AWAKE=1, a kernel's PM QoS request (root's) that no core sleeps."""
    if os.environ.get("BENCH_AWAKE") != "1":
        yield
        return
    request = os.open("/dev/cpu_dma_latency", os.O_WRONLY)
    try:
        os.write(request, struct.pack("i", 0))
        yield
    finally:
        os.close(request)


def rows(bare, dvara, body):
    with awake():
        many, one = compare(bare, dvara, 16, body), compare(bare, dvara, 1, body)

    def row(name, value, unit, reference=None):
        ratio = None if reference is None else round(value / reference, 3)
        return {"name": name, "value": round(value, 2), "unit": unit, "ratio_to": ratio}
    return [
        row("gateway/cpu/bare", many["bare"]["cpu"], "us/request"),
        row("gateway/cpu/dvara", many["dvara"]["cpu"], "us/request", many["bare"]["cpu"]),
        row("gateway/cpu/added", many["dvara"]["cpu"] - many["bare"]["cpu"], "us/request"),
        row("gateway/throughput/bare", many["bare"]["rate"], "requests/s"),
        row("gateway/throughput/dvara", many["dvara"]["rate"], "requests/s", many["bare"]["rate"]),
        row("gateway/latency/p50/bare", one["bare"]["p50"], "us"),
        row("gateway/latency/p50/dvara", one["dvara"]["p50"], "us", one["bare"]["p50"]),
        row("gateway/latency/p50/added", one["dvara"]["p50"] - one["bare"]["p50"], "us"),
        row("gateway/latency/p99/bare", one["bare"]["p99"], "us"),
        row("gateway/latency/p99/dvara", one["dvara"]["p99"], "us", one["bare"]["p99"]),
        row("gateway/memory/worker", private_bytes(dvara.worker()), "bytes"),
    ]


def start_nginx(folder, stops):
    """The upstream, and bare nginx as a proxy before it. Appends both to what is to be stopped."""
    answer = chat_answer(2048).replace("'", "\\'")
    up_port, bare_port = free_port(), free_port()
    upstream = Nginx(folder, "upstream", CLIENT_CORE, up_port, f"""
  server {{ listen 127.0.0.1:{up_port}; location / {{ default_type application/json;
    return 200 '{answer}'; }} }}""")
    stops.append(upstream)
    bare = Nginx(folder, "bare", PROXY_CORE, bare_port, f"""
  upstream model {{ server 127.0.0.1:{up_port}; keepalive 64; }}
  server {{ listen 127.0.0.1:{bare_port}; location / {{ proxy_pass http://model;
    proxy_http_version 1.1; proxy_set_header Connection ""; }} }}""")
    stops.append(bare)
    return upstream, bare


def run(measure):
    """Prints, as JSON, what measure(bare upstream, dvara, request) says of Dvara before an upstream of its own."""
    with tempfile.TemporaryDirectory(prefix="dvara-bench-") as temporary:
        folder = Path(temporary)
        folder.chmod(0o755)
        body = folder / "request.json"
        body.write_text(chat_request(2048))
        stops = []
        try:
            upstream, bare = start_nginx(folder, stops)
            dvara = Dvara(folder, upstream.port)
            stops.append(dvara)
            json.dump(measure(bare, dvara, body), sys.stdout, indent=1)
            print()
        finally:
            for process in reversed(stops):
                process.stop()


def main():
    for tool in ("wrk", "nginx", "taskset"):
        if shutil.which(tool) is None:
            raise SystemExit(f"{tool} is missing: run 'make bench', which installs it")
    run(rows)


if __name__ == "__main__":
    main()
