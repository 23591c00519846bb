# SPDX-License-Identifier: Apache-2.0
"""Values that do not stand in clear, through a real nginx, both ways (DATA-3.3.1, DATA-3.3.2)."""
import base64
import copy
import gzip
import io
import json
import random
import zipfile

import pytest

from gateway_tools import CONFIG
from test_gateway_stream import CHAT, MESSAGES, SSE, body, data, end, events, piece

CARD, MAIL = "4111 1111 1111 1111", "bob@example.com"


def full_width(text):
    return "".join(chr(ord(c) + 0xFEE0) if c.isdigit() else c for c in text)


def b64(text):
    return base64.b64encode(text if isinstance(text, bytes) else text.encode()).decode()


def gz(text):
    return gzip.compress(text.encode(), mtime=0)


def zipped(**files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return out.getvalue()


ENCODED = {
    "gzip": (b64(gz(f"mail {MAIL}")), "[EMAIL]"),
    "zip": (b64(zipped(a=f"mail {MAIL}")), "[EMAIL]"),
    "gzip in a zip, over lines": (base64.encodebytes(zipped(a=gz(f"pay {CARD}"))).decode().strip(), "[CARD]"),
    "percent": (MAIL.replace("@", "%40"), "[EMAIL]"),
    "percent, all of it": ("".join(f"%{ord(c):02X}" for c in CARD), "[CARD]"),
    "percent, twice": (MAIL.replace("@", "%2540"), "[EMAIL]"),
    "entity": (MAIL.replace("@", "&#64;"), "[EMAIL]"),
    "entity by name": (MAIL.replace("@", "&commat;"), "[EMAIL]"),
    "escape": (MAIL.replace("@", "\\u0040"), "[EMAIL]"),
    "escape of a byte": (MAIL.replace("@", "\\x40"), "[EMAIL]"),
    "full width": (full_width(CARD), "[CARD]"),
    "other digits": ("".join(chr(0x966 + int(c)) if c.isdigit() else c for c in CARD), "[CARD]"),
    "no width": ("\u200b".join(CARD), "[CARD]"),
    "letters": ("4l11 11I1 1111 1l11", "[CARD]"),
    "base64": (b64(MAIL), "[EMAIL]"),
    "base64, padded": (b64(CARD), "[CARD]"),
    "base64 for URLs": (base64.urlsafe_b64encode(f"?>~ {MAIL}".encode()).decode(), "[EMAIL]"),
    "base64, twice": (b64(b64(f"mail {MAIL}")), "[EMAIL]"),
    "base64 of UTF-16": (b64(MAIL.encode("utf-16-le")), "[EMAIL]"),
    "hexadecimal": (f"mail: {MAIL}".encode().hex(), "[EMAIL]"),
}
PLAIN = [
    "100% of 3 &amp; more, 50%25 off; a%20b, C:\\new\\x and \\u00e9t\\u00e9",
    "commit 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "018c3f2e-7a4b-7cde-8f01-23456789abcd in /usr/share/doc/libexample-dev/examples",
    "aGVsbG8gd29ybGQsIHRoaXMgaXMgcGxhaW4gdGV4dA== iVBORw0KGgoAAAANSUhEUgAAAAEAAAAB",
    f"{b64(gz('nothing here'))} {b64(zipped(a='nothing', b='here'))} H4sI, UEsDBBQ and H4sIsNoGzipAtAllButAWord",
    "one \u2014 two\u2013three, 10\u00a0000 \u20ac, \U0001f469\u200d\U0001f4bb \u2764\ufe0f \u4f60\u597d\uff0c\u4e16",
]
EACH = pytest.mark.parametrize("kind", ENCODED)


def told(answer):
    return "".join(event["choices"][0]["delta"].get("content", "") for event in events(answer)
                   if event != "[DONE]" and event["choices"])


def completion(text):
    return {"id": "1", "object": "chat.completion", "choices": [
        {"index": 0, "message": {"role": "assistant", "content": text}}]}


@EACH
def test_in_a_prompt_it_becomes_a_placeholder_and_comes_back(gate, upstream, kind):
    value = ENCODED[kind][0]
    text = f"see {value}, please"
    answer = gate.chat(gate.alice, text)
    assert answer.status == 200
    sent = json.loads(upstream.requests[-1]["body"])["messages"][0]["content"]
    assert value not in sent and sent.startswith("see <") and sent.endswith(">, please"), sent
    got = json.loads(answer.json()["got"])["messages"][0]["content"]
    assert got == text


@EACH
def test_in_an_answer_it_is_masked(gate, upstream, kind):
    value, mask = ENCODED[kind]
    upstream.json(completion(f"see {value}, please"))
    answer = gate.chat(gate.alice)
    assert answer.json() == completion(f"see {mask}, please")
    sightings = gate.wait_for_close(answer.id)["unmapped"]["dvara"]["sightings"]
    assert [s["place"] for s in sightings] == ["/choices/0/message/content"]


@EACH
def test_in_a_stream_it_is_masked_wherever_it_is_split(gate, upstream, kind):
    value, mask = ENCODED[kind]
    text = f"see {value}, ok"
    for cut in range(4, 5 + len(value)):
        upstream.sends(SSE + b"\r\n", piece(CHAT, text[:cut]), piece(CHAT, text[cut:]), end(CHAT))
        assert told(gate.send(CHAT, body(CHAT), gate.alice)) == f"see {mask}, ok", cut
    upstream.sends(SSE + b"\r\n", *(piece(CHAT, c) for c in text), end(CHAT))
    assert told(gate.send(CHAT, body(CHAT), gate.alice)) == f"see {mask}, ok"


def test_what_only_looks_encoded_passes_unchanged(gate, upstream):
    for text in PLAIN:
        answer = gate.chat(gate.alice, text)
        assert json.loads(upstream.requests[-1]["body"])["messages"][0]["content"] == text
        assert json.loads(answer.json()["got"])["messages"][0]["content"] == text
        upstream.json(completion(text))
        assert gate.chat(gate.alice).json() == completion(text)
        upstream.sends(SSE + b"\r\n", *(piece(CHAT, c) for c in text), end(CHAT))
        assert told(gate.send(CHAT, body(CHAT), gate.alice)) == text
        upstream.echo()


def test_arguments_of_a_streamed_tool_call_are_decoded(gate, upstream):
    def arguments(text):
        return data({"type": "content_block_delta", "index": 0, "delta": {
            "type": "input_json_delta", "partial_json": text}}, "content_block_delta")
    text = json.dumps({"to": b64(MAIL), "note": "\\u0034111 1111 1111 1111"})
    upstream.sends(SSE + b"\r\n", *(arguments(c) for c in text),
                   data({"type": "content_block_stop", "index": 0}, "content_block_stop"), end(MESSAGES))
    answer = gate.send(MESSAGES, body(MESSAGES), gate.alice)
    got = "".join(event["delta"].get("partial_json", "") for event in events(answer)
                  if event["type"] == "content_block_delta")
    assert json.loads(got) == {"to": "[EMAIL]", "note": "[CARD]"}


def test_a_key_in_base64_is_refused_like_one_in_clear(gate, upstream):
    key = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v\n-----END PRIVATE KEY-----\n"
    answer = gate.chat(gate.alice, f"use {b64(key)}")
    assert answer.code == "sensitive_data" and "private_key" not in answer.body.decode()
    assert not upstream.requests
    upstream.json(completion(f"use {b64(key)}"))
    assert gate.chat(gate.alice).code == "answer_blocked"


def test_a_block_that_is_too_long_to_wait_for_ends_the_stream(gate, upstream):
    """It can't be masked once its beginning is out."""
    block = b64(f"{'no value here. ' * 1600}{MAIL}")
    pieces = [block[i:i + 512] for i in range(0, len(block), 512)]
    upstream.sends(SSE + b"\r\n", piece(CHAT, "see "), *(piece(CHAT, p) for p in pieces), end(CHAT))
    answer = gate.send(CHAT, body(CHAT), gate.alice)
    assert events(answer)[-1]["error"]["code"] == "answer_unreadable"
    assert block[:16] not in answer.body.decode()
    # What is no text is not held back, however long it is.
    picture = b64(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 150)
    pieces = [picture[i:i + 512] for i in range(0, len(picture), 512)]
    upstream.sends(SSE + b"\r\n", *(piece(CHAT, p) for p in pieces), end(CHAT))
    assert told(gate.send(CHAT, body(CHAT), gate.alice)) == picture


def refused(gate, upstream, block):
    """In a prompt, in an answer and in a stream."""
    upstream.requests.clear()
    assert gate.chat(gate.alice, f"see {block}, please").code == "sensitive_data"
    assert not upstream.requests
    upstream.json(completion(f"see {block}, please"))
    assert gate.chat(gate.alice).code == "answer_blocked"
    upstream.sends(SSE + b"\r\n", piece(CHAT, f"see {block}, ok"), end(CHAT))
    answer = gate.send(CHAT, body(CHAT), gate.alice)
    assert events(answer)[-1]["error"]["code"] == "answer_unreadable" and block not in answer.body.decode()
    upstream.echo()


def test_what_can_not_be_unpacked_within_bounds_is_refused(gate, upstream):
    deep = f"mail {MAIL}".encode()
    for _ in range(4):
        deep = gzip.compress(deep, mtime=0)
    encrypted = bytearray(zipped(a="secret"))
    encrypted[6] |= 1
    bomb = gzip.compress(bytes(3 << 20), mtime=0)
    for packed in (deep, encrypted, bomb, gz("cut short" * 9)[:-9]):
        refused(gate, upstream, b64(bytes(packed)))


def test_more_than_four_mebibytes_are_refused(gate):
    words = random.Random(7)
    text = "".join(words.choice("abcdefgh") for _ in range(4 << 20))
    ask = {"text": ""}
    key = gate.alice
    ask["text"] = b64(gz(text))
    assert gate.send("/large", ask, key).status == 200
    ask["text"] = b64(gz(text + "x"))
    assert gate.send("/large", ask, key).code == "sensitive_data"


def test_many_small_blocks_are_refused_like_a_large_one(gate):
    """Each within its bounds, 17 MiB in all: a body of 10 MiB would take minutes."""
    block = b64(gz("a 1111 12.3. " * 5000))
    assert gate.chat(gate.alice, f"see {block}, " * 200).status == 200
    assert gate.chat(gate.alice, f"see {block}, " * 280).code == "sensitive_data"


def test_packed_blocks_pass_where_nothing_is_decoded(make_gate, upstream):
    config = copy.deepcopy(CONFIG)
    config["data_policies"]["request"]["decode"] = False
    gate = make_gate(config=config)
    text = b64(gz(f"mail {MAIL}"))
    assert gate.chat(gate.key(), text).status == 200
    assert json.loads(upstream.requests[-1]["body"])["messages"][0]["content"] == text
