#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes a fuzz target's starter: wrap.py OUT LAUNCH ARGUMENT...: a script that is called like any
libFuzzer program."""
import os
import shlex
import sys

out = os.path.abspath(sys.argv[1])
with open(out, "w", encoding="utf-8") as script:
    script.write(f'#!/bin/sh\nexec {shlex.join(sys.argv[2:])} --name {shlex.quote(out)} -- "$@"\n')
os.chmod(out, 0o755)
