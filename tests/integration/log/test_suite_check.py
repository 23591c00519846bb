# SPDX-License-Identifier: Apache-2.0
"""The check that ends every Dvara of the tests finds an event that is not OCSF in a real log."""
import json
import subprocess

import pytest
import suite

from conftest import BUILD, Logd, wait_until

pytestmark = pytest.mark.skipif(not suite.SUITE.present, reason=f"no OCSF schema at {suite.VECTORS}/ocsf")

LIFECYCLE = {
    "metadata": {"version": "1.8.0", "product": {"name": "Dvara", "vendor_name": "Dvara"}, "profiles": [],
                 "event_code": "lifecycle"},
    "time": 1790000000123, "class_uid": 6002, "category_uid": 6, "type_uid": 600203, "activity_id": 3,
    "severity_id": 1, "app": {"name": "test"},
}


@pytest.fixture(name="log_of")
def make_log(tmp_path):
    """A state directory whose log holds these events."""
    def log_of(*events):
        log = Logd(tmp_path)
        lines = "".join(json.dumps(event, separators=(",", ":")) + "\n" for event in events)
        try:
            log.start()
            subprocess.run([BUILD / "tests/integration/log/spool_writer", log.runtime, log.spool, "x", "0"],
                           input=lines, text=True, check=True, timeout=20)
            wait_until(lambda: log.status()["size"] > len(events), "the events are in the log")
        finally:
            log.end()
            log.errors.close()
        return log.state
    return log_of


def test_good_events_pass(log_of):
    suite.Suite().check_state(BUILD, log_of(LIFECYCLE, {**LIFECYCLE, "severity_id": 2}))


def test_a_wrong_event_is_found(log_of):
    state = log_of(LIFECYCLE, {**LIFECYCLE, "severity_id": 7}, LIFECYCLE)
    with pytest.raises(AssertionError, match="severity_id: 7 is not one of"):
        suite.Suite().check_state(BUILD, state)


def test_a_log_that_can_not_be_read_is_told(log_of):
    state = log_of(LIFECYCLE)
    (state / "log" / "checkpoint").write_text("none")
    with pytest.raises(AssertionError, match="the log can not be read"):
        suite.Suite().check_state(BUILD, state)
    run = suite.Suite()
    run.check_state(BUILD, state, damaged=True)
    assert len(run.unread) == 1 and "1 damaged logs not read" in run.summary()
