# SPDX-License-Identifier: Apache-2.0
"""tests/conformance/run counts a wrong vector as a miss and never passes over absent ones."""

import os
import pathlib
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


class Conformance(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.vectors = pathlib.Path(folder.name)
        self.files = self.vectors / "json" / "test_parsing"

    def run_suites(self, *words):
        build = ROOT / os.environ.get("BUILD", "build")
        command = [ROOT / "tests" / "conformance" / "run", "--vectors", self.vectors, "--build", build, *words]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        return done.returncode, done.stdout.decode()

    def write(self, name, content):
        self.files.mkdir(parents=True, exist_ok=True)
        (self.files / name).write_bytes(content)

    def test_all_held(self):
        self.write("y_a.json", b"[]")
        self.write("n_a.json", b"[")
        self.write("i_a.json", b'["\xff"]')
        self.assertEqual(self.run_suites("json"), (0, "json: 3/3\n"))

    def test_misses(self):
        self.write("y_a.json", b"[")
        self.write("n_a.json", b"[]")
        self.write("y_b.json", b"{}")
        status, output = self.run_suites("json")
        self.assertEqual(status, 1)
        self.assertIn("missed: n_a.json: accept", output)
        self.assertIn("missed: y_a.json: refuse 1:2", output)
        self.assertTrue(output.endswith("json: 1/3\n"))

    def test_absent_vectors_are_said(self):
        status, output = self.run_suites("json")
        self.assertEqual(status, 1)
        self.assertIn("json: not run, there are no vectors in", output)
        status, output = self.run_suites()
        self.assertEqual(status, 0)
        self.assertIn("json: not run", output)

    def test_empty_folder_is_a_miss(self):
        self.files.mkdir(parents=True)
        status, output = self.run_suites("json")
        self.assertEqual(status, 1)
        self.assertIn("json: 0/1", output)

    def test_unknown_suite(self):
        self.assertEqual(self.run_suites("nonsense")[0], 2)


if __name__ == "__main__":
    unittest.main()
