# SPDX-License-Identifier: Apache-2.0
"""AuthZEN's interoperability scenarios (to-do application, API gateways, search), decided through the HTTP
API of a running Dvara by the policies in authzen/.

A decision is one vector, and so is the whole answer of a search. Each search is asked once more in pages
of two, which must hold the same.
"""

import contextlib
import http.client
import json
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile

import harness

FOLDER = "authzen"

HERE = pathlib.Path(__file__).resolve().parent / "authzen"
TASKS = "authzen-todo-backend__test__decisions-authorization-api-1_0-02.json"
GATEWAYS = "authzen-api-gateways__test-harness__test__decisions.json"
SEARCH = "authzen-search-demo__test-harness__src__{}__results.json"
KEPT = ("PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Dvara:
    """One that runs in a temporary folder, and a key that may ask for decisions and nothing else."""

    def __init__(self, build, folder):
        self.program = build / "dvara"
        self.state = folder / "state"
        self.port = free_port()
        self.dvara("up", "--detach", "--upstream", "http://127.0.0.1:9", "--listen",
                   f"http://127.0.0.1:{free_port()}", "--admin-listen", f"http://127.0.0.1:{self.port}")

    def dvara(self, *words):
        """Runs the command line program; returns what it printed."""
        done = subprocess.run([str(self.program), *map(str, words), "--state", str(self.state)], text=True,
                              capture_output=True, stdin=subprocess.DEVNULL, timeout=120, check=False,
                              env={name: os.environ[name] for name in KEPT if name in os.environ})
        if done.returncode != 0:
            raise harness.ProgramError(f"dvara {words[:2]}: {done.stderr.strip()}")
        return done.stdout

    def make_key(self):
        self.dvara("service", "create", "--name", "enforcer")
        self.dvara("role", "create", "--name", "evaluator", "--permissions", "evaluate_access")
        self.dvara("role", "assign", "--service", "enforcer", "--role", "evaluator")
        key = json.loads(self.dvara("apikey", "create", "--service", "enforcer", "--output", "json"))["secret"]
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        self.headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}

    def ask(self, path, request):
        """The answer's body; an error where AuthZEN has none is a miss of the vector."""
        headers = {**self.headers, "X-Request-ID": "vector-1"}
        self.connection.request("POST", path, json.dumps(request), headers)
        answer = self.connection.getresponse()
        body = json.loads(answer.read())
        if answer.status != 200 or answer.headers["X-Request-ID"] != "vector-1":
            return {"status": answer.status, **body}
        return body

    def down(self):
        with contextlib.suppress(harness.ProgramError):
            self.dvara("down")


@contextlib.contextmanager
def running(build):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="dvara-authzen-"))
    dvara = None
    try:
        folder.chmod(0o755)
        dvara = Dvara(build, folder)
        dvara.make_key()
        yield dvara
    finally:
        if dvara is not None:
            dvara.down()
        shutil.rmtree(folder)


def entity(kind, identity, **attrs):
    return {"uid": {"type": kind, "id": str(identity)}, "attrs": attrs, "parents": []}


def search_entities(folder):
    """The search scenario's own data."""
    users = json.loads((folder / "search-demo-users.json").read_text(encoding="utf-8"))
    records = json.loads((folder / "search-demo-records.json").read_text(encoding="utf-8"))
    made = [entity("user", user["id"], role=user["role"], department=user["department"]) for user in users]
    return made + [entity("record", record["id"], title=record["title"], department=record["department"],
                          owner={"__entity": {"type": "user", "id": record["owner"]}}) for record in records]


def load(dvara, folder):
    made = dvara.state.parent / "search.json"
    made.write_text(json.dumps(search_entities(folder)), encoding="utf-8")
    dvara.dvara("policy", "apply", HERE)
    for path in (HERE / "todo.json", HERE / "gateway.json", made):
        dvara.dvara("entity", "apply", path)


def decisions(dvara, path, tally):
    vectors = json.loads(path.read_text(encoding="utf-8"))
    for vector in vectors.get("evaluation", []):
        answer = dvara.ask("/access/v1/evaluation", vector["request"])
        tally.check(answer.get("decision") is vector["expected"], f"{vector['request']}: {answer}")
    for vector in vectors.get("evaluations", []):
        answers = dvara.ask("/access/v1/evaluations", vector["request"]).get("evaluations", [])
        got = [answer.get("decision") for answer in answers]
        wanted = [decision["decision"] for decision in vector["expected"]]
        for place, decision in enumerate(wanted):
            tally.check(got[place:place + 1] == [decision] and len(got) == len(wanted),
                        f"{vector['request']}: {answers}")


def pages(dvara, path, request):
    """All results, two at a time."""
    found, page = [], {"limit": 2}
    while True:
        answer = dvara.ask(path, {**request, "page": page})
        found += answer["results"]
        if len(answer["results"]) > 2 or answer["page"]["count"] != len(answer["results"]):
            return [{"name": "a page is too large"}]
        if not answer["page"]["next_token"]:
            return found
        page = {"token": answer["page"]["next_token"]}


def as_set(results):
    return sorted(json.dumps(result, sort_keys=True) for result in results)


def searches(dvara, folder, kind, tally):
    path = f"/access/v1/search/{kind}"
    vectors = json.loads((folder / SEARCH.format(kind)).read_text(encoding="utf-8"))["evaluation"]
    for vector in vectors:
        answer = dvara.ask(path, vector["request"])
        wanted = as_set(vector["expected"]["results"])
        tally.check(as_set(answer.get("results", [{}])) == wanted, f"{kind}: {vector['request']}: {answer}")
        paged = pages(dvara, path, vector["request"])
        tally.check(as_set(paged) == wanted, f"{kind} in pages: {vector['request']}: {paged}")


def run(folder, tally):
    with running(tally.build) as dvara:
        load(dvara, folder)
        decisions(dvara, folder / TASKS, tally)
        decisions(dvara, folder / GATEWAYS, tally)
        for kind in ("subject", "resource", "action"):
            searches(dvara, folder, kind, tally)
