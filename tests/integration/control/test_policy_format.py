# SPDX-License-Identifier: Apache-2.0
"""`dvara policy format`: without a server, on files and on standard input."""
import os
import pathlib
import subprocess

BUILD = pathlib.Path(__file__).resolve().parents[3] / os.environ.get("DVARA_BUILD", os.environ.get("BUILD", "build"))
UGLY = "// who\npermit(principal,action,resource)when{true}; // why\n"
NEAT = "// who\npermit (principal, action, resource)\nwhen { true }; // why\n"


def run(*words, text=None):
    return subprocess.run([BUILD / "dvara", "policy", "format", *map(str, words)], input=text, text=True,
                          capture_output=True, timeout=30)


def test_standard_input_is_laid_out():
    done = run(text=UGLY)
    assert (done.returncode, done.stdout) == (0, NEAT)
    assert run(text=NEAT).stdout == NEAT


def test_check_names_what_would_change_and_write_changes_it(tmp_path):
    ugly, neat = tmp_path / "ugly.cedar", tmp_path / "neat.cedar"
    ugly.write_text(UGLY)
    neat.write_text(NEAT)
    ugly.chmod(0o640)
    done = run("--check", ugly, neat)
    assert (done.returncode, done.stdout) == (1, f"{ugly}\n")
    assert ugly.read_text() == UGLY
    done = run("--write", ugly, neat)
    assert (done.returncode, done.stdout) == (0, "")
    assert ugly.read_text() == NEAT and ugly.stat().st_mode & 0o777 == 0o640
    assert run("--check", ugly, neat).returncode == 0


def test_what_is_no_policy_is_refused_with_its_place_and_left_alone(tmp_path):
    bad = tmp_path / "bad.cedar"
    bad.write_text("permit(principal,\n  action)")
    done = run("--write", bad)
    assert done.returncode == 1 and f"{bad}:2:9: " in done.stderr
    assert bad.read_text() == "permit(principal,\n  action)"


def test_write_needs_files_and_goes_without_check(tmp_path):
    assert run("--write", text=UGLY).returncode == 2
    assert run("--write", "--check", tmp_path / "x").returncode == 2
