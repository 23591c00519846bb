# SPDX-License-Identifier: Apache-2.0
"""clang-format, by .clang-format, over every C file."""

from tree import run

NAME = "format"


def check(tree):
    files = tree.matching(".c", ".h")
    if not files:
        return []
    status, output = run(["clang-format", "--dry-run", "-Werror", *files], cwd=tree.root)
    if status == 0:
        return []
    places = [line for line in output.splitlines() if "error:" in line]
    return places or [output.strip() or f"clang-format ended with {status}"]
