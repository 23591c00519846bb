# SPDX-License-Identifier: Apache-2.0
"""Rows of tables: which table it is, whatever it is called, and what becomes of a run that is cut off."""
import json
import os
import pathlib
import shutil
import subprocess
import time

from database import PASSWORD, as_postgres, server
from support import wait_until
from test_disposal import certificate, set_rules
from test_disposal_rows import RULES, TABLE, Shop, make_server, make_shop

__all__ = ["make_server", "make_shop"]  # fixtures

RUNNING = "select count(*) from pg_stat_activity where application_name = 'dvara-disposal'"
WAITING = RUNNING + " and wait_event_type = 'Lock'"


def approved(shop, who="second"):
    request = shop.control.json("data", "disposal", "request", "--source", shop.source)["id"]
    key = shop.control.key_of(who, "approve_disposals")["secret"]
    assert shop.control.curl(f"/v1/data/disposal/requests/{request}/approve", key=key, body={}).status == 200
    return request


def test_another_table_of_that_name_keeps_its_rows(shop):
    """Nobody looked at it, and nobody approved it."""
    shop.make(TABLE.format(name="orders", type="timestamptz"))
    shop.ask("alter table orders rename to gone; drop table gone;" + TABLE.format(name="orders", type="timestamptz"))
    done = shop.run(status=1)["public.orders"]
    assert done["outcome"] == "kept" and "another table than the one that was scanned" in done["why"]
    assert shop.count("orders") == 732
    shop.make("select 1")
    assert shop.run()["public.orders"]["rows"] == 365


def test_what_was_approved_is_the_table_not_its_name(shop):
    set_rules(shop.control, "  approvals: 1\n" + RULES.replace("orders", "asked"), "asked")
    shop.make(TABLE.format(name="orders", type="timestamptz"))
    first = approved(shop)
    shop.make("select 1")  # another scan of the same table changes nothing
    assert shop.control.json("data", "disposal", "files", first)["items"][0]["status"] == "due"
    shop.make("alter table orders rename to gone; drop table gone;" + TABLE.format(name="orders", type="timestamptz"))
    (listed,) = shop.control.json("data", "disposal", "files", first)["items"]
    assert (listed["status"], listed["why"]) == ("waits", "it changed, and was scanned again")
    assert shop.run("--request", first, status=1) == {} and shop.count("orders") == 732


def test_the_same_table_under_another_host_is_the_same(shop):
    """A hold, a label, a rule that keeps longer and an approval count by whatever name the server was reached."""
    names = ["held", "labelled", "longer", "torn", "free"]
    shop.make("".join(TABLE.format(name=n, type="timestamptz") for n in names))
    other = shop.url.replace("127.0.0.1", "localhost")
    there = shop.source.replace("127.0.0.1", "localhost")
    done = shop.control.dvara("data", "scan", other, "--save", PGPASSWORD=PASSWORD)
    assert done.returncode == 0, done.stderr
    for row in shop.control.json("data", "asset", "list")["items"]:
        if row["name"] == "public.labelled" and row["source"] == there:
            shop.control.json("data", "asset", "update", row["id"], "--labels", "keep")
    rules = RULES + f"""    - {{name: years, sources: ["{there}/public.longer"], keep: 800d, column: created_at}}
    - {{name: column, sources: ["{there}/public.torn"], keep: 365d, column: updated_at}}
  holds:
    - {{name: court, sources: ["{there}/public.held"]}}
"""
    set_rules(shop.control, rules, "court")
    assert {n: "in another source" in r["why"] for n, r in shop.plan().items() if r["status"] == "waits"} == {
        f"public.{n}": True for n in names[:-1]}
    set_rules(shop.control, rules + f"""  # and
    - {{name: also, sources: ["{there}/public.free"]}}
""", "also")
    assert shop.run() == {}
    asked = rules.replace("name: years", "name: asked, approvals: 1").replace("public.longer", "public.free")
    set_rules(shop.control, asked.replace("800d", "10d"), "asked")
    refused = shop.dvara("--yes")
    assert refused.returncode == 1 and "approval" in refused.stderr and shop.count("free") == 732
    set_rules(shop.control, rules.replace("court", "last"), "last")
    assert set(shop.run()) == {"public.free"}


def test_a_hold_that_no_scan_sees_may_be_for_a_part(shop):
    """Parts go with their table, and the inventory has none of them."""
    shop.make("""create table parted (email text, created_at timestamptz) partition by range (created_at);
        create table p_old partition of parted for values from ('2000-01-01') to ('2020-01-01');
        insert into parted values ('a@example.com', '2019-12-01');""")
    set_rules(shop.control, RULES + f'  holds:\n    - {{name: court, sources: ["{shop.source}/public.p_old"]}}\n', "court")
    row = shop.plan()["public.parted"]
    assert (row["status"], row["why"]) == (
        "waits", "the hold court names public.p_old, which no scan sees and may be a part of it")
    assert shop.run() == {} and shop.count("parted") == 1
    set_rules(shop.control, RULES + '  holds:\n    - {name: far, sources: ["postgresql://else:5432/x/public.p_old"]}\n', "far")
    assert shop.run()["public.parted"]["rows"] == 1


def test_a_trigger_that_keeps_rows_is_told(shop):
    """Rows that are as old would be there, and a certificate of those that went beside them."""
    shop.make(TABLE.format(name="half", type="timestamptz") + TABLE.format(name="whole", type="timestamptz") +
              TABLE.format(name="quiet", type="timestamptz") + """
        create function keep_even() returns trigger language plpgsql as
          $$ begin if old.id % 2 = 0 then return null; end if; return old; end $$;
        create trigger t before delete on half for each row execute function keep_even();
        create function keep_all() returns trigger language plpgsql as $$ begin return null; end $$;
        create trigger t before delete on whole for each row execute function keep_all();
        create function let_go() returns trigger language plpgsql as $$ begin return old; end $$;
        create trigger t before delete on quiet for each row execute function let_go();""")
    done = shop.run(status=1)
    why = "a trigger keeps rows of it that would go"
    assert {n: (r["outcome"], r["rows"], r["why"]) for n, r in done.items()} == {
        "public.half": ("kept", 0, why), "public.whole": ("kept", 0, why), "public.quiet": ("destroyed", 365, "")}
    assert (shop.count("half"), shop.count("whole"), shop.count("quiet")) == (732, 732, 367)


def test_a_session_that_looks_at_no_foreign_key_deletes_nothing(shop):
    shop.make(TABLE.format(name="orders", type="timestamptz") + """
        create table stays (parent int references orders); insert into stays select id from orders;
        alter role owner set session_replication_role to replica;""")
    try:
        done = shop.run(status=1)["public.orders"]
    finally:
        shop.pg.ask("postgres", "alter role owner reset session_replication_role")
    assert "session_replication_role is replica" in done["why"] and shop.count("orders") == 732
    assert "foreign key" in shop.run(status=1)["public.orders"]["why"]


def keepalive(shop):
    """Seconds until the connection of the run says that it is there."""
    port = int(shop.ask("select client_port from pg_stat_activity where application_name = 'dvara-disposal'"))
    for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]:
        words = line.split()
        if int(words[1].split(":")[1], 16) == port and int(words[2].split(":")[1], 16) == shop.pg.port:
            kind, when = words[5].split(":")
            assert kind == "02", line  # keepalive
            return int(when, 16) / 100
    raise AssertionError("no such connection")


def test_a_killed_run_leaves_no_statement_behind(shop):
    """It would go on for as long as it takes, its locks with it, and the next run would find them."""
    shop.make(TABLE.format(name="orders", type="timestamptz") + """
        create table pace (seconds int); insert into pace values (600);
        create function slow() returns trigger language plpgsql as
          $$ begin if old.id = 400 then perform pg_sleep(seconds) from public.pace; end if; return old; end $$;
        create trigger t before delete on orders for each row execute function slow();""")
    process = shop.start()
    wait_until(lambda: shop.ask(RUNNING + " and wait_event = 'PgSleep'") == "1", 30, "it deletes")
    assert keepalive(shop) <= 60
    process.kill()
    process.wait(timeout=30)
    wait_until(lambda: shop.ask(RUNNING) == "0", 60, "PostgreSQL has seen that nobody is there")
    shop.ask("update pace set seconds = 0")
    assert shop.run()["public.orders"]["rows"] == 365 and shop.count("orders") == 367


def test_a_table_that_was_locked_has_its_turn_yet(shop, tmp_path):
    """What others approved did not go: it may, while the approval lasts, and then no more."""
    set_rules(shop.control, "  approvals: 1\n" + RULES.replace("orders", "asked"), "asked")
    shop.make(TABLE.format(name="orders", type="timestamptz"))
    request = approved(shop)
    other = shop.pg.session(shop.name)
    other.stdin.write("begin; select 'held' from orders where id = 400 for update;\n")
    assert other.stdout.readline().strip() == "held"
    kept = shop.run("--request", request, status=1)["public.orders"]
    assert (kept["outcome"], kept["why"]) == ("kept", "another transaction has locked it")
    other.stdin.write("commit;\n\\q\n")
    assert other.wait(timeout=30) == 0
    done = shop.run("--request", request)["public.orders"]
    assert (done["outcome"], done["rows"]) == ("destroyed", 365) and done["id"] != kept["id"]
    told = json.loads(certificate(shop.control, kept["id"], tmp_path).read_text())
    assert told["rows_destroyed"] == 0 and told["items"][0]["why"] == kept["why"]
    shop.ask("insert into orders (email, created_at) values ('u@example.com', '2001-01-01')")
    assert shop.run("--request", request) == {} and shop.count("orders") == 368
    assert shop.control.json("data", "disposal", "show", request)["status"] == "used"


def test_the_environment_names_the_place_as_libpq_has_it(shop, tmp_path):
    """Not this machine and 5432, which would be what rules, holds and certificates know of another server."""
    shop.make(TABLE.format(name="orders", type="timestamptz"))
    there = {"PGPASSWORD": PASSWORD, "PGHOST": "127.0.0.1", "PGPORT": str(shop.pg.port), "PGDATABASE": shop.name,
             "PGUSER": "owner"}
    dry = shop.control.dvara("data", "disposal", "run", "postgresql://", "--dry-run", "--output", "json", **there)
    assert [r["rows"] for r in json.loads(dry.stdout)["items"]] == [365], dry.stderr
    (tmp_path / "services").write_text(f"[prod]\nhost=127.0.0.1\nport={shop.pg.port}\ndbname={shop.name}\nuser=owner\n")
    there = {"PGPASSWORD": PASSWORD, "PGSERVICEFILE": str(tmp_path / "services")}
    done = shop.control.dvara("data", "disposal", "run", "postgresql://?service=prod", "--yes", **there)
    assert done.returncode == 1 and "names a service" in done.stderr and shop.count("orders") == 732
    done = shop.control.dvara("data", "disposal", "run", "postgresql://", "--yes", PGSERVICE="prod", **there)
    assert done.returncode == 0 and shop.count("orders") == 367, done.stderr
    done = shop.control.dvara("data", "scan", "postgresql://", "--save", **{**there, "PGSERVICE": "none"})
    assert done.returncode == 1 and "none" in done.stderr


def test_what_keeps_a_table_may_have_a_long_name(shop):
    """Longer than a line has room for, and cut between two characters."""
    for pad in ("", "x"):
        rule = "asked" + pad
        set_rules(shop.control, "  approvals: 1\n" + RULES.replace("orders", rule), rule)
        shop.make("drop table if exists orders;" + TABLE.format(name="orders", type="timestamptz"))
        request = approved(shop, "second" + pad)
        place = f"{shop.source}/public.{pad}{'ü' * 200}"
        set_rules(shop.control, "  approvals: 1\n" + RULES.replace("orders", rule) +
                  f'  holds:\n    - {{name: long{pad}, sources: ["{place}"]}}\n', "long" + pad)
        dry = shop.dvara("--dry-run", "--request", request)
        (row,) = json.loads(dry.stdout)["items"]
        assert dry.returncode == 1 and row["why"].startswith(f"the hold long{pad} names public.{pad}üü"), dry.stderr


def test_a_standby_is_told_from_its_primary(fresh):
    """Nothing can be deleted there; the tables are the same."""
    fresh.config.write_text("data_retention:\n" + RULES)
    fresh.start_all()
    with server() as one:
        one.ask("postgres", "create database shop")
        shop = Shop(fresh, one, "shop").make(TABLE.format(name="orders", type="timestamptz"))
        signal = pathlib.Path(one.control[2]) / "standby.signal"
        signal.touch()
        shutil.copystat(signal.parent / "PG_VERSION", signal)
        quiet = {"check": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run(**as_postgres(*one.control, "-m", "fast", "restart"), **quiet)
        for flag in ("--yes", "--dry-run"):
            done = shop.dvara(flag)
            assert done.returncode == 1 and "that server is a standby" in done.stderr
        signal.unlink()
        subprocess.run(**as_postgres(*one.control, "-m", "fast", "restart"), **quiet)
        assert shop.run()["public.orders"]["rows"] == 365


def test_a_file_that_is_called_like_a_table_is_a_file(shop, tmp_path):
    """Names of sources are anybody's choice, and two of them may lead to the same text."""
    set_rules(shop.control, RULES.replace("name: files", "name: named, unowned: true"), "named")
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/public.orders").write_text("Dear bob@example.com")
    os.utime(tmp_path / "shop/public.orders", (time.time() - 400 * 86400,) * 2)
    shop.ask(TABLE.format(name="orders", type="timestamptz"))
    wait_until(lambda: time.time() - (tmp_path / "shop/public.orders").stat().st_ctime > 2.5, 20, "it has a stamp")
    for what, source in ((shop.url, "postgresql://h:1/shop"), (tmp_path, "postgresql://h:1")):
        done = shop.control.dvara("data", "scan", str(what), "--save", "--source", source, PGPASSWORD=PASSWORD)
        assert done.returncode == 0, done.stderr
    plan = shop.control.json("data", "disposal", "plan")["items"]
    assert sorted((r["kind"], r["name"], r["status"]) for r in plan) == [
        ("file", "shop/public.orders", "due"), ("table", "public.orders", "due")]
