# SPDX-License-Identifier: Apache-2.0
"""dvara-collect and dvara-export: there while dvara.yaml has entries for them."""
import json
import os
import signal
import socket

import pytest

from conftest import BODY, alive, free_port, wait_until

OPTIONAL = {"dvara-collect": "collect", "dvara-export": "export"}


def section(name, entries):
    return f"audit:\n  {OPTIONAL[name]}: {entries}\n"


def entry(name):
    """One that is good for a start."""
    if name == "dvara-collect":
        return f'[{{type: syslog, listen: "udp://127.0.0.1:{free_port()}"}}]'
    return '[{name: x, type: syslog, url: "tcp://127.0.0.1:9"}]'


def names(dvara):
    return [one["name"] for one in dvara.status()["processes"]]


@pytest.fixture(params=sorted(OPTIONAL))
def name(request):
    return request.param


def test_it_runs_when_asked_for_and_comes_back(make, name):
    dvara = make()
    dvara.configure(section(name, entry(name)))
    dvara.up()
    assert names(dvara) == ["dvara-logd", "dvarad", "nginx", name]
    before = dvara.pid(name)
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: dvara.came_back(name, before), 15, f"{name} is back")
    pids = dvara.all_pids()
    dvara.good("down")
    assert [pid for pid in pids if alive(pid)] == []


def test_a_reload_starts_and_ends_it(make, name):
    dvara = make()
    dvara.configure("workers: 1\n")
    dvara.up()
    assert name not in names(dvara)
    dvara.configure("workers: 1\n" + section(name, entry(name)))
    dvara.good("reload")
    wait_until(lambda: dvara.ready() and name in names(dvara), 10, f"{name} runs")
    pid = dvara.pid(name)
    dvara.good("reload")
    wait_until(dvara.ready, 10, f"{name} goes on")
    assert dvara.pid(name) == pid
    dvara.configure("workers: 1\n" + section(name, "[]"))
    dvara.good("reload")
    wait_until(lambda: not alive(pid), 10, f"{name} ended")
    wait_until(lambda: name not in names(dvara), 10, f"{name} is not told of")
    assert dvara.ready()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_each_has_a_user_of_its_own(make):
    dvara = make()
    dvara.configure("audit:\n  collect: " + entry("dvara-collect") + "\n  export: " + entry("dvara-export") + "\n")
    dvara.up()
    owners = {one: os.stat(f"/proc/{dvara.pid(one)}").st_uid for one in OPTIONAL}
    status = {one: open(f"/proc/{dvara.pid(one)}/status", encoding="ascii").read() for one in names(dvara)}
    uids = [text.split("Uid:")[1].split()[1] for text in status.values()]
    assert len(set(uids)) == 5 and all("NoNewPrivs:\t1" in status[one] for one in OPTIONAL), owners


def test_a_line_comes_into_the_log(make):
    """Through the users that root gives each process, where it is root."""
    dvara = make()
    port = free_port()
    source = dvara.folder / "app.log"
    source.write_text("a line of a file\n")
    source.chmod(0o644)
    dvara.configure(f'audit:\n  collect_keep_free: 1MiB\n  collect:\n    - {{type: syslog, listen: "udp://127.0.0.1:{port}"}}\n'
                    f"    - {{type: file, path: {source}}}\n")
    dvara.up()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.sendto(b"<38>Nov 22 16:01:02 web1 sshd[7]: Failed password for root from 192.0.2.7 port 1 ssh2", ("127.0.0.1", port))

    def collected():
        lines = dvara.good("audit", "tail", "--from", "0", "--output", "jsonl").splitlines()
        events = [json.loads(one) for one in lines]
        return {one["metadata"]["event_code"] for one in events if one["metadata"]["log_source"].startswith("collect")}
    wait_until(lambda: collected() == {"collected.sshd", "collected.raw"}, 15, "both lines")


def test_the_gate_serves_though_a_port_is_taken(make):
    dvara = make()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        dvara.configure(f'audit:\n  collect: [{{type: syslog, listen: "tcp://127.0.0.1:{taken.getsockname()[1]}"}}]\n')
        dvara.up()
        assert dvara.ask(dvara.key(), BODY) == 200
        assert not dvara.ready()
        wait_until(lambda: "can not listen on" in dvara.log(), 10, "the reason is told")
    wait_until(dvara.ready, 20, "it comes up once the port is free")
