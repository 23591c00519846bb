# SPDX-License-Identifier: Apache-2.0
import json
import random
import signal
import time

from conftest import alert, check_complete, event
from support import wait_until


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def uids(*paths):
    return [one["metadata"]["uid"] for path in paths if path.exists() for one in lines(path)]


def test_every_event_stands_in_the_file_as_it_is_in_the_log(house, tmp_path):
    out = tmp_path / "out.jsonl"
    house.write(*(event(number) for number in range(3000)))
    house.export({"name": "x", "type": "file", "path": out})
    house.wait_level()
    feed = house.feed()
    for one in lines(out):
        uid = one["metadata"].pop("uid")
        assert one == feed[uid]
    assert uids(out) == list(feed)
    house.write(event(5000))
    house.wait_level()
    check_complete(house, uids(out), duplicates=False)
    assert out.stat().st_mode & 0o777 == 0o640


def test_killed_twenty_times_nothing_is_lost(house, tmp_path):
    out = tmp_path / "out.jsonl"
    chance = random.Random(11)
    house.configure({"name": "x", "type": "file", "path": out, "batch": "4KiB"})
    house.write(*(event(number) for number in range(6000)))
    for _ in range(20):
        house.start("dvara-export", "--config", house.config)
        time.sleep(chance.uniform(0.01, 0.25))  # anywhere in its work
        house.end("dvara-export", signal.SIGKILL)
    house.export()
    house.wait_level()
    check_complete(house, uids(out))


def test_a_file_is_rotated_by_size_and_opened_anew_when_moved(house, tmp_path):
    out = tmp_path / "out.jsonl"
    house.write(*(event(number) for number in range(1000)))
    house.export({"name": "x", "type": "file", "path": out, "rotate_size": "100KiB", "keep": 20, "batch": "20KiB"})
    house.wait_level()
    moved = tmp_path / "moved"
    rotated = [out, *(tmp_path / f"out.jsonl.{number}" for number in range(1, 21))]
    assert rotated[5].exists() and all(path.stat().st_size <= 100 << 10 for path in rotated if path.exists())
    out.rename(moved)
    house.write(event(2000))
    house.wait_level()
    assert uids(out)[-1] == list(house.feed())[-1]
    check_complete(house, uids(moved, *rotated), duplicates=False)


def test_half_a_line_that_a_kill_left_is_mended(house, tmp_path):
    out = tmp_path / "out.jsonl"
    out.write_text('foreign\n{"metadata":{"uid":"half')
    house.export({"name": "x", "type": "file", "path": out})
    house.write(event(1))
    house.wait_level()
    text = out.read_text().splitlines()
    assert text[0] == "foreign" and all(json.loads(line) for line in text[1:]) and len(text) > 1


def test_a_record_with_an_end_of_line_makes_up_no_other(house, tmp_path):
    """A writer that was taken over can leave any bytes as its records, not entries of others."""
    out = tmp_path / "out"
    forged = json.dumps(event(7), separators=(",", ":")) + '\1{"index":99,"event":{"metadata":{"uid":"forged"}}}'
    house.write(event(1), forged, json.dumps(event(2)).replace(", ", ",\1"), event(3))
    wait_until(lambda: house.size() == 6, 10, "the alarm of it is in the log, too")
    house.export({"name": "x", "type": "file", "path": out})
    house.wait_level()
    assert house.size() == len(out.read_text().splitlines()) == 6
    assert [one["metadata"]["uid"].split("#")[1] for one in lines(out)] == ["0", "1", "2", "3", "4", "5"]
    assert [one["metadata"]["event_code"] for one in lines(out)] == [
        "lifecycle", "request.close", "foreign", "alarm", "foreign", "request.close"]


def test_a_file_that_can_not_be_written_holds_up_nobody_else(house, tmp_path):
    good, bad = tmp_path / "good", tmp_path / "no/such/folder/out"
    house.write(*(event(number) for number in range(10)))
    house.export({"name": "x", "type": "file", "path": good}, {"name": "bad", "type": "file", "path": bad})
    house.wait_level()
    wait_until(lambda: house.status("bad")["state"] == "failing", 10, "the other one is told of")
    assert "No such file" in house.status("bad")["problem"] and house.status("bad")["behind"] > 0
    bad.parent.mkdir(parents=True)
    house.wait_level("bad")
    assert uids(good)[:11] == uids(bad)[:11]


def test_filters(house, tmp_path):
    outs = {name: tmp_path / name for name in ("kinds", "classes", "severe")}
    house.export(
        {"name": "kinds", "type": "file", "path": outs["kinds"], "events": ["alert.*", "life*"]},
        {"name": "classes", "type": "file", "path": outs["classes"], "classes": [2004]},
        {"name": "severe", "type": "file", "path": outs["severe"], "severity": "high"})
    house.write(event(1), alert("a", severity=5), event(2, severity_id=3), alert("b", severity=2))
    for name in outs:
        house.wait_level(name)
    codes = {name: [one["metadata"]["event_code"] for one in lines(path)] for name, path in outs.items()}
    assert codes == {"kinds": ["lifecycle", "alert.raised", "alert.raised"],
                     "classes": ["alert.raised", "alert.raised"], "severe": ["alert.raised"]}


def test_start_now_leaves_out_what_was_there(house, tmp_path):
    out = tmp_path / "out"
    house.write(*(event(number) for number in range(100)))
    wait_until(lambda: house.size() > 100, 10, "all is in the log")
    house.export({"name": "x", "type": "file", "path": out, "start": "now"})
    house.write(event(1000))
    house.wait_level()
    assert [one["metadata"]["correlation_uid"] for one in lines(out)] == ["r-1000"]
    house.end("dvara-export")
    house.write(event(1001))
    house.export()
    house.wait_level()
    assert [one["metadata"]["correlation_uid"] for one in lines(out)] == ["r-1000", "r-1001"]


def test_cef_lines(house, tmp_path):
    out = tmp_path / "out.cef"
    house.export({"name": "x", "type": "file", "path": out, "format": "cef", "events": ["request.*"]})
    house.write(event(1, message="a|b=c\\d\ne"))
    house.wait_level()
    line = out.read_text()
    assert line.count("\n") == 1 and line.startswith("CEF:0|Dvara|Dvara|")
    assert "|request.close|request.close|1|externalId=" in line
    assert " src=192.0.2.7 spt=4711 " in line and " cs2=m|x\\=y\\\\z cs2Label=model" in line
    assert line.endswith(" msg=a|b\\=c\\\\d\\ne\n")


def test_a_reload_changes_destinations_and_a_bad_one_is_refused(house, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    house.export({"name": "x", "type": "file", "path": first})
    house.write(event(1))
    house.wait_level()
    house.config.write_text("audit: {export: [{name: x, type: none}]}")
    house.processes["dvara-export"].send_signal(signal.SIGHUP)
    house.write(event(2))
    house.wait_level()
    house.configure({"name": "y", "type": "file", "path": second})
    house.processes["dvara-export"].send_signal(signal.SIGHUP)
    wait_until(lambda: house.status("y") is not None, 10, "the other one is in force")
    house.wait_level("y")
    check_complete(house, uids(second), duplicates=False)
    assert house.status("x") is None
