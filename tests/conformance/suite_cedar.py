# SPDX-License-Identifier: Apache-2.0
"""The policy engine against corpora in the layout of cedar-policy/cedar-integration-tests.

A case is a JSON file that names its policies, entities and schema, says whether the policies
validate against the schema, and asks requests; each must give the decision, the determining
policies and the failing policies that it names. A case file holds "policies", "entities",
"requests" and perhaps "schema" and "shouldValidate"; paths are relative to the folder of the
archive. A request with "validateRequest" keeps to the schema.
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


def schema_of(root, case):
    """The schema's file, or nothing for a case without one."""
    return root / case["schema"] if case.get("schema") else ""


def ask_validate(root, case):
    return f"validate\t{root / case['policies']}\t{schema_of(root, case)}"


def ask_decide(root, case, request):
    asked = {name: request[name] for name in ("principal", "action", "resource", "context")}
    check = "check" if request.get("validateRequest") else "-"
    files = f"{root / case['policies']}\t{schema_of(root, case)}\t{root / case['entities']}"
    return f"decide\t{files}\t{check}\t{json.dumps(asked)}"


def expected(request):
    return {
        "decision": request["decision"].lower(),
        "reason": sorted(request["reason"]),
        "errors": sorted(request["errors"]),
    }


def got(answer):
    told = json.loads(answer)
    return {key: sorted(value) if isinstance(value, list) else value for key, value in told.items()}


def questions(root):
    """(what, question, what the answer must hold) for every verdict of the archive."""
    for path, case in cases(root):
        if "shouldValidate" in case and case.get("schema"):
            yield f"{path} validation", ask_validate(root, case), {"valid": case["shouldValidate"]}
        for number, request in enumerate(case["requests"]):
            yield f"{path} request {number}", ask_decide(root, case, request), expected(request)


def run_archive(root, tally):
    asked = list(questions(root))
    answers = tally.ask("cedar_check", [line for _, line, _ in asked])
    for (what, _, wanted), answer in zip(asked, answers):
        told = got(answer)
        tally.check(wanted.items() <= told.items(), f"{what}: {told}, not {wanted}")


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
