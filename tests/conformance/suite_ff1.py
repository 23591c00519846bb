# SPDX-License-Identifier: Apache-2.0
"""crypto/ff1 against C2SP wycheproof: every aes_ff1 vector, both ways. None is left out."""

import json

FOLDER = "wycheproof"
FILES = ["base10", "base62", "radix10", "radix36"]


def digits(text, alphabet, radix):
    """A list of digits; a letter that is none becomes the radix, which is none either."""
    if isinstance(text, list):
        return text
    return [alphabet.index(letter) if letter in alphabet else radix for letter in text]


def word(numbers):
    return ",".join(map(str, numbers)) or "-"


def vectors(folder):
    for name in FILES:
        for group in json.loads((folder / f"aes_ff1_{name}_test.json").read_text())["testGroups"]:
            for test in group["tests"]:
                radix = group["radix"]
                plain = digits(test["msg"], group.get("alphabet", ""), radix)
                sealed = digits(test["ct"], group.get("alphabet", ""), radix)
                yield f"{name} {test['tcId']} ({test['comment']})", radix, test, plain, sealed


def run(folder, tally):
    cases = list(vectors(folder))
    for way in "encrypt", "decrypt":
        asked = []
        for what, radix, test, plain, sealed in cases:
            good = test["result"] == "valid"
            if way == "decrypt" and not good:
                continue
            text, wanted = (plain, sealed) if way == "encrypt" else (sealed, plain)
            question = f"{way} {radix} {test['key'] or '-'} {test['tweak'] or '-'} {word(text)}"
            asked.append((what, question, word(wanted) if good else "refuse"))
        answers = tally.ask("ff1_check", [question for _, question, _ in asked])
        for (what, _, wanted), answer in zip(asked, answers):
            tally.check(answer == wanted, f"{way} {what}: {answer[:40]} instead of {wanted[:40]}")
