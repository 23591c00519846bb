# SPDX-License-Identifier: Apache-2.0
"""engine/log's proofs against transparency-dev/merkle: inclusion and consistency, also of subtrees."""

import json

FOLDER = "merkle"

# What stands between the name and the proof, by the folder the vector lies in.
SHAPES = {
    "inclusion": ("inclusion", ("leafIdx", "treeSize"), ("leafHash", "root")),
    "consistency": ("consistency", ("size1", "size2"), ("root1", "root2")),
    "subtreeinclusion": ("subtree_inclusion", ("leafIdx", "start", "end"), ("leafHash", "root")),
    "subtreeconsistency": ("subtree_consistency", ("start", "end", "size"), ("root1", "root2")),
}


def question(kind, vector):
    name, numbers, hashes = SHAPES[kind]
    words = [name]
    words += [str(vector[field]) for field in numbers]
    words += [vector[field] for field in hashes]
    # An empty element is no hash; "=" keeps it on the line, to be refused.
    words.append(",".join(part or "=" for part in vector["proof"] or []) or "-")
    return " ".join(words)


def run(folder, tally):
    vectors = []
    for kind in SHAPES:
        for path in sorted((folder / "testdata" / kind).rglob("*.json")):
            vectors.append((kind, path, json.loads(path.read_text())))
    answers = tally.ask("merkle_check", [question(kind, vector) for kind, _, vector in vectors])
    for (_, path, vector), answer in zip(vectors, answers):
        wanted = "refuse" if vector["wantErr"] else "accept"
        tally.check(answer == wanted, f"{path.relative_to(folder)} ({vector['desc']}): {answer} instead of {wanted}")
