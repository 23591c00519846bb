# SPDX-License-Identifier: Apache-2.0
"""The command line against a running dvarad."""
import json
import os
import pty
import re
import subprocess

import pytest
import yaml


def test_overview_is_grouped_by_noun(control):
    result = control.dvara()
    assert result.returncode == 0
    for noun in ("user", "role", "apikey", "server", "up"):
        assert re.search(rf"^  {noun} ", result.stdout, re.M), noun
    assert result.stderr == ""


def test_help_has_an_example_at_every_level(control):
    assert "example: dvara " in control.dvara("--help").stdout
    words = control.dvara("completion", "bash").stdout
    commands = re.findall(r'^    "([a-z-]+(?: [a-z-]+)?)"\) words=', words, re.M)
    assert len(commands) > 20
    for command in commands:
        for line in (command.split()[:1], command.split()):
            result = control.dvara(*line, "--help")
            assert result.returncode == 0, line
            assert f"example: dvara {line[0]}" in result.stdout, line


@pytest.mark.parametrize("words, said", [
    (["usr", "list"], 'did you mean "user"?'),
    (["user", "lst"], 'did you mean "dvara user list"?'),
    (["user", "create", "--nmae", "x"], "did you mean --name?"),
    (["user", "create"], "--name is missing"),
    (["user"], "usage: dvara user VERB"),
    (["user", "list", "--output", "xml"], "table, json, jsonl, yaml or csv"),
])
def test_wrong_lines_end_with_2_and_say_what_to_do(control, words, said):
    result = control.dvara(*words)
    assert result.returncode == 2
    assert said in result.stderr
    assert result.stdout == ""


def test_refusals_end_with_1_and_say_why(control):
    result = control.dvara("user", "show", "nobody")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("dvara: ")


def test_the_lines_that_others_script_against(control):
    control.json("user", "create", "--name", "alice")
    control.json("role", "create", "--name", "R", "--permissions", "use_model,view_metrics")
    control.json("role", "assign", "--user", "alice", "--role", "R")
    key = control.json("apikey", "create", "--user", "alice")
    assert re.fullmatch(r"dvk_[0-9A-Za-z]{8}_[0-9A-Za-z]{36}", key["secret"])
    assert key["id"] in key["secret"]
    permissions = control.json("access", "audit", "--user", "alice")
    assert "use_model" in json.dumps(permissions)
    assert control.dvara("apikey", "revoke", key["id"]).returncode == 0
    version = control.dvara("version")
    assert version.returncode == 0 and re.search(r"\d+\.\d+\.\d+", version.stdout)


def test_a_secret_is_shown_once_and_kept_nowhere(control):
    control.json("user", "create", "--name", "once")
    secret = control.json("apikey", "create", "--user", "once")["secret"]
    listed = control.dvara("apikey", "list", "--output", "json").stdout
    assert secret not in listed
    for path in control.folder.rglob("*"):
        if path.is_file():
            assert secret.encode() not in path.read_bytes(), path


def test_formats_say_the_same(control):
    control.dvara("user", "create", "--name", "formats", "--email", "f@example.org")
    value = control.json("user", "list")
    assert any(user["name"] == "formats" for user in value["items"])
    lines = control.dvara("user", "list", "--output", "jsonl").stdout.splitlines()
    assert [json.loads(line) for line in lines] == value["items"]
    assert yaml.safe_load(control.dvara("user", "list", "--output", "yaml").stdout) == value
    table = control.dvara("user", "list").stdout
    assert table.startswith("NAME ") and "formats" in table


def test_lists_are_read_page_by_page_to_the_end(control):
    for number in range(105):
        assert control.dvara("role", "create", "--name", f"page{number:03}", "--permissions",
                             "use_model").returncode == 0
    names = [role["name"] for role in control.json("role", "list")["items"]]
    assert len(names) == len(set(names))
    assert {f"page{number:03}" for number in range(105)} <= set(names)
    assert len(control.json("role", "list", "--limit", "7")["items"]) == 7


def test_table_is_plain_without_a_terminal_and_bold_on_one(control):
    assert "\033" not in control.dvara("user", "list").stdout
    master, slave = pty.openpty()
    subprocess.run([control.program, "user", "list"], stdout=slave, check=True,
                   env={"DVARA_STATE": str(control.state), "PATH": os.environ["PATH"]})
    os.close(slave)
    assert b"\033[1mNAME" in os.read(master, 65536)
    os.close(master)


def test_a_full_device_fails(control):
    with open("/dev/full", "w", encoding="utf-8") as full:
        result = subprocess.run([control.program, "user", "list"], stdout=full, check=False,
                                stderr=subprocess.DEVNULL,
                                env={"DVARA_STATE": str(control.state), "PATH": os.environ["PATH"]})
    assert result.returncode == 1


def test_nothing_runs_is_told(control, tmp_path):
    result = control.dvara("user", "list", "--state", str(tmp_path))
    assert result.returncode == 1
    assert f"dvara up --state {tmp_path}" in result.stderr


def test_remote_needs_https_and_a_key(control):
    result = control.dvara("user", "list", "--url", "http://192.0.2.1")
    assert result.returncode != 0 and "https://" in result.stderr
    result = control.dvara("user", "list", "--url", "https://127.0.0.1:1")
    assert result.returncode == 1 and "DVARA_API_KEY" in result.stderr
    result = control.dvara("user", "list", "--url", "https://127.0.0.1:1", DVARA_API_KEY="dvk_x")
    assert result.returncode == 1 and "does not answer" in result.stderr


def test_names_with_odd_letters_go_through_unharmed(control):
    result = control.dvara("user", "show", "../roles/admin")
    assert result.returncode == 1
    result = control.dvara("user", "show", "a/b?c=d&e#f%20")
    assert result.returncode == 1 and "dvara: " in result.stderr


def test_completion_is_bash(control):
    script = control.dvara("completion", "bash").stdout
    result = subprocess.run(
        ["bash", "-c", script + '\nCOMP_WORDS=(dvara user cr); COMP_CWORD=2; _dvara; '
                                'echo "${COMPREPLY[@]}"; COMP_WORDS=(dvara apikey create --us); '
                                'COMP_CWORD=3; _dvara; echo "${COMPREPLY[@]}"'],
        capture_output=True, text=True, check=True)
    assert result.stdout.splitlines() == ["create", "--user"]


def test_completion_knows_verbs_of_two_words(control):
    script = control.dvara("completion", "bash").stdout
    lines = {"dvara access rev": "review", "dvara access review st": "start",
             "dvara access review start --gr": "--group --group-reviewers"}
    for line, completed in lines.items():
        words = line.split()
        result = subprocess.run(
            ["bash", "-c", f"{script}\nCOMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _dvara; "
                           'echo "${COMPREPLY[@]}"'], capture_output=True, text=True, check=True)
        assert result.stdout.strip() == completed


def test_a_list_as_csv(control):
    control.json("group", "create", "--name", "sheet", "--description", '=HYPERLINK("http://x")')
    rows = control.dvara("group", "list", "--output", "csv").stdout
    assert rows.startswith('"name","description"') and '"\'=HYPERLINK(""http://x"")"' in rows


def test_a_body_can_come_from_standard_input(control):
    result = control.dvara("user", "create", "--body", "-", "--output", "json",
                           stdin='{"name": "piped"}')
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["name"] == "piped"
