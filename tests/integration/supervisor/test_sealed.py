# SPDX-License-Identifier: Apache-2.0
"""What lies on the disk: the database can be read with STATE/keys alone, and by others' means with them."""
import contextlib
import pathlib
import shutil
import sqlite3
import subprocess

from conftest import wait_until

NODE = pathlib.Path(__file__).resolve().parents[3] / ".venv/bin/node"
NAME = "xanthippe.quux"
PURPOSE = "eupalinos-or-the-architect"
PAGE = 4096
# As src/store/sealed_file.h says it, with another's code.
UNSEAL = """
const {createDecipheriv, hkdfSync} = require("crypto");
const {readFileSync, writeFileSync} = require("fs");
const [file, key, plain] = process.argv.slice(1);
const raw = readFileSync(file), master = readFileSync(key), out = Buffer.alloc(raw.length);
for (let at = 0; at < raw.length; at += 4096) {
  const page = raw.subarray(at, at + 4096);
  const derived = hkdfSync("sha256", master, page.subarray(4072, 4088), "dvara store page v1", 32);
  const nonce = Buffer.alloc(12), bound = Buffer.alloc(13);
  page.copy(nonce, 0, 4088, 4096);
  bound.write("d");
  bound.writeUInt32LE(at / 4096 + 1, 1);
  const open = createDecipheriv("aes-256-gcm", Buffer.from(derived), nonce).setAAD(bound);
  open.setAuthTag(page.subarray(4056, 4072));
  open.update(page.subarray(0, 4056)).copy(out, at);
  open.final();
}
writeFileSync(plain, out);
"""


def unseal(state, plain):
    """The database of a Dvara that has ended, in clear."""
    return subprocess.run([NODE, "-e", UNSEAL, state / "dvara.db", state / "keys/master.key", plain],
                          capture_output=True, text=True, check=False)


def filled(make):
    dvara = make()
    dvara.up()
    key = dvara.key(NAME)
    dvara.good("group", "create", "--name", "thinkers", "--description", PURPOSE)
    assert dvara.ask(key) == 200
    return dvara, key


def in_clear(dvara, *texts):
    """Of a state whose processes run or have just been killed: with its logs and copies."""
    files = [path for path in dvara.state.rglob("*") if path.is_file() and not path.is_symlink()]
    assert any(path.name == "dvara.db" for path in files)
    found = []
    for path in files:
        with contextlib.suppress(FileNotFoundError):  # a temporary one, renamed since
            content = path.read_bytes()
            found += [f"{text} in {path}" for text in texts if text.encode() in content]
    return found


def test_nothing_of_the_database_stands_in_clear(make):
    dvara, _ = filled(make)
    assert dvara.json("group", "show", "thinkers")["description"] == PURPOSE
    assert in_clear(dvara, NAME, PURPOSE, "CREATE TABLE", "SQLite format 3") == []
    dvara.good("down")
    assert in_clear(dvara, NAME, PURPOSE, "CREATE TABLE", "SQLite format 3") == []


def test_others_open_it_with_its_key(make, tmp_path):
    dvara, _ = filled(make)
    dvara.good("down")
    plain = tmp_path / "plain.db"
    done = unseal(dvara.state, plain)
    assert done.returncode == 0, done.stderr
    with sqlite3.connect(plain) as store:
        names = {name for (name,) in store.execute("SELECT name FROM auth_entity")}
        assert store.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    store.close()
    assert {NAME, "thinkers"} <= names
    (dvara.state / "keys/master.key").write_bytes(bytes(32))
    assert unseal(dvara.state, plain).returncode != 0, "another key opens it"
    told = dvara.run(*dvara.up_words())
    assert told.returncode != 0 and "another key" in told.stderr + dvara.log()


def test_a_database_of_an_earlier_version_is_sealed(make):
    dvara, key = filled(make)
    dvara.good("down")
    file, mark = dvara.state / "dvara.db", dvara.state / "keys/store.sealed"
    about = file.stat()
    assert unseal(dvara.state, dvara.folder / "plain").returncode == 0
    file.write_bytes((dvara.folder / "plain").read_bytes())
    assert in_clear(dvara, NAME)
    # As long as the keys say that the store is sealed, a plain one was put there by somebody.
    told = dvara.run(*dvara.up_words())
    assert told.returncode != 0 and "is not sealed" in told.stderr + dvara.log()
    assert in_clear(dvara, NAME), "it was left alone"
    mark.unlink()
    dvara.up()
    assert dvara.ask(key) == 200 and mark.exists()
    assert in_clear(dvara, NAME, PURPOSE) == []
    now = file.stat()
    assert (now.st_uid, now.st_mode) == (about.st_uid, about.st_mode)
    dvara.good("user", "create", "--name", "sokrates")
    dvara.good("down")
    dvara.up()
    assert dvara.json("user", "show", "sokrates")["name"] == "sokrates"


def test_a_database_that_is_gone_is_not_begun_anew(make):
    dvara, key = filled(make)
    dvara.good("down")
    file = dvara.state / "dvara.db"
    kept = file.with_name("kept.db")
    for gone in (lambda: file.rename(kept), file.touch):
        gone()
        told = dvara.run(*dvara.up_words())
        assert told.returncode != 0 and "restore a backup" in told.stderr + dvara.log()
    kept.rename(file)
    dvara.up()
    assert dvara.ask(key) == 200


def test_a_changed_database_does_not_open(make):
    dvara, key = filled(make)
    dvara.good("down")
    file = dvara.state / "dvara.db"
    kept = dvara.folder / "kept"
    shutil.copy2(file, kept)
    raw = bytearray(file.read_bytes())
    raw[3 * PAGE + 99] ^= 1
    file.write_bytes(raw)
    told = dvara.run(*dvara.up_words())
    said = told.stderr + dvara.log()
    assert told.returncode != 0 and "dvara.db" in said and "damaged" in said, said
    file.write_bytes(kept.read_bytes())
    dvara.up()
    wait_until(lambda: dvara.ask(key) == 200, 20, "it serves again")
