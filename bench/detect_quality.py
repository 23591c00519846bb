#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How well the detectors find what public data has labelled, by type.

Usage: detect_quality.py DVARA VECTORS   (`dvara`, and the folder with pii/ and secrets/)

A labelled span counts as found when half of it is covered by a finding of its type; a finding of a type counts as
wrong when it touches no span of that type. A text with a secret counts as found when a credential is found in it.
"""
import collections
import json
import pathlib
import subprocess
import sys

# The label of presidio-research's data: which of our types may cover it.
TYPES = {
    "EMAIL_ADDRESS": {"EMAIL_ADDRESS"},
    "CREDIT_CARD": {"CREDIT_CARD"},
    "IBAN_CODE": {"IBAN_CODE"},
    "US_SSN": {"US_SSN"},
    "IP_ADDRESS": {"IP_ADDRESS"},
    "DOMAIN_NAME": {"URL", "DOMAIN_NAME"},
    "PHONE_NUMBER": {"PHONE_NUMBER"},
    "US_DRIVER_LICENSE": {"DRIVER_LICENSE"},
}


def detect(dvara, texts, *flags):
    lines = "".join(json.dumps(text) + "\n" for text in texts)
    done = subprocess.run([dvara, "data", "detect", "--per-line", *flags], input=lines, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def spans_of(record):
    text = record["full_text"]
    for span in record["spans"]:
        start = len(text[:span["start_position"]].encode())
        yield span["entity_type"], start, start + len(span["entity_value"].encode())


def personal(dvara, path):
    records = json.loads(path.read_text(encoding="utf-8"))
    counts = collections.defaultdict(collections.Counter)
    for record, found in zip(records, detect(dvara, [r["full_text"] for r in records])):
        spans = list(spans_of(record))
        for label, start, end in spans:
            if label in TYPES:
                covered = sum(max(0, min(f["end"], end) - max(f["start"], start)) for f in found if f["type"] in TYPES[label])
                counts[label]["hit" if 2 * covered >= end - start else "missed"] += 1
        for f in found:
            for label, types in TYPES.items():
                if f["type"] in types and not any(t == label and s < f["end"] and f["start"] < e for t, s, e in spans):
                    counts[label]["wrong"] += 1
    for label, c in sorted(counts.items()):
        recall = c["hit"] / (c["hit"] + c["missed"])
        precision = c["hit"] / max(1, c["hit"] + c["wrong"])
        print(f"{label:18} {c['hit'] + c['missed']:5} recall {recall:.3f} precision {precision:.3f} "
              f"F1 {2 * recall * precision / max(1e-9, recall + precision):.3f}")


def secrets(dvara, path):
    examples = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    hits = collections.Counter()
    for example, found in zip(examples, detect(dvara, [e["text"] for e in examples], "--category", "credential")):
        hits[example["secret"], bool(found)] += 1
    print(f"secrets            {hits[True, True] + hits[True, False]:5} recall {hits[True, True] / (hits[True, True] + hits[True, False]):.3f}, "
          f"found in {hits[False, True]} of {hits[False, True] + hits[False, False]} texts without one")


if __name__ == "__main__":
    folder = pathlib.Path(sys.argv[2])
    personal(sys.argv[1], folder / "pii/presidio_synth_dataset_v2.json")
    secrets(sys.argv[1], folder / "secrets/examples.jsonl")
