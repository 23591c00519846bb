# SPDX-License-Identifier: Apache-2.0
"""Files through the official client (DATA-3.3.1): what it sends as forms, and what it reads back."""
import email
import email.policy
import json

import openai
import pytest

from conftest import Dvara
from recorder import Recorder
from support import shows_card

CARD, MAIL = "4111 1111 1111 1111", "ada@example.org"
CONFIG = """
routes:
  - {name: files, path: /v1/files, match: prefix, methods: [GET, POST], protocol: upload}
  - {name: chat, path: /v1/chat/completions, protocol: openai_chat}
"""
FILE = {"id": "file-1", "object": "file", "bytes": 1, "created_at": 1, "filename": "batch.jsonl",
        "purpose": "batch", "status": "processed"}


@pytest.fixture(scope="module")
def server():
    recorder = Recorder()
    yield recorder
    recorder.stop()


@pytest.fixture(scope="module")
def uploads(server, tmp_path_factory):
    dvara = Dvara(tmp_path_factory.mktemp("uploads"), server.url, CONFIG)
    try:
        yield dvara
    finally:
        dvara.down()


@pytest.fixture(scope="module")
def client(uploads):
    key = uploads.user_with_key("alice")["secret"]
    return openai.OpenAI(base_url=uploads.url + "/v1", api_key=key, max_retries=0)


def parts_of(request):
    head = f"Content-Type: {request['headers']['Content-Type']}\r\n\r\n"
    message = email.message_from_string(head + request["body"], policy=email.policy.HTTP)
    return {part.get_param("name", header="content-disposition"): part.get_payload(decode=True).decode()
            for part in message.iter_parts()}


def replies(server, content, kind="application/json"):
    server.reply = 200, [("Content-Type", kind)], content


def test_a_batch_is_masked_line_by_line(uploads, client, server):
    lines = [{"custom_id": str(i), "method": "POST", "url": "/v1/chat/completions",
              "body": {"model": "m", "messages": [{"role": "user", "content": f"{text} number {i}"}]}}
             for i, text in enumerate([f"mail {MAIL}", "nothing", f"card {CARD}"])]
    replies(server, json.dumps(FILE).encode())
    answer = client.files.with_raw_response.create(
        file=("batch.jsonl", "".join(json.dumps(line) + "\n" for line in lines).encode()), purpose="batch")
    assert answer.parse().id == "file-1"
    parts = parts_of(server.requests[-1])
    assert parts["purpose"] == "batch"
    arrived = [json.loads(line) for line in parts["file"].splitlines()]
    contents = [line["body"]["messages"][0]["content"] for line in arrived]
    assert contents[0].startswith("mail <EMAIL_") and contents[0].endswith("> number 0")
    assert contents[1] == "nothing number 1" and contents[2].startswith("card <CARD_")
    why = str(uploads.why(answer.headers["x-request-id"]))
    assert "/file/0/body/messages/0/content" in why and MAIL not in why and not shows_card(why)


def test_what_can_not_be_read_is_refused_with_what_to_do(client, server):
    count = len(server.requests)
    with pytest.raises(openai.BadRequestError) as error:
        client.files.create(file=("scan.png", b"\x89PNG\r\n\x1a\n\xff\xfe"), purpose="user_data")
    assert "/file can not be inspected: send text" in str(error.value)
    assert len(server.requests) == count


def test_contents_come_back_masked(client, server):
    replies(server, (json.dumps({"id": 1, "text": f"to {MAIL}"}) + "\n").encode(), "application/octet-stream")
    content = client.files.content("file-1")
    assert json.loads(content.text) == {"id": 1, "text": "to [EMAIL]"}
