# SPDX-License-Identifier: Apache-2.0
"""Receivers of exported events, real ones where there are such."""
import contextlib
import gzip
import http.server
import json
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import types

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

from support import free_port, wait_until  # noqa: E402


def openssl(*words):
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)


class Authority:
    """A certificate authority and what it signs."""

    def __init__(self, folder, name="ca"):
        self.folder = folder
        self.key, self.certificate = folder / f"{name}.key", folder / f"{name}.crt"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                "-subj", f"/CN={name}", "-keyout", self.key, "-out", self.certificate)

    def issue(self, name, names="DNS:localhost,IP:127.0.0.1"):
        key, request, certificate = (self.folder / f"{name}.{end}" for end in ("key", "csr", "crt"))
        extensions = self.folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName={names}\nextendedKeyUsage=serverAuth,clientAuth\n")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
                "-keyout", key, "-out", request)
        openssl("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key, "-days", "2",
                "-set_serial", str(abs(hash(name)) + 1), "-extfile", extensions, "-out", certificate)
        key.chmod(0o644)
        return certificate, key


class Web:
    """An HTTP server; `answer(request)` gives (status, body[, headers]). Can be ended and started again."""

    def __init__(self, answer, tls=None, newest=ssl.TLSVersion.MAXIMUM_SUPPORTED):
        self.port = free_port()
        self.newest = newest
        self.requests = []
        self.answer = answer
        self.tls = tls
        self.server = None
        self.connections = []
        self.lock = threading.Lock()

    def start(self):
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1

            def setup(self):
                super().setup()
                outer.connections.append(self.connection)

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                request = types.SimpleNamespace(path=self.path, headers=self.headers, body=body)
                with outer.lock:
                    outer.requests.append(request)
                    status, text, *more = outer.answer(request)
                data = text if isinstance(text, bytes) else json.dumps(text).encode()
                if status == 0:  # half an answer
                    self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{")
                    self.wfile.flush()
                    self.close_connection = True
                    return
                self.send_response(status)
                for name, value in (more[0] if more else {}).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *words):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, client_address):
                pass

        self.server = Server(("127.0.0.1", self.port), Handler)
        if self.tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*self.tls)
            context.maximum_version = self.newest
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def url(self, path=""):
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}{path}"

    def end(self):
        if self.server is not None:
            self.server.shutdown()
            self.server.server_close()
            self.server = None
            for one in self.connections:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
            self.connections.clear()


class Rsyslog:
    """rsyslogd with one TCP input, plain or TLS (OpenSSL driver); writes what it gets as JSON lines."""

    def __init__(self, folder, tls=None, client_auth=None):
        self.folder = folder
        self.port = free_port()
        self.out = folder / "received"
        self.process = None
        lines = ['global(maxMessageSize="128k" workDirectory="%s"' % folder]
        if tls:
            certificate, key, authority = tls
            lines.append('defaultNetstreamDriver="ossl" defaultNetstreamDriverCAFile="%s" '
                         'defaultNetstreamDriverCertFile="%s" defaultNetstreamDriverKeyFile="%s"' %
                         (authority, certificate, key))
        lines.append(")")
        driver = (' streamDriver.name="ossl" streamDriver.mode="1" streamDriver.authMode="%s"' %
                  ("x509/certvalid" if client_auth else "anon")) if tls else ""
        lines += [
            f'module(load="imtcp"{driver})',
            'template(name="line" type="list") { property(name="jsonmesg") constant(value="\\n") }',
            'ruleset(name="all") { action(type="omfile" file="%s" template="line" asyncWriting="off" '
            'flushOnTXEnd="on") }' % self.out,
            f'input(type="imtcp" address="127.0.0.1" port="{self.port}" ruleset="all" '
            'supportOctetCountedFraming="on")',
        ]
        self.config = folder / "rsyslog.conf"
        self.config.write_text("\n".join(lines) + "\n")

    def start(self):
        program = shutil.which("rsyslogd") or "/usr/sbin/rsyslogd"
        self.process = subprocess.Popen(
            [program, "-n", "-f", self.config, "-i", self.folder / "pid"],
            stdout=subprocess.DEVNULL, stderr=(self.folder / "rsyslog.err").open("a"))
        wait_until(self.listens, 15, "rsyslog listens")
        return self

    def listens(self):
        assert self.process.poll() is None, (self.folder / "rsyslog.err").read_text()
        listening = f":{self.port:04X} 00000000:0000 0A"
        return listening in pathlib.Path("/proc/net/tcp").read_text()

    def end(self, how=signal.SIGTERM):
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(timeout=20)
            self.process = None
            (self.folder / "pid").unlink(missing_ok=True)

    def received(self):
        if not self.out.exists():
            return []
        lines = self.out.read_text().split("\n")
        messages = []
        for line in lines:
            with contextlib.suppress(ValueError):  # the line that a kill cut
                messages.append(json.loads(line))
        return messages
