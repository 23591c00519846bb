# SPDX-License-Identifier: Apache-2.0
"""Each check of tools/lint finds a violation put before it, and lets sound code pass."""

import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tools" / "lint"))

import compilers  # noqa: E402 (found only now)
import headers  # noqa: E402
import includes  # noqa: E402
import layout  # noqa: E402
import module  # noqa: E402
import scripts  # noqa: E402
import tidy  # noqa: E402
from tree import Tree  # noqa: E402

SPDX_C = "/* SPDX-License-Identifier: Apache-2.0 */\n"
MESON = """project('probe', 'c', default_options: ['warning_level=2', 'werror=true'])
executable('probe', 'src/probe.c')
"""
SOUND = SPDX_C + "int main(void)\n{\n    return 0;\n}\n"


class TemporaryTree(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name).resolve()
        subprocess.run(["git", "init", "-q", str(self.root)], check=True)
        for config in (".clang-format", ".clang-tidy"):
            shutil.copy(ROOT / config, self.root / config)
        self.write(".gitignore", "/build/\n/build-*/\n")

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def tree(self):
        return Tree(self.root, self.root / "build")

    def assert_finds(self, problems, part):
        self.assertTrue(any(part in problem for problem in problems), problems)


class Includes(unittest.TestCase):
    def problems(self, path, *lines):
        return includes.check_text(path, "".join(f"#include {line}\n" for line in lines))

    def assert_refused(self, path, line):
        self.assertEqual(len(self.problems(path, line)), 1, (path, line))

    def assert_allowed(self, path, *lines):
        self.assertEqual(self.problems(path, *lines), [])

    def test_upwards_is_refused(self):
        order = ["base", "crypto", "store", "core", "engine/log", "room/auth/gate", "gateway"]
        for low, folder in enumerate(order):
            for high in order[low + 1 :]:
                self.assert_refused(f"{folder}/x.c", f'"{high}/y.h"')

    def test_downwards_is_allowed(self):
        self.assert_allowed("room/auth/control/x.c", '"engine/log/a.h"', '"core/b.h"', '"store/store.h"')
        self.assert_allowed("room/auth/control/x.c", '"room/auth/gate/a.h"', '"room/auth/control/b.h"')
        self.assert_allowed("daemon/x.c", '"gateway/nginx_conf.h"', '"room/api/control/a.h"', '"base/a.h"')
        self.assert_allowed("base/x.c", '"base/a.h"', "<stdint.h>", "<sys/stat.h>", "<yaml.h>")

    def test_engines_and_rooms_stand_alone(self):
        self.assert_refused("engine/log/x.c", '"engine/cedar/cedar.h"')
        self.assert_refused("room/auth/gate/x.c", '"room/data/gate/data_gate.h"')
        self.assert_refused("gateway/x.c", '"daemon/config.h"')
        self.assert_refused("gateway/x.c", '"cli/cli.h"')
        self.assert_refused("daemon/x.c", '"cli/cli.h"')

    def test_request_path_reaches_no_database(self):
        self.assert_refused("room/auth/gate/x.c", '"room/auth/control/x.h"')
        self.assert_refused("room/auth/gate/x.c", '"store/store.h"')
        self.assert_refused("gateway/x.c", '"store/store.h"')
        self.assert_refused("gateway/x.c", '"room/auth/control/x.h"')
        self.assert_refused("room/auth/gate/x.c", "<jansson.h>")
        self.assert_refused("room/auth/gate/x.c", "<curl/curl.h>")
        self.assert_allowed("room/auth/gate/x.c", '"store/snapshot.h"')

    def test_libraries_stay_where_they_belong(self):
        for path, header in [
            ("room/auth/control/x.c", "<openssl/evp.h>"),
            ("store/x.c", "<sodium.h>"),
            ("daemon/x.c", "<sodium/crypto_box.h>"),
            ("daemon/x.c", "<ngx_core.h>"),
            ("core/x.c", "<sqlite3.h>"),
            ("room/auth/control/x.c", "<lmdb.h>"),
            ("base/x.c", "<jansson.h>"),
            ("core/x.c", "<yaml.h>"),
            ("room/data/gate/x.c", "<hs.h>"),
            ("base/x.c", "<unheard_of.h>"),
        ]:
            self.assert_refused(path, header)
        self.assert_allowed("crypto/x.c", "<openssl/evp.h>", "<sodium.h>")
        self.assert_allowed("store/x.c", "<sqlite3.h>", "<lmdb.h>")
        self.assert_allowed("gateway/x.h", "<ngx_http.h>")
        self.assert_allowed("room/auth/control/x.c", "<jansson.h>")

    def test_names_are_written_in_full(self):
        self.assert_refused("base/x.c", '"y.h"')
        self.assert_refused("base/x.c", '"../crypto/hash.h"')
        self.assert_refused("base/x.c", '"elsewhere/y.h"')
        self.assert_refused("base/x.c", '"base/../crypto/hash.h"')

    def test_generated_tables(self):
        self.assert_allowed("daemon/x.c", '"api/operations.h"')
        self.assert_allowed("room/auth/control/x.c", '"api/operations.h"')
        self.assert_allowed("cli/x.c", '"api/commands.h"')
        self.assert_refused("room/auth/gate/x.c", '"api/operations.h"')

    def test_spacing_hides_nothing(self):
        problems = includes.check_text("base/x.c", '  #  include   "crypto/hash.h"\n')
        self.assertEqual(len(problems), 1)


class Headers(TemporaryTree):
    def test_licence_comes_first(self):
        self.write("src/base/a.c", "int x;\n" + SPDX_C)
        self.write("src/base/b.c", SPDX_C)
        self.write("tools/c", "#!/bin/sh\necho\n")
        self.write("tools/d", "#!/bin/sh\n# SPDX-License-Identifier: Apache-2.0\n")
        problems = headers.check(self.tree())
        self.assertEqual([problem.split(":")[0] for problem in problems], ["src/base/a.c", "tools/c"])

    def test_public_functions_are_must(self):
        text = """dv_must dv_result dv_good(int a);
dv_result dv_bad(int a);
extern dv_result
dv_also_bad(void);
/* dv_result dv_in_a_comment(void); */
typedef dv_result (*dv_pointer)(int a);
typedef dv_result dv_function(int a);
struct s {
    dv_result (*member)(void);
};
static inline dv_result dv_inline(void);
"""
        found = headers.must_problems("x.h", text)
        self.assertEqual(len(found), 2, found)
        self.assertIn("x.h:2: dv_bad", found[0])
        self.assertIn("x.h:4: dv_also_bad", found[1])


class Layout(TemporaryTree):
    def test_layout(self):
        self.write("src/probe.c", SOUND)
        self.assertEqual(layout.check(self.tree()), [])
        self.write("src/probe.c", SPDX_C + "int main(void){return 0;}\n")
        self.assert_finds(layout.check(self.tree()), "src/probe.c:2")


class Scripts(TemporaryTree):
    def test_python(self):
        self.write("tools/x.py", "import os\n")
        self.assert_finds(scripts.check(self.tree()), "'os' imported but unused")

    def test_python_without_suffix(self):
        self.write("tools/x", "#!/usr/bin/env python3\nprint(nothing)\n")
        self.assert_finds(scripts.check(self.tree()), "undefined name 'nothing'")

    def test_shell(self):
        self.write("tools/x", "#!/bin/sh\ncd /tmp\nrm -rf x\n")
        self.assert_finds(scripts.check(self.tree()), "SC2164")

    def test_sound_scripts(self):
        self.write("tools/x.py", "print(1)\n")
        self.write("tools/x", "#!/bin/sh\necho 1\n")
        self.assertEqual(scripts.check(self.tree()), [])


class Compilers(TemporaryTree):
    def test_warning_of_either_compiler(self):
        self.write("meson.build", MESON)
        self.write("src/probe.c", "int main(void)\n{\n    int unused;\n    return 0;\n}\n")
        problems = compilers.check(self.tree())
        self.assert_finds(problems, "gcc: ")
        self.assert_finds(problems, "clang: ")
        self.assert_finds(problems, "unused")
        self.write("src/probe.c", SOUND)
        self.assertEqual(compilers.check(self.tree()), [])


class Tidy(TemporaryTree):
    def check(self):
        tree = self.tree()
        self.assertEqual(compilers.compile_with(tree, compilers.clang_build(tree), "clang"), [])
        return tidy.check(tree)

    def stamps(self):
        return len(list((self.root / "build-clang" / "lint-stamps").iterdir()))

    def test_finding_in_a_header_too(self):
        self.write("meson.build", MESON)
        self.write("src/probe.c", SPDX_C + '#include "probe.h"\n\nint main(void)\n{\n    return probe(0);\n}\n')
        self.write("src/probe.h", SPDX_C + "static inline int probe(int x)\n{\n    return x;\n}\n")
        self.assertEqual(self.check(), [])
        self.assertEqual(self.stamps(), 1)
        self.write("src/probe.h", SPDX_C + "static inline int probe(int x)\n{\n    return 1 / x;\n}\n")
        self.assert_finds(self.check(), "src/probe.h:4")
        self.assertEqual(self.stamps(), 0)

    def test_a_configuration_that_came_later(self):
        self.write("meson.build", MESON)
        self.write("src/probe.c", SPDX_C + "int main(void)\n{\n    return 42;\n}\n")
        self.assertEqual(self.check(), [])
        self.write("src/.clang-tidy", "Checks: '-*,readability-magic-numbers'\nWarningsAsErrors: '*'\n")
        self.assert_finds(self.check(), "readability-magic-numbers")
        self.assertEqual(self.stamps(), 0)

    def test_long_function(self):
        self.write("meson.build", MESON)
        body = "    x = x + 1;\n" * 70
        self.write("src/probe.c", f"int main(void)\n{{\n    int x = 0;\n{body}    return x;\n}}\n")
        self.assert_finds(self.check(), "readability-function-size")


class Module(TemporaryTree):
    def build_module(self, source, *libraries):
        self.write("x.c", source)
        path = self.root / "build" / module.MODULE
        path.parent.mkdir(exist_ok=True)
        subprocess.run(
            ["gcc", "-shared", "-fPIC", "-Wl,--no-as-needed", "-o", path, self.root / "x.c", *libraries],
            check=True,
        )
        return module.check(self.tree())

    def test_linked_library(self):
        problems = self.build_module("int x;\n", "-lsqlite3", "-ljansson")
        self.assert_finds(problems, "linked with libsqlite3")
        self.assert_finds(problems, "linked with libjansson")

    def test_symbol_linked_in_statically(self):
        problems = self.build_module("__attribute__((used)) static int sqlite3_open(void) { return 1; }\n")
        self.assert_finds(problems, "sqlite3_open")

    def test_sound_module(self):
        self.assertEqual(self.build_module("int ngx_http_dvara_module;\n"), [])

    def test_absent_module(self):
        self.assert_finds(module.check(self.tree()), "not there")


if __name__ == "__main__":
    unittest.main()
