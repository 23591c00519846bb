# SPDX-License-Identifier: Apache-2.0
"""Archives and backups of a node that goes on working: there and back, with tar and age for judges."""
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest
from conftest import BUILD, Control

ERASED, KEPT = "xanthippe.quux", "hipparchia.quux"


def run(*words, **options):
    return subprocess.run([str(word) for word in words], capture_output=True, check=True, timeout=30, **options).stdout


def offline(*words, code=0):
    """A command that needs no server, nor any state."""
    done = subprocess.run([BUILD / "dvara", *map(str, words), "--output", "json"], capture_output=True,
                          text=True, timeout=60, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout) if code == 0 or done.stdout else done.stderr


@pytest.fixture(name="folder")
def make_folder():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="dvara-backup-"))
    yield folder
    shutil.rmtree(folder)


def vkey(control):
    return control.json("audit", "checkpoint")["vkey"].split("\n")[0]


def damage(file):
    content = bytearray(pathlib.Path(file).read_bytes())
    content[len(content) // 2] ^= 1
    pathlib.Path(file).write_bytes(content)


def test_an_archive_proves_itself(fresh, folder):
    fresh.start_all()
    fresh.json("user", "create", "--name", KEPT)
    for event in "lifecycle", "account.change":
        fresh.wait_for(lambda: fresh.json("audit", "search", f"event:{event}")["items"])
    made = fresh.json("audit", "archive", "--output-dir", folder / "out")
    key, file = vkey(fresh), pathlib.Path(made["file"])
    assert made["ok"] and made["events"] == made["to"] > 2 and [file] == list((folder / "out").iterdir())
    assert offline("audit", "verify", "--archive", file, "--key", key)["size"] == made["size"]
    assert KEPT.encode() not in run("zstd", "-dc", file)  # sealed
    (folder / "tar").mkdir()
    run("tar", "--zstd", "-xf", file, "-C", folder / "tar")
    for unpacked in folder / "tar", folder / "restored":
        if not unpacked.exists():
            assert offline("audit", "restore-archive", file, "--to", unpacked, "--key", key)["folder"]
        assert offline("audit", "verify", "--archive", unpacked, "--key", key)["to"] == made["to"]
        found = offline("audit", "search-archive", unpacked, "event:lifecycle", "--oldest")["items"]
        assert found and all(item["event"] == "lifecycle" for item in found)
    table = fresh.dvara("audit", "search-archive", folder / "tar", "event:account.change").stdout
    assert "create (sealed)" in table and "~1." not in table
    damage(file)
    refused = offline("audit", "verify", "--archive", file, code=1)
    assert (refused["result"], refused["ok"], refused["file"]) == ("failed", False, str(file))
    assert "byte" in refused["problem"]
    assert offline("audit", "verify", "--archive", folder / "none", code=1)["result"] == "error"


def test_a_damaged_archive_is_not_written_over(fresh, folder):
    fresh.start_all()

    def again():  # up to where the log ends; it may have grown between both
        made = fresh.json("audit", "archive", "--output-dir", folder / "out")
        damage(made["file"])
        told = fresh.dvara("audit", "archive", "--output-dir", folder / "out", "--to", str(made["to"]))
        assert told.returncode != 0
        return "move it away" in told.stderr

    fresh.wait_for(again)


def test_backups_are_whole_while_the_log_is_written(fresh, folder):
    fresh.start("dvara-logd")
    fresh.wait_for((fresh.runtime / "log.pub").exists)
    writer = subprocess.Popen([BUILD / "tests/integration/log/spool_writer", fresh.runtime, fresh.state / "spool",
                               "busy", "2000", "1"], stdout=subprocess.DEVNULL)
    made = offline("backup", "keygen", "--file", folder / "key")
    sizes = set()
    while writer.poll() is None:
        backup, state = folder / "b.age", folder / "restored"
        size = fresh.json("backup", "create", "--file", backup, "--recipient", made["recipient"])["size"]
        restored = offline("backup", "restore", "--state", state, "--file", backup, "--identity-file",
                           folder / "key", "--without-subjects")
        assert restored["size"] <= size
        sizes.add(size)
        shutil.rmtree(state)
    assert writer.returncode == 0 and len(sizes) > 1, sizes


def restore_beside(folder, *words):
    """Another instance, of what was restored."""
    folder.mkdir()
    other = Control(folder)
    (other.state / "spool").rmdir()
    (other.state / "runtime").unlink()
    other.json("backup", "restore", *map(str, words))
    for path in [other.state, *other.state.rglob("*")]:  # not for users of their own, as `dvara up` has them
        os.chown(path, os.geteuid(), os.getegid(), follow_symlinks=False)
    (other.state / "spool").mkdir(mode=0o700)
    (other.state / "runtime").symlink_to(other.runtime)
    return other


def test_who_is_erased_after_a_backup_stays_erased(fresh, folder):
    fresh.start_all()
    for name in ERASED, KEPT:
        fresh.json("user", "create", "--name", name)
    fresh.wait_for(lambda: KEPT in fresh.dvara("audit", "tail", "--output", "jsonl").stdout)
    assert ERASED in fresh.dvara("audit", "tail", "--output", "jsonl").stdout
    # The key is age's, and age opens what it is for, and seals it again.
    run("age-keygen", "-o", folder / "key")
    recipient = run("age-keygen", "-y", folder / "key").decode().strip()
    fresh.json("backup", "create", "--file", folder / "own.age", "--recipient", recipient)
    opened = run("age", "-d", "-i", folder / "key", folder / "own.age")
    names = run("tar", "--zstd", "-tf", "-", input=opened).decode().split()
    assert {"backup", "log/state", "log/checkpoint", "keys/log/signing"} <= set(names)
    assert not [name for name in names if "root." in name]
    run("age", "-r", recipient, "-o", folder / "again.age", input=opened)

    assert fresh.dvara("user", "delete", ERASED).returncode == 0
    assert fresh.json("audit", "erase", "--subject", ERASED, "--yes")["erased"]
    words = ["--file", folder / "again.age", "--identity-file", folder / "key"]
    refused = offline("backup", "restore", "--state", folder / "none", *words, code=1)
    assert "--subjects" in refused and not list((folder / "none").iterdir())
    # Into a state directory that nobody named nothing is restored.
    unsaid = subprocess.run([BUILD / "dvara", "backup", "restore", *map(str, words)], text=True, capture_output=True,
                            check=False, cwd=folder, env={"HOME": str(folder)})
    assert unsaid.returncode == 1 and "--state DIR" in unsaid.stderr
    assert "not empty" in fresh.dvara("backup", "restore", *map(str, words), "--without-subjects").stderr
    other = restore_beside(folder / "other", *words, "--key", vkey(fresh),
                           "--subjects", fresh.state / "keys/log/subjects")
    try:
        other.start_all()
        told = other.dvara("audit", "tail", "--from", "0", "--output", "jsonl").stdout
        assert ERASED not in told and "(erased)" in told and KEPT in told
        assert other.json("audit", "verify", "--key", vkey(fresh))["ok"]
    finally:
        other.stop_all()
