# SPDX-License-Identifier: Apache-2.0
"""Makes a C table of the model: embed.py MODEL OUTPUT."""

import struct
import sys
from pathlib import Path

HEAD = """/* SPDX-License-Identifier: Apache-2.0 */
/* Made from names.model by embed.py. */
#include "engine/detect/tagger/model.h"

_Alignas(64) const uint64_t dv_tagger_builtin[] = {
"""


def main(model, output):
    data = Path(model).read_bytes()
    padded = data + bytes(-len(data) % 8)
    numbers = struct.unpack(f"<{len(padded) // 8}Q", padded)
    lines = [",".join(hex(n) for n in numbers[i : i + 16]) for i in range(0, len(numbers), 16)]
    tail = f"}};\nconst size_t dv_tagger_builtin_len = {len(data)};\n"
    Path(output).write_text(HEAD + ",\n".join(lines) + tail)


main(*sys.argv[1:])
