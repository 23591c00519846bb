# SPDX-License-Identifier: Apache-2.0
"""clang-tidy, by .clang-tidy, over every compiled file.

A clean file leaves a stamp named by what went into it (the file, every header of ours that it
includes, the command, the configuration), so that only what changed is looked at again.
"""

import concurrent.futures
import functools
import hashlib
import json
import os
import pathlib
import re
import shlex
import tempfile

import compilers
from tree import run

NAME = "tidy"

PLACE = re.compile(r"^[^:]+")
FINDING = re.compile(r"(warning|error):")
# The analyzer fills hundreds of megabytes: in huge pages, got in large steps and not given back, that takes
# a tenth less time.
ENVIRONMENT = {**os.environ, "GLIBC_TUNABLES": ":".join(f"glibc.malloc.{name}" for name in (
    "hugetlb=1", "top_pad=67108864", "trim_threshold=1073741824", "mmap_threshold=1073741824"))}


def commands(tree, build):
    """(source, folder, command) of each file of ours in the compilation database."""
    database = json.loads((build / "compile_commands.json").read_text())
    found = {}
    for entry in database:
        path = (pathlib.Path(entry["directory"]) / entry["file"]).resolve()
        try:
            name = str(path.relative_to(tree.root.resolve()))
        except ValueError:
            continue
        if name in tree.files:
            found.setdefault(name, entry)
    return sorted(found.items())


def dependencies(build):
    """Object to the headers that it was compiled from, as ninja recorded them."""
    _, output = run(["ninja", "-C", build, "-t", "deps"])
    found = {}
    current = []
    for line in output.splitlines():
        if line.startswith("    "):
            current.append(line.strip())
        elif ": #deps" in line:
            current = found.setdefault(line.split(":")[0], [])
    return found


def content(path):
    return hashlib.sha256(path.read_bytes() if path.exists() else b"").digest()


def stamp_name(tree, build, content, name, entry, headers):
    digest = hashlib.sha256()
    digest.update(entry["command"].encode())
    for folder in pathlib.PurePath(name).parents:  # where clang-tidy looks
        digest.update(content(tree.root / folder / ".clang-tidy"))
    digest.update(content(tree.root / name))
    for header in sorted(headers):
        path = (build / header).resolve()
        if path.is_relative_to(tree.root.resolve()):
            digest.update(content(path))
    return digest.hexdigest()


def write_database(folder, entries):
    """clang-tidy looks at a file once for each of its commands; some have fifty."""
    (folder / "compile_commands.json").write_text(json.dumps(entries))


def tidy(tree, build, database, name):
    status, output = run(["clang-tidy", "-p", database, "--quiet", name], cwd=tree.root, env=ENVIRONMENT)
    lines = [line for line in output.splitlines() if FINDING.search(line)]
    if status != 0 and not lines:
        lines = [f"{name}: clang-tidy ended with {status}"]
    return [PLACE.sub(lambda found: os.path.relpath(build / found.group(0), tree.root), line) for line in lines]


def waiting(tree, build, stamps):
    """The files without a stamp, each with the stamp to leave when it is clean. Old stamps go."""
    headers = dependencies(build)
    remembered = functools.lru_cache(maxsize=None)(content)  # hundreds of files include the same headers
    todo = []
    known = set()
    for name, entry in commands(tree, build):
        output = entry.get("output") or shlex.split(entry["command"])[-3]
        stamp = stamps / stamp_name(tree, build, remembered, name, entry, headers.get(output, []))
        known.add(stamp)
        if not stamp.exists():
            todo.append((name, stamp))
    for old in set(stamps.iterdir()) - known:
        old.unlink()
    return todo


def check(tree):
    build = compilers.clang_build(tree)
    problems = compilers.set_up(tree, build, "clang")
    if problems:
        return problems
    stamps = build / "lint-stamps"
    stamps.mkdir(exist_ok=True)
    todo = waiting(tree, build, stamps)
    with (
        tempfile.TemporaryDirectory() as database,
        # One for each processor that waits there when another program leaves it.
        concurrent.futures.ThreadPoolExecutor(max_workers=2 * (os.cpu_count() or 1)) as pool,
    ):
        write_database(pathlib.Path(database), [entry for _, entry in commands(tree, build)])
        found_in = pool.map(lambda item: tidy(tree, build, database, item[0]), todo)
        for (_, stamp), found in zip(todo, found_in):
            problems += found
            if not found:
                stamp.touch()
    return sorted(set(problems))
