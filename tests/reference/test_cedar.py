# SPDX-License-Identifier: Apache-2.0
"""Our Cedar and npm's @cedar-policy/cedar-wasm answer the same (compare.mjs)."""
import json
import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BUILD = ROOT / os.environ.get("DVARA_BUILD", "build")
NODE = pathlib.Path(sys.executable).parent / "node"


def compare(program, cases):
    return subprocess.run([NODE, HERE / "compare.mjs", program, str(cases), "1"], text=True, capture_output=True,
                          timeout=800)


def test_random_cases():
    done = compare(BUILD / "tests/reference/cedar_case", 2000)
    assert done.returncode == 0, done.stdout + done.stderr[-8000:]
    told = json.loads(done.stdout)
    # The cases are worth something: all answers are among them.
    assert told["cases"] == 2000 and told["differences"] == 0
    assert told["allowed"] > 100 and told["erring"] > 200 and told["linked"] > 10
    assert told["broken"] > 400 and told["refused"] > 200 and told["broken"] - told["refused"] > 20


def test_a_difference_is_found(tmp_path):
    """An engine that allows everything does not pass."""
    liar = tmp_path / "liar"
    answer = {"decision": "allow", "reasons": [], "errors": [], "json": {}, "formatted": ""}
    liar.write_text(f"#!{sys.executable}\nimport sys\nfor _ in sys.stdin:\n    print({json.dumps(json.dumps(answer))}, flush=True)\n")
    liar.chmod(0o755)
    done = compare(liar, 20)
    assert done.returncode == 1 and json.loads(done.stdout)["differences"] > 0
