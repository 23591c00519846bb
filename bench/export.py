#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How many events a second dvara-export sends to receivers that throw everything away.

    bench/export.py [EVENTS]
"""
import http.server
import json
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests/integration/export"), str(ROOT / "tests")]

from conftest import House  # noqa: E402
from support import BUILD, wait_until  # noqa: E402


class Web(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def do_POST(self):
        left = int(self.headers["Content-Length"])
        while left > 0:
            left -= len(self.rfile.read(min(left, 1 << 20)))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *words):
        pass


def sink(server):
    while True:
        connection, _ = server.accept()
        while connection.recv(1 << 20):
            pass


def receivers(folder):
    web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Web)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    tcp = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=sink, args=[tcp], daemon=True).start()
    url = f"http://127.0.0.1:{web.server_port}/"
    return {
        "JSON lines": {"type": "file", "path": folder / "out"},
        "CEF": {"type": "file", "path": folder / "out.cef", "format": "cef"},
        "syslog over TCP": {"type": "syslog", "url": f"tcp://127.0.0.1:{tcp.getsockname()[1]}"},
        "ClickHouse": {"type": "clickhouse", "url": url, "table": "t"},
        "OTLP": {"type": "otlp", "url": url},
    }


def peak_kib(process):
    status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0])


def measure(house, name, destination):
    began = time.monotonic()
    house.export({"name": "x", **destination})
    size = house.size()
    wait_until(lambda: house.position() >= size, 600, name)
    seconds = time.monotonic() - began
    peak = peak_kib(house.processes["dvara-export"])
    house.end("dvara-export")
    (house.state / "export/x").unlink()
    print(json.dumps({"to": name, "events_per_second": round(size / seconds), "peak_mib": peak >> 10}), flush=True)


def main():
    events = int(sys.argv[1]) if len(sys.argv) > 1 else 200000
    folder = pathlib.Path(tempfile.mkdtemp(prefix="dvara-bench-"))
    house = House(folder)
    try:
        house.logd()
        subprocess.run([BUILD / "tests/integration/log/spool_writer", house.runtime, house.state / "spool", "b",
                        str(events)], stdout=subprocess.DEVNULL, check=True)
        wait_until(lambda: house.size() > events, 120, "the log has them")
        for name, destination in receivers(folder).items():
            measure(house, name, destination)
    finally:
        house.close()
        shutil.rmtree(folder)


main()
