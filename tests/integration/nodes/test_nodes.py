# SPDX-License-Identifier: Apache-2.0
"""Two nodes, each with its own log: a copy that is kept and verified, and a search over both."""
import json
import pathlib
import os
import shutil
import signal
import subprocess

import pytest

from nodes_tools import Between
from support import wait_until


def alarms(node):
    lines = node.good("audit", "search", "rule:audit.node", "--output", "jsonl").splitlines()
    return [json.loads(line)["finding_info"]["title"] for line in lines]


def has(a, size, state=("ok", "catching_up")):
    standing = a.standing()
    return standing["size"] >= size and standing["state"] in state


def found(node, *words, code=0):
    done = node.run("audit", "search", *words, "--output", "json")
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout), done.stderr


def settled(nodes, name):
    """Waits until the log of each has what its dvarad told before: a writer's records come in their order."""
    for node in nodes:
        node.good("user", "create", "--name", name)
        wait_until(lambda node=node: found(node, f'event:account.change "{name}"')[0]["items"], 20, "all is in the log")


@pytest.mark.ordinary_build
def test_a_copy_is_kept_and_verified_through_kills(nodes):
    a, b = nodes
    b.write("first", 3000)
    wait_until(lambda: has(a, 3000), 20, "a has what b wrote")
    standing = a.standing()
    assert standing["checked_at"] and not standing["problem"]
    # Either side is killed while there is much to take over.
    b.write("second", 6000)
    for node in (a, b):
        before = node.pid("dvarad")
        os.kill(before, signal.SIGKILL)
        wait_until(lambda node=node, before=before: node.came_back("dvarad", before), 20, "dvarad comes back")
    wait_until(lambda: has(a, 9000), 30, "a has it all")
    wait_until(lambda: a.run("audit", "verify", "--log", a.copy_of(), "--key", b.vkey).returncode == 0, 20, "all is whole")
    assert (a.copy_of() / "class/requests/pack/000").exists() and not alarms(a)
    # What was read there is recorded there.
    read = found(b, "event:data.access user:for-b | count")[0]
    assert read["rows"][0]["count"] > 0


@pytest.mark.ordinary_build
def test_a_log_that_was_empty_when_the_round_began(nodes):
    """What it got since is the next round's, and no damage."""
    a, b = nodes
    described = b.described("c", a)  # makes an account: before there is a log of such records
    classes = [{"name": "requests", "kinds": ["request.*"], "keep": "90d"},
               {"name": "people", "kinds": ["account.change"], "keep": "90d"}]
    b.configure(json.dumps({"audit": {"retention": {"classes": classes}}}))
    b.good("reload")
    log = b.state / "log/class/people/checkpoint"
    wait_until(log.exists, 20, "b has one more log")
    assert log.read_text().splitlines()[1] == "0"
    asked, states = [], set()

    def before(path):
        states.add(a.standing("c")["state"])
        asked.append(path)
        if "log=people" in path and "late" not in str(b.json("user", "list")):
            b.good("user", "create", "--name", "late")
            wait_until(lambda: log.read_text().splitlines()[1] != "0", 20, "it is empty no more")

    known = json.loads(a.config.read_text())["audit"]["nodes"]
    between = Between(b, before)
    try:
        a.knows({**described, "url": between.url})  # a log has one name
        people = a.copy_of("c") / "class/people/checkpoint"
        wait_until(lambda: people.exists() and people.read_text().splitlines()[1] == log.read_text().splitlines()[1],
                   20, "the copy has it")
        of_people = [path for path in asked if "log=people" in path]
        assert len(of_people) > 1 and "size=0" in of_people[0]
        assert "damaged" not in states
    finally:
        a.knows(*known)
        between.close()


def test_a_search_over_both(nodes):
    a, b = nodes
    settled(nodes, "before-search")
    own, other = (found(node, "event:lifecycle", "--limit", "1000")[0]["items"] for node in nodes)
    both = found(a, "event:lifecycle", "--nodes", "--limit", "1000")[0]["items"]
    assert sorted((one["node"], one["index"]) for one in both) == sorted(
        [("local", one["index"]) for one in own] + [("b", one["index"]) for one in other])
    times = [one["time"] for one in both]
    assert times == sorted(times, reverse=True)
    few = found(a, "event:lifecycle", "--nodes", "--limit", "3", "--oldest")[0]["items"]
    assert [one["time"] for one in few] == sorted(times)[:3]
    # The same through more than one page.
    for name, node in (("a", a), ("b", b)):
        node.write(f"pages-{name}", 1300)
    counted = ("request:pages-* | count", "--node", "local,b")
    wait_until(lambda: found(a, *counted)[0]["rows"] == [{"count": 2600}], 20, "all is in the logs")
    items = found(a, "request:pages-*", "--node", "local,b", "--limit", "2000", "--fields", "node,request")[0]["items"]
    assert len({one["request"] for one in items}) == 2000 and {one["node"] for one in items} == {"local", "b"}


@pytest.mark.ordinary_build
def test_who_is_erased_on_a_node_is_so_in_its_copy(nodes):
    a, b = nodes
    name = "xanthippe.quux"
    b.good("user", "create", "--name", name)
    of_her = (f'"{name}"', "--node", "b")
    wait_until(lambda: found(a, *of_her)[0]["items"], 20, "b's log tells of her")
    size = b.size()
    wait_until(lambda: has(a, size), 20, "a has what tells of her")

    def told():
        files = [path for path in a.copy_of().rglob("*") if path.is_file()]
        return [path.read_bytes() for path in files]

    sealed = b"".join(told())
    assert name.encode() not in sealed and b'"~1.' in sealed, "what the copy has is sealed"
    b.good("user", "delete", name)
    assert b.json("audit", "erase", "--subject", name, "--yes")["erased"]
    # The keys were on b alone, so nothing has to reach a; that she was erased does.
    size = b.size()
    wait_until(lambda: has(a, size), 20, "a has the erasure")
    after = told()
    assert not [one for one in after if name.encode() in one] and b"audit.erased" in b"".join(after)
    keys = [path for path in (a.state / "nodes").rglob("*") if path.name.startswith(("root.", "directory."))]
    assert not keys
    assert not found(a, *of_her)[0]["items"]
    assert "(erased)" in json.dumps(found(a, "event:entity.change or event:account.change", "--node", "b")[0])
    wait_until(lambda: a.run("audit", "verify", "--log", a.copy_of(), "--key", b.vkey).returncode == 0, 20, "all is whole")


def test_counts_of_both_are_merged(nodes):
    a, b = nodes
    settled(nodes, "before-counts")
    query = "event:lifecycle or event:entity.change | count, p90(time), min(time) by event | sort event"
    one, two = (found(node, query)[0]["rows"] for node in nodes)
    both = found(a, query, "--nodes")[0]["rows"]
    assert [row["event"] for row in both] == ["entity.change", "lifecycle"]
    for merged, x, y in zip(both, one, two):
        assert merged["count"] == x["count"] + y["count"]
        assert merged["min(time)"] == min(x["min(time)"], y["min(time)"])
    assert "b" in a.good("audit", "search", "event:lifecycle", "--node", "b")
    assert a.run("audit", "search", "x", "--nodes", "--follow").returncode != 0
    assert "dvara.yaml" in a.refused("audit", "search", "x", "--node", "nobody")


def test_a_node_that_does_not_answer_is_named(nodes):
    a, b = nodes
    barred = b.described("barred", a, "copy_audit")
    gone = {**barred, "name": "gone", "url": "https://127.0.0.1:1"}
    strange = {**barred, "name": "strange", "ca": "/etc/ssl/certs/ca-certificates.crt"}
    for node in (barred, gone, strange):
        del node["key"]
    known = json.loads(a.config.read_text())["audit"]["nodes"]
    a.knows(*known, barred, gone, strange)
    answer, told = found(a, "event:lifecycle", "--nodes", code=1)
    assert {one["node"] for one in answer["items"]} == {"local", "b"}
    assert "node barred are missing: the API key may not" in told and "node gone are missing" in told
    assert "node strange are missing" in told and "certificate" in told
    assert "node b " not in told
    rows, told = found(a, "event:lifecycle | count", "--nodes", code=1)
    assert rows["rows"][0]["count"] == len(answer["items"]) and "gone" in told
    assert a.standing("gone")["state"] == "search_only"
    # A key that dvarad must not use, or can't: whose it must be is told.
    pathlib.Path(barred["api_key_file"]).chmod(0o604)
    told = found(a, "event:lifecycle", "--node", "barred", code=1)[1]
    assert f'api_key_file: {barred["api_key_file"]} holds a secret' in told and "dvarad reads it as the user" in told
    a.knows(*known)


@pytest.mark.ordinary_build
def test_a_tampered_tile_and_a_log_that_was_taken_back_are_found(nodes):
    a, b = nodes
    a.knows(*json.loads(a.config.read_text())["audit"]["nodes"], node_alarm_after="1s")
    b.good("down")
    wait_until(lambda: any("unavailable" in title for title in alarms(a)), 40, "a misses b")
    kept = b.folder / "kept"
    subprocess.run(["cp", "-a", b.state, kept], check=True)
    b.up()
    b.write("gone", 300)
    wait_until(lambda: found(b, "request:gone-* | count")[0]["rows"] == [{"count": 300}], 20, "all is in b's log")
    size = b.size()
    wait_until(lambda: has(a, size), 20, "a has what will be gone")
    # A hash of b's tree is another one: what it proves of more does not lead to what it signs.
    tile = max((b.state / "log/class/requests/tile/1/000.p").iterdir(), key=lambda path: int(path.name))
    right = tile.read_bytes()
    tile.write_bytes(bytes([right[0] ^ 1]) + right[1:])
    b.write("more", 10)
    wait_until(lambda: a.standing()["state"] == "damaged", 20, "a sees it")
    assert a.standing()["problem"].startswith("log requests: ")
    tile.write_bytes(right)
    wait_until(lambda: has(a, size), 20, "it is mended")
    b.good("down")
    shutil.rmtree(b.state)
    kept.rename(b.state)
    b.up()
    wait_until(lambda: a.standing()["state"] in ("taken_back", "forked"), 20, "a remembers")
    wait_until(lambda: any("damaged" in title for title in alarms(a)) and len(alarms(a)) >= 3, 20, "all are in a's log")
    assert list((a.copy_of().parent / "conflicts").iterdir()), "what was signed is kept as evidence"
    assert a.standing()["size"] >= size, "the copy stays"
