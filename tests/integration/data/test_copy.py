# SPDX-License-Identifier: Apache-2.0
"""`dvara data copy`: masked copies of files and of a real PostgreSQL."""
import base64
import csv
import io
import json
import os
import pathlib
import signal
import subprocess
import time

import pytest
from support import shows_card
from test_actions import Postgres, dvara


def copy(*words, code=0, env=None, output="json"):
    done = subprocess.run([dvara(), "data", "copy", *map(str, words), "--output", output], capture_output=True, timeout=120, check=False,
                          env={**os.environ, **(env or {})})
    assert done.returncode == code, done.stdout.decode() + done.stderr.decode()
    return json.loads(done.stdout) if done.stdout else done.stderr.decode()


@pytest.fixture
def key(tmp_path):
    path = tmp_path / "key"
    path.write_bytes(base64.b64encode(os.urandom(32)))
    path.chmod(0o600)
    return path


# ---- files ----

def people(count=30):
    rows = [f"{i},Person{i} Miller{i},user{i}@example.com,1980-05-{i % 28 + 1:02},4111 1111 1111 1111" for i in range(count)]
    return "id,name,email,born,card\n" + "\n".join(rows) + "\n"


FILE_RULES = """
columns:
  email: {action: pseudonym, type: email}
  born: date_shift
  card: {action: fpe, keep_first: 6, keep_last: 4, luhn: true}
  user.email: {action: pseudonym, type: email}
  id: keep
  name: keep
"""


@pytest.fixture
def share(tmp_path):
    folder = tmp_path / "share"
    (folder / "hr").mkdir(parents=True)
    (folder / "hr" / "people.csv").write_text(people())
    (folder / "events.jsonl").write_text("".join(json.dumps({"user": {"email": f"user{i}@example.com"}, "n": i}) + "\n" for i in range(30)))
    (folder / "letter.txt").write_text("write to user3@example.com\n")
    (folder / "empty.txt").write_text("")
    (tmp_path / "rules.yaml").write_text(FILE_RULES)
    return folder


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_folder_is_copied_masked(tmp_path, key, share):
    told = copy(share, tmp_path / "copy", "--rules", tmp_path / "rules.yaml", "--key-file", key)
    assert names(tmp_path / "copy") == names(share) and told["places"] == 4 and told["looked_at"] is True
    rows = list(csv.DictReader(io.StringIO((tmp_path / "copy" / "hr" / "people.csv").read_text())))
    events = [json.loads(line) for line in (tmp_path / "copy" / "events.jsonl").read_text().splitlines()]
    assert [row["email"] for row in rows] == [event["user"]["email"] for event in events], "they still join"
    assert [row["id"] for row in rows] == [str(i) for i in range(30)] and rows[0]["name"] == "Person0 Miller0"
    assert (tmp_path / "copy" / "letter.txt").read_text() == "write to [EMAIL]\n"
    everything = "".join(path.read_text() for path in (tmp_path / "copy").rglob("*") if path.is_file())
    assert "@example.com" not in everything and "4111 1111 1111 1111" not in everything
    assert all(row["born"] != f"1980-05-{i % 28 + 1:02}" for i, row in enumerate(rows)), "another's date may come to be the same"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "key", "rules.yaml", "share"], "nothing else is left"
    assert "not empty" in copy(share, tmp_path / "copy", "--rules", tmp_path / "rules.yaml", "--key-file", key, code=1)
    (tmp_path / "copy" / "old").write_text("x")
    copy(share, tmp_path / "copy", "--rules", tmp_path / "rules.yaml", "--key-file", key, "--replace")
    assert names(tmp_path / "copy") == names(share)


def test_what_no_rule_hides_is_refused(tmp_path, key, share):
    (tmp_path / "rules.yaml").write_text("columns: {id: keep, email: pseudonym, born: date_shift}\n")
    words = [share, tmp_path / "copy", "--rules", tmp_path / "rules.yaml", "--key-file", key]
    told = copy(*words, code=1)
    found = {(item["place"], item["column"]): item for item in told["items"]}
    card = found["hr/people.csv", "card"]
    assert card["state"] == "open" and card["sensitivity"] == "restricted" and "fpe" in card["suggested"] and card["rule"] is None
    assert found["hr/people.csv", "email"]["state"] == "hidden" and found["events.jsonl", "user.email"]["state"] == "hidden"
    assert not (tmp_path / "copy").exists() and not shows_card(json.dumps(told))
    assert copy(*words, "--check", code=1) == told
    opened = [f"{item['column']}" for item in told["items"] if item["state"] == "open"]
    accepted = copy(*words, "--accept", ",".join(opened), "--check")
    assert accepted["refused"] == 0 and not (tmp_path / "copy").exists()
    assert "'cart'" in copy(*words, "--accept", "card,cart", "--check", code=1)
    (tmp_path / "rules.yaml").write_text("columns: {card: keep}\n")
    kept = {item["column"]: item for item in copy(*words, code=1)["items"]}
    assert kept["card"]["state"] == "open" and kept["card"]["rule"] == "keep", "to keep it takes somebody who accepts that"


LIKE_BORN = "id,born,{}\n" + "1,1980-01-02,1981-03-04\n" * 30


@pytest.mark.parametrize("name", ["born[]", "user.born", "users[].born"])
def test_a_column_of_another_name_has_no_rule(tmp_path, key, name):
    """Paths have dots and brackets in JSON alone: CSV goes by the very name."""
    folder = tmp_path / "in"
    folder.mkdir()
    (tmp_path / "rules.yaml").write_text("columns: {born: redact}\n")
    (folder / "a.csv").write_text(LIKE_BORN.format(name))
    words = [folder, tmp_path / "copy", "--rules", tmp_path / "rules.yaml", "--key-file", key]
    assert [(item["column"], item["state"]) for item in copy(*words, code=1)["items"]] == [("born", "hidden"), (name, "open")]
    (tmp_path / "rules.yaml").write_text(f"columns: {{born: redact, '{name}': redact}}\n")
    copy(*words)
    assert "1981-03-04" not in (tmp_path / "copy" / "a.csv").read_text()
    (folder / "a.csv").unlink()
    (tmp_path / "rules.yaml").write_text("columns: {born: redact}\n")
    (folder / "a.jsonl").write_text(json.dumps({"born": "1980-01-02", name: "1981-03-04", "in": [{name: "1982-03-04"}]}) + "\n")
    copy(*words, "--replace")
    assert "198" not in (tmp_path / "copy" / "a.jsonl").read_text(), "a member's name may look like a path"


@pytest.mark.parametrize("wrong, text", [
    ("b.csv", '{"id": 1, "born": "1981-03-04"}\n' * 30),
    ("b.sql", "id,born\n" + "1,1981-03-04\n" * 30),
    ("b.sql", '{"id": 1, "born": "1981-03-04"}\n' * 30),
], ids=["json-as-csv", "csv-as-sql", "json-as-sql"])
def test_what_its_ending_hides_is_refused(tmp_path, key, wrong, text):
    folder = tmp_path / "in"
    folder.mkdir()
    (tmp_path / "rules.yaml").write_text("columns: {born: redact}\n")
    (folder / "a.csv").write_text("id,born\n" + "1,1980-01-02\n" * 30)
    (folder / wrong).write_text(text)
    words = [folder, tmp_path / "copy", "--rules", tmp_path / "rules.yaml", "--key-file", key]
    assert {(item["place"], item["state"]) for item in copy(*words, code=1)["items"]} == {("a.csv", "hidden"), (wrong, "open")}
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize("head, row", [("religion", "catholic"), ("id,religion,sales20240101", "7,catholic,1"), ("id,religion," + "c" * 200, "7,catholic,1"),
                                       ("id,religion\n1", "7,catholic")], ids=["one-column", "digits", "long", "ragged"])
def test_a_head_that_a_scan_does_not_see(tmp_path, key, head, row):
    """The copy takes the first line for the head in any case, so do those who read it."""
    (tmp_path / "people.csv").write_text(head + "\n" + f"{row}\n" * 30)
    (tmp_path / "rules.yaml").write_text("columns: {religion: {action: redact, optional: true}}\n")
    told = copy(tmp_path / "people.csv", tmp_path / "copy.csv", code=1)
    assert [(item["column"], item["state"]) for item in told["items"]] == [("religion", "open")]
    copy(tmp_path / "people.csv", tmp_path / "copy.csv", "--rules", tmp_path / "rules.yaml", "--key-file", key)
    assert "catholic" not in (tmp_path / "copy.csv").read_text()


def test_detect_is_not_enough_for_what_is_not_searched_for(tmp_path, key, share):
    """Dates of birth are found by a scan, and not by what hides values unless the rules name them."""
    words = [share, tmp_path / "copy", "--rules", tmp_path / "rules.yaml", "--key-file", key, "--check"]
    for rules, wanted in (("  born: detect", "open"), ("  born: detect\ndetectors: {date_of_birth: redact}", "searched"), ("  born: redact", "hidden"),
                          ("  born: keep", "open"), ("  born: detect\ndefault: keep", "open")):
        (tmp_path / "rules.yaml").write_text(FILE_RULES.replace("  born: date_shift\n", "") + rules + "\n")
        told = copy(*words, code=1 if wanted == "open" else 0)
        assert {item["column"]: item["state"] for item in told["items"]}["born"] == wanted, rules
    (tmp_path / "rules.yaml").write_text(FILE_RULES)
    (share / "note.txt").write_text("Ann has the date of birth 12.05.1980 and was born in Rome.\n" * 20)
    told = {item["place"]: item for item in copy(*words, code=1)["items"]}
    assert told["note.txt"]["state"] == "open" and "--all" in told["note.txt"]["why"]
    copy(*words, "--all")


def test_what_can_not_be_masked_is_refused(tmp_path, key, share):
    words = [share, tmp_path / "copy", "--rules", tmp_path / "rules.yaml", "--key-file", key]
    (share / "pack.zip").write_bytes(b"PK\x05\x06" + b"\0" * 18)
    told = {item["place"]: item for item in copy(*words, code=1)["items"]}
    assert told["pack.zip"]["state"] == "unread" and "archive" in told["pack.zip"]["why"]
    copy(*words, "--accept", "pack.zip")
    assert (tmp_path / "copy" / "pack.zip").read_bytes() == (share / "pack.zip").read_bytes()
    os.unlink(share / "pack.zip")
    (share / "wide.txt").write_text("user4@example.com\n", encoding="utf-16")
    assert "UTF-16" in copy(*words, "--replace", code=1)
    os.unlink(share / "wide.txt")
    (share / "link").symlink_to(share / "letter.txt")
    assert "links" in copy(*words, "--replace", code=1)
    os.unlink(share / "link")
    (share / "tree.json").write_text('{\n "a": 1\n}\n')
    assert "tree.json" in copy(*words, "--replace", code=1)
    os.unlink(share / "tree.json")
    assert (tmp_path / "copy" / "pack.zip").exists(), "what was there before stays until a copy is whole"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "key", "rules.yaml", "share"]
    for target in (share, share / "copy", tmp_path, tmp_path / "none" / "copy"):
        assert "lies in the other" in copy(share, target, "--replace", "--rules", tmp_path / "rules.yaml", "--key-file", key, code=1)
    assert len(names(share)) == 5


def test_a_value_that_stands_elsewhere_is_a_leak(tmp_path, key, share):
    """A name that is hidden in one file, and that nobody thought of in another."""
    (tmp_path / "rules.yaml").write_text(FILE_RULES.replace("name: keep", "name: pseudonym"))
    words = [share, tmp_path / "copy", "--rules", tmp_path / "rules.yaml", "--key-file", key]
    (share / "orders.csv").write_text("number,contact\n1,Person7 Miller7\n2,nobody\n")
    told = copy(*words, code=1)
    assert told["items"] == [{"place": "orders.csv", "column": "contact", "kind": "value", "values": 1}]
    assert not (tmp_path / "copy").exists() and "Miller7" not in json.dumps(told)
    assert len(list(tmp_path.iterdir())) == 3, "no half of a copy stays"
    copy(*words, "--accept", "orders.csv.contact")
    assert "Miller7" in (tmp_path / "copy" / "orders.csv").read_text()
    (tmp_path / "rules.yaml").write_text(FILE_RULES.replace("name: keep", "name: pseudonym\n  contact: pseudonym"))
    copy(*words, "--replace")
    contact = list(csv.DictReader(open(tmp_path / "copy" / "orders.csv", encoding="utf-8")))[0]["contact"]
    assert contact == list(csv.DictReader(open(tmp_path / "copy" / "hr" / "people.csv", encoding="utf-8")))[7]["name"]


def test_one_file(tmp_path, key):
    (tmp_path / "people.csv").write_text(people())
    (tmp_path / "rules.yaml").write_text("columns: {people.email: pseudonym, card: {action: mask, keep_last: 4}, born: {action: generalise, to: year}, name: redact}\n")
    copy(tmp_path / "people.csv", tmp_path / "test.csv", "--rules", tmp_path / "rules.yaml", "--key-file", key)
    rows = list(csv.DictReader(open(tmp_path / "test.csv", encoding="utf-8")))
    assert rows[3]["born"] == "1980" and rows[3]["card"].endswith("1111") and "example.com" not in rows[3]["email"]
    assert "a database is copied to a database" in copy(tmp_path / "people.csv", "postgresql://localhost/x", code=1)
    (tmp_path / "rules.yaml").write_text("columns: {emial: pseudonym, email: pseudonym, card: mask, born: redact, name: redact}\n")
    assert "'emial'" in copy(tmp_path / "people.csv", tmp_path / "other.csv", "--rules", tmp_path / "rules.yaml", "--key-file", key, code=1)
    assert not (tmp_path / "other.csv").exists()


# ---- PostgreSQL ----

SCHEMA = """
CREATE SCHEMA crm;
CREATE TYPE crm.mood AS ENUM ('happy', 'sad');
CREATE TABLE crm.person (id serial PRIMARY KEY, name text, email text UNIQUE NOT NULL, born date, card text, mood crm.mood,
  domain text GENERATED ALWAYS AS (split_part(email, '@', 2)) STORED, CHECK (email LIKE '%@%'));
CREATE TABLE crm.visit (id bigint GENERATED ALWAYS AS IDENTITY, email text REFERENCES crm.person (email), day date NOT NULL, memo text)
  PARTITION BY RANGE (day);
CREATE TABLE crm.visit_old PARTITION OF crm.visit FOR VALUES FROM ('1900-01-01') TO ('2024-01-01');
CREATE TABLE crm.visit_new PARTITION OF crm.visit DEFAULT;
INSERT INTO crm.person (name, email, born, card, mood)
  SELECT 'Person' || i || ' Miller' || i, 'user' || i || '@example.com', date '1980-01-01' + i, '4111 1111 1111 1111', 'happy' FROM generate_series(1, 500) i;
INSERT INTO crm.visit (email, day, memo)
  SELECT 'user' || i || '@example.com', date '2023-06-01' + i, 'called user' || i || '@example.com' FROM generate_series(1, 500) i;
CREATE VIEW crm.mails AS SELECT email FROM crm.person;
CREATE MATERIALIZED VIEW crm.doubles AS SELECT email, count(*) FROM crm.visit GROUP BY email;
CREATE INDEX ON crm.person (lower(email));
CREATE FUNCTION crm.shout(text) RETURNS text LANGUAGE sql AS $$ SELECT upper($1) $$;
"""
TABLE_RULES = """
columns:
  email: {action: pseudonym, type: email}
  crm_unused: {action: redact, optional: true}
  person.name: pseudonym
  born: {action: date_shift, subject: email}
  card: {action: fpe, keep_first: 6, keep_last: 4, luhn: true}
  visit.memo: detect
"""
pg = pytest.mark.ordinary_build


@pytest.fixture(scope="module")
def server():
    postgres = Postgres()
    yield postgres
    postgres.stop()


@pytest.fixture
def databases(server):
    for name in ("prod", "test"):
        server.psql("postgres", f"DROP DATABASE IF EXISTS {name};")
        server.psql("postgres", f"CREATE DATABASE {name};")
    server.psql("prod", SCHEMA)
    return [f"postgresql://postgres@127.0.0.1:{server.port}/{name}" for name in ("prod", "test")]


def tables(server, database):
    return server.psql(database, "SELECT count(*) FROM pg_class WHERE relnamespace IN (SELECT oid FROM pg_namespace WHERE nspname !~ '^pg_|^information_schema$');").strip()


class TestPostgres:
    pytestmark = pg

    def rules(self, tmp_path, key, text=TABLE_RULES):
        (tmp_path / "rules.yaml").write_text(text)
        return ["--rules", tmp_path / "rules.yaml", "--key-file", key]

    def test_a_database_is_copied_with_all_that_holds_it_together(self, tmp_path, key, server, databases):
        told = copy(*databases, *self.rules(tmp_path, key))
        assert told["records"] == 1000 and told["looked_at"] is True and told["values_hidden"] == 500 * 6
        schema = [server.dump(name, "--schema-only").decode() for name in ("prod", "test")]
        clean = [[line for line in text.splitlines() if not line.startswith("\\")] for text in schema]
        assert clean[0] == clean[1], "tables, keys, sequences, constraints, partitions, views and functions are the same"
        assert server.psql("test", "SELECT count(*) FROM crm.person p JOIN crm.visit v USING (email);").strip() == "500"
        assert server.psql("test", "SELECT count(*) FROM crm.doubles d JOIN crm.person USING (email);").strip() == "500"
        assert server.psql("test", "SELECT count(*) FROM crm.person WHERE domain = split_part(email, '@', 2);").strip() == "500"
        assert server.psql("test", "INSERT INTO crm.person (email) VALUES ('a@b') RETURNING id;").strip() == "501"
        everything = server.dump("test", "--data-only").decode()
        assert "@example.com" not in everything and "4111 1111 1111 1111" not in everything and "Miller" not in everything
        luhn = server.psql("test", "SELECT card FROM crm.person LIMIT 1;").strip()
        assert luhn.startswith("4111 11") and luhn.endswith("1111")
        assert "not empty" in copy(*databases, *self.rules(tmp_path, key), code=1)
        server.psql("test", "CREATE SCHEMA more; CREATE TABLE more.x (); DELETE FROM crm.visit;")
        copy(*databases, *self.rules(tmp_path, key), "--replace")
        assert tables(server, "test") == tables(server, "prod")
        assert server.psql("test", "SELECT count(*) FROM crm.visit;").strip() == "500"

    def test_sensitive_columns_without_a_rule_are_refused(self, tmp_path, key, server, databases):
        words = self.rules(tmp_path, key, "columns: {email: pseudonym}\n")
        told = copy(*databases, *words, code=1)
        states = {(item["place"], item["column"]): item["state"] for item in told["items"]}
        assert states["crm.person", "card"] == "open" and states["crm.person", "email"] == "hidden"
        assert not any(place == "crm.doubles" or column == "domain" for place, column in states), "they are computed anew"
        assert tables(server, "test") == "0"
        wanted = ",".join(f"{item['place']}.{item['column']}" for item in told["items"] if item["state"] == "open")
        copy(*databases, *words, "--accept", wanted)
        assert server.psql("test", "SELECT DISTINCT card FROM crm.person;").strip() == "[CARD]", "without a rule what is found is hidden"
        words = self.rules(tmp_path, key, "columns: {email: pseudonym, card: keep}\n")
        copy(*databases, *words, "--accept", wanted, "--replace")
        assert server.psql("test", "SELECT DISTINCT card FROM crm.person;").strip() == "4111 1111 1111 1111", "a person took it upon himself"

    def test_functions_and_rules_of_several_statements_stay(self, tmp_path, key, server, databases):
        server.psql("prod", "CREATE VIEW crm.people AS SELECT id, email FROM crm.person;"
                            "CREATE RULE r AS ON INSERT TO crm.people DO INSTEAD (INSERT INTO crm.person (email) VALUES (NEW.email); UPDATE crm.person SET name = NEW.email WHERE false);"
                            "CREATE FUNCTION crm.twice(a text) RETURNS void LANGUAGE sql BEGIN ATOMIC INSERT INTO crm.person (email) VALUES (a);"
                            " INSERT INTO crm.person (email) VALUES (CASE WHEN a = '' THEN 'x' ELSE a END || '2'); UPDATE crm.person SET mood = 'sad' WHERE email = a; END;")
        copy(*databases, *self.rules(tmp_path, key))
        bodies = [server.psql(name, "SELECT pg_get_functiondef('crm.twice'::regproc), definition FROM pg_rules WHERE rulename = 'r';") for name in ("prod", "test")]
        assert bodies[0] == bodies[1] and "DO INSTEAD" in bodies[0]
        server.psql("test", "SELECT crm.twice('a@b');")
        assert server.psql("test", "SELECT count(*) FROM crm.person WHERE email IN ('a@b', 'a@b2');").strip() == "2"

    def test_a_column_of_another_name_has_no_rule(self, tmp_path, key, server, databases):
        server.psql("prod", """CREATE TABLE odd (born date, "born[]" text); INSERT INTO odd SELECT '1980-01-02', '1981-03-0' || i FROM generate_series(1, 9) i;""")
        told = copy(*databases, *self.rules(tmp_path, key, TABLE_RULES.replace("  born: {action: date_shift, subject: email}", "  born: redact")), code=1)
        assert [(item["place"], item["column"]) for item in told["items"] if item["state"] == "open"] == [("public.odd", "born[]")]

    def test_what_is_computed_lends_its_name_to_no_table(self, tmp_path, key, server, databases):
        server.psql("prod", """CREATE SCHEMA a; CREATE SCHEMA "a.b"; CREATE TABLE "a.b".c (born date); CREATE TABLE "a.b".g (religion text);
            INSERT INTO "a.b".c SELECT date '1980-01-01' + i FROM generate_series(1, 50) i; INSERT INTO "a.b".g VALUES ('catholic');
            CREATE MATERIALIZED VIEW a."b.c" AS SELECT 1; CREATE TABLE a."b.g" (x int, religion int GENERATED ALWAYS AS (x) STORED);""")
        told = copy(*databases, *self.rules(tmp_path, key, TABLE_RULES.replace("  born: {", "  person.born: {")), code=1)
        assert {(item["place"], item["column"]) for item in told["items"] if item["state"] == "open"} >= {("a.b.c", "born"), ("a.b.g", "religion")}
        assert tables(server, "test") == "0"

    def test_a_leak_leaves_an_empty_target(self, tmp_path, key, server, databases):
        server.psql("prod", "CREATE TABLE crm.log (who text); INSERT INTO crm.log VALUES ('Person9 Miller9'), ('nobody');")
        told = copy(*databases, *self.rules(tmp_path, key), code=1)
        assert told["items"] == [{"place": "crm.log", "column": "who", "kind": "value", "values": 1}]
        assert tables(server, "test") == "0"
        server.psql("prod", "DROP TABLE crm.log;")
        server.psql("prod", "ALTER TABLE crm.visit ALTER memo SET DEFAULT 'Person9 Miller9';")
        assert {item["place"] for item in copy(*databases, *self.rules(tmp_path, key), code=1)["items"]} == {"definitions"}
        assert tables(server, "test") == "0"
        copy(*databases, *self.rules(tmp_path, key), "--accept", "definitions")

    def test_what_does_not_stand_in_clear_is_hidden_too(self, tmp_path, key, server, databases):
        server.psql("prod", "CREATE TABLE crm.raw (x bytea, y text, z jsonb, w text[]);"
                            "INSERT INTO crm.raw SELECT convert_to('ask user' || i || '@example.com for it', 'UTF8'), encode(convert_to('user' || i || '@example.com', 'UTF8'), 'base64'),"
                            " jsonb_build_object('a', 'user' || i || '@example.com'), ARRAY['user' || i || '@example.com'] FROM generate_series(1, 50) i;")
        words = self.rules(tmp_path, key, TABLE_RULES + "  raw.x: redact\n  raw.y: detect\n  raw.z: detect\n  raw.w: detect\n")
        copy(*databases, *words)
        copy(*databases, *self.rules(tmp_path, key, (tmp_path / "rules.yaml").read_text().replace("raw.x: redact", "raw.x: detect")), "--replace", code=1)
        left = server.psql("test", "SELECT encode(x, 'escape') || y || z || w::text FROM crm.raw;")
        assert left.count("\n") == 50 and "example" not in left and "ZXhhbXBsZ" not in left
        assert server.psql("test", "SELECT z ->> 'a', w[1] FROM crm.raw LIMIT 1;").strip() == "[EMAIL]|[EMAIL]"

    def test_what_fails_midway_leaves_the_target_as_it_was(self, tmp_path, key, server, databases):
        server.psql("test", "CREATE TABLE mine (x int); INSERT INTO mine VALUES (7);")
        server.psql("prod", "ALTER TABLE crm.person ADD CHECK (card LIKE '%1111 1111 1111');")  # which no masked card is
        done = copy(*databases, *self.rules(tmp_path, key), "--replace", code=1)
        assert "psql" in done and not shows_card(done)
        assert server.psql("test", "SELECT x FROM mine;").strip() == "7" and tables(server, "test") == "1"
        none = copy(*databases, *self.rules(tmp_path, key), "--replace", code=1, env={"PATH": "/nonexistent"})
        assert "postgresql-client" in none and server.psql("test", "SELECT x FROM mine;").strip() == "7"
        assert "same database" in copy(databases[0], databases[0].replace("127.0.0.1", "localhost"), *self.rules(tmp_path, key), "--replace", code=1)
        assert "password" in copy(databases[0], databases[1].replace("postgres@", "postgres:secret@"), *self.rules(tmp_path, key), code=1)

    def test_a_kill_leaves_the_target_as_it_was(self, tmp_path, key, server, databases):
        server.psql("test", "CREATE TABLE mine (x int); INSERT INTO mine VALUES (7);")
        server.psql("prod", "INSERT INTO crm.visit (email, day, memo) SELECT 'user1@example.com', '2023-01-01', repeat('words and more words ', 20)"
                            " FROM generate_series(1, 60000);")
        words = [str(word) for word in (*databases, *self.rules(tmp_path, key), "--replace")]
        with subprocess.Popen([dvara(), "data", "copy", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
            until = time.monotonic() + 60
            while "COPY" not in server.psql("postgres", "SELECT query FROM pg_stat_activity WHERE datname = 'test';") and time.monotonic() < until:
                time.sleep(0.05)
            child.send_signal(signal.SIGKILL)
            assert child.wait() == -signal.SIGKILL
        while server.psql("postgres", "SELECT count(*) FROM pg_stat_activity WHERE datname = 'test';").strip() != "0" and time.monotonic() < until:
            time.sleep(0.05)
        assert server.psql("test", "SELECT x FROM mine;").strip() == "7" and tables(server, "test") == "1"

    def test_check_changes_nothing(self, tmp_path, key, server, databases):
        told = copy(*databases, *self.rules(tmp_path, key), "--check")
        assert told["refused"] == 0 and {item["state"] for item in told["items"]} == {"hidden", "searched"}
        assert tables(server, "test") == "0"
        server.psql("prod", "SELECT lo_create(0); CREATE EXTENSION postgres_fdw; CREATE SERVER other FOREIGN DATA WRAPPER postgres_fdw;"
                            "CREATE USER MAPPING FOR postgres SERVER other OPTIONS (user 'x', password 'hunter2');")
        assert "user mappings" in copy(*databases, *self.rules(tmp_path, key), "--check", code=1)
        server.psql("prod", "DROP USER MAPPING FOR postgres SERVER other;")
        assert copy(*databases, *self.rules(tmp_path, key))["large_objects_left_out"] == 1


def test_help_names_the_flags():
    assert pathlib.Path(dvara()).exists()
    done = subprocess.run([dvara(), "data", "copy", "--help"], capture_output=True, check=True)
    assert b"--accept" in done.stdout and b"--check" in done.stdout
