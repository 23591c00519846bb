# SPDX-License-Identifier: Apache-2.0
"""A running Dvara leaves events of each kind that is promised (FEATURES.md, AUD-7.1 and AUD-7.2)."""
import contextlib
import json
import socket
import urllib.error
import urllib.parse
import urllib.request

import pytest

from support import wait_until

CONFIG = "masking:\n  request: {default: mask, detectors: {private_key: block}}\n"
PRIVATE_KEY = "-----BEGIN PRIVATE KEY-----\n" + "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC" * 4 + "\n-----END PRIVATE KEY-----"


def body(text):
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": text}]}).encode()


def events(dvara):
    lines = dvara.good("audit", "tail", "--from", 0, "--output", "jsonl").splitlines()
    return [json.loads(line) for line in lines]


def half_a_head(dvara):
    address = urllib.parse.urlsplit(dvara.listen)
    with socket.create_connection((address.hostname, address.port), 10) as connection:
        connection.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x")


def call_as_nobody(dvara):
    request = urllib.request.Request(dvara.admin + "/v1/users", headers={"Authorization": "Bearer dvk_nobody"})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=10)
    return refused.value.code


def something_of_everything(dvara):
    key = dvara.key()
    assert dvara.ask(key) == 200
    assert dvara.ask(key, body("write to bob@example.com")) == 200
    assert dvara.ask(key, body(PRIVATE_KEY)) == 400
    assert dvara.ask("dvk_nobody") == 401
    half_a_head(dvara)
    dvara.good("user", "create", "--name", "bob")
    dvara.good("role", "assign", "--user", "bob", "--role", "auditor", "--until", "1h", "--break-glass",
               "--reason", "the model is down")
    dvara.good("role", "unassign", "--user", "bob", "--role", "auditor")
    dvara.good("group", "create", "--name", "ml")
    dvara.good("limit", "set", "--user", "bob", "--count", "5", "--per", "1m")
    assert call_as_nobody(dvara) == 401
    dvara.good("reload")


# What FEATURES.md asks for, and the kinds that show it.
LINES = {
    "AUD-7.1.1 user activity": {"request.open", "control.call", "account.change", "access.change"},
    "AUD-7.1.2 system events": {"lifecycle", "alarm"},
    "AUD-7.1.3 data access": {"data.access", "request.open"},
    "AUD-7.1.4 model usage": {"request.close"},
    "AUD-7.1.5 configuration changes": {"config.change", "config.state", "entity.change"},
    "AUD-7.1.6 security events": {"alarm", "data.finding"},
    "AUD-7.2.1 authentication": {"authentication.logon"},
    "AUD-7.2.2 authorization": {"session.authorize", "access.change", "request.open"},
    "AUD-7.2.3 API access": {"control.call", "request.open"},
    "AUD-7.2.4 network": {"network.refused"},
    "AUD-7.2.5 system": {"lifecycle", "config.state"},
    "AUD-7.2.6 application": {"config.change", "control.call", "alarm"},
}


def test_every_line_of_the_audit_log_is_written(make):
    dvara = make()
    dvara.configure(CONFIG)
    dvara.up()
    something_of_everything(dvara)
    wanted = set().union(*LINES.values())

    def missing():
        return wanted - {event["metadata"]["event_code"] for event in events(dvara)}
    with contextlib.suppress(AssertionError):
        wait_until(lambda: not missing(), 10, "all kinds")
    assert missing() == set()
    found = events(dvara)
    assert {event["class_uid"] for event in found} == {2004, 2006, 3001, 3002, 3003, 3004, 3005, 4002, 5002, 5019,
                                                       6002, 6003, 6005}
    # A grant says to whom, what, why and until when.
    grant = next(event for event in found if event["class_uid"] == 3005 and event["unmapped"]["dvara"]["break_glass"])
    assert grant["user"]["uid"] == 'User::"bob"' and grant["privileges"] == ['Role::"auditor"']
    assert grant["unmapped"]["dvara"]["reason"] == "the model is down"
    assert grant["unmapped"]["dvara"]["expires"] > grant["time"]
    # What tells of a person says of whom (core/event_personal.h).
    assert any(event["unmapped"]["dvara"]["rows"] > 0 for event in found if event["class_uid"] == 6005)
    limit = next(event for event in found if event.get("entity", {}).get("type") == "limit")
    assert limit["entity"]["name"] == "user/bob" and limit["entity"]["user"]["uid"] == 'User::"bob"'
    call = next(event for event in found if event.get("api", {}).get("operation") == "user_create"
                and event["resources"][0]["name"] == "bob")
    assert call["resources"][0]["uid"] == 'User::"bob"'
    alarm = next(event for event in found if event["metadata"]["event_code"] == "alarm")
    assert alarm["resources"][0]["uid"] == 'User::"bob"'
