# SPDX-License-Identifier: Apache-2.0
"""curl, and the official client for Node."""
import json
import os
import pathlib
import shutil
import subprocess

import pytest

from conftest import MODEL

NODE = pathlib.Path(__file__).parent / "node"


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
    """npm's openai, installed once from the lock file."""
    assert shutil.which("npm"), "npm is missing: tools/bootstrap test installs it"
    if not (NODE / "node_modules/openai").is_dir():
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=NODE,
                       check=True, capture_output=True, timeout=300)
    return NODE / "client.mjs"


def test_openai_for_node(dvara, alice, node_client):
    env = dict(os.environ, BASE_URL=dvara.url + "/v1", API_KEY=alice["secret"], MODEL=MODEL)
    done = subprocess.run(["node", node_client], env=env, capture_output=True, text=True,
                          timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    seen = json.loads(done.stdout)
    assert seen["text"] and seen["streamed"] and seen["dimensions"] > 100
    assert seen["wrongKey"] == 401
