# SPDX-License-Identifier: Apache-2.0
"""Searching the log of a real instance: the language, paging, output, trails, saved searches, alerts."""
import csv
import datetime
import hashlib
import io
import json
import os
import pathlib
import re
import shlex
import signal
import subprocess
import sys
import threading

import pytest

from conftest import KEPT, ROOT
from support import free_port


VECTORS = pathlib.Path(os.environ.get("DVARA_VECTORS") or ROOT.parent / "shared/vectors")


def search(control, *words, code=0):
    done = control.dvara("audit", "search", *words)
    assert done.returncode == code, done.stdout + done.stderr
    return done


def found(control, *words):
    """The events, as lines of JSON."""
    return [json.loads(line) for line in search(control, *words, "--output", "jsonl").stdout.splitlines()]


def wait_for(control, query, count=1, seconds=20):
    """dvara-logd takes records in once a second."""
    control.wait_for(lambda: len(found(control, query, "--limit", "1000")) >= count, seconds)
    return found(control, query, "--limit", "1000")


@pytest.fixture(name="users", scope="module")
def make_users(control):
    for number in range(12):
        control.json("user", "create", "--name", f"user{number:02}")
    control.dvara("user", "show", "nobody")
    wait_for(control, "event:account.change account:user*", 12)
    wait_for(control, "operation:user_show")
    return control


def test_a_search_finds_what_the_language_says(users):
    assert len(found(users, "event:account.change account:user*")) == 12
    assert {line["user"]["name"] for line in found(users, "event:account.change account:(user01 or user02)")} \
        == {"user01", "user02"}
    assert len(found(users, 'event:account.change "user07"')) == 1
    assert found(users, "event:account.change account:user* -user:root") == []
    assert len(found(users, "operation:user_show status:400..499")) == 1
    assert len(found(users, "account:user03", "--since", "1h")) == 1
    assert found(users, "account:user03", "--until", "2020-01-01") == []


def test_a_mistake_is_shown_where_it_stands(users):
    done = search(users, "user:root stauts:404", code=2)
    assert "did you mean status?" in done.stderr
    assert "user:root stauts:404\n          ^" in done.stderr
    answer = users.curl("/v1/audit/search", socket="control.sock", body={"query": "(a"})
    assert answer.status == 400 and answer.error["field"] == "query" and "column 1" in answer.error["message"]


def test_who_may_not_view_the_log_may_not_search_it(users):
    key = users.key_of("outsider", "use_model")["secret"]
    answer = users.curl("/v1/audit/search", key=key, body={"query": ""})
    assert answer.status == 403
    key = users.key_of("reader", "view_audit")["secret"]
    assert users.curl("/v1/audit/search", key=key, body={"query": ""}).status == 200
    denied = {"name": "x", "search": "y", "threshold": "> 1", "over": "1m"}
    assert users.curl("/v1/alerts", key=key, body=denied).status == 403


def test_pages_stay_right_while_the_log_grows(users):
    body = {"query": "event:account.change account:user*", "limit": 5}
    seen, cursors = [], 0
    while True:
        page = users.curl("/v1/audit/search", socket="control.sock", body=body).json
        seen += [item["index"] for item in page["items"]]
        users.json("user", "show", "user00")  # every call adds events
        if "next" not in page:
            break
        body["cursor"] = page["next"]
        cursors += 1
    assert len(seen) == len(set(seen)) == 12 and seen == sorted(seen, reverse=True) and cursors >= 2
    wrong = users.curl("/v1/audit/search", socket="control.sock", body={**body, "cursor": "n.x.1"})
    assert wrong.status == 400
    oldest = found(users, "event:account.change account:user*", "--oldest", "--limit", "3")
    assert [line["user"]["name"] for line in oldest] == ["user00", "user01", "user02"]


def test_that_there_is_more_is_told(users):
    query = ("event:account.change account:user*", "--oldest", "--fields", "account")
    first = search(users, *query, "--limit", "5")
    assert first.stdout.split() == ["ACCOUNT"] + [f"user{number:02}" for number in range(5)]
    more = re.search(r"there may be more: --after (\S+), or a larger", first.stderr)[1]
    page = users.json("audit", "search", *query, "--limit", "5", "--after", more)
    assert [item["account"] for item in page["items"]] == [f"user{number:02}" for number in range(5, 10)]
    last = search(users, *query, "--after", page["next"])
    assert last.stdout.split() == ["ACCOUNT", "user10", "user11"] and "more" not in last.stderr
    assert "more" not in search(users, *query, "--limit", "5", "--quiet").stderr
    assert "next" not in users.json("audit", "search", *query)
    counted = search(users, "event:account.change | count", "--after", more, code=1)
    assert "neither follow nor count" in counted.stderr


def test_events_are_counted(users):
    rows = users.json("audit", "search", "event:account.change account:user* | count by account")["rows"]
    assert len(rows) == 12 and all(row["count"] == 1 for row in rows)
    top = users.json("audit", "search", "| top 1 event")["rows"]
    assert len(top) == 1 and top[0]["count"] > 12
    whole = users.json("audit", "search", "account:user* event:account.change | count")["rows"]
    assert whole == [{"count": 12}]
    over = users.json("audit", "search", "account:user* event:account.change | count over 1d")["rows"]
    assert sum(row["count"] for row in over) == 12 and re.fullmatch(r"\d{4}-\d\d-\d\dT00:00:00Z", over[0]["time"])


def test_a_state_can_be_merged(users):
    body = {"query": "account:user* event:account.change | count by account", "state": True}
    answer = users.curl("/v1/audit/search", socket="control.sock", body=body).json
    assert len(answer["state"]["groups"]) == 12 and answer["stats"]["matched"] == 12


def test_csv_is_rfc_4180(users):
    done = subprocess.run([users.program, "audit", "search", "event:account.change account:user*", "--output", "csv",
                           "--fields", "when,account,actor.user.uid", "--state", users.state],
                          capture_output=True, check=True)
    text = done.stdout.decode()
    lines = list(csv.reader(io.StringIO(text, newline="")))
    assert lines[0] == ["when", "account", "actor.user.uid"] and len(lines) == 13
    assert lines[1][2] == 'Local::"root"' and text.count("\r\n") == 13


def test_a_histogram_is_drawn(users):
    text = search(users, "event:account.change account:user*", "--histogram", "1m", "--since", "10m").stdout
    bars = re.findall(r"^\d{4}-\d\d-\d\d \d\d:\d\d:00 +(\d+)  (#*)$", text, re.MULTILINE)
    assert sum(int(count) for count, _ in bars) == 12 and any(bar for _, bar in bars)


def test_stats_go_to_standard_error(users):
    done = search(users, "event:account.change account:user*", "--limit", "5")
    assert re.search(r"^5 matched, \d+ looked at, \d", done.stderr, re.MULTILINE)
    assert search(users, "x", "--quiet").stderr == ""


def test_a_search_is_followed(users):
    process = subprocess.Popen(
        [users.program, "audit", "search", "event:account.change account:late*", "--follow", "--output", "jsonl",
         "--state", users.state], stdout=subprocess.PIPE, text=True)
    lines = []
    reader = threading.Thread(target=lambda: lines.extend(process.stdout), daemon=True)
    reader.start()
    users.json("user", "create", "--name", "late1")
    users.wait_for(lambda: len(lines) == 1)
    users.json("user", "create", "--name", "late2")
    users.wait_for(lambda: len(lines) == 2)
    process.terminate()
    process.wait(timeout=10)
    reader.join(timeout=10)
    assert [json.loads(line)["user"]["name"] for line in lines] == ["late1", "late2"]


def test_a_trail_tells_what_belongs_together(users):
    users.json("user", "create", "--name", "traced")
    users.json("apikey", "create", "--user", "traced")
    wait_for(users, "owner:User::\"traced\"")
    trail = users.json("audit", "trail", "--user", "traced")
    kinds = [item["event"] for item in trail["items"]]
    assert {"account.change", "entity.change", "control.call"} <= set(kinds) and trail["complete"]
    assert [item["when"] for item in trail["items"]] == sorted(item["when"] for item in trail["items"])
    assert {item["relation"] for item in trail["items"]} == {"target", "request"}
    request = next(item["request"] for item in trail["items"] if item["event"] == "entity.change")
    assert {item["request"] for item in users.json("audit", "trail", "--request", request)["items"]} == {request}
    assert users.dvara("audit", "trail").returncode == 1


def test_searches_are_saved(users):
    users.json("search", "save", "made", "event:account.change account:user*", "--description", "who was made")
    assert [one["name"] for one in users.json("search", "list")["items"]] == ["made"]
    done = users.dvara("search", "run", "made", "--output", "jsonl")
    assert done.returncode == 0 and len(done.stdout.splitlines()) == 12
    assert users.dvara("search", "save", "wrong", "stauts:4").returncode == 1
    assert users.dvara("search", "run", "absent").returncode == 1
    users.dvara("search", "delete", "made")
    assert users.json("search", "list")["items"] == []
    assert [line["activity_id"] for line in wait_for(users, "entity_type:saved_search", 2)] == [4, 3]


# -- alerts

def raised(control, name, kind="alert.raised"):
    return found(control, f"event:{kind} unmapped.dvara.alert.name:{name}")


def make_alert(control, name, *words):
    return control.json("alert", "create", name, "--search", "event:account.change account:bulk*",
                        "--threshold", "> 2", *words)


def test_an_alert_fires_once_and_resolves(users):
    alert = make_alert(users, "bulk", "--over", "3s", "--by", "user", "--severity", "high", "--notify", "siem,mail",
                       "--cooldown", "1h")
    assert alert["enabled"] and alert["by"] == ["user"] and alert["over"] == "3s" and alert["firing"] == 0
    for number in range(5):
        users.json("user", "create", "--name", f"bulk{number}")
    users.wait_for(lambda: raised(users, "bulk"))
    event = raised(users, "bulk")[0]
    detail = event["unmapped"]["dvara"]
    assert event["class_uid"] == 2004 and event["severity_id"] == 4 and event["is_alert"]
    assert detail["notify"] == ["siem", "mail"] and detail["alert"]["group"] == {"user": "root"}
    assert detail["alert"]["value"] >= 3 and len(detail["alert"]["evidence"]) >= 1
    assert event["finding_info"]["uid"].startswith("alert/bulk/")
    users.wait_for(lambda: raised(users, "bulk", "alert.resolved"), 40)
    resolved = raised(users, "bulk", "alert.resolved")[0]
    assert resolved["finding_info"]["uid"] == event["finding_info"]["uid"] and resolved["activity_id"] == 3
    for number in range(5, 10):  # within the cooldown
        users.json("user", "create", "--name", f"bulk{number}")
    users.wait_for(lambda: len(found(users, "event:account.change account:bulk*")) == 10)
    tested = users.json("alert", "test", "bulk", "--since", "1h")
    assert tested["items"] and tested["items"][0]["group"] == {"user": "root"}
    assert len(raised(users, "bulk")) == 1
    users.dvara("alert", "delete", "bulk")


@pytest.mark.skipif(not (VECTORS / "ocsf").is_dir(), reason=f"{VECTORS}/ocsf is not there")
def test_alerts_are_ocsf(users):
    users.json("alert", "create", "valid", "--search", "account:valid1 event:account.*", "--threshold", ">= 1",
               "--over", "1s", "--by", "user,model", "--notify", "siem")
    users.json("user", "create", "--name", "valid1")
    users.wait_for(lambda: raised(users, "valid", "alert.resolved"))
    events = raised(users, "valid") + raised(users, "valid", "alert.resolved")
    own = ("index", "when", "event", "who", "what", "outcome", "request")
    lines = [json.dumps({name: value for name, value in event.items() if name not in own}) for event in events]
    done = subprocess.run([sys.executable, ROOT / "tests/ocsf/validate.py", VECTORS / "ocsf"], input="\n".join(lines),
                          capture_output=True, text=True)
    assert done.returncode == 0 and "2 events, 0 faults" in done.stdout, done.stdout
    assert events[0]["what"].startswith("valid: 1 (threshold >= 1) in 1s, user root")
    users.dvara("alert", "delete", "valid")


def test_an_alert_is_switched_off_and_on(users):
    make_alert(users, "switch", "--over", "1m", "--enabled")
    assert not users.json("alert", "disable", "switch")["enabled"]
    for number in range(4):
        users.json("user", "create", "--name", f"bulkoff{number}")
    wait_for(users, "event:account.change account:bulkoff*", 4)
    assert users.json("alert", "enable", "switch")["enabled"]
    assert users.json("alert", "show", "switch")["groups"] == []
    assert raised(users, "switch") == []
    assert users.dvara("alert", "create", "switch", "--search", "x", "--threshold", "> 1", "--over", "1m").returncode == 1
    for words in (["--threshold", "5", "--over", "1m"], ["--threshold", "> 5", "--over", "8d"],
                  ["--threshold", "> 5", "--over", "1m", "--by", "usr"]):
        assert users.dvara("alert", "create", "bad", "--search", "x", *words).returncode == 1
    for query in ("x | avg(tokens)", "x | count | limit 3", "(x"):
        done = users.dvara("alert", "create", "bad", "--search", query, "--threshold", "> 5", "--over", "1m")
        assert done.returncode == 1
    users.dvara("alert", "delete", "switch")
    changes = [line["activity_id"] for line in wait_for(users, "entity_type:alert entity:switch", 4)]
    assert changes == [4, 8, 9, 1]


def test_an_alert_survives_the_death_of_dvarad(fresh):
    """Killed again and again while alerts are due: each group is told exactly once."""
    fresh.start_all()
    fresh.json("alert", "create", "deadly", "--search", "event:account.change account:victim*", "--threshold", ">= 1",
               "--over", "1h", "--by", "account", "--cooldown", "1h")
    for number in range(6):
        fresh.json("user", "create", "--name", f"victim{number}")
        fresh.stop("dvarad", signal.SIGKILL)
        fresh.start_dvarad()
    fresh.wait_for(lambda: len(raised(fresh, "deadly")) >= 6, 40)
    fresh.stop("dvarad", signal.SIGKILL)
    fresh.start_dvarad()
    fresh.json("user", "create", "--name", "victim9")
    fresh.wait_for(lambda: len(raised(fresh, "deadly")) >= 7, 40)
    groups = [line["unmapped"]["dvara"]["alert"]["group"]["account"] for line in raised(fresh, "deadly")]
    assert sorted(groups) == [*(f"victim{number}" for number in range(6)), "victim9"]


def test_the_examples_of_the_documentation_run(users):
    text = (ROOT / "docs/search.md").read_text()
    lines = [line for block in re.findall(r"^```\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
             for line in block.splitlines() if line.startswith("dvara ")]
    assert len(lines) > 15
    for line in lines:
        done = users.dvara(*shlex.split(line)[1:])
        assert done.returncode == 0, line + done.stderr


def logged(control, query):
    """The one event that a search finds, once it is there."""
    return wait_for(control, query)[0]


def test_a_line_of_a_mebibyte_is_kept_whole(control):
    port = free_port()
    token = "a-token-of-some-length"
    config = control.folder / "collect.yaml"
    (control.runtime / "collect").mkdir()
    config.write_text(json.dumps({"audit": {"collect_keep_free": "1MiB", "collect": [
        {"type": "http", "listen": f"127.0.0.1:{port}", "name": "app",
         "token_sha256": hashlib.sha256(token.encode()).hexdigest()}]}}))
    control.start("dvara-collect", "--config", config)
    status = control.runtime / "collect" / "status"
    control.wait_for(status.exists)

    def send(body):
        subprocess.run(["curl", "-sSf", "-o", "/dev/null", "-H", f"Authorization: Bearer {token}", "-H", "Content-Type: application/x-ndjson",
                        "--data-binary", "@-", f"http://127.0.0.1:{port}/"], input=body, check=True, timeout=20)

    def raw(index):
        done = subprocess.run([control.program, "audit", "show", str(index), "--raw"], capture_output=True, check=False, timeout=20,
                              env={**KEPT, "DVARA_STATE": str(control.state)})
        return done.stdout if done.returncode == 0 else done.stderr.decode()

    start, end = b'{"tag": "mebibyte", "padding": "', b'"}'
    exact = start + b"e" * ((1 << 20) - len(start) - len(end)) + end
    over = exact.replace(b"mebibyte", b"longer12") + b" "
    send(exact)
    event = logged(control, "mebibyte event:collected.*")
    send(over)
    longer = logged(control, "longer12 event:collected.*")
    assert event["raw_data_size"] == 1 << 20 and len(event["raw_data"]) < 20000 and event["metadata"]["is_truncated"]
    assert event["raw_data_hash"]["value"] == hashlib.sha256(exact).hexdigest()
    blob = event["unmapped"]["dvara"]["blob"]
    assert blob["size"] == 1 << 20 and blob["key"].startswith("~1.")
    assert raw(event["index"]) == exact and raw(longer["index"])[:1 << 20] == over[:1 << 20]
    shown = control.json("audit", "show", str(event["index"]))
    assert shown["line"]["state"] == "whole" and shown["line"]["text"] == exact.decode()
    assert "mebibyte" in control.dvara("audit", "show", str(event["index"])).stdout
    inputs = json.loads(status.read_text())["inputs"][0]
    control.wait_for(lambda: json.loads(status.read_text())["inputs"][0]["large"] == 2, 10)
    assert inputs["lost"] == 0
    report = control.json("audit", "verify")
    assert report["ok"] and report["large_fields"] == 2
    assert not [name for name in os.listdir(control.state / "spool") if name.endswith(".blob")]
    day = datetime.datetime.fromtimestamp(event["time"] / 1000, datetime.timezone.utc).strftime("%Y-%m-%d")
    assert control.dvara("audit", "erase", "--subject", f'Day::"{day}"', "--yes").returncode == 0
    assert "erased" in raw(event["index"])
    assert control.json("audit", "show", str(event["index"]))["raw_data"] == "(erased)"
    assert control.json("audit", "verify")["ok"]
    control.stop("dvara-collect")
