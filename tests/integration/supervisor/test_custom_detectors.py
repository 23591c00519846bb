# SPDX-License-Identifier: Apache-2.0
"""`masking: {custom_detectors: FILE}` with `dvara up`: found, explained, reloaded, refused with file and line (DATA-3.1.3)."""
import shutil

import test_masking_key
from support import wait_until
from test_masking_key import sent

listener = test_masking_key.listener

DETECTORS = """detectors:
  - id: employee_number
    label: EMPLOYEE
    match: 'EMP-[0-9]{6}'
    words: [badge]
    examples: ["badge \u27e6EMP-004711\u27e7"]
"""
SECTION = """masking:
  custom_detectors: FILE
  rules:
    - {users: [bob], detectors: [employee_number], action: block}
"""


def write(dvara, text):
    made = dvara.folder / "detectors.new"
    made.write_text(text)
    made.chmod(0o644)
    dvara.folder.chmod(0o755)
    return shutil.move(made, dvara.folder / "detectors.yaml")


def test_detectors_of_a_file(make, listener):
    dvara = make()
    dvara.upstream = f"http://127.0.0.1:{listener.server_port}"
    file = write(dvara, DETECTORS)
    dvara.configure(SECTION.replace("FILE", str(file)))
    assert "masking" not in dvara.good("config", "check", dvara.config)
    dvara.up()
    key = dvara.key()
    assert sent(dvara, listener, key, "my badge EMP-123456").startswith("my badge <EMPLOYEE_")
    assert sent(dvara, listener, key, "part EMP-123456") == "part EMP-123456"
    dvara.good("user", "create", "--name", "bob")
    where = ("--route", "openai-chat", "--detector", "employee_number")
    told = dvara.json("data", "masking", "explain", "--user", "bob", *where)
    assert (told["action"], told["decided_by"]) == ("block", "rules[0]")
    told = dvara.json("data", "masking", "explain", "--user", "alice", *where)
    assert (told["action"], told["decided_by"]) == ("placeholder", "request")
    assert "no detector" in dvara.refused("data", "masking", "explain", "--user", "bob", "--route", "openai-chat",
                                          "--detector", "employee")
    wait_until(lambda: '"employee_number"' in dvara.good("audit", "search", "detector:employee_number", "--output",
                                                         "jsonl"), 20, "the record")
    write(dvara, DETECTORS.replace("[badge]", "[part]").replace('"badge ', '"part '))
    dvara.good("reload")
    wait_until(lambda: "EMP-" not in sent(dvara, listener, key, "part EMP-123456"), 20, "the reload")
    # One that can't be run leaves the last in force.
    for wrong, said in ((DETECTORS.replace("{6}", "+"), f"{file}:4: detector employee_number: its values have no greatest"),
                        (DETECTORS.replace("EMP-0", "EMP-x"), f"{file}:4: detector employee_number: its example 1"),
                        (DETECTORS.replace("words", "word"), f"{file}:5:"),
                        (DETECTORS.replace("id: employee_number", "id: email"), f"{file}:2: there is a detector 'email'"),
                        ("detectors:\n" + "#" * 70000, "is larger than 65536 bytes"), (None, "detectors.yaml")):
        shutil.os.unlink(file)
        if wrong is not None:
            write(dvara, wrong)
        refused = dvara.refused("reload")
        assert "dvara.yaml:2:" in refused and said in refused, refused
        assert "EMP-" not in sent(dvara, listener, key, "part EMP-123456")


def test_names_of_detectors_are_checked(make):
    dvara = make()
    file = write(dvara, DETECTORS)
    for section, said in ((SECTION.replace("FILE", "detectors.yaml"), "whole path"),
                          (SECTION.replace("FILE", str(file)).replace("[employee_number]", "[employee]"), "none of the"),
                          (SECTION.replace("FILE", str(file)) + "  request: {detectors: {staff: mask}}\n", "'staff'")):
        dvara.configure(section)
        assert said in dvara.refused("config", "check", dvara.config)


def test_a_full_file_is_in_force(make, listener):
    dvara = make()
    dvara.upstream = f"http://127.0.0.1:{listener.server_port}"
    text = "detectors:\n"
    for n in range(32):
        text += f"  - {{id: a{n}, match: '[A-Z]{{2}}{n:02}-[0-9]{{4,6}}', examples: [\"\u27e6AB{n:02}-1234\u27e7\"]}}\n"
    text += "# \"\\ \u27e6 \n" * ((65536 - len(text.encode())) // len("# \"\\ \u27e6 \n".encode()))
    assert 65000 < len(text.encode()) <= 65536
    dvara.configure(SECTION.replace("FILE", str(write(dvara, text))).replace("employee_number", "a0"))
    dvara.good("config", "check", dvara.config)
    dvara.up()
    got = sent(dvara, listener, dvara.key(), "at AB00-1234 and XY31-123456")
    assert "<A0_" in got and "<A31_" in got and "1234" not in got, got
