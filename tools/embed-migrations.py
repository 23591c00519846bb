#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the numbered SQL files that it is given into one C table: embed-migrations.py OUT FILE..."""
import pathlib
import re
import sys


def c_string(text):
    lines = []
    for line in text.splitlines(keepends=True):
        escaped = line.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        lines.append(f'     "{escaped}"')
    return "\n".join(lines)


def main(out, files):
    rows = []
    for expected, path in enumerate(sorted(map(pathlib.Path, files), key=lambda p: p.name), start=1):
        match = re.fullmatch(r"(\d{4})-[a-z0-9-]+\.sql", path.name)
        if match is None or int(match.group(1)) != expected:
            sys.exit(f"{path}: expected a file named {expected:04d}-NAME.sql")
        rows.append(f'    {{{expected}, "{path.stem}",\n{c_string(path.read_text())}}},')
    table = "\n".join(rows)
    pathlib.Path(out).write_text(
        '#include "store/migration.h"\n\n'
        f"const dv_migration DV_MIGRATIONS[] = {{\n{table}\n}};\n\n"
        "const size_t DV_MIGRATION_COUNT = DV_ARRAY_LEN(DV_MIGRATIONS);\n"
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
