# SPDX-License-Identifier: Apache-2.0
"""The nginx module, and so every worker, links no database, no HTTP server and no jansson."""

import re

from tree import run

NAME = "module"

MODULE = "ngx_http_dvara_module.so"

LIBRARIES = re.compile(r"lib(sqlite3|pq|microhttpd|jansson|curl|yaml)[-.]")
SYMBOLS = re.compile(r"^(sqlite3_|PQ[a-z]|MHD_|json_(object|array|string|integer|loads|loadb|dumps|decref)|curl_|yaml_|dv_store_|dv_op_)")


def needed_problems(dynamic):
    """dynamic: what readelf -d says."""
    names = re.findall(r"\(NEEDED\)[^\[]*\[([^\]]+)\]", dynamic)
    return [f"{MODULE} is linked with {name}" for name in names if LIBRARIES.match(name)]


def symbol_problems(symbols):
    """symbols: names, one a line, defined or not, static ones too."""
    return [f"{MODULE} has the symbol {name}" for name in sorted(set(symbols.split())) if SYMBOLS.match(name)]


def check(tree):
    path = tree.build / MODULE
    if not path.exists():
        return [f"{path} is not there: build first"]
    status, dynamic = run(["readelf", "-d", path])
    status_nm, symbols = run(["nm", "--format=just-symbols", path])
    if status != 0 or status_nm != 0:
        return [f"{path} could not be read"]
    return needed_problems(dynamic) + symbol_problems(symbols)
