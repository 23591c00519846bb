# SPDX-License-Identifier: Apache-2.0
"""`dvara data detect` and `dvara data detectors`, as their users run them."""
import json
import os
import pathlib
import random
import subprocess

DVARA = pathlib.Path(os.environ["DVARA_BUILD"]) / "dvara"
LOG_HOSTS = ["api-1", "api-2", "worker-7", "db-main"]


def detect(text, *flags):
    done = subprocess.run([DVARA, "data", "detect", *flags], input=text.encode(), capture_output=True, timeout=60, check=False)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def rows(text, *flags):
    code, out, err = detect(text, "--output", "jsonl", *flags)
    assert code == 0, err
    return [json.loads(line) for line in out.splitlines()]


def test_offsets_are_bytes_of_the_text():
    text = "é: bob@example.com, कार्ड 4111 1111 1111 1111"
    found = rows(text)
    assert [set(row) for row in found] == [{"type", "start", "end", "score", "detector"}] * 2
    raw = text.encode()
    assert [raw[r["start"]:r["end"]].decode() for r in found] == ["bob@example.com", "4111 1111 1111 1111"]
    assert [r["type"] for r in found] == ["EMAIL_ADDRESS", "CREDIT_CARD"]


def test_a_line_is_a_json_string_and_its_answer_an_array():
    texts = ["write to bob@example.com", "nothing", "", "\u0000a\n4111111111111111 \"x\"", "é SSN 536-22-8145"]
    code, out, err = detect("".join(json.dumps(t) + "\n" for t in texts), "--per-line", "--output", "jsonl")
    assert code == 0, err
    answers = [json.loads(line) for line in out.splitlines()]
    assert [[f["detector"] for f in a] for a in answers] == [["email"], [], [], ["payment_card"], ["us_ssn"]]
    assert texts[4].encode()[answers[4][0]["start"]:answers[4][0]["end"]] == b"536-22-8145"


def test_wrong_lines_files_and_names_are_told():
    code, _, err = detect('"good"\nbad\n', "--per-line")
    assert code == 1 and "line 2: is no JSON string" in err
    code, _, err = detect("", "--input", "/nowhere/at/all")
    assert code == 1 and "/nowhere/at/all: No such file" in err
    code, _, err = detect("", "--detectors", "emial")
    assert code == 1 and "no detector is called 'emial'" in err


def test_what_does_not_go_together_is_refused():
    for flags, told in ((("--detectors", "email", "--category", "payment"), "leave out --category"),
                        (("--detectors", "email", "--standard"), "leave out --category and --standard"),
                        (("--per-line", "--output", "csv"), "--output jsonl"),
                        (("--per-line", "--output", "table"), "--output jsonl")):
        code, out, err = detect('"bob@example.com"\n', *flags)
        assert (code, out) == (1, "") and told in err
    assert detect('"bob@example.com"\n', "--per-line")[0] == 0


def test_the_documentation_counts_right():
    root = pathlib.Path(__file__).resolve().parents[3]
    done = subprocess.run([DVARA, "data", "detectors", "--output", "json"], capture_output=True, check=True)
    of_category = [item["category"] for item in json.loads(done.stdout)["items"]]
    says = {"docs/data.md": (f"{of_category.count('credential')} detectors", f"{len(of_category)} detectors"),
            "docs/features.md": (f"{len(of_category)} kinds of personal data",),
            "CHANGELOG.md": (f"{len(of_category)} detectors",)}
    for file, texts in says.items():
        for text in texts:
            assert text in (root / file).read_text(), f"{file} should say {text}"


def test_names_beside_what_detectors_find():
    text = "Dear Dr. Priya Sharma, your card 4111 1111 1111 1111 was used in Hyderabad by Michael Johnson. "
    raw = text.encode()
    found = [(r["type"], raw[r["start"]:r["end"]].decode()) for r in rows(text, "--names")]
    assert ("PERSON", "Priya Sharma") in found and ("PERSON", "Michael Johnson") in found
    assert ("LOCATION", "Hyderabad") in found and ("CREDIT_CARD", "4111 1111 1111 1111") in found
    assert "PERSON" not in [r["type"] for r in rows(text)]
    # Read in pieces, every repetition has the same.
    parts = {}
    for row in rows(text * 8000, "--names"):
        parts.setdefault(row["start"] // len(raw), []).append((row["type"], row["start"] % len(raw), row["end"] - row["start"]))
    assert len(parts) == 8000
    assert {tuple(parts[i]) for i in range(1, 7999)} == {tuple(parts[1])}


def test_names_and_values_over_the_same_bytes():
    """A value keeps its type, and no byte of either is left bare by the other."""
    text = ("Phone: 60-56-85-91, Anna Kovacs\nUnit 5022 Box 1225\nDPO AE 44085\nMobile: 0688 843 79 56\n"
            "Please call Maria Lopez at 0494 92 82 32, 21 King Forges Street, Springfield, IL 62704, Fax: +447700 921 916\n")
    values, both = rows(text), rows(text, "--names")
    phones = [(r["start"], r["end"]) for r in values if r["type"] == "PHONE_NUMBER"]
    assert len(phones) == 4 and {r["type"] for r in both} >= {"PERSON", "STREET_ADDRESS"}
    assert phones == [(r["start"], r["end"]) for r in both if r["type"] == "PHONE_NUMBER"]
    assert all(one["end"] <= two["start"] for one, two in zip(both, both[1:]))
    masked = subprocess.run([DVARA, "data", "redact", "--names"], input=text.encode(), capture_output=True,
                            check=True).stdout.decode()
    assert not [word for word in ("60-56", "0688", "0494", "+4477", "King", "5022") if word in masked], masked


def test_the_choice_of_detectors():
    text = "bob@example.com, https://example.org/x, born on 12/05/1980"
    assert [r["detector"] for r in rows(text)] == ["email", "url", "date_of_birth"]
    assert [r["detector"] for r in rows(text, "--standard")] == ["email"]
    assert [r["detector"] for r in rows(text, "--category", "network")][-1] == "url"
    assert [r["detector"] for r in rows(text, "--detectors", "url,date_of_birth")] == ["url", "date_of_birth"]
    assert [r["detector"] for r in rows(text, "--min-score", "90")] == ["email"]


def test_a_large_text_is_searched_in_pieces_with_nothing_lost():
    rnd, parts, wanted, at = random.Random(7), [], [], 0
    for i in range(400):
        prose = "the queue was empty, and nobody knew why " * rnd.randrange(1, 300)
        value = f"bob{i}@example.com" if i % 2 else "4111 1111 1111 1111"
        wanted.append((at + len(prose), at + len(prose) + len(value)))
        parts += [prose, value, " "]
        at += len(prose) + len(value) + 1
    found = rows("".join(parts))
    assert [(r["start"], r["end"]) for r in found] == wanted


def test_the_detectors_are_listed():
    done = subprocess.run([DVARA, "data", "detectors", "--output", "json"], capture_output=True, timeout=60, check=True)
    items = json.loads(done.stdout)["items"]
    assert sum(i["category"] == "credential" for i in items) >= 250
    assert len({i["id"] for i in items}) == len(items) > 400
    assert {"email", "aadhaar", "url"} <= {i["id"] for i in items if i["standard"]} | {"url"}
    assert not any(i["standard"] for i in items if i["id"] in ("url", "domain", "date_of_birth", "bic", "coordinates"))


def log_lines(count):
    """Lines of programs as they are; whoever they speak of is nobody."""
    rnd = random.Random(3)
    for i in range(count):
        host, ms, status = rnd.choice(LOG_HOSTS), rnd.randrange(3000), rnd.choice([200, 204, 404, 500])
        stamp = f"2026-03-{i % 28 + 1:02}T{i % 24:02}:{i % 60:02}:{ms % 60:02}.{ms:03}Z"
        yield f'{stamp} {host} nginx: "GET /v1/items/{rnd.randrange(10**6)}?page={i} HTTP/1.1" {status} {rnd.randrange(10**5)} {ms / 1000:.3f}'
        yield f"{stamp} {host} app[{rnd.randrange(65536)}]: request {rnd.getrandbits(128):032x} took {ms} ms, {rnd.randrange(10**9)} bytes"
        yield f"{stamp} {host} kernel: [{rnd.random() * 1e5:.6f}] usb 1-1: new device, id {rnd.randrange(65536):04x}:{rnd.randrange(65536):04x}"
        yield f"{stamp} {host} git: checked out {rnd.getrandbits(160):040x} (HEAD), release v2.{i % 9}.{i % 13}, build {rnd.randrange(10**7)}"


def test_false_hits_are_rare_in_logs_and_code():
    """At most one in 100 KB: text of our own in which no value stands. URLs and domains are what they are."""
    source = pathlib.Path(__file__).resolve().parents[3] / "src"
    code = "".join(p.read_text(encoding="utf-8") for p in sorted((source / "engine/cedar").glob("*.[ch]")))
    prose = "".join(p.read_text(encoding="utf-8") for p in sorted((source.parent / "docs").glob("*.md")))
    for name, text in (("log", "\n".join(log_lines(1500))), ("code", code), ("docs", prose)):
        found = [r for r in rows(text) if r["detector"] not in ("url", "domain", "ip_address", "email", "url_credentials")]
        shown = [text.encode()[r["start"] - 20:r["end"]] for r in found[:5]]
        assert len(found) * 100_000 <= len(text.encode()), f"{name}: {len(found)} in {len(text)} bytes: {shown} {found[:5]}"
