# SPDX-License-Identifier: Apache-2.0
"""The data path's JSON scanner against files in the layout of nst/JSONTestSuite.

y_ must be accepted, n_ refused. The i_ files leave the choice: bytes that are not UTF-8 must be
refused, and every file must be answered. What is accepted must also survive a rewrite of none of
its strings byte for byte, which the program checks by itself.
"""

FOLDER = "json/test_parsing"


def is_utf8(path):
    try:
        path.read_bytes().decode("utf-8")
        return True
    except UnicodeDecodeError:
        return False


def held(path, answer):
    verdict = answer.split(" ", 1)[0]
    if path.name.startswith("y_"):
        return verdict == "accept"
    if path.name.startswith("n_"):
        return verdict == "refuse"
    return verdict in ("accept", "refuse") and (verdict == "refuse" or is_utf8(path))


def run(folder, tally):
    files = sorted(path for path in folder.glob("*.json") if path.name[:2] in ("y_", "n_", "i_"))
    answers = tally.ask("json_check", files)
    for path, answer in zip(files, answers):
        tally.check(held(path, answer), f"{path.name}: {answer}")
