# SPDX-License-Identifier: Apache-2.0
"""Turns api/*.yaml into operations and commands, and refuses declarations that lack something."""

import dataclasses
import difflib
import re
import shlex

from . import source
from .schema import Resolver, main_type
from .source import Map, check_keys

METHODS = ["get", "post", "put", "patch", "delete"]
# Flags of every command; no field may take them.
GLOBAL_FLAGS = {"output": True, "state": True, "url": True, "help": False, "body": True,
                "follow": False}
SHARED_ERRORS = {
    "400": "The request is malformed; `error.field` names the field.",
    "401": "No credential, or one that is not valid.",
    "403": "No policy permits this.",
    "413": "The request is larger than allowed.",
    "500": "Dvara failed; the request id leads to the cause.",
    "503": "A part that is needed does not answer, or the call could not be logged.",
}
LIST_PARAMETERS = [
    Map(name="limit", description="How many at most.",
        schema=Map(type="integer", minimum=1, maximum=1000, default=100)),
    Map(name="cursor", description="Where to go on: `next` of the answer before.",
        schema=Map(type="string", maxLength=512)),
]


@dataclasses.dataclass
class Field:
    """A parameter or a top-level field of a body."""

    name: str
    place: str  # path, query, body, or own (commands)
    doc: str
    schema: Map
    required: bool
    flag: str = ""

    @property
    def secret(self):
        return bool(self.schema.get("writeOnly"))


@dataclasses.dataclass
class Cli:
    noun: str
    verb: str  # of one or two words
    inputs: list  # of Field: positional ones first
    arg_count: int
    columns: list
    rows: str
    follow: bool
    example: str
    remote: bool = True  # it calls the API, and so takes --url

    @property
    def name(self):
        return f"{self.noun} {self.verb}".strip()


@dataclasses.dataclass
class Operation:
    id: str
    method: str
    path: str
    summary: str
    description: str
    permission: str
    params: list
    body: Map
    success: str
    responses: Map
    errors: dict
    is_list: bool
    room: str
    cli: Cli


@dataclasses.dataclass
class Command:
    id: str
    summary: str
    description: str
    room: str
    cli: Cli


@dataclasses.dataclass
class Api:
    rooms: list  # (room, title, description)
    operations: list
    commands: list
    nouns: dict  # noun -> description, in order
    components: dict

    def entries(self):
        """Operations and commands that the command line offers, by noun in order."""
        offered = [entry for entry in self.operations + self.commands if entry.cli]
        order = list(self.nouns)
        return sorted(offered, key=lambda entry: order.index(entry.cli.noun))


class Reader:
    """Reads one file into the api."""

    def __init__(self, path, top, api, resolver, problems):
        self.file, self.top, self.api = path, top, api
        self.resolver, self.problems = resolver, problems
        self.room = str(top.get("room"))

    def bad(self, line, text):
        self.problems.add(self.file, line, text)

    def read(self):
        self.api.rooms.append((self.room, str(self.top.get("title")), str(self.top.get("description"))))
        for noun, doc in (self.top.get("nouns") or Map()).items():
            if noun in self.api.nouns:
                self.bad(self.top.line, f"the noun {noun} is described twice")
            self.api.nouns[noun] = str(doc)
        for path, item in (self.top.get("paths") or Map()).items():
            if check_keys(self.file, path, item, [], METHODS, self.problems):
                for method, declared in item.items():
                    self.operation(path, method, declared, item.lines[method])
        for declared in self.top.get("commands") or []:
            self.command(declared)

    # -- operations

    def operation(self, path, method, declared, line):
        where = f"{method.upper()} {path}"
        before = len(self.problems)
        if not check_keys(self.file, where, declared,
                          ["operationId", "summary", "x-permission", "x-cli", "responses"],
                          ["description", "parameters", "requestBody", "x-errors", "x-list"],
                          self.problems) or len(self.problems) > before:
            return
        if not re.fullmatch(r"[a-z][a-z0-9_]*", str(declared["operationId"])):
            self.bad(line, f"{where}: operationId must be snake_case")
        if not re.fullmatch(r"[a-z][a-z0-9_]*", str(declared["x-permission"])):
            self.bad(line, f"{where}: x-permission must be snake_case")
        is_list = declared.get("x-list") is True
        params = self.parameters(where, path, declared, is_list)
        body = self.body(where, method, declared)
        success, responses = self.responses(where, declared)
        if is_list and (method != "get" or success != "200"):
            self.bad(line, f"{where}: x-list is for GET with the answer 200")
        fields = params + body_fields(body)
        cli = self.cli(where, declared["x-cli"], fields, is_list)
        if len(self.problems) == before:
            self.api.operations.append(Operation(
                declared["operationId"], method.upper(), path, declared["summary"],
                declared.get("description", ""), declared["x-permission"], params, body, success,
                responses, self.errors(where, declared), is_list, self.room, cli))

    def parameters(self, where, path, declared, is_list):
        if not re.fullmatch(r"(/access)?/v1(/([a-z][a-z0-9-]*|\{[a-z][a-z0-9_]*\}))+|/\.well-known/[a-z-]+", path):
            self.bad(declared.line, f"{where}: a path is /v1/ and segments: lower-case words or {{names}};"
                     " or what a standard says under /access/v1/ and /.well-known/")
        in_path = re.findall(r"\{([a-z0-9_]+)\}", path)
        result = []
        for one in declared.get("parameters") or []:
            field = self.field(where, one, ["in"])
            if field is None:
                continue
            field.place = one["in"]
            if field.place not in ("path", "query") or (field.place == "path") != (field.name in in_path):
                self.bad(one.line, f"{where}: {field.name}: `in` must be path (and stand in the path) or query")
            field.required = field.required or field.place == "path"
            if main_type(field.schema) == "object":
                self.bad(one.line, f"{where}: {field.name}: a parameter can't be an object")
            result.append(field)
        for name in in_path:
            if name not in [field.name for field in result]:
                self.bad(declared.line, f"{where}: the path's {name} is not among the parameters")
        if is_list:
            result += [Field(p["name"], "query", p["description"], p["schema"], False)
                       for p in LIST_PARAMETERS]
        return result

    def field(self, where, one, more):
        if not check_keys(self.file, where, one, ["name", "description", "schema", *more],
                          ["required"], self.problems) or "name" not in one or "schema" not in one:
            return None
        if any(key not in one for key in more):
            return None
        if not re.fullmatch(r"[a-z][a-z0-9_]*", str(one["name"])):
            self.bad(one.line, f"{where}: the name {one['name']} must be snake_case")
        schema = self.resolver.resolve(self.file, f"{where} {one['name']}", one["schema"], one.line)
        if schema is None:
            return None
        return Field(one["name"], "own", str(one.get("description", "")), schema,
                     one.get("required") is True)

    def body(self, where, method, declared):
        request = declared.get("requestBody")
        if request is None:
            return None
        if method in ("get", "delete"):
            self.bad(declared.line, f"{where}: takes no requestBody")
        if not check_keys(self.file, f"{where} requestBody", request, ["schema"],
                          ["description"], self.problems) or "schema" not in request:
            return None
        body = self.resolver.resolve(self.file, f"{where} body", request["schema"], request.line)
        if body is not None and body.get("type") != "object":
            self.bad(request.line, f"{where}: the body must be an object")
            return None
        return body

    def responses(self, where, declared):
        responses = declared["responses"]
        if not isinstance(responses, Map) or len(responses) != 1 \
                or next(iter(responses)) not in ("200", "201", "202", "204"):
            self.bad(declared.line, f"{where}: responses must be one of 200, 201, 202, 204;"
                     " errors go to x-errors")
            return "200", Map()
        success, response = next(iter(responses.items()))
        if check_keys(self.file, f"{where} response", response, ["description"], ["schema"], self.problems):
            if (success == "204") == ("schema" in response):
                self.bad(responses.line, f"{where}: a 204 has no schema, any other answer has one")
            elif "schema" in response:
                self.resolver.resolve(self.file, f"{where} response", response["schema"], responses.line)
        return success, response

    def errors(self, where, declared):
        result = dict(SHARED_ERRORS)
        for status, text in (declared.get("x-errors") or {}).items():
            if not re.fullmatch(r"4\d\d|5\d\d", status):
                self.bad(declared.line, f"{where}: {status} is no error status")
            result[status] = text
        return dict(sorted(result.items()))

    # -- the command line

    def command(self, declared):
        where = f"command {declared.get('id') if isinstance(declared, Map) else declared}"
        before = len(self.problems)
        if not check_keys(self.file, where, declared, ["id", "noun", "summary", "example"],
                          ["verb", "description", "parameters", "args", "flags", "follow", "remote"], self.problems) \
                or len(self.problems) > before:
            return
        fields = [self.field(where, one, []) for one in declared.get("parameters") or []]
        x_cli = Map((key, declared[key]) for key in ("noun", "verb", "args", "flags", "follow", "example")
                    if key in declared)
        x_cli.line, x_cli.lines = declared.line, declared.lines
        cli = self.cli(where, x_cli, [field for field in fields if field], False, True)
        if cli:
            cli.remote = declared.get("remote") is True
        if len(self.problems) == before:
            self.api.commands.append(Command(declared["id"], declared["summary"],
                                             declared.get("description", ""), self.room, cli))

    def cli(self, where, declared, fields, is_list, is_command=False):
        if declared is False:  # an operation that people do not type
            return None
        before = len(self.problems)
        check_keys(self.file, f"{where} x-cli", declared, ["noun", "example"],
                   ["verb", "args", "flags", "columns", "rows", "follow"], self.problems)
        if len(self.problems) > before:
            return None
        if not re.fullmatch(r"([a-z][a-z-]*( [a-z][a-z-]*)?)?", str(declared.get("verb", ""))):
            self.bad(declared.line, f"{where} x-cli: a verb is one word, or two with a space between")
        names = [field.name for field in fields]
        for name in sorted({name for name in names if names.count(name) > 1}):
            self.bad(declared.line, f"{where}: {name} is both a parameter and a field of the body")
        args = declared.get("args") or []
        renamed = {field: flag for flag, field in (declared.get("flags") or {}).items()}
        for name in [*args, *renamed]:
            if name not in names:
                self.bad(declared.line, f"{where} x-cli: no parameter or field is called {name}")
        for field in fields:
            field.flag = renamed.get(field.name, field.name).replace("_", "-")
            # What a command of our own writes may be a file: it prints no answer then.
            if field.flag in GLOBAL_FLAGS and not (is_command and field.flag == "output"):
                self.bad(declared.line, f"{where} x-cli: --{field.flag} belongs to every command;"
                         " rename it under flags")
            if field.secret and field.name in args:
                self.bad(declared.line, f"{where} x-cli: {field.name} is a secret and can't be an argument")
        if declared.get("follow") and not is_list and not is_command:
            self.bad(declared.line, f"{where} x-cli: follow is for lists and commands")
        by_name = {field.name: field for field in fields}
        inputs = [by_name[name] for name in args if name in by_name] \
            + [field for field in fields if field.name not in args]
        rows = declared.get("rows") or ("items" if is_list else "")
        cli = Cli(str(declared["noun"]), str(declared.get("verb", "")), inputs, len(args),
                  declared.get("columns") or [], rows, declared.get("follow") is True,
                  str(declared["example"]).strip())
        for line in cli.example.split("\n"):
            self.example(where, declared, cli, line)
        return cli

    def example(self, where, declared, cli, line):
        """Each line of an example must be one that the command would take."""
        words = shlex.split(line)
        start = ["dvara", cli.noun, *cli.verb.split()]
        if words[:len(start)] != start:
            self.bad(declared.line, f"{where} x-cli: the example must begin with {' '.join(start)}")
            return
        given, positional = set(), 0
        rest = iter(words[len(start):])
        for word in rest:
            if not word.startswith("--"):
                positional += 1
                continue
            flag, _, value = word[2:].partition("=")
            given.add(flag)
            takes = self.takes_value(cli, flag)
            if takes is None:
                near = difflib.get_close_matches(flag, [f.flag for f in cli.inputs], 1)
                self.bad(declared.line, f"{where} x-cli: the example's --{flag} is unknown"
                         + (f"; did you mean --{near[0]}?" if near else ""))
            elif takes and not value and next(rest, None) is None:
                self.bad(declared.line, f"{where} x-cli: the example's --{flag} lacks its value")
        self.example_complete(where, declared, cli, given, positional)

    def example_complete(self, where, declared, cli, given, positional):
        last = cli.inputs[cli.arg_count - 1] if cli.arg_count else None
        if positional > cli.arg_count and not (last and main_type(last.schema) == "array"):
            self.bad(declared.line, f"{where} x-cli: the example has too many arguments")
        for index, field in enumerate(cli.inputs):
            there = index < positional if index < cli.arg_count else field.flag in given
            if field.required and not there and not field.secret and "body" not in given:
                self.bad(declared.line, f"{where} x-cli: the example lacks {field.flag}")

    @staticmethod
    def takes_value(cli, flag):
        """Whether the flag takes a value; None: no such flag."""
        for field in cli.inputs:
            if field.secret:
                if flag == field.flag + "-file":
                    return True
            elif main_type(field.schema) == "boolean":
                if flag in (field.flag, "no-" + field.flag):
                    return False
            elif flag == field.flag:
                return True
        return GLOBAL_FLAGS.get(flag)


def body_fields(body):
    """The top-level fields of a body, as the command line sees them."""
    if body is None:
        return []
    required = body.get("required") or []
    return [Field(name, "body", str(part.get("description", "")), part, name in required)
            for name, part in body["properties"].items() if part is not None]


def load(paths):
    """All files in order. Returns (api, problems); with problems the api is not whole."""
    problems = source.Problems()
    api = Api([], [], [], {}, {})
    tops = []
    for path in paths:
        top = source.read(path, problems)
        if top is None or not check_keys(path, "file", top, ["room", "title", "description"],
                                         ["paths", "components", "commands", "nouns"], problems):
            continue
        tops.append((path, top))
        for name, schema in ((top.get("components") or Map()).get("schemas") or Map()).items():
            if name in api.components:
                problems.add(path, schema.line, f"schema {name}: declared in {api.components[name][0]} too")
            api.components[name] = (path, schema)
    resolver = Resolver(api.components, problems)
    for path, top in tops:
        Reader(path, top, api, resolver, problems).read()
    check_all(api, paths[0], problems)
    return api, problems


def check_all(api, file, problems):
    """What only shows over all files."""
    duplicates(file, "operationId", [op.id for op in api.operations], problems)
    duplicates(file, "command id", [command.id for command in api.commands], problems)
    duplicates(file, "path", [op.method + " " + re.sub(r"\{[^}]*\}", "{}", op.path)
                              for op in api.operations], problems)
    offered = [entry.cli for entry in api.operations + api.commands if entry.cli]
    duplicates(file, "command", [cli.name for cli in offered], problems)
    for noun in sorted({cli.noun for cli in offered}):
        if noun not in api.nouns:
            problems.add(file, 0, f"the noun {noun} has no description under nouns:")
        verbs = [cli.verb for cli in offered if cli.noun == noun]
        if "" in verbs and len(verbs) > 1:
            problems.add(file, 0, f"the noun {noun} is a command itself and can't have verbs")
        for verb in sorted({verb.split()[0] for verb in verbs if " " in verb} & set(verbs)):
            problems.add(file, 0, f"the verb {noun} {verb} is a command itself and can't have others behind it")
    for noun in api.nouns:
        if noun not in [cli.noun for cli in offered]:
            problems.add(file, 0, f"the noun {noun} has no command")


def duplicates(file, what, names, problems):
    for name in sorted({name for name in names if names.count(name) > 1}):
        problems.add(file, 0, f"the {what} {name} is declared twice")
