# SPDX-License-Identifier: Apache-2.0
"""What happens to keys of the state's keystore is in the audit log, also what was done while nobody ran."""
import json
import shutil
import signal
import subprocess

from conftest import KEPT


def told(control):
    control.processes["dvarad"].send_signal(signal.SIGHUP)  # recurring work is due at once
    found = control.json("audit", "search", "entity.type:encryption_key", "--oldest")["items"]
    return [(item["entity"]["name"] if "name" in item["entity"] else item["entity"]["uid"],
             next(word for word in ("generated", "rotated", "exported", "destroyed") if word in json.dumps(item)))
            for item in found]


def test_the_life_of_a_key_is_in_the_audit_log(fresh):
    fresh.json("key", "generate")
    fresh.start_all()
    fresh.json("key", "rotate", "main")
    fresh.wait_for(lambda: len(told(fresh)) >= 2)
    fresh.json("key", "destroy", "main", "--version", "1", "--yes")
    fresh.wait_for(lambda: len(told(fresh)) >= 3)
    assert told(fresh) == [("main", "generated"), ("main", "rotated"), ("main", "destroyed")]


def test_an_hsm_that_is_gone_keeps_dvarad_from_starting(fresh, monkeypatch):
    tokens = fresh.folder / "tokens"
    tokens.mkdir()
    (fresh.folder / "softhsm2.conf").write_text(f"directories.tokendir = {tokens}\nlog.level = ERROR\n")
    monkeypatch.setenv("SOFTHSM2_CONF", str(fresh.folder / "softhsm2.conf"))
    monkeypatch.setitem(KEPT, "SOFTHSM2_CONF", str(fresh.folder / "softhsm2.conf"))
    subprocess.run(["softhsm2-util", "--init-token", "--free", "--label", "dvara", "--pin", "864213", "--so-pin", "975312"],
                   capture_output=True, check=True, timeout=30)
    pin = fresh.folder / "pin"
    pin.write_text("864213")
    pin.chmod(0o600)
    fresh.config.write_text("encryption: {algorithm: AES-256-GCM, key_rotation: monthly, key_storage: HSM}\n")
    fresh.start("dvara-logd")
    assert refused(fresh, "no keystore in a token")
    fresh.json("key", "generate", "--protect", "token", "--token", "dvara", "--unlock-file", pin)
    fresh.start_dvarad()
    fresh.wait_for(lambda: told(fresh) == [("main", "generated")])
    fresh.processes["dvarad"].terminate()
    fresh.processes["dvarad"].wait(timeout=20)
    shutil.rmtree(tokens)
    tokens.mkdir()
    assert refused(fresh, "no token called 'dvara'")


def refused(control, why):
    control.start("dvarad", "--config", control.config)
    assert control.processes["dvarad"].wait(timeout=20) == 1
    return why in control.log().splitlines()[-1]
