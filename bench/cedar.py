#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a Cedar decision costs us, and the reference beside it in the same run (cedar_reference.mjs).

Without the reference, which `tools/bootstrap test` installs, only our own figures. Its ratio_to is
its figure divided by ours with as many policies.
"""
import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
BUILD = ROOT / os.environ.get("DVARA_BUILD", "build")
NODE = ROOT / ".venv/bin/node"
MODULES = ROOT / "tests/reference/node_modules"


def rows(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def main():
    ours = rows(BUILD / "bench/bench_cedar")
    if not NODE.exists() or not MODULES.is_dir():
        print("cedar: no reference beside it (tools/bootstrap test installs it)", file=sys.stderr)
        print(json.dumps(ours))
        return
    counts = [row["name"].split("_")[1] for row in ours if row["name"].startswith("cedar.decide_")]
    theirs = rows(NODE, ROOT / "bench/cedar_reference.mjs", *counts)
    values = {row["name"]: row["value"] for row in ours}
    for row in theirs:
        row["ratio_to"] = row["value"] / values[row["name"].replace("reference", "decide")]
    print(json.dumps(ours + theirs))


if __name__ == "__main__":
    main()
