# SPDX-License-Identifier: Apache-2.0
"""The policy engine against corpora in the layout of cedar-policy/cedar-integration-tests.

A case is a JSON file that names its policies and entities and asks requests; each must give the
decision, the determining policies and the failing policies that it names. A case file holds
"policies", "entities", "requests"; paths are relative to the folder of the archive.
"""

import json
import pathlib
import tarfile
import tempfile

FOLDER = "cedar"


def read_case(path):
    """The case in a file, or None when it is something else (entities, a schema)."""
    try:
        case = json.loads(path.read_text())
    except ValueError:
        return None
    if isinstance(case, dict) and {"policies", "entities", "requests"} <= case.keys():
        return case
    return None


def cases(root):
    for path in sorted(root.rglob("*.json")):
        if path.name.endswith(".entities.json"):
            continue
        case = read_case(path)
        if case is not None:
            yield path.relative_to(root), case


def question(root, case, request):
    asked = {name: request[name] for name in ("principal", "action", "resource", "context")}
    return f"{root / case['policies']}\t{root / case['entities']}\t{json.dumps(asked)}"


def expected(request):
    return {
        "decision": request["decision"].lower(),
        "reason": sorted(request["reason"]),
        "errors": sorted(request["errors"]),
    }


def got(answer):
    told = json.loads(answer)
    return {key: sorted(value) if isinstance(value, list) else value for key, value in told.items()}


def has_bare_entity(value):
    """Whether an attribute is written {"type", "id"} without the __entity escape around it."""
    if isinstance(value, dict):
        return value.keys() == {"type", "id"} or any(
            has_bare_entity(inner) for name, inner in value.items() if name != "__entity"
        )
    return isinstance(value, list) and any(has_bare_entity(inner) for inner in value)


def needs_schema(root, case):
    entities = json.loads((root / case["entities"]).read_text())
    return any(has_bare_entity(list(entity.get("attrs", {}).values())) for entity in entities)


def run_archive(root, tally):
    asked = []
    left_out = 0
    for path, case in cases(root):
        if needs_schema(root, case):
            left_out += len(case["requests"])
            continue
        asked += [
            (path, number, question(root, case, request), expected(request))
            for number, request in enumerate(case["requests"])
        ]
    if left_out:
        tally.note(f"{left_out} requests not asked: their entities are only readable by a schema")
    answers = tally.ask("cedar_check", [line for _, _, line, _ in asked])
    for (path, number, _, wanted), answer in zip(asked, answers):
        told = got(answer)
        tally.check(told == wanted, f"{path} request {number}: {told}, not {wanted}")


def extract(tar, place):
    """The archive's plain files, none of them outside the place (Debian's tarfile has no filters yet)."""
    for member in tar:
        target = (place / member.name).resolve()
        if member.isfile() and target.is_relative_to(place):
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(tar.extractfile(member).read())


def run(folder, tally):
    for archive in sorted(pathlib.Path(folder).glob("*.tar.gz")):
        with tempfile.TemporaryDirectory() as name, tarfile.open(archive) as tar:
            place = pathlib.Path(name).resolve()
            extract(tar, place)
            run_archive(place, tally)
