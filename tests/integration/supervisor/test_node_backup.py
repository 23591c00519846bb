# SPDX-License-Identifier: Apache-2.0
"""A node that is lost comes back elsewhere out of its backup: it starts, serves, and its log goes on."""
import json
import shutil
import subprocess

from conftest import wait_until

BARRED = 'forbid (principal == User::"bob", action, resource);\n'
SETTINGS = "limits:\n  key: [{count: 5000, per: 1m}]\n"


def back_up(node, file, *more):
    recipient = json.loads(node.good("backup", "keygen", "--file", f"{file}.key", "--output", "json"))["recipient"]
    return node.json("backup", "create", "--file", file, "--recipient", recipient, "--with-subject-root", *more)


def restore(node, file):
    return node.json("backup", "restore", "--file", file, "--identity-file", f"{file}.key")


def size(node):
    return node.json("audit", "status")["size"]


def test_a_node_comes_back(make):
    lost, found = make(), make()
    lost.configure(SETTINGS)
    lost.up()
    alice, bob = lost.key(), lost.key("bob")
    policy = lost.folder / "barred.cedar"
    policy.write_text(BARRED)
    lost.good("policy", "apply", policy)
    lost.good("key", "generate", "--type", "aes256")
    keystore = lost.json("key", "list")
    assert [lost.ask(alice), lost.ask(bob)] == [200, 403]
    file = found.folder / "backup"
    made = back_up(lost, file)
    assert made["node"]
    assert not (lost.state / "dvara.db.copy").exists()
    # The log in it goes as far as its database: the key's making is told.
    vkey = lost.json("audit", "checkpoint")["vkey"].split("\n")[0]
    lost.good("down")
    shutil.rmtree(lost.state)

    assert 0 < restore(found, file)["size"] <= made["size"]  # what was signed, of what there is
    assert (found.state / "dvara.yaml").read_text() == SETTINGS
    found.up()
    assert found.json("key", "list") == keystore
    assert [found.ask(alice), found.ask(bob)] == [200, 403]
    kinds = found.good("audit", "search", 'event:"session.authorize"', "--output", "jsonl")
    assert kinds.count('"session.authorize"') >= 2  # the keys' making
    wait_until(lambda: size(found) > made["size"], 10, "the log to go on")
    verified = found.json("audit", "verify", "--key", vkey, "--at-least", str(made["size"]))
    assert verified["ok"] and verified["size"] > made["size"]


def test_a_backup_of_a_node_at_rest(make):
    node, other = make(), make()
    node.up()
    key = node.key()
    node.good("down")
    log, whole = other.folder / "log", other.folder / "whole"
    assert back_up(node, log, "--log-only")["node"] is False
    assert back_up(node, whole)["node"]
    opened = subprocess.run(["age", "-d", "-i", f"{whole}.key", whole], capture_output=True, check=True).stdout
    names = subprocess.run(["tar", "--zstd", "-tf", "-"], input=opened, capture_output=True, check=True).stdout
    assert {b"node/dvara.db", b"node/keys/pepper", b"node/keys/master.key"} <= set(names.split())
    assert restore(other, whole)["node"]
    other.up()
    assert other.ask(key) == 200
