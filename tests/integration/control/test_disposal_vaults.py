# SPDX-License-Identifier: Apache-2.0
"""`dvara data disposal run --vault` and `dvara data vault forget`: entries of a vault of tokens go when their time is
over, or when somebody asks for it; whoever is killed meanwhile, the vault is whole and the certificate is right."""
import base64
import json
import re
import signal
import subprocess
import time

import pytest
from conftest import BUILD
from support import wait_until
from test_disposal import set_clock_ahead

KEY = bytes([7]) + bytes(31)

# As Dvara wrote it before entries knew when they were made, with that key: "one" and "two@example.com".
FORMER = bytes.fromhex(
    "6476617261207661756c742076320a001c618e657aa21896f28d41cdaa51f43950000000000000001b796d2a7e743e060f7c7470e73beaf9"
    "f600000000000000b427e475aa52a4bcd8c4b52aedf9d9ba1300000073956f08482c1d3c7f4b765edc7580386b4c475746337a58616c6d41"
    "6d3354625a4a356b7a35525202b45dd7061465efdbc24b27dfb02886a02b029d154591149878d6dbf62257f6ee1f000000f8e2fc1a074c7f"
    "1b31c5ef9f21b9c1054e32416a77753159653469505545355375485779783433ff58a5d837e8cba1f366cd941e7204b34406392b5d3ce7cf"
    "c9f7e098c394d35e586ce4b006095ad95a88117d7161")
FORMER_TOKENS = ["dvt_kLGWF3zXalmAm3TbZJ5kz5", "dvt_N2Ajwu1Ye4iPUE5SuHWyx4"]

RULES = "data_retention:\n  rules: [{name: old-customers, vaults: [customers], keep: 2y}]\n"
HELD = RULES + "  holds: [{name: case-9, vaults: [customers], reason: the court asked for it}]\n"


class Vault:
    def __init__(self, control, folder):
        self.control = control
        self.folder = folder
        self.path = folder / "customers.dv"
        self.key = folder / "key"
        self.key.write_bytes(base64.b64encode(KEY))
        self.key.chmod(0o600)
        self.others = 0

    def config(self, rules):
        self.control.config.write_text(
            f"data_vaults: [{{name: customers, file: {self.path}, key: {self.key}}}]\n{rules}")

    def reload(self, rules):
        self.config(rules)
        self.control.processes["dvarad"].send_signal(signal.SIGHUP)

    def times(self, *words):
        done = subprocess.run([BUILD / "tests/integration/control/vault_times", self.path, self.key, *map(str, words)],
                              capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.split()

    def add(self, days, *values):
        return self.times("add", days, *values)

    def left(self):
        return self.control.json("data", "vault", "show", "customers")["entries"]

    def found(self, *tokens):
        """What dvarad tells of each, None where it knows nothing."""
        rows = self.control.json("data", "vault", "detokenize", "customers", *tokens, "--purpose", "a test")["values"]
        return [row.get("value") for row in rows]

    def words(self, *flags):
        return ["data", "disposal", "run", "--vault", "customers", "--key-file", str(self.key), *flags]

    def run(self, *flags, status=0):
        done = self.control.dvara(*self.words("--yes", "--output", "json", *flags))
        assert done.returncode == status, done.stderr
        return json.loads(done.stdout)["items"]

    def refused(self, *flags):
        before = self.path.read_bytes()
        done = self.control.dvara(*self.words("--yes", *flags))
        assert done.returncode == 1 and self.path.read_bytes() == before, done.stdout
        return done.stderr

    def forget(self, *lines, flags=("--yes",), status=0):
        done = self.control.dvara("data", "vault", "forget", "--vault", str(self.path), "--key-file", str(self.key),
                                  "--output", "json", *flags, stdin="".join(f"{line}\n" for line in lines))
        assert done.returncode == status, done.stderr
        return json.loads(done.stdout) if status == 0 else done.stderr

    def certificate(self, run):
        file = self.folder / f"{run}.json"
        done = self.control.dvara("data", "disposal", "certificate", run, "--out", str(file))
        assert done.returncode == 0, done.stderr
        key = self.control.json("audit", "checkpoint")["vkey"]
        verified = self.control.dvara("data", "disposal", "verify", str(file), "--key", key, "--output", "json")
        assert verified.returncode == 0, verified.stderr
        text = json.loads(file.read_text())
        assert json.loads(verified.stdout)["destroyed"] == text["destroyed"]
        return text

    def post(self, path, body):
        answer = self.control.curl(path, socket="control.sock", body=body)
        assert answer.status in (200, 409), answer.text
        return answer


@pytest.fixture(name="vault")
def make_vault(fresh, tmp_path):
    tmp_path.chmod(0o755)
    vault = Vault(fresh, tmp_path)
    vault.config(RULES)
    fresh.start_all()
    return vault


def test_entries_go_when_their_time_is_over(vault):
    old = vault.add(800, "bob@example.com", "eve@example.com")
    young = vault.add(700, "sue@example.com")
    before = vault.path.read_bytes()
    assert vault.found(*old, *young) == ["bob@example.com", "eve@example.com", "sue@example.com"]
    [row] = vault.control.json("data", "disposal", "vaults")["items"]
    assert (row["name"], row["rule"], row["keep"], row["hold"]) == ("customers", "old-customers", "2y", None)
    [dry] = json.loads(vault.control.dvara(*vault.words("--dry-run", "--output", "json")).stdout)["items"]
    assert (dry["would"], dry["entries"], dry["remaining"], dry["rule"]) == ("destroy", 2, 1, "old-customers")
    assert vault.path.read_bytes() == before
    asked = vault.control.dvara(*vault.words())
    assert asked.returncode == 1 and "2 entries" in asked.stderr and vault.path.read_bytes() == before
    [run] = vault.run()
    assert (run["state"], run["files"], run["destroyed"], run["source"]) == ("finished", 2, 2, "vault://customers")
    assert vault.found(*old, *young) == [None, None, "sue@example.com"]  # dvarad had the old file open
    assert vault.left() == 1 and vault.run() == []
    text = vault.certificate(run["id"])
    assert (text["version"], text["of"], text["vault"], text["outcome"]) == (2, "vault", "customers", "destroyed")
    assert (text["destroyed"], text["remaining"], text["seen_by_dvarad"]) == (2, 1, True)
    assert [(r["name"], r["keep"], r["sources"]) for r in text["rules"]] == [
        ("old-customers", "2y", ["vault://customers"])]
    assert text["oldest"] <= text["newest"] <= text["made_before"] < text["started"]
    assert "example.com" not in json.dumps(text) and not any(t in json.dumps(text) for t in old)
    # The same value gets a token of its own: old copies do not come back to life.
    source = vault.folder / "in.csv"
    source.write_text("email\nbob@example.com\n")
    done = vault.control.dvara("data", "tokenize", "--input", str(source), "--key-file", str(vault.key),
                               "--vault", str(vault.path))
    again = done.stdout.split()[1]
    assert again not in old and vault.found(again, old[0]) == ["bob@example.com", None]
    assert vault.run() == []  # made today


def test_vaults_of_earlier_versions_count_from_the_first_writing(vault):
    vault.path.write_bytes(FORMER)
    vault.path.chmod(0o600)
    assert vault.found(*FORMER_TOKENS) == ["one", "two@example.com"]
    assert vault.run() == [] and vault.left() == 2  # which is now
    written = vault.path.read_bytes()
    assert len(written) > len(FORMER)
    assert vault.run() == [] and vault.path.read_bytes() == written  # and not again
    assert vault.found(*FORMER_TOKENS) == ["one", "two@example.com"]
    assert vault.forget("one")["forgotten"] == 1
    assert vault.found(*FORMER_TOKENS) == [None, "two@example.com"]


def test_holds_and_rules(vault):
    old = vault.add(800, "bob@example.com")
    vault.reload(HELD)
    wait_until(lambda: vault.control.json("data", "disposal", "vaults")["items"][0]["hold"] == "case-9", 20, "the hold")
    assert "the hold case-9 keeps the vault customers" in vault.refused()
    assert "the hold case-9 keeps" in vault.forget("bob@example.com", status=1)
    [dry] = json.loads(vault.control.dvara(*vault.words("--dry-run", "--output", "json")).stdout)["items"]
    assert (dry["would"], dry["entries"], dry["why"]) == ("keep", 1, "a hold")
    rows = {r["name"]: r for r in vault.control.json("data", "disposal", "rules")["items"]}
    assert rows["case-9"]["keep"] == "hold" and rows["case-9"]["sources"] == ["vault://customers"]
    vault.reload("data_retention: {holds: [{name: all-of-it}]}\n")  # names nothing, keeps everything
    wait_until(lambda: vault.control.json("data", "disposal", "vaults")["items"][0]["hold"] == "all-of-it", 20, "it")
    assert "the hold all-of-it keeps" in vault.forget("bob@example.com", status=1)
    vault.reload("data_retention: {rules: [{name: a, vaults: [customers], keep: forever},"
                 " {name: b, vaults: [customers, other], keep: 1d}]}\n")
    wait_until(lambda: vault.control.json("data", "disposal", "vaults")["items"][0]["rule"] == "a", 20, "the rule")
    assert "no rule of data_retention lets entries" in vault.refused()
    rows = {r["name"]: r for r in vault.control.json("data", "disposal", "rules")["items"]}
    assert rows["b"]["unknown_sources"] == ["vault://other"]
    vault.reload("")
    wait_until(lambda: vault.control.json("data", "disposal", "vaults")["items"][0]["rule"] is None, 20, "no rule")
    assert "no rule" in vault.refused() and vault.found(*old) == ["bob@example.com"]
    for text, message in (("rules: [{name: a, vaults: [Customers], keep: 1d}]", "is no name of a vault"),
                          ("rules: [{name: a, vaults: [c], keep: 1d, labels: [gdpr]}]", "labels"),
                          ("rules: [{name: a, vaults: [c], cases: [data_review], keep: 1d}]", "not both"),
                          ("rules: [{name: a, vaults: [], keep: 1d}]", "not empty"),
                          ("rules: [{name: a, vaults: [c]}]", "how long"),
                          ("rules: [{name: a, vaults: [c], keep: 1d}, {name: a, labels: [gdpr], keep: 1d}]", "two rules"),
                          ("rules: [{name: a, vaults: [c], keep: 1d, approvals: 1}]", "for files and tables"),
                          ("approvals: 1\n  rules: [{name: a, vaults: [c], keep: 1d}]", "approvals: 0"),
                          ("rules: [{name: a, cases: [data_reviews], keep: 1d}]", "did you mean data_review")):
        vault.config(f"data_retention:\n  {text}\n")
        done = vault.control.dvara("config", "check", str(vault.control.config))
        assert done.returncode != 0 and message in done.stderr, (text, done.stderr)


def test_what_wants_approvals_is_refused_and_changes_nothing(vault):
    """Nobody can be asked about a vault: rules that want it are refused with their line, those in force stay."""
    vault.add(800, "bob@example.com")
    vault.reload("data_retention:\n  approvals: 1\n  rules:\n    - {name: v, vaults: [customers], keep: 1d}\n")
    wait_until(lambda: "approvals: 0" in vault.control.log("dvarad"), 20, "the refusal")
    assert re.search(r"line 5\b.*a rule of vaults or cases says", vault.control.log("dvarad"))
    [row] = vault.control.json("data", "disposal", "vaults")["items"]
    assert row["rule"] == "old-customers"
    assert "request is for files and tables" in vault.refused("--request", "019a0000-0000-7000-8000-000000000000")
    vault.reload("data_retention:\n  approvals: 1\n"
                 "  rules: [{name: v, vaults: [customers], keep: 1d, approvals: 0}]\n")
    wait_until(lambda: vault.control.json("data", "disposal", "vaults")["items"][0]["rule"] == "v", 20, "the rule")
    [run] = vault.run()
    assert run["destroyed"] == 1 and vault.left() == 0


def test_people_are_forgotten_with_a_certificate(vault):
    tokens = vault.add(10, "bob@example.com", "eve@example.com", "sue@example.com")
    vault.reload("")  # no rule is needed for it
    wait_until(lambda: vault.control.json("data", "disposal", "vaults")["items"][0]["rule"] is None, 20, "no rule")
    before = vault.path.read_bytes()
    assert "--yes" in vault.forget("nobody@example.com", tokens[0], flags=(), status=1)
    assert vault.path.read_bytes() == before
    done = vault.forget("nobody@example.com", tokens[0], "sue@example.com", "sue@example.com", "", "dvt_" + "0" * 22)
    assert (done["forgotten"], done["not_found"], done["remaining"]) == (2, 2, 1)
    assert vault.found(*tokens) == [None, "eve@example.com", None]
    text = vault.certificate(done["certificate"])
    assert (text["because"], text["destroyed"], text["remaining"], text["rules"]) == ("asked for", 2, 1, [])
    assert text["made_before"] is None
    again = vault.forget("sue@example.com")
    assert (again["forgotten"], again["not_found"]) == (0, 1) and "certificate" not in again
    assert len(vault.control.json("data", "disposal", "list")["items"]) == 1


def test_a_vault_that_no_dvara_knows(vault):
    vault.path = vault.folder / "other.dv"
    tokens = vault.add(10, "bob@example.com", "eve@example.com")
    vault.control.stop("dvarad")
    assert "--offline" in vault.forget("bob@example.com", status=1)
    done = vault.forget("bob@example.com", flags=("--yes", "--offline"))
    assert done["forgotten"] == 1 and "certificate" not in done
    vault.control.start_dvarad()
    done = vault.forget(tokens[0], tokens[1])
    assert (done["forgotten"], done["not_found"]) == (1, 1)
    assert vault.control.json("data", "disposal", "list")["items"] == []


def test_a_vault_that_is_not_there_is_not_made(vault):
    vault.add(800, "bob@example.com")
    vault.path = vault.folder / "typo.dv"
    assert "typo.dv: No such file" in vault.forget("bob@example.com", status=1)
    (vault.folder / "customers.dv").unlink()
    assert "customers.dv: No such file" in vault.control.dvara(*vault.words("--yes")).stderr
    assert sorted(path.name for path in vault.folder.glob("*.dv")) == []


def test_a_copy_is_another_vault(vault):
    """What it says of runs is not what became of the vault."""
    vault.add(800, "bob@example.com")
    copy = vault.folder / "copy.dv"
    copy.write_bytes(vault.path.read_bytes())
    copy.chmod(0o600)
    assert "another file" in vault.refused("--file", str(copy))
    run = begin(vault, entries=1)["id"]
    tell(vault, run, "ready", entries=1)
    vault.control.json("data", "disposal", "finish", run, "--abandon")
    assert vault.certificate(run)["outcome"] == "unknown"  # who was told "ready" may still go on


ANOTHER = "0190b8a4-1111-7000-8000-0000000000ff"


def test_an_earlier_removal_does_not_speak_for_a_later_one(vault):
    vault.add(800, "bob@example.com", "eve@example.com")
    run = begin(vault, entries=2)["id"]
    tell(vault, run, "ready", entries=2)
    vault.times("remove", 730, ANOTHER)  # another one, that dvarad was not told of
    vault.run()
    text = vault.certificate(run)
    assert (text["outcome"], text["destroyed"], text["seen_by_dvarad"]) == ("not_done", 0, True)


def test_a_later_removal_hides_no_earlier_one(vault):
    """The vault remembers both, and how many entries went each time, whatever was told."""
    vault.add(800, "bob@example.com", "eve@example.com")
    run = begin(vault, entries=2)["id"]
    tell(vault, run, "ready", entries=7)
    vault.times("remove", 730, run)
    vault.add(800, "sue@example.com")
    vault.times("remove", 730, ANOTHER)
    assert [(r["id"], r["destroyed"]) for r in vault.run()] == [(run, 2)]
    text = vault.certificate(run)
    assert (text["outcome"], text["destroyed"], text["seen_by_dvarad"]) == ("destroyed", 2, True)
    vault.add(800, "dan@example.com")
    given_up = begin(vault, entries=1)["id"]
    tell(vault, given_up, "ready", entries=9)
    vault.times("remove", 730, given_up)
    vault.times("remove", 730, ANOTHER)
    vault.control.json("data", "disposal", "finish", given_up, "--abandon")
    text = vault.certificate(given_up)
    assert (text["outcome"], text["destroyed"], text["seen_by_dvarad"]) == ("destroyed", 1, True)


def test_what_a_vault_has_forgotten_nobody_claims(vault):
    vault.add(1, "bob@example.com")
    run = begin(vault, entries=0)["id"]
    tell(vault, run, "ready")
    vault.times("remove", 730, run)
    for i in range(64):
        vault.times("remove", 730, f"0190b8a4-1111-7000-8000-0000000001{i:02}")
    vault.run()
    text = vault.certificate(run)
    assert (text["outcome"], text["seen_by_dvarad"]) == ("unknown", False)


def test_the_certificate_says_up_to_when_entries_went(vault):
    """That is what was asked for and confirmed, which may be earlier than when the run began."""
    vault.add(800, "bob@example.com")
    run = begin(vault, entries=1)
    assert tell(vault, run["id"], "ready", made_before="2100-01-01T00:00:00Z").status == 409
    used = "2020-01-01T00:00:00.000000Z"
    assert used < run["made_before"]
    assert tell(vault, run["id"], "ready", entries=0, made_before=used).json["made_before"] == used
    vault.times("remove", 5000, run["id"])
    tell(vault, run["id"], "destroyed")
    vault.control.json("data", "disposal", "finish", run["id"])
    assert vault.certificate(run["id"])["made_before"] == used
    [row] = vault.control.json("data", "disposal", "vaults")["items"]
    [done] = vault.run()
    text = vault.certificate(done["id"])
    assert row["made_before"] <= text["made_before"] < text["started"]
    run = begin(vault, forget=True)
    answer = vault.control.curl(f"/v1/data/disposal/runs/{run['id']}/vault", socket="control.sock",
                                body={"state": "ready", "made_before": used})
    assert answer.status == 400 and "goes by no time" in answer.text


def test_other_names_of_the_file_are_refused(vault):
    """Under them all of it would stay, and where dvarad can't look for itself it would be certified as gone."""
    vault.add(800, "bob@example.com")
    link = vault.folder / "link.dv"
    link.hardlink_to(vault.path)
    vault.key.rename(vault.folder / "elsewhere")  # dvarad can't read the vault
    vault.key = vault.folder / "elsewhere"
    place = vault.path
    for path in (link, place):
        vault.path = path
        assert "hard links" in vault.forget("bob@example.com", status=1)
        assert "hard links" in vault.refused("--file", str(path))
    link.unlink()
    assert vault.forget("bob@example.com")["forgotten"] == 1
    runs = vault.control.json("data", "disposal", "list")["items"]
    assert sorted(vault.certificate(run["id"])["outcome"] for run in runs) == ["destroyed"] + ["not_done"] * 4


def test_forgetting_tells_of_an_earlier_run_apart(vault):
    vault.add(10, "bob@example.com", "eve@example.com")
    run = begin(vault, forget=True, entries=1)["id"]
    done = vault.forget("nobody@example.com")
    assert done == {"forgotten": 0, "not_found": 1, "remaining": 2, "earlier_certificate": run}
    assert vault.certificate(run)["outcome"] == "not_done"


def test_tokens_that_carry_their_value_are_not_forgotten(vault):
    tokens = vault.add(10, "bob@example.com")
    before = vault.path.read_bytes()
    sealed = vault.control.dvara("data", "tokenize", "--sealed", "--key-file", str(vault.key),
                                 stdin="bob@example.com\n")
    token = sealed.stdout.strip()
    assert token.startswith("dvs_"), sealed.stderr
    said = vault.forget(tokens[0], token, status=1)
    assert "line 2 is a token that carries its value" in said and token not in said
    assert vault.path.read_bytes() == before and vault.found(*tokens) == ["bob@example.com"]


def test_a_full_disk_leaves_the_vault(vault):
    small = vault.folder / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "none", small], check=False).returncode != 0:
        pytest.skip("nothing can be mounted here")
    try:
        small.chmod(0o755)
        vault.path = small / "customers.dv"
        vault.reload(RULES)
        wait_until(lambda: "small" in vault.control.json("data", "disposal", "vaults")["items"][0]["file"], 20, "it")
        old = vault.add(800, "bob@example.com")
        young = vault.add(1, *(f"{i}@example.com" + "x" * 1000 for i in range(280)))
        assert "No space left on device" in vault.refused()
        assert "No space left on device" in vault.forget("bob@example.com", status=1)
        assert [path.name for path in small.iterdir()] == ["customers.dv"]
        assert vault.found(old[0], young[-1])[0] == "bob@example.com"
        subprocess.run(["mount", "-o", "remount,size=2m", small], check=True)
        assert vault.forget("bob@example.com")["forgotten"] == 1 and vault.left() == len(young)
        runs = vault.control.json("data", "disposal", "list")["items"]
        assert sum(vault.certificate(run["id"])["destroyed"] for run in runs) == 1
    finally:
        vault.control.stop("dvarad")
        subprocess.run(["umount", small], check=True)


def test_one_file_has_one_name(vault):
    vault.add(800, "bob@example.com")
    link = vault.folder / "link.dv"
    link.symlink_to(vault.path)
    for other in (vault.path, link):
        vault.control.config.write_text(
            f"data_vaults:\n  - {{name: customers, file: {vault.path}, key: {vault.key}}}\n"
            f"  - {{name: others, file: {other}, key: {vault.key}}}\n")
        done = vault.control.dvara("config", "check", str(vault.control.config))
        assert done.returncode == 1 and ":3:" in done.stderr and "the file of customers already" in done.stderr


def test_sources_are_not_called_as_vaults_and_cases(vault):
    for source in ("vault://customers", "cases://"):
        answer = vault.control.curl("/v1/data/disposal/runs", socket="control.sock", body={"source": source})
        assert answer.status == 400, answer.text


def test_who_may(vault):
    vault.add(800, "bob@example.com")
    key = vault.control.key_of("viewer", "view_data", "use_vaults")["secret"]
    answer = vault.control.curl("/v1/data/disposal/vaults/customers/runs", key=key, body={})
    assert answer.status == 403
    key = vault.control.key_of("officer", "dispose_data")["secret"]
    answer = vault.control.curl("/v1/data/disposal/vaults/customers/runs", key=key, body={})
    assert answer.status == 200 and answer.json["outcome"] == "planned"
    assert vault.control.curl("/v1/data/disposal/vaults/nothing/runs", key=key, body={}).status == 404


def begin(vault, **body):
    return vault.post("/v1/data/disposal/vaults/customers/runs", body).json


def tell(vault, run, state, **more):
    return vault.post(f"/v1/data/disposal/runs/{run}/vault", {"state": state, **more})


def test_each_state_in_which_the_command_may_have_died(vault):
    """The vault itself says whether it happened, and what is told must go with that."""
    old = vault.add(800, "bob@example.com")
    young = vault.add(1, "sue@example.com")
    # Begun, and no more.
    first = begin(vault, entries=1)["id"]
    assert begin(vault)["id"] == first and begin(vault)["earlier"]
    assert tell(vault, first, "destroyed").status == 409  # it was never ready
    # Ready, the new file is there, and no more.
    assert tell(vault, first, "ready", entries=1, remaining=1).json["outcome"] == "ready"
    vault.times("stop", 730, first)
    assert (vault.folder / "customers.dv.dvara-new").exists()
    assert tell(vault, first, "destroyed").status == 409  # the vault says that it did not happen
    assert "is open" in vault.control.dvara("data", "disposal", "finish", first).stderr
    runs = vault.run()
    assert not (vault.folder / "customers.dv.dvara-new").exists()
    assert [(r["destroyed"], r["state"]) for r in runs] == [(1, "finished")] and runs[0]["id"] != first
    text = vault.certificate(first)
    assert (text["outcome"], text["destroyed"]) == ("not_done", 0) and "interrupted" in text["why"]
    assert vault.certificate(runs[0]["id"])["destroyed"] == 1
    assert vault.found(*old, *young) == [None, "sue@example.com"]
    # Exchanged, and not told.
    older = vault.path.read_bytes()
    vault.path.unlink()
    old = vault.add(800, "eve@example.com")
    second = begin(vault, entries=1)["id"]
    assert tell(vault, second, "ready", entries=1, remaining=0, oldest="2020-01-01T00:00:00Z").json["outcome"] == "ready"
    vault.times("remove", 730, second)
    assert tell(vault, second, "not_done").status == 409  # the vault says that it happened
    assert [(r["id"], r["destroyed"]) for r in vault.run()] == [(second, 1)]
    assert vault.certificate(second)["seen_by_dvarad"]
    # Told, and not finished.
    vault.path.write_bytes(older)
    vault.path.chmod(0o600)
    third = begin(vault, forget=True)["id"]
    assert tell(vault, third, "not_done").json["outcome"] == "not_done"
    assert tell(vault, third, "ready").status == 409
    assert vault.forget("sue@example.com")["forgotten"] == 1
    assert vault.certificate(third)["outcome"] == "not_done"
    # Given up, and nobody knows: the vault is not there any more.
    vault.path.write_bytes(older)
    fourth = begin(vault, forget=True)["id"]
    tell(vault, fourth, "ready", entries=1)
    vault.path.unlink()
    vault.control.json("data", "disposal", "finish", fourth, "--abandon")
    assert vault.certificate(fourth)["outcome"] == "unknown"


def test_a_hold_that_comes_while_it_is_under_way(vault):
    vault.add(800, "bob@example.com")
    run = begin(vault, entries=1)["id"]
    vault.reload(HELD)
    wait_until(lambda: vault.control.json("data", "disposal", "vaults")["items"][0]["hold"] == "case-9", 20, "the hold")
    answer = tell(vault, run, "ready", entries=1).json
    assert (answer["outcome"], answer["why"]) == ("kept", "the hold case-9 keeps it")
    assert tell(vault, run, "destroyed").status == 409
    assert "the hold case-9 keeps" in vault.refused()
    assert vault.certificate(run)["outcome"] == "kept" and vault.left() == 1


def test_kills_lose_nothing_and_claim_nothing(vault):
    """The command and dvarad are killed at some moment, again and again, while others add values."""
    values = [f"customer{i}@example.com " + "x" * 300 for i in range(3000)]
    old = vault.add(800, *values[:1500])
    young = vault.add(1, *values[1500:])
    kills = 0
    for i in range(12):
        process = subprocess.Popen([vault.control.program, *vault.words("--yes"), "--state", vault.control.state],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.004 * i)  # anywhere: no moment is right
        if i % 4 == 3:
            vault.control.stop("dvarad", signal.SIGKILL)
            process.wait(timeout=60)
            vault.control.start_dvarad()
        elif process.poll() is None:
            process.kill()
            process.wait(timeout=60)
            kills += 1
        young += vault.add(1, f"later{i}@example.com")
    assert kills > 0
    vault.run()
    assert vault.left() == len(young) and vault.run() == []
    assert vault.found(*old[:100]) == [None] * 100
    assert vault.found(*young[:5], young[-1]) == [*values[1500:1505], "later11@example.com"]
    runs = vault.control.json("data", "disposal", "list")["items"]
    assert all(run["state"] == "finished" for run in runs)
    assert sum(vault.certificate(run["id"])["destroyed"] for run in runs) == len(old)


def test_writers_and_readers_beside_it(vault):
    """Tokenizing and disposing in turn: whoever comes while the other writes is told so, and loses nothing."""
    source = vault.folder / "in.csv"
    made = {}
    for i in range(15):
        vault.add(800, f"old{i}@example.com")
        process = subprocess.Popen([vault.control.program, *vault.words("--yes"), "--state", vault.control.state],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        value = f"new{i}@example.com"
        source.write_text(f"email\n{value}\n")

        def tokenize(value=value):
            done = vault.control.dvara("data", "tokenize", "--input", str(source), "--key-file", str(vault.key),
                                       "--vault", str(vault.path))
            assert done.returncode == 0 or "is being used by another program" in done.stderr, done.stderr
            made[value] = done.stdout.split()[1] if done.returncode == 0 else None
            return made[value]
        wait_until(tokenize, 30, "a value got its token")
        err = process.communicate(timeout=60)[1].decode()
        assert process.returncode == 0 or "is being used by another program" in err, err
        assert vault.found(made[value]) == [value]
    assert vault.found(*made.values()) == list(made)


def test_damage_is_refused_and_stays(vault):
    vault.add(800, "bob@example.com", "eve@example.com")
    whole = vault.path.read_bytes()
    for damaged in (whole[:-1], whole[:150] + bytes([whole[150] ^ 1]) + whole[151:], b"", whole[:60]):
        vault.path.write_bytes(damaged)
        assert str(vault.path) in vault.refused()
        assert str(vault.path) in vault.forget("bob@example.com", status=1)
    vault.path.write_bytes(whole)
    other = vault.folder / "other"
    other.write_bytes(base64.b64encode(bytes(32)))
    other.chmod(0o600)
    assert "another key" in vault.control.dvara("data", "disposal", "run", "--vault", "customers", "--yes",
                                                "--key-file", str(other)).stderr
    assert vault.path.read_bytes() == whole
    assert vault.control.json("data", "disposal", "list")["items"] == []
    assert [r["destroyed"] for r in vault.run()] == [2]


def test_a_clock_that_was_set_ahead_ends_nothing(vault):
    vault.add(800, "bob@example.com")
    set_clock_ahead(vault.control)
    assert "the clock was set" in vault.refused()
    assert vault.forget("bob@example.com")["forgotten"] == 1  # which goes by no clock
