# SPDX-License-Identifier: Apache-2.0
"""Everything compiles without a warning under gcc and under clang."""

import os

from tree import run

NAME = "compilers"

KEEP = ("error:", "warning:", "undefined reference", "FAILED:", "ERROR:")


def clang_build(tree):
    return tree.build.parent / "build-clang"


# Nobody runs what comes of clang, and its warnings come before it optimizes, which is half of its work;
# _FORTIFY_SOURCE wants to be optimized. Binutils' gold links in two fifths of the time.
CLANG = ["-Doptimization=0", "-Ddebug=false", "-Dc_args=-U_FORTIFY_SOURCE", "-Dc_link_args=-fuse-ld=gold"]


def set_up(tree, build, compiler):
    if (build / "build.ninja").exists():
        return []
    options = CLANG if compiler == "clang" else []
    status, output = run(
        ["meson", "setup", build, tree.root, "-Dwerror=true", *options], env={**os.environ, "CC": compiler})
    return [] if status == 0 else [f"{compiler}: meson setup failed", *output.splitlines()[-15:]]


def compile_with(tree, build, compiler):
    problems = set_up(tree, build, compiler)
    if problems:
        return problems
    status, output = run(["ninja", "-C", build, "-k", "0"])
    if status == 0:
        return []
    lines = [line for line in output.splitlines() if any(word in line for word in KEEP)]
    return [f"{compiler}: {line}" for line in lines] or [f"{compiler}: ninja ended with {status}"]


def check(tree):
    return compile_with(tree, tree.build, "gcc") + compile_with(tree, clang_build(tree), "clang")
