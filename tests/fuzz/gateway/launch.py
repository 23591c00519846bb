#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Starts a fuzz target of the gate: the distribution's nginx, which loads the module together with
the target, before a state made for it. What stands behind `--` goes to libFuzzer or the replay.

    launch.py --target SO --fixture PROGRAM [--http2] [--preload LIB]... [--name ARGV0] -- ARGUMENT...
"""
import argparse
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

NGINX = "/usr/sbin/nginx"
GATE_PORT, ADMIN_PORT = 8080, 8081
POLICIES = 'permit(principal in Role::"model_user", action == Action::"use_model", resource);\n' \
           'forbid(principal, action, resource == Model::"forbidden");\n'
# Without room to spare, so that what overruns is seen.
POOLS = {"request_pool_size": "256", "connection_pool_size": "256"}


def route(name, path, protocol, **more):
    return {"name": name, "path": path, "match": "exact", "methods": ["POST"], "protocol": protocol,
            "action": "use_model", "body_limit": 1 << 20, "fields": None,
            "request_policy": "request", "answer_policy": "answer", **more}


RATE = {"count": 1000000000, "period_ns": 1000000, "burst": 1000000000}
CONFIG = {
    "routes": [
        route("chat", "/v1/chat/completions", "openai_chat"),
        route("completions", "/v1/completions", "openai_completions"),
        route("messages", "/v1/messages", "anthropic_messages"),
        route("responses", "/v1/responses", "openai_responses"),
        route("models", "/v1/models", "openai_models", methods=["GET", "HEAD"], match="prefix",
              body_limit=0),
        route("json", "/json", "json", methods=["GET", "POST", "PUT", "DELETE"], body_limit=4096),
        route("raw", "/raw", "json", methods=["GET", "POST"], match="prefix", request_policy=None,
              answer_policy=None),
    ],
    "data_policies": {"request": {"default": "placeholder", "detectors": {"private_key": "block"}},
                      "answer": {"default": "mask", "detectors": {"private_key": "block"}}},
    # What is counted is never reached, but few may run at once: who leaves gives its place back.
    "limits": {
        "key": [RATE, {**RATE, "burst": 0, "unit": "tokens"}, {"max": 8, "period": "at_once"}],
        "user": [{"max": 10**13, "period": "day", "unit": "tokens"},
                 {"max": 10**13, "period": "month", "unit": "cost"}],
        "model": [RATE, {"max": 8, "period": "at_once"}],
        "route": [{"max": 8, "period": "at_once"}]},
    "prices": {"m": {"input": 2, "output": 3}, "*": {"input": 1, "output": 1}},
    "refused_fields": ["api_base"],
}


def listener():
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    sock.listen(64)
    sock.setblocking(False)
    return sock


def own_address():
    """Nobody else's ports are there; a process without a master can not be handed its sockets."""
    pid = os.getpid()
    return f"127.{(pid >> 16) % 250 + 1}.{(pid >> 8) % 256}.{pid % 254 + 1}"


class State:
    """What nginx finds: a snapshot, a spool, counters and nginx.conf."""

    def __init__(self, options, folder):
        self.options = options
        self.folder = folder
        self.runtime, self.spool = folder / "runtime", folder / "spool"
        (self.runtime / "nginx").mkdir(parents=True)
        self.spool.mkdir()
        self.address, self.upstream = own_address(), listener()
        self.fixture("init", self.runtime)
        self.put("config", json.dumps(CONFIG))
        self.put("policies", POLICIES)
        self.key = self.fixture("key", self.runtime, "K0000001", "alice", 'Role::"model_user"')
        self.weak_key = self.fixture("key", self.runtime, "K0000002", "bob", 'Role::"other"')
        self.conf = self.runtime / "nginx/nginx.conf"
        self.conf.write_text(self.nginx_conf())

    def fixture(self, *words):
        return subprocess.run([self.options.fixture, *map(str, words)], check=True, text=True,
                              stdout=subprocess.PIPE, timeout=60).stdout.strip()

    def put(self, what, text):
        file = self.folder / what
        file.write_text(text)
        self.fixture(what, self.runtime, file)

    def nginx_conf(self):
        upstream_port = self.upstream.getsockname()[1]
        text = self.fixture("conf", f"http://{self.address}:{GATE_PORT}",
                            f"http://{self.address}:{ADMIN_PORT}",
                            f"http://127.0.0.1:{upstream_port}", self.options.target, self.runtime,
                            self.spool, self.folder / "counters")
        assert text.count("daemon off;") == 1 and text.count("http {") == 1
        text = text.replace("daemon off;", "daemon off;\nmaster_process off;")
        for name, size in POOLS.items():
            text = re.sub(rf"\n *{name} [^;]*;", "", text)
            text = text.replace("http {", f"http {{\n    {name} {size};")
        # A small buffer, so that a caller that reads nothing is felt.
        http2 = " http2" if self.options.http2 else ""
        return text.replace(" default_server;", f" default_server sndbuf=8k{http2};")

    def environment(self):
        arguments = [self.options.name, *self.options.arguments]
        environment = dict(os.environ, DVARA_FUZZ_ARGS="\n".join(arguments),
                           DVARA_FUZZ_ADDRESS=self.address, DVARA_FUZZ_PORT=str(GATE_PORT),
                           DVARA_FUZZ_UPSTREAM_FD=str(self.upstream.fileno()),
                           DVARA_FUZZ_RUNTIME=str(self.runtime),
                           DVARA_FUZZ_SPOOL=str(self.spool),
                           DVARA_FUZZ_KEY=self.key, DVARA_FUZZ_WEAK_KEY=self.weak_key)
        if self.options.preload:
            environment["LD_PRELOAD"] = " ".join(map(os.path.realpath, self.options.preload))
            environment["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=1"
        return environment

    def run(self):
        """Returns nginx's exit status; nginx ends when this ends."""
        process = subprocess.Popen(
            [NGINX, "-p", self.runtime / "nginx", "-e", "stderr", "-c", self.conf],
            env=self.environment(), pass_fds=[self.upstream.fileno()])
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda number, _: process.send_signal(number))
        try:
            return process.wait()
        finally:
            process.kill()


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("--target", required=True)
    parser.add_argument("--fixture", required=True)
    parser.add_argument("--http2", action="store_true")
    parser.add_argument("--preload", action="append", default=[])
    parser.add_argument("--name", default=sys.argv[0])
    parser.add_argument("arguments", nargs="*")
    return parser.parse_args()


def main():
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="dvara-fuzz-",
                                     dir=memory if memory.is_dir() else None) as folder:
        status = State(parse(), Path(folder)).run()
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main())
