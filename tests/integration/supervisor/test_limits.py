# SPDX-License-Identifier: Apache-2.0
"""`dvara limit`: limits by name, in force with the next request, through every restart."""
import json
import os
import signal
import time

from supervisor_tools import BODY
from support import wait_until


def limits(dvara, *words):
    return dvara.json("limit", "show", *words)["limits"]


def only(found, unit):
    return next(limit for limit in found if limit["unit"] == unit)


def changes(dvara):
    """What was done to limits, as the log has it: OCSF's activity_id."""
    lines = dvara.good("audit", "tail", "--output", "jsonl").splitlines()
    return sorted(record["activity_id"] for record in map(json.loads, lines)
                  if record.get("class_uid") == 3004 and record["entity"]["type"] == "limit")


def test_a_limit_by_name_is_in_force_with_the_next_request(dvara):
    key = dvara.key()
    assert dvara.ask(key) == 200
    answer = dvara.json("limit", "set", "--user", "alice", "--count", "2", "--per", "1h")["limits"]
    assert answer[0] == {"subject": "user/alice", "max": 2, "unit": "requests", "per": "1h",
                         "burst": 2, "own": True, "used": 0, "remaining": 2, "resets": None}
    assert [dvara.ask(key) for _ in range(3)] == [200, 200, 429]
    shown = limits(dvara, "--user", "alice")
    assert (shown[0]["used"], shown[0]["remaining"]) == (2, 0)
    assert shown[1] | {"used": 0, "remaining": 0, "resets": None} == {
        "subject": "user/alice", "max": 1200, "unit": "requests", "per": "1m", "burst": 1200,
        "own": False, "used": 0, "remaining": 0, "resets": None}
    dvara.good("limit", "reset", "--user", "alice")
    assert [dvara.ask(key) for _ in range(3)] == [200, 200, 429]
    dvara.good("limit", "set", "--user", "alice", "--count", "2", "--per", "1h", "--remove")
    assert dvara.ask(key) == 200
    # Every step is in the log.
    wait_until(lambda: changes(dvara) == [3, 4, 99], 10, "the events")


def test_budgets_outlive_everything(dvara):
    key = dvara.key()
    dvara.good("group", "create", "--name", "inner")
    dvara.good("group", "create", "--name", "outer")
    dvara.good("group", "add-member", "--name", "outer", "--group", "inner")
    dvara.good("group", "add-member", "--name", "inner", "--user", "alice")
    budget = len(BODY) + 4096 + 600
    dvara.good("limit", "set", "--group", "outer", "--tokens", budget, "--per", "month")
    assert dvara.ask(key) == 200  # takes its body and its text: the server tells no usage
    used = only(limits(dvara, "--group", "outer"), "tokens")["used"]
    assert used == len(BODY) + len("good day")
    while dvara.ask(key) == 200:
        pass
    shown = only(limits(dvara, "--group", "outer"), "tokens")
    assert shown["remaining"] < len(BODY) + 4096
    assert shown["resets"].startswith(time.strftime("20", time.gmtime()))
    for name in ("dvarad", "nginx"):
        before = dvara.pid(name)
        os.kill(before, signal.SIGKILL)
        wait_until(lambda: dvara.came_back(name, before), 30, "a new " + name)
        assert dvara.ask(key) == 429
    dvara.good("down")
    dvara.up()
    assert dvara.ask(key) == 429
    assert only(limits(dvara, "--group", "outer"), "tokens") == shown
    # More for the group, and what was used stays.
    dvara.good("limit", "set", "--group", "outer", "--tokens", 2 * budget, "--per", "month")
    assert dvara.ask(key) == 200


def test_networks_addresses_and_routes_have_limits_too(dvara):
    key = dvara.key()
    for words in (["--network", "127.0.0.0/8"], ["--address", "127.0.0.1"],
                  ["--route", "openai-chat"], ["--model", "m"]):
        dvara.good("limit", "set", *words, "--count", 1, "--per", "1h")
        assert [dvara.ask(key) for _ in range(2)] == [200, 429], words
        dvara.good("limit", "set", *words, "--count", 1, "--per", "1h", "--remove")
        assert dvara.ask(key) == 200
    dvara.good("limit", "set", "--network", "10.0.0.0/8", "--count", 1, "--per", "1h")
    assert [dvara.ask(key) for _ in range(2)] == [200, 200]
    listed = dvara.json("limit", "list")["items"]
    subjects = [limit["subject"] for limit in listed]
    assert subjects == ["key/*", "user/*", "address/*", "network/10.0.0.0/8"]


def test_what_can_not_be_is_refused_with_a_sentence(dvara):
    for words, said in [
            (["--count", "1", "--per", "1m"], "say whom"),
            (["--user", "a", "--group", "b", "--count", "1", "--per", "1m"], "not several"),
            (["--user", "a"], "count, tokens, cost or concurrent"),
            (["--user", "a", "--count", "1"], "'per' is missing"),
            (["--user", "a", "--tokens", "1", "--concurrent", "1", "--per", "day"], "beside"),
            (["--user", "a", "--count", "1", "--per", "month"], "'per'"),
            (["--user", "a", "--concurrent", "1", "--per", "1m"], "'per'"),
            (["--network", "10.0.0.1/8", "--count", "1", "--per", "1m"], "network"),
            (["--address", "nowhere", "--count", "1", "--per", "1m"], "no IP address"),
            (["--user", "a", "--count", "1", "--per", "1m", "--remove"], "no such limit")]:
        assert said in dvara.refused("limit", "set", *words), words
    for i in range(8):
        dvara.good("limit", "set", "--user", "a", "--count", "1", "--per", f"{i + 1}m")
    assert "already" in dvara.refused("limit", "set", "--user", "a", "--concurrent", "1")
    # 0 lifts the limit of the kind.
    dvara.good("limit", "set", "--user", "a", "--count", "0", "--per", "1m")
    assert sorted(limit["max"] for limit in limits(dvara, "--user", "a"))[0] == 0


def test_lost_counters_raise_an_alarm(dvara):
    def alarms():
        return dvara.good("audit", "tail", "--output", "jsonl").count("counters_lost")
    dvara.good("reload")
    dvara.good("down")
    (dvara.state / "shared/counters").unlink()
    dvara.up()
    wait_until(lambda: alarms() > 0, 15, "an alarm")
    before = alarms()
    dvara.good("reload")
    dvara.good("down")
    dvara.up()
    assert alarms() <= before  # and once only
