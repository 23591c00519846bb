# SPDX-License-Identifier: Apache-2.0
"""`dvara data mask|redact|pseudonymize|tokenize|detokenize`, as their users run them, also on dumps of a real PostgreSQL."""
import base64
import csv
import hashlib
import hmac
import io
import json
import os
import pathlib
import random
import resource
import shutil
import subprocess
import sys
import tempfile

import pytest
from tink import daead, proto_keyset_format, secret_key_access
from tink.proto import aes_siv_pb2, tink_pb2

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
import support  # noqa: E402 (found only now)


def dvara():
    build = pathlib.Path(os.environ["DVARA_BUILD"])
    return next(p for p in (build / "dvara", build / os.environ.get("BUILD", "build") / "dvara") if p.exists())


def run(*words, text=None, code=0, **more):
    done = subprocess.run([dvara(), "data", *map(str, words)], input=None if text is None else text.encode(),
                          capture_output=True, timeout=120, check=False, **more)
    assert done.returncode == code, done.stderr.decode()
    return done.stdout.decode(), done.stderr.decode()


def data(*words, code=0, **more):
    return run(*words, code=code, **more)[0 if code == 0 else 1]


@pytest.fixture
def key(tmp_path):
    path = tmp_path / "key"
    path.write_bytes(base64.b64encode(os.urandom(32)))
    path.chmod(0o600)
    return path


PEOPLE = ("id,name,email,born,ssn,zip,age,notes\n"
          '1,"Smith, Alice",Alice@Example.com,1980-05-12,536-22-8145,03612,93,"card 4111 1111 1111 1111, mail bob@example.com"\n'
          "2,Bob,bob@example.com,1979-01-02,536-22-8146,94110,37,\n")
RULES = """
columns:
  email: {action: pseudonym, type: email}
  born: {action: date_shift, subject: id, days: 100}
  ssn: fpe
  zip: {action: generalise, to: zip}
  age: {action: generalise, to: age}
  id: keep
detectors: {payment_card: {action: fpe, keep_first: 6, keep_last: 4, luhn: true}, email: pseudonym}
"""


def test_a_table_is_masked_by_its_columns_and_turned_back(tmp_path, key):
    (tmp_path / "people.csv").write_text(PEOPLE)
    (tmp_path / "rules.yaml").write_text(RULES)
    common = ["--rules", tmp_path / "rules.yaml", "--key-file", key]
    data("mask", "--input", tmp_path / "people.csv", "--out", tmp_path / "masked.csv", *common)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "masked.csv").read_text())))
    assert [row["id"] for row in rows] == ["1", "2"]
    assert [row["age"] for row in rows] == ["90+", "30-39"] and [row["zip"] for row in rows] == ["000", "941"]
    assert rows[1]["email"] in rows[0]["notes"], "the same address is the same in a column and in a text"
    assert rows[0]["email"].endswith(rows[1]["email"].split("@")[1]) and "example.com" not in rows[0]["email"]
    assert rows[0]["notes"].startswith("card 4111 11") and rows[0]["notes"][15:24].endswith("1111")
    assert not any(value in (tmp_path / "masked.csv").read_text() for value in ("536-22", "1980-05-12", "bob@", "Alice@"))
    assert (tmp_path / "masked.csv").stat().st_mode & 0o777 == 0o600
    back = list(csv.DictReader(io.StringIO(data("detokenize", "--input", tmp_path / "masked.csv", *common))))
    assert [(row["ssn"], row["born"]) for row in back] == [("536-22-8145", "1980-05-12"), ("536-22-8146", "1979-01-02")]


DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def tink_siv(key):
    """AES-SIV of Tink under the key that tokens have (HKDF-SHA-256, RFC 5869, without a salt)."""
    secret = hmac.digest(bytes(32), base64.b64decode(key.read_bytes()), "sha256")
    made = block = b""
    for i in range(2):
        block = hmac.new(secret, block + b"dvara action sealed token v1" + bytes([i + 1]), hashlib.sha256).digest()
        made += block
    daead.register()
    keyset = tink_pb2.Keyset(primary_key_id=1)
    keyset.key.add(key_data=tink_pb2.KeyData(type_url="type.googleapis.com/google.crypto.tink.AesSivKey",
                                             value=aes_siv_pb2.AesSivKey(key_value=made).SerializeToString(),
                                             key_material_type=tink_pb2.KeyData.SYMMETRIC),
                   status=tink_pb2.ENABLED, key_id=1, output_prefix_type=tink_pb2.RAW)
    return proto_keyset_format.parse(keyset.SerializeToString(), secret_key_access.TOKEN).primitive(
        daead.DeterministicAead)


def open_by_tink(siv, token):
    assert token[:4] == "dvs_" and len(token) == 5 + 11 * (2 + DIGITS.index(token[4]))
    blocks = [token[i:i + 11] for i in range(5, len(token), 11)]
    numbers = [sum(DIGITS.index(d) * 62 ** (10 - i) for i, d in enumerate(block)) for block in blocks]
    plain = siv.decrypt_deterministically(b"".join(n.to_bytes(8, "little") for n in numbers), b"dvs_")
    value, mark, rest = plain.rpartition(b"\x80")
    assert mark and not rest.strip(b"\0")
    return value.decode()


def test_sealed_tokens_need_no_vault_and_others_open_them(tmp_path, key):
    values = ["bob@example.com", "4111 1111 1111 1111", "a.much.longer.name.of.somebody.else@mail.example.org"]
    text = "".join(f"{value} and words between\n" for value in values) * 3000  # more than a window
    sealed = data("tokenize", "--sealed", "--key-file", key, text=text)
    assert not any(value in sealed for value in values) and os.listdir(tmp_path) == ["key"]
    tokens = [line.split(" ")[0] for line in sealed.splitlines()]
    assert len(set(tokens)) == 3 and len(tokens) == 9000
    assert [open_by_tink(tink_siv(key), token) for token in tokens[:3]] == values
    assert data("tokenize", "--sealed", "--key-file", key, text=sealed) == sealed
    assert data("detokenize", "--key-file", key, text=sealed) == text
    for cut in range(1, 80, 7):  # at any border of what is read at once
        filled = "x" * ((128 << 10) - cut)
        assert data("detokenize", "--key-file", key, text=f"{filled} {tokens[0]} {tokens[1]}") == \
            f"{filled} {values[0]} {values[1]}"
    other = tmp_path / "other"
    other.write_bytes(base64.b64encode(os.urandom(32)))
    other.chmod(0o600)
    assert data("detokenize", "--key-file", other, text=sealed) == sealed
    assert "--key-file" in data("tokenize", "--sealed", text=text, code=1)
    assert "--sealed" in data("tokenize", "--key-file", key, text=text, code=1)


def test_sealed_tokens_of_columns(tmp_path, key):
    (tmp_path / "people.csv").write_text(PEOPLE)
    (tmp_path / "rules.yaml").write_text("columns: {name: {action: token, sealed: true}, ssn: {action: token, sealed: true}}\n"
                                         "default: {action: token, sealed: true}\n")
    common = ["--rules", tmp_path / "rules.yaml", "--key-file", key]
    made = data("tokenize", "--input", tmp_path / "people.csv", *common)
    rows = list(csv.DictReader(io.StringIO(made)))
    siv = tink_siv(key)
    assert [open_by_tink(siv, row["name"]) for row in rows] == ["Smith, Alice", "Bob"]
    assert open_by_tink(siv, rows[1]["ssn"]) == "536-22-8146" and "4111" not in made and "bob@" not in made
    (tmp_path / "made.csv").write_text(made)
    assert list(csv.reader(io.StringIO(data("detokenize", "--input", tmp_path / "made.csv", "--key-file", key)))) == \
        list(csv.reader(io.StringIO(PEOPLE)))
    (tmp_path / "rules.yaml").write_text("columns: {name: {action: hash, sealed: true}}\n")
    assert "sealed is for tokens" in data("mask", "--input", tmp_path / "people.csv", *common, code=1)


def test_tokens_that_stay_are_told(tmp_path, key):
    vault = ["--vault", tmp_path / "vault"]
    sealed = data("tokenize", "--sealed", "--key-file", key, text="bob@example.com").strip()
    random = data("tokenize", "--key-file", key, *vault, text="eve@example.com").strip()
    text = f"{sealed} {random}\n"
    assert run("detokenize", "--key-file", key, *vault, text=text) == ("bob@example.com eve@example.com\n", "")
    out, told = run("detokenize", "--key-file", key, text=text)
    assert out == f"bob@example.com {random}\n" and "tokens that stay: 1 " in told and "--vault" in told
    unknown = sealed[:-1] + ("1" if sealed[-1] != "1" else "2")
    for words, made in ((["--format", "csv"], "name\n{}\n{}\n"), (["--format", "jsonl"], '{{"a":"{}","b":["{}"]}}\n'),
                        (["--format", "sql"], "INSERT INTO t VALUES ('{}', '{}');\n"), ([], "x" * (128 << 10) + "{} {}")):
        given = made.format(sealed, unknown)
        out, told = run("detokenize", "--key-file", key, *vault, *words, text=given)
        assert out == given.replace(sealed, "bob@example.com") and told.count("tokens that stay: 1 ") == 1, words
    assert run("detokenize", "--key-file", key, text="dvs_1 dvt_ dv")[1] == ""


def test_tokens_come_back_from_the_vault_alone(tmp_path, key):
    text = '{"to":"o\\"brien@example.com","card":"4111 1111 1111 1111"}\n{"to":"bob@example.com"}\n'
    vault = ["--key-file", key, "--vault", tmp_path / "vault"]
    sealed = data("tokenize", "--format", "jsonl", *vault, text=text)
    assert "bob" not in sealed and sealed.count("dvt_") == 3
    assert data("tokenize", "--format", "jsonl", *vault, text=text) == sealed, "a second run finds the tokens of the first"
    assert data("detokenize", "--format", "jsonl", *vault, text=sealed) == text
    other = tmp_path / "other"
    other.write_bytes(os.urandom(32))
    other.chmod(0o600)
    assert "another key" in data("detokenize", "--key-file", other, "--vault", tmp_path / "vault", text=sealed, code=1)
    assert b"bob@" not in (tmp_path / "vault").read_bytes()


def test_what_fails_leaves_no_file(tmp_path, key):
    out = tmp_path / "out.csv"
    (tmp_path / "bad.csv").write_text("email\nbob@example.com\n\"open\n")
    assert "quoted field" in data("mask", "--input", tmp_path / "bad.csv", "--out", out, code=1)
    (tmp_path / "typo.yaml").write_text("columns: {emial: mask}\n")
    assert "'emial'" in data("mask", "--input", tmp_path / "bad.csv", "--rules", tmp_path / "typo.yaml", "--out", out, code=1)
    assert "--key-file" in data("pseudonymize", text="bob@example.com", code=1)
    key.chmod(0o644)
    assert "chmod 600" in data("pseudonymize", "--key-file", key, text="bob@example.com", code=1)
    (tmp_path / "wide.csv").write_text("email\nbob@example.com\n", encoding="utf-16")
    assert "UTF-16" in data("mask", "--input", tmp_path / "wide.csv", "--out", out, code=1)
    for command in ("mask", "detect"):
        assert "is a folder" in data(command, "--input", tmp_path, code=1)
    with open("/dev/full", "wb") as full:
        done = subprocess.run([dvara(), "data", "mask"], input=b"bob@example.com\n" * 9999, stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 1 and b"No space left" in done.stderr
    os.mkfifo(tmp_path / "pipe")
    assert "no regular file" in data("mask", "--out", tmp_path / "pipe", text="bob@example.com", code=1)
    assert (tmp_path / "pipe").is_fifo()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.csv", "key", "pipe", "typo.yaml", "wide.csv"]


@pytest.mark.ordinary_build
def test_memory_does_not_grow_with_the_input(tmp_path):
    with open(tmp_path / "big.csv", "w", encoding="utf-8") as file:
        file.write("id,mail,text\n")
        for i in range(60000):
            file.write(f"{i},user{i}@example.com,\"{'nothing to see here, ' * 20}\"\n")
    data("redact", "--input", tmp_path / "big.csv", "--out", tmp_path / "out.csv")
    used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    assert (tmp_path / "out.csv").stat().st_size > 20 << 20
    assert used < 200 << 10, f"{used} KiB"


def test_encoded_values_are_found(tmp_path):
    text = "q=bob%40example.com Ym9iQGV4YW1wbGUuY29t ４１１１ １１１１ １１１１ １１１１\n"
    assert data("detect", "--output", "jsonl", text="q=bob%40example.com\n") == ""
    rows = [json.loads(line) for line in data("detect", "--decode", "--output", "jsonl", text=text).splitlines()]
    raw = text.encode()
    assert [raw[row["start"]:row["end"]].decode() for row in rows] == [
        "bob%40example.com", "Ym9iQGV4YW1wbGUuY29t", "４１１１ １１１１ １１１１ １１１１"]
    assert data("redact", "--decode", text=text) == "q=[EMAIL] [EMAIL] [CARD]\n"


def groups(path, quasi):
    found = {}
    for row in csv.DictReader(open(path, encoding="utf-8")):
        found.setdefault(tuple(row[name] for name in quasi), []).append(row)
    return found


def inside(value, made):
    """Whether the value is one of those that the generalised cell stands for."""
    if made.endswith("*"):
        return value.startswith(made[:-1])
    low, dash, high = made.partition("-")
    return int(low) <= int(value) <= int(high) if dash else value == made


def test_a_table_becomes_k_anonymous_l_diverse_and_t_close(tmp_path):
    chance = random.Random(7)
    ills = ["flu", "cold", "asthma", "ulcer", "gout"]
    with open(tmp_path / "in.csv", "w", encoding="utf-8") as file:
        file.write("name,age,zip,sex,ill\n")
        for i in range(2000):
            file.write(f"Person {i},{chance.randint(18, 95)},X{chance.randint(10000, 99999)},{chance.choice('MF')},{chance.choice(ills)}\n")
    (tmp_path / "rules.yaml").write_text("k: 5\nl: 3\nt: 0.35\nquasi: [age, zip, sex]\nsensitive: [ill]\nremove: [name]\n")
    report = json.loads(data("anonymize", "--input", tmp_path / "in.csv", "--rules", tmp_path / "rules.yaml", "--out", tmp_path / "out.csv", "--output", "json"))
    quasi = ["age", "zip", "sex"]
    before, after = groups(tmp_path / "in.csv", quasi), groups(tmp_path / "out.csv", quasi)
    made = list(csv.DictReader(open(tmp_path / "out.csv", encoding="utf-8")))
    given = list(csv.DictReader(open(tmp_path / "in.csv", encoding="utf-8")))
    assert "name" not in made[0] and [row["ill"] for row in made] == [row["ill"] for row in given]
    assert all(inside(old[name], new[name]) for old, new in zip(given, made) for name in quasi)
    whole = {ill: sum(row["ill"] == ill for row in given) / len(given) for ill in ills}
    for rows in after.values():
        shares = {ill: sum(row["ill"] == ill for row in rows) / len(rows) for ill in ills}
        assert len(rows) >= 5 and len({row["ill"] for row in rows}) >= 3
        assert sum(abs(shares[ill] - whole[ill]) for ill in ills) / 2 <= 0.35 + 1e-9
    assert report["records"] == 2000 and report["before"]["groups"] == len(before)
    assert report["before"]["unique"] == sum(len(rows) == 1 for rows in before.values()) > 1900
    assert report["after"]["smallest"] == min(map(len, after.values())) and len(after) > 20 and 0 < report["loss"] < 0.6
    (tmp_path / "rules.yaml").write_text("k: 3000\nquasi: [age]\n")
    assert "fewer than k = 3000" in data("anonymize", "--input", tmp_path / "in.csv", "--rules", tmp_path / "rules.yaml", "--out", tmp_path / "none", code=1)
    (tmp_path / "rules.yaml").write_text("quasi: [agee]\n")
    assert "'agee'" in data("anonymize", "--input", tmp_path / "in.csv", "--rules", tmp_path / "rules.yaml", "--out", tmp_path / "none", code=1)
    assert not (tmp_path / "none").exists()


SCHEMA = """
CREATE TABLE person (id int PRIMARY KEY, email text UNIQUE, born date, balance numeric, notes text);
CREATE TABLE visit (email text REFERENCES person (email), day date, memo text);
INSERT INTO person VALUES (1, 'bob@example.com', '1980-05-12', 12.50, E'it''s\\ta tab \\\\ and
a line; card 4111 1111 1111 1111'), (2, 'o''brien@example.com', NULL, -3, NULL);
INSERT INTO visit VALUES ('bob@example.com', '2024-02-01', ''), ('o''brien@example.com', '2024-02-11', 'x');
"""
SQL_RULES = """
columns:
  email: pseudonym
  born: {action: date_shift, subject: email}
  visit.day: {action: date_shift, subject: email}
"""


class Postgres:
    def __init__(self):
        programs = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"))[-1]
        self.port = support.free_port()
        # Its programs refuse to run as root.
        self.run = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        self.programs, self.folder = programs, pathlib.Path(tempfile.mkdtemp(prefix="dvara-act-"))
        if self.run:
            shutil.chown(self.folder, "postgres")
        subprocess.run([*self.run, programs / "initdb", "-D", self.folder / "db", "-U", "postgres", "-A", "trust", "--no-sync"], check=True, capture_output=True, cwd="/")
        subprocess.run([*self.run, programs / "pg_ctl", "-D", self.folder / "db", "-w", "-l", self.folder / "log", "-o",
                        f"-p {self.port} -h 127.0.0.1 -k {self.folder} -c fsync=off", "start"], check=True, capture_output=True, cwd="/")

    def stop(self):
        subprocess.run([*self.run, self.programs / "pg_ctl", "-D", self.folder / "db", "-m", "immediate", "stop"], check=True, capture_output=True, cwd="/")
        shutil.rmtree(self.folder)

    def psql(self, database, text):
        done = subprocess.run([self.programs / "psql", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "-v", "ON_ERROR_STOP=1", "-qAt", "-d", database],
                              input=text.encode(), capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    def dump(self, database, *flags):
        return subprocess.run(["pg_dump", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", *flags, database], check=True, capture_output=True).stdout


@pytest.fixture
def postgres():
    server = Postgres()
    yield server
    server.stop()


@pytest.mark.ordinary_build
def test_a_dump_of_postgresql_is_restored_with_its_references(tmp_path, key, postgres):
    (tmp_path / "rules.yaml").write_text(SQL_RULES)
    postgres.psql("postgres", "CREATE DATABASE a;")
    postgres.psql("a", SCHEMA)
    results = []
    for number, flags in enumerate([[], ["--inserts"], ["--inserts", "--rows-per-insert=5"]]):
        (tmp_path / "dump.sql").write_bytes(postgres.dump("a", *flags))
        data("pseudonymize", "--input", tmp_path / "dump.sql", "--rules", tmp_path / "rules.yaml", "--key-file", key, "--out", tmp_path / "test.sql")
        postgres.psql("postgres", f"CREATE DATABASE b{number};")
        postgres.psql(f"b{number}", (tmp_path / "test.sql").read_text())
        results.append(postgres.psql(f"b{number}", "SELECT p.*, v.memo FROM person p JOIN visit v USING (email) ORDER BY id; SELECT max(day) - min(day) FROM visit;"))
    assert results[0] == results[1] == results[2]
    text = results[0]
    assert "it's\ta tab \\ and\na line; card " in text and "4111 1111" not in text and "|12.50|" in text and "|-3|" in text
    assert "example.com" not in text and text.count("@") == 2 and "1980-05-12" not in text
