# SPDX-License-Identifier: Apache-2.0
"""`dvara data scan`, as its users run it: files, PDF by pdftotext, a real PostgreSQL."""
import json
import os
import pathlib
import pwd
import re
import shutil
import subprocess
import tempfile
import zipfile

import pytest

from support import BUILD, free_port, shows_card

CARD = "4111 1111 1111 1111"


def run(*words, **environment):
    return subprocess.run([BUILD / "dvara", "data", "scan", *words], capture_output=True, text=True, timeout=60,
                          check=False, env={**os.environ, **environment})


def scan(*words, code=0, **environment):
    done = run(*words, "--output", "json", **environment)
    assert done.returncode == code, done.stdout + done.stderr
    answer = json.loads(done.stdout)
    return {item["name"]: item for item in answer["items"]}, answer["summary"]


def pdf(text):
    """The least PDF with one line of text."""
    objects = [b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
               b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 200]/Contents 4 0 R"
               b"/Resources<</Font<</F1 5 0 R>>>>>>", b"", b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"]
    drawn = f"BT /F1 12 Tf 20 100 Td ({text}) Tj ET".encode()
    objects[3] = b"<</Length %d>>stream\n%s\nendstream" % (len(drawn), drawn)
    out, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj%s endobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    return out + b"xref\n0 6\n0000000000 65535 f \n" + table + b"trailer<</Size 6/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % len(out)


def test_files_of_all_kinds_are_labelled_and_no_value_is_told(tmp_path):
    (tmp_path / "people.csv").write_text("id,fullName,email\n" + "".join(f"{i},P,u{i}@example.com\n" for i in range(50)))
    (tmp_path / "bill.pdf").write_bytes(pdf(f"card {CARD} of bob@example.com"))
    (tmp_path / "nothing.txt").write_text("nothing")
    with zipfile.ZipFile(tmp_path / "letter.docx", "w", zipfile.ZIP_DEFLATED) as word:
        word.writestr("[Content_Types].xml", '<?xml version="1.0"?><Types/>')
        word.writestr("word/document.xml", '<?xml version="1.0"?><w:d xmlns:w="w"><w:p><w:t>sue@exam</w:t>'
                      '<w:t>ple.com</w:t></w:p></w:d>')
    items, summary = scan(str(tmp_path))
    assert {n: (i["kind"], i["sensitivity"]) for n, i in items.items()} == {
        "people.csv": ("csv", "confidential"), "bill.pdf": ("pdf", "restricted"), "letter.docx": ("document", "confidential")}
    email = items["people.csv"]["findings"][0]
    assert (email["place"], email["detector"], email["rows"], email["rows_read"]) == ("email", "email", 50, 50)
    assert items["people.csv"]["reasons"][0]["why"][0] == "email in 50 of 50 values of email, whose name says so"
    assert summary["scanned"] == 4 and summary["restricted"] == 1 and summary["not_read_in_full"] == 0
    assert not shows_card(json.dumps(items)) and "example.com" not in json.dumps(items)
    assert set(scan(str(tmp_path), "--all")[0]) >= {"nothing.txt"}


@pytest.mark.ordinary_build
def test_formats(tmp_path):
    (tmp_path / "=cmd|.txt").write_text(f"card {CARD}")
    lines = run(str(tmp_path), "--output", "jsonl").stdout.splitlines()
    assert json.loads(lines[0])["sensitivity"] == "restricted"
    table = run(str(tmp_path)).stdout.splitlines()
    assert table[0].split()[:3] == ["NAME", "KIND", "SENSITIVITY"]
    assert "\"'=cmd|.txt\"" in run(str(tmp_path), "--output", "csv").stdout


@pytest.mark.ordinary_build
def test_fail_on_is_for_pipelines(tmp_path):
    file = tmp_path / "a.txt"
    file.write_text("bob@example.com")
    assert run(str(file), "--fail-on", "restricted").returncode == 0
    assert run(str(file), "--fail-on", "confidential").returncode == 1
    file.write_bytes(b"PAR1\0what nobody reads")
    assert run(str(file)).returncode == 0
    assert run(str(file), "--fail-on", "restricted").returncode == 1  # unseen is no proof
    file.write_text("words " * 1000)
    assert run(str(file), "--fail-on", "restricted", "--max-bytes", "100").returncode == 1
    assert run("/dev").returncode == 0
    done = run("/dev", "--fail-on", "restricted")  # other file systems lie in it, /dev/shm and its like
    assert done.returncode == 1 and "--cross-devices" in done.stderr
    done = run(str(tmp_path / "gone"))
    assert done.returncode == 1 and "No such file" in done.stderr


@pytest.mark.ordinary_build
def test_own_rules(tmp_path):
    (tmp_path / "a.csv").write_text("project,code\nx,1\ny,2\n")
    rules = tmp_path / "rules.yaml"
    rules.write_text("- {id: projects, doc: ours, category: project, sensitivity: restricted, labels: [secret], columns: [project]}\n")
    assert scan(str(tmp_path / "a.csv"), "--rules", str(rules))[0]["a.csv"]["labels"] == ["secret"]
    rules.write_text("- {id: projects, doc: ours, category: project, sensitivity: secret}\n")
    done = run(str(tmp_path / "a.csv"), "--rules", str(rules))
    assert done.returncode == 1 and "public, internal, confidential or restricted" in done.stderr and "line 1" in done.stderr


def test_names_of_people(tmp_path):
    (tmp_path / "a.csv").write_text("note,who\nx,Priya Sharma\ny,Michael Johnson\nz,Anna Keller\n")
    assert scan(str(tmp_path))[0] == {}
    item = scan(str(tmp_path), "--names")[0]["a.csv"]
    assert item["categories"] == ["personal"] and item["reasons"][0]["why"] == ["person in 3 of 3 values of who"]


def test_damaged_pdf_says_so(tmp_path):
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.4\nnonsense")
    items, _ = scan(str(tmp_path))
    assert "could not be read to its end" in items["a.pdf"]["problem"]


# ---- PostgreSQL ----

SQL = """
create table customers (id serial, email text, card varchar, doc jsonb, raw bytea);
insert into customers (email, card, doc, raw) select 'u' || i || '@example.com', '4111111111111111',
    jsonb_build_object('phone', '+1 202 555 0147'), convert_to('mail x@example.com', 'UTF8') from generate_series(1, 30000) i;
create schema hr;
create table hr."Pay Roll" (id int, salary numeric, "Date of Birth" date);
insert into hr."Pay Roll" select i, 1000, '1980-01-01' from generate_series(1, 100) i;
create table empty (a int);
create table hidden (a text);
alter table hidden enable row level security;
create function leak() returns text language plpgsql as $$ begin raise exception 'it ran'; end $$;
create view danger as select leak() as a;
create role reader login password 'readerpw';
grant usage on schema hr to reader;
grant select on customers, hidden, empty, danger, hr."Pay Roll" to reader;
create table closed (a text);
analyze;
"""


def as_postgres(*command):
    """Programs of PostgreSQL refuse to run as root."""
    user = pwd.getpwnam("postgres") if os.getuid() == 0 else None
    return {"args": command, "user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {"args": command}


@pytest.fixture(name="database", scope="module")
def make_database():
    programs = max(pathlib.Path("/usr/lib/postgresql").glob("*/bin"))
    folder = pathlib.Path(tempfile.mkdtemp(prefix="dvara-pg-"))
    port = free_port()
    if os.getuid() == 0:
        shutil.chown(folder, "postgres")
    (folder / "password").write_text("topsecret")
    (folder / "password").chmod(0o644)
    quiet = {"check": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder}
    subprocess.run(**as_postgres(programs / "initdb", "-D", folder / "data", "-U", "owner", "-A", "scram-sha-256", "--no-sync",
                                 f"--pwfile={folder}/password"), **quiet)
    server = [programs / "pg_ctl", "-D", folder / "data", "-w"]
    subprocess.run(**as_postgres(*server, "-o", f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off", "-l",
                                 folder / "log", "start"), **quiet)
    url = f"postgresql://owner@127.0.0.1:{port}/postgres"
    try:
        subprocess.run([programs / "psql", "-q", "-v", "ON_ERROR_STOP=1", url], input=SQL.encode(), check=True,
                       env={**os.environ, "PGPASSWORD": "topsecret"})
        yield url
    finally:
        subprocess.run(**as_postgres(*server, "-m", "immediate", "stop"), **quiet)
        shutil.rmtree(folder)


def test_tables_are_labelled_by_a_sample(database):
    tables, summary = scan(database, "--all", "--rows", "1000", PGPASSWORD="topsecret")
    assert set(tables) == {"public.customers", "hr.Pay Roll", "public.empty", "public.hidden", "public.closed"}
    customers = tables["public.customers"]
    assert (customers["sensitivity"], customers["rows"], customers["sampled"]) == ("restricted", 1000, True)
    assert {(f["place"], f["detector"]) for f in customers["findings"]} >= {
        ("email", "email"), ("card", "payment_card"), ("doc", "phone"), ("raw", "email")}
    assert tables["hr.Pay Roll"]["categories"] == ["financial", "personal"]
    assert tables["public.empty"]["sensitivity"] == "internal" and summary["not_read_in_full"] == 0
    again = scan(database, "--rows", "1000", PGPASSWORD="topsecret")[0]["public.customers"]
    assert again["findings"] == customers["findings"]  # the same sample


def test_what_an_account_may_not_see_is_told_and_nothing_of_others_is_run(database):
    url = database.replace("owner@", "reader@")
    tables, summary = scan(url, "--all", PGPASSWORD="readerpw")
    assert "row security hides rows" in tables["public.hidden"]["problem"]
    assert "may not" in tables["public.closed"]["problem"] and summary["not_read_in_full"] == 2
    assert "public.danger" not in tables
    views, _ = scan(url, "--views", PGPASSWORD="readerpw")
    assert views["public.danger"]["problem"] == "could not be read: PostgreSQL says P0001"
    assert run(url, "--fail-on", "restricted", PGPASSWORD="readerpw").returncode == 1


OTHERS = b"""
create extension file_fdw;
create server files foreign data wrapper file_fdw;
create table parted (mail text) partition by list (mail);
create foreign table foreign_part partition of parted default server files options (program 'echo ran >> %s; echo eve@example.com');
create table plain (mail text);
insert into plain values ('bob@example.com');
create table long (a text, b bytea);
insert into long values (repeat('e', 65536), convert_to(repeat(E'\\\\', 65536), 'UTF8'));
create table longer (a text);
insert into longer values (repeat(U&'\\00E4', 65536) || ' bob@example.com');
create table longest (b bytea);
insert into longest values (convert_to(repeat(U&'\\00E4', 32768) || ' bob@example.com', 'UTF8'));
create materialized view unfilled as select * from plain with no data;
"""


def sql(url, text):
    subprocess.run(["psql", "-q", "-v", "ON_ERROR_STOP=1", url], input=text, check=True, env={**os.environ, "PGPASSWORD": "topsecret"})


def test_a_foreign_part_is_not_run_and_what_is_cut_is_told(database):
    trace = pathlib.Path(tempfile.gettempdir()) / f"dvara-trace-{os.getpid()}"
    sql(database, b"create database others")
    others = database.replace("/postgres", "/others")
    sql(others, OTHERS % str(trace).encode())
    try:
        tables, _ = scan(others, "--all", PGPASSWORD="topsecret")
        assert not trace.exists() and "leads to a foreign table" in tables["public.parted"]["problem"]
        assert tables["public.plain"]["values"] == 1 and "never filled" in tables["public.unfilled"]["problem"]
        assert not scan(others, "--all", "--views", PGPASSWORD="topsecret")[0]["public.parted"]["rows"] and not trace.exists()
        assert tables["public.long"]["problem"] == ""
        assert {tables[name]["problem"][:33] for name in ("public.longer", "public.longest")} == {"holds values of more than 64 KiB:"}
    finally:
        trace.unlink(missing_ok=True)


PLANNED = b"""
create role planner; grant create on schema public to planner; set role planner;
create function quiet(i int) returns int immutable language sql as 'select i';
create table indexed (id int, mail text); insert into indexed values (1, 'bob@example.com');
create index on indexed (id) where public.quiet(1) = 1;
create table counted (id int, mail text); create statistics counts on (public.quiet(1) + id), mail from counted;
create table parted (id int, mail text, check (public.quiet(1) = 1)) partition by list (id);
create table part partition of parted for values in (1); insert into parted values (1, 'bob@example.com');
create table usual (id int, mail text); insert into usual values (1, 'bob@example.com');
create index on usual (lower(mail)) where id > 0;
create or replace function quiet(i int) returns int immutable language plpgsql as $$ begin raise exception 'it ran'; end $$;
"""


def test_what_planning_would_run_is_of_others_too(database):
    """Functions in indexes, statistics and constraints: constant, they run before a row is read."""
    sql(database, b"create database planned")
    other = database.replace("/postgres", "/planned")
    sql(other, PLANNED)
    tables, summary = scan(other, "--all", PGPASSWORD="topsecret")
    for name in ("indexed", "counted"):
        assert "run a function of another account" in tables[f"public.{name}"]["problem"], tables
    assert tables["public.usual"]["values"] == tables["public.parted"]["values"] == 1  # and it did not run
    assert summary["not_read_in_full"] == 2


def test_bytes_that_are_no_utf8_end_no_scan(database):
    sql(database, b"create database bytes encoding 'SQL_ASCII' locale 'C' template template0")
    other = database.replace("/postgres", "/bytes")
    sql(other, b"set client_encoding = 'SQL_ASCII'; create table \"kund\xe4r\" (\"n\xe4mn\" text, mail text);"
               b"insert into \"kund\xe4r\" values (E'\xe4', 'bob@example.com'); create table z as select 'eve@example.com'::text as mail")
    tables, summary = scan(other, PGPASSWORD="topsecret")
    assert {t["values"] for t in tables.values()} == {1} and len(tables) == 2 and summary["not_read_in_full"] == 0


def test_passwords_never_stand_in_arguments(database, tmp_path):
    done = run(database.replace("owner@", "owner:topsecret@"))
    assert done.returncode == 1 and "PGPASSFILE" in done.stderr and "topsecret" not in done.stderr
    done = run(database, PGPASSWORD="wrong")
    assert done.returncode == 1 and "password authentication failed" in done.stderr and "wrong" not in done.stderr
    file = tmp_path / "pass"
    file.write_text(re.sub(r"postgresql://owner@(.*):(\d+)/.*", r"\1:\2:*:owner:topsecret", database))
    file.chmod(0o600)
    assert scan(database, PGPASSFILE=str(file))[1]["scanned"] == 5
