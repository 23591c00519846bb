# SPDX-License-Identifier: Apache-2.0
"""`--custom-detectors FILE` on the command line (DATA-3.1.3)."""
import json
import subprocess

import pytest

from support import BUILD

DETECTORS = """detectors:
  - id: employee_number
    name: Number of an employee
    label: EMPLOYEE
    match: '(?<![A-Za-z0-9])EMP-[0-9]{6}(?![0-9])'
    keep_last: 2
    examples: ["badge \u27e6EMP-004711\u27e7"]
"""
TEXT = "I am EMP-123456, mail bob@example.com\n"


def dvara(*words, code=0, text=TEXT):
    done = subprocess.run([BUILD / "dvara", "data", *map(str, words)], input=text, capture_output=True, text=True,
                          timeout=60)
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


@pytest.fixture()
def file(tmp_path):
    made = tmp_path / "own.yaml"
    made.write_text(DETECTORS)
    return made


def test_detect_tells_of_them(file):
    told = [json.loads(line) for line in dvara("detect", "--custom-detectors", file, "--output", "jsonl").splitlines()]
    assert told[0] == {"type": "EMPLOYEE", "start": 5, "end": 15, "score": 80, "detector": "employee_number"}
    assert [one["detector"] for one in told][1:] and "email" in [one["detector"] for one in told]
    assert [json.loads(line)["start"] for line in dvara(
        "detect", "--custom-detectors", file, "--output", "jsonl", "--detectors", "iban").splitlines()] == [5]
    lines = json.dumps(TEXT) + "\n" + json.dumps("none") + "\n"
    told = [json.loads(line) for line in dvara("detect", "--custom-detectors", file, "--per-line", text=lines).splitlines()]
    assert told[0][0]["detector"] == "employee_number" and told[1] == []


def test_a_long_input_is_searched_piece_by_piece(file):
    text = "".join(f"{'x' * (i % 97)} EMP-{i:06} {'y' * (i % 31)}\n" for i in range(20000))
    told = [json.loads(line) for line in dvara("detect", "--custom-detectors", file, "--output", "jsonl", "--detectors",
                                               "iban", text=text).splitlines()]
    assert len(told) == 20000
    assert all(text[one["start"]:one["end"]] == f"EMP-{i:06}" for i, one in enumerate(told))


def test_values_are_hidden(file, tmp_path):
    assert dvara("redact", "--custom-detectors", file) == "I am [EMPLOYEE], mail [EMAIL]\n"
    assert dvara("mask", "--custom-detectors", file).startswith("I am ***-****56, mail ")
    key = tmp_path / "key"
    subprocess.run(["openssl", "rand", "-base64", "-out", key, "32"], check=True)
    key.chmod(0o600)
    made = dvara("pseudonymize", "--custom-detectors", file, "--key-file", key)
    assert "EMP-123456" not in made and made == dvara("pseudonymize", "--custom-detectors", file, "--key-file", key)
    rows = dvara("redact", "--custom-detectors", file, "--format", "csv", text="name,note\nBob,see EMP-123456\n")
    assert rows == "name,note\nBob,see [EMPLOYEE]\n"


def test_scans_label_what_they_find(file, tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "staff.csv").write_text("name,no\n" + "".join(f"n{i},EMP-{i:06}\n" for i in range(30)))
    (folder / "plain.txt").write_text("nothing\n")
    rules = tmp_path / "rules.yaml"
    rules.write_text("- {id: staff, doc: Staff., category: personal, sensitivity: confidential, labels: [hr],\n"
                     "   find: [employee_number]}\n")
    by_rule = ("scan", folder, "--custom-detectors", file, "--output", "json", "--rules", rules)
    told = json.loads(dvara(*by_rule))["items"]
    assert [(one["name"], one["sensitivity"], one["categories"]) for one in told] == [
        ("staff.csv", "confidential", ["personal"])]
    assert told[0]["types"][0]["type"] == "EMPLOYEE"
    assert "employee_number" in dvara("scan", folder, "--rules", rules, code=1)  # it is no kind without the file
    file.write_text(DETECTORS.replace("keep_last", "category: government_id\n    keep_last"))
    told = json.loads(dvara("classify", folder / "staff.csv", "--custom-detectors", file, "--output", "json"))["items"]
    assert told[0]["sensitivity"] == "restricted" and told[0]["types"][0]["type"] == "EMPLOYEE"
    assert json.loads(dvara("scan", folder, "--output", "json"))["items"] == []


def test_what_can_not_be_run_is_refused_with_file_and_line(file):
    file.write_text(DETECTORS.replace("[0-9]{6}", "([0-9]{1,9}){1,40}x"))
    said = dvara("detect", "--custom-detectors", file, code=1)
    assert f"{file}:5: detector employee_number: " in said
    assert "own" not in dvara("detect", "--custom-detectors", file.parent / "none.yaml", code=1)
