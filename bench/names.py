#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How well the tagger and the pattern detectors together find personal data: precision, recall and F2 by type, on
presidio-research's synthetic texts (never learned from, nor read to write templates).

A labelled span counts as found when half of its bytes are covered by findings of its type (typed), or of any type (any: what
matters to masking). A finding is right when half of it is covered by labelled spans of its type, or of any.

usage: names.py [--build BUILD] [--model MODEL] [--vectors FOLDER]
"""

import argparse
import json
import os
import subprocess
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Their types, and those of ours that name them.
KINDS = {
    "PERSON": {"person"},
    "GPE": {"location", "address"},  # a place within an address is a part of it; "strictly" counts it as missed
    "ORGANIZATION": {"organization"},
    "STREET_ADDRESS": {"address"},
    "ZIP_CODE": {"address"},
    "DATE_TIME": {"date_time", "date_of_birth"},
    "AGE": {"age"},
    "NRP": {"nrp"},
    "TITLE": {"title"},
    "CREDIT_CARD": {"payment_card"},
    "PHONE_NUMBER": {"phone"},
    "EMAIL_ADDRESS": {"email"},
    "IBAN_CODE": {"iban"},
    "US_SSN": {"us_ssn"},
    "IP_ADDRESS": {"ip_address"},
    "DOMAIN_NAME": {"domain", "url", "url_credentials"},
    "US_DRIVER_LICENSE": {"us_driver_license"},
}


def ask(command, texts):
    answer = subprocess.run(command, input="".join(json.dumps(t) + "\n" for t in texts), capture_output=True, text=True, check=True)
    for line in answer.stdout.splitlines():
        if line.startswith("failed"):
            raise SystemExit(f"{command[0]}: {line}")
        yield [] if line == "-" else [(f.split(":")[0], int(f.split(":")[1]), int(f.split(":")[2])) for f in line.split()]


def labelled(record):
    text = record["full_text"]
    for span in record["spans"]:
        start = len(text[: span["start_position"]].encode())
        yield span["entity_type"], start, len(text[: span["end_position"]].encode())


def covered(start, end, others):
    taken = {byte for _, s, e in others for byte in range(max(s, start), min(e, end))}
    return 2 * len(taken) >= end - start


def merge(patterns, names):
    """A pattern's value outranks a name over the same bytes, of which the rest stays one."""
    kept = list(patterns)
    for kind, start, end in names:
        for _, s, e in sorted(patterns, key=lambda p: p[1]):
            if s < end and start < e:
                if start < s:
                    kept.append((kind, start, s))
                start = max(start, e)
        if start < end:
            kept.append((kind, start, end))
    return kept


def score(gold, found, told, right):
    recall, precision = found / gold if gold else 0, right / told if told else 0
    f2 = 5 * precision * recall / (4 * precision + recall) if found and right else 0
    return precision, recall, f2


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default="build")
    parser.add_argument("--model")
    parser.add_argument("--check", help="another tagger_check")
    parser.add_argument("--vectors", default=os.environ.get("DVARA_VECTORS", ROOT.parent / "shared" / "vectors"))
    args = parser.parse_args()
    path = Path(args.vectors) / "pii" / "presidio_synth_dataset_v2.json"
    if not path.exists():
        raise SystemExit(f"names.py: there is no {path.name} in the vectors: nothing was measured")
    records = json.loads(path.read_text(encoding="utf-8"))
    texts = [r["full_text"] for r in records]
    tools = Path(args.build) / "tests" / "conformance"
    patterns = ask([str(tools / "detect_check")], texts)
    names = ask([args.check or str(tools / "tagger_check"), *([args.model] if args.model else [])], texts)
    ours = {kind: theirs for theirs, kinds in KINDS.items() for kind in kinds if theirs != "ZIP_CODE"}
    gold, hit, hit_any, told, right, right_any, strict = (Counter() for _ in range(7))
    for record, one, two in zip(records, patterns, names):
        spans, found = list(labelled(record)), merge(one, two)
        for kind, start, end in spans:
            gold[kind] += 1
            hit[kind] += covered(start, end, [f for f in found if f[0] in KINDS[kind]])
            hit_any[kind] += covered(start, end, found)
            own = KINDS[kind] - ({"address"} if kind == "GPE" else set())
            strict["found"] += covered(start, end, [f for f in found if f[0] in own])
        for finding in found:
            kind = ours.get(finding[0], finding[0])
            told[kind] += 1
            right[kind] += covered(finding[1], finding[2], [s for s in spans if finding[0] in KINDS.get(s[0], ())])
            right_any[kind] += covered(finding[1], finding[2], spans)
            others = [s for s in spans if finding[0] in KINDS.get(s[0], ()) and (s[0], finding[0]) != ("GPE", "address")]
            strict["right"] += covered(finding[1], finding[2], others)
    print("| type | spans | precision | recall | F2 | found as any type |\n|---|---|---|---|---|---|")
    for kind in sorted(gold | told, key=lambda k: -gold[k]):
        p, r, f2 = score(gold[kind], hit[kind], told[kind], right[kind])
        print(f"| {kind} | {gold[kind]} | {p:.3f} | {r:.3f} | {f2:.3f} | {hit_any[kind] / gold[kind] if gold[kind] else 0:.3f} |")
    p, r, f2 = score(gold.total(), hit.total(), told.total(), right.total())
    print(f"| all, typed | {gold.total()} | {p:.3f} | {r:.3f} | {f2:.3f} | |")
    p, r, f2 = score(gold.total(), strict["found"], told.total(), strict["right"])
    print(f"| all, strictly | {gold.total()} | {p:.3f} | {r:.3f} | {f2:.3f} | |")
    p, r, f2 = score(gold.total(), hit_any.total(), told.total(), right_any.total())
    print(f"| all, of any type | {gold.total()} | {p:.3f} | {r:.3f} | {f2:.3f} | |")


main()
