# SPDX-License-Identifier: Apache-2.0
"""Rows of tables: which table it is, whatever it is called, and what becomes of a run that is cut off."""
import json
import pathlib

from database import PASSWORD
from support import wait_until
from test_disposal import certificate, set_rules
from test_disposal_rows import RULES, TABLE, make_server, make_shop

__all__ = ["make_server", "make_shop"]  # fixtures

RUNNING = "select count(*) from pg_stat_activity where application_name = 'dvara-disposal'"
WAITING = RUNNING + " and wait_event_type = 'Lock'"


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
