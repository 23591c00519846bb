# SPDX-License-Identifier: Apache-2.0
"""Erasure: a deleted and erased person can be found in no file any more, and the log still verifies."""
import base64
import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import urllib.parse

from conftest import BODY, BUILD, wait_until

NAME = "xanthippe.quux"
ADDRESS = "127.71.83.97"
AGENT = "Zyzzogeton/7.31"


def call(dvara, key, name=NAME):
    """A request from an address and with a program's name that nothing else has; returns its id."""
    done = subprocess.run(
        ["curl", "-sS", "-D", "-", "-o", "/dev/null", "--max-time", "20", "--interface", ADDRESS, "-A", AGENT,
         "-H", f"Authorization: Bearer {key}", "-H", "Content-Type: application/json", "--data-binary", "@-",
         f"{dvara.listen}/v1/chat/completions"], input=BODY, capture_output=True, check=True)
    head = done.stdout.decode()
    assert " 200 " in head.splitlines()[0], head
    return next(line.split(": ")[1] for line in head.splitlines() if line.lower().startswith("x-request-id"))


def forms(text):
    """As it may stand in a file: plain, in upper case, hexadecimal, percent-encoded, in three alignments of base64."""
    raw = text.encode()
    every = {raw, raw.upper(), raw.lower(), raw.hex().encode(), raw.hex().upper().encode(),
             urllib.parse.quote(text, safe="").encode(), "".join(f"%{byte:02x}" for byte in raw).encode(),
             raw.decode().encode("utf-16-le"), raw.decode().encode("utf-16-be")}
    for shift in range(3):
        for encode in base64.b64encode, base64.urlsafe_b64encode:
            whole = encode(b"\0" * shift + raw)
            every.add(whole[4 if shift else 0:len(whole) // 4 * 4 - 4])
    return every


def files(*folders):
    return [path for folder in folders for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]


def where(texts, *folders):
    """The files that hold one of the texts in one of its forms."""
    wanted = [(text, form) for text in texts for form in forms(text)]
    found = []
    for path in files(*folders):
        content = path.read_bytes()
        found += [f"{text} as {form[:40]} in {path}" for text, form in wanted if form in content]
    return found


def tiles(dvara):
    """Every full or partial tile and entry bundle that was committed, by its content."""
    folder = dvara.state / "log"
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in (folder / "tile").rglob("*") if path.is_file()}


def runtime(dvara):
    return (dvara.state / "runtime").resolve()


def erase(dvara, *words):
    return dvara.json("audit", "erase", *words)


def raised(dvara, name):
    return dvara.json("audit", "search", f"event:alert.raised unmapped.dvara.alert.name:{name}")["items"]


def raise_alerts(dvara):
    for name, by in (("byname", "user"), ("byaddress", "ip")):
        dvara.good("alert", "create", name, "--search", "event:request.open", "--threshold", "> 2", "--over", "1h", "--by", by)


def check_alerts(dvara):
    """Readers see what they tell. The day under which an address is kept."""
    wait_until(lambda: raised(dvara, "byname") and raised(dvara, "byaddress"), 10, "the alerts are raised")
    named, addressed = raised(dvara, "byname")[0], raised(dvara, "byaddress")[0]
    assert named["unmapped"]["dvara"]["alert"]["group"] == {"user": NAME}
    assert named["message"] == named["finding_info"]["title"] == named["what"] and f"user {NAME}" in named["message"]
    assert addressed["unmapped"]["dvara"]["alert"]["group"] == {"ip": ADDRESS} and ADDRESS in addressed["message"]
    dvara.good("alert", "delete", "byaddress")  # what it counts is kept by address, as long as its window needs it
    return addressed["when"][:10]


def test_an_erased_person_is_in_no_file(make):
    dvara = make()
    dvara.up()
    key = dvara.key(NAME)
    dvara.good("group", "create", "--name", "thinkers")
    dvara.good("group", "add-member", "thinkers", "--user", NAME)
    other = dvara.key("bob")
    raise_alerts(dvara)
    requests = [call(dvara, key) for _ in range(20)]
    assert dvara.ask(other) == 200
    wait_until(lambda: dvara.has_told(requests[-1]), 10, "the last request is in the log")
    told = dvara.json("why", requests[-1])["who"]
    assert (told["name"], told["address"], told["user_agent"]) == (NAME, ADDRESS, AGENT)
    assert dvara.json("audit", "verify")["ok"]
    day = check_alerts(dvara)

    # Before: the log's folder tells nothing already; the keys do not say whose they are.
    assert where([NAME, ADDRESS, AGENT], dvara.state / "log", dvara.state / "keys", dvara.state / "spool") == []

    dvara.good("user", "delete", NAME)
    dry = erase(dvara, "--subject", NAME, "--dry-run")
    assert not dry["erased"] and dry["events"] >= 40
    assert "--yes" in dvara.refused("audit", "erase", "--subject", NAME)
    size = dvara.json("audit", "verify")["size"]
    before = tiles(dvara)
    done = erase(dvara, "--subject", NAME, "--reason", "case 17", "--yes")
    assert done["erased"] and done["key"] == dry["key"]
    assert [alert["message"] for alert in raised(dvara, "byname")] == ["(erased)"]
    of_day = erase(dvara, "--subject", f'Day::"{day}"', "--reason", "case 17", "--yes")

    after = dvara.json("audit", "verify")
    assert after["ok"] and after["size"] > size
    now = tiles(dvara)
    assert all(now.get(path, digest) == digest for path, digest in before.items())
    who = dvara.json("why", requests[-1])["who"]
    assert who["name"] == who["principal"] == who["user_agent"] == "(erased)" and "address" not in who
    events = dvara.good("audit", "tail", "--from", "0", "--output", "jsonl")
    assert NAME not in events and ADDRESS not in events and AGENT not in events
    assert "bob" in events
    erased = [event for event in map(json.loads, events.splitlines()) if event["event"] == "audit.erased"]
    assert [event["entity"]["uid"] for event in erased] == [done["key"], of_day["key"]]
    assert erased[0]["entity"]["data"] == {"reason": "case 17"} and erased[0]["who"]
    # Asked again, in whatever spelling, no record of that brings the name back under another key.
    for spelling in (NAME, NAME.upper(), f'Local::"{NAME}"'):
        for how in ("--yes", "--dry-run"):
            told = dvara.refused("audit", "erase", "--subject", spelling, how)
            assert "subject: the audit log keeps nothing" in told and NAME not in told.lower()
    assert 'such as User::"NAME"' in dvara.refused("audit", "erase", "--subject", f"User::{NAME}", "--yes")
    wait_until(lambda: len(dvara.json("audit", "search", "operation:audit_erase status:>=400")["items"]) >= 7, 10,
               "the refusals are in the log")
    assert NAME not in dvara.good("audit", "tail", "--from", "0", "--output", "jsonl").lower()

    left = where([NAME, ADDRESS, AGENT], dvara.state, runtime(dvara))
    assert left == []
    dvara.good("down")
    assert where([NAME, ADDRESS, AGENT], dvara.state, runtime(dvara)) == []
    dvara.up()
    assert dvara.json("why", requests[0])["who"]["name"] == "(erased)"


def readable(dvara, request):
    return dvara.json("why", request)["who"]["name"]


def test_an_erased_person_stays_erased_after_a_restore(make):
    """The keys are put back as they were before the erasure: the log itself tells what is to be destroyed again."""
    dvara = make()
    dvara.up()
    request = call(dvara, dvara.key(NAME))
    wait_until(lambda: dvara.has_told(request), 10, "the request is in the log")
    keys = dvara.state / "keys/log/subjects"
    dvara.good("down")
    subprocess.run(["cp", "-a", keys, dvara.folder / "backup"], check=True)  # with its owner
    dvara.up()
    assert readable(dvara, request) == NAME
    dvara.good("user", "delete", NAME)
    erase(dvara, "--subject", f'User::"{NAME}"', "--yes")
    dvara.good("down")
    shutil.rmtree(keys)
    subprocess.run(["cp", "-a", dvara.folder / "backup", keys], check=True)
    dvara.up()
    assert readable(dvara, request) == "(erased)"
    assert "keeps nothing" in dvara.refused("audit", "erase", "--subject", NAME, "--yes")
    assert dvara.json("audit", "verify")["ok"]
    second = call(dvara, dvara.key(NAME))  # and may come back
    wait_until(lambda: dvara.has_told(second), 10, "the request is in the log")
    assert readable(dvara, second) == NAME and readable(dvara, request) == "(erased)"


def test_a_death_within_an_erasure_leaves_all_or_nothing(make):
    dvara = make()
    dvara.up()
    key = dvara.key("witness")
    people = [f"mortal{number}" for number in range(6)]
    requests = [call(dvara, dvara.key(name)) for name in people]
    wait_until(lambda: all(dvara.has_told(request) for request in requests), 10, "all are in the log")
    for number, name in enumerate(people):
        before = dvara.pid("dvara-logd")
        asked = subprocess.Popen([str(BUILD / "dvara"), "audit", "erase", "--subject", name, "--yes", "--state",
                                  str(dvara.state)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        with contextlib.suppress(subprocess.TimeoutExpired):
            asked.wait(timeout=0.015 * (number + 1))
        os.kill(before, signal.SIGKILL)
        acknowledged = asked.wait(timeout=60) == 0
        asked.communicate()
        wait_until(lambda: dvara.came_back("dvara-logd", before), 20, "dvara-logd is back")
        wait_until(lambda: dvara.run("why", requests[number]).returncode == 0, 10, "it answers")
        now = readable(dvara, requests[number])
        assert now == "(erased)" or (now == name and not acknowledged)
        events = dvara.good("audit", "tail", "--from", "0", "--output", "jsonl").splitlines()
        told = [event for event in map(json.loads, events) if event["event"] == "audit.erased"]
        assert len(told) == sum(readable(dvara, request) == "(erased)" for request in requests)
    assert dvara.ask(key) == 200
    assert dvara.json("audit", "verify")["ok"]


def test_callers_whom_nobody_knows_belong_to_their_day(dvara):
    done = subprocess.run(["curl", "-sS", "-D", "-", "-o", "/dev/null", "--interface", ADDRESS, "-A", AGENT,
                           f"{dvara.listen}/v1/models"], capture_output=True, check=True, text=True)
    assert " 401 " in done.stdout.splitlines()[0]
    request = next(line.split(": ")[1] for line in done.stdout.splitlines() if line.startswith("x-request-id"))
    wait_until(lambda: dvara.run("why", request).returncode == 0, 10, "the request is in the log")
    why = dvara.json("why", request)
    assert why["who"]["address"] == ADDRESS
    assert where([ADDRESS, AGENT], dvara.state / "log") == []
    erase(dvara, "--subject", f'Day::"{why["when"][:10]}"', "--yes")
    assert "address" not in dvara.json("why", request)["who"]


def test_only_who_may_erase_erases(dvara):
    """Reading the log is not enough, and neither is a subject that it does not know."""
    dvara.good("user", "create", "--name", "ari")
    dvara.good("role", "assign", "--user", "ari", "--role", "auditor")
    secret = dvara.json("apikey", "create", "--user", "ari")["secret"]
    done = subprocess.run(
        ["curl", "-sS", "-w", "\n%{http_code}", "--max-time", "20", "-H", f"Authorization: Bearer {secret}", "-H",
         "Content-Type: application/json", "-d", '{"subject": "bob", "yes": true}', f"{dvara.admin}/v1/audit/erase"],
        capture_output=True, check=True, text=True)
    assert done.stdout.endswith("\n403") and "erase_audit" in done.stdout
    assert "keeps nothing" in dvara.refused("audit", "erase", "--subject", "bob", "--yes")
