# SPDX-License-Identifier: Apache-2.0
"""The checks of events find what is wrong, with each rule broken in turn."""
import copy
import json
import subprocess

import pytest
import suite
import validate

from conftest import BUILD, ROOT

pytestmark = pytest.mark.skipif(not suite.SUITE.present, reason=f"no OCSF schema at {suite.VECTORS}/ocsf")


@pytest.fixture(scope="module", name="events")
def make_events():
    """One event of each kind that the builders write."""
    lines = subprocess.run([BUILD / "tests/unit/core/print_events"], check=True, capture_output=True,
                           text=True).stdout.splitlines()
    events = {}
    for event in map(json.loads, lines):
        events.setdefault(event["metadata"]["event_code"], event)
    return events


@pytest.fixture(scope="module", name="schema")
def make_schema():
    return validate.Schema(suite.VECTORS / "ocsf")


def put(event, path, value):
    *above, last = path.split(".")
    for name in above:
        event = event[int(name) if name.isdigit() else name]
    event[last] = value


def take(event, path):
    *above, last = path.split(".")
    for name in above:
        event = event[name]
    del event[last]


# kind, what is done to it, words of the fault
BROKEN = {
    "enumeration": ("request.open", lambda e: put(e, "severity_id", 7), "is not one of"),
    "enumerated text": ("request.open", lambda e: put(e, "http_request.http_method", "BREW"), "is not one of"),
    "no class": ("lifecycle", lambda e: put(e, "class_uid", 6999), "no class 6999"),
    "another category": ("lifecycle", lambda e: put(e, "category_uid", 3), "category_uid: is not 6"),
    "another type": ("lifecycle", lambda e: put(e, "type_uid", 600299), "is not class_uid * 100"),
    "required": ("request.open", lambda e: take(e, "api"), "api: is required"),
    "required below": ("entity.change", lambda e: take(e, "metadata.product"), "product: is required"),
    "unknown": ("request.open", lambda e: put(e, "prompt", "hi"), "no attribute of api_activity"),
    "unknown below": ("access.change", lambda e: put(e, "user.shoe_size", 44), "no attribute of user"),
    "a number as text": ("request.open", lambda e: put(e, "time", "now"), "is no timestamp_t"),
    "a flag as number": ("alarm", lambda e: put(e, "is_alert", 1), "is no boolean_t"),
    "a fraction": ("network.refused", lambda e: put(e, "count", 1.5), "is no integer_t"),
    "too large": ("network.refused", lambda e: put(e, "count", 1 << 31), "is no integer_t"),
    "no list": ("access.change", lambda e: put(e, "privileges", "all"), "is not an array"),
    "no object": ("request.open", lambda e: put(e, "actor", "alice"), "is not an object"),
    "address": ("request.open", lambda e: put(e, "src_endpoint.ip", "nowhere"), "does not look like ip_t"),
    "port": ("request.open", lambda e: put(e, "src_endpoint.port", 65536), "out of range"),
    "profile not declared": ("data.finding", lambda e: put(e, "metadata.profiles", []), "needs the profile"),
    "profile not had": ("config.state", lambda e: put(e, "metadata.profiles", ["ai_operation"]), "has no profile"),
    "at least one": ("session.authorize", lambda e: take(e, "privileges"), "needs at least one of"),
    "at least one below": ("request.open", lambda e: put(e, "src_endpoint", {"port": 1}), "needs at least one of"),
    "just one": ("evidence", lambda e: put(e, "query_evidence.user", {"name": "x"}), "needs just one of"),
    "version": ("alarm", lambda e: put(e, "metadata.version", "new"), "is no version"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_rule_is_found(events, schema, what):
    kind, damage, words = BROKEN[what]
    event = copy.deepcopy(events[kind])
    assert validate.check_event(schema, event) == []
    damage(event)
    assert any(words in fault for fault in validate.check_event(schema, event))


@pytest.mark.parametrize("what", BROKEN)
def test_it_is_found_behind_good_ones_of_nearly_its_shape(events, what):
    kind, damage, _ = BROKEN[what]
    run = suite.Suite()
    run.check_events([events[kind]] * 3, "good ones")
    event = copy.deepcopy(events[kind])
    damage(event)
    with pytest.raises(AssertionError, match="events that are not OCSF"):
        run.check_events([events[kind], event], "one bad")


def test_only_the_first_of_a_shape_is_checked(events):
    run = suite.Suite()
    other = copy.deepcopy(events["request.open"])
    other["actor"]["user"]["name"] = "somebody else"
    other["src_endpoint"]["ip"] = "192.0.2.200"
    run.check_events([events["request.open"], other], "two")
    assert (run.events, len(run.shapes)) == (2, 1)


def test_a_member_twice_is_found(schema):
    faults = list(validate.check_lines(schema, ['{"class_uid":6002,"class_uid":6002}']))
    assert "a member twice" in faults[0][1]


def test_every_kind_of_event_is_documented(events):
    text = (ROOT / "docs/audit.md").read_text()
    assert [kind for kind in events if f"`{kind}`" not in text] == []
    assert len(events) == 22
