# SPDX-License-Identifier: Apache-2.0
"""What leaves, told from the log; who is meant by rules, and why (DATA-3.3.2, DATA-3.3.3, DATA-3.4.1)."""
import concurrent.futures
import csv
import io
import json

from support import shows_card, wait_until

CARD = "4111 1111 1111 1111"
CONFIG = """
masking:
  request: {default: mask, detectors: {private_key: block}}
  answer: {default: mask}
  rules:
    - {roles: [support], detectors: [email], action: allow}
    - {groups: [finance], categories: [payment], action: alert}
    - {users: [ann], routes: [openai-completions], action: redact}
loss_prevention:
  volume:
    - {name: many-cards, categories: [payment], values: 4, per: 1h, action: block}
    - {name: mails, detectors: [email], values: 1, per: 1d, action: monitor}
"""


def body(text):
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": text}]}).encode()


def leaks(dvara, *words):
    return dvara.json("data", "leaks", *words)


def by_key(report):
    return {row[report["by"]]: row for row in report["rows"]}


def user(dvara, name, *roles):
    key = dvara.key(name)
    for role in roles:
        dvara.good("role", "assign", "--user", name, "--role", role)
    return key


def closed(dvara):
    return dvara.json("audit", "search", "event:request.close | count")["rows"][0]["count"]


def traffic(dvara):
    dvara.good("role", "create", "--name", "support")
    dvara.good("group", "create", "--name", "finance")
    ann, sue, fay = user(dvara, "ann"), user(dvara, "sue", "support"), user(dvara, "fay")
    dvara.good("group", "add-member", "finance", "--user", "fay")
    assert dvara.ask(ann, body(f"{CARD} {CARD} bob@example.com")) == 200
    assert dvara.ask(ann, body(f"{CARD} {CARD} {CARD}")) == 429
    assert dvara.ask(sue, body("bob@example.com and eve@example.org")) == 200
    assert dvara.ask(fay, body(CARD)) == 200
    dvara.good("user", "show", "ann")
    wait_until(lambda: closed(dvara) >= 4, 20, "the records of the requests are in the log")


def check_users(dvara):
    rows = by_key(leaks(dvara))
    assert rows["ann"] == {"user": "ann", "sent": 6, "got": 0, "hidden": 3, "passed": 0, "refused": 3,
                           "requests": 2}
    assert (rows["sue"]["sent"], rows["sue"]["passed"]) == (2, 2)
    assert (rows["fay"]["sent"], rows["fay"]["passed"]) == (1, 1)


def check_kinds(dvara):
    detectors = by_key(leaks(dvara, "--by", "detector"))
    assert detectors["payment_card"]["sent"] == 6 and detectors["email"]["sent"] == 3
    categories = by_key(leaks(dvara, "--by", "category"))
    assert categories["payment"]["sent"] == 6 and categories["personal"]["sent"] == 3
    assert by_key(leaks(dvara, "--by", "route"))["openai-chat"]["sent"] == 9


def check_outputs(dvara):
    report = leaks(dvara, "--since", "1h")
    assert [row["user"] for row in report["rows"]] == ["ann", "sue", "fay"]
    volumes = {row["rule"]: row for row in report["volumes"]}
    assert volumes["many-cards"] == {"rule": "many-cards", "action": "block", "user": "ann", "times": 1,
                                     "values": 3}
    assert (volumes["mails"]["user"], volumes["mails"]["times"]) == ("sue", 1)
    table = dvara.good("data", "leaks")
    assert "ann" in table and "many-cards" in table
    rows = list(csv.DictReader(io.StringIO(dvara.good("data", "leaks", "--output", "csv"))))
    assert [(row["user"], row["sent"]) for row in rows] == [("ann", "6"), ("sue", "2"), ("fay", "1")]
    assert not shows_card(table + json.dumps(report))
    assert leaks(dvara, "--until", "2020-01-01")["rows"] == []
    assert "no time" in dvara.refused("data", "leaks", "--since", "never")
    assert [r["rule"] for r in dvara.json("audit", "search", "rule:loss.volume | count by rule")["rows"]] \
        == ["loss.volume"]


def check_why(dvara):
    passed = dvara.good("audit", "search", "event:request.open volume:many-cards", "--output", "jsonl")
    summary = dvara.json("why", json.loads(passed.splitlines()[0])["metadata"]["correlation_uid"])["summary"]
    assert "The request passed many-cards, a rule on volume: block." in summary
    assert "rule many-cards: 4 in 1h" in summary


def explain(dvara, *words):
    return dvara.json("data", "masking", "explain", *words)


def check_explanations(dvara):
    told = explain(dvara, "--user", "sue", "--route", "openai-chat", "--detector", "email")
    assert (told["action"], told["decided_by"]) == ("allow", "rules[0]")
    assert [row["why"].split(":")[0] for row in told["rules"]] == [
        "decides", "does not speak of the detector", "is for other routes", "counts where no rule decides"]
    told = explain(dvara, "--user", "ann", "--route", "openai-chat", "--detector", "email")
    assert (told["action"], told["decided_by"]) == ("mask", "request")
    assert [row["why"] for row in told["rules"]] == [
        "is for others", "does not speak of the detector", "is for other routes", "no rule decides"]
    told = explain(dvara, "--user", "ann", "--route", "openai-completions", "--detector", "payment_card")
    assert (told["action"], told["decided_by"]) == ("redact", "rules[2]")
    told = explain(dvara, "--user", "fay", "--route", "openai-chat", "--detector", "iban", "--direction", "answer")
    assert (told["action"], told["decided_by"]) == ("alert", "rules[1]")
    told = explain(dvara, "--user", "fay", "--route", "openai-chat", "--detector", "url")
    assert (told["action"], told["rules"][-1]["why"]) == ("none", "it is not looked for")
    for words, why in ((("--user", "nobody", "--route", "openai-chat", "--detector", "email"), "nobody"),
                       (("--user", "ann", "--route", "chat", "--detector", "email"), "no route"),
                       (("--user", "ann", "--route", "openai-chat", "--detector", "emial"), "no detector"),
                       (("--route", "openai-chat", "--detector", "email"), "user and service")):
        assert why in dvara.refused("data", "masking", "explain", *words)


def test_what_left_is_told_by_user_route_detector_and_category(make):
    dvara = make()
    dvara.configure(CONFIG)
    dvara.up()
    traffic(dvara)
    check_users(dvara)
    check_kinds(dvara)
    check_outputs(dvara)
    check_explanations(dvara)
    check_why(dvara)


def test_parts_of_the_log_are_added_up(make):
    """More records than one call reads; more values in one than it lists."""
    dvara = make()
    dvara.configure("limits: {key: [], user: [], group: [], address: [], route: []}\n")
    dvara.up()
    key = dvara.key("ann")
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda _: dvara.ask(key, body("bob@example.com")), range(1100))) == {200}
    texts = [{"role": "user", "content": CARD} for _ in range(120)]
    assert dvara.ask(key, json.dumps({"model": "m", "messages": texts}).encode()) == 200
    wait_until(lambda: closed(dvara) >= 1101, 30, "the records of the requests are in the log")
    report = leaks(dvara, "--by", "detector")
    assert {row["detector"]: (row["sent"], row["requests"]) for row in report["rows"]} == {
        "email": (1100, 1100), "payment_card": (100, 1)}
    assert report["unlisted"] == 20
    assert "20 more places" in dvara.run("data", "leaks").stderr


def names(dvara):
    return dvara.json("data", "masking", "check")["items"]


def test_names_that_nobody_has_are_told(make):
    dvara = make()
    dvara.configure(CONFIG)
    dvara.up()
    file = dvara.folder / "other.yaml"
    dvara.good("role", "create", "--name", "support")
    dvara.good("group", "create", "--name", "finance")
    dvara.good("user", "create", "--name", "ann")
    assert dvara.run("reload").stderr == ""
    assert names(dvara) == []
    text = CONFIG.replace("[support]", "[suport, auditor]").replace("[finance]", "[finanz]").replace("[ann]", "[anne]")
    file.write_text(text.replace("name: mails,", "name: mails, services: [ci],"))
    done = dvara.run("config", "check", file)
    assert done.returncode == 0 and "is good" in done.stdout
    told = [line.split(": ", 2)[2] for line in done.stderr.splitlines()]
    assert told == ["masking: rules[0]: no role suport; did you mean support?",
                    "masking: rules[1]: no group finanz; did you mean finance?",
                    "masking: rules[2]: no user anne; did you mean ann?",
                    "loss_prevention: volume[1]: no service ci"]
    file.write_text("rbac: {roles: {suport: {permissions: [use_model]}}}\n"
                    "masking: {rules: [{roles: [suport], action: mask}]}\n")
    assert dvara.run("config", "check", file).stderr == ""  # this very file makes the role
    dvara.configure(text.replace("name: mails,", "name: mails, services: [ci],"))
    done = dvara.run("reload")
    assert done.returncode == 0 and "masking: rules[0]: no role suport; did you mean support?" in done.stderr
    assert done.stderr.count("loss_prevention: volume[1]: no service ci") == 1
    assert done.stderr.count("suport") == 1  # once for both directions
    assert [row["near"] for row in names(dvara)][:2] == ["support", "finance"]
    dvara.good("role", "create", "--name", "suport")  # it may come later
    assert "suport" not in dvara.run("reload").stderr


def test_a_route_that_is_not_there_is_a_mistake(make):
    dvara = make()
    dvara.configure(CONFIG)
    dvara.up()
    dvara.configure(CONFIG.replace("[openai-completions]", "[openai-completion]"))
    why = dvara.refused("reload")
    assert "line 8" in why or ":8:" in why
    assert "no route is called 'openai-completion'; did you mean 'openai-completions'?" in why
    dvara.configure(CONFIG.replace("name: mails,", "name: mails, routes: [models],"))
    assert "loss_prevention: no route is called 'models'" in dvara.refused("config", "check", dvara.config)
