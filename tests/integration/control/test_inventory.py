# SPDX-License-Identifier: Apache-2.0
"""`dvara data scan --save` and what a running Dvara makes of it: the inventory, drift, labels by hand, the map."""
import concurrent.futures
import json
import os
import shutil

import pytest
from support import shows_card

CARDS = "name,card_number\n" + "a,4111 1111 1111 1111\n" * 30


@pytest.fixture(name="files", scope="module")
def make_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("share")
    (folder / "cards.csv").write_text(CARDS)
    (folder / "letter.txt").write_text("Dear bob@example.com")
    (folder / "plain.txt").write_text("nothing at all")
    return folder


def scan(control, files, *flags):
    done = control.dvara("data", "scan", str(files), "--save", "--output", "json", *flags)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["summary"]["scan"]


def assets(control, *flags):
    return {row["name"]: row for row in control.json("data", "asset", "list", *flags)["items"]}


def test_the_inventory_tells_what_a_scan_saw_and_why(control, files):
    kept = scan(control, files)
    assert kept["assets"] == 3 and kept["complete"] and kept["source"].endswith(str(files))
    assert [kept[k] for k in ("new", "gone", "back", "changed")] == [0, 0, 0, 0]  # the first scan of it
    known = assets(control)
    assert {n: a["sensitivity"] for n, a in known.items()} == {
        "cards.csv": "restricted", "letter.txt": "confidential", "plain.txt": "internal"}
    shown = control.json("data", "asset", "show", known["cards.csv"]["id"])
    assert shown["categories"] == ["payment"] and shown["labels"] == ["pci-dss"]
    assert shown["scanned"]["details"]["reasons"][0]["why"] == [
        "payment_card in 30 of 30 values of card_number, whose name says so"]
    assert not shows_card(json.dumps(shown))


def test_filters(control, files):
    assert set(assets(control, "--sensitivity", "confidential")) == {"cards.csv", "letter.txt"}
    assert set(assets(control, "--category", "payment")) == {"cards.csv"}
    assert set(assets(control, "--label", "gdpr")) == {"letter.txt"}
    assert set(assets(control, "--label", "gdp_")) == set()  # a word, no pattern
    assert len(assets(control, "--limit", "1", "--unowned")) == 1
    assert len(assets(control, "--source", "elsewhere")) == 0


def test_what_a_person_says_outlives_the_next_scan(control, files):
    letter = assets(control)["letter.txt"]["id"]
    changed = control.json("data", "asset", "update", letter, "--owner", "alice", "--sensitivity", "public",
                           "--labels", "press", "--goes-to", "route:chat", "--note", "a press release")
    assert (changed["sensitivity"], changed["confidence"], changed["owner"]) == ("public", 100, "alice")
    (files / "letter.txt").write_text("Dear bob@example.com, card 4111 1111 1111 1111")
    kept = scan(control, files)
    assert kept["changed"] == 1
    again = control.json("data", "asset", "show", letter)
    assert (again["sensitivity"], again["labels"], again["owner"]) == ("public", ["press"], "alice")
    assert again["scanned"]["sensitivity"] == "restricted"
    back = control.curl(f"/v1/data/assets/{letter}", key=control.admin_key(), method="PATCH", body={"sensitivity": None})
    assert back.json["sensitivity"] == "restricted" and back.json["owner"] == "alice"
    assert set(assets(control, "--owner", "alice")) == {"letter.txt"}


def test_drift_between_scans(control, files):
    (files / "plain.txt").unlink()
    (files / "new.txt").write_text("sue@example.org")
    kept = scan(control, files)
    assert [kept[k] for k in ("new", "gone", "back", "changed")] == [1, 1, 0, 0]
    drift = {row["name"]: row for row in control.json("data", "drift", "--scan", kept["id"])["items"]}
    assert {n: (d["change"], d["before"], d["after"]) for n, d in drift.items()} == {
        "new.txt": ("new", "", "confidential personal"), "plain.txt": ("gone", "internal", "")}
    assert "plain.txt" not in assets(control)
    gone = assets(control, "--gone")["plain.txt"]
    assert gone["gone"] is not None
    (files / "plain.txt").write_text("nothing at all")
    assert scan(control, files)["back"] == 1
    assert len(control.json("data", "scans")["items"]) == 4


def test_a_scan_that_ended_early_makes_nothing_gone(control, files):
    kept = scan(control, files, "--max-files", "1")
    assert not kept["complete"] and kept["gone"] == 0
    assert len(assets(control)) == 4


def test_what_is_not_read_in_full_keeps_what_it_had(control, tmp_path):
    (tmp_path / "a.txt").write_text("bob@example.com " + "word " * 400 + "card 4111 1111 1111 1111")
    scan(control, tmp_path, "--max-bytes", "4096")
    scan(control, tmp_path, "--max-bytes", "1024")
    kept = assets(control, "--source", control.json("data", "scans")["items"][0]["source"])["a.txt"]
    assert "too large" in kept["problem"] and kept["sensitivity"] == "restricted"
    assert set(kept["labels"]) >= {"pci-dss", "gdpr"} and set(kept["categories"]) == {"payment", "personal"}


def test_names_that_are_no_text_hide_nothing(control, tmp_path):
    """Both are called "a\ufffd.txt" as text; the harmless one is seen last."""
    for name, content in ((b"a\xfe.txt", CARDS), (b"a\xff.txt", "nothing at all")):
        with open(os.path.join(os.fsencode(tmp_path), name), "w", encoding="utf-8") as file:
            file.write(content)
    source = scan(control, tmp_path)["source"]
    kept = assets(control, "--source", source)
    assert list(kept) == ["a\ufffd.txt"] and kept["a\ufffd.txt"]["sensitivity"] == "restricted"
    assert kept["a\ufffd.txt"]["labels"] == ["pci-dss"]
    os.unlink(os.path.join(os.fsencode(tmp_path), b"a\xfe.txt"))
    scan(control, tmp_path)
    assert assets(control, "--source", source)["a\ufffd.txt"]["sensitivity"] == "internal"


def test_a_path_that_is_too_long_keeps_no_scan_out(control, tmp_path):
    """Longer than the system's own limit for a path, which one gets to folder by folder."""
    (tmp_path / "cards.csv").write_text(CARDS)
    folder = os.open(tmp_path, os.O_DIRECTORY)
    for _ in range(20):
        os.mkdir("d" * 250, dir_fd=folder)
        inner = os.open("d" * 250, os.O_DIRECTORY, dir_fd=folder)
        os.close(folder)
        folder = inner
    for name in ("a.csv", "b.csv"):
        with open(os.open(name, os.O_CREAT | os.O_WRONLY, dir_fd=folder), "w", encoding="utf-8") as file:
            file.write(CARDS)
    os.close(folder)
    source = scan(control, tmp_path)["source"]
    kept = assets(control, "--source", source)
    assert len(kept) == 3 and all(row["sensitivity"] == "restricted" for row in kept.values())
    assert scan(control, tmp_path)["gone"] == 0 and set(assets(control, "--source", source)) == set(kept)
    shutil.rmtree(tmp_path / ("d" * 250))


def test_only_what_is_gone_can_be_forgotten(control, files):
    there = assets(control)["plain.txt"]["id"]
    done = control.dvara("data", "asset", "delete", there)
    assert done.returncode == 1 and "only what is gone" in done.stderr
    (files / "plain.txt").unlink()
    scan(control, files)
    assert control.dvara("data", "asset", "delete", there).returncode == 0
    assert "no file or table" in control.dvara("data", "asset", "show", there).stderr


def test_the_map_shows_ways_that_people_and_routes_name(control, files):
    way = control.json("data", "map")
    letter = assets(control)["letter.txt"]
    edges = {(e["from"], e["to"]) for e in way["edges"]}
    assert (letter["source"], letter["id"]) in edges and (letter["id"], "route:chat") in edges
    source = next(n for n in way["nodes"] if n["kind"] == "source")
    assert source["sensitivity"] == "restricted" and source["unowned"] == 2
    assert way["graph"].startswith("digraph data {") and '-> "route:chat"' in way["graph"]


def test_labels_are_attributes_in_policies(control, files, tmp_path):
    control.stop("dvarad")  # policies alone are to decide
    control.config.write_text("data_access: {rules: [%s]}\n" % ", ".join(
        f"{{sensitivity: {level}, grant: false}}" for level in ("internal", "confidential", "restricted")))
    control.start_dvarad()
    entities = control.dvara("data", "entities")
    applied = control.dvara("entity", "apply", "-", stdin=entities.stdout, DVARA_STATE=str(control.state))
    assert applied.returncode == 0, applied.stderr
    policies = tmp_path / "policies"
    policies.mkdir()
    (policies / "data.cedar").write_text(
        'permit (principal, action == Action::"open_data", resource is DataAsset)\n'
        'when { resource.owner == "alice" || resource.level < 2 };\n'
        'forbid (principal, action == Action::"open_data", resource is DataAsset)\n'
        'when { resource.categories.contains("secret_plans") };\n')
    done = control.dvara("policy", "apply", str(policies))
    assert done.returncode == 0, done.stderr
    known = assets(control)

    def may_open(name):
        return control.json("access", "evaluate", "--subject", '{"type":"User","id":"bob"}', "--action", '{"name":"open_data"}',
                            "--resource", json.dumps({"type": "DataAsset", "id": known[name]["id"]}))["decision"]
    assert [may_open(name) for name in ("letter.txt", "new.txt", "cards.csv")] == [True, False, False]
    control.json("data", "asset", "update", known["letter.txt"]["id"], "--categories", "secret_plans")
    assert control.dvara("entity", "apply", "-", stdin=control.dvara("data", "entities").stdout).returncode == 0
    assert not may_open("letter.txt")


def test_pieces_are_checked(control, files):
    key = control.admin_key()
    asset = {"name": "x", "kind": "text", "sensitivity": "internal", "confidence": 0}
    assert control.curl("/v1/data/scans", key=key, method="POST", body={"assets": []}).status == 400  # no source
    first = control.curl("/v1/data/scans", key=key, method="POST", body={"source": "s3://b", "assets": [asset]})
    assert first.status == 200 and first.json["finished"] is None
    other = control.key_of("scanner", "keep_data_scans")
    taken = control.curl("/v1/data/scans", key=other["secret"], method="POST", body={"scan": first.json["id"]})
    assert taken.status == 404  # somebody else's
    big = {**asset, "details": {"x": "y" * 70000}}
    refused = control.curl("/v1/data/scans", key=key, method="POST", body={"scan": first.json["id"], "assets": [big]})
    assert refused.status == 400 and "65536" in refused.error["message"]
    end = {"scan": first.json["id"], "last": True}
    assert control.curl("/v1/data/scans", key=key, method="POST", body=end).json["assets"] == 1
    assert control.curl("/v1/data/scans", key=key, method="POST", body=end).status == 409
    assert control.curl("/v1/data/assets", key=other["secret"]).status == 403


def test_of_two_scans_of_a_source_at_once_the_newer_counts(control):
    key = control.admin_key()

    def piece(names, **more):
        found = [{"name": name, "kind": "text", "sensitivity": "internal", "confidence": 0} for name in names]
        return control.curl("/v1/data/scans", key=key, method="POST", body={"assets": found, **more})
    first = piece("ab", source="s3://twice").json["id"]
    second = piece("bc", source="s3://twice").json
    assert second["finished"] is None
    refused = piece("a", scan=first, last=True, complete=True)
    assert refused.status == 409 and "another scan of s3://twice began" in refused.error["message"]
    done = piece("d", scan=second["id"], last=True, complete=True).json
    assert done["assets"] == 3 and done["complete"]
    assert set(assets(control, "--source", "s3://twice")) == set("bcd")  # what the first one saw is gone
    listed = {row["id"]: row for row in control.json("data", "scans")["items"]}
    assert listed[first]["finished"] is None and not listed[first]["complete"]
    # Also where the newer one came and went within one piece, and where nobody ever ended the older.
    third = piece("b", source="s3://twice").json["id"]
    assert piece("bcd", source="s3://twice", last=True, complete=True).status == 200
    assert piece("b", scan=third, last=True, complete=True).status == 409
    assert set(assets(control, "--source", "s3://twice")) == set("bcd")
    other = piece("b", source="s3://another").json["id"]
    assert piece("b", source="s3://twice").status == 200
    assert piece("c", scan=other, last=True, complete=True).status == 200  # of another source


def test_two_programs_that_scan_one_source(control, tmp_path):
    for number in range(450):  # more than two pieces
        (tmp_path / f"{number}.txt").write_text("bob@example.com")
    words = ["data", "scan", str(tmp_path), "--save", "--output", "json"]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda _: control.dvara(*words), range(2)))
    good = [d for d in done if d.returncode == 0]
    assert good and all("began meanwhile" in d.stderr for d in done if d.returncode != 0), [d.stderr for d in done]
    source = json.loads(good[-1].stdout)["summary"]["scan"]["source"]
    kept = assets(control, "--source", source, "--gone", "--limit", "500").values()
    assert [row["name"] for row in kept if row["gone"] is not None] == [] and len(kept) == 450


def test_the_log_tells_of_labels_and_of_data_that_nobody_owns(control, files):
    def found(query):
        done = control.dvara("audit", "search", query, "--output", "jsonl")
        return [json.loads(line) for line in done.stdout.splitlines()]
    control.wait_for(lambda: found("data.unowned") and found("data_asset"))
    alarm = json.dumps(found("data.unowned"))
    assert "nobody owns them" in alarm and "4111 1111" not in alarm and "41111111" not in alarm
    assert any("press" in json.dumps(event) for event in found("data_asset"))
