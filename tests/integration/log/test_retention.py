# SPDX-License-Identifier: Apache-2.0
"""dvara-logd keeps classes of events in logs of their own, and prunes what is old and not held."""
import json
import random
import shutil
import signal
import subprocess
import time

import pytest

from conftest import BUILD, wait_until
from support import classes

PACK = 65536
OLD = 1600000000000  # 2020, in milliseconds: what events say; the log goes by when it took them
DAY = 86400000
MANY = PACK + 3000


TWO = classes("class main 0", "class old 1", "class empty 0", "kind collected.* old", "kind session.* empty")


def post(logd, path, body):
    """The status, and what is wrong or None."""
    out = logd.get(path, "-X", "POST", "--data-binary", body, "-w", "\n%{http_code}").decode()
    text, status = out.rsplit("\n", 1)
    return int(status), json.loads(text)["error"]["message"] if int(status) != 200 else None


def hold(logd, action, name, **more):
    return post(logd, "/hold", json.dumps({"action": action, "name": name, "actor": 'User::"alice"', "reason": "case 7",
                                           **more}))


def event(number, code="collected.test", milliseconds=OLD):
    return json.dumps({"metadata": {"version": "1.8.0", "product": {"name": "Dvara"}, "event_code": code,
                                    "correlation_uid": f"{code}-{number}"},
                       "time": milliseconds + number, "class_uid": 0, "category_uid": 0, "type_uid": 0,
                       "activity_id": 0, "severity_id": 0}, separators=(",", ":"))


def write(logd, lines):
    subprocess.run([BUILD / "tests/integration/log/spool_writer", logd.runtime, logd.spool, "lines", "0"], check=True,
                   input="".join(f"{line}\n" for line in lines), text=True)


def logs(logd):
    return {one["name"]: one for one in json.loads(logd.get("/logs"))}


def kept(logd, name):
    return next(one for one in json.loads(logd.get("/retention"))["logs"] if one["name"] == name)


def search(logd, **words):
    body = json.dumps({"query": "", **words})
    lines = [json.loads(line) for line in logd.get("/search", "-X", "POST", "--data-binary", body).splitlines()]
    return lines[:-1], lines[-1]


def ready_to_prune(logd):
    """A log of more than a pack of old events, held."""
    logd.start()
    assert post(logd, "/retention", TWO) == (200, None)
    assert hold(logd, "create", "case-7", log="old", from_ms=OLD + 10, to_ms=OLD + 11) == (200, None)
    write(logd, (event(number) for number in range(MANY)))
    wait_until(lambda: logs(logd)["old"]["size"] == MANY, "all is in the log", 30)


def headers(logd, path):
    return logd.get(path, "-D", "-", "-o", "/dev/null").decode().lower()


@pytest.mark.ordinary_build
def test_what_is_old_goes_unless_it_is_held(logd):
    ready_to_prune(logd)
    assert [one["minimum"] for one in logs(logd).values()] == [0, 0, 0]
    assert logs(logd)["old"]["origin"] == logs(logd)["main"]["origin"] + "/old"
    told = kept(logd, "old")
    assert told["waits"] == "hold case-7" and told["prunable"] == 0 and told["oldest_ms"] > OLD + 365 * DAY
    assert post(logd, "/prune", "{}") == (200, None)
    assert logs(logd)["old"]["minimum"] == 0
    report = logd.verify()
    assert report["ok"] and report["logs"] == 3 and report["pruned"] == 0

    gone = json.loads(logd.get("/events?log=old&from=7&limit=1"))["event"]["metadata"]["correlation_uid"]

    # The hold goes, then the pack; the log's beginning is told to whoever asks for it.
    assert hold(logd, "release", "case-7") == (200, None)
    wait_until(lambda: logs(logd)["old"]["minimum"] == PACK, "the pack is pruned by itself")
    wait_until(lambda: not (logd.log / "class/old/pack/000").exists(), "its file goes, once readers know")
    report = logd.verify()
    assert report["ok"] and report["pruned"] == PACK
    assert f"dvara-pruned: {PACK}" in headers(logd, "/events?log=old&from=5")
    first = json.loads(logd.get("/events?log=old&from=5&limit=1"))
    assert first["index"] == PACK
    assert "dvara-pruned" not in headers(logd, f"/events?log=old&from={PACK}")
    status = json.loads(logd.get("/status?log=old"))
    assert (status["minimum"], status["keep_seconds"], status["size"]) == (PACK, 1, MANY)

    # A request is found in whichever log it is, and a search goes over all of them.
    last = json.loads(logd.get(f"/events?log=old&from={MANY - 1}"))["event"]["metadata"]["correlation_uid"]
    line = json.loads(logd.get(f"/events?request_id={last}"))
    assert (line["log"], line["index"]) == ("old", MANY - 1)
    assert logd.get(f"/events?request_id={gone}") == b""
    found, _ = search(logd, query="event:audit.*", limit=100)
    assert [item["event"]["metadata"]["event_code"] for item in found] == ["audit.pruned", "audit.hold", "audit.hold"]
    assert all("log" not in item for item in found)
    assert found[0]["event"]["entity"]["data"]["minimum"] == PACK
    assert found[1]["event"]["actor"]["user"]["name"] == "alice"


@pytest.mark.ordinary_build
def test_the_main_log_is_pruned_too(logd):
    logd.start()
    write(logd, (event(number, "other") for number in range(MANY)))
    wait_until(lambda: logs(logd)["main"]["size"] > MANY, "all is in the log", 30)
    # Its own first event is of now, and age is counted to the newest one.
    assert post(logd, "/retention", classes("class main 1")) == (200, None)

    def pruned():
        """It looks once a minute by itself."""
        assert post(logd, "/prune", "{}") == (200, None)
        return logs(logd)["main"]["minimum"] == PACK

    wait_until(pruned, "the pack is pruned")
    wait_until(lambda: not (logd.log / "pack/000").exists(), "its file goes, once readers know")
    # What told of it stands in what is kept, and that is what a verifier goes by.
    found, _ = search(logd, query="event:audit.pruned", limit=10)
    assert [one["event"]["entity"]["data"]["minimum"] for one in found] == [PACK]
    assert logd.verify()["pruned"] == PACK
    assert json.loads(logd.get("/events?from=5&limit=1"))["index"] == PACK
    logd.end()
    logd.start()
    assert logs(logd)["main"]["minimum"] == PACK
    write(logd, (event(number, "more") for number in range(10)))
    wait_until(lambda: len(search(logd, query="event:more", limit=20)[0]) == 10, "the log goes on")
    assert logd.verify()["ok"]


def test_pages_over_several_logs_stand_in_the_order_of_time(logd):
    logd.start()
    assert post(logd, "/retention", TWO) == (200, None)
    write(logd, (event(number, ("session.one", "collected.two", "other")[number % 3]) for number in range(300)))
    wait_until(lambda: sum(one["size"] for one in logs(logd).values()) >= 300, "all is in the logs")
    for order in "oldest", "newest":
        times, cursor, indexes = [], {}, {}
        while True:
            found, end = search(logd, until_ms=OLD + DAY, order=order, limit=70, **cursor)
            times += [item["event"]["time"] for item in found]
            for item in found:
                indexes.setdefault(item.get("log", "main"), []).append(item["index"])
            if end["stats"]["complete"]:
                break
            cursor = {"cursor": end["next"]}
        assert times == sorted(range(OLD, OLD + 300), reverse=order == "newest")
        assert {name: len(some) for name, some in indexes.items()} == {"main": 100, "old": 100, "empty": 100}
        assert all(some == sorted(some, reverse=order == "newest") for some in indexes.values())
    found, end = search(logd, query="| count by event", limit=10)
    assert {"event": "collected.two", "count": 100} in found[0]["rows"]
    # What comes after the first page of the newest ones is where it says.
    _, end = search(logd, limit=1)
    write(logd, [event(1, "session.new"), event(2, "new")])
    wait_until(lambda: len(search(logd, order="oldest", cursor=end["newer"])[0]) == 2, "both are found")
    found, _ = search(logd, log="empty", query="event:session.new")
    assert [item["log"] for item in found] == ["empty"]
    assert "no log" in logd.get("/search", "-X", "POST", "--data-binary", '{"log":"nowhere"}').decode()


def test_what_can_not_be_is_refused(logd):
    logd.start()
    assert post(logd, "/retention", TWO) == (200, None)
    write(logd, [event(1)])
    wait_until(lambda: logs(logd)["old"]["size"] == 1, "it is in its log")
    status, why = post(logd, "/retention", classes("class main 0"))
    assert status == 409 and "class old has 1 events" in why
    assert post(logd, "/retention?check=1", classes("class main 0"))[0] == 409
    assert post(logd, "/retention", classes("class main 0", "class old 0"))[0] == 200
    assert post(logd, "/retention", classes("class main 0", "class old 0", "kind audit.* old"))[0] == 400
    assert post(logd, "/retention", "junk")[0] == 400
    assert hold(logd, "create", "x", log="nowhere")[0] == 404
    assert hold(logd, "release", "x")[0] == 404
    assert hold(logd, "create", "x", from_ms=5, to_ms=5)[0] == 400
    assert hold(logd, "create", "x")[0] == 200
    assert hold(logd, "create", "x")[0] == 409
    for path in "/events?log=nowhere", "/status?log=../main", "/checkpoint?log=", "/tile/0/000?log=x", "/vkey?log=x":
        assert b"no log" in logd.get(path)
    # Who changes what is kept does so in the log, once: what was and what becomes.
    assert post(logd, "/retention", classes("class main 0", "class old 0"))[0] == 200
    found, _ = search(logd, query="event:config.change", order="oldest", limit=10)
    told = [one["event"]["unmapped"]["dvara"] for one in found]
    assert [one["what"] for one in told] == ["audit.retention"] * 2
    assert told[0]["setting"]["from"] == {"keep_ms": {}, "kinds": [], "archive": ""}
    assert told[0]["setting"]["to"] == told[1]["setting"]["from"]
    assert told[1]["setting"]["from"]["keep_ms"] == {"main": 0, "old": 1, "empty": 0}
    assert told[1]["setting"]["from"]["kinds"] == ["collected.* old", "session.* empty"]
    assert told[1]["setting"]["to"] == {"keep_ms": {"main": 0, "old": 0}, "kinds": [], "archive": ""}
    # What it was told holds after a restart.
    logd.end()
    logd.start()
    assert [one["name"] for one in json.loads(logd.get("/retention"))["holds"]] == ["x"]
    write(logd, [event(2)])
    wait_until(lambda: sum(one["size"] for one in logs(logd).values()) > 4, "it is in the log")
    assert logs(logd)["old"]["size"] == 1  # no kinds go there any more


@pytest.mark.ordinary_build
def test_nothing_goes_that_is_not_in_an_archive(logd):
    """Neither while the folder can't be written, nor before what was written verifies."""
    ready_to_prune(logd)
    folder = logd.state.parent / "archives"
    folder.write_text("no folder")
    assert post(logd, "/retention", classes("class main 0", "class old 1", f"archive {folder}")) == (200, None)
    assert hold(logd, "release", "case-7") == (200, None)
    wait_until(lambda: "archives" in json.loads(logd.get("/retention"))["problem"], "it says why nothing goes")
    assert logs(logd)["old"]["minimum"] == 0
    folder.unlink()
    assert post(logd, "/prune", "{}") == (200, None)
    wait_until(lambda: logs(logd)["old"]["minimum"] == PACK, "the pack is archived and pruned", 40)
    archives = list(folder.glob("*.tar.zst"))
    assert [one.name for one in archives] == [f"old-{0:020}-{PACK:020}.tar.zst"]
    done = subprocess.run([BUILD / "dvara", "audit", "verify", "--archive", archives[0], "--key",
                           logs(logd)["old"]["vkey"], "--output", "json"], capture_output=True, text=True)
    assert done.returncode == 0 and json.loads(done.stdout)["ok"], done.stderr
    assert logd.verify()["pruned"] == PACK and json.loads(logd.get("/retention"))["problem"] == ""


@pytest.mark.ordinary_build
def test_killed_while_it_prunes(logd):
    """Told, removed, or neither: the log verifies, and the next start goes on with it."""
    ready_to_prune(logd)
    assert hold(logd, "create", "all") == (200, None)
    assert hold(logd, "release", "case-7") == (200, None)
    logd.end()
    kept_state = logd.state.parent / "kept"
    shutil.copytree(logd.state, kept_state, symlinks=True)
    chance = random.Random(3)
    for _ in range(2):
        logd.start()
        curl = subprocess.Popen(["curl", "-s", "--unix-socket", logd.runtime / "logd.sock", "-X", "POST", "--data",
                                 json.dumps({"action": "release", "name": "all"}), "http://log/hold"],
                                stdout=subprocess.DEVNULL)
        time.sleep(chance.uniform(0, 0.06))
        logd.end(signal.SIGKILL)
        curl.wait()
        report = logd.verify()
        assert report["ok"] and report["pruned"] in (0, PACK)
        shutil.rmtree(logd.state)
        shutil.copytree(kept_state, logd.state, symlinks=True)
    shutil.rmtree(kept_state)
    logd.start()
    assert hold(logd, "release", "all") == (200, None)
    wait_until(lambda: logs(logd)["old"]["minimum"] == PACK, "the pack is pruned")


def test_the_log_tells_a_key_that_verifies_each_class(logd):
    """Each log has its own origin and keys; who noted the main log's old key verifies all of them."""
    logd.start()
    assert post(logd, "/retention", TWO) == (200, None)
    write(logd, [event(number) for number in range(10)])
    wait_until(lambda: logs(logd)["old"]["size"] == 10, "they are in the log")
    old_key = logs(logd)["main"]["vkey"]
    assert logd.get("/vkey?log=old").decode().split() == [logs(logd)["old"]["vkey"]]
    assert logd.get("/rotate", "-X", "POST", "--data", "").decode().split()[1] == old_key
    assert len(logd.get("/vkey?log=old").split()) == 2
    assert logd.get("/checkpoint?log=old").decode().startswith(logs(logd)["old"]["origin"] + "\n10\n")
    assert logd.verify("--key", old_key)["logs"] == 3
    assert logd.get("/rotate?retire=" + old_key.split("+")[1], "-X", "POST", "--data", "")
    assert logd.verify("--key", old_key)["ok"]
