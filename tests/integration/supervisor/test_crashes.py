# SPDX-License-Identifier: Apache-2.0
"""A process that dies of a fault leaves a report of it, without anything of its memory."""
import os
import re
import signal

import pytest
from conftest import children, wait_until
from test_support import check_manifest, unpacked

PLACE = re.compile(r"  [A-Za-z0-9._+?-]+\+0x[0-9a-f]+")

pytestmark = pytest.mark.ordinary_build  # sanitizers have reports of their own


def reports(instance):
    return sorted((instance.state / "crashes").iterdir())


def check_report(path, program, pid, name):
    lines = path.read_text().splitlines()
    assert path.stat().st_mode & 0o777 == 0o600
    assert lines[:3] == [f"program {program}", f"pid {pid}", f"signal {int(getattr(signal, name))} {name}"]
    assert re.fullmatch(r"build [0-9a-f]{40}", lines[5]), lines
    frames = lines[lines.index("frames, the innermost first:") + 1:]
    assert len(frames) >= 3 and all(PLACE.fullmatch(frame) for frame in frames), frames


@pytest.mark.parametrize("program", ["dvarad", "dvara-logd"])
def test_a_daemon_that_crashes_leaves_a_report(dvara, tmp_path, program):
    assert dvara.status()["crash_reports"] == 0
    pid = dvara.pid(program)
    os.kill(pid, signal.SIGSEGV)
    wait_until(lambda: dvara.came_back(program, pid), 30, "it to come back")
    [report] = reports(dvara)
    check_report(report, program, pid, "SIGSEGV")
    assert f"{program} crashed: its report is {report}" in dvara.log()
    assert f"{program} was killed by signal 11" in dvara.log()
    status = dvara.status()
    assert status["crash_reports"] == 1 and any("reports of 1 crashes" in note for note in status["notes"])
    file = tmp_path / "bundle.tar.zst"
    dvara.good("support", "bundle", "--out", file)
    members = unpacked(file, tmp_path / "new")
    check_manifest(members)
    assert members[f"crashes/{report.name}"] == report.read_bytes()


def test_a_worker_that_crashes_leaves_a_report(dvara):
    dvara.expected = "exited on signal 6"
    worker = children(dvara.pid("nginx"))[0]
    os.kill(worker, signal.SIGABRT)
    wait_until(lambda: reports(dvara), 30, "the report")
    check_report(reports(dvara)[0], "nginx", worker, "SIGABRT")
    wait_until(lambda: "exited on signal 6" in dvara.log(), 30, "nginx to say so")
    assert not list(dvara.state.rglob("core*"))
