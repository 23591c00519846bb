# SPDX-License-Identifier: Apache-2.0
"""dvara-export under `dvara up`, and `dvara audit export`."""
import csv
import json
import os
import urllib.request

import pytest

from conftest import wait_until


def exports(dvara):
    return {one["name"]: one for one in dvara.json("audit", "exports")["destinations"]}


def created(text):
    """Lines that tell of a user who was made."""
    return [number for number, line in enumerate(text.splitlines())
            if json.loads(line).get("api", {}).get("operation") == "user_create"]


def metrics(dvara):
    with urllib.request.urlopen(f"{dvara.admin}/metrics", timeout=10) as answer:
        return dict(line.rsplit(" ", 1) for line in answer.read().decode().splitlines() if not line.startswith("#"))


@pytest.fixture
def folder(make):
    """One that dvara-export may write to, whoever it is."""
    dvara = make()
    out = dvara.folder / "out"
    out.mkdir()
    out.chmod(0o777)
    return dvara, out


def test_events_are_exported_and_the_way_is_shown(folder):
    dvara, out = folder
    dvara.configure(f"audit:\n  export:\n    - {{name: archive, type: file, path: {out}/events.jsonl}}\n"
                    "    - {name: down, type: syslog, url: 'tcp://127.0.0.1:9'}\n")
    dvara.up()
    dvara.good("user", "create", "--name", "bob")
    wait_until(lambda: exports(dvara).get("archive", {}).get("sent", 0) > 0, 15, "events are sent")
    wait_until(lambda: any(json.loads(line).get("api", {}).get("operation") == "user_create"
                           for line in (out / "events.jsonl").read_text().splitlines()), 15, "it is in the file")
    down = exports(dvara)["down"]
    assert down["state"] == "failing" and down["behind"] > 0 and down["problem"]
    table = dvara.good("audit", "exports")
    assert table.splitlines()[0].split()[:4] == ["NAME", "TYPE", "LOG", "STATE"] and "archive" in table
    seen = metrics(dvara)
    assert seen['dvara_export_up{destination="archive",log="main"}'] == "1"
    assert seen['dvara_export_up{destination="down",log="main"}'] == "0"
    assert int(seen['dvara_export_sent_total{destination="archive",log="main"}']) > 0
    assert int(seen['dvara_export_behind_events{destination="down",log="main"}']) > 0
    if os.geteuid() == 0:
        assert os.stat(out / "events.jsonl").st_uid != 0
    dvara.configure("workers: auto\n")
    dvara.good("reload")
    wait_until(lambda: not dvara.json("audit", "exports")["running"], 10, "it ended")


@pytest.mark.parametrize("entry, said", [
    ("{name: x, type: none}", "syslog, otlp"),
    ("{name: x, type: file}", "lacks 'path'"),
    ("{name: x, type: otlp, url: 'http://192.0.2.1/v1/logs'}", "unencrypted"),
    ("{name: x, type: otlp, url: 'https://a:b@host/'}", "keys of their own"),
    ("{name: x, type: file, path: /tmp/x, pasword: y}", "pasword"),
    ("{name: x, type: syslog, url: 'tls://h:1', table: t}", "has no 'table'"),
    ("{name: x, type: email, url: 'smtps://h', from: a@b, to: [nobody]}", "no mail address"),
])
def test_a_wrong_entry_is_refused_with_its_line(folder, entry, said):
    dvara, _ = folder
    dvara.configure(f"audit:\n  export:\n    - {entry}\n")
    refused = dvara.refused("config", "check", str(dvara.config))
    assert said in refused and ":3:" in refused


def test_the_log_as_a_file(folder):
    dvara, out = folder
    dvara.up()
    for number in range(3):
        dvara.good("user", "create", "--name", f"user{number}")
    wait_until(lambda: len(created(dvara.good("audit", "tail", "--last", "100", "--output", "jsonl"))) == 3, 10,
               "all are in the log")
    told = dvara.run("audit", "export", "--file", out / "all.jsonl").stderr
    lines = [json.loads(line) for line in (out / "all.jsonl").read_text().splitlines()]
    origin = dvara.json("audit", "status")["origin"]
    assert [one["metadata"]["uid"] for one in lines] == [f"{origin}#{index}" for index in range(len(lines))]
    assert f"{len(lines)} events" in told and "when" not in lines[0] and lines[0]["metadata"]["event_code"] == "lifecycle"
    places = created((out / "all.jsonl").read_text())
    middle = lines[places[1]]
    part = dvara.good("audit", "export", "--from", places[1], "--to", places[1] + 1)
    assert json.loads(part)["metadata"]["uid"] == middle["metadata"]["uid"]
    since = dvara.good("audit", "export", "--format", "cef", "--from", "2020-01-01T00:00:00Z", "--to", places[0] + 1)
    assert len(since.splitlines()) == places[0] + 1 and all(line.startswith("CEF:0|") for line in since.splitlines())
    assert dvara.good("audit", "export", "--from", "2099-01-01T00:00:00Z") == ""
    rows = list(csv.DictReader(dvara.good("audit", "export", "--format", "csv").splitlines()))
    assert rows[places[0]]["event"] == "control.call" and rows[places[0]]["index"] == str(places[0])
    assert "is an index such as" in dvara.refused("audit", "export", "--from", "yesterday")
    assert not list(out.glob("*.part"))
