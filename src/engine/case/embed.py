#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the files of case types into one C table: embed.py OUT.c FILE.yaml..."""
import json
import pathlib
import sys


def c_string(text):
    return "\n".join(f"     {json.dumps(line, ensure_ascii=True)}" for line in text.splitlines(keepends=True))


def main(out, files):
    rows = []
    for path in sorted(map(pathlib.Path, files)):
        text = path.read_text(encoding="ascii")  # what json escapes in ASCII, C reads as it is
        rows.append(f'    {{"{path.stem}",\n{c_string(text)}}},')
    table = "\n".join(rows)
    pathlib.Path(out).write_text(
        '#include "engine/case/case_type.h"\n\n'
        f"const dv_case_type_file DV_CASE_TYPE_FILES[] = {{\n{table}\n}};\n\n"
        "const size_t DV_CASE_TYPE_FILE_COUNT = DV_ARRAY_LEN(DV_CASE_TYPE_FILES);\n",
        encoding="ascii")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
