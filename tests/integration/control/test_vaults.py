# SPDX-License-Identifier: Apache-2.0
"""`data_vaults:` and `dvara data vault`: what tokens stand for is told to who may know it, on the record, and stands
nowhere else."""
import base64
import json
import os
import pathlib
import shutil
import tempfile

import pytest
import suite
from conftest import BUILD, Control

NAMES = ["bob.marley@example.com", "eve.moneypenny@example.com", "zoë@example.org"]
UNKNOWN = "dvt_" + "0" * 22
UNKNOWN_SEALED = "dvs_1" + "0" * 33
WHY = "chargeback 4711"

ONE_VAULT = """@id("one_vault")
permit (principal == User::"clerk", action == Action::"detokenize", resource == DataVault::"customers");
@id("not_at_all")
forbid (principal == User::"barred", action == Action::"detokenize", resource);
"""


class Vaults:
    def __init__(self, control, folder):
        self.control = control
        self.folder = folder
        self.key = folder / "key"
        self.key.write_bytes(base64.b64encode(os.urandom(32)))
        self.key.chmod(0o600)

    def path(self, name):
        return self.folder / f"{name}.dv"

    def fill(self, name, values):
        """The tokens of the values, made by another program than dvarad, which may have it open."""
        source = self.folder / "in.csv"
        source.write_text("email\n" + "".join(f"{value}\n" for value in values))
        done = self.control.dvara("data", "tokenize", "--input", str(source), "--key-file", str(self.key),
                                  "--vault", str(self.path(name)))
        source.unlink()
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()[1:]

    def config(self, *names):
        return "data_vaults:\n" + "".join(
            f"  - {{name: {name}, file: {self.path(name)}, key: {self.key}}}\n" for name in names)

    def seal(self, *values):
        """Tokens that carry their value, as the gateway makes them."""
        source, rules = self.folder / "in.csv", self.folder / "rules.yaml"
        source.write_text("secret\n" + "".join(f"{value}\n" for value in values))
        rules.write_text("columns: {secret: {action: token, sealed: true}}\n")
        done = self.control.dvara("data", "tokenize", "--sealed", "--input", str(source), "--rules", str(rules),
                                  "--key-file", str(self.key))
        source.unlink()
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()[1:]

    def ask(self, key, tokens, purpose=WHY, vault="customers"):
        body = {"tokens": tokens, "purpose": purpose}
        return self.control.curl(f"/v1/data/vaults/{vault}/detokenize", key=key, method="POST",
                                 body={name: value for name, value in body.items() if value is not None})

    def record(self, answer):
        """The one that the call left, beside the one of a user who begins to work here."""
        wanted = answer.headers["x-request-id"]

        def records():
            lines = self.control.dvara("audit", "tail", "--from", "0", "--output", "jsonl").stdout.splitlines()
            found = [json.loads(line) for line in lines if wanted in line]
            return [one for one in found if one["class_uid"] != 3002] or (found if answer.status == 401 else [])

        self.control.wait_for(records)
        [record] = records()
        return record

    def assert_nowhere(self, *values):
        """In no file of the state or beside it, as it is or packed into a page that is not sealed."""
        assert self.control.dvara("audit", "verify").returncode == 0
        looked_at = 0
        for top in (self.control.folder, self.control.runtime.resolve()):
            for path in top.rglob("*"):
                if path.is_file() and not path.is_symlink():
                    content = path.read_bytes()
                    looked_at += 1
                    assert not any(value.encode() in content for value in values), path
        assert looked_at > 10
        told = self.control.dvara("audit", "tail", "--from", "0", "--output", "jsonl").stdout
        assert told and not any(value in told for value in values)


@pytest.fixture(name="vaults", scope="module")
def make_vaults():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="dvara-vaults-"))
    place = pathlib.Path(tempfile.mkdtemp(prefix="dvara-control-"))
    vaults = Vaults(Control(place), folder)
    vaults.tokens = vaults.fill("customers", NAMES)
    vaults.others = vaults.fill("others", ["other@example.com"])
    vaults.control.config.write_text(vaults.config("customers", "others", "gone") +
                                     f"  - {{name: chat, key: {vaults.key}}}\n"
                                     f"  - {{name: keyless, key: {folder / 'none'}}}\n")
    vaults.control.start_all()
    vaults.keys = {"clerk": vaults.control.key_of("clerk", "use_vaults")["secret"],
                   "all": vaults.control.key_of("all", "use_vaults", "detokenize")["secret"],
                   "barred": vaults.control.key_of("barred", "use_vaults", "detokenize")["secret"],
                   "viewer": vaults.control.key_of("viewer", "use_vaults")["secret"],
                   "no_door": vaults.control.key_of("no_door", "detokenize")["secret"]}
    policies = place / "policies"
    policies.mkdir()
    (policies / "vaults.cedar").write_text(ONE_VAULT)
    done = vaults.control.dvara("policy", "apply", str(policies))
    assert done.returncode == 0 and "warning" not in done.stderr, done.stderr
    yield vaults
    vaults.control.stop_all()
    suite.check_state(BUILD, vaults.control.state)
    shutil.rmtree(place)
    shutil.rmtree(folder)


def test_who_may_is_told_and_it_is_on_record(vaults):
    answer = vaults.ask(vaults.keys["clerk"], [*vaults.tokens, UNKNOWN, "nonsense", vaults.others[0]])
    assert answer.status == 200 and answer.headers["cache-control"] == "no-store"
    assert (answer.json["vault"], answer.json["found"], answer.json["not_found"]) == ("customers", 3, 3)
    rows = answer.json["values"]
    assert [row.get("value") for row in rows] == [*NAMES, None, None, None]
    assert [row["token"] for row in rows[:3]] == vaults.tokens
    # Of what is not found nothing more is said, whatever the reason.
    assert all(row == {"token": row["token"], "found": False} for row in rows[3:])
    record = vaults.record(answer)
    assert (record["class_uid"], record["metadata"]["event_code"], record["status_id"]) == (6005, "data.access", 1)
    assert record["actor"]["user"]["uid"] == 'User::"clerk"' and record["database"]["name"] == "customers"
    ours = record["unmapped"]["dvara"]
    assert (ours["operation"], ours["reason"], ours["rows"], ours["missing"]) == ("data_vault_detokenize", WHY, 3, 3)
    assert not any(token in json.dumps(record) for token in vaults.tokens)
    vaults.assert_nowhere(*NAMES)


def test_a_role_opens_every_vault_and_a_policy_one(vaults):
    assert vaults.ask(vaults.keys["all"], vaults.others, vault="others").json["values"][0]["value"] == "other@example.com"
    assert vaults.ask(vaults.keys["all"], vaults.tokens).json["found"] == 3
    refused = vaults.ask(vaults.keys["clerk"], vaults.others, vault="others")
    assert refused.status == 403 and "detokenize on DataVault" in refused.error["message"]
    told = vaults.control.json("access", "who-can", "--action", "detokenize", "--resource", "vault/customers")
    who = json.dumps(told)
    assert "clerk" in who and "all" in who and "barred" not in who and "viewer" not in who
    assert vaults.ask(vaults.control.admin_key(), vaults.tokens[:1]).json["values"][0]["value"] == NAMES[0]


@pytest.mark.parametrize("who", ["viewer", "barred", "no_door", None])
def test_nobody_else_is_told_and_that_is_on_record(vaults, who):
    answer = vaults.ask(vaults.keys.get(who), vaults.tokens)
    assert answer.status == (403 if who else 401)
    assert not any(name in answer.text for name in NAMES)
    record = vaults.record(answer)
    assert record["status_id"] == 2 and (who or "anonymous") in json.dumps(record["actor"])
    if who in ("viewer", "barred"):
        assert record["class_uid"] == 6003 and "detokenize on DataVault" in record["status_detail"]
        assert "customers" in json.dumps(record)


def test_a_key_of_another_scope_is_refused(vaults):
    key = vaults.control.json("apikey", "create", "--user", "all", "--scopes", "use_vaults")["secret"]
    assert vaults.ask(key, vaults.tokens).status == 403
    key = vaults.control.json("apikey", "create", "--user", "all", "--scopes", "use_vaults,detokenize")["secret"]
    assert vaults.ask(key, vaults.tokens).json["found"] == 3


def test_a_purpose_and_bounds(vaults):
    key = vaults.keys["all"]
    for purpose in (None, "", "ab", "a\nb", "x" * 501, 7):
        answer = vaults.ask(key, vaults.tokens, purpose)
        assert answer.status == 400 and answer.error["field"] == "purpose", purpose
        assert vaults.record(answer)["status_id"] == 2
    assert vaults.ask(key, vaults.tokens, "x" * 500).json["found"] == 3
    many = [UNKNOWN] * 999 + vaults.tokens[:1]
    assert vaults.ask(key, many).json["found"] == 1
    for tokens in ([*many, UNKNOWN], [], None, ["x" * 701], [7], [""]):
        answer = vaults.ask(key, tokens)
        assert answer.status == 400 and answer.error["field"].startswith("tokens")
    assert vaults.ask(key, vaults.tokens, vault="unknown").status == 404


def test_sealed_tokens_are_told_with_the_key_alone(vaults):
    key = vaults.keys["all"]
    sealed = vaults.seal(NAMES[0], NAMES[1])
    for vault in ("chat", "customers", "gone"):  # of all of them this is the key
        answer = vaults.ask(key, [*sealed, UNKNOWN_SEALED], vault=vault)
        assert answer.status == 200, answer.text
        assert [row.get("value") for row in answer.json["values"]] == [NAMES[0], NAMES[1], None]
        record = vaults.record(answer)
        assert record["class_uid"] == 6005 and record["database"]["name"] == vault
        assert (record["unmapped"]["dvara"]["rows"], record["unmapped"]["dvara"]["missing"]) == (2, 1)
        assert not any(token in json.dumps(record) for token in sealed)
    mixed = vaults.ask(key, [vaults.tokens[0], sealed[0], UNKNOWN], vault="customers").json
    assert [row.get("value") for row in mixed["values"]] == [NAMES[0], NAMES[0], None]
    assert vaults.ask(key, [vaults.tokens[0], sealed[1]], vault="chat").json["found"] == 1  # it has no file
    assert vaults.ask(key, [UNKNOWN, sealed[0]], vault="gone").status == 503
    assert vaults.ask(vaults.keys["clerk"], sealed, vault="chat").status == 403
    assert vaults.ask(vaults.keys["viewer"], sealed, vault="customers").status == 403
    refused = vaults.ask(key, sealed, vault="keyless")
    assert refused.status == 503 and "none" in refused.error["message"]
    rows = {row["name"]: row for row in vaults.control.json("data", "vault", "list")["items"]}
    assert (rows["chat"]["file"], rows["chat"]["problem"]) == ("", "") and "entries" not in rows["chat"]
    assert "none" in rows["keyless"]["problem"]
    kept = {row["name"] for row in vaults.control.json("data", "disposal", "vaults")["items"]}
    assert "customers" in kept and "chat" not in kept
    begun = vaults.control.curl("/v1/data/disposal/vaults/chat/runs", key=vaults.control.admin_key(), method="POST", body={})
    assert begun.status == 404 and "no vault chat with a file" in begun.error["message"]
    longest, longer = vaults.seal("x" * 480, "x" * 481)
    assert vaults.ask(key, [longest], vault="chat").json["values"][0]["value"] == "x" * 480
    assert longer == "[secret]"  # redacted, by the name of its column


def test_long_values_are_told_in_several_answers(vaults):
    control = vaults.control
    tokens = vaults.fill("others", [f"{i:03}" + "long" * 3000 + "@example.com" for i in range(2)])
    source = vaults.folder / "in.jsonl"
    rules = vaults.folder / "rules.yaml"
    rules.write_text("columns: {t.v: token}\n")
    source.write_text("".join(json.dumps({"v": f"{i:03}" + "x" * 60000}) + "\n" for i in range(80)))
    done = control.dvara("data", "tokenize", "--input", str(source), "--key-file", str(vaults.key), "--vault", str(vaults.path("others")),
                         "--rules", str(rules), "--table", "t")
    source.unlink()
    assert done.returncode == 0, done.stderr
    tokens = [json.loads(line)["v"] for line in done.stdout.splitlines()]
    answer = vaults.ask(vaults.keys["all"], tokens, vault="others")
    assert answer.status == 413 and "fewer tokens" in answer.error["message"]
    assert vaults.ask(vaults.keys["all"], tokens[:60], vault="others").json["values"][59]["value"][:4] == "059x"


def test_bytes_that_are_no_text_are_told_as_base64(vaults):
    """A NUL in one value must not make the answer unreadable for all that stand beside it."""
    source, rules = vaults.folder / "in.csv", vaults.folder / "rules.yaml"
    rules.write_text("columns: {t.v: token}\n")
    source.write_bytes(b"v\n\xff\xfe@example.com\na\0b@example.com\nplain@example.com\n")
    done = vaults.control.dvara("data", "tokenize", "--input", str(source), "--key-file", str(vaults.key), "--vault",
                                str(vaults.path("others")), "--rules", str(rules), "--table", "t")
    source.unlink()
    assert done.returncode == 0, done.stderr
    tokens = done.stdout.splitlines()[1:]
    told = vaults.control.json("data", "vault", "detokenize", "others", *tokens, "--purpose", WHY)
    bytes_of = [base64.b64decode(row["base64"]) for row in told["values"][:2]]
    assert bytes_of == [b"\xff\xfe@example.com", b"a\0b@example.com"]
    assert told["values"][2]["value"] == "plain@example.com" and "base64" not in told["values"][2]


def test_command_line(vaults):
    control = vaults.control
    rows = {row["name"]: row for row in control.json("data", "vault", "list")["items"]}
    assert set(rows) == {"customers", "others", "gone", "chat", "keyless"}
    assert rows["customers"]["problem"] == "" and "No such file" in rows["gone"]["problem"]
    one = control.json("data", "vault", "show", "customers")
    assert one["bytes"] == one["committed"] == vaults.path("customers").stat().st_size and one["entries"] >= 3
    done = control.dvara("data", "vault", "detokenize", "customers", vaults.tokens[0], UNKNOWN, "--purpose", WHY)
    assert done.returncode == 0 and NAMES[0] in done.stdout and "TOKEN" in done.stdout
    assert "purpose is missing" in control.dvara("data", "vault", "detokenize", "customers", UNKNOWN).stderr
    table = control.dvara("data", "vault", "list").stdout
    assert table.split()[:4] == ["NAME", "ENTRIES", "BYTES", "COMMITTED"]
    assert control.dvara("data", "vault", "show", "nothing").returncode == 1


def test_what_is_added_is_there_at_once(vaults):
    before = vaults.control.json("data", "vault", "show", "customers")["entries"]
    [token] = vaults.fill("customers", ["added.later@example.com"])  # and dvarad keeps nobody waiting
    assert vaults.ask(vaults.keys["clerk"], [token]).json["values"][0]["value"] == "added.later@example.com"
    assert vaults.control.json("data", "vault", "show", "customers")["entries"] == before + 1


def test_a_vault_that_is_gone_exchanged_or_damaged_stops_nothing_else(vaults):
    control, key, path = vaults.control, vaults.keys["all"], vaults.path("customers")
    whole = path.read_bytes()

    def refused(why):
        answer = vaults.ask(key, vaults.tokens)
        assert answer.status == 503 and why in answer.error["message"], answer.text
        assert "customers" in answer.error["message"] and not any(name in answer.text for name in NAMES)
        assert vaults.record(answer)["status_id"] == 2
        assert vaults.ask(key, vaults.others[:1], vault="others").json["found"] == 1
        assert control.curl("/v1/data/vaults", key=key).status == 200

    assert vaults.ask(key, vaults.tokens).json["found"] == 3
    path.unlink()
    refused("No such file")
    path.write_bytes(b"")
    refused("is no vault")
    path.write_bytes(whole[:-1])
    refused("was cut short")
    path.write_bytes(whole[:200] + bytes([whole[200] ^ 1]) + whole[201:])
    refused("damaged at byte")
    path.unlink()
    path.symlink_to(vaults.path("others"))
    refused("Too many levels of symbolic links")
    path.unlink()
    os.mkfifo(path)
    refused("no regular file")
    path.unlink()
    path.write_bytes(whole)
    assert vaults.ask(key, vaults.tokens).json["found"] == 3
    # Damaged while dvarad has it open: the entry is not told, the next call finds the place.
    path.write_bytes(whole[:200] + bytes([whole[200] ^ 1]) + whole[201:])
    refused("an entry is damaged")
    refused("damaged at byte")
    path.write_bytes(whole)
    assert vaults.ask(key, vaults.tokens).json["found"] == 3
    # Under the same name another vault of the same key, that knows none of these tokens.
    exchanged = vaults.folder / "exchanged"
    shutil.copy(vaults.path("others"), exchanged)
    exchanged.rename(path)
    assert vaults.ask(key, vaults.tokens).json["found"] == 0
    path.write_bytes(whole)
    assert vaults.ask(key, vaults.tokens).json["found"] == 3
    # Taking the key away counts at once, also while the vault is open.
    secret = vaults.key.read_bytes()
    vaults.key.unlink()
    answer = vaults.ask(key, vaults.tokens)
    assert answer.status == 503 and "No such file" in answer.error["message"]
    vaults.key.touch(mode=0o600)
    vaults.key.write_bytes(secret)
    assert vaults.ask(key, vaults.tokens).json["found"] == 3
    vaults.key.write_bytes(base64.b64encode(bytes(32)))
    answer = vaults.ask(key, vaults.tokens)
    assert answer.status == 503 and "another key" in answer.error["message"]
    vaults.key.write_bytes(secret)
    vaults.key.chmod(0o644)
    answer = vaults.ask(key, vaults.tokens)
    assert answer.status == 503 and secret.decode() not in answer.text
    vaults.key.chmod(0o600)
    assert vaults.ask(key, vaults.tokens).json["found"] == 3


def test_values_are_nowhere_at_the_end(vaults):
    vaults.assert_nowhere(*NAMES, "added.later@example.com", "other@example.com", "x" * 600,
                          vaults.key.read_text())


def test_bad_configurations_are_refused(vaults):
    config = vaults.folder / "bad.yaml"
    for text, why in (("data_vaults: {name: a}\n", "is a list"),
                      (vaults.config("a", "a"), "two vaults are called a"),
                      (vaults.config(*(f"v{i}" for i in range(17))), "more than 16"),
                      ("data_vaults:\n  - {name: a, file: a.dv, key: /k}\n", "whole path")):
        config.write_text(text)
        done = vaults.control.dvara("config", "check", str(config))
        assert done.returncode == 1 and why in done.stderr, done.stderr
    config.unlink()
