# SPDX-License-Identifier: Apache-2.0
"""Starting, ending, dying and coming back."""
import concurrent.futures
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import pytest

from conftest import BODY, BUILD, alive, children, free_port, wait_until
from support import PATIENCE

SLOW = BODY.replace(b"hello", b"slowly")
ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def test_up_serves_and_down_ends_everything(make):
    dvara = make()
    said = dvara.up()
    assert "Dvara is ready" in said and dvara.listen in said and "admin-credentials" in said
    status = dvara.status()
    assert status["ready"] and status["gate"] == dvara.listen and status["admin"] == dvara.admin
    assert [one["name"] for one in status["processes"]] == ["dvara-logd", "dvarad", "nginx"]
    assert all(one["state"] == "running" and one["pid"] and one["restarts"] == 0
               for one in status["processes"])
    assert dvara.ask(dvara.key()) == 200
    pids = dvara.all_pids()
    began = time.monotonic()
    assert "ended" in dvara.good("down")
    assert time.monotonic() - began < 5 * PATIENCE
    assert [pid for pid in pids if alive(pid)] == []
    assert not pathlib.Path(status["runtime_dir"]).exists(), "memory is given back"
    assert "not running" in dvara.refused("status")
    assert "no Dvara runs with" in dvara.refused("user", "list")
    assert "not running" in dvara.refused("down")


def test_what_was_made_is_still_there_after_a_restart(dvara):
    key = dvara.key()
    dvara.good("down")
    dvara.up()
    assert dvara.ask(key) == 200


def test_a_second_one_on_the_same_state_is_refused(dvara):
    said = dvara.refused(*dvara.up_words())
    assert "already running" in said and "dvara down" in said
    assert dvara.ready()


def test_several_instances_live_side_by_side(make):
    one, two = make(), make()
    one.up()
    two.up()
    key = one.key()
    assert one.ask(key) == 200
    assert two.ask(key) == 401
    one.good("down")
    assert two.ready() and two.ask(two.key()) == 200


@pytest.mark.parametrize("name", ["dvara-logd", "dvarad", "nginx"])
def test_a_killed_process_comes_back(dvara, name):
    key = dvara.key()
    before = dvara.pid(name)
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: dvara.came_back(name, before), 15, f"{name} is back")
    wait_until(lambda: dvara.ask(key) == 200, 10, "requests are served again")
    assert {one["name"]: one["restarts"] for one in dvara.status()["processes"]}[name] == 1
    dvara.key("bob")


def test_a_killed_worker_comes_back(dvara):
    key = dvara.key()
    before = set(children(dvara.pid("nginx")))
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: set(children(dvara.pid("nginx"))) - before, 10, "a new worker")
    wait_until(lambda: dvara.ask(key) == 200, 10, "requests are served again")


def test_no_worker_outlives_its_master(dvara):
    master = dvara.pid("nginx")
    workers = children(master)
    os.kill(master, signal.SIGKILL)
    wait_until(lambda: dvara.came_back("nginx", master), 15, "nginx is back")
    assert [pid for pid in workers if alive(pid)] == []


def test_all_killed_at_once_come_back(dvara):
    key = dvara.key()
    for one in dvara.status()["processes"]:
        os.kill(one["pid"], signal.SIGKILL)
    wait_until(lambda: dvara.ready() and dvara.ask(key) == 200, 20, "everything is back")


def test_a_killed_supervisor_leaves_nothing_and_up_recovers(dvara):
    key = dvara.key()
    pids = dvara.all_pids()
    os.kill(dvara.status()["pid"], signal.SIGKILL)
    wait_until(lambda: not [pid for pid in pids if alive(pid)], 10, "the others have gone too")
    assert "not running" in dvara.refused("status")
    dvara.up()
    assert dvara.ask(key) == 200


def test_up_at_once_after_the_supervisor_was_killed(dvara):
    key = dvara.key()
    os.kill(dvara.status()["pid"], signal.SIGKILL)
    dvara.up()
    assert dvara.ask(key) == 200


def test_down_lets_a_request_finish(dvara):
    key = dvara.key()
    with concurrent.futures.ThreadPoolExecutor() as pool:
        slow = pool.submit(dvara.ask, key, SLOW)
        time.sleep(0.5)
        dvara.good("down")
        assert slow.result() == 200


def test_detach_keeps_no_descriptor_of_the_caller(make):
    dvara = make()
    reading, writing = os.pipe()
    try:
        os.set_inheritable(writing, True)
        # capture_output: a held pipe would keep this call from returning.
        dvara.up(pass_fds=[writing], seconds=30)
        kept = f"pipe:[{os.fstat(writing).st_ino}]"
        for pid in dvara.all_pids():
            links = []
            for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir():
                try:
                    links.append(os.readlink(fd))
                except OSError:
                    pass
            assert kept not in links, pid
    finally:
        os.close(reading)
        os.close(writing)


def test_in_the_foreground_ctrl_c_ends_it(make):
    dvara = make()
    words = [str(word) for word in dvara.up_words() if word != "--detach"]
    process = subprocess.Popen([str(BUILD / "dvara"), *words, "--state", str(dvara.state)], text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_until(dvara.ready, 30, "it is ready")
    pids = dvara.all_pids()
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=20)
    assert process.returncode == 0 and "Ctrl-C" in said
    assert [pid for pid in pids if alive(pid)] == []


def test_a_busy_port_is_told(make):
    dvara = make()
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        dvara.listen = f"http://127.0.0.1:{busy.getsockname()[1]}"
        said = dvara.refused(*dvara.up_words())
    assert "in use" in said and str(busy) not in said and "--listen" in said
    assert "not running" in dvara.refused("status")


def test_a_busy_default_admin_port_is_evaded(make):
    dvara = make()
    with socket.socket() as busy:
        busy.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            busy.bind(("127.0.0.1", 8444))
            busy.listen()
        except OSError:
            pass  # another program has it: as good
        dvara.good("up", "--detach", "--listen", dvara.listen, "--upstream", dvara.upstream)
        admin = dvara.status()["admin"]
    assert admin.startswith("http://127.0.0.1:") and not admin.endswith(":8444")
    assert admin in dvara.log()


def test_two_that_start_at_once_do_not_fight_for_the_admin_port(make):
    def start(dvara):
        dvara.good("up", "--detach", "--listen", dvara.listen, "--upstream", dvara.upstream)
        return dvara.status()["admin"]
    with concurrent.futures.ThreadPoolExecutor() as pool:
        admins = list(pool.map(start, [make() for _ in range(3)]))
    assert len(set(admins)) == 3


def test_what_up_needs_is_asked_for(make):
    dvara = make()
    assert "--upstream" in dvara.refused("up", "--detach", "--listen", dvara.listen)
    assert "loopback" in dvara.refused("up", "--detach", "--listen", f"http://0.0.0.0:{free_port()}",
                                       "--upstream", dvara.upstream)


def test_a_daemon_that_can_not_start_is_told_with_its_words(dvara):
    dvara.good("down")
    key = dvara.state / "keys/master.key"
    key.write_bytes(b"short")
    said = dvara.refused(*dvara.up_words())
    assert "dvarad ended" in said and "master" in said


def test_no_secret_reaches_the_log(dvara):
    key = dvara.key()
    dvara.ask(key)
    dvara.ask(key[:-1] + ("y" if key.endswith("x") else "x"))
    dvara.run("apikey", "revoke", key)
    assert key not in dvara.log() and key[13:] not in dvara.log()


def test_output_json(make):
    dvara = make()
    status = dvara.json(*dvara.up_words())
    assert status["ready"] and status["state_dir"] == str(dvara.state)
    assert status["admin_credentials"] == str(dvara.state / "admin-credentials")


@ROOT_ONLY
def test_root_gives_each_process_a_user_of_its_own(dvara):
    def user(pid):
        return int(pathlib.Path(f"/proc/{pid}/status").read_text().split("Uid:")[1].split()[1])
    users = {name: user(dvara.pid(name)) for name in ("dvara-logd", "dvarad")}

    def of_workers():
        return {user(pid) for pid in children(dvara.pid("nginx"))}
    wait_until(lambda: 0 not in of_workers(), 10, "each worker is the gate's user")  # it begins as root
    workers = of_workers()
    assert 0 not in users.values()
    assert len({*users.values(), *workers}) == 3

    def owner(path):
        status = (dvara.state / path).stat()
        return status.st_uid, status.st_mode & 0o777
    assert owner("dvara.db") == (users["dvarad"], 0o600)
    assert owner("keys/master.key") == (users["dvarad"], 0o600)
    assert owner("keys/log") == (users["dvara-logd"], 0o700)
    assert owner("log") == (users["dvara-logd"], 0o700)
    assert owner(".")[1] & 0o007 == 0
    assert owner("spool/dvarad") == (users["dvarad"], 0o775)
    assert owner("spool/gateway")[0] in workers and owner("spool")[0] == users["dvara-logd"]


@ROOT_ONLY
def test_a_worker_writes_as_a_worker_alone(dvara, request):
    """Neither into another's folder nor into its own in another's name."""
    worker = (dvara.state / "spool/gateway").stat()
    spool = dvara.state / "spool"
    own = pathlib.Path(tempfile.mkdtemp(prefix="dvara-forged-"))  # pytest shuts its own to other users, at any time
    request.addfinalizer(lambda: shutil.rmtree(own))
    own.chmod(0o755)
    (own / "test").mkdir()
    os.chown(own / "test", worker.st_uid, -1)

    def write(where):
        return subprocess.run([BUILD / "tests/integration/log/spool_writer", (dvara.state / "runtime").resolve(), where,
                               "forged", "3"], user=worker.st_uid, group="www-data", extra_groups=[],
                              capture_output=True, text=True)
    assert "can not make a spool segment" in write(spool).stderr
    for path in (spool / "test", spool / "dvarad/test", spool / "collect/test"):
        done = subprocess.run(["touch", path], user=worker.st_uid, group="www-data", capture_output=True, text=True)
        assert "Permission denied" in done.stderr
    assert write(own).returncode == 0
    forged = next((own / "test").glob("*.seg"))
    subprocess.run(["sh", "-c", f"cp {forged} {spool}/gateway/copy; mv {spool}/gateway/copy {spool}/gateway/{forged.name}"],
                   user=worker.st_uid, group="www-data", check=True)
    wait_until((spool / "gateway" / f"{forged.name}.refused").exists, 10, "it is refused")
    wait_until(lambda: dvara.json("audit", "search", "event:alarm")["items"], 10, "it is told")
    alarm = dvara.json("audit", "search", "event:alarm")["items"][0]
    assert "in the spool folder gateway claims to be of test" in json.dumps(alarm)
    assert dvara.json("audit", "search", "request:forged-0")["items"] == []
    assert dvara.json("audit", "status")["refused"] == 1 and dvara.json("audit", "status")["waiting"] == 0


@ROOT_ONLY
def test_root_below_a_folder_that_others_may_not_enter(make):
    dvara = make(mode=0o700)
    dvara.up()
    assert dvara.ask(dvara.key()) == 200
    dvara.good("down")
    dvara.up()
    assert dvara.ready()


@ROOT_ONLY
def test_as_an_ordinary_user(make):
    dvara = make(prefix=["setpriv", "--reuid=23456", "--regid=23456", "--clear-groups", "env", "-u",
                         "HOME", "-u", "XDG_RUNTIME_DIR"])
    os.chown(dvara.folder, 23456, 23456)
    # The checkout may lie where only root gets in.
    dvara.programs = dvara.folder / "programs"
    dvara.programs.mkdir()
    for name in ("dvara", "dvarad", "dvara-logd", "ngx_http_dvara_module.so"):
        shutil.copy(BUILD / name, dvara.programs)
    dvara.up()
    assert dvara.ask(dvara.key()) == 200
    assert {entry.stat().st_uid for entry in dvara.state.rglob("*")} == {23456}
    assert dvara.state.stat().st_mode & 0o777 == 0o700
    master = dvara.pid("nginx")
    os.kill(master, signal.SIGKILL)
    wait_until(lambda: dvara.came_back("nginx", master), 15, "nginx is back")


@ROOT_ONLY
def test_a_configuration_that_another_user_put_there_is_refused(dvara):
    planted = dvara.state / "dvara.yaml"
    planted.write_text("workers: 1\n")
    os.chown(planted, dvara.state.stat().st_uid, -1)
    assert "belongs to the user" in dvara.refused("reload")
