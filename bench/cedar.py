#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a Cedar decision costs us (bench_cedar.c says of what) and, in the same run, others.

They get the same policies and requests. @cedar-policy/cedar-wasm, the reference, is measured where
`tools/bootstrap test` or `tools/peers` installed it; Casbin and the crate cedar-policy where
`tools/peers cedar` did. A peer's ratio_to is its figure divided by ours.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
BUILD = ROOT / os.environ.get("DVARA_BUILD", "build")
NODE = ROOT / ".venv/bin/node"
PEERS = BUILD / "peers/cedar"
SCRIPTS = ROOT / "bench/peers/cedar"


def rows(command, **environment):
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True,
                          env=dict(os.environ, **environment))
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def modules_of(package):
    for folder in (PEERS, ROOT / "tests/reference"):
        if NODE.exists() and (folder / "node_modules" / package).is_dir():
            return folder
    return None


def crate(inputs):
    program = PEERS / "crate/target/release/dvara-bench-cedar"
    return rows([program, *inputs]) if program.exists() else None


def wasm(inputs):
    modules = modules_of("@cedar-policy/cedar-wasm")
    return rows([NODE, SCRIPTS / "wasm.mjs", *inputs], MODULES=str(modules)) if modules else None


def casbin(inputs):
    """Roles only: conditions are written otherwise there."""
    modules = modules_of("casbin")
    inputs = [path for path in inputs if "/roles_" in path]
    return rows([NODE, SCRIPTS / "casbin.mjs", *inputs], MODULES=str(modules)) if modules else None


def main():
    program = BUILD / "bench/bench_cedar"
    figures = rows([program])
    ours = {row["name"]: row["value"] for row in figures}
    with tempfile.TemporaryDirectory(prefix="dvara-bench-") as folder:
        subprocess.run([program, folder], check=True)
        inputs = sorted(str(path.with_suffix("")) for path in pathlib.Path(folder).glob("*.cedar"))
        for name, measure in (("cedar-policy", crate), ("cedar-wasm", wasm), ("casbin", casbin)):
            theirs = measure(inputs)
            if theirs is None:
                print(f"cedar: no {name} beside it (make bench PEERS=cedar)", file=sys.stderr)
            for row in theirs or []:
                own = ours[f"cedar.{row['name']}_policies"]
                figures.append({"name": f"cedar.{row['name']}_policies/{name}", "unit": "us",
                                "value": row["value"], "ratio_to": row["value"] / own})
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
