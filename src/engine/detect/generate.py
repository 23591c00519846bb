#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Turns rules/detectors/*.yaml into the C table of the detectors.

Usage: generate.py OUT.c FILE.yaml...   Refuses what it does not understand, naming file and key.
"""
import re
import sys

import yaml

import sieve
from sieve import REPEATS, class_bytes, sre, sre_parse

MACROS = {
    # What stands between the digits of a number: space, full stop, hyphen, U+2010 to U+2015, no-break
    # spaces, and what nobody sees: soft hyphen, zero-width characters, word joiner.
    "{sep}": r"(?:[ .-]|\xC2[\xA0\xAD]|\xE2\x80[\x8B-\x8D\x90-\x95\xAF]|\xE2\x81\xA0)",
    "{hyphen}": r"(?:-|\xE2\x80[\x90-\x92])",
    # Triggers that several detectors share: each one more costs every text.
    "{seven_digits}": r"(?:[0-9](?:[ .()/-]|\xC2[\xA0\xAD]|\xE2\x80[\x8B-\x8D\x90-\x95\xAF]|\xE2\x81\xA0){0,3}){6}[0-9]",
    "{four_digits}": r"[A-Za-z][0-9]{4}[A-Za-z]",
}
# A letter or digit that ends an escape (RFC 8259 section 7) is a boundary: what stands before it is
# written "\\n" or "\\u0020" in a text that holds JSON without being JSON.
NO_ESCAPE = r'(?<!\\[bfnrt"\\/])(?<!\\u[0-9A-Fa-f]{4})'
CATEGORIES = {"personal", "payment", "government_id", "credential"}
ACTIONS = {"block": "DV_ACTION_BLOCK", "alert": "DV_ACTION_ALERT", "mask": "DV_ACTION_MASK",
           "placeholder": "DV_ACTION_PLACEHOLDER"}
CONTEXTS = {"none": "DV_CONTEXT_NONE", "optional": "DV_CONTEXT_OPTIONAL",
            "required": "DV_CONTEXT_REQUIRED"}
TOP = {"id", "name", "category", "label", "doc", "keep_last", "score", "patterns", "examples", "counter_examples", "context", "unless", "actions"}
OPTIONAL_TOP = {"context", "unless", "actions"}
PATTERN = {"find", "back", "ahead", "match", "check", "context", "entropy", "score", "prefix"}
OPEN, CLOSE = "⟦", "⟧"
MAX_DETECTORS = 64
MAX_LABEL = 24
MAX_DISTANCE = 96
# Triggers that are the beginning of a value's own bytes: each value has one that ends within it.
WITHIN = {"{seven_digits}"}
MAX_WORD = 20  # characters; search.c's WORD_MAX holds their bytes and the gaps between
MAX_LENGTH = 20000  # DV_DETECT_UNBOUNDED; more than a stream holds back: such a value ends the stream
SPLIT_TRIGGER = 8  # parts of a trigger that get grams of their own


class Bad(Exception):
    pass


def need(condition, message):
    if not condition:
        raise Bad(message)


def check_keys(where, found, known, optional):
    need(isinstance(found, dict), f"{where}: is no map")
    for key in found:
        need(key in known, f"{where}: unknown key '{key}'")
    for key in sorted(known - optional):
        need(key in found, f"{where}: '{key}' is missing")


def expand(regex):
    for name, text in MACROS.items():
        regex = regex.replace(name, text)
    return regex


def bounded(regex):
    """The pattern of a value in two parts: what it may not follow, unless escaped (its leading
    (?<!...)), and the rest."""
    found = re.match(r"(?:\(\?<!(?:\[[^\]]*\]|[^()\[\]])*\))*", regex)
    bounds = re.sub(r"\(\?<!((?:\[[^\]]*\]|[^()\[\]])*)\)",
                    lambda bound: f"(?<!{bound[1]}{NO_ESCAPE})", found[0])
    return bounds, regex[found.end():]


def glue(detectors):
    """Lets what values with a prefix may not be followed by stand there after all where it is the
    next such value's prefix."""
    patterns = [p for d in detectors for p in d["patterns"] if "prefix" in p]
    prefixes = "|".join(sorted({p["prefix"] for p in patterns}))
    for pattern in patterns:
        pattern["match"] = re.sub(r"\(\?!\[[^\]]*\]\)$",
                                  lambda end: f"(?:{end[0]}|(?={prefixes}))", pattern["match"])


def shape(parsed):
    """What values of a parsed pattern look like: (bytes they may hold, their greatest length).

    Lookaheads of more than one byte count, since until their end nothing is decided.
    """
    found, length = set(), 0
    for op, arg in parsed:
        if op is sre.LITERAL:
            found.add(arg)
            length += 1
        elif op is sre.IN:
            found |= class_bytes(arg)
            length += 1
        elif op is sre.BRANCH:
            parts = [shape(part) for part in arg[1]]
            found.update(*(part[0] for part in parts))
            length += max(part[1] for part in parts)
        elif op is sre.SUBPATTERN:
            inner = shape(arg[-1])
            found |= inner[0]
            length += inner[1]
        elif op in (sre.ASSERT, sre.ASSERT_NOT):
            inner = shape(arg[1])
            if arg[0] > 0 and inner[1] > 1:
                found |= inner[0]
                length += inner[1]
        elif op in REPEATS:
            inner = shape(arg[2])
            found |= inner[0]
            length += inner[1] * min(int(arg[1]), MAX_LENGTH)
        else:
            need(op is sre.AT, f"patterns of detectors do not use {op}")
    return found, min(length, MAX_LENGTH)


def words_regex(words):
    """Words as a pattern: spaces match any short gap, a trailing * leaves the end open."""
    parts = []
    for word in words:
        need(isinstance(word, str) and 0 < len(word) <= MAX_WORD, f"a context word is a text of at most {MAX_WORD}")
        open_end = word.endswith("*")
        body = r"[\s_-]{0,2}".join(re.escape(p) for p in word.rstrip("*").split())
        parts.append(body + ("" if open_end else "(?![A-Za-z])"))
    return f"(?i)(?<![A-Za-z]{NO_ESCAPE})(?:" + "|".join(parts) + ")"


def surroundings(where, found):
    check_keys(where, found, {"distance", "words"}, set())
    need(isinstance(found["distance"], int) and 0 < found["distance"] <= MAX_DISTANCE,
         f"{where}: distance is 1 to {MAX_DISTANCE} bytes")
    # Words that take a value back stand right before it ("version 1.2.3.4").
    end = r"[\s.:=_-]{0,3}\z" if where.endswith("unless") else ""
    return words_regex(found["words"]) + end, found["distance"]


def example(where, found, marked):
    """A text, or pieces of one (so that scanners of source code do not take it for a secret)."""
    text = "".join(found) if isinstance(found, list) else found
    need(isinstance(text, str), f"{where}: is no text")
    if not marked:
        need(OPEN not in text, f"{where}: a counter-example has no mark")
        return text.encode(), 0, 0
    need(text.count(OPEN) == 1 and text.count(CLOSE) == 1, f"{where}: needs one {OPEN}value{CLOSE}")
    before, rest = text.split(OPEN)
    value, after = rest.split(CLOSE)
    start = len(before.encode())
    return (before + value + after).encode(), start, start + len(value.encode())


def read_detector(path):
    with open(path, encoding="utf-8") as file:
        found = yaml.safe_load(file)
    check_keys(path, found, TOP, OPTIONAL_TOP)
    need(re.fullmatch(r"[a-z][a-z0-9_]{1,31}", found["id"]), f"{path}: id")
    need(path.endswith(f"/{found['id']}.yaml"), f"{path}: the file is not named after its id")
    need(re.fullmatch(r"[A-Z][A-Z0-9_]{1,%d}" % (MAX_LABEL - 1), found["label"]), f"{path}: label")
    need(found["category"] in CATEGORIES, f"{path}: category is one of {sorted(CATEGORIES)}")
    need(0 <= found["keep_last"] <= 4, f"{path}: keep_last is 0 to 4")
    need(1 <= found["score"] <= 100, f"{path}: score is 1 to 100")
    actions = {"request": "placeholder", "answer": "mask", **found.get("actions", {})}
    check_keys(f"{path}: actions", actions, {"request", "answer"}, set())
    found["actions"] = {side: ACTIONS[action] for side, action in actions.items()}
    for side in ("context", "unless"):
        found[side] = surroundings(f"{path}: {side}", found[side]) if side in found else (None, 0)
    for number, pattern in enumerate(found["patterns"]):
        where = f"{path}: pattern {number + 1}"
        check_keys(where, pattern, PATTERN,
                   {"back", "ahead", "check", "context", "entropy", "score", "prefix"})
        need(pattern.get("context", "none") in CONTEXTS, f"{where}: context")
        need(pattern.get("context", "none") == "none" or found["context"][0],
             f"{where}: the detector has no context words")
        need(("back" in pattern) != ("ahead" in pattern), f"{where}: needs back or ahead")
        need(1 <= pattern.get("back", 1) <= 4096, f"{where}: back is 1 to 4096")
        need(1 <= pattern.get("ahead", 1) <= MAX_DISTANCE, f"{where}: ahead is 1 to {MAX_DISTANCE}")
        if "prefix" in pattern:
            need(all(bounded(pattern["match"])) and
                 bounded(pattern["match"])[1].startswith(pattern["prefix"]),
                 f"{where}: match is a (?<!...) and then the prefix")
            need("context" not in pattern and found["unless"][0] is None,
                 f"{where}: where words decide there is no prefix")
    found["examples"] = [example(f"{path}: example {n + 1}", e, True)
                         for n, e in enumerate(found["examples"])]
    found["counter_examples"] = [example(f"{path}: counter-example {n + 1}", e, False)
                                 for n, e in enumerate(found["counter_examples"])]
    need(found["examples"] and found["counter_examples"], f"{path}: needs examples of both kinds")
    return found


def measure(path, found):
    """Notes what the detector's values look like."""
    shapes = [shape(sre_parse.parse("".join(bounded(expand(p["match"]))).encode("latin-1")))
              for p in found["patterns"]]
    found["byte_set"] = set().union(*(s[0] for s in shapes))
    found["max_length"] = max(s[1] for s in shapes)
    need(0 not in found["byte_set"], f"{path}: NUL ends every value, so it can't be in one")


def c_string(text):
    if text is None:
        return "NULL"
    data = text if isinstance(text, bytes) else text.encode("utf-8")
    out = []
    for byte in data:
        if byte in b'"\\':
            out.append("\\" + chr(byte))
        elif byte == 0x3F or not 0x20 <= byte < 0x7F:  # '?' too: no trigraphs
            out.append(f"\\{byte:03o}")
        else:
            out.append(chr(byte))
    return '"' + "".join(out) + '"'


def c_examples(name, examples):
    rows = ",\n".join(f"    {{{c_string(t)}, {s}, {e}}}" for t, s, e in examples)
    return f"static const dv_detector_example {name}[] = {{\n{rows},\n}};\n"


def c_info(d):
    i = d["id"]
    return (f"    {{{c_string(i)}, {c_string(d['name'])}, {c_string(d['category'])}, "
            f"{c_string(d['label'])}, {c_string(d['doc'])}, {d['actions']['request']}, "
            f"{d['actions']['answer']}, {d['keep_last']}, {d['max_length']}, "
            f"examples_{i}, {len(d['examples'])}, "
            f"counter_examples_{i}, {len(d['counter_examples'])}}},\n")


class Sets:
    """The sets of bytes of all grams, each once."""

    def __init__(self):
        self.numbers = {sieve.ANY: 0}

    def number(self, found):
        need(len(self.numbers) < 256 or found in self.numbers, "too many sets of bytes in grams")
        return self.numbers.setdefault(frozenset(found), len(self.numbers))

    def rows(self):
        return "".join(f"    {{{c_bits(found)}}},\n" for found in self.numbers)


def c_bits(found):
    words = [0, 0, 0, 0]
    for byte in found:
        words[byte // 64] |= 1 << (byte % 64)
    return ", ".join(f"UINT64_C(0x{w:x})" for w in words)


def c_grams(name, grams, sets):
    rows = "".join(f"    {{{g.ahead()}, {g.offset}, {g.owner}, {g.bucket}, "
                   f"{{{', '.join(str(sets.number(s)) for s in g.sets())}}}}},\n" for g in grams)
    return f"static const dv_sieve_gram {name}[] = {{\n{rows}}};\n"


def c_words(d, sets):
    """The grams of the detector's context words."""
    return c_grams(f"words_{d['id']}", sieve.sieve([(0, d["context"][0])], sieve.GRAMS), sets)


def c_rule(d):
    name = f"words_{d['id']}"
    words = f"{name}, DV_ARRAY_LEN({name})" if d["context"][0] else "NULL, 0"
    return (f"    {{{c_string(d['context'][0])}, {c_string(d['unless'][0])}, {words}, "
            f"{d['context'][1]}, {d['unless'][1]}, {{{c_bits(d['byte_set'])}}}}},\n")


def c_pattern(index, d, pattern, triggers):
    check = pattern.get("check")
    bounds, rest = bounded(expand(pattern["match"]))
    match = bounds + rest
    border = len(bounds) if "prefix" in pattern else 0
    prefix = len(pattern.get("prefix", ""))
    within = pattern["find"] in WITHIN
    digits, others, lead = sieve.number_needs(match) if within else (0, 0, 0)
    return (f"    {{{c_string(match)}, "
            f"{'dv_detect_check_' + check if check else 'NULL'}, {triggers[expand(pattern['find'])]}, "
            f"{pattern.get('back', 0)}, {pattern.get('ahead', 0)}, {round(pattern.get('entropy', 0) * 100)}, {index}, "
            f"{CONTEXTS[pattern.get('context', 'none')]}, {pattern.get('score', d['score'])}, "
            f"{str(within).lower()}, {digits}, {others}, {lead}, "
            f"{border}, {prefix}}},\n")


def check_numbers(detectors):
    """A number's trigger must be found by walking along the bytes that its values may hold."""
    for trigger in WITHIN:
        found = set().union(*(d["byte_set"] for d in detectors
                              if any(p["find"] == trigger for p in d["patterns"])))
        need(shape(sre_parse.parse(expand(trigger).encode()))[0] <= found,
             f"{trigger} holds bytes that its detectors' values do not")


def check_number_grams(triggers, grams):
    """Where the pass stops at a number, scan.c takes the first such gram's `back` for the way to the
    number's first byte, and judges the number once."""
    owners = [triggers[expand(trigger)] for trigger in sorted(WITHIN) if expand(trigger) in triggers]
    found = [g for g in grams if g.owner in owners]
    need(len(found) <= 1, f"{len(found)} grams of numbers; a number's trigger has a single gram, and no other "
         "trigger is a number's: the search could not tell which of them it stopped at")
    for gram in found:
        need(gram.offset <= sieve.BEHIND, f"a number's gram has its stop {gram.offset} bytes behind the number's "
             f"first; at most {sieve.BEHIND}, or that first byte is not compared")


def c_sieve(triggers, detectors):
    """The tables of the grams, which must stand before what names them."""
    sets = Sets()
    grams = sieve.sieve([(number, t) for t, number in triggers.items()], SPLIT_TRIGGER)
    check_number_grams(triggers, grams)
    words = "".join(c_words(d, sets) for d in detectors if d["context"][0])
    return (c_grams("trigger_grams", grams, sets) + words +
            "const dv_sieve_gram *const dv_detect_trigger_grams = trigger_grams;\n"
            f"const size_t dv_detect_trigger_gram_count = {len(grams)};\n"
            "const uint64_t dv_sieve_sets[][4] = {\n" + sets.rows() + "};\n")


def write(out, detectors):
    triggers = {}
    for d in detectors:
        for pattern in d["patterns"]:
            triggers.setdefault(expand(pattern["find"]), len(triggers))
    rows = sorted(((triggers[expand(p["find"])], i, n) for i, d in enumerate(detectors)
                   for n, p in enumerate(d["patterns"])))
    tables = c_sieve(triggers, detectors)
    with open(out, "w", encoding="utf-8") as file:
        file.write("/* Made by src/engine/detect/generate.py from rules/detectors. */\n"
                   '#include "engine/detect/detect_rules.h"\n\n')
        for d in detectors:
            file.write(c_examples(f"examples_{d['id']}", d["examples"]))
            file.write(c_examples(f"counter_examples_{d['id']}", d["counter_examples"]))
        file.write(tables)
        file.write("\nconst dv_detector_info dv_detect_infos[] = {\n")
        file.writelines(c_info(d) for d in detectors)
        file.write(f"}};\nconst size_t dv_detect_info_count = {len(detectors)};\n\n"
                   "const dv_detect_rule dv_detect_rule_table[] = {\n")
        file.writelines(c_rule(d) for d in detectors)
        file.write("};\n\nconst char *const dv_detect_triggers[] = {\n")
        file.writelines(f"    {c_string(t)},\n" for t in triggers)
        file.write(f"}};\nconst size_t dv_detect_trigger_count = {len(triggers)};\n\n"
                   "/* Sorted by trigger. */\nconst dv_detect_pattern dv_detect_patterns[] = {\n")
        file.writelines(c_pattern(i, detectors[i], detectors[i]["patterns"][n], triggers)
                        for _, i, n in rows)
        file.write(f"}};\nconst size_t dv_detect_pattern_count = {len(rows)};\n")


def main(out, paths):
    detectors = []
    for path in sorted(paths):
        try:
            detectors.append(read_detector(path))
        except (Bad, yaml.YAMLError, sieve.Unknown, KeyError, TypeError, re.error) as error:
            sys.exit(f"{path}: {error}" if path not in str(error) else str(error))
    if len(detectors) > MAX_DETECTORS:
        sys.exit(f"{len(detectors)} detectors; the engine's bit sets hold {MAX_DETECTORS}")
    glue(detectors)
    for path, detector in zip(sorted(paths), detectors):
        measure(path, detector)
    try:
        check_numbers(detectors)
        write(out, detectors)
    except Bad as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
