# SPDX-License-Identifier: Apache-2.0
"""Packed input of `dvara data detect --decode` and of what changes values: opened within bounds, or refused."""
import bz2
import csv
import gzip
import io
import json
import lzma
import os
import pathlib
import subprocess
import tarfile
import zipfile

import pytest


def dvara():
    build = pathlib.Path(os.environ["DVARA_BUILD"])
    return next(p for p in (build / "dvara", build / os.environ.get("BUILD", "build") / "dvara") if p.exists())


def data(*words, code=0, stdin=b""):
    done = subprocess.run([dvara(), "data", *map(str, words)], input=stdin, capture_output=True, timeout=120, check=False)
    assert done.returncode == code, (done.stdout[:500], done.stderr)
    return done.stdout if code == 0 else done.stderr.decode()


def zipped(**files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name.replace("__", "/").replace("_", "."), content)
    return out.getvalue()


def tarred(name, content):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        about = tarfile.TarInfo(name)
        about.size = len(content)
        archive.addfile(about, io.BytesIO(content))
    return out.getvalue()


def found(packed, *flags):
    lines = data("detect", "--decode", "--output", "jsonl", *flags, stdin=packed).decode().splitlines()
    return [(row.get("member"), row["type"], row["start"], row["end"]) for row in map(json.loads, lines)]


def test_values_in_packed_files_are_found():
    text = "é: bob@example.com".encode()
    assert found(text) == [(None, "EMAIL_ADDRESS", 4, 19)]
    for pack in (gzip.compress, bz2.compress, lzma.compress):
        assert found(pack(text)) == [(None, "EMAIL_ADDRESS", 4, 19)]
    assert found(gzip.compress(text) + gzip.compress(text))[1:] == [(None, "EMAIL_ADDRESS", 23, 38)]
    inner = zipped(deep_txt=b"x", mail_txt=b"bob%40example.com")
    assert found(zipped(a__one_txt=text, in_zip=inner, x_csv_gz=gzip.compress(b"mail\nsue@example.com\n"))) == [
        ("a/one.txt", "EMAIL_ADDRESS", 4, 19), ("in.zip/mail.txt", "EMAIL_ADDRESS", 0, 17), ("x.csv.gz", "EMAIL_ADDRESS", 5, 20)]
    assert found(tarred("n\u00e4me \"x\"\n.txt", text)) == [("n\u00e4me \"x\"\n.txt", "EMAIL_ADDRESS", 4, 19)]
    assert found(gzip.compress(text), "--min-score", "100") == []


def test_tables_tell_the_member():
    shown = data("detect", "--decode", "--output", "csv", stdin=zipped(a_txt=b"bob@example.com")).decode()
    assert list(csv.reader(shown.splitlines())) == [["type", "start", "end", "score", "detector", "member"],
                                                    ["EMAIL_ADDRESS", "0", "15", "95", "email", "a.txt"]]
    assert "member" not in data("detect", "--decode", "--output", "csv", stdin=b"bob@example.com").decode()


def test_what_can_not_be_opened_is_told():
    for packed, told in ((b"7z\xbc\xaf\x27\x1c\0\4", "is 7z"), (zipped(a_7z=b"7z\xbc\xaf\x27\x1c\0\4"), "holds 7z"),
                         (gzip.compress(os.urandom(1000))[:-20], "could not be unpacked to its end"),
                         (gzip.compress(bytes(100 << 20)), "more than 200 times its size")):
        assert told in data("detect", "--decode", stdin=packed, code=1)
        assert told in data("mask", stdin=packed, code=1)
    deep = b"bob@example.com"
    for _ in range(4):
        deep = gzip.compress(deep)
    assert len(found(deep)) == 1
    assert "more than 4 deep" in data("detect", "--decode", stdin=gzip.compress(deep), code=1)


def test_a_packed_table_is_masked_as_what_it_is(tmp_path):
    (tmp_path / "rules.yaml").write_text("columns: {people.name: redact, id: keep}\n")
    rules = ["--rules", tmp_path / "rules.yaml"]
    table, masked = b"id,name\n1,Bob\n", b"id,name\n1,[people.name]\n"
    dump, hidden = b"INSERT INTO people (id, name) VALUES (1, 'Bob');\n", b"INSERT INTO people (id, name) VALUES (1, '[people.name]');\n"
    for name, content, expected in (("people.csv.gz", gzip.compress(table), masked), ("dump.sql.gz", gzip.compress(dump), hidden),
                                    ("dump.sql.xz", lzma.compress(dump), hidden), ("any.zip", zipped(x__people_csv=table), masked),
                                    ("any.tgz", tarred("people.csv", table), masked),
                                    ("any.zip", zipped(people_csv_gz=gzip.compress(table)), masked)):
        (tmp_path / name).write_bytes(content)
        assert data("mask", "--input", tmp_path / name, *rules) == expected, name
    assert data("mask", "--format", "csv", "--table", "people", *rules, stdin=gzip.compress(table)) == masked
    assert data("mask", stdin=gzip.compress(b"bob@example.com")) == b"***@*******.***"
    assert data("mask", stdin=b"") == b""


@pytest.mark.parametrize("content, told", [
    (zipped(a_txt=b"bob@example.com", b_txt=b"sue@example.com"), "holds several files"),
    (zipped(), "without any file"),
    (gzip.compress(b"bob@example.com" * 9999)[:-4], "could not be unpacked"),
    (b"%PDF-1.7 bob@example.com", "is a PDF"),
    (gzip.compress(b"%PDF-1.7 bob@example.com"), "is a PDF"),
    (gzip.compress("bob@example.com".encode("utf-16")), "is UTF-16"),
])
def test_what_can_not_be_masked_leaves_no_file(tmp_path, content, told):
    (tmp_path / "in").write_bytes(content)
    assert told in data("mask", "--input", tmp_path / "in", "--out", tmp_path / "out", code=1)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_tokens_in_a_packed_file_are_turned_back(tmp_path):
    (tmp_path / "key").write_bytes(os.urandom(32))
    (tmp_path / "key").chmod(0o600)
    vault = ["--key-file", tmp_path / "key", "--vault", tmp_path / "vault"]
    hidden = data("tokenize", *vault, stdin=gzip.compress(b"to bob@example.com"))
    assert hidden.startswith(b"to dvt_")
    assert data("detokenize", *vault, stdin=gzip.compress(hidden)) == b"to bob@example.com"
