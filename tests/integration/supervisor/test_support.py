# SPDX-License-Identifier: Apache-2.0
"""`dvara support bundle`: what is in it, and what is not."""
import hashlib
import json
import pathlib
import subprocess

import yaml
from test_masks import KEY, MAIL, TOKEN, RudeServer, ask_rudely, bare
from conftest import wait_until

CONFIG = f"""
# ask {MAIL} before you change this
workers: 1
upstream: {{url: "URL", timeout: 30s}}
rbac: {{roles: {{lead: {{permissions: [view_metrics], description: "Erika leads"}}}}}}
limits: {{key: [{{count: 600, per: 1m}}]}}
firewall_rules: [{{name: "hunter22", port: 1, protocol: tcp, source: 203.0.113.7/32, action: allow}}]
"""


def unpacked(file, folder):
    folder.mkdir()
    subprocess.run(["tar", "--zstd", "-xf", str(file), "-C", str(folder)], check=True)
    top = folder / "dvara-support"
    return {str(path.relative_to(top)): path.read_bytes() for path in top.rglob("*") if path.is_file()}


def check_manifest(members):
    manifest = json.loads(members["MANIFEST.json"])
    told = {one["name"]: one for one in manifest["members"]}
    assert set(told) == set(members) - {"MANIFEST.json", "README.txt"}
    for name, one in told.items():
        assert hashlib.sha256(members[name]).hexdigest() == one["sha256"], name
        assert (len(members[name]), 0) == (one["bytes"], one["withheld"]), name
    return manifest


def check_nothing_is_bare(instance, members):
    """Neither what was planted nor anything of a key's file."""
    secrets = [path.read_bytes().strip() for folder in ("keys", "tls", "keystore")
               for path in (instance.state / folder).rglob("*")
               if path.is_file() and path.name != "origin" and "PUBLIC" not in path.read_text(errors="replace")]
    secrets += [(instance.state / "admin-credentials").read_bytes().strip()]
    for name, content in members.items():
        assert not bare(content.decode()), name
        for secret in secrets:
            assert len(secret) < 16 or secret not in content, name
        assert b"203.0.113.7" not in content, name


def test_a_bundle_of_a_running_dvara(make, tmp_path):
    rude = RudeServer()
    instance = make()
    instance.upstream = rude.url
    instance.configure(CONFIG.replace("URL", rude.url))
    instance.up()
    key = instance.key("erika")
    wait_until(lambda: instance.ask(key) >= 500, 30, "the key to be known")
    ask_rudely(instance, f"/v1/{KEY}/{MAIL}", [f"Authorization: Bearer {key}", f"Referer: https://x/{TOKEN}"])
    wait_until(lambda: "upstream sent" in instance.log(), 30, "nginx to complain")
    with (instance.state / "dvara.log").open("a") as log:  # of a version that did not mask
        log.write(f"2026-01-01T00:00:00.000000Z nginx: of {MAIL} and {KEY} and {TOKEN}\n")
    rude.close()
    file = tmp_path / "bundle.tar.zst"
    shown = instance.json("support", "bundle", "--out", file)
    assert file.stat().st_mode & 0o777 == 0o600
    members = unpacked(file, tmp_path / "new")
    manifest = check_manifest(members)
    assert shown == {**manifest, "file": str(file)}
    check_nothing_is_bare(instance, members)
    assert {"build.json", "system.json", "state.json", "status.json", "control.json", "metrics.txt", "config.yaml",
            "config-check.txt", "logs/dvara.log"} <= set(members)
    config = yaml.safe_load(members["config.yaml"])
    assert config["workers"] == 1 and config["limits"] == {"key": [{"count": 600, "per": "1m"}]}
    assert config["upstream"] == {"url": rude.url, "timeout": "30s"}
    assert config["rbac"]["roles"]["lead"]["description"] == "[removed]"
    assert members["config-check.txt"].startswith(b"good\n")
    log = members["logs/dvara.log"].decode()
    assert "of [email] and dvk_Ab3dEf9h[secret] and ghp_[secret]" in log and "upstream sent" in log
    assert b"dvara_" in members["metrics.txt"]
    assert [one["number"] for one in json.loads(members["control.json"])["migrations"]][0] == 1
    assert json.loads(members["status.json"])["pid"] == instance.status()["pid"]
    assert {one["path"]: one["mode"] for one in json.loads(members["state.json"])["entries"]}["./keys/log"] == "0700"
    wait_until(lambda: "support_facts" in instance.good("audit", "search", "--output", "json"), 30, "the audit event")


def test_a_bundle_when_nothing_runs(make, tmp_path):
    instance = make()
    instance.up()
    instance.good("down")
    (instance.state / "dvara.yaml").write_text(f"workers: 2\nbad: [{MAIL}\n")
    file = tmp_path / "bundle.tar.zst"
    instance.good("support", "bundle", "--out", file, "--lines", "1")
    members = unpacked(file, tmp_path / "new")
    manifest = check_manifest(members)
    check_nothing_is_bare(instance, members)
    assert {"status.json", "control.json", "config.yaml"} <= {one["what"] for one in manifest["left_out"]}
    assert members["config-check.txt"].startswith(b"refused, line 3: ")
    assert members["logs/dvara.log"].decode() == instance.log().splitlines(keepends=True)[-1]


def test_what_config_check_says_of_a_value_is_removed(make, tmp_path):
    instance = make()
    instance.state.mkdir()
    config = tmp_path / "other.yaml"
    config.write_text("upstream: http://127.0.0.1:9\nmasking: {request: {default: \"the maid's plan\"}}\n")
    assert "maid" in instance.run("config", "check", config).stderr
    file = tmp_path / "bundle.tar.zst"
    instance.good("support", "bundle", "--out", file, "--config", config)
    check = unpacked(file, tmp_path / "new")["config-check.txt"]
    assert check.startswith(b"refused, line 2: masking: '[removed]' is no action"), check


def test_a_bundle_follows_no_link(make, tmp_path):
    instance = make()
    instance.state.mkdir()
    (tmp_path / "others").mkdir()
    (tmp_path / "others" / "1.txt").write_text("of another")
    crashes = instance.state / "crashes"
    crashes.mkdir()
    (crashes / "1.txt").symlink_to(tmp_path / "others" / "1.txt")
    (crashes / "notes").write_text("of another")
    instance.good("support", "bundle", "--out", tmp_path / "first")
    (crashes / "1.txt").unlink()
    (crashes / "notes").unlink()
    crashes.rmdir()
    crashes.symlink_to(tmp_path / "others")
    instance.good("support", "bundle", "--out", tmp_path / "second")
    for name in ("first", "second"):
        members = unpacked(tmp_path / name, tmp_path / f"{name}.d")
        assert not [one for one in members if one.startswith("crashes/")]
        assert "crashes" in members["MANIFEST.json"].decode()


def test_a_bundle_replaces_nothing(make, tmp_path):
    instance = make()
    instance.state.mkdir()
    file = tmp_path / "there"
    file.write_text("mine")
    assert "is there already" in instance.refused("support", "bundle", "--out", file)
    assert file.read_text() == "mine"
    assert "No such file" in instance.refused("support", "bundle", "--out", tmp_path / "no" / "where")
    assert [path.name for path in pathlib.Path(tmp_path).iterdir()] == ["there"]
