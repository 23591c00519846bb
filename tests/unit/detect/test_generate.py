#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tests src/engine/detect/generate.py: rules that the search relies on are refused where they do not hold.

Usage: test_generate.py FILE.yaml...   (the detectors)
"""
import pathlib
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "src/engine/detect"))

import generate  # noqa: E402
import sieve  # noqa: E402

DETECTORS = sys.argv[1:]
NUMBER = "{seven_digits}"


class Numbers(unittest.TestCase):
    def setUp(self):
        self.digits, self.within = generate.MACROS[NUMBER], set(generate.WITHIN)
        self.settle = sieve.settle

    def tearDown(self):
        generate.MACROS[NUMBER], sieve.settle = self.digits, self.settle
        generate.WITHIN.clear()
        generate.WITHIN.update(self.within)

    def refused(self):
        with tempfile.TemporaryDirectory() as folder, self.assertRaises(SystemExit) as refused:
            generate.main(f"{folder}/table.c", DETECTORS)
        return str(refused.exception)

    def test_the_detectors_as_they_are_make_a_table(self):
        with tempfile.TemporaryDirectory() as folder:
            generate.main(f"{folder}/table.c", DETECTORS)
            self.assertIn("dv_detect_patterns", pathlib.Path(f"{folder}/table.c").read_text())

    def test_a_number_with_two_grams_is_refused(self):
        generate.MACROS[NUMBER] = f"(?:{self.digits}|[0-9]{{7}})"
        self.assertIn("a number's trigger has a single gram", self.refused())

    def test_two_triggers_of_numbers_are_refused(self):
        generate.MACROS["{four_digits}"] = "[0-9]{4}"
        generate.WITHIN.add("{four_digits}")
        self.assertIn("no other trigger is a number's", self.refused())

    def test_a_gram_far_behind_its_number_is_refused(self):
        def far(gram, grams):
            moved = self.settle(gram, grams)
            if gram.first[0] == sieve.DIGITS:
                gram.offset = sieve.BEHIND + 1
            return moved
        sieve.settle = far
        self.assertIn(f"at most {sieve.BEHIND}, or that first byte is not compared", self.refused())

    def test_a_prefix_is_what_the_match_begins_with(self):
        for key, value in (("prefix", "npx_"), ("match", "npm_[A-Za-z0-9]{36}")):
            with tempfile.TemporaryDirectory() as folder:
                path = f"{folder}/npm_token.yaml"
                text = (ROOT / "rules/detectors/npm_token.yaml").read_text()
                lines = [f"    {key}: '{value}'" if line.strip().startswith(f"{key}:") else line
                         for line in text.splitlines()]
                pathlib.Path(path).write_text("\n".join(lines) + "\n")
                with self.assertRaises(SystemExit) as refused:
                    generate.main(f"{folder}/table.c", [path])
                self.assertIn("and then the prefix", str(refused.exception))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
