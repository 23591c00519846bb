# SPDX-License-Identifier: Apache-2.0
"""A real nginx with the module, a snapshot made by gateway_fixture, and an upstream that the test
commands: what it answers is set for each test, what it got is kept."""
import json
import os
import pathlib
import re
import signal
import socket
import socketserver
import ssl
import subprocess
import sys
import threading
import time

TESTS = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TESTS), str(TESTS / "ocsf")]

import suite  # noqa: E402
from support import BUILD, PATIENCE, free_port, wait_until  # noqa: E402

FIXTURE = BUILD / "tests/integration/gateway/gateway_fixture"

PERMIT = 'permit(principal in Role::"model_user", action == Action::"use_model", resource);\n'
FORBID = 'forbid(principal, action, resource == Model::"forbidden");\n'
REFUSED = ["api_base", "base_url", "custom_llm_provider"]


def route(name, path, protocol, **more):
    return {"name": name, "path": path, "match": "exact", "methods": ["POST"],
            "protocol": protocol, "action": "use_model", "body_limit": 1 << 20, "fields": None,
            "request_policy": "request", "answer_policy": "answer", **more}


CHAT_FIELDS = ["model", "messages", "stream", "stream_options", "max_tokens", "n", "temperature",
               "metadata", "tools", "logprobs"]

CONFIG = {
    "routes": [
        route("chat", "/v1/chat/completions", "openai_chat", fields=CHAT_FIELDS),
        route("embeddings", "/v1/embeddings", "openai_embeddings"),
        route("completions", "/v1/completions", "openai_completions"),
        route("responses", "/v1/responses", "openai_responses"),
        route("unasked", "/unasked", "openai_chat", ask_usage=False),
        route("messages", "/v1/messages", "anthropic_messages"),
        route("models", "/v1/models", "openai_models", methods=["GET", "HEAD"], match="prefix",
              body_limit=0),
        route("small", "/small", "json", body_limit=100),
        route("large", "/large", "json", body_limit=8 << 20),
        route("files", "/v1/files", "upload", methods=["GET", "POST"], match="prefix", body_limit=8 << 20),
        route("named", "/named", "upload", fields=["purpose", "file"]),
        route("raw", "/raw", "json", methods=["GET", "POST"], match="prefix",
              request_policy=None, answer_policy=None),
    ],
    "data_policies": {
        "request": {"default": "placeholder", "detectors": {"private_key": "block"}, "decode": True},
        "answer": {"default": "mask", "detectors": {"private_key": "block"}, "decode": True}},
    "limits": {},
    "refused_fields": REFUSED,
}


def read_exactly(stream, count):
    data = stream.read(count)
    if len(data) != count:
        raise EOFError
    return data


class Handler(socketserver.StreamRequestHandler):
    """Reads one request after the other, keeps it, and sends the bytes that the test has set."""

    def read_request(self):
        line = self.rfile.readline().decode()
        if not line.strip():
            return None
        method, target, _ = line.split(" ")
        headers = {}
        while (line := self.rfile.readline().decode().rstrip("\r\n")):
            name, value = line.split(":", 1)
            headers[name.lower()] = value.strip()
        body = read_exactly(self.rfile, int(headers.get("content-length", "0")))
        return {"method": method, "target": target, "headers": headers, "body": body}

    def handle(self):
        try:
            while (request := self.read_request()) is not None:
                self.server.requests.append(request)
                if not self.server.answer(self, request):
                    return
        except (EOFError, ConnectionError, ValueError):
            pass


class Upstream(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, tls=None, newest=ssl.TLSVersion.MAXIMUM_SUPPORTED):
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            context.maximum_version = newest
            context.sni_callback = lambda sock, name, _: self.names.append(name)
            self.socket = context.wrap_socket(self.socket, server_side=True)
            self.url = f"https://localhost:{self.server_address[1]}"
        self.names = []
        self.requests = []
        self.echo()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def sends(self, *pieces, pause=0.0, keep=False):
        """Every request is answered with these bytes, then the connection is closed."""
        def answer(handler, request):
            for piece in pieces:
                handler.wfile.write(piece)
                handler.wfile.flush()
                time.sleep(pause)
            return keep
        self.answer = answer

    def json(self, value, status="200 OK", headers=""):
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        head = (f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{headers}"
                f"Content-Length: {len(body)}\r\n\r\n").encode()

        def answer(handler, request):
            handler.wfile.write(head + (b"" if request["method"] == "HEAD" else body))
            handler.wfile.flush()
            return True
        self.answer = answer

    def echo(self):
        """The answer's text is what came in, as a chat completion."""
        def answer(handler, request):
            body = json.dumps({"got": request["body"].decode("utf-8", "replace"),
                               "usage": {"prompt_tokens": 3, "completion_tokens": 4}}).encode()
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                                b"Content-Length: %d\r\n\r\n" % len(body) + body)
            handler.wfile.flush()
            return True
        self.answer = answer


def make_certificate(folder):
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", cert, "-days", "2",
                    "-subj", "/CN=localhost", "-addext",
                    "subjectAltName=DNS:localhost,IP:127.0.0.1"], check=True, capture_output=True)
    return cert, key


class Answer:
    def __init__(self, status, headers, body, complete=True):
        self.status, self.headers, self.body, self.complete = status, headers, body, complete

    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        return self.json()["error"].get("code")

    @property
    def id(self):
        return self.headers["x-request-id"]


def read_head(stream):
    status = int(stream.readline().split(b" ")[1])
    headers = {}
    while (line := stream.readline().decode().rstrip("\r\n")):
        name, value = line.split(":", 1)
        assert name.lower() not in headers, f"header {name} twice"
        headers[name.lower()] = value.strip()
    return status, headers


def read_chunked(stream):
    body = b""
    while True:
        line = stream.readline()
        if not line:
            return body, False
        size = int(line, 16)
        body += stream.read(size)
        stream.readline()
        if size == 0:
            return body, True


def read_answer(stream, method="POST"):
    status, headers = read_head(stream)
    if method == "HEAD" or status == 204:
        return Answer(status, headers, b"")
    if headers.get("transfer-encoding") == "chunked":
        body, complete = read_chunked(stream)
        return Answer(status, headers, body, complete)
    if "content-length" in headers:
        body = stream.read(int(headers["content-length"]))
        return Answer(status, headers, body, len(body) == int(headers["content-length"]))
    return Answer(status, headers, stream.read())


class Gate:
    def __init__(self, folder, upstream, config=CONFIG, policies=PERMIT + FORBID, **names):
        self.folder, self.upstream = folder, upstream
        self.runtime, self.spool = folder / "runtime", folder / "spool"
        for path in (self.runtime / "nginx", self.spool):
            path.mkdir(parents=True)
        self.port, self.admin_port = free_port(), free_port()
        self.tls = ()
        self.directives = names.get("directives", "")  # more of them for http {}
        self.patch = names.get("patch", ("", ""))  # a directive and what it becomes
        if names.get("ready", True):
            self.fixture("init", self.runtime)
            self.configure(config)
            self.policies(policies)
        self.keys = 0
        self.start()

    def fixture(self, *words):
        done = subprocess.run([FIXTURE, *map(str, words)], capture_output=True, text=True,
                              timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def configure(self, config):
        file = self.folder / "gateway.json"
        file.write_text(json.dumps(config))
        self.fixture("config", self.runtime, file)

    def policies(self, text):
        file = self.folder / "policies.cedar"
        file.write_text(text)
        self.fixture("policies", self.runtime, file)

    def key(self, user="alice", *ancestors):
        self.keys += 1
        return self.fixture("key", self.runtime, f"K{self.keys:07d}", user,
                            *(ancestors or ['Role::"model_user"'])).strip()

    def start(self):
        conf = self.runtime / "nginx/nginx.conf"
        scheme = "https" if self.tls else "http"
        conf.write_text(self.fixture(
            "conf", f"{scheme}://127.0.0.1:{self.port}", f"http://127.0.0.1:{self.admin_port}",
            self.upstream.url, BUILD / "ngx_http_dvara_module.so", self.runtime, self.spool,
            self.folder / "counters", *self.tls).replace("http {\n", f"http {{\n{self.directives}\n")
            .replace(*self.patch))
        self.log = open(self.folder / "error.log", "ab")
        nginx = os.environ.get("DVARA_NGINX", "/usr/sbin/nginx")
        self.process = subprocess.Popen(
            [nginx, "-p", self.runtime / "nginx", "-e", "stderr", "-c", conf], stderr=self.log)
        try:
            for port in (self.port, self.admin_port):
                self.wait_for(port)
            wait_until(self.workers, 10, "nginx has workers")  # it listens before it forks them
        except BaseException:
            self.stop()
            raise

    def wait_for(self, port):
        def listens():
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return True
            except OSError:
                assert self.process.poll() is None, self.errors()
                return False
        wait_until(listens, 10, "nginx listens")

    def stop(self):
        if self.log.closed:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGQUIT)
            try:
                self.process.wait(15 * PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                raise
        self.log.close()
        if suite.SUITE.present:
            suite.check_events(self.all_records(), self.folder)

    def workers(self):
        text = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in text.split()]

    def errors(self):
        return (self.folder / "error.log").read_text()

    def expect_log(self, pattern):
        """Takes lines out of the log that a test provoked."""
        log = self.folder / "error.log"
        text, count = re.subn(rf".*{pattern}.*\n", "", log.read_text())
        assert count > 0, f"no {pattern} in the log"
        log.write_text(text)

    def connect(self, port=None):
        return socket.create_connection(("127.0.0.1", port or self.port), 20)

    def raw(self, data, method="POST", port=None):
        with self.connect(port) as connection:
            connection.sendall(data)
            return read_answer(connection.makefile("rb"), method)

    def send(self, path, body=None, key=None, method=None, headers=(), port=None, version="1.1",
             content_type="application/json"):
        method = method or ("GET" if body is None else "POST")
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
        head = [f"{method} {path} HTTP/{version}", "Host: gate", "Connection: close"]
        if key:
            head.append(f"Authorization: Bearer {key}")
        if body is not None:
            head += [f"Content-Length: {len(body)}"]
            if content_type:
                head.append(f"Content-Type: {content_type}")
        head += headers
        return self.raw("\r\n".join(head).encode() + b"\r\n\r\n" + (body or b""), method, port)

    def chat(self, key, text="hi", **more):
        return self.send("/v1/chat/completions", {
            "model": "m", "messages": [{"role": "user", "content": text}], **more}, key)

    def all_records(self):
        lines = self.fixture("records", self.runtime, self.spool / "gateway").splitlines()
        return [json.loads(line) for line in lines]

    def records(self):
        """Those of requests."""
        return [record for record in self.all_records() if record["class_uid"] == 6003]

    def record_of(self, request_id):
        """The open and the close record of a request."""
        found = {}
        for record in self.records():
            if record["api"]["request"]["uid"] == request_id:
                phase = record["unmapped"]["dvara"]["phase"]
                assert phase not in found, f"two {phase} records"
                found[phase] = record
        return found.get("open"), found.get("close")

    def wait_for_close(self, request_id):
        wait_until(lambda: self.record_of(request_id)[1] is not None, 10, f"the close record of {request_id}")
        return self.record_of(request_id)[1]
