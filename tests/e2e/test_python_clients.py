# SPDX-License-Identifier: Apache-2.0
"""The official Python clients, unchanged but for base URL and key (API-2.1.1, DATA-3.3.1)."""
import json

import anthropic
import openai
import pytest

from conftest import MODEL, Dvara
from recorder import Recorder

TOOLS = [{"type": "function", "function": {
    "name": "get_weather", "description": "Weather of a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}},
                   "required": ["city"]}}}]


@pytest.fixture(scope="module")
def client(dvara, alice):
    return openai.OpenAI(base_url=dvara.url + "/v1", api_key=alice["secret"], max_retries=0)


def ask(text):
    return [{"role": "user", "content": text}]


def test_chat(client):
    answer = client.chat.completions.create(model=MODEL, messages=ask("Say hello."), max_tokens=16)
    assert answer.choices[0].message.content
    assert answer.usage.completion_tokens > 0


def test_chat_streams(client):
    stream = client.chat.completions.create(model=MODEL, messages=ask("Count to five."),
                                            max_tokens=24, stream=True,
                                            stream_options={"include_usage": True})
    chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text.strip()
    assert len(chunks) > 3
    assert chunks[-1].usage.completion_tokens > 0


def test_completions(client):
    answer = client.completions.create(model=MODEL, prompt="Once upon a time", max_tokens=8)
    assert answer.choices[0].text


def test_embeddings(client):
    answer = client.embeddings.create(model=MODEL, input=["gate", "door"])
    assert len(answer.data) == 2
    assert len(answer.data[0].embedding) > 100


def test_models(client):
    assert MODEL in [model.id for model in client.models.list()]


def test_a_conversation_with_tools_reaches_the_model(client):
    call = {"id": "c1", "type": "function",
            "function": {"name": "get_weather", "arguments": '{"city": "Pune"}'}}
    answer = client.chat.completions.create(
        model=MODEL, tools=TOOLS, max_tokens=16,
        messages=[*ask("What is the weather in Pune?"),
                  {"role": "assistant", "content": None, "tool_calls": [call]},
                  {"role": "tool", "tool_call_id": "c1", "content": "Sunny."}])
    assert answer.choices[0].message.content


def tool_call_answer(arguments, stream):
    """What a model that calls a tool sends; SmolLM2 is too small to call one when it should."""
    call = {"id": "c1", "type": "function", "function": {"name": "send_mail"}}
    head = {"id": "x", "created": 1, "model": "m"}
    if not stream:
        call["function"]["arguments"] = arguments
        message = {"role": "assistant", "content": None, "tool_calls": [call]}
        choice = {"index": 0, "finish_reason": "tool_calls", "message": message}
        return json.dumps({**head, "object": "chat.completion", "choices": [choice]})
    pieces = [arguments[i:i + 3] for i in range(0, len(arguments), 3)]
    deltas = [{"role": "assistant", "tool_calls": [
        {"index": 0, **call, "function": {"name": "send_mail", "arguments": ""}}]}]
    deltas += [{"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}
               for piece in pieces]
    events = [{"index": 0, "finish_reason": None, "delta": delta} for delta in deltas]
    events.append({"index": 0, "finish_reason": "tool_calls", "delta": {}})
    return "".join("data: " + json.dumps({**head, "object": "chat.completion.chunk",
                                          "choices": [event]}) + "\n\n"
                   for event in events) + "data: [DONE]\n\n"


@pytest.mark.parametrize("stream", [False, True])
def test_tool_calls_carry_the_callers_own_values(tmp_path, stream):
    recorder = Recorder()
    gate = Dvara(tmp_path, recorder.url)
    try:
        key = gate.user_with_key("alice")["secret"]
        client = openai.OpenAI(base_url=gate.url + "/v1", api_key=key, max_retries=0)
        said = ask("Write to ada@example.org.")
        client.chat.completions.create(model="m", messages=said)
        content = json.loads(recorder.requests[-1]["body"])["messages"][0]["content"]
        placeholder = content.removeprefix("Write to ").removesuffix(".")
        assert "ada@" not in placeholder and "example" not in placeholder
        text = tool_call_answer(json.dumps({"to": placeholder, "cc": "eve@example.net"}), stream)
        kind = "text/event-stream" if stream else "application/json"
        recorder.reply = 200, [("Content-Type", kind)], text.encode()
        answer = client.chat.completions.create(model="m", messages=said, stream=stream)
        if stream:
            calls = [call for chunk in answer for choice in chunk.choices
                     for call in choice.delta.tool_calls or []]
            arguments = "".join(call.function.arguments or "" for call in calls)
        else:
            arguments = answer.choices[0].message.tool_calls[0].function.arguments
        mail = json.loads(arguments)
        assert mail["to"] == "ada@example.org"
        assert "eve@example.net" not in arguments and mail["cc"]
    finally:
        gate.down()
        recorder.stop()


def test_a_wrong_key_is_an_authentication_error(dvara, alice):
    wrong = openai.OpenAI(base_url=dvara.url + "/v1", max_retries=0,
                          api_key=alice["secret"][:-1] + ("y" if alice["secret"].endswith("x") else "x"))
    with pytest.raises(openai.AuthenticationError) as error:
        wrong.chat.completions.create(model=MODEL, messages=ask("hi"))
    assert error.value.response.headers["x-request-id"]


def test_a_user_without_a_role_is_refused(dvara):
    key = dvara.user_with_key("norole", role=None)
    client = openai.OpenAI(base_url=dvara.url + "/v1", api_key=key["secret"], max_retries=0)
    with pytest.raises(openai.PermissionDeniedError) as error:
        client.chat.completions.create(model=MODEL, messages=ask("hi"))
    why = dvara.why(error.value.response.headers["x-request-id"])
    assert "not_permitted" in str(why)
    assert "norole" in str(why)


def test_an_unknown_field_is_refused_by_name(client):
    with pytest.raises(openai.BadRequestError) as error:
        client.chat.completions.create(model=MODEL, messages=ask("hi"), max_tokens=4,
                                       extra_body={"api_base": "http://127.0.0.1:1"})
    assert "api_base" in str(error.value)


def test_an_unknown_path_is_not_found(client):
    with pytest.raises(openai.NotFoundError):
        client.get("/no/such/path", cast_to=object)


def test_a_revoked_key_fails_at_the_next_request(dvara):
    key = dvara.user_with_key("leaver")
    client = openai.OpenAI(base_url=dvara.url + "/v1", api_key=key["secret"], max_retries=0)
    client.models.list()
    dvara.run("apikey", "revoke", key["id"])
    with pytest.raises(openai.AuthenticationError):
        client.models.list()


def test_a_card_number_is_masked_on_the_way_and_explained(dvara, client):
    answer = client.chat.completions.with_raw_response.create(
        model=MODEL, max_tokens=24,
        messages=ask("Repeat exactly: my card is 4111 1111 1111 1111 and mail ada@example.org"))
    why = str(dvara.why(answer.headers["x-request-id"]))
    assert "payment_card" in why and "email" in why and "/messages/0/content" in why
    # "4111" alone stands in an identifier now and then.
    assert "4111 1" not in why and "41111" not in why and "ada@" not in why


def test_retries_after_429_succeed(model, tmp_path):
    limits = 'limits: {key: {count: 2, per: 1s}}\n'
    limited = Dvara(tmp_path, model, limits)
    try:
        key = limited.user_with_key("bob")["secret"]
        impatient = openai.OpenAI(base_url=limited.url + "/v1", api_key=key, max_retries=0)
        with pytest.raises(openai.RateLimitError) as error:
            for _ in range(20):
                impatient.models.list()
        assert int(error.value.response.headers["retry-after"]) >= 1
        patient = openai.OpenAI(base_url=limited.url + "/v1", api_key=key, max_retries=5)
        for _ in range(4):
            patient.models.list()
    finally:
        limited.down()


@pytest.fixture(scope="module")
def claude(dvara, alice):
    return anthropic.Anthropic(base_url=dvara.url, api_key=alice["secret"], max_retries=0)


def test_anthropic_messages(claude):
    answer = claude.messages.create(model=MODEL, max_tokens=16, messages=ask("Say hello."))
    assert answer.content[0].text
    assert answer.usage.output_tokens > 0


def test_anthropic_streams(claude):
    """Temperature 0: an answer that begins with a character of several tokens (an emoji) makes
    llama.cpp leave out `message_start`, without Dvara, too."""
    with claude.messages.stream(model=MODEL, max_tokens=24, extra_body={"temperature": 0},
                                messages=ask("Count.")) as stream:
        assert "".join(stream.text_stream).strip()
        assert stream.get_final_message().usage.output_tokens > 0


def test_anthropic_errors_have_their_shape(dvara):
    wrong = anthropic.Anthropic(base_url=dvara.url, api_key="dvk_wrong", max_retries=0)
    with pytest.raises(anthropic.AuthenticationError) as error:
        wrong.messages.create(model=MODEL, max_tokens=4, messages=ask("hi"))
    assert error.value.body["type"] == "error"
    assert error.value.body["error"]["type"] == "authentication_error"


def test_the_log_verifies(dvara):
    assert "ok" in dvara.run("audit", "verify")
    events = dvara.run("audit", "tail", "--output", "jsonl").strip().splitlines()
    assert len(events) > 5
