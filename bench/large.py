#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures large bodies and many streams, beside bare nginx in one run.

What a large prompt costs (all threads of the worker), how long small requests wait while large
bodies flow on other connections, and what ten thousand idle streams cost. Client and upstream have
one core, the proxy the other, as in gateway.py.
"""
import http.client
import json
import multiprocessing
import os
import random
import resource
import selectors
import socket
import statistics
import sys
import tempfile
import time
from pathlib import Path

from gateway import (CLIENT_CORE, PROXY_CORE, ROUNDS, Dvara, Nginx, chat_answer, chat_request,
                     free_port, load, private_bytes, wait_for_port)

SIZES = [2, 8, 32, 64, 128, 256, 512, 1024]  # KB
STREAMS = int(os.environ.get("BENCH_STREAMS", "10000"))
STREAM_WORKERS = 2  # a stream takes two descriptors of a worker, which are often 20,000 at most
CHAT = "/v1/chat/completions"
LARGE_PER_SECOND = 20
DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


def body_of(kind, size):
    if kind == "prose":
        return chat_request(size).encode()
    rng = random.Random(1)
    text = {"base64": "data:image/png;base64," + "".join(rng.choices(DIGITS, k=size)),
            "nastiest": "4 " * (size // 2)}[kind]
    return json.dumps({"model": "bench", "messages": [{"role": "user", "content": text}]}).encode()


def cpu_seconds(pid):
    """Of all threads of the process."""
    return sum(int((task / "schedstat").read_text().split()[0])
               for task in Path(f"/proc/{pid}/task").iterdir()) / 1e9


def row(name, value, unit, reference=None):
    ratio = None if not reference else round(value / reference, 3)
    return {"name": f"large/{name}", "value": round(value, 2), "unit": unit, "ratio_to": ratio}


class Caller:
    """One connection that is kept."""

    def __init__(self, target):
        self.connection = http.client.HTTPConnection("127.0.0.1", target.port, timeout=60)
        self.headers = {"Content-Type": "application/json"}
        if getattr(target, "key", None):
            self.headers["Authorization"] = f"Bearer {target.key}"

    def send(self, body):
        self.connection.request("POST", CHAT, body, self.headers)
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise SystemExit(f"a large body was refused: {answer.status} {text[:200]}")


def cost(target, body):
    """Worker CPU of one such body in microseconds."""
    caller = Caller(target)
    count = max(5, min(200, (4 << 20) // len(body)))
    caller.send(body)
    used = []
    for _ in range(ROUNDS):
        before = cpu_seconds(target.worker())
        for _ in range(count):
            caller.send(body)
        used.append((cpu_seconds(target.worker()) - before) * 1e6 / count)
    return statistics.median(used)


def cost_rows(bare, dvara):
    for kind, sizes in (("prose", SIZES), ("base64", [1024]), ("nastiest", [1024])):
        for size in sizes:
            body = body_of(kind, size << 10)
            plain, guarded = cost(bare, body), cost(dvara, body)
            yield row(f"cpu/{kind} {size} KB/added", (guarded - plain) / size, "us/KB")


def flow(target, body, stop):
    """Large bodies at a steady pace, until told to stop. The small requests' client, on the same
    core, goes first: not its wait is asked for."""
    os.sched_setaffinity(0, {CLIENT_CORE})
    os.nice(19)
    caller = Caller(target)
    while not stop.is_set():
        began = time.monotonic()
        caller.send(body)
        time.sleep(max(0.0, 4 / LARGE_PER_SECOND - (time.monotonic() - began)))


def ask(target, body, seconds):
    """Latencies of small requests, one after the other. wrk would not do: for each request that took
    long it counts those that it would have sent meanwhile, and a few a second take 40 ms here, with
    bare nginx, too: the upstream answers large bodies before it has acknowledged them."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {CLIENT_CORE})
    caller, times, end = Caller(target), [], time.monotonic() + seconds
    while (began := time.monotonic()) < end:
        caller.send(body)
        times.append((time.monotonic() - began) * 1e6)
    os.sched_setaffinity(0, cores)
    times.sort()
    return {"p50": times[len(times) // 2], "p99": times[len(times) * 99 // 100], "max": times[-1]}


def waits(target, small, body):
    """Latency of small requests while large bodies flow on four other connections."""
    stop = multiprocessing.Event()
    flows = [multiprocessing.Process(target=flow, args=(target, body, stop)) for _ in range(4)]
    for process in flows:
        process.start()
    try:
        time.sleep(0.5)
        return ask(target, small.read_bytes(), 4)
    finally:
        stop.set()
        for process in flows:
            process.join(30)


def wait_rows(bare, dvara, small):
    for kind in ("prose", "base64", "nastiest"):
        body = body_of(kind, 1 << 20)
        rounds = [(waits(bare, small, body), waits(dvara, small, body)) for _ in range(ROUNDS)]
        for name in ("p50", "p99", "max"):
            plain = statistics.median(r[0][name] for r in rounds)
            guarded = statistics.median(r[1][name] for r in rounds)
            yield row(f"others wait/{kind}/{name}/bare", plain, "us")
            yield row(f"others wait/{kind}/{name}/dvara", guarded, "us", plain)
            yield row(f"others wait/{kind}/{name}/added", guarded - plain, "us")


# -- streams ---------------------------------------------------------------------------------------

EVENT = (b'data: {"id":"1","object":"chat.completion.chunk","created":1,"model":"bench","choices":'
         b'[{"index":0,"delta":{"content":"Hello, how can I help?"}}]}\n\n')
STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"


def raise_descriptors():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def serve_streams(port):
    """A model server that begins streams and never ends them; other requests are answered."""
    os.sched_setaffinity(0, {CLIENT_CORE})
    raise_descriptors()
    answer = chat_answer(2048).encode()
    whole = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(answer) + answer
    poll = selectors.DefaultSelector()
    listener = socket.create_server(("127.0.0.1", port), backlog=4096)
    poll.register(listener, selectors.EVENT_READ)
    got = {}
    while True:
        for key, _ in poll.select():
            if key.fileobj is listener:
                connection, _ = listener.accept()
                poll.register(connection, selectors.EVENT_READ)
                got[connection] = b""
                continue
            data = key.fileobj.recv(65536)
            if not data:
                poll.unregister(key.fileobj)
                got.pop(key.fileobj)
                key.fileobj.close()
                continue
            text = got[key.fileobj] + data
            head, found, body = text.partition(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0] or 0) if found else 1
            got[key.fileobj] = text if len(body) < length else b""
            if len(body) >= length:
                key.fileobj.sendall(STREAM_HEAD + EVENT if b'"stream": true' in body else whole)


def open_stream(target, request):
    connection = socket.create_connection(("127.0.0.1", target.port), 30)
    head = f"POST {CHAT} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
    if getattr(target, "key", None):
        head += f"Authorization: Bearer {target.key}\r\n"
    connection.sendall(f"{head}Content-Length: {len(request)}\r\n\r\n".encode() + request)
    return connection


def open_streams(target, count):
    request = json.dumps({"model": "bench", "stream": True,
                          "messages": [{"role": "user", "content": "hi"}]}).encode()
    streams = []
    for _ in range(count // 100):
        some = [open_stream(target, request) for _ in range(100)]
        for connection in some:
            text = b""
            while b"Hello" not in text:
                data = connection.recv(4096)
                if not data:
                    raise SystemExit(f"a stream was refused: {text[:300]!r}")
                text += data
        streams += some
    return streams


def idle_figures(target, small):
    workers = target.workers()
    before = sum(map(private_bytes, workers))
    streams = open_streams(target, STREAMS)
    try:
        memory = (sum(map(private_bytes, workers)) - before) / len(streams)
        used = sum(map(cpu_seconds, workers))
        time.sleep(5)
        idle = (sum(map(cpu_seconds, workers)) - used) / 5
        return {"memory": memory, "cpu": idle * 1e6,
                **load(target.port, 1, small, getattr(target, "key", None), 4)}
    finally:
        for connection in streams:
            connection.close()


def stream_rows(bare, dvara, small):
    plain, guarded = idle_figures(bare, small), idle_figures(dvara, small)
    for name, unit in (("memory", "bytes/stream"), ("cpu", "us/s"), ("p50", "us"), ("p99", "us")):
        yield row(f"{STREAMS} idle streams/{name}/bare", plain[name], unit)
        yield row(f"{STREAMS} idle streams/{name}/dvara", guarded[name], unit, plain[name])


def start_upstream(folder, port):
    answer = chat_answer(2048).replace("'", "\\'")
    return Nginx(folder, "upstream", CLIENT_CORE, port, f"""
  client_max_body_size 0;
  server {{ listen 127.0.0.1:{port}; location / {{ default_type application/json;
    return 200 '{answer}'; }} }}""")


def start_bare(folder, name, up_port, workers=1):
    port = free_port()
    return Nginx(folder, name, PROXY_CORE, port, f"""
  client_max_body_size 0; upstream model {{ server 127.0.0.1:{up_port}; keepalive 64; }}
  server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://model; proxy_buffering off;
    proxy_buffer_size 16k; proxy_buffers 4 16k; proxy_http_version 1.1; proxy_set_header Connection ""; }} }}""", 24576, workers)


def measure_bodies(folder, small, stops):
    port = free_port()
    stops.append(start_upstream(folder, port))
    bare = start_bare(folder, "bare", port)
    stops.append(bare)
    dvara = Dvara(folder, port)
    stops.append(dvara)
    return [*cost_rows(bare, dvara), *wait_rows(bare, dvara, small)]


def measure_streams(folder, small, stops):
    port = free_port()
    server = multiprocessing.Process(target=serve_streams, args=(port,), daemon=True)
    server.start()
    wait_for_port(port)
    bare = start_bare(folder, "bare", port, STREAM_WORKERS)
    stops.append(bare)
    dvara = Dvara(folder, port, STREAM_WORKERS)
    stops.append(dvara)
    try:
        return list(stream_rows(bare, dvara, small))
    finally:
        server.kill()
        server.join()


def main():
    raise_descriptors()
    rows = []
    for measure in (measure_bodies, measure_streams):
        with tempfile.TemporaryDirectory(prefix="dvara-bench-") as temporary:
            folder = Path(temporary)
            folder.chmod(0o755)
            small = folder / "request.json"
            small.write_text(chat_request(2048))
            stops = []
            try:
                rows += measure(folder, small, stops)
            finally:
                for process in reversed(stops):
                    process.stop()
    json.dump(rows, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
