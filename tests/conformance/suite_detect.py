# SPDX-License-Identifier: Apache-2.0
"""The detectors against labelled texts: personal data in the layout of presidio-research, secrets in
that of kingfisher's examples.

A value whose form proves it (a check digit, an assigned prefix) is one vector: it must be found, all
of it. Phone numbers have no such form, so their recall and precision are a vector each. A text with
no labelled value of our kinds is one vector: nothing may be found in it.
"""

import json

FOLDER = "."
PARTS = ["pii", "secrets"]

KINDS = {
    "CREDIT_CARD": "payment_card",
    "PHONE_NUMBER": "phone",
    "EMAIL_ADDRESS": "email",
    "IBAN_CODE": "iban",
    "US_SSN": "us_ssn",
    "IP_ADDRESS": "ip_address",
    "US_DRIVER_LICENSE": "us_driver_license",
}
PHONE_RECALL, PHONE_PRECISION = 0.95, 0.95

# kingfisher's rules whose secrets ours claim; its other rules are for services that we do not know.
SECRETS = {
    "kingfisher.aws.1": "aws_access_key",
    "kingfisher.github.2": None,  # one example is a token within an address: either name will do
    "kingfisher.github.3": "github_token",
    "kingfisher.github.4": "github_token",
    "kingfisher.github.7": "github_token",
    "kingfisher.gitlab.1": "gitlab_token",
    "kingfisher.gitlab.3": "gitlab_token",
    "kingfisher.google.2": "google_key",
    "kingfisher.google.oauth2.1": "google_key",
    "kingfisher.huggingface.1": "huggingface_token",
    "kingfisher.jwt.1": "jwt",
    "kingfisher.privkey.1": "private_key",
    "kingfisher.sendgrid.1": "sendgrid_key",
    "kingfisher.slack.1": "slack_token",
    "kingfisher.stripe.1": "stripe_key",
    "kingfisher.stripe.2": "stripe_key",
}


def read_answer(line):
    if line.startswith("failed"):
        raise ValueError(line)
    found = [] if line == "-" else [item.split(":") for item in line.split()]
    return [(name, int(start), int(end)) for name, start, end in found]


def ask(tally, texts):
    return [read_answer(line) for line in tally.ask("detect_check", [json.dumps(t) for t in texts])]


def spans(record):
    """The labelled values of our kinds, in bytes."""
    text = record["full_text"]
    for span in record["spans"]:
        if span["entity_type"] in KINDS:
            start = len(text[: span["start_position"]].encode())
            yield KINDS[span["entity_type"]], start, start + len(span["entity_value"].encode()), span["entity_value"]


def personal(folder, tally):
    path = folder / "pii" / "presidio_synth_dataset_v2.json"
    records = json.loads(path.read_text(encoding="utf-8"))
    answers = ask(tally, [record["full_text"] for record in records])
    phones = {"labelled": 0, "found": 0, "wrong": 0}
    for record, found in zip(records, answers):
        labelled = list(spans(record))
        for kind, start, end, value in labelled:
            hit = any(f[1] <= start and f[2] >= end for f in found)
            if kind == "phone":
                phones["labelled"] += 1
                phones["found"] += hit
            elif kind == "payment_card" and value.startswith("0"):
                tally.note(f"left out: no network issues a card number like {value[:6]}...")
            else:
                tally.check(hit, f"{kind} is not found: {value!r} in {record['full_text'][:80]!r}")
        stray = [f for f in found if not any(f[1] < end and start < f[2] for _, start, end, _ in labelled)]
        phones["wrong"] += sum(f[0] == "phone" for f in stray)
        others = [f for f in stray if f[0] != "phone"]
        if not labelled:
            tally.check(not others, f"found {others} in {record['full_text'][:80]!r}")
    recall = phones["found"] / phones["labelled"]
    precision = phones["found"] / (phones["found"] + phones["wrong"])
    tally.check(recall >= PHONE_RECALL, f"phone: recall {recall:.3f} is below {PHONE_RECALL}")
    tally.check(precision >= PHONE_PRECISION, f"phone: precision {precision:.3f} is below {PHONE_PRECISION}")
    tally.note(f"phone: recall {recall:.3f}, precision {precision:.3f}")


def secrets(folder, tally):
    lines = (folder / "secrets" / "examples.jsonl").read_text(encoding="utf-8").splitlines()
    examples = [json.loads(line) for line in lines]
    for example, found in zip(examples, ask(tally, [e["text"] for e in examples])):
        names = {f[0] for f in found}
        if example["secret"] and example["rule"] in SECRETS:
            wanted = SECRETS[example["rule"]]
            good = wanted in names if wanted else bool(names)
            tally.check(good, f"{example['rule']}: {example['text'][:60]!r} gives {sorted(names)}")
        elif not example["secret"]:
            tally.check(not names, f"{example['rule']}: no secret, but {sorted(names)} in {example['text'][:60]!r}")


def run(folder, tally):
    personal(folder, tally)
    secrets(folder, tally)
