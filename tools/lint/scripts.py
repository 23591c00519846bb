# SPDX-License-Identifier: Apache-2.0
"""pyflakes over Python, shellcheck over shell."""

import sys

from tree import run

NAME = "scripts"


def python_problems(tree):
    files = sorted(set(tree.matching(".py") + tree.scripts("python3")))
    if not files:
        return []
    # Debian's, whatever virtual environment is active.
    python = "/usr/bin/python3" if sys.platform == "linux" else sys.executable
    status, output = run([python, "-m", "pyflakes", *files], cwd=tree.root)
    return output.splitlines() or [f"pyflakes ended with {status}"] if status != 0 else []


def shell_problems(tree):
    files = sorted(set(tree.matching(".sh") + tree.scripts("sh") + tree.scripts("bash")))
    if not files:
        return []
    status, output = run(["shellcheck", "--format=gcc", "--severity=warning", *files], cwd=tree.root)
    return output.splitlines() or [f"shellcheck ended with {status}"] if status != 0 else []


def check(tree):
    return python_problems(tree) + shell_problems(tree)
