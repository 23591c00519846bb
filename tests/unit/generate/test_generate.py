#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Tests tools/generate: what it makes, and that it refuses bad declarations by name and line."""

import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

GENERATE = pathlib.Path(__file__).resolve().parents[3] / "tools" / "generate"

GOOD = """\
room: auth
title: Identity
description: Users.
nouns: {user: People.}
paths:
  /v1/users:
    get:
      operationId: user_list
      summary: List users.
      x-permission: view_users
      x-list: true
      x-cli: {noun: user, verb: list, columns: [name], example: dvara user list --limit 5}
      responses:
        '200': {description: Users., schema: {$ref: '#/components/schemas/User'}}
    post:
      operationId: user_create
      summary: Make a user.
      x-permission: manage_users
      x-cli: {noun: user, verb: create, flags: {mail: email}, example: dvara user create --name alice}
      requestBody:
        schema:
          type: object
          required: [name, password]
          properties:
            name: {$ref: '#/components/schemas/Name'}
            email: {type: string, maxLength: 254}
            tags: {type: array, maxItems: 3, items: {type: string, enum: ["a?", "b\\"c"]}}
            password: {type: string, writeOnly: true}
      responses:
        '201': {description: The user., schema: {$ref: '#/components/schemas/User'}}
      x-errors: {409: There is one.}
  /v1/users/{name}:
    delete:
      operationId: user_delete
      summary: Delete a user.
      x-permission: manage_users
      x-cli: {noun: user, verb: delete, args: [name], example: dvara user delete alice}
      parameters:
        - {name: name, in: path, description: Of the user., schema: {$ref: '#/components/schemas/Name'}}
      responses:
        '204': {description: Gone.}
commands:
  - id: version
    noun: version
    summary: Tell the version.
    example: dvara version
components:
  schemas:
    Name: {type: string, pattern: '^[a-z]+$', maxLength: 8, minLength: 1}
    User: {type: object, required: [name], properties: {name: {type: string}}}
""".replace("nouns: {user: People.}", "nouns: {user: People., version: The version.}")


class Generator(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.path = pathlib.Path(self.folder.name)

    def run_on(self, *texts):
        files = []
        for number, text in enumerate(texts):
            file = self.path / f"room{number}.yaml"
            file.write_text(text, encoding="utf-8")
            files.append(str(file))
        return subprocess.run([str(GENERATE), "--version", "1.2.3", "--output",
                               str(self.path / "out"), *files],
                              capture_output=True, text=True, check=False)

    def made(self, name):
        return (self.path / "out" / name).read_text(encoding="utf-8")

    def refuse(self, old, new, *expected, text=GOOD):
        self.assertIn(old, text)
        result = self.run_on(text.replace(old, new, 1))
        self.assertEqual(result.returncode, 1, result.stdout)
        self.assertFalse((self.path / "out").exists(), "nothing may be written")
        for words in expected:
            self.assertIn(words, result.stderr)
        self.assertNotIn("Traceback", result.stderr)
        self.assertRegex(result.stderr, r"room0\.yaml:\d+: ")


class Good(Generator):
    def setUp(self):
        super().setUp()
        result = self.run_on(GOOD)
        self.assertEqual(result.returncode, 0, result.stderr)

    def test_operations(self):
        source = self.made("operations.c")
        self.assertIn('{"user_create", "POST", "/v1/users", "manage_users", 201, false,', source)
        self.assertIn('{"user_list", "GET", "/v1/users", "view_users", 200, true,', source)
        self.assertIn("const size_t dv_operation_count = 3;", source)
        self.assertIn("dv_result dv_op_user_delete(dv_call *call, dv_error *error);",
                      self.made("operations.h"))

    def test_handlers_stand_in_the_order_of_operations(self):
        self.assertRegex(self.made("handlers.c"),
                         r"dv_op_user_list,\s+dv_op_user_create,\s+dv_op_user_delete,")

    def test_c_strings_have_no_trigraph_and_no_raw_quote(self):
        self.assertIn(r'"a\077"', self.made("operations.c"))
        self.assertIn(r'"b\042c"', self.made("operations.c"))

    def test_commands(self):
        source = self.made("commands.c")
        self.assertIn('{"mail", "email", ', source)
        self.assertIn('"dvara user list --limit 5", &dv_operations[0], NULL,', source)
        self.assertIn('"dvara version", NULL, dv_command_version,', source)
        self.assertIn("int dv_command_version(dv_cli *cli, const json_t *params);",
                      self.made("commands.h"))

    def test_openapi(self):
        document = json.loads(self.made("openapi.json"))
        self.assertEqual(document["openapi"], "3.1.0")
        create = document["paths"]["/v1/users"]["post"]
        schema = create["requestBody"]["content"]["application/json"]["schema"]
        self.assertIs(schema["additionalProperties"], False)
        self.assertEqual(create["responses"]["409"]["description"], "There is one.")
        self.assertIn("503", create["responses"])
        listed = document["paths"]["/v1/users"]["get"]
        self.assertEqual([p["name"] for p in listed["parameters"]], ["limit", "cursor"])
        answer = listed["responses"]["200"]["content"]["application/json"]["schema"]
        self.assertIn("items", answer["properties"])

    def test_page_holds_nothing_from_elsewhere(self):
        page = self.made("openapi.html")
        self.assertIn("dvara user create --name alice", page)
        for tag in ("<script", "<link", "src=", "http://", "https://"):
            self.assertNotIn(tag, page)

    def test_man_pages_are_well_formed(self):
        for name in ("dvara.1", "dvara-user.1", "dvara-version.1"):
            result = subprocess.run(["man", "--warnings=all", "-l", "-Tutf8",
                                     str(self.path / "out" / "man" / name)],
                                    capture_output=True, text=True, check=False,
                                    env={"LC_ALL": "C.UTF-8", "MANROFFSEQ": "", "PATH": "/usr/bin:/bin"})
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertEqual(result.stderr, "")
        self.assertIn("--password-file FILE", result_text(self.made("man/dvara-user.1")))

    def test_documents_are_the_same_bytes(self):
        source = self.made("documents.c")
        start = source.index("openapi[] = {") + len("openapi[] = {")
        numbers = source[start:source.index("}", start)].replace("\n", "").split(",")
        data = bytes(int(number) for number in numbers if number.strip())
        self.assertEqual(data.decode("utf-8"), self.made("openapi.json"))


def result_text(roff):
    return roff.replace("\\-", "-")


class Bad(Generator):
    def test_missing_permission(self):
        self.refuse("      x-permission: manage_users\n", "", "POST /v1/users", "x-permission is missing")

    def test_missing_summary(self):
        self.refuse("      summary: Make a user.\n", "", "summary is missing")

    def test_missing_cli(self):
        self.refuse("      x-cli: {noun: user, verb: delete, args: [name], example: dvara user delete alice}\n",
                    "", "DELETE /v1/users/{name}: x-cli is missing")

    def test_missing_example(self):
        self.refuse(", example: dvara user delete alice", "", "example is missing")

    def test_example_of_another_command(self):
        self.refuse("example: dvara user delete alice", "example: dvara user remove alice",
                    "must begin with dvara user delete")

    def test_example_with_unknown_flag(self):
        self.refuse("--name alice", "--nmae alice", "--nmae is unknown; did you mean --name?")

    def test_example_without_required_argument(self):
        self.refuse("dvara user delete alice", "dvara user delete", "the example lacks name")

    def test_example_with_too_many_arguments(self):
        self.refuse("dvara user delete alice", "dvara user delete alice bob", "too many arguments")

    def test_each_line_of_an_example_is_checked(self):
        more = "example: |-\n      dvara version\n      dvara version"
        self.refuse("    example: dvara version", f"    {more} --nope", "--nope is unknown")
        result = self.run_on(GOOD.replace("    example: dvara version", f"    {more} --output json"))
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("\ndvara version\ndvara version \\-\\-output json\n.EE\n", self.made("man/dvara-version.1"))

    def test_example_flag_without_value(self):
        self.refuse("--limit 5", "--limit", "--limit lacks its value")

    def test_duplicate_operation(self):
        self.refuse("operationId: user_delete", "operationId: user_create",
                    "operationId user_create is declared twice")

    def test_duplicate_command(self):
        self.refuse("verb: delete, args: [name], example: dvara user delete alice",
                    "verb: create, args: [name], example: dvara user create alice",
                    "the command user create is declared twice")

    def test_same_path_under_other_names(self):
        more = GOOD.replace("/v1/users/{name}:\n    delete", "/v1/users/{id}:\n    delete") \
                   .replace("{name: name, in: path", "{name: id, in: path") \
                   .replace("user_delete", "other_delete").replace("args: [name]", "args: [id]") \
                   .replace("verb: delete", "verb: drop").replace("user delete", "user drop")
        other = GOOD.replace("room: auth", "room: other")
        result = self.run_on(GOOD, more[:more.index("commands:")].replace(
            "nouns: {user: People., version: The version.}\n", ""))
        self.assertEqual(result.returncode, 1)
        self.assertIn("the path DELETE /v1/users/{} is declared twice", result.stderr)
        self.assertIn("schema", self.run_on(GOOD, other).stderr)

    def test_unknown_key(self):
        self.refuse("x-permission: view_users", "x-permision: view_users",
                    "unknown key x-permision; did you mean x-permission?")

    def test_repeated_key(self):
        self.refuse("      summary: Make a user.\n", "      summary: A.\n      summary: B.\n",
                    "the key 'summary' stands twice")

    def test_unknown_schema_keyword(self):
        self.refuse("maxLength: 254", "maxLenght: 254", "unknown key maxLenght; did you mean maxLength?")

    def test_unknown_reference(self):
        self.refuse("schemas/User'}}\n    post", "schemas/Usr'}}\n    post", "no schema #/components/schemas/Usr")

    def test_recursive_schema(self):
        self.refuse("{name: {type: string}}}", "{name: {$ref: '#/components/schemas/User'}}}",
                    "the schema User holds itself")

    def test_bad_pattern(self):
        self.refuse("'^[a-z]+$'", "'^[a-z+$'", "pattern:")

    def test_path_parameter_that_is_not_declared(self):
        self.refuse("  /v1/users/{name}:", "  /v1/users/{id}:", "the path's id is not among the parameters")

    def test_bad_path(self):
        self.refuse("  /v1/users/{name}:", "  /users/{name}:", "a path is /v1/ and segments")

    def test_secret_as_argument(self):
        self.refuse("flags: {mail: email}", "args: [password]", "is a secret and can't be an argument")

    def test_flag_that_every_command_has(self):
        self.refuse("flags: {mail: email}", "flags: {output: email}", "--output belongs to every command")

    def test_argument_that_is_no_field(self):
        self.refuse("args: [name]", "args: [nam]", "no parameter or field is called nam")

    def test_noun_without_description(self):
        self.refuse("user: People., ", "", "the noun user has no description")

    def test_noun_that_is_a_command_and_has_verbs(self):
        self.refuse("    noun: version\n    summary: Tell the version.\n    example: dvara version",
                    "    noun: user\n    summary: Tell the version.\n    example: dvara user",
                    "the noun user is a command itself")

    def test_verb_of_three_words(self):
        self.refuse("verb: delete, args: [name], example: dvara user delete alice",
                    "verb: delete for ever, args: [name], example: dvara user delete for ever alice",
                    "a verb is one word, or two")

    def test_verb_that_is_a_command_and_has_others_behind_it(self):
        self.refuse("verb: delete, args: [name], example: dvara user delete alice",
                    "verb: list old, args: [name], example: dvara user list old alice",
                    "the verb user list is a command itself")

    def test_required_that_is_no_property(self):
        self.refuse("required: [name, password]", "required: [name, pasword]",
                    "required pasword is no property")

    def test_body_on_get(self):
        self.refuse("      x-list: true\n", "      x-list: true\n      requestBody: {schema: {type: object, properties: {}}}\n",
                    "takes no requestBody")

    def test_list_that_is_no_get(self):
        self.refuse("      x-permission: manage_users\n", "      x-permission: manage_users\n      x-list: true\n",
                    "x-list is for GET")

    def test_two_success_answers(self):
        self.refuse("'204': {description: Gone.}", "'204': {description: Gone.}\n        '200': {description: Gone.}",
                    "responses must be one of")

    def test_no_yaml(self):
        self.refuse("room: auth", "room: [auth", "expected")

    def test_empty_file(self):
        result = self.run_on("")
        self.assertEqual(result.returncode, 1)
        self.assertIn("must be a mapping", result.stderr)

    def test_all_problems_at_once(self):
        text = GOOD.replace("      x-permission: manage_users\n", "")
        result = self.run_on(text)
        self.assertEqual(result.stderr.count("x-permission is missing"), 2)


if __name__ == "__main__":
    sys.exit(unittest.main())
