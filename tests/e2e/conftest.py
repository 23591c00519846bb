# SPDX-License-Identifier: Apache-2.0
"""The whole product as a user has it: `dvara up` in front of a real language model."""
import json
import os
import pathlib
import subprocess
import sys
import urllib.error
import urllib.request

import pytest
import suite

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from support import BUILD, ROOT, free_port, remove_instance, wait_until  # noqa: E402

MODEL = "smollm2"


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


class Dvara:
    """One running Dvara, driven through its command line."""

    def __init__(self, folder, upstream, config=""):
        self.state = folder / "state"
        self.url = f"http://127.0.0.1:{free_port()}"
        self.env = dict(os.environ, DVARA_STATE=str(self.state))
        config_file = folder / "dvara.yaml"
        config_file.write_text(config)
        self.run("up", "--state", self.state, "--listen", self.url, "--upstream", upstream,
                 "--admin-listen", f"http://127.0.0.1:{free_port()}", "--config", config_file,
                 "--detach")

    def run(self, *words, code=0):
        done = subprocess.run([BUILD / "dvara", *map(str, words)], env=self.env, text=True,
                              capture_output=True, timeout=60)
        assert done.returncode == code, f"dvara {words}: {done.returncode}\n{done.stderr}"
        return done.stdout if code == 0 else done.stderr

    def json(self, *words):
        return json.loads(self.run(*words, "--output", "json"))

    def user_with_key(self, name, role="model_user"):
        self.run("user", "create", "--name", name)
        if role:
            self.run("role", "assign", "--user", name, "--role", role)
        return self.json("apikey", "create", "--user", name)

    def why(self, request_id):
        """The log follows within about a second of the answer."""
        found = {}

        def asked():
            done = subprocess.run([BUILD / "dvara", "why", request_id, "--output", "json"],
                                  env=self.env, text=True, capture_output=True, timeout=30)
            if done.returncode == 0:
                found.update(json.loads(done.stdout))
            return done.returncode == 0
        wait_until(asked, 10, f"'dvara why {request_id}' knew nothing")
        return found

    def down(self):
        self.run("down")
        suite.check_state(BUILD, self.state)
        remove_instance(self.state.parent)


@pytest.fixture(scope="session")
def model():
    """The address of a real llama.cpp server with SmolLM2."""
    port = free_port()
    # Two threads would wait for each other at every layer, busily, beside all the other tests.
    process = subprocess.Popen([ROOT / "tools/model", "start", "--port", str(port), "--threads", "1"],
                               stdout=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: answers(url + "/v1/models"), 60, "the model server did not start")
        yield url
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="session")
def dvara(model, tmp_path_factory):
    running = Dvara(tmp_path_factory.mktemp("dvara"), model)
    yield running
    running.down()


@pytest.fixture(scope="session")
def alice(dvara):
    return dvara.user_with_key("alice")
