# SPDX-License-Identifier: Apache-2.0
"""What the suites share: counting, and asking the small C programs that hold the code under test."""

import pathlib
import subprocess


class ProgramError(Exception):
    """A program under test did not answer every question."""


class Tally:
    """Counts one suite's vectors and remembers what was missed."""

    def __init__(self, name, build, show):
        self.name = name
        self.build = pathlib.Path(build)
        self.show = show
        self.passed = 0
        self.total = 0
        self.misses = []
        self.notes = []

    def check(self, good, what):
        """One vector: whether it held, and what to print when it did not."""
        self.total += 1
        if good:
            self.passed += 1
        else:
            self.misses.append(what)

    def note(self, text):
        """Something that the reader must know, such as vectors that do not apply."""
        self.notes.append(text)

    def ask(self, program, questions):
        """Gives the program one question a line and returns one answer a line."""
        path = self.build / "tests" / "conformance" / program
        done = subprocess.run(
            [str(path)],
            input="".join(f"{question}\n" for question in questions).encode(),
            stdout=subprocess.PIPE,
            timeout=600,
            check=False,
        )
        answers = done.stdout.decode(errors="replace").splitlines()
        if done.returncode != 0 or len(answers) != len(questions):
            raise ProgramError(
                f"{program} ended with {done.returncode} after {len(answers)} of {len(questions)} answers"
            )
        return answers

    def report(self):
        for miss in self.misses[: self.show]:
            print(f"  {self.name}: missed: {miss}")
        if len(self.misses) > self.show:
            print(f"  {self.name}: and {len(self.misses) - self.show} more")
        for note in self.notes:
            print(f"  {self.name}: {note}")
        print(f"{self.name}: {self.passed}/{self.total}")
