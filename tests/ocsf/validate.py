#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks OCSF events (JSON lines on standard input) against the schema's own files.

    validate.py SCHEMA_DIR < events.jsonl

Known attributes only, none twice, required ones present, types, enumerations, arrays, formats,
ranges, the at-least-one and just-one constraints, type_uid and category_uid as the class says,
profiles that the class has, declared before their attributes are used, a version of OCSF.
Prints each fault with its line and path, then `N events, M faults`; exit 1 when there is one.
"""
import json
import re
import sys
from pathlib import Path

COMPUTED = {"class_uid", "category_uid"}  # their values come from the class, checked in event()
OPEN_TYPES = {"json_t", "object"}  # hold anything: json_t is any value, object any object


class Schema:
    def __init__(self, folder):
        self.folder = Path(folder)
        dictionary = self._load("dictionary.json")
        self.dictionary = dictionary["attributes"]
        self.types = dictionary["types"]["attributes"]
        self.categories = self._load("categories.json")["attributes"]
        self.objects = {p.stem: json.loads(p.read_text()) for p in (self.folder / "objects").glob("*.json")}
        self.events = {}
        for path in (self.folder / "events").rglob("*.json"):
            event = json.loads(path.read_text())
            self.events[event["name"]] = event
        self.classes = {self.class_uid(e): e for e in self.events.values() if "uid" in e}
        self.made = {}  # attributes by family and name
        self.classes[0] = self.events["base_event"]

    def _load(self, name):
        return json.loads((self.folder / name).read_text())

    def category(self, event):
        while "category" not in event:
            event = self.events[event["extends"]]
        return event["category"]

    def class_uid(self, event):
        category = self.categories.get(self.category(event))
        return category["uid"] * 1000 + event["uid"] if category else event["uid"]

    def _merge(self, into, attributes):
        for name, spec in attributes.items():
            if name == "$include":
                continue
            merged = dict(into.get(name, {}))
            enum = {**merged.get("enum", {}), **spec.get("enum", {})}
            merged.update(spec)
            if enum:
                merged["enum"] = enum
            into[name] = merged

    def attributes(self, definition, family):
        """All attributes of a class or object, its ancestors' and profiles' included."""
        key = (id(family), definition["name"])
        if key not in self.made:
            self.made[key] = self._make_attributes(definition, family)
        return self.made[key]

    def profiles(self, definition, family):
        """The profiles that a class or its ancestors have."""
        found = {Path(name).stem for name in definition["attributes"].get("$include", [])}
        found |= {Path(name).stem for name in definition.get("profiles") or []}
        parent = definition.get("extends")
        return found | self.profiles(family[parent], family) if parent in family else found

    def _make_attributes(self, definition, family):
        into = {}
        parent = definition.get("extends")
        if parent and parent in family:
            into = dict(self.attributes(family[parent], family))
        for include in definition["attributes"].get("$include", []):
            profile = self._load(include)
            name = Path(include).stem
            gated = {k: {**v, "profile": name} for k, v in profile["attributes"].items()}
            for key in [k for k in gated if k in into]:
                gated[key].pop("profile")
            self._merge(into, gated)
        self._merge(into, definition["attributes"])
        return into

    def constraints(self, definition, family):
        found = {}
        parent = definition.get("extends")
        if parent and parent in family:
            found = self.constraints(family[parent], family)
        return {**found, **definition.get("constraints", {})}


class Checker:
    def __init__(self, schema):
        self.schema = schema
        self.faults = []
        self.profiles = set()

    def fault(self, path, text):
        self.faults.append(f"{path}: {text}")

    def event(self, event):
        definition = self.schema.classes.get(event.get("class_uid"))
        if definition is None:
            self.fault("class_uid", f"no class {event.get('class_uid')}")
            return
        metadata = event.get("metadata", {})
        self.profiles = set(metadata.get("profiles", []))
        for name in sorted(self.profiles - self.schema.profiles(definition, self.schema.events)):
            self.fault("metadata.profiles", f"{definition['name']} has no profile {name}")
        if not re.fullmatch(r"1\.\d+\.\d+", metadata.get("version", "")):
            self.fault("metadata.version", "is no version of OCSF")
        self.members(event, definition, self.schema.events, "")
        category = self.schema.categories.get(self.schema.category(definition), {"uid": 0})["uid"]
        if event.get("category_uid") != category:
            self.fault("category_uid", f"is not {category}")
        if event.get("type_uid") != event["class_uid"] * 100 + event.get("activity_id", -1):
            self.fault("type_uid", "is not class_uid * 100 + activity_id")

    def members(self, value, definition, family, path):
        attributes = self.schema.attributes(definition, family)
        for name, member in value.items():
            here = f"{path}.{name}" if path else name
            spec = attributes.get(name)
            if spec is None:
                self.fault(here, f"no attribute of {definition['name']}")
            elif spec.get("profile") and spec["profile"] not in self.profiles:
                self.fault(here, f"needs the profile {spec['profile']}")
            else:
                self.attribute(member, name, spec, here)
        for name, spec in attributes.items():
            needed = spec.get("requirement") == "required"
            if needed and name not in value and (not spec.get("profile") or spec["profile"] in self.profiles):
                self.fault(f"{path}.{name}" if path else name, "is required")
        constraints = self.schema.constraints(definition, family)
        at_least = constraints.get("at_least_one")
        if at_least and not any(name in value for name in at_least):
            self.fault(path, f"needs at least one of {', '.join(at_least)}")
        just_one = constraints.get("just_one")
        if just_one and sum(name in value for name in just_one) != 1:
            self.fault(path, f"needs just one of {', '.join(just_one)}")

    def attribute(self, value, name, spec, path):
        entry = {**self.schema.dictionary.get(name, {}), **{k: v for k, v in spec.items() if k != "enum"}}
        enum = {**self.schema.dictionary.get(name, {}).get("enum", {}), **spec.get("enum", {})}
        values = [value]
        if entry.get("is_array"):
            if not isinstance(value, list):
                self.fault(path, "is not an array")
                return
            values = value
        for i, item in enumerate(values):
            here = f"{path}.{i}" if entry.get("is_array") else path
            if enum and name not in COMPUTED and str(item) not in enum:
                self.fault(here, f"{item!r} is not one of {', '.join(enum)}")
            self.typed(item, entry.get("type", "string_t"), here)

    def typed(self, value, kind, path):
        if kind in OPEN_TYPES:
            if kind == "object" and not isinstance(value, dict):
                self.fault(path, "is not an object")
            return
        if not kind.endswith("_t"):
            if not isinstance(value, dict):
                self.fault(path, f"is not an object ({kind})")
            else:
                self.members(value, self.schema.objects[kind], self.schema.objects, path)
            return
        self.scalar(value, kind, path)

    def scalar(self, value, kind, path):
        definition = self.schema.types[kind]
        base = definition.get("type", kind)
        right = {
            "string_t": lambda v: isinstance(v, str),
            "boolean_t": lambda v: isinstance(v, bool),
            "integer_t": lambda v: isinstance(v, int) and not isinstance(v, bool) and abs(v) < 2**31,
            "long_t": lambda v: isinstance(v, int) and not isinstance(v, bool) and abs(v) < 2**63,
            "float_t": lambda v: isinstance(v, (int, float)) and not isinstance(v, bool),
        }[base]
        if not right(value):
            self.fault(path, f"{value!r} is no {kind}")
            return
        if "regex" in definition and not re.search(definition["regex"], value):
            self.fault(path, f"{value!r} does not look like {kind}")
        if "max_len" in definition and len(value) > definition["max_len"]:
            self.fault(path, f"is longer than {definition['max_len']}")
        if "range" in definition and not definition["range"][0] <= value <= definition["range"][1]:
            self.fault(path, f"{value} is out of range")


def members_once(pairs):
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member twice: " + ", ".join(sorted({name for name, _ in pairs})))
    return found


def check_event(schema, event):
    """The faults of one parsed event."""
    checker = Checker(schema)
    checker.event(event)
    return checker.faults


def check_lines(schema, lines):
    """Yields (line number, fault) for every fault; the last item is (0, number of events)."""
    count = 0
    for number, line in enumerate(lines, 1):
        count += 1
        try:
            faults = check_event(schema, json.loads(line, object_pairs_hook=members_once))
        except ValueError as error:
            faults = [f"no JSON: {error}"]
        for fault in faults:
            yield number, fault
    yield 0, count


def main():
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    schema = Schema(sys.argv[1])
    faults = 0
    for number, fault in check_lines(schema, sys.stdin):
        if number == 0:
            print(f"{fault} events, {faults} faults")
            return 1 if faults > 0 or fault == 0 else 0
        faults += 1
        print(f"line {number}: {fault}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
