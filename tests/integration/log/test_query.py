# SPDX-License-Identifier: Apache-2.0
"""The search language against a slow reading of docs/search.md in Python, over random searches and events."""
import collections
import ipaddress
import json
import os
import pathlib
import random
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[3]
BUILD = pathlib.Path(os.environ.get("DVARA_BUILD") or ROOT / os.environ.get("BUILD", "build"))
NOW_MS = 1795341600000
SEEDS = range(6)

FIELDS = {  # name: (kind, path)
    "user": ("text", "actor.user.name"), "group": ("text", "actor.user.groups.name"),
    "model": ("text", "ai_model.name"), "status": ("number", "http_response.code"),
    "tokens": ("number", "message_context.total_tokens"), "ip": ("address", "src_endpoint.ip"),
    "detector": ("text", "unmapped.dvara.sightings.detector"), "severity": ("words", "severity_id"),
    "time": ("time", "time"), "agent": ("text", "http_request.user_agent"),
    "unmapped.x.y": ("auto", "unmapped.x.y"),
}
SEVERITIES = {"informational": 1, "low": 2, "medium": 3, "high": 4, "critical": 5, "fatal": 6}
NAMES = ["alice", "Alice", "bob", "bo", "o'neil", "al*ice", "a b", 'quo"te', "back\\slash", "sl/ash", "über", "tab\there",
         "User::\"alice\"", "404", "true", "x" * 70 + "needle"]
ADDRESSES = ["10.1.2.3", "10.255.0.1", "192.168.0.7", "2001:db8::1", "::ffff:10.1.2.3", "unknown"]


# -- random events

def event_of(rng):
    def maybe(value):
        return value if rng.random() < 0.8 else None
    one = {
        "time": NOW_MS - rng.randrange(0, 7200_000), "severity_id": rng.choice([0, 1, 2, 3, 4, 5, 6, 99]),
        "actor": maybe({"user": {"name": rng.choice(NAMES),
                                 "groups": [{"name": rng.choice(NAMES)} for _ in range(rng.randrange(3))]}}),
        "src_endpoint": maybe({"ip": rng.choice(ADDRESSES)}),
        "ai_model": maybe({"name": rng.choice(NAMES)}),
        "http_request": maybe({"user_agent": rng.choice(NAMES) + rng.choice(["", " 1.0", "/2"])}),
        "http_response": maybe({"code": rng.choice([200, 404, 500, 4.04e2, 200.5])}),
        "message_context": maybe({"total_tokens": rng.choice([0, 1, 2.5, 1000, 9007199254740993])}),
        "unmapped": {"dvara": {"sightings": [{"detector": rng.choice(NAMES)} for _ in range(rng.randrange(3))]},
                     "x": maybe({"y": rng.choice([1, "1", "one", True, None, ["two", 3], {"z": 1}])})},
    }
    one = {key: value for key, value in one.items() if value is not None or rng.random() < 0.3}
    text = json.dumps(one, ensure_ascii=rng.random() < 0.5, separators=rng.choice([(",", ":"), (", ", ": ")]))
    if rng.random() < 0.2:
        text = text.replace("/", "\\/")
    if rng.random() < 0.1:
        text = text.replace("a", "\\u0061", 1) if '"a' not in text[:2] else text
    return text


# -- the reference

def lower(text):
    return "".join(chr(ord(c) + 32) if "A" <= c <= "Z" else c for c in text)


def scalars(value):
    if isinstance(value, list):
        for item in value:
            yield from scalars(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from scalars(item)
    elif value is not None:
        yield value


def at(value, path):
    """Every value at the path; objects too."""
    if isinstance(value, list):
        for item in value:
            yield from at(item, path)
    elif not path:
        if value is not None:
            yield value
    elif isinstance(value, dict) and path[0] in value:
        yield from at(value[path[0]], path[1:])


class Number(float):
    """A JSON number with the text it has in the event; whole ones compare exactly."""
    def __new__(cls, text):
        one = super().__new__(cls, text)
        one.text = text
        one.exact = int(text) if re.fullmatch(r"-?\d+", text) else float(text)
        return one


def text_of(value):
    return value.text if isinstance(value, Number) else json.dumps(value) if isinstance(value, bool) else value


def like(text, pattern):
    return re.fullmatch(".*".join(re.escape(lower(piece)) for piece in pattern), lower(text), re.DOTALL) is not None


def within(text, network):
    def wide(address):
        return ipaddress.ip_address(f"::ffff:{address}") if address.version == 4 else address
    try:
        address = wide(ipaddress.ip_address(text))
    except ValueError:
        return False
    bits = network.prefixlen + (96 if network.version == 4 else 0)
    return int(address) >> (128 - bits) == int(wide(network.network_address)) >> (128 - bits)


def term_holds(op, wanted, value):
    if op == "exists":
        return True
    if isinstance(value, dict):
        return False
    if op == "is":
        if isinstance(value, Number):
            return wanted[1] is not None and value.exact == wanted[1]
        return lower(text_of(value)) == lower(wanted[0])
    if op == "like":
        return like(text_of(value), wanted)
    if op == "within":
        return isinstance(value, str) and within(value, wanted)
    low, low_open, high, high_open = wanted
    return isinstance(value, Number) and \
        (low is None or value.exact > low or (value.exact == low and not low_open)) and \
        (high is None or value.exact < high or (value.exact == high and not high_open))


def holds(node, event):
    op = node[0]
    if op == "and":
        return all(holds(child, event) for child in node[1])
    if op == "or":
        return any(holds(child, event) for child in node[1])
    if op == "not":
        return not holds(node[1], event)
    if op == "has":
        return any(lower(node[1]) in lower(text_of(value)) for value in scalars(event))
    if op == "any-like":
        return any(like(text_of(value), ["", *node[1], ""]) for value in scalars(event))
    _, field, what, wanted = node
    return any(term_holds(what, wanted, value) for value in at(event, FIELDS[field][1].split(".")))


# -- random searches, as a tree and as text

def quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def word(rng, text):
    plain = re.fullmatch(r"[A-Za-zü][A-Za-z0-9ü/']*", text) and lower(text) not in ("and", "or", "not")
    return text if plain and rng.random() < 0.5 else quoted(text)


def number_term(rng, field):
    values = [NOW_MS - 3600_000, NOW_MS - 60_000, NOW_MS] if field == "time" else [0, 1, 2.5, 200, 404, 9007199254740992]
    low, high = sorted(rng.sample(values, 2))
    kind = rng.randrange(5)
    if kind == 0:
        return ("term", field, "between", (low, False, high, False)), f"{field}:{low}..{high}"
    if kind == 1:
        return ("term", field, "between", (low, False, None, False)), f"{field}:[{low} TO *]"
    sign = rng.choice([">", ">=", "<", "<="])
    bound = (low, sign == ">", None, False) if sign[0] == ">" else (None, False, low, sign == "<")
    if kind < 4 or field == "time":
        return ("term", field, "between", bound), f"{field}:{sign}{low}"
    return ("term", field, "is", (str(low), low)), f"{field}:{low}"


def text_term(rng, field):
    name = rng.choice(NAMES)
    kind = rng.randrange(3)
    if kind == 0:
        return ("term", field, "exists", None), f"{field}:*"
    if kind == 1 and re.fullmatch(r"[a-z]+", name):
        cut = rng.randrange(len(name) + 1)
        return ("term", field, "like", [name[:cut], name[cut:]]) if name else None, f"{field}:{name[:cut]}*{name[cut:]}"
    number = int(name) if name.isdigit() else None
    return ("term", field, "is", (name, number)), f"{field}:{word(rng, name)}"


def severity_term(rng):
    name, number = rng.choice(list(SEVERITIES.items()))
    if rng.random() < 0.5:
        return ("term", "severity", "is", (name, number)), f"severity:{name}"
    return ("term", "severity", "between", (number, False, None, False)), f"severity:>={name}"


def address_term(rng):
    network = rng.choice(["10.0.0.0/8", "10.1.2.3", "0.0.0.0/0", "2001:db8::/32", "::/0", "192.168.0.6/31", "10.1.2.0/25"])
    return ("term", "ip", "within", ipaddress.ip_network(network, strict=False)), f"ip:{network}"


def free_term(rng):
    name = rng.choice(NAMES)
    begin = rng.randrange(len(name))
    part = name[begin:begin + 1 + rng.randrange(len(name))]
    if rng.random() < 0.2 and re.fullmatch(r"[a-z]{2,}", part):
        return ("any-like", [part[:1], part[1:]]), f"{part[:1]}*{part[1:]}"
    return ("has", part), word(rng, part)


def term(rng):
    field = rng.choice([None, None, *FIELDS])
    if field is None:
        return free_term(rng)
    kind = FIELDS[field][0]
    if kind in ("number", "time"):
        return number_term(rng, field)
    return {"text": lambda: text_term(rng, field), "auto": lambda: rng.choice([text_term, number_term])(rng, field),
            "words": lambda: severity_term(rng), "address": lambda: address_term(rng)}[kind]()


def search(rng, depth=0):
    kind = rng.random()
    if depth > 3 or kind < 0.4:
        return term(rng)
    if kind < 0.55:
        node, text = search(rng, depth + 1)
        return ("not", node), rng.choice(["not ", "NOT ", "-"]) + f"({text})"
    parts = [search(rng, depth + 1) for _ in range(rng.randrange(2, 4))]
    if kind < 0.8:
        joint = rng.choice([" ", " and ", " AND "])
        return ("and", [node for node, _ in parts]), joint.join(f"({text})" for _, text in parts)
    return ("or", [node for node, _ in parts]), rng.choice([" or ", " OR "]).join(f"({text})" for _, text in parts)


# -- the program

class Case:
    def __init__(self):
        self.process = subprocess.Popen([BUILD / "tests/integration/log/query_case"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)

    def ask_all(self, lines):
        """Written and read in portions that the pipes hold."""
        answers = []
        for begin in range(0, len(lines), 20):
            part = lines[begin:begin + 20]
            self.process.stdin.write("".join(line + "\n" for line in part).encode())
            self.process.stdin.flush()
            answers += [self.process.stdout.readline().decode().rstrip("\n") for _ in part]
        return answers


@pytest.fixture(name="case", scope="module")
def make_case():
    one = Case()
    yield one
    one.process.stdin.close()
    assert one.process.wait(timeout=10) == 0


def read(text):
    return json.loads(text, parse_float=Number, parse_int=Number)


@pytest.mark.parametrize("seed", SEEDS)
def test_matching_agrees_with_the_reference(case, seed):
    rng = random.Random(seed)
    events = [event_of(rng) for _ in range(60)]
    parsed = [read(text) for text in events]
    matched = 0
    for _ in range(80):
        tree, text = search(rng)
        answers = case.ask_all(["Q" + text, *("E" + event for event in events)])
        assert answers[0] == "ok", (text, answers[0])
        for event, source, answer in zip(parsed, events, answers[1:]):
            assert (answer == "1") == holds(tree, event), (seed, text, tree, source)
            matched += answer == "1"
    assert 500 < matched < 4500  # neither everything nor nothing


@pytest.mark.parametrize("seed", SEEDS)
def test_aggregation_agrees_with_the_reference(case, seed):
    """Counted in parts, whose states are merged."""
    rng = random.Random(1000 + seed)
    events = [event_of(rng) for _ in range(300)]
    by = rng.sample(["user", "model", "group", "detector"], 2)
    lines = [f"Q| count, sum(tokens), min(tokens), max(tokens) by {by[0]}, {by[1]} over 30m"]
    for number, event in enumerate(events):
        lines.append("E" + event)
        lines += ["S"] if number % 70 == 69 else []
    answers = case.ask_all([*lines, "S", "R"])
    assert set(answers[:-1]) <= {"ok", "1"}
    expected = collections.defaultdict(list)
    for event in map(read, events):
        values = [list(dict.fromkeys(at(event, FIELDS[name][1].split(".")))) or [None] for name in by]
        tokens = list(at(event, FIELDS["tokens"][1].split(".")))
        bucket = event["time"].exact // 1800_000 * 1800
        for first in values[0]:
            for second in values[1]:
                expected[bucket, first, second].append(tokens[0].exact if tokens else None)
    rows = json.loads(answers[-1])["rows"]
    assert len(rows) == len(expected)
    for row in rows:
        when = int(re.sub(r"\D", "", row["time"]))
        key = next(k for k in expected if k[1:] == (row[by[0]], row[by[1]]) and stamp(k[0]) == when)
        numbers = [value for value in expected[key] if value is not None]
        assert row["count"] == len(expected[key])
        assert row["min(tokens)"] == (pytest.approx(min(numbers)) if numbers else None)
        assert row["max(tokens)"] == (pytest.approx(max(numbers)) if numbers else None)
        assert row["sum(tokens)"] == (pytest.approx(sum(numbers)) if numbers else None)
    counts = [row["time"] for row in rows]
    assert counts == sorted(counts)


def stamp(seconds):
    import time
    return int(time.strftime("%Y%m%d%H%M%S", time.gmtime(seconds)))
