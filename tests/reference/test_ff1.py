# SPDX-License-Identifier: Apache-2.0
"""Our FF1 and npm's @noble/ciphers answer the same, over random keys, tweaks, radixes and lengths."""
import math
import os
import pathlib
import random
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
BUILD = HERE.parents[1] / os.environ.get("DVARA_BUILD", "build")
NODE = pathlib.Path(sys.executable).parent / "node"
CASES = 2000


def question(chance):
    radix = chance.choice([2, 10, 16, 26, 36, 62, 256, 1000, 65535, chance.randrange(2, 65536)])
    least = max(2, math.ceil(6 / math.log10(radix)))  # a million texts at least
    digits = [chance.randrange(radix) for _ in range(chance.randrange(least, least + 40))]
    key = chance.randbytes(chance.choice([16, 24, 32])).hex()
    tweak = chance.randbytes(chance.randrange(0, 20)).hex() or "-"
    return f"{chance.choice(['encrypt', 'decrypt'])} {radix} {key} {tweak} {','.join(map(str, digits))}"


def ask(command, questions):
    done = subprocess.run(command, input="".join(line + "\n" for line in questions), stdout=subprocess.PIPE, text=True,
                          check=True, timeout=300)
    return done.stdout.splitlines()


def test_random_cases():
    chance = random.Random(1)
    questions = [question(chance) for _ in range(CASES)]
    ours = ask([BUILD / "tests/conformance/ff1_check"], questions)
    theirs = ask([NODE, HERE / "ff1.mjs"], questions)
    assert len(ours) == len(theirs) == CASES and "refuse" not in ours
    assert ours == theirs
    assert all(mine != asked.split()[-1] for mine, asked in zip(ours, questions))
