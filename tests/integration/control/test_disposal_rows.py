# SPDX-License-Identifier: Apache-2.0
"""Rows of tables go when their time is over: those alone that Dvara says, in a real PostgreSQL, whoever is killed."""
import json
import re
import signal
import subprocess

import pytest
from database import PASSWORD, server
from support import wait_until
from test_disposal import certificate, crc32c, set_rules, verify

RULES = """  words: {labels: [ledger]}
  rules:
    - {name: orders, categories: [personal], keep: 365d, column: created_at, unowned: true}
    - {name: ledgers, of: tables, labels: [ledger], keep: forever}
    - {name: files, categories: [personal], keep: 30d}
"""

TABLE = """
create table {name} (id serial primary key, email text, created_at {type});
insert into {name} (email, created_at) select 'u' || i || '@example.com', now() - (i * 24 - 12 || ' hours')::interval
  from generate_series(1, 730) i;
insert into {name} (email) values ('a@example.com'), ('b@example.com');
"""


@pytest.fixture(name="pg", scope="module")
def make_server():
    with server() as one:
        yield one


class Shop:
    """A database of a test's own whose tables are in the inventory."""

    def __init__(self, control, pg, name):
        self.control, self.pg, self.name = control, pg, name
        self.url = pg.url(name)
        self.source = f"postgresql://127.0.0.1:{pg.port}/{name}"

    def ask(self, text):
        return self.pg.ask(self.name, text)

    def make(self, text):
        """Makes tables, which a scan then knows."""
        self.ask(text)
        done = self.control.dvara("data", "scan", self.url, "--save", PGPASSWORD=PASSWORD)
        assert done.returncode == 0, done.stderr
        return self

    def count(self, table, where="true"):
        return int(self.ask(f"select count(*) from {table} where {where}"))

    def plan(self):
        return {r["name"]: r for r in self.control.json("data", "disposal", "plan", "--source", self.source)["items"]}

    def dvara(self, *flags, url=None, password=PASSWORD):
        return self.control.dvara("data", "disposal", "run", url or self.url, "--output", "json", *flags,
                                  PGPASSWORD=password)

    def run(self, *flags, status=0, **how):
        done = self.dvara("--yes", *flags, **how)
        assert done.returncode == status, done.stdout + done.stderr
        return {r["name"]: r for r in json.loads(done.stdout)["items"]}

    def start(self, *flags):
        return subprocess.Popen([self.control.program, "data", "disposal", "run", self.url, "--yes", "--state",
                                 self.control.state, *flags], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL, env=self.pg.environment())

    def label(self, table, *flags):
        for row in self.control.json("data", "asset", "list")["items"]:
            if row["name"] == table:
                self.control.json("data", "asset", "update", row["id"], *flags)


@pytest.fixture(name="shop")
def make_shop(fresh, pg, request):
    fresh.config.write_text("data_retention:\n" + RULES)
    fresh.start_all()
    name = re.sub(r"\W", "_", request.node.name)[-60:].strip("_")
    pg.ask("postgres", f"create database {name}")
    return Shop(fresh, pg, name)


def test_old_rows_go_and_the_certificate_says_how_many(shop, tmp_path):
    shop.make(TABLE.format(name="orders", type="timestamptz") +
              "create table plain (id int, created_at timestamptz); insert into plain values (1, '2001-01-01');")
    row = shop.plan()["public.orders"]
    assert (row["status"], row["column"], row["kind"], row["age_days"]) == ("due", "created_at", "table", None)
    assert "rows whose created_at is before" in row["why"]
    dry = json.loads(shop.dvara("--dry-run").stdout)["items"]
    assert [(r["name"], r["would"], r["rows"], r["undated"]) for r in dry] == [("public.orders", "delete", 365, 2)]
    assert shop.count("orders") == 732 and shop.control.json("data", "disposal", "list")["items"] == []
    asked = shop.dvara()
    assert asked.returncode == 1 and "365 rows of 1 tables" in asked.stderr and "--yes" in asked.stderr
    done = shop.run()["public.orders"]
    assert (done["outcome"], done["rows"], done["undated"]) == ("destroyed", 365, 2)
    assert shop.count("orders") == 367 and shop.count("orders", "created_at < now() - interval '365 days'") == 0
    assert shop.count("orders", "created_at is null") == 2 and shop.count("plain") == 1
    assert shop.run() == {}  # and no certificate of nothing
    runs = shop.control.json("data", "disposal", "list")["items"]
    assert [(r["files"], r["destroyed"], r["rows"]) for r in runs] == [(1, 1, 365)]
    file = certificate(shop.control, done["id"], tmp_path)
    assert verify(shop.control, file).returncode == 0
    told = json.loads(file.read_text())
    (item,) = told["items"]
    assert (told["version"], told["rows_destroyed"], told["destroyed"]) == (2, 365, 1)
    assert (item["name"], item["column"], item["rows"], item["undated"], item["outcome"], item["method"]) == (
        "public.orders", "created_at", 365, 2, "destroyed", "delete")
    assert item["before"] == done["before"] and told["rules"][0]["column"] == "created_at"
    assert "VACUUM" in told["method"] and "example.com" not in file.read_text()


@pytest.mark.parametrize("kind", ["date", "timestamp"])
def test_without_a_zone_a_row_goes_once_it_is_old_everywhere(shop, kind):
    """Whatever clock wrote it, and whatever zone the server and the account have."""
    shop.make(f"""create table orders (id int, email text, created_at {kind});
        insert into orders select i, 'u@example.com', ((now() at time zone 'UTC')::timestamp - interval '365 days'
          - (i || ' hours')::interval)::{kind} from generate_series(-48, 48) i;
        alter role owner set timezone to 'Pacific/Kiritimati'; alter role owner set datestyle to 'German, DMY';""")
    try:
        done = shop.run()["public.orders"]
    finally:
        shop.pg.ask("postgres", "alter role owner reset all")
    # i hours younger or older than 365 days: those go that are 12 hours, or a day and 12 hours, older.
    gone = [i for i in range(-48, 49) if not shop.count("orders", f"id = {i}")]
    assert gone == list(range(min(gone), 49)) and min(gone) in ((12, 13) if kind == "timestamp" else range(12, 38))
    assert done["rows"] == len(gone)


def test_odd_names_are_names(shop):
    """Quotes, dots, capitals, words of SQL and what looks like a command."""
    names = ['Or"ders', "a.b", "x; drop table orders; --", "select", "t'able", "ü b\\c", "$1"]
    quoted = ['"' + n.replace('"', '""') + '"' for n in names]
    shop.ask('create schema "we""ird.one"; create table public."victim" (id int)')
    shop.make("".join(f"""create table "we""ird.one".{q} (email text, "crea""ted at" timestamptz);
        insert into "we""ird.one".{q} values ('u@example.com', '2001-01-01'), ('u@example.com', now());""" for q in quoted))
    set_rules(shop.control, RULES.replace("created_at", "'crea\"ted at'").replace("orders", "odd"), "odd")
    done = shop.run()
    assert {(n, r["outcome"], r["rows"]) for n, r in done.items()} == {
        (f'we"ird.one.{n}', "destroyed", 1) for n in names}
    for q in quoted:
        assert shop.count(f'"we""ird.one".{q}') == 1
    assert shop.count("victim") == 0


def test_what_refers_to_rows_keeps_them_and_goes_first_if_it_may(shop, tmp_path):
    shop.make(TABLE.format(name="a_parent", type="timestamptz") + TABLE.format(name="lonely", type="timestamptz") + """
        create table b_child (id serial primary key, email text, created_at timestamptz, parent int references a_parent
          deferrable initially deferred);
        insert into b_child (email, created_at, parent) select 'c@example.com', created_at, id from a_parent;
        create table stays (parent int references lonely); insert into stays select id from lonely;""")
    done = shop.run(status=1)
    assert (done["public.a_parent"]["outcome"], done["public.b_child"]["outcome"]) == ("destroyed", "destroyed")
    lonely = done["public.lonely"]
    assert lonely["outcome"] == "kept" and "foreign key): stays" in lonely["why"] and lonely["rows"] == 0
    assert (shop.count("a_parent"), shop.count("b_child"), shop.count("lonely")) == (367, 367, 732)
    told = json.loads(certificate(shop.control, lonely["id"], tmp_path).read_text())
    assert {i["name"]: (i["outcome"], i["rows"]) for i in told["items"]} == {
        "public.a_parent": ("destroyed", 365), "public.b_child": ("destroyed", 365), "public.lonely": ("kept", 0)}
    assert told["rows_destroyed"] == 730


def test_nothing_else_is_deleted_or_changed(shop):
    """Cascades, triggers, replies to themselves, rules: the table keeps its rows, and says why."""
    shop.make("".join(TABLE.format(name=n, type="timestamptz") for n in (
        "cascading", "nulling", "tree", "moved", "ruled", "swallowed")) + """
        create table children (parent int references cascading on delete cascade);
        insert into children select id from cascading;
        create table others (parent int references nulling on delete set null);
        insert into others select id from nulling;
        alter table tree add reply_to int references tree on delete cascade;
        update tree set reply_to = 730 where id = 1;
        create table archive (like moved);
        create function keep_copy() returns trigger language plpgsql as
          $$ begin insert into public.archive values (old.*); return old; end $$;
        create trigger t before delete on moved for each row execute function keep_copy();
        create rule r as on delete to ruled do instead nothing;
        create function swallow() returns trigger language plpgsql as $$ begin return null; end $$;
        create trigger t before delete on swallowed for each row execute function swallow();""")
    done = shop.run(status=1)
    assert {n: r["outcome"] for n, r in done.items()} == {f"public.{n}": "kept" for n in (
        "cascading", "nulling", "tree", "moved", "ruled", "swallowed")}
    assert "other tables, too (cascade or trigger): public.children" in done["public.cascading"]["why"]
    assert "public.archive" in done["public.moved"]["why"] and "other rows of it" in done["public.tree"]["why"]
    assert "rules" in done["public.ruled"]["why"]
    for name in ("cascading", "nulling", "tree", "moved", "ruled", "swallowed"):
        assert shop.count(name) == 732
    assert (shop.count("archive"), shop.count("children"), shop.count("others", "parent is null")) == (0, 732, 0)


def test_no_code_of_others_is_run(shop):
    """A trigger of somebody less powerful; row security; a foreign part; a view in the table's place."""
    shop.ask("""create role mallory login password 'mallorypw'; grant create on schema public to mallory;
                create extension file_fdw; create server files foreign data wrapper file_fdw;""")
    shop.pg.secrets["mallory"] = "mallorypw"
    shop.pg.ask(shop.name, TABLE.format(name="evil", type="timestamptz") + """
        create function leak() returns trigger language plpgsql as $$ begin raise exception 'it ran'; end $$;
        create trigger t before delete on evil for each row execute function leak();""", user="mallory")
    shop.make(TABLE.format(name="swapped", type="timestamptz") + TABLE.format(name="heap", type="timestamptz") + """
        create table parted (email text, created_at timestamptz) partition by list (email);
        create table here partition of parted for values in ('a@example.com');
        create foreign table away partition of parted default server files options (program 'echo ran');
        insert into parted values ('a@example.com', '2001-01-01');
        create table secured (email text, created_at timestamptz);
        insert into secured values ('a@example.com', '2001-01-01');
        create role runner login password 'runnerpw'; grant select, delete on secured, heap to runner;
        grant usage on schema public to runner; alter table secured enable row level security;""")
    shop.label("public.parted", "--categories", "personal", "--labels", "gdpr")  # no scan could read it
    shop.ask("alter table swapped rename to before; create view swapped as select * from before")
    shop.pg.secrets["runner"] = "runnerpw"
    done = shop.run(status=1)
    assert "trigger of another account" in done["public.evil"]["why"] and shop.count("evil") == 732
    assert "foreign table" in done["public.parted"]["why"]
    assert "no table" in done["public.swapped"]["why"] and shop.count("before") == 732
    assert done["public.heap"]["outcome"] == "destroyed" and done["public.secured"]["outcome"] == "destroyed"
    shop.ask("insert into secured values ('a@example.com', '2001-01-01')")
    done = shop.run(status=1, url=shop.pg.url(shop.name, "runner"), password="runnerpw")
    assert "row security" in done["public.secured"]["why"] and shop.count("secured") == 1


def test_no_function_of_others_is_run_by_planning_or_a_cascade(shop):
    """What PostgreSQL runs as whoever deletes although no trigger of the table has it."""
    shop.ask("create role %s login password 'mallorypw'; grant create on schema public to %s;" % (("planner",) * 2))
    shop.pg.secrets["planner"] = "mallorypw"
    for name in ("parent", "chained"):
        shop.ask(TABLE.format(name=name, type="timestamptz") + f"grant references on {name} to planner;")
    shop.ask("create table ran (who text, what text); grant insert on ran to public;")
    shop.pg.ask(shop.name, """create function wrote() returns int language plpgsql as
          $$ begin insert into public.ran values (current_user, 'planning'); return 1; end $$;
        create function note(i int) returns int immutable language plpgsql as
          $$ begin perform public.wrote(); return i; end $$;
        create function after() returns trigger language plpgsql as
          $$ begin insert into public.ran values (current_user, 'cascade'); return null; end $$;""" +
        "".join(TABLE.format(name=n, type="timestamptz") for n in ("indexed", "counted")) + """
        create index on indexed (id) where public.note(1) = 1;
        create statistics counts on (public.note(1) + id), created_at from counted; analyze counted;
        create table parted (id int, email text, created_at timestamptz, check (public.note(1) = 1)) partition by list (id);
        create table part partition of parted for values in (1);
        insert into parted values (1, 'u@example.com', '2001-01-01');
        create table child (parent int references parent on delete cascade); insert into child select 1;
        create trigger t after delete on child for each statement execute function after();
        create table nulled (id int unique references chained on delete set null); insert into nulled select 1;
        create table leaf (id int references nulled (id) on update cascade); insert into leaf select 1;
        create trigger t after update on leaf for each row execute function after();""", user="planner")
    shop.make("delete from ran")
    for name in ("indexed", "counted", "parted"):
        shop.label(f"public.{name}", "--categories", "personal", "--labels", "gdpr")  # no scan could read it
    shop.ask("delete from ran")
    done = shop.run(status=1)
    assert {n: r["why"] for n, r in done.items() if r["outcome"] == "kept"} == {
        "public.parent": "deleting would run a trigger of another account: t",
        "public.chained": "deleting would run a trigger of another account: t",
        "public.indexed": "its indexes, statistics or parts run a function of another account: note",
        "public.counted": "its indexes, statistics or parts run a function of another account: note"}
    assert done["public.parted"]["outcome"] == "destroyed"  # it is not asked which parts its constraints exclude
    assert shop.ask("select * from ran") == "" and shop.count("child") == 1


def test_a_trigger_of_ones_own_changes_nothing_else_either(shop):
    """Also what no count of rows shows: TRUNCATE, DDL, large objects."""
    shop.make("".join(TABLE.format(name=n, type="timestamptz") for n in ("emptying", "making", "freeing")) + """
        create table victim (i int); insert into victim values (1);
        create function empty() returns trigger language plpgsql as $$ begin truncate public.victim; return old; end $$;
        create trigger t before delete on emptying for each row execute function empty();
        create function make() returns trigger language plpgsql as
          $$ begin create table if not exists public.made (i int); return old; end $$;
        create trigger t before delete on making for each row execute function make();
        create extension lo; alter table freeing add object oid; update freeing set object = lo_create(0) where id = 730;
        create trigger t before delete on freeing for each row execute function lo_manage(object);
        create table long (email text, created_at timestamptz); alter table long alter email set storage external;
        insert into long select 'u@example.com ' || repeat('x', 9000), '2001-01-01';""")
    done = shop.run(status=1)
    assert {n: r["why"].partition(": ")[2] for n, r in done.items() if r["outcome"] == "kept"} == {
        "public.emptying": "pg_catalog.pg_class", "public.making": done["public.making"]["why"].partition(": ")[2],
        "public.freeing": "pg_catalog.pg_largeobject_metadata"}
    assert done["public.making"]["why"].partition(": ")[2].startswith("pg_catalog.pg_")
    assert (shop.count("victim"), shop.count("pg_largeobject_metadata"), shop.count("long")) == (1, 1, 0)


def test_partitions_and_tables_that_inherit(shop):
    shop.make("""create table parted (id int, email text, created_at timestamptz) partition by range (created_at);
        create table p_old partition of parted for values from ('2000-01-01') to ('2020-01-01');
        create table p_new partition of parted default;
        insert into parted select i, 'u@example.com', '2019-12-01'::timestamptz + (i || ' hours')::interval
          from generate_series(1, 2000) i;
        insert into parted values (0, 'u@example.com', now());
        create table heir_base (email text, created_at timestamptz);
        create table heir (extra text) inherits (heir_base);
        insert into heir_base values ('u@example.com', '2001-01-01');
        insert into heir values ('u@example.com', '2001-01-01');""")
    shop.label("public.heir", "--labels", "keep")
    done = shop.run()
    assert (done["public.parted"]["rows"], shop.count("parted")) == (2000, 1)
    assert done["public.heir_base"]["rows"] == 1 and shop.count("heir") == 1 and shop.count("only heir_base") == 0


def test_what_has_no_age_stays(shop):
    shop.make("""create table orders (email text, created_at timestamptz);
        insert into orders values ('a@example.com', null), ('b@example.com', '-infinity'), ('c@example.com', 'infinity'),
          ('d@example.com', '0044-03-15 BC'), ('e@example.com', '2001-01-01');
        create table wrong (email text, created_at text); insert into wrong values ('a@example.com', '2001-01-01');
        create table none (email text); insert into none values ('a@example.com');
        create table other (email text, "Created_At" timestamptz); insert into other values ('a@example.com', '2001-01-01');""")
    done = shop.run(status=1)
    assert (done["public.orders"]["rows"], done["public.orders"]["undated"]) == (2, 2) and shop.count("orders") == 3
    assert "no date" in done["public.wrong"]["why"]
    assert {done[f"public.{n}"]["why"] for n in ("none", "other")} == {"it has no such column: created_at"}


def test_what_keeps_files_keeps_tables(shop):
    """Holds, the label keep, rules that keep longer, an owner, two columns, and a clock that nobody trusts."""
    names = ["held", "labelled", "kept_on", "unowned", "torn", "free"]
    shop.make("".join(TABLE.format(name=n, type="timestamptz") for n in names))
    shop.label("public.labelled", "--labels", "keep")
    shop.label("public.kept_on", "--labels", "ledger")
    shop.label("public.torn", "--categories", "personal,financial")
    shop.label("public.unowned", "--categories", "payment")
    set_rules(shop.control, RULES + f"""    - {{name: fin, categories: [financial], keep: 400d, column: updated_at}}
    - {{name: cards, categories: [payment], keep: 10d, column: created_at}}
  holds:
    - {{name: court, sources: ["{shop.source}/public.held"]}}
""", "court")
    rows = shop.plan()
    assert {n: r["why"] for n, r in rows.items() if r["status"] == "waits"} == {
        "public.held": "the hold court keeps it", "public.labelled": "its label keep keeps it",
        "public.torn": "several rules are for it, and they name different columns", "public.unowned": "nobody owns it"}
    assert set(rows) == {f"public.{n}" for n in names if n != "kept_on"}
    assert set(shop.run()) == {"public.free"}
    for name in names[:-1]:
        assert shop.count(name) == 732


def test_a_row_that_changes_meanwhile_is_looked_at_again(shop):
    shop.make(TABLE.format(name="orders", type="timestamptz"))
    other = shop.pg.session(shop.name)
    other.stdin.write("begin; update orders set created_at = now() where id in (400, 500); select 'held';\n")
    assert other.stdout.readline().strip() == "held"
    process = shop.start()
    waiting = "select count(*) from pg_stat_activity where application_name = 'dvara-disposal' and wait_event_type = 'Lock'"
    wait_until(lambda: shop.ask(waiting) == "1", 30, "it waits for the rows")
    other.stdin.write("commit;\n\\q\n")
    assert process.wait(timeout=60) == 0 and other.wait(timeout=30) == 0
    assert shop.count("orders") == 369 and shop.count("orders", "id in (400, 500)") == 2


def test_a_kill_before_the_commit_claims_nothing(shop, tmp_path):
    """While it waits for a row, and while dvarad is asked: nothing is gone, and the next run does it."""
    shop.make(TABLE.format(name="orders", type="timestamptz"))
    other = shop.pg.session(shop.name)
    other.stdin.write("begin; select 'held' from orders where id = 400 for update;\n")
    assert other.stdout.readline().strip() == "held"
    process = shop.start()
    running = "select count(*) from pg_stat_activity where application_name = 'dvara-disposal'"
    wait_until(lambda: shop.ask(running + " and wait_event_type = 'Lock'") == "1", 30, "it waits for the row")
    shop.control.processes["dvarad"].send_signal(signal.SIGSTOP)
    other.stdin.write("commit;\n\\q\n")
    wait_until(lambda: shop.ask(running + " and state = 'idle in transaction'") == "1", 30, "it asks dvarad")
    process.kill()
    process.wait(timeout=30)
    wait_until(lambda: shop.ask(running) == "0", 30, "PostgreSQL has undone it")
    shop.control.processes["dvarad"].send_signal(signal.SIGCONT)
    assert shop.count("orders") == 732
    (open_run,) = shop.control.json("data", "disposal", "list")["items"]
    assert open_run["state"] == "running"
    done = shop.run()["public.orders"]
    assert (done["id"], done["outcome"], done["rows"]) == (open_run["id"], "destroyed", 365)
    assert shop.count("orders") == 367 and len(shop.control.json("data", "disposal", "list")["items"]) == 1
    assert verify(shop.control, certificate(shop.control, done["id"], tmp_path)).returncode == 0


IDENTITY = """select (select system_identifier from pg_control_system())::text || '.' || (select oid from pg_database
    where datname = current_database()) || '.' || left(pg_walfile_name(pg_current_wal_lsn()), 8) || '.' ||
    pg_current_xact_id();"""


def ready(shop, xact, rows=365):
    """A run whose table is about to go in that transaction."""
    key = shop.control.key_of(f"officer{rows}", "dispose_data")["secret"]
    asset = shop.plan()["public.orders"]["asset"]
    begun = shop.control.curl("/v1/data/disposal/runs", key=key, body={"source": shop.source, "tables": [asset]}).json
    told = shop.control.curl(f"/v1/data/disposal/runs/{begun['id']}/files", key=key, body={"items": [
        {"n": 0, "state": "ready", "xact": xact, "rows": rows, "undated": 2}]})
    assert told.status == 200 and told.json["items"][0]["state"] == "ready", told.text
    return begun["id"], key


def test_a_kill_after_the_commit_loses_nothing(shop, tmp_path):
    """Each state of a transaction that nobody told the end of: committed, undone, under way, of another server."""
    shop.make(TABLE.format(name="orders", type="timestamptz"))
    session = shop.pg.session(shop.name)
    session.stdin.write("begin; delete from orders where created_at < now() - interval '365 days'; " +
                        IDENTITY.replace("\n", " ") + "\n")
    xact = session.stdout.readline().strip()
    run_id, key = ready(shop, xact)
    files = f"/v1/data/disposal/runs/{run_id}/files"
    early = shop.control.curl(files, key=key, body={"items": [{"n": 0, "state": "destroyed", "xact": xact + "1"}]})
    assert early.status == 409 and "another transaction" in early.error["message"]
    going = shop.dvara("--yes")
    assert going.returncode == 1 and "still under way" in going.stderr and shop.count("orders") == 732
    session.stdin.write("commit;\n\\q\n")
    assert session.wait(timeout=30) == 0
    done = shop.run()["public.orders"]
    assert (done["id"], done["outcome"], done["rows"]) == (run_id, "destroyed", 365)
    told = json.loads(certificate(shop.control, run_id, tmp_path).read_text())
    assert told["rows_destroyed"] == 365 and shop.count("orders") == 367


def test_what_another_server_committed_proves_nothing(shop, tmp_path):
    shop.make(TABLE.format(name="orders", type="timestamptz"))
    undone = shop.ask("begin; " + IDENTITY + " rollback;")
    run_id, _ = ready(shop, undone)
    assert shop.run()["public.orders"]["id"] == run_id and shop.count("orders") == 367  # undone, and done again
    shop.ask("insert into orders (email, created_at) values ('u@example.com', '2001-01-01')")
    server_id, *rest = shop.ask(IDENTITY).split(".")
    run_id, _ = ready(shop, ".".join([str(int(server_id) + 1), *rest]), rows=1)
    told = shop.dvara("--yes")
    first, second = json.loads(told.stdout)["items"]
    assert told.returncode == 1 and (first["id"], first["outcome"], first["rows"]) == (run_id, "unknown", 0)
    assert second["outcome"] == "destroyed" and second["rows"] == 1 and shop.count("orders") == 367  # anew
    assert json.loads(certificate(shop.control, run_id, tmp_path).read_text())["destroyed"] == 0


def test_a_number_that_a_server_gave_twice_proves_nothing(shop):
    """Put back to a copy of its disk: the transaction is to come, or it is another one and the rows are there."""
    shop.make(TABLE.format(name="orders", type="timestamptz"))
    *place, number = shop.ask("begin; " + IDENTITY + " commit;").split(".")
    for rows, xact in ((1, number), (2, str(int(number) + 100000))):
        run_id, _ = ready(shop, ".".join([*place, xact]), rows=rows)
        told = shop.dvara("--yes")
        first, second = json.loads(told.stdout)["items"]
        assert told.returncode == 1 and (first["id"], first["outcome"], first["rows"]) == (run_id, "unknown", 0)
        assert second["outcome"] == "destroyed"
        shop.ask("insert into orders (email, created_at) values ('u@example.com', '2001-01-01')")


def test_two_runs_of_one_table_tell_one_truth(shop, tmp_path):
    """The second waits for the rows of the first, finds none, and must not say that they were kept."""
    shop.make(TABLE.format(name="orders", type="timestamptz"))
    first = shop.pg.session(shop.name)
    first.stdin.write("begin; delete from orders where created_at < now() - interval '365 days'; " +
                      IDENTITY.replace("\n", " ") + "\n")
    xact = first.stdout.readline().strip()
    second = shop.start()
    waiting = "select count(*) from pg_stat_activity where application_name = 'dvara-disposal' and wait_event_type = 'Lock'"
    wait_until(lambda: shop.ask(waiting) == "1", 30, "it waits for the rows")
    run_id, key = ready(shop, xact)
    first.stdin.write("commit;\n\\q\n")
    assert first.wait(timeout=30) == 0 and second.wait(timeout=60) == 1
    files = f"/v1/data/disposal/runs/{run_id}/files"
    for state in ("kept", "missing", "failed", "unknown", "undone", "ready"):
        other = {"n": 0, "state": state, "xact": xact + "1", "rows": 1}
        told = shop.control.curl(files, key=key, body={"items": [other]})
        assert told.status == 409 and "in another transaction" in told.error["message"], (state, told.text)
    done = shop.run()["public.orders"]
    assert (done["id"], done["outcome"], done["rows"]) == (run_id, "destroyed", 365)
    assert json.loads(certificate(shop.control, run_id, tmp_path).read_text())["rows_destroyed"] == 365


def test_dvarad_alone_says_how_old(shop):
    """No command gets a wider cutoff, and a rule that keeps longer counts until the commit."""
    shop.make(TABLE.format(name="orders", type="timestamptz"))
    xact = shop.ask("begin; " + IDENTITY + " rollback;")
    run_id, key = ready(shop, xact)
    set_rules(shop.control, RULES.replace("365d", "700d").replace("orders", "longer"), "longer")
    again = shop.control.curl(f"/v1/data/disposal/runs/{run_id}/files", key=key, body={"items": [
        {"n": 0, "state": "ready", "xact": xact, "rows": 365}]})
    assert again.json["items"][0]["state"] == "kept"
    told = json.loads(shop.dvara("--yes").stdout)["items"]
    assert [(r["outcome"], r["rows"]) for r in told] == [("kept", 0), ("destroyed", 30)]
    assert told[0]["why"] == "its rows are kept longer by now" and shop.count("orders") == 702
    bare = shop.control.curl("/v1/data/disposal/runs", key=key, body={"source": shop.source})
    assert bare.json["files"] == 0  # who asks for files gets no table


def test_rows_that_others_approved(shop, tmp_path):
    """The cutoff is that of the request, however long it takes."""
    set_rules(shop.control, "  approvals: 1\n" + RULES.replace("orders", "asked"), "asked")
    shop.make(TABLE.format(name="orders", type="timestamptz"))
    refused = shop.dvara("--yes")
    assert refused.returncode == 1 and f"dvara data disposal request --source {shop.source}" in refused.stderr
    request = shop.control.json("data", "disposal", "request", "--source", shop.source)
    (listed,) = shop.control.json("data", "disposal", "files", request["id"])["items"]
    assert listed["status"] == "due" and "rows whose created_at" in listed["why"] and listed["kind"] == "table"
    pending = shop.dvara("--yes", "--request", request["id"])
    assert pending.returncode == 1 and "pending" in pending.stderr and shop.count("orders") == 732
    second = shop.control.key_of("second", "approve_disposals")["secret"]
    assert shop.control.curl(f"/v1/data/disposal/requests/{request['id']}/approve", key=second, body={}).status == 200
    shop.ask(f"insert into orders (email, created_at) values ('u@example.com', timestamptz '{listed['before']}')")
    done = shop.run("--request", request["id"])["public.orders"]
    assert done["rows"] == 365 and done["before"] == listed["before"] and shop.count("orders") == 368
    told = json.loads(certificate(shop.control, done["id"], tmp_path).read_text())
    assert [a["by"] for a in told["request"]["approvals"]] == ['User::"second"']
    assert shop.run("--request", request["id"]) == {} and shop.count("orders") == 368


def test_a_clock_that_was_set_ahead_deletes_nothing(shop):
    shop.make(TABLE.format(name="orders", type="timestamptz"))
    control = shop.control
    control.stop("dvara-logd")
    file = next(p for p in (control.state / "log").rglob("*") if p.is_file() and b"\nclock " in p.read_bytes())
    lines = file.read_text().splitlines()[:-1]
    for i, line in enumerate(lines):
        if line.startswith("clock "):  # as if it had been 100 days ago, in this boot
            _, wall, rest = line.split(" ", 2)
            lines[i] = f"clock {int(wall) - 100 * 86400000} {rest}"
    text = "\n".join(lines) + "\n"
    file.write_text(text + f"crc {crc32c(text.encode()):08x}\n")
    control.start("dvara-logd")
    wait_until(lambda: control.dvara("audit", "retention").returncode == 0, 20, "dvara-logd answers")
    done = shop.dvara("--yes")
    assert done.returncode == 1 and "the clock was set" in done.stderr and shop.count("orders") == 732


def test_names_are_hidden_where_they_are_to_be(shop, tmp_path):
    set_rules(shop.control, "  certificates: {names: hidden}\n" + RULES.replace("orders", "quiet"), "quiet")
    shop.make(TABLE.format(name="orders", type="timestamptz"))
    text = certificate(shop.control, shop.run()["public.orders"]["id"], tmp_path).read_text()
    assert "public.orders" not in text and "created_at" not in text and json.loads(text)["rows_destroyed"] == 365


def test_what_is_no_database_and_what_may_not(shop):
    shop.make(TABLE.format(name="orders", type="timestamptz"))
    named = shop.control.dvara("data", "disposal", "run", "--source", shop.source, "--yes")
    assert named.returncode == 1 and "dvara data disposal run postgresql://" in named.stderr
    assert "name a database" in shop.dvara(url="/srv/share").stderr
    wrong = shop.dvara("--yes", password="wrong")
    assert wrong.returncode == 1 and "authentication" in wrong.stderr
    shop.ask("create role looker login password 'lookerpw'; grant select on orders to looker;")
    done = shop.run(status=1, url=shop.pg.url(shop.name, "looker"), password="lookerpw")
    assert "may not delete" in done["public.orders"]["why"] and shop.count("orders") == 732
