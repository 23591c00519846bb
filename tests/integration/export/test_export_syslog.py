# SPDX-License-Identifier: Apache-2.0
"""Syslog into rsyslog: over TLS and TCP, through outages of either side."""
import json
import random
import re
import signal
import time

import pytest

from conftest import alert, check_complete, event
from receivers import Authority, Rsyslog
from support import wait_until


@pytest.fixture
def rsyslog(tmp_path):
    made = []

    def make(**options):
        folder = tmp_path / f"rsyslog{len(made)}"
        folder.mkdir()
        made.append(Rsyslog(folder, **options))
        return made[-1].start()
    yield make
    for one in made:
        one.end(signal.SIGKILL)


def uids(receiver):
    return [json.loads(one["msg"].strip())["metadata"]["uid"] for one in receiver.received()]


def test_rfc_5424_over_tls(house, rsyslog, authority):
    receiver = rsyslog(tls=(*authority.issue("syslog"), authority.certificate))
    house.export({"name": "x", "type": "syslog", "url": f"tls://localhost:{receiver.port}", "ca": authority.certificate})
    house.write(event(1, severity_id=3), alert("a", 2, severity=5, title="caf\u00e9 \"x\" ]"), event(3, message="y" * 50000))
    house.wait_level()
    wait_until(lambda: len(receiver.received()) >= 4, 10, "all came")
    check_complete(house, uids(receiver), duplicates=False)
    first, told = receiver.received()[1:3]
    assert (first["programname"], told["msgid"], told["pri"]) == ("dvara", "alert.raised", str(13 * 8 + 2))
    assert first["pri"] == str(13 * 8 + 4) and told["structured-data"] == f'[dvara@32473 origin="{house.origin()}" index="2"]'
    assert json.loads(told["msg"])["finding_info"]["title"] == "caf\u00e9 \"x\" ]"


def test_an_outage_of_the_receiver_loses_nothing(house, rsyslog, authority):
    receiver = rsyslog(tls=(*authority.issue("syslog"), authority.certificate))
    house.export({"name": "x", "type": "syslog", "url": f"tls://localhost:{receiver.port}", "ca": authority.certificate,
                  "batch": "16KiB"})
    for how in (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL):
        before = len(receiver.received())
        house.write(*(event(number) for number in range(1500)))
        wait_until(lambda: len(receiver.received()) > before, 20, "some came")
        receiver.end(how)
        house.write(event(1))
        wait_until(lambda: house.status()["state"] == "failing", 10, "the outage is seen")
        receiver.start()
    house.wait_level()
    wait_until(lambda: set(uids(receiver)) >= set(house.feed()), 10, "all came")
    check_complete(house, uids(receiver))


def test_killed_at_any_moment_nothing_is_lost(house, rsyslog):
    receiver = rsyslog()
    chance = random.Random(2)
    house.configure({"name": "x", "type": "syslog", "url": f"tcp://127.0.0.1:{receiver.port}", "batch": "16KiB"})
    house.write(*(event(number) for number in range(3000)))
    for _ in range(20):
        house.start("dvara-export", "--config", house.config)
        time.sleep(chance.uniform(0.01, 0.1))
        house.end("dvara-export", signal.SIGKILL)
    house.export()
    house.wait_level()
    wait_until(lambda: set(uids(receiver)) >= set(house.feed()), 10, "all came")
    check_complete(house, uids(receiver))


def test_a_receiver_that_stops_reading_is_waited_for(house, rsyslog):
    """Its kernel takes what fits into its buffer; the position stays behind what was acknowledged."""
    receiver = rsyslog()
    house.export({"name": "x", "type": "syslog", "url": f"tcp://127.0.0.1:{receiver.port}"})
    house.wait_level()
    receiver.process.send_signal(signal.SIGSTOP)
    filler = "z" * 50000
    house.write(*(event(number, message=filler) for number in range(300)))  # 15 MB
    wait_until(lambda: house.status()["behind"] > 0, 10, "it waits")
    receiver.process.send_signal(signal.SIGCONT)
    house.wait_level()
    wait_until(lambda: set(uids(receiver)) >= set(house.feed()), 10, "all came")
    check_complete(house, uids(receiver), duplicates=False)


def test_wrong_certificates_are_refused_on_both_sides(house, rsyslog, authority, tmp_path):
    (tmp_path / "other").mkdir()
    stranger = Authority(tmp_path / "other", "stranger")
    good = (*authority.issue("syslog"), authority.certificate)
    wrong = rsyslog(tls=(*stranger.issue("syslog"), stranger.certificate))
    asks = rsyslog(tls=good, client_auth=True)
    base = {"type": "syslog", "ca": authority.certificate}
    certificate, key = authority.issue("client")
    house.export({**base, "name": "wrong", "url": f"tls://localhost:{wrong.port}"},
                 {**base, "name": "without", "url": f"tls://localhost:{asks.port}", "events": ["never"]},
                 {**base, "name": "x", "url": f"tls://localhost:{asks.port}", "certificate": certificate,
                  "certificate_key": key})
    house.write(event(1))
    house.wait_level()
    wait_until(lambda: set(uids(asks)) >= set(house.feed()), 10, "with a certificate all came")
    wait_until(lambda: house.status("wrong")["state"] == "failing", 10, "the stranger is refused")
    assert "certificate" in house.status("wrong")["problem"] and not wrong.received()
    assert house.status("wrong")["next"] == 0


def test_cef_over_syslog(house, rsyslog):
    receiver = rsyslog()
    house.export({"name": "x", "type": "syslog", "url": f"tcp://127.0.0.1:{receiver.port}", "format": "cef",
                  "events": ["alert.*"], "repeat": "1h"})
    house.write(alert("r|1", 1), alert("r|1", 2), alert("r2", 3))
    house.wait_level()
    wait_until(lambda: len(receiver.received()) >= 2, 10, "all came")
    texts = [one["msg"].strip() for one in receiver.received()]
    assert all(text.startswith("CEF:0|Dvara|Dvara|") and "|alert.raised|Too many refusals|7|" in text for text in texts)
    assert [re.search(r" cs5=(\S+) ", text)[1] for text in texts] == ["r|1", "r2"]
