# SPDX-License-Identifier: Apache-2.0
"""The part of JSON Schema that declarations may use."""

import re

from .source import Map, check_keys

TYPES = ["string", "integer", "number", "boolean", "array", "object", "null"]
FORMATS = ["uuid", "date-time", "duration"]
STRING_MAX = 4096
ARRAY_MAX = 1000

ANY = ["type", "description", "default", "example", "writeOnly", "enum", "format"]
BY_TYPE = {
    "string": ["pattern", "minLength", "maxLength"],
    "integer": ["minimum", "maximum"],
    "number": ["minimum", "maximum"],
    "array": ["items", "minItems", "maxItems", "uniqueItems"],
    "object": ["properties", "required", "additionalProperties"],
}
PREFIX = "#/components/schemas/"


def types(schema):
    """The types of a schema as a list."""
    value = schema.get("type")
    return value if isinstance(value, list) else [value]


def main_type(schema):
    """The one type beside null."""
    return next((name for name in types(schema) if name != "null"), "null")


class Resolver:
    """Replaces $ref and checks every keyword."""

    def __init__(self, components, problems):
        self.components = components
        self.problems = problems

    def resolve(self, file, where, schema, line, seen=()):
        """The schema without $ref, or None with a problem noted."""
        if not isinstance(schema, Map):
            self.problems.add(file, line, f"{where}: a schema must be a mapping")
            return None
        if "$ref" in schema:
            return self._follow(file, where, schema, seen)
        kinds = types(schema)
        if not all(kind in TYPES for kind in kinds) or len([k for k in kinds if k != "null"]) > 1:
            self.problems.add(file, schema.line, f"{where}: type must be one of {', '.join(TYPES)},"
                              " or a list of one of them and null")
            return None
        kind = main_type(schema)
        if not check_keys(file, where, schema, ["type"], ANY[1:] + BY_TYPE.get(kind, []), self.problems):
            return None
        self._check_values(file, where, schema, kind)
        return self._children(file, where, schema, kind, seen)

    def _follow(self, file, where, schema, seen):
        name = str(schema["$ref"]).removeprefix(PREFIX)
        if len(schema) > 1 and set(schema) - {"$ref", "description"}:
            self.problems.add(file, schema.line, f"{where}: only a description may stand beside $ref")
            return None
        if name not in self.components or not str(schema["$ref"]).startswith(PREFIX):
            self.problems.add(file, schema.line, f"{where}: no schema {schema['$ref']}")
            return None
        if name in seen:
            self.problems.add(file, schema.line, f"{where}: the schema {name} holds itself")
            return None
        home, target = self.components[name]
        result = self.resolve(home, f"schema {name}", target, target.line, (*seen, name))
        if result is not None and "description" in schema:
            copy = Map(result)
            copy.line, copy.lines = schema.line, schema.lines
            copy["description"] = schema["description"]
            return copy
        return result

    def _check_values(self, file, where, schema, kind):
        def bad(text):
            self.problems.add(file, schema.line, f"{where}: {text}")

        for key in ("minLength", "maxLength", "minItems", "maxItems"):
            value = schema.get(key)
            if value is not None and not (isinstance(value, int) and 0 <= value < 2**32):
                bad(f"{key} must be a whole number from 0")
        for key in ("minimum", "maximum"):
            value = schema.get(key)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
                bad(f"{key} must be a whole number")
        if "pattern" in schema:
            try:
                re.compile(schema["pattern"])
            except (re.error, TypeError) as error:
                bad(f"pattern: {error}")
        if "enum" in schema:
            values = schema["enum"]
            if kind != "string" or not isinstance(values, list) or not values \
                    or not all(isinstance(value, str) for value in values):
                bad("enum must be a list of strings, of the type string")
        if "format" in schema and (kind != "string" or schema["format"] not in FORMATS):
            bad(f"format must be one of {', '.join(FORMATS)}, of the type string")
        if schema.get("writeOnly") not in (None, True, False):
            bad("writeOnly must be true or false")

    def _children(self, file, where, schema, kind, seen):
        result = Map(schema)
        result.line, result.lines = schema.line, schema.lines
        if kind == "array":
            if "items" not in schema:
                self.problems.add(file, schema.line, f"{where}: items is missing")
                return None
            result["items"] = self.resolve(file, f"{where} items", schema["items"], schema.line, seen)
        if kind != "object":
            return result
        properties = schema.get("properties") or Map()
        result["properties"] = Map(
            (name, self.resolve(file, f"{where} {name}", part, schema.line, seen))
            for name, part in properties.items())
        for name in schema.get("required") or []:
            if name not in properties:
                self.problems.add(file, schema.line, f"{where}: required {name} is no property")
        others = schema.get("additionalProperties")
        if others is not None and not isinstance(others, bool):
            result["additionalProperties"] = self.resolve(
                file, f"{where} additionalProperties", others, schema.line, seen)
        return result
