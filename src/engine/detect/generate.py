#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Turns rules/detectors/*.yaml into the C table of the detectors.

Usage: generate.py OUT.c FILE.yaml...   Refuses what it does not understand, naming file and line.
"""
import pathlib
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
    # What ends a token, and what it begins behind.
    "{key}": r"(?<![A-Za-z0-9])",
    "{end}": r"(?![A-Za-z0-9])",
    # What stands behind a name as its value ("name=" is no part of it).
    "{named_token}": r"(?<![A-Za-z0-9])(?![A-Za-z_.-]{1,40}[=:])[A-Za-z0-9_][A-Za-z0-9_.+/~:%|=-]{9,1500}[A-Za-z0-9_-]={0,2}"
                     r"(?![A-Za-z0-9_/+=]|[.-][A-Za-z0-9])",
    "{uuid}": r"[A-Fa-f0-9]{8}-[A-Fa-f0-9]{4}-[A-Fa-f0-9]{4}-[A-Fa-f0-9]{4}-[A-Fa-f0-9]{12}",
}
# What stands between a service's name and its key: separators alone ("wandb: 1f2e..."), or words one of
# which says that a secret follows ("ADOBE_API_KEY=", "adobe": {"secret": "..."). Strings are joined by
# NULs, so one may stand between a member's name and its value.
NAMED = (r"(?i:key|token|secret|auth|access|private|passw|pwd|api|client|credential|tkn|login|bearer|"
         r"pat(?![a-z])|header|sid(?![a-z])|hash|webhook|crumb|app.?id|(?<![a-z])id(?![a-z])|license)")
ESCAPES = r'(?:\\(?:[bfnrt"\\/]|u[0-9A-Fa-f]{4})[bfnrt]?){0,2}'
BETWEEN = r"""[A-Za-z0-9_\s"'`=:><?+|()\[\]{}.,\\\x00-]"""
LINK = (r"""\A(?:[\s"'`=:>?+|(\[{\\\x00,-]{1,8}|""" + BETWEEN + "{0,40}?" + NAMED + BETWEEN.replace("()", "") + "{0,28})" + ESCAPES + r"\z")
KEYED_DISTANCE = 72  # bytes from the keyword to the value
# A letter or digit that ends an escape (RFC 8259 section 7) is a boundary: what stands before it is
# written "\\n" or "\\u0020" in a text that holds JSON without being JSON.
NO_ESCAPE = r'(?<!\\[bfnrt"\\/])(?<!\\u[0-9A-Fa-f]{4})'
CATEGORIES = {"personal", "payment", "government_id", "credential", "health", "network"}
ACTIONS = {"block": "DV_ACTION_BLOCK", "alert": "DV_ACTION_ALERT", "mask": "DV_ACTION_MASK",
           "placeholder": "DV_ACTION_PLACEHOLDER"}
CONTEXTS = {"none": "DV_CONTEXT_NONE", "optional": "DV_CONTEXT_OPTIONAL",
            "required": "DV_CONTEXT_REQUIRED", "keyed": "DV_CONTEXT_KEYED"}
TOP = {"id", "name", "category", "label", "doc", "keep_last", "score", "patterns", "examples", "counter_examples",
       "context", "unless", "actions", "type", "region", "standard", "keywords"}
OPTIONAL_TOP = {"context", "unless", "actions", "type", "region", "standard", "keywords"}
PATTERN = {"find", "back", "ahead", "match", "check", "context", "entropy", "score", "prefix", "caseless"}
OPTIONAL_PATTERN = PATTERN - {"match"}
OPEN, CLOSE = "⟦", "⟧"
MAX_DETECTORS = 512  # DV_DETECT_MAX
MAX_CLASSES = 64     # DV_DETECT_CLASSES
FIRST = 6            # DV_DETECT_FIRST
MAX_LABEL = 24
MAX_DISTANCE = 96
MAX_MATCH = 4096     # bytes of a pattern's spelling
# Triggers that are the beginning of a value's own bytes: each value has one that ends within it.
WITHIN = {"{seven_digits}"}
MAX_WORD = 24  # characters; search.c's WORD_MAX holds their bytes and the gaps between
MAX_LENGTH = 20000  # DV_DETECT_UNBOUNDED; more than a stream holds back: such a value ends the stream
SPLIT_TRIGGER = 8  # parts of a trigger that get grams of their own
LEAST_LITERAL = 3  # bytes: shorter ones stand everywhere
CHECKS = set(re.findall(r"DV_DETECT_CHECK\((\w+)\)",
                        (pathlib.Path(__file__).parent / "checks.def").read_text(encoding="utf-8")))
# What the values of detectors with literal triggers may hold is one of these, so that there are few.
WIDER = [re.compile(rb"[A-Za-z0-9]"), re.compile(rb"[A-Za-z0-9_-]"), re.compile(rb"[A-Za-z0-9_.+/=~-]"),
         re.compile(rb"[A-Za-z0-9 ./:+()_,-]")]


class Bad(Exception):
    pass


class Located(dict):
    """A map of a YAML file that knows the lines of its keys."""

    def line(self, key=None):
        return self.lines.get(key, self.first)


class Loader(yaml.SafeLoader):
    pass


def located(loader, node):
    found = Located(loader.construct_mapping(node, deep=True))
    found.lines = {key.value: key.start_mark.line + 1 for key, _ in node.value}
    found.first = node.start_mark.line + 1
    need(len(found.lines) == len(node.value), f"line {found.first}: a key stands twice")
    return found


Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, located)


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
    """(pattern, distance, whether it ends where the value begins)."""
    check_keys(where, found, {"distance", "words", "before"}, {"words", "before"})
    need(isinstance(found["distance"], int) and 0 < found["distance"] <= MAX_DISTANCE,
         f"{where}: distance is 1 to {MAX_DISTANCE} bytes")
    need(("words" in found) != ("before" in found), f"{where}: needs words or before")
    if "before" in found:
        check_pattern(f"{where}: before", found["before"])
        return f"(?:{found['before']}){ESCAPES}\\z", found["distance"], True
    # Words that take a value back stand right before it ("version 1.2.3.4").
    end = r"[\s.:=_-]{0,3}\z" if where.endswith("unless") else ""
    return words_regex(found["words"]) + end, found["distance"], False


# ---- patterns that must not be ----

def variable(op, arg):
    return op in REPEATS and op is not getattr(sre, "POSSESSIVE_REPEAT", None) and arg[0] != arg[1]


def inside(items):
    """All items of an expression, at any depth; not what is within possessive parts."""
    for op, arg in items:
        yield op, arg
        if op is sre.SUBPATTERN:
            yield from inside(arg[3])
        elif op is sre.BRANCH:
            for part in arg[1]:
                yield from inside(part)
        elif op in REPEATS and op is not getattr(sre, "POSSESSIVE_REPEAT", None):
            yield from inside(arg[2])


def separators(items):
    """The sets of bytes of which each match of the items holds one."""
    found = []
    for op, arg in items:
        one = sieve.one_byte(op, arg, False)
        if one is not None:
            found.append(one)
        elif op is sre.SUBPATTERN:
            found += separators(arg[3])
        elif op in REPEATS and arg[0] > 0:
            found += separators(arg[2])
    return found


def check_ambiguous(where, items):
    """Refuses a repetition of what has itself a repetition, unless something between tells them apart: such
    patterns try the same text in exponentially many ways."""
    for op, arg in inside(items):
        if not variable(op, arg) or arg[1] < 8:
            continue
        for inner, repeated in inside(arg[2]):
            if variable(inner, repeated) and repeated[1] >= 8:
                held = shape(repeated[2])[0]
                need(any(not held & tell for tell in separators(arg[2])),
                     f"{where}: repeats what repeats itself, with nothing between that tells them apart; "
                     "such a pattern may take exponential time")


def check_pattern(where, regex):
    need(isinstance(regex, str) and 0 < len(regex.encode()) <= MAX_MATCH,
         f"{where}: is a pattern of at most {MAX_MATCH} bytes")
    try:
        parsed = sre_parse.parse(expand(regex).replace(r"\z", r"\Z").encode("utf-8"))
    except re.error as error:
        raise Bad(f"{where}: {error}") from error
    check_ambiguous(where, parsed)
    return parsed


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


def literal_of(where, word):
    """The part of a context word that its trigger is."""
    longest = max(word.rstrip("*").split(), key=lambda part: len(part.encode()))
    need(len(longest.encode()) >= LEAST_LITERAL,
         f"{where}: '{word}' is too short to be looked for; a trigger has {LEAST_LITERAL} bytes at least")
    return longest


def read_trigger(where, found, pattern):
    """Makes a pattern's `find` either an expression or a list of literal texts."""
    find = pattern.get("find")
    pattern.setdefault("caseless", False)
    if find in ("keywords", "context"):
        need("back" not in pattern and "ahead" not in pattern, f"{where}: back and ahead follow from the words")
        pattern["caseless"] = True
    if find == "keywords":
        need("keywords" in found, f"{where}: the detector has no keywords")
        pattern["find"], pattern["ahead"], pattern["context"] = found["keywords"], KEYED_DISTANCE, "keyed"
    elif find == "context":
        need("words" in found.get("context", {}), f"{where}: the detector has no context words")
        pattern["find"] = sorted({literal_of(where, w) for w in found["context"]["words"]})
        pattern["ahead"], pattern["context"] = found["context"]["distance"], "required"
    if isinstance(pattern["find"], list):
        need(all(isinstance(t, str) and LEAST_LITERAL <= len(t.encode()) <= MAX_WORD for t in pattern["find"])
             and pattern["find"], f"{where}: find lists texts of {LEAST_LITERAL} to {MAX_WORD} bytes")
        need("prefix" not in pattern, f"{where}: a prefix needs a trigger that is an expression")
    else:
        check_pattern(f"{where}: find", pattern["find"])
        need(found.get("standard", True), f"{where}: a detector that is not standard has literal triggers")
    need(("back" in pattern) != ("ahead" in pattern), f"{where}: needs back or ahead")


def read_pattern(where, found, pattern):
    check_keys(where, pattern, PATTERN, OPTIONAL_PATTERN)
    need("find" in pattern, f"{where}: 'find' is missing")
    read_trigger(where, found, pattern)
    context = pattern.get("context", "none")
    need(context in CONTEXTS, f"{where}: context is one of {sorted(CONTEXTS)}")
    need(context in ("none", "keyed") or "context" in found, f"{where}: the detector has no context words")
    need(1 <= pattern.get("back", 1) <= 4096, f"{where}: back is 1 to 4096")
    need(1 <= pattern.get("ahead", 1) <= MAX_DISTANCE, f"{where}: ahead is 1 to {MAX_DISTANCE}")
    need(pattern.get("check") is None or pattern["check"] in CHECKS, f"{where}: no check is called '{pattern.get('check')}'")
    need(0 <= pattern.get("entropy", 0) <= 8, f"{where}: entropy is 0 to 8 bits a byte")
    need(1 <= pattern.get("score", 1) <= 100, f"{where}: score is 1 to 100")
    check_pattern(f"{where}: match", pattern["match"])
    if "prefix" in pattern:
        need(all(bounded(pattern["match"])) and bounded(pattern["match"])[1].startswith(pattern["prefix"]),
             f"{where}: match is a (?<!...) and then the prefix")
        need("context" not in pattern and "unless" not in found, f"{where}: where words decide there is no prefix")


def check_example(where, found, example):
    """A value that no pattern matches is a mistake of whoever wrote it; checks are left to the tests."""
    text, start, end = example
    for pattern in found["patterns"]:
        matched = re.compile(expand(pattern["match"]).encode("utf-8")).match(text, start)
        if matched and matched.end() >= end:
            return
    raise Bad(f"{where}: no pattern matches the marked value")


def read_detector(path):
    with open(path, encoding="utf-8") as file:
        found = yaml.load(file, Loader)
    need(isinstance(found, Located), f"{path}:1: is no map")
    check_keys(f"{path}:1", found, TOP, OPTIONAL_TOP)

    def at(key, part=None):
        return f"{path}:{(part or found).line(key)}: {key}"

    need(re.fullmatch(r"[a-z][a-z0-9_]{1,31}", found["id"]), f"{at('id')}: small letters, digits and _; 32 at most")
    need(path.endswith(f"/{found['id']}.yaml"), f"{at('id')}: the file is not named after it")
    need(re.fullmatch(r"[A-Z][A-Z0-9_]{1,%d}" % (MAX_LABEL - 1), found["label"]), f"{at('label')}: capital letters, "
         f"digits and _; {MAX_LABEL} at most")
    need(found["category"] in CATEGORIES, f"{at('category')}: is one of {sorted(CATEGORIES)}")
    found.setdefault("type", "SECRET" if found["category"] == "credential" else found["label"])
    need(re.fullmatch(r"[A-Z][A-Z0-9_]{1,31}", found["type"]), f"{at('type')}: capital letters, digits and _")
    found.setdefault("region", "any")
    need(re.fullmatch(r"any|[a-z]{2}", found["region"]), f"{at('region')}: a country's two letters, eu or any")
    need(found.setdefault("standard", True) in (True, False), f"{at('standard')}: true or false")
    need(0 <= found["keep_last"] <= 4, f"{at('keep_last')}: is 0 to 4")
    need(1 <= found["score"] <= 100, f"{at('score')}: is 1 to 100")
    need(all(re.fullmatch(r"[a-z0-9][a-z0-9._ -]+", w) for w in found.get("keywords", [])),
         f"{at('keywords')}: small letters and digits")
    actions = {"request": "placeholder", "answer": "mask", **found.get("actions", {})}
    check_keys(at("actions"), actions, {"request", "answer"}, set())
    for pattern in found["patterns"]:
        read_pattern(f"{path}:{pattern.line()}: pattern", found, pattern)
    found["actions"] = {side: ACTIONS[action] for side, action in actions.items()}
    for side in ("context", "unless"):
        found[side] = surroundings(at(side), found[side]) if side in found else (None, 0, False)
    found["examples"] = [example(f"{at('examples')}, {n + 1}", e, True) for n, e in enumerate(found["examples"])]
    for number, marked in enumerate(found["examples"]):
        check_example(f"{at('examples')}, {number + 1}", found, marked)
    found["counter_examples"] = [example(f"{at('counter_examples')}, {n + 1}", e, False)
                                 for n, e in enumerate(found["counter_examples"])]
    need(found["examples"] and found["counter_examples"], f"{at('examples')}: needs some of both kinds")
    return found


def widened(found, detector):
    """The bytes that a detector's values may hold, or more, so that many detectors share a set."""
    if all(isinstance(p["find"], list) for p in detector["patterns"]):
        for wider in WIDER:
            held = {b for b in range(256) if wider.match(bytes([b]))}
            if found <= held:
                return frozenset(held)
    return frozenset(found)


def measure(path, found):
    """Notes what the detector's values look like."""
    parsed = [sre_parse.parse("".join(bounded(expand(p["match"]))).encode("utf-8")) for p in found["patterns"]]
    shapes = [shape(p) for p in parsed]
    found["byte_set"] = widened(set().union(*(s[0] for s in shapes)), found)
    found["max_length"] = max(s[1] for s in shapes)
    need(0 not in found["byte_set"], f"{path}:1: NUL ends every value, so it can't be in one")
    for pattern, items in zip(found["patterns"], parsed):
        caseless = bool(items.state.flags & re.IGNORECASE)
        pattern["first"] = sieve.gram_of([(op, arg, caseless) for op, arg in items])[:FIRST]


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
    score = max(p.get("score", d["score"]) for p in d["patterns"])
    return (f"    {{{c_string(i)}, {c_string(d['name'])}, {c_string(d['type'])}, {c_string(d['category'])}, "
            f"{c_string(d['region'])}, {c_string(d['label'])}, {c_string(d['doc'])}, {d['actions']['request']}, "
            f"{d['actions']['answer']}, {str(d['standard']).lower()}, {score}, {d['keep_last']}, {d['max_length']}, "
            f"examples_{i}, {len(d['examples'])}, "
            f"counter_examples_{i}, {len(d['counter_examples'])}}},\n")


class Sets:
    """The sets of bytes of all grams, each once."""

    def __init__(self):
        self.numbers = {sieve.ANY: 0}

    def number(self, found, most=256):
        need(len(self.numbers) < most or found in self.numbers, "too many sets of bytes in grams")
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


def asks_for_words(d):
    """Whether scan.c asks for the words around a trigger before it asks PCRE2."""
    return d["context"][0] and not d["context"][2] and any(
        p.get("context") == "required" and isinstance(p["find"], str) for p in d["patterns"])


def c_words(d, sets):
    """The grams of the detector's context words."""
    return c_grams(f"words_{d['id']}", sieve.sieve([(0, d["context"][0])], sieve.GRAMS), sets)


def c_keywords(d):
    words = ", ".join(c_string(w) for w in d.get("keywords", []))
    return f"static const char *const keywords_{d['id']}[] = {{{words}, NULL}};\n" if words else ""


def c_rule(d, classes):
    name = f"words_{d['id']}"
    words = f"{name}, DV_ARRAY_LEN({name})" if asks_for_words(d) else "NULL, 0"
    keywords = f"keywords_{d['id']}" if d.get("keywords") else "NULL"
    distance = KEYED_DISTANCE if d.get("keywords") else d["context"][1]
    return (f"    {{{c_string(d['context'][0])}, {c_string(d['unless'][0])}, {words}, {keywords}, "
            f"{distance}, {d['unless'][1]}, {classes.index(d['byte_set'])}, {str(d['context'][2]).lower()}}},\n")


def c_pattern(index, d, pattern, trigger, sets):
    check = pattern.get("check")
    bounds, rest = bounded(expand(pattern["match"]))
    match = bounds + rest
    border = len(bounds) if "prefix" in pattern else 0
    prefix = len(pattern.get("prefix", ""))
    within = isinstance(pattern["find"], str) and pattern["find"] in WITHIN
    digits, others, lead = sieve.number_needs(match) if within else (0, 0, 0)
    first = ", ".join(str(sets.number(f, 60000)) for f in pattern["first"])
    return (f"    {{{c_string(match)}, "
            f"{'dv_detect_check_' + check if check else 'NULL'}, {trigger}, "
            f"{pattern.get('back', 0)}, {pattern.get('ahead', 0)}, {round(pattern.get('entropy', 0) * 100)}, {index}, "
            f"{CONTEXTS[pattern.get('context', 'none')]}, {pattern.get('score', d['score'])}, {{{first}}}, "
            f"{str(within).lower()}, {digits}, {others}, {lead}, "
            f"{border}, {prefix}}},\n")


def check_numbers(detectors):
    """A number's trigger must be found by walking along the bytes that its values may hold."""
    for trigger in WITHIN:
        found = set().union(*(d["byte_set"] for d in detectors
                              if trigger in [p["find"] for p in d["patterns"]]))
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


def c_sieve(triggers, detectors, sets):
    """The tables of the grams, which must stand before what names them."""
    grams = sieve.sieve([(number, t) for t, number in triggers.items()], SPLIT_TRIGGER)
    check_number_grams(triggers, grams)
    words = "".join(c_words(d, sets) for d in detectors if asks_for_words(d))
    return (c_grams("trigger_grams", grams, sets) + words +
            "const dv_sieve_gram *const dv_detect_trigger_grams = trigger_grams;\n"
            f"const size_t dv_detect_trigger_gram_count = {len(grams)};\n")


class Triggers:
    """The triggers of all patterns, numbered family by family."""

    def __init__(self, detectors):
        self.families = [{}, {}, {}]
        for d in detectors:
            for pattern in d["patterns"]:
                family = self.families[self.family(d, pattern)]
                family.setdefault(self.key(pattern), len(family))

    @staticmethod
    def family(detector, pattern):
        return 0 if isinstance(pattern["find"], str) else 1 if detector["standard"] else 2

    @staticmethod
    def key(pattern):
        find = pattern["find"]
        return expand(find) if isinstance(find, str) else (pattern["caseless"], *find)

    def number(self, detector, pattern):
        family = self.family(detector, pattern)
        return sum(len(f) for f in self.families[:family]) + self.families[family][self.key(pattern)]

    def rows(self):
        """The literal texts with their triggers."""
        start = len(self.families[0])
        for family in self.families[1:]:
            for (caseless, *texts), number in family.items():
                for text in texts:
                    yield f"    {{{c_string(text)}, {start + number}, {str(caseless).lower()}}},\n"
            start += len(family)

    def ends(self):
        return [sum(len(f) for f in self.families[:n + 1]) for n in range(3)]


def c_classes(detectors):
    classes = sorted({d["byte_set"] for d in detectors}, key=sorted)
    need(len(classes) <= MAX_CLASSES, f"{len(classes)} different sets of bytes that values may hold; {MAX_CLASSES} at most")
    return classes


def write_tables(file, detectors, triggers):
    sets, classes = Sets(), c_classes(detectors)
    ends = triggers.ends()
    tables = c_sieve(triggers.families[0], detectors, sets)
    rows = sorted((triggers.number(d, p), i, n) for i, d in enumerate(detectors) for n, p in enumerate(d["patterns"]))
    patterns = [c_pattern(i, detectors[i], detectors[i]["patterns"][n], number, sets) for number, i, n in rows]
    standard = [sum(1 << i % 64 for i in range(len(detectors)) if i // 64 == word and detectors[i]["standard"])
                for word in range(MAX_DETECTORS // 64)]
    file.write(tables)
    file.writelines(c_keywords(d) for d in detectors)
    file.write("const uint64_t dv_sieve_sets[][4] = {\n" + sets.rows() + "};\n")
    file.write("const uint64_t dv_detect_classes[][4] = {\n" + "".join(f"    {{{c_bits(c)}}},\n" for c in classes) +
               f"}};\nconst size_t dv_detect_class_count = {len(classes)};\n")
    file.write("\nconst dv_detector_info dv_detect_infos[] = {\n")
    file.writelines(c_info(d) for d in detectors)
    file.write(f"}};\nconst size_t dv_detect_info_count = {len(detectors)};\n\n"
               "const dv_detect_rule dv_detect_rule_table[] = {\n")
    file.writelines(c_rule(d, classes) for d in detectors)
    file.write("};\n\nconst char *const dv_detect_triggers[] = {\n")
    file.writelines(f"    {c_string(t)},\n" for t in triggers.families[0])
    file.write("};\n\nconst dv_detect_literal dv_detect_literals[] = {\n")
    literals = list(triggers.rows()) or ["    {NULL, 0, false},\n"]
    file.writelines(literals)
    file.write(f"}};\nconst size_t dv_detect_literal_count = {len(list(triggers.rows()))};\n"
               f"const size_t dv_detect_family_end[DV_FAMILIES] = {{{', '.join(map(str, ends))}}};\n"
               f"const size_t dv_detect_trigger_count = {ends[-1]};\n\n"
               "/* Sorted by trigger. */\nconst dv_detect_pattern dv_detect_patterns[] = {\n")
    file.writelines(patterns)
    file.write(f"}};\nconst size_t dv_detect_pattern_count = {len(rows)};\n"
               f"const dv_detector_set dv_detect_standard_set = {{{{{', '.join(f'UINT64_C(0x{w:x})' for w in standard)}}}}};\n"
               f"const char dv_detect_link[] = {c_string(LINK)};\n")


def write(out, detectors):
    triggers = Triggers(detectors)
    with open(out, "w", encoding="utf-8") as file:
        file.write("/* Made by src/engine/detect/generate.py from rules/detectors. */\n"
                   '#include "engine/detect/detect_rules.h"\n\n')
        for d in detectors:
            file.write(c_examples(f"examples_{d['id']}", d["examples"]))
            file.write(c_examples(f"counter_examples_{d['id']}", d["counter_examples"]))
        write_tables(file, detectors, triggers)


def main(out, paths):
    detectors = []
    paths = sorted(paths, key=lambda path: pathlib.Path(path).name)
    for path in paths:
        try:
            detectors.append(read_detector(path))
        except (Bad, yaml.YAMLError, sieve.Unknown, KeyError, TypeError, AttributeError, re.error) as error:
            sys.exit(f"{path}: {error}" if path not in str(error) else str(error))
    if len(detectors) > MAX_DETECTORS:
        sys.exit(f"{len(detectors)} detectors; the engine's bit sets hold {MAX_DETECTORS}")
    glue(detectors)
    try:
        for path, detector in zip(paths, detectors):
            measure(path, detector)
        check_numbers(detectors)
        write(out, detectors)
    except Bad as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
