# SPDX-License-Identifier: Apache-2.0
"""`dvara data anonymize` and `risk`: random tables against a few lines that measure the output file by themselves."""
import collections
import csv
import datetime
import ipaddress
import json
import math
import os
import pathlib
import random
import subprocess

import pandas
import pytest
from pycanon import anonymity


def dvara():
    build = pathlib.Path(os.environ["DVARA_BUILD"])
    return next(p for p in (build / "dvara", build / os.environ.get("BUILD", "build") / "dvara") if p.exists())


def run(*words, code=0):
    done = subprocess.run([dvara(), "data", *map(str, words)], capture_output=True, timeout=120, check=False)
    assert done.returncode == code, done.stderr.decode()
    return done.stdout.decode() if code == 0 else done.stderr.decode()


def read(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def groups(rows, quasi):
    found = collections.defaultdict(list)
    for row in rows:
        found[tuple(row[name] for name in quasi)].append(row)
    return list(found.values())


def spread(values, whole, ordered, l):
    """What a group's values give away: how many, exp(entropy), most frequent over the l-th and below, distance."""
    counts = sorted(collections.Counter(values).values(), reverse=True)
    shares = [count / len(values) for count in counts]
    rest = sum(counts[l - 1:])
    order = sorted(set(whole), key=float if ordered else str)
    p = [values.count(value) / len(values) for value in order]
    q = [whole.count(value) / len(whole) for value in order]
    if ordered:
        carried = [abs(sum(p[:i + 1]) - sum(q[:i + 1])) for i in range(len(order))]
        distance = sum(carried) / max(len(order) - 1, 1)
    else:
        distance = sum(abs(a - b) for a, b in zip(p, q)) / 2
    return (len(counts), math.exp(-sum(share * math.log(share) for share in shares)),
            counts[0] / rest if rest else math.inf, distance)


def holds(rows, quasi, rules):
    """Whether the rows are what the rules ask for."""
    for group in groups(rows, quasi):
        if len(group) < rules["k"]:
            return False
        for name in rules["sensitive"]:
            distinct, entropy, ratio, distance = spread([row[name] for row in group], [row[name] for row in rows],
                                                        name in rules["ordered"], rules["lvalue"])
            diverse = {"distinct": distinct >= rules["lvalue"], "entropy": entropy >= rules["lvalue"] - 1e-9,
                       "recursive": ratio < rules["c"]}[rules["kind"]]
            if not diverse or distance > rules["t"] + 1e-9:
                return False
    return True


CITIES = {"Oslo": ("Norway", "Europe"), "Bergen": ("Norway", "Europe"), "Rome": ("Italy", "Europe"), "Milan": ("Italy", "Europe"),
          "Pune": ("India", "Asia"), "Delhi": ("India", "Asia"), "Osaka": ("Japan", "Asia"), "": ("*", "*")}
HIERARCHIES = {"age": ["ages", {"intervals": [5, 20]}], "zip": ["zip"], "born": ["dates"], "ip": ["ip"],
               "city": [{"file": "city.csv"}, {"rows": [[city, *above] for city, above in CITIES.items()]}]}


def table(path, chance, count):
    rows = []
    for i in range(count):
        born = datetime.date(chance.randint(1950, 1959), chance.randint(1, 12), chance.randint(1, 28))
        rows.append({"id": i, "age": chance.randint(18, 95), "zip": f"X{chance.randint(100, 140)}", "born": born.isoformat(),
                     "ip": f"10.{chance.randint(0, 2)}.{chance.randint(0, 2)}.{chance.randint(1, 4)}", "city": chance.choice(list(CITIES)),
                     "sex": chance.choice("MF"), "name": f"N, {i}", "ill": chance.choice(["flu", "flu", "cold", "gout", ""]),
                     "pay": chance.choice([100, 200, 250.5, 1000, 5000])})
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return read(path)


def inside(name, value, made):
    """Whether the value is one of those that a generalised cell stands for."""
    if made in ("*", value):
        return True
    if name == "city":
        return made in CITIES[value]
    if name == "born":
        return value.startswith(made.rstrip("s*")[:3 if made.endswith("s") else None]) or made.endswith("*")
    if name == "ip" and "/" in made:
        return ipaddress.ip_address(value) in ipaddress.ip_network(made)
    if name == "zip" and made.endswith("*") and len(made) == len(value):
        return value.startswith(made.rstrip("*"))
    if made.endswith("*"):
        return value.startswith(made[:-1])
    if made.endswith("+"):
        return int(value) >= int(made[:-1])
    low, high = made.split("-<") if "-<" in made else made.split("-")
    return int(low) <= int(value) and (int(value) < int(high) if "-<" in made else int(value) <= int(high))


def random_rules(chance):
    quasi = chance.sample(["age", "zip", "born", "ip", "city", "sex"], chance.randint(1, 4))
    rules = {"k": chance.randint(2, 6), "quasi": quasi, "sensitive": ["ill", "pay"], "remove": ["name"],
             "ordered": chance.choice([[], ["pay"]]), "t": chance.choice([1, 0.6, 0.4, 0.25]), "suppress": chance.choice([0, 0.02, 0.1]),
             "hierarchies": {name: chance.choice(HIERARCHIES[name]) for name in quasi if name in HIERARCHIES and chance.random() < 0.7}}
    kind, l, c = chance.choice(["distinct", "entropy", "recursive"]), chance.randint(2, 3), chance.choice([1.5, 3])
    rules["l"] = {kind: l, "c": c} if kind == "recursive" else {kind: l}
    return rules, {**rules, "kind": kind, "lvalue": l, "c": c}


@pytest.mark.parametrize("seed", range(40))
def test_random_tables_are_what_the_rules_ask_for(tmp_path, seed):
    chance = random.Random(seed)
    given = table(tmp_path / "in.csv", chance, chance.randint(20, 250))
    (tmp_path / "city.csv").write_text("".join(";".join([city, *above]) + "\n" for city, above in CITIES.items()))
    rules, wanted = random_rules(chance)
    (tmp_path / "rules.yaml").write_text(json.dumps(rules))
    words = ["anonymize", "--input", tmp_path / "in.csv", "--rules", tmp_path / "rules.yaml", "--out", tmp_path / "out.csv", "--output", "json"]
    if not holds([{**row, **{name: "*" for name in rules["quasi"]}} for row in given], rules["quasi"], wanted):
        told = run(*words, code=1)
        assert ("fewer than k" if len(given) < wanted["k"] else "as a whole") in told
        assert not (tmp_path / "out.csv").exists()
        return
    report = json.loads(run(*words))
    made = read(tmp_path / "out.csv")
    assert holds(made, rules["quasi"], wanted)
    by_id = {row["id"]: row for row in given}
    assert len({row["id"] for row in made}) == len(made) and "name" not in made[0]
    assert report["records"] == len(given) and report["suppressed"] == len(given) - len(made) <= rules["suppress"] * len(given)
    for row in made:
        old = by_id[row["id"]]
        assert all(row[name] == old[name] for name in row if name not in rules["quasi"])
        assert all(inside(name, old[name], row[name]) for name in rules["quasi"]), (old, row)
    found = groups(made, rules["quasi"])
    assert report["after"]["groups"] == len(found) and report["after"]["smallest"] == min(map(len, found))
    assert report["after"]["unique"] == 0 and 0 <= report["loss"] <= 1 and len(report["columns"]) == len(rules["quasi"])
    for column in report["sensitive"]:
        name = column["name"]
        worst = [spread([row[name] for row in group], [row[name] for row in made], name in rules["ordered"], wanted["lvalue"]) for group in found]
        assert column["distinct"] == min(one[0] for one in worst) and column["entropy"] == pytest.approx(min(one[1] for one in worst))
        assert column["distance"] == pytest.approx(max(one[3] for one in worst), abs=1e-9)


def test_pycanon_measures_the_same(tmp_path):
    table(tmp_path / "in.csv", random.Random(5), 600)
    (tmp_path / "rules.yaml").write_text("{k: 4, l: 2, t: 0.5, quasi: [age, zip, sex], sensitive: [ill], hierarchies: {age: ages, zip: zip}, suppress: 0.02}")
    report = json.loads(run("anonymize", "--input", tmp_path / "in.csv", "--rules", tmp_path / "rules.yaml", "--out", tmp_path / "out.csv", "--output", "json"))
    frame = pandas.read_csv(tmp_path / "out.csv", dtype=str, keep_default_na=False)
    quasi = ["age", "zip", "sex"]
    assert report["after"]["smallest"] == anonymity.k_anonymity(frame, quasi) >= 4
    assert report["sensitive"][0]["distinct"] == anonymity.l_diversity(frame, quasi, ["ill"]) >= 2
    assert report["sensitive"][0]["distance"] == pytest.approx(anonymity.t_closeness(frame, quasi, ["ill"]), abs=1e-6)
    assert int(report["sensitive"][0]["entropy"]) == anonymity.entropy_l_diversity(frame, quasi, ["ill"])


def test_hierarchies_keep_more_than_beginnings_do(tmp_path):
    """Seven cities that begin differently: told as their countries, not as `*`."""
    table(tmp_path / "in.csv", random.Random(9), 2000)
    (tmp_path / "city.csv").write_text("".join(";".join([city, *above]) + "\n" for city, above in CITIES.items()))
    losses = []
    for more in ("", "hierarchies: {city: {file: city.csv}}"):
        (tmp_path / "rules.yaml").write_text(f"k: 60\nquasi: [city, sex, born]\n{more}\n")
        report = json.loads(run("anonymize", "--input", tmp_path / "in.csv", "--rules", tmp_path / "rules.yaml", "--out", tmp_path / "out.csv", "--output", "json"))
        losses.append(report["loss"])
    assert losses[1] < losses[0]


def test_outliers_are_left_out_where_that_pays(tmp_path):
    chance = random.Random(4)
    zips = [f"94{chance.randint(100, 120)}" for _ in range(985)] + [f"{chance.randint(1, 8)}0000" for _ in range(15)]
    (tmp_path / "in.csv").write_text("zip,x\n" + "".join(f"{zip},{i}\n" for i, zip in enumerate(zips)))
    told = []
    for suppress in (0, 0.01, 0.015):
        (tmp_path / "rules.yaml").write_text(f"{{k: 20, quasi: [zip], hierarchies: {{zip: zip}}, suppress: {suppress}}}")
        report = json.loads(run("anonymize", "--input", tmp_path / "in.csv", "--rules", tmp_path / "rules.yaml", "--out", tmp_path / "out.csv", "--output", "json"))
        told.append((report["suppressed"], report["loss"] > 0.9, len(read(tmp_path / "out.csv"))))
    assert told == [(0, True, 1000), (0, True, 1000), (15, False, 985)]


def test_what_a_hierarchy_does_not_have_is_told_without_the_value(tmp_path):
    (tmp_path / "in.csv").write_text("city\nOslo\nOslo\nSecretville\nOslo\n")
    (tmp_path / "city.csv").write_text("Oslo;Norway\n")
    (tmp_path / "rules.yaml").write_text("k: 2\nquasi: [city]\nhierarchies: {city: {file: city.csv}}\n")
    told = run("anonymize", "--input", tmp_path / "in.csv", "--rules", tmp_path / "rules.yaml", "--out", tmp_path / "out.csv", code=1)
    assert "'city'" in told and "record 3" in told and "Secretville" not in told
    (tmp_path / "city.csv").write_text("Oslo;Norway\nOslo;Sweden\n")
    assert "city.csv" in run("anonymize", "--input", tmp_path / "in.csv", "--rules", tmp_path / "rules.yaml", "--out", tmp_path / "out.csv", code=1)
    (tmp_path / "city.csv").unlink()
    assert "city.csv" in run("anonymize", "--input", tmp_path / "in.csv", "--rules", tmp_path / "rules.yaml", "--out", tmp_path / "out.csv", code=1)
    assert not (tmp_path / "out.csv").exists()


def test_standard_output_gets_the_table_alone(tmp_path):
    (tmp_path / "in.csv").write_text("zip,x\n94110,1\n94117,2\n")
    (tmp_path / "rules.yaml").write_text("k: 2\nquasi: [zip]\nhierarchies: {zip: zip}\n")
    assert run("anonymize", "--input", tmp_path / "in.csv", "--rules", tmp_path / "rules.yaml") == "zip,x\n9411*,1\n9411*,2\n"


def test_risk_says_which_columns_make_people_unique(tmp_path):
    rows = table(tmp_path / "in.csv", random.Random(3), 400)
    quasi = ["age", "zip", "sex", "city"]
    words = ["risk", "--input", tmp_path / "in.csv", "--quasi", ",".join(quasi), "--sensitive", "ill,pay", "--ordered", "pay", "--together", 3,
             "--population", 4000, "--threshold", 50]
    answer = json.loads(run(*words, "--output", "json"))
    found = groups(rows, quasi)
    sizes = [len(group) for group in found]
    assert answer["records"] == 400 and answer["prosecutor"]["groups"] == len(found)
    assert answer["prosecutor"]["highest_risk"] == 1 / min(sizes) and answer["over_threshold"] == sum(s for s in sizes if s < 2) / 400
    assert answer["prosecutor"]["average_risk"] == pytest.approx(len(found) / 400)
    assert answer["journalist"]["highest_risk"] == pytest.approx(400 / 4000 / min(sizes))
    assert answer["marketer"] == answer["journalist"]["average_risk"] == pytest.approx(len(found) / 4000)
    assert len(answer["items"]) == 4 + 6 + 4
    for item in answer["items"]:
        parts = [len(group) for group in groups(rows, item["columns"].split(","))]
        assert item["distinct"] == len(parts) and item["unique"] == parts.count(1)
        assert item["distinction"] == pytest.approx(len(parts) / 400)
        assert item["separation"] == pytest.approx(1 - sum(n * (n - 1) for n in parts) / (400 * 399))
    assert [item["separation"] for item in answer["items"]] == sorted((item["separation"] for item in answer["items"]), reverse=True)
    shown = run("risk", "--input", tmp_path / "in.csv", "--quasi", "age,zip")
    assert shown.splitlines()[0].split() == ["COLUMNS", "DISTINCT", "UNIQUE", "DISTINCTION", "SEPARATION"]
    assert shown.splitlines()[1].startswith("age,zip")
    assert "'ages'" in run("risk", "--input", tmp_path / "in.csv", "--quasi", "ages", code=1)
    assert "smaller" in run("risk", "--input", tmp_path / "in.csv", "--quasi", "age", "--population", 10, code=1)


@pytest.mark.parametrize("rules, told", [
    ("k: 5\nquasi: [age]\n", "2 records, fewer than k = 5"),
    ("k: 2\nl: {entropy: 3}\nquasi: [age]\nsensitive: [ill]\n", "as a whole is not as diverse"),
])
def test_what_no_table_can_be_made_of_is_told(tmp_path, rules, told):
    (tmp_path / "in.csv").write_text("age,ill\n1,x\n2,y\n")
    (tmp_path / "rules.yaml").write_text(rules)
    assert told in run("anonymize", "--input", tmp_path / "in.csv", "--rules", tmp_path / "rules.yaml", "--out", tmp_path / "out.csv", code=1)
