# SPDX-License-Identifier: Apache-2.0
"""Nodes that `dvara up` runs, each with its own log, and what one of them knows of another."""
import json
import os
import subprocess

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
