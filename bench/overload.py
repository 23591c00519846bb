#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures what callers within their limits feel of a flood from another address.

One caller at 127.0.0.1 asks without a pause, in quiet and while one at 127.0.0.2 floods the gate:
connections, TLS handshakes, bodies that never come, requests that are refused. Every request of the
caller has to be answered. The flood shares its core with the caller and the upstream, and goes
behind them; the gate with its defaults has the other core.
"""
import json
import multiprocessing
import os
import select
import socket
import statistics
import sys
import tempfile
import time
from pathlib import Path

from gateway import (CLIENT_CORE, ROUNDS, Dvara, chat_request, cpu_seconds, free_port, load)
from large import start_upstream

SECONDS = 4
AT_ONCE = 2000     # connections that a flood keeps under way
PER_SECOND = 5000  # connections that it begins, if it can
FLOODER = ("127.0.0.2", 0)
HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nHost: gate\r\nContent-Type: application/json\r\n"
# The head of a TLS record and of a ClientHello that stops there: the gate has to wait for it.
HELLO = bytes.fromhex("16030100c8010000c40303") + bytes(32)
SLOW_BODY = HEAD + b"Authorization: Bearer %s\r\nContent-Length: 100000\r\n\r\n{"
REFUSED = HEAD + b"Authorization: Bearer dvk_none\r\nContent-Length: 2\r\n\r\n{}"


def begin(port):
    connection = socket.socket()
    connection.setblocking(False)
    connection.bind(FLOODER)
    connection.connect_ex(("127.0.0.1", port))
    return connection


def talk(connection, words, again):
    """False when the gate ended the connection. `again`: each answer is followed by a request."""
    try:
        answered = connection.recv(65536)
        if answered and again:
            connection.sendall(words)
        return bool(answered)
    except BlockingIOError:
        return True
    except OSError:
        return False


def drop_oldest(open_, poll, patience):
    """Gives up what has been open for so long."""
    now = time.monotonic()
    for number, (connection, born) in list(open_.items()):
        if now - born < patience:
            return
        poll.unregister(number)
        open_.pop(number)
        connection.close()


def flood(port, words, again, patience, stop, begun):
    """Keeps up to AT_ONCE connections under way, each of which said `words`."""
    os.sched_setaffinity(0, {CLIENT_CORE})
    os.nice(19)
    poll, open_, started = select.epoll(), {}, time.monotonic()
    while not stop.is_set():
        drop_oldest(open_, poll, patience)
        due = min((time.monotonic() - started) * PER_SECOND - begun.value, 50)
        while len(open_) < AT_ONCE and due > 0:
            connection = begin(port)
            open_[connection.fileno()] = (connection, time.monotonic())
            poll.register(connection.fileno(), select.EPOLLOUT | select.EPOLLIN)
            begun.value += 1
            due -= 1
        for number, event in poll.poll(0.01):
            alive = not event & (select.EPOLLERR | select.EPOLLHUP)
            if alive and event & select.EPOLLOUT:
                poll.modify(number, select.EPOLLIN)
                alive = not words or open_[number][0].send(words) == len(words)
            elif alive:
                alive = talk(open_[number][0], words, again)
            if not alive:
                poll.unregister(number)
                open_.pop(number)[0].close()


class Flood:
    def __init__(self, port, words, again, patience):
        self.stop, self.begun = multiprocessing.Event(), multiprocessing.Value("q", 0, lock=False)
        self.process = multiprocessing.Process(
            target=flood, args=(port, words, again, patience, self.stop, self.begun))

    def __enter__(self):
        self.process.start()
        time.sleep(1)
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.process.join(10)
        if self.process.exitcode != 0:
            self.process.kill()
            raise SystemExit("the flood failed")


def row(name, value, unit, reference=None):
    ratio = None if not reference else round(value / reference, 3)
    return {"name": f"overload/{name}", "value": round(value, 2), "unit": unit, "ratio_to": ratio}


def serve(dvara, body):
    """What the caller gets; load() ends the bench when one request of his is refused."""
    return load(dvara.port, 4, body, dvara.key, SECONDS, scheme=dvara.scheme)


def flood_rows(dvara, body, name, words, again, patience):
    quiet, flooded, rates, costs = [], [], [], []
    for _ in range(ROUNDS):
        quiet.append(serve(dvara, body))
        with Flood(dvara.port, words, again, patience) as flooding:
            before, used, began = flooding.begun.value, cpu_seconds(dvara.worker()), time.monotonic()
            flooded.append(serve(dvara, body))
            took = time.monotonic() - began
            rates.append((flooding.begun.value - before) / took)
            costs.append((cpu_seconds(dvara.worker()) - used) / took * 100)
    yield row(f"{name}/begun", statistics.median(rates), "connections/s")
    yield row(f"{name}/worker", statistics.median(costs), "% of a core")
    for figure in ("requests", "p50", "p99"):
        plain = statistics.median(r[figure] for r in quiet)
        value = statistics.median(r[figure] for r in flooded)
        scale, unit = (SECONDS, "requests/s") if figure == "requests" else (1, "us")
        yield row(f"{name}/{figure}/quiet", plain / scale, unit)
        yield row(f"{name}/{figure}/flooded", value / scale, unit, plain / scale)


def measure(folder, scheme, floods):
    body = folder / "request.json"
    body.write_text(chat_request(2048))
    port, stops = free_port(), []
    try:
        stops.append(start_upstream(folder, port))
        dvara = Dvara(folder, port, scheme=scheme, overload="{}")
        stops.append(dvara)
        rows = []
        for kind in floods(dvara):
            rows += flood_rows(dvara, body, *kind)
        return rows
    finally:
        for process in reversed(stops):
            process.stop()


def main():
    kinds = {
        "http": lambda dvara: [("connections", b"", False, 0.1),
                               ("slow bodies", SLOW_BODY % dvara.key.encode(), False, 90),
                               ("refused requests", REFUSED, True, 90)],
        "https": lambda dvara: [("handshakes", HELLO, False, 0.1)],
    }
    rows = []
    for scheme, floods in kinds.items():
        with tempfile.TemporaryDirectory(prefix="dvara-bench-") as temporary:
            folder = Path(temporary)
            folder.chmod(0o755)
            rows += measure(folder, scheme, floods)
    json.dump(rows, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
