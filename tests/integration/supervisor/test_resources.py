# SPDX-License-Identifier: Apache-2.0
"""What dvara.yaml says of models and routes is what policies decide by, in every worker, with the next request."""
import json

import pytest

CONFIG = """
models:
  gpt-x: {tier: premium, groups: [frontier, chat], labels: [eu], classification: confidential}
  Small-LM: {tier: basic, groups: [chat]}
  "*": {tier: unlisted}
routes:
  - {name: chat, path: /v1/chat/completions, protocol: openai_chat}
  - {name: clinic, path: /clinic/v1/chat/completions, protocol: openai_chat, labels: [phi], classification: secret}
"""
POLICIES = """
@id("basic") permit(principal in Group::"all", action == Action::"use_model", resource) when { resource.tier == "basic" };
@id("frontier") permit(principal == User::"fred", action == Action::"use_model", resource in ModelGroup::"frontier");
@id("europe") permit(principal == User::"emma", action == Action::"use_model", resource) when { resource.labels.contains("eu") };
@id("sealed") forbid(principal == User::"fred", action == Action::"use_model", resource) when { resource.classification == "secret" };
@id("any") permit(principal == User::"otto", action == Action::"use_model", resource) when { resource.tier == "unlisted" };
"""
TRIES = 6  # enough connections to meet both workers


@pytest.fixture(name="gate")
def make_gate(make):
    gate = make()
    gate.configure(CONFIG)
    gate.up("--workers", 2)
    gate.good("group", "create", "--name", "all")
    gate.keys = {}
    for user in ("fred", "emma", "otto", "anna"):
        gate.good("user", "create", "--name", user, "--groups", "all")
        gate.keys[user] = gate.json("apikey", "create", "--user", user)["secret"]
    (gate.folder / "p.cedar").write_text(POLICIES)
    gate.good("policy", "apply", gate.folder / "p.cedar")
    return gate


def ask(gate, user, model):
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "hello"}]}).encode()
    answers = {gate.ask(gate.keys[user], body) for _ in range(TRIES)}
    assert len(answers) == 1
    return answers.pop() == 200


def who(gate, model):
    items = gate.json("access", "who-can", "--action", "use_model", "--resource", "model/" + model)["items"]
    return [row["principal"] for row in items]


EXPECTED = {  # who may use which model; admin may all
    "gpt-x": ["emma", "fred"], "GPT-X": ["emma", "fred"],
    "small-lm": ["anna", "emma", "fred", "otto"], "Small-LM": ["anna", "emma", "fred", "otto"],
    "gpt-xx": ["otto"], "*": ["otto"],
}


def test_the_gate_decides_by_tier_group_and_label_and_reviews_say_the_same(gate):
    for model, users in EXPECTED.items():
        assert [user for user in sorted(gate.keys) if ask(gate, user, model)] == users, model
        assert who(gate, model) == [f'User::"{user}"' for user in ["admin", *users]], model
    rows = gate.json("access", "audit", "--user", "emma")["access"]
    assert [(row["resource"], row["policies"]) for row in rows if row["decision"] == "allow"] == [
        ('Model::"gpt-x"', ["europe"]), ('Model::"small-lm"', ["basic"])]
    told = gate.json("policy", "explain", "--principal", 'User::"fred"', "--action", "use_model",
                     "--resource", 'Model::"gpt-x"')
    assert (told["decision"], told["policies"]) == ("allow", ["frontier"])
    answer = gate.json("access", "evaluate", "--subject", '{"type":"User","id":"emma"}', "--action",
                       '{"name":"use_model"}', "--resource", '{"type":"Model","id":"GPT-X"}')
    assert answer["decision"] is True


def test_properties_of_a_question_do_not_change_what_the_file_says(gate):
    for tier in ("basic", "premium"):
        answer = gate.json("access", "evaluate", "--subject", '{"type":"User","id":"anna"}', "--action", '{"name":"use_model"}',
                           "--resource", json.dumps({"type": "Model", "id": "gpt-x", "properties": {"tier": tier}}))
        assert answer["decision"] is False


def test_a_route_that_is_classified_ends_the_request(gate):
    assert ask(gate, "fred", "gpt-x")
    listen, gate.listen = gate.listen, gate.listen + "/clinic"
    assert not ask(gate, "fred", "gpt-x")
    assert ask(gate, "emma", "gpt-x")
    gate.listen = listen
    forbidden = gate.json("access", "audit", "--user", "fred")["access"]
    assert [row["resource"] for row in forbidden if row["decision"] == "forbid"] == ['Route::"clinic"']


def test_a_reload_moves_models_and_what_was_decided_before_counts_no_more(gate):
    assert ask(gate, "fred", "gpt-x") and not ask(gate, "anna", "gpt-x")
    gate.configure(CONFIG.replace("tier: premium, groups: [frontier, chat]", "tier: basic"))
    gate.good("reload")
    assert ask(gate, "anna", "gpt-x") and ask(gate, "fred", "gpt-x")
    gate.configure(CONFIG.replace("groups: [frontier, chat]", "groups: [chat]"))
    gate.good("reload")
    assert not ask(gate, "anna", "gpt-x") and not ask(gate, "fred", "gpt-x")
    assert who(gate, "gpt-x") == ['User::"admin"', 'User::"emma"']


def test_a_dry_run_tells_of_the_models_of_the_file(gate):
    (gate.folder / "q.cedar").write_text(
        'permit(principal == User::"anna", action == Action::"use_model", resource) when { resource.tier == "premium" };')
    told = gate.json("policy", "apply", gate.folder / "q.cedar", "--dry-run")
    assert [(one["principal"], one["resource"]) for one in told["access"]] == [('User::"anna"', 'Model::"gpt-x"')]


def test_without_the_section_all_words_are_empty(make):
    gate = make()
    gate.up()
    gate.keys = {"alice": gate.key()}
    (gate.folder / "p.cedar").write_text(
        'forbid(principal, action == Action::"use_model", resource is Model) unless { resource.tier == "" && resource.labels.isEmpty() };')
    gate.good("policy", "apply", gate.folder / "p.cedar")
    assert ask(gate, "alice", "m")
