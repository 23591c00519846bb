# SPDX-License-Identifier: Apache-2.0
"""Writes the merged OpenAPI 3.1 document."""

import json

from .schema import types

ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {
        "type": "object",
        "required": ["code", "message", "request_id"],
        "properties": {
            "code": {"type": "string", "description": "Stable name of the reason."},
            "message": {"type": "string", "description": "What is wrong and what to do."},
            "field": {"type": "string", "description": "The field that is wrong: permissions.0"},
            "request_id": {"type": "string", "format": "uuid"},
        },
    }},
}


def plain(schema):
    """The same as plain dicts, for JSON."""
    if isinstance(schema, dict):
        return {key: plain(value) for key, value in schema.items()}
    if isinstance(schema, list):
        return [plain(value) for value in schema]
    return schema


def strict(schema):
    """A request's schema: unknown fields are refused."""
    result = plain(schema)
    if "object" in types(schema):
        result["properties"] = {name: strict(part) for name, part in schema["properties"].items()}
        others = schema.get("additionalProperties")
        result["additionalProperties"] = strict(others) if isinstance(others, dict) else bool(others)
    elif "array" in types(schema):
        result["items"] = strict(schema["items"])
    return result


def content(schema):
    return {"application/json": {"schema": schema}}


def listed(schema):
    return {"type": "object", "required": ["items"], "properties": {
        "items": {"type": "array", "items": plain(schema)},
        "next": {"type": "string", "description": "Cursor of the next page; absent at the end."},
    }}


def operation(op):
    result = {"operationId": op.id, "tags": [op.room], "summary": op.summary}
    if op.description:
        result["description"] = op.description
    result["x-permission"] = op.permission
    if op.cli:
        result["x-cli"] = op.cli.example
    if op.params:
        result["parameters"] = [
            {"name": p.name, "in": p.place, "required": p.required, "description": p.doc,
             "schema": plain(p.schema)} for p in op.params]
    if op.body is not None:
        result["requestBody"] = {"required": True, "content": content(strict(op.body))}
    response = {"description": op.responses["description"]}
    if "schema" in op.responses:
        schema = op.responses["schema"]
        response["content"] = content(listed(schema) if op.is_list else plain(schema))
    result["responses"] = {op.success: response}
    for status, text in op.errors.items():
        result["responses"][status] = {"description": text,
                                       "content": content({"$ref": "#/components/schemas/Error"})}
    return result


def document(api, version):
    """The document as JSON text."""
    paths = {}
    for op in api.operations:
        paths.setdefault(op.path, {})[op.method.lower()] = operation(op)
    schemas = {name: plain(schema) for name, (_, schema) in sorted(api.components.items())}
    schemas["Error"] = ERROR
    return json.dumps({
        "openapi": "3.1.0",
        "info": {"title": "Dvara control API", "version": version,
                 "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}},
        "security": [{"bearer": []}, {"apiKey": []}],
        "tags": [{"name": room, "description": text} for room, _, text in api.rooms],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "An API key of Dvara."},
                "apiKey": {"type": "apiKey", "in": "header", "name": "x-api-key"},
            },
        },
    }, indent=1, ensure_ascii=False) + "\n"
