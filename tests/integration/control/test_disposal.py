# SPDX-License-Identifier: Apache-2.0
"""`data_retention:` and `dvara data disposal`: files go when their time is over, only as they were scanned, and a
certificate that the log knows of says so, whoever is killed meanwhile."""
import hashlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import time

import pytest
from support import shows_card, wait_until

CARDS = "name,card_number\n" + "a,4111 1111 1111 1111\n" * 30
MAIL = "Dear bob@example.com"
OLD = 400 * 86400

CONFIG = """data_retention:
  words: {labels: [archive]}
  rules:
    - {name: cards, labels: [pci-dss], keep: 30d}
    - {name: mails, of: files, categories: [personal], keep: 90d, unowned: true}
    - {name: archives, labels: [archive], keep: forever}
    - {name: backups, sources: ["file://%(host)s%(folder)s/backups"], keep: 365d, unowned: true, unread: true}
  holds:
    - {name: case-7, sources: ["file://%(host)s%(folder)s/court"], reason: the court asked for it}
"""


class Share:
    """Files of a source, all old enough to go."""

    def __init__(self, folder):
        self.folder = folder
        self.source = f"file://{os.uname().nodename}{folder}"

    def write(self, name, content, age=OLD):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        self.age(name, age)
        return path

    def age(self, name, age=OLD):
        then = time.time() - age
        os.utime(self.folder / name, (then, then))

    def left(self):
        return sorted(str(p.relative_to(self.folder)) for p in self.folder.rglob("*") if p.is_file())


def scan(control, share):
    """Until every file is known again: one that changed in the last two seconds is not."""
    def known():
        done = control.dvara("data", "scan", str(share.folder), "--save")
        assert done.returncode == 0, done.stderr
        rows = control.json("data", "disposal", "plan", "--source", share.source)["items"]
        return all("scan it again" not in row["why"] for row in rows)
    wait_until(known, 30, "scans know all files again")


def plan(control, *flags):
    return {row["name"]: row for row in control.json("data", "disposal", "plan", *flags)["items"]}


def own(control, name, *flags):
    """Gives a file an owner, or what else is said."""
    for row in control.json("data", "asset", "list")["items"]:
        if row["name"] == name:
            control.json("data", "asset", "update", row["id"], *(flags or ("--owner", "alice")))


def run(control, share, *flags, status=0):
    done = control.dvara("data", "disposal", "run", "--source", share.source, "--yes", "--output", "json", *flags)
    assert done.returncode == status, done.stderr
    return json.loads(done.stdout)["items"]


def certificate(control, run_id, folder):
    file = folder / f"{run_id}.json"
    done = control.dvara("data", "disposal", "certificate", run_id, "--out", str(file))
    assert done.returncode == 0, done.stderr
    return file


def verify(control, file, *flags):
    key = control.json("audit", "checkpoint")["vkey"]
    return control.dvara("data", "disposal", "verify", str(file), "--output", "json", *(flags or ("--key", key)))


@pytest.fixture(name="share")
def make_share(fresh, tmp_path):
    folder = tmp_path / "share"
    folder.mkdir()
    fresh.config.write_text(CONFIG % {"host": os.uname().nodename, "folder": folder})
    fresh.start_all()
    return Share(folder)


def test_what_is_due_goes_and_the_rest_is_told_with_its_reason(fresh, share, tmp_path):
    share.write("old.csv", CARDS)
    share.write("mail.txt", MAIL)
    share.write("young.txt", MAIL, age=80 * 86400)
    share.write("nobody.csv", CARDS)
    share.write("court/cards.csv", CARDS)
    share.write("kept.csv", CARDS)
    share.write("plain.txt", "nothing at all")
    share.write("archived.csv", CARDS)
    scan(fresh, share)
    own(fresh, "old.csv")
    own(fresh, "court/cards.csv")
    own(fresh, "kept.csv", "--owner", "alice", "--labels", "pci-dss,keep")
    own(fresh, "archived.csv", "--owner", "alice", "--labels", "pci-dss,archive")
    rows = plan(fresh)
    assert {n: (r["status"], r["rule"], r["why"]) for n, r in rows.items()} == {
        "old.csv": ("due", "cards", ""), "mail.txt": ("due", "mails", ""),
        "nobody.csv": ("waits", "cards", "nobody owns it"),
        "court/cards.csv": ("waits", "cards", "the hold case-7 keeps it"),
        "kept.csv": ("waits", "cards", "its label keep keeps it")}
    assert rows["old.csv"]["age_days"] == 400
    later = plan(fresh, "--status", "later")
    assert {n: r["rule"] for n, r in later.items()} == {"young.txt": "mails", "archived.csv": "archives"}
    assert later["archived.csv"]["due"] is None
    before = share.left()
    dry = fresh.json("data", "disposal", "run", "--source", share.source, "--dry-run")["items"]
    assert {(r["name"], r["would"]) for r in dry} == {("old.csv", "destroy"), ("mail.txt", "destroy")}
    assert share.left() == before and fresh.json("data", "disposal", "list")["items"] == []
    done = run(fresh, share)
    assert [(r["files"], r["destroyed"], r["state"]) for r in done] == [(2, 2, "finished")]
    assert share.left() == sorted(set(before) - {"old.csv", "mail.txt"})
    assert set(plan(fresh)) == {"nobody.csv", "court/cards.csv", "kept.csv"}
    assert run(fresh, share) == []  # nothing more
    text = json.loads(certificate(fresh, done[0]["id"], tmp_path).read_text())
    assert text["ordered_by"].startswith("Local::") and text["destroyed"] == 2
    assert {i["name"]: (i["outcome"], i["rule"], i["method"], i["sha256"]) for i in text["items"]} == {
        "old.csv": ("destroyed", "cards", "unlink", hashlib.sha256(CARDS.encode()).hexdigest()),
        "mail.txt": ("destroyed", "mails", "unlink", hashlib.sha256(MAIL.encode()).hexdigest())}
    assert {r["name"]: r["keep"] for r in text["rules"]} == {"cards": "30d", "mails": "90d"}
    assert "overwritten" in text["method"]


def test_a_certificate_is_proved_by_the_log_and_by_nothing_else(fresh, share, tmp_path):
    share.write("mail.txt", MAIL)
    scan(fresh, share)
    done = run(fresh, share)
    file = certificate(fresh, done[0]["id"], tmp_path)
    result = verify(fresh, file)
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert (report["result"], report["certificate"], report["destroyed"]) == ("ok", done[0]["id"], 1)
    assert report["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest() == done[0]["sha256"]
    # What a stranger without Dvara sees: the hash stands in the event, not sealed.
    event = json.loads(pathlib.Path(f"{file}.event").read_text())
    assert (event["class_uid"], event["metadata"]["event_code"]) == (3004, "data.disposal")
    assert event["unmapped"]["dvara"]["sha256"] == report["sha256"] and event["entity"]["uid"] == done[0]["id"]
    good = file.read_text()
    file.write_text(good.replace("mail.txt", "male.txt"))
    result = verify(fresh, file)
    assert result.returncode == 1 and "changed" in result.stderr and json.loads(result.stdout)["result"] == "failed"
    file.write_text(good)
    proof = pathlib.Path(f"{file}.event")
    proof.write_text(proof.read_text().replace('"success"', '"Success"').replace('"type":"cert', '"type":"Cert'))
    assert verify(fresh, file).returncode == 1
    shutil.copy(file, tmp_path / "alone.json")
    assert verify(fresh, tmp_path / "alone.json").returncode == 1  # there is no proof
    assert fresh.dvara("data", "disposal", "verify", str(file)).returncode == 1  # whom to believe?
    proof.unlink()
    assert verify(fresh, certificate(fresh, done[0]["id"], tmp_path)).returncode == 0  # fetched again
    file.write_text("something else")
    again = fresh.dvara("data", "disposal", "certificate", done[0]["id"], "--out", str(file))
    assert again.returncode == 1 and file.read_text() == "something else"  # nothing is written over


def test_what_is_not_as_it_was_scanned_stays(fresh, share, tmp_path):
    for name in ("same.txt", "written.txt", "touched.txt", "swapped.txt", "linked.txt", "linkto.txt", "deep/in.txt",
                 "moved.txt"):
        share.write(name, MAIL)
    outside = tmp_path / "outside.txt"
    outside.write_text(MAIL)
    (tmp_path / "away").mkdir()
    os.link(share.folder / "linked.txt", tmp_path / "other-name.txt")
    scan(fresh, share)
    share.write("written.txt", MAIL.replace("bob", "sue"))  # same size, same time
    os.utime(share.folder / "touched.txt")
    (share.folder / "swapped.txt").unlink()
    (share.folder / "swapped.txt").symlink_to(outside)
    (share.folder / "linkto.txt").unlink()
    (share.folder / "deep").rename(tmp_path / "away" / "deep")
    (share.folder / "deep").symlink_to(tmp_path / "away" / "deep")
    (share.folder / "moved.txt").rename(share.folder / "renamed.txt")
    done = run(fresh, share, status=1)
    assert [(r["files"], r["destroyed"]) for r in done] == [(8, 1)]
    assert set(share.left()) == {"written.txt", "touched.txt", "linked.txt", "renamed.txt", "swapped.txt"}
    assert outside.exists() and (tmp_path / "away" / "deep" / "in.txt").exists()
    text = json.loads(certificate(fresh, done[0]["id"], tmp_path).read_text())
    assert {i["name"]: i["outcome"] for i in text["items"]} == {
        "same.txt": "destroyed", "written.txt": "changed", "touched.txt": "changed", "swapped.txt": "changed",
        "linked.txt": "linked", "linkto.txt": "missing", "deep/in.txt": "changed", "moved.txt": "missing"}
    assert text["outcomes"] == {"destroyed": 1, "changed": 4, "linked": 1, "missing": 2}
    assert run(fresh, share) == []  # they wait for a scan, and no run gets stuck with them
    assert {r["why"] for r in plan(fresh).values()} == {"it is not known as it is now: scan it again"}


def test_what_changed_its_standing_since_the_plan_stays(fresh, share):
    """A hold, a label or an owner that comes between the plan and the removal counts."""
    share.write("a.txt", MAIL)
    share.write("b.txt", MAIL)
    share.write("c.txt", MAIL)
    scan(fresh, share)
    key = fresh.key_of("officer", "dispose_data")
    begun = fresh.curl("/v1/data/disposal/runs", key=key["secret"], body={"source": share.source}).json
    assert begun["files"] == 3 and begun["state"] == "running"
    own(fresh, "a.txt", "--labels", "keep")
    hold = f"    - {{name: new, sources: [\"{share.source}/b.txt\"]}}\n"
    fresh.config.write_text(fresh.config.read_text() + hold)
    fresh.processes["dvarad"].send_signal(signal.SIGHUP)
    wait_until(lambda: plan(fresh)["b.txt"]["why"] == "the hold new keeps it", 20, "the hold is in force")
    assert run(fresh, share, status=1)[0]["destroyed"] == 1
    assert share.left() == ["a.txt", "b.txt"]


def test_nothing_is_removed_without_a_yes_a_permission_and_what_was_told_before(fresh, share):
    share.write("a.txt", MAIL)
    scan(fresh, share)
    asked = fresh.dvara("data", "disposal", "run", "--source", share.source)
    assert asked.returncode == 1 and "1 files" in asked.stderr and "--yes" in asked.stderr
    viewer = fresh.key_of("viewer", "view_data")["secret"]
    assert fresh.curl("/v1/data/disposal/plan", key=viewer).status == 200
    assert fresh.curl("/v1/data/disposal/runs", key=viewer, body={"source": share.source}).status == 403
    key = fresh.key_of("officer", "dispose_data")["secret"]
    begun = fresh.curl("/v1/data/disposal/runs", key=key, body={"source": share.source}).json
    files = f"/v1/data/disposal/runs/{begun['id']}/files"
    skipped = fresh.curl(files, key=key, body={"items": [{"n": 0, "state": "destroyed"}]})
    assert skipped.status == 409 and "planned" in skipped.error["message"]
    bare = fresh.curl(files, key=key, body={"items": [{"n": 0, "state": "ready"}]})
    assert bare.status == 400
    early = fresh.curl(f"/v1/data/disposal/runs/{begun['id']}/finish", key=key, body={})
    assert early.status == 409 and "1 files" in early.error["message"]
    none = fresh.curl(f"/v1/data/disposal/certificates/{begun['id']}", key=viewer)
    assert none.status == 409
    given_up = fresh.json("data", "disposal", "finish", begun["id"], "--abandon")
    assert (given_up["state"], given_up["destroyed"]) == ("finished", 0)
    assert share.left() == ["a.txt"] and run(fresh, share)[0]["destroyed"] == 1


def test_certificates_hold_no_personal_value(fresh, share, tmp_path):
    share.write("letters/bob@example.com.txt", MAIL)
    share.write("card_4111111111111111_x.txt", MAIL)
    share.write("\u00fcber-sue@example.org-\u00df.txt", MAIL)
    scan(fresh, share)
    done = run(fresh, share)
    file = certificate(fresh, done[0]["id"], tmp_path)
    text = file.read_text()
    assert "bob@" not in text and not shows_card(text) and "sue@" not in text
    assert len({i["asset"] for i in json.loads(text)["items"]}) == 3 and '"letters/***@' in text
    log = fresh.dvara("audit", "tail", "--from", "0", "--output", "jsonl").stdout
    assert "bob@example" not in log


def test_the_same_file_in_another_source_keeps_it(fresh, share):
    share.write("sub/a.txt", MAIL)
    scan(fresh, share)
    inner = Share(share.folder / "sub")
    scan(fresh, inner)
    twin = [r for r in fresh.json("data", "asset", "list", "--source", inner.source)["items"]][0]
    fresh.json("data", "asset", "update", twin["id"], "--labels", "keep")
    assert run(fresh, share) == [] and share.left() == ["sub/a.txt"]
    assert "in another source" in plan(fresh, "--source", share.source)["sub/a.txt"]["why"]


def test_a_root_elsewhere_and_a_source_of_one_file(fresh, share, tmp_path):
    share.write("one.txt", MAIL)
    single = Share(share.folder / "one.txt")
    done = fresh.dvara("data", "scan", str(share.folder), "--save", "--source", "nfs://filer/share")
    assert done.returncode == 0, done.stderr
    scan(fresh, single)
    wait_until(lambda: fresh.dvara("data", "scan", str(share.folder), "--save", "--source", "nfs://filer/share")
               .returncode == 0 and all(r["status"] == "due" for r in plan(fresh).values()), 20, "all is due")
    lost = fresh.dvara("data", "disposal", "run", "--source", "nfs://filer/share", "--yes")
    assert lost.returncode == 1 and "--root" in lost.stderr
    elsewhere = Share(share.folder)
    elsewhere.source = "nfs://filer/share"
    assert run(fresh, elsewhere, "--root", str(tmp_path), status=1)[0]["destroyed"] == 0  # not there
    assert run(fresh, single)[0]["destroyed"] == 1 and share.left() == []


def test_odd_files_wait(fresh, share):
    """A time that no clock tells, and a name that is no text."""
    share.write("far.txt", MAIL)
    share.write("ancient.txt", MAIL)
    os.utime(share.folder / "far.txt", (9223372000, 9223372000))
    os.utime(share.folder / "ancient.txt", (-5, -5))
    odd = os.path.join(os.fsencode(share.folder), b"a\xff.txt")
    with open(odd, "w", encoding="utf-8") as file:
        file.write(MAIL)
    os.utime(odd, (1000, 1000))
    wait_until(lambda: time.time() - os.stat(odd).st_ctime > 2.1, 20, "they are old enough to be told apart")
    done = fresh.dvara("data", "scan", str(share.folder), "--save")
    assert done.returncode == 0, done.stderr
    assert run(fresh, share) == [] and len(os.listdir(share.folder)) == 3
    assert {r["why"] for r in plan(fresh).values()} == {"it is not known as it is now: scan it again"}


def test_archives_of_dvara_in_a_folder(fresh, share, tmp_path):
    """What can't be read in full goes only by a rule that says so."""
    fresh.json("user", "create", "--name", "bob")
    fresh.wait_for(lambda: fresh.json("audit", "search", "event:account.change")["items"])
    fresh.json("audit", "archive", "--output-dir", share.folder / "backups")
    (share.folder / "broken.csv.gz").write_bytes(b"\x1f\x8b\x08" + b"bob@example.com " * 30)
    names = share.left()
    assert len(names) > 1
    for name in names:
        share.age(name)
    scan(fresh, share)
    own(fresh, "broken.csv.gz", "--owner", "alice", "--categories", "personal")
    assert plan(fresh)["broken.csv.gz"]["why"] == "not all of it was read: somebody has to label it"
    done = fresh.json("data", "disposal", "run", "--yes")["items"]  # all sources of this machine
    assert [(r["files"], r["destroyed"]) for r in done] == [(len(names) - 1, len(names) - 1)]
    assert share.left() == ["broken.csv.gz"]
    assert verify(fresh, certificate(fresh, done[0]["id"], tmp_path)).returncode == 0


def test_a_source_that_is_away_keeps_no_other_from_its_turn(fresh, share, tmp_path):
    share.write("a.txt", MAIL)
    scan(fresh, share)
    away = Share(tmp_path / "away")
    away.write("b.txt", MAIL)
    scan(fresh, away)
    key = fresh.key_of("officer", "dispose_data")["secret"]
    for source in share.source, away.source:
        assert fresh.curl("/v1/data/disposal/runs", key=key, body={"source": source}).json["files"] == 1
    away.folder.rename(tmp_path / "moved")
    done = fresh.dvara("data", "disposal", "run", "--yes")
    assert done.returncode == 1 and str(away.folder) in done.stderr
    assert share.left() == [] and (tmp_path / "moved" / "b.txt").exists()
    assert {(r["source"], r["state"]) for r in fresh.json("data", "disposal", "list")["items"]} == {
        (share.source, "finished"), (away.source, "running")}


def test_the_files_of_a_run_come_in_pages(fresh, share):
    for name in "abc":
        share.write(f"{name}.txt", MAIL)
    scan(fresh, share)
    key = fresh.key_of("officer", "dispose_data")["secret"]
    run_id = fresh.curl("/v1/data/disposal/runs", key=key, body={"source": share.source}).json["id"]
    files = f"/v1/data/disposal/runs/{run_id}/files?limit=2"
    first = fresh.curl(files, key=key).json
    second = fresh.curl(f"{files}&cursor={first['next']}", key=key).json
    assert [i["n"] for i in first["items"] + second["items"]] == [0, 1, 2]


def test_a_kill_right_at_the_removal(fresh, share, tmp_path):
    """Each state in which the command may have died, made by hand: removed and not told, renamed, renamed and then
    held."""
    for name in "abc":
        share.write(f"{name}.txt", MAIL)
    scan(fresh, share)
    key = fresh.key_of("officer", "dispose_data")["secret"]
    run_id = fresh.curl("/v1/data/disposal/runs", key=key, body={"source": share.source}).json["id"]
    files = f"/v1/data/disposal/runs/{run_id}/files"
    numbers = {i["name"]: i["n"] for i in fresh.curl(files, key=key).json["items"]}
    digest = hashlib.sha256(MAIL.encode()).hexdigest()
    told = fresh.curl(files, key=key, body={"items": [{"n": n, "state": "ready", "sha256": digest} for n in range(3)]})
    assert {i["state"] for i in told.json["items"]} == {"ready"}
    other = fresh.curl(files, key=key, body={"items": [{"n": 0, "state": "ready", "sha256": digest[::-1]}]})
    assert other.status == 409
    (share.folder / "a.txt").unlink()
    for name in "bc":
        (share.folder / f"{name}.txt").rename(share.folder / f".dvara-disposal-{run_id}-{numbers[f'{name}.txt']}")
    own(fresh, "c.txt", "--labels", "keep")
    time.sleep(2.5)  # so that they are known by the names that the run gave them
    assert fresh.dvara("data", "scan", str(share.folder), "--save").returncode == 0  # which finds none by its own
    done = run(fresh, share, status=1)
    assert [(r["id"], r["files"], r["destroyed"]) for r in done] == [(run_id, 3, 1)]
    assert share.left() == ["c.txt"] and (share.folder / "c.txt").read_text() == MAIL
    text = json.loads(certificate(fresh, run_id, tmp_path).read_text())
    assert {i["name"]: (i["outcome"], i["sha256"]) for i in text["items"]} == {
        "a.txt": ("gone", digest), "b.txt": ("destroyed", digest), "c.txt": ("kept", digest)}
    assert text["destroyed"] == 1 and "interrupted" in json.dumps(text)


def start_run(control, share):
    return subprocess.Popen(
        [control.program, "data", "disposal", "run", "--source", share.source, "--yes", "--state", control.state],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def test_kills_lose_no_certificate_and_claim_nothing(fresh, share, tmp_path):
    """The command and dvarad are killed again and again; whatever is gone is in a certificate once, with the hash of
    what was in it, and whatever is told as destroyed is gone."""
    hashes = {}
    for i in range(350):
        content = f"Dear bob{i}@example.com " + "x" * 2000
        share.write(f"d{i % 7}/f{i:03}.txt", content)
        hashes[f"d{i % 7}/f{i:03}.txt"] = hashlib.sha256(content.encode()).hexdigest()
    scan(fresh, share)
    kills = 0
    for target in range(300, 0, -30):
        process = start_run(fresh, share)
        wait_until(lambda: len(share.left()) <= target or process.poll() is not None, 60, f"{target} are left")
        if target % 60 == 0 and process.poll() is None:
            fresh.stop("dvarad", signal.SIGKILL)
            process.wait(timeout=30)
            fresh.start_dvarad()
        elif process.poll() is None:
            process.kill()
            process.wait(timeout=30)
            kills += 1
    assert kills > 0
    fresh.dvara("data", "disposal", "run", "--source", share.source, "--yes")
    told = {}
    for row in fresh.json("data", "disposal", "list")["items"]:
        assert row["state"] == "finished"
        file = certificate(fresh, row["id"], tmp_path)
        assert verify(fresh, file).returncode == 0
        for item in json.loads(file.read_text())["items"]:
            assert item["asset"] not in told
            told[item["asset"]] = item
    assert share.left() == []
    names = {row["id"]: row["name"] for row in fresh.json("data", "asset", "list", "--gone")["items"]}
    assert {names[asset] for asset in told} == set(hashes)
    assert {item["outcome"] for item in told.values()} <= {"destroyed", "gone"}
    for asset, item in told.items():
        assert item["sha256"] == hashes[names[asset]], item


def test_rules_are_checked_with_their_line(fresh):
    for text, message in (
            ("rules: [{name: a, labels: [pci-ds], keep: 30d}]", "did you mean pci-dss"),
            ("rules: [{name: a, categories: [persnal], keep: 30d}]", "did you mean personal"),
            ("rules: [{name: a, labels: [gdpr], keep: 30d, off: files}]", "off"),
            ("rules: [{name: a, keep: 30d}]", "says what it is for"),
            ("rules: [{name: a, labels: [gdpr]}]", "how long"),
            ("rules: [{name: a, labels: [gdpr], keep: 1h}]", "from 1d"),
            ("rules: [{name: a, labels: [gdpr], keep: 1d}, {name: a, labels: [gdpr], keep: 2d}]", "two rules"),
            ("holds: [{name: h, sources: [/srv/share]}]", "dvara data scans")):
        fresh.config.write_text(f"data_retention:\n  {text}\n")
        done = fresh.dvara("config", "check", str(fresh.config))
        assert done.returncode == 1 and message in done.stderr + done.stdout, done.stderr + done.stdout
        assert ":2:" in done.stderr + done.stdout


def set_rules(control, text, name):
    """Puts other rules into force; `name` is of one of them."""
    control.config.write_text("data_retention:\n" + text)
    control.processes["dvarad"].send_signal(signal.SIGHUP)
    wait_until(lambda: name in control.dvara("data", "disposal", "rules").stdout, 20, f"{name} is in force")


def test_no_place_is_told_where_names_are_hidden(fresh, share, tmp_path):
    """Neither by the source nor by the rule that a file went by."""
    set_rules(fresh, f"""  certificates: {{names: hidden}}
  rules:
    - {{name: letters, sources: ["{share.source}/bob@example.com"], keep: 30d, unowned: true}}
""", "letters")
    share.write("bob@example.com/a.txt", MAIL)
    scan(fresh, share)
    text = certificate(fresh, run(fresh, share)[0]["id"], tmp_path).read_text()
    host = share.source[:share.source.index("/", 7)]
    told = json.loads(text)
    assert "bob@" not in text and "share" not in text and told["source"] == host
    assert told["rules"][0]["sources"] == [host] and told["destroyed"] == 1


def test_values_in_the_places_of_rules_are_masked(fresh, share, tmp_path):
    set_rules(fresh, f"""  rules:
    - {{name: letters, sources: ["{share.source}/bob@example.com"], keep: 30d, unowned: true}}
""", "letters")
    share.write("bob@example.com/a.txt", MAIL)
    scan(fresh, share)
    text = certificate(fresh, run(fresh, share)[0]["id"], tmp_path).read_text()
    assert "bob@" not in text and "share/***@" in text


def test_holds_are_listed_with_the_places_that_hold_nothing(fresh, share):
    """A typing error in a hold would keep nothing, unseen."""
    share.write("legal/a.txt", MAIL)
    share.write("b.txt", MAIL)
    scan(fresh, share)
    set_rules(fresh, f"""  rules:
    - {{name: r, sources: ["{share.source}/legal/a.txt", "{share.source}/lega"], keep: 30d}}
  holds:
    - {{name: good, sources: ["{share.source}/legal", "{share.source}", "{share.source[:-6]}"]}}
    - {{name: typo, sources: ["{share.source}/Legal", "{share.source}x"]}}
""", "typo")
    rows = {row["name"]: row for row in fresh.json("data", "disposal", "rules")["items"]}
    assert (rows["good"]["keep"], rows["good"]["unknown_sources"]) == ("hold", [])
    assert rows["typo"]["unknown_sources"] == [f"{share.source}/Legal", f"{share.source}x"]
    assert rows["r"]["unknown_sources"] == [f"{share.source}/lega"]


def test_a_hold_under_another_name_of_the_same_file_keeps_it(fresh, share):
    share.write("a.txt", MAIL)
    share.write("b.txt", MAIL)
    scan(fresh, share)
    wait_until(lambda: fresh.dvara("data", "scan", str(share.folder), "--save", "--source", "nfs://filer/x").returncode
               == 0 and all(r["status"] == "due" for r in plan(fresh).values()), 20, "all is due")
    set_rules(fresh, """  rules:
    - {name: mails, categories: [personal], keep: 90d, unowned: true}
  holds:
    - {name: court, sources: ["nfs://filer/x/a.txt"]}
""", "court")
    assert run(fresh, share)[0]["destroyed"] == 1 and share.left() == ["a.txt"]


def test_a_time_that_the_stamp_does_not_have_makes_nothing_due(fresh, share):
    """Who may keep scans can't make a young file old."""
    path = share.write("young.txt", MAIL, age=86400)
    about = path.stat()
    stamp = f"{about.st_ino}.{about.st_size}.{about.st_mtime_ns}.{about.st_ctime_ns}"
    key = fresh.key_of("forger", "keep_data_scans")["secret"]
    row = {"name": "young.txt", "kind": "text", "sensitivity": "confidential", "confidence": 90,
           "categories": ["personal"], "stamp": stamp, "modified": "2001-01-01T00:00:00Z"}
    done = fresh.curl("/v1/data/scans", key=key, body={"source": share.source, "assets": [row], "last": True})
    assert done.status == 200, done.text
    assert plan(fresh)["young.txt"]["status"] == "waits"
    assert run(fresh, share) == [] and path.exists()


def ready_run(control, share, digest=hashlib.sha256(MAIL.encode()).hexdigest()):
    """A run whose files are all about to be removed: its id, and their numbers."""
    key = control.key_of("officer", "dispose_data")["secret"]
    begun = control.curl("/v1/data/disposal/runs", key=key, body={"source": share.source}).json
    files = f"/v1/data/disposal/runs/{begun['id']}/files"
    told = [{"n": n, "state": "ready", "sha256": digest} for n in range(begun["files"])]
    assert control.curl(files, key=key, body={"items": told}).status == 200
    return begun["id"], {i["name"]: i["n"] for i in control.curl(files, key=key).json["items"]}


def test_a_folder_that_is_not_mounted_loses_no_file(fresh, share, tmp_path):
    """What was about to go is not told as gone because its file system is."""
    share.write("a.txt", MAIL)
    scan(fresh, share)
    ready_run(fresh, share)
    share.folder.rename(tmp_path / "unmounted")
    share.folder.mkdir()
    done = fresh.dvara("data", "disposal", "run", "--source", share.source, "--yes")
    assert done.returncode == 1 and "is it mounted?" in done.stderr
    share.folder.rmdir()
    (tmp_path / "unmounted").rename(share.folder)
    assert run(fresh, share)[0]["destroyed"] == 1


def test_a_run_of_another_rule_is_not_gone_on_with(fresh, share):
    share.write("a.txt", MAIL)
    scan(fresh, share)
    ready_run(fresh, share)
    done = fresh.dvara("data", "disposal", "run", "--source", share.source, "--rule", "cards", "--yes")
    assert done.returncode == 1 and "--abandon" in done.stderr and share.left() == ["a.txt"]
    assert run(fresh, share, "--rule", "mails")[0]["destroyed"] == 1


def test_what_changed_under_our_name_gets_its_own_back(fresh, share):
    """Killed after the renaming; then somebody wrote into the file, and into another that was answered as kept."""
    share.write("a.txt", MAIL)
    share.write("b.txt", MAIL)
    scan(fresh, share)
    run_id, numbers = ready_run(fresh, share)
    for name, number in numbers.items():
        (share.folder / name).rename(share.folder / f".dvara-disposal-{run_id}-{number}")
    (share.folder / f".dvara-disposal-{run_id}-{numbers['a.txt']}").write_text("something that matters")
    own(fresh, "b.txt", "--labels", "keep")
    key = fresh.key_of("other", "dispose_data")["secret"]
    told = fresh.curl(f"/v1/data/disposal/runs/{run_id}/files", key=key, body={"items": [
        {"n": numbers["b.txt"], "state": "ready", "sha256": hashlib.sha256(MAIL.encode()).hexdigest()}]})
    assert told.json["items"][0]["state"] == "kept"
    assert run(fresh, share, status=1)[0]["destroyed"] == 0
    assert share.left() == ["a.txt", "b.txt"]
    assert (share.folder / "a.txt").read_text() == "something that matters"


def test_a_dry_run_tells_which_source_is_not_to_be_reached(fresh, share, tmp_path):
    (tmp_path / "other").mkdir()
    other = Share(tmp_path / "other")
    share.write("a.txt", MAIL)
    other.write("b.txt", MAIL)
    scan(fresh, share)
    scan(fresh, other)
    share.folder.rename(tmp_path / "away")
    share.folder.symlink_to(tmp_path / "away")
    done = fresh.dvara("data", "disposal", "run", "--dry-run", "--output", "json")
    assert done.returncode == 1, done.stderr
    rows = {row["name"]: row for row in json.loads(done.stdout)["items"]}
    assert rows["b.txt"]["would"] == "destroy" and rows["a.txt"]["would"] == "failed"
    assert "symbolic link" in rows["a.txt"]["why"]


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def set_clock_ahead(control):
    """As if the clock that dvara-logd trusts had been 100 days ago, in this boot."""
    control.stop("dvara-logd")
    file = next(p for p in (control.state / "log").rglob("*") if p.is_file() and b"\nclock " in p.read_bytes())
    lines = file.read_text().splitlines()[:-1]
    for i, line in enumerate(lines):
        if line.startswith("clock "):
            _, wall, rest = line.split(" ", 2)
            lines[i] = f"clock {int(wall) - 100 * 86400000} {rest}"
    text = "\n".join(lines) + "\n"
    file.write_text(text + f"crc {crc32c(text.encode()):08x}\n")
    control.start("dvara-logd")
    wait_until(lambda: control.dvara("audit", "retention").returncode == 0, 20, "dvara-logd answers")


def test_a_clock_that_was_set_ahead_makes_nothing_go(fresh, share):
    """dvara-logd watches the clock; what it has not confirmed ends no file's time."""
    share.write("a.txt", MAIL)
    scan(fresh, share)
    set_clock_ahead(fresh)
    done = fresh.dvara("data", "disposal", "run", "--source", share.source, "--yes")
    assert done.returncode == 1 and "the clock was set" in done.stderr, done.stderr
    assert share.left() == ["a.txt"] and fresh.json("data", "disposal", "list")["items"] == []
