# SPDX-License-Identifier: Apache-2.0
"""Writes the C tables."""

from .schema import ARRAY_MAX, STRING_MAX, main_type, types

import json

NOTE = "/* Generated from api/ by tools/generate: do not edit. */\n"
FORMATS = {None: "DV_FORMAT_NONE", "uuid": "DV_FORMAT_UUID", "date-time": "DV_FORMAT_DATE_TIME",
           "duration": "DV_FORMAT_DURATION"}


def c_string(text):
    """A C string literal; every byte that is not plain ASCII becomes three octal digits."""
    if text is None:
        return "NULL"
    out = []
    for byte in str(text).encode("utf-8"):
        char = chr(byte)
        out.append(char if 32 <= byte < 127 and char not in '"\\?' else f"\\{byte:03o}")
    return '"' + "".join(out) + '"'


def c_bool(value):
    return "true" if value else "false"


def c_int(value, default):
    """INT64_MIN can't be written as one literal."""
    if value is None:
        return default
    return "INT64_MIN" if value == -2**63 else f"INT64_C({value})"


class SchemaTables:
    """Collects schema tables, each content once, in the order in which C needs them."""

    def __init__(self):
        self.lines = []
        self.names = {}

    def emit(self, kind, body):
        """Writes one constant and returns its name."""
        key = (kind, body)
        if key not in self.names:
            self.names[key] = f"{kind.split()[-1].lstrip('*')}_{len(self.names)}"
            array = "[]" if body.startswith("{\n") else ""
            self.lines.append(f"static const {kind.rsplit(' ', 1)[0]} {self.names[key]}{array} = {body};\n")
        return self.names[key]

    def choices(self, values):
        if not values:
            return "NULL"
        return self.emit("char *const choices", "{\n" + "".join(f"    {c_string(v)},\n" for v in values)
                         + "    NULL,\n}")

    def fields(self, fields):
        """A table of (name, doc, schema, required, in_path)."""
        if not fields:
            return "NULL"
        rows = [f"    {{{c_string(name)}, {c_string(doc)}, &{self.schema(schema)}, {c_bool(required)},"
                f" {c_bool(in_path)}}},\n" for name, doc, schema, required, in_path in fields]
        return self.emit("dv_schema_field fields", "{\n" + "".join(rows) + "}")

    def schema(self, schema):
        kind = main_type(schema)
        flags = " | ".join("DV_SCHEMA_" + name.upper() for name in types(schema))
        parts = [f".types = {flags}", f".format = {FORMATS[schema.get('format')]}",
                 f".secret = {c_bool(schema.get('writeOnly'))}",
                 f".minimum = {c_int(schema.get('minimum'), 'INT64_MIN')}",
                 f".maximum = {c_int(schema.get('maximum'), 'INT64_MAX')}"]
        if "pattern" in schema:
            parts.append(f".pattern = {c_string(schema['pattern'])}")
        if "enum" in schema:
            parts.append(f".choices = {self.choices(schema['enum'])}")
        if "default" in schema:
            parts.append(f".default_json = {c_string(json.dumps(schema['default']))}")
        parts += getattr(self, "_" + kind, lambda schema: [])(schema)
        return self.emit("dv_schema schema", "{" + ", ".join(parts) + "}")

    def _string(self, schema):
        return [f".min_length = {schema.get('minLength', 0)}",
                f".max_length = {schema.get('maxLength', STRING_MAX)}"]

    def _array(self, schema):
        return [f".min_length = {schema.get('minItems', 0)}",
                f".max_length = {schema.get('maxItems', ARRAY_MAX)}",
                f".unique = {c_bool(schema.get('uniqueItems'))}",
                f".items = &{self.schema(schema['items'])}"]

    def _object(self, schema):
        required = schema.get("required") or []
        fields = [(name, part.get("description", ""), part, name in required, False)
                  for name, part in schema["properties"].items()]
        parts = [f".fields = {self.fields(fields)}", f".field_count = {len(fields)}",
                 f".max_length = {ARRAY_MAX}"]
        if schema.get("additionalProperties") is True:
            parts.append(".others = &dv_schema_any")
        elif schema.get("additionalProperties"):
            parts.append(f".others = &{self.schema(schema['additionalProperties'])}")
        return parts

    def params(self, operation):
        """The object schema of an operation's path and query parameters."""
        rows = [(p.name, p.doc, p.schema, p.required, p.place == "path") for p in operation.params]
        body = (f"{{.types = DV_SCHEMA_OBJECT, .fields = {self.fields(rows)},"
                f" .field_count = {len(rows)}, .max_length = {ARRAY_MAX}}}")
        return self.emit("dv_schema schema", body)


def operations_header(api):
    lines = [NOTE, "#pragma once\n\n", '#include "core/operation.h"\n\n']
    lines += [f"dv_result dv_op_{op.id}(dv_call *call, dv_error *error);\n" for op in api.operations]
    return "".join(lines)


def operations_source(api):
    tables = SchemaTables()
    rows = []
    for op in api.operations:
        body = "&" + tables.schema(op.body) if op.body is not None else "NULL"
        rows.append(f"    {{{c_string(op.id)}, {c_string(op.method)}, {c_string(op.path)},"
                    f" {c_string(op.permission)}, {op.success}, {c_bool(op.is_list)},"
                    f" &{tables.params(op)}, {body}}},\n")
    return "".join([NOTE, '#include "core/operation.h"\n\n', *tables.lines,
                    "\nconst dv_operation dv_operations[] = {\n", *rows, "};\n",
                    f"const size_t dv_operation_count = {len(rows)};\n"])


def handlers_source(api):
    rows = [f"    dv_op_{op.id},\n" for op in api.operations]
    return "".join([NOTE, '#include "api/operations.h"\n#include "daemon/dvarad_router.h"\n\n',
                    "const dv_operation_handler dv_operation_handlers[] = {\n", *rows, "};\n"])


def _command_prototypes(api):
    return [f"int dv_command_{command.id}(dv_cli *cli, const json_t *params);\n"
            for command in api.commands]


def commands_header(api):
    return "".join([NOTE, "#pragma once\n\n", '#include "cli/cli.h"\n\n',
                    *_command_prototypes(api)])


def commands_source(api):
    tables = SchemaTables()
    index = {op.id: number for number, op in enumerate(api.operations)}
    rows = []
    for entry in api.entries():
        cli = entry.cli
        number = index.get(entry.id) if hasattr(entry, "method") else None
        rows.append("    {" + ", ".join([
            c_string(cli.noun), c_string(cli.verb), c_string(entry.summary),
            c_string(entry.description), c_string(cli.example),
            "NULL" if number is None else f"&dv_operations[{number}]",
            f"dv_command_{entry.id}" if number is None else "NULL",
            _inputs(tables, cli), str(len(cli.inputs)), str(cli.arg_count),
            tables.choices(cli.columns), c_string(cli.rows or None), c_bool(cli.follow),
            c_bool(cli.remote)]) + "},\n")
    nouns = [f"    {{{c_string(noun)}, {c_string(doc)}}},\n" for noun, doc in api.nouns.items()]
    return "".join([NOTE, '#include "cli/command.h"\n\n', *_command_prototypes(api), "\n",
                    *tables.lines,
                    "\nconst dv_cli_command dv_cli_commands[] = {\n", *rows, "};\n",
                    f"const size_t dv_cli_command_count = {len(rows)};\n",
                    "\nconst dv_cli_noun dv_cli_nouns[] = {\n", *nouns, "};\n",
                    f"const size_t dv_cli_noun_count = {len(nouns)};\n"])


def _inputs(tables, cli):
    if not cli.inputs:
        return "NULL"
    places = {"path": "PATH", "query": "QUERY", "body": "BODY", "own": "OWN"}
    rows = [f"    {{{c_string(f.flag)}, {c_string(f.name)}, {c_string(f.doc)}, &{tables.schema(f.schema)},"
            f" DV_INPUT_{places[f.place]}, {c_bool(f.required)}}},\n" for f in cli.inputs]
    return tables.emit("dv_cli_input inputs", "{\n" + "".join(rows) + "}")


def documents_source(document, page):
    """The published documents as byte arrays: literals of this length are not portable."""
    parts = [NOTE, '#include "daemon/dvarad_documents.h"\n\n']
    for name, text in (("openapi", document), ("page", page)):
        data = text.encode("utf-8")
        parts.append(f"static const uint8_t {name}[] = {{\n")
        for start in range(0, len(data), 24):
            parts.append("    " + ",".join(str(byte) for byte in data[start:start + 24]) + ",\n")
        parts.append(f"}};\nconst dv_slice dv_document_{name} = {{{name}, sizeof({name})}};\n\n")
    return "".join(parts)
