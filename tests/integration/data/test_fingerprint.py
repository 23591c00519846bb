# SPDX-License-Identifier: Apache-2.0
"""`dvara data fingerprint` and `dvara data canary` (DATA-3.3.2)."""
import json
import os
import stat
import subprocess
import zipfile

import pytest

from support import BUILD

TABLE = "first,last,iban\nAnna,Kowalska,DE44 5001 0517 5407 3249 31\nPeter,O'Neill,GB29NWBK60161331926819\n"
PLAN = " ".join(f"In week {n} team {n * 7 % 13} moves rack {n * n} to hall {n % 5}." for n in range(60))


def run(*words, **options):
    return subprocess.run([BUILD / "dvara", "data", *map(str, words)], capture_output=True, text=True,
                          timeout=120, check=False, **options)


def good(*words, **options):
    done = run(*words, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def refused(*words, **options):
    done = run(*words, **options)
    assert done.returncode == 1 and not done.stdout, done.stdout
    return done.stderr


def check(path, text):
    lines = good("fingerprint", "check", path, "--output", "jsonl", input=text).splitlines()
    return [json.loads(line) for line in lines]


@pytest.fixture()
def table(tmp_path):
    path = tmp_path / "people.csv"
    path.write_text(TABLE)
    return path


def test_a_table(table, tmp_path):
    made = tmp_path / "people.dvfp"
    told = json.loads(good("fingerprint", "create", "--input", table, "--columns", "first,last,iban",
                           "--alone", "iban", "--out", made, "--output", "json"))
    assert told["records"] == 2 and told["values"] == 6 and told["too_usual"] == 0
    assert stat.S_IMODE(made.stat().st_mode) & 0o007 == 0
    data = made.read_bytes().lower()
    for value in (b"anna", b"kowalska", b"5001", b"gb29"):
        assert value not in data  # never the values
    text = "Dear ANNA  Kowalska: GB29 NWBK 6016 1331 9268 19. Peter Kowalska, Anna."
    hits = check(made, text)
    assert [(h["kind"], text[h["start"]:h["end"]], h["columns"]) for h in hits] == [
        ("record", "ANNA  Kowalska", ["first", "last"]),
        ("value", "GB29 NWBK 6016 1331 9268 19", ["iban"]),
        ("record", "Kowalska, Anna", ["first", "last"])]
    assert "anna" not in json.dumps(hits).lower()
    shown = json.loads(good("fingerprint", "show", made, "--output", "json"))
    assert shown["columns"] == ["first", "last", "iban"] and shown["alone"] == ["iban"]
    assert len(shown["id"]) == 64 and shown["least"] == 2 and shown["bytes"] == made.stat().st_size


def test_two_sets_of_one_table_have_nothing_in_common(table, tmp_path):
    """The salt: who has one set learns nothing about another."""
    sets = []
    for name in "ab":
        good("fingerprint", "create", "--input", table, "--columns", "iban", "--out", tmp_path / name)
        sets.append((tmp_path / name).read_bytes())
    chunks = [{data[i:i + 8] for i in range(184, len(data) - 32)} - {bytes(8)} for data in sets]
    common = {c for c in chunks[0] & chunks[1] if c.count(0) < 4 and b"iban" not in c}
    assert not common


def test_json_lines_and_limits(tmp_path):
    path = tmp_path / "people.jsonl"
    path.write_text('{"user":{"mail":"Ann.Lee@example.com"},"no":123456789012}\n\n{"no":987654321098}\n')
    good("fingerprint", "create", "--input", path, "--columns", "user.mail,no", "--alone",
         "user.mail,no", "--out", tmp_path / "s")
    assert [h["columns"] for h in check(tmp_path / "s", "ann.lee@example.com 9876 5432 1098")] == [
        ["user.mail"], ["no"]]
    out = ["--out", tmp_path / "t"]
    assert "no record has a member 'x'" in refused("fingerprint", "create", "--input", path, "--columns", "x", *out)
    path.write_text("[1]\n")
    assert "line 1" in refused("fingerprint", "create", "--input", path, "--columns", "x", *out)
    assert "go together" in refused("fingerprint", "create", "--columns", "x", *out)
    assert "none of --columns" in refused("fingerprint", "create", "--input", path, "--columns", "x",
                                          "--alone", "y", *out)
    assert "--documents or --canaries" in refused("fingerprint", "create", *out)
    path.write_text('{"a":"x"}\n')
    assert "too short or too long" in refused("fingerprint", "create", "--input", path, "--columns",
                                              "a", *out)
    assert "at most 8 columns" in refused("fingerprint", "create", "--input", path, "--columns",
                                          "a,b,c,d,e,f,g,h,i", *out)
    (tmp_path / "two.csv").write_text("iban,first,iban\nDE44500105175407324931,Anna,GB29NWBK60161331926819\n")
    assert "more than one column" in refused("fingerprint", "create", "--input", tmp_path / "two.csv", "--columns", "iban", *out)
    assert not (tmp_path / "t").exists()


def test_a_name_drives_no_terminal(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a\x1b[31m\nb.zip").write_bytes(b"PK\x03\x04cut")
    (tmp_path / "docs" / "plan.txt").write_text(PLAN)
    done = run("fingerprint", "create", "--documents", tmp_path / "docs", "--out", tmp_path / "s")
    assert done.returncode == 0 and "not read in full" in done.stderr and "\x1b" not in done.stderr and done.stderr.count("\n") == 1


def test_a_failed_run_leaves_the_set_that_was_there(table, tmp_path):
    made = tmp_path / "s"
    good("fingerprint", "create", "--input", table, "--columns", "iban", "--out", made)
    before = made.read_bytes()
    assert "no column 'x'" in refused("fingerprint", "create", "--input", table, "--columns", "x", "--out", made)
    assert made.read_bytes() == before and sorted(os.listdir(tmp_path)) == ["people.csv", "s"]


def test_documents_of_all_kinds(tmp_path):
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "plan.txt").write_text(PLAN)
    (folder / "short.txt").write_text("nothing to see")
    document = ('<?xml version="1.0"?><w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/'
                '2006/main"><w:body><w:p><w:r><w:t>' + PLAN.replace("rack", "shelf").replace("week", "month") +
                "</w:t></w:r></w:p></w:body></w:document>")
    with zipfile.ZipFile(folder / "plan.docx", "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("word/document.xml", document)
    told = json.loads(good("fingerprint", "create", "--documents", folder, "--out", tmp_path / "s", "--output", "json"))
    assert told["documents"] == 2 and told["short_documents"] == 1
    part = PLAN[400:1100].upper().replace(" ", "\n\n")
    (hit,) = [h for h in check(tmp_path / "s", "He wrote: " + part) if h["hit"]]
    assert hit["document"] == "plan.txt" and 12 < hit["share"] < 45  # salts choose what is kept
    (hit,) = [h for h in check(tmp_path / "s", PLAN.replace("rack", "shelf").replace("week", "month")) if h["hit"]]
    assert hit["document"] == "plan.docx" and hit["share"] > 85
    assert not [h for h in check(tmp_path / "s", "Something else, as long as it has to be. " * 20) if h["hit"]]


@pytest.mark.parametrize("kind", ["email", "key", "number", "text"])
def test_canaries(kind, tmp_path):
    values = good("canary", "create", "--kind", kind, "--count", "50").splitlines()
    assert len(set(values)) == 50
    (tmp_path / "c").write_text("\n".join(values[:49]) + "\n")
    good("fingerprint", "create", "--canaries", tmp_path / "c", "--out", tmp_path / "s")
    text = "\n".join(f"so: {value}, that" for value in values)
    hits = check(tmp_path / "s", text)
    assert [h["kind"] for h in hits] == ["canary"] * 49
    assert [text.encode()[h["start"]:h["end"]].decode() for h in hits] == values[:49]
    (tmp_path / "c").write_text("abc\n")
    assert "line 1" in refused("fingerprint", "create", "--canaries", tmp_path / "c", "--out", tmp_path / "t")


def test_a_broken_set_is_refused(table, tmp_path):
    made = tmp_path / "s"
    good("fingerprint", "create", "--input", table, "--columns", "iban", "--out", made)
    data = made.read_bytes()
    for broken in (data[:-1], data[:100], b"", data[:50] + b"x" + data[51:], data[:-1] + bytes([data[-1] ^ 1])):
        made.write_bytes(broken)
        assert str(made) in refused("fingerprint", "check", made, input="x")
    made.write_bytes(data)
    made.chmod(0o644)
    assert "others may read it" in refused("fingerprint", "show", made)


def test_a_large_text_in_constant_memory(table, tmp_path):
    made = tmp_path / "s"
    good("fingerprint", "create", "--input", table, "--columns", "first,last,iban", "--alone", "iban", "--out", made)
    text = ("plain words 123 " * 10 + "Anna Kowalska. ") * 20000
    assert len(check(made, text)) == 20000
