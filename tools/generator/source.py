# SPDX-License-Identifier: Apache-2.0
"""Reads YAML as dicts that know their lines, and refuses what a person can't have meant."""

import difflib

import yaml


class Map(dict):
    """A mapping with the line of its first key and of each key."""

    line = 0
    lines = {}


class Loader(yaml.SafeLoader):
    pass


def _mapping(loader, node):
    result = Map()
    result.line = node.start_mark.line + 1
    result.lines = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node)
        if not isinstance(key, (str, int)):
            raise yaml.constructor.ConstructorError(None, None, "a key must be text", key_node.start_mark)
        key = str(key)
        if key in result:
            raise yaml.constructor.ConstructorError(
                None, None, f"the key {key!r} stands twice", key_node.start_mark)
        result[key] = loader.construct_object(value_node, deep=True)
        result.lines[key] = key_node.start_mark.line + 1
    return result


Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
# Dates in examples stay text: JSON has no dates.
Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class Problems(list):
    """What is wrong, each as `file:line: what`."""

    def add(self, file, line, text):
        self.append(f"{file}:{line}: {text}")


def read(path, problems):
    """The file's top mapping, or None with a problem noted."""
    try:
        top = yaml.load(path.read_text(encoding="utf-8"), Loader)
    except OSError as error:
        problems.add(path, 0, error.strerror)
        return None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        problems.add(path, mark.line + 1 if mark else 0, getattr(error, "problem", None) or str(error))
        return None
    if not isinstance(top, Map):
        problems.add(path, 1, "the file must be a mapping")
        return None
    return top


def check_keys(file, where, mapping, required, optional, problems):
    """Notes keys that are missing or unknown; False when mapping is none."""
    if not isinstance(mapping, Map):
        problems.add(file, 0, f"{where}: must be a mapping")
        return False
    for key in required:
        if mapping.get(key) in (None, "", {}):
            problems.add(file, mapping.line, f"{where}: {key} is missing")
    known = list(required) + list(optional)
    for key in mapping:
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            problems.add(file, mapping.lines[key], f"{where}: unknown key {key}{hint}")
    return True
