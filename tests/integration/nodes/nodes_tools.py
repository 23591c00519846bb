# SPDX-License-Identifier: Apache-2.0
"""Nodes that `dvara up` runs, each with its own log, and what one of them knows of another."""
import http.server
import json
import os
import ssl
import subprocess
import threading
import urllib.request

from supervisor_tools import BUILD, Instance, free_port


class Node(Instance):
    def __init__(self, folder):
        super().__init__(folder, f"http://127.0.0.1:{free_port()}")
        folder.chmod(0o755)
        self.admin = f"https://127.0.0.1:{free_port()}"
        self.configure("{}")

    def hold(self, name, text):
        """A file that this node's dvarad may read, and nobody else."""
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o600)
        about = self.state.stat()
        os.chown(path, about.st_uid, about.st_gid)
        return str(path)

    def key_of(self, name, permissions):
        """The key of a new service account that may do just that."""
        self.good("service", "create", "--name", name)
        self.good("role", "create", "--name", f"role-{name}", "--permissions", permissions)
        self.good("role", "assign", "--service", name, "--role", f"role-{name}")
        return self.json("apikey", "create", "--service", name)["secret"]

    @property
    def vkey(self):
        return self.json("audit", "checkpoint")["vkey"]

    def described(self, name, to, permissions="copy_audit,view_audit"):
        """What dvara.yaml of the node `to` says of this one."""
        return {"name": name, "url": self.admin, "key": self.vkey,
                "ca": to.hold(f"{name}.pem", (self.state / "tls/gate.crt").read_text()),
                "api_key_file": to.hold(f"{name}.key", self.key_of(f"for-{name}", permissions) + "\n")}

    def knows(self, *nodes, **more):
        self.configure(json.dumps({"audit": {"nodes": nodes, "node_interval": "1s", "nodes_keep_free": "1MiB", **more}}))
        self.good("reload")

    def standing(self, name="b"):
        return {item["name"]: item for item in self.json("audit", "nodes")["items"]}[name]

    def copy_of(self, name="b"):
        return self.state / "nodes" / name / "log"

    def size(self):
        return self.json("audit", "status")["entries"]

    def write(self, name, count):
        """That many records of a writer of its own."""
        subprocess.run([BUILD / "tests/integration/log/spool_writer", self.state / "runtime", self.state / "spool", name,
                        str(count), "0"], check=True, stdout=subprocess.DEVNULL)


class Between:
    """Stands between a node and who asks it; `before(path)` is called before each question goes on."""

    def __init__(self, node, before):
        other = ssl.create_default_context(cafile=node.state / "tls/gate.crt")

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                before(self.path)
                request = urllib.request.Request(node.admin + self.path, headers=dict(self.headers))
                with urllib.request.urlopen(request, context=other, timeout=20) as answer:
                    body = answer.read()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *words):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        own.load_cert_chain(node.state / "tls/gate.crt", node.state / "tls/gate.key")
        self.server.socket = own.wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
