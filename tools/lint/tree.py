# SPDX-License-Identifier: Apache-2.0
"""The files of the project, and the result of a check."""

import pathlib
import subprocess


class Tree:
    """A checkout. Checks see only what git tracks or would track, never a build folder."""

    def __init__(self, root, build):
        self.root = pathlib.Path(root)
        self.build = pathlib.Path(build)
        listed = subprocess.run(
            ["git", "-C", str(self.root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            stdout=subprocess.PIPE,
            check=True,
        ).stdout.decode()
        self.files = sorted(name for name in set(listed.split("\0")) if name and (self.root / name).is_file())

    def matching(self, *suffixes, under=""):
        return [name for name in self.files if name.startswith(under) and name.endswith(suffixes)]

    def text(self, name):
        return (self.root / name).read_text(encoding="utf-8", errors="replace")

    def first_line(self, name):
        with open(self.root / name, "rb") as file:
            return file.readline(400).decode("utf-8", errors="replace").rstrip("\n")

    def scripts(self, interpreter):
        """Files whose first line names the interpreter ("python3", "sh")."""
        found = []
        for name in self.files:
            if name.startswith("tests/fuzz/") and "/corpus/" in name:
                continue
            line = self.first_line(name)
            if line.startswith("#!") and line.split("/")[-1].split(" ")[-1] == interpreter:
                found.append(name)
        return found


def run(command, **options):
    """Runs a tool; returns its status and both its outputs as one text."""
    done = subprocess.run(
        [str(word) for word in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        **options,
    )
    return done.returncode, done.stdout.decode("utf-8", errors="replace")
