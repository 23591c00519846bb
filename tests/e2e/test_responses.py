# SPDX-License-Identifier: Apache-2.0
"""The official OpenAI client against /v1/responses; the model server tells what the API's own does
(API-2.1.1, DATA-3.3.1, DATA-3.4.5)."""
import json

import openai
import pytest

from conftest import Dvara
from recorder import Recorder

MAIL, CARD = "ada@example.org", "4111 1111 1111 1111"


@pytest.fixture(scope="module")
def recorder():
    server = Recorder()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def client(recorder, tmp_path_factory):
    gate = Dvara(tmp_path_factory.mktemp("responses"), recorder.url)
    key = gate.user_with_key("alice")["secret"]
    made = openai.OpenAI(base_url=gate.url + "/v1", api_key=key, max_retries=0)
    made.gate = gate
    yield made
    gate.down()


def response(*output, status="completed"):
    return {"id": "resp_1", "object": "response", "created_at": 1, "status": status, "model": "m",
            "output": list(output), "parallel_tool_calls": True, "tool_choice": "auto",
            "tools": [], "usage": {"input_tokens": 5, "output_tokens": 7, "total_tokens": 12,
                                   "input_tokens_details": {"cached_tokens": 0},
                                   "output_tokens_details": {"reasoning_tokens": 0}}}


def message(text):
    return {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed",
            "content": [{"type": "output_text", "text": text, "annotations": []}]}


def call(arguments):
    return {"id": "fc_1", "type": "function_call", "call_id": "call_1", "name": "send_mail",
            "arguments": arguments, "status": "completed"}


def pieces(text):
    return [text[i:i + 3] for i in range(0, len(text), 3)]


def stream_of(text, arguments):
    """The events of a message and a call of a tool, as the API tells them."""
    at = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    part = message(text)["content"][0]
    told = [{"type": "response.created", "response": response(status="in_progress")},
            {"type": "response.in_progress", "response": response(status="in_progress")},
            {"type": "response.output_item.added", "output_index": 0,
             "item": {**message(""), "content": [], "status": "in_progress"}},
            {"type": "response.content_part.added", **at, "part": {**part, "text": ""}}]
    told += [{"type": "response.output_text.delta", **at, "delta": piece, "logprobs": [],
              "obfuscation": "xyz"} for piece in pieces(text)]
    told += [{"type": "response.output_text.done", **at, "text": text, "logprobs": []},
             {"type": "response.content_part.done", **at, "part": part},
             {"type": "response.output_item.done", "output_index": 0, "item": message(text)}]
    at = {"item_id": "fc_1", "output_index": 1}
    told += [{"type": "response.output_item.added", "output_index": 1, "item": call("")}]
    told += [{"type": "response.function_call_arguments.delta", **at, "delta": piece}
             for piece in pieces(arguments)]
    told += [{"type": "response.function_call_arguments.done", **at, "name": "send_mail",
              "arguments": arguments},
             {"type": "response.output_item.done", "output_index": 1, "item": call(arguments)},
             {"type": "response.completed", "response": response(message(text), call(arguments))}]
    return "".join(f"event: {event['type']}\ndata: "
                   f"{json.dumps({**event, 'sequence_number': number})}\n\n"
                   for number, event in enumerate(told)).encode()


def placeholder_of(client, recorder):
    """What the model server got in the address's place."""
    recorder.reply = 200, [("Content-Type", "application/json")], json.dumps(
        response(message("ok"))).encode()
    client.responses.create(model="m", input=f"Write to {MAIL}.")
    return json.loads(recorder.requests[-1]["body"])["input"][len("Write to "):-1]


def test_an_answer(client, recorder):
    placeholder = placeholder_of(client, recorder)
    assert placeholder.startswith("<EMAIL_")
    recorder.reply = 200, [("Content-Type", "application/json")], json.dumps(
        response(message(f"To {placeholder}, card {CARD}."))).encode()
    answer = client.responses.create(
        model="m", instructions="Be short.", max_output_tokens=64,
        input=[{"role": "user", "content": [{"type": "input_text", "text": f"Write to {MAIL}."}]}])
    assert MAIL not in recorder.requests[-1]["body"]
    assert MAIL in answer.output_text and "4111 1111" not in answer.output_text
    assert answer.usage.output_tokens == 7


def test_a_stream(client, recorder):
    placeholder = placeholder_of(client, recorder)
    recorder.reply = 200, [("Content-Type", "text/event-stream")], stream_of(
        f"To {placeholder}, card {CARD}", json.dumps({"to": placeholder, "cc": "eve@example.net"}))
    text, arguments, numbers = "", "", []
    with client.responses.stream(model="m", input=f"Write to {MAIL}.") as stream:
        for event in stream:
            numbers.append(event.sequence_number)
            if event.type == "response.output_text.delta":
                text += event.delta
            if event.type == "response.output_text.done":
                assert event.text == text
            if event.type == "response.function_call_arguments.delta":
                arguments += event.delta
        final = stream.get_final_response()
    assert text.startswith(f"To {MAIL}, card [") and "4111 1111" not in text
    assert json.loads(arguments)["to"] == MAIL and "eve@" not in arguments
    assert final.output_text == text and final.output[1].arguments == arguments
    assert final.usage.input_tokens == 5
    assert numbers == list(range(len(numbers)))


def test_what_lies_at_the_model_server_is_refused(client, recorder):
    recorder.requests.clear()
    for more in ({"previous_response_id": "resp_1"}, {"conversation": "conv_1"},
                 {"background": True}):
        with pytest.raises(openai.BadRequestError) as error:
            client.responses.create(model="m", input="hi", **more)
        assert next(iter(more)) in str(error.value)
    assert recorder.requests == []
