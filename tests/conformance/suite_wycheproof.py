# SPDX-License-Identifier: Apache-2.0
"""crypto/ against C2SP wycheproof: AES-256-GCM, AES-256-SIV, Ed25519 and HKDF-SHA-256.

Vectors of sizes that Dvara never uses (other keys, nonces and tags) do not apply; how many is said.
"""

import json

FOLDER = "wycheproof"


def groups(folder, name):
    return json.loads((folder / f"{name}_test.json").read_text())["testGroups"]


def field(text):
    """Hexadecimal as one word; the empty one as a dash."""
    return text or "-"


def compare(tally, what, tests, answers, expected):
    for test, answer in zip(tests, answers):
        wanted = expected(test) if test["result"] in ("valid", "acceptable") else "refuse"
        good = answer == wanted or (test["result"] == "acceptable" and answer == "refuse")
        tally.check(good, f"{what} {test['tcId']} ({test['comment']}): {answer[:40]} instead of {wanted[:40]}")


def aes_gcm(folder, tally):
    all_groups = groups(folder, "aes_gcm")
    tests = [
        test
        for group in all_groups
        if (group["keySize"], group["ivSize"], group["tagSize"]) == (256, 96, 128)
        for test in group["tests"]
    ]
    others = sum(len(group["tests"]) for group in all_groups) - len(tests)
    tally.note(f"{others} AES-GCM vectors have other key, nonce or tag sizes than Dvara uses: not run")
    opened = [
        f"aes_gcm_open {t['key']} {t['iv']} {field(t['aad'])} {field(t['ct'] + t['tag'])}" for t in tests
    ]
    compare(tally, "aes_gcm open", tests, tally.ask("crypto_check", opened), lambda t: field(t["msg"]))
    valid = [test for test in tests if test["result"] == "valid"]
    for kind in "aes_gcm_seal", "aes_gcm_seal_portable":
        sealed = [f"{kind} {t['key']} {t['iv']} {field(t['aad'])} {field(t['msg'])}" for t in valid]
        compare(tally, kind, valid, tally.ask("crypto_check", sealed), lambda t: field(t["ct"] + t["tag"]))


def aes_siv(folder, tally):
    every = groups(folder, "aes_siv_cmac")
    tests = [test for group in every if group["keySize"] == 512 for test in group["tests"]]
    others = sum(len(group["tests"]) for group in every) - len(tests)
    tally.note(f"{others} AES-SIV vectors have other key sizes than Dvara uses: not run")
    opened = [f"aes_siv_open {t['key']} - {field(t['aad'])} {field(t['ct'])}" for t in tests]
    compare(tally, "aes_siv open", tests, tally.ask("crypto_check", opened), lambda t: field(t["msg"]))
    valid = [test for test in tests if test["result"] == "valid"]
    sealed = [f"aes_siv_seal {t['key']} - {field(t['aad'])} {field(t['msg'])}" for t in valid]
    compare(tally, "aes_siv seal", valid, tally.ask("crypto_check", sealed), lambda t: t["ct"])


def ed25519(folder, tally):
    tests = []
    questions = []
    for group in groups(folder, "ed25519"):
        for test in group["tests"]:
            tests.append(test)
            questions.append(
                f"ed25519_verify {group['publicKey']['pk']} {field(test['msg'])} {field(test['sig'])}"
            )
    compare(tally, "ed25519", tests, tally.ask("crypto_check", questions), lambda t: "accept")


def hkdf(folder, tally):
    tests = [test for group in groups(folder, "hkdf_sha256") for test in group["tests"]]
    questions = [
        f"hkdf {field(t['ikm'])} {field(t['salt'])} {field(t['info'])} {t['size']}" for t in tests
    ]
    compare(tally, "hkdf", tests, tally.ask("crypto_check", questions), lambda t: t["okm"])


def run(folder, tally):
    aes_gcm(folder, tally)
    aes_siv(folder, tally)
    ed25519(folder, tally)
    hkdf(folder, tally)
