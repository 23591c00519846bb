# SPDX-License-Identifier: Apache-2.0
"""`dvara data classify`, as its users run it; `dvara data scan` says the same of the same file."""
import gzip
import json
import os
import re
import resource
import socket
import subprocess
import tarfile
import threading
import zipfile

import pytest

from support import BUILD, ROOT

CARD = "4111 1111 1111 1111"


def run(*words, verb="classify", feed=b"", **more):
    return subprocess.run([BUILD / "dvara", "data", verb, *map(str, words)], input=feed, capture_output=True, timeout=60,
                          check=False, **more)


def classify(*words, code=0, verb="classify", **more):
    done = run(*words, "--output", "json", verb=verb, **more)
    assert done.returncode == code, done.stdout + done.stderr
    answer = json.loads(done.stdout)
    return answer["items"], answer["summary"]


def pdf(text):
    """Without a table of its objects, which pdftotext then makes itself."""
    drawn = f"BT /F1 12 Tf 20 100 Td ({text}) Tj ET".encode()
    objects = [b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
               b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 200]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>",
               b"<</Length %d>>stream\n%s\nendstream" % (len(drawn), drawn), b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"]
    return (b"%PDF-1.4\n" + b"".join(b"%d 0 obj%s endobj\n" % (i, o) for i, o in enumerate(objects, 1))
            + b"trailer<</Size 6/Root 1 0 R>>\n%%EOF\n")


@pytest.fixture(name="folder", scope="module")
def make_folder(tmp_path_factory):
    """One file of each kind that is read, and of those that are not."""
    folder = tmp_path_factory.mktemp("kinds")
    table = "id,fullName,email,card\n" + "".join(f"{i},P,u{i}@example.com,{CARD}\n" for i in range(50))
    (folder / "people.csv").write_text(table)
    (folder / "a, b.csv").write_text("when;date of birth\n1;1980-01-02\n2;1981-03-04\n")
    (folder / "one.json").write_text(json.dumps({"users": [{"email": "bob@example.com", "phone": "+1 202 555 0147"}]}))
    (folder / "log.jsonl").write_text('{"email": "u@example.com"}\n' * 20)
    (folder / "dump.sql").write_text("COPY public.people (id, email) FROM stdin;\n1\teve@example.com\n\\.\n")
    (folder / "bill.pdf").write_bytes(pdf(f"card {CARD} of bob@example.com"))
    (folder / "dump.sql.gz").write_bytes(gzip.compress((folder / "dump.sql").read_bytes()))
    (folder / "wide.txt").write_bytes("mail: eve@example.com".encode("utf-16"))
    with zipfile.ZipFile(folder / "letter.docx", "w", zipfile.ZIP_DEFLATED) as word:
        word.writestr("[Content_Types].xml", '<?xml version="1.0"?><Types/>')
        word.writestr("word/document.xml", '<?xml version="1.0"?><w:d xmlns:w="w"><w:p><w:t>sue@example.com</w:t></w:p></w:d>')
    with tarfile.open(folder / "all.tar.gz", "w:gz") as tar:
        tar.add(folder / "people.csv", "in/people.csv")
        tar.add(folder / "letter.docx", "letter.docx")
    (folder / "empty").write_bytes(b"")
    (folder / "nul.bin").write_bytes(b"\0" * 70000 + b"\0mail bob@example.com\0" + b"\xff\xfe\xfd" * 100)
    (folder / "line.txt").write_bytes(b"x" * (3 << 20) + b" bob@example.com " + b"y" * (3 << 20))
    (folder / "table.parquet").write_bytes(b"PAR1\0what nobody reads")
    (folder / "broken.tar.gz").write_bytes((folder / "all.tar.gz").read_bytes()[:-40])
    for file in folder.iterdir():
        os.utime(file, (1700000000, 1700000000))
    return folder


def test_scan_says_the_same_of_the_same_file_and_of_what_a_pipe_gives(folder):
    names = sorted(file.name for file in folder.iterdir())
    scanned = {item["name"]: item for item in classify(folder, "--all", verb="scan")[0]}
    items, summary = classify(*(folder / name for name in names))
    assert len(names) == len(scanned) == summary["scanned"] == 15
    for name, item in zip(names, items, strict=True):
        assert item["name"] == str(folder / name)
        for told in (item, scanned[name]):
            told.pop("stamp")  # there once a file is two seconds old
        assert item == {**scanned[name], "name": item["name"]}
        piped = classify("-", feed=(folder / name).read_bytes())[0][0]
        assert piped == {**item, "name": "-", "modified": None, "stamp": ""}, name
    assert {item["sensitivity"] for item in items} == {"internal", "confidential", "restricted"}


def test_what_is_told_of_a_file(folder):
    [people], _ = classify(folder / "people.csv")
    assert (people["kind"], people["sensitivity"], people["categories"]) == ("csv", "restricted", ["personal", "payment"])
    assert {(t["type"], t["values"]) for t in people["types"]} == {("EMAIL_ADDRESS", 50), ("CREDIT_CARD", 50)}
    assert all(0 < t["average_score"] <= t["score"] <= 100 and t["category"] for t in people["types"])
    assert people["reasons"][0]["why"][0] == "email in 50 of 50 values of email, whose name says so"
    [packed], _ = classify(folder / "all.tar.gz")
    assert {t["detector"]: t["values"] for t in packed["types"]} == {"payment_card": 50, "email": 51}
    assert [t["values"] for t in packed["types"]] == [51, 50]  # of all members, the most first


@pytest.mark.parametrize("output", ["table", "json", "jsonl", "yaml", "csv"])
def test_no_value_is_told_in_any_format(folder, output):
    files = [file for file in folder.iterdir() if file.name != "empty"]
    done = run(*files, "--names", "--output", output)
    told = done.stdout + done.stderr
    assert done.returncode == 0 and b"people.csv" in told
    for value in (b"4111", b"@example.com", b"1980", b"555 0147"):
        assert value not in told
    if output == "table":
        assert b"average score" in done.stdout.lower() and b"in 50 of 50 values of email" in done.stdout
    if output == "jsonl":
        assert len([json.loads(line) for line in done.stdout.splitlines()]) == len(files)


@pytest.mark.ordinary_build
def test_a_pipeline_is_stopped(folder):
    people, empty = folder / "people.csv", folder / "empty"
    assert run(people).returncode == 0
    assert run(empty, people, "--fail-on", "restricted").returncode == 1
    assert run(folder / "letter.docx", "--fail-on", "restricted").returncode == 0
    assert run(folder / "letter.docx", "--fail-on", "confidential").returncode == 1
    assert run(feed=people.read_bytes(), *("--fail-on", "restricted")).returncode == 1
    assert run(feed=b"nothing", *("--fail-on", "internal")).returncode == 0
    for unread in ("table.parquet", "broken.tar.gz"):  # unseen is no proof
        assert (run(folder / unread).returncode, run(folder / unread, "--fail-on", "restricted").returncode) == (0, 1)
    assert run(feed=b"words " * 1000, *("--max-bytes", "100", "--fail-on", "restricted")).returncode == 1
    done = run(people, "--fail-on", "public")
    assert done.returncode == 2 and b"internal, confidential, restricted" in done.stderr


def test_what_can_not_be_read_is_told_and_the_others_all_the_same(folder, tmp_path):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "socket"))
    (tmp_path / "loop").symlink_to("loop")
    words = [tmp_path, tmp_path / "gone", "/dev/zero", tmp_path / "socket", tmp_path / "loop", folder / "letter.docx"]
    items, summary = classify(*words, code=1)
    problems = [item["problem"] for item in items]
    assert problems == ["is a folder: `dvara data scan` reads folders", "could not be opened: No such file or directory",
                        "is neither a file nor a pipe", "is neither a file nor a pipe",
                        "could not be opened: Too many levels of symbolic links", ""]
    assert items[-1]["sensitivity"] == "confidential" and (summary["scanned"], summary["unreadable"]) == (1, 5)
    listener.close()
    place = os.open(tmp_path, os.O_RDONLY)
    done = subprocess.run([BUILD / "dvara", "data", "classify"], stdin=place, capture_output=True, timeout=60, check=False)
    os.close(place)
    assert done.returncode == 1 and b"is a folder" in done.stdout


def test_a_file_that_one_may_not_read(tmp_path):
    (tmp_path / "closed").write_text("bob@example.com")
    (tmp_path / "closed").chmod(0)
    done = subprocess.run(["setpriv", "--bounding-set=-dac_override,-dac_read_search", BUILD / "dvara", "data", "classify", tmp_path / "closed"]
                          if os.getuid() == 0 else [BUILD / "dvara", "data", "classify", tmp_path / "closed"],
                          capture_output=True, timeout=60, check=False)
    assert done.returncode == 1 and b"could not be opened: Permission denied" in done.stdout


def test_nothing_at_all(folder):
    for words in ((), ("-",), (folder / "empty",), ("/dev/stdin",)):
        [item], _ = classify(*words)
        assert (item["kind"], item["sensitivity"], item["values"], item["types"], item["problem"]) == ("empty", "internal", 0, [], "")
    with open("/dev/null", "rb") as null:  # standard input of what nobody gives any
        done = subprocess.run([BUILD / "dvara", "data", "classify"], stdin=null, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0 and b"empty" in done.stdout


def test_own_rules_and_names(tmp_path):
    (tmp_path / "a.csv").write_text("project,who\nx,Priya Sharma\ny,Michael Johnson\nz,Anna Keller\n")
    assert classify(tmp_path / "a.csv")[0][0]["categories"] == []
    assert classify(tmp_path / "a.csv", "--names")[0][0]["categories"] == ["personal"]
    rules = tmp_path / "rules.yaml"
    rules.write_text("- {id: projects, doc: ours, category: project, sensitivity: restricted, labels: [secret], columns: [project]}\n")
    [item], _ = classify(tmp_path / "a.csv", "--rules", rules)
    assert (item["sensitivity"], item["labels"], item["reasons"][0]["rule"]) == ("restricted", ["secret"], "projects")
    done = run(tmp_path / "a.csv", "--rules", tmp_path / "gone")
    assert done.returncode == 1 and b"gone" in done.stderr


def test_a_named_pipe(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    def write():
        with open(pipe, "wb") as out:
            out.write(b"bob@example.com")

    writer = threading.Thread(target=write)
    writer.start()
    [item], summary = classify(pipe)
    writer.join()
    assert (item["sensitivity"], item["size"], summary["bytes"]) == ("confidential", 15, 15)


def test_a_named_pipe_into_which_nobody_writes_has_its_time_and_no_more(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "a.txt").write_text("bob@example.com")
    [pipe, other], _ = classify(tmp_path / "pipe", tmp_path / "a.txt", "--max-seconds", "1")
    assert "took too long" in pipe["problem"] and other["sensitivity"] == "confidential"
    assert run(tmp_path / "pipe", "--max-seconds", "1", "--fail-on", "restricted").returncode == 1


def test_the_hook_of_the_docs_reads_what_is_committed(tmp_path):
    """And not what became of the file since."""
    hook = re.search(r"pre-commit.*?```\n(.*?)```", (ROOT / "docs/data.md").read_text(), re.DOTALL).group(1)
    env = {"PATH": f"{BUILD}:{os.environ['PATH']}", "HOME": str(tmp_path), "TMPDIR": str(tmp_path),
           "GIT_CONFIG_NOSYSTEM": "1"}

    def git(*words, code=0):
        done = subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@example.com", *words],
                              cwd=tmp_path / "repo", env=env, capture_output=True, timeout=60, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        return done

    (tmp_path / "repo").mkdir()
    git("init", "-q")
    path = tmp_path / "repo/.git/hooks/pre-commit"
    path.write_text(hook)
    path.chmod(0o755)
    file = tmp_path / "repo/a, b.txt"
    file.write_text(f"card {CARD}")
    git("add", "--", file.name)
    file.write_text("nothing")
    refused = git("commit", "-m", "x", code=1)
    assert b"1 restricted" in refused.stdout + refused.stderr
    git("add", "--", file.name)
    git("commit", "-m", "x")
    assert [one.name for one in tmp_path.iterdir()] == ["repo"]


@pytest.mark.ordinary_build
def test_memory_is_bounded_whatever_comes():
    """More than the process may have."""

    def bound():
        resource.setrlimit(resource.RLIMIT_DATA, (300 << 20, 300 << 20))

    command = [BUILD / "dvara", "data", "classify", "--output", "json", "--max-bytes", str(4 << 30), "--max-seconds", "600"]
    piece = b"words and nothing else, in one line without an end " * 20000
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, preexec_fn=bound) as running:
        for _ in range(400):
            running.stdin.write(piece)
        running.stdin.write(b" bob@example.com ")
        running.stdin.close()
        answer = json.load(running.stdout)
    assert running.returncode == 0
    assert answer["items"][0]["size"] == 400 * len(piece) + 17 and answer["items"][0]["values"] == 1
