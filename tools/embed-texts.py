#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes files of rules/ into one C table of (name, text): embed-texts.py OUT.c HEADER TYPE TABLE FILE..."""
import json
import pathlib
import sys


def c_string(text):
    return "\n".join(f"     {json.dumps(line, ensure_ascii=True)}" for line in text.splitlines(keepends=True))


def main(out, header, row_type, name, *files):
    rows = []
    for path in sorted(map(pathlib.Path, files)):
        text = path.read_text(encoding="ascii")  # what json escapes in ASCII, C reads as it is
        rows.append(f'    {{"{path.stem}",\n{c_string(text)}}},')
    table = "\n".join(rows)
    pathlib.Path(out).write_text(
        f'#include "{header}"\n\n'
        f"const {row_type} {name}S[] = {{\n{table}\n}};\n\n"
        f"const size_t {name}_COUNT = DV_ARRAY_LEN({name}S);\n",
        encoding="ascii")


if __name__ == "__main__":
    main(*sys.argv[1:])
