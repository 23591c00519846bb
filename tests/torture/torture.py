# SPDX-License-Identifier: Apache-2.0
"""Drives libdvara_torture: a running program's next N-th call into the C library, the kernel or
nginx's pools fails. The layout of the control file is torture.h's."""
import mmap
import os
import pathlib
import shutil
import struct
import subprocess
import sys

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1] / "integration" / name)
                for name in ("supervisor", "faults")]

from supervisor_tools import BUILD  # noqa: E402

PROGRAMS = {"nginx": 0, "dvarad": 1, "dvara-logd": 2, "dvara": 3}
OBJECTS = {"nginx": BUILD / "ngx_http_dvara_module.so", "dvarad": BUILD / "dvarad",
           "dvara-logd": BUILD / "dvara-logd", "dvara": BUILD / "dvara"}
SLOT = 88
OFF, ONCE, FROM, SHORT = range(4)
MODES = {ONCE: "once", FROM: "from then on", SHORT: "short"}
MEMORY, WRITE, SYNC, NAME, SPACE, OPEN, SOCKET, READ, DATABASE = (1 << bit for bit in range(9))
ALL = 0x1ff


class Fired:
    """What a program did while it was armed."""

    def __init__(self, program, calls, count, site, function):
        self.program, self.calls, self.count = program, calls, count
        self.site, self.function = site, function

    def __str__(self):
        return f"{self.function} in {where(self.program, self.site)}" if self.count else "nothing failed"


def where(program, site):
    """The function and line of an offset in a program of ours."""
    done = subprocess.run(["addr2line", "-f", "-s", "-e", OBJECTS[program], hex(max(site - 1, 0))],
                          capture_output=True, text=True, check=False)
    return " ".join(done.stdout.split()) or hex(site)


class Torture:
    """A copy of the library with its control file, in a folder that every user may enter."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        folder.chmod(0o777)
        self.library = folder / "libdvara_torture.so"
        shutil.copy(BUILD / "tests/torture/libdvara_torture.so", self.library)
        self.library.chmod(0o755)
        control = folder / "control"
        control.write_bytes(bytes(SLOT * len(PROGRAMS)))
        control.chmod(0o666)
        with control.open("r+b") as file:
            self.map = mmap.mmap(file.fileno(), SLOT * len(PROGRAMS))

    def environment(self):
        return {**os.environ, "LD_PRELOAD": str(self.library)}

    def put(self, program, offset, form, value):
        struct.pack_into(form, self.map, PROGRAMS[program] * SLOT + offset, value)

    def get(self, program, offset, form):
        return struct.unpack_from(form, self.map, PROGRAMS[program] * SLOT + offset)[0]

    def watch(self, program, pid):
        """Whose calls count, and whose memory is told; 0: all of the program's processes."""
        self.put(program, 8, "=I", pid)

    def arm(self, program, number, mode=ONCE, kinds=ALL):
        """number 0: nothing fails, calls are only counted."""
        self.put(program, 0, "=I", OFF)
        self.put(program, 4, "=I", kinds)
        self.put(program, 12, "=I", 0)
        self.put(program, 16, "=Q", number)
        self.put(program, 24, "=Q", 0)
        self.put(program, 0, "=I", mode)

    def disarm(self, program):
        self.put(program, 0, "=I", OFF)
        begin = PROGRAMS[program] * SLOT + 52
        function = bytes(self.map[begin:begin + 28]).split(b"\0")[0].decode()
        return Fired(program, self.get(program, 24, "=Q"), self.get(program, 12, "=I"),
                     self.get(program, 32, "=Q"), function)

    def set_clock(self, program, seconds):
        """How far the wall clock of all the program's processes is off."""
        self.put(program, 80, "=q", seconds)

    def live(self, program):
        return self.get(program, 40, "=Q")
