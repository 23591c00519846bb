# SPDX-License-Identifier: Apache-2.0
"""Layers: a file includes downwards only, and a library's header only where the library belongs.

base < crypto < store < core < engine < room < gateway, daemon, cli. An engine includes no other
engine, a room no other room, a room's gate neither its control part nor anything that blocks.
"""

import re

NAME = "includes"

RANKS = {
    "base": 0,
    "crypto": 1,
    "store": 2,
    "core": 3,
    "engine": 4,
    "room": 5,
    "gateway": 6,
    "daemon": 6,
    "cli": 6,
}

# At the top each stands alone, but for these: the supervisor writes nginx.conf, the command line
# starts the supervisor.
TOP_MAY_INCLUDE = {"gateway": {"gateway"}, "daemon": {"daemon", "gateway"}, "cli": {"cli", "daemon"}}

# Made from api/*.yaml by tools/generate.
GENERATED = {"api/operations.h": ["daemon/", "room/*/control/"], "api/commands.h": ["cli/"]}

# What the request path must not reach: it would block, or link a database.
NOT_ON_THE_REQUEST_PATH = re.compile(r"^(store/store\.h|room/[a-z_]+/control/.*|daemon/.*|cli/.*)$")

# Folders (prefixes below src/) that may include a library's header.
LIBRARIES = [
    (re.compile(r"^openssl/"), ["crypto/"]),
    (re.compile(r"^sodium(/.*)?(\.h)?$"), ["crypto/"]),
    (re.compile(r"^p11-kit/"), ["crypto/"]),
    (re.compile(r"^(ngx_.*|nginx)\.h$"), ["gateway/"]),
    (re.compile(r"^sqlite3\.h$"), ["store/"]),
    (re.compile(r"^libpq-fe\.h$"), ["store/", "engine/scan/"]),
    (re.compile(r"^(archive|archive_entry|expat)\.h$"), ["engine/scan/"]),
    (re.compile(r"^lmdb\.h$"), ["store/"]),
    (re.compile(r"^yaml\.h$"), ["base/", "cli/"]),
    (re.compile(r"^zstd\.h$"), ["engine/log/"]),
    (re.compile(r"^zlib\.h$"), ["engine/detect/"]),
    (re.compile(r"^hs(/.*)?(\.h)?$"), ["engine/detect/"]),
    (re.compile(r"^pcre2\.h$"), ["engine/detect/", "room/audit/collect/", "daemon/"]),
    (re.compile(r"^microhttpd\.h$"), ["room/audit/collect/", "daemon/"]),
    (re.compile(r"^curl/"), ["daemon/", "cli/", "room/*/control/", "room/audit/export/"]),
    (re.compile(r"^jansson\.h$"), ["core/", "daemon/", "cli/", "room/*/control/", "room/audit/export/"]),
]

# The C library, the kernel and the compiler.
SYSTEM = re.compile(
    r"^((sys|linux|netinet|net|arpa|asm)/[a-z0-9_/-]+\.h"
    r"|(assert|ctype|dirent|dlfcn|endian|errno|execinfo|fcntl|float|fnmatch|ftw|getopt|glob|grp|ifaddrs|inttypes"
    r"|libgen|limits|link|locale|malloc|math|netdb|poll|pthread|pwd|regex|sched|semaphore|setjmp|signal"
    r"|spawn|stdalign|stdarg|stdatomic|stdbool|stddef|stdint|stdio|stdio_ext|stdlib|string|strings"
    r"|syslog|termios|threads|time|unistd|wchar|emmintrin|immintrin|nmmintrin|wmmintrin|arm_acle"
    r"|arm_neon)\.h)$"
)

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]')


def folder_matches(path, pattern):
    return re.match("^" + re.escape(pattern).replace(r"\*", "[^/]+"), path) is not None


def is_gate(path):
    return path.startswith("gateway/") or re.match(r"^room/[^/]+/gate/", path) is not None


def folder_problem(path, target, folders):
    if any(folder_matches(path, folder) for folder in folders):
        return None
    return f"{target} belongs in src/{', src/'.join(folders)}"


def system_problem(path, target):
    for header, folders in LIBRARIES:
        if header.match(target):
            return folder_problem(path, f"<{target}>", folders)
    if SYSTEM.match(target):
        return None
    return f"<{target}> is in no list: say in tools/lint/includes.py which folder it belongs to"


def unit(path):
    """An engine or a room, by its first two parts; for other layers the layer."""
    parts = path.split("/")
    return "/".join(parts[:2]) if parts[0] in ("engine", "room") else parts[0]


def project_problem(path, target):
    if "/" not in target or target.startswith(".") or "/../" in target:
        return f'"{target}" must be written with its folder below src/'
    here, there = path.split("/")[0], target.split("/")[0]
    if target in GENERATED:
        return folder_problem(path, f'"{target}"', GENERATED[target])
    if there not in RANKS:
        return f'"{target}" is in no layer'
    if RANKS[there] > RANKS[here]:
        return f'"{target}" lies above {here}/'
    if RANKS[here] == 6 and RANKS[there] == 6 and there not in TOP_MAY_INCLUDE[here]:
        return f'"{target}": {here}/ and {there}/ do not know each other'
    if here == there and unit(path) != unit(target):
        return f'"{target}": {unit(path)} and {unit(target)} meet in core/, not here'
    if is_gate(path) and NOT_ON_THE_REQUEST_PATH.match(target):
        return f'"{target}" must not be reached from the request path'
    return None


def check_text(path, text):
    """Problems of one file; path is below src/."""
    problems = []
    for number, line in enumerate(text.splitlines(), 1):
        found = INCLUDE.match(line)
        if found is None:
            continue
        judge = system_problem if found.group(1) == "<" else project_problem
        problem = judge(path, found.group(2))
        if problem is not None:
            problems.append(f"src/{path}:{number}: {problem}")
    return problems


def check(tree):
    problems = []
    for name in tree.matching(".c", ".h", ".def", under="src/"):
        problems += check_text(name.removeprefix("src/"), tree.text(name))
    return problems
