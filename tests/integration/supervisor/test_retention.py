# SPDX-License-Identifier: Apache-2.0
"""Classes of retention under `dvara up`: what is old is pruned, what is kept can still be proved."""
import json
import subprocess

import pytest

from conftest import BUILD, wait_until
from support import classes

PACK = 65536
MORE = 500  # that are kept
CONFIG = """
audit:
  retention:
    keep: 400d
    classes:
      - {name: collected, kinds: ["collected.*"], keep: 1d}
      - {name: requests, kinds: ["request.*", refusals], keep: 90d}
"""


EXPORT = """
  export:
    - {{name: late, type: file, path: {}/out/late.jsonl, logs: [collected]}}
"""


def kept(dvara, log):
    return next(one for one in dvara.json("audit", "retention")["items"] if one["log"] == log)


def keep(dvara, *lines):
    """What dvarad tells dvara-logd of the configuration, with times that no configuration has: a test can't wait for a
    day, and how old an event says that it is does not count."""
    text = classes("class main 34560000000", *lines, "kind collected.* collected", "kind request.* requests",
                   "kind refusals requests")
    done = subprocess.run(["curl", "-sS", "-w", "%{http_code}", "--unix-socket", dvara.state / "runtime/logd.sock",
                           "-X", "POST", "--data-binary", text, "http://log/retention"], capture_output=True, text=True)
    assert done.stdout.endswith("200"), done.stdout + done.stderr


def write(dvara, count):
    """Events that say 2020, as dvara-collect would leave them in the spool."""
    lines = (json.dumps({"metadata": {"version": "1.8.0", "product": {"name": "Dvara"}, "event_code": "collected.test"},
                         "time": 1600000000000 + number, "class_uid": 0, "category_uid": 0, "type_uid": 0,
                         "activity_id": 0, "severity_id": 0}, separators=(",", ":")) for number in range(count))
    subprocess.run([BUILD / "tests/integration/log/spool_writer", (dvara.state / "runtime").resolve(),
                    dvara.state / "spool", "lines", "0"], check=True, text=True,
                   input="".join(f"{line}\n" for line in lines))


@pytest.fixture
def node(make):
    dvara = make()
    (dvara.folder / "out").mkdir()
    (dvara.folder / "out").chmod(0o777)
    dvara.folder.chmod(0o755)
    dvara.configure(CONFIG)
    return dvara


@pytest.mark.ordinary_build
def test_old_events_go_and_the_rest_is_proved(node):
    dvara = node
    dvara.up()
    key = dvara.key()
    dvara.good("audit", "hold", "create", "case-7", "--reason", "request of the court", "--log", "collected",
               "--from", "2020-09-01", "--to", "2020-10-01")
    write(dvara, PACK + MORE)
    assert dvara.ask(key) == 200
    wait_until(lambda: kept(dvara, "collected")["events"] == PACK + MORE, 40, "all is in the log")
    wait_until(lambda: kept(dvara, "requests")["events"] >= 2, 10, "the request is in its log")
    held = kept(dvara, "collected")
    assert (held["keep"], held["waits"], held["prunable"]) == ("1d", "hold case-7", 0)
    keep(dvara, "class collected 1", "class requests 7776000000")
    assert (kept(dvara, "collected")["waits"], kept(dvara, "collected")["minimum"]) == ("hold case-7", 0)
    noted = dvara.json("audit", "checkpoint")["vkey"]
    dvara.good("audit", "prove", "65540", "--log", "collected", "--output-dir", dvara.folder)

    dry = dvara.json("audit", "prune", "--dry-run")
    assert not dry["pruned"] and all(one["events"] == 0 for one in dry["items"])
    assert "--yes" in dvara.refused("audit", "prune")
    assert "no hold" in dvara.refused("audit", "hold", "release", "case-8", "--reason", "typo")
    assert dvara.json("audit", "hold", "list")["items"][0]["reason"] == "request of the court"
    dvara.good("audit", "hold", "release", "case-7", "--reason", "case closed")
    wait_until(lambda: kept(dvara, "collected")["minimum"] == PACK, 10, "it is pruned by itself")

    report = dvara.json("audit", "verify", "--key", noted)
    assert report["ok"] and report["logs"] == 3 and report["pruned"] == PACK
    proof = dvara.folder / "collected-65540.tlog-proof"
    vkey = dvara.json("audit", "checkpoint", "--log", "collected")["vkey"]
    assert dvara.json("audit", "verify", "--proof", proof, "--key", vkey)["ok"]
    again = dvara.json("audit", "prove", "65540", "--log", "collected", "--output-dir", dvara.folder / "again")
    assert again["items"][0]["log"] == "collected"
    assert dvara.json("audit", "verify", "--proof", again["items"][0]["proof"], "--key", vkey)["ok"]
    assert "pruned" in dvara.refused("audit", "prove", "65000", "--log", "collected")

    # Readers begin where the log does, and are told so.
    done = dvara.run("audit", "tail", "--log", "collected", "--from", "0", "--limit", "1", "--output", "jsonl")
    assert json.loads(done.stdout)["index"] == PACK and f"events before {PACK} are pruned" in done.stderr
    out = dvara.folder / "collected.jsonl"
    dvara.good("audit", "export", "--log", "collected", "--file", out)
    assert len(out.read_text().splitlines()) == MORE
    found = dvara.json("audit", "search", "event:audit.*")["items"]
    assert [one["event"] for one in found] == ["audit.pruned", "audit.hold", "audit.hold"]

    # A destination that comes late is told what it missed.
    dvara.configure(CONFIG + EXPORT.format(dvara.folder))
    dvara.good("reload")
    late = dvara.folder / "out/late.jsonl.collected"
    wait_until(lambda: late.exists() and late.read_text().count("\n") == MORE, 15, "what is left is exported")
    wait_until(lambda: [one["lost"] for one in dvara.json("audit", "exports")["destinations"]] == [PACK], 10,
               "what was pruned is told")

    # A request is told of from its own log, and everything stands in the order of time.
    request = next(one for one in dvara.json("audit", "search", "event:request.open")["items"])
    assert request["log"] == "requests"
    assert dvara.json("why", request["request"])["decision"] == "allow"
    assert dvara.json("audit", "trail", "--user", "alice")["items"]
    shown = [json.loads(line) for line in dvara.good("audit", "tail", "--last", "1000", "--output", "jsonl").splitlines()]
    assert {one.get("log", "main") for one in shown} == {"main", "requests", "collected"}


def test_a_class_with_events_can_not_be_left_out(node):
    dvara = node
    dvara.up()
    dvara.good("alert", "create", "asked", "--search", "event:request.open", "--threshold", "> 0", "--over", "10m")
    assert dvara.ask(dvara.key()) == 200
    wait_until(lambda: kept(dvara, "requests")["events"] >= 2, 10, "the request is in its log")
    wait_until(lambda: any(one["firing"] for one in dvara.json("alert", "list")["items"]), 10, "the alert is raised")
    whole = dvara.config.read_text()
    dvara.configure(whole[:whole.index("      - {name: requests")])
    assert "keep the class, with `kinds: []`" in dvara.refused("reload")
    dvara.configure(whole.replace('["request.*", refusals]', "[]"))
    dvara.good("reload")
    assert kept(dvara, "requests")["kinds"] == []
    dvara.configure(whole.replace("keep: 400d", "keep: 20d"))
    assert "30d at least" in dvara.refused("reload")
    # What is wrong is told with the field that it is about.
    assert "dvara: not confirmed: what is pruned is gone." in dvara.refused("audit", "prune")
    for words in (["prune"], ["erase", "--subject", "alice"], ["rotate-key"], ["rotate-key", "--retire", "1a2b3c4d"]):
        assert "`--yes` confirms it" in dvara.refused("audit", *words)
    hold = ("audit", "hold", "create", "case-7", "--reason", "x")
    assert "log: there is no log none" in dvara.refused(*hold, "--log", "none")
    assert "to: must be later than from" in dvara.refused(*hold, "--from", "2026-02-01", "--to", "2026-01-01")
    assert "name: there is no hold case-7" in dvara.refused("audit", "hold", "release", "case-7", "--reason", "x")
