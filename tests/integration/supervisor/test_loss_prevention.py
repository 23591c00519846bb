# SPDX-License-Identifier: Apache-2.0
"""`loss_prevention:` of dvara.yaml with `dvara up`: from a table to a refusal (DATA-3.3.2, 3.3.4)."""
import json
import os
import pwd
import shutil
import signal

from supervisor_tools import children
from support import wait_until

TABLE = "first,last,account\nAnna,Kowalska,KD-QX47-ZP81\nPeter,Okonkwo,KD-QX47-ZP82\n"
SECTION = """loss_prevention:
  fingerprints:
    - {{name: people, file: {file}, action: {action}{more}}}
"""


def make_set(dvara):
    """A file that the daemon and the workers may read, whichever users they are."""
    (dvara.folder / "table.csv").write_text(TABLE)
    made = dvara.folder / "people.dvfp"
    dvara.good("data", "fingerprint", "create", "--input", dvara.folder / "table.csv", "--columns",
               "first,last,account", "--alone", "account", "--out", made)
    share(made)
    return made


def share(path):
    """As root the daemon and the workers are users of their own, who must be able to read it."""
    if os.geteuid() == 0:
        users = {user.pw_name: user.pw_uid for user in pwd.getpwall()}
        shutil.chown(path, users.get("dvara", 65521), "www-data")


def copies(dvara):
    return sorted((dvara.state / "runtime/sets").iterdir())


def body(text):
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": text}]}).encode()


def test_own_data_does_not_leave(make):
    dvara = make()
    made = make_set(dvara)
    dvara.configure(SECTION.format(file=made, action="block", more=", direction: request"))
    dvara.up()
    key = dvara.key()
    assert dvara.ask(key, body("Dear Anna Okonkwo")) == 200
    assert dvara.ask(key, body("Dear Peter Okonkwo")) == 400
    assert dvara.ask(key, body("it is kd qx47 zp81.")) == 400
    wait_until(lambda: "fingerprint:people" in dvara.good("audit", "search", "event:data.finding",
                                                          "--output", "jsonl"), 20, "a finding")
    found = dvara.good("audit", "search", "detector:fingerprint:people", "--output", "jsonl")
    assert "Okonkwo" not in found and "qx47" not in found.lower()
    assert "own_data" in dvara.good("data", "leaks", "--by", "category")
    # Told, no longer refused.
    dvara.configure(SECTION.format(file=made, action="alert", more=""))
    dvara.good("reload")
    wait_until(lambda: dvara.ask(key, body("Dear Peter Okonkwo")) == 200, 20, "the reload")


def test_a_broken_set_stops_the_reload(make):
    dvara = make()
    made = make_set(dvara)
    dvara.configure("\n" + SECTION.format(file=made, action="block", more=""))
    dvara.up()
    key = dvara.key()
    whole = made.read_bytes()
    for broken, said in ((whole[:-1], "length"), (whole[:300] + b"x" + whole[301:], "changed"),
                         (b"x" * 400, "is no set of fingerprints")):
        made.with_suffix(".new").write_bytes(broken)
        made.with_suffix(".new").chmod(0o640)
        share(made.with_suffix(".new"))
        made.with_suffix(".new").rename(made)
        text = dvara.refused("reload")
        assert "dvara.yaml:4:" in text and str(made) in text
        assert said in text or "header" in text
        assert dvara.ask(key, body("Dear Peter Okonkwo")) == 400  # as before
    made.unlink()
    assert "dvara.yaml:4:" in dvara.refused("reload")
    assert dvara.ask(key, body("Dear Peter Okonkwo")) == 400
    told = dvara.json("data", "masking", "explain", "--user", "alice", "--route", "openai-chat",
                      "--detector", "email")  # asks nothing of the set
    assert told["action"] == "placeholder"
    assert "monitor, alert or block" in dvara.refused("config", "check", write(dvara, "mask"))
    make_set(dvara)
    made.chmod(0o644)
    assert "others may read it" in dvara.refused("reload")


def test_what_becomes_of_the_file_does_not_matter_to_what_is_in_force(make):
    """A file that is cut short where it lies, or gone: neither the workers nor those that follow them notice."""
    dvara = make()
    made = make_set(dvara)
    made.chmod(0o600)  # the daemon's alone
    dvara.configure(SECTION.format(file=made, action="block", more=""))
    dvara.up()
    key, workers = dvara.key(), set(children(dvara.pid("nginx")))
    assert dvara.ask(key, body("Dear Peter Okonkwo")) == 400
    (kept,) = copies(dvara)
    assert kept.stat().st_mode & 0o777 == 0o640
    with made.open("r+b") as file:
        file.truncate(100)
    assert "is no whole set" in dvara.refused("reload")
    assert dvara.ask(key, body("Dear Peter Okonkwo")) == 400
    made.unlink()
    os.kill(workers.pop(), signal.SIGKILL)
    wait_until(lambda: dvara.ask(key, body("hello")) == 200, 20, "all workers serve")
    for _ in range(8):
        assert dvara.ask(key, body("Dear Peter Okonkwo")) == 400
    (dvara.folder / "table.csv").write_text(TABLE.replace("Okonkwo", "Musterfrau"))
    dvara.good("data", "fingerprint", "create", "--input", dvara.folder / "table.csv", "--columns",
               "first,last", "--out", made)
    share(made)
    dvara.good("reload")
    wait_until(lambda: dvara.ask(key, body("Dear Peter Musterfrau")) == 400, 20, "the reload")
    assert dvara.ask(key, body("Dear Peter Okonkwo")) == 200
    assert copies(dvara) != [kept] and len(copies(dvara)) == 1
    dvara.configure("")
    dvara.good("reload")
    wait_until(lambda: copies(dvara) == [], 20, "the copy is gone")


def test_lists_that_are_too_long_are_told(make):
    dvara = make()
    made = make_set(dvara)
    routes = ", ".join(f"{n:0>60}" for n in range(64))
    entries = "".join(f"    - {{name: s{n}, file: {made}, action: alert, routes: [{routes}]}}\n"
                      for n in range(8))
    users = ["".join(f"u{n:0>120}, " for n in range(65 * rule, 65 * rule + 65)) for rule in range(8)]
    rules = "".join(f"    - {{name: v{n}, users: [{names[:-2]}], values: 5, per: 1h, action: block}}\n"
                    for n, names in enumerate(users))
    other = dvara.folder / "other.yaml"
    for lists in ("fingerprints:\n" + entries, "volume:\n" + rules):
        other.write_text(f"loss_prevention:\n  {lists}")
        assert "name groups in place of users" in dvara.refused("config", "check", other)


def write(dvara, action):
    other = dvara.folder / "other.yaml"
    other.write_text(SECTION.format(file="/x", action=action, more=""))
    return other
