#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Turns rules/parsers/*.yaml into the C tables of the parsers.

Usage: generate.py OUT.c FILE.yaml...   Refuses what it does not understand, naming file and key.
"""
import json
import re
import sys

import yaml

KINDS = {"any": "DV_PARSE_ANY", "regex": "DV_PARSE_REGEX", "pairs": "DV_PARSE_PAIRS",
         "json": "DV_PARSE_JSON", "csv": "DV_PARSE_CSV"}
AS = {"text", "lower", "int", "float", "seconds", "bool", "ip", "host", "email", "mac", "list", "json", "name", "hex",
      "time", "method"}
ENVELOPE = ["@program", "@pid", "@host", "@facility", "@severity", "@msgid", "@text", "@peer", "@format"]
SEVERITIES = {"unknown": 0, "informational": 1, "low": 2, "medium": 3, "high": 4, "critical": 5, "fatal": 6,
              "other": 99}
TOP = {"id", "name", "doc", "product", "programs", "continues", "same", "quotes", "refine", "formats", "events", "examples",
       "counter_examples"}
OPTIONAL_TOP = {"programs", "continues", "same", "quotes", "refine", "counter_examples"}
FORMAT = {"name", "kind", "pattern", "section", "columns", "at_least", "requires", "shape", "time"}
EVENT = {"when", "class", "activity", "severity", "subject", "correlation", "profiles", "set"}
MAX_FIELDS = 96
NO_FIELD = 255


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


def c_string(text):
    """A C literal; each byte that could mean something else is written in octal."""
    if text is None:
        return "NULL"
    out = []
    for byte in text.encode():
        plain = 32 <= byte < 127 and chr(byte) not in '"\\?'
        out.append(chr(byte) if plain else f"\\{byte:03o}")
    return '"' + "".join(out) + '"'


def compact(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


class Parser:
    def __init__(self, found, prefix):
        check_keys("parser", found, TOP, OPTIONAL_TOP)
        need(re.fullmatch(r"[a-z][a-z0-9_]{0,31}", found["id"]), "id: a word of a-z, 0-9 and _")
        self.found, self.prefix = found, prefix
        self.fields, self.parts, self.count = list(ENVELOPE), [], 0
        self.refine(found.get("refine"))
        self.formats = [self.format(one) for one in found["formats"]]
        self.rules = [self.rule(one) for one in found["events"]]

    def field(self, name):
        name = str(name)
        if name not in self.fields:
            need(not name.startswith("@"), f"there is no field {name}")
            self.fields.append(name)
            need(len(self.fields) < MAX_FIELDS, "too many fields")
        return self.fields.index(name)

    def array(self, kind, items):
        """A static array; returns its name."""
        if not items:
            return "NULL"
        self.count += 1
        name = f"{self.prefix}_{self.count}"
        self.parts.append(f"static {kind}{name}[] = {{{', '.join(items)}}};")
        return name

    def texts(self, items):
        return self.array("const char *const ", [c_string(str(i)) for i in items] + ["NULL"])

    # -- formats

    def groups(self, pattern):
        for group in re.findall(r"\(\?<([A-Za-z_][A-Za-z0-9_]*)>", pattern):
            self.field(group)

    def refine(self, found):
        self.refined, self.refinements = NO_FIELD, "NULL"
        if found is not None:
            check_keys("refine", found, {"field", "patterns"}, set())
            self.refined = self.field(found["field"])
            for pattern in found["patterns"]:
                self.groups(pattern)
            self.refinements = self.texts(found["patterns"])

    def format(self, found):
        where = f"format {found.get('name')}"
        check_keys(where, found, FORMAT, FORMAT - {"name", "kind"})
        need(found["kind"] in KINDS, f"{where}: no kind {found['kind']}")
        if found["kind"] == "regex":
            need("pattern" in found, f"{where}: wants a pattern")
        self.groups(found.get("pattern", ""))
        times = found.get("time", {})
        check_keys(where + ".time", times, {"field", "as"}, set()) if times else None
        columns = [str(NO_FIELD if c is None else self.field(c)) for c in found.get("columns", [])]
        requires = [str(self.field(f)) for f in found.get("requires", [])] + [str(NO_FIELD)]
        at_least = found.get("at_least", len(columns))
        return (f"{{{c_string(found['name'])}, {KINDS[found['kind']]}, "
                f"{self.field(found['section']) if 'section' in found else NO_FIELD}, {at_least}, {len(columns)}, "
                f"{'true' if found.get('shape') else 'false'}, "
                f"{self.field(times['field']) if times else NO_FIELD}, {c_string(found.get('pattern'))}, "
                f"{self.array('const uint8_t ', columns)}, {self.array('const uint8_t ', requires)}, "
                f"{self.texts(times['as']) if times else 'NULL'}}}")

    # -- values

    def reference(self, text):
        """"$a|$b:int": fields and what is made of them."""
        body, _, kind = text.partition(":")
        names = [name[1:] for name in body.split("|")]
        need(all(part.startswith("$") and len(part) > 1 for part in body.split("|")), f"'{text}' is no reference")
        need(len(names) <= 4 and (kind or "text") in AS, f"'{text}': too many fields, or no such type")
        return [self.field(name) for name in names], kind or "text"

    def value(self, found):
        """(C initializer, whether it comes from a field)."""
        entries, otherwise = {}, None
        if isinstance(found, dict):
            check_keys("value", found, {"from", "map", "else"}, {"map", "else"})
            entries = found.get("map", {})
            otherwise = found.get("else")
            found = found["from"]
            need(isinstance(found, str) and found.startswith("$"), "'from' wants a field")
        if not (isinstance(found, str) and found.startswith("$")):
            return f"{{.fixed = {c_string(compact(found))}}}", False
        fields, kind = self.reference(found)
        table = self.array("const dv_parse_map ",
                           [f"{{{c_string(str(k))}, {c_string(compact(v))}}}" for k, v in entries.items()])
        text = f"{{.fields = {{{', '.join(map(str, fields))}}}, .field_count = {len(fields)}, .as = DV_AS_{kind.upper()}"
        if entries:
            text += f", .map = {table}, .map_count = {len(entries)}"
        if otherwise is not None:
            text += f", .otherwise = {c_string(compact(otherwise))}"
        return text + "}", True

    # -- events

    def tree(self, paths):
        root = {}
        for path, value in paths.items():
            at = root
            parts = path.split(".")
            for part in parts[:-1]:
                at = at.setdefault(part, {})
                need(isinstance(at, dict), f"{path}: runs through a value")
            need(parts[-1] not in at, f"{path}: twice")
            at[parts[-1]] = Leaf(value)
        return root

    def firm(self, node):
        if isinstance(node, Leaf):
            value = node.value["from"] if isinstance(node.value, dict) else node.value
            return not (isinstance(value, str) and value.startswith("$"))
        return all(self.firm(child) for child in node.values())

    def rows(self, node):
        out = []
        for name, child in node.items():
            bare = name[:-2] if name.endswith("[]") else name
            if isinstance(child, Leaf):
                initializer, _ = self.value(child.value)
                pointer = self.array("const dv_parse_value ", [initializer])
                out.append(f"{{DV_PARSE_VALUE, false, {c_string(compact(bare) + ':')}, {pointer}}}")
                continue
            brackets = ("[{", "}]") if name.endswith("[]") else ("{", "}")
            firm = "true" if self.firm(child) else "false"
            out.append(f"{{DV_PARSE_OPEN, {firm}, {c_string(compact(bare) + ':' + brackets[0])}, NULL}}")
            out += self.rows(child)
            out.append(f"{{DV_PARSE_CLOSE, false, {c_string(brackets[1])}, NULL}}")
        return out

    def condition(self, name, wanted):
        field = self.field(name)
        if isinstance(wanted, bool):
            return f"{{{field}, {'DV_TEST_PRESENT' if wanted else 'DV_TEST_ABSENT'}, NULL}}"
        wanted = wanted if isinstance(wanted, list) else [wanted]
        return f"{{{field}, DV_TEST_EQUAL, {self.texts(wanted)}}}"

    def rule(self, found):
        check_keys("event", found, EVENT, EVENT - {"class", "activity", "set"})
        tree = self.tree(found["set"])
        unmapped = tree.pop("unmapped", {})
        need("metadata" not in tree, "metadata is made by the collector")
        rows, more = self.rows(tree), self.rows(unmapped)
        need(len(rows) < 256 and len(more) < 256, "too many values")
        severity = found.get("severity", "informational")
        if isinstance(severity, str):
            severity = SEVERITIES[severity]
        elif isinstance(severity, dict):
            severity = dict(severity, map={k: SEVERITIES[v] for k, v in severity["map"].items()})
            severity["else"] = SEVERITIES[severity.get("else", "informational")]
        conditions = [self.condition(k, v) for k, v in found.get("when", {}).items()]
        profiles = found.get("profiles")
        return (f"{{{self.array('const dv_parse_condition ', conditions)}, {len(conditions)}, {len(rows)}, {len(more)}, "
                f"{found['class']}, {self.value(found['activity'])[0]}, {self.value(severity)[0]}, "
                f"{self.array('const dv_parse_row ', rows)}, {self.array('const dv_parse_row ', more)}, "
                f"{c_string(compact(profiles)) if profiles else 'NULL'}, "
                f"{self.field(found['subject'][1:]) if 'subject' in found else NO_FIELD}, "
                f"{self.field(found['correlation'][1:]) if 'correlation' in found else NO_FIELD}}}")

    # -- the whole

    def examples(self):
        own = f"collected.{self.found['id']}"
        out = []
        for one in self.found["examples"]:
            check_keys("example", one, {"line", "program", "event"}, {"program"})
            out.append((one["line"], one.get("program"), own, compact(one["event"])))
        for line in self.found.get("counter_examples", []):
            out.append((line, None, None, "{}"))
        return [f"{{{c_string(line)}, {c_string(program)}, {c_string(kind)}, {c_string(expected)}}}"
                for line, program, kind, expected in out]

    def emit(self):
        examples = self.examples()
        fields = self.array("const char *const ", [c_string(name) for name in self.fields])
        return (f"{{{c_string(self.found['id'])}, {c_string(self.found['doc'])}, "
                f"{c_string(compact(self.found['product']))}, "
                f"{self.texts(self.found.get('programs', []))}, {c_string(self.found.get('continues'))}, "
                f"{c_string(self.found.get('quotes'))}, "
                f"{c_string(self.found.get('same'))}, {fields}, {len(self.fields)}, {len(self.formats)}, "
                f"{len(self.rules)}, {self.refined}, {self.refinements}, "
                f"{self.array('const dv_parse_format ', self.formats)}, "
                f"{self.array('const dv_parse_rule ', self.rules)}, "
                f"{self.array('const dv_parse_example ', examples)}, {len(examples)}}}")


class Leaf:
    def __init__(self, value):
        self.value = value


def main():
    parsers = []
    for number, path in enumerate(sys.argv[2:]):
        try:
            with open(path, encoding="utf-8") as file:
                parsers.append(Parser(yaml.safe_load(file), f"p{number}"))
                need(path.endswith("/" + parsers[-1].found["id"] + ".yaml"), "the file is not called as its id")
                parsers[-1].entry = parsers[-1].emit()
        except (Bad, yaml.YAMLError, KeyError, TypeError) as problem:
            print(f"{path}: {problem!r}", file=sys.stderr)
            return 1
    lines = ["/* Generated from rules/parsers/ by generate.py. */",
             '#include "room/audit/collect/parser_table.h"', ""]
    for parser in parsers:
        lines += parser.parts
    lines += ["", "const dv_parse_table dv_parse_tables[] = {"]
    lines += [parser.entry + "," for parser in parsers]
    lines += ["};", "const size_t dv_parse_table_count = DV_ARRAY_LEN(dv_parse_tables);", ""]
    with open(sys.argv[1], "w", encoding="utf-8") as out:
        out.write("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
