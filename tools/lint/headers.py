# SPDX-License-Identifier: Apache-2.0
"""Every source begins with its licence; every public function that can fail says dv_must."""

import re

NAME = "headers"

SPDX = "SPDX-License-Identifier: Apache-2.0"
SOURCES = (".c", ".h", ".def", ".py", ".sh", ".mk", ".js", ".mjs", ".ts")

# These fill in what went wrong and give the error back for `return`.
NEED_NOT_BE_USED = re.compile(r"^dv_(call_invalid|[a-z_]+_error(_at)?)$")

PROTOTYPE = re.compile(r"^(?P<before>[\w\s]*?)\bdv_result\s+(?P<name>\w+)\s*\(", re.MULTILINE)
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)


def licence_problem(name, text):
    lines = text.splitlines()[:2]
    if lines and lines[0].startswith("#!"):
        lines = lines[1:]
    if lines and SPDX in lines[0]:
        return []
    return [f"{name}:1: the first line must be {SPDX}"]


def blank(match):
    return "\n" * match.group(0).count("\n")


def must_problems(name, text):
    text = COMMENT.sub(blank, text)
    problems = []
    for found in PROTOTYPE.finditer(text):
        before = found.group("before").split()
        if "typedef" in before or "static" in before or NEED_NOT_BE_USED.match(found.group("name")):
            continue
        if "dv_must" not in before:
            line = text.count("\n", 0, found.start("name")) + 1
            problems.append(f"{name}:{line}: {found.group('name')} returns dv_result but is not dv_must")
    return problems


def check(tree):
    problems = []
    scripts = set(tree.scripts("python3") + tree.scripts("sh") + tree.scripts("bash"))
    for name in tree.files:
        if "/corpus/" not in name and (name.endswith(SOURCES) or name in scripts or name == "Makefile"):
            problems += licence_problem(name, tree.text(name))
    for name in tree.matching(".h", under="src/"):
        problems += must_problems(name, tree.text(name))
    return problems
