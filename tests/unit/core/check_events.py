#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs print_events and checks every event against the OCSF schema in the shared vectors.

    check_events.py PRINT_EVENTS SOURCE_ROOT

Exit 77 (skipped) with a plain message when the vectors are absent.
"""
import os
import subprocess
import sys
from pathlib import Path

program, root = sys.argv[1], Path(sys.argv[2])
sys.path.insert(0, str(root / "tests" / "ocsf"))
import validate  # noqa: E402

vectors = Path(os.environ.get("DVARA_VECTORS", root.parent / "shared" / "vectors"))
if not (vectors / "ocsf" / "dictionary.json").is_file():
    print(f"no OCSF schema at {vectors}/ocsf: the events were not checked")
    sys.exit(77)

lines = subprocess.run([program], check=True, capture_output=True, text=True).stdout.splitlines()
schema = validate.Schema(vectors / "ocsf")
faults = list(validate.check_lines(schema, lines))
count = faults.pop()[1]
for number, fault in faults:
    print(f"event {number}: {fault}\n  {lines[number - 1]}")
# The checker itself must be able to fail: a broken copy of the first event has to be refused.
broken = lines[0].replace('"severity_id":', '"severity_ix":')
if broken == lines[0] or len(list(validate.check_lines(schema, [broken]))) < 3:
    print("the validator accepted a broken event")
    sys.exit(1)
print(f"{count} events, {len(faults)} faults")
sys.exit(1 if faults or count < 50 else 0)
