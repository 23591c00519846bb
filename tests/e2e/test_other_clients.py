# SPDX-License-Identifier: Apache-2.0
"""curl, and the official client for Node."""
import json
import os
import pathlib
import subprocess
import sys

import pytest

from conftest import MODEL

NODE = pathlib.Path(__file__).parent / "node"
BIN = pathlib.Path(sys.executable).parent
NODE_ENV = dict(os.environ, PATH=f"{BIN}:{os.environ['PATH']}")


def test_curl(dvara, alice):
    body = json.dumps({"model": MODEL, "max_tokens": 8,
                       "messages": [{"role": "user", "content": "Say hello."}]})
    done = subprocess.run(
        ["curl", "-sS", "--fail-with-body", dvara.url + "/v1/chat/completions", "-H",
         "Content-Type: application/json", "-H", "x-api-key: " + alice["secret"], "-d", body],
        capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["choices"][0]["message"]["content"]


@pytest.fixture(scope="module")
def node_client():
    """npm's openai, installed once from the lock file; Node itself is in .venv."""
    if not (NODE / "node_modules/openai").is_dir():
        subprocess.run([BIN / "npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=NODE,
                       check=True, capture_output=True, timeout=300, env=NODE_ENV)
    return NODE / "client.mjs"


def test_openai_for_node(dvara, alice, node_client):
    env = dict(NODE_ENV, BASE_URL=dvara.url + "/v1", API_KEY=alice["secret"], MODEL=MODEL)
    done = subprocess.run([BIN / "node", node_client], env=env, capture_output=True, text=True,
                          timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    seen = json.loads(done.stdout)
    assert seen["text"] and seen["streamed"] and seen["dimensions"] > 100
    assert seen["wrongKey"] == 401
