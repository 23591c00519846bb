# SPDX-License-Identifier: Apache-2.0
"""OTLP, OpenSearch and webhooks: receivers that are down, slow, full, or answer nonsense."""
import hashlib
import hmac
import json
import random
import signal
import ssl
import time

import pytest
from google.protobuf import json_format
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from conftest import alert, check_complete, event
from receivers import Authority, Web
from support import wait_until


@pytest.fixture
def web():
    made = []

    def make(answer, tls=None, **more):
        made.append(Web(answer, tls, **more).start())
        return made[-1]
    yield make
    for one in made:
        one.end()


# -- OTLP: what is POSTed is parsed with OpenTelemetry's own protobuf classes ----------------------


def otlp_records(request):
    parsed = json_format.Parse(request.body, ExportLogsServiceRequest())  # unknown fields are errors
    resource = {one.key: one.value.string_value for one in parsed.resource_logs[0].resource.attributes}
    assert resource["service.name"] == "dvara" and resource["dvara.log.origin"]
    return parsed.resource_logs[0].scope_logs[0].log_records


def attribute(record, key):
    values = [one.value for one in record.attributes if one.key == key]
    assert len(values) == 1, key
    return getattr(values[0], values[0].WhichOneof("value"))


def test_otlp(house, web):
    server = web(lambda request: (200, {}))
    house.export({"name": "x", "type": "otlp", "url": server.url("/v1/logs")})
    house.write(*(event(number) for number in range(300)), alert("u1"))
    house.wait_level()
    records = [one for request in server.requests for one in otlp_records(request)]
    check_complete(house, [attribute(one, "log.record.uid") for one in records], duplicates=False)
    feed = house.feed()
    for one in records:
        body = json.loads(one.body.string_value)
        uid = body["metadata"].pop("uid")
        assert body == feed[uid] and one.event_name == body["metadata"]["event_code"]
        assert one.time_unix_nano // 1000000 == body["time"] and one.observed_time_unix_nano > 0
    told = next(one for one in records if one.event_name == "alert.raised")
    assert told.severity_number == 17 and attribute(told, "ocsf.class_uid") == 2004
    assert attribute(told, "user.name") == "alice" and attribute(told, "http.response.status_code") == 200
    assert all(request.headers["Content-Type"] == "application/json" for request in server.requests)


def test_an_outage_loses_nothing_and_repeats_only_the_same(house, web):
    """Ended in the middle, dead for a while, then 500, 429 with Retry-After, half answers, slowness."""
    taken, chance = [], random.Random(3)
    bad = [(500, {}), (503, {}), (429, {}, {"Retry-After": "1"}), (0, b"")]

    def answer(request):
        if bad and chance.random() < 0.5:
            refusal = bad.pop()
            if refusal[0] == 0:  # it took them, and its answer did not come whole
                taken.extend(otlp_records(request))
            return refusal
        time.sleep(0.1 if chance.random() < 0.1 else 0)
        taken.extend(otlp_records(request))
        return 200, {}
    server = web(answer)
    house.export({"name": "x", "type": "otlp", "url": server.url("/v1/logs"), "batch": "16KiB"})
    house.write(*(event(number) for number in range(1000)))
    wait_until(lambda: len(taken) > 100, 10, "some came")
    server.end()
    house.write(*(event(number) for number in range(1000, 1500)))
    wait_until(lambda: house.status()["state"] == "failing", 10, "the outage is seen")
    assert house.status()["problem"]
    server.start()
    house.wait_level()
    assert not bad
    check_complete(house, [attribute(one, "log.record.uid") for one in taken])
    house.wait_status(state="ok", refused=0)


def test_killed_at_any_moment_nothing_is_lost(house, web):
    taken, chance = [], random.Random(5)

    def answer(request):
        taken.extend(otlp_records(request))
        return 200, {}
    server = web(answer)
    house.configure({"name": "x", "type": "otlp", "url": server.url("/v1/logs"), "batch": "8KiB"})
    house.write(*(event(number) for number in range(3000)))
    for _ in range(20):
        house.start("dvara-export", "--config", house.config)
        time.sleep(chance.uniform(0.01, 0.15))
        house.end("dvara-export", signal.SIGKILL)
    house.export()
    house.wait_level()
    check_complete(house, [attribute(one, "log.record.uid") for one in taken])


def test_a_partial_success_is_counted_and_alarmed(house, web):
    first = []

    def answer(request):
        first.append(request)
        if len(first) == 1:
            return 200, {"partialSuccess": {"rejectedLogRecords": "2", "errorMessage": "too old"}}
        return 200, {}
    server = web(answer)
    house.write(*(event(number) for number in range(10)))
    house.export({"name": "x", "type": "otlp", "url": server.url("/v1/logs")})
    wait_until(lambda: house.alarms("export.refused"), 10, "an alarm is in the log")
    assert "too old" in house.alarms("export.refused")[0]["finding_info"]["title"]
    house.wait_status(refused=2)
    assert "too old" in (house.state / "export/x.refused").read_text()


def test_an_event_that_is_never_taken_holds_up_no_other(house, web):
    """400 for every request with it in: halved until it is alone."""
    taken = []

    def answer(request):
        if b"poison" in request.body and b"export.refused" not in request.body:
            return 400, {"message": "can not parse"}
        taken.extend(otlp_records(request))
        return 200, {}
    server = web(answer)
    house.write(*(event(number) for number in range(50)), event(99, message="poison"),
                *(event(number) for number in range(50, 100)))
    house.export({"name": "x", "type": "otlp", "url": server.url("/v1/logs")})
    wait_until(lambda: house.alarms("export.refused"), 10, "an alarm is in the log")
    house.wait_level()
    missing = set(house.feed()) - {attribute(one, "log.record.uid") for one in taken}
    assert [house.feed()[uid]["message"] for uid in missing] == ["poison"]
    told = json.loads((house.state / "export/x.refused").read_text())
    assert told["uid"] in missing and "can not parse" in told["why"]
    house.wait_status(refused=1)


def test_a_receiver_that_refuses_everything_is_tried_slower_and_slower(house, web):
    server = web(lambda request: (400, b"no such pipeline"))
    house.write(*(event(number) for number in range(100)))
    house.export({"name": "x", "type": "otlp", "url": server.url("/v1/logs")})
    wait_until(lambda: (house.status() or {}).get("state") == "failing", 10, "it is held for a fault of its own")
    assert 16 <= house.status()["refused"] <= 20 and "no such pipeline" in house.status()["problem"]
    wait_until(lambda: house.alarms("export.refused"), 10, "an alarm tells of it")


# -- TLS -------------------------------------------------------------------------------------------


def test_tls_with_a_wrong_certificate_is_refused(house, web, authority, tmp_path, secret):
    (tmp_path / "other").mkdir()
    stranger = Authority(tmp_path / "other", "stranger")
    token = secret("t0k3n")
    urls = {"stranger": web(lambda request: (200, {}), stranger.issue("a")),
            "othername": web(lambda request: (200, {}), authority.issue("b", "DNS:elsewhere.example")),
            "good": web(lambda request: (200, {}), authority.issue("c"))}
    house.export(*({"name": name, "type": "otlp", "url": server.url("/v1/logs"), "ca": authority.certificate,
                    "token_file": token} for name, server in urls.items()))
    house.wait_level("good")
    assert urls["good"].requests[0].headers["Authorization"] == "Bearer t0k3n"
    for name in ("stranger", "othername"):
        wait_until(lambda: house.status(name)["state"] == "failing", 10, "refused")
        assert not urls[name].requests and "SSL" in house.status(name)["problem"]
        assert house.status(name)["next"] == 0


def test_a_receiver_speaks_tls_13_unless_it_is_said(house, web, authority):
    old = web(lambda request: (200, {}), authority.issue("old"), newest=ssl.TLSVersion.TLSv1_2)
    base = {"type": "otlp", "url": old.url("/v1/logs"), "ca": authority.certificate}
    house.export({**base, "name": "strict"}, {**base, "name": "said", "tls_version": "1.2"})
    house.wait_level("said")
    wait_until(lambda: house.status("strict")["state"] == "failing", 10, "refused")
    assert old.requests and house.status("strict")["next"] == 0 and "SSL" in house.status("strict")["problem"]


def test_a_secret_that_others_may_read_is_not_used(house, web, secret):
    path = secret("t0k3n")
    path.chmod(0o644)
    server = web(lambda request: (200, {}))
    house.export({"name": "x", "type": "otlp", "url": server.url(), "token_file": path})
    wait_until(lambda: (house.status() or {}).get("state") == "failing", 10, "refused")
    assert "chmod o-rwx" in house.status()["problem"] and not server.requests
    path.chmod(0o600)
    house.wait_level()
    assert "t0k3n" not in house.said() + (house.state / "export/x").read_text()


# -- OpenSearch: a server as strict as the published bulk format (there is none to be had) ---------


class Index:
    """POST /INDEX/_bulk, as https://docs.opensearch.org/latest/api-reference/document-apis/bulk/ has it."""

    def __init__(self):
        self.documents = {}
        self.busy = 0          # so many documents are put off with 429
        self.limit = 10 << 20  # bytes of a request
        self.broken = []       # answers to give instead

    def __call__(self, request):
        assert request.path == "/dvara-events/_bulk"
        assert request.headers["Content-Type"] == "application/x-ndjson"
        assert request.headers["Authorization"] == "Basic ZXhwb3J0ZXI6cGFzcyA6IHdvcmQ="
        if self.broken:
            return self.broken.pop(0)
        if len(request.body) > self.limit:
            return 413, b""
        assert request.body.endswith(b"\n")
        lines = request.body[:-1].split(b"\n")
        assert len(lines) % 2 == 0
        items = [self.create(json.loads(action), document) for action, document in zip(lines[::2], lines[1::2])]
        return 200, {"took": 1, "errors": any("error" in one["create"] for one in items), "items": items}

    def create(self, action, text):
        assert list(action) == ["create"] and list(action["create"]) == ["_id"]
        uid, document = action["create"]["_id"], json.loads(text)
        assert len(uid.encode()) <= 512 and isinstance(document["@timestamp"], int)
        answer = {"_index": "dvara-events", "_id": uid}
        if self.busy > 0:
            self.busy -= 1
            return {"create": {**answer, "status": 429, "error": {"type": "rejected_execution", "reason": "busy"}}}
        if uid in self.documents:
            return {"create": {**answer, "status": 409, "error": {"type": "version_conflict", "reason": "there"}}}
        if not isinstance(document.get("message", ""), str):
            return {"create": {**answer, "status": 400, "error": {
                "type": "mapper_parsing_exception", "reason": "failed to parse field [message]"}}}
        self.documents[uid] = document
        return {"create": {**answer, "status": 201}}


def opensearch(server, secret, **more):
    return {"name": "x", "type": "opensearch", "url": server.url("/"), "index": "dvara-events", "user": "exporter",
            "password_file": secret("pass : word"), **more}


def test_opensearch(house, web, secret):
    index = Index()
    house.write(*(event(number) for number in range(500)))
    index.busy = 700
    index.broken = [(200, b"not json"), (200, {"took": 1, "errors": False, "items": []}), (0, b""), (503, b"")]
    server = web(index)
    house.export(opensearch(server, secret))
    house.write(event(501))
    house.wait_level()
    check_complete(house, index.documents)
    feed = house.feed()
    for uid, document in index.documents.items():
        assert document["metadata"].pop("uid") == uid and document.pop("@timestamp") == document["time"]
        assert document == feed[uid]
    house.wait_status(refused=0)


def test_opensearch_again_from_the_beginning_is_no_second_copy(house, web, secret):
    index = Index()
    server = web(index)
    house.write(*(event(number) for number in range(100)))
    house.export(opensearch(server, secret))
    house.wait_level()
    house.end("dvara-export")
    (house.state / "export/x").unlink()
    house.export()
    house.wait_level()
    check_complete(house, index.documents)
    house.wait_status(refused=0)


def test_opensearch_mapping_errors_and_large_requests(house, web, secret):
    index = Index()
    index.limit = 20000
    server = web(index)
    house.write(*(event(number) for number in range(100)), event(1, message={"not": "text"}),
                *(event(number) for number in range(100)), event(2, message="x" * 25000))
    house.export(opensearch(server, secret))
    house.wait_status(refused=2)
    wait_until(lambda: house.alarms("export.refused"), 10, "an alarm is in the log")
    house.wait_level()
    assert len(index.documents) == len(house.feed()) - 2
    told = [json.loads(line)["why"] for line in (house.state / "export/x.refused").read_text().splitlines()]
    assert any("mapper_parsing_exception" in why for why in told) and any("413" in why for why in told)
    assert len(house.alarms("export.refused")) == 1  # told once, and counted


# -- alerts to a webhook ---------------------------------------------------------------------------


def check_signature(request, key):
    signed = request.headers["Dvara-Timestamp"].encode() + b"." + request.body
    assert request.headers["Dvara-Signature"] == "v1=" + hmac.new(key, signed, hashlib.sha256).hexdigest()
    assert abs(time.time() - int(request.headers["Dvara-Timestamp"])) < 30


def test_webhook(house, web, secret):
    failures = [(500, b""), (502, b"")]
    server = web(lambda request: failures.pop() if failures else (204, b""))
    house.export({"name": "x", "type": "webhook", "url": server.url("/hook"), "secret_file": secret("s3cret" * 20),
                  "repeat": "1h"})
    house.write(event(1), alert("rule/a", 1), alert("rule/a", 2), alert("rule/b", 3))
    house.wait_level()
    good = server.requests[2:]
    assert [json.loads(one.body)["finding_info"]["uid"] for one in good] == ["rule/a", "rule/b"]
    for one in server.requests:
        check_signature(one, b"s3cret" * 20)
        assert one.headers["Dvara-Delivery"] == json.loads(one.body)["metadata"]["uid"]
    house.wait_status(repeated=1, sent=2)
    # The window holds over a restart, and ends.
    house.end("dvara-export", signal.SIGKILL)
    house.export()
    house.write(alert("rule/a", 4), alert("rule/b", 5, time=int(time.time() * 1000) + 3700000))
    house.wait_level()
    assert [json.loads(one.body)["message"] for one in server.requests[4:]] == ["number 5"]
    house.wait_status(repeated=2)


def test_each_alert_is_told_once_though_it_is_killed_all_the_time(house, web):
    server = web(lambda request: (200, b""))
    house.configure({"name": "x", "type": "webhook", "url": server.url()})
    chance = random.Random(1)
    house.write(*(alert(f"rule/{number % 40}", number) for number in range(120)))
    for _ in range(20):
        house.start("dvara-export", "--config", house.config)
        time.sleep(chance.uniform(0.01, 0.08))
        house.end("dvara-export", signal.SIGKILL)
    house.export()
    house.wait_level()
    told = {}
    for request in server.requests:
        body = json.loads(request.body)
        told.setdefault(body["finding_info"]["uid"], set()).add(body["metadata"]["uid"])
    assert len(told) == 40 and all(len(uids) == 1 for uids in told.values())  # repeated only under the same id


# -- being behind ----------------------------------------------------------------------------------


def test_being_behind_is_alarmed_once(house):
    house.export({"name": "x", "type": "otlp", "url": "http://127.0.0.1:9/v1/logs", "alarm_after": "2s"})
    house.write(event(1))
    wait_until(lambda: house.alarms("export.behind"), 15, "an alarm is in the log")
    assert "export x is behind" in house.alarms("export.behind")[0]["finding_info"]["title"]
    assert house.status()["behind_seconds"] >= 2 and house.status()["behind"] > 0
    time.sleep(1.5)  # two more looks
    assert len(house.alarms("export.behind")) == 1
