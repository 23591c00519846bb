#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Presidio and DataFog over the same texts as `dvara data detect`, in one run: speed, and quality by type.

The texts are presidio-research's synthetic ones (VECTORS, or ../shared/vectors). A labelled span counts as found when
half of it is covered by a finding of its type; a finding as wrong when it touches no span of that type. Times are of one
process's processor; Dvara's is the difference between the texts many times and once, for its start takes longer than
all of them.

Prints a list of measurements, as bench/run wants them, or a table with --table.
"""
import collections
import json
import os
import pathlib
import resource
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.get("DVARA_BUILD", ROOT / "build"))
VECTORS = pathlib.Path(os.environ.get("VECTORS") or ROOT.parent / "shared/vectors")
TIMES = 200

# What a label is called by Dvara, Presidio, DataFog.
TYPES = {
    "EMAIL_ADDRESS": {"EMAIL_ADDRESS", "EMAIL"},
    "CREDIT_CARD": {"CREDIT_CARD"},
    "IBAN_CODE": {"IBAN_CODE", "DE_IBAN"},
    "US_SSN": {"US_SSN", "SSN"},
    "IP_ADDRESS": {"IP_ADDRESS"},
    "DOMAIN_NAME": {"URL", "DOMAIN_NAME"},
    "PHONE_NUMBER": {"PHONE_NUMBER", "PHONE"},
}


def in_characters(text, found):
    raw = text.encode()
    return [(one["type"], len(raw[:one["start"]].decode()), len(raw[:one["end"]].decode())) for one in found]


def dvara(texts, times=1):
    """(findings, processor seconds), of the texts so many times."""
    lines = "".join(json.dumps(text) + "\n" for text in texts) * times
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([BUILD / "dvara", "data", "detect", "--per-line"], input=lines, stdout=subprocess.PIPE,
                          text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return [in_characters(t, json.loads(line)) for t, line in zip(texts, done.stdout.splitlines())], seconds


def peer(name, texts):
    lines = "".join(json.dumps(text) + "\n" for text in texts)
    done = subprocess.run([BUILD / "peers/detect/bin/python", ROOT / "bench/peers/detect/find.py", name], input=lines,
                          stdout=subprocess.PIPE, text=True, check=True, env={**os.environ, "DATAFOG_NO_TELEMETRY": "1"})
    *found, seconds = [json.loads(line) for line in done.stdout.splitlines()]
    return found, seconds


def quality(records, findings):
    """Label to (precision, recall)."""
    counts = collections.defaultdict(collections.Counter)
    for record, found in zip(records, findings):
        spans = [(s["entity_type"], s["start_position"], s["end_position"]) for s in record["spans"]]
        for label, types in TYPES.items():
            ours = [(start, end) for kind, start, end in found if kind in types]
            theirs = [(start, end) for kind, start, end in spans if kind == label]
            for start, end in theirs:
                covered = len({at for s, e in ours for at in range(max(s, start), min(e, end))})
                counts[label]["hit" if 2 * covered >= end - start else "missed"] += 1
            counts[label]["wrong"] += sum(not any(s < end and start < e for s, e in theirs) for start, end in ours)
    return {label: (c["hit"] / max(1, c["hit"] + c["wrong"]), c["hit"] / max(1, c["hit"] + c["missed"]))
            for label, c in counts.items()}


def main():
    records = json.loads((VECTORS / "pii/presidio_synth_dataset_v2.json").read_text(encoding="utf-8"))
    texts = [record["full_text"] for record in records]
    size = sum(len(text.encode()) for text in texts)
    found, once = dvara(texts)
    _, many = dvara(texts, TIMES)
    results = {"dvara": (found, (many - once) / (TIMES - 1))}
    for name in "presidio", "datafog":
        results[name] = peer(name, texts)
    qualities = {name: quality(records, found) for name, (found, _) in results.items()}
    speeds = {name: size / seconds / 1e6 for name, (_, seconds) in results.items()}
    if "--table" in sys.argv:
        print("| | MB/s | " + " | ".join(TYPES) + " |\n|---|---|" + "---|" * len(TYPES))
        for name, by_label in qualities.items():
            cells = " | ".join("{:.2f} / {:.2f}".format(*by_label[label]) for label in TYPES)
            print(f"| {name} | {speeds[name]:.3f} | {cells} |")
        return
    print(json.dumps([
        {"name": f"detect_{name}", "value": round(speed, 3), "unit": "MB/s",
         "ratio_to": round(speed / speeds["presidio"], 2)} for name, speed in speeds.items()]))


if __name__ == "__main__":
    main()
