# SPDX-License-Identifier: Apache-2.0
"""Floods from one address (127.0.0.2) while a caller at another one (127.0.0.1) is served."""
import collections
import json
import socket
import ssl
import subprocess
import time

import pytest

from conftest import LIMITS
from ledger import events
from support import wait_until

FLOODER = ("127.0.0.2", 0)


def port_of(dvara):
    return int(dvara.listen.rsplit(":", 1)[1])


def connect(dvara, seconds=10):
    return socket.create_connection(("127.0.0.1", port_of(dvara)), seconds, source_address=FLOODER)


def is_open(connection):
    connection.setblocking(False)
    try:
        return connection.recv(1) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


def counted(dvara, reason):
    """What was told of the flooder: records of their own, and how many more were counted."""
    single, more = collections.Counter(), 0
    for event in events(dvara):
        if event.get("src_endpoint", {}).get("ip") == FLOODER[0] and event["status_code"] == reason:
            if event["metadata"]["event_code"] in ("refusals", "network.refused"):
                assert event["count"] >= 1 and event["start_time"] <= event["end_time"]
                more += event["count"]
            else:
                single[event["api"]["request"]["uid"]] += 1
    assert set(single.values()) <= {2}
    return len(single), more


@pytest.fixture(name="start")
def make_start(make):
    def start(overload):
        dvara = make(LIMITS + f"overload: {overload}\n")
        dvara.up("--workers", 1)
        return dvara, dvara.key()
    return start


def test_connections_of_one_address_are_bounded(start):
    dvara, key = start("{connections_per_address: 20, new_connections_per_address: any}")
    flood = [connect(dvara) for _ in range(60)]
    assert [dvara.ask(key) for _ in range(30)] == [200] * 30
    wait_until(lambda: sum(map(is_open, flood)) == 20, 10, "twenty are left")
    wait_until(lambda: counted(dvara, "too_many_connections")[1] == 40, 10, "the others are told")
    for connection in flood:
        connection.close()
    wait_until(lambda: is_open(connect(dvara)), 10, "there is room again")


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_new_connections_of_one_address_are_bounded(start, make, scheme):
    dvara = make(LIMITS + "overload: {new_connections_per_address: 5}\n")
    dvara.listen = dvara.listen.replace("http:", f"{scheme}:")
    dvara.admin = dvara.admin.replace("http:", f"{scheme}:")
    dvara.up("--workers", 1)
    key = dvara.key()
    context = ssl._create_unverified_context() if scheme == "https" else None
    served, began = 0, time.monotonic()
    for _ in range(100):
        with connect(dvara) as connection:
            try:
                talk = context.wrap_socket(connection) if context else connection
                talk.sendall(b"GET / HTTP/1.1\r\nHost: gate\r\nConnection: close\r\n\r\n")
                served += talk.recv(12).startswith(b"HTTP/1.1")
            except OSError:
                pass
    took = time.monotonic() - began
    assert 10 <= served <= 10 + 5 * took + 1
    assert dvara.ask(key) == 200
    wait_until(lambda: counted(dvara, "too_many_connections")[1] == 100 - served, 10, "they are told")


def test_heads_and_bodies_that_do_not_come_are_ended(start):
    dvara, key = start("{header_timeout: 1s, body_timeout: 2s}")
    head, body = connect(dvara), connect(dvara)
    head.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: ga")
    body.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: gate\r\nContent-Length: 1000\r\n"
                 b"Content-Type: application/json\r\nAuthorization: Bearer " + key.encode() + b"\r\n\r\n{")
    for _ in range(20):  # a byte now and then does not help
        time.sleep(0.15)
        for connection in (head, body):
            try:
                connection.sendall(b" ")
            except OSError:
                pass
    wait_until(lambda: not is_open(head), 10, "the head is given up")
    body.setblocking(True)
    assert b" 408 " in body.recv(100)
    assert dvara.ask(key) == 200


REFUSED = (b"POST /v1/chat/completions HTTP/1.1\r\nHost: gate\r\nContent-Length: 2\r\n"
           b"Content-Type: application/json\r\nAuthorization: Bearer dvk_none\r\n\r\n{}")


def refused_on(stream, connection):
    """One more refusal on this connection; whether the gate keeps it open."""
    connection.sendall(REFUSED)
    head = b"".join(iter(stream.readline, b"\r\n")).lower()
    assert b" 401 " in head
    stream.read(int(head.split(b"content-length:")[1].split()[0]))
    return b"connection: close" not in head


def test_refusals_that_come_too_fast_are_counted_and_cost_a_connection_each(start):
    dvara, key = start("{recorded_refusals: 4, new_connections_per_address: any}")
    refused, connections, began = 0, 0, time.monotonic()
    while refused < 200:
        connections += 1
        with connect(dvara) as connection, connection.makefile("rb") as stream:
            refused += 1
            while refused_on(stream, connection) and refused < 200:
                refused += 1
    took = time.monotonic() - began
    wait_until(lambda: sum(counted(dvara, "bad_credential")) == 200, 10, "all are told of")
    single, more = counted(dvara, "bad_credential")
    assert 20 <= single <= 20 + 4 * took + 1 and more == 200 - single
    assert more <= connections <= more + 1
    assert dvara.ask(key) == 200
    tail = dvara.json("audit", "tail", "--last", "100")
    assert any("more refusals of 127.0.0.2" in item["what"] for item in tail["items"])
    assert json.loads(dvara.good("audit", "verify", "--output", "json"))["ok"]


def test_refusals_over_http2_that_come_too_fast_cost_connections(make):
    dvara = make(LIMITS + "overload: {recorded_refusals: 4, new_connections_per_address: any}\n")
    dvara.listen = dvara.listen.replace("http:", "https:")
    dvara.admin = dvara.admin.replace("http:", "https:")
    dvara.up("--workers", 1)
    url = dvara.listen + "/v1/chat/completions"
    done = subprocess.run(
        ["curl", "-sk", "--http2", "--interface", FLOODER[0], "-H", "Content-Type: application/json",
         "-H", "Authorization: Bearer dvk_none", "-d", "{}", "-o", "/dev/null", "-w",
         "%{http_version} %{http_code} %{num_connects}\n", f"{url}?[1-100]"],
        stdout=subprocess.PIPE, text=True, timeout=60, check=True)
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [line[:2] for line in lines] == [["2", "401"]] * 100
    connects = sum(int(line[2]) for line in lines)
    wait_until(lambda: sum(counted(dvara, "bad_credential")) == 100, 10, "all are told of")
    more = counted(dvara, "bad_credential")[1]
    assert 1 < more // 2 <= connects <= more + 1
