# SPDX-License-Identifier: Apache-2.0
"""Ordinary prose, code and logs: what all detectors together take for a value, though it is none."""
import json
import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[3]
DVARA = ROOT / os.environ.get("DVARA_BUILD", "build") / "dvara"
TEXTS = ROOT / "tests" / "texts"
BYTES_FOR_EACH = 100_000

RIGHT = {"sqlite3.txt": {b"http://www.fossil-scm.org/"}}


@pytest.mark.parametrize("name", ["opticks.txt", "addresses.txt", "sqlite3.txt", "dpkg.txt"])
def test_there_is_one_false_hit_in_100_kb_at_most(name):
    text = (TEXTS / name).read_bytes()
    assert len(text) > BYTES_FOR_EACH
    out = subprocess.run([DVARA, "data", "detect", "--input", TEXTS / name, "--output", "jsonl"], check=True,
                         stdout=subprocess.PIPE, timeout=60).stdout
    found = [(one["detector"], text[one["start"]:one["end"]]) for one in map(json.loads, out.splitlines())]
    right = RIGHT.get(name, set())
    assert right <= {value for _, value in found}
    false = [one for one in found if one[1] not in right]
    assert len(false) * BYTES_FOR_EACH <= len(text), false


def test_a_value_in_them_is_found():
    """Or the test above would pass with a search that finds nothing."""
    text = (TEXTS / "opticks.txt").read_bytes()
    half = text.index(b"\n", len(text) // 2)
    text = text[:half] + b"\nWrite to isaac@example.org, please." + text[half:]
    out = subprocess.run([DVARA, "data", "detect", "--output", "jsonl"], input=text, check=True,
                         stdout=subprocess.PIPE, timeout=60).stdout
    assert b"EMAIL_ADDRESS" in out
