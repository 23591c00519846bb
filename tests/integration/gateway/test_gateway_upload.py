# SPDX-License-Identifier: Apache-2.0
"""Uploads: forms with files, through a real nginx (DATA-3.3.1). What the upstream got is read by
Python's own parser of MIME, not by ours."""
import copy
import email
import email.policy
import gzip
import io
import json
import random
import re
import string
import subprocess
import tarfile
import zipfile
import zlib

import pytest

from gateway_tools import CONFIG

CARD, MAIL = "4111 1111 1111 1111", "bob@example.com"
FILES = "/v1/files"
PLACEHOLDER = re.compile(r"<(EMAIL|CARD)_[0-9A-Za-z]{8}>")


def form(*parts, boundary="b0undary"):
    """parts: (name, data) or (name, data, filename, more lines)."""
    out = b""
    for name, data, *more in parts:
        data = data if isinstance(data, bytes) else data.encode()
        head = f'Content-Disposition: form-data; name="{name}"'
        if more:
            head += f'; filename="{more[0]}"'
        head += "".join(f"\r\n{line}" for line in more[1:])
        out += f"--{boundary}\r\n{head}\r\n\r\n".encode() + data + b"\r\n"
    return out + f"--{boundary}--\r\n".encode()


def send(gate, body, path=FILES, key=None, kind="multipart/form-data; boundary=b0undary"):
    return gate.send(path, body, key or gate.alice, content_type=kind)


def upload(gate, data, name="a.txt", **more):
    return send(gate, form(("purpose", "batch"), ("file", data, name)), **more)


def parts_of(request):
    """{name: (filename, bytes)} as Python's parser of MIME reads them."""
    head = f"Content-Type: {request['headers']['content-type']}\r\n\r\n".encode()
    message = email.message_from_bytes(head + request["body"], policy=email.policy.HTTP)
    assert message.is_multipart() and not message.defects and not message.preamble
    return {part.get_param("name", header="content-disposition"): (part.get_filename(), part.get_payload(decode=True))
            for part in message.iter_parts()}


def got(upstream):
    return parts_of(upstream.requests[-1])["file"][1].decode()


def seen_by(gate, answer):
    gate.wait_for_close(answer.id)
    return gate.record_of(answer.id)[0]["unmapped"]["dvara"]["sightings"]


def sightings(gate, answer):
    return [(s["detector"], s["place"]) for s in seen_by(gate, answer)]


def zipped(**files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return out.getvalue()


def test_a_text_file_is_masked(gate, upstream):
    text = f"Dear Bob,\r\nwrite to {MAIL}.\r\n\r\n--\r\nPay with {CARD}\r\n"
    answer = upload(gate, text)
    assert answer.status == 200, answer.body
    assert MAIL not in got(upstream) and CARD not in got(upstream)
    assert PLACEHOLDER.sub("X", got(upstream)) == text.replace(MAIL, "X").replace(CARD, "X")
    assert parts_of(upstream.requests[-1])["purpose"] == (None, b"batch")
    assert sightings(gate, answer) == [("email", "/file"), ("payment_card", "/file")]


def test_fields_are_masked_like_files(gate, upstream):
    assert send(gate, form(("note", f"mail {MAIL}"), ("n", "1"))).status == 200
    parts = parts_of(upstream.requests[-1])
    assert PLACEHOLDER.fullmatch(parts["note"][1].decode()[5:]) and parts["n"] == (None, b"1")


def test_what_holds_nothing_arrives_byte_for_byte(gate, upstream):
    body = form(("file", "plain\r\n--\r\ntext\n\n", "a%20b \u00e9.txt", "Content-Type: text/plain; charset=utf-8",
                 "Content-Length: 17"), ("empty", ""), ("none", "", ""))
    assert send(gate, body).status == 200
    assert upstream.requests[-1]["body"] == body


def test_lines_of_json_stay_json(gate, upstream):
    lines = [{"custom_id": f"r{i}", "body": {"messages": [{"role": "user", "content": f"I am {i}, " + text}]}}
             for i, text in enumerate([f'say "hi"\n to {MAIL}', "nothing", f"pay {CARD}", json.dumps({"to": MAIL})])]
    text = "".join(json.dumps(line) + "\n" for line in lines) + "\r\nno json " + MAIL
    answer = upload(gate, text, "batch.jsonl")
    assert answer.status == 200, answer.body
    arrived = got(upstream).splitlines()
    assert len(arrived) == 6 and arrived[1] == json.dumps(lines[1]) and arrived[4] == ""
    for line, sent in zip(arrived, lines):
        content = json.loads(line)["body"]["messages"][0]["content"]
        assert MAIL not in content and CARD not in content
        assert PLACEHOLDER.sub("", content) == re.sub(f"{MAIL}|{CARD}", "",
                                                      sent["body"]["messages"][0]["content"])
    assert MAIL not in arrived[5] and arrived[5].startswith("no json <EMAIL_")
    places = [place for _, place in sightings(gate, answer)]
    assert places == ["/file/0/body/messages/0/content", "/file/2/body/messages/0/content",
                      "/file/3/body/messages/0/content", "/file/4"]  # where the lines that are none begin


def test_a_json_file_is_masked_where_escapes_hide_values(gate, upstream):
    document = {"a": [{"mail": MAIL}], "card": 4111111111111111}
    assert upload(gate, json.dumps(document, indent=1).replace("@", "\\u0040"), "a.json").status == 200
    arrived = json.loads(got(upstream))
    assert PLACEHOLDER.fullmatch(arrived["a"][0]["mail"]) and PLACEHOLDER.fullmatch(arrived["card"])


def test_csv_and_what_stands_encoded(gate, upstream):
    assert upload(gate, "name,mail\r\nBob,bob%40example.com\r\nAnn,\r\n", "a.csv").status == 200
    assert re.fullmatch(r"name,mail\r\nBob,<EMAIL_\w+>\r\nAnn,\r\n", got(upstream))


def test_names_of_files_are_masked_and_names_of_parts_are_not(gate, upstream):
    assert upload(gate, "x", f"{MAIL} wrote.txt").status == 200
    filename, _ = parts_of(upstream.requests[-1])["file"]
    assert re.fullmatch(r"<EMAIL_\w+> wrote\.txt", filename)
    for body in (form((MAIL, "x")), form(("file", "x", "a", f"Content-Type: text/plain; x=\"{MAIL}\""))):
        refused = send(gate, body)
        assert (refused.status, refused.code) == (400, "sensitive_data")
        assert MAIL not in refused.body.decode()
    bare = form(("file", "x", "N")).replace(b'"N"', b"bob.card.4111111111111111")
    assert (send(gate, bare).status, send(gate, bare).code) == (400, "sensitive_data")


def test_the_length_of_a_part_goes_with_its_data(gate, upstream):
    assert send(gate, form(("file", MAIL, "a", f"Content-Length: {len(MAIL)}"))).status == 200
    body = upstream.requests[-1]["body"]
    assert b"Content-Length" not in body and b"<EMAIL_" in body
    assert parts_of(upstream.requests[-1])["file"][0] == "a"


PACKED = {
    "gzip": lambda text: gzip.compress(text.encode()),
    "gzip of lines of JSON": lambda text: gzip.compress((json.dumps({"a": "x"}) + "\n" + json.dumps({"a": text})).encode()),
    "zip": lambda text: zipped(**{"a/b.txt": "x", "c.csv": text}),
    "gzip in a zip": lambda text: zipped(a=gzip.compress(text.encode())),
    "name in a zip": lambda text: zipped(**{f"{text}.txt": "x"}),
    "UTF-16 in a zip": lambda text: zipped(a=text.encode("utf-16")),
    "document": lambda text: zipped(**{
        "[Content_Types].xml": "<?xml version='1.0'?><Types/>", "word/document.xml":
        "<?xml version='1.0'?><w:p>" + "".join(f"<w:r><w:t>{c}</w:t></w:r>" for c in text) + "</w:p>"}),
}


@pytest.mark.parametrize("kind", PACKED)
def test_what_is_packed_is_read_and_refused_with_a_value(gate, upstream, kind):
    pack = PACKED[kind]
    clean = form(("file", pack("nothing here"), "a"))
    assert send(gate, clean).status == 200
    assert upstream.requests[-1]["body"] == clean
    count = len(upstream.requests)
    for value in (MAIL, CARD):
        refused = upload(gate, pack(f"to {value}"))
        assert (refused.status, refused.code) == (400, "sensitive_data"), refused.body
        assert "packed file" in refused.json()["error"]["message"] and value not in refused.body.decode()
    assert len(upstream.requests) == count


def test_values_that_tags_cut_are_refused_and_others_masked(gate, upstream):
    assert upload(gate, f"<p>write to <b>{MAIL}</b></p>", "a.html").status == 200
    assert re.fullmatch(r"<p>write to <b><EMAIL_\w+></b></p>", got(upstream))
    refused = upload(gate, "<p>write to <b>bob</b>@example.com</p>", "a.html")
    assert (refused.status, refused.code) == (400, "sensitive_data")
    assert "across" in refused.json()["error"]["message"]
    assert upload(gate, "<p>bob</p><p>@example.com 1 < 2</p>", "a.html").status == 200


def test_utf16_is_read(gate, upstream):
    for encoding in ("utf-16", "utf-16-be"):
        mark = b"\xfe\xff" if encoding == "utf-16-be" else b""
        clean = form(("file", mark + "na\u00efve \U0001f600".encode(encoding), "a"))
        assert send(gate, clean).status == 200 and upstream.requests[-1]["body"] == clean
        refused = upload(gate, mark + f"to {MAIL}".encode(encoding))
        assert (refused.status, refused.code) == (400, "sensitive_data")


def tarred():
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a"), io.BytesIO())
    return out.getvalue()


UNREADABLE = {
    "image": b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
    "PDF": b"%PDF-1.4\n1 0 obj\n<</Length 3>>stream\nabc\nendstream\n%%EOF\n",
    "PostScript": b"%!PS-Adobe\n(hi) show\n", "RTF": b"{\\rtf1 4\\'31}", "tar": tarred(), "NUL": b"a\0b",
    "not UTF-8": b"caf\xe9", "half UTF-16": b"\xff\xfea", "lone surrogate": b"\xff\xfe\x00\xd8a\0",
    "gzip, cut": gzip.compress(b"x" * 99)[:-9], "zip, cut": zipped(a="x" * 99)[:33],
    "bomb": gzip.compress(bytes(40 << 20)), "packed image": zipped(a=b"\x89PNG\r\n\x1a\n\xff"),
    "encrypted zip": zipped(a="x" * 99)[:6] + b"\x01" + zipped(a="x" * 99)[7:],
    "zlib": zlib.compress(b"x" * 99), "four deep": gzip.compress(gzip.compress(gzip.compress(gzip.compress(b"x")))),
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_what_can_not_be_read_is_refused(gate, upstream, kind):
    refused = upload(gate, UNREADABLE[kind])
    assert (refused.status, refused.code) == (400, "sensitive_data"), refused.body
    assert "/file" in refused.json()["error"]["message"] and "send text" in refused.json()["error"]["message"]
    assert not upstream.requests


def test_forms_that_can_be_read_in_two_ways_are_refused(gate, upstream):
    good = form(("a", "1"))
    for body, message in ((b"x" + good, "begin"), (good[:-8], "short"), (good + b"more", "within"),
                          (good.replace(b"name=", b"filename*=UTF-8''b; name="), "RFC 7578"),
                          (good.replace(b'"a"', b'"a"; name="b"'), "one name"), (b"", "")):
        refused = send(gate, body)
        if body:
            assert (refused.status, refused.code) == (400, "bad_request"), body
            assert message in refused.json()["error"]["message"]
    for kind in ("multipart/form-data", "multipart/form-data; boundary=a; boundary=b", "multipart/mixed; boundary=b",
                 "application/json", "text/plain", None):
        refused = send(gate, good, kind=kind)
        assert (refused.status, refused.code) == (415, "bad_content_type"), kind
    assert not [r for r in upstream.requests if r["body"]]


def test_fields_obey_the_rules_of_bodies(gate, upstream):
    for body in (form(("api_base", "x")), form(("a[API_BASE]", "x")), form(("a.api_base", "x")),
                 form(("extra", json.dumps({"a": [{"base_url": "x"}]}))), form(("url", "http://127.0.0.1/")),
                 form(("api_base", "x", "a.txt")), form(("url", "http://127.0.0.1/", "")),
                 form(("extra", '{"a": 1, "a": 2, "base_url": "x"}')), form(("extra", '{"base_url": "x"}', "")),
                 form(("extra", '{"a": NaN, "Base_URL": "x"}'))):
        refused = send(gate, body)
        assert (refused.status, refused.code) == (400, "bad_field"), body
    assert send(gate, form(("other", "x")), "/named").code == "bad_field"
    assert send(gate, form(("purpose", "x"), ("file", "x", "a")), "/named").status == 200
    assert len(upstream.requests) == 1


def test_a_pseudonym_does_not_end_a_part(make_gate, upstream):
    """What a value becomes is the same every time: a caller could have his boundary be that."""
    config = copy.deepcopy(CONFIG)
    config["data_policies"]["request"]["default"] = {"action": "pseudonym"}
    gate = make_gate(config=config)
    gate.alice = gate.key()
    address = "10.20.30.40"
    assert upload(gate, address).status == 200
    became = got(upstream)
    assert became != address and re.fullmatch(r"[0-9.]+", became)
    smuggled = f'x\r\n--{address}\r\nContent-Disposition: form-data; name="api_base"\r\n\r\nhttp://x'
    refused = send(gate, form(("file", smuggled, "a"), boundary=became), kind=f"multipart/form-data; boundary={became}")
    assert refused.status == 400, upstream.requests[-1]["body"]


def test_where_nothing_is_hidden_nothing_has_to_be_readable(make_gate, upstream):
    config = copy.deepcopy(CONFIG)
    config["data_policies"]["request"] = {"default": "allow", "detectors": {"email": "alert"}}
    gate = make_gate(config=config)
    gate.alice = gate.key()
    for data in UNREADABLE.values():
        body = form(("file", data, "a"))
        assert send(gate, body).status == 200 and upstream.requests[-1]["body"] == body
    answer = upload(gate, PACKED["gzip"](MAIL))
    assert answer.status == 200 and sightings(gate, answer) == [("email", "/file")]


def test_many_values_are_masked_and_told_together(gate, upstream):
    text = "".join(f"row {i}: p{i}@example.com\n" for i in range(20000))
    answer = upload(gate, text)
    assert answer.status == 200, answer.body
    assert "@example.com" not in got(upstream) and got(upstream).count("<EMAIL_") == 20000
    assert sightings(gate, answer) == [("email", "/file")]


def test_random_boundaries_of_clients_pass(gate, upstream):
    chance = random.Random(7)
    for kind in ("----WebKitFormBoundary{16}", "------------------------{22}", "{32x}", "---------------------------{29d}",
                 "----formdata-undici-0{11d}", "{60x}", "Boundary-{32X}"):
        letters = {"x": "0123456789abcdef", "X": "0123456789ABCDEF", "d": string.digits}
        for _ in range(30):
            head, count, which = re.fullmatch(r"(.*)\{(\d+)([xXd]?)\}", kind).groups()
            alphabet = letters.get(which, string.ascii_letters + string.digits)
            boundary = head + "".join(chance.choice(alphabet) for _ in range(int(count)))
            answer = send(gate, form(("file", "x", "a"), boundary=boundary),
                          kind=f"multipart/form-data; boundary={boundary}")
            assert answer.status == 200, (boundary, answer.body)


def test_curl_uploads(gate, upstream, tmp_path):
    file = tmp_path / "na\u00efve list.csv"
    file.write_text(f"mail\n{MAIL}\n")
    done = subprocess.run(["curl", "-sS", "-F", "purpose=batch", "-F", f"file=@{file};type=text/csv", "-H",
                           f"Authorization: Bearer {gate.alice}", f"http://127.0.0.1:{gate.port}{FILES}"],
                          capture_output=True, text=True, timeout=30)
    assert done.returncode == 0 and "got" in done.stdout, done.stdout + done.stderr
    assert re.fullmatch(r"mail\n<EMAIL_\w+>\n", got(upstream))
    assert parts_of(upstream.requests[-1])["purpose"] == (None, b"batch")


def answers(upstream, body, kind):
    upstream.sends(f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
                   "Connection: close\r\n\r\n".encode() + body)


def test_files_that_come_back_are_inspected(gate, upstream):
    lines = json.dumps({"id": 1, "text": f"to {MAIL}"}) + "\n" + json.dumps({"id": 2}) + "\n"
    for kind in ("application/octet-stream", "application/jsonl", "text/csv", "text/plain"):
        answers(upstream, lines.encode(), kind)
        answer = gate.send(f"{FILES}/f1/content", key=gate.alice)
        assert answer.status == 200 and answer.body.decode() == lines.replace(MAIL, "[EMAIL]")
        assert answer.headers["content-type"] == kind
    for name in ("image", "PDF", "gzip, cut"):
        answers(upstream, UNREADABLE[name], "application/octet-stream")
        refused = gate.send(f"{FILES}/f1/content", key=gate.alice)
        assert (refused.status, refused.code) == (502, "answer_blocked")
    answers(upstream, gzip.compress(MAIL.encode()), "application/octet-stream")
    assert gate.send(f"{FILES}/f1/content", key=gate.alice).code == "answer_blocked"
    answers(upstream, gzip.compress(b"plain"), "application/octet-stream")
    assert gzip.decompress(gate.send(f"{FILES}/f1/content", key=gate.alice).body) == b"plain"
    upstream.json({"id": "f1", "filename": f"{MAIL} wrote"})
    assert gate.send(f"{FILES}/f1", key=gate.alice).json() == {"id": "f1", "filename": "[EMAIL] wrote"}
    assert gate.send(FILES, key=gate.alice).status == 200
